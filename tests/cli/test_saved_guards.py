"""Saved plans: guardrails hold as for any plan, and nobody gets anything past them in a file."""

import json

import pytest

from tests import acme
from tests.cli.saved import apply, edit_flag, live, outcomes, resealed, save, seed


def absent(document):
    document["metadata"]["lifecycle"] = {"state": "absent"}
    return document


# --- guardrails ---


def based(world, *before, flags=None, **changes):
    """A repository whose first commit declares these, all of them live."""
    keys = [document["metadata"].get("key") for document in before]
    repo = world(seed(*(flags or map(acme.live_flag, filter(None, keys))), **changes))
    repo.write("all.yaml", *before)
    repo.commit("first")
    return repo


def test_deletes_over_the_limit_need_their_exact_number(world):
    """4 without it and with another, before anything is written; also for what is left of them."""
    names = [f"f{n}" for n in range(8)]
    repo = based(world, *(acme.flag(name, 10) for name in names))
    repo.write("all.yaml", acme.flag("f0", 10))
    repo.commit("fewer")
    save(repo, "--base", "HEAD~1")

    assert [4, 4] == [apply(repo).code, apply(repo, "--confirm-deletes", "6").code]
    assert [] == repo.sandbox.writes()
    edit_flag(repo, "f5", deleted=True)
    assert 0 == apply(repo, "--confirm-deletes", "7").code
    assert 6 == len(repo.sandbox.writes())
    assert 0 == apply(repo, "--confirm-deletes", "7").code
    assert [live(repo, "f0")["key"]] == ["f0"]


def test_the_share_of_a_kind_counts_all_that_is_live_though_few_are_read(world):
    """3 of 12 live flags are 25 %: over the limit, and only 3 were looked at again."""
    flags = [acme.live_flag(f"f{n:02}") for n in range(12)]
    declared = [acme.flag(f"f{n:02}", 10) for n in range(12)]
    repo = based(world, *declared, flags=flags)
    repo.write("all.yaml", *declared[3:])
    repo.commit("fewer")
    save(repo, "--base", "HEAD~1")

    done = apply(repo)

    assert 4 == done.code
    assert "25 %" in done.err
    assert 0 == apply(repo, "--confirm-deletes", "3").code


def test_a_project_goes_only_by_its_address(world):
    repo = world(seed(more=[{"name": "Scratch", "id": 3}]))
    repo.write("all.yaml", absent(acme.document("Project", {}, name="Scratch")))
    save(repo)

    assert 4 == apply(repo).code
    assert [] == repo.sandbox.writes()
    assert 0 == apply(repo, "--allow-destroy", "Project/acme/Scratch").code
    assert 0 == apply(repo, "--allow-destroy", "Project/acme/Scratch").code


def test_a_weakening_needs_its_word_and_goes_alone(world):
    policy = acme.policy("feature_flag.disable")
    repo = world(seed(policies=[{**policy, "allow_self_approve": False}]))
    weaker = acme.document(
        "ApprovalPolicy",
        {"allow_self_approve": True},
        project="Web",
        action="feature_flag.disable",
    )
    repo.write("all.yaml", weaker)
    save(repo)

    assert 4 == apply(repo).code
    assert [] == repo.sandbox.writes()
    assert 0 == apply(repo, "--allow-weakening").code


@pytest.mark.parametrize(("prefer", "rollout"), [("git", 50), ("live", 33)])
def test_a_conflict_is_decided_at_the_apply(world, prefer, rollout):
    """4 without --prefer; what was looked at stays what is done, or is left."""
    repo = based(world, acme.flag("a", 10), flags=[acme.live_flag("a", 33)])
    repo.write("all.yaml", acme.flag("a", 50))
    repo.commit("second")
    save(repo, "--base", "HEAD~1")

    assert 4 == apply(repo).code
    assert [] == repo.sandbox.writes()
    assert 0 == apply(repo, "--prefer", prefer).code
    assert rollout == live(repo, "a")["filters"]["groups"][0]["rollout_percentage"]


def test_the_base_is_the_plans_own(world):
    """Whatever ref has moved since; and a clone without it is an error, not a plan without one."""
    repo = based(world, acme.flag("a", 10), acme.flag("b", 10))
    repo.write("all.yaml", acme.flag("a", 50))
    repo.commit("second")
    save(repo, "--base", "HEAD~1")
    shallow = repo.folder.parent / "shallow"
    repo.git("clone", "-q", "--depth", "1", f"file://{repo.folder}", str(shallow))
    (shallow / "plan.json").write_bytes((repo.folder / "plan.json").read_bytes())

    home, repo.folder = repo.folder, shallow
    cut = apply(repo)
    assert 1 == cut.code
    assert "fetch-depth: 0" in cut.err

    repo.folder = home
    assert 0 == apply(repo).code
    assert live(repo, "b") is None


