"""One part broken for good: the rest gets done, run after run, and the report says which part."""

import pytest

from tests import acme
from tests.harness import oracle, scenario
from tests.harness.campaign import rule
from tests.harness.driver import Driver


def documents():
    """Flags in both projects, a role, a policy: parts that have nothing to do with each other."""
    return [
        acme.document("Role", {"members": ["bob@acme.test"]}, name="Release managers"),
        acme.document(
            "ApprovalPolicy",
            {"approvers": {"quorum": 1, "users": scenario.APPROVERS}, "enabled": True},
            project="Mobile",
            action="feature_flag.disable",
        ),
        *(acme.flag(f"web-{n}", 10, active=False, name="New") for n in range(3)),
        *(acme.flag(f"app-{n}", 10, project="Mobile", active=False, name="New") for n in range(3)),
    ]


BROKEN = {
    "every flag write of one project": (
        {"method": "POST", "path": "/api/projects/2/feature_flags/", "hit": "every"},
        "status(500)",
        lambda document: document["metadata"].get("key", "").startswith("app-"),
    ),
    "reading the flags of one project": (
        {"method": "GET", "path": "/api/projects/2/feature_flags/", "hit": "every"},
        "status(500)",
        lambda document: document["metadata"].get("key", "").startswith("app-"),
    ),
    "writing roles": (
        {"method": "POST", "route": "roles.create", "hit": "every"},
        {"forbid_scope": {"scope": "organization:write"}},
        lambda document: document["kind"] == "Role",
    ),
    "one project is forbidden": (
        {"method": "*", "path": "/api/projects/2/*", "hit": "every"},
        {"status": {"code": 403, "body": {"type": "authentication_error", "detail": "no"}}},
        lambda document: document["metadata"].get("project") == "Mobile",
    ),
    "answers to flag creates are always lost": (
        {"method": "POST", "path": "/api/projects/2/feature_flags/", "hit": "every"},
        "reset",
        lambda document: document["metadata"].get("key", "").startswith("app-"),
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_the_rest_converges_while_one_part_stays_broken(shared_sandbox, folder, name):
    """Three runs: what is not concerned is done in the first, nothing is claimed of the rest."""
    match, effect, concerned = BROKEN[name]
    made = scenario.Scenario(scenario.world([], [scenario.legacy()]), documents(), chain=0)
    shared_sandbox.reset(made.seed)
    driver = Driver(folder(), shared_sandbox)
    driver.write("all.yaml", *made.documents)
    driver.faults([{"match": {"user": oracle.CI, **match}, "effect": effect}])

    for _ in range(3):
        done = driver.go("apply", "--yes", "--format", "json")
        state = shared_sandbox.state()

        assert 1 == done.code, done.out + done.err
        for document in made.documents:
            if not concerned(document):
                assert oracle.holds(state, document), (document, done.out, done.err)
        rows = {row["address"]: row["outcome"] for row in done.json["results"]}
        for document in filter(concerned, made.documents):
            assert rows.get(oracle.address(document)) != "done"

    driver.faults([])
    assert 0 == driver.go("apply", "--yes").code
    assert all(oracle.holds(shared_sandbox.state(), document) for document in made.documents)


def test_a_rule_needs_what_it_matches():
    """The helper that the campaigns share says for whom a fault is."""
    assert oracle.CI == rule("GET", "roles.list", 1, "reset")["match"]["user"]
