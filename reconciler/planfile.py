"""Plan ⇄ document (interface section 6), and the document of an apply (section 7).

Pure. The document holds all that a renderer shows, because `show` has nothing else. Nothing that
looks like a key leaves through it.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from typing import Any, Final, TypeVar

from reconciler import __version__
from reconciler.errors import ConfigError
from reconciler.model import (
    ABSENT,
    Action,
    Address,
    Approvers,
    Cause,
    Change,
    Confidence,
    FieldChange,
    Finding,
    Gate,
    Outcome,
    Plan,
    Problem,
    Released,
    Requests,
    Result,
    Severity,
    Verdict,
)
from reconciler.source import Source

FORMAT_VERSION: Final = 1
PASSES: Final = frozenset({Verdict.NONE, Verdict.BYPASS})  # nothing holds the write back

KEY: Final = re.compile(r"ph[csx]_[A-Za-z0-9]{20,}")
_DEEPEST: Final = 100  # a value nested more deeply is nobody's configuration
_MOST: Final = 2**53  # numbers from here on are not the same to every reader of JSON
_SHOWN: Final = 60  # characters of a wrong value that an error quotes
_SIDES: Final = ("base", "live", "desired")
_T = TypeVar("_T")
_Word = TypeVar("_Word", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Saved(Plan):
    """A plan that came from a document, in which rows without a change are only counted."""

    unchanged: int = 0
    tool_version: str = ""  # of the program that made it


def redact(text: str) -> str:
    """The text without anything that looks like a key of PostHog's."""
    return KEY.sub("***", text)


def summary(plan: Plan) -> dict[str, int]:
    """How many resources are concerned by what; every renderer counts with this."""
    actions = Counter(change.action for change in plan.changes)
    counted = plan.unchanged if isinstance(plan, Saved) else 0
    causes = Counter(c for change in plan.writes for c in {one.cause for one in change.fields})
    return {
        "create": actions[Action.CREATE],
        "update": actions[Action.UPDATE],
        "delete": actions[Action.DELETE],
        "none": actions[Action.NONE] + counted,
        "gated": sum(change.gate.verdict not in PASSES for change in plan.writes),
        "drift": causes[Cause.DRIFT],
        "conflict": causes[Cause.CONFLICT],
        "unmanaged": len(plan.unmanaged),
    }


def encode(plan: Plan, *, tool_version: str | None = None) -> dict[str, Any]:
    """The plan as the document of interface section 6. Rows without a change are left out."""
    based = plan.base_ref is not None or plan.base_commit is not None
    document: dict[str, Any] = plain(
        {
            "format_version": FORMAT_VERSION,
            "tool_version": tool_version or getattr(plan, "tool_version", __version__),
            "created_at": plan.created_at,
            "target": {"name": plan.target, "host": plan.host},
            "base": {"ref": plan.base_ref, "commit": plan.base_commit} if based else None,
            "desired_digest": plan.desired_digest,
            "summary": summary(plan),
            "changes": [
                _change(change)
                for change in plan.changes
                if change.action is not Action.NONE or change.warnings
            ],
            "unmanaged": plan.unmanaged,
            "released": plan.released,
            "findings": plan.findings,
            "requests": plan.requests,
        }
    )
    return document


def dumps(plan: Plan, *, tool_version: str | None = None) -> str:
    """The document as text: ASCII, two spaces, the order of the interface."""
    return as_text(encode(plan, tool_version=tool_version))


