"""Injected faults: what the caller sees, and what is stored."""

import http.client
import json
import socket
import time
import urllib.parse

import pytest

from reconciler.sandbox.faults import schedule as faults_schedule
from reconciler.sandbox.protocol.errors import SandboxError

from .conftest import FLAGS, ORG, POLICIES, REQUESTS


def rule(effect, **more):
    match = {"method": "PATCH", "route": "feature_flags.update"} | more.pop("match", {})
    return {"match": match, "effect": effect, **more}


def inject(api, *rules, seed=0):
    api.sandbox.inject({"seed": seed, "faults": list(rules)})


def send(api, method="PATCH", path=f"{FLAGS}/1/", body=b'{"name": "x"}', timeout=5):
    """Status, headers and bytes, or the error of the connection."""
    host = urllib.parse.urlsplit(api.sandbox.url).netloc
    connection = http.client.HTTPConnection(host, timeout=timeout)
    headers = {"Authorization": "Bearer phx_max", "Content-Type": "application/json"}
    try:
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def name(api):
    flag = next(
        one
        for one in api.sandbox.state()["organizations"][0]["projects"][0]["feature_flags"]
        if one["id"] == 1
    )
    return flag["name"]


BROKEN = (ConnectionError, http.client.HTTPException, socket.timeout)


@pytest.mark.parametrize(
    ("effect", "point", "acted"),
    [
        ("refuse", "before", False),
        ("reset", "before", False),
        ("reset", "after", True),
        ("reset", "mid_body", True),
        ({"hang": 0.05}, "before", False),
        ({"hang": 0.05}, "after", True),
        ({"hang": 0.05}, "mid_body", True),
    ],
    ids=str,
)
def test_a_connection_breaks_before_or_after_the_write(api, effect, point, acted):
    inject(api, rule(effect, point=point))

    with pytest.raises(BROKEN):
        send(api)

    assert name(api) == ("x" if acted else "")
    (line,) = api.sandbox.requests()
    assert line["fault"].endswith(f"@{point}")
    assert line["user"] == "max@acme.test"
    assert line["status"] == (200 if point == "mid_body" else None)
    assert send(api)[0] == 200


def test_half_a_body_arrives_before_the_connection_breaks(api):
    inject(api, rule("hang(0.05)", point="mid_body"))

    with pytest.raises(http.client.IncompleteRead) as caught:
        send(api)

    assert caught.value.partial.startswith(b'{"id":1')


def test_a_hang_lasts_longer_than_a_clients_timeout(api):
    inject(api, rule("hang", point="after"))

    with pytest.raises(TimeoutError):
        send(api, timeout=0.2)
    assert name(api) == "x"


@pytest.mark.parametrize(
    ("effect", "point", "status", "word"),
    [
        ({"status": 500}, "before", 500, b"A server error occurred."),
        ({"status": 502}, "after", 502, b"<title>502 Bad Gateway"),
        ({"status": 503}, "before", 503, b"database_unavailable"),
        ({"status": {"code": 400, "body": {"a": 1}}}, "before", 400, b'{"a":1}'),
        ({"status": {"code": 418, "body": "short"}}, "before", 418, b"short"),
    ],
    ids=str,
)
def test_a_status_replaces_the_response(api, effect, point, status, word):
    inject(api, rule(effect, point=point))

    found, _, body = send(api)

    assert found == status
    assert word in body
    assert name(api) == ("x" if point == "after" else "")
    assert api.sandbox.requests()[0]["status"] == status


@pytest.mark.parametrize(
    ("form", "header"),
    [("header", "13"), ("date", "Mon, 05 Jan 2026 09:00:13 GMT"), ("text", None)],
)
def test_a_throttle_gives_the_wait_in_three_forms(api, form, header):
    inject(api, rule({"throttle": {"form": form}}))

    status, headers, body = send(api)

    assert (status, headers["Retry-After"]) == (429, header)
    expected = "Request was throttled. Expected available in 13 seconds."
    assert json.loads(body)["detail"] == expected
    assert name(api) == ""


