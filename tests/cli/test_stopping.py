"""Stopped at any moment, in any way: what was done is said, and the next run goes on."""

import json
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from threading import Thread

import pytest

from tests import acme, support
from tests.effort import effort
from tests.factories import gated
from tests.forked import Program
from tests.integration.running import created, spoil

COUNT = 30


@pytest.fixture(scope="module")
def slow_sandbox(start_sandbox):
    return start_sandbox("--latency", "40")


@pytest.fixture
def slow(slow_sandbox, tmp_path):
    def make(seed):
        slow_sandbox.reset(seed)
        spoil(support.Repository(tmp_path, slow_sandbox))
        return support.Repository(tmp_path, slow_sandbox)

    return make


def started(repo, *arguments, token=None, **options):
    """The command as a process."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    return Program(arguments, cwd=repo.folder, env=repo.environment(token), **pipes)


def journal(repo):
    runs = repo.folder / ".reconciler" / "runs"
    (path,) = sorted(runs.glob("*.jsonl"))[-1:]
    return [json.loads(line) for line in path.read_text().splitlines()]


def flags(repo, count=COUNT):
    repo.write("all.yaml", *(acme.flag(f"f{n:02}", 10) for n in range(count)))


def accounted(document):
    account = dict(document["account"])
    assert account.pop("planned") == sum(account.values()) == sum(document["summary"].values())
    return account


def test_after_an_interrupt_the_account_says_how_to_go_on(slow):
    """Not started is not failed, and there is nothing to mend."""
    repo = slow(acme.seed())
    flags(repo)

    process = started(repo, "apply", "--yes", "--concurrency", "2", "all.yaml")
    for line in process.stderr:
        if "✓" in line:
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)

    assert 130 == process.returncode
    assert "not started" in out
    assert "Next: run apply again; it re-reads the live state and continues." in out
    assert "fix what failed" not in out
    assert "Traceback" not in err
    assert 0 == repo.run("apply", "--yes", "all.yaml").code
    assert COUNT == created(repo, "FeatureFlag")


def test_an_interrupt_while_the_program_is_still_being_loaded_says_nothing(tmp_path):
    """Whoever sees a typing error in his command is quick."""
    command = [sys.executable, "-X", "importtime", "-m", "reconciler", "plan"]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=support.CLEAN
    )
    assert any("click._compat" in line for line in process.stderr)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)

    assert 130 == process.returncode
    assert "Traceback" not in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_leaves_at_once_and_the_journal_has_the_last_intent(slow, number):
    """Nobody waits for a call that hangs; what was on its way is in the journal."""
    repo = slow(acme.seed())
    flags(repo)
    spoil(repo, "POST:feature_flags.create:5:before:hang(300)")

    process = started(repo, "apply", "--yes", "--concurrency", "1", "all.yaml")
    support.awaited(lambda: _rows(repo, 5), process)
    process.send_signal(number)
    assert "stopping" in next(line for line in process.stderr if "stopping" in line)
    begun = time.monotonic()
    process.send_signal(number)
    process.communicate(timeout=20)

    assert 128 + number == process.returncode
    assert time.monotonic() - begun < 5
    # The signal may come between the intent and the call: then an answer says that it was cut short
    last = [row for row in journal(repo) if row["event"] == "write"][-1]
    assert "FeatureFlag/acme/Web/f04" == last["address"]
    spoil(repo)
    assert 0 == repo.run("apply", "--yes", "all.yaml").code


def asked_for(repo, what):
    return any(what in row["path"] for row in repo.sandbox.requests())


def _rows(repo, at_least):
    """The journal's writes once there are so many; () before."""
    try:
        rows = [row for row in journal(repo) if row["event"] == "write"]
    except (ValueError, OSError):
        return ()
    return rows if len(rows) >= at_least else ()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_the_first_write_ends_at_once_with_its_code(slow, number):
    """Nothing is in flight while the plan is made, not even where a read hangs."""
    repo = slow(acme.seed())
    flags(repo)
    spoil(repo, "GET:feature_flags.list:1:before:hang(300)")

    process = started(repo, "apply", "--yes", "all.yaml")
    support.awaited(lambda: asked_for(repo, "feature_flags"), process)
    process.send_signal(number)
    _, err = process.communicate(timeout=20)

    assert 128 + number == process.returncode
    assert "Traceback" not in err
    assert ("terminated" if number == signal.SIGTERM else "interrupted") in err
    assert [] == repo.sandbox.writes()


