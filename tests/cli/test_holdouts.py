"""Holdouts as a kind: what is planned, gated, written and pulled (contract 16)."""

from itertools import product

import pytest

from tests import acme, factories

NAME = "Global holdout"
ADDRESS = f"ExperimentHoldout/acme/Web/{NAME}"
OWN = "experiment_holdout.update"
HOLDOUTS = "/api/projects/1/experiment_holdouts/"


def live_holdout(share=10, **more):
    """Return a holdout of the seed, with filters that no file shows."""
    first = {"properties": [{"key": "plan", "value": "free"}], "rollout_percentage": share}
    return {"id": 3, "name": NAME, "filters": [first, {"rollout_percentage": 1}], **more}


def holdout(share=None, name=NAME, project="Web", **spec):
    """Return a document."""
    if share is not None:
        spec["rollout_percentage"] = share
    document = acme.document("ExperimentHoldout", spec, project=project, name=name)
    for key in ("id", "lifecycle"):
        if key in spec:
            document["metadata"][key] = spec.pop(key)
    return document


def seed(*policies, **more):
    """Return a world in which the flags `a` and `b` have experiments of the holdout."""
    web = factories.project(
        acme.live_flag("a"),
        acme.live_flag("b"),
        acme.live_flag("other", id=3),
        policies=policies,
        experiment_holdouts=[live_holdout()],
        experiments=[
            {"id": 5, "name": "A", "feature_flag": "a", "holdout": NAME},
            {"id": 6, "name": "B", "feature_flag": "b", "holdout": NAME, "archived": True},
            {"id": 7, "name": "C", "feature_flag": "other"},
        ],
    )
    return acme.seed(projects=[web], **more)


@pytest.fixture
def make(world):
    """Return a function that makes a committed repository of documents."""

    def make_repository(seed, *documents, profile="g3"):
        repo = world({"profile": profile, **seed})
        repo.write("holdouts.yaml", *documents)
        repo.commit()
        repo.sandbox.clear()
        return repo

    return make_repository


def plan(repo, *options):
    """Return the only change of the plan."""
    done = repo.run("plan", "--format", "json", *options)
    assert done.code == 0, done.out + done.err
    (change,) = done.json["changes"]
    return change


def read(repo):
    """Return the holdout as the API shows it."""
    return repo.sandbox.call("GET", f"{HOLDOUTS}3/", token="phx_ci")[1]


def converge(repo):
    """Apply, and require that nothing is left to do or to write."""
    applied = repo.run("apply", "--yes", "--format", "json")
    assert applied.code == 0, applied.out + applied.err
    assert repo.run("plan", "--detailed-exitcode").code == 0
    repo.sandbox.clear()
    assert repo.run("apply", "--yes").code == 0
    assert repo.sandbox.writes() == []
    return applied.json["results"]


def test_a_holdout_is_created_changed_renamed_and_deleted(make):
    """Each step converges; what the files do not show of the filters stays."""
    repo = make(seed(), holdout(25, description="A quarter"), holdout(5, name="New"))
    assert len(converge(repo)) == 2
    assert read(repo)["filters"] == [
        {
            "properties": [{"key": "plan", "value": "free"}],
            "rollout_percentage": 25,
            "variant": "holdout-3",
        },
        {"rollout_percentage": 1, "variant": "holdout-3"},
    ]

    renamed = holdout(25, name="Everywhere", lifecycle={"renamed_from": NAME})
    repo.write("holdouts.yaml", renamed, holdout(5, name="New", lifecycle={"state": "absent"}))
    repo.commit()
    converge(repo)

    assert read(repo)["name"] == "Everywhere"
    assert repo.sandbox.call("GET", HOLDOUTS, token="phx_ci")[1]["count"] == 1


def test_filters_are_sent_only_with_another_share(make):
    """A repeated share would rewrite every flag and end its change requests."""
    repo = make(seed(), holdout(10.0, description=" A tenth "))
    versions = [
        flag["version"]
        for flag in repo.sandbox.state()["organizations"][0]["projects"][0]["feature_flags"]
    ]

    (change,) = [plan(repo)]
    converge(repo)

    assert [field["path"] for field in change["fields"]] == ["description"]
    assert change["gate"]["verdict"] == "none"
    assert change["gate"]["confidence"] == "certain"
    after = repo.sandbox.state()["organizations"][0]["projects"][0]["feature_flags"]
    assert [flag["version"] for flag in after] == versions