def test_a_clean_apply_of_a_whole_plan_moves_the_base(world):
    """As any clean apply; not one of a part."""
    repo = based(world, acme.flag("a", 10), acme.flag("b", 10))
    repo.write("all.yaml", acme.flag("a", 50), acme.flag("b", 50))
    repo.commit("second")
    ref = repo.folder / ".git" / "refs" / "reconciler" / "applied" / "default"

    save(repo, "--select", "FeatureFlag/acme/Web/a")
    assert 0 == apply(repo).code
    assert not ref.exists()
    save(repo)
    assert 0 == apply(repo).code
    assert (
        ref.read_text().strip()
        == json.loads((repo.folder / "plan.json").read_text())["basis"]["commit"]
    )


# --- plans that were rewritten by somebody who knows how they are sealed ---


def change(**fields):
    return lambda document: document["changes"][0].update(fields)


def desired(document):
    document["changes"][0]["fields"][0]["desired"] = 100


def unseen(document):
    """As if the plan had been made when the flag was as it is now."""
    document["basis"]["before"] = []


def of_another(document):
    document["changes"][0]["live_id"] = "2"
    document["basis"]["before"][0]["id"] = "2"


def into_a_delete(document):
    document["changes"][0].update(action="delete", fields=[])


def no_gate(document):
    document["changes"][0]["gate"].update(verdict="none", policy=None, quorum=None)
    document["basis"]["policies"] = []


def elsewhere(document):
    document["target"]["host"] = "http://127.0.0.1:9"


def another_project(document):
    document["basis"]["organizations"]["acme"]["projects"]["Web"] = ["2"]


def other_files(document):
    document["basis"]["selection"]["paths"] = ["../evil.yaml"]


def no_conflict(document):
    document["changes"][0]["fields"][0]["cause"] = "intent"


def more(document):
    row = {**document["changes"][0], "address": "FeatureFlag/acme/Web/b"}
    document["changes"].append(row)


REWRITTEN = [
    desired,
    unseen,
    of_another,
    into_a_delete,
    elsewhere,
    another_project,
    other_files,
    no_conflict,
    more,
    change(action="create", live_id=None),
    change(address="FeatureFlag/acme/Web/z"),
    change(address="FeatureFlag/acme/Nowhere/a"),
    change(live_fingerprint=None, address="Role/acme/R"),
]


def test_a_plan_that_says_something_else_than_the_files_is_refused(world):
    """Whatever it says and however well it is sealed: 4, and nothing is written."""
    repo = based(
        world,
        acme.flag("a", 10),
        flags=[acme.live_flag("a", 33, id=1), acme.live_flag("b", id=2)],
    )
    repo.write("all.yaml", acme.flag("a", 50))
    repo.commit("second")
    (repo.folder.parent / "evil.yaml").write_text(json.dumps(acme.flag("a", 100)))
    path = save(repo, "--base", "HEAD~1")
    text = path.read_text()
    for number, rewrite in enumerate(REWRITTEN):
        path.write_text(text)
        resealed(path, rewrite)
        done = apply(repo, "--prefer", "git")

        assert 4 == done.code, (number, done.out + done.err)
        assert [] == repo.sandbox.writes(), number


def test_a_gate_that_was_taken_out_of_a_plan_is_asked_all_the_same(world):
    """PostHog decides, and what is live is forecast anew."""
    repo = world(seed(acme.live_flag("a"), policies=[acme.policy("feature_flag.update")]))
    repo.write("flags.yaml", acme.flag("a", 50))
    resealed(save(repo), no_gate)

    done = apply(repo)

    assert (3, {"a": "waiting"}) == (done.code, outcomes(done)), done.err


def test_guardrails_that_were_taken_out_of_a_plan_hold_all_the_same(world):
    repo = world(seed(more=[{"name": "Scratch", "id": 3}]))
    repo.write("all.yaml", absent(acme.document("Project", {}, name="Scratch")))
    resealed(save(repo), lambda document: document.update(findings=[]))

    assert 4 == apply(repo).code


def test_an_order_that_was_taken_out_of_a_plan_is_kept_all_the_same(world):
    """The policy goes before the flag that it gates."""
    repo = world(seed(acme.live_flag("a")))
    policy = acme.document(
        "ApprovalPolicy",
        {"approvers": {"quorum": 1, "users": ["bob@acme.test"]}},
        project="Web",
        action="feature_flag.update",
    )
    repo.write("all.yaml", acme.flag("a", 50), policy)

    def reorder(document):
        document["changes"].reverse()
        for row in document["changes"]:
            row["depends_on"] = []

    resealed(save(repo), reorder)

    done = apply(repo)

    assert 3 == done.code, done.err
    assert {"a": "waiting", "feature_flag.update": "done"} == outcomes(done)


