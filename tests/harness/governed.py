"""From a number to a world of access rules, settings and holdouts, and what files want of them.

No wish weakens anything, so no run may end with a refusal for that reason.
"""

from random import Random

from tests import acme
from tests.harness import campaign
from tests.harness.campaign import SPOILS_READ, SPOILS_WRITE
from tests.harness.scenario import Scenario, legacy, world
from tests.integration.governance import FEATURES, LEVELS

TYPES = ("feature_flag", "survey", "action", "toolbar")
PEOPLE = ("alice@acme.test", "bob@acme.test", "carol@acme.test")
ROLES = ("Keepers", "Release managers")
GATE = "experiment_holdout.update"


def make_world(rules, settings=None, holdouts=(), policies=()):
    """Acme with rules, settings and holdouts in Web, and none in Mobile."""
    made = world([acme.policy(action) for action in policies], [legacy()], features=FEATURES)
    web = made["organizations"][0]["projects"][0]
    web |= {
        "access_controls": list(rules),
        "settings": settings or {},
        "experiment_holdouts": list(holdouts),
    }
    return made


def rule(resource, level, **subject):
    return {"resource": resource, "access_level": level, **subject}


def holdout(name, share):
    return {"name": name, "filters": [{"properties": [], "rollout_percentage": share}]}


def _document(kind, spec, project="Web", **metadata):
    return acme.document(kind, spec, project=project, **metadata)


def six_writes():
    """An organization, a role, settings, rules set and removed, a gated holdout and a new one."""
    rules = [
        rule("project", "member"),
        rule("survey", "viewer", member="bob@acme.test"),
        rule("survey", "none"),
        rule("feature_flag", "editor", role="Keepers"),
        rule("toolbar", "none"),
    ]
    documents = [
        acme.document("Organization", {"enforce_2fa": True, "members_can_create_projects": False}),
        acme.document("Role", {"members": ["bob@acme.test"]}, name="Release managers"),
        acme.document(
            "Project", {"anonymize_ips": True, "feature_flag_policy": {"require_tags": True}},
            name="Web",
        ),
        _document("ProjectAccess", {
            "project": {"default": "none", "members": {"bob@acme.test": "member"}},
            "survey": {"default": None, "members": {"carol@acme.test": "editor"}},
            "feature_flag": {"roles": {"Release managers": "viewer"}},
        }),
        _document("ExperimentHoldout", {"rollout_percentage": 20}, name="Held"),
        _document("ExperimentHoldout", {"rollout_percentage": 5}, project="Mobile", name="Fresh"),
    ]  # fmt: skip
    made = make_world(rules, {"week_start_day": 1}, [holdout("Held", 10)], [GATE])
    return Scenario(made, documents, chain=1)


def from_number(number):
    """A random scenario: some rules, settings and holdouts, and some wishes."""
    chance = Random(number * 17 + 3)
    live = dict(_rules(chance))
    rules = [rule(resource, level, **dict(subject)) for (resource, subject), level in live.items()]
    rules.append(rule("project", "none"))
    gated = chance.random() < 0.4
    made = make_world(
        rules,
        {"anonymize_ips": chance.random() < 0.5, "feature_flag_policy_config": {"other": True}},
        [holdout("Held", chance.choice([5, 10])), holdout("Other", 50)],
        [GATE] if gated else [],
    )
    documents = [
        *(
            _document("ProjectAccess", _wish_rules(chance), project)
            for project in ("Web", "Mobile")
            if chance.random() < 0.8
        ),
        *_wish_settings(chance),
        *_wish_holdouts(chance),
    ]
    if not documents:
        documents = [acme.document("Project", {"surveys_opt_in": True}, name="Web")]
    if any("Release managers" in str(one) for one in documents):
        members = sorted(chance.sample(PEOPLE, 2))
        documents.append(acme.document("Role", {"members": members}, name="Release managers"))
    return Scenario(made, documents, chain=1, number=number)


def _rules(chance):
    subjects = [(), (("role", "Keepers"),), *((("member", who),) for who in PEOPLE)]
    for resource in TYPES:
        for subject in subjects:
            if chance.random() < 0.35:
                yield (resource, subject), chance.choice(LEVELS[resource])


def _wish_rules(chance):
    spec = {}
    for resource in ("project", *TYPES):
        levels = ["none", "member"] if resource == "project" else [*LEVELS[resource], None]
        part = {}
        if chance.random() < 0.5:
            part["default"] = chance.choice(levels)
        for group, names in (("roles", ROLES), ("members", PEOPLE)):
            if chance.random() < 0.5:
                chosen = chance.sample(names, chance.randint(0, 2))
                part[group] = {name: chance.choice(levels) for name in chosen}
        if chance.random() < 0.6:
            spec[resource] = part
    return spec


def _wish_settings(chance):
    for name in ("Web", "Mobile"):
        spec = {}
        if chance.random() < 0.6:
            spec["anonymize_ips"] = chance.random() < 0.5
        if chance.random() < 0.4:
            spec["feature_flag_policy"] = {"require_tags": chance.random() < 0.7}
        if chance.random() < 0.3:
            spec["week_start_day"] = "monday"
        if spec:
            yield acme.document("Project", spec, name=name)
    if chance.random() < 0.5:
        yield acme.document(
            "Organization", {"members_can_create_projects": False, "enforce_2fa": True}
        )


def _wish_holdouts(chance):
    if chance.random() < 0.6:
        yield _document("ExperimentHoldout", {"rollout_percentage": 30}, name="Held")
    if chance.random() < 0.3:
        gone = _document("ExperimentHoldout", {}, name="Other")
        gone["metadata"]["lifecycle"] = {"state": "absent"}
        yield gone
    if chance.random() < 0.5:
        spec = {"rollout_percentage": 1, "description": "New"}
        yield _document("ExperimentHoldout", spec, chance.choice(["Web", "Mobile"]), name="New")


def random_faults(number, writes, reads, people):
    """One to four faults of a number."""
    chance = Random(number * 6151 + 5)
    for _ in range(chance.randint(1, 4)):
        dice, hit = chance.random(), chance.randint(1, 4)
        if dice < 0.5:
            yield campaign.rule("*", chance.choice(writes), hit, *chance.choice(SPOILS_WRITE))
        elif dice < 0.75:
            yield campaign.rule("GET", chance.choice(reads), hit, *chance.choice(SPOILS_READ))
        else:
            route = chance.choice([*writes, *reads])
            point = chance.choice(["before", "after"])
            yield campaign.rule("*", route, hit, chance.choice(people), point)