def test_names_that_two_holdouts_share_need_an_id(make):
    """PostHog does not keep names unique."""
    world = seed()
    web = world["organizations"][0]["projects"][0]
    web["experiment_holdouts"].append(
        {"id": 4, "name": NAME, "filters": [{"rollout_percentage": 2}]}
    )
    web["experiments"] = []
    repo = make(world, holdout(7))
    refused = repo.run("plan")
    repo.write("holdouts.yaml", holdout(7, id=4))

    assert refused.code == 1
    assert "metadata.id" in refused.out + refused.err
    converge(repo)
    rows = repo.sandbox.call("GET", HOLDOUTS, token="phx_ci")[1]["results"]
    assert {row["id"]: row["filters"][0]["rollout_percentage"] for row in rows} == {3: 10, 4: 7}


def test_pull_writes_what_a_plan_finds_unchanged(make):
    """Of two holdouts with one name, the older one is written, with its id."""
    world = seed()
    twin = {"id": 4, "name": NAME, "description": "x", "filters": [{"rollout_percentage": 12.5}]}
    web = world["organizations"][0]["projects"][0]
    web |= {"experiment_holdouts": [live_holdout(), twin], "experiments": []}
    repo = make(world, "# nothing yet\n")

    pulled = repo.run("pull", "--kind", "ExperimentHoldout", "--out", "pulled")
    validated, planned = (
        repo.run("validate", "pulled"),
        repo.run("plan", "pulled", "--detailed-exitcode"),
    )

    assert pulled.code == 0, pulled.err
    assert (validated.code, planned.code) == (0, 0), planned.out + planned.err + validated.out
    text = "".join(path.read_text() for path in (repo.folder / "pulled").rglob("*.yaml"))
    assert text.count("kind: ExperimentHoldout") == 1
    assert "id: 3" in text
    assert "rollout_percentage: 10" in text
    assert "filters" not in text
    assert "id 4 is left out" in pulled.out + pulled.err


CONDITION = {"type": "change_amount", "field": "rollout_percentage", "operator": ">", "value": 50}
UNKNOWN = {**CONDITION, "type": "whatever"}
ACTIONS = {"update": OWN, "delete": "experiment_holdout.delete"}
# name -> the policies as (action, changes), the action that decides, and the confidence
GATES = {
    "its own": ([("own", {})], "own", "certain"),
    "its own, with a condition on another field": (
        [("own", {"conditions": CONDITION})],
        None,
        "likely",
    ),
    "its own, with an invalid condition": ([("own", {"conditions": UNKNOWN})], "own", "likely"),
    "its own, disabled": ([("own", {"enabled": False})], None, "likely"),
    "that of experiments": (
        [("experiment.update", {"conditions": CONDITION}), ("feature_flag.update", {})],
        "experiment.update",
        "likely",
    ),
    "that of flags": (
        [("feature_flag.update", {"conditions": CONDITION})],
        "feature_flag.update",
        "likely",
    ),
    "its own before that of flags": (
        [("own", {"conditions": CONDITION}), ("feature_flag.update", {})],
        None,
        "likely",
    ),
    "none": ([], None, "likely"),
    "of other actions": ([("feature_flag.enable", {})], None, "likely"),
}


