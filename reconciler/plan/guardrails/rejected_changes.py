"""Changes that PostHog would refuse, known from the live state: errors before anything is sent."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from reconciler.kinds import KINDS
from reconciler.model import (
    LEVELS,
    Action,
    Address,
    Change,
    Finding,
    Live,
    Path,
    RejectedValue,
    Severity,
    Spec,
    a_level,
    level_number,
    root,
)
from reconciler.normal_form import filter_checks, filters
from reconciler.plan.approvals import forecast, server_generation
from reconciler.plan.approvals.server_generation import Generation

CODE: Final = "would-be-refused"
_ASK: Final = "use the key of somebody who may, or ask them"
_MANY: Final = "organizations_projects"
_RESERVED: Final = frozenset({"experiment.launch", "experiment.pause", "experiment.update"})
_PATTERNS: Final = frozenset({"regex", "not_regex"})


def find(changes: tuple[Change, ...], live: Live) -> Iterator[Finding]:
    """Find every change that PostHog would answer with 400 or 403 as things are."""
    for change in changes:
        if change.action is Action.NONE:
            continue
        level = _own_level(live, change.address.organization)
        for found in _refusals(change, live, level):
            yield _finding(change, found)
    yield from _without_features(changes, live)


def _without_features(changes: tuple[Change, ...], live: Live) -> Iterator[Finding]:
    """Warn, once an organization, of what its plan does not include (contract 1.4)."""
    seen: set[str] = set()
    for change in changes:
        slug, kind = change.address.organization, change.address.kind
        if change.action not in {Action.CREATE, Action.UPDATE} or slug in seen:
            continue
        if kind == "ApprovalPolicy" and forecast.is_off(live, slug):
            seen.add(slug)
            message = f"{slug} has no approvals in its plan: its policies gate nothing"
            why = "PostHog then lets every gated write through, without an error"
            fix = "upgrade the plan of the organization"
            yield _finding(
                change, RejectedValue((), message, why, fix), forecast.OFF, Severity.WARNING
            )
        elif kind == "Organization" and change.action is Action.CREATE and not _has_many(live):
            message = "another organization may be refused"
            why = "no organization of this key has `organizations_projects` in its plan"
            fix = "upgrade the plan; PostHog Cloud does not need it"
            yield _finding(change, RejectedValue((), message, why, fix), CODE, Severity.WARNING)


def _has_many(live: Live) -> bool:
    """Return whether a plan includes several organizations, or none can be seen."""
    there = [one for address, one in live.resources.items() if address.kind == "Organization"]
    features = (one.payload.get("available_product_features") or () for one in there)
    return not there or any(one.get("key") == _MANY for listed in features for one in listed)


def _finding(
    change: Change, found: RejectedValue, code: str = CODE, severity: Severity = Severity.ERROR
) -> Finding:
    resource = None if change.removed or change.pruned else change.desired
    return Finding(
        code,
        severity,
        f"{change.address}: {found.message}",
        why=found.why or "PostHog refuses it",
        fix=found.fix,
        source=resource.locate(found.path) if resource is not None else None,
        address=change.address,
    )


def _own_level(live: Live, organization: str) -> int | None:
    """Return the membership level of the key's user, where PostHog shows it."""
    there = live.resources.get(Address("Organization", (organization,)))
    level = there.payload.get("membership_level") if there is not None else None
    return int(level) if level is not None else None


def _refusals(change: Change, live: Live, level: int | None) -> Iterator[RejectedValue]:
    kind = KINDS[change.address.kind]
    if kind.name == "Member":
        yield from _of_member(change, live, level)
        return
    needed = "owner" if _is_end_of_organization(change) else "admin"
    created = kind.name == "Organization" and change.action is Action.CREATE
    if kind.for_admins and not created and level is not None and level < LEVELS[needed]:
        who = f"the key's user is {a_level(level)} of {change.address.organization}"
        yield RejectedValue((), f"this takes an {needed}", who, _ASK)
    if kind.name == "Organization":
        yield from _of_organization(change)
    elif kind.name == "ApprovalPolicy":
        yield from _of_policy(change, live)
    elif kind.name == "FeatureFlag":
        yield from _of_flag(change)
        yield from _of_archive(change, live)


def _is_end_of_organization(change: Change) -> bool:
    return change.address.kind == "Organization" and change.action is Action.DELETE


def _of_policy(change: Change, live: Live) -> Iterator[RejectedValue]:
    """Find actions that PostHog reserves for itself, and of old took from anybody (3.1)."""
    new = change.action is Action.CREATE
    if (
        new
        and change.address.name in _RESERVED
        and server_generation.detect_generation(live) is not Generation.G1
    ):
        message = "PostHog does not take a new policy for this action yet"
        yield RejectedValue((), message, "", "remove the document")


def _of_organization(change: Change) -> Iterator[RejectedValue]:
    name = "is_ai_training_opted_in"
    payload = change.before.payload if change.before is not None else {}
    if payload.get("is_ai_training_locked") and name in _moved(change):
        message = f"`{name}` is locked for this organization"
        yield RejectedValue((name,), message, "", f"remove `{name}` from the file")


