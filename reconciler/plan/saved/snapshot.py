"""Record what a plan depends on, so that its apply can read exactly that again."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from reconciler.model import (
    Action,
    Address,
    Change,
    Declared,
    Live,
    LiveResource,
    ObservedObject,
    ObservedOrganization,
    PlanSnapshot,
    sort_keys,
)
from reconciler.plan.approvals import forecast
from reconciler.plan.approvals.policies import KIND as POLICY
from reconciler.plan.diff import secrets, three_way


def complete_snapshot(
    changes: tuple[Change, ...], desired: Declared, live: Live, requested: PlanSnapshot
) -> PlanSnapshot:
    """Return `requested`, the options of the plan, completed with what was read."""
    gated = {address.parts for address in forecast.list_gated_projects(changes)}
    slugs = {address.organization for address in desired.resources}
    slugs |= {change.address.organization for change in changes}
    return replace(
        requested,
        organizations=_list_organizations(slugs, live),
        policies=tuple(
            observe_object(live.resources[address])
            for address in sorted(live.resources)
            if address.kind == POLICY and address.parts[:-1] in gated
        ),
        before=tuple(
            observe_object(change.before)
            for change in sorted(changes, key=lambda change: change.address)
            if change.before is not None and change.action in {Action.UPDATE, Action.DELETE}
        ),
        live=_count_objects(live),
    )


def compute_digest(declared: Declared) -> str:
    """Return a digest of everything declared, independent of the files it is in."""
    digested = hashlib.sha256()
    encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
    for address in sorted(declared.resources):
        resource = declared.resources[address]
        lifecycle = resource.lifecycle
        row = (
            address,
            resource.spec,
            resource.id,
            lifecycle.absent,
            lifecycle.prevent_destroy,
            sorted(lifecycle.ignore),
            lifecycle.renamed_from,
        )
        digested.update(f"{encode(row)}\n".encode())  # row by row: all of it may be 100 MB
    return f"sha256:{digested.hexdigest()}"


def observe_object(live_object: LiveResource) -> ObservedObject:
    """Return a live object in its present state, under its live name."""
    spec = sort_keys(secrets.remove_hidden(live_object))
    return ObservedObject(
        str(live_object.address), live_object.id, three_way.compute_fingerprint(live_object), spec
    )


def format_collection(kind: str, scope: tuple[str, ...]) -> str:
    """Return the name of a collection: `FeatureFlag/acme/Web`."""
    return str(Address(kind, scope)) if scope else kind


def _list_organizations(slugs: Iterable[str], live: Live) -> dict[str, ObservedOrganization]:
    projects: dict[str, dict[str, tuple[str, ...]]] = {}
    for address, ids in live.ids.items():
        if address.kind == "Project":
            projects.setdefault(address.organization, {})[address.name] = ids
    organization_ids = {
        slug: live.ids.get(Address("Organization", (slug,)), ()) for slug in sorted(slugs)
    }
    return {
        slug: ObservedOrganization(ids[0], dict(sorted(projects.get(slug, {}).items())))
        for slug, ids in organization_ids.items()
        if len(ids) == 1
    }


def _count_objects(live: Live) -> dict[str, int]:
    """Count the objects of each collection, by `Kind/organization[/project]`."""
    counts = Counter((address.kind, address.parts[:-1]) for address in live.resources)
    for address, duplicates in live.duplicates.items():
        counts[address.kind, address.parts[:-1]] += len(duplicates) - 1
    return {format_collection(*place): number for place, number in sorted(counts.items())}
