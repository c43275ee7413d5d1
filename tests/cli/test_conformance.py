"""`reconciler conformance` as people run it: consent, refusals, cleaning up, the report."""

import copy
import json
import os
import signal
import subprocess
import threading
from contextlib import ExitStack

import pytest

from reconciler.conformance.judgement import CheckResult
from reconciler.sandbox.server.server import background
from tests.effort import effort
from tests.forked import Program
from tests.scratch_world import SEED, passing, run_probes
from tests.support import CLEAN, awaited

COMMAND = ("conformance", "--project", "Scratch", "--yes")
PROBE = "reconciler-probe-"
STOPPED_AT = [1, 3, 12, 31, 47, 60, 75, 90, 100]  # of about 110 writes


@pytest.fixture
def repo(world):
    found = world(SEED)
    found.token = "phx_olga"
    return found


def changed(change):
    seed = copy.deepcopy(SEED)
    change(seed["organizations"][0])
    return seed


def live(sandbox):
    """Live flags, policies and open requests of the scratch project, by kind."""
    project = sandbox.state()["organizations"][0]["projects"][1]
    return {
        "flags": [f["key"] for f in project.get("feature_flags", ()) if not f.get("deleted")],
        "policies": [p["action_key"] for p in project.get("approval_policies", ())],
        "requests": [
            request["id"]
            for request in project.get("change_requests", ())
            if request["state"] in {"pending", "approved"}
        ],
        "holdouts": [h["name"] for h in project.get("experiment_holdouts", ())],
        "rules": [(r["resource"], r["access_level"]) for r in project.get("access_controls", ())],
    }


EMPTY = {"flags": [], "policies": [], "requests": [], "holdouts": [], "rules": []}


def test_nothing_differs_and_nothing_is_left(repo):
    """The exit code is 0; the summary names host and generation."""
    done = repo.run(*COMMAND)

    assert done.code == 0, done.out
    assert " is of generation g" in done.out
    assert " 0 differ, " in done.out
    assert live(repo.sandbox) == EMPTY


def test_the_document_has_every_statement(repo):
    """As interface and page describe it."""
    document = repo.run(*COMMAND, "--format", "json").json
    results = [row["result"] for row in document["statements"]]

    assert document["format_version"] == 1
    assert document["host"] == repo.sandbox.url
    assert document["summary"] == {
        name: results.count(name) for name in ("holds", "differs", "not_tried")
    }
    assert document["summary"]["holds"] > 200
    assert document["left_behind"] == []
    assert {"section", "text", "result", "seen"} <= document["statements"][0].keys()
    assert all(
        row["seen"]["reason"] for row in document["statements"] if row["result"] == "not_tried"
    )


@pytest.mark.parametrize(
    ("author", "kept", "expected"), [(11, [], "holds"), (12, [("toolbar", "viewer")], "not_tried")]
)
def test_an_access_rule_of_others_stays_and_one_of_ours_goes(world, author, kept, expected):
    """What a killed run left has its author and level; a rule of others leaves rules untried."""
    rule = {"resource": "toolbar", "access_level": "viewer", "created_by": author}
    repo = world(changed(lambda acme: acme["projects"][1].update(access_controls=[rule])))
    repo.token = "phx_olga"
    done = repo.run(*COMMAND, "--format", "json")
    results = {row["id"]: row["result"] for row in done.json["statements"]}

    assert results["rules.set:status"] == expected
    assert live(repo.sandbox) == {**EMPTY, "rules": kept}


def test_without_a_second_key_two_people_are_not_tried(repo):
    """With one, they are."""
    alone = repo.run(*COMMAND, "--format", "json").json
    both = repo.run(
        *COMMAND,
        "--format",
        "json",
        "--second-key-env",
        "POSTHOG_SECOND",
        POSTHOG_SECOND="phx_samuel",
    ).json

    def second(document):
        return {row["result"] for row in document["statements"] if row["id"].startswith("second.")}

    assert (second(alone), second(both)) == ({"not_tried"}, {"holds"})


