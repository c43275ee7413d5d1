"""Describe the fields of the kinds from their schemas, for `explain`."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from reconciler.config.schema import validator
from reconciler.config.schema.errors import WORDS
from reconciler.errors import ConfigError
from reconciler.kinds import KINDS
from reconciler.lazy_dataclass import dataclass
from reconciler.lazy_pattern import compile_later
from reconciler.model import ABSENT
from reconciler.suggest import closest_match

_INDEX: Final = compile_later(r"\[\d*\]")
_PARTS: Final = ("spec", "metadata")
_LIMITS: Final = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minLength": "at least {} long",
    "maxLength": "at most {} long",
    "minItems": "at least {} of them",
}
_STATE: Final = "nothing was contacted"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a kind. `path` is complete: `spec.filters.groups[].variant`."""

    kind: str
    path: str
    node: Mapping[str, Any]
    required: bool = False
    api: str = ""  # what PostHog calls it; empty: it is not sent
    writers: str = ""

    @property
    def description(self) -> str:
        """Return what the field means."""
        return str(self.node.get("description", ""))

    @property
    def type(self) -> str:
        """Return `a list of text`, `true or false`, `one of member, admin, owner`."""
        return _describe_type(self.node)

    @property
    def limits(self) -> str:
        """Return the bounds of its value, in words."""
        node = self.node.get("items", {}) if "items" in self.node else self.node
        limits = [
            text.format(holder[word])
            for holder in ((self.node, node) if node is not self.node else (node,))
            for word, text in _LIMITS.items()
            if word in holder
        ]
        if "x-hint" in node:
            limits.append(str(node["x-hint"]))
        return ", ".join(limits)

    @property
    def default(self) -> Any:
        """Return the value of a field that is not written; ABSENT if unknown."""
        return self.node.get("default", ABSENT)

    @property
    def examples(self) -> list[Any]:
        """Return examples of its value."""
        return list(self.node.get("examples", ()))


def find_field(text: str) -> Field:
    """Return the field of `KIND.field.field`, or the kind itself; ConfigError if unknown.

    `spec.` may be left out. Lists are looked into: `filters.groups.variant`, as a plan prints
    it too, `filters.groups[0].variant`.
    """
    name, *steps = _INDEX.sub("", text).split(".")
    kind = _find_kind(name)
    root = validator.load_schema(kind)
    field = Field(kind, "", root)
    if not steps:
        return field
    if steps[0] not in (*_PARTS, "kind"):
        home = next(
            (part for part in _PARTS if steps[0] in _list_properties(find_schema_part(kind, part))),
            "",
        )
        steps = [home or "spec", *steps]
    for step in steps:
        field = _find_child(field, step)
    return field


def list_fields(field: Field) -> Iterator[Field]:
    """Yield the fields of a field, in the order of the schema."""
    for name in _list_properties(field.node):
        yield _find_child(field, name)


def find_schema_part(kind: str, part: str) -> Mapping[str, Any]:
    """Return the part of a kind's schema that describes `spec` or `metadata`."""
    return validator.find_schema(kind, part) or {}


def _find_kind(name: str) -> str:
    exact = next((kind for kind in KINDS if kind.casefold() == name.casefold()), None)
    if exact is not None:
        return exact
    word = name.casefold()
    within = (kind for kind in KINDS if word and word in kind.casefold())
    match = closest_match(name, KINDS) or next(within, None)
    fix = f'did you mean "{match}"?' if match else f"one of {', '.join(KINDS)}"
    raise ConfigError(f'unknown kind "{name}"', state=_STATE, fix=fix)


def _list_properties(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the fields of an object, or of the items of a list."""
    while "properties" not in node and isinstance(node.get("items"), Mapping):
        node = node["items"]
    properties: Mapping[str, Any] = node.get("properties", {})
    return properties


def _find_child(field: Field, name: str) -> Field:
    node, path = field.node, field.path
    while "properties" not in node and isinstance(node.get("items"), Mapping):
        node, path = node["items"], f"{path}[]"
    properties = node.get("properties", {})
    if name not in properties:
        raise _make_unknown_field_error(field, name, properties)
    child = properties[name]
    api = str(child.get("x-api") or (f"{field.api}.{name}" if field.api else ""))
    return Field(
        field.kind,
        f"{path}.{name}" if path else name,
        child,
        required=name in node.get("required", ()),
        api=api,
        writers=str(child.get("x-writers", field.writers)),
    )


def _make_unknown_field_error(field: Field, name: str, known: Mapping[str, Any]) -> ConfigError:
    also = (real for real, node in known.items() if name in _list_api_names(node))
    match = next(also, None) or closest_match(name, known)
    location = f"{field.kind}.{field.path}".rstrip(".")
    if match:
        fix = f'did you mean "{match}"?'
    elif deeper := _find_nested(field, name):
        fix = f"it is {' or '.join(deeper[:3])}"
    elif known:
        fix = f"one of {', '.join(known)}"
    else:
        fix = f"see: reconciler explain {location}"
    return ConfigError(f'{location} has no field "{name}"', state=_STATE, fix=fix)


def _find_nested(field: Field, name: str) -> list[str]:
    """Return nested fields with this name, or this name in the API."""
    nested, todo = [], list(list_fields(field))
    while todo:
        child = todo.pop(0)
        if name == child.path.rsplit(".", 1)[-1] or name in _list_api_names(child.node):
            nested.append(f"{child.kind}.{_INDEX.sub('', child.path).removeprefix('spec.')}")
        todo.extend(list_fields(child))
    return nested


def _list_api_names(node: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(filter(None, (node.get("x-api"), *node.get("x-also", ()))))


def _describe_type(node: Mapping[str, Any]) -> str:
    if "const" in node:
        return f"always {_format_constant(node['const'])}"
    if "enum" in node:
        return f"one of {', '.join(_format_constant(value) for value in node['enum'])}"
    written = node.get("type", ())
    names = [written] if isinstance(written, str) else list(written)
    if not names:
        return "anything"
    words = []
    for name in names:
        word = WORDS[name]
        items = node.get("items")
        if name == "array" and isinstance(items, Mapping) and "type" in items:
            word = f"a list; each item: {_describe_type(items)}"
        words.append(word)
    return " or ".join(words)


def _format_constant(value: Any) -> str:
    return "null" if value is None else str(value)
