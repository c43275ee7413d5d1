"""Define feature flags (contract 9), whose writes are gated by the positions that they change."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from reconciler.model import (
    Action,
    Kind,
    Payload,
    Reference,
    RejectedValue,
    Request,
    Scope,
    Spec,
    Write,
    build_field_reader,
    build_plain_requests,
    build_search,
    map_values,
    normalize_set,
)
from reconciler.normal_form import filter_checks, filters, values
from reconciler.normal_form.encrypted_payloads import MARK

FIELDS = (
    "name",
    "active",
    "archived",
    "tags",
    "filters",
    "evaluation_contexts",
    "ensure_experience_continuity",
    "is_remote_configuration",
    "has_encrypted_payloads",
    "evaluation_runtime",
    "bucketing_identifier",
    "analytics_dashboards",
)
# Other fields of a payload that the program reads; real payloads have twice as many fields.
KEPT = (
    *("id", "key", "deleted", "version", "updated_at", "last_modified_by", "evaluation_tags"),
    *(
        "features",
        "experiment_set",
        "experiment_set_metadata",
        "is_used_in_replay_settings",
        "can_edit",
    ),
    *("surveys", "created_at", "rollback_conditions"),
)
COMPARED = (*FIELDS, "key", "deleted")  # what the server compares before a write (contract 9.4)
TARGETING = ("filters", "bucketing_identifier")  # G3 gates them together (contract 5.7)
LABELS = ("tags", "evaluation_contexts")
SETS = (*LABELS, "analytics_dashboards")
# Contract 9.7: a condition names a flag by its id as text, and a cohort by its id as a number, as
# the filters name the holdout.
ON_FLAG = "filters.groups[].properties[type=flag].key"
ON_COHORT = "filters.groups[].properties[type=cohort].value"
IN_HOLDOUT = "filters.holdout.id"
_has_ids = build_search(ON_COHORT, IN_HOLDOUT)


def to_spec(payload: Payload) -> Spec:
    """Return the spec of a payload."""
    spec = _pick_fields(payload)
    if "filters" in spec:
        spec["filters"] = filters.drop_nulls(spec["filters"])
    if not _has_ids(spec):
        return spec
    return map_values(map_values(spec, ON_COHORT, _spell_id), IN_HOLDOUT, _spell_id)


def read_plain(payload: Payload) -> Spec | None:
    """Return the normal form of a listed flag in one pass; None if it may name another object."""
    spec = _pick_fields(payload)
    return None if KIND.refers(spec) else _normalize_fields(spec, live=True)


def _pick_fields(payload: Payload) -> dict[str, Any]:
    try:
        return {name: payload[name] for name in FIELDS}
    except KeyError:
        spec = {name: payload[name] for name in FIELDS if name in payload}
    if "evaluation_contexts" not in spec and "evaluation_tags" in payload:  # older servers
        spec["evaluation_contexts"] = payload["evaluation_tags"]
    return spec


def to_payload(spec: Spec) -> Payload:
    """Return the payload of a spec."""
    return dict(map_values(map_values(spec, ON_COHORT, _parse_id), IN_HOLDOUT, _parse_id))


def _spell_id(id_: Any) -> Any:
    """Return the id of a cohort or holdout as text, like every other id."""
    id_ = values.normalize_number(id_)
    return str(id_) if isinstance(id_, int) and not isinstance(id_, bool) else id_


def _parse_id(id_: Any) -> Any:
    return int(id_) if isinstance(id_, str) and id_.isascii() and id_.isdecimal() else id_


def normalize(spec: Spec) -> Spec:
    """Return the spec in normal form, without what the server adds (contract 9.1, 9.2)."""
    return _normalize_fields({**spec}, live=False)


def _normalize_fields(spec: dict[str, Any], *, live: bool) -> Spec:
    """Normalize the values of a spec that nobody else has; `live`: it was not written in a file."""
    if isinstance(name := spec.get("name"), str):
        spec["name"] = name.strip()
    for field in LABELS:
        if field in spec:
            spec[field] = values.normalize_labels(*(spec[field] or ()))
    if "analytics_dashboards" in spec:
        ids = spec["analytics_dashboards"]
        spec["analytics_dashboards"] = (
            normalize_set(map(values.normalize_number, ids)) if ids else []
        )
    if (written := spec.get("filters")) is not None:
        spec["filters"] = filters.normalize_filters(written, live=live)
    return spec


def find_hidden(payload: Payload) -> tuple[str, ...]:
    """Return the encrypted payloads, which read back redacted (contract 9.1)."""
    return ("filters.payloads",) if payload.get(MARK) else ()


def explain_locked(payload: Payload) -> str:
    """Return why a flag is never updated: PostHog's API accepts one format only (contract 9.2)."""
    version = (payload.get("filters") or {}).get("version")
    if version in (None, 1):
        return ""
    return f"its filters are in format {version}, which PostHog's API does not accept in a write"


