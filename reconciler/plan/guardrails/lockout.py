"""Refuse settings of an organization that would lock people out (contract 6.4)."""

from collections.abc import Collection, Iterable, Iterator
from typing import Final

from reconciler.model import USER, Action, Change, Finding, Live, Severity

LOCKOUT: Final = "lockout"
_KIND: Final = "Organization"
_DOMAINS: Final = "OrganizationDomain"
_FIELD: Final = "enforce_verified_domains"
_SHOWN: Final = 5  # people or domains in a message


def list_needed(changes: Iterable[Change]) -> set[tuple[str, tuple[str, ...]]]:
    """Return the collections that show who would be locked out: domains and people."""
    slugs = {change.address.organization for change in changes if _enforces_domains(change)}
    return {(kind, (slug,)) for slug in slugs for kind in (_DOMAINS, "Member")}


def find_lockouts(
    changes: Iterable[Change], live: Live, allowed: Collection[str]
) -> Iterator[Finding]:
    """Find organizations that would admit only people with an email address on verified domains.

    `allowed` holds exact addresses as text. It never allows to lock out the user of this key,
    who could not take the setting back.
    """
    for change in changes:
        if not _enforces_domains(change):
            continue
        if problem := _find_own_lockout(change, live):
            yield problem
        elif str(change.address) not in allowed:
            yield _build_finding(
                change,
                f"{change.address} would admit only people with an email address on a verified "
                "domain",
                _describe_shut_out(change.address.organization, live),
                "if everybody who needs access has such an address: "
                f"--allow-lockout '{change.address}'",
            )


def _enforces_domains(change: Change) -> bool:
    """Return whether the change switches the setting on."""
    if change.address.kind != _KIND or change.action in {Action.NONE, Action.DELETE}:
        return False
    return any(field.path == _FIELD and field.desired is True for field in change.fields)


def _find_own_lockout(change: Change, live: Live) -> Finding | None:
    """Return a finding if the user of the key would lose access, or may lose it."""
    slug = change.address.organization
    verified, me = live.domains.get(slug), live.me
    if verified is None or me is None:
        gaps = {gap.kind: gap.reason for gap in live.unreadable if gap.scope in {(), (slug,)}}
        reason = gaps.get(_DOMAINS) or gaps.get(USER)
        unread = "its domains" if verified is None else "the user of this key"
        return _build_finding(
            change,
            f"{change.address} may lock out the user of this key",
            f"{unread} cannot be read{f': {reason}' if reason else ''}",
            "give the key the scopes organization:read and user:read, or switch it on in PostHog",
        )
    if _get_domain(me.email) in verified:
        return None
    return _build_finding(
        change,
        f"{change.address} would lock out {me.email}, the user of this key",
        f"{_describe_domains(verified)}; the key could not take the setting back",
        "verify the domain in PostHog first; --allow-lockout does not lift this",
    )


def _describe_shut_out(slug: str, live: Live) -> str:
    """Describe the verified domains, and who would lose access."""
    verified = live.domains.get(slug, frozenset())
    emails = sorted(person.email for person in live.people.get(slug, {}).values())
    shut_out = [email for email in emails if _get_domain(email) not in verified]
    text = _describe_domains(verified)
    if not shut_out:
        return f"{text}; nobody else can log in, join or be invited"
    rest = f" and {len(shut_out) - _SHOWN} more" if len(shut_out) > _SHOWN else ""
    return f"{text}; {', '.join(shut_out[:_SHOWN])}{rest} would lose access"


def _describe_domains(verified: Collection[str]) -> str:
    names = sorted(verified)
    rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"verified: {', '.join(names[:_SHOWN])}{rest}" if names else "no domain is verified"


def _get_domain(email: str) -> str:
    return email.rpartition("@")[2].lower()


def _build_finding(change: Change, message: str, why: str, fix: str) -> Finding:
    source = change.desired.locate((_FIELD,)) if change.desired is not None else None
    return Finding(
        LOCKOUT, Severity.ERROR, message, why, fix, source or change.source, change.address
    )
