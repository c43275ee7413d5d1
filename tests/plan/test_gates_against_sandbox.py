"""The forecast against the sandbox's own gate: two readings of one contract must agree.

Random policies, flags and wishes; the plan says what each write meets, and then each write is
sent as one raw call. Nothing here knows how the sandbox decides.
"""

from random import Random

import pytest

from tests.e2e import acme

ACTIONS = ("feature_flag.enable", "feature_flag.disable", "feature_flag.update")
PERCENTAGES = (0, 5, 10, 12.5, 20, 30, 50, 80, 99.9, 100, None)
PROPERTIES = ([], [{"key": "plan", "type": "person", "value": ["pro"], "operator": "exact"}])
STATUS = {"none": {200, 201}, "bypass": {200, 201}, "approval": {409}, "split": {400}}
MALFORMED = (
    {"type": "weekday"},
    {"field": "rollout_percentage"},
    {"type": "any_change"},
    {"type": "before_after", "field": "rollout_percentage", "operator": ">"},
    {"type": "change_amount", "field": "rollout_percentage", "operator": "=>", "value": 3},
)


class Dice:
    """One seeded source of worlds."""

    def __init__(self, seed):
        self.random = Random(seed)  # noqa: S311  a die, not a secret

    def maybe(self, chance):
        return self.random.random() < chance

    def pick(self, *values):
        return self.random.choice(values)

    def group(self):
        group = {"properties": self.pick(*PROPERTIES)}
        return group | ({"rollout_percentage": self.pick(*PERCENTAGES)} if self.maybe(0.85) else {})

    def filters(self):
        filters = {"groups": [self.group() for _ in range(self.pick(1, 1, 2, 3))]}
        if self.maybe(0.2):
            share = self.pick(40, 50, 60)
            variants = [("a", share), ("b", 100 - share)]
            filters["multivariate"] = {
                "variants": [{"key": key, "rollout_percentage": part} for key, part in variants]
            }
        if self.maybe(0.15):
            filters["holdout"] = {"id": 1, "exclusion_percentage": self.pick(0, 5, 10)}
        return filters

    def conditions(self):
        if self.maybe(0.25):
            return {}
        if self.maybe(0.15):
            return self.pick(*MALFORMED)
        return {
            "type": self.pick("before_after", "change_amount", "any_change"),
            "field": "name" if self.maybe(0.1) else "rollout_percentage",
            "operator": self.pick(">", "<", ">=", "<=", "==", "!="),
            "value": self.pick(0, 5, 10, 12.5, 20, -20, 30, 50, 100),
        }

    def policy(self, action):
        return acme.policy(
            action,
            conditions=self.conditions(),
            enabled=self.maybe(0.9),
            bypass_org_membership_levels=self.pick([], [], [], [15], [8], [1, 15]),
            bypass_roles=self.pick([], [], [], ["Passers"], ["Others"]),
        )

    def project(self, number):
        flags = [
            {"key": f"f{n}", "name": "n", "active": self.maybe(0.5), "filters": self.filters()}
            for n in range(4)
        ]
        policies = [self.policy(action) for action in ACTIONS if self.maybe(0.65)]
        return {
            "name": f"P{number}",
            "id": number,
            "approval_policies": policies,
            "feature_flags": flags,
        }

    def wish(self, *, create):
        spec = {"name": "wanted"}
        if self.maybe(0.6):
            spec["active"] = self.maybe(0.6)
        if create or self.maybe(0.75):
            spec["filters"] = self.filters()
        if create and self.maybe(0.1):
            spec["is_remote_configuration"] = True
        return spec


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_each_raw_write_meets_what_the_plan_said(world, seed):
    """Status for verdict, and for what waits the very policy."""
    dice = Dice(seed)
    roles = [
        {"name": "Passers", "members": ["ci@acme.test"]},
        {"name": "Others", "members": ["bob@acme.test"]},
    ]
    projects = [dice.project(number) for number in range(1, 13)]
    repo = world(acme.seed(projects=projects, roles=roles))
    wishes = {(p["name"], f"f{n}"): dice.wish(create=n >= 4) for p in projects for n in range(7)}
    repo.write(
        "flags.yaml",
        *(acme.flag(key, project=name, **spec) for (name, key), spec in wishes.items()),
    )

    plan = repo.run("plan", "--format", "json")

    assert plan.code == 0, plan.err
    forecasts = {c["address"]: c["gate"] for c in plan.json["changes"] if c["action"] != "none"}
    assert len(forecasts) == len(wishes)
    assert {gate["verdict"] for gate in forecasts.values()} == set(STATUS)
    for project in projects:
        route = f"/api/projects/{project['id']}/feature_flags/"
        listed = repo.sandbox.call("GET", f"{route}?limit=100", token="phx_ci")[1]["results"]
        ids = {flag["key"]: flag["id"] for flag in listed}
        for n in range(7):
            key = f"f{n}"
            gate = forecasts[f"FeatureFlag/acme/{project['name']}/{key}"]
            body = wishes[project["name"], key]
            call = ("PATCH", f"{route}{ids[key]}/") if key in ids else ("POST", route)
            status, answer = repo.sandbox.call(*call, {**body, "key": key}, token="phx_ci")

            assert status in STATUS[gate["verdict"]], (project, key, body, gate, answer)
            if status == 409:
                asked = answer["change_request"]["action_key"]
                assert gate["policy"].endswith(f"/{asked}"), (project, key, body, gate, answer)
