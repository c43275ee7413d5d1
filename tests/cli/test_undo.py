"""`undo`: what a run changed goes back, what anybody changed since stays."""

import json

import pytest

from tests import acme, factories
from tests.cli.rule_files import rule, rules
from tests.cli.saved import APPROVED, approve_all, edit_flag, live, outcomes, seed
from tests.cli.undoing import (
    PLAN,
    actions,
    apply_files,
    apply_undo,
    codes,
    patch,
    role,
    rollout,
    undo,
)


@pytest.fixture
def changed(world):
    """A run that updated a flag and a role, created a flag, and deleted another."""
    repo = world(seed(acme.live_flag("a", tags=["x"]), acme.live_flag("old", 5)))
    apply_files(repo, acme.flag("a", 10, tags=["x"]), acme.flag("old", 5), role("bob"))
    apply_files(
        repo, acme.flag("a", 50, tags=["x", "y"]), acme.flag("new", 1), role("bob", "carol")
    )
    return repo


def members(repo):
    """The people who hold the only role."""
    _, body = repo.sandbox.call("GET", "/_sandbox/state")
    return [member["email"] for member in body["organizations"][0]["roles"][0]["members"]]


def test_apply_undo_apply_restores_the_state(changed):
    """Updates, creates, deletes and lists; the second time there is nothing to undo."""
    repo = changed

    document = undo(repo)
    apply_undo(repo)

    assert {"a": "update", "old": "create", "new": "delete", "Release": "update"} == actions(
        document
    )
    assert (10, ["x"]) == (rollout(repo, "a"), live(repo, "a")["tags"])
    assert (5, None) == (rollout(repo, "old"), live(repo, "new"))
    assert ["bob@acme.test"] == members(repo)
    again = repo.run("undo", "HEAD")
    assert (0, True) == (again.code, again.out.rstrip().endswith("Nothing to undo."))
    repo.sandbox.clear()
    assert {"unchanged"} == set(outcomes(apply_undo(repo)).values())
    assert [] == repo.sandbox.writes()


def test_the_applied_ref_stays_and_the_patch_brings_the_files_along(changed):
    """Until the change to the files is merged, a plan shows what they still declare."""
    repo = changed
    head = repo.git("rev-parse", "HEAD")
    undo(repo)
    apply_undo(repo)

    assert head == repo.git("rev-parse", "refs/reconciler/applied/default")
    assert 2 == repo.run("plan", "--detailed-exitcode").code
    patch(repo)
    assert repo.git("diff", "HEAD~2", "--", "all.yaml") == ""
    assert 0 == repo.run("plan", "--detailed-exitcode").code


def test_what_changed_again_is_a_conflict_and_stays(changed):
    """The whole plan is refused; --continue reverts the other resources."""
    repo = changed
    edit_flag(repo, "a", filters=acme.live_flag("a", 70)["filters"])

    document = undo(repo, code=4)
    refused = apply_undo(repo, code=4)
    apply_undo(repo, "--continue", code=4)

    field = next(
        field
        for row in document["changes"]
        for field in row["fields"]
        if field["path"].endswith("rollout_percentage") and row["address"].endswith("/a")
    )
    assert ("conflict", 50, 70, 10) == tuple(
        field[name] for name in ("cause", "base", "live", "desired")
    )
    assert "rollout_percentage changed again since the run" in refused.err
    assert (70, None) == (rollout(repo, "a"), live(repo, "new"))


def test_prefer_live_keeps_what_changed_and_reverts_the_rest(changed):
    """Field by field; `--prefer git` is refused, here and for the saved plan."""
    repo = changed
    edit_flag(repo, "a", filters=acme.live_flag("a", 70)["filters"])

    undo(repo, "HEAD", "--prefer", "live")
    apply_undo(repo)

    assert (70, ["x"]) == (rollout(repo, "a"), live(repo, "a")["tags"])
    assert 64 == repo.run("undo", "HEAD", "--prefer", "git").code
    assert 64 == repo.run("apply", PLAN, "--yes", "--prefer", "git").code


def test_people_and_tags_that_others_added_stay(changed):
    """Lists go back item by item."""
    repo = changed
    edit_flag(repo, "a", tags=["x", "y", "z"])

    undo(repo)
    apply_undo(repo)

    assert ["x", "z"] == sorted(live(repo, "a")["tags"])