def find_dropped(payload: Payload, spec: Spec) -> tuple[str, ...]:
    """Return keys that the next save removes, and payloads that nobody gets (contract 9.2)."""
    live_filters, names = payload.get("filters") or {}, list[str]()
    if "archived" in payload:  # an early server keeps the keys
        names += filters.list_dropped(live_filters)
    if isinstance(wanted := spec.get("filters"), Mapping):
        before = filters.normalize_filters(live_filters)
        kept = filters.merge_filters(before, wanted).get("payloads") or {}
        names += [f"payloads.{name}" for name in before.get("payloads") or {} if name not in kept]
    return tuple(f"filters.{name}" for name in names)


def split_stages(action: Action, spec: Spec, *, split: bool) -> tuple[Spec, ...]:
    """Split a change into ungated fields, targeting, `active` (contract 5.7): one gate per call.

    A flag is disabled before anything that could widen its audience. Only an inactive flag can be
    archived (contract 9.1), so archiving comes last. A create is one call, unless it would meet two
    policies: then the flag is created inactive. `archived` is not part of a create, because early
    servers do not know it.
    """
    last = ["archived"] if spec.get("archived") else []
    if action is Action.CREATE:
        spec = spec if last else _drop_fields(spec, ["archived"])
        if split and spec.get("active", True):
            first = {name: value for name, value in spec.items() if name not in last}
            return ({**first, "active": False}, {"active": True}, *_build_stages(spec, last))
        return (_drop_fields(spec, last), *_build_stages(spec, last))
    targeting = {name: spec[name] for name in _list_targeting(spec)}
    gated = ["active"] if "active" in spec else []
    plain = _drop_fields(spec, [*targeting, *gated, *last])
    middle = (targeting, *_build_stages(spec, gated))
    if not spec.get("active", True):
        middle = middle[::-1]
    return tuple(stage for stage in (plain, *middle, *_build_stages(spec, last)) if stage)


def _list_targeting(spec: Spec) -> Iterator[str]:
    """Yield the fields that are written together with the filters.

    Continuity can be set only once the flag no longer matches by device (contract 9.1).
    """
    yield from (name for name in TARGETING if name in spec)
    if "bucketing_identifier" in spec and spec.get("ensure_experience_continuity"):
        yield "ensure_experience_continuity"


def find_missing(spec: Spec) -> str:
    """Say that a new flag needs a release condition (contract 9.2).

    A remote configuration may come without `filters`, but not without a group in them.
    """
    if (spec.get("filters") or {}).get("groups"):
        return ""
    if spec.get("is_remote_configuration") and "filters" not in spec:
        return ""
    return "a new flag needs at least one group in filters.groups"


def find_refusals(spec: Spec) -> Iterable[RejectedValue]:
    """Find what PostHog refuses in any state of the flag (contract 9.1, 9.2)."""
    refusals: list[RejectedValue] = []
    if "archived" in spec and spec["archived"] and spec.get("active"):
        fix = "write `active: false`"
        message = "an active flag cannot be archived"
        refusals.append(RejectedValue(("archived",), message, "", fix))
    encrypts = "has_encrypted_payloads" in spec and spec["has_encrypted_payloads"]
    if encrypts and spec.get("is_remote_configuration", True) is not True:
        fix = "write `is_remote_configuration: true`"
        message = "encrypted payloads need remote configuration"
        refusals.append(RejectedValue(("has_encrypted_payloads",), message, "", fix))
    continuity = "ensure_experience_continuity" in spec and spec["ensure_experience_continuity"]
    if continuity and spec.get("bucketing_identifier") == "device_id":
        message = "this cannot be combined with `bucketing_identifier: device_id`"
        fix = "remove one of the two"
        refusals.append(RejectedValue(("ensure_experience_continuity",), message, "", fix))
    filters_of_flag = spec.get("filters")
    if filters_of_flag and (refused := filter_checks.find_refusals(filters_of_flag)):
        below = (refusal._replace(path=("filters", *refusal.path)) for refusal in refused)
        return chain(refusals, below)  # one by one: there may be very many
    return refusals


