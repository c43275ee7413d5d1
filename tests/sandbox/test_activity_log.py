"""Activity logs (contract 11)."""

import json
import urllib.parse
import urllib.request

import pytest

from .conftest import FLAGS, ORG

LOGS = f"{ORG}/advanced_activity_logs"


def entry(number, **more):
    return {
        "scope": "FeatureFlag",
        "activity": "updated",
        "item_id": str(number),
        "user": "ada@acme.test",
        "team_id": 1,
        "created_at": f"2026-01-0{number}T00:00:00Z",
        "detail": {"name": f"flag-{number}", "changes": [{"field": "name", "after": number}]},
        **more,
    }


ENTRIES = [
    entry(1, ip_address="10.0.0.1", client="web"),
    entry(2, user="max@acme.test", activity="created", client="mcp"),
    entry(3, scope="Organization", team_id=None, was_impersonated=True),
    entry(4, user=None, is_system=True, team_id=2, ip_address="10.1.0.1"),
    entry(5),
]


@pytest.fixture
def logs(api):
    api.reset(lambda seed: seed["organizations"][0].update(activity=ENTRIES))
    return api


def items(api, query="", who="olga"):
    return [one["item_id"] for one in api.results(f"{LOGS}/{query}", who=who)]


def quoted(value):
    return urllib.parse.quote(json.dumps(value))


def test_members_may_not_read_the_log(api):
    """Contract 11."""
    reply = api.get(f"{LOGS}/", who="max")

    expected = "Only organization admins and owners can view organization-wide activity logs."
    assert (reply.status, reply.body["detail"]) == (403, expected)
    assert api.get(f"{LOGS}/available_filters/", who="max").status == 403
    assert api.get("/api/projects/1/advanced_activity_logs/", who="max").status == 200


def test_an_entry_has_its_fields(logs):
    """Contract 11.2."""
    found = logs.results(f"{LOGS}/")[-1]

    assert found.keys() == {
        "id",
        "user",
        "unread",
        "team_id",
        "organization_id",
        "was_impersonated",
        "is_system",
        "client",
        "activity",
        "item_id",
        "scope",
        "detail",
        "created_at",
        "ip_address",
    }
    assert found["organization_id"] == ORG.rsplit("/", 1)[1]
    assert (found["user"]["email"], found["created_at"]) == (
        "ada@acme.test",
        "2026-01-01T00:00:00Z",
    )


def test_an_entry_names_client_and_author(api):
    """Contract 11.1."""
    request = urllib.request.Request(
        f"{api.sandbox.url}{FLAGS}/1/",
        data=b'{"name": "x"}',
        method="PATCH",
        headers={
            "Authorization": "Bearer phx_max",
            "Content-Type": "application/json",
            "x-posthog-client": "mcp",
        },
    )
    urllib.request.urlopen(request, timeout=10).close()

    found = api.results(f"{LOGS}/")[0]
    assert (found["client"], found["user"]["email"]) == ("mcp", "max@acme.test")
    assert (found["ip_address"], found["was_impersonated"]) == ("127.0.0.1", False)


def test_without_page_there_is_a_cursor_and_no_count(logs):
    """Contract 11.1."""
    first = logs.get(f"{LOGS}/?page_size=2").body
    assert first.keys() == {"next", "previous", "results"}
    assert first["previous"] is None
    assert "cursor=" in first["next"]

    seen, following = [], f"{LOGS}/?page_size=2"
    while following:
        body = logs.get(following).body
        seen += [one["item_id"] for one in body["results"]]
        following = body["next"] and body["next"].removeprefix(logs.sandbox.url)
        if seen == ["5", "4"]:
            logs.patch(f"{FLAGS}/1/", {"name": "an entry more does not shift the cursor"})
    assert seen == ["5", "4", "3", "2", "1"]
    back = body["previous"].removeprefix(logs.sandbox.url)
    assert items(logs, "?" + back.split("?")[1]) == ["3", "2"]


def test_with_page_there_is_a_count(logs):
    """Contract 11.1."""
    first = logs.get(f"{LOGS}/?page=1&page_size=2").body
    second = logs.get(f"{LOGS}/?page=2&page_size=2").body

    assert (first["count"], first["previous"]) == (5, None)
    assert first["next"].endswith("?page=2&page_size=2")
    assert [one["item_id"] for one in second["results"]] == ["3", "2"]
    assert logs.get(f"{LOGS}/?page=9").status == 404
    assert logs.get(f"{LOGS}/?page=moon").status == 404
    assert logs.get(f"{LOGS}/?cursor=moon").status == 404


