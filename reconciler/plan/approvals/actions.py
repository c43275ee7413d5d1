"""Match the API calls of a flag's change to approval actions, per generation (contract 5.2)."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import Any, Final

from reconciler.kinds import KINDS
from reconciler.lazy_dataclass import dataclass
from reconciler.model import EXPERIMENT_TWINS, Action, Change, LiveResource, Spec, build_change_spec
from reconciler.plan.approvals import owners, release_conditions
from reconciler.plan.approvals.conditions import RELEASE, ROLLOUT, Fields, Positions
from reconciler.plan.approvals.owners import Owner
from reconciler.plan.approvals.server_generation import Generation

ENABLE: Final = "feature_flag.enable"
DISABLE: Final = "feature_flag.disable"
UPDATE: Final = "feature_flag.update"
_FLAG: Final = KINDS["FeatureFlag"]
_NOTHING: Final[tuple[Positions, Positions]] = ({}, {})


@dataclass(frozen=True, slots=True)
class ActionMatch:
    """One action that one call matches, and what a policy's conditions can look at."""

    action: str
    call: str  # what the call sends, in one word
    transition: str  # what changes, if it is not a field with positions
    fields: Fields
    release_only: bool = False  # only the release conditions change
    only_if_selected: bool = False  # seen only by a policy that asks for the release conditions
    owner: Owner = Owner.NOBODY  # as far as it matters to this call
    may_be_free: bool = False  # the owner, as far as it is known, may make this no match
    sends: tuple[str, ...] = ()  # fields of the resource that the call writes

    @property
    def changes_release(self) -> bool:
        """Return whether release conditions change, so that it matters who owns the flag."""
        before, after = self.fields.get(RELEASE, _NOTHING)
        return before != after


@dataclass(frozen=True, slots=True)
class _Call:
    """One request, and the state of the flag before it."""

    creates: bool
    sends: tuple[str, ...]
    body: Spec
    active: bool
    filters: Mapping[str, Any]
    bucketing: Any
    owner: Owner


def match_actions(
    change: Change,
    live: LiveResource | None,
    generation: Generation,
    *,
    split: bool,
    release: bool = True,
    examined: bool = True,
    scoped: bool = False,
    owner: Owner | None = None,
) -> tuple[ActionMatch, ...]:
    """Return every action that the calls of this change match, in the order of the calls.

    Args:
        change: of a flag.
        live: the flag before it.
        generation: of the server.
        split: whether a create is sent so that no call meets two policies.
        release: whether any policy asks for the release conditions.
        examined: whether any policy looks at the fields of a match. If not, those release
            conditions are left out that make no difference to whether a call matches.
        scoped: whether the organization has policies per owner of a flag (contract 5.8).
        owner: who is assumed to own the flag; if not given, as far as the flag shows it.

    """
    action_matches = [
        action_match
        for call in _list_calls(change, live, generation, split=split, owner=owner)
        for action_match in _match_call(call, generation, release=release, examined=examined)
    ]
    if generation is not Generation.G3:
        return tuple(action_matches)
    return tuple(
        chain.from_iterable(_resolve_owner(match, scoped=scoped) for match in action_matches)
    )


def _resolve_owner(action_match: ActionMatch, *, scoped: bool) -> Iterator[ActionMatch]:
    """Yield the action under which the owner of the flag has it gated; nothing if it is free."""
    owner = action_match.owner
    if owner is Owner.UNKNOWN:
        may_be_free = scoped or action_match.release_only
        yield replace(action_match, may_be_free=True) if may_be_free else action_match
    elif not scoped or owner is Owner.NOBODY:
        yield replace(action_match, may_be_free=owner is not Owner.NOBODY)
    elif owner is Owner.EXPERIMENT:
        action = EXPERIMENT_TWINS[action_match.action]
        yield replace(action_match, action=action, owner=Owner.NOBODY)


def list_calls(change: Change, *, split: bool) -> tuple[tuple[str, ...], ...]:
    """Return the fields that each call of a create or an update writes."""
    if change.desired is None or change.action not in {Action.CREATE, Action.UPDATE}:
        return ()
    stages = KINDS[change.address.kind].stages
    return tuple(map(tuple, stages(change.action, build_change_spec(change), split=split)))


