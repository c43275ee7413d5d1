"""What a plan rests on, written down so that its apply can look at just that again."""

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
    ordered,
)
from reconciler.plan.approvals import forecast
from reconciler.plan.approvals.policies import KIND as POLICY
from reconciler.plan.diff import secrets, three_way


def of(
    changes: tuple[Change, ...], desired: Declared, live: Live, asked: PlanSnapshot
) -> PlanSnapshot:
    """`asked`, which holds what was asked for, with what was found."""
    gated = {address.parts for address in forecast.list_gated_projects(changes)}
    slugs = {address.organization for address in desired.resources}
    slugs |= {change.address.organization for change in changes}
    return replace(
        asked,
        organizations=_places(slugs, live),
        policies=tuple(
            seen(live.resources[address])
            for address in sorted(live.resources)
            if address.kind == POLICY and address.parts[:-1] in gated
        ),
        before=tuple(
            seen(change.before)
            for change in sorted(changes, key=lambda one: one.address)
            if change.before is not None and change.action in {Action.UPDATE, Action.DELETE}
        ),
        live=_counted(live),
    )


def digest(declared: Declared) -> str:
    """One digest over everything declared, whatever file it stands in."""
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


def seen(there: LiveResource) -> ObservedObject:
    """A live object as it is, under its live name."""
    spec = ordered(secrets.remove_hidden(there))
    return ObservedObject(str(there.address), there.id, three_way.compute_fingerprint(there), spec)


def collection(kind: str, scope: tuple[str, ...]) -> str:
    """The name of a collection: `FeatureFlag/acme/Web`."""
    return str(Address(kind, scope)) if scope else kind


def _places(slugs: Iterable[str], live: Live) -> dict[str, ObservedOrganization]:
    projects: dict[str, dict[str, tuple[str, ...]]] = {}
    for address, ids in live.ids.items():
        if address.kind == "Project":
            projects.setdefault(address.organization, {})[address.name] = ids
    found = {slug: live.ids.get(Address("Organization", (slug,)), ()) for slug in sorted(slugs)}
    return {
        slug: ObservedOrganization(ids[0], dict(sorted(projects.get(slug, {}).items())))
        for slug, ids in found.items()
        if len(ids) == 1
    }


def _counted(live: Live) -> dict[str, int]:
    """Objects of each collection, by `Kind/organization[/project]`."""
    counts = Counter((address.kind, address.parts[:-1]) for address in live.resources)
    for address, duplicates in live.duplicates.items():
        counts[address.kind, address.parts[:-1]] += len(duplicates) - 1
    return {collection(*place): number for place, number in sorted(counts.items())}