@pytest.mark.parametrize(("write", "gate"), list(product(ACTIONS, GATES)))
def test_the_forecast_is_what_one_write_meets(make, write, gate):
    """PostHog answers the same write, sent by hand, as the plan says."""
    rows, decides, confidence = GATES[gate]
    own = ACTIONS[write]
    rows = [(own if action == "own" else action, changes) for action, changes in rows]
    scoped = any(action == "experiment.update" for action, _ in rows)
    world = seed(
        *(acme.policy(action, **changes) for action, changes in rows), owner_scoping=scoped
    )
    share = holdout(20) if write == "update" else holdout(lifecycle={"state": "absent"})
    repo = make(world, share)
    show_generation(repo)

    change = plan(repo)
    body = {"filters": [{"rollout_percentage": 20}]} if write == "update" else None
    method = "PATCH" if write == "update" else "DELETE"
    status, answer = repo.sandbox.call(method, f"{HOLDOUTS}3/", body, token="phx_ci")

    assert (status == 409) is (decides is not None), answer
    assert (change["gate"]["verdict"] == "approval") is (status == 409)
    assert change["gate"]["confidence"] == confidence
    if decides is not None:
        action = own if decides == "own" else decides
        assert change["gate"]["policy"] == f"ApprovalPolicy/acme/Web/{action}"
        assert change["gate"]["approvers"]["users"] == ["alice@acme.test", "bob@acme.test"]


def show_generation(repo):
    """Have a request for another holdout filed, where one is gated: only G3 has such requests."""
    made = {"name": "Probe", "filters": [{"rollout_percentage": 1}]}
    status, probe = repo.sandbox.call("POST", HOLDOUTS, made, token="phx_carol")
    assert status == 201
    wider = {"filters": [{"rollout_percentage": 2}]}
    repo.sandbox.call("PATCH", f"{HOLDOUTS}{probe['id']}/", wider, token="phx_carol")
    repo.sandbox.call("DELETE", f"{HOLDOUTS}{probe['id']}/", token="phx_carol")


def test_a_forecast_is_not_certain_where_the_server_may_be_older(make):
    """Nothing that was read shows that PostHog gates holdouts."""
    change = plan(make(seed(acme.policy(OWN)), holdout(20)))

    assert (change["gate"]["verdict"], change["gate"]["confidence"]) == ("approval", "likely")
    assert "autumn 2026" in change["gate"]["note"]
    assert change["gate"]["condition"] == "rollout_percentage: 10 -> 20"


def codes(change):
    """Return the codes of a change's warnings."""
    return [warning["code"] for warning in change["warnings"]]


def test_the_plan_names_the_flags_and_the_requests_that_end(make):
    """Archived experiments count; the flags of others do not."""
    repo = make(seed(acme.policy("feature_flag.enable")), holdout(20))
    flags = repo.sandbox.state()["organizations"][0]["projects"][0]["feature_flags"]
    (id_,) = [flag["id"] for flag in flags if flag["key"] == "a"]
    path = f"/api/projects/1/feature_flags/{id_}/"
    assert repo.sandbox.call("PATCH", path, {"active": True}, token="phx_carol")[0] == 409

    change = plan(repo)
    rewritten, ended = change["warnings"]

    assert codes(change) == ["rewrites", "ends-requests"]
    assert "filters.holdout of the flags a, b" in rewritten["message"]
    assert "an open change request" in ended["message"]
    assert "carol@acme.test" in ended["why"]
    converge(repo)


def test_a_key_that_cannot_read_experiments_is_told_which_scope_it_needs(make):
    """An error at the document: nobody knows which flags the change would write."""
    world = seed()
    scopes = ["approvals:write", "feature_flag:write", "organization:read", "project:read"]
    world["users"][-1]["tokens"][0]["scopes"] = [*scopes, "experiment_holdout:write"]
    repo = make(world, holdout(20))
    refused = repo.run("plan")
    repo.write("holdouts.yaml", holdout(10, description="Another"))

    assert refused.code == 1
    assert "holdouts.yaml:1" in refused.out + refused.err
    assert "experiment:read" in refused.out + refused.err
    assert repo.run("plan").code == 0


@pytest.mark.parametrize("profile", ["g1", "g2"])
def test_a_server_without_holdouts_is_a_clear_error(make, profile):
    """Declared ones are refused; a pull of everything leaves them out."""
    world = acme.seed(projects=[factories.project(acme.live_flag("a"))])
    repo = make(world, holdout(20), profile=profile)
    refused = repo.run("plan")
    repo.write("holdouts.yaml", acme.flag("a", 10))

    assert refused.code == 1
    assert "does not offer it" in refused.out + refused.err
    assert "Traceback" not in refused.err
    assert repo.run("pull", "--out", "pulled").code == 0


