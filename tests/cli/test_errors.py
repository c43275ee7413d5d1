"""What goes wrong in the world ends in a clear message and the right exit code."""

import json
import os
import signal
import subprocess
from contextlib import suppress

import pytest
import yaml

from tests import acme, factories, support
from tests.forked import Program
from tests.harness import child
from tests.harness.driver import Driver


def planned(repo, *documents, token=None):
    repo.write("all.yaml", *documents)
    return repo.run("plan", token=token)


def test_no_key(world):
    repo = world(acme.seed())
    repo.token = None

    done = planned(repo, acme.flag("a", 10))

    assert done.code == 1
    assert "POSTHOG_API_KEY" in done.err


@pytest.mark.parametrize("command", [("plan",), ("apply", "--yes"), ("validate",), ("drift",)])
def test_a_directory_that_was_removed_is_said(world, command):
    """The shell still stands in it; nothing of this is a defect of ours."""
    repo = world(acme.seed())
    inside = repo.folder / "gone"
    inside.mkdir()
    script = f'rmdir "{inside}" && exec "$@"'

    done = subprocess.run(
        ["sh", "-c", script, "sh", support.SCRIPT, *command],
        cwd=inside,
        env=repo.environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert 1 == done.returncode
    assert "the current directory does not exist any more" in done.stderr
    assert "defect" not in done.stderr + done.stdout


def test_a_wrong_key(world):
    done = planned(world(acme.seed()), acme.flag("a", 10), token="phx_wrong")

    assert done.code == 1
    assert "401" in done.err
    assert "phx_wrong" not in done.out + done.err


def test_a_key_without_a_scope_fails_that_scope_alone(world):
    """The message names the scope; what can be read is still planned."""
    seed = acme.seed()
    seed["users"][0]["tokens"] = [
        {"token": "phx_narrow", "scopes": ["organization:read", "feature_flag:read"]}
    ]
    documents = [
        acme.flag("a", 10),
        acme.document(
            "ApprovalPolicy",
            {"approvers": {"quorum": 1}},
            project="Web",
            action="feature_flag.update",
        ),
    ]

    done = planned(world(seed), *documents, token="phx_narrow")

    assert done.code == 1
    assert "approvals:read" in done.out + done.err
    assert "FeatureFlag/acme/Web/a" in done.out


@pytest.mark.parametrize(
    ("documents", "words"),
    [
        ([acme.flag("a", 10, project="Wbe")], ["Wbe", "Web"]),
        ([acme.document("Role", {"members": ["alicia@acme.test"]}, name="R")], ["alicia", "alice"]),
        (
            [
                acme.document(
                    "ApprovalPolicy",
                    {"approvers": {"quorum": 1, "roles": ["Nobody at all"]}},
                    project="Web",
                    action="feature_flag.update",
                )
            ],
            ["Nobody at all"],
        ),
        ([acme.document("Member", {"level": "admin"}, email="new@acme.test")], ["invit"]),
    ],
)
def test_a_name_that_nobody_has(world, documents, words):
    """Plan exits 1 with place and candidates; apply writes nothing for it."""
    repo = world(acme.seed())
    done = planned(repo, *documents)

    assert done.code == 1
    for word in words:
        assert word in done.out + done.err
    assert "all.yaml:" in done.out + done.err

    repo.sandbox.clear()
    assert repo.run("apply", "--yes").code == 1
    assert repo.sandbox.writes() == []


def test_an_unreachable_host(world):
    repo = world(acme.seed())
    repo.write("all.yaml", acme.flag("a", 10))

    done = repo.run("--host", "http://127.0.0.1:1", "plan")

    assert done.code == 1
    assert "127.0.0.1:1" in done.err


def test_the_sandbox_dies_in_mid_apply(tmp_path):
    """No traceback; what was sent is accounted for; totals add up; the next run converges."""
    count = 40
    data = tmp_path / "data.sqlite"
    seed = tmp_path / "seed.yaml"
    seed.write_text(yaml.safe_dump(acme.seed()))
    options = ("--seed", str(seed), "--data", str(data), "--latency", "30")
    folder = tmp_path / "repo"
    folder.mkdir()
    with support.sandbox_process(*options) as running:
        repo = Driver(folder, running)
        repo.write("all.yaml", *(acme.flag(f"f{n}", 10) for n in range(count)))
        process = child.start(repo, "apply", "--yes", "--format", "json", "--concurrency", "2")
        support.awaited(lambda: running.writes() or not process.running())
        running.process.kill()
        done = process.result()

    summary = done.json["summary"]
    assert done.code == 1
    assert count == sum(summary.values())
    assert summary["failed"] > 0

    with support.sandbox_process("--data", str(data)) as again:
        repo = support.Repository(folder, again)
        assert repo.run("apply", "--yes").code == 0
        assert repo.run("plan", "--detailed-exitcode").code == 0
        flags = again.call("GET", "/api/projects/1/feature_flags/?limit=100", token="phx_ci")[1]
        assert count == flags["count"]


def test_the_journal_has_a_line_before_and_after_each_write(world):
    """And no value of any resource."""
    repo = world(acme.seed())
    repo.write("all.yaml", acme.flag("a", 10, name="very private words"))

    assert repo.run("apply", "--yes").code == 0

    (journal,) = (repo.folder / ".reconciler" / "runs").glob("*.jsonl")
    text = journal.read_text()
    events = [json.loads(line)["event"] for line in text.splitlines()]
    assert events == ["begin", "write", "answer", "outcome", "end"]
    assert "very private words" not in text
    assert journal.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_finishes_what_is_in_flight_and_the_next_run_converges(tmp_path, number, code):
    """130 or 143, totals add up, every write has its answer in the journal."""
    count = 40
    seed = tmp_path / "seed.yaml"
    seed.write_text(yaml.safe_dump(acme.seed()))
    folder = tmp_path / "repo"
    folder.mkdir()
    with support.sandbox_process("--seed", str(seed), "--latency", "40") as running:
        repo = support.Repository(folder, running)
        repo.write("all.yaml", *(acme.flag(f"f{n}", 10) for n in range(count)))
        process = Program(
            ("apply", "--yes", "--format", "json", "--concurrency", "2"),
            cwd=folder,
            env=repo.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for line in process.stderr:
            if "FeatureFlag" in line:
                break
        process.send_signal(number)
        out, err = process.communicate(timeout=60)

        assert code == process.returncode, err
        summary = json.loads(out)["summary"]
        assert "Traceback" not in err
        assert count == sum(summary.values())
        assert summary["done"] < count
        (journal,) = (folder / ".reconciler" / "runs").glob("*.jsonl")
        events = [json.loads(line)["event"] for line in journal.read_text().splitlines()]
        assert events.count("write") == events.count("answer")
        assert "end" == events[-1]

        assert 0 == repo.run("apply", "--yes").code
        assert 0 == repo.run("plan", "--detailed-exitcode").code


def test_a_key_is_in_no_output_however_verbose(world):
    """Every request is logged with -vv, and nowhere the key."""
    seed = acme.seed()
    key = "phx_" + "S3cr3tS3cr3tS3cr3t" * 2
    seed["users"][0]["tokens"] = [{"token": key, "scopes": ["*"]}]
    repo = world(seed)
    repo.write("all.yaml", acme.flag("a", 10))

    done = repo.run("-vv", "--log-format", "json", "apply", "--yes", token=key)

    logged = [json.loads(line) for line in done.err.splitlines() if line.startswith("{")]
    assert 0 == done.code
    assert any("/feature_flags/" in row.get("message", "") for row in logged)
    (journal,) = (repo.folder / ".reconciler" / "runs").glob("*.jsonl")
    assert key not in done.out + done.err + journal.read_text()


def test_a_protected_resource_is_not_deleted_without_its_address(world):
    """4, nothing written; with --allow-destroy it is deleted; a pattern is no address (64)."""
    repo = world(acme.seed())
    gone = acme.document("Project", {}, name="Mobile", lifecycle={"state": "absent"})
    repo.write("all.yaml", gone, acme.flag("a", 10))
    repo.sandbox.clear()

    refused = repo.run("apply", "--yes")
    other = repo.run("apply", "--yes", "--allow-destroy", "Project/acme/*")

    assert (4, 64) == (refused.code, other.code)
    assert "--allow-destroy 'Project/acme/Mobile'" in refused.err
    assert [] == repo.sandbox.writes()
    assert 0 == repo.run("apply", "--yes", "--allow-destroy", "Project/acme/Mobile").code
    assert 0 == repo.run("plan", "--detailed-exitcode").code


def test_every_other_kind_is_deleted_by_state_absent(world):
    """And a flag softly; what named the role goes first."""
    seed = acme.seed(
        roles=[{"name": "Old", "members": ["bob@acme.test"]}],
        projects=[
            {
                "name": "Web",
                "id": 1,
                "approval_policies": [
                    acme.policy(
                        "feature_flag.update", approver_config={"quorum": 1, "roles": ["Old"]}
                    )
                ],
                "feature_flags": [acme.live_flag("old")],
            }
        ],
    )
    repo = world(seed)
    gone = {"lifecycle": {"state": "absent"}}
    flag = acme.flag("old")
    flag["metadata"] |= gone
    repo.write(
        "all.yaml",
        flag,
        acme.document("Role", {}, name="Old", **gone),
        acme.document("Member", {}, email="carol@acme.test", **gone),
        acme.document("ApprovalPolicy", {}, project="Web", action="feature_flag.update", **gone),
    )

    done = repo.run("apply", "--yes", "--allow-weakening", "--format", "json")

    assert 0 == done.code, done.out + done.err
    assert 4 == done.json["summary"]["done"]
    assert 0 == repo.run("plan", "--detailed-exitcode").code
    paths = [row["path"] for row in repo.sandbox.writes()]
    policy = next(i for i, path in enumerate(paths) if "approval_policies" in path)
    assert policy < next(i for i, path in enumerate(paths) if "/roles/" in path)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("sandbox", "--rate-limit", "abc"), "not a rate limit"),
        (("sandbox", "--rate-limit", "10/"), "not a rate limit"),
        (("sandbox", "--rate-limit", "0"), "at least 1"),
        (("sandbox", "--now", "junk"), "--now"),
        (("drift", "--notify", "nourl"), "--notify"),
    ],
)
def test_a_bad_value_is_refused_by_the_option_parser(world, command, said):
    """64, and nothing is started or contacted."""
    repo = world(acme.seed())
    repo.sandbox.clear()

    done = repo.run(*command)

    assert 64 == done.code, done.err
    assert said in done.err
    assert [] == repo.sandbox.requests()


