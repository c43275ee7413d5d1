"""One text read by both readers: the quick one and the careful one have to agree."""

# ruff: noqa: E501  tables of pieces

import random
import re

from reconciler.config.yaml import events, fast_path
from reconciler.files import text
from reconciler.model import MappingNode, Places, SequenceNode

KEYS = ("a", "b", "kind", "rollout_percentage", "x-y", "1", "true", "no", '"a"', "'b'", '"x y"', "~", "a b", "<<", "?", "'<<'", "é", "k" * 101, "a@b.c", "", '""', "-a", "a:b", "k#")  # fmt: skip
SCALARS = (
    "", "x", "1", "-1", "+1", "1.5", ".5", "1.", "1e3", "010", "0o17", "0x1F", "1_000", "12:30", "2026-01-01", "yes", "no", "on", "true",
    "True", "TRUE", "tRue", "null", "~", "Null", ".inf", "-.inf", ".nan", "1e999", "9" * 101, "-", "--", "---", "...", "?", "? x", ":", ":x", "x:",
    "x:y", "x: y", "x :y", "a#b", "a #b", "#c", "# c", "x # c", "x  ", '"x"', '"x" # c', '"x"y', '"x', 'x"', '""', "''", "'x'", "'it''s'", "'x'y", "'x",
    '"\\n"', '"\\u00e9"', "&a x", "*a", "!!str x", "!x", "|", ">-", "|\n  x", "@x", "`x", "%x", "x%", ",x", "x,y", "x, y", "]", "}", "x]", "x}y", "x [y", "[", "{",
    "https://x.test/a?b=c#d", "a@b.test", "*", "'*'", "é", "😀 x", "\u00a0x", "x\u00a0", "- x", "-x", "=", "<", "<<", "<< ", "a 'b' \"c\"", "x\\y", "$x", "^x", "~x", "/x", "(x)",
    "\x7f", "\u200b", "\ufeff", "\t", "x\ty", "\u2028", "\x85",
)  # fmt: skip
FLOWS = (
    "[]", "{}", "[ ]", "{ }", "[a]", "[a, b]", "[ a , b ]", "[a,b]", "[a, ]", "[,]", "[a,,b]", "[a b, c]", "[1, 1.5, true, ~, no]", "['a', \"b\"]", "['a''b']", "[a: b]",
    "{a: b}", "{a: b, c: 1}", "{ a : b }", "{a:b}", "{a: b,c: d}", "{a: b, a: c}", "{a}", "{a: }", "{a: , b: c}", "{a: b, }", '{"a": b}', '{"a":b}', "{a: 'x, y: z'}", "{a: b:c}",
    "{a: b: c}", "{a: [b, {c: d}], e: []}", "[[a], [b, [c]]]", "[{a: b}, {}]", "{a: [}", "[a", "{a: b", "[a] # c", "[a]# c", "[a] b", "{a: b} # , c: d", "{a: b} }", "[a #b, c]", "[a#b]",
    "[- a]", "[-a, -1]", "[?a]", "[a?]", "[:a]", "[a:]", "{a: -}", "{? a: b}", "[&a b]", "[*a]", "[!x a]", "[|]", "{a: >}", '{a: ">"}', "[é, 😀]", "[x\\y]", '[a"b]', "[it's]", "[" * 21 + "]" * 21, "{<<: a}", "{a b: c}", "{1: 2}",
    "{a: {a: {a: b}}}", "[a, [b], c]", '["a" , "b"]', '["a"b]', "[http://x]", "{u: http://x/y?z}", "[{a: 1, b: [x, 'y']}, {a: 2, b: []}]", "[\u00a0]", "[=, <, /x]", "[a,\n  b]", "{a: b,\n  c: d}",
)  # fmt: skip
SEPARATORS = (": ", ": ", ": ", ": ", ":  ", ":", " : ", ": # c", ":  # c")


def generated(seed, count):
    """Texts that are nearly, or quite, what the quick reader reads; the same for the same seed."""
    rng = random.Random(seed)  # noqa: S311  to be repeated, not to be secret
    for _ in range(count):
        odd = rng.choice((0, 0, 0.03, 0.2))
        lines = [line for _ in range(rng.choice((1, 1, 2, 3))) for line in _document(rng, odd)]
        if rng.random() < 0.2:  # enough of one shape for it to be learnt
            lines = [line for _ in range(30) for line in ("---", *_alike(rng, odd, lines))]
        end = rng.choice(("\n", "\n", "\n", "\r\n", "\r")) if rng.random() < odd else "\n"
        yield end.join(lines) + rng.choice(("", end))


def _alike(rng, odd, lines):
    """The same keys at the same places, with other values."""
    for line in lines:
        found = re.fullmatch(r"( *(?:- +)?(?:[\w-]+: +)?)(\S.*)", line)
        if found is None or line.startswith("---") or rng.random() < 0.3:
            yield line
        else:
            other = (
                rng.choice((*SCALARS, *FLOWS))
                if rng.random() < odd / 3
                else rng.choice((_sound(rng), _flow(rng, 0)))
            )
            yield found[1] + other


