"""Git is the state: which side moved, what left the files, and what is never concluded."""

import subprocess

import pytest

from tests import acme, factories
from tests.support import CLEAN


def seeded(world, *flags):
    return world(factories.seed(*flags))


def by_hand(repo, key, body):
    path = "/api/projects/1/feature_flags/"
    flags = repo.sandbox.call("GET", path + "?limit=100", token="phx_ci")[1]["results"]
    id_ = next(flag["id"] for flag in flags if flag["key"] == key)
    assert 200 == repo.sandbox.call("PATCH", f"{path}{id_}/", body, token="phx_alice")[0]


def keys(repo):
    path = "/api/projects/1/feature_flags/?limit=100"
    return sorted(f["key"] for f in repo.sandbox.call("GET", path, token="phx_ci")[1]["results"])


def causes(repo):
    plan = repo.run("plan", "--format", "json").json
    return {
        f"{change['address'].split('/')[-1]}.{field['path']}": field["cause"]
        for change in plan["changes"]
        for field in change["fields"]
    }


def applied(world, *documents):
    """A repository that was committed and applied cleanly: its base is this commit."""
    repo = seeded(world)
    repo.write("flags.yaml", *documents)
    repo.commit()
    assert 0 == repo.run("apply", "--yes").code
    return repo


def test_a_clean_apply_records_its_commit_as_the_base(world):
    """`refs/reconciler/applied/<target>`, and the plan names it."""
    repo = applied(world, acme.flag("a", 10, name="a"))

    plan = repo.run("plan", "--format", "json").json

    assert "refs/reconciler/applied/default" == plan["base"]["ref"]
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=repo.folder, env=CLEAN, capture_output=True, check=True
    )
    assert head.stdout.decode().strip() == plan["base"]["commit"]


def test_intent_drift_and_conflict_are_told_apart(world):
    """Per field: the files moved, the live side moved, or both to different values."""
    repo = applied(world, acme.flag("a", 10, name="a", tags=["x"]))
    by_hand(repo, "a", {"tags": ["by-hand"], "name": "by hand"})
    repo.write("flags.yaml", acme.flag("a", 20, name="by git", tags=["x"]))
    repo.commit()

    found = causes(repo)

    assert {
        "a.filters.groups[0].rollout_percentage": "intent",
        "a.tags": "drift",
        "a.name": "conflict",
    } == found


def test_a_conflict_stops_apply_until_somebody_decides(world):
    """4 and nothing written; --prefer git writes; --prefer live keeps the live value."""
    repo = applied(world, acme.flag("a", 10, name="a"), acme.flag("b", 10))
    by_hand(repo, "a", {"name": "by hand"})
    repo.write("flags.yaml", acme.flag("a", 20, name="by git"), acme.flag("b", 30))
    repo.commit()
    repo.sandbox.clear()

    refused = repo.run("apply", "--yes")
    assert (4, []) == (refused.code, repo.sandbox.writes())
    assert "--prefer git" in refused.err

    beside = repo.run("apply", "--yes", "--continue", "--format", "json")
    rows = {row["address"].split("/")[-1]: row["outcome"] for row in beside.json["results"]}
    assert (4, {"a": "refused", "b": "done"}) == (beside.code, rows)

    live = repo.run("apply", "--yes", "--prefer", "live", "--format", "json")
    assert 0 == live.code, live.err
    state = {
        f["key"]: f
        for f in repo.sandbox.state()["organizations"][0]["projects"][0]["feature_flags"]
    }
    assert ("by hand", 20) == (
        state["a"]["name"],
        state["a"]["filters"]["groups"][0]["rollout_percentage"],
    )


def test_what_left_the_files_is_deleted_and_what_never_was_in_them_is_not(world):
    """A delete follows from the base alone; the unmanaged flag is left alone."""
    repo = seeded(world, acme.live_flag("unmanaged"))
    repo.write("flags.yaml", acme.flag("a", 10), acme.flag("b", 10))
    repo.commit()
    assert 0 == repo.run("apply", "--yes").code
    repo.write("flags.yaml", acme.flag("a", 10))
    repo.commit("b is gone")

    plan = repo.run("plan", "--format", "json").json

    assert [("FeatureFlag/acme/Web/b", "delete")] == [
        (change["address"], change["action"]) for change in plan["changes"]
    ]
    assert 0 == repo.run("apply", "--yes").code
    assert ["a", "unmanaged"] == keys(repo)


