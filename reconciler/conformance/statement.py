"""A statement of the contract as data: which answer shows it, and what each generation says."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from reconciler.lazy_dataclass import dataclass


class ApiGeneration(StrEnum):
    """A generation of PostHog's API; `docs` is what the published pages say (contract 13)."""

    G3 = "g3"
    G2 = "g2"
    G1 = "g1"
    DOCS = "docs"


class Certainty(StrEnum):
    """How well a statement is known (the marks of the contract)."""

    DOCS_AND_SOURCE = "D+S"
    SOURCE = "S"
    INFERRED = "inferred"
    UNVERIFIED = "U"


class _Missing:
    """Stands for a value that an answer does not have."""

    def __repr__(self) -> str:
        return "nothing"


MISSING: Final = _Missing()


@dataclass(frozen=True, slots=True)
class Fact:
    """A value that only the run knows, such as the id of a flag; `as_text`: its text."""

    name: str
    as_text: bool = False

    def find_value(self, facts: Mapping[str, Any]) -> Any:
        """Return the value, or MISSING if the run has not learnt it."""
        value = facts.get(self.name, MISSING)
        return str(value) if self.as_text and value is not MISSING else value


class Expectation(ABC):
    """What a value of an answer has to be."""

    @abstractmethod
    def accepts(self, value: Any) -> bool:
        """Return whether the value is as expected."""

    @abstractmethod
    def describe(self) -> str:
        """Return the expectation in a few words."""


@dataclass(frozen=True, slots=True)
class Equal(Expectation):
    """Exactly this JSON value, or fact; numbers, booleans and texts are different."""

    value: Any

    def accepts(self, value: Any) -> bool:
        """Return whether the value is as expected."""
        return _is_same(value, self.value)

    def describe(self) -> str:
        """Return the expectation in a few words."""
        return describe_value(self.value)


@dataclass(frozen=True, slots=True)
class OneOf(Expectation):
    """Any of these JSON values; MISSING stands for a value that is not there."""

    values: tuple[Any, ...]

    def accepts(self, value: Any) -> bool:
        """Return whether the value is as expected."""
        return any(_is_same(value, wanted) for wanted in self.values)

    def describe(self) -> str:
        """Return the expectation in a few words."""
        return " or ".join(map(describe_value, self.values))


@dataclass(frozen=True, slots=True)
class Items(Expectation):
    """A list of these items in any order, each once."""

    items: tuple[Any, ...]

    def accepts(self, value: Any) -> bool:
        """Return whether the value is as expected."""
        return isinstance(value, list) and sorted(map(_dump, value)) == sorted(
            map(_dump, self.items)
        )

    def describe(self) -> str:
        """Return the expectation in a few words."""
        return f"{describe_value(list(self.items))} in any order"


@dataclass(frozen=True, slots=True)
class Keys(Expectation):
    """An object with these keys; with no other ones if `only`."""

    keys: frozenset[str]
    only: bool = True

    def accepts(self, value: Any) -> bool:
        """Return whether the value is as expected."""
        if not isinstance(value, dict):
            return False
        return value.keys() == self.keys if self.only else self.keys <= value.keys()

    def describe(self) -> str:
        """Return the expectation in a few words."""
        return f"an object with {'exactly ' if self.only else ''}{', '.join(sorted(self.keys))}"


@dataclass(frozen=True, slots=True)
class Text(Expectation):
    """A text that begins so."""

    start: str = ""

    def accepts(self, value: Any) -> bool:
        """Return whether the value is as expected."""
        return isinstance(value, str) and value.startswith(self.start)

    def describe(self) -> str:
        """Return the expectation in a few words."""
        return f"a text that begins {self.start!r}" if self.start else "a text"


@dataclass(frozen=True, slots=True)
class WholeNumber(Expectation):
    """Any whole number."""

    def accepts(self, value: Any) -> bool:
        """Return whether the value is as expected."""
        return isinstance(value, int) and not isinstance(value, bool)

    def describe(self) -> str:
        """Return the expectation in a few words."""
        return "a whole number"