def test_what_the_run_created_is_not_deleted_once_somebody_used_it(changed):
    repo = changed
    edit_flag(repo, "new", name="In use")

    document = undo(repo, code=4)

    assert "conflict" in codes(document)
    apply_undo(repo, "--continue", code=4)
    assert "In use" == live(repo, "new")["name"]


def test_what_was_deleted_since_stays_deleted(changed):
    repo = changed
    edit_flag(repo, "a", deleted=True)

    document = undo(repo, code=4)
    apply_undo(repo, "--continue", code=4)

    assert "conflict" in codes(document)
    assert live(repo, "a") is None


def test_an_object_that_was_there_before_its_document_is_not_deleted(world):
    """The run only began to describe it, as after `pull`."""
    repo = world(seed(acme.live_flag("a"), acme.live_flag("pulled")))
    apply_files(repo, acme.flag("a", 10))
    apply_files(repo, acme.flag("a", 10), acme.flag("pulled", 10))

    document = undo(repo)

    assert ({}, {"undo-not-created"}) == (actions(document), codes(document))


def test_a_field_without_a_previous_value_in_git_stays(world):
    """It was not declared before the run, so no file has its previous value."""
    repo = world(seed(acme.live_flag("a")))
    apply_files(repo, acme.flag("a", 10))
    apply_files(repo, acme.flag("a", 50, name="Another"))

    document = undo(repo)
    apply_undo(repo)

    assert "undo-unknown-value" in codes(document)
    assert ("Another", 10) == (live(repo, "a")["name"], rollout(repo, "a"))


def test_a_released_field_is_left_alone(world):
    """The run did not write it."""
    repo = world(seed(acme.live_flag("a")))
    apply_files(repo, acme.flag("a", 10, name="a"))
    apply_files(repo, acme.flag("a", 50))
    edit_flag(repo, "a", name="Later")

    document = undo(repo)
    apply_undo(repo)

    assert ["filters.groups[0].rollout_percentage"] == [
        field["path"] for row in document["changes"] for field in row["fields"]
    ]
    assert "Later" == live(repo, "a")["name"]


def groups(*rollouts):
    """Conditions with these rollouts."""
    return {"groups": [{"properties": [], "rollout_percentage": each} for each in rollouts]}


def test_conditions_are_reverted_by_position_and_others_keep_theirs(world):
    repo = world(seed(acme.live_flag("a", filters=groups(1, 2))))
    apply_files(repo, acme.flag("a", filters=groups(1, 2)))
    apply_files(repo, acme.flag("a", filters=groups(1, 50)))
    edit_flag(repo, "a", filters=groups(7, 50))

    undo(repo)
    apply_undo(repo)

    assert (7, 2) == (rollout(repo, "a"), rollout(repo, "a", 1))


@pytest.mark.parametrize("later", [groups(1, 50, 9), groups(50)])
def test_conditions_that_were_added_or_removed_since_are_a_conflict(world, later):
    """The positions do not say which is which any more."""
    repo = world(seed(acme.live_flag("a", filters=groups(1, 2))))
    apply_files(repo, acme.flag("a", filters=groups(1, 2)))
    apply_files(repo, acme.flag("a", filters=groups(1, 50)))
    edit_flag(repo, "a", filters=later)

    undo(repo, code=4)
    apply_undo(repo, "--continue", code=4)

    assert later["groups"] == [
        {"properties": [], "rollout_percentage": group["rollout_percentage"]}
        for group in live(repo, "a")["filters"]["groups"]
    ]


@pytest.mark.parametrize("later", [groups(1, 2, 3, 4), groups(1)])
def test_a_list_whose_length_the_run_changed_goes_back_as_a_whole(world, later):
    repo = world(seed(acme.live_flag("a", filters=groups(1, 2, 3))))
    apply_files(repo, acme.flag("a", filters=groups(1, 2, 3)))
    apply_files(repo, acme.flag("a", filters=later))

    undo(repo)
    apply_undo(repo)
    patch(repo)

    assert [1, 2, 3] == [rollout(repo, "a", number) for number in range(3)]
    assert 0 == repo.run("plan", "--detailed-exitcode").code


