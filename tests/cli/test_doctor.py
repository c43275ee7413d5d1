"""What stands in the way, said before it does: over real HTTP against the sandbox."""

import json

import pytest

from tests import acme
from tests.support import Repository

SCOPES = [
    "organization:write",
    "organization_member:write",
    "project:write",
    "approvals:write",
    "feature_flag:write",
    "activity_log:read",
    "user:read",
]


def seed(scopes=("*",), **changes):
    """The world, with a key that has these scopes."""
    made = acme.seed(**changes)
    made["users"][3]["tokens"] = [{"token": "phx_ci", "scopes": list(scopes)}]
    return made


def checks(done):
    """Name -> rows of the JSON report."""
    rows = {}
    for row in done.json["checks"]:
        rows.setdefault(row["name"], []).append(row)
    return rows


def problems(done):
    """What is wrong, with what it breaks."""
    return {
        (row["name"], row["message"]): row["breaks"]
        for row in done.json["checks"]
        if row["status"] == "problem"
    }


@pytest.fixture
def sound(world):
    """A repository with a commit beside a sandbox where all is well."""
    repository = world(seed())
    repository.write("a.yaml", acme.flag("a"))
    repository.commit()
    return repository


def test_all_is_well(sound):
    """Few GETs, nothing but GETs, exit 0."""
    sound.sandbox.clear()
    done = sound.run("doctor", "--format", "json")
    asked = sound.sandbox.requests()

    assert (done.code, done.json["ok"]) == (0, True), done.out
    assert {"key", "host", "proxy", "scopes", "level", "plan", "clock", "rate", "git"} == set(
        checks(done)
    )
    assert {row["method"] for row in asked} == {"GET"}
    assert len(asked) <= 10
    assert "No problems." in sound.run("doctor").out


def test_a_public_key_and_an_ingestion_host_are_both_named_with_the_fix(sound):
    """In one run, before anything is asked."""
    sound.sandbox.clear()
    done = sound.run(
        "doctor",
        "--format",
        "json",
        POSTHOG_API_KEY="phc_public",
        POSTHOG_HOST="https://eu.i.posthog.com",
    )
    by_name = checks(done)

    assert done.code == 1
    assert "phx_" in by_name["key"][0]["fix"]
    assert "https://eu.posthog.com" in by_name["host"][0]["fix"]
    assert "plan" in by_name["host"][0]["breaks"]
    assert sound.sandbox.requests() == []
    assert "phc_public" not in done.out


def test_no_key_is_a_problem_and_the_host_is_not(sound):
    """Each is judged by itself."""
    done = sound.run("doctor", "--format", "json", POSTHOG_API_KEY="")

    assert ["key"] == [name for name, _ in problems(done)]


def test_an_unknown_key_and_a_dead_host_are_problems(sound):
    """And the rest is still looked at."""
    unknown = sound.run("doctor", "--format", "json", token="phx_nobody")
    dead = sound.run("doctor", "--format", "json", POSTHOG_HOST="http://127.0.0.1:9")

    assert (unknown.code, dead.code) == (1, 1)
    assert ["key"] == [name for name, _ in problems(unknown)]
    assert ["host"] == [name for name, _ in problems(dead)]
    assert checks(dead)["git"][0]["status"] == "ok"


@pytest.mark.parametrize(
    ("missing", "breaks"),
    [
        ("user:read", "plan and apply"),
        ("organization_member:read", "Member"),
        ("approvals:read", "ApprovalPolicy"),
        ("activity_log:read", "activity"),
        ("project:read", "Project"),
    ],
)
def test_a_missing_scope_names_the_commands_that_it_breaks(world, missing, breaks):
    """And how to fix it."""
    name = missing.partition(":")[0]
    repository = world(seed([scope for scope in SCOPES if scope.partition(":")[0] != name]))
    repository.commit()
    done = repository.run("doctor", "--format", "json")

    assert done.code == 1
    assert breaks in problems(done)["scopes", f"lacks {missing}"]
    assert all(name in message for _, message in problems(done))
    assert any(missing in row["fix"] for row in checks(done)["scopes"])