@pytest.mark.parametrize("delete", [False, True])
def test_a_gated_change_is_followed_to_its_end(make, delete):
    """It waits, is approved, and then nothing is left to do."""
    document = holdout(lifecycle={"state": "absent"}) if delete else holdout(20)
    repo = make(seed(acme.policy(OWN), acme.policy("experiment_holdout.delete")), document)
    first, again = (repo.run("apply", "--yes", "--format", "json") for _ in range(2))
    (row,) = first.json["results"]

    assert (first.code, again.code) == (3, 3)
    assert again.json["results"][0]["change_request"] == row["change_request"]
    assert plan(repo)["gate"]["verdict"] == "pending"
    approved = repo.run("requests", "approve", row["change_request"], "--yes", token="phx_alice")
    assert approved.code == 0, approved.err
    assert repo.run("apply", "--yes").code == 0
    assert repo.run("plan", "--detailed-exitcode").code == 0


@pytest.mark.parametrize(
    ("method", "effect"), list(product(["PATCH", "DELETE"], ["reset", "status(500)"]))
)
@pytest.mark.parametrize("gated", [True, False])
def test_a_lost_answer_is_looked_up(make, method, effect, gated):
    """Neither written twice nor filed twice."""
    rows = [acme.policy(action) for action in ACTIONS.values()] if gated else []
    document = holdout(20) if method == "PATCH" else holdout(lifecycle={"state": "absent"})
    repo = make(seed(*rows), document)
    route = "experiment_holdouts." + ("update" if method == "PATCH" else "delete")
    rule = {"match": {"method": method, "route": route, "hit": 1}, "point": "after"}
    faults = {"faults": [{**rule, "effect": effect}]}
    assert repo.sandbox.call("POST", "/_sandbox/faults", faults)[0] == 200

    first, again = (repo.run("apply", "--yes", "--format", "json") for _ in range(2))

    assert (first.code, again.code) == ((3, 3) if gated else (0, 0)), first.out + first.err
    listed = repo.sandbox.call("GET", "/api/projects/1/change_requests/", token="phx_ci")[1]
    assert listed["count"] == gated


def test_a_request_that_the_holdout_has_left_behind_fails_and_is_replaced(make):
    """Somebody bypasses the gate meanwhile; an experiment that joins has the same effect."""
    repo = make(seed(acme.policy(OWN, bypass_org_membership_levels=[15])), holdout(20))
    (row,) = repo.run("apply", "--yes", "--format", "json").json["results"]
    moved = {"filters": [{"properties": [], "rollout_percentage": 15}]}
    assert repo.sandbox.call("PATCH", f"{HOLDOUTS}3/", moved, token="phx_alice")[0] == 200

    gate = plan(repo)["gate"]
    repo.run("requests", "approve", row["change_request"], "--yes", token="phx_bob")
    shown = repo.run("requests", "show", row["change_request"], "--format", "json").json

    assert (gate["verdict"], gate["request_plan"]) == ("blocked", "replace_and_wait")
    assert (shown["state"], shown["apply_error"][:12]) == ("failed", "Precondition")
    assert repo.run("apply", "--yes").code == 3


def test_a_mark_that_goes_away_again_does_not_end_a_request(make):
    """PostHog marks the request as stale; then the holdout is as it was before."""
    repo = make(seed(acme.policy(OWN, bypass_org_membership_levels=[15])), holdout(20))
    (row,) = repo.run("apply", "--yes", "--format", "json").json["results"]
    for share in (15, 10):
        moved = {"filters": [{"properties": [], "rollout_percentage": share}]}
        assert repo.sandbox.call("PATCH", f"{HOLDOUTS}3/", moved, token="phx_alice")[0] == 200
        if share != 10:
            repo.sandbox.call("POST", "/_sandbox/tasks", {"run": "check_staleness"})
    shown = repo.run("requests", "show", row["change_request"], "--format", "json").json

    assert shown["validation_status"] == "stale"
    assert plan(repo)["gate"]["verdict"] == "pending"
    assert (
        repo.run("requests", "approve", row["change_request"], "--yes", token="phx_bob").code == 0
    )
    assert repo.run("plan", "--detailed-exitcode").code == 0