def test_a_run_of_several_commits_is_reverted_as_a_whole(world):
    """Whichever of its commits is named; a run before it is not."""
    repo = world(seed(acme.live_flag("a"), acme.live_flag("b")))
    apply_files(repo, acme.flag("a", 10), acme.flag("b", 10))
    first = apply_files(repo, acme.flag("a", 20), acme.flag("b", 10))
    repo.write("all.yaml", acme.flag("a", 30), acme.flag("b", 10))
    repo.commit()
    middle = repo.git("rev-parse", "HEAD").strip()
    apply_files(repo, acme.flag("a", 30), acme.flag("b", 40))

    assert {"a": "update", "b": "update"} == actions(undo(repo, middle))
    apply_undo(repo)
    assert (20, 10) == (rollout(repo, "a"), rollout(repo, "b"))
    patch(repo, middle)
    undo(repo, first)
    apply_undo(repo)
    assert 10 == rollout(repo, "a")


def test_two_runs_are_reverted_together(world):
    """A field that both changed gets the value from before the first."""
    repo = world(seed(acme.live_flag("a"), acme.live_flag("b")))
    apply_files(repo, acme.flag("a", 10), acme.flag("b", 10))
    first = apply_files(repo, acme.flag("a", 20), acme.flag("b", 20))
    second = apply_files(repo, acme.flag("a", 30), acme.flag("b", 20))

    undo(repo, first, second)
    apply_undo(repo)
    patch(repo, first, second)

    assert (10, 10) == (rollout(repo, "a"), rollout(repo, "b"))
    assert 0 == repo.run("plan", "--detailed-exitcode").code


def test_the_last_change_of_an_address_is_reverted_and_nothing_else(world):
    repo = world(seed(acme.live_flag("a"), acme.live_flag("b")))
    apply_files(repo, acme.flag("a", 10), acme.flag("b", 10))
    apply_files(repo, acme.flag("a", 20), acme.flag("b", 20))
    apply_files(repo, acme.flag("a", 20), acme.flag("b", 30))

    assert {"a": "update"} == actions(undo(repo, "FeatureFlag/acme/Web/a"))
    apply_undo(repo)
    assert (10, 30) == (rollout(repo, "a"), rollout(repo, "b"))
    assert {"b": "update"} == actions(undo(repo, "b"))


def test_a_later_commit_that_changed_the_same_field_is_a_conflict(world):
    """Also while nobody has applied it: the files say something else by now."""
    repo = world(seed(acme.live_flag("a")))
    apply_files(repo, acme.flag("a", 10))
    wrong = apply_files(repo, acme.flag("a", 50))
    repo.write("all.yaml", acme.flag("a", 60))
    repo.commit()

    undo(repo, wrong, code=4)
    done = repo.run("undo", wrong, "--patch")

    assert (4, "") == (done.code, done.out)
    assert "left out: FeatureFlag/acme/Web/a" in done.err


def test_a_later_commit_that_removed_the_resource_decides(world):
    repo = world(seed(acme.live_flag("a"), acme.live_flag("b")))
    apply_files(repo, acme.flag("a", 10), acme.flag("b", 10))
    wrong = apply_files(repo, acme.flag("a", 50), acme.flag("b", 10))
    apply_files(repo, acme.flag("b", 10))

    document = undo(repo, wrong)

    assert ({}, {"undo-superseded"}) == (actions(document), codes(document))


def test_a_rename_goes_back(world):
    repo = world(seed(acme.live_flag("old")))
    apply_files(repo, acme.flag("old", 10))
    renamed = acme.flag("new", 50)
    renamed["metadata"]["lifecycle"] = {"renamed_from": "old"}
    apply_files(repo, renamed)

    undo(repo)
    apply_undo(repo)
    patch(repo)

    assert (None, 10) == (live(repo, "new"), rollout(repo, "old"))
    assert 0 == repo.run("plan", "--detailed-exitcode").code


def test_a_resource_that_the_files_declared_absent_comes_back(world):
    repo = world(seed(acme.live_flag("a"), acme.live_flag("b")))
    apply_files(repo, acme.flag("a", 10), acme.flag("b", 10))
    gone = acme.flag("a", 10)
    gone["metadata"]["lifecycle"] = {"state": "absent"}
    apply_files(repo, gone, acme.flag("b", 10))

    undo(repo)
    apply_undo(repo)
    patch(repo)

    assert 10 == rollout(repo, "a")
    assert 0 == repo.run("plan", "--detailed-exitcode").code


