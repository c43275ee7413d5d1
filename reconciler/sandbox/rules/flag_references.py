"""What the conditions of a flag refer to: other flags and cohorts of its project (contract 9.7).

Reads the world, which `flag_filters` never does. The checks run on every write that carries
filters, whether the flag is on or off.
"""

from collections.abc import Iterator
from typing import Any, NoReturn

from reconciler.sandbox.protocol.errors import invalid
from reconciler.sandbox.protocol.validators import as_id
from reconciler.sandbox.rules import flag_filters
from reconciler.sandbox.store.model import Cohort, Flag, Project
from reconciler.sandbox.store.transaction import Transaction


def check(
    tx: Transaction, project: Project, filters: dict[str, Any], *, flag: Flag | None, key: Any
) -> None:
    """Refuse references that lead nowhere, to a disabled flag, or round in a circle.

    Args:
        tx: the world.
        project: the project of the flag.
        filters: the filters as they would be stored.
        flag: the flag as it is stored; None for a new one.
        key: the key of the flag.

    Raises:
        ApiError: 400, attr `filters`.
    """
    own = flag.key if flag is not None else key
    needed = [_flag(tx, project, one) for one in flag_filters.properties(filters) if _is_flag(one)]
    if any(one.key == own for one in needed):
        _refuse(f"Feature flag '{own}' cannot depend on itself")
    _check_circles(tx, needed, own)
    for one in flag_filters.properties(filters):
        if one.get("type") == "cohort":
            _check_cohort(tx, project, one.get("value"))


def _refuse(detail: str) -> NoReturn:
    raise invalid(detail, "filters")


def _is_flag(one: dict[str, Any]) -> bool:
    return one.get("type") == "flag"


def _flag(tx: Transaction, project: Project, one: dict[str, Any]) -> Flag:
    """Return the live, enabled flag that a condition refers to."""
    word = one.get("key")
    number = as_id(str(word))
    if number is None:
        _refuse(
            "Flag dependencies must reference flag IDs (integers), not flag keys."
            f" Invalid reference: '{word}'"
        )
    found = tx.get(Flag, number)
    if found is None or found.deleted or found.project != project.id:
        _refuse(f"Flag dependency references non-existent flag with ID {number}")
    if not found.active:
        _refuse(
            f"Cannot create dependency on disabled flag '{found.key}' (ID: {number})."
            " Flag dependencies must reference active flags only."
        )
    return found


def _check_circles(tx: Transaction, needed: list[Flag], own: Any) -> None:
    """Follow every dependency; the trail that comes back to this flag is the answer."""
    seen: set[int] = set()
    todo: list[tuple[Flag, tuple[str, ...]]]
    todo = [(one, (str(own), one.key)) for one in reversed(needed)]
    while todo:
        flag, trail = todo.pop()
        if flag.key == own:
            _refuse(f"Circular dependency detected: {' → '.join(trail)}")
        if flag.id in seen:
            continue
        seen.add(flag.id)
        todo += [(other, (*trail, other.key)) for other in dependencies(tx, flag, flag.filters)]


def _check_cohort(tx: Transaction, project: Project, value: Any) -> None:
    number = value if isinstance(value, int) else as_id(str(value))
    cohort = tx.get(Cohort, number) if number is not None else None
    if cohort is None or cohort.deleted or cohort.project != project.id:
        detail = f"Cohort with id {value} does not exist"
        raise invalid(detail, "filters", code="cohort_does_not_exist")


def dependencies(tx: Transaction, flag: Flag, filters: dict[str, Any]) -> Iterator[Flag]:
    """Yield the flags of the same project that these filters refer to, in order of their ids."""
    for word in sorted(flag_filters.dependencies(filters)):
        number = as_id(word)
        found = tx.get(Flag, number) if number is not None else None
        if found is not None and found.project == flag.project:
            yield found


def dependents(tx: Transaction, flag: Flag) -> list[Flag]:
    """Return the active flags that refer to this one."""
    live = tx.find(Flag, project=flag.project, deleted=False, active=True)
    return [one for one in live if str(flag.id) in flag_filters.dependencies(one.filters)]
