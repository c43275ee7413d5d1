"""Explain why a document was refused: every error in plain words, at its place.

Runs only for documents that `validator.accepts` refused, so speed does not matter.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from typing import Any, Final

from reconciler.config.schema import validator
from reconciler.config.yaml.scalars import MAX_DIGITS
from reconciler.files.excerpts import read_token
from reconciler.lazy_dataclass import dataclass
from reconciler.lazy_pattern import compile_later
from reconciler.model import Finding, MappingNode, Severity, Source, format_path, locate_value
from reconciler.suggest import closest_match

Lines = Callable[[str], Sequence[str] | None]

WORDS: Final = {
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}
MAX_FINDINGS: Final = 100  # of one document
_DIGITS: Final = compile_later(r"([-+]?)([0-9][0-9_]*)(%?)")
_YES: Final = frozenset({"yes", "on", "y"})
_NO: Final = frozenset({"no", "off", "n"})
_SHOWN: Final = 60
_LEAST: Final = frozenset({"minLength", "minItems", "minProperties"})
_PROPERTIES: Final = compile_later(r"^(?:[!&]\S*\s+)+")  # a tag, an anchor


@dataclass(frozen=True, slots=True)
class _Subject:
    """The document that is explained."""

    name: str
    document: Any
    place: Source
    lines_of: Lines


def explain_errors(name: str, document: Any, place: Source, lines_of: Lines) -> list[Finding]:
    """Return every error of a document that its schema refuses; `place` is its start."""
    errors = _load_validator(name).iter_errors(document)
    subject = _Subject(name, document, place, lines_of)
    findings = (finding for error in errors for finding in _explain_error(error, subject))
    explained = list(islice(findings, MAX_FINDINGS))
    if next(findings, None) is not None:
        message = f"more than {MAX_FINDINGS} errors in one document; the rest is not explained"
        explained.append(Finding("R009", Severity.ERROR, message, source=place))
    return explained or [_explain_disagreement(name, document, place)]


@cache
def _load_validator(name: str) -> Any:
    from jsonschema import Draft7Validator  # noqa: PLC0415  only for what is refused

    return Draft7Validator(validator.load_schema(name))


def _explain_disagreement(name: str, document: Any, place: Source) -> Finding:
    """Return the fast validator's error if the other has none (`$` before a line end, say)."""
    import jsonschema_rs  # noqa: PLC0415  only for what is refused

    try:
        error = next(
            iter(jsonschema_rs.validator_for(validator.load_schema(name)).iter_errors(document))
        )
        path, message = tuple(error.instance_path), error.message
    except (StopIteration, ValueError) as trouble:
        path, message = (), str(trouble)
    source = locate_value(document, path, place)
    return Finding("R005", Severity.ERROR, f"{_format_field(path)}: {message}"[:200], source=source)


def _explain_error(error: Any, about: _Subject) -> Iterator[Finding]:
    path = tuple(error.absolute_path)
    position = locate_value(about.document, path, about.place)
    if "propertyNames" in error.absolute_schema_path:  # about a key, whose path is its mapping's
        path = (*path, error.instance)
        position = locate_key(about.document, path, about.place)
    explainer = _EXPLAINERS.get(error.validator, _explain_other)
    if "x-message" in error.schema:
        explainer = _explain_in_schema_words
    for code, message, why, fix, source in explainer(error, path, position, about):
        yield Finding(code, Severity.ERROR, message, why=why, fix=fix, source=source)


def locate_key(document: Any, path: Sequence[str | int], place: Source) -> Source:
    """Return where the key of a path is written; for an item of a list, its value."""
    parent = document
    for step in path[:-1]:
        parent = parent[step]
    if path and isinstance(parent, MappingNode) and path[-1] in parent:
        return parent.key_source(str(path[-1]))
    return locate_value(document, path, place)


_Row = tuple[str, str, str, str, Source]  # code, message, why, fix, place


def _format_field(path: Sequence[str | int]) -> str:
    return f"`{format_path(path)}`" if path else "the document"


