"""Reading a seed document from a text, with errors that name the place.

This module checks the form; `load` resolves the names.
"""

import difflib
import gc
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError, SafeConstructor

from reconciler.sandbox.protocol.errors import SandboxError, SeedError

_SCHEMA = "seed.schema.json"
_UNEXPECTED = "additionalProperties"


_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml may be missing


_TEXT = "tag:yaml.org,2002:str"
_MERGING = frozenset({"tag:yaml.org,2002:merge", "tag:yaml.org,2002:value"})


class _SeedLoader(_SafeLoader):  # type: ignore[misc]  # either of two classes
    """Safe YAML in which times stay text, as in JSON, and a key may occur only once."""

    yaml_constructors = _SafeLoader.yaml_constructors | {
        "tag:yaml.org,2002:timestamp": SafeConstructor.construct_yaml_str
    }

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.deep_construct = True  # so that an object inside itself is an error

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Return the value of a node; text, as most nodes are, at once."""
        if node.__class__ is yaml.ScalarNode and node.tag == _TEXT:
            return node.value
        return super().construct_object(node, deep)

    def construct_map(self, node: yaml.Node) -> dict[Any, Any]:
        """Return a mapping: at once, and not in two steps, as an object never holds itself."""
        if not isinstance(node, yaml.MappingNode):
            raise ConstructorError(problem="this is not a mapping", problem_mark=node.start_mark)
        self.flatten_mapping(node)
        construct = self.construct_object
        return {construct(key): construct(value) for key, value in node.value}

    def construct_list(self, node: yaml.Node) -> list[Any]:
        """Return a list."""
        if not isinstance(node, yaml.SequenceNode):
            raise ConstructorError(problem="this is not a list", problem_mark=node.start_mark)
        return list(map(self.construct_object, node.value))

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Check the keys before `<<` adds others, which the keys of this mapping override."""
        keys, merges = set(), False
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise ConstructorError(problem="a key must be a text", problem_mark=key.start_mark)
            if key.value in keys:
                problem = f"duplicate key {key.value!r}"
                raise ConstructorError(problem=problem, problem_mark=key.start_mark)
            keys.add(key.value)
            merges = merges or key.tag in _MERGING
        if merges:
            super().flatten_mapping(node)
            node.value = list({key.value: (key, value) for key, value in node.value}.values())


_SeedLoader.yaml_constructors |= {
    "tag:yaml.org,2002:map": _SeedLoader.construct_map,
    "tag:yaml.org,2002:seq": _SeedLoader.construct_list,
}


def _describe(error: Exception) -> str:
    """Return the problem in one line, after its place if the error has one."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return str(error).partition("\n")[0]
    mark = error.problem_mark
    problem = ", ".join(text for text in (error.context, error.problem) if text)
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}"


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object, unless a key occurs twice."""
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise SeedError(f"duplicate key {twice!r}")
    return mapping


@contextmanager
def pause_garbage_collection() -> Iterator[None]:
    """Pause garbage collection: a large seed takes three times as long with it, for no garbage."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def parse_seed(text: str) -> Any:
    """Return the document in a text, JSON or YAML; an empty text is an empty world.

    Raises:
        SeedError: it is neither, or not a valid seed.
    """
    document = _read_text(text)
    if document is None:
        document = {}
    validate_seed(document)
    return document


def _read_text(text: str) -> Any:
    stripped = text.lstrip("\ufeff \t\r\n")
    try:
        if stripped.startswith(("{", "[")):
            try:
                return json.loads(stripped, object_pairs_hook=_refuse_duplicates)
            except ValueError:
                pass  # flow-style YAML looks like this too
        return yaml.load(text, Loader=_SeedLoader)  # noqa: S506 - derived from the safe loader
    except (yaml.YAMLError, RecursionError, ValueError, LookupError) as error:
        # PyYAML answers a wrong `!!int` or `!!bool` with the error of its conversion
        raise SeedError(f"the seed cannot be read: {_describe(error)}") from error


def validate_seed(document: Any) -> None:
    """Accept a document quickly, or explain it slowly.

    Raises:
        SeedError: with the place, such as `organizations[0].projects[1].name`.
    """
    try:
        if _make_fast_validator().is_valid(document):
            return
    except ValueError:
        pass  # the slow validator names values that this one cannot read
    _raise_explained(document)


@cache
def _make_fast_validator() -> Any:
    import jsonschema_rs  # noqa: PLC0415  only for the first document

    return jsonschema_rs.validator_for(load_schema())


def _raise_explained(document: Any) -> None:
    from jsonschema import Draft202012Validator  # noqa: PLC0415  only for what is refused
    from jsonschema.exceptions import best_match  # noqa: PLC0415  only for what is refused

    try:
        error = best_match(Draft202012Validator(load_schema()).iter_errors(document))
    except RecursionError as error:
        raise SeedError("the seed is nested too deeply") from error
    if error is None:
        raise SeedError("the seed contains a value that is not JSON")
    where = format_path(error.absolute_path)
    message = error.message
    if error.validator == _UNEXPECTED and isinstance(error.schema, dict):
        message = _describe_unexpected(error.instance, error.schema)
    raise SeedError(f"{where}: {message}")


def _describe_unexpected(instance: dict[str, Any], form: dict[str, Any]) -> str:
    known = form.get("properties", {})
    name = next(str(key) for key in instance if key not in known)
    close = difflib.get_close_matches(name, known, n=1)
    hint = f' (did you mean "{close[0]}"?)' if close else ""
    return f"unknown field {name!r}{hint}"


def format_path(path: Iterable[str | int]) -> str:
    """Return a path as people write it: `organizations[0].name`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "seed"


@cache
def load_schema() -> Any:
    """Return the JSON Schema of a seed: inside the package in a wheel, beside it in a checkout."""
    package = resources.files("reconciler")
    inside = package / "schemas" / _SCHEMA
    if inside.is_file():
        return json.loads(inside.read_text(encoding="utf-8"))
    beside = Path(str(package)).parent / "schemas" / _SCHEMA
    if beside.is_file():
        return json.loads(beside.read_text(encoding="utf-8"))
    raise SandboxError(f"{_SCHEMA} is missing from this installation")


def read_default_seed() -> str:
    """Return the seed of the examples, or a minimal one if it is not installed."""
    package = resources.files("reconciler")
    inside = package / "sandbox" / "default_seed.yaml"
    if inside.is_file():
        return inside.read_text(encoding="utf-8")
    beside = Path(str(package)).parent / "examples" / "acme" / "seed.yaml"
    return beside.read_text(encoding="utf-8") if beside.is_file() else _SMALL_SEED


_SMALL_SEED = """\
users:
  - {email: alice@acme.test, first_name: Alice, tokens: [{token: phx_alice, scopes: ["*"]}]}
organizations:
  - name: Acme
    slug: acme
    features: [approvals, audit_logs, organizations_projects]
    members: [{email: alice@acme.test, level: owner}]
    projects: [{name: Web}]
"""
