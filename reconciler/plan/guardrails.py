"""What a plan may not do without being told to: findings that `apply` refuses as a whole (4)."""

from collections.abc import Collection, Iterator
from typing import Final

from reconciler.kinds import KINDS
from reconciler.model import Action, Change, Finding, Severity

PREVENT_DESTROY: Final = "prevent-destroy"
CODES: Final = frozenset({PREVENT_DESTROY})


def find(changes: tuple[Change, ...], allow_destroy: Collection[str]) -> Iterator[Finding]:
    """Deletes of what is protected: organizations and projects, and what the file protects.

    `allow_destroy` holds addresses as text, each exact: a pattern would allow too much.
    """
    for change in changes:
        if change.action is not Action.DELETE or str(change.address) in allow_destroy:
            continue
        kind = KINDS[change.address.kind]
        own = change.desired.lifecycle.prevent_destroy if change.desired else None
        if not kind.protected and not own:
            continue
        why = f"a {kind.name} is always protected" if kind.protected else "prevent_destroy is true"
        yield Finding(
            code=PREVENT_DESTROY,
            severity=Severity.ERROR,
            message=f"{change.address} would be deleted, and it is protected",
            why=why,
            fix=f"if it is really meant: --allow-destroy '{change.address}'",
            source=change.source,
            address=change.address,
        )