def test_deletes_over_the_limit_need_their_exact_number(world):
    """Yesterday's number does not cover today's."""
    repo = applied(world, *(acme.flag(f"f{n}", 10) for n in range(8)))
    repo.write("flags.yaml", acme.flag("f0", 10))
    repo.commit()
    repo.sandbox.clear()

    refused = repo.run("apply", "--yes")
    wrong = repo.run("apply", "--yes", "--confirm-deletes", "6")

    assert (4, 4) == (refused.code, wrong.code)
    assert "--confirm-deletes 7" in refused.err
    assert [] == repo.sandbox.writes()
    assert 0 == repo.run("apply", "--yes", "--confirm-deletes", "7").code
    assert ["f0"] == keys(repo)


def test_protection_holds_when_the_protected_document_is_removed(world):
    """It is read from the base."""
    document = acme.flag("a", 10)
    document["metadata"]["lifecycle"] = {"prevent_destroy": True}
    repo = applied(world, document, acme.flag("b", 10))
    repo.write("flags.yaml", acme.flag("b", 10))
    repo.commit()

    refused = repo.run("apply", "--yes")

    assert 4 == refused.code
    assert "--allow-destroy 'FeatureFlag/acme/Web/a'" in refused.err
    assert ["a", "b"] == keys(repo)


@pytest.mark.parametrize("how", ["outside git", "empty", "unreadable base"])
def test_nothing_is_deleted_for_want_of_a_base_or_of_files(world, how):
    """No base, an empty file, a base that cannot be used: never a delete."""
    repo = seeded(world)
    repo.write("flags.yaml", acme.flag("a", 10), acme.flag("b", 10))
    if how == "unreadable base":
        repo.write("flags.yaml", "kind: FeatureFlagg\n")
        repo.commit("broken")
        repo.git("update-ref", "refs/reconciler/applied/default", "HEAD")
        repo.write("flags.yaml", acme.flag("a", 10), acme.flag("b", 10))
    assert 0 == repo.run("apply", "--yes").code
    repo.write("flags.yaml", "# nothing\n" if how == "empty" else "", acme.flag("a", 10))
    if how != "empty":
        repo.write("flags.yaml", acme.flag("a", 10))

    done = repo.run("apply", "--yes")

    assert (1 if how == "empty" else 0) == done.code, done.err
    assert ["a", "b"] == keys(repo)


def test_a_field_that_left_the_files_is_released_not_written(world):
    """Reported with its value at the base and now."""
    repo = applied(world, acme.flag("a", 10, name="a", tags=["x"]))
    repo.write("flags.yaml", acme.flag("a", 10, name="a"))
    repo.commit()

    plan = repo.run("plan", "--format", "json", "--detailed-exitcode")

    assert 0 == plan.code
    address = "FeatureFlag/acme/Web/a"
    assert [{"address": address, "path": "tags", "base": ["x"], "live": ["x"]}] == plan.json[
        "released"
    ]


def test_a_pull_request_in_a_shallow_clone_says_what_to_set(world, tmp_path):
    """The base cannot be found: an error that names the fetch depth, not a guess."""
    repo = applied(world, acme.flag("a", 10))
    repo.git("checkout", "-q", "-b", "topic")
    repo.write("flags.yaml", acme.flag("a", 20))
    repo.commit()
    clone = tmp_path / "clone"
    url = f"file://{repo.folder}"
    subprocess.run(
        ["git", "clone", "-q", "--depth", "1", "-b", "topic", url, str(clone)],
        env=CLEAN,
        check=True,
        capture_output=True,
    )
    repo.folder = clone

    done = repo.run("plan", GITHUB_BASE_REF="main")

    assert 1 == done.code
    assert "fetch-depth: 0" in done.err


def test_a_pull_request_compares_with_the_merge_base(world):
    """What main did meanwhile is drift of this branch, not its intent."""
    repo = applied(world, acme.flag("a", 10), acme.flag("b", 10))
    repo.git("checkout", "-q", "-b", "topic")
    repo.write("flags.yaml", acme.flag("a", 20), acme.flag("b", 10))
    repo.commit()

    plan = repo.run("plan", "--format", "json", GITHUB_BASE_REF="main").json

    assert "merge base with main" == plan["base"]["ref"]
    assert {"intent"} == {f["cause"] for c in plan["changes"] for f in c["fields"]}


