"""What apply refuses (4), with the numbers, the limit, its place, and what lifts it once."""

import os

import pytest

from tests import acme
from tests.cli.test_base import keys

SETTINGS = """version: 1
targets:
  default:
    paths: [config]
    guardrails:
      max_deletes: {most}
      max_delete_percent: {percent}
"""


def flags(*names, **changes):
    return [acme.flag(name, 10, **changes) for name in names]


def applied(world, files, *, settings=None, live=(), **seed):
    """A repository of files that was applied: their commit is the base."""
    web = {"name": "Web", "id": 1, "feature_flags": [acme.live_flag(key) for key in live]}
    repo = world(acme.seed(**{"projects": [web, {"name": "Mobile", "id": 2}], **seed}))
    if settings is not None:
        repo.write("reconciler.yaml", settings)
    for name, documents in files.items():
        repo.write(name, *documents)
    repo.commit()
    done = repo.run("apply", "--yes")
    assert 0 == done.code, done.err
    repo.sandbox.clear()
    return repo


def committed(repo, name, *documents):
    if documents:
        repo.write(name, *documents)
    else:
        (repo.folder / name).unlink()
    repo.commit()


def refused(repo, *options):
    """Refused as a whole: nothing was sent. What was said."""
    repo.sandbox.clear()
    done = repo.run("apply", "--yes", *options)
    assert 4 == done.code, done.out + done.err
    assert [] == repo.sandbox.writes()
    return done.err


def codes(repo, *options):
    """Code -> addresses, of the errors of a plan."""
    plan = repo.run("plan", "--format", "json", *options)
    found = {}
    for one in plan.json["findings"]:
        if one["severity"] == "error":
            found.setdefault(one["code"], []).append(one["address"].split("/")[-1])
    assert (4 if found else 0) == plan.code, plan.err
    return found


def test_the_number_of_deletes_is_limited_and_the_refusal_says_where(world):
    """The numbers, the limit, file and line of it, and the exact option."""
    names = [f"f{n}" for n in range(9)]
    settings = SETTINGS.format(most=2, percent=100)
    repo = applied(world, {"config/flags.yaml": flags(*names)}, settings=settings)
    committed(repo, "config/flags.yaml", *flags(*names[3:]))

    said = refused(repo)

    assert "3 of 9 live FeatureFlag resources (33 %)" in said
    assert "the limit is 2 (reconciler.yaml:6:20)" in said
    assert "--confirm-deletes 3" in said
    assert "apply refuses this plan" in said
    assert {"too-many-deletes": ["f0", "f1", "f2"]} == codes(repo)
    refused(repo, "--confirm-deletes", "2")
    refused(repo, "--confirm-deletes", "4")
    assert 0 == repo.run("apply", "--yes", "--confirm-deletes", "3").code
    assert names[3:] == keys(repo)


def test_the_share_of_deletes_counts_from_ten_on(world):
    """Two of nine may go, three of ten not, and the default says that it is one."""
    names = [f"f{n}" for n in range(10)]
    repo = applied(world, {"flags.yaml": flags(*names)})
    committed(repo, "flags.yaml", *flags(*names[3:]))

    said = refused(repo)

    assert "3 of 10 live FeatureFlag resources (30 %)" in said
    assert "the limit is 20 % (the default of guardrails.max_delete_percent)" in said
    committed(repo, "flags.yaml", *flags(*names[2:]))
    assert 0 == repo.run("apply", "--yes").code
    committed(repo, "flags.yaml", *flags(*names[6:]))
    assert {} == codes(repo)
    assert 0 == repo.run("apply", "--yes").code


def test_unmanaged_resources_count_for_the_share_and_other_kinds_do_not(world):
    """One of twelve live flags; and each kind has its own limit."""
    live = [f"live-{n}" for n in range(10)]
    role = acme.document("Role", {"members": []}, name="A")
    files = {"flags.yaml": [*flags("a", "b"), role]}
    settings = "version: 1\ntargets:\n  default:\n    guardrails: {max_delete_percent: 10}\n"
    repo = applied(world, files, live=live, roles=[{"name": "B"}], settings=settings)
    committed(repo, "flags.yaml", *flags("a"))

    assert {} == codes(repo)
    assert 0 == repo.run("apply", "--yes").code
    assert sorted(["a", *live]) == keys(repo)


