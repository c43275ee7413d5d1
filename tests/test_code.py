"""Rules of the code base: layers, sizes, names, and that every list is complete."""

import ast
import inspect
import json
import re
import shlex
import subprocess
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path

import click

from reconciler import errors
from reconciler.cli.main import COMMANDS, group, run
from reconciler.config.schema import validator
from reconciler.kinds import KINDS, READ
from reconciler.model import iterate_values

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "reconciler"
SOURCES = {path: path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))}
LINES, BODY, MODULES = 400, 50, 17
ONE_MODULE_PER_ITEM = {PACKAGE / "commands", PACKAGE / "kinds", PACKAGE / "sandbox" / "api"}
# Their functions are called like the values that they render: `plan(plan, options)`.
RENDERERS = {PACKAGE / "render", *(path.parent for path in SOURCES if "render" in path.parts)}
# Words that say nothing about the value that they name.
VAGUE = {"one", "found", "said", "told", "made", "there", "asked"}
# Words with which a docstring begins that describes its function instead of telling what it does.
NOT_IMPERATIVE = {
    *("What", "Whether", "Who", "Whose", "Whom", "How", "Where", "Which", "When", "Why"),
    *("The", "A", "An", "All", "Every", "Each", "Everything", "Nothing", "No", "It", "This"),
}


@cache
def _parse_sources():
    return {path: ast.parse(text) for path, text in SOURCES.items()}


def _name(path):
    return path.relative_to(PACKAGE).as_posix()


@cache
def _functions(tree) -> list[ast.FunctionDef]:
    """Return all functions; `ast.walk` would look into each expression for them."""
    functions, waiting = [], [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            functions.append(node)
        for block in ("body", "orelse", "handlers", "finalbody", "cases"):
            statements = getattr(node, block, ())
            if isinstance(statements, list):  # the body of a lambda is an expression
                waiting += statements
    return functions


def _locals(function):
    """Parameters and assigned names of a function, with those of nested scopes."""
    arguments = function.args
    yield from (each.arg for each in (*arguments.args, *arguments.kwonlyargs))
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def test_modules_functions_and_folders_stay_small():
    """A module has 400 lines, a function 50, a folder 17 modules, each at most."""
    folders = defaultdict(int)
    for path in SOURCES:
        folders[path.parent] += path.name != "__init__.py"
    modules = [_name(path) for path, text in SOURCES.items() if text.count("\n") > LINES]
    functions = [
        f"{_name(path)}: {function.name}"
        for path, tree in _parse_sources().items()
        for function in _functions(tree)
        if function.end_lineno - function.body[0].lineno >= BODY
    ]
    large = {_name(folder) for folder, number in folders.items() if number > MODULES}

    assert modules == []
    assert functions == []
    assert large <= {_name(folder) for folder in ONE_MODULE_PER_ITEM}


def test_every_module_says_what_it_is():
    """Its docstring is the first thing that a reader sees."""
    assert [
        _name(path) for path, tree in _parse_sources().items() if not ast.get_docstring(tree)
    ] == []


def test_docstrings_are_in_the_imperative():
    """The first word tells what the function does; a predicate returns whether."""
    wrong = [
        f"{_name(path)}:{function.lineno} {function.name}"
        for path, tree in _parse_sources().items()
        for function in _functions(tree)
        if (ast.get_docstring(function) or "-").split()[0].rstrip(",.:") in NOT_IMPERATIVE
    ]

    assert wrong == []


def test_names_of_values_say_what_they_hold():
    """No vague word, and no name of a function of the module."""
    vague, shadowing = [], []
    for path, tree in _parse_sources().items():
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        for function in _functions(tree):
            if any("fixture" in ast.unparse(each) for each in function.decorator_list):
                continue  # a parameter is the name of another fixture
            names, place = set(_locals(function)), f"{_name(path)}:{function.lineno}"
            vague += [f"{place} {name}" for name in sorted(names & VAGUE)]
            if path.parent not in RENDERERS:
                shadowing += [f"{place} {name}" for name in sorted(names & functions)]

    assert vague == []
    assert shadowing == []


def test_each_class_of_the_client_has_a_name_of_its_own():
    """Who reads a name need not ask which one is meant."""
    places = defaultdict(list)
    for path, tree in _parse_sources().items():
        if "sandbox" not in path.relative_to(PACKAGE).parts:
            for node in tree.body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    places[node.name].append(_name(path))

    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}


def test_no_module_of_the_client_compiles_data_classes_at_import():
    """That would cost every command about half a millisecond a class."""
    client = {path for path in SOURCES if PACKAGE / "sandbox" not in path.parents}
    for path in client - {PACKAGE / "lazy_dataclass.py"}:
        for node in ast.walk(_parse_sources()[path]):
            if isinstance(node, ast.ImportFrom) and node.module == "dataclasses":
                imported = {alias.name for alias in node.names}
                assert "dataclass" not in imported, f"{_name(path)}: use reconciler.lazy_dataclass"


