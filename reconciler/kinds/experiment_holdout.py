"""Define experiment holdouts (contract 16): the share of people who see no experiment.

PostHog copies the share into the flag of each experiment of a holdout, so approval policies cover
a change of the share, and a delete.
"""

from collections.abc import Mapping
from typing import Any, Final

from reconciler.model import (
    Action,
    Kind,
    Payload,
    Request,
    Rewrites,
    Scope,
    Spec,
    Write,
    WriteGate,
    build_plain_requests,
)
from reconciler.normal_form import values

SHARE: Final = "rollout_percentage"
FALLBACKS: Final = ("experiment.update", "feature_flag.update")  # without conditions
_DELETED: Final = "deleted"


def to_spec(payload: Payload) -> Spec:
    """Return the spec of a payload; only the first group reaches the flags."""
    spec = {"description": payload["description"]} if "description" in payload else {}
    share = _read_share(payload.get("filters"))
    return spec if share is None else {**spec, SHARE: share}


def to_payload(spec: Spec) -> Payload:
    """Return the payload of a spec."""
    payload = {name: value for name, value in spec.items() if name != SHARE}
    if SHARE in spec:
        payload["filters"] = [{"properties": [], SHARE: spec[SHARE]}]
    return payload


def normalize(spec: Spec) -> Spec:
    """Return the spec in normal form: a holdout without a description has an empty one."""
    normal = dict(spec)
    if "description" in spec:
        normal["description"] = values.trim_text(spec["description"] or "")
    if SHARE in spec:
        normal[SHARE] = values.normalize_number(spec[SHARE])
    return normal


def split_stages(action: Action, spec: Spec, *, split: bool) -> tuple[Spec, ...]:
    """Send what needs no approval before the share: a gated call is withheld as a whole."""
    if action is Action.CREATE or SHARE not in spec:
        return (spec,)
    plain = {name: value for name, value in spec.items() if name != SHARE}
    return (*([plain] if plain else []), {SHARE: spec[SHARE]})


def build_requests(kind: Kind, write: Write) -> tuple[Request, ...]:
    """Return the call of a write; a new share keeps the rest of the stored filters.

    `filters` is sent only with another share: PostHog rewrites every flag of the holdout, even if
    nothing in them differs.
    """
    stored = (write.live or {}).get("filters")
    if write.action is not Action.UPDATE or SHARE not in write.spec or not stored:
        return build_plain_requests(kind, write)
    first, *others = stored
    (call,) = build_plain_requests(kind, write)
    body = {**(call.body or {}), "filters": [{**first, SHARE: write.spec[SHARE]}, *others]}
    return (Request(call.method, call.path, body),)


def find_missing(spec: Spec) -> str:
    """Say that a new holdout needs a share."""
    return "" if spec.get(SHARE) is not None else f"a new holdout needs `{SHARE}`"


def read_proposal(intent: Payload) -> Payload:
    """Return what a request would change, as the API has it; a delete says only that."""
    if (intent.get("gated_changes") or {}).get(_DELETED):
        return {_DELETED: True}
    changes = dict(intent.get("desired_changes") or {})
    if intent.get("desired_filters"):
        changes.setdefault("filters", intent["desired_filters"])
    return changes


def has_moved(intent: Payload, live: Payload) -> bool:
    """Return whether the holdout has another share than when a request was filed."""
    filed = (intent.get("current_state") or {}).get("exclusion_percentage")
    share = _read_share(live.get("filters"))
    return filed is not None and values.normalize_number(filed) != values.normalize_number(share)


def _read_share(groups: Any) -> Any:
    first = groups[0] if isinstance(groups, list) and groups else None
    return first.get(SHARE) if isinstance(first, Mapping) else None


def _read_holdout(experiment: Payload) -> str | None:
    id_ = experiment.get("holdout_id") or (experiment.get("holdout") or {}).get("id")
    return None if id_ is None else str(id_)


def _read_flag_key(experiment: Payload) -> str:
    return str(experiment.get("feature_flag_key") or _read_flag(experiment).get("key") or "")


def _read_flag_id(experiment: Payload) -> str:
    return str(_read_flag(experiment).get("id") or "")


def _read_flag(experiment: Payload) -> Mapping[str, Any]:
    flag = experiment.get("feature_flag")
    return flag if isinstance(flag, Mapping) else {}


KIND = Kind(
    name="ExperimentHoldout",
    scope=Scope.PROJECT,
    rank=57,
    key="name",
    collection="/api/projects/{project}/experiment_holdouts/",
    item="/api/projects/{project}/experiment_holdouts/{id}/",
    plural="experiment_holdouts",
    noun="holdout",
    api_scope="experiment_holdout",
    introduced="autumn 2026",
    to_spec=to_spec,
    to_payload=to_payload,
    canonical=normalize,
    key_payload="name",
    renamable=True,
    unique=False,
    defaults={"description": ""},
    incomplete=find_missing,
    stages=split_stages,
    requests=build_requests,
    after=("ApprovalPolicy",),
    write_gates=(
        WriteGate(
            "experiment_holdout.update",
            Action.UPDATE,
            fields=(SHARE,),
            fallbacks=FALLBACKS,
            looks_at="exclusion_percentage",
        ),
        WriteGate(
            "experiment_holdout.delete",
            Action.DELETE,
            fallbacks=FALLBACKS,
            looks_at="exclusion_percentage",
        ),
    ),
    rewrites=Rewrites(
        kind="FeatureFlag",
        field="filters.holdout",
        copied=(SHARE, "filters.holdout.exclusion_percentage"),
        through="Experiment",
        owner=_read_holdout,
        name=_read_flag_key,
        id=_read_flag_id,
        listings=({}, {"archived": "true"}),
    ),
    resource_type="experiment_holdout",
    intent_name="holdout_name",
    proposal=read_proposal,
    outdates=has_moved,
    recovers=True,
    activity_scopes=("ExperimentHoldout",),
)