def test_the_last_of_a_kind_is_asked_for_whatever_the_limits_say(world):
    """In its project, or its organization for roles. What is made in the same run counts."""
    roles = [acme.document("Role", {"members": []}, name=name) for name in ("A", "B")]
    settings = SETTINGS.format(most=100, percent=100)
    files = {"config/all.yaml": [*flags("a"), *flags("m", "n", project="Mobile"), *roles]}
    repo = applied(world, files, settings=settings)
    committed(repo, "config/all.yaml", *flags("m", project="Mobile"), roles[0])

    said = refused(repo)

    assert "FeatureFlag/acme/Web/a would be deleted: removed from the files" in said
    assert "no FeatureFlag would be left in acme/Web" in said
    assert "--confirm-deletes 3" in said
    assert {"last-of-kind": ["a"]} == codes(repo)
    committed(repo, "config/all.yaml", *flags("z"), *flags("m", project="Mobile"), roles[0])
    assert {} == codes(repo)
    assert 0 == repo.run("apply", "--yes").code
    committed(repo, "config/all.yaml", *flags("z"), *flags("m", project="Mobile"))
    assert {"last-of-kind": ["A"]} == codes(repo)
    assert "no Role would be left in acme" in refused(repo)


def test_a_whole_file_that_vanished_is_asked_for(world):
    """Also if its text was replaced by another; not if its documents moved, nor for one alone."""
    files = {
        "config/a.yaml": flags("a", "b", "keep"),
        "config/c.yaml": flags("c", "d"),
        "config/e.yaml": flags("e"),
    }
    settings = SETTINGS.format(most=100, percent=100)
    repo = applied(world, files, settings=settings)
    committed(repo, "config/c.yaml")

    said = refused(repo)

    assert "config/c.yaml declared 2 resources at the base, and none is left" in said
    assert "--confirm-deletes 2" in said
    assert {"file-vanished": ["c", "d"]} == codes(repo)
    committed(repo, "config/c.yaml", *flags("x"))
    assert {"file-vanished": ["c", "d"]} == codes(repo)
    committed(repo, "config/c.yaml", *flags("c", "x"))
    assert {} == codes(repo)
    committed(repo, "config/c.yaml")
    committed(repo, "config/moved.yaml", *flags("d"))
    assert {} == codes(repo)
    committed(repo, "config/e.yaml")
    assert {} == codes(repo)
    assert 0 == repo.run("apply", "--yes").code
    assert ["a", "b", "d", "keep"] == keys(repo)


def test_a_whole_kind_that_vanished_is_asked_for(world):
    """Nothing of it is declared any more, though others are live."""
    roles = [acme.document("Role", {"members": []}, name=name) for name in ("A", "B")]
    repo = applied(world, {"all.yaml": [*flags("a"), *roles]}, roles=[{"name": "Other"}])
    committed(repo, "all.yaml", *flags("a"))

    assert {"kind-vanished": ["A", "B"]} == codes(repo)
    said = refused(repo)
    assert "the files declared Role at the base, and no longer declare any" in said
    assert 0 == repo.run("apply", "--yes", "--confirm-deletes", "2").code


def test_absent_is_written_down_and_counts_nowhere(world):
    """`state: absent` of everything, the last one too, needs no confirmation."""
    names = [f"f{n}" for n in range(8)]
    repo = applied(world, {"flags.yaml": flags(*names)})
    gone = flags(*names)
    for document in gone:
        document["metadata"]["lifecycle"] = {"state": "absent"}
    committed(repo, "flags.yaml", *gone)

    assert {} == codes(repo)
    assert 0 == repo.run("apply", "--yes").code
    assert [] == keys(repo)


def project(**lifecycle):
    return acme.document("Project", {}, name="Mobile", lifecycle=lifecycle)


