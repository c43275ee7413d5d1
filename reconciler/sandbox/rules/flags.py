"""The rules of a flag write: what is refused, what is stored (contract 9).

The gate is in `gate`: a write that needs approval is checked by these rules twice, when it is
filed and when it is applied.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from reconciler.sandbox.protocol.errors import ApiError, conflict, invalid
from reconciler.sandbox.protocol.validators import (
    Field,
    check_boolean,
    check_integer,
    check_object,
    make_choice_check,
    make_list_check,
    make_text_check,
    read_fields,
)
from reconciler.sandbox.requests.call import Actor
from reconciler.sandbox.rules import (
    activity,
    filter_checks,
    flag_filters,
    flag_references,
    project_settings,
)
from reconciler.sandbox.rules.products import flag_owners, flag_use
from reconciler.sandbox.store.generation import Profile
from reconciler.sandbox.store.model import Flag, Organization, Project, User
from reconciler.sandbox.store.transaction import Transaction

_KEY = re.compile(r"[a-zA-Z0-9_-]+", re.ASCII)
_LONGEST_KEY = 400
_MOST_CONTEXTS, _LONGEST_CONTEXT = 50, 255
_LOGGED = (
    "key",
    "name",
    "filters",
    "active",
    "deleted",
    "archived",
    "tags",
    "evaluation_contexts",
    "ensure_experience_continuity",
    "is_remote_configuration",
    "has_encrypted_payloads",
    "evaluation_runtime",
    "bucketing_identifier",
    "analytics_dashboards",
)
_CONTINUITY = "ensure_experience_continuity"
_NO_FILTERS = flag_filters.normalize_filters({"groups": []})
_FULL_ROLLOUT = {"groups": [{"properties": [], "rollout_percentage": 100}]}


def _check_key(value: Any, name: str) -> str:
    word = str(make_text_check(longest=_LONGEST_KEY)(value, name))
    if not _KEY.fullmatch(word):
        detail = "Only letters, numbers, hyphens (-) & underscores (_) are allowed."
        raise invalid(detail, name, code="invalid_key")
    return word


def _check_tags(value: Any, name: str) -> list[str]:
    """Return labels as the API keeps them: trimmed, in lower case, each once (contract 9.1)."""
    words = [word.lower() for word in make_list_check(make_text_check(blank=True))(value, name)]
    return list(dict.fromkeys(word for word in words if word))


def _check_contexts(value: Any, name: str) -> list[str]:
    """Return names of contexts; limits count for the whole object, so `attr` is null."""
    if not isinstance(value, list) or len(value) > _MOST_CONTEXTS:
        raise invalid(f"{name} must be a list of at most {_MOST_CONTEXTS} items.")
    if not all(isinstance(context, str) and len(context) <= _LONGEST_CONTEXT for context in value):
        raise invalid("Invalid evaluation context name.")
    return _check_tags(value, name)


WRITABLE = (
    Field("key", _check_key, required=True),
    Field("name", make_text_check(blank=True)),
    Field("filters", check_object),
    Field("active", check_boolean),
    Field("deleted", check_boolean),
    Field("archived", check_boolean),
    Field("tags", _check_tags),
    Field("evaluation_contexts", _check_contexts),
    Field("ensure_experience_continuity", check_boolean, nullable=True),
    Field("is_remote_configuration", check_boolean, nullable=True),
    Field("has_encrypted_payloads", check_boolean, nullable=True),
    Field("evaluation_runtime", make_choice_check("server", "client", "all"), nullable=True),
    Field(
        "bucketing_identifier",
        make_choice_check("distinct_id", "device_id"),
        nullable=True,
    ),
    Field("analytics_dashboards", make_list_check(check_integer)),
    Field("creation_context", make_text_check(blank=True)),
    Field("_should_create_usage_dashboard", check_boolean),
)


def validate_write(
    tx: Transaction,
    profile: Profile,
    project: Project,
    data: Any,
    *,
    flag: Flag | None,
    partial: bool,
    tidies: bool = True,
    applies_rules: bool = False,
) -> dict[str, Any]:
    """Return the change that a body asks for, checked and normalized (contract 9.1, 9.2).

    `tidies`: keys of filters that are retired are dropped. `applies_rules`: the project's rules
    about flags hold, as they do not for changes that were approved.

    Raises:
        ApiError: 400.
    """
    if isinstance(data, dict) and "evaluation_tags" in data:
        data = {"evaluation_contexts": data["evaluation_tags"], **data}
    values = read_fields(data, WRITABLE, partial=partial)
    if not profile.has_archive:
        values.pop("archived", None)
    organization = tx.require(Organization, project.organization)
    if not organization.evaluation_contexts_enabled:
        values.pop("evaluation_contexts", None)  # silently (contract 9.1)
    if "key" in values:
        _require_free_key(tx, project, values["key"], flag)
    _check_filters(tx, profile, values, flag, tidies=tidies)
    if values.get("filters") and "filters" in data:
        key = values.get("key")
        flag_references.check_references(tx, project, values["filters"], flag=flag, key=key)
    _check_combinations(values, flag, archive=profile.has_archive)
    if applies_rules:
        project_settings.check_flag(project, values, flag)
    return values


def _require_free_key(tx: Transaction, project: Project, key: str, flag: Flag | None) -> None:
    for other in tx.find_all(Flag, project=project.id, key=key, deleted=False):
        if flag is None or other.id != flag.id:
            detail = "There is already a feature flag with this key."
            raise invalid(detail, "key", code="unique")


def _check_filters(
    tx: Transaction, profile: Profile, values: dict[str, Any], flag: Flag | None, *, tidies: bool
) -> None:
    if flag is None and "filters" not in values and values.get("is_remote_configuration"):
        values["filters"] = _FULL_ROLLOUT
    if flag is None and "filters" not in values:
        if profile.completes_filters:
            return
        flag_filters.check_filters({}, creating=True)
    if "filters" not in values:
        return
    sent = flag_filters.check_filters(values["filters"], creating=flag is None)
    stored = flag.filters if flag is not None else {}
    if stored.get("version") == flag_filters.SECOND_FORMAT:
        flag_filters.check_filters({**stored, **sent}, creating=False)  # refuses the version
    if flag is not None and flag.has_encrypted_payloads:
        sent = flag_filters.restore_payloads(stored, sent)
    values["filters"] = flag_filters.merge_filters(stored, sent, profile, tidies=tidies)
    if sent or flag is None:
        filter_checks.check_filters(
            values["filters"],
            stored,
            flag_filters.OPERATOR_ALIASES,
            early_exit=profile.has_early_exit,
        )
    if flag is not None:
        _check_links(tx, values["filters"], flag)


def _check_links(tx: Transaction, filters: dict[str, Any], flag: Flag) -> None:
    """Check what early access features and experiments need of the filters (contract 9.2)."""
    index = "aggregation_group_type_index"
    groups = filters.get("groups") or ()
    featured = flag_owners.list_features(tx, flag)
    if featured and any(group.get(index, filters.get(index)) is not None for group in groups):
        detail = "Cannot use group aggregation in any condition set when the flag is linked to an"
        raise invalid(f"{detail} Early Access Feature.", "filters")
    gone = flag_filters.list_variant_keys(flag.filters) - flag_filters.list_variant_keys(filters)
    if gone and flag_use.find_running_experiments(tx, flag):
        listed = ", ".join(sorted(gone))
        detail = f"Cannot remove variant(s) {listed} from a feature flag that is linked to running"
        raise invalid(f"{detail} experiment(s).", "filters")


def _check_combinations(values: Mapping[str, Any], flag: Flag | None, *, archive: bool) -> None:
    """Check fields that exclude or need each other, as stored; `attr` is null (contract 9.1)."""

    def after(name: str) -> Any:
        return values.get(name, getattr(flag, name) if flag is not None else None)

    def clashes(read: Any) -> bool:
        return bool(read("bucketing_identifier") == "device_id" and read(_CONTINUITY))

    had = flag is not None and clashes(lambda name: getattr(flag, name))
    if clashes(after) and not had:
        raise invalid(
            "Cannot enable 'persist across authentication steps' when using device ID bucketing."
            " These features are incompatible."
        )
    if after("has_encrypted_payloads") and not after("is_remote_configuration"):
        raise invalid("Encrypted payloads require the flag to be a remote configuration.")
    active = after("active") if flag is not None else values.get("active", True)
    if not (archive and after("archived") and active):
        return
    if values.get("archived"):
        raise invalid(
            "Cannot archive an enabled feature flag. Disable it first, or send active: false in"
            " the same request."
        )
    raise invalid("Cannot enable an archived feature flag. Unarchive it first.")


def create_flag(tx: Transaction, actor: Actor, project: Project, values: Mapping[str, Any]) -> Flag:
    """Store a new flag; it replaces a deleted flag with the same key (contract 9.5)."""
    for tombstone in tx.find_all(Flag, project=project.id, key=values["key"], deleted=True):
        tx.delete(tombstone)
    number, values = tx.make_id(Flag), {"filters": _NO_FILTERS, **values}
    if values.pop("_should_create_usage_dashboard", True):
        values["usage_dashboard"] = number
    flag = tx.insert(
        Flag(
            id=number,
            project=project.id,
            created_at=tx.at,
            updated_at=tx.at,
            created_by=actor.user.id,
            last_modified_by=actor.user.id,
            **values,
        )
    )
    _log_change(tx, actor, project, flag, "created")
    return flag


def update_flag(
    tx: Transaction, actor: Actor, project: Project, *, flag: Flag, values: Mapping[str, Any]
) -> Flag:
    """Store a change; it increments the version even if nothing differs (contract 9.4).

    Raises:
        ApiError: 400, another object depends on the flag as it is (contract 9.5).
    """
    flag_use.check_use(tx, values, flag)
    values = {name: value for name, value in values.items() if not name.startswith("_")}
    values = _settle_payloads(flag, values)
    if values.get("deleted") and not flag.deleted and flag_owners.list_experiment_ids(tx, flag):
        values["key"] = f"{flag.key}:deleted:{flag.id}"
    if values.get("deleted") is False and flag.deleted:
        values["key"] = _make_restored_key(tx, project, values.get("key", flag.key))
    after = tx.update(
        replace(
            flag,
            **values,
            version=flag.version + 1,
            updated_at=tx.at,
            last_modified_by=actor.user.id,
        )
    )
    kind = "deleted" if after.deleted and not flag.deleted else "updated"
    _log_change(tx, actor, project, after, kind, before=flag)
    return after


def _settle_payloads(flag: Flag, values: dict[str, Any]) -> dict[str, Any]:
    """Keep an encrypted payload that a change leaves out; drop it when encryption ends (9.1)."""
    if not flag.has_encrypted_payloads:
        return values
    if values.get("has_encrypted_payloads", True):
        if "filters" not in values:
            return values
        return {**values, "filters": flag_filters.keep_payload(flag.filters, values["filters"])}
    complete = {"filters": flag.filters, **values}
    return {**values, "filters": flag_filters.drop_secrets(flag.filters, complete["filters"])}


def drop_legacy_filters(flag: Flag, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a change that also drops the filters that G2 retired (contract 9.2)."""
    filters = values.get("filters", flag.filters)
    kept = flag_filters.drop_legacy_keys(filters)
    return dict(values) if kept == filters else {**values, "filters": kept}


