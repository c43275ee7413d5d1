"""Define the access rules of projects (contract 20): who may do what, one document a project.

A rule is a row of a resource type and a subject (everybody, a role or a member) with a level. Every
rule has its own call. A rule that is removed is inherited again, which is not `none`.
"""

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, Final

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
)

PROJECT: Final = "project"
DEFAULT, ROLES, MEMBERS = "default", "roles", "members"
ADMIN: Final = "admin"
TYPES: Final = (
    PROJECT,
    *("action", "activity_log", "ai_observability_clusters", "customer_analytics", "dashboard"),
    *("early_access_feature", "endpoint", "error_tracking", "evaluation", "experiment", "export"),
    *("external_data_source", "feature_flag", "heatmap", "hog_flow", "insight", "llm_analytics"),
    *("llm_playground", "llm_skill", "logs", "mcp_analytics", "metrics", "notebook"),
    *("replay_scanner", "revenue_analytics", "session_recording", "sharing_configuration"),
    *("survey", "tagger", "ticket", "toolbar", "tracing", "warehouse_objects", "web_analytics"),
)
_OWN: Final = "access_controls"  # rules of the project itself
_REST: Final = "resource_access_controls"  # of resource types
_SUBJECTS: Final = {ROLES: "role", MEMBERS: "organization_member"}  # in the API
_Subject = tuple[str, str]  # "default", "roles" or "members", and whose: a name or an id
_Rules = dict[tuple[str, _Subject], str]  # resource type, subject -> level


def to_spec(payload: Payload) -> Spec:
    """Return the rules of a payload, with ids for roles and memberships."""
    spec: dict[str, dict[str, Any]] = {}
    for row in _list_rows(payload):
        rules = spec.setdefault(row["resource"], {DEFAULT: None, ROLES: {}, MEMBERS: {}})
        group, id_ = _find_subject(row)
        if group == DEFAULT:
            rules[DEFAULT] = row["access_level"]
        else:
            rules[group][id_] = row["access_level"]
    return spec


def _list_rows(payload: Payload) -> Iterator[Mapping[str, Any]]:
    """Yield the rules of the project and of whole resource types, not those of single objects."""
    own = payload[_OWN][_OWN] if _OWN in payload else ()
    rest = payload[_REST][_OWN] if _REST in payload else ()
    for row in chain(own, rest):
        is_project = row["resource"] == PROJECT
        if row["resource"] in TYPES and (is_project or row.get("resource_id") is None):
            yield row


def _find_subject(row: Mapping[str, Any]) -> _Subject:
    for group, name in _SUBJECTS.items():
        if row.get(name) is not None:
            return group, str(row[name])
    return DEFAULT, ""


def normalize(spec: Spec) -> Spec:
    """Return the spec in normal form: no rule for `null`, which removes one."""
    normal: dict[str, Any] = {}
    for resource, rules in spec.items():
        normal[resource] = {
            group: {
                name: level for name, level in sorted((value or {}).items()) if level is not None
            }
            if group in _SUBJECTS
            else value
            for group, value in (rules or {}).items()
        }
    return normal


def find_refusals(spec: Spec) -> Iterator[RejectedValue]:
    """Find people and roles that have two levels, because they are written in two spellings."""
    for resource, rules in spec.items():
        for group in _SUBJECTS:
            first: dict[str, str] = {}
            for name in (rules or {}).get(group) or {}:
                other = first.setdefault(name.casefold(), name)
                if other != name:
                    yield RejectedValue(
                        (resource, group, name),
                        f"`{resource}.{group}` names {other} twice",
                        why="letter case makes no difference here, and there is one level for each",
                        fix="remove one of the two",
                    )


def is_blank(payload: Payload) -> bool:
    """Return whether there is no rule."""
    return next(_list_rows(payload), None) is None


def find_written_at(payload: Payload) -> str | None:
    """Return when a rule was last written; removed rules leave no trace."""
    times = [str(row["updated_at"]) for row in _list_rows(payload) if row.get("updated_at")]
    return max(times, default=None)