def format_value(value: Any) -> str:
    """Return a value as it would be written, cut short."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _explain_unknown_fields(
    error: Any, path: Any, where: Source, about: _Subject
) -> Iterator[_Row]:
    properties = error.schema.get("properties", {})
    for key in error.instance:
        if key in properties:
            continue
        match = _find_alias(key, properties) or closest_match(key, properties)
        if home := _find_section(key, path, about):
            fix = f"move it under `{home}`"
        elif match and match not in error.instance:
            fix = f'did you mean "{match}"?'
        else:
            fix = f"remove it; there are {', '.join(properties)}"
        inside = _format_field(path) if path else "a document"
        source = locate_key(error.instance, (key,), where)
        yield "R004", f'{inside} has no field "{key}"', "", fix, source


def _find_alias(key: str, known: Mapping[str, Any]) -> str | None:
    """Return the field that the API, or a common alias, calls by this name."""
    for name, field in known.items():
        names = {field.get("x-api"), *field.get("x-also", ())} if field else ()
        if key in names:
            return name
    return None


def _find_section(key: str, path: tuple[str | int, ...], about: _Subject) -> str | None:
    """Return `spec` or `metadata`, if the field belongs there and not here."""
    if path not in {(), ("metadata",), ("spec",)}:
        return None
    homes = (part for part in ("metadata", "spec") if (part,) != path)
    return next((part for part in homes if validator.find_schema(about.name, part, key)), None)


def _explain_missing(error: Any, path: Any, where: Source, about: _Subject) -> Iterator[_Row]:
    for key in error.validator_value:
        if key not in error.instance:
            yield (
                "R006",
                f"{_format_field(path)} has no `{key}`",
                error.schema.get("properties", {}).get(key, {}).get("description", ""),
                f"add `{key}: {_format_placeholder(error.schema, key)}`",
                where,
            )


def _format_placeholder(schema_: Mapping[str, Any], key: str) -> str:
    """Return the only value of a field, or `…` if there are several."""
    schema = schema_.get("properties", {}).get(key, {})
    allowed = schema.get("enum", [schema["const"]] if "const" in schema else ())
    return str(allowed[0]) if len(allowed) == 1 else "…"


def _explain_type(error: Any, path: Any, where: Source, about: _Subject) -> Iterator[_Row]:
    wanted = error.validator_value
    types = [wanted] if isinstance(wanted, str) else list(wanted)
    words = " or ".join(WORDS[name] for name in types)
    lines = about.lines_of(where.file) or ()
    raw = read_token(lines[where.line - 1], where.column) if where.line <= len(lines) else ""
    raw = _PROPERTIES.sub("", raw)
    value = error.instance
    message = f"{_format_field(path)} needs {words}, not {_describe_value(value)}"
    if value is None:
        message = f"{_format_field(path)} has no value, but needs {words}"
    why, fix = _suggest_type(value, types, raw)
    if allowed := error.schema.get("enum"):
        fix = f"one of {_format_choices(allowed)}"
    elif not re.search(error.schema.get("pattern", ""), raw or format_value(value)):
        fix = f"write {error.schema.get('x-hint', 'other text')}"
    yield "R005", message, why, fix, where


def _describe_value(value: Any) -> str:
    match value:
        case bool():
            return f"{format_value(value)}"
        case int() | float():
            return f"the number {format_value(value)}"
        case str():
            return f"the text {format_value(value)}"
        case None:
            return "null"
        case _:
            return format_value(value)


def _suggest_type(value: Any, types: Sequence[str], raw: str) -> tuple[str, str]:  # noqa: PLR0911  one line a slip
    """Return why a value of that type was read, and what to write instead."""
    if value is None:
        return "", f"write {'`[]` for none' if 'array' in types else 'a value'}, or remove the key"
    if "string" in types and isinstance(value, (bool, int, float)):
        return "", f'quote it: "{raw or format_value(value)}"'
    if "boolean" in types and isinstance(value, str):
        if value.casefold() in _YES | _NO:
            boolean = "true" if value.casefold() in _YES else "false"
            why = "In YAML 1.2 only `true` and `false` are booleans"
            return why, f"write `{boolean}`"
        if value.casefold() in {"true", "false"}:
            return "", f"write `{value.casefold()}` without quotes"
        return "", "write `true` or `false`"
    if ("integer" in types or "number" in types) and isinstance(value, str):
        return _suggest_number(value)
    if "array" in types and not isinstance(value, (list, dict)):
        return "", f"write `[{raw or value}]`"
    return "", f"write {' or '.join(WORDS[name] for name in types)}"


def _suggest_number(value: str) -> tuple[str, str]:
    """Suggest a number for text. The text is never converted: it may have millions of digits."""
    written = _DIGITS.fullmatch(value)
    if written is None or len(value) > MAX_DIGITS:
        return "", "write a number"
    sign, digits, percent = written.groups()
    number = sign.replace("+", "") + (digits.replace("_", "").lstrip("0") or "0")
    if number != (sign.replace("+", "") + digits):
        return "digits with a leading zero or `_` are text", f"write `{number}`"
    return "", f"write `{number}`" + ("" if percent else " without quotes")


def _explain_choice(error: Any, path: Any, where: Source, about: _Subject) -> Iterator[_Row]:
    allowed = error.validator_value if error.validator == "enum" else [error.validator_value]
    if (
        any(isinstance(choice, str) for choice in allowed)
        and not isinstance(error.instance, str)
        and "type" in error.schema
    ):
        return  # its type is wrong, which is reported already
    choices = _format_choices(allowed)
    match = (
        closest_match(error.instance, (c for c in allowed if isinstance(c, str)))
        if isinstance(error.instance, str)
        else None
    )
    fix = (
        f'did you mean "{match}"?'
        if match
        else f"one of {choices}"
        if len(allowed) > 1
        else (f"write `{choices}`")
    )
    yield (
        "R005",
        f"{_format_field(path)} cannot be {format_value(error.instance)}",
        f"allowed: {choices}",
        fix,
        where,
    )


def _format_choices(allowed: Sequence[Any]) -> str:
    return ", ".join("null" if choice is None else str(choice) for choice in allowed)


def _explain_pattern(error: Any, path: Any, where: Source, about: _Subject) -> Iterator[_Row]:
    hint = error.schema.get("x-hint", f"text that matches {error.validator_value}")
    yield (
        "R005",
        f"{_format_field(path)} cannot be {format_value(error.instance)}",
        "",
        f"write {hint}",
        where,
    )


def _explain_bound(error: Any, path: Any, where: Source, about: _Subject) -> Iterator[_Row]:
    limit = error.validator_value
    if error.validator in _LEAST and limit == 1:
        fix = "write a value that is not empty"
        yield "R005", f"{_format_field(path)} must not be empty", "", fix, where
        return
    words = {
        "minimum": f"at least {limit}",
        "maximum": f"at most {limit}",
        "minLength": f"at least {limit} characters long",
        "maxLength": f"at most {limit} characters long",
        "minItems": f"at least {limit} items long",
        "maxItems": f"at most {limit} items long",
        "minProperties": f"at least {limit} entries long",
    }[error.validator]
    message = f"{_format_field(path)} has to be {words}"
    if error.validator in {"minimum", "maximum"}:
        message += f", not {format_value(error.instance)}"
    yield "R005", message, "", f"write a value that is {words}", where


def _explain_in_schema_words(
    error: Any, path: Any, where: Source, about: _Subject
) -> Iterator[_Row]:
    schema = error.schema
    yield schema.get("x-code", "R005"), schema["x-message"], "", schema.get("x-hint", ""), where


def _explain_other(error: Any, path: Any, where: Source, about: _Subject) -> Iterator[_Row]:
    yield "R005", f"{_format_field(path)}: {error.message}"[:200], "", "", where


_EXPLAINERS: Final[Mapping[str, Callable[[Any, Any, Source, _Subject], Iterator[_Row]]]] = {
    "additionalProperties": _explain_unknown_fields,
    "required": _explain_missing,
    "type": _explain_type,
    "enum": _explain_choice,
    "const": _explain_choice,
    "pattern": _explain_pattern,
    **dict.fromkeys(
        ("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "minProperties"),
        _explain_bound,
    ),
}
