"""Define organizations (contract 6): their settings; named by slug, which never changes."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Final

from reconciler.model import (
    Action,
    Kind,
    Payload,
    Reference,
    Request,
    Scope,
    Spec,
    Widening,
    Write,
    build_field_reader,
    build_plain_requests,
)
from reconciler.normal_form import values

FIELDS = (
    "name",
    "logo_media_id",
    "enforce_2fa",
    "members_can_invite",
    "members_can_use_personal_api_keys",
    "members_can_create_projects",
    "members_can_see_org_members",
    "enforce_verified_domains",
    "allow_publicly_shared_resources",
    "is_ai_data_processing_approved",
    "is_ai_training_opted_in",
    "default_experiment_stats_method",
    "default_anonymize_ips",
)

LONGEST_SLUG: Final = 48


def to_spec(payload: Payload) -> Spec:
    """Return the spec of a payload; `default_role` still an id."""
    spec = {name: payload[name] for name in FIELDS if name in payload}
    if "default_role_id" in payload:
        spec["default_role"] = payload["default_role_id"]
    return spec


def to_payload(spec: Spec) -> Payload:
    """Return the payload of a spec."""
    names = {"default_role": "default_role_id"}
    return {names.get(name, name): value for name, value in spec.items()}


def normalize(spec: Spec) -> Spec:
    """Return the name trimmed, and the image's id as the server spells it (contract 6.1)."""
    normal = dict(spec)
    if "name" in spec:
        normal["name"] = values.trim_text(spec["name"])
    if "logo_media_id" in spec:
        normal["logo_media_id"] = values.normalize_uuid(spec["logo_media_id"])
    return normal


def split_stages(action: Action, spec: Spec, *, split: bool) -> tuple[Spec, ...]:
    """Set the default role of a new organization last, because it has no roles before."""
    if action is Action.CREATE and spec.get("default_role"):
        first = {name: value for name, value in spec.items() if name != "default_role"}
        return (first, {"default_role": spec["default_role"]})
    return (spec,)


def build_requests(kind: Kind, write: Write) -> tuple[Request, ...]:
    """Send a name with a create, from which PostHog makes the slug: by default the slug itself."""
    calls = build_plain_requests(kind, write)
    if write.action is not Action.CREATE or "name" in write.spec:
        return calls
    body: Mapping[str, object] = {"name": write.name, **(calls[0].body or {})}
    return (Request(calls[0].method, calls[0].path, body),)


def build_slug(name: str, spec: Spec) -> str:
    """Return the slug that PostHog makes for a new organization (contract 6.1)."""
    given = str(spec.get("name") or name).strip()
    plain = unicodedata.normalize("NFKD", given).encode("ascii", "ignore").decode("ascii")
    words = re.sub(r"[^\w\s-]", "", plain.lower())
    return re.sub(r"[-\s]+", "-", words).strip("-_")[:LONGEST_SLUG]


KIND = Kind(
    name="Organization",
    scope=Scope.INSTANCE,
    rank=10,
    key="organization",
    collection="/api/organizations/",
    item="/api/organizations/{id}/",
    plural="organization",
    noun="organization",
    api_scope="organization",
    to_spec=to_spec,
    to_payload=to_payload,
    canonical=normalize,
    for_admins=True,
    identify=build_field_reader("slug"),
    references=(Reference("default_role", kind="Role"),),
    defaults={
        "logo_media_id": None,
        "enforce_2fa": None,
        "members_can_invite": True,
        "members_can_use_personal_api_keys": True,
        "members_can_create_projects": None,
        "members_can_see_org_members": True,
        "enforce_verified_domains": None,
        "allow_publicly_shared_resources": True,
        "is_ai_data_processing_approved": None,
        "is_ai_training_opted_in": None,
        "default_experiment_stats_method": "bayesian",
        "default_anonymize_ips": False,
        "default_role": None,
    },
    unique=False,
    made_as=build_slug,
    protected=True,
    stages=split_stages,
    requests=build_requests,
    widenings=(
        Widening(
            "members_can_create_projects",
            ((False, None), (True,)),
            "members below admin may create projects",
        ),
        Widening(
            "members_can_see_org_members",
            ((False,), (True,)),
            "members below admin see everybody in the organization",
        ),
        Widening(
            "enforce_verified_domains",
            ((True,), (False, None)),
            "people whose email address is on no verified domain may join and log in",
        ),
    ),
    activity_scopes=("Organization",),
)
