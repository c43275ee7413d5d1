"""Match the API calls of a flag's change to approval actions, per generation (contract 5.2)."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, takewhile
from typing import Any, Final

from reconciler.kinds import KINDS
from reconciler.model import Action, Change, LiveResource, Spec, build_change_spec
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
    call: str  # what the call sends, in one word
    transition: str  # what changes, if it is not a field with positions
    fields: Fields
    release_only: bool = False  # seen only by a policy that asks for the release conditions


@dataclass(frozen=True, slots=True)
class _Call:
    """One request, and the state of the flag before it."""

    creates: bool
    body: Spec
    active: bool
    filters: Mapping[str, Any]


def match_actions(
    change: Change,
    live: LiveResource | None,
    generation: Generation,
    *,
    split: bool,
    release: bool = True,
) -> tuple[ActionMatch, ...]:
    """Return every action that the calls of this change match, in the order of the calls.

    `release`: whether any policy asks for the release conditions.
    """
    release = release and generation is Generation.G2
    return tuple(
        action_match
        for call in _list_calls(change, live, split=split)
        for action_match in _match_call(call, generation, release=release)
    )


def list_fields_sent_before(change: Change, action: str) -> tuple[str, ...]:
    """Return the fields of an update that are sent before the call that matches this action."""
    if change.action is not Action.UPDATE:
        return ()
    gated_field = "filters" if action == UPDATE else "active"
    stages = takewhile(
        lambda stage: gated_field not in stage,
        _FLAG.stages(change.action, build_change_spec(change), split=False),
    )
    return tuple(chain.from_iterable(stages))


def _list_calls(change: Change, live: LiveResource | None, *, split: bool) -> Iterator[_Call]:
    if change.desired is None or change.action not in {Action.CREATE, Action.UPDATE}:
        return
    payload = live.payload if live is not None else {}
    creates = change.action is Action.CREATE
    active = not creates and payload.get("active") is not False
    filters = _replace_ids_by_names(payload.get("filters") or {}, live)
    for stage in _FLAG.stages(change.action, build_change_spec(change), split=split):
        body = dict(stage)
        if "filters" in body and not creates:  # kept by the server, or sent along (contract 9.2)
            body["filters"] = {**filters, **(body["filters"] or {})}
        yield _Call(creates, body, active, filters)
        active = bool(body.get("active", True if creates else active))
        filters = body.get("filters") or filters
        creates = False


def _replace_ids_by_names(
    filters: Mapping[str, Any], live: LiveResource | None
) -> Mapping[str, Any]:
    """Return live filters in the language of the files: names instead of ids."""
    named_groups = (live.spec.get("filters") or {}).get("groups") if live is not None else None
    groups = filters.get("groups")
    if not named_groups or not groups or len(named_groups) != len(groups):
        return filters
    pairs = zip(groups, named_groups, strict=True)
    return {**filters, "groups": [{**g, "properties": s.get("properties", [])} for g, s in pairs]}


def _match_call(call: _Call, generation: Generation, *, release: bool) -> Iterator[ActionMatch]:
    if call.creates and generation is Generation.G1:
        return
    name = "create" if call.creates else "active"
    sent = call.body.get("active", True if call.creates else None)
    if sent is True and not call.active:
        transition = "created active" if call.creates else "active: false -> true"
        yield ActionMatch(ENABLE, name, transition, {})
    elif sent is False and call.active:
        yield ActionMatch(DISABLE, name, "active: true -> false", {})
    yield from _match_update(call, generation, looks=release)


def _match_update(call: _Call, generation: Generation, *, looks: bool) -> Iterator[ActionMatch]:
    """Yield the update action if a rollout position or the release conditions change.

    Release conditions count only if a policy asks for them (`looks`).
    """
    filters: Mapping[str, Any] = call.body.get("filters") or {}
    before, after = (
        list_rollout_positions(call.filters, generation),
        list_rollout_positions(filters, generation),
    )
    if not filters:
        if not (call.creates and call.body.get("is_remote_configuration")):
            return
        after = {ROLLOUT: 100}  # a remote configuration without filters is for everybody
    release: tuple[Positions, Positions] = ({}, {})
    if looks:
        release = (
            _list_release_conditions(call.filters),
            _list_release_conditions(_add_aggregation(filters)),
        )
    name = "create" if call.creates else "filters"
    if before != after or release[0] != release[1]:
        fields = {ROLLOUT: (before, after), RELEASE: release}
        yield ActionMatch(UPDATE, name, "", fields, release_only=before == after)


def list_rollout_positions(filters: Mapping[str, Any], generation: Generation) -> Positions:
    """Return every rollout position of some filters; only what is written counts, even null."""
    multivariate = filters.get("multivariate")
    variants = multivariate.get("variants") if isinstance(multivariate, Mapping) else ()
    lists = {"groups": filters.get("groups"), "multivariate.variants": variants}
    if generation is Generation.G1:
        lists |= {name: filters.get(name) for name in ("super_groups", "holdout_groups")}
    positions = {
        f"{list_path}[{number}].rollout_percentage": item["rollout_percentage"]
        for list_path, items in lists.items()
        for number, item in enumerate(items or ())
        if isinstance(item, Mapping) and "rollout_percentage" in item
    }
    holdout = filters.get("holdout")
    if (
        generation is Generation.G2
        and isinstance(holdout, Mapping)
        and "exclusion_percentage" in holdout
    ):
        positions["holdout.exclusion_percentage"] = holdout["exclusion_percentage"]
    return positions


def _add_aggregation(filters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return filters as G2 stores them: each group has its aggregation (contract 9.2)."""
    aggregation = filters.get(_INDEX)
    groups = [{_INDEX: aggregation, **group} for group in filters.get("groups") or ()]
    kinds = {group[_INDEX] for group in groups}
    if groups:
        aggregation = kinds.pop() if len(kinds) == 1 else None
    return {**filters, "groups": groups, _INDEX: aggregation}


def _list_release_conditions(filters: Mapping[str, Any]) -> Positions:
    """Return each group without its percentage and with sorted properties, and the aggregation."""
    positions: dict[str, Any] = {
        f"groups[{number}]": _normalize_group(group)
        for number, group in enumerate(filters.get("groups") or ())
    }
    if filters.get(_INDEX) is not None:
        positions[_INDEX] = filters[_INDEX]
    return positions


def _normalize_group(group: Mapping[str, Any]) -> Mapping[str, Any]:
    settings = {
        name: value for name, value in group.items() if name != ROLLOUT and value is not None
    }
    (canonical_group,) = _FLAG.canonical({"filters": {"groups": [group]}})["filters"]["groups"]
    properties = (
        json.dumps(item, sort_keys=True, default=str) for item in canonical_group["properties"]
    )
    return {**settings, "properties": sorted(properties)}