def test_every_log_filter(logs):
    """Contract 11.1."""
    users = {one["email"]: one["uuid"] for one in logs.sandbox.state()["users"]}
    ada, maxim = users["ada@acme.test"], users["max@acme.test"]

    assert items(logs, "?start_date=2026-01-03T00:00:00Z") == ["5", "4", "3"]
    assert items(logs, "?end_date=2026-01-03T00:00:00Z") == ["3", "2", "1"]
    assert items(logs, "?end_date=2026-01-03T01:00:00+01:00") == ["3", "2", "1"]
    assert items(logs, f"?users={maxim}") == ["2"]
    assert items(logs, f"?users={quoted([ada, maxim])}") == ["5", "3", "2", "1"]
    assert items(logs, "?scopes=Organization") == ["3"]
    assert items(logs, f"?scopes={quoted(['Organization', 'FeatureFlag'])}&item_ids=3") == ["3"]
    assert items(logs, "?activities=created&activities=moon") == ["2"]
    assert items(logs, "?clients=web&clients=mcp") == ["2", "1"]
    assert items(logs, f"?item_ids={quoted(['1', '5'])}") == ["5", "1"]
    assert items(logs, "?team_ids=2") == ["4"]
    assert items(logs, "?ip_addresses=10.0.*") == ["1"]
    assert items(logs, "?search_text=FLAG-4") == ["4"]
    assert items(logs, "?was_impersonated=true") == ["3"]
    assert items(logs, "?is_system=true") == ["4"]
    assert items(logs, "?is_system=null&was_impersonated=null") == items(logs)
    assert items(logs, "?hogql_filter=whatever") == ["5", "4", "3", "2", "1"]
    assert items(logs, "?ordering=created_at") == ["1", "2", "3", "4", "5"]
    assert items(logs, "?scopes=Organization&users=" + maxim) == []


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"name": {"operation": "exact", "value": "flag-3"}}, ["3"]),
        ({"name": {"operation": "contains", "value": "FLAG"}}, ["5", "4", "3", "2", "1"]),
        ({"changes[].after": {"operation": "in", "value": [2, "4"]}}, ["4", "2"]),
        ({"moon": {"operation": "exact", "value": 1}}, []),
    ],
    ids=str,
)
def test_detail_filters_match_nested_values(logs, wanted, expected):
    """Contract 11.1."""
    assert items(logs, f"?detail_filters={quoted(wanted)}") == expected


@pytest.mark.parametrize(
    "query",
    [
        "start_date=moon",
        "users=moon",
        "team_ids=moon",
        "is_system=perhaps",
        "scopes=[",
        "detail_filters=moon",
        "detail_filters=[]",
        f"detail_filters={quoted({'a': {'operation': 'moon', 'value': 1}})}",
        f"detail_filters={quoted({'a': 1})}",
        f"detail_filters={quoted({str(n): {'value': n} for n in range(101)})}",
    ],
)
def test_bad_filters_are_400(logs, query):
    """Contract 11.1."""
    reply = logs.get(f"{LOGS}/?{query}")

    assert (reply.status, reply.body["type"]) == (400, "validation_error")


def test_available_filters_list_existing_values(logs):
    """Contract 11.3."""
    body = logs.get(f"{LOGS}/available_filters/").body

    static = body["static_filters"]
    assert {one["label"] for one in static["users"]} == {"Ada", "Max"}
    assert static["scopes"] == [{"value": "FeatureFlag"}, {"value": "Organization"}]
    assert static["activities"] == [{"value": "created"}, {"value": "updated"}]
    assert static["clients"] == [{"value": "mcp"}, {"value": "web"}]
    fields = body["detail_fields"]["FeatureFlag"]["fields"]
    assert {"name": "changes[].field", "types": ["string"]} in fields


def test_export_is_not_open_to_keys(api):
    """Contract 11."""
    reply = api.post(f"{LOGS}/export/")

    assert reply.status == 403
    assert "does not support personal API key access" in reply.body["detail"]


def test_a_project_lists_its_own_entries(logs):
    """Contract 11."""
    found = logs.results("/api/projects/2/advanced_activity_logs/", who="max")

    assert [one["item_id"] for one in found] == ["4"]