def test_a_body_is_truncated_or_sent_slowly(api):
    inject(
        api,
        rule({"truncate": 10}),
        rule({"drip": 0.001}, match={"method": "GET", "route": "feature_flags.retrieve"}),
    )

    assert send(api)[2] == b'{"id":1,"n'
    began = time.monotonic()
    status, _, body = send(api, "GET", body=None)
    assert (status, json.loads(body)["id"]) == (200, 1)
    assert time.monotonic() - began > 0.5


@pytest.mark.parametrize("kind", faults_schedule.MUTATIONS)
def test_a_body_is_replaced_by_an_invalid_one(api, kind):
    inject(api, rule({"mutate": kind}))

    status, headers, body = send(api)

    assert status == 200
    expected = {
        "html": lambda: headers["Content-Type"].startswith("text/html"),
        "content_type": lambda: headers["Content-Type"] == "text/plain",
        "nan": lambda: b"NaN" in body,
        "garbage": lambda: not body.startswith(b"{"),
        "duplicate_keys": lambda: body.startswith(b'{"id":1,"id":2,"id":1'),
        "deep": lambda: body.startswith(b"[[[["),
        "surrogate": lambda: b"\\ud800" in body,
    }
    assert expected[kind]()


def test_fields_of_a_body_are_set_and_dropped(api):
    change = {
        "set": {"count": 99, "results[0].name": "spoilt", "results.*.moon": 1, "a.b": 2},
        "drop": ["results[1].key", "next"],
    }
    inject(api, {"match": {"route": "list"}, "effect": {"mutate": change}})

    body = api.get(FLAGS).body

    assert (body["count"], "next" in body) == (99, False)
    assert body["results"][0]["name"] == "spoilt"
    assert [one["moon"] for one in body["results"]] == [1, 1]
    assert "key" not in body["results"][1]


def test_a_stale_read_shows_the_world_before_the_last_writes(api):
    inject(
        api,
        {"match": {"method": "GET", "hit": [1, 3]}, "effect": "stale"},
        {"match": {"method": "GET", "hit": 2}, "effect": "stale(2)"},
    )
    assert api.get(f"{FLAGS}/1/").body["name"] == ""
    for word in ("one", "two"):
        api.patch(f"{FLAGS}/1/", {"name": word})

    seen = [api.get(f"{FLAGS}/1/").body["name"] for _ in range(3)]

    assert seen == ["", "one", "two"]


def test_a_write_is_never_stale(api):
    inject(api, rule("stale", match={"hit": "every"}))

    api.patch(f"{FLAGS}/1/", {"name": "one"})
    api.patch(f"{FLAGS}/1/", {"name": "two"})

    assert name(api) == "two"


def test_pages_shift_and_lists_are_empty(api):
    inject(
        api,
        {"match": {"route": "list", "hit": 1}, "effect": "shift_page(1)"},
        {"match": {"route": "list", "hit": 2}, "effect": "shift_page(-1)"},
        {"match": {"route": "list", "hit": 3}, "effect": "empty_list"},
    )

    assert [one["key"] for one in api.results(FLAGS)] == ["on"]
    assert [one["key"] for one in api.results(f"{FLAGS}/?offset=1")] == ["off", "on"]
    assert api.get(FLAGS).body == {"count": 0, "next": None, "previous": None, "results": []}


def test_a_key_is_revoked_for_good_and_a_scope_for_one_call(api):
    inject(
        api,
        {"match": {"user": "max@acme.test", "hit": 2}, "effect": "revoke_key"},
        {"match": {"user": "mia@*"}, "effect": {"forbid_scope": "feature_flag:read"}},
    )

    assert [api.get(FLAGS, who="max").status for _ in range(3)] == [200, 401, 401]
    assert [api.get(FLAGS, who="mia").status for _ in range(2)] == [403, 200]
    assert api.sandbox.ledger()[0]["object"] == "Token/phx_max"


def test_a_late_commit_is_visible_only_after_the_verifying_read(api):
    inject(api, rule({"status": 504}, point="late_commit", later=2))

    assert send(api)[0] == 504
    seen = [api.get(f"{FLAGS}/1/").body["name"] for _ in range(3)]

    assert seen == ["", "", "x"]
    line = api.sandbox.ledger()[0]
    assert (line["request"], line["object"]) == (1, "FeatureFlag/1")


