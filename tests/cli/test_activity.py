"""`reconciler activity` against the sandbox: filters, both pagings, export, and who may read."""

import csv
import io
import json

import pytest

from tests import acme

PEOPLE = ["alice", "bob", "carol"]


def entry(number, **more):
    """The log's n-th entry, a minute after the one before."""
    return {
        "scope": "FeatureFlag",
        "activity": "updated",
        "item_id": str(number),
        "user": "alice@acme.test",
        "team_id": 1,
        "client": "web",
        "created_at": f"2026-01-05T08:{number % 60:02}:00Z",
        "detail": {
            "name": f"flag-{number}",
            "changes": [{"action": "changed", "field": "active", "before": False, "after": True}],
        },
        **more,
    }


@pytest.fixture
def repo(world):
    """Twelve entries of several people, places and clients."""
    entries = [entry(n) for n in range(1, 10)]
    entries += [
        entry(10, user="bob@acme.test", activity="created", client="mcp", ip_address="10.1.2.3"),
        entry(11, scope="Role", team_id=None, was_impersonated=True, detail={"name": "=cmd()"}),
        entry(12, user=None, is_system=True, team_id=2, detail={"name": "\x1b[31m::error::x"}),
    ]
    seed = acme.seed(activity=entries)
    return world({**seed, "now": "2026-01-05T09:00:00Z"})


def items(repo, *arguments, **options):
    done = repo.run("activity", "list", "--format", "json", *arguments, **options)
    assert 0 == done.code, done.err
    return [row["item_id"] for row in done.json]


def test_since_goes_by_the_clock_of_the_server(repo):
    """The log's own, whatever this machine thinks the time is."""
    assert ["12", "11", "10"] == items(repo, "--since", "51m")[:3]
    assert 12 == len(items(repo, "--since", "2h"))
    assert [] == items(repo, "--since", "30m")


def test_the_list_is_newest_first_and_names_people_projects_and_changes(repo):
    """A line an entry: when, who, through what, which object, and the change below."""
    done = repo.run("activity", "list", "--limit", "4")

    assert 0 == done.code, done.err
    assert "2026-01-05 08:10 UTC  bob@acme.test (mcp)  created FeatureFlag acme/Web/flag-10" in (
        done.out
    )
    assert "active   false → true" in done.out
    assert "PostHog (web)  updated FeatureFlag acme/Mobile/" in done.out
    assert "impersonated" in done.out
    assert "\x1b" not in done.out
    assert not any(line.startswith("::") for line in done.out.splitlines())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--user", "bob@acme.test"], ["10"]),
        (["--scope", "Role"], ["11"]),
        (["--scope", "Role", "--activity", "created"], []),
        (["--activity", "created"], ["10"]),
        (["--client", "mcp"], ["10"]),
        (["--item-id", "3", "--item-id", "5"], ["5", "3"]),
        (["--ip-address", "10.1.*"], ["10"]),
        (["--search", "FLAG-7"], ["7"]),
        (["--detail", "name=flag-4"], ["4"]),
        (["--detail", "name~lag-8"], ["8"]),
        (["--detail-filters", '{"name": {"operation": "in", "value": ["flag-1"]}}'], ["1"]),
        (["--impersonated"], ["11"]),
        (["--system"], ["12"]),
        (["--project", "Mobile"], ["12"]),
        (["--project", "Mobile", "--project-log"], ["12"]),
        (["--start-date", "2026-01-05T08:11:00Z"], ["12", "11"]),
        (["--start-date", "2026-01-05 08:11", "--oldest-first"], ["11", "12"]),
        (["--end-date", "2026-01-05T08:01:00+00:00"], ["1"]),
        (["--hogql-filter", "1", "--limit", "1"], ["12"]),
        (["--page", "2", "--page-size", "5"], ["7", "6", "5", "4", "3"]),
    ],
    ids=" ".join,
)
def test_every_filter_of_the_api_narrows_the_list(repo, arguments, expected):
    """Different ones are ANDed, repeated ones ORed; names are turned into ids."""
    assert expected == items(repo, *arguments)


def test_cursor_pages_are_followed_to_the_limit_and_no_further(repo):
    """Twelve entries in pages of five are three requests; two of them need one."""
    assert 12 == len(items(repo, "--page-size", "5"))
    pages = [row for row in repo.sandbox.requests(clear=True) if "activity" in row["path"]]
    assert 3 == len(pages)

    assert ["12", "11"] == items(repo, "--limit", "2")
    pages = [row for row in repo.sandbox.requests() if "activity" in row["path"]]
    assert 1 == len(pages)


