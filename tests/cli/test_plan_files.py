"""`plan --out FILE`: whole or not at all, for its owner's eyes, and the same whoever makes it."""

import json
import os
import resource
import subprocess
import sys

import jsonschema
import pytest

from reconciler.config.schema import validator
from tests import acme, support

FEW = [
    acme.flag("b", 20, tags=["z", "a"]),
    acme.flag("a", 50, name="A"),
    acme.document("Role", {"members": ["bob@acme.test", "alice@acme.test"]}, name="Release"),
    acme.document(
        "ApprovalPolicy",
        {
            "approvers": {"quorum": 1, "users": ["carol@acme.test", "bob@acme.test"]},
            "conditions": {
                "type": "change_amount",
                "field": "rollout_percentage",
                "operator": ">",
                "value": 20,
            },
        },
        project="Web",
        action="feature_flag.update",
    ),
]


def small(world):
    project = {
        "name": "Web",
        "id": 1,
        "approval_policies": [acme.policy("feature_flag.update")],
        "feature_flags": [acme.live_flag("a"), acme.live_flag("c")],
    }
    repo = world(acme.seed(projects=[project, {"name": "Mobile", "id": 2}]))
    repo.write("all.yaml", *FEW)
    return repo


def test_a_saved_plan_is_for_its_owner_alone_and_as_its_schema_says(world):
    """0600 whatever the umask; over an older file too."""
    repo = small(world)
    path = repo.folder / "plan.json"
    path.write_text("old")
    path.chmod(0o666)

    assert 4 == repo.run("plan", "--out", "plan.json").code  # it weakens a policy
    assert 0o600 == path.stat().st_mode & 0o777
    jsonschema.validate(json.loads(path.read_text()), validator.load_schema("plan"))


def test_a_saved_plan_is_what_json_prints(world):
    """But for the time: one document, whichever way it is asked for."""
    repo = small(world)
    printed = repo.run("plan", "--out", "plan.json", "--format", "json").out

    assert printed == (repo.folder / "plan.json").read_text()


def planted(path, what):
    elsewhere = path.parent / "elsewhere"
    elsewhere.write_text("mine")
    match what:
        case "link":
            path.symlink_to(elsewhere)
        case "dangling":
            path.symlink_to(path.parent / "nowhere")
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
    return elsewhere


@pytest.mark.parametrize("what", ["link", "dangling", "folder", "pipe"])
def test_what_was_planted_where_the_plan_goes_is_refused_before_anything_is_asked(world, what):
    """No link is followed, and what stands there stays."""
    repo = small(world)
    elsewhere = planted(repo.folder / "plan.json", what)
    repo.sandbox.clear()

    done = repo.run("plan", "--out", "plan.json")

    assert 1 == done.code
    assert "plan.json cannot be written" in done.err
    assert "mine" == elsewhere.read_text()
    assert not (repo.folder / "nowhere").exists()
    assert [] == repo.sandbox.requests()


@pytest.mark.parametrize("out", ["missing/plan.json", ".", "/proc/plan.json", "x" * 300])
def test_a_place_that_cannot_be_written_is_an_error_in_words(world, out):
    repo = small(world)
    done = repo.run("plan", "--out", out)

    assert 1 == done.code
    assert "cannot be written" in done.err


def test_a_full_disk_leaves_no_half_file(world):
    """Nor does it touch the plan that was there before."""
    repo = small(world)
    (repo.folder / "plan.json").write_text("older")
    before = sorted(repo.folder.iterdir())
    done = subprocess.run(
        [support.SCRIPT, "plan", "--out", "plan.json"],
        cwd=repo.folder,
        env={**repo.environment(), **support.NO_BYTECODE},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600)),
    )

    assert 1 == done.returncode, done.stderr
    assert "plan.json cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert "older" == (repo.folder / "plan.json").read_text()
    assert before == sorted(repo.folder.iterdir())


# --- determinism ---

ONE_BY_ONE = """
import sys
import reconciler.live.reader, reconciler.posthog.client
reconciler.live.reader.WORKERS = reconciler.posthog.client.PAGE_WORKERS = int(sys.argv.pop(1))
from reconciler.cli.main import main
main()
"""


def saved(repo, *, workers=8, cwd=None, **environ):
    """The text of a plan without its time, made by a process in those surroundings."""
    done = subprocess.run(
        [sys.executable, "-c", ONE_BY_ONE, str(workers), "plan", "--out", "plan.json"],
        cwd=cwd or repo.folder,
        env={**repo.environment(), **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert 4 == done.returncode, done.stderr  # it weakens a policy
    path = (cwd or repo.folder) / "plan.json"
    lines = path.read_text().splitlines()
    path.unlink()
    return [line for line in lines if '"created_at"' not in line]


SURROUNDINGS = [
    {
        "PYTHONHASHSEED": "0",
        "LANG": "C",
        "LC_ALL": "C",
        "TZ": "Pacific/Kiritimati",
        "workers": 1,
    },
    {
        "PYTHONHASHSEED": "12345",
        "LANG": "tr_TR.UTF-8",
        "LC_ALL": "tr_TR.UTF-8",
        "TZ": "America/St_Johns",
        "COLUMNS": "20",
        "NO_COLOR": "1",
        "workers": 32,
    },
]


def test_the_same_inputs_give_the_same_bytes(world):
    """Whatever the worker count, hash seed, locale, time zone and terminal."""
    repo = small(world)
    repo.commit()
    first = saved(repo)

    for around in SURROUNDINGS:
        assert first == saved(repo, **around), around


def told(lines):
    """A plan without the places of its documents, and its findings in an order of their own."""
    document = json.loads("\n".join(lines))
    document.pop("digest")
    for row in (*document["changes"], *document["findings"]):
        for place in ("source", "excerpt", "width"):
            row.pop(place, None)
    document["findings"].sort(key=str)
    return json.dumps(document)


def turned(value):
    """The same with every mapping written the other way round."""
    if isinstance(value, dict):
        return {name: turned(value[name]) for name in reversed(value)}
    return [turned(item) for item in value] if isinstance(value, list) else value


def test_where_and_how_a_document_is_written_changes_its_place_alone(world):
    """Files split, renamed and read in another order; keys and unordered lists turned round."""
    repo = small(world)
    first = told(saved(repo))
    (repo.folder / "all.yaml").unlink()
    flag, other, role, policy = map(turned, FEW)
    flag["spec"]["tags"].reverse()
    role["spec"]["members"].reverse()
    policy["spec"]["approvers"]["users"].reverse()
    for number, document in enumerate((policy, flag, role, other)):
        repo.write(f"{9 - number}/some.yml", json.dumps(document))

    assert first == told(saved(repo))