def test_a_difference_ends_with_2_and_shows_request_and_answer(repo):
    """Neither keys nor people are in it."""
    fault = {
        "match": {"method": "POST", "route": "approval_policies.create", "hit": 2},
        "point": "after",
        "effect": {"mutate": {"set": {"expires_after": "7 00:00:00"}}},
    }
    repo.sandbox.call("POST", "/_sandbox/faults", {"faults": [fault]})

    done = repo.run(*COMMAND, "--format", "json")
    differing = [row for row in done.json["statements"] if row["result"] == "differs"]

    assert done.code == 2
    assert [row["id"] for row in differing] == ["policies.created:expiry"]
    assert differing[0]["seen"]["value"] == "7 00:00:00"
    assert differing[0]["seen"]["request"]["method"] == "POST"
    assert differing[0]["seen"]["answer"]["body"]["created_by"]["email"] == "***"
    assert not any(word in done.out for word in ("olga@", "Olga", "phx_olga"))
    assert live(repo.sandbox) == EMPTY


def test_of_an_account_only_the_keys_are_reported(repo):
    """Tokens, people and everything else of the account stay out of the report."""
    fault = {
        "match": {"method": "GET", "route": "users.retrieve", "hit": 2},
        "point": "after",
        "effect": {"mutate": {"set": {"secret_api_token": "abc-def"}, "drop": ["uuid"]}},
    }
    repo.sandbox.call("POST", "/_sandbox/faults", {"faults": [fault]})

    done = repo.run(*COMMAND, "--format", "json")
    differing = [row for row in done.json["statements"] if row["result"] == "differs"]

    assert [row["id"] for row in differing] == ["access.me:keys"]
    assert set(differing[0]["seen"]["answer"]["body"].values()) == {"…", "***"}
    assert not any(word in done.out for word in ("abc-def", "olga@", "Olga"))


def test_the_text_shows_a_difference(repo):
    """With its section, what was expected and what was seen."""
    fault = {
        "match": {"method": "DELETE", "route": "feature_flags", "hit": 1},
        "point": "after",
        "effect": {"status": 202},
    }
    repo.sandbox.call("POST", "/_sandbox/faults", {"faults": [fault]})

    done = repo.run(*COMMAND)

    assert done.code == 2
    assert "differs: contract 9: DELETE of a flag is 405. [flags.hard_delete:status]" in done.out
    assert "expected: status is 405" in done.out
    assert " 1 differ, " in done.out


def test_it_asks_before_it_writes(repo):
    """Without a terminal and without --yes nothing is contacted."""
    repo.sandbox.clear()
    done = repo.run("conformance", "--project", "Scratch")

    assert done.code == 64
    assert repo.sandbox.requests() == []


def test_a_project_that_is_in_use_is_refused(repo):
    """Nothing is written; an option lifts that, and leaves what was there alone."""
    before = repo.sandbox.state()["organizations"][0]["projects"][0]["feature_flags"]
    repo.sandbox.clear()
    refused = repo.run("conformance", "--project", "Web", "--yes")
    writes = repo.sandbox.writes()
    allowed = repo.run("conformance", "--project", "Web", "--yes", "--allow-nonempty")
    after = repo.sandbox.state()["organizations"][0]["projects"][0]["feature_flags"]

    assert (refused.code, writes) == (1, [])
    assert "project 'Web' is in use" in refused.err
    assert allowed.code == 0, allowed.out
    assert [flag for flag in after if not flag["key"].startswith(PROBE)] == before


@pytest.mark.parametrize("profile", ["g3", "g1"])
def test_a_project_with_archived_flags_is_in_use(world, profile):
    """They are not in the ordinary list; an early server has only that."""
    flag = {"key": "old", "active": False, "archived": True, "filters": {"groups": []}}
    seed = changed(lambda acme: acme["projects"][1].update(feature_flags=[flag]))
    repo = world({**seed, "profile": profile})

    refused = repo.run(*COMMAND, token="phx_olga")

    assert refused.code == 1
    assert "it has 1 other flags and 0 other policies" in refused.err


def test_policies_of_others_are_not_touched(world):
    """What they would decide is not tried."""
    policy = {"action_key": "feature_flag.update", "approver_config": {"quorum": 1, "users": []}}
    repo = world(changed(lambda acme: acme["projects"][1].update(approval_policies=[policy])))
    before = repo.sandbox.state()["organizations"][0]["projects"][1]["approval_policies"]
    done = repo.run(*COMMAND, "--allow-nonempty", "--format", "json", token="phx_olga")
    gate = {row["result"] for row in done.json["statements"] if row["id"].startswith("gate.")}

    assert (done.code, gate) == (0, {"not_tried"})
    assert repo.sandbox.state()["organizations"][0]["projects"][1]["approval_policies"] == before


def test_without_the_plan_the_gate_is_not_tried(world):
    """Contract 1.4: without the feature nothing is gated."""
    repo = world(changed(lambda acme: acme.update(features=["audit_logs"])))
    done = repo.run(*COMMAND, "--format", "json", token="phx_olga")
    gate = {row["result"] for row in done.json["statements"] if row["id"].startswith("gate.")}

    assert (done.code, gate) == (0, {"not_tried"})


