"""`pull` through the console script: what it asks, what it writes, and what it leaves alone."""

import yaml

from tests import acme

FLAGS = """\
# Checkout: ask Alice before touching these.
kind: FeatureFlag
metadata: {organization: acme, project: Web, key: a}   # the old one
spec:
  name: 'a'        # shown in the list
  active: no-not-this
  filters:
    groups:
      # half of everybody
      - properties: []
        rollout_percentage:   10   # for now
---
kind: FeatureFlag
metadata:
    organization: acme
    project: Web
    key: b
spec:
    tags:
    - two    # why two
    - one
    active: false
""".replace("no-not-this", "false")


def flags(*rows):
    return {"name": "Web", "id": 1, "feature_flags": list(rows)}


def documents(repo, name):
    text = (repo.folder / name).read_text(encoding="utf-8")
    return {tuple(one["metadata"].values()): one for one in yaml.safe_load_all(text)}


def test_a_person_could_have_written_it(world):
    """Names, no defaults, one file for each collection, and a line for editors on top."""
    policy = acme.policy("feature_flag.enable", allow_self_approve=True)
    roles = [{"name": "Release managers", "members": ["bob@acme.test"]}]
    project = {**flags(acme.live_flag("a")), "approval_policies": [policy]}
    repo = world(acme.seed(projects=[project], roles=roles))

    done = repo.run("pull", "--out", "config")

    assert done.code == 0, done.err
    assert (repo.folder / "config/acme/Web/approval_policies.yaml").read_text() == (
        "# yaml-language-server: $schema=../../.schemas/resource.schema.json\n"
        "kind: ApprovalPolicy\n"
        "metadata: {organization: acme, project: Web, action: feature_flag.enable}\n"
        "spec:\n"
        "  approvers:\n"
        "    quorum: 1\n"
        "    users: [alice@acme.test, bob@acme.test]\n"
        "  allow_self_approve: true\n"
    )
    assert (repo.folder / "config/.schemas/resource.schema.json").is_file()
    assert "written    config/acme/Web/feature_flags.yaml  (1)" in done.out
    assert documents(repo, "config/acme/roles.yaml")["acme", "Release managers"]["spec"] == {
        "members": ["bob@acme.test"]
    }


def test_full_writes_defaults_too(world):
    """`--full`: every field that can be managed."""
    repo = world(acme.seed(projects=[flags(acme.live_flag("a"))]))

    repo.run("pull", "--full", "--kind", "FeatureFlag")

    spec = documents(repo, "acme/Web/feature_flags.yaml")["acme", "Web", "a"]["spec"]
    assert {"evaluation_runtime": "all", "tags": [], "archived": False}.items() <= spec.items()


def test_each_collection_is_listed_once_and_nothing_is_sent(world):
    """Organizations, then roles, members, projects; policies, flags and holdouts of projects."""
    repo = world(acme.seed())
    repo.sandbox.clear()

    repo.run("pull")

    asked = [(row["method"], row["path"], str(row["query"])) for row in repo.sandbox.requests()]
    assert {"GET"} == {method for method, _, _ in asked}
    # Archived flags are a separate list. Projects show settings themselves, and rules in two parts.
    assert len(asked) == len(set(asked)) == 1 + 3 + 2 * 7


def test_only_changed_values_are_rewritten(world):
    """Comments, quotes, spaces and order of what somebody wrote stay as they are."""
    a = acme.live_flag("a", 55, name="a: renamed")
    b = acme.live_flag("b", tags=["one", "three"], filters={"groups": []})
    repo = world(acme.seed(projects=[flags(a, b)]))
    repo.write("mine.yaml", FLAGS)

    done = repo.run("pull", "--kind", "FeatureFlag")
    again = repo.run("pull", "--kind", "FeatureFlag")

    text = (repo.folder / "mine.yaml").read_text(encoding="utf-8")
    first = text.partition("---\n")[0]
    expected = FLAGS.partition("---\n")[0]
    expected = expected.replace("'a' ", '"a: renamed" ').replace("  10  ", "  55  ")
    assert first == expected
    assert "- one\n    - three\n    active: false" in text
    assert "# why two" not in text
    assert "updated    mine.yaml  (2)" in done.out
    assert "unchanged  mine.yaml" in again.out
    assert not (repo.folder / "acme/Web/feature_flags.yaml").exists()
    assert repo.run("plan", "--detailed-exitcode").code == 0


