"""Changes that PostHog would refuse given the live state: errors before anything is sent."""

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
    format_level_with_article,
    get_root,
    parse_level,
    select_written,
)
from reconciler.normal_form import filter_checks, filters
from reconciler.plan import required_labels
from reconciler.plan.approvals import forecast, server_generation
from reconciler.plan.approvals.server_generation import Generation

CODE: Final = "would-be-refused"
_ASK: Final = "use the key of somebody who is allowed to do this, or ask them"
_SEVERAL_ORGANIZATIONS: Final = "organizations_projects"
_PATTERNS: Final = frozenset({"regex", "not_regex"})


def find_rejected_changes(changes: tuple[Change, ...], live: Live) -> Iterator[Finding]:
    """Find every change that PostHog would answer with 400 or 403."""
    writes = select_written(changes)
    for change in writes:
        level = _read_own_level(live, change.address.organization)
        for rejected in _check_change(change, live, level):
            yield _build_finding(change, rejected)
    for change, rejected in required_labels.find_missing_labels(changes, live):
        yield _build_finding(change, rejected)
    yield from _check_paid_features(writes, live)


def _check_paid_features(changes: tuple[Change, ...], live: Live) -> Iterator[Finding]:
    """Warn once per organization of what its plan does not include (contract 1.4)."""
    warned: set[str] = set()
    for change in changes:
        slug, kind = change.address.organization, change.address.kind
        is_new = change.action is Action.CREATE
        if change.action is Action.DELETE or slug in warned:
            continue
        if kind == "ApprovalPolicy" and forecast.is_off(live, slug):
            warned.add(slug)
            message = f"{slug} has no approvals in its plan: its policies gate nothing"
            why = "PostHog then lets every gated write through, without an error"
            fix = "upgrade the plan of the organization"
            yield _build_finding(
                change, RejectedValue((), message, why, fix), forecast.OFF, Severity.WARNING
            )
        elif kind == "Organization" and is_new and not _may_have_several_organizations(live):
            message = "another organization may be refused"
            why = "no organization of this key has `organizations_projects` in its plan"
            fix = "upgrade the plan; PostHog Cloud does not need it"
            yield _build_finding(
                change, RejectedValue((), message, why, fix), CODE, Severity.WARNING
            )


def _may_have_several_organizations(live: Live) -> bool:
    """Return whether a plan includes several organizations, or none can be seen."""
    organizations = [o for address, o in live.resources.items() if address.kind == "Organization"]
    return not organizations or any(
        feature.get("key") == _SEVERAL_ORGANIZATIONS
        for organization in organizations
        for feature in organization.payload.get("available_product_features") or ()
    )


def _build_finding(
    change: Change, rejected: RejectedValue, code: str = CODE, severity: Severity = Severity.ERROR
) -> Finding:
    resource = None if change.removed or change.pruned else change.desired
    return Finding(
        code,
        severity,
        f"{change.address}: {rejected.message}",
        why=rejected.why or "PostHog refuses it",
        fix=rejected.fix,
        source=resource.locate(rejected.path) if resource is not None else None,
        address=change.address,
    )


def _read_own_level(live: Live, organization: str) -> int | None:
    """Return the membership level of the key's user, where PostHog shows it."""
    live_organization = live.resources.get(Address("Organization", (organization,)))
    level = (
        live_organization.payload.get("membership_level") if live_organization is not None else None
    )
    return int(level) if level is not None else None


def _check_change(change: Change, live: Live, level: int | None) -> Iterator[RejectedValue]:
    kind = KINDS[change.address.kind]
    if kind.name == "Member":
        yield from _check_member(change, live, level)
        return
    if why := _explain_locked(change):
        fix = "change it in PostHog, and remove its document; a delete is possible"
        yield RejectedValue((), "this object cannot be updated", why, fix)
        return
    needed = "owner" if _deletes_organization(change) else "admin"
    created = kind.name == "Organization" and change.action is Action.CREATE
    if kind.for_admins and not created and level is not None and level < LEVELS[needed]:
        who = (
            f"the key's user is {format_level_with_article(level)} of {change.address.organization}"
        )
        yield RejectedValue((), f"this requires an {needed}", who, _ASK)
    if kind.name == "Organization":
        yield from _check_organization(change)
    elif kind.name == "FeatureFlag":
        yield from _check_flag(change)
        yield from _check_archiving(change, live)


