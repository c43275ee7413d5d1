"""What each call of a flag's change looks like to the gate (contract 5.2), in each generation."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, takewhile
from typing import Any, Final

from reconciler.kinds import KINDS
from reconciler.model import Action, Change, LiveResource, Spec, moving
from reconciler.plan.approvals.conditions import RELEASE, ROLLOUT, Fields, Positions
from reconciler.plan.approvals.server_generation import Generation

ENABLE: Final = "feature_flag.enable"
DISABLE: Final = "feature_flag.disable"
UPDATE: Final = "feature_flag.update"
_FLAG: Final = KINDS["FeatureFlag"]
_INDEX: Final = "aggregation_group_type_index"


@dataclass(frozen=True, slots=True)
class ActionMatch:
    """One action that one call matches, and what a policy's conditions can look at."""

    action: str
    call: str  # what the call sends, in a word or two
    moved: str  # what moves, where it is not a field with positions
    fields: Fields
    release_only: bool = False  # seen only by a policy that asks for the release conditions


@dataclass(frozen=True, slots=True)
class _Call:
    """One request, and the flag that it meets."""

    creates: bool
    body: Spec
    active: bool
    filters: Mapping[str, Any]


def meetings(
    change: Change,
    live: LiveResource | None,
    generation: Generation,
    *,
    split: bool,
    release: bool = True,
) -> tuple[ActionMatch, ...]:
    """Every action that the calls of this change match, in the order of the calls.

    `release`: whether any policy asks for the release conditions.
    """
    release = release and generation is Generation.G2
    return tuple(
        meeting
        for call in _calls(change, live, split=split)
        for meeting in _matched(call, generation, release=release)
    )


def earlier(change: Change, action: str) -> tuple[str, ...]:
    """The fields of an update that are written before the call that matches this action."""
    if change.action is not Action.UPDATE:
        return ()
    held = "filters" if action == UPDATE else "active"
    stages = takewhile(
        lambda stage: held not in stage, _FLAG.stages(change.action, moving(change), split=False)
    )
    return tuple(chain.from_iterable(stages))


def _calls(change: Change, live: LiveResource | None, *, split: bool) -> Iterator[_Call]:
    if change.desired is None or change.action not in {Action.CREATE, Action.UPDATE}:
        return
    payload = live.payload if live is not None else {}
    creates = change.action is Action.CREATE
    active = not creates and payload.get("active") is not False
    filters = _in_names(payload.get("filters") or {}, live)
    for stage in _FLAG.stages(change.action, moving(change), split=split):
        body = dict(stage)
        if "filters" in body and not creates:  # kept by the server, or sent along (contract 9.2)
            body["filters"] = {**filters, **(body["filters"] or {})}
        yield _Call(creates, body, active, filters)
        active = bool(body.get("active", True if creates else active))
        filters = body.get("filters") or filters
        creates = False


def _in_names(filters: Mapping[str, Any], live: LiveResource | None) -> Mapping[str, Any]:
    """Return live filters in the language of the files: names instead of ids."""
    spelled = (live.spec.get("filters") or {}).get("groups") if live is not None else None
    groups = filters.get("groups")
    if not spelled or not groups or len(spelled) != len(groups):
        return filters
    pairs = zip(groups, spelled, strict=True)
    return {**filters, "groups": [{**g, "properties": s.get("properties", [])} for g, s in pairs]}


def _matched(call: _Call, generation: Generation, *, release: bool) -> Iterator[ActionMatch]:
    if call.creates and generation is Generation.G1:
        return
    name = "create" if call.creates else "active"
    sent = call.body.get("active", True if call.creates else None)
    if sent is True and not call.active:
        moved = "created active" if call.creates else "active: false -> true"
        yield ActionMatch(ENABLE, name, moved, {})
    elif sent is False and call.active:
        yield ActionMatch(DISABLE, name, "active: true -> false", {})
    yield from _update(call, generation, looks=release)


def _update(call: _Call, generation: Generation, *, looks: bool) -> Iterator[ActionMatch]:
    """A rollout position moved, or, for a policy that asks for them, the release conditions."""
    filters: Mapping[str, Any] = call.body.get("filters") or {}
    before, after = rollout(call.filters, generation), rollout(filters, generation)
    if not filters:
        if not (call.creates and call.body.get("is_remote_configuration")):
            return
        after = {ROLLOUT: 100}  # a remote configuration without filters is for everybody
    release: tuple[Positions, Positions] = ({}, {})
    if looks:
        release = (_release(call.filters), _release(_completed(filters)))
    name = "create" if call.creates else "filters"
    if before != after or release[0] != release[1]:
        fields = {ROLLOUT: (before, after), RELEASE: release}
        yield ActionMatch(UPDATE, name, "", fields, release_only=before == after)


def rollout(filters: Mapping[str, Any], generation: Generation) -> Positions:
    """Every rollout position of some filters; only what is written counts, also if null."""
    multivariate = filters.get("multivariate")
    variants = multivariate.get("variants") if isinstance(multivariate, Mapping) else ()
    lists = {"groups": filters.get("groups"), "multivariate.variants": variants}
    if generation is Generation.G1:
        lists |= {name: filters.get(name) for name in ("super_groups", "holdout_groups")}
    found = {
        f"{where}[{number}].rollout_percentage": item["rollout_percentage"]
        for where, items in lists.items()
        for number, item in enumerate(items or ())
        if isinstance(item, Mapping) and "rollout_percentage" in item
    }
    holdout = filters.get("holdout")
    if (
        generation is Generation.G2
        and isinstance(holdout, Mapping)
        and "exclusion_percentage" in holdout
    ):
        found["holdout.exclusion_percentage"] = holdout["exclusion_percentage"]
    return found


def _completed(filters: Mapping[str, Any]) -> Mapping[str, Any]:
    """As G2 stores them: each group says what it aggregates by (contract 9.2)."""
    whole = filters.get(_INDEX)
    groups = [{_INDEX: whole, **group} for group in filters.get("groups") or ()]
    kinds = {group[_INDEX] for group in groups}
    if groups:
        whole = kinds.pop() if len(kinds) == 1 else None
    return {**filters, "groups": groups, _INDEX: whole}


def _release(filters: Mapping[str, Any]) -> Positions:
    """Each group without its percentage, its properties in any order, and the aggregation."""
    found: dict[str, Any] = {
        f"groups[{number}]": _release_of(group)
        for number, group in enumerate(filters.get("groups") or ())
    }
    if filters.get(_INDEX) is not None:
        found[_INDEX] = filters[_INDEX]
    return found


def _release_of(group: Mapping[str, Any]) -> Mapping[str, Any]:
    kept = {name: value for name, value in group.items() if name != ROLLOUT and value is not None}
    (normal,) = _FLAG.canonical({"filters": {"groups": [group]}})["filters"]["groups"]
    listed = (json.dumps(item, sort_keys=True, default=str) for item in normal["properties"])
    return {**kept, "properties": sorted(listed)}