def test_other_people_edit_around_a_request(api):
    edit = {"edit": {"as": "mia@acme.test", "flag": "on", "set": {"name": "hers"}}}
    inject(api, rule(edit), rule(edit, point="after", match={"hit": 2}))

    answered = [json.loads(send(api)[2])["name"] for _ in range(2)]

    assert answered == ["x", "x"]
    assert name(api) == "hers"
    told = [(one["request"], one["user"]) for one in api.sandbox.ledger()
            if one["object"] == "FeatureFlag/1"]  # fmt: skip
    mia, maxim = "mia@acme.test", "max@acme.test"
    assert told == [(1, mia), (1, maxim), (2, maxim), (2, mia)]
    assert api.results(f"{ORG}/advanced_activity_logs/")[0]["client"] == "web"


def test_other_people_vote_and_change_policies_roles_and_settings(api):
    policy = api.policy()
    olga = {"as": "olga@acme.test"}
    inject(
        api,
        {
            "match": {"method": "PATCH"},
            "point": "after",
            "effect": {"vote": {"as": "ada@acme.test", "decision": "approve"}},
        },
        {
            "match": {"method": "GET", "hit": 1},
            "effect": {"edit": {**olga, "policy": "feature_flag.enable", "delete": True}},
        },
        {
            "match": {"method": "GET", "hit": 1},
            "effect": {"edit": {**olga, "role": "Nobody", "set": {"name": "Somebody"}}},
        },
        {
            "match": {"method": "GET", "hit": 1},
            "effect": {"edit": {**olga, "organization": "acme", "set": {"enforce_2fa": True}}},
        },
        {
            "match": {"method": "GET", "hit": 1},
            "effect": {"edit": {**olga, "project": "Mobile", "set": {"name": "Phone"}}},
        },
        {
            "match": {"method": "GET", "hit": 1},
            "effect": {"call": {**olga, "method": "DELETE", "path": "/api/projects/3/"}},
        },
    )

    api.file()

    state = api.sandbox.state()["organizations"][0]
    assert state["projects"][0]["change_requests"][0]["state"] == "applied"
    assert api.get(f"{POLICIES}/{policy['id']}/").status == 404
    assert {one["name"] for one in api.results(f"{ORG}/roles/")} == {
        "Release managers",
        "Somebody",
    }
    found = api.get(f"{ORG}/").body
    assert found["enforce_2fa"] is True
    assert found["projects"][1]["name"] == "Phone"


def test_the_clock_jumps_and_tasks_run_around_a_request(api):
    api.policy(expires_after="1 00:00:00")
    api.file()
    inject(
        api,
        {"match": {"method": "GET", "hit": 1}, "effect": "clock(2d)"},
        {"match": {"method": "GET", "hit": 2}, "effect": "task(check_staleness)"},
    )

    assert api.results(f"{REQUESTS}/")[0]["state"] == "expired"
    assert api.sandbox.control("GET", "clock") == {"now": "2026-01-07T09:00:00Z"}
    api.results(f"{REQUESTS}/")


def test_two_racing_gated_writes_file_two_requests(api):
    api.policy()
    inject(api, rule("race", match={"hit": 2}))

    first, second = api.file(), api.file()

    assert first["id"] != second["id"]
    assert len(api.results(f"{REQUESTS}/?state=pending")) == 2


def test_a_409_names_a_request_that_was_rolled_back(api):
    api.policy()
    inject(api, rule("forget"))

    request = api.file()

    assert api.get(f"{REQUESTS}/{request['id']}/").status == 404
    assert api.file()["id"]


def test_a_field_is_silently_ignored(api):
    inject(api, rule({"drop_fields": {"names": ["name"]}}))

    body = api.patch(f"{FLAGS}/1/", {"name": "x", "tags": ["t"]}).body

    assert (body["name"], body["tags"]) == ("", ["t"])


