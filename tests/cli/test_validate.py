"""`validate` as a person and as a code host meets it; `--live` against the sandbox."""

# ruff: noqa: E501  calls read better in one line each

import copy
import json
import os
from pathlib import Path

import pytest
import yaml

from reconciler.cli.main import run
from reconciler.config.lint.codes import LIVE
from tests import acme, factories

ROOT = Path(__file__).parent.parent.parent
BAD = "kind: Role\nmetadata: {organization: acme, name: A}\nspec: {member: []}\n"
ODD = {
    "kind": "ApprovalPolicy",
    "metadata": {"organization": "acme", "project": "Web", "action": "feature_flag.delete"},
    "spec": {"approvers": {"quorum": 1, "users": ["alice@acme.test"]}},
}


def policy(quorum=1, users=("alice@acme.test",), roles=(), **changes):
    """A policy document."""
    approvers = {"quorum": quorum, "users": list(users), "roles": list(roles)}
    spec = {"approvers": approvers, **changes}
    return acme.document("ApprovalPolicy", spec, project="Web", action="feature_flag.update")


@pytest.fixture
def repository(world):
    """Outside git, beside the small world."""
    return world(acme.seed())


def codes(done):
    """What the JSON report says."""
    return [(row["code"], row["severity"]) for row in done.json]


def test_nothing_is_asked_offline_and_no_key_is_needed(repository):
    """Warnings do not fail."""
    repository.write("a.yaml", ODD)
    repository.sandbox.clear()
    done = repository.run("validate", POSTHOG_API_KEY="")

    assert (done.code, done.out) == (0, "Valid: 1 resource, 1 warning.\n")
    assert "R020" in json.dumps(repository.run("validate", "--format", "json").json)
    assert repository.sandbox.requests() == []


def test_what_is_silenced_is_counted(repository):
    """And said by nobody."""
    silent = {**ODD, "metadata": {**ODD["metadata"], "silence": [{"check": "R020", "reason": "x"}]}}
    repository.write("a.yaml", silent)
    done = repository.run("validate")

    assert (done.code, done.out, done.err) == (0, "Valid: 1 resource, 1 silenced.\n", "")


def test_all_errors_come_at_once_sorted_by_place(repository):
    """Errors and warnings, whatever the file."""
    repository.write("b.yaml", BAD)
    repository.write("a.yaml", ODD, {"kind": "Rolle"})
    done = repository.run("validate", "--format", "json")

    assert done.code == 1
    assert [row["source"]["file"] for row in done.json] == ["a.yaml", "a.yaml", "b.yaml"]
    assert {"R003", "R004", "R020"} == {row["code"] for row in done.json}
    assert any("Role" in row["fix"] for row in done.json)


@pytest.mark.parametrize(("choice", "coloured"), [("always", True), ("never", False), ("auto", False)])  # fmt: skip
def test_colour_is_decided_for_the_stream_it_goes_to(repository, choice, coloured):
    """Findings go to stderr."""
    repository.write("a.yaml", ODD)
    done = repository.run("--color", choice, "validate")

    assert ("\x1b[" in done.err) is coloured
    assert "\x1b[" not in done.out


def test_annotations_name_files_from_the_root_of_the_repository(repository):
    """Wherever the command runs."""
    repository.write("config/a.yaml", BAD)
    repository.commit()
    done = repository.run("validate", "config", "--format", "github")
    expected = "::error file=config/a.yaml,line=3,col=8,title=R004 Role/acme/A::"

    assert done.code == 1
    assert done.out.startswith(expected)
    repository.folder /= "config"
    assert repository.run("validate", "--format", "github").out.startswith(expected)


def test_reports_of_nothing_are_reports(repository):
    """A code host clears what it showed before."""
    repository.write("a.yaml", policy())

    assert repository.run("validate", "--format", "gitlab").json == []
    assert repository.run("validate", "--format", "sarif").json["runs"][0]["results"] == []
    assert repository.run("validate", "--format", "github").out == ""
    assert repository.run("validate", "--format", "json").json == []


def test_a_file_that_is_not_there_is_an_error_in_every_format(repository):
    """Never an empty report."""
    for name in ("text", "json", "github", "gitlab", "sarif"):
        done = repository.run("validate", "nowhere.yaml", "--format", name)

        assert done.code == 1
        assert "nowhere.yaml" in done.out + done.err