@dataclass(frozen=True, slots=True)
class JsonText(Expectation):
    """A text that holds this JSON value."""

    value: Any

    def accepts(self, value: Any) -> bool:
        """Return whether the value is as expected."""
        if not isinstance(value, str):
            return False
        try:
            return _is_same(json.loads(value), self.value)
        except ValueError:
            return False

    def describe(self) -> str:
        """Return the expectation in a few words."""
        return f"a text with the JSON {describe_value(self.value)}"


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence of the contract, and the answer of the probe that shows it.

    Args:
        id: unique and stable: reports of different days can be compared.
        section: of docs/posthog-api.md.
        text: the sentence.
        exchange: the named call of a probe (`reconciler.conformance.probes`).
        path: `status`, or the place in the body: `body.change_request.state`, `body.results.#`.
        expected: by generation; a generation that is not there does not make the statement.
        certainty: how well it is known.

    """

    id: str
    section: str
    text: str
    exchange: str
    path: str
    expected: Mapping[ApiGeneration, Expectation]
    certainty: Certainty = Certainty.SOURCE

    @property
    def probe(self) -> str:
        """Return the name of the probe that makes the call."""
        return self.exchange.partition(".")[0]

    @property
    def is_about_status(self) -> bool:
        """Return whether it is about the status, which the rest of an answer depends on."""
        return self.path == "status"


def resolve(expectation: Expectation, facts: Mapping[str, Any]) -> Expectation | None:
    """Return an expectation with its fact filled in; None if the run has not learnt the fact."""
    if not isinstance(expectation, Equal) or not isinstance(expectation.value, Fact):
        return expectation
    value = expectation.value.find_value(facts)
    return None if value is MISSING else Equal(value)


def describe_value(value: Any) -> str:
    """Return a JSON value as text; a missing one as a word."""
    return repr(value) if value is MISSING else _dump(value)


def _is_same(left: Any, right: Any) -> bool:
    """Return whether two JSON values are the same: `1` and `true` are not."""
    if left is MISSING or right is MISSING:
        return left is right
    return _dump(left) == _dump(right)


def _dump(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=repr)


Row = tuple[str, str, str, Expectation | Mapping[ApiGeneration, Expectation]]


def describe_answer(
    exchange: str, section: str, *rows: Row, certainty: Certainty = Certainty.SOURCE
) -> tuple[Statement, ...]:
    """Return statements about one call: of each its name, text, path and expectation.

    An expectation that is not given by generation holds for all of them.
    """
    return tuple(
        Statement(
            id=f"{exchange}:{name}",
            section=section,
            text=text,
            exchange=exchange,
            path=path,
            expected=dict.fromkeys(ApiGeneration, expected)
            if isinstance(expected, Expectation)
            else expected,
            certainty=certainty,
        )
        for name, text, path, expected in rows
    )


def describe_g3_answer(
    exchange: str, section: str, *rows: tuple[str, str, str, Expectation]
) -> tuple[Statement, ...]:
    """Return statements about a call that only the third generation has."""
    newest = ((name, text, path, only_g3(expected)) for name, text, path, expected in rows)
    return describe_answer(exchange, section, *newest)


def by_generation(
    *,
    g1: Expectation | None = None,
    g2: Expectation | None = None,
    g3: Expectation | None = None,
    docs: Expectation | None = None,
) -> dict[ApiGeneration, Expectation]:
    """Return expectations by generation; `docs` is as `g2` unless it is given."""
    pairs = {
        ApiGeneration.G3: g3,
        ApiGeneration.G2: g2,
        ApiGeneration.G1: g1,
        ApiGeneration.DOCS: docs or g2,
    }
    return {name: expected for name, expected in pairs.items() if expected is not None}


def since_g2(expected: Expectation) -> dict[ApiGeneration, Expectation]:
    """Return an expectation of every generation but the first."""
    return by_generation(g2=expected, g3=expected)


def only_g3(expected: Expectation) -> dict[ApiGeneration, Expectation]:
    """Return an expectation of the third generation."""
    return by_generation(g3=expected)