def test_few_modules_of_the_client_compile_regular_expressions_at_import():
    """Only those that use them for each line of a file, or for each message."""
    at_once = {
        name
        for path, tree in _parse_sources().items()
        if PACKAGE / "sandbox" not in path.parents
        for statement in tree.body
        if not isinstance(statement, ast.FunctionDef | ast.ClassDef)
        for node in ast.walk(statement)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "re.compile"
        for name in [_name(path)]
    }

    assert at_once == {"config/yaml/fast_path.py", "posthog/redaction.py"}, "use lazy_pattern"


def test_names_of_tests_fit_into_a_line():
    """At most 80 characters."""
    names = [
        name
        for path in (ROOT / "tests").rglob("*.py")
        for name in re.findall(r"\bdef (test_\w+)", path.read_text(encoding="utf-8"))
    ]
    long = [name for name in names if len(name) > 80]

    assert len(names) > 1000

    assert long == []


def test_every_exception_from_the_linter_has_its_reason_beside_it():
    """A rule is silenced by name, and the line says why."""
    bare = re.compile(r"# (?:noqa|type: ignore)(?:: [A-Z0-9, ]+|\[[a-z-]+\])?\s*$", re.MULTILINE)
    files = [*SOURCES, *(ROOT / "tests").rglob("*.py")]

    assert [] == [str(file) for file in files if bare.search(file.read_text(encoding="utf-8"))]


def test_every_section_of_the_contract_that_the_code_names_is_there():
    """A pointer into docs/posthog-api.md leads somewhere."""
    page = (ROOT / "docs" / "posthog-api.md").read_text(encoding="utf-8")
    sections = set(re.findall(r"^#{2,3} (\d+(?:\.\d+)?)", page, re.MULTILINE))
    sections |= {
        f"0.{number}" for number in re.findall(r"^(\d+)\. ", page.split("## 1.")[0], re.MULTILINE)
    }
    named = {
        (path.name, section)
        for path, text in SOURCES.items()
        for listed in re.findall(
            r"contract,? (?:sections? )?([\d.]+(?:(?:, | to | and )[\d.]+)*)", text, re.IGNORECASE
        )
        for section in re.findall(r"\d+(?:\.\d+)?", listed)
    }

    assert len(named) > 100
    assert [] == sorted(row for row in named if row[1] not in sections)


def _family(cls):
    return [cls, *(one for child in cls.__subclasses__() for one in _family(child))]


def test_every_error_has_an_exit_code_a_state_and_a_fix():
    """And stands in the tree of the module's docstring."""
    classes = _family(errors.ReconcilerError)

    assert len(classes) > 10
    for cls in classes:
        error = cls("what")

        assert error.exit_code in {1, 4, 64}, cls
        assert error.state, cls
        assert error.fix, cls
        assert cls.__name__ in inspect.getdoc(errors)


def _commands(command, name):
    yield name, command
    if isinstance(command, click.Group):
        for child, sub in command.commands.items():
            yield from _commands(sub, f"{name} {child}")


ALL = [pair for name in COMMANDS for pair in _commands(group.get_command(None, name), name)]


def test_every_command_has_help_and_an_example():
    """`--help` of each ends with an example that starts as one would type it."""
    for name, command in ALL:
        assert command.help, name
        assert command.epilog, name
        assert command.epilog.startswith(("Example: reconciler", 'Example: eval "$(reconciler'))
        assert name.split()[-1] in command.epilog


def test_every_example_can_be_typed(capsys):
    """Each option stands where the parser takes it."""
    for name, command in ALL:
        example = command.epilog.removeprefix("Example: ").partition("\n")[0]
        typed = re.sub(r' >.*|"$|eval "\$\(|\)', "", example)

        code = run([*shlex.split(typed)[1:], "--help"])

        assert 0 == code, (name, capsys.readouterr().err)


def test_every_kind_is_complete():
    """A schema with examples, references to kinds that exist, a normal form, a sandbox."""
    for kind in KINDS.values():
        _need_complete(kind)


def _need_complete(kind):
    document = validator.load_schema(kind.name)
    file = re.sub(r"(?<!^)(?=[A-Z])", "_", kind.name).lower()

    assert (ROOT / "reconciler" / "kinds" / f"{file}.py").exists()
    assert list((ROOT / "reconciler" / "sandbox" / "api").rglob(f"{file}.py"))
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
        "print(*[m for m in ('httpx','jinja2','json','jsonschema','jsonschema_rs','logging','yaml')"
        " if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )

    assert done.stderr.split() == []


def test_only_the_html_page_imports_its_template_engine():
    """Every other format starts as quickly as if the page did not exist."""
    code = (
        "import sys\nfrom reconciler import model, render\n"
        "for name in ('text', 'json', 'markdown'):\n"
        "    render.plan(model.Plan(()), format=name)\nprint('jinja2' in sys.modules)"
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
