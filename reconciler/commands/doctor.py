"""`reconciler doctor`: what prevents which command, and how to fix it. Reads only."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, field
from functools import partial
from typing import Any, Final

import click

from reconciler.cli import options
from reconciler.cli.session import Session
from reconciler.config.lint.live_checks import has_scope
from reconciler.config.targets import Target
from reconciler.errors import (
    ApiError,
    AuthenticationError,
    ConfigError,
    KeyRefusedError,
    NotFoundError,
    PaymentRequiredError,
    PermissionDeniedError,
    ReconcilerError,
    TargetError,
    UnreachableError,
)
from reconciler.lazy_dataclass import dataclass
from reconciler.live import key_access, visibility
from reconciler.model import Payload, format_level_with_article, shorten_commit
from reconciler.operations import inputs, validate
from reconciler.operations.inputs import BaseFiles
from reconciler.planfile.reader import format_json
from reconciler.posthog import credentials
from reconciler.posthog.client import Reader
from reconciler.render.shared.sanitize import escape

OK, WARNING, PROBLEM, UNKNOWN = "ok", "warning", "problem", "unknown"
LIVE: Final = "plan, apply, drift, pull, requests, activity, validate --live"
ADMIN: Final = 8  # the least level that may write all kinds
MAX_SKEW_S: Final = 60
MAX_ORGANIZATIONS: Final = 5  # that are looked into
_WITHOUT_BASE: Final = (
    "plan and apply don't know who changed what, and won't delete resources you remove"
)
KEYS: Final = "PostHog under Settings → Personal API keys"
READS: Final[Mapping[str, str]] = {
    "organization:read": LIVE,
    "user:read": "plan and apply: whether you are let through or may approve; requests approve",
    "organization_member:read": "plan, apply, drift, pull of Member, Role, ApprovalPolicy",
    "project:read": "plan, apply, drift, pull of Project",
    "approvals:read": "plan and apply of ApprovalPolicy, the forecast of approvals; requests",
    "feature_flag:read": "plan, apply, drift, pull of FeatureFlag",
    "activity_log:read": "activity; drift: who changed what",
}
WRITES: Final[Mapping[str, str]] = {
    "organization:write": "apply of Organization and Role",
    "organization_member:write": "apply of Member",
    "project:write": "apply of Project",
    "approvals:write": "apply of ApprovalPolicy; requests approve, reject, cancel",
    "feature_flag:write": "apply of FeatureFlag",
}
_PROBES: Final = {  # inside an organization, inside a project: one row of one collection each
    "organization_member:read": "/api/organizations/{organization}/members/",
    "project:read": "/api/organizations/{organization}/projects/",
    "activity_log:read": "/api/organizations/{organization}/advanced_activity_logs/",
    "approvals:read": "/api/projects/{project}/approval_policies/",
    "feature_flag:read": "/api/projects/{project}/feature_flags/",
}

_ONE_ROW: Final = {"limit": "1", "page_size": "1"}  # as lists and as logs call it


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. `breaks` and `fix` are for warnings and problems."""

    name: str
    status: str
    message: str
    breaks: str = ""
    fix: str = ""


@dataclass(slots=True)
class _Far:
    """What was learnt about the far side so far."""

    organizations: list[Payload] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)  # scope -> what the server said
    seen: set[str] = field(default_factory=set)  # scopes that are proven
    counts: list[int] = field(default_factory=list)  # rows of collections
    people: dict[str, int] = field(default_factory=dict)  # of an organization: members listed
    activity_works: bool = False


@click.command("doctor", epilog="Example: reconciler --target production doctor")
@options.formats("text", "json")
@click.pass_obj
def command(session: Session, format_: str) -> int:
    """Check host, key, scopes, level, plan, clock, rate and git; say what each problem breaks."""
    checks = list(_run_checks(session))
    failed = any(check.status == PROBLEM for check in checks)
    if format_ == "json":
        rows = [asdict(check) for check in checks]
        click.echo(format_json({"ok": not failed, "checks": rows}))
    else:
        session.say("\n".join(_text(session, checks)), wraps=True)
    return 1 if failed else 0