def test_documents_are_found_by_address_where_they_stand(world):
    """What is declared in another file of the target is updated there, not declared twice."""
    repo = world(acme.seed(projects=[flags(acme.live_flag("a", 20), acme.live_flag("c"))]))
    repo.write("reconciler.yaml", "version: 1\ntargets: {main: {paths: [config]}}\n")
    repo.write("config/deep/one.yaml", acme.flag("a", 10), acme.flag("z"))

    done = repo.run("pull", "--kind", "FeatureFlag")

    assert done.code == 0, done.err
    found = documents(repo, "config/acme/Web/feature_flags.yaml")
    assert [("acme", "Web", "c")] == list(found)
    assert "rollout_percentage: 20" in (repo.folder / "config/deep/one.yaml").read_text()
    assert "not live: FeatureFlag/acme/Web/z (config/deep/one.yaml:" in done.err
    assert "unchanged" in repo.run("pull", "--kind", "FeatureFlag").out
    assert repo.run("validate").code == 0


def test_what_is_new_goes_where_a_first_pull_would_have_put_it(world):
    """First, in between, last: the file is the same as if it had been written at once."""
    names = ["a", "b", "c", "d", "e"]
    repo = world(acme.seed(projects=[flags(*map(acme.live_flag, ["b", "d"]))]))
    file = repo.folder / "acme/Web/feature_flags.yaml"
    repo.run("pull", "--kind", "FeatureFlag")
    repo.sandbox.reset(acme.seed(projects=[flags(*map(acme.live_flag, names))]))

    done = repo.run("pull", "--kind", "FeatureFlag")

    grown = file.read_bytes()
    file.unlink()
    repo.run("pull", "--kind", "FeatureFlag")
    assert "updated    acme/Web/feature_flags.yaml  (5)" in done.out
    assert grown == file.read_bytes()


def test_a_resource_of_its_own_file_has_a_safe_name(world):
    """`--layout resource`: no name leaves its folder, hides, or is taken for our settings."""
    names = ["../up", "a/b", ".hidden", "reconciler", "CON", "x" * 190, "é"]
    roles = [{"name": name, "members": []} for name in names]
    repo = world(acme.seed(roles=roles))

    done = repo.run("pull", "--layout", "resource", "--kind", "Role")

    found = sorted(path.name for path in (repo.folder / "acme/roles").iterdir())
    assert len(found) == len(names), done.out
    assert {"%2E.%2Fup.yaml", "a%2Fb.yaml", "%2Ehidden.yaml", "%72econciler.yaml"} <= set(found)
    assert {"%43ON.yaml", "%C3%A9.yaml"} <= set(found)
    assert "Valid: 7 resources" in repo.run("validate").out


def test_flags_of_another_tool_are_left_to_it(world):
    """A tag `iac:*` says whose a flag is; `--include-foreign` takes it all the same."""
    theirs = acme.live_flag("theirs", tags=["iac:flag:theirs"])
    repo = world(acme.seed(projects=[flags(acme.live_flag("a"), theirs)]))

    done = repo.run("pull")

    assert ("acme", "Web", "theirs") not in documents(repo, "acme/Web/feature_flags.yaml")
    assert "FeatureFlag/acme/Web/theirs" in done.err
    repo.run("pull", "--include-foreign")
    assert ("acme", "Web", "theirs") in documents(repo, "acme/Web/feature_flags.yaml")


def test_of_projects_of_one_name_the_oldest_is_declared_with_its_id(world):
    """The other is named on stderr; what was written plans as nothing."""
    others = {"name": "Web", "id": 9, "feature_flags": [acme.live_flag("other")]}
    repo = world(acme.seed(projects=[others, flags(acme.live_flag("a"))]))

    done = repo.run("pull")

    assert done.code == 0, done.err
    assert ("acme", "Web", 1) in documents(repo, "acme/projects.yaml")
    assert "id 9 is left out" in done.err
    assert list(documents(repo, "acme/Web/feature_flags.yaml")) == [("acme", "Web", "a")]
    assert repo.run("plan", "--detailed-exitcode").code == 0