def test_an_unknown_base_is_an_error_and_a_ref_is_never_an_option(world):
    """`--base` names a commit, whatever it looks like."""
    repo = applied(world, acme.flag("a", 10))

    for ref in ("nowhere", "--output=/dev/null", "-x"):
        done = repo.run("plan", f"--base={ref}")

        assert 1 == done.code
        assert "no commit" in done.err


def test_a_partial_or_dirty_apply_moves_no_base(world):
    """The ref says that all of a commit was applied, or nothing."""
    repo = applied(world, acme.flag("a", 10), acme.flag("b", 10))
    before = repo.run("plan", "--format", "json").json["base"]["commit"]
    repo.write("flags.yaml", acme.flag("a", 20), acme.flag("b", 20))
    assert 0 == repo.run("apply", "--yes").code
    assert before == repo.run("plan", "--format", "json").json["base"]["commit"]
    repo.commit()
    assert 0 == repo.run("apply", "--yes", "--select", "FeatureFlag/acme/Web/a").code
    assert before == repo.run("plan", "--format", "json").json["base"]["commit"]
    assert 0 == repo.run("apply", "--yes", "--record-base", "no").code
    assert before == repo.run("plan", "--format", "json").json["base"]["commit"]
    assert 0 == repo.run("apply", "--yes").code
    assert before != repo.run("plan", "--format", "json").json["base"]["commit"]


def test_what_lives_in_a_renamed_project_is_not_deleted(world):
    """The base knows it under the old name; it is the same live object."""
    repo = seeded(world)
    repo.write("all.yaml", acme.document("Project", {}, name="Web"), acme.flag("a", 10))
    repo.commit()
    assert 0 == repo.run("apply", "--yes").code
    renamed = acme.document("Project", {}, name="Site", lifecycle={"renamed_from": "Web"})
    repo.write("all.yaml", renamed, acme.flag("a", 10, project="Site"))
    repo.commit("renamed")

    plan = repo.run("plan", "--format", "json").json
    done = repo.run("apply", "--yes")

    assert ["Project/acme/Site"] == [change["address"] for change in plan["changes"]]
    assert 0 == done.code, done.out + done.err
    assert ["a"] == keys(repo)
    assert 0 == repo.run("plan", "--detailed-exitcode").code


def test_a_flag_left_behind_in_a_renamed_project_is_told(world):
    """It would be homeless after this very run."""
    repo = seeded(world)
    renamed = acme.document("Project", {}, name="Site", lifecycle={"renamed_from": "Web"})
    repo.write("all.yaml", renamed, acme.flag("a", 10))

    plan = repo.run("plan")

    assert 1 == plan.code
    assert 'write "Site"' in plan.out


@pytest.mark.parametrize(
    "broken",
    [
        acme.flag("a", 10, project="web"),
        {**acme.flag("z", 10), "metadata": {**acme.flag("z")["metadata"], "id": "1"}},
    ],
)
def test_a_document_in_error_deletes_nothing_of_its_kind(world, broken):
    """A slip in a name or an id makes the object look as if it had left the files."""
    repo = applied(world, acme.flag("a", 10))
    repo.write("flags.yaml", broken)
    repo.commit()

    done = repo.run("apply", "--yes")

    assert 1 == done.code
    assert ["a"] == keys(repo)


def test_a_listing_that_fails_is_told_also_if_all_its_documents_left(world):
    """1, and the base stays where it was: the delete is not forgotten."""
    repo = applied(world, acme.flag("a", 10))
    repo.write("flags.yaml", acme.document("Project", {}, name="Web"))
    repo.commit()
    fault = {"match": {"method": "GET", "route": "feature_flags.list", "hit": "every"}}
    document = {"faults": [{**fault, "effect": {"status": 403}}]}
    assert 200 == repo.sandbox.call("POST", "/_sandbox/faults", document)[0]

    broken = repo.run("apply", "--yes")
    repo.sandbox.call("POST", "/_sandbox/faults", {"faults": []})
    mended = repo.run("apply", "--yes", "--confirm-deletes", "1")

    assert (1, 0) == (broken.code, mended.code)
    assert [] == keys(repo)