def test_drift_says_who_changed_a_holdout(make):
    """A change behind the back of the files, and one that an approved request made."""
    repo = make(seed(), holdout(10))
    moved = {"filters": [{"properties": [], "rollout_percentage": 15}]}
    assert repo.sandbox.call("PATCH", f"{HOLDOUTS}3/", moved, token="phx_alice")[0] == 200

    drift = repo.run("drift", "--format", "json")
    (change,) = drift.json["changes"]
    (field,) = change["fields"]

    assert drift.code == 2
    assert (change["address"], field["path"]) == (ADDRESS, "rollout_percentage")
    assert field["attribution"]["person"] == "alice@acme.test"
    assert field["attribution"]["class"] == "unapproved"


def test_a_plan_without_holdouts_does_not_read_them(make):
    """Neither holdouts nor experiments are listed, and a clean plan reads no experiments."""
    repo = make(seed(), acme.flag("a", 20))
    repo.run("plan")
    paths = {row["path"] for row in repo.sandbox.requests()}
    repo.write("holdouts.yaml", holdout(10))
    repo.sandbox.clear()
    repo.run("plan")
    with_holdouts = [row["path"] for row in repo.sandbox.requests()]

    assert not [path for path in paths if "experiment" in path]
    assert with_holdouts.count(HOLDOUTS) == 1
    assert not [path for path in with_holdouts if path.endswith("/experiments/")]


def in_holdout(key, holdout_id, share=10):
    """Return a document of a flag in a holdout, by its name or id."""
    groups = [{"properties": [], "rollout_percentage": 10}]
    block = {"id": holdout_id, "exclusion_percentage": share}
    return acme.flag(key, filters={"groups": groups, "holdout": block})


def find_flag(repo, key):
    """Return a live flag by its key."""
    flags = repo.sandbox.state()["organizations"][0]["projects"][0]["feature_flags"]
    return next(flag for flag in flags if flag["key"] == key)


def test_a_flag_names_its_holdout(make):
    """A name is sent as the id, also of a holdout that the same run creates; ids are accepted."""
    repo = make(
        seed(),
        in_holdout("a", NAME),
        in_holdout("other", "New", 5),
        in_holdout("fresh", 3),
        in_holdout("text", "3"),
        holdout(5, name="New"),
        holdout(10),
    )

    converge(repo)
    rows = repo.sandbox.call("GET", HOLDOUTS, token="phx_ci")[1]["results"]
    (new,) = (row["id"] for row in rows if row["name"] == "New")

    blocks = {key: find_flag(repo, key)["filters"]["holdout"] for key in ("a", "fresh", "text")}
    assert {block["id"] for block in blocks.values()} == {3}
    assert find_flag(repo, "other")["filters"]["holdout"] == {"id": new, "exclusion_percentage": 5}


def test_pull_writes_the_name_of_a_holdout(make):
    """An id stays where two holdouts share the name, and where a holdout has gone."""
    world = seed()
    web = world["organizations"][0]["projects"][0]
    twin = {"id": 4, "name": "Twin", "filters": [{"rollout_percentage": 12}]}
    web["experiment_holdouts"] += [twin, {**twin, "id": 5}]
    web["experiments"].append({"id": 8, "name": "D", "feature_flag": "t", "holdout": 5})
    web["feature_flags"].append(acme.live_flag("t", id=9))
    for flag, number in zip(web["feature_flags"], (3, 3, 99, 5), strict=True):
        flag["filters"]["holdout"] = {"id": number, "exclusion_percentage": 10}
    repo = make(world, "# nothing yet\n")

    for kinds in ([], ["--kind", "FeatureFlag"]):
        out = f"pulled{len(kinds)}"
        pulled = repo.run("pull", *kinds, "--out", out)
        assert pulled.code == 0, pulled.err
        planned = repo.run("plan", out, "--detailed-exitcode")
        assert planned.code == 0, planned.out + planned.err
        text = "".join(path.read_text() for path in (repo.folder / out).rglob("*.yaml"))
        assert text.count(f"id: {NAME}") == 2
        assert "id: 5\n" in text
        assert "id: 99\n" in text
        assert "no holdout has the ID 99" in planned.out + planned.err
        assert repo.run("validate", "--live", out).code == 0