def test_hits_are_counted_per_rule(api):
    inject(
        api,
        rule({"status": 500}, match={"hit": "2-3"}),
        rule({"status": 501}, match={"hit": "5-"}),
        rule({"status": 502}, match={"path": "*/2/", "hit": "every"}),
    )

    assert [send(api)[0] for _ in range(6)] == [200, 500, 500, 200, 501, 501]
    assert api.sandbox.control("GET", "faults") == {"rules": 3, "hits": [6, 6, 0]}


def test_a_schedule_with_chances_is_the_same_for_the_same_seed(api):
    def run(seed):
        api.reset()
        effects = [{"status": 500}, {"status": 503}, {"throttle": 5}]
        inject(api, rule(effects, probability=0.5, match={"hit": "every"}), seed=seed)
        return [send(api)[0] for _ in range(20)]

    first = run(1)
    assert run(1) == first
    assert run(2) != first
    assert {200, 500} < set(first) <= {200, 500, 503, 429}


def test_the_short_form_is_equivalent(api):
    api.sandbox.inject("PATCH:feature_flags.update:2:after:status(503); GET:list:*:*:empty_list")

    assert [send(api)[0] for _ in range(2)] == [200, 503]
    assert api.get(FLAGS).body["results"] == []
    api.sandbox.inject("")
    assert len(api.get(FLAGS).body["results"]) == 2


@pytest.mark.parametrize(
    ("schedule", "place"),
    [
        ("[", "neither JSON nor YAML"),
        ("moon", "METHOD:ROUTE:HIT:POINT:EFFECT"),
        ({"faults": {}}, "a list"),
        ({"moon": []}, "schedule: unknown field 'moon'"),
        ({"seed": "x"}, "seed:"),
        ({"faults": [1]}, "faults[0]:"),
        ({"faults": [{"match": {}}]}, "faults[0]:"),
        ({"faults": [{"effect": "moon"}]}, "faults[0].effect: unknown effect 'moon'"),
        ({"faults": [{"effect": []}]}, "faults[0].effect:"),
        ({"faults": [{"effect": 5}]}, "faults[0].effect:"),
        ({"faults": [{"effect": "status(1,2,3,4)"}]}, "takes 3 values at most"),
        ({"faults": [{"effect": {"status": "x"}}]}, "faults[0].effect.status.code:"),
        ({"faults": [{"effect": {"status": {"moon": 1}}}]}, "faults[0].effect.status:"),
        ({"faults": [{"effect": "throttle(1,moon)"}]}, "faults[0].effect.throttle.form:"),
        ({"faults": [{"effect": "vote"}]}, "faults[0].effect.vote.as:"),
        ({"faults": [{"effect": "clock"}]}, "faults[0].effect.clock:"),
        ({"faults": [{"effect": "clock(soon)"}]}, "'soon'"),
        ({"faults": [{"effect": {"clock": {"set": "moon"}}}]}, "faults[0].effect.clock.set:"),
        ({"faults": [{"effect": "reset", "point": "moon"}]}, "faults[0].point:"),
        ({"faults": [{"effect": "refuse", "point": "after"}]}, "faults[0].point:"),
        ({"faults": [{"effect": "truncate", "point": "before"}]}, "faults[0].point:"),
        ({"faults": [{"effect": "reset", "later": 0}]}, "faults[0].later:"),
        ({"faults": [{"effect": "reset", "probability": 2}]}, "faults[0].probability:"),
        ({"faults": [{"effect": "reset", "match": {"hit": "x"}}]}, "faults[0].match.hit:"),
        ({"faults": [{"effect": "reset", "match": {"moon": 1}}]}, "faults[0].match:"),
    ],
    ids=str,
)
def test_an_invalid_schedule_is_refused_with_its_place(schedule, place):
    text = schedule if isinstance(schedule, str) else json.dumps(schedule)
    with pytest.raises(SandboxError) as caught:
        faults_schedule.parse_schedule(text)

    assert place in caught.value.message


def test_a_schedule_may_come_from_a_file(tmp_path):
    path = tmp_path / "faults.yaml"
    path.write_text("faults:\n  - effect: {status: 503}\n", encoding="utf-8")

    assert len(faults_schedule.read_option(str(path)).rules) == 1
    with pytest.raises(SandboxError, match="neither a file nor"):
        faults_schedule.read_option(str(tmp_path / "moon.yaml"))
