"""Check the files against the live side, as findings with the codes of `codes`. Pure.

Gets values that others have read: it contacts nobody.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from reconciler.config.documents.templates import Template
from reconciler.config.lint.template_checks import find_unmatched_selectors
from reconciler.kinds import KINDS, READ
from reconciler.model import (
    LEVELS,
    Address,
    Declared,
    Finding,
    Live,
    Resource,
    Severity,
    Unreadable,
    format_level_with_article,
)

_UNKNOWN: Final = "unknown-reference"
_UNREADABLE: Final = "unreadable-reference"
_UNCHECKED: Final = frozenset({"unreadable-name", "unchecked-reference"})  # of cohorts and holdouts
_REFUSED: Final = frozenset(  # as the planner calls them
    {"cannot-create", "incomplete-create", "name-not-kept", "lookalike-name"}
)
_HINT: Final = "likely-rename"
_HIDDEN: Final = "people-hidden"


def has_scope(scopes: Collection[str], wanted: str) -> bool:
    """Return whether a key's scopes include one; `x:write` includes `x:read` (contract 1.2)."""
    name, _, verb = wanted.partition(":")
    return "*" in scopes or wanted in scopes or (verb == "read" and f"{name}:write" in scopes)


def check_live(
    desired: Declared,
    live: Live,
    *,
    unresolved: Iterable[Finding] = (),
    refused: Iterable[Finding] = (),
    obstacles: Mapping[Address, Sequence[str]] | None = None,
    scopes: Collection[str] | None = None,
    templates: Iterable[tuple[Template, Collection[str]]] = (),
) -> Iterator[Finding]:
    """Yield every finding that needs the live side.

    Args:
        desired: what the files declare, selectors expanded.
        live: what was read of it.
        unresolved: names that nobody has, as the planner says it.
        refused: changes that PostHog would refuse, in the same form.
        obstacles: why too few can approve, for each such policy.
        scopes: the key's scopes; None if the server does not report them.
        templates: each document with `projects`, and every project there is or will be.

    """
    for finding in unresolved:
        if finding.code == _UNREADABLE:
            continue  # R033 reports that the name could not be looked up
        if finding.code == _HIDDEN or finding.code in _UNCHECKED:
            yield replace(finding, code="R033")
            continue
        if finding.code == _HINT:
            yield replace(finding, code="R037")
            continue
        if finding.severity is Severity.WARNING and finding.code == _UNKNOWN:
            yield replace(finding, code="R030")
            continue
        code = "R035" if finding.code in _REFUSED else "R030"
        yield replace(finding, code=code, severity=Severity.ERROR)
    yield from (replace(finding, code="R038") for finding in refused)
    for address, reasons in (obstacles or {}).items():
        yield _make_quorum_finding(desired.resources[address], reasons)
    yield from _check_plan_features(desired, live)
    yield from _check_readable(desired, live)
    yield from _check_writable(desired, live, scopes)
    if scopes is None and desired.resources:
        yield _make_unknown_scopes_finding(desired)
    for template, names in templates:
        yield from find_unmatched_selectors(template, names, "R036", "of the files or of PostHog")


def _make_quorum_finding(policy: Resource, reasons: Sequence[str]) -> Finding:
    return Finding(
        "R031",
        Severity.WARNING,
        f"{policy.address.name}: {reasons[-1]}",
        why="; ".join(reasons[:-1]),
        fix="name more approvers, or lower `quorum`",
        source=policy.locate(("approvers", "quorum")),
        address=policy.address,
    )


def _check_plan_features(desired: Declared, live: Live) -> Iterator[Finding]:
    """Yield a finding for the first policy of each organization whose plan lacks approvals."""
    seen: set[str] = set()
    for address, resource in desired.resources.items():
        organization = address.organization
        if address.kind != "ApprovalPolicy" or organization in seen:
            continue
        seen.add(organization)
        live_organization = live.resources.get(Address("Organization", (organization,)))
        features = (
            live_organization.payload.get("available_product_features", ...)
            if live_organization
            else ...
        )
        if features is ... or any(feature.get("key") == "approvals" for feature in features or ()):
            continue
        yield Finding(
            "R032",
            Severity.WARNING,
            f"{organization} has no approvals in its plan: its policies gate nothing",
            why="PostHog then lets every gated write through, silently",
            fix="upgrade the plan of the organization",
            source=resource.source,
            address=address,
        )


