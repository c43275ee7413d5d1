"""What the conditions of a flag refer to: other flags and cohorts of its project (contract 9.7).

Reads the world, which `flag_filters` never does. The checks run on every write that carries
filters, whether the flag is on or off.
"""

from collections.abc import Iterator
from typing import Any, NoReturn

from reconciler.sandbox.protocol.errors import invalid
from reconciler.sandbox.protocol.validators import parse_id
from reconciler.sandbox.rules import flag_filters
from reconciler.sandbox.store.model import Cohort, Flag, Project
from reconciler.sandbox.store.transaction import Transaction


def check_references(
    tx: Transaction, project: Project, filters: dict[str, Any], *, flag: Flag | None, key: Any
) -> None:
    """Refuse references to missing or disabled flags, to missing cohorts, and cycles.

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
    needed = [
        _find_flag(tx, project, item)
        for item in flag_filters.iter_properties(filters)
        if _is_flag_property(item)
    ]
    if any(other.key == own for other in needed):
        _refuse(f"Feature flag '{own}' cannot depend on itself")
    _check_cycles(tx, needed, own)
    for item in flag_filters.iter_properties(filters):
        if item.get("type") == "cohort":
            _check_cohort(tx, project, item.get("value"))


def _refuse(detail: str) -> NoReturn:
    raise invalid(detail, "filters")


def _is_flag_property(item: dict[str, Any]) -> bool:
    return item.get("type") == "flag"


def _find_flag(tx: Transaction, project: Project, item: dict[str, Any]) -> Flag:
    """Return the live, enabled flag that a condition refers to."""
    word = item.get("key")
    number = parse_id(str(word))
    if number is None:
        _refuse(
            "Flag dependencies must reference flag IDs (integers), not flag keys."
            f" Invalid reference: '{word}'"
        )
    flag = tx.get(Flag, number)
    if flag is None or flag.deleted or flag.project != project.id:
        _refuse(f"Flag dependency references non-existent flag with ID {number}")
    if not flag.active:
        _refuse(
            f"Cannot create dependency on disabled flag '{flag.key}' (ID: {number})."
            " Flag dependencies must reference active flags only."
        )
    return flag


def _check_cycles(tx: Transaction, needed: list[Flag], own: Any) -> None:
    """Follow every dependency; report the path that leads back to this flag."""
    seen: set[int] = set()
    todo: list[tuple[Flag, tuple[str, ...]]]
    todo = [(other, (str(own), other.key)) for other in reversed(needed)]
    while todo:
        flag, trail = todo.pop()
        if flag.key == own:
            _refuse(f"Circular dependency detected: {' → '.join(trail)}")
        if flag.id in seen:
            continue
        seen.add(flag.id)
        todo += [
            (other, (*trail, other.key)) for other in find_dependencies(tx, flag, flag.filters)
        ]


def _check_cohort(tx: Transaction, project: Project, value: Any) -> None:
    number = value if isinstance(value, int) else parse_id(str(value))
    cohort = tx.get(Cohort, number) if number is not None else None
    if cohort is None or cohort.deleted or cohort.project != project.id:
        detail = f"Cohort with id {value} does not exist"
        raise invalid(detail, "filters", code="cohort_does_not_exist")


def find_dependencies(tx: Transaction, flag: Flag, filters: dict[str, Any]) -> Iterator[Flag]:
    """Yield the flags of the same project that these filters refer to, in order of their ids."""
    for word in sorted(flag_filters.find_dependency_ids(filters)):
        number = parse_id(word)
        other = tx.get(Flag, number) if number is not None else None
        if other is not None and other.project == flag.project:
            yield other


def find_dependents(tx: Transaction, flag: Flag) -> list[Flag]:
    """Return the active flags that refer to this one."""
    live = tx.find_all(Flag, project=flag.project, deleted=False, active=True)
    return [
        other for other in live if str(flag.id) in flag_filters.find_dependency_ids(other.filters)
    ]
