"""The forecast: which write will wait, and for whom (contract sections 3 to 5)."""

from collections.abc import Collection

from reconciler.kinds import KINDS
from reconciler.model import Action, Address, Change, Live


def projects(changes: tuple[Change, ...]) -> Collection[Address]:
    """Project addresses in which a gated kind is created or changed."""
    return {
        Address("Project", change.address.parts[:-1])
        for change in changes
        if KINDS[change.address.kind].gated and change.action in {Action.CREATE, Action.UPDATE}
    }


def forecast(changes: tuple[Change, ...], live: Live) -> tuple[Change, ...]:  # noqa: ARG001
    """Each change with its gate."""
    return changes