def _check_readable(desired: Declared, live: Live) -> Iterator[Finding]:
    for gap in live.unreadable:
        if _is_reported_at_names(gap, desired):
            continue
        if gap.kind == "Member" and gap.scope[0] in live.partial:  # what else needs it is said
            members = (a for a in desired.resources if a.kind == "Member")
            first = next((a for a in members if a.parts[:1] == gap.scope), None)
            resource = desired.resources[first] if first is not None else None
        else:
            resource = _find_first_affected(desired, gap)
        if resource is None:
            continue
        scope_name = "/".join(gap.scope) or "this key"
        scope = KINDS[gap.kind].api_scope if gap.kind in KINDS else "approvals"  # change requests
        yield Finding(
            "R033",
            Severity.ERROR,
            f"{gap.kind} of {scope_name} cannot be read with this key",
            why=gap.reason,
            fix=gap.fix or f"give the key the scope {scope}:read",
            source=resource.source,
            address=resource.address,
        )


def _is_reported_at_names(gap: Unreadable, desired: Declared) -> bool:
    """Return whether files only name the objects of an unreadable collection, if at all."""
    if gap.kind in READ and not READ[gap.kind].declared:
        return True
    if not any(ref.kind == gap.kind and ref.takes_ids for ref in KINDS["FeatureFlag"].references):
        return False
    return all((a.kind, a.parts[:-1]) != (gap.kind, gap.scope) for a in desired.resources)


def _find_first_affected(desired: Declared, gap: Unreadable) -> Resource | None:
    """Return a resource of an unreadable collection; else one that refers to it; else any."""
    inside = [a for a in desired.resources if a.parts[: len(gap.scope)] == gap.scope]
    same = [a for a in inside if a.kind == gap.kind]
    naming = [
        a
        for a in inside
        if any(reference.kind == gap.kind for reference in KINDS[a.kind].references)
    ]
    affected = same or naming or inside
    return desired.resources[affected[0]] if affected else None


def _check_writable(
    desired: Declared, live: Live, scopes: Collection[str] | None
) -> Iterator[Finding]:
    """Yield a finding for the first resource of each organization and kind that is read-only."""
    seen: set[tuple[str, str]] = set()
    for address, resource in desired.resources.items():
        key = (address.organization, address.kind)
        if key in seen:
            continue
        seen.add(key)
        level = _find_level(live, address.organization)
        wanted = f"{KINDS[address.kind].api_scope}:write"
        if KINDS[address.kind].for_admins and level is not None and level < LEVELS["admin"]:
            message = (
                f"the key's user is {format_level_with_article(level)} of {address.organization}"
            )
            why = f"only admins and owners may write {_add_article(address.kind)}"
            fix = "make the user an admin, or use the key of one"
        elif scopes is not None and not has_scope(scopes, wanted):
            message = f"the key lacks the scope {wanted}"
            why = f"without it no {address.kind} can be written"
            fix = "add it in PostHog under Settings → Personal API keys"
        else:
            continue
        yield Finding(
            "R034",
            Severity.ERROR,
            message,
            why=why,
            fix=fix,
            source=resource.source,
            address=address,
        )


def _add_article(kind: str) -> str:
    return f"{'an' if kind[0] in 'AEIO' else 'a'} {kind}"


def _make_unknown_scopes_finding(desired: Declared) -> Finding:
    """Return the notice that the key's scopes are unknown: reading proves nothing about writing."""
    wanted = sorted({f"{KINDS[address.kind].api_scope}:write" for address in desired.resources})
    return Finding(
        "R034",
        Severity.NOTICE,
        "this PostHog does not report the scopes of the key",
        why="whether it may write is not known before something is written",
        fix=f"compare with {', '.join(wanted)} in PostHog under Settings → Personal API keys",
    )


def _find_level(live: Live, organization: str) -> int | None:
    live_organization = live.resources.get(Address("Organization", (organization,)))
    level = live_organization.payload.get("membership_level") if live_organization else None
    return int(level) if level is not None else None