@pytest.mark.parametrize("how", ["left", "absent", "unprotected"])
def test_a_project_is_never_deleted_without_its_address(world, how):
    """Whatever the files say, and whatever else was confirmed; a pattern is no address."""
    repo = applied(world, {"all.yaml": [project(), *flags("a")]})
    lifecycle = {"state": "absent", **({"prevent_destroy": False} if how == "unprotected" else {})}
    committed(repo, "all.yaml", *([] if how == "left" else [project(**lifecycle)]), *flags("a"))

    said = refused(repo, "--confirm-deletes", "1")

    assert "--allow-destroy 'Project/acme/Mobile'" in said
    assert "a resource of kind Project is deleted only if --allow-destroy names its address" in said
    refused(repo, "--confirm-deletes", "1", "--allow-destroy", "Project/acme/Web")
    for wrong in ("Project/acme/*", "*", "Mobile"):
        assert 64 == repo.run("apply", "--yes", "--allow-destroy", wrong).code
    assert [] == repo.sandbox.writes()
    done = repo.run("apply", "--yes", "--allow-destroy", "Project/acme/Mobile")
    assert 0 == done.code, done.err
    projects = repo.sandbox.state()["organizations"][0]["projects"]
    assert ["Web"] == [one["name"] for one in projects]


def test_an_organization_is_never_deleted_without_its_address(world):
    """The most that one line could do; an owner's key is not asked less."""
    acme_ = acme.document("Organization", {"name": "Acme"})
    repo = applied(world, {"all.yaml": [acme_, *flags("a")]})
    committed(repo, "all.yaml", *flags("a"))
    repo.token = "phx_alice"

    assert {"prevent-destroy": ["acme"]} == codes(repo)
    assert "--allow-destroy 'Organization/acme'" in refused(repo, "--confirm-deletes", "1")


def protected(name, **lifecycle):
    document = acme.flag(name, 10)
    if lifecycle:
        document["metadata"]["lifecycle"] = lifecycle
    return document


@pytest.mark.parametrize("how", ["document", "block", "rename"])
def test_protection_is_read_from_the_base(world, how):
    """The document went, or its protection and the delete came in one commit."""
    repo = applied(world, {"a.yaml": [protected("a", prevent_destroy=True), *flags("b")]})
    now = {
        "document": flags("b"),
        "block": [protected("a", state="absent"), *flags("b")],
        "rename": [protected("z", state="absent", renamed_from="a"), *flags("b")],
    }
    committed(repo, "a.yaml", *now[how])

    said = refused(repo, "--confirm-deletes", "1")

    assert "prevent_destroy was true at the base (a.yaml:" in said
    assert ["a", "b"] == keys(repo)


def test_protection_that_was_taken_back_before_holds_no_more(world):
    """In a commit of its own, which was applied; or said outright."""
    repo = applied(world, {"a.yaml": [protected("a", prevent_destroy=True), *flags("b", "c")]})
    committed(
        repo, "a.yaml", protected("a", prevent_destroy=False, state="absent"), *flags("b", "c")
    )
    assert {} == codes(repo)
    committed(repo, "a.yaml", *flags("a", "b", "c"))
    assert 0 == repo.run("apply", "--yes").code
    committed(repo, "a.yaml", *flags("b", "c"))

    assert 0 == repo.run("apply", "--yes").code
    assert ["b", "c"] == keys(repo)


def test_with_continue_only_what_is_concerned_is_refused(world):
    """And what depends on it; the rest is done, and the code is still 4."""
    repo = applied(world, {"a.yaml": [protected("a", prevent_destroy=True), *flags("b")]})
    committed(repo, "a.yaml", acme.flag("b", 20), *flags("new"))

    done = repo.run("apply", "--yes", "--continue", "--format", "json")

    rows = {row["address"].split("/")[-1]: row["outcome"] for row in done.json["results"]}
    assert (4, {"a": "refused", "b": "done", "new": "done"}) == (done.code, rows)
    assert ["a", "b", "new"] == keys(repo)


def test_a_refused_run_gives_its_account_as_json_too(world):
    """Which are refused, and that nothing else was started; the totals add up."""
    repo = applied(world, {"a.yaml": [protected("a", prevent_destroy=True), *flags("b")]})
    committed(repo, "a.yaml", acme.flag("b", 20))

    done = repo.run("apply", "--yes", "--format", "json")

    rows = {row["address"].split("/")[-1]: row["outcome"] for row in done.json["results"]}
    assert (4, {"a": "refused", "b": "skipped"}) == (done.code, rows)
    assert 2 == sum(done.json["summary"].values())
    assert ["prevent-destroy"] == [one["code"] for one in done.json["findings"]]
    assert [] == repo.sandbox.writes()


