"""Rules of the code base: layers, sizes, and that every list is complete."""

import ast
import inspect
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from reconciler import errors
from reconciler.cli.main import COMMANDS, group, run
from reconciler.config.schema import validator
from reconciler.kinds import KINDS, READ
from reconciler.model import iterate_values

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "reconciler").rglob("*.py"))
LINES, BODY = 400, 50


def test_data_walks_one_way():
    """The import contracts of pyproject.toml hold."""
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_room_grows_too_big(path):
    """A module stops at 400 lines, a function at 50, and each says what it is."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = [f.name for f in functions if f.end_lineno - f.body[0].lineno >= BODY]

    assert text.count("\n") <= LINES
    assert long == []
    assert ast.get_docstring(tree)


def test_every_exception_from_the_linter_has_its_reason_beside_it():
    """A rule is silenced by name, and the line says why."""
    bare = re.compile(r"# (?:noqa|type: ignore)(?:: [A-Z0-9, ]+|\[[a-z-]+\])?\s*$", re.MULTILINE)
    files = [*MODULES, *(ROOT / "tests").rglob("*.py")]

    assert [] == [str(file) for file in files if bare.search(file.read_text(encoding="utf-8"))]


def test_every_section_of_the_contract_that_the_code_names_is_there():
    """A pointer into docs/posthog-api.md leads somewhere."""
    page = (ROOT / "docs" / "posthog-api.md").read_text(encoding="utf-8")
    there = set(re.findall(r"^#{2,3} (\d+(?:\.\d+)?)", page, re.MULTILINE))
    there |= {
        f"0.{number}" for number in re.findall(r"^(\d+)\. ", page.split("## 1.")[0], re.MULTILINE)
    }
    named = {
        (path.name, section)
        for path in MODULES
        for listed in re.findall(
            r"contract,? (?:sections? )?([\d.]+(?:(?:, | to | and )[\d.]+)*)",
            path.read_text(encoding="utf-8"),
            re.IGNORECASE,
        )
        for section in re.findall(r"\d+(?:\.\d+)?", listed)
    }

    assert len(named) > 100
    assert [] == sorted(row for row in named if row[1] not in there)


def _family(cls):
    return [cls, *(one for child in cls.__subclasses__() for one in _family(child))]


@pytest.mark.parametrize("cls", _family(errors.ReconcilerError), ids=lambda cls: cls.__name__)
def test_every_error_has_an_exit_code_a_state_and_a_fix(cls):
    """And stands in the tree of the module's docstring."""
    error = cls("what")

    assert error.exit_code in {1, 4, 64}
    assert error.state
    assert error.fix
    assert cls.__name__ in inspect.getdoc(errors)


def _commands(command, name):
    yield name, command
    if isinstance(command, click.Group):
        for child, sub in command.commands.items():
            yield from _commands(sub, f"{name} {child}")


ALL = [pair for name in COMMANDS for pair in _commands(group.get_command(None, name), name)]


@pytest.mark.parametrize(("name", "command"), ALL, ids=[name for name, _ in ALL])
def test_every_command_has_help_and_an_example(name, command):
    """`--help` of each ends with an example that starts as one would type it."""
    assert command.help
    assert command.epilog
    assert command.epilog.startswith(("Example: reconciler", 'Example: eval "$(reconciler'))
    assert name.split()[-1] in command.epilog


@pytest.mark.parametrize("command", [one for _, one in ALL], ids=[name for name, _ in ALL])
def test_every_example_can_be_typed(command, capsys):
    """Each option stands where the parser takes it."""
    typed = re.sub(r' >.*|"$|eval "\$\(|\)', "", command.epilog.removeprefix("Example: "))

    code = run([*shlex.split(typed)[1:], "--help"])

    assert 0 == code, capsys.readouterr().err


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_every_kind_is_complete(kind):
    """A schema with examples, references to kinds that exist, a normal form, a sandbox."""
    document = validator.load_schema(kind.name)
    file = re.sub(r"(?<!^)(?=[A-Z])", "_", kind.name).lower()

    assert (ROOT / "reconciler" / "kinds" / f"{file}.py").exists()
    assert (ROOT / "reconciler" / "sandbox" / "api" / f"{file}.py").exists()
    assert document["examples"]
    for example in document["examples"]:
        assert validator.accepts(kind.name, example)
        spec = kind.canonical(example.get("spec") or {})
        assert kind.canonical(spec) == spec
        for reference in kind.references:
            list(iterate_values(spec, reference.path))
    assert {reference.kind for reference in kind.references} <= set(READ)
    assert json.dumps(document)


def test_help_imports_nothing_heavy():
    """`--help` pays for click alone."""
    code = (
        "import sys\nfrom reconciler.cli.main import run\nrun(['--help'])\n"
        "print(*[m for m in ('httpx','jinja2','jsonschema','jsonschema_rs','yaml')"
        " if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )

    assert done.stderr.split() == []


@pytest.mark.parametrize("format_", ["text", "json", "markdown"])
def test_only_the_html_page_imports_its_template_engine(format_):
    """Every other format starts as quickly as if the page did not exist."""
    code = (
        "import sys\nfrom reconciler import model, render\n"
        f"render.plan(model.Plan(()), format='{format_}')\nprint('jinja2' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )

    assert done.stdout == "False\n"


def test_a_usage_error_is_64_and_never_2():
    """2 means differences; a typo in CI must not read as drift."""
    for arguments in (["plna"], ["plan", "--nope"], ["plan", "--format", "yaml"]):
        command = [sys.executable, "-m", "reconciler", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)

        assert done.returncode == 64, done.stderr
        assert "Traceback" not in done.stderr