@pytest.mark.parametrize("form", ["json", "gitlab", "sarif", "github", "text"])
def test_a_file_whose_name_is_no_text_makes_no_report_unreadable(repository, form):
    """Half characters are refused by many readers of JSON."""
    name = os.fsdecode(b"\xf0\x9f\x98\x80 bad\xff.yaml")
    (repository.folder / name).write_text(BAD, encoding="utf-8")
    done = repository.run("validate", "--format", form)
    told = done.out + done.err

    assert done.code == 1
    assert "no field" in told
    if form in {"json", "gitlab", "sarif"}:
        told = json.dumps(json.loads(done.out), ensure_ascii=False)
    assert told.encode("utf-8")


def test_live_says_nothing_of_what_is_sound_and_only_reads(repository):
    """GET requests only, few of them."""
    repository.write("a.yaml", policy(), acme.flag("a", 10))
    repository.sandbox.clear()
    done = repository.run("validate", "--live", "--format", "json")
    asked = repository.sandbox.requests()

    assert (done.code, done.json) == (0, []), done.err
    assert {row["method"] for row in asked} == {"GET"}
    assert len(asked) <= 8


def test_live_a_name_that_nobody_has_is_an_error_at_its_place(repository):
    """With those there are."""
    repository.write("a.yaml", policy(users=["alise@acme.test"], roles=["Nobody"]))
    done = repository.run("validate", "--live", "--format", "json")
    unknown = [row for row in done.json if row["code"] == "R030"]

    assert done.code == 1
    assert {"error"} == {row["severity"] for row in unknown}
    assert any("alice@acme.test" in row["fix"] for row in unknown)
    assert all(row["source"]["line"] > 1 for row in unknown)


@pytest.mark.parametrize(
    ("document", "reachable"),
    [
        (policy(2, ["alice@acme.test", "bob@acme.test"]), True),
        (policy(2, ["alice@acme.test", "ci@acme.test"]), False),  # the key's user asks
        (policy(2, ["alice@acme.test", "ci@acme.test"], allow_self_approve=True), True),
        (policy(1, ["ci@acme.test"]), False),
        (policy(1, ["ci@acme.test"], enabled=False), True),  # gates nothing
    ],
)
def test_live_a_quorum_is_counted_over_who_can_really_approve(repository, document, reachable):
    """Without the user of this key, who files the request."""
    repository.write("a.yaml", document)
    done = repository.run("validate", "--live", "--format", "json")

    assert (("R031", "warning") not in codes(done)) is reachable
    assert done.code == 0


def test_live_roles_count_as_the_files_leave_them(repository):
    """Not as they are."""
    role = acme.document("Role", {"members": ["bob@acme.test", "carol@acme.test"]}, name="Keepers")
    repository.write("a.yaml", role, policy(2, [], ["Keepers"]))

    assert ("R031", "warning") not in codes(repository.run("validate", "--live", "--format", "json"))  # fmt: skip


def test_live_an_organization_without_approvals_is_said_once(world):
    """Its policies gate nothing."""
    repository = world(acme.seed(features=["audit_logs"]))
    other = acme.document("ApprovalPolicy", policy()["spec"], project="Mobile", action="feature_flag.update")  # fmt: skip
    repository.write("a.yaml", policy(), other)

    assert codes(repository.run("validate", "--live", "--format", "json")) == [("R032", "warning")]


def test_live_a_member_s_key_cannot_write_policies(world):
    """But flags, perhaps."""
    seed = acme.seed()
    seed["organizations"][0]["members"][3]["level"] = "member"
    repository = world(seed)
    repository.write("a.yaml", policy())
    done = repository.run("validate", "--live", "--format", "json")

    assert ("R034", "error") in codes(done)
    repository.write("a.yaml", acme.flag("a", 10))
    assert codes(repository.run("validate", "--live", "--format", "json")) == []


def test_live_what_could_not_be_created_is_an_error(repository):
    """A flag without release conditions, a member who has not joined."""
    member = acme.document("Member", {"level": "admin"}, email="zed@acme.test")
    repository.write("a.yaml", acme.flag("a"), member)
    done = repository.run("validate", "--live", "--format", "json")

    assert codes(done) == [("R035", "error")] * 2


def test_live_what_the_key_cannot_read_is_an_error_that_names_the_scope(world):
    """Nothing can be said about it."""
    seed = acme.seed()
    seed["users"][3]["tokens"] = [{"token": "phx_ci", "scopes": ["organization:read"]}]
    repository = world(seed)
    repository.write("a.yaml", acme.flag("a"))
    done = repository.run("validate", "--live", "--format", "json")

    assert ("R033", "error") in codes(done)
    assert "feature_flag:read" in done.out