def test_what_depends_on_something_refused_is_refused(world):
    """A policy that names a role whose own change is in conflict: somebody has deleted it."""
    role = acme.document("Role", {"members": ["alice@acme.test"]}, name="R")
    gate = {"approvers": {"quorum": 1, "roles": ["R"]}}
    policy = acme.document("ApprovalPolicy", gate, project="Web", action="feature_flag.enable")
    repo = applied(world, {"all.yaml": [role, *flags("a")]})
    state = repo.sandbox.state()
    state["organizations"][0]["roles"] = []
    repo.sandbox.reset(state)
    role["spec"]["members"] = ["bob@acme.test"]
    committed(repo, "all.yaml", role, policy, *flags("a", "b"))

    done = repo.run("apply", "--yes", "--continue", "--format", "json")

    rows = {row["address"].split("/")[-1]: row["outcome"] for row in done.json["results"]}
    assert 4 == done.code
    assert "refused" == rows["R"] == rows["feature_flag.enable"]


def test_a_plan_tells_the_refusal_once_for_all_that_it_concerns(world):
    """Not seven times the same four sentences."""
    names = [f"f{n}" for n in range(8)]
    repo = applied(world, {"flags.yaml": flags(*names)})
    committed(repo, "flags.yaml", *flags("f7"))

    plan = repo.run("plan")

    assert 4 == plan.code
    assert 1 == plan.out.count("--confirm-deletes 7")
    assert "FeatureFlag/acme/Web/f4 and 2 more would be deleted: removed from the files" in plan.out


@pytest.mark.parametrize("settings", [SETTINGS.format(most=5, percent=20), None])
def test_a_part_of_the_files_deletes_nothing_that_another_part_declares(world, settings):
    """A document that moved to a file which this run does not read has not left."""
    everywhere = acme.flag("e", 10)
    del everywhere["metadata"]["project"]
    everywhere["metadata"]["projects"] = ["*"]
    files = {"config/a.yaml": flags("a", "b", "c", "e"), "config/z.yaml": flags("z")}
    repo = applied(world, files, settings=settings)
    repo.write("config/z.yaml", *flags("b", "z"), everywhere)
    committed(repo, "config/a.yaml", *flags("a"))

    plan = repo.run("plan", "config/a.yaml", "--format", "json").json

    assert [("FeatureFlag/acme/Web/c", "delete")] == [
        (change["address"], change["action"]) for change in plan["changes"]
    ]
    assert [] == plan["unmanaged"]


def test_what_another_tool_took_over_is_not_deleted_when_it_leaves_the_files(world):
    """Its tag says who manages it now."""
    repo = applied(world, {"a.yaml": flags("a", "b", "c")})
    state = repo.sandbox.state()
    for flag in state["organizations"][0]["projects"][0]["feature_flags"]:
        if flag["key"] == "b":
            flag["tags"] = ["iac:flag:b"]
    repo.sandbox.reset(state)
    committed(repo, "a.yaml", *flags("a"))

    plan = repo.run("plan", "--format", "json").json

    assert ["FeatureFlag/acme/Web/c"] == [change["address"] for change in plan["changes"]]
    assert "left-to-other-tools" in [finding["code"] for finding in plan["findings"]]


def test_a_slip_in_the_organization_deletes_nothing(world):
    """Every document means another one then: the key sees none of that name."""
    settings = SETTINGS.format(most=100, percent=100)
    role = acme.document("Role", {"members": []}, name="R")
    repo = applied(world, {"config/a.yaml": [role, *flags("a", "b")]}, settings=settings)
    text = (repo.folder / "config/a.yaml").read_text().replace("acme", "acmee")
    committed(repo, "config/a.yaml", text)

    done = repo.run("apply", "--yes", "--confirm-deletes", "3", "--continue")

    assert 1 == done.code
    assert [] == repo.sandbox.writes()


def test_what_left_the_files_can_be_selected_and_excluded(world):
    """By the address that it had."""
    repo = applied(world, {"a.yaml": flags("a", "b", "c", "d")})
    committed(repo, "a.yaml", *flags("a", "b"))

    one = repo.run("plan", "--format", "json", "--select", "FeatureFlag/acme/Web/c").json
    rest = repo.run("plan", "--format", "json", "--exclude", "FeatureFlag/acme/Web/c").json

    assert ["FeatureFlag/acme/Web/c"] == [change["address"] for change in one["changes"]]
    assert ["FeatureFlag/acme/Web/d"] == [change["address"] for change in rest["changes"]]
    assert 1 == repo.run("plan", "--select", "FeatureFlag/acme/Web/nobody").code


