"""Texts that go wrong: a seeded mutator, and what has to hold whatever comes out of it."""

# ruff: noqa: E501  a table of pieces

import random
import time
from dataclasses import dataclass
from pathlib import Path

from reconciler.config import loader, settings
from reconciler.config.lint.codes import CHECKS
from reconciler.errors import ConfigError

OVER = "over.yaml"
CORPUS = Path(__file__).parent / "corpus"
ROOT = Path(__file__).parents[3]
PIECES = (
    b"---\n", b"...\n", b"- ", b"? ", b": ", b"[", b"]", b"{", b"}", b"&a ", b"*a", b"!!str ", b"!x ", b"<<: *a\n",
    b"|\n", b">-\n", b"'", b'"', b"#", b"\t", b"\r", b"\n", b"\0", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\\ud800",
    b"\\x07", b"%TAG ! x\n", b"%YAML 1.1\n", b"null", b"~", b"no", b"010", b"12:30", b"1_000", b".inf", b"1e999", b"-0",
    b"9" * 120, b"kind: Role\n", b"metadata: {}\n", b"spec: null\n", b"id:", b"'*'", b"!Sandbox", b"a@b.c",
    "\u202e".encode(), "\u200b".encode(), "\u0430".encode(), "\U0001f600".encode(), b"silence: [{check: R020, reason: a}]\n",
)  # fmt: skip


@dataclass(frozen=True)
class Memory:
    """A tree of files that are nowhere."""

    files: dict
    origin: str = "memory"
    may_lack_paths: bool = False

    def show_path(self, path):
        return str(path)

    def walk(self, path, _skip=()):
        for name, data in self.files.items():
            if path == Path(name) or OVER not in self.files:
                yield name, lambda data=data: data


def seeds():
    """What the mutator starts from: every finding so far, and what is sound."""
    found = sorted((*CORPUS.iterdir(), *(ROOT / "examples").rglob("*.yaml")))
    return [path.read_bytes()[:4000] for path in found]


def mutants(seed, count):
    """`count` texts, the same for the same seed."""
    rng = random.Random(seed)  # noqa: S311  to be repeated, not to be secret
    pool = seeds()
    for _ in range(count):
        text = bytearray(rng.choice(pool))
        for _ in range(rng.choice((1, 1, 2, 3, 5, 8))):
            _mutate(text, rng, pool)
        yield bytes(text[:8000])


def _mutate(text, rng, pool):
    at, until = sorted((rng.randrange(len(text) + 1), rng.randrange(len(text) + 1)))
    until = min(until, at + rng.choice((1, 2, 8, 40, 400)))
    match rng.randrange(7):
        case 0:
            text[at:at] = rng.choice(PIECES) * rng.choice((1, 1, 1, 2, 70))
        case 1:
            del text[at:until]
        case 2:
            text[at:at] = text[at:until] * rng.choice((1, 1, 2, 20))
        case 3 if text:
            text[min(at, len(text) - 1)] = rng.randrange(256)
        case 4:
            other = rng.choice(pool)
            start = rng.randrange(len(other) + 1)
            text[at:until] = other[start : start + until - at + 10]
        case 5:
            lines = bytes(text).splitlines(keepends=True)
            rng.shuffle(lines)
            text[:] = b"".join(lines)
        case _:
            text[at:until] = rng.choice(PIECES)


def check(data):
    """Only the program's own error ever escapes, every finding has its place, and it is quick."""
    started = time.process_time()
    try:
        found = loader.load_files([Path("a.yaml")], tree=Memory({"a.yaml": data})).declared.findings
    except ConfigError as error:
        found = error.findings
        assert found
    assert time.process_time() - started < 2
    for finding in found:
        assert finding.code in CHECKS
        assert finding.message
        assert finding.source.file == "a.yaml"
        assert finding.source.line >= 1
        assert finding.source.column >= 1
        assert finding.width >= 1
    return found


def check_layers(data, other):
    """The same of one text as an overlay over another, and of a text as settings."""
    started = time.process_time()
    tree = Memory({"a.yaml": data, OVER: other})
    found = []
    try:
        loader.load_files([Path("a.yaml")], overlays=[Path(OVER)], tree=tree)
    except ConfigError as error:
        found += error.findings
    try:
        settings.parse_settings(data, file=Path("/x/reconciler.yaml"), display="reconciler.yaml")
    except ConfigError as error:
        found += error.findings
    assert time.process_time() - started < 4
    assert {one.source.file for one in found} <= {"a.yaml", OVER, "reconciler.yaml"}