def test_a_plan_of_another_commit_is_refused(changed):
    """Host and organization are those of any saved plan; the commit has to be the same, too."""
    repo = changed
    undo(repo)
    repo.commit("nothing")

    refused = apply_undo(repo, code=4)

    assert "this plan was made at commit" in refused.err
    assert live(repo, "new") is not None


def test_uncommitted_changes_do_not_count(changed):
    """The desired state is the files at HEAD."""
    repo = changed
    repo.write("all.yaml", acme.flag("a", 99))

    undo(repo)
    apply_undo(repo)

    assert 10 == rollout(repo, "a")


def test_a_run_that_waits_has_nothing_to_undo_and_says_how_to_cancel_it(world):
    """Its request would still be applied once somebody approves it."""
    repo = world(seed(acme.live_flag("a"), policies=[acme.policy("feature_flag.update")]))
    apply_files(repo, acme.flag("a", 10))
    apply_files(repo, acme.flag("a", 50), code=3)
    request = repo.run("requests", "list", "--format", "json").json[0]["id"]

    document = undo(repo)

    assert {} == actions(document)
    waiting = next(row for row in document["findings"] if row["code"] == "undo-request-open")
    assert waiting["fix"].endswith(f"reconciler requests cancel {request}")
    assert 0 == repo.run("requests", "cancel", request, "--yes").code
    assert "undo-request-open" not in codes(undo(repo))


def test_a_gated_undo_says_who_can_approve_it(world):
    """Two steps that passed the gate go back in one that waits; the forecast says so before."""
    rule = acme.policy("feature_flag.update", conditions=APPROVED)
    repo = world(seed(acme.live_flag("a", 50), policies=[rule]))
    apply_files(repo, acme.flag("a", 50))
    first = apply_files(repo, acme.flag("a", 35))
    second = apply_files(repo, acme.flag("a", 20))

    document = undo(repo, first, second)
    apply_undo(repo, code=3)
    apply_undo(repo, code=3)

    gate = document["changes"][0]["gate"]
    people = ["alice@acme.test", "bob@acme.test"]
    assert ("approval", people) == (gate["verdict"], gate["approvers"]["users"])
    assert 20 == rollout(repo, "a")
    approve_all(repo)
    assert "unchanged" == outcomes(apply_undo(repo))["a"]
    assert 50 == rollout(repo, "a")


def policy_document(quorum):
    """A policy that asks for so many people."""
    approvers = {"quorum": quorum, "users": ["alice@acme.test", "bob@acme.test"], "roles": []}
    return acme.document(
        "ApprovalPolicy", {"approvers": approvers}, project="Web", action="feature_flag.enable"
    )


def test_to_undo_a_stricter_policy_is_a_weakening(world):
    repo = world(seed(acme.live_flag("a")))
    apply_files(repo, policy_document(1))
    apply_files(repo, policy_document(2))

    assert "policy-weakened" in codes(undo(repo, code=4))
    apply_undo(repo, code=4)
    undo(repo, "HEAD", "--allow-weakening")
    apply_undo(repo, "--allow-weakening")
    assert {} == actions(undo(repo))


def test_more_deletes_than_the_limit_have_to_be_confirmed(world):
    repo = world(seed(acme.live_flag("a")))
    apply_files(repo, acme.flag("a", 10))
    apply_files(repo, acme.flag("a", 10), *(acme.flag(f"new-{n}", 1) for n in range(6)))

    assert "too-many-deletes" in codes(undo(repo, code=4))
    apply_undo(repo, code=4)
    undo(repo, "HEAD", "--confirm-deletes", "6")
    apply_undo(repo, "--confirm-deletes", "6")
    assert live(repo, "new-1") is None


def test_an_encrypted_payload_is_neither_shown_nor_overwritten(world):
    """PostHog does not show it, so nobody can know whether it has changed since."""
    repo = world(seed(acme.live_flag("a")))
    base = acme.flag("a", 10)
    encrypted = {
        "active": False,
        "is_remote_configuration": True,
        "has_encrypted_payloads": True,
    }
    first = acme.flag("s", **encrypted)
    first["spec"]["filters"] = {**groups(100), "payloads": {"true": '"secret-one"'}}
    apply_files(repo, base, first)
    second = json.loads(json.dumps(first).replace("secret-one", "secret-two"))
    second["spec"]["name"] = "S"
    second["spec"]["filters"]["groups"][0]["rollout_percentage"] = 50
    apply_files(repo, acme.flag("a", 20), second)

    done = repo.run("undo", "HEAD", "--out", PLAN)
    patched = repo.run("undo", "HEAD", "--patch")
    apply_undo(repo)

    everything = done.out + done.err + patched.out + (repo.folder / PLAN).read_text()
    assert "secret-" not in everything
    assert "filters.payloads is not reverted" in done.out
    assert (10, 100) == (rollout(repo, "a"), rollout(repo, "s"))


