"""Group what has drifted in many targets by its cause: who changed which field to which value."""

import json
from collections.abc import Iterator
from dataclasses import field
from typing import Any

from reconciler.lazy_dataclass import dataclass
from reconciler.model import ABSENT, Action, Address, Attribution, Change, DriftCause, Plan


@dataclass
class _Edits:
    """Equal edits by the same person, so far."""

    person: str | None
    kind: str
    path: str
    live: Any
    targets: dict[str, None] = field(default_factory=dict)
    addresses: dict[Address, None] = field(default_factory=dict)


@dataclass
class CauseGroups:
    """Collects drift, one target after the other; holds a value once, wherever it occurs."""

    _edits: dict[tuple[str | None, str, str, str], _Edits] = field(default_factory=dict)

    def add(self, target: str, report: Plan) -> None:
        """Add what has drifted in one target, without what is on hold."""
        for change in (each for each in report.writes if each.hold is None):
            for person, path, live in _list_edits(change):
                value = json.dumps(live, sort_keys=True, default=str)
                key = (person, change.address.kind, path, value)
                edits = self._edits.setdefault(key, _Edits(person, change.address.kind, path, live))
                edits.targets[target] = None
                edits.addresses[change.address] = None

    def list_causes(self) -> tuple[DriftCause, ...]:
        """Return each cause once: those of the most targets first, then the most resources."""
        ordered = sorted(
            self._edits.items(),
            key=lambda item: (
                -len(item[1].targets),
                -len(item[1].addresses),
                item[0][0] or "",
                item[0][1:],
            ),
        )
        return tuple(
            DriftCause(
                edits.person,
                edits.kind,
                edits.path,
                edits.live,
                tuple(sorted(edits.targets)),
                tuple(sorted(edits.addresses)),
            )
            for _, edits in ordered
        )


def _list_edits(change: Change) -> Iterator[tuple[str | None, str, Any]]:
    """Yield person, path and live value of each edit.

    An object that is missing is one edit, and so is one that exists although it is declared absent.
    """
    if change.action is Action.UPDATE:
        for edit in change.fields:
            live = None if edit.live is ABSENT else edit.live
            yield _get_person(edit.attribution), edit.path, live
        return
    yield _get_person(change.attribution), "", None if change.action is Action.CREATE else True


def _get_person(attribution: Attribution | None) -> str | None:
    return attribution.person if attribution is not None else None