def keyed(*scopes):
    """The small world, with a key that has these scopes."""
    seed = acme.seed()
    seed["users"][3]["tokens"] = [{"token": "phx_ci", "scopes": list(scopes)}]
    return seed


def test_live_people_that_cannot_be_read_are_one_error_and_not_strangers(world):
    """Nobody says that alice is unknown only because the key may not look."""
    repository = world(keyed("organization:read", "approvals:read", "project:read"))
    repository.write("a.yaml", policy())
    done = repository.run("validate", "--live", "--format", "json")

    assert [("R033", "error"), ("R034", "error")] == sorted(codes(done))
    assert "organization_member:read" in done.out


def test_live_a_key_that_may_only_read_is_an_error_that_names_the_scope(world):
    """Reading works, so nothing else would tell before the first write."""
    repository = world(keyed("organization:read", "feature_flag:read", "user:read"))
    repository.write("a.yaml", acme.flag("a", 10))
    done = repository.run("validate", "--live", "--format", "json")

    assert codes(done) == [("R034", "error")]
    assert done.json[0]["message"] == "the key lacks the scope feature_flag:write"
    enough = world(keyed("organization:read", "feature_flag:write", "user:read"))
    assert enough.run("validate", "--live").code == 0


def test_live_a_server_that_does_not_tell_the_scopes_is_said_and_fails_nothing(repository):
    """Reading proves nothing about writing."""
    repository.write("a.yaml", acme.flag("a", 10))
    rule = {"match": {"route": "personal_api_keys", "hit": "every"}, "effect": {"status": 404}}
    repository.sandbox.call("POST", "/_sandbox/faults", {"faults": [rule]})
    done = repository.run("validate", "--live")

    assert (done.code, done.out) == (0, "Valid: 1 resource.\n")
    assert "does not report the scopes of the key" in done.err
    assert "feature_flag:write" in done.err


def test_live_selectors_are_compared_with_every_project_there_is(repository):
    """Declared or live; the offline guess about them is left out."""
    flag = acme.flag("a", 10)
    del flag["metadata"]["project"]
    project = acme.document("Project", {}, name="New")
    flag["metadata"]["projects"] = ["New", "Mobile", "!Wep"]
    repository.write("a.yaml", flag, project)
    offline = repository.run("validate", "--format", "json")
    live = repository.run("validate", "--live", "--format", "json")

    assert codes(offline) == [("R013", "warning")] * 2
    assert codes(live) == [("R036", "warning")]
    assert live.json[0]["fix"] == 'did you mean "!Web"?'


def test_live_findings_are_silenced_like_others_and_unused_silences_show(repository):
    """Now that somebody can tell."""
    document = policy(1, ["ci@acme.test"])
    document["metadata"]["silence"] = [
        {"check": "R031", "reason": "a second key files them"},
        {"check": "R032", "reason": "just in case"},
    ]
    repository.write("a.yaml", document)
    done = repository.run("validate", "--live", "--format", "json")

    assert codes(done) == [("R025", "warning")]
    assert "R032" in done.json[0]["message"]


def test_live_errors_of_the_files_come_first_and_nothing_is_asked(repository):
    """What cannot be read cannot be compared."""
    repository.write("a.yaml", BAD)
    repository.sandbox.clear()
    done = repository.run("validate", "--live")

    assert (done.code, repository.sandbox.requests()) == (1, [])


def everywhere():
    """A flag for projects that nobody has."""
    flag = acme.flag("a", 10)
    del flag["metadata"]["project"]
    flag["metadata"]["projects"] = ["Wep"]
    return flag


def lived(key, **flag):
    """A world with one flag."""
    flags = [acme.live_flag(key, **flag)]
    return factories.seed(*flags)


LIVE_FOUND = {
    "R030": (acme.seed(), policy(users=["alise@acme.test"])),
    "R031": (acme.seed(), policy(2)),
    "R032": (acme.seed(features=["audit_logs"]), policy()),
    "R033": (keyed("organization:read", "user:read"), acme.flag("a", 10)),
    "R034": (keyed("organization:read", "feature_flag:read", "user:read"), acme.flag("a", 10)),
    "R035": (acme.seed(), acme.flag("a")),
    "R036": (acme.seed(), everywhere()),
    "R037": (lived("new-checkout"), acme.flag("new_checkout", 10)),
    "R038": (lived("on", active=True), acme.flag("on", archived=True)),
}


def test_every_live_check_is_here():
    """A new one needs its line."""
    assert set(LIVE_FOUND) == LIVE