def test_the_same_document_for_several_projects_is_reverted_in_all(world):
    more = [{"name": "Mobile", "id": 2, "feature_flags": [acme.live_flag("a")]}]
    repo = world(factories.seed(acme.live_flag("a"), more=more))
    document = acme.flag("a", 10)
    del document["metadata"]["project"]
    document["metadata"]["projects"] = ["*"]
    apply_files(repo, document)
    text = (repo.folder / "all.yaml").read_text()
    repo.write("all.yaml", text.replace("rollout_percentage: 10", "rollout_percentage: 50"))
    repo.commit()
    assert 0 == repo.run("apply", "--yes").code

    undo(repo)
    apply_undo(repo)
    patch(repo)

    assert text == (repo.folder / "all.yaml").read_text()
    assert 0 == repo.run("plan", "--detailed-exitcode").code


def test_the_rules_of_the_target_judge_an_undo(world):
    """When it is planned, and when the saved plan is applied."""
    repo = world(seed(acme.live_flag("a", 100)))
    settings = "version: 1\ntargets:\n  default:\n    paths: [all.yaml]\n"
    repo.write("reconciler.yaml", settings)
    apply_files(repo, acme.flag("a", 100))
    apply_files(repo, acme.flag("a", 10))
    undo(repo)
    repo.write("rules/all.yaml", rules(rule()))
    repo.write("reconciler.yaml", f"{settings}    rules: [rules]\n")

    assert "rule-denied" in codes(undo(repo, code=4))
    apply_undo(repo, code=4)

    assert 10 == rollout(repo, "a")


def test_what_was_reverted_is_still_in_the_files_and_apply_says_so(changed):
    repo = changed
    undo(repo)

    assert "the files still declare what was reverted" in apply_undo(repo).err
    patched = patch(repo)
    assert "left out" not in patched.err


def test_a_project_that_was_renamed_goes_back_with_what_is_in_it(world):
    repo = world(seed(acme.live_flag("a")))
    web = acme.document("Project", {"timezone": "UTC"}, name="Web")
    apply_files(repo, web, acme.flag("a", 10))
    site = acme.document(
        "Project", {"timezone": "UTC"}, name="Site", lifecycle={"renamed_from": "Web"}
    )
    apply_files(repo, site, acme.flag("a", 50, project="Site"))

    document = undo(repo)
    apply_undo(repo)

    assert {"Web": "update", "a": "update"} == actions(document)
    assert 10 == rollout(repo, "a")
    names = [p["name"] for p in repo.sandbox.state()["organizations"][0]["projects"]]
    assert "Web" in names


def test_what_an_overlay_wrote_is_reverted_in_the_overlay(world):
    repo = world(seed(acme.live_flag("a", name="A")))
    settings = "version: 1\ntargets:\n  default:\n    paths: [base]\n    overlays: [over]\n"
    repo.write("reconciler.yaml", settings)
    repo.write("base/flags.yaml", acme.flag("a", 10, name="A"))
    apply_files(repo, acme.flag("a", 20), name="over/flags.yaml")
    apply_files(repo, acme.flag("a", 60), name="over/flags.yaml")
    repo.write("over/more.yaml", acme.flag("b", 1))
    repo.commit()

    undo(repo, "HEAD~1")
    apply_undo(repo)
    patch(repo, "HEAD~1")

    assert 20 == rollout(repo, "a")
    assert "rollout_percentage: 20" in (repo.folder / "over/flags.yaml").read_text()


def test_a_new_flag_that_somebody_switched_off_is_not_deleted(world):
    """It looks like the first step of its create, but its version is higher."""
    repo = world(seed(acme.live_flag("a")))
    apply_files(repo, acme.flag("a", 10))
    apply_files(repo, acme.flag("a", 10), acme.flag("new", 1, active=True))
    edit_flag(repo, "new", active=False)

    assert "conflict" in codes(undo(repo, code=4))
    apply_undo(repo, "--continue", code=4)

    assert live(repo, "new") is not None
