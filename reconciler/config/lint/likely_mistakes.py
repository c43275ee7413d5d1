"""What is legal on the server but probably not meant: warnings, so that what is live validates."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from reconciler.kinds import KINDS
from reconciler.lazy_pattern import compile_later
from reconciler.model import GATING_ACTIONS, Finding, Path, Resource, Severity, Spec
from reconciler.normal_form.filters import DROPPED
from reconciler.suggest import closest_match

_COMPARING: Final = ("feature_flag.update", "experiment.update")  # actions with values to compare
CONDITION_TYPES: Final = ("before_after", "change_amount", "any_change")
OPERATORS: Final = (">", "<", ">=", "<=", "==", "!=")
CONDITION_FIELDS: Final = ("rollout_percentage", "release_conditions")
APPROVERS: Final = frozenset({"quorum", "users", "roles"})
FILTERS: Final = frozenset(
    {
        *("groups", "multivariate", "payloads", "aggregation_group_type_index", "holdout"),
        *("early_exit", "feature_enrollment"),
    }
)
GROUP: Final = frozenset({"properties", "rollout_percentage", "variant", "description", "sort_key"})
PROPERTY: Final = frozenset({"key", "type", "operator", "value", "group_type_index", "negation"})

MAX_FINDINGS: Final = 100  # of one resource

PLAIN_TEXT: Final = "R028"  # of text without quotes only: who writes quotes means text
_BOOLEANS: Final = {
    **dict.fromkeys(("y", "yes", "on"), "true"),
    **dict.fromkeys(("n", "no", "off"), "false"),
}
_SUSPECT: Final = frozenset("yYnNoO0123456789+-")
_READ_OTHERWISE: Final = compile_later(  # digits after a zero, with `_`, in sixties, in twos
    r"[-+]?(?:0[0-9_]+|[0-9]+_[0-9_]*(?:\.[0-9_]*)?|[0-9]+(?::[0-5]?[0-9])+(?:\.[0-9]*)?|0b[01]+)"
    r"|(?i:y|n|yes|no|on|off)"
)

LinesOf = Callable[[str], Sequence[str] | None]
_Row = tuple[str, Path, str, str, str]  # code, place in the spec, message, why, fix


def find_likely_mistakes(resource: Resource, written: Spec, lines_of: LinesOf) -> Sequence[Finding]:
    """Return every warning about one resource, whose spec is `written` in the files.

    `lines_of` returns the lines of a file, or None.
    """
    kind = resource.address.kind
    if kind == "FeatureFlag":
        if not _may_be_mistaken(written):
            return ()
        mistakes = _check_flag(written)
    elif kind == "ApprovalPolicy":
        mistakes = _check_policy(resource.address.name, written)
    else:
        return ()
    rows = islice(mistakes, MAX_FINDINGS)
    warnings = (
        Finding(
            code,
            Severity.WARNING,
            message,
            why=why,
            fix=fix,
            source=resource.locate(path),
            address=resource.address if len(resource.address.parts) > 2 else None,  # noqa: PLR2004  of a project
        )
        for code, path, message, why, fix in rows
    )
    return [finding for finding in warnings if not _is_quoted_text(finding, lines_of)]


def _is_quoted_text(finding: Finding, lines_of: LinesOf) -> bool:
    """Return whether a finding is about text in quotes, which is meant as text."""
    source = finding.source
    if finding.code != PLAIN_TEXT or source is None:
        return False
    lines = lines_of(source.file) or ()
    return source.line > len(lines) or lines[source.line - 1][source.column - 1] in "\"'|>"


def _check_policy(action: str, spec: Mapping[str, Any]) -> Iterator[_Row]:
    if action not in GATING_ACTIONS:
        match = closest_match(action, GATING_ACTIONS)
        fix = (
            f'did you mean "{match}"?'
            if match
            else f"actions that gate: {', '.join(GATING_ACTIONS)}"
        )
        why = "PostHog stores it as it is"
        yield "R020", (), f"a policy for `{action}` gates nothing", why, fix
    if "approvers" in spec:
        yield from _check_approvers(spec["approvers"])
    if spec.get("conditions"):
        yield from _check_conditions(action, spec["conditions"])
    if "member" in spec.get("bypass_levels", ()):
        why = "every person of an organization has at least this level"
        yield "R024", ("bypass_levels",), "the policy gates nobody", why, "remove `member`"
    if set(spec.get("expires_after", "14d")) <= set("-0.wdhms") or "-" in spec.get(
        "expires_after", ""
    ):
        message = "change requests expire at once"
        yield "R024", ("expires_after",), message, "", "write a duration such as `14d`"


def _check_approvers(approvers: Mapping[str, Any]) -> Iterator[_Row]:
    at = ("approvers",)
    users, roles = approvers.get("users") or (), approvers.get("roles") or ()
    quorum = approvers["quorum"]
    people = len({str(user).casefold() for user in users})
    if not users and not roles:
        why = "it names neither users nor roles: change requests can only be cancelled or expire"
        yield "R021", at, "nobody can approve", why, "add `users` or `roles`"
    elif not roles and people < quorum:
        message = f"{quorum} approvals are needed, but only {people} can be given"
        yield "R021", (*at, "quorum"), message, "", "lower `quorum`, or name more approvers"
    elif not users:
        why = "PostHog versions before May 2026 ignore `roles`, so nobody could approve there"
        fix = "name at least one person under `users`; to accept this, use `metadata.silence`"
        yield "R026", (*at, "roles"), "only roles may approve", why, fix
    yield from _check_unknown_keys(approvers, APPROVERS, at)


def _check_conditions(action: str, conditions: Mapping[str, Any]) -> Iterator[_Row]:
    at = ("conditions",)
    kind, field_name, operator = (conditions.get(key) for key in ("type", "field", "operator"))
    always = "PostHog then gates every change of the action"
    if action in GATING_ACTIONS and action not in _COMPARING:
        why = f"`{action}` has no values to compare"
        message = "a condition works with `feature_flag.update` and `experiment.update` only"
        yield "R022", at, message, why, "remove `conditions`: every change is gated then"
        return
    if kind not in CONDITION_TYPES:
        match = closest_match(str(kind), CONDITION_TYPES)
        fix = f'did you mean "{match}"?' if match else f"one of {', '.join(CONDITION_TYPES)}"
        message = f"unknown condition type `{kind}`" if kind else "the condition has no `type`"
        yield "R022", (*at, "type"), message, always, fix
        return
    if field_name not in CONDITION_FIELDS:
        fix = f"one of {', '.join(CONDITION_FIELDS)}"
        message = f"a condition on `{field_name}`" if field_name else "the condition has no `field`"
        yield "R022", (*at, "field"), message, "" if field_name else always, fix
    elif field_name == "release_conditions" and kind != "any_change":
        yield (
            "R022",
            (*at, "type"),
            f"`{field_name}` cannot be compared",
            "",
            "write `type: any_change`",
        )
    if kind == "any_change":
        return
    if operator not in OPERATORS:
        message = (
            f"unknown operator `{operator}`" if operator else "the condition has no `operator`"
        )
        yield "R022", (*at, "operator"), message, always, f"one of {' '.join(OPERATORS)}"
    value = conditions.get("value")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        why = always if value is None else "what cannot be compared is let through"
        yield "R022", (*at, "value"), "`value` is not a number", why, "write a number"


def _may_be_mistaken(spec: Mapping[str, Any]) -> bool:
    """Return False if a flag has only known keys, and no text that looks like another type."""
    filters = spec.get("filters")
    if not filters:
        return False
    if not FILTERS.issuperset(filters):
        return True
    for group in filters.get("groups") or ():
        if not GROUP.issuperset(group):
            return True
        for item in group.get("properties") or ():
            if not PROPERTY.issuperset(item):
                return True
            value = item.get("value")
            for each in value if isinstance(value, list) else (value,):
                if isinstance(each, str) and each[:1] in _SUSPECT:
                    return True
    return False


def _check_flag(spec: Mapping[str, Any]) -> Iterator[_Row]:
    filters, at = spec["filters"], ("filters",)
    yield from _check_unknown_keys(filters, FILTERS, at)
    yield from _check_dropped_fields(filters, at)
    for index, group in enumerate(filters.get("groups") or ()):
        yield from _check_group(group, (*at, "groups", index))


def _check_dropped_fields(filters: Mapping[str, Any], at: Path) -> Iterator[_Row]:
    for name in DROPPED:
        if filters.get(name):
            why = "PostHog removes it on the next save, so it is neither compared nor sent"
            yield "R004", (*at, name), f"`{name}` has no effect", why, "remove it"


def _check_group(group: Mapping[str, Any], at: Path) -> Iterator[_Row]:
    yield from _check_unknown_keys(group, GROUP, at)
    for index, item in enumerate(group.get("properties") or ()):
        path = (*at, "properties", index)
        yield from _check_unknown_keys(item, PROPERTY, path)
        if isinstance(value := item.get("value"), (str, list)):
            yield from _check_ambiguous_text(value, (*path, "value"))


def _check_ambiguous_text(value: Any, at: Path) -> Iterator[_Row]:
    """Yield text where any value is accepted, which YAML 1.1 reads as another type."""
    items = enumerate(value) if isinstance(value, list) else ((None, value),)
    for index, item in items:
        if isinstance(item, str) and item[:1] in _SUSPECT and _READ_OTHERWISE.fullmatch(item):
            path = at if index is None else (*at, index)
            boolean = _BOOLEANS.get(item.casefold())
            alternative = f", or write `{boolean}`" if boolean else ", or write the intended number"
            why = "any value is taken here, and YAML 1.1 read it as a number, true or false"
            yield PLAIN_TEXT, path, f"`{item}` is text", why, f'quote it: "{item}"{alternative}'


def _check_unknown_keys(node: Mapping[str, Any], known: frozenset[str], at: Path) -> Iterator[_Row]:
    """Yield unknown keys of an open object that resemble a known one; in `approvers`, all."""
    for key in node:
        if key in known:
            continue
        match = closest_match(key, known - node.keys())
        if match or known is APPROVERS:
            fix = f'did you mean "{match}"?' if match else "remove it"
            message = f'"{key}" means nothing here' if not match else f'"{key}" is unknown here'
            yield "R004", (*at, key), message, "PostHog stores it as it is", fix


_Roles = Mapping[tuple[str, str], frozenset[str]]  # organization, folded name -> emails


def find_missing_labels(of_kind: Mapping[str, Sequence[Resource]]) -> Iterator[Finding]:
    """Yield a warning for each flag that lacks what its declared project requires of new flags."""
    required: dict[tuple[str, ...], list[str]] = {}
    for project in of_kind.get("Project", ()):
        policy = project.spec.get("feature_flag_policy") or {}
        rules = {
            "tags": policy.get("require_tags"),
            "evaluation_contexts": project.spec.get("require_evaluation_contexts"),
        }
        if not project.lifecycle.absent and any(rules.values()):
            required[project.address.parts] = [name for name, on in rules.items() if on]
    for flag in of_kind.get("FeatureFlag", ()) if required else ():
        for name in required.get(flag.address.parts[:-1], ()):
            if flag.spec.get(name) or flag.lifecycle.absent:
                continue
            noun = name.removesuffix("s").replace("_", " ")
            yield Finding(
                "R040",
                Severity.WARNING,
                f"{flag.address.name} has no {noun}, and its project requires one",
                why="PostHog refuses to create such a flag, and to remove the last one; a flag "
                "that is older than the rule may stay as it is",
                fix=f"write `{name}`, with at least one {noun}",
                source=flag.locate((name,)),
                address=flag.address,
            )


def find_impossible_quorums(of_kind: Mapping[str, Sequence[Resource]]) -> Iterator[Finding]:
    """Yield a warning for each policy with fewer users and role holders than its quorum.

    A role that is not declared, or without `members`, may be held by anybody.
    """
    roles: dict[tuple[str, str], frozenset[str]] = {}
    for role in of_kind.get("Role", ()):
        if "members" in role.spec:
            held = () if role.lifecycle.absent else role.spec["members"]
            key = (role.address.organization, _fold_role_name(role.address.name))
            roles[key] = frozenset(person.casefold() for person in held)
    for policy in of_kind.get("ApprovalPolicy", ()):
        yield from _check_quorum(policy, roles)


def _check_quorum(policy: Resource, roles: _Roles) -> Iterator[Finding]:
    approvers = policy.spec.get("approvers") or {}
    if not approvers.get("roles") or policy.lifecycle.absent:
        return  # without roles `find_likely_mistakes` reports it
    people = {str(user).casefold() for user in approvers.get("users") or ()}
    for role in approvers["roles"]:
        held = roles.get((policy.address.organization, _fold_role_name(role)))
        if held is None:
            return
        people |= held
    quorum = approvers["quorum"]
    if len(people) < quorum:
        named = ", ".join(sorted(people)) or "nobody"
        yield Finding(
            "R021",
            Severity.WARNING,
            f"the quorum is {quorum}, but the files name only {len(people)} who can approve",
            why=f"users and holders of the roles together: {named}",
            fix="lower `quorum`, or name more approvers",
            source=policy.locate(("approvers", "quorum")),
            address=policy.address if policy.address.project is not None else None,
        )


def _fold_role_name(name: str) -> str:
    return name.casefold() if KINDS["Role"].folds_case else name