def read_proposal(intent: Payload) -> Payload:
    """Return the body that is replayed; a lifecycle call without a body still has `active`."""
    data = dict(intent.get("full_request_data") or {})
    active = (intent.get("gated_changes") or {}).get("active")
    if isinstance(active, bool):
        data.setdefault("active", active)
    return data


def _build_stages(spec: Spec, names: list[str]) -> tuple[Spec, ...]:
    return tuple({name: spec[name]} for name in names if name in spec)


def _drop_fields(spec: Spec, names: list[str]) -> Spec:
    return {name: value for name, value in spec.items() if name not in names}


def build_requests(kind: Kind, write: Write) -> tuple[Request, ...]:
    """Return compare-and-swap writes (contract 9.4); a delete is a soft one (contract 9.5).

    `version` goes with `original_flag`: without it, PostHog would overwrite what somebody else has
    written since, and would file a targeting edit that was made for an older flag (contract 5.9).
    """
    if write.action is Action.CREATE:
        return build_plain_requests(kind, write)
    live = write.live or {}
    if write.action is Action.DELETE:
        body: dict[str, Any] = {"deleted": True}
    else:
        body = dict(kind.to_payload(write.spec))
        if write.name is not None:
            body["key"] = write.name
        if "filters" in body:
            body["filters"] = _complete_filters(live, body["filters"] or {})
            if live.get(MARK) and body["filters"].get("payloads"):
                body.setdefault(MARK, True)  # or a server may store the payloads as plain text
    if not body:
        return ()
    if "version" in live:
        body["version"] = live["version"]
        body["original_flag"] = {name: live[name] for name in COMPARED if name in live}
    return (Request("PATCH", kind.path(kind.item, write.ids), body),)


def _complete_filters(live: Payload, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return filters with the unmanaged keys: the server replaces the whole (contract 9.2).

    An early server keeps the keys that newer ones drop, so they have to be sent again.
    """
    live_filters = live.get("filters") or {}
    kept = (
        {}
        if "archived" in live
        else {name: live_filters[name] for name in filters.DROPPED if name in live_filters}
    )
    return {**kept, **filters.merge_filters(filters.normalize_filters(live_filters), wanted)}


KIND = Kind(
    name="FeatureFlag",
    scope=Scope.PROJECT,
    rank=60,
    key="key",
    collection="/api/projects/{project}/feature_flags/",
    item="/api/projects/{project}/feature_flags/{id}/",
    plural="feature_flags",
    noun="flag",
    api_scope="feature_flag",
    to_spec=to_spec,
    to_payload=to_payload,
    canonical=normalize,
    plain=read_plain,
    identify=build_field_reader("key"),
    key_payload="key",
    renamable=True,
    references=(
        Reference(ON_FLAG, kind="FeatureFlag", scope=Scope.PROJECT, takes_ids=True),
        Reference(ON_COHORT, kind="Cohort", scope=Scope.PROJECT, takes_ids=True),
        Reference(
            IN_HOLDOUT,
            kind="ExperimentHoldout",
            scope=Scope.PROJECT,
            takes_ids=True,
            orders=False,  # a new share may wait for approval, and the flag need not
        ),
    ),
    after=("ApprovalPolicy",),
    sets=SETS,
    defaults={
        "name": "",
        "active": True,
        "archived": False,
        "tags": [],
        "evaluation_contexts": [],
        "ensure_experience_continuity": None,
        "is_remote_configuration": None,
        "has_encrypted_payloads": None,
        "evaluation_runtime": "all",
        "bucketing_identifier": None,
        "analytics_dashboards": [],
    },
    listed=frozenset({*FIELDS, *KEPT}),
    search="search",
    fallback_params={"archived": "true"},
    hidden=find_hidden,
    dropped=find_dropped,
    locked=explain_locked,
    droppable={"evaluation_contexts": "its switch for evaluation contexts is off"},
    incomplete=find_missing,
    refusals=find_refusals,
    stages=split_stages,
    requests=build_requests,
    gates={
        "feature_flag.enable": ("active",),
        "feature_flag.disable": ("active",),
        "feature_flag.update": TARGETING,
        "experiment.launch": ("active",),
        "experiment.pause": ("active",),
        "experiment.update": TARGETING,
    },
    resource_type="feature_flag",
    intent_name="flag_key",
    proposal=read_proposal,
    versioned=True,
    activity_scopes=("FeatureFlag",),
    page="/project/{project}/feature_flags/{id}",
)
