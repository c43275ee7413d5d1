"""Detect settings that widen what people can do or see, such as who may create projects."""

from reconciler.kinds import KINDS
from reconciler.model import ABSENT, Action, Change, Widening


def find_widened_settings(change: Change) -> tuple[Widening, ...]:
    """Return the settings that an update makes wider.

    A setting that the response lacks has its default.
    """
    if change.action is not Action.UPDATE:
        return ()
    kind = KINDS[change.address.kind]
    edits = {field.path: field for field in change.fields}
    wider = []
    for widening in kind.widenings:
        edit = edits.get(widening.field)
        if edit is None:
            continue
        before = kind.defaults.get(edit.path) if edit.live is ABSENT else edit.live
        if widening.is_wider(before, edit.desired):
            wider.append(widening)
    return tuple(wider)