def test_what_cannot_be_read_is_told_and_the_rest_is_pulled(world):
    """A key without a scope: 1, with the reason; files of everything else."""
    seed = acme.seed(projects=[flags(acme.live_flag("a"))])
    scopes = ["organization:read", "organization_member:read", "project:read", "feature_flag:read"]
    seed["users"][3]["tokens"][0]["scopes"] = scopes
    repo = world(seed)

    done = repo.run("pull")

    assert done.code == 1
    assert "error: ApprovalPolicy of acme/Web cannot be read" in done.err
    assert "approvals:read" in done.err
    assert ("acme", "Web", "a") in documents(repo, "acme/Web/feature_flags.yaml")


def test_what_overlays_and_selectors_declare_is_told_not_overwritten(world):
    """A document for many projects says nothing about one; an overlay wins anyway."""
    repo = world(acme.seed(projects=[flags(acme.live_flag("a", 30), acme.live_flag("b", 40))]))
    many = acme.flag("b", 10)
    many["metadata"]["projects"] = [many["metadata"].pop("project")]
    repo.write(
        "reconciler.yaml", "version: 1\ntargets: {main: {paths: [config], overlays: [over]}}\n"
    )
    repo.write("config/flags.yaml", acme.flag("a", active=False), many)
    repo.write("over/flags.yaml", acme.flag("a", 20))
    before = (repo.folder / "over/flags.yaml").read_bytes()

    done = repo.run("pull", "--kind", "FeatureFlag")

    assert done.code == 0, done.err
    assert "`filters` differs from the live value, but an overlay writes it" in done.err
    assert "which is for several projects" in done.err
    assert before == (repo.folder / "over/flags.yaml").read_bytes()
    assert not (repo.folder / "config/acme").exists()


def test_ignored_fields_and_absent_resources_stay_as_they_are(world):
    """`lifecycle.ignore` and `state: absent` are what somebody meant."""
    a, b = acme.flag("a", 10, active=True), acme.flag("b")
    a["metadata"]["lifecycle"] = {"ignore": ["filters.groups[0].rollout_percentage", "tags"]}
    b["metadata"]["lifecycle"] = {"state": "absent"}
    live = acme.live_flag("a", 90, tags=["x"], active=False)
    repo = world(acme.seed(projects=[flags(live, acme.live_flag("b"))]))
    repo.write("flags.yaml", a, b)

    done = repo.run("pull", "--kind", "FeatureFlag")

    text = (repo.folder / "flags.yaml").read_text(encoding="utf-8")
    assert done.code == 0, done.err
    assert "rollout_percentage: 10" in text
    assert "tags" not in text.partition("spec:")[2]
    assert "active: false" in text
    assert "state: absent" in text


def test_what_is_asked_for_has_to_be_there(world):
    """An unknown organization or project: 1, with the nearest; an unknown kind: 64."""
    repo = world(acme.seed())

    assert 'did you mean "acme"?' in repo.run("pull", "--organization", "acmee").err
    assert 'did you mean "Mobile"?' in repo.run("pull", "--project", "Mobil").err
    assert repo.run("pull", "--project", "Mobil").code == 1
    assert repo.run("pull", "--kind", "Flag").code == 64
    assert repo.run("pull", "--project", "Mobile", "--kind", "Project").code == 0
    assert list(documents(repo, "acme/projects.yaml")) == [("acme", "Mobile")]


def test_what_happened_as_json(world):
    """The same as data, for scripts."""
    repo = world(acme.seed(projects=[flags(acme.live_flag("a"))]))

    found = repo.run("pull", "--format", "json").json

    rows = {row["path"]: row for row in found["files"]}
    assert rows["acme/Web/feature_flags.yaml"]["action"] == "written"
    assert found["missing"] == found["left_out"] == found["unreadable"] == []