def test_a_plan_holds_no_payload_that_posthog_encrypts(world):
    """Neither what is wanted nor what is live; and the plan can be applied, by another key too."""
    secret = {
        "groups": [{"properties": [], "rollout_percentage": 10}],
        "payloads": {"true": '"hush"'},
    }
    remote = {"is_remote_configuration": True, "has_encrypted_payloads": True}
    repo = world(seed(acme.live_flag("b", filters=secret, **remote)))
    wanted = {**secret, "payloads": {"true": '"sesame"'}}
    repo.write("flags.yaml", acme.flag("a", filters=wanted, **remote), acme.flag("b", 50, **remote))
    text = save(repo).read_text()

    assert "hush" not in text
    assert "sesame" not in text
    done = apply(repo, token="phx_alice")
    assert 0 == done.code, done.err
    assert "sesame" in json.dumps(repo.sandbox.state())


# --- how it is asked for ---


def test_a_plan_stands_alone(world):
    """64, with what to do instead; nothing is contacted."""
    repo = world(seed(acme.live_flag("a")))
    repo.write("flags.yaml", acme.flag("a", 50))
    save(repo)
    for arguments in (
        ("plan.json", "flags.yaml"),
        ("flags.yaml", "plan.json"),
        ("plan.json", "plan.json"),
        ("plan.json", "--select", "FeatureFlag/*"),
        ("plan.json", "--exclude", "FeatureFlag/*"),
        ("plan.json", "--base", "HEAD"),
    ):
        done = repo.run("apply", "--yes", *arguments)

        assert 64 == done.code, arguments
        assert "saved plan" in done.err
        assert "fix:" in done.err
    assert [] == repo.sandbox.requests()


def test_a_plan_is_known_by_its_content(world):
    """Whatever it is called; and a resource file is one, whatever that is called."""
    repo = world(seed(acme.live_flag("a")))
    repo.write("sub/flags.yaml", acme.flag("a", 50))
    save(repo, "sub")
    for name in ("plan", "plan.yaml", "sub.yml"):
        (repo.folder / name).write_bytes((repo.folder / "plan.json").read_bytes())
        done = apply(repo, name=name)
        assert 0 == done.code, (name, done.err)
    for name, rollout in (("flags.json", 60), ("flags.conf", 70), ("format_version.yaml", 80)):
        (repo.folder / name).write_text(json.dumps(acme.flag("a", rollout)))
        assert 0 == repo.run("apply", name, "--yes").code
        assert rollout == live(repo, "a")["filters"]["groups"][0]["rollout_percentage"]


def test_what_is_no_plan_is_said_to_be_none(world):
    repo = world(seed())
    for content, word in (
        (b"", "json is not a saved plan"),
        (b"{}", "json is not a saved plan"),
        (b'{"format_version": "1.2", "terraform_version": "1.9.0"}', "json is not a saved plan"),
        (b"\xff\xfe{", "UTF-8"),
        (b"[" * 200_000, "json is not a saved plan"),
    ):
        (repo.folder / "plan.json").write_bytes(content)
        for command in (("apply", "plan.json", "--yes"), ("show", "plan.json")):
            done = repo.run(*command)

            assert 1 == done.code, done.err
            assert word in done.err
    assert [] == repo.sandbox.requests()


def test_flipped_and_cut_plans_are_refused_by_the_program_itself(world):
    """A sample of places; every byte and every length is tried on the reader alone."""
    repo = world(seed(acme.live_flag("a")))
    repo.write("flags.yaml", acme.flag("a", 50))
    whole = save(repo).read_bytes()
    step = len(whole) // 6
    broken = [whole[:n] for n in range(1, len(whole), step)]
    broken += [
        whole[:n] + bytes([whole[n] ^ mask]) + whole[n + 1 :]
        for number, n in enumerate(range(0, len(whole), step))
        for mask in (1 << (number % 8),)
    ]
    for data in broken:
        (repo.folder / "plan.json").write_bytes(data)

        assert apply(repo).code in {1, 4}
    assert [] == repo.sandbox.requests()


def test_a_stale_plan_is_shown_as_it_was_and_contacts_nobody(world):
    repo = world(seed(acme.live_flag("a")))
    repo.write("flags.yaml", acme.flag("a", 50))
    made = repo.run("plan", "--out", "plan.json").out
    edit_flag(repo, "a", name="moved")
    repo.write("flags.yaml", acme.flag("a", 60))
    repo.sandbox.clear()

    shown = repo.run("show", "plan.json", POSTHOG_API_KEY="", POSTHOG_HOST="http://127.0.0.1:1")

    assert (0, made) == (shown.code, shown.out)
    assert [] == repo.sandbox.requests()


def test_without_a_terminal_and_without_yes_nothing_is_carried_out(world):
    repo = world(seed(acme.live_flag("a")))
    repo.write("flags.yaml", acme.flag("a", 50))
    save(repo)

    assert 64 == repo.run("apply", "plan.json").code
    assert [] == repo.sandbox.requests()
