"""What newcomers meet first: the example, the demo, the README. All of it is run, not believed."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree as ET

import click
import pytest

from reconciler.cli.main import COMMANDS, group
from reconciler.config.lint.codes import CHECKS
from reconciler.plan.guardrails import checks
from tests.support import CLEAN, Repository, run_in_process

ROOT = Path(__file__).parent.parent
IMAGE = ROOT / "docs" / "images" / "session.svg"
ACME = ROOT / "examples" / "acme"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`(reconciler [^`]+)`")
COMMAND = re.compile(r"^\s*(?:\$ |- run: |eval \"\$\()*(reconciler (?:-|\w).*)")
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)")


def blocks(page, *languages):
    """The fenced blocks of a page, of these languages."""
    text = page.read_text(encoding="utf-8")
    return [body for language, body in BLOCK.findall(text) if language in languages]


def run_demo(folder, tmp_path, program):
    """`make demo` without make, its temporary folders below `tmp_path`."""
    began = time.monotonic()
    done = subprocess.run(
        [program.parent / "python", str(folder / "demo.py")],
        cwd=folder.parent,
        env={**CLEAN, "TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done, time.monotonic() - began


def sandboxes(folder):
    """The command lines of running sandboxes that were started in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes().decode(errors="replace")
            if "sandbox" in line and (process / "cwd").readlink() == folder:
                found.append(line)
        except OSError:
            continue
    return found


def test_the_example_is_valid_and_has_nothing_to_warn_about():
    """Offline, without a key."""
    done = run_in_process(["validate"], ACME, CLEAN)

    assert (done.code, done.err) == (0, "")
    assert done.out == "Valid: 34 resources.\n"


def test_the_rules_of_the_example_have_passing_tests():
    """Ten rules, each with tests, also for changes that they let pass."""
    done = run_in_process(["rules", "test", "--format", "json"], ACME, CLEAN)

    assert 0 == done.code, done.out
    assert (10, []) == (done.json["summary"]["rules"], done.json["summary"]["untested"])
    for rule in done.json["rules"]:
        assert {rule["effect"], "pass"} == {test["expect"] for test in rule["tests"]}, rule["id"]


def test_the_demo_ends_with_no_changes_in_time_and_leaves_nothing_behind(tmp_path, program):
    """Through the gate, two rounds of approval, and back to `No changes`."""
    done, seconds = run_demo(ROOT / "examples", tmp_path, program)

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert "No changes" in done.stdout.splitlines()[-1]
    assert "(exit code 3)" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert seconds < 60
    assert list(tmp_path.iterdir()) == []