@pytest.mark.parametrize(
    ("typed", "code", "said"), [("n", 1, "Cancelled. Nothing was changed."), (None, 130, "")]
)
def test_a_question_that_is_answered_with_no_is_no_interruption(world, typed, code, said):
    """1 and a sentence for no, 130 for Ctrl-C; neither writes."""
    repo = world(acme.seed())
    repo.write("all.yaml", acme.flag("a", 10))
    with support.typing(repo, "apply", "all.yaml") as (process, terminal):
        shown = ""
        while "[y/N]" not in shown:
            shown += os.read(terminal, 65536).decode()
        if typed is None:
            process.send_signal(signal.SIGINT)
        else:
            os.write(terminal, f"{typed}\n".encode())
        with suppress(OSError):  # the end of a terminal is an error
            while data := os.read(terminal, 65536):
                shown += data.decode()

    assert code == process.wait(20)
    assert said in shown
    assert "Traceback" not in shown
    assert [] == repo.sandbox.writes()


def test_errors_of_a_plan_are_on_stderr_where_nobody_sees_stdout(world):
    """`plan > file` does not end with 1 in silence, nor does JSON for a program."""
    repo = world(acme.seed())
    members = {"members": ["ghost@acme.test"]}
    repo.write("all.yaml", acme.document("Role", members, name="R"))
    error = "1 error; the affected resource "

    done = repo.run("plan", "--format", "json")
    assert (1, True) == (done.code, error in done.err)
    for command in (["plan"], ["apply", "--yes"]):
        with (repo.folder / "plan.txt").open("w") as file:
            ended = subprocess.run(
                [support.SCRIPT, *command],
                cwd=repo.folder,
                env=repo.environment(),
                stdout=file,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
        assert (1, True) == (ended.returncode, error in ended.stderr)


def test_each_error_appears_once_in_an_output(world):
    """In both streams together: a build shows them as one log."""
    repo = world(factories.gated(acme.live_flag("a")))
    weaker = acme.document(
        "ApprovalPolicy",
        {"enabled": False, "approvers": {"quorum": 1, "users": ["alice@acme.test"]}},
        project="Web",
        action="feature_flag.enable",
    )
    repo.write("all.yaml", weaker, acme.flag("a", 20))
    for command in (("plan",), ("apply", "--yes"), ("apply", "--yes", "--continue", "--quiet")):
        done = repo.run(*command)
        shown = done.out + done.err

        assert 4 == done.code
        assert 1 == shown.count("is weakened: it is disabled"), shown
        assert 1 >= shown.count("1 error")
        assert 1 >= shown.count("state:")
    repo.write("bad.yaml", acme.flag("x", activ=1), acme.flag("y", activ=1))
    for command in (("plan",), ("validate",)):
        assert 1 == repo.run(*command).err.count("state: nothing was contacted")