def test_a_holdout_that_does_not_exist_is_an_error_at_its_place(make):
    """Names, ids, and names that two holdouts share."""
    world = seed()
    twin = {"name": "Twin", "filters": [{"rollout_percentage": 12}]}
    world["organizations"][0]["projects"][0]["experiment_holdouts"] += [
        {**twin, "id": 4},
        {**twin, "id": 5},
    ]
    documents = [in_holdout("a", "Globl holdout"), in_holdout("b", 99), in_holdout("c", "Twin")]
    repo = make(world, *documents)

    planned = repo.run("plan", "--format", "json")
    found = {row["code"]: row for row in planned.json["findings"] if row["severity"] == "error"}
    messages = [row["message"] for row in planned.json["findings"] if row["severity"] == "error"]
    warnings = [row["message"] for row in planned.json["findings"] if row["severity"] == "warning"]

    assert planned.code == 1
    assert messages == [
        'no holdout is called "Globl holdout"',
        '"Twin" names 2 holdouts',
    ]
    assert "no holdout has the ID 99" in warnings  # PostHog takes it
    assert found["ambiguous-reference"]["source"]["line"]
    assert repo.run("validate", "--live").code == 1
    repo.write("holdouts.yaml", in_holdout("a", ""), in_holdout("b", [3]))
    assert repo.run("validate").err.count("neither the name nor the ID of a holdout") == 2


@pytest.mark.parametrize("profile", ["g3", "g2"])
def test_ids_of_holdouts_pass_unchecked_where_holdouts_cannot_be_read(make, profile):
    """Without the scope, or on an older server; a name is an error at its place."""
    world = seed()
    scopes = ["approvals:write", "feature_flag:write", "organization:read", "project:read"]
    world["users"][-1]["tokens"][0]["scopes"] = [*scopes, "user:read", "organization_member:read"]
    if profile == "g2":
        web = world["organizations"][0]["projects"][0]
        del web["experiment_holdouts"], web["experiments"]
    repo = make(world, in_holdout("other", NAME), profile=profile)

    by_name = repo.run("plan", "--format", "json")
    (error,) = (row for row in by_name.json["findings"] if row["severity"] == "error")
    validated = repo.run("validate", "--live")
    repo.write("holdouts.yaml", in_holdout("other", 3))
    by_id = repo.run("plan", "--format", "json")
    codes = {row["code"] for row in by_id.json["findings"] if row["severity"] == "warning"}

    assert by_name.code == validated.code == 1
    assert (error["code"], error["source"]["file"]) == ("unreadable-name", "holdouts.yaml")
    assert error["message"] == f'the holdout "{NAME}" cannot be looked up'
    assert ("experiment_holdout:read" in error["fix"]) is (profile == "g3")
    assert by_id.code == 0, by_id.out + by_id.err
    assert "unchecked-reference" in codes
    assert repo.run("validate", "--live").code == 0
    converge(repo)
    assert find_flag(repo, "other")["filters"]["holdout"]["id"] == 3
    pulled = repo.run("pull", "--kind", "FeatureFlag", "--out", "pulled")
    assert pulled.code == (1 if profile == "g3" else 0), pulled.err  # the ids are written
    assert repo.run("plan", "pulled", "--detailed-exitcode").code == 0


@pytest.mark.parametrize("profile", ["g1", "g2"])
def test_list_does_not_miss_what_an_older_server_does_not_have(make, profile):
    """Only somebody who asks for holdouts gets an error."""
    world = acme.seed(projects=[factories.project(acme.live_flag("a"))])
    repo = make(world, acme.flag("a", 10), profile=profile)

    done = repo.run("list", "--live")

    assert done.code == 0, done.err
    assert done.err == ""
    assert "FeatureFlag/acme/Web/a" in done.out
    assert repo.run("list", "--live", "--kind", "ExperimentHoldout").code == 1