def _explain_locked(change: Change) -> str:
    """Return why PostHog accepts no update of the object; a delete writes nothing else of it."""
    if change.before is None or change.action is not Action.UPDATE:
        return ""
    return KINDS[change.address.kind].locked(change.before.payload)


def _deletes_organization(change: Change) -> bool:
    return change.address.kind == "Organization" and change.action is Action.DELETE


def _check_organization(change: Change) -> Iterator[RejectedValue]:
    name = "is_ai_training_opted_in"
    payload = change.before.payload if change.before is not None else {}
    if payload.get("is_ai_training_locked") and name in _list_changed_fields(change):
        message = f"`{name}` is locked for this organization"
        yield RejectedValue((name,), message, "", f"remove `{name}` from the file")


def _check_member(change: Change, live: Live, level: int | None) -> Iterator[RejectedValue]:
    """Find what the key's user is not allowed to do to a person (contract 8.3)."""
    key_user, name = live.me, change.address.name.casefold()
    removal = change.action is Action.DELETE
    if key_user is not None and key_user.email.casefold() == name:
        if not removal:  # people may remove themselves
            why = f"the key acts as {key_user.email}"
            fix = "use the key of another owner or admin"
            yield RejectedValue(("level",), "nobody can change their own level", why, fix)
        return
    if level is None:
        return
    own_level = (
        f"the key's user is {format_level_with_article(level)} of {change.address.organization}"
    )
    if level < LEVELS["admin"]:
        yield RejectedValue(
            ("level",), "only admins and owners can change other people", own_level, _ASK
        )
        return
    present = change.before.spec.get("level") if change.before is not None else None
    if present is not None and parse_level(present) > level:
        message = f"this person is {present}, which is above the key's own level"
        yield RejectedValue(("level",), message, own_level, _ASK)
    desired_level = change.desired.spec.get("level") if change.desired is not None else None
    if not removal and desired_level is not None and parse_level(desired_level) > level:
        message = f"nobody can give the level {desired_level} without having it"
        yield RejectedValue(("level",), message, own_level, _ASK)


def _list_changed_fields(change: Change) -> frozenset[str]:
    """Return the top-level fields that the change writes."""
    return frozenset(get_root(edit.path) for edit in change.fields)


def _check_flag(change: Change) -> Iterator[RejectedValue]:
    """Find field values that PostHog refuses together (contract 9.1, 9.2, 9.5)."""
    payload = change.before.payload if change.before is not None else {}
    if payload.get("can_edit") is False:
        yield RejectedValue((), "the key's user may not edit this flag", "", _ASK)
    if change.action is Action.DELETE:
        yield from _check_uses(payload)
        return
    changed = _list_changed_fields(change)
    desired = change.desired.spec if change.desired is not None else {}
    before = change.before.spec if change.before is not None else KINDS["FeatureFlag"].defaults
    after = {**before, **{name: desired[name] for name in changed if name in desired}}
    yield from _check_field_pairs(before, after, changed, is_new=change.before is None)
    if "filters" in changed and change.before is not None:
        yield from _check_filters(
            before.get("filters") or {}, desired.get("filters") or {}, payload
        )


def _check_archiving(change: Change, live: Live) -> Iterator[RejectedValue]:
    """Find a flag to archive on an early server, which drops the field (contract 9.1)."""
    archives = change.desired is not None and change.desired.spec.get("archived")
    if (
        archives
        and "archived" in _list_changed_fields(change)
        and server_generation.detect_generation(live) is Generation.G1
    ):
        fix = "remove `archived`, or upgrade PostHog"
        message = "this PostHog is too old to archive flags"
        yield RejectedValue(("archived",), message, "it ignores `archived` without an error", fix)