HAND = """\
# head\r
kind: FeatureFlag  # the flag\r
metadata: {organization: acme, project: Web, key: a}   # id\r
spec:\r
  # about the name\r
  name: "a"   # trailing\r
\r
  active: true # wrong\r
  filters:\r
    groups:\r
    # first group\r
    - properties: [] # none\r
      rollout_percentage: 99   # pct\r
      description: hi # d\r
  tags: # tags\r
    - x # gone\r
    - y\r
# tail\r
---   # marker\r
kind: Role\r
metadata: {organization: acme, name: keepers}\r
spec:\r
  members:\r
    # alice first\r
    - "ALICE@acme.test"  # quoted\r
    - bob@acme.test   # gone\r
"""


def test_what_somebody_wrote_by_hand_is_pulled_over_and_plans_as_nothing(world):
    """Comments, other spellings, other line ends: only what differs from live is another."""
    roles = [{"name": "Keepers", "members": ["alice@acme.test"]}]
    repo = world(acme.seed(projects=[flags(acme.live_flag("a"))], roles=roles))
    (repo.folder / "mine.yaml").write_bytes(HAND.encode())

    done = repo.run("pull", "--kind", "FeatureFlag", "--kind", "Role")

    expected = (
        HAND.replace("true # wrong", "false # wrong")
        .replace("99 ", "10 ")
        .replace("      description: hi # d\r\n", "")
        .replace("tags: # tags\r\n    - x # gone\r\n    - y\r\n", "tags: [] # tags\r\n")
        .replace("name: keepers", "name: Keepers")
        .replace("    - bob@acme.test   # gone\r\n", "")
    )
    assert done.code == 0, done.err
    assert done.err == ""
    assert (repo.folder / "mine.yaml").read_bytes().decode() == expected
    assert repo.run("validate").code == 0
    assert repo.run("plan", "--detailed-exitcode").code == 0
    again = repo.run("pull", "--kind", "FeatureFlag", "--kind", "Role")
    assert "0 files written, 0 updated" in again.out


def test_what_is_not_written_is_said_in_lines_of_its_own(world):
    """With what to do about it."""
    repo = world(acme.seed(projects=[flags(acme.live_flag("a", 55))]))
    document = acme.flag("a", 10)
    document["metadata"]["projects"] = [document["metadata"].pop("project")]
    repo.write("a.yaml", document)
    done = repo.run("pull", "--kind", "FeatureFlag")

    assert "which is for several projects\n  fix: change that document" in done.err


def test_a_name_that_looks_like_one_of_the_files_is_left_out_each_time(world):
    """Also by a second pull, when the other one is declared already."""
    live = [{"name": name, "members": []} for name in ("Caf\u00e9", "Cafe\u0301", "Plain")]
    repo = world(acme.seed(roles=live))
    first = repo.run("pull", "--kind", "Role")
    before = (repo.folder / "acme/roles.yaml").read_bytes()
    again = repo.run("pull", "--kind", "Role")

    assert "looks like another one" in first.err
    assert "looks like another one" in again.err
    assert before == (repo.folder / "acme/roles.yaml").read_bytes()
    assert repo.run("validate").code == 0


def test_a_value_that_no_file_may_hold_is_left_out_of_those_that_are_there_too(world):
    """A key that somebody pasted into a flag does not get into git; the rest is pulled."""
    repo = world(acme.seed(projects=[flags(acme.live_flag("a"), acme.live_flag("b"))]))
    repo.run("pull", "--kind", "FeatureFlag")
    file = repo.folder / "acme/Web/feature_flags.yaml"
    before = file.read_text(encoding="utf-8")
    pasted = "phx_" + "a1B2" * 8
    rows = (
        acme.live_flag("a", name=pasted),
        acme.live_flag("b", 55),
        acme.live_flag("c", name=pasted),
    )
    repo.sandbox.reset(acme.seed(projects=[flags(*rows)]))

    done = repo.run("pull", "--kind", "FeatureFlag")

    assert done.code == 0, done.err
    assert done.err.count("looks like a secret key of PostHog") == 2
    after = file.read_text(encoding="utf-8")
    assert after == "55".join(before.rsplit("10", 1))
    assert repo.run("validate").code == 0
