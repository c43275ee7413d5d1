"""A plan file that the previous format describes: shown and applied like one of today."""

import json
from pathlib import Path

import pytest

from tests.cli.gate_states import STATES, every_gate
from tests.cli.saved import SCHEMA, apply, as_its_schema_says, live, outcomes, resealed

OLD = Path(__file__).parent.parent / "version_1"
OUTCOMES = {
    "blocked": "waiting",
    "exhausted": "refused",
    "file-again": "waiting",
    "free": "done",
    "let-through": "done",
    "pending": "waiting",
    "rejected": "refused",
    "replace": "done",
    "replace-and-wait": "waiting",
    "split": "waiting",
    "voted": "waiting",
    "waits": "waiting",
}


def gates(document):
    """{key: what the gate says in fields} of a plan."""
    return {
        row["address"].split("/")[-1]: tuple(
            row["gate"][name] for name in ("verdict", "request_plan", "bypassed_policies")
        )
        for row in document["changes"]
    }


def saved(repo, change=lambda _: None):
    """The plan of version 1 for these gates, as if it had been made for this sandbox."""
    path = repo.folder / "plan.json"
    path.write_bytes((OLD / "gates.json").read_bytes())

    def moved(document):
        document["target"]["host"] = repo.sandbox.url
        change(document)

    resealed(path, moved)
    return path


def test_a_plan_says_in_fields_what_becomes_of_requests_and_who_is_let_through(world):
    assert STATES == gates(every_gate(world).run("plan", "--format", "json").json)


def test_a_plan_of_version_1_is_shown_in_the_form_of_version_2(world):
    repo = every_gate(world)
    path = saved(repo)
    assert 1 == json.loads(path.read_text())["format_version"]
    assert list(SCHEMA.iter_errors(json.loads(path.read_text())))

    shown = repo.run("show", "plan.json", "--format", "json").json

    as_its_schema_says(shown)
    assert 2 == shown["format_version"]
    assert STATES == gates(shown)
    text = repo.run("show", "plan.json").out
    assert text.count("cancels change request") == 2
    assert "5 will wait for approval." in text
    assert "2 blocked by other change requests." in " ".join(text.split())


def test_a_plan_of_version_1_is_applied(world):
    repo = every_gate(world)
    saved(repo)

    done = apply(repo)

    assert 4 == done.code, done.err
    assert OUTCOMES == outcomes(done)
    assert live(repo, "let-through")["active"] is True


def test_a_plan_of_version_1_that_was_changed_is_refused(world):
    repo = every_gate(world)
    path = saved(repo)
    path.write_text(path.read_text().replace('"quorum": 2', '"quorum": 1'))

    done = apply(repo)

    assert 4 == done.code
    assert "changed after it was made" in done.err
    assert [] == repo.sandbox.requests()


@pytest.mark.parametrize("key", ["replace", "exhausted", "file-again", "split"])
def test_a_note_that_is_not_known_changes_no_outcome(world, key):
    """Every gate is forecast again, so a sentence of version 1 decides what is shown, no more."""
    repo = every_gate(world)

    def reworded(document):
        for row in document["changes"]:
            if row["address"].endswith(f"/{key}"):
                row["gate"]["note"] = "something that nobody has ever written"

    saved(repo, reworded)

    unknown = gates(repo.run("show", "plan.json", "--format", "json").json)[key]
    assert (STATES[key][0], None, []) == unknown
    assert OUTCOMES == outcomes(apply(repo))


@pytest.mark.parametrize(("note", "outcome"), [("kept", "done"), ("lost", "refused")])
def test_a_bypass_has_to_be_in_the_plan(world, note, outcome):
    """What is left after the approval is let through; a plan that does not say so is refused."""
    repo = every_gate(world)

    def change(document):
        for row in document["changes"] if note == "lost" else ():
            row["gate"]["note"] = ""

    saved(repo, change)
    rows = {row["address"].split("/")[-1]: row for row in apply(repo).json["results"]}
    for who in ("alice", "bob"):
        path = f"/api/projects/1/change_requests/{rows['split']['change_request']}/approve/"
        assert 200 == repo.sandbox.call("POST", path, {}, token=f"phx_{who}")[0]

    done = apply(repo, "--continue")

    assert 4 == done.code
    assert outcome == outcomes(done)["split"]
    assert live(repo, "split")["active"] is (outcome == "done")