def _check_uses(payload: Mapping[str, Any]) -> Iterator[RejectedValue]:
    if payload.get("features"):
        fix = "delete the early access feature first"
        yield RejectedValue((), "an early access feature uses this flag", "", fix)
    if running := _name_running_experiments(payload):
        message = f"a running experiment uses this flag: {running}"
        yield RejectedValue((), message, "", "stop the experiment first")
    if payload.get("is_used_in_replay_settings"):
        fix = "remove it from the settings of session replay first"
        yield RejectedValue((), "session replay uses this flag", "", fix)


def _name_running_experiments(payload: Mapping[str, Any]) -> str:
    """Return the names of the experiments that are certainly running; "" if none is."""
    metadata = payload.get("experiment_set_metadata")
    return ", ".join(
        str(experiment.get("name") or experiment.get("id"))
        for experiment in (metadata if isinstance(metadata, list) else ())
        if isinstance(experiment, Mapping) and experiment.get("is_running")
    )


def _check_field_pairs(
    before: Spec, after: Spec, changed: frozenset[str], *, is_new: bool
) -> Iterator[RejectedValue]:
    if after.get("archived") and after.get("active"):
        if "archived" in changed:
            message, fix = "an active flag cannot be archived", "write `active: false`"
            yield RejectedValue(("archived",), message, "", fix)
        else:
            why = "it is archived, and PostHog refuses every change that leaves it active"
            fix = "write `archived: false` as well"
            yield RejectedValue(("active",), "an archived flag cannot be active", why, fix)
    if _has_bucketing_clash(after) and (is_new or not _has_bucketing_clash(before)):
        field = "ensure_experience_continuity"
        path: Path = (field,) if field in changed else ("bucketing_identifier",)
        message = f"`{field}` cannot be combined with `bucketing_identifier: device_id`"
        yield RejectedValue(path, message, "", f"write `{field}: false`, or another identifier")
    if after.get("has_encrypted_payloads") and not after.get("is_remote_configuration"):
        name = "has_encrypted_payloads"
        path = (name,) if name in changed else ("is_remote_configuration",)
        fix = "write `is_remote_configuration: true`"
        yield RejectedValue(path, "encrypted payloads need remote configuration", "", fix)


def _has_bucketing_clash(spec: Spec) -> bool:
    continuity = spec.get("ensure_experience_continuity")
    return bool(continuity and spec.get("bucketing_identifier") == "device_id")


def _check_filters(
    before: Spec, written: Spec, payload: Mapping[str, Any]
) -> Iterator[RejectedValue]:
    """Find what PostHog refuses of the written filters together with live ones that are kept."""
    after = filters.merge_filters(before, written)
    stored = {
        str(item.get("value"))
        for group in before.get("groups") or ()
        for item in group.get("properties") or ()
        if item.get("operator") in _PATTERNS
    }
    for rejected in filter_checks.find_refusals(after, stored=stored):
        field = rejected.path[0]
        why = "" if field in written else f"`{field}` is live, not in any file, and is kept"
        yield rejected._replace(path=("filters", *rejected.path), why=rejected.why or why)
    if payload.get("features") and filter_checks.has_aggregation(after):
        message = "groups cannot be bucketed in a flag of an early access feature"
        yield RejectedValue(("filters",), message, "", "remove `aggregation_group_type_index`")
    if running := _name_running_experiments(payload):
        removed = sorted(
            filter_checks.list_variant_keys(before) - filter_checks.list_variant_keys(after)
        )
        if removed:
            message = f"a running experiment needs the variants {', '.join(removed)}: {running}"
            path = ("filters", "multivariate", "variants")
            yield RejectedValue(path, message, "", "stop the experiment first")