def _make_restored_key(tx: Transaction, project: Project, key: str) -> str:
    stem = key.split(":deleted:", maxsplit=1)[0]
    free, number = stem, 1
    while tx.find_first(Flag, project=project.id, key=free, deleted=False) is not None:
        number += 1
        free = f"{stem}-{number}"
    return free


def _log_change(
    tx: Transaction,
    actor: Actor,
    project: Project,
    flag: Flag,
    kind: str,
    *,
    before: Flag | None = None,
) -> None:
    activity.record_entry(
        tx,
        actor,
        kind,
        activity.list_changes(
            "FeatureFlag", before and _as_stored(before), _as_stored(flag), _LOGGED
        ),
        scope="FeatureFlag",
        item=(flag.id, flag.key),
        organization=project.organization,
        project=project,
    )


def _as_stored(flag: Flag) -> Flag:
    """Return a flag as PostHog's database has it: with ciphertext, which the log copies."""
    encrypted = flag_filters.encrypt_payloads(flag.filters) if flag.has_encrypted_payloads else {}
    return replace(flag, filters={**flag.filters, "payloads": encrypted}) if encrypted else flag


def resolve_concurrent_write(
    tx: Transaction, profile: Profile, *, flag: Flag, values: Mapping[str, Any], data: Any
) -> dict[str, Any]:
    """Return the part of a change that overwrites no concurrent change (contract 9.4).

    Raises:
        ApiError: 409 `conflict`.
    """
    original = data.get("original_flag")
    if data.get("version") is None or not isinstance(original, dict):
        return dict(values)
    if check_integer(data["version"], "version") == flag.version:
        return dict(values)
    kept: dict[str, Any] = {}
    for name, new in values.items():
        if name not in original or not hasattr(flag, name):
            kept[name] = new
            continue
        old = _make_comparable(name, original[name])
        wanted, current = _make_comparable(name, new), _make_comparable(name, getattr(flag, name))
        if wanted != old and current not in (old, wanted):
            raise make_version_conflict(tx, flag)
        if wanted != old or not profile.drops_unchanged:
            kept[name] = new
    return kept


def _make_comparable(name: str, value: Any) -> Any:
    if name == "filters":
        return flag_filters.make_comparable(value)
    if name in ("tags", "evaluation_contexts") and isinstance(value, list):
        return sorted(str(item) for item in value)
    return value


def make_version_conflict(tx: Transaction, flag: Flag) -> ApiError:
    """Return 409 `conflict`: somebody else changed the flag meanwhile (contract 9.4)."""
    user = tx.get(User, flag.last_modified_by) if flag.last_modified_by is not None else None
    name = user.email if user else "another user"
    return conflict(
        f"The feature flag was updated by {name} since you started editing it."
        " Please refresh and try again."
    )