def test_what_a_missing_scope_forbids_is_not_tried(world):
    """The report names the scope."""
    seed = copy.deepcopy(SEED)
    scopes = ["user:read", "organization:read", "approvals:write", "feature_flag:read"]
    seed["users"][0]["tokens"] = [{"token": "phx_narrow", "scopes": scopes}]
    done = world(seed).run(*COMMAND, "--format", "json", token="phx_narrow")
    rows = {row["id"]: row for row in done.json["statements"]}

    assert done.code == 0, done.json["summary"]
    assert "feature_flag:write" in rows["flags.created:status"]["seen"]["reason"]
    assert "activity_log:read" in rows["access.logs:status"]["seen"]["reason"]
    assert rows["policies.created:status"]["result"] == "holds"


def test_nothing_differs_where_flags_are_gated_by_their_owner():
    """With the switch on, keys of experiments are ordinary: they are created, and removed."""
    seed = {**changed(lambda acme: acme.update(owner_scoping=True)), "profile": "g3"}
    with background(seed=seed, profile="g3") as sandbox:
        report = run_probes(sandbox.url)
    answers = {row.statement.id: row.result for row in report.judged}

    assert set(answers.values()) == {CheckResult.HOLDS}
    assert report.left_behind == ()


@pytest.mark.parametrize(
    ("arguments", "token", "message"),
    [
        (("--project", "Nowhere"), "phx_olga", "no organization with 'Nowhere'"),
        (
            ("--project", "Scratch", "--organization", "other"),
            "phx_olga",
            "no organization 'other'",
        ),
        (("--project", "Scratch"), "phx_maxim", "the key cannot write approval policies"),
        (
            ("--project", "Scratch", "--second-key-env", "POSTHOG_SAME"),
            "phx_olga",
            "the second key is of the same person",
        ),
        (
            ("--project", "Scratch", "--second-key-env", "SECRET"),
            "phx_olga",
            "SECRET may not be used",
        ),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_written(repo, arguments, token, message):
    """With the reason and the fix."""
    repo.sandbox.clear()
    more = {"POSTHOG_SAME": "phx_olga", "SECRET": "phx_samuel"}
    done = repo.run("conformance", "--yes", *arguments, token=token, **more)

    assert (done.code, repo.sandbox.writes()) == (1, [])
    assert message in done.err


class Hold:
    """Holds the answer to the N-th write, which was carried out, until it is let go."""

    def __init__(self, hold_at):
        self.hold_at, self.writes = hold_at, 0
        self.held, self.released = threading.Event(), threading.Event()

    def meet(self, method, status, data):
        self.writes += method != "GET"
        if method != "GET" and self.writes == self.hold_at:
            self.held.set()
            self.released.wait(30)
        return status, data


@pytest.fixture
def start(repo):
    """A run in a process that has just sent its N-th write, and what holds the answer."""
    with ExitStack() as stack:

        def run_until(hold_at):
            hold = Hold(hold_at)
            server = stack.enter_context(passing(repo.sandbox.url, hold.meet))
            stack.callback(hold.released.set)
            environ = {"POSTHOG_HOST": server.url, "POSTHOG_API_KEY": "phx_olga"}
            process = Program(
                (*COMMAND, "--format", "json"),
                cwd=repo.folder,
                env={**CLEAN, **environ},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            stack.callback(process.communicate)
            stack.callback(process.kill)
            awaited(hold.held.is_set, process)
            return hold, process

        yield run_until


@pytest.mark.parametrize("hold_at", STOPPED_AT[:: effort(3, 1)])
def test_the_run_after_a_kill_leaves_nothing_behind(repo, start, hold_at):
    """Wherever it was killed: what carries our mark is found by listing."""
    hold, process = start(hold_at)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    hold.released.set()
    done = repo.run(*COMMAND)

    assert done.code == 0, done.out
    assert live(repo.sandbox) == EMPTY


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_removes_what_it_made(repo, start, sent, code):
    """It reports what it has seen, and ends with the code of the signal."""
    hold, process = start(40)
    process.send_signal(sent)
    hold.released.set()
    out, _ = process.communicate(timeout=30)
    document = json.loads(out)

    assert process.returncode == code
    assert document["interrupted"]
    assert document["left_behind"] == []
    assert live(repo.sandbox) == EMPTY
