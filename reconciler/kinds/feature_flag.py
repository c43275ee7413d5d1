"""Feature flags (contract 9): the one kind whose writes approval policies hold back."""

import json
from collections.abc import Mapping
from typing import Any

from reconciler.kind import Kind, Request, Scope, Write, as_set, plain_requests
from reconciler.model import Action, Payload
from reconciler.paths import Spec

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
# What anything here reads of a payload besides; real ones carry twice as much, and of thousands.
KEPT = ("id", "key", "deleted", "version", "updated_at", "last_modified_by", "evaluation_tags")
COMPARED = (*FIELDS, "key", "deleted")  # what the server compares before it swaps (9.4)
SETS = ("tags", "evaluation_contexts", "analytics_dashboards")
# Contract 9.2: added by the server or the editor for people to look at; never sent or compared.
DISPLAY_ONLY = frozenset({"cohort_name", "group_key_names", "label", "sort_key"})


def to_spec(payload: Payload) -> Spec:
    """What the API sends -> what a person would write."""
    spec = {name: payload[name] for name in FIELDS if name in payload}
    if "evaluation_contexts" not in spec and "evaluation_tags" in payload:  # older servers
        spec["evaluation_contexts"] = payload["evaluation_tags"]
    return spec


def to_payload(spec: Spec) -> Payload:
    """And back."""
    return dict(spec)


def canonical(spec: Spec) -> Spec:
    """Sets sorted, filters without what the server adds (contract 9.2)."""
    normal = dict(spec)
    for name in SETS:
        if values := spec.get(name):
            kept = as_set([v.strip() if isinstance(v, str) else v for v in values])
            if kept != values:
                normal[name] = kept
        elif name in spec:
            normal[name] = []
    if spec.get("filters") is not None:
        normal["filters"] = _filters(spec["filters"])
    return normal


def _filters(filters: Mapping[str, Any]) -> dict[str, Any]:
    normal = dict(filters)
    whole = filters.get("aggregation_group_type_index")
    if whole is None:
        normal.pop("aggregation_group_type_index", None)
    if isinstance(filters.get("groups"), list):
        normal["groups"] = [_group(group, whole) for group in filters["groups"]]
    if "payloads" in filters and isinstance(filters["payloads"], Mapping):
        normal["payloads"] = {
            str(name): value if isinstance(value, str) else json.dumps(value, sort_keys=True)
            for name, value in filters["payloads"].items()
        }
    return normal


def _group(group: Mapping[str, Any], whole: int | None) -> dict[str, Any]:
    """One group; the server writes the flag's own aggregation into each, which says nothing."""
    normal = dict(group)
    if not DISPLAY_ONLY.isdisjoint(group):
        _drop(normal, *DISPLAY_ONLY)
    index = "aggregation_group_type_index"
    if index in group and group[index] in (None, whole):
        del normal[index]
    if "variant" in group and group["variant"] is None:
        del normal["variant"]
    normal["properties"] = [_property(item) for item in group.get("properties") or ()]
    return normal


def _property(item: Mapping[str, Any]) -> dict[str, Any]:
    normal = dict(item)
    if not DISPLAY_ONLY.isdisjoint(item):
        _drop(normal, *DISPLAY_ONLY)
    if "operator" in item and item["operator"] in {"exact", None}:
        del normal["operator"]
    return normal


def _drop(values: dict[str, Any], *names: str) -> None:
    for name in names:
        values.pop(name, None)


def hidden(payload: Payload) -> tuple[str, ...]:
    """Encrypted payloads read back redacted: they cannot be compared (contract 9.1)."""
    return ("filters.payloads",) if payload.get("has_encrypted_payloads") else ()


def stages(action: Action, spec: Spec, *, split: bool) -> tuple[Spec, ...]:
    """Ungated fields, then `filters`, then `active` (contract 5.7): one gate a call at most.

    Switching off comes before anything that could widen. Only an inactive flag can be archived
    (9.1), so archiving comes after all else. A create is one call, unless it would meet two
    policies: then the flag is born inactive.
    """
    last = ["archived"] if spec.get("archived") else []
    if action is Action.CREATE:
        if split and spec.get("active", True):
            first = {name: value for name, value in spec.items() if name not in last}
            return ({**first, "active": False}, {"active": True}, *_each(spec, last))
        return (_without(spec, last), *_each(spec, last))
    gated = ["filters", "active"] if spec.get("active", True) else ["active", "filters"]
    plain = _without(spec, [*gated, *last])
    return (*((plain,) if plain else ()), *_each(spec, [*gated, *last]))


def incomplete(spec: Spec) -> str:
    """A new flag needs a release condition (contract 9.2), unless it is a remote configuration."""
    if (spec.get("filters") or {}).get("groups") or spec.get("is_remote_configuration"):
        return ""
    return "a new flag needs at least one group in filters.groups"


def _each(spec: Spec, names: list[str]) -> tuple[Spec, ...]:
    return tuple({name: spec[name]} for name in names if name in spec)


def _without(spec: Spec, names: list[str]) -> Spec:
    return {name: value for name, value in spec.items() if name not in names}


def requests(kind: Kind, write: Write) -> tuple[Request, ...]:
    """Every write of a flag is a compare-and-swap (contract 9.4); a delete is a soft one (9.5)."""
    if write.action is Action.CREATE:
        return plain_requests(kind, write)
    live = write.live or {}
    if write.action is Action.DELETE:
        body: dict[str, Any] = {"deleted": True}
    else:
        body = dict(kind.to_payload(write.spec))
        if write.name is not None:
            body["key"] = write.name
        if "filters" in body:  # some servers replace the whole object: what is unmanaged stays
            body["filters"] = {**_filters(live.get("filters") or {}), **(body["filters"] or {})}
    if not body:
        return ()
    if "version" in live:
        body["version"] = live["version"]
        body["original_flag"] = {name: live[name] for name in COMPARED if name in live}
    return (Request("PATCH", kind.path(kind.item, write.ids), body),)


KIND = Kind(
    name="FeatureFlag",
    scope=Scope.PROJECT,
    rank=60,
    key="key",
    collection="/api/projects/{project}/feature_flags/",
    item="/api/projects/{project}/feature_flags/{id}/",
    plural="feature_flags",
    api_scope="feature_flag",
    to_spec=to_spec,
    to_payload=to_payload,
    canonical=canonical,
    identify=lambda payload: str(payload["key"]),
    key_payload="key",
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
    hidden=hidden,
    incomplete=incomplete,
    stages=stages,
    requests=requests,
    gated=True,
    gates={
        "feature_flag.enable": "active",
        "feature_flag.disable": "active",
        "feature_flag.update": "filters",
    },
    versioned=True,
    activity_scopes=("FeatureFlag",),
    page="/project/{project}/feature_flags/{id}",
)
