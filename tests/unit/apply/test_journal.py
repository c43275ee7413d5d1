"""The journal: no write without its intent on the disk, no record lost, whatever the disk does."""

import errno
import json
import os
import threading
from contextlib import suppress

import pytest

from reconciler.apply.journal import Journal
from reconciler.errors import JournalError


def opened(folder, spilled=None):
    said = spilled if spilled is not None else []
    return Journal(folder / "runs" / "one.jsonl", now=lambda: "now", spill=said.append)


def rows(folder):
    text = (folder / "runs" / "one.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_an_intent_is_on_the_disk_before_it_returns(tmp_path, monkeypatch):
    """Fsync is asked for every intent, and for nothing else."""
    synced, real = [], os.fsync

    def fsync(handle):
        synced.append(len(rows(tmp_path)))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    with opened(tmp_path) as journal:
        journal.intend("write", number=1)
        journal.record("answer", number=1)
        journal.intend("write", number=2)

    assert [1, 3] == synced
    assert ["write", "answer", "write"] == [row["event"] for row in rows(tmp_path)]


def test_many_threads_share_a_sync(tmp_path, monkeypatch):
    """One of them syncs for all whose line is there already."""
    count, real, gate = [0], os.fsync, threading.Barrier(8)

    def fsync(handle):
        count[0] += 1
        real(handle)

    def work(journal):
        gate.wait()
        for number in range(25):
            journal.intend("write", number=number)

    monkeypatch.setattr(os, "fsync", fsync)
    with opened(tmp_path) as journal:
        threads = [threading.Thread(target=work, args=(journal,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert 200 == len(rows(tmp_path))
    assert count[0] <= 200


@pytest.mark.parametrize("call", ["write", "fsync"])
@pytest.mark.parametrize("broken_at", range(1, 7))
def test_a_disk_that_fails_at_any_call_stops_what_follows(tmp_path, monkeypatch, call, broken_at):
    """Later intents are refused, later records are spilled, and each line is whole or not there."""
    real, count, spilled = getattr(os, call), [0], []

    def fail(*arguments):
        count[0] += 1
        if count[0] >= broken_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*arguments)

    refused = 0
    with opened(tmp_path, spilled) as journal:
        monkeypatch.setattr(os, call, fail)
        for number in range(6):
            try:
                journal.intend("write", number=number)
            except JournalError:
                refused += 1
            journal.record("answer", number=number)
        monkeypatch.undo()

    kept = rows(tmp_path)
    answers = [row for row in (*kept, *map(json.loads, spilled)) if row["event"] == "answer"]
    assert journal.broken is not None
    assert "no further write" in journal.broken.state
    assert 1 <= refused <= 6
    assert 6 == len(answers), "every answer is somewhere"
    assert [] == [line for line in spilled if '"write"' in line], "what is not sent is not told"


def test_a_write_that_is_cut_short_is_finished(tmp_path, monkeypatch):
    """A signal may leave half a line: the rest follows."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: real(handle, bytes(data)[:7]))
    with opened(tmp_path) as journal:
        journal.intend("write", name="a long enough line")
    monkeypatch.undo()

    assert "a long enough line" == rows(tmp_path)[0]["name"]


def test_two_runs_of_one_instant_have_a_file_each(tmp_path):
    """Neither overwrites the other's."""
    with opened(tmp_path) as one, opened(tmp_path) as other:
        one.intend("write", of="one")
        other.intend("write", of="other")

    assert one.path != other.path
    assert ["one"] == [row["of"] for row in rows(tmp_path)]
    assert 0o600 == other.path.stat().st_mode & 0o777


def test_a_link_in_its_place_is_not_followed(tmp_path):
    """Nothing of another file is written to."""
    (tmp_path / "runs").mkdir()
    other = tmp_path / "other"
    other.write_text("mine")
    (tmp_path / "runs" / "one.jsonl").symlink_to(other)

    with suppress(JournalError), opened(tmp_path) as journal:
        journal.intend("write")

    assert "mine" == other.read_text()


def test_a_folder_that_cannot_be_made_is_said_before_anything_is_sent(tmp_path):
    """It is a file: nothing was written, and what to do."""
    (tmp_path / "runs").write_text("a file")

    with pytest.raises(JournalError) as caught, opened(tmp_path):
        pass

    assert "nothing was written" == caught.value.state