def _text(session: Session, checks: Collection[Check]) -> Iterator[str]:
    color = session.has_color(session.out)
    paint = {OK: "green", WARNING: "yellow", PROBLEM: "red", UNKNOWN: "yellow"}
    for check in checks:
        mark = f"{check.status:<8}"
        mark = click.style(mark, fg=paint[check.status]) if color else mark
        yield f"{mark} {check.name:<9} {escape(check.message)}"
        for name, text in (("breaks", check.breaks), ("fix", check.fix)):
            if text:
                yield f"{'':<18} {name + ':':<7} {escape(text)}"
    number = sum(check.status == PROBLEM for check in checks)
    yield ""
    yield f"{number} problem{'s' if number != 1 else ''}" if number else "No problems."


def _run_checks(session: Session) -> Iterator[Check]:
    """Check everything, near things first; PostHog only if it can be reached."""
    try:
        target = session.target()
    except ConfigError as error:
        yield Check("settings", PROBLEM, error.what, "every command", "run reconciler validate")
        return
    usable = True
    for check in (*_check_key_and_host(session, target), _check_proxy(session, target)):
        usable &= check.status != PROBLEM
        yield check
    if usable:
        yield from _far_side(session, target)
    yield from _git(session, target)


def _check_key_and_host(session: Session, target: Target) -> Iterator[Check]:
    """Check both, also if both are wrong."""
    try:
        key = credentials.find_key(
            session.environ,
            None if session.sandbox else target.api_key_env,
            target.describe_source("api_key_env"),
        )
        yield Check("key", OK, f"a personal API key, from {key.source}")
    except KeyRefusedError as error:
        yield Check("key", PROBLEM, f"{error.what}: {error.why}", LIVE, error.fix)
    try:
        resolved = session.credentials(target)
        yield Check("host", OK, resolved.host)
    except KeyRefusedError:  # the host is checked first, so it is fine
        yield Check("host", OK, "the key may be sent to it")
    except TargetError as error:
        yield Check("host", PROBLEM, f"{error.what}: {error.why}", LIVE, error.fix)


def _check_proxy(session: Session, target: Target) -> Check:
    """Check a proxy of the environment that stands between, without its password."""
    from reconciler.posthog.connections import find_proxy  # noqa: PLC0415  loads the HTTP client

    wanted = session.host or target.host or session.environ.get("POSTHOG_HOST") or "https://"
    try:
        proxy = find_proxy(wanted if "://" in wanted else f"https://{wanted}")
    except ValueError as error:
        fix = "correct the proxy variables of the environment"
        return Check("proxy", PROBLEM, f"no request can go through it: {error}", LIVE, fix)
    if proxy is None:
        return Check("proxy", OK, "none")
    port = f":{proxy.port}" if proxy.port else ""
    return Check("proxy", OK, f"requests go through {proxy.hostname}{port}")


def _far_side(session: Session, target: Target) -> Iterator[Check]:
    with session.reader(target) as reader:
        try:
            far = _read_remote(reader, _list_organizations(session))
        except AuthenticationError as error:
            yield Check("key", PROBLEM, f"{error.what}: {error.why}", LIVE, error.fix)
            return
        except ApiError as error:
            what = "cannot be reached" if isinstance(error, UnreachableError) else error.what
            yield Check("host", PROBLEM, f"{what}: {error.why}", LIVE, error.fix)
            return
        yield from _scopes(reader, far)
        for organization in far.organizations[:MAX_ORGANIZATIONS]:
            yield from _organization(organization, far)
        yield _clock(reader.clock_skew_s)
        yield _check_rate(reader, target, far)


def _list_organizations(session: Session) -> tuple[str, ...]:
    """Return the organizations that the files name; none if the files cannot be read."""
    try:
        target = session.target()
        loaded = inputs.load_files(session.settings(), target, session.cwd)
    except ReconcilerError:
        return ()
    session.note_ignored(inputs.count_ignored(target, loaded))
    return loaded.organizations