def _of_member(change: Change, live: Live, level: int | None) -> Iterator[RejectedValue]:
    """Find what the key's user may not do to a person (contract 8.3)."""
    me, name = live.me, change.address.name.casefold()
    removal = change.action is Action.DELETE
    if me is not None and me.email.casefold() == name:
        if not removal:  # anybody may leave
            why = f"the key acts as {me.email}"
            fix = "use the key of another owner or admin"
            yield RejectedValue(("level",), "nobody can change their own level", why, fix)
        return
    if level is None:
        return
    mine = f"the key's user is {a_level(level)} of {change.address.organization}"
    if level < LEVELS["admin"]:
        yield RejectedValue(
            ("level",), "only admins and owners can change other people", mine, _ASK
        )
        return
    there = change.before.spec.get("level") if change.before is not None else None
    if there is not None and level_number(there) > level:
        message = f"this person is {there}, which is above the key's own level"
        yield RejectedValue(("level",), message, mine, _ASK)
    wanted = change.desired.spec.get("level") if change.desired is not None else None
    if not removal and wanted is not None and level_number(wanted) > level:
        message = f"nobody can give the level {wanted} without having it"
        yield RejectedValue(("level",), message, mine, _ASK)


def _moved(change: Change) -> frozenset[str]:
    """Return the top-level fields that the change writes."""
    return frozenset(root(one.path) for one in change.fields)


def _of_flag(change: Change) -> Iterator[RejectedValue]:
    """Find what does not go together once the change is written (contract 9.1, 9.2, 9.5)."""
    payload = change.before.payload if change.before is not None else {}
    if payload.get("can_edit") is False:
        yield RejectedValue((), "the key's user may not edit this flag", "", _ASK)
    if change.action is Action.DELETE:
        yield from _uses(payload)
        return
    moved, written = _moved(change), change.desired.spec if change.desired is not None else {}
    before = change.before.spec if change.before is not None else KINDS["FeatureFlag"].defaults
    after = {**before, **{name: written[name] for name in moved if name in written}}
    yield from _pairs(before, after, moved, is_new=change.before is None)
    if "filters" in moved and change.before is not None:
        yield from _filters(before.get("filters") or {}, written.get("filters") or {}, payload)


def _of_archive(change: Change, live: Live) -> Iterator[RejectedValue]:
    """Find a flag for the archive, which early servers do not have: they drop the field (9.1)."""
    wanted = change.desired is not None and change.desired.spec.get("archived")
    if (
        wanted
        and "archived" in _moved(change)
        and server_generation.detect_generation(live) is Generation.G1
    ):
        fix = "remove `archived`, or upgrade PostHog"
        message = "this PostHog is too old to archive flags"
        yield RejectedValue(("archived",), message, "it ignores `archived` without an error", fix)


def _uses(payload: Mapping[str, Any]) -> Iterator[RejectedValue]:
    if payload.get("features"):
        fix = "delete the early access feature first"
        yield RejectedValue((), "an early access feature uses this flag", "", fix)
    if running := _running(payload):
        message = f"a running experiment uses this flag: {running}"
        yield RejectedValue((), message, "", "stop the experiment first")
    if payload.get("is_used_in_replay_settings"):
        fix = "remove it from the settings of session replay first"
        yield RejectedValue((), "session replay uses this flag", "", fix)


def _running(payload: Mapping[str, Any]) -> str:
    """Return the names of the experiments that certainly run; "" if none does."""
    metadata = payload.get("experiment_set_metadata")
    return ", ".join(
        str(one.get("name") or one.get("id"))
        for one in (metadata if isinstance(metadata, list) else ())
        if isinstance(one, Mapping) and one.get("is_running")
    )


def _pairs(
    before: Spec, after: Spec, moved: frozenset[str], *, is_new: bool
) -> Iterator[RejectedValue]:
    if after.get("archived") and after.get("active"):
        if "archived" in moved:
            message, fix = "an active flag cannot be archived", "write `active: false`"
            yield RejectedValue(("archived",), message, "", fix)
        else:
            why = "it is archived, and PostHog refuses every change that leaves it on"
            fix = "write `archived: false` as well"
            yield RejectedValue(("active",), "an archived flag cannot be active", why, fix)
    if _clash(after) and (is_new or not _clash(before)):
        field = "ensure_experience_continuity"
        at: Path = (field,) if field in moved else ("bucketing_identifier",)
        message = f"`{field}` cannot be together with `bucketing_identifier: device_id`"
        yield RejectedValue(at, message, "", f"write `{field}: false`, or another identifier")
    if after.get("has_encrypted_payloads") and not after.get("is_remote_configuration"):
        name = "has_encrypted_payloads"
        at = (name,) if name in moved else ("is_remote_configuration",)
        fix = "write `is_remote_configuration: true`"
        yield RejectedValue(at, "encrypted payloads need remote configuration", "", fix)


def _clash(spec: Spec) -> bool:
    continuity = spec.get("ensure_experience_continuity")
    return bool(continuity and spec.get("bucketing_identifier") == "device_id")


def _filters(before: Spec, written: Spec, payload: Mapping[str, Any]) -> Iterator[RejectedValue]:
    """Find what is refused of written filters on top of the live ones that stay."""
    after = filters.merged(before, written)
    stored = {
        str(item.get("value"))
        for group in before.get("groups") or ()
        for item in group.get("properties") or ()
        if item.get("operator") in _PATTERNS
    }
    may_exit = before.get("early_exit") is True
    for found in filter_checks.find(after, stored=stored, may_exit=may_exit):
        field = found.path[0]
        why = "" if field in written else f"`{field}` is live, in no file, and stays"
        yield found._replace(path=("filters", *found.path), why=found.why or why)
    if payload.get("features") and filter_checks.aggregates(after):
        message = "groups cannot be bucketed in a flag of an early access feature"
        yield RejectedValue(("filters",), message, "", "remove `aggregation_group_type_index`")
    if running := _running(payload):
        gone = sorted(filter_checks.variants(before) - filter_checks.variants(after))
        if gone:
            message = f"a running experiment needs the variants {', '.join(gone)}: {running}"
            at = ("filters", "multivariate", "variants")
            yield RejectedValue(at, message, "", "stop the experiment first")