def _list_calls(
    change: Change,
    live: LiveResource | None,
    generation: Generation,
    *,
    split: bool,
    owner: Owner | None,
) -> Iterator[_Call]:
    if change.desired is None or change.action not in {Action.CREATE, Action.UPDATE}:
        return
    payload = live.payload if live is not None else {}
    creates = change.action is Action.CREATE
    if generation is not Generation.G3 or creates:  # these do not look at the owner
        owner = Owner.NOBODY
    elif owner is None:
        owner = owners.find_owner(live)
    active = not creates and payload.get("active") is not False
    filters = _replace_ids_by_names(payload.get("filters") or {}, live)
    bucketing = payload.get("bucketing_identifier")
    for stage in _FLAG.stages(change.action, build_change_spec(change), split=split):
        body = dict(stage)
        if "filters" in body and not creates:  # kept by the server, or sent along (contract 9.2)
            body["filters"] = {**filters, **(body["filters"] or {})}
        yield _Call(creates, tuple(stage), body, active, filters, bucketing, owner)
        active = bool(body.get("active", True if creates else active))
        filters = body.get("filters") or filters
        bucketing = body.get("bucketing_identifier", bucketing)
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


def _match_call(
    call: _Call, generation: Generation, *, release: bool, examined: bool
) -> Iterator[ActionMatch]:
    if call.creates and generation is Generation.G1:
        return
    name = "create" if call.creates else "active"
    sent = call.body.get("active", True if call.creates else None)
    if sent is True and not call.active:
        transition = "created active" if call.creates else "active: false -> true"
        yield ActionMatch(ENABLE, name, transition, {}, owner=call.owner, sends=call.sends)
    elif sent is False and call.active:
        transition = "active: true -> false"
        yield ActionMatch(DISABLE, name, transition, {}, owner=call.owner, sends=call.sends)
    yield from _match_update(call, generation, looks=release, examined=examined)


def _match_update(
    call: _Call, generation: Generation, *, looks: bool, examined: bool
) -> Iterator[ActionMatch]:
    """Yield the update action if a rollout position or the release conditions change."""
    filters: Mapping[str, Any] = call.body.get("filters") or {}
    if not filters and not _counts_without_filters(call, generation):
        return
    before, after = (
        list_rollout_positions(call.filters, generation),
        list_rollout_positions(filters or call.filters, generation),
    )
    if not filters and call.creates:
        after = {ROLLOUT: 100}  # a remote configuration without filters is for everybody
    release = _NOTHING  # to list them takes longer than everything else here
    if examined or before == after:
        release = _list_release_positions(call, generation, looks=looks)
    name = "create" if call.creates else "filters" if filters else "bucketing_identifier"
    if before != after or release[0] != release[1]:
        fields = {ROLLOUT: (before, after)}
        if release[0] != release[1]:  # otherwise conditions on them find nothing (contract 4)
            fields[RELEASE] = release
        release_only = before == after
        yield ActionMatch(
            UPDATE,
            name,
            "",
            fields,
            release_only=release_only,
            only_if_selected=release_only and generation is Generation.G2,
            owner=call.owner,
            sends=call.sends,
        )


def _counts_without_filters(call: _Call, generation: Generation) -> bool:
    """Return whether a call without filters can match: of a remote configuration, of match-by."""
    if call.creates:
        return bool(call.body.get("is_remote_configuration"))
    return generation is Generation.G3 and "bucketing_identifier" in call.body


def _list_release_positions(
    call: _Call, generation: Generation, *, looks: bool
) -> tuple[Positions, Positions]:
    """Return the release conditions before and after, as far as they count.

    G2 compares them only if a policy asks for them (`looks`), G3 always, but not on create and not
    if an owner is known (contract 5.2, 5.8).
    """
    filters = call.body.get("filters") or call.filters
    if generation is Generation.G2 and looks:
        after = release_conditions.add_aggregation(filters)
        return release_conditions.list_groups(call.filters), release_conditions.list_groups(after)
    is_owned = call.owner in {Owner.EXPERIMENT, Owner.EARLY_ACCESS_FEATURE}
    if generation is not Generation.G3 or call.creates or is_owned:
        return _NOTHING
    bucketing = call.body.get("bucketing_identifier", call.bucketing)
    return (
        release_conditions.list_canonical_positions(call.filters, call.bucketing),
        release_conditions.list_canonical_positions(filters, bucketing),
    )


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
        generation is not Generation.G1
        and isinstance(holdout, Mapping)
        and "exclusion_percentage" in holdout
    ):
        positions["holdout.exclusion_percentage"] = holdout["exclusion_percentage"]
    return positions