def test_the_demo_fails_loudly(tmp_path, program):
    """A world in which no policy waits for anybody: exit code 1, and where the story broke."""
    broken = tmp_path / "examples"
    shutil.copytree(ROOT / "examples", broken)
    seed = broken / "acme" / "seed.yaml"
    text = seed.read_text(encoding="utf-8")
    seed.write_text(text.replace("token: phx_acme_ci", "token: phx_another"), encoding="utf-8")

    done, _ = run_demo(broken, tmp_path, program)

    assert done.returncode == 1
    assert "The demo failed: expected exit code" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["examples"]


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks at /proc")
def test_an_interrupted_demo_stops_its_sandbox(tmp_path):
    """SIGTERM in the middle: the server goes, and so does the folder."""
    folder = tmp_path / "marked"
    shutil.copytree(ROOT / "examples", folder / "examples")
    process = subprocess.Popen(
        [sys.executable, str(folder / "examples" / "demo.py")],
        env={**CLEAN, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        while "sandbox listening" not in process.stdout.readline():
            assert process.poll() is None
        assert 1 == len(sandboxes(folder))
        process.terminate()
        process.communicate(timeout=30)

    assert process.returncode == 130
    assert [] == sandboxes(folder)
    assert os.listdir(folder) == ["examples"]  # noqa: PTH208  names are wanted


@pytest.fixture
def example(start_sandbox, tmp_path):
    """A copy of the example, beside a server with its world, which nobody changes."""
    repo = tmp_path / "acme"
    shutil.copytree(ACME, repo)
    return Repository(repo, start_sandbox("--seed", str(ACME / "seed.yaml")), token="phx_acme_ci")


def test_what_should_not_show_as_a_change_does_not(example):
    """Reordered lists, PostHog's durations, keys the editor added, ignored fields and flags."""
    done = example.run("plan", "--format", "json")
    changed = {row["address"]: row for row in done.json["changes"] if row["action"] != "none"}
    assert done.code == 0, done.err
    assert not {
        "Role/acme/Release managers",
        "ApprovalPolicy/acme/Web/feature_flag.update",
        "ApprovalPolicy/acme/Web/feature_flag.enable",
        "FeatureFlag/acme/Web/checkout-copy",
        "FeatureFlag/acme/Web/maintenance-mode",
        "FeatureFlag/acme/Mobile/maintenance-mode",
    } & set(changed)
    fields = {field["path"] for field in changed["FeatureFlag/acme/Web/new-checkout"]["fields"]}
    assert fields == {"name", "tags", "filters.groups[0].rollout_percentage"}
    assert (
        done.json["requests"]["reads"] == 19
    )  # one for the settings of Web, two for its access rules
    assert done.json["unmanaged"] == [
        "FeatureFlag/acme/Mobile/legacy-push",
        "FeatureFlag/acme/Web/holiday-2025",
        "Member/acme/zoe@agency.test",
        "Role/acme/Data science",
    ]


def shown_plan():
    """The plan that the README shows, line by line."""
    shown = blocks(ROOT / "README.md", "console")
    return next(b for b in shown if b.startswith("$ reconciler plan\n")).splitlines()[1:]


def test_the_plan_in_the_readme_is_a_real_one(example):
    """Every line of it is printed for examples/acme, in this order; `…` stands for what is cut."""
    done = example.run("plan")
    real = iter(done.out.splitlines())

    missing = [line for line in shown_plan() if line.strip() not in {"", "…"} and line not in real]

    assert done.code == 0, done.err
    assert missing == []


def typed():
    """(page, words) of every command line in the pages."""
    for page in PAGES:
        if page.name == "reference.md":  # written by the program itself
            continue
        lines = "\n".join(blocks(page, "", "console", "yaml")).splitlines()
        lines = [found[1] for line in lines if (found := COMMAND.search(line))]
        for line in [*lines, *INLINE.findall(page.read_text(encoding="utf-8"))]:
            yield page.name, line.split("#")[0].split()[1:]


TYPED = sorted({(page, " ".join(words)) for page, words in typed()})


@pytest.mark.parametrize(("page", "line"), TYPED, ids=[f"{p}:{w[:40]}" for p, w in TYPED])
def test_every_command_in_the_docs_exists(page, line):
    """Its name, its subcommand, and the options that are typed with it."""
    words = [word.strip('[]…)"') for word in line.split()]
    known = _options(group)
    command = None
    for word in words:
        if word in COMMANDS and command is None:
            command = group.get_command(None, word)
            known |= _options(command)
        elif isinstance(command, click.Group) and word in command.commands:
            known |= _options(command.commands[word])

    options = {word.split("=")[0] for word in words if word.startswith("--")}
    assert command is not None or words[0].startswith("-") or words[0] == "COMMAND", page
    assert options <= known | {"--help"}


def _options(command):
    return {name for param in command.params for name in (*param.opts, *param.secondary_opts)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    """Relative links, from the page's own folder."""
    targets = LINK.findall(page.read_text(encoding="utf-8"))

    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_code_of_a_finding_is_in_the_docs():
    """Of the files and of the plan, so that who meets one can look it up."""
    sources = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "reconciler" / "plan").glob("*.py")
    )
    codes = {*CHECKS, *re.findall(r'code="([a-z-]+)"', sources), *checks.CODES}
    text = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")

    assert len(codes) > 25
    assert sorted(code for code in codes if code not in text) == []


def test_every_exit_code_that_an_error_has_is_in_the_docs():
    """The README's table and the page agree on them."""
    page = (ROOT / "docs" / "exit-codes.md").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    codes = set(re.findall(r"^\| (\d+) \|", page, re.MULTILINE))

    assert {"0", "1", "2", "3", "4", "64", "130"} <= codes
    assert set(re.findall(r"^\| (\d+) \|", readme, re.MULTILINE)) <= codes


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_the_docs(name):
    """A command that nobody reads about is not there."""
    assert any(words[:1] == [name] or f" {name} " in f" {' '.join(words)} " for _, words in typed())


def test_the_recording_in_the_readme_is_of_the_program(tmp_path, program):
    """The script runs the session again: same commands, and a last plan without changes."""
    made = tmp_path / "session.svg"
    script = ROOT / "scripts" / "record_terminal.py"
    environ = {**CLEAN, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [program.parent / "python", script, made]
    subprocess.run(command, env=environ, check=True, timeout=120)
    new, shown = (ET.parse(each).getroot() for each in (made, IMAGE))  # noqa: S314  ours

    frames = new.findall("{*}g")
    texts = ["".join(frame.itertext()) for frame in frames]

    assert len(frames) == len(shown.findall("{*}g"))
    assert "needs 2 approvals" in texts[1]
    assert "No changes." in texts[-1]


def test_the_picture_in_the_readme_can_be_made_again(tmp_path):
    """The page of the example is drawn as large as it is shown, and the file stays small."""
    made, shown = tmp_path / "page.png", ROOT / "docs" / "images" / "plan-page.png"
    command = [sys.executable, "-m", "scripts.picture_page", made]
    subprocess.run(command, cwd=ROOT, check=True, timeout=120)
    new, old = made.read_bytes(), shown.read_bytes()

    assert new[:24] == old[:24]  # a PNG of the same width and height
    assert 80_000 < len(old) < 250_000
    assert 80_000 < len(new) < 250_000
