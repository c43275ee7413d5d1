"""What becomes of a change that was asked before: one row for each fate of a change request.

The server is the ledger; there is no other. Nobody is asked twice for the same, a request of
somebody else is never touched, and one that a person has voted on is never taken back.
"""

from collections.abc import Iterable
from enum import Enum
from typing import Final

from reconciler.model import ChangeRequest

SPENT: Final = frozenset({"expired", "failed"})  # ended without a no: tried once more, once
_TRIES: Final = 2


class Reaction(Enum):
    """What to do about a request on the flag that is about to be written."""

    WAIT = "wait for it: it proposes what the files want"
    MAKE_WAY = "take it back and file anew: it is our own, and nobody has voted"
    HOLD = "write nothing: people have to decide or cancel it"


class Memory(Enum):
    """What former requests of the same intent mean for filing it."""

    NONE = "file it"
    ONCE_MORE = "file it once more, and say so"
    NEVER = "do not file it until the document moves"


def to_open(request: ChangeRequest, *, same: bool, stale: bool, me: int | None) -> Reaction:
    """What an open request means for a write to its flag.

    Args:
        request: open, on this very flag; a state that is not known counts as open.
        same: whether it proposes what the files want, and nothing else.
        stale: whether the flag has moved since, so that it can never be applied.
        me: user id of this key, where it is known.

    """
    if same and not stale:
        return Reaction.WAIT
    ours = me is not None and request.requester_id == me
    return Reaction.MAKE_WAY if ours and not request.votes else Reaction.HOLD


def to_past(requests: Iterable[ChangeRequest]) -> Memory:
    """What requests of the same intent that have ended mean, since the document was written."""
    spent = 0
    for request in requests:
        if request.state == "rejected":
            return Memory.NEVER
        spent += request.state in SPENT
    if spent >= _TRIES:
        return Memory.NEVER
    return Memory.ONCE_MORE if spent else Memory.NONE