def test_an_empty_listing_of_projects_creates_none(world):
    """The organization itself names them: the listing is not believed."""
    repo = seeded(world)
    repo.write("all.yaml", acme.document("Project", {}, name="Web"))
    fault = {"match": {"method": "GET", "route": "projects.list", "hit": "every"}}
    document = {"faults": [{**fault, "effect": "empty_list"}]}
    assert 200 == repo.sandbox.call("POST", "/_sandbox/faults", document)[0]
    repo.sandbox.clear()

    done = repo.run("apply", "--yes")

    assert 1 == done.code
    assert [] == repo.sandbox.writes()


def test_a_renamed_role_is_no_weakening_of_what_names_it(world):
    """The same role, the same people: the policy does not change."""
    approvers = {"quorum": 1, "roles": ["Old"]}
    gate = acme.policy("feature_flag.enable", approver_config=approvers)
    web = {"name": "Web", "id": 1, "approval_policies": [gate]}
    roles = [{"name": "Old", "members": ["alice@acme.test"]}]
    repo = world(acme.seed(projects=[web], roles=roles))
    repo.write(
        "all.yaml",
        acme.document(
            "Role", {"members": ["alice@acme.test"]}, name="New", lifecycle={"renamed_from": "Old"}
        ),
        acme.document(
            "ApprovalPolicy",
            {"approvers": {"quorum": 1, "roles": ["New"]}},
            project="Web",
            action="feature_flag.enable",
        ),
    )

    plan = repo.run("plan", "--format", "json").json

    assert ["Role/acme/New"] == [change["address"] for change in plan["changes"]]
    assert 0 == repo.run("apply", "--yes").code
    assert 0 == repo.run("plan", "--detailed-exitcode").code


def renamed(key, old, rollout, **spec):
    document = acme.flag(key, rollout, **spec)
    document["metadata"]["lifecycle"] = {"renamed_from": old}
    return document


def test_a_renamed_flag_is_compared_with_what_it_was_called(world):
    """Name, drift and intent are told apart under the new name, too."""
    repo = applied(world, acme.flag("old", 10, name="a", tags=["x"]))
    by_hand(repo, "old", {"tags": ["by-hand"]})
    repo.write("flags.yaml", renamed("new", "old", 20, name="a", tags=["x"]))
    repo.commit("renamed")

    assert {
        "new.metadata.key": "intent",
        "new.filters.groups[0].rollout_percentage": "intent",
        "new.tags": "drift",
    } == causes(repo)


def test_a_rename_that_is_long_done_deletes_nobody_elses_flag(world):
    """`renamed_from` stays in the file; a new flag of the old name is not its."""
    repo = applied(world, acme.flag("old", 10), acme.flag("b", 10))
    repo.write("flags.yaml", renamed("new", "old", 10), acme.flag("b", 10))
    repo.commit("renamed")
    assert 0 == repo.run("apply", "--yes").code
    assert ["b", "new"] == keys(repo)
    by_hand(repo, "new", {"deleted": True})
    created = {"key": "old", "name": "", "filters": {"groups": [{"rollout_percentage": 1}]}}
    path = "/api/projects/1/feature_flags/"
    assert 201 == repo.sandbox.call("POST", path, created, token="phx_alice")[0]
    repo.write("flags.yaml", acme.flag("b", 10))
    repo.commit("gone")

    plan = repo.run("plan", "--format", "json").json

    assert [] == plan["changes"]
    assert ["FeatureFlag/acme/Web/old"] == plan["unmanaged"]


def test_what_is_live_twice_is_not_deleted_and_told(world):
    """Roles whose names differ in case alone: which one the files meant cannot be told."""
    role = acme.document("Role", {"members": []}, name="OPS")
    keep = acme.document("Role", {"members": []}, name="Other")
    repo = world(acme.seed())
    repo.write("roles.yaml", role, keep)
    repo.commit()
    assert 0 == repo.run("apply", "--yes").code
    seed = repo.sandbox.state()
    roles = seed["organizations"][0]["roles"]
    next(one for one in roles if one["name"] == "OPS")["name"] = "Ops"
    roles.append({"name": "ops"})
    repo.sandbox.reset(seed)
    repo.write("roles.yaml", keep)
    repo.commit("gone")

    plan = repo.run("plan", "--format", "json").json

    assert [] == plan["changes"]
    assert "delete-unclear" in [finding["code"] for finding in plan["findings"]]