def test_an_interrupt_while_people_are_waited_for_ends_the_wait(slow):
    """130, and the request that is open stays open."""
    repo = slow(gated(acme.live_flag("a")))
    repo.write("all.yaml", acme.flag("a", active=True))

    process = started(repo, "apply", "--yes", "--wait", "1h", "--format", "json", "all.yaml")
    for line in process.stderr:
        if "waits for approval" in line:
            break
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=20)

    row = json.loads(out)["results"][0]
    assert (143, "waiting") == (process.returncode, row["outcome"])
    assert 1 == row["waits_for"]["quorum"]


@pytest.mark.parametrize("closed", ["stdout", "stderr", "both"])
def test_a_reader_who_goes_away_stops_nothing(slow, closed):
    """`apply | head -1`, or a terminal that was shut: everything is done, and the code says so."""
    repo = slow(acme.seed())
    flags(repo)

    process = started(repo, "apply", "--yes", "all.yaml")
    for name in ("stdout", "stderr"):
        with getattr(process, name) as stream:
            if closed not in {name, "both"}:
                stream.read()
    code = process.wait(60)

    assert 0 == code
    assert COUNT == created(repo, "FeatureFlag")


def _small_files(size):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_without_room_for_a_journal_nothing_is_begun(slow):
    """The first record cannot be written: 1, and not one write."""
    repo = slow(acme.seed())
    flags(repo)
    repo.sandbox.clear()

    process = started(repo, "apply", "--yes", "all.yaml", preexec_fn=_small_files(0))
    _, err = process.communicate(timeout=60)

    assert 1 == process.returncode
    assert "journal" in err
    assert "fix:" in err
    assert [] == repo.sandbox.writes()


@pytest.mark.parametrize("size", effort([200, 1000, 4000], [200, 500, 1000, 2000, 4000]))
def test_a_disk_that_fills_up_stops_new_writes_and_loses_no_record(slow, size):
    """What the journal does not take goes to stderr; the account is that of the server's ledger."""
    repo = slow(acme.seed())
    flags(repo)

    process = started(
        repo, "apply", "--yes", "--format", "json", "all.yaml", preexec_fn=_small_files(size)
    )
    out, err = process.communicate(timeout=60)

    document = json.loads(out)
    account = accounted(document)
    made = {row["address"] for row in document["results"] if row["outcome"] == "done"}
    assert 1 == process.returncode, err
    assert len(made) == created(repo, "FeatureFlag")
    assert account["not_started"] > 0
    (path,) = (repo.folder / ".reconciler" / "runs").glob("*.jsonl")
    kept = [json.loads(line) for line in path.read_text().split("\n")[:-1]]
    spilled = [
        json.loads(line.removeprefix("journal: "))
        for line in err.splitlines()
        if line.startswith("journal: ")
    ]
    events = Counter(row["event"] for row in (*kept, *spilled))
    assert len(made) == events["answer"]
    assert COUNT == events["outcome"]
    written = {row["address"] for row in kept if row["event"] == "write"}
    assert made <= written, "never a write without its intent on the disk"
    assert 0 == repo.run("apply", "--yes", "all.yaml").code
    assert COUNT == created(repo, "FeatureFlag")


def test_two_applies_at_once_lose_nothing_and_do_nothing_twice(slow):
    """Two CI jobs of one commit: each object once, both reports true, both end well."""
    repo = slow(
        acme.seed(
            projects=[
                {"name": "Web", "id": 1, "feature_flags": [acme.live_flag("old", 10)]},
                {"name": "Mobile", "id": 2},
            ]
        )
    )
    documents = [
        acme.document("Role", {"members": ["bob@acme.test", "carol@acme.test"]}, name="Releasers"),
        acme.document(
            "ApprovalPolicy",
            {"approvers": {"quorum": 1, "roles": ["Releasers"]}, "enabled": False},
            project="Web",
            action="feature_flag.enable",
        ),
        *(acme.flag(f"f{n:02}", 10, name=f"Flag {n}") for n in range(12)),
        acme.flag("old", 60, name="Moved"),
    ]
    repo.write("all.yaml", *documents)

    arguments = ("apply", "--yes", "--format", "json", "--record-base", "no", "all.yaml")
    both = [started(repo, *arguments) for _ in range(2)]
    ended = [process.communicate(timeout=120) for process in both]

    reports = [json.loads(out) for out, _ in ended]
    assert [0, 0] == [process.returncode for process in both], [err for _, err in ended]
    for report in reports:
        account = accounted(report)
        assert account["done"] + account["unchanged"] == len(documents)
    for kind, times in (("FeatureFlag/", 12), ("Role/", 1), ("ApprovalPolicy/", 1)):
        assert times == created(repo, kind)
    assert 2 == created(repo, "RoleMembership")
    said = Counter(
        row["address"]
        for report in reports
        for row in report["results"]
        if row["outcome"] == "done" and row["action"] == "create"
    )
    assert set(said.values()) <= {1, 2}
    assert all(times == 1 for address, times in said.items() if "FeatureFlag" in address)
    assert 0 == repo.run("plan", "--detailed-exitcode", "all.yaml").code
    assert 2 == len(list((repo.folder / ".reconciler" / "runs").glob("*.jsonl")))