def _document(rng, odd):
    if rng.random() < 0.7:
        yield "---" + (
            rng.choice((" # c", " x", "#c", " {a: b}", "-", " ")) if rng.random() < odd else ""
        )
    yield from _block(rng, odd, 0, 0)
    if rng.random() < odd / 2:
        yield rng.choice(("...", "%YAML 1.2", "%x", "x", "- x", "a: b"))


def _block(rng, odd, column, depth):
    """Lines of a mapping, mostly sound."""
    used = set()
    for _ in range(rng.choice((1, 2, 3, 5))):
        if rng.random() < odd:
            yield " " * rng.randrange(8) + rng.choice(("", "# c", "x", "- x", "x y", *SCALARS))
        key = rng.choice(KEYS) if rng.random() < odd else f"{rng.choice(KEYS[:5])}{len(used)}"
        used.add(key)
        at = column if rng.random() >= odd / 3 else max(0, column + rng.choice((-2, -1, 1, 2)))
        yield from _entry(rng, odd, " " * at, key, depth)


def _entry(rng, odd, indent, key, depth):
    separator = rng.choice(SEPARATORS) if rng.random() < odd else ": "
    kind = rng.randrange(8 if depth < 4 else 5)
    if kind < 3:
        value = rng.choice(SCALARS) if rng.random() < odd else _sound(rng)
        yield f"{indent}{key}{separator}{value}"
        for _ in range(rng.choice((1, 2, 3)) if value in WORDS and rng.random() < 0.2 else 0):
            more = rng.choice(SCALARS) if rng.random() < odd else rng.choice(WORDS)
            yield f"{indent}{' ' * rng.choice((1, 2, 4))}{more}"
    elif kind < 5:
        flow = rng.choice(FLOWS) if rng.random() < odd else _flow(rng, 0)
        yield f"{indent}{key}{separator}{flow}"
    elif kind == 5:
        yield f"{indent}{key}{separator.rstrip() or ':'}"
        yield from _block(rng, odd, len(indent) + rng.choice((1, 2, 4)), depth + 1)
    else:
        yield f"{indent}{key}:"
        inner = indent + " " * rng.choice((0, 0, 1, 2))
        for _ in range(rng.choice((1, 2, 3))):
            yield from _item(rng, odd, inner, depth)


def _item(rng, odd, indent, depth):
    dash = "-" + " " * rng.choice((1, 1, 1, 3))
    if rng.random() < 0.5:
        value = (
            rng.choice((*SCALARS, *FLOWS))
            if rng.random() < odd
            else rng.choice((_sound(rng), _flow(rng, 0)))
        )
        yield f"{indent}{dash}{value}"
        return
    lines = list(_block(rng, odd, len(indent) + len(dash), depth + 1))
    yield f"{indent}{dash}{lines[0].lstrip()}"
    yield from lines[1:]


WORDS = ("x", "1", "-1", "1.5", "010", "12:30", "1_000", "no", "true", "~", "null", "x:y", "a#b", "https://x.test/a?b=c#d", "é", "-x", "/x y", "x, y", "one two", "x [y]", "it's")  # fmt: skip


def _sound(rng):
    return rng.choice((*WORDS, '"x y"', "'it''s'", "x # c", '"x # c"', "x  "))


def _flow(rng, depth):
    """Something sound in brackets."""
    items = [
        _flow(rng, depth + 1)
        if depth < 2 and rng.random() < 0.2
        else rng.choice(("a", "1", "true", "a b", '"x, y"', "'z'", "-1", "é"))
        for _ in range(rng.choice((0, 1, 2, 4)))
    ]
    space = rng.choice(("", "", " "))
    if rng.random() < 0.5:
        return "[" + space + ", ".join(items) + space + "]"
    return "{" + space + ", ".join(f"k{n}: {item}" for n, item in enumerate(items)) + space + "}"


def agree(data):
    """Whether the quick reader reads it; then both say the same of every value and place."""
    try:
        content = text.decode_text(data, "x")
        text.check_text(content, "x", [])
    except text.RefusedError:
        return False
    findings = []
    fast_path._shapes.__init__()
    careful = events.read_documents(content, "x", findings)
    rows = {}
    quick = fast_path.read_documents(content, Places("x", lambda: rows["rows"]))
    if quick is None:
        return False
    assert findings == []
    assert [one.source for one in quick] == [one.source for one in careful]
    rows["rows"] = careful[0].value.places._read_rows() if careful else []
    for mine, other in zip(quick, careful, strict=True):
        assert _shape(mine.value) == _shape(other.value)
    return True


def _shape(value):
    """Type, value, and number of everything: equal numbers are equal places."""
    if isinstance(value, MappingNode):
        return [
            value.number,
            [(key, value.marks[key], _shape(item)) for key, item in value.items()],
        ]
    if isinstance(value, SequenceNode):
        return (value.number, [_shape(item) for item in value])
    return type(value).__name__, value