def test_what_the_key_may_write_is_known_without_writing(world):
    """PostHog tells every key what it may do; where a server does not, that is said too."""
    repository = world(seed([scope.replace(":write", ":read") for scope in SCOPES]))
    repository.commit()
    told = repository.run("doctor", "--format", "json")
    rule = {"match": {"route": "personal_api_keys", "hit": "every"}, "effect": {"status": 404}}
    repository.sandbox.call("POST", "/_sandbox/faults", {"faults": [rule]})
    untold = repository.run("doctor", "--format", "json")

    assert {name for name, _ in problems(told)} == {"scopes"}
    assert ("scopes", "lacks approvals:write") in problems(told)
    assert (told.code, untold.code) == (1, 0)
    assert "reading does not show" in str(checks(untold)["scopes"])


def test_a_key_that_is_at_its_limit_is_a_problem(sound):
    """The server never says how much is left, only when nothing is."""
    rule = {"match": {"route": "members", "hit": 1}, "effect": {"throttle": 1}}
    sound.sandbox.call("POST", "/_sandbox/faults", {"faults": [rule]})
    done = sound.run("doctor", "--format", "json")

    assert [name for name, _ in problems(done)] == ["rate"]
    assert "too many requests" in str(checks(done)["rate"])


def test_a_member_is_told_about_the_level_and_not_about_scopes(world):
    """More scopes would not help."""
    made = seed()
    made["organizations"][0]["members"][3]["level"] = "member"
    repository = world(made)
    repository.commit()

    assert [("level", "the key's user is a member of acme")] == list(
        problems(repository.run("doctor", "--format", "json"))
    )


def test_the_base_that_a_plan_would_take_is_named(sound):
    """None before the first apply; then the ref that it left; an unreadable one is a problem."""
    before = sound.run("doctor", "--format", "json")
    sound.git("update-ref", "refs/reconciler/applied/default", "HEAD")
    after = sound.run("doctor", "--format", "json")
    sound.write("b.yaml", "kind: [")
    sound.commit()
    sound.git("update-ref", "refs/reconciler/applied/default", "HEAD")
    (sound.folder / "b.yaml").unlink()
    broken = sound.run("doctor", "--format", "json")

    assert "no base yet" in str(checks(before)["git"])
    assert "base: refs/reconciler/applied/default, at " in str(checks(after)["git"])
    assert (before.code, after.code, broken.code) == (0, 0, 1)
    assert [name for name, _ in problems(broken)] == ["git"]


def test_a_member_s_key_cannot_write_policies(world):
    """The level is that of the organization."""
    made = seed()
    made["organizations"][0]["members"][3]["level"] = "member"
    repository = world(made)
    repository.commit()
    done = repository.run("doctor", "--format", "json")

    assert any("ApprovalPolicy" in row["breaks"] for row in checks(done)["level"])
    assert done.code == 1


def test_an_organization_without_approvals_gates_nothing(world):
    """Silently, which is why it is said here."""
    repository = world(seed(features=["audit_logs"]))
    repository.commit()
    done = repository.run("doctor", "--format", "json")

    assert [("plan", "acme has no approvals")] == list(problems(done))


def test_outside_git_and_in_a_shallow_clone_the_base_is_missing(world, tmp_path):
    """With the depth to set."""
    repository = world(seed())
    outside = repository.run("doctor", "--format", "json")
    assert [("git", "no repository here")] == list(problems(outside))

    repository.commit()
    repository.commit()
    clone = tmp_path / "clone"
    repository.git("clone", "-q", "--depth", "1", f"file://{repository.folder}", str(clone))
    shallow = Repository(clone, repository.sandbox).run("doctor", "--format", "json")
    assert "fetch-depth: 0" in checks(shallow)["git"][0]["fix"]
    assert shallow.code == 1


def test_a_proxy_is_named_without_its_password(sound):
    """So that a report can be shown to somebody."""
    done = sound.run(
        "doctor",
        "--format",
        "json",
        POSTHOG_HOST="https://us.posthog.com",
        HTTPS_PROXY="http://bob:hunter2@127.0.0.1:9/",
    )

    assert "127.0.0.1:9" in checks(done)["proxy"][0]["message"]
    assert "hunter2" not in done.out + done.err
    assert json.loads(done.out)["ok"] is False


def test_a_clock_that_is_off_is_a_warning(world):
    """Judged by the server's own time, which everything but git goes by."""
    repository = world({**seed(), "now": "2026-01-05T09:00:00Z"})
    repository.commit()
    done = repository.run("doctor", "--format", "json")
    (clock,) = checks(done)["clock"]

    assert "warning" == clock["status"]
    assert "NTP" in clock["fix"]
    assert (0, True) == (done.code, done.json["ok"])