@pytest.mark.parametrize("code", LIVE_FOUND)
def test_live_each_check_finds_something_and_is_silent_where_the_resource_says_why(world, code):
    """Under its own code."""
    seed, document = LIVE_FOUND[code]
    repository = world(seed)
    repository.write("a.yaml", document)
    loud = repository.run("validate", "--live", "--format", "json")
    document = copy.deepcopy(document)
    document["metadata"]["silence"] = [{"check": code, "reason": "it is meant"}]
    repository.write("a.yaml", document)
    silent = repository.run("validate", "--live", "--format", "json")

    assert code in {found for found, _ in codes(loud)}
    assert code not in {found for found, _ in codes(silent)}
    assert "R025" not in {found for found, _ in codes(silent)}


@pytest.mark.parametrize(
    "digits", ["9" * 4301, "-" + "9" * 4301, "0" + "9" * 4301, "1_" + "9" * 4301]
)
@pytest.mark.parametrize("form", ["{}", '"{}"', "{}%", "{}.5", "\u00b2{}"])
def test_a_number_of_any_length_is_an_error_with_its_place(
    tmp_path, capsys, monkeypatch, digits, form
):
    """Python refuses to convert more than 4,300 digits; no value may end the program."""
    monkeypatch.chdir(tmp_path)
    text = "kind: FeatureFlag\nmetadata: {{organization: o, project: p, key: k}}\nspec:\n"
    text += "  filters: {{groups: [{{properties: [], rollout_percentage: {0}}}]}}\n"
    (tmp_path / "f.yaml").write_text(text.format(form.format(digits)), encoding="utf-8")

    assert 1 == run(["validate", "f.yaml"])
    assert "f.yaml:4:59: " in capsys.readouterr().err


def test_every_target_is_validated_without_a_name(repository):
    """What several share is reported once; --target chooses one."""
    repository.write(
        "reconciler.yaml",
        "version: 1\ntargets: {dev: {paths: [all]}, prod: {paths: [all], overlays: [prod]}}\n",
    )
    repository.write("all/flags.yaml", acme.flag("a", 10))
    repository.write("prod/flags.yaml", acme.flag("a", 20))
    good = repository.run("validate")
    assert (0, "Valid: 2 resources of 2 targets.\n") == (good.code, good.out), good.err
    assert "Valid: 1 resource.\n" == repository.run("validate", "--target", "prod").out
    assert 0 == repository.run("validate", "--live").code

    repository.write("prod/flags.yaml", acme.flag("a", activ=True))
    bad = repository.run("validate")
    assert (1, 1) == (bad.code, bad.err.count('has no field "activ"'))
    assert 0 == repository.run("validate", "--target", "dev").code
    repository.write("all/more.yaml", acme.flag("b", activ=True))
    rows = repository.run("validate", "--format", "json").json
    assert ["all/more.yaml", "prod/flags.yaml"] == [row["source"]["file"] for row in rows]


def test_the_hook_checks_every_target_or_one(world):
    """pre-commit puts `args` behind the command, where people write options, too."""
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    program, *words = hooks[0]["entry"].split()
    assert ("reconciler", False) == (program, hooks[0]["pass_filenames"])
    repo = world(acme.seed())
    repo.write("good/flags.yaml", acme.flag("a", 10))
    repo.write("bad/roles.yaml", BAD)
    repo.write("reconciler.yaml", "version: 1\ntargets: {a: {paths: [good]}, b: {paths: [bad]}}\n")

    codes = [repo.run(*words, *args, token="").code for args in ([], ["--target", "a"])]

    assert [1, 0] == codes


@pytest.mark.parametrize("key", ["paths", "overlays"])
def test_a_path_of_the_settings_that_is_missing_is_reported_where_it_is_written(repository, key):
    """Not at line 1 of a file that does not exist; all of them at once."""
    repository.write("config/flags.yaml", acme.flag("a"))
    lists = {"paths": "[config, nowhere]", "overlays": "[]"}
    if key == "overlays":
        lists = {"paths": "[config]", "overlays": "[nowhere]"}
    text = f"    paths: {lists['paths']}\n    overlays: {lists['overlays']}\n"
    repository.write("reconciler.yaml", f"version: 1\ntargets:\n  acme:\n{text}")

    done = repository.run("validate")

    place = "4:21" if key == "paths" else "5:16"
    assert 1 == done.code
    assert f"reconciler.yaml:{place}: `{key}`: no such file or folder: nowhere" in done.err
    assert f"    {key}: {lists[key]}" in done.err, "the line is shown"