def as_text(document: Any) -> str:
    """A plain value as JSON text."""
    return json.dumps(document, indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def plain(value: Any) -> Any:  # noqa: PLR0911  one line a type
    """A copy that JSON can hold, without keys of PostHog's; what is absent becomes null."""
    match value:
        case str():
            return redact(value)
        case bool() | int() | None:
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case Mapping():
            return {redact(str(name)): plain(item) for name, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case _ if value is ABSENT:
            return None
        case _ if is_dataclass(value) and not isinstance(value, Address):
            return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
        case _:
            return redact(str(value))


def _change(change: Change) -> dict[str, Any]:
    source = change.source
    row = {
        "address": change.address,
        "kind": change.address.kind,
        "action": change.action,
        "live_id": change.live_id,
        "live_fingerprint": change.live_fingerprint,
        "source": {"file": source.file, "line": source.line} if source else None,
        "fields": [
            {name: getattr(one, name) for name in ("path", *_SIDES, "cause")}
            for one in change.fields
        ],
        "gate": change.gate,
        "depends_on": change.depends_on,
        "warnings": change.warnings,
    }
    if change.late:
        row["late"] = change.late
    nulls = {
        side: [number for number, one in enumerate(change.fields) if getattr(one, side) is None]
        for side in _SIDES
    }
    if any(nulls.values()):  # a written null: in the document what is absent looks the same
        row["nulls"] = nulls
    return row


def loads(text: str) -> Plan:
    """The plan in the text of a saved document; ConfigError if it is none."""
    try:
        document = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise _refused(f"it is no JSON: {error}") from error
    return decode(document)


def decode(document: Any) -> Plan:
    """The plan that a document holds; ConfigError if it is none.

    Desired resources are not part of it. Everything a renderer shows comes back as it was.
    """
    level = [document] if isinstance(document, dict | list) else []
    for _ in range(_DEEPEST):
        inside = (one.values() if isinstance(one, dict) else one for one in level)
        level = [item for items in inside for item in items if isinstance(item, dict | list)]
    if level:
        raise _refused("it is nested too deeply")
    return _plan(_Node(document, ""))


def _refused(why: str, fix: str = "write a new one: reconciler plan --out FILE") -> ConfigError:
    return ConfigError("this is no plan that can be read", why=redact(why), fix=fix)


class _Node:
    """A value of a document and its place. Every question ends in a value or a ConfigError."""

    __slots__ = ("path", "value")

    def __init__(self, value: Any, path: str) -> None:
        self.value = value
        self.path = path

    def __getitem__(self, key: str) -> "_Node":
        if not isinstance(self.value, dict):
            raise self._wrong("an object")
        return _Node(self.value.get(key), f"{self.path}.{key}".lstrip("."))

    def maybe(self, read: Callable[["_Node"], _T]) -> _T | None:
        """None where it is null or missing."""
        return None if self.value is None else read(self)

    def each(self, read: Callable[["_Node"], _T]) -> tuple[_T, ...]:
        """What `read` makes of each item of a list."""
        if not isinstance(self.value, list):
            raise self._wrong("a list")
        return tuple(read(_Node(item, f"{self.path}[{n}]")) for n, item in enumerate(self.value))

    def text(self) -> str:
        """A string."""
        if not isinstance(self.value, str):
            raise self._wrong("text")
        return self.value

    def count(self) -> int:
        """A number of things: a whole number from 0 on."""
        if type(self.value) is not int or not 0 <= self.value < _MOST:
            raise self._wrong("a whole number from 0 on")
        return self.value

    def word(self, words: type[_Word]) -> _Word:
        """One of the words of an enum."""
        try:
            return words(self.text())
        except ValueError:
            raise self._wrong(f"one of {', '.join(words)}") from None

    def address(self) -> Address:
        """An address."""
        try:
            return Address.parse(self.text())
        except ValueError:
            raise self._wrong("an address such as Role/acme/Release managers") from None

    def values(self, read: Callable[["_Node"], _T]) -> dict[str, _T]:
        """What `read` makes of each value of an object."""
        if isinstance(self.value, dict):
            return {name: read(self[name]) for name in self.value}
        raise self._wrong("an object")

    def _wrong(self, expected: str) -> ConfigError:
        found = redact(json.dumps(self.value))
        found = found if len(found) < _SHOWN else f"{found[:_SHOWN]}…"
        return _refused(f"{self.path or 'the document'} should be {expected}, not {found}")


def _plan(node: _Node) -> Saved:
    version = node["format_version"].count()
    if version > FORMAT_VERSION:
        raise _refused(
            f"its format_version is {version}, and this program reads {FORMAT_VERSION}",
            "show it with the version of reconciler that made it, or make the plan again",
        )
    base, none = node["base"], node["summary"]["none"].count()
    changes = node["changes"].each(_read_change)
    for address, times in Counter(one.address for one in changes).most_common(1):
        if times > 1:
            raise _refused(f"{address} stands in it twice")
    return Saved(
        changes=changes,
        target=node["target"]["name"].text(),
        host=node["target"]["host"].text(),
        created_at=node["created_at"].text(),
        base_ref=base.maybe(lambda found: found["ref"].maybe(_Node.text)),
        base_commit=base.maybe(lambda found: found["commit"].maybe(_Node.text)),
        desired_digest=node["desired_digest"].text(),
        unmanaged=node["unmanaged"].each(_Node.address),
        released=node["released"].each(_read_released),
        findings=node["findings"].each(_read_finding),
        requests=Requests(*(node["requests"][one.name].count() for one in fields(Requests))),
        unchanged=max(0, none - sum(change.action is Action.NONE for change in changes)),
        tool_version=node["tool_version"].text(),
    )


def _read_change(node: _Node) -> Change:
    return Change(
        address=node["address"].address(),
        action=node["action"].word(Action),
        fields=tuple(_read_fields(node["fields"], node["nulls"])),
        gate=_read_gate(node["gate"]),
        live_id=node["live_id"].maybe(_Node.text),
        live_fingerprint=node["live_fingerprint"].maybe(_Node.text),
        source=node["source"].maybe(_read_source),
        depends_on=node["depends_on"].each(_Node.address),
        late=node["late"].maybe(lambda late: late.each(_Node.address)) or (),
        warnings=node["warnings"].each(_read_finding),
    )


def _read_fields(rows: _Node, nulls: _Node) -> Iterator[FieldChange]:
    written = {
        (number, side)
        for side in _SIDES
        if nulls.value is not None and nulls[side].value is not None
        for number in nulls[side].each(_Node.count)
    }
    for number, row in enumerate(rows.each(lambda row: row)):
        values = {side: row[side].value for side in _SIDES}
        for side in _SIDES:
            if values[side] is None and (number, side) not in written:
                values[side] = ABSENT
        yield FieldChange(row["path"].text(), cause=row["cause"].word(Cause), **values)


def _read_gate(node: _Node) -> Gate:
    users, roles = node["approvers"]["users"], node["approvers"]["roles"]
    return Gate(
        verdict=node["verdict"].word(Verdict),
        confidence=node["confidence"].word(Confidence),
        policy=node["policy"].maybe(_Node.text),
        condition=node["condition"].maybe(_Node.text),
        quorum=node["quorum"].maybe(_Node.count),
        approvers=Approvers(users.each(_Node.text), roles.values(lambda one: one.each(_Node.text))),
        expires_after=node["expires_after"].maybe(_Node.text),
        change_request=node["change_request"].maybe(_Node.text),
        note=node["note"].maybe(_Node.text) or "",
    )


def _read_source(node: _Node) -> Source:
    place = (node[name].maybe(_Node.count) or 1 for name in ("line", "column"))
    return Source(node["file"].text(), *place)


def _read_released(node: _Node) -> Released:
    address, path = node["address"].address(), node["path"].text()
    return Released(address, path, node["base"].value, node["live"].value)


def _read_finding(node: _Node) -> Finding:
    return Finding(
        code=node["code"].text(),
        severity=node["severity"].word(Severity),
        message=node["message"].text(),
        why=node["why"].maybe(_Node.text) or "",
        fix=node["fix"].maybe(_Node.text) or "",
        source=node["source"].maybe(_read_source),
        address=node["address"].maybe(_Node.address),
        excerpt=node["excerpt"].maybe(_Node.text) or "",
        width=node["width"].maybe(_Node.count) or 1,
    )


def outcomes(ended: Iterable[Outcome], plan: Plan) -> dict[str, Any]:
    """What became of a plan, as the document of interface section 7. Totals always add up."""
    rows = settled(ended, plan)
    document: dict[str, Any] = plain(
        {
            "summary": totals(rows, plan),
            "results": [
                {
                    "address": row.address,
                    "action": row.action,
                    "outcome": row.result,
                    "change_request": row.change_request,
                    "url": row.url,
                    "attempts": row.attempts,
                    "error": row.problem,
                }
                for row in rows
            ],
        }
    )
    if plan.errors:
        document["findings"] = plain(plan.errors)  # why the exit code is 1 though all went well
    return document


def dump_outcomes(ended: Iterable[Outcome], plan: Plan) -> str:
    """The document of an apply as text."""
    return as_text(outcomes(ended, plan))


def settled(ended: Iterable[Outcome], plan: Plan) -> tuple[Outcome, ...]:
    """One outcome a write, in the order of the plan; what was never started is `skipped`."""
    found = {outcome.address: outcome for outcome in ended}
    never = Problem("not started", "the run ended before", "not sent", "run apply again")
    for one in plan.writes:
        skipped = Outcome(one.address, one.action, Result.SKIPPED, problem=never)
        found.setdefault(one.address, skipped)
    ordered = [found.pop(change.address) for change in plan.changes if change.address in found]
    return (*ordered, *found.values())


def totals(rows: Iterable[Outcome], plan: Plan) -> dict[str, int]:
    """How many resources ended how; what needed no change counts as `unchanged`."""
    changed = Counter(row.result for row in rows if row.action is not Action.NONE)
    changed[Result.UNCHANGED] += summary(plan)["none"]
    return {result: changed[result] for result in Result}