def _read_remote(reader: Reader, named: Collection[str]) -> _Far:
    """Send a handful of GETs: who the key is, its organizations, one row per collection."""
    far = _Far()
    _probe(far, "user:read", lambda: key_access.read_key_user(reader))
    every = _probe(far, "organization:read", lambda: key_access.list_organizations(reader)) or ()
    far.organizations = [
        organization for organization in every if organization.get("slug") in named
    ] or list(every)
    project = None
    for organization in far.organizations[:1]:
        places = organization.get("teams") or organization.get("projects") or ()
        project = next((str(place["id"]) for place in places), None)
        ids = {"organization": str(organization["id"]), "project": project or ""}
        for scope, path in _PROBES.items():
            if project is None and "{project}" in path:
                continue
            rows = _probe(far, scope, partial(reader.get, path.format_map(ids), _ONE_ROW))
            if isinstance(rows, dict) and isinstance(rows.get("count"), int):
                far.counts.append(rows["count"])
                if scope == "organization_member:read":
                    far.people[str(organization.get("slug"))] = rows["count"]
            far.activity_works |= scope == "activity_log:read" and rows is not None
    return far


def _probe(far: _Far, scope: str, ask: Callable[[], Any]) -> Any:
    """Return what a GET answers; None, and a note, where the key may not ask."""
    try:
        answer = ask()
    except PermissionDeniedError as error:
        far.missing[scope] = error.detail or error.why
        return None
    except (PaymentRequiredError, NotFoundError):
        return None  # not a matter of scopes: the plan's features say so
    far.seen.add(scope)
    return answer


def _scopes(reader: Reader, far: _Far) -> Iterator[Check]:
    granted = validate.read_key_scopes(reader)
    wanted = {**READS, **WRITES}
    missing = {scope: reason for scope, reason in far.missing.items() if granted is None or reason}
    if granted is not None:
        missing |= {scope: "" for scope in wanted if not has_scope(granted, scope)}
    for scope, reason in missing.items():
        if granted is None or has_scope(granted, scope):
            yield from _check_refusal(scope, reason, wanted.get(scope, LIVE), far)
        else:
            yield _lacks(scope, wanted.get(scope, LIVE))
    if granted is not None and not missing:
        yield Check("scopes", OK, "the key may read and write everything that is managed")
    elif granted is None:
        proven = ", ".join(scope for scope in READS if scope in far.seen) or "nothing"
        yield Check("scopes", OK if not missing else UNKNOWN, f"proven by reading: {proven}")
        yield Check(
            "scopes",
            UNKNOWN,
            "reading does not show what the key may write",
            fix=f"compare with {', '.join(WRITES)} in {KEYS}",
        )


def _lacks(scope: str, breaks: str) -> Check:
    fix = f"add the scope {scope} to the key, in {KEYS}"
    return Check("scopes", PROBLEM, f"lacks {scope}", breaks, fix)


def _check_refusal(scope: str, reason: str, breaks: str, far: _Far) -> Iterator[Check]:
    """Check a read that was refused: because of a scope, a level, or something else.

    Every refusal has the same status and code (contract 1.2): only PostHog's text distinguishes
    them.
    """
    words = reason.lower()
    if "scope" in words and "scoped" not in words:
        yield _lacks(scope, breaks)
    elif "admin" in words or "level" in words:
        if any(
            int(organization.get("membership_level") or ADMIN) < ADMIN
            for organization in far.organizations
        ):
            return  # the level has its own row
        message = f"the key's user may not read {scope.partition(':')[0]}"
        yield Check("level", PROBLEM, message, breaks, "use the key of an admin or owner")
    else:
        fix = f"look at what the key is limited to, in {KEYS}, and at what its user may see"
        yield Check("scopes", PROBLEM, f"{scope} is refused: {reason}", breaks, fix)