def test_two_applies_of_different_commits_never_mix(slow, tmp_path_factory):
    """One of the two wins each field as a whole; whoever lost says so, or reads it as it is."""
    repo = slow(
        acme.seed(
            projects=[
                {
                    "name": "Web",
                    "id": 1,
                    "feature_flags": [acme.live_flag(f"f{n}", 10) for n in range(8)],
                }
            ]
        )
    )
    other = support.Repository(tmp_path_factory.mktemp("other"), repo.sandbox)
    for one, percentage in ((repo, 40), (other, 70)):
        one.write("all.yaml", *(acme.flag(f"f{n}", percentage) for n in range(8)))

    both = [started(one, "apply", "--yes", "--format", "json", "all.yaml") for one in (repo, other)]
    reports = [json.loads(process.communicate(timeout=120)[0]) for process in both]

    state = repo.sandbox.state()["organizations"][0]["projects"][0]["feature_flags"]
    now = {flag["key"]: flag["filters"]["groups"][0]["rollout_percentage"] for flag in state}
    assert set(now.values()) <= {40, 70}
    ledger = repo.sandbox.call("GET", "/_sandbox/ledger")[1]
    for report, percentage in zip(reports, (40, 70), strict=True):
        for row in report["results"]:
            key = row["address"].rpartition("/")[2]
            wrote = [
                line
                for line in ledger
                if line["object"].startswith("FeatureFlag/")
                and line["effect"] == "update"
                and line["after"]["key"] == key
                and line["after"]["filters"]["groups"][0]["rollout_percentage"] == percentage
            ]
            assert row["outcome"] in {"done", "refused"}
            assert bool(wrote) == (row["outcome"] == "done")
    for line in ledger:
        if line["object"].startswith("FeatureFlag/") and line["effect"] == "update":
            assert 10 == line["before"]["filters"]["groups"][0]["rollout_percentage"] or (
                line["before"]["version"] + 1 == line["after"]["version"]
            )


def test_two_gated_applies_at_once_file_one_request(slow):
    """Both wait for the same one."""
    repo = slow(gated(acme.live_flag("a")))
    repo.write("all.yaml", acme.flag("a", active=True))

    both = [started(repo, "apply", "--yes", "--format", "json", "all.yaml") for _ in range(2)]
    reports = [json.loads(process.communicate(timeout=60)[0]) for process in both]

    assert [3, 3] == [process.returncode for process in both]
    assert 1 == created(repo, "ChangeRequest")
    assert 1 == len({report["results"][0]["change_request"] for report in reports})


def test_a_person_at_the_browser_and_an_apply_at_once(slow):
    """Edits keep coming while it runs: none is lost, and every refusal is said."""
    names = [f"f{n}" for n in range(12)]
    repo = slow(
        acme.seed(
            projects=[
                {"name": "Web", "id": 1, "feature_flags": [acme.live_flag(n, 10) for n in names]}
            ]
        )
    )
    repo.write("all.yaml", *(acme.flag(name, 50) for name in names))
    listed = repo.sandbox.call("GET", "/api/projects/1/feature_flags/", token="phx_carol")[1]
    ids = {flag["key"]: flag["id"] for flag in listed["results"]}
    edited = []

    def person():
        for name in names[::2]:
            path = f"/api/projects/1/feature_flags/{ids[name]}/"
            body = {"filters": {"groups": [{"properties": [], "rollout_percentage": 33}]}}
            if repo.sandbox.call("PATCH", path, body, token="phx_carol")[0] == 200:
                edited.append(name)

    process = started(repo, "apply", "--yes", "--format", "json", "--concurrency", "1", "all.yaml")
    support.awaited(lambda: list((repo.folder / ".reconciler").glob("runs/*.jsonl")), process)
    hands = Thread(target=person)
    hands.start()
    out, _ = process.communicate(timeout=60)
    hands.join()

    rows = {row["address"].rpartition("/")[2]: row["outcome"] for row in json.loads(out)["results"]}
    state = repo.sandbox.state()["organizations"][0]["projects"][0]["feature_flags"]
    now = {flag["key"]: flag["filters"]["groups"][0]["rollout_percentage"] for flag in state}
    for name in names:
        if name not in edited:
            assert (50, "done") == (now[name], rows[name])
        else:  # theirs came first and stays, or came after ours and is the newest
            assert 33 == now[name]
            assert rows[name] in {"done", "refused"}
