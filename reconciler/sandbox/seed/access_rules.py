"""Access rules of a project in a seed: who may do what, by role, by person or for everybody."""

from typing import Any

from reconciler.sandbox.seed.names import ExportNames
from reconciler.sandbox.seed.values import SeedItem
from reconciler.sandbox.store import people

Rule = dict[str, Any]


def load_rules(item: SeedItem, organization: str) -> list[Rule]:
    """Return the rules of a project as they are stored: with ids for roles and people."""
    rules: list[Rule] = []
    for given in item.list_items("access_controls"):
        rule = _load_rule(given, organization)
        if any(_get_subject(rule) == _get_subject(other) for other in rules):
            raise given.make_error("resource", "a rule for this resource and subject exists")
        rules.append(rule)
    return rules


def _load_rule(item: SeedItem, organization: str) -> Rule:
    rule: Rule = {"resource": item["resource"], "access_level": item["access_level"]}
    rule |= item.pick(("created_by", "created_at", "updated_at"))
    if item.get("resource_id") is not None:
        rule["resource_id"] = str(item["resource_id"])
    if item.get("role") is not None and item.get("member") is not None:
        raise item.make_error("member", "a rule is for a role or for a member, not for both")
    if item.get("role") is not None:
        rule["role"] = item.names.find_role(item["role"], f"{item.path}.role")
    if item.get("member") is not None:
        user = item.require_person("member")
        if people.find_membership(item.tx, organization, user) is None:
            problem = f"{item['member']!r} is not a member of the organization"
            raise item.make_error("member", problem)
        rule["member"] = user
    return rule


def _get_subject(rule: Rule) -> tuple[Any, ...]:
    return tuple(rule.get(name) for name in ("resource", "resource_id", "role", "member"))


def name_rule(rule: Rule, titles: ExportNames) -> Rule:
    """Return a stored rule as a seed has it."""
    named = dict(rule)
    if "role" in rule:
        named["role"] = titles.name_role(rule["role"])
    if "member" in rule:
        named["member"] = titles.name_person(rule["member"])
    return named