@pytest.mark.parametrize("paging", [[], ["--page", "1"]])
def test_an_export_has_every_entry_in_either_paging(repo, paging):
    """CSV for a spreadsheet, which takes no cell for a formula; JSON lines as the API sent them."""
    out = repo.run("activity", "export", "--page-size", "5", *paging)
    rows = list(csv.DictReader(io.StringIO(out.out)))

    assert [str(n) for n in range(12, 0, -1)] == [row["item_id"] for row in rows]
    assert "'=cmd()" == rows[1]["name"]
    assert "bob@acme.test" == rows[2]["person"]
    assert [{"action": "changed", "after": True, "before": False, "field": "active"}] == (
        json.loads(rows[2]["changes"])
    )

    done = repo.run("activity", "export", "--format", "jsonl", "--out", "log.jsonl", *paging)
    lines = (repo.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()

    assert (0, "") == (done.code, done.out)
    assert "log.jsonl: 12 entries" in done.err
    assert [str(n) for n in range(12, 0, -1)] == [json.loads(line)["item_id"] for line in lines]
    assert 0o600 == (repo.folder / "log.jsonl").stat().st_mode & 0o777


def test_an_export_that_breaks_off_leaves_no_file(repo):
    """Half a log looks like a whole one."""
    rule = {
        "match": {"route": "activity_logs.list", "hit": "2-"},
        "effect": {"status": {"code": 403, "body": {"detail": "no"}}},
    }
    repo.sandbox.call("POST", "/_sandbox/faults", {"faults": [rule]})

    done = repo.run("activity", "export", "--page-size", "5", "--out", "log.csv")

    assert 1 == done.code
    assert [] == [path.name for path in repo.folder.iterdir() if "log" in path.name]


def test_the_documented_export_endpoint_is_called_once_and_its_refusal_explained(repo):
    """403 for keys: nothing was exported, and the way that works is named."""
    done = repo.run("activity", "export", "--server-side")

    assert 1 == done.code
    assert "did not export the log (403)" in done.err
    assert "nothing was exported" in done.err
    assert "leave --server-side out" in done.err
    assert [("POST", 403)] == [(row["method"], row["status"]) for row in repo.sandbox.writes()]


@pytest.mark.parametrize(
    ("status", "body", "code", "says"),
    [
        (200, {"id": "0190", "activity": "updated"}, 0, '"activity": "updated"'),
        (400, {"error": "Export is not yet supported"}, 1, "not built for sessions (400)"),
    ],
)
def test_the_other_answers_of_the_export_endpoint_are_told_too(repo, status, body, code, says):
    """200 with one entry is what the documentation shows; 400 what a session gets."""
    rule = {
        "match": {"method": "POST", "route": "activity_logs.export"},
        "effect": {"status": {"code": status, "body": body}},
    }
    repo.sandbox.call("POST", "/_sandbox/faults", {"faults": [rule]})

    done = repo.run("activity", "export", "--server-side")

    assert code == done.code, done.err
    assert says in done.out + done.err


def test_the_filters_that_exist_are_listed(repo):
    """People by uuid, scopes, activities, clients, and the fields of the detail."""
    text = repo.run("activity", "filters")
    found = repo.run("activity", "filters", "--format", "json").json

    assert "Alice" in text.out
    assert "changes[].field" in text.out
    assert {"FeatureFlag", "Role"} == {one["value"] for one in found["static_filters"]["scopes"]}


def test_a_member_is_told_of_the_project_log(repo):
    """The organization's log is for admins; the project's own is not."""
    refused = repo.run("activity", "list", token="phx_bob")

    assert 1 == refused.code
    assert "--project-log" in refused.err
    assert ["12"] == items(repo, "--project", "Mobile", "--project-log", token="phx_bob")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--since", "yesterday"], 64, "invalid duration"),
        (["--since", "1d", "--start-date", "2026-01-01"], 64, "exclude each other"),
        (["--start-date", "soon"], 64, "invalid time"),
        (["--start-date", "2026-01-02", "--end-date", "2026-01-01"], 64, "before the start"),
        (["--detail", "nonsense"], 64, "PATH=VALUE"),
        (["--detail-filters", "{"], 64, "not JSON"),
        (["--project-log"], 64, "needs --project"),
        (["--project", "Nope"], 1, "no project is called 'Nope'"),
        (["--organization", "nope"], 1, "no organization 'nope'"),
        (["--user", "nobody@acme.test"], 1, "nobody in acme"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_makes_no_sense_is_refused_with_the_way_out(repo, arguments, code, says):
    """And never as a traceback."""
    done = repo.run("activity", "list", *arguments)

    assert code == done.code, done.err
    assert says in done.err