def _organization(payload: Payload, far: _Far) -> Iterator[Check]:
    """Report the user's level, whom it sees, and what the plan offers."""
    slug, level = str(payload.get("slug")), payload.get("membership_level")
    if level is None:
        yield Check("level", UNKNOWN, f"{slug} does not say")
    elif int(level) < ADMIN:
        yield Check(
            "level",
            PROBLEM,
            f"the key's user is {format_level_with_article(level)} of {slug}",
            "apply of Organization, Role, Member, ApprovalPolicy; activity",
            "make the user an admin, or use the key of one",
        )
    else:
        yield Check("level", OK, f"the key's user is {format_level_with_article(level)} of {slug}")
    if hidden := visibility.explain_shortfall(payload, far.people.get(slug)):
        yield Check("people", PROBLEM, hidden, "Member, Role, who can approve", visibility.FIX)
    if "available_product_features" not in payload:
        yield Check("plan", UNKNOWN, f"{slug} does not say what its plan offers")
        return
    offered = {feature.get("key") for feature in payload["available_product_features"] or ()}
    if "approvals" in offered:
        yield Check("plan", OK, f"{slug} has approvals")
    else:
        breaks = "ApprovalPolicy: gated writes go through at once; requests"
        fix = "upgrade the plan of the organization"
        yield Check("plan", PROBLEM, f"{slug} has no approvals", breaks, fix)
    if "audit_logs" in offered or far.activity_works:
        yield Check("plan", OK, f"{slug} has the activity log")
    else:
        breaks, fix = READS["activity_log:read"], "upgrade the plan of the organization"
        yield Check("plan", PROBLEM, f"{slug} has no audit_logs", breaks, fix)


def _clock(skew: float | None) -> Check:
    if skew is None:
        return Check("clock", UNKNOWN, "the server did not say what time it is")
    side = "behind" if skew > 0 else "ahead of"
    if abs(skew) <= MAX_SKEW_S:
        return Check("clock", OK, f"within {max(1, round(abs(skew)))} s of the server's")
    return Check(
        "clock",
        WARNING,
        f"this machine is {round(abs(skew)):,} s {side} the server",
        "commits made here look older or newer than the rejections that they answer; all else "
        "goes by the server's clock",
        "set the clock, for instance with NTP",
    )


def _check_rate(reader: Reader, target: Target, far: _Far) -> Check:
    """Check how much of its limit one plan takes. The server never says how much is left."""
    projects = sum(len(organization.get("teams") or ()) for organization in far.organizations)
    pages = sum(-(-count // 100) for count in far.counts)
    needed = max(1 + 2 * len(far.organizations) + 2 * projects, pages)
    limit = target.rate_limit
    message = (
        f"limit {limit.per_minute:,} requests a minute, {limit.per_hour:,} an hour; "
        f"a full plan needs at least {needed:,} requests, doctor sent {reader.reads:,}"
    )
    if reader.throttled:
        problem = (
            f"PostHog said {reader.throttled} times meanwhile that the key sends too many requests"
        )
        fix = "wait, or use a separate key for the other programs that use this one"
        return Check("rate", PROBLEM, problem, "every command that asks: they wait", fix)
    if needed <= limit.per_hour:
        return Check("rate", OK, message)
    fix = "split the configuration into targets with separate keys, or use --select"
    return Check("rate", PROBLEM, message, "plan, apply, drift: they wait for the next hour", fix)


def _git(session: Session, target: Target) -> Iterator[Check]:
    """Check the history, and the base that a plan would take from it."""
    breaks = f"drift does not work; {_WITHOUT_BASE}"
    try:
        facts = session.facts()
        state = inputs.read_state(target, facts)
        if state is None:
            yield Check("git", PROBLEM, "no repository here", breaks, "run git init, and commit")
            return
        if state.head is None:
            yield Check("git", PROBLEM, "no commit yet", breaks, "commit the files")
        elif state.is_shallow:
            fix = "set `fetch-depth: 0` in actions/checkout, `GIT_DEPTH: 0` in GitLab, or run git "
            fix += "fetch --unshallow"
            yield Check("git", PROBLEM, "a shallow clone: the base may be missing", breaks, fix)
        else:
            yield Check("git", OK, f"commit {shorten_commit(state.head)}, with full history")
        if state.head is not None:
            yield _check_base(inputs.read_base(session.settings(), target, facts, state))
    except ReconcilerError as error:
        yield Check("git", PROBLEM, f"{error.what}: {error.why}", breaks, error.fix)


def _check_base(known: BaseFiles) -> Check:
    if known.base is not None:
        return Check("git", OK, f"base: {known.base.ref}, at {shorten_commit(known.base.commit)}")
    breaks = _WITHOUT_BASE
    for finding in known.findings:
        return Check("git", PROBLEM, finding.message, breaks, finding.fix)
    message = "no base yet: the first complete apply records one"
    return Check("git", UNKNOWN, message, fix="run apply, or name a commit with --base")