def test_a_policy_that_goes_is_a_weakening_however_it_goes(world):
    """It left the files, or is pruned: the number alone does not let it through."""
    gate = acme.policy("feature_flag.enable")
    there = [acme.live_flag("a")]
    web = {"name": "Web", "id": 1, "approval_policies": [gate], "feature_flags": there}
    who = {"approvers": {"quorum": 1, "users": ["alice@acme.test"]}}
    mine = acme.document("ApprovalPolicy", who, project="Web", action="feature_flag.update")
    repo = applied(world, {"a.yaml": [mine, *flags("a", active=False)]}, projects=[web])

    assert {"policy-weakened": ["feature_flag.enable"]} == codes(repo, "--prune")
    refused(repo, "--prune", "--confirm-deletes", "1")
    committed(repo, "a.yaml", *flags("a", active=False))
    assert {"policy-weakened": ["feature_flag.update"]} == codes(repo)
    refused(repo, "--confirm-deletes", "1")
    assert 0 == repo.run("apply", "--yes", "--allow-weakening").code


def spoil(path, how):
    """Make one file of the working tree unusable."""
    texts = {
        "empty": "",
        "comments": "# all gone\n",
        "blank document": "---\n...\n",
        "broken": "kind: [",
        "unknown kind": "kind: FeatureFlagg\n",
        "pointer": "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "conflict markers": "<<<<<<< HEAD\nkind: Role\n=======\nkind: Member\n>>>>>>> x\n",
        "UTF-16": "kind: Role\n".encode("utf-16").decode("latin-1"),
    }
    path.unlink()
    if how == "link outside":
        path.symlink_to("/etc/hosts")
    elif how == "dangling link":
        path.symlink_to("nowhere.yaml")
    elif how == "pipe":
        os.mkfifo(path)
    else:
        path.write_text(texts[how], encoding="latin-1")


@pytest.mark.parametrize(
    "how",
    [
        "empty",
        "comments",
        "blank document",
        "broken",
        "unknown kind",
        "pointer",
        "conflict markers",
        "UTF-16",
        "link outside",
        "dangling link",
        "pipe",
    ],
)
def test_a_file_that_cannot_be_used_deletes_nothing(world, how):
    """Whatever happened to it: an error (1) before anything is asked, and a known base or not."""
    settings = SETTINGS.format(most=100, percent=100)
    files = {"config/a.yaml": flags("a", "b"), "config/c.yaml": flags("c")}
    repo = applied(world, files, settings=settings)
    spoil(repo.folder / "config/c.yaml", how)

    for options in ((), ("--prune",), ("--continue", "--confirm-deletes", "1")):
        done = repo.run("apply", "--yes", *options)

        assert 1 == done.code, done.out + done.err
    assert [] == repo.sandbox.requests()


@pytest.mark.parametrize("how", ["folder", "every file"])
def test_files_that_are_all_gone_delete_nothing(world, how):
    """A folder that is missing, or has no YAML left, is an error, not an empty configuration."""
    settings = SETTINGS.format(most=100, percent=100)
    repo = applied(world, {"config/a.yaml": flags("a", "b")}, settings=settings)
    (repo.folder / "config/a.yaml").unlink()
    if how == "folder":
        (repo.folder / "config").rmdir()

    done = repo.run("apply", "--yes", "--confirm-deletes", "2")

    assert 1 == done.code
    assert [] == repo.sandbox.requests()


@pytest.mark.parametrize(
    "command",
    [
        *("validate", "plan", "apply", "drift"),
        *("fleet plan --out", "fleet worker --repo", "pull --out", "plan --out", "plan --report"),
        *("ci run --report", "activity export --out", "undo HEAD --out"),
    ],
)
def test_an_empty_path_is_a_slip(world, command):
    """A variable that is not set: refused by the parser, not taken for the current folder."""
    done = world(acme.seed()).run(*command.split(), "")

    assert 64 == done.code
    assert "a path is empty" in done.err


@pytest.mark.parametrize("id_", ["", "../feature_flags/1", "\udce9", "a b"])
def test_what_cannot_be_an_id_is_not_sent(world, id_):
    """It would become a part of the path that is asked for."""
    repo = world(acme.seed())

    assert {64} == {repo.run("requests", verb, id_).code for verb in ("show", "wait", "approve")}
    assert [] == repo.sandbox.requests()