def build_requests(kind: Kind, write: Write) -> tuple[Request, ...]:
    """Return one call per rule that differs; `null` removes a rule.

    The order keeps everybody at a level between the old and the new one as far as possible: what
    names a person goes before roles and defaults, and what is removed comes last.
    """
    live = _index_rules(to_spec(write.live)) if write.live is not None else {}
    wanted = dict.fromkeys(live) if write.action is Action.DELETE else _complete(write.spec, live)
    changed = [rule for rule, level in wanted.items() if level != live.get(rule)]
    changed.sort(key=lambda rule: (_find_turn(rule, wanted[rule], live), rule))
    return tuple(_build_call(kind, write, rule, wanted[rule]) for rule in changed)


def _index_rules(spec: Spec) -> _Rules:
    return {
        (resource, subject): level
        for resource, rules in spec.items()
        for subject, level in _list_levels(rules)
        if level is not None
    }


def _list_levels(rules: Mapping[str, Any]) -> Iterator[tuple[_Subject, str | None]]:
    if DEFAULT in rules:
        yield (DEFAULT, ""), rules[DEFAULT]
    for group in _SUBJECTS:
        for name, level in (rules.get(group) or {}).items():
            yield (group, name), level


def _complete(spec: Spec, live: _Rules) -> dict[tuple[str, _Subject], str | None]:
    """Return the wanted level of each rule; None for live rules that a written mapping lacks."""
    wanted: dict[tuple[str, _Subject], str | None] = {
        (resource, subject): None
        for resource, subject in live
        if subject[0] in (spec.get(resource) or {})
    }
    for resource, rules in spec.items():
        wanted |= {(resource, subject): level for subject, level in _list_levels(rules)}
    return wanted


def _find_turn(rule: tuple[str, _Subject], level: str | None, live: _Rules) -> int:
    """Return the position of a call among the others."""
    _, (group, _) = rule
    if group == MEMBERS:
        return 0 if level == ADMIN or (level is not None and rule not in live) else 5
    if group == ROLES:
        return 1 if level == ADMIN else 4
    return 3 if level is None else 2


def _build_call(kind: Kind, write: Write, rule: tuple[str, _Subject], level: str | None) -> Request:
    resource, (group, id_) = rule
    path = kind.parts[_OWN if resource == PROJECT else _REST]
    subject = {_SUBJECTS[group]: id_} if group in _SUBJECTS else {}
    body = {"resource": resource, "access_level": level, **subject}
    return Request("PUT", kind.path(path, write.ids), body)


def is_echo(request: Request, payload: Payload) -> bool:
    """Return whether a response shows the rule that was sent; a removal shows nothing."""
    sent = request.body or {}
    if sent.get("access_level") is None:
        return not payload
    return all(payload.get(name) == value for name, value in sent.items())


KIND = Kind(
    name="ProjectAccess",
    scope=Scope.ORGANIZATION,
    rank=45,
    key="project",
    collection="/api/organizations/{organization}/projects/",
    item="/api/projects/{id}/",
    plural="access",
    noun="access rule",
    api_scope="access_control",
    introduced="autumn 2026",
    to_spec=to_spec,
    to_payload=dict,
    canonical=normalize,
    refusals=find_refusals,
    for_admins=True,
    part_of="Project",
    parts={
        _OWN: "/api/projects/{id}/access_controls/",
        _REST: "/api/projects/{id}/resource_access_controls/",
    },
    complete=frozenset(_SUBJECTS),
    blank=is_blank,
    references=tuple(
        reference
        for resource in TYPES
        for reference in (
            Reference(f"{resource}.{ROLES}{{}}", kind="Role"),
            Reference(f"{resource}.{MEMBERS}{{}}", kind="Member", id_field="membership"),
        )
    ),
    defaults={resource: {DEFAULT: None, ROLES: {}, MEMBERS: {}} for resource in TYPES},
    apart=TYPES,
    requests=build_requests,
    echoes=is_echo,
    written_at=find_written_at,
)
