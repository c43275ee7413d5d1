"""Load schemas, compile them once, and accept documents; `errors` explains refusals."""

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import reconciler
from reconciler.errors import ConfigError
from reconciler.kinds import KINDS

_PACKAGE: Final = Path(reconciler.__file__).parent
FOLDERS: Final = (_PACKAGE / "schemas", _PACKAGE.parent / "schemas")  # in a wheel; in a checkout


def build_file_name(name: str) -> str:
    """Return the file of a schema: `FeatureFlag` -> `feature_flag.schema.json`."""
    words = "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
    return f"{words.lstrip('_')}.schema.json"


def read_text(name: str) -> str:
    """Return a schema as it is shipped; `name` is a kind, or the stem of another schema."""
    for folder in FOLDERS:
        path = folder / build_file_name(name)
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise ConfigError(
        f"no schema {build_file_name(name)} in this installation",
        why=f"looked in {' and '.join(str(folder) for folder in FOLDERS)}",
        fix="install reconciler again",
    )


@cache
def load_schema(name: str) -> dict[str, Any]:
    """Return a schema as data, which must not be changed."""
    schema: dict[str, Any] = json.loads(read_text(name))
    return schema


@cache
def _load_check(name: str) -> Callable[[Any], bool]:
    import jsonschema_rs  # noqa: PLC0415  only for the first document

    return jsonschema_rs.validator_for(load_schema(name)).is_valid


def accepts(name: str, value: Any) -> bool:
    """Return whether a document matches its schema. Takes 1 µs for a document."""
    try:
        return _load_check(name)(value)
    except ValueError:  # nothing it can convert: `explain` will say what
        return False


def find_schema(name: str, *path: str) -> Mapping[str, Any] | None:
    """Return the part of a schema for a field: `find_schema("Role", "spec", "members")`."""
    node: Any = load_schema(name)
    for step in path:
        while "items" in node and "properties" not in node:
            node = node["items"]
        node = node.get("properties", {}).get(step)
        if node is None:
            return None
    return node if isinstance(node, Mapping) else None


def find_natural_keys(name: str) -> Mapping[tuple[str, ...], str]:
    """Return path of a list -> the field that names its items, for lists of named items."""
    return _search_natural_keys(name)


@cache
def _search_natural_keys(name: str) -> Mapping[tuple[str, ...], str]:
    natural_keys: dict[tuple[str, ...], str] = {}
    todo: list[tuple[tuple[str, ...], Any]] = [((), load_schema(name))]
    while todo:
        path, node = todo.pop()
        if "x-natural-key" in node:
            natural_keys[path] = node["x-natural-key"]
        if isinstance(node.get("items"), Mapping):
            todo.append((path, node["items"]))
        todo.extend(((*path, step), child) for step, child in node.get("properties", {}).items())
    return natural_keys


def build_union_schema() -> dict[str, Any]:
    """Return a schema for documents of any kind: `oneOf`, distinguished by `kind`."""
    definitions = {
        name: {key: value for key, value in load_schema(name).items() if key != "$schema"}
        for name in KINDS
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A resource of reconciler",
        "description": "One document of a configuration repository: `kind`, `metadata`, `spec`.",
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"description": "What is declared.", "enum": list(KINDS)}},
        "oneOf": [{"$ref": f"#/definitions/{name}"} for name in KINDS],
        "definitions": definitions,
    }
