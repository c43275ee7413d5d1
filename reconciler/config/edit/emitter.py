"""Format values as YAML that means the same in YAML 1.1 and 1.2. Writes no file.

Our own emitter never folds lines and never writes tags or anchors. It quotes text that any reader
could take for another type, and lays documents out as a person would.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from reconciler.config.yaml.scalars import resolve_scalar
from reconciler.files.text import find_hidden_character
from reconciler.lazy_pattern import compile_later

WIDTH: Final = 100
STEP: Final = "  "
IN_ONE_LINE: Final = frozenset({"metadata", "conditions"})  # mappings

_WORDS: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "none"})
_DURATION: Final = compile_later(r"(?:[0-9]+[wdhms])+")
_SHORT: Final = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\\": "\\\\", '"': '\\"', "\0": "\\0"}


def format_document(value: Mapping[str, Any]) -> str:
    """Return the text of one document, without `---`; it ends with a line break."""
    return "".join(f"{line}\n" for line in _format_mapping(value, ""))


def format_block(value: Any, indent: str) -> list[str]:
    """Return the indented lines of a mapping or list that is not empty."""
    return list(
        _format_mapping(value, indent)
        if isinstance(value, Mapping)
        else _format_list(value, indent)
    )


def format_entry(key: str, value: Any, indent: str) -> list[str]:
    """Return the lines of one key and its value."""
    return list(
        _format_entry(f"{indent}{format_scalar(key)}:", value, indent, flow=key in IN_ONE_LINE)
    )


def format_scalar(value: Any, *, flow: bool = False) -> str:
    """Return text, a number, true, false or null on one line; `flow`: for use in brackets."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return _format_float(value)
        case _:
            return str(value) if is_plain(value, flow=flow) else quote_text(value)


def is_plain(text: str, *, flow: bool = False) -> bool:
    """Return whether text needs no quotes, because no part of it is YAML syntax or a number."""
    if not text or text.lower() in _WORDS or not isinstance(resolve_plain(text), str):
        return False
    if not (text[0].isalpha() or text[0] in "_/") and not _DURATION.fullmatch(text):
        return False
    if not text.isprintable() or find_hidden_character(text):
        return False
    if text[-1] in ": " or ": " in text or " #" in text:
        return False
    return not (flow and any(mark in text for mark in ",[]{}?"))


def resolve_plain(text: str) -> Any:
    """Return the value that our reader reads from plain text; also None if it refuses it."""
    try:
        return resolve_scalar(text)
    except ValueError:
        return None


def quote_text(text: str) -> str:
    """Return text in quotes, with escapes for characters that cannot be seen."""
    if text.replace("\u200d", "").isprintable() and not find_hidden_character(text):
        if '"' in text or "\\" in text:
            return "'" + text.replace("'", "''") + "'"
        return f'"{text}"'
    return '"' + "".join(map(_escape, text)) + '"'


def _escape(character: str) -> str:
    if character in _SHORT:
        return _SHORT[character]
    number = ord(character)
    is_visible = number <= 0x7F or not find_hidden_character(character)  # noqa: PLR2004  the end of ASCII
    if character.isprintable() and is_visible:
        return character
    if number < 0x100:  # noqa: PLR2004  as many digits as needed
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"  # noqa: PLR2004  the end of four digits


def _format_float(value: float) -> str:
    """Return a number with a point, which YAML 1.1 requires before an exponent."""
    text = repr(value)
    mantissa, e, exponent = text.partition("e")
    return f"{mantissa if '.' in mantissa else f'{mantissa}.0'}e{exponent}" if e else text


def format_flow(value: Any) -> str:
    """Return any value on one line, mappings and lists in brackets."""
    if isinstance(value, Mapping):
        inner = (
            f"{format_scalar(key, flow=True)}: {format_flow(item)}" for key, item in value.items()
        )
        return "{" + ", ".join(inner) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(format_flow, value)) + "]"
    return format_scalar(value, flow=True)


def _format_mapping(value: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, item in value.items():
        yield from format_entry(key, item, indent)


def _format_list(value: Sequence[Any], indent: str) -> Iterator[str]:
    for item in value:
        if isinstance(item, Mapping) and item and not _is_short(item, indent):
            first, *rest = _format_mapping(item, f"{indent}{STEP}")
            yield f"{indent}- {first.strip() if not rest else first[len(indent) + 2 :]}"
            yield from rest
        else:
            yield from _format_entry(f"{indent}-", item, indent, flow=True)


def _format_entry(start: str, value: Any, indent: str, *, flow: bool) -> Iterator[str]:
    """Yield the lines of a value that follows its key or dash."""
    if isinstance(value, str):
        if lines := _split_literal(value):
            style, *text = lines
            yield f"{start} {style}"
            yield from (f"{indent}{STEP}{line}" if line else "" for line in text)
        else:
            yield f"{start} {format_scalar(value)}"
    elif not isinstance(value, Mapping | Sequence):
        yield f"{start} {format_scalar(value)}"
    elif not value or _fits_line(value, start, flow=flow):
        yield f"{start} {format_flow(value)}"
    else:
        yield start
        yield from format_block(value, f"{indent}{STEP}")


def _split_literal(text: str) -> list[str]:
    """Return multi-line text as the lines of a `|` block; none if it has to be in quotes."""
    body, end = (text[:-1], "") if text.endswith("\n") else (text, "-")
    lines = body.split("\n")
    if "\n" not in text or not lines[0] or lines[0][0] == " " or not lines[-1]:
        return []
    if any(not line.isprintable() or line != line.rstrip() for line in lines):
        return []
    return [] if find_hidden_character(body.replace("\n", "")) else [f"|{end}", *lines]


def _fits_line(value: Any, start: str, *, flow: bool) -> bool:
    """Return whether a value that is not empty belongs on the line of its key."""
    if isinstance(value, Mapping):
        return flow and _is_short(value, start)
    return all(map(_is_one_line, value)) and len(start) + len(format_flow(value)) < WIDTH


def _is_short(value: Mapping[str, Any], start: str) -> bool:
    """Return whether a mapping has only plain values, or lists of them, and fits one line."""
    if not all(_is_one_line(item) or _is_one_line_list(item) for item in value.values()):
        return False
    return len(start) + len(format_flow(value)) < WIDTH


def _is_one_line_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_one_line, value))


def _is_one_line(value: Any) -> bool:
    if isinstance(value, str):
        return "\n" not in value
    return not isinstance(value, Mapping | Sequence)
