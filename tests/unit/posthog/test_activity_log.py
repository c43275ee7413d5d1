"""The activity log: both pagings, every filter, each entry once."""

import json

from reconciler.posthog import activity_log
from reconciler.posthog.activity_log import Query
from tests.unit.posthog.servers import Reply, reading, serving

BASE = "/api/organizations/0190/advanced_activity_logs/"


def _entries(answer, *arguments, **options):
    with serving(answer) as server, reading(server.url) as reader:
        return [
            e["id"] for e in activity_log.iterate_entries(reader, "0190", *arguments, **options)
        ], server


def test_cursor_pages_are_followed_to_the_end_without_a_count():
    def answer(seen, _):
        page = int(seen.query.get("cursor") or 0)
        after = f"http://{seen.headers['host']}{BASE}?cursor={page + 1}" if page < 2 else None
        return Reply(body={"next": after, "previous": None, "results": [{"id": f"e{page}"}]})

    ids, server = _entries(answer)

    assert ids == ["e0", "e1", "e2"]
    assert server.seen[0].query == {"page_size": "100"}


def test_numbered_pages_are_followed_to_the_end():
    def answer(seen, _):
        page = int(seen.query["page"])
        after = f"http://{seen.headers['host']}{BASE}?page={page + 1}" if page < 3 else None
        return Reply(body={"count": 3, "next": after, "results": [{"id": f"e{page}"}]})

    assert _entries(answer, Query(page=1))[0] == ["e1", "e2", "e3"]


def test_an_entry_that_comes_again_because_the_log_grew_is_told_once():
    def answer(seen, _):
        page = int(seen.query.get("cursor") or 0)
        after = f"{BASE}?cursor=1" if page == 0 else None
        return Reply(body={"next": after, "results": [{"id": n} for n in (page, page + 1)]})

    assert _entries(answer)[0] == [0, 1, 2]


def test_every_filter_is_sent_as_the_contract_says():
    query = Query(
        start_date="2026-01-01T00:00:00Z",
        end_date="2026-01-02T00:00:00Z",
        users=("3b1d",),
        scopes=("FeatureFlag", "Role"),
        activities=("updated",),
        clients=("web",),
        item_ids=("7",),
        team_ids=(1, 2),
        ip_addresses=("10.0.0.*",),
        search_text="chöckout & more",
        detail_filters={"changes[].field": {"operation": "exact", "value": "active"}},
        hogql_filter="1",
        was_impersonated=False,
        is_system=True,
        ordering="created_at",
        page_size=1000,
    )

    _, server = _entries(lambda *_: Reply(body={"next": None, "results": []}), query)

    sent = server.seen[0].query
    assert json.loads(sent.pop("detail_filters")) == query.detail_filters
    assert sent == {
        "start_date": "2026-01-01T00:00:00Z",
        "end_date": "2026-01-02T00:00:00Z",
        "users": '["3b1d"]',
        "scopes": '["FeatureFlag","Role"]',
        "activities": '["updated"]',
        "clients": '["web"]',
        "item_ids": '["7"]',
        "team_ids": "[1,2]",
        "ip_addresses": '["10.0.0.*"]',
        "search_text": "chöckout & more",
        "hogql_filter": "1",
        "was_impersonated": "false",
        "is_system": "true",
        "ordering": "created_at",
        "page_size": "1000",
    }


def test_a_project_has_a_log_of_its_own():
    answer = lambda *_: Reply(body={"next": None, "results": []})  # noqa: E731  one line says it
    _, server = _entries(answer, project_id="7")

    assert server.seen[0].path == "/api/projects/7/advanced_activity_logs/"


def test_the_filters_that_exist_can_be_asked_for():
    body = {"static_filters": {}, "detail_fields": {}}
    with serving(lambda *_: Reply(body=body)) as server, reading(server.url) as reader:
        assert activity_log.get_available_filters(reader, "0190") == body
    assert server.seen[0].path == f"{BASE}available_filters/"
