"""What one raw write would meet decides how apply splits it (contract 5.7).

Each combination of fields is written twice: as one raw call, and by the real command. What the raw
call meets is what the change waits for; what needs no approval is live, and nothing else is.
"""

import copy
from dataclasses import dataclass
from itertools import combinations

import pytest

from tests import acme
from tests.effort import cross, effort

ENABLE, UPDATE = "feature_flag.enable", "feature_flag.update"
FLAGS, REQUESTS = "/api/projects/1/feature_flags/", "/api/projects/1/change_requests/"
PRO = {"key": "plan", "type": "person", "value": ["pro"]}
FIELDS = ("name", "tags", "rollout", "targeting", "bucketing", "variants", "active", "early_exit")
TARGETING = {"filters", "bucketing_identifier"}
AMOUNT = {"type": "change_amount", "field": "rollout_percentage", "operator": ">", "value": 20}
RELEASE = {"type": "any_change", "field": "release_conditions"}
POLICIES = {
    "update": {UPDATE: {}},
    "enable": {ENABLE: {}},
    "both": {UPDATE: {}, ENABLE: {}},
    "amount": {UPDATE: AMOUNT, ENABLE: {}},
    "release": {UPDATE: RELEASE},
}


@dataclass(frozen=True)
class Setting:
    """Who writes what kind of change to which server."""

    profile: str
    creates: bool
    bypasses: bool

    def __str__(self):
        actor = "bypassing" if self.bypasses else "ordinary"
        return f"{self.profile}-{'create' if self.creates else 'update'}-{actor}"

    def list_combinations(self):
        """Key of a flag -> the fields of its change."""
        names = FIELDS if self.profile == "g3" else FIELDS[:-1]  # PostHog offered it only later
        sizes = range(len(names) + 1)
        chosen = [one for size in sizes for one in combinations(names, size)]
        step = effort(7, 1)
        return {f"f{number}": one for number, one in enumerate(chosen[1::step])}

    def make_seed(self, policies):
        levels = [8] if self.bypasses else []
        rules = [
            acme.policy(action, conditions=conditions, bypass_org_membership_levels=levels)
            for action, conditions in policies.items()
        ]
        keys = () if self.creates else self.list_combinations()
        flags = [acme.live_flag(key, name="Old", filters=make_filters()) for key in keys]
        web = {"name": "Web", "id": 1, "approval_policies": rules}
        web["feature_flags"] = [*flags, acme.live_flag("zz")]  # one that shows the version
        return {"profile": self.profile, **acme.seed(projects=[web])}

    def make_wish(self, fields):
        """What the file of a flag says."""
        spec = {"active": "active" in fields} if self.creates or "active" in fields else {}
        spec |= {"name": "New"} if "name" in fields else {}
        spec |= {"tags": ["new"]} if "tags" in fields else {}
        spec |= {"bucketing_identifier": "device_id"} if "bucketing" in fields else {}
        if self.creates or {"rollout", "targeting", "variants", "early_exit"} & {*fields}:
            spec["filters"] = make_filters(fields)
        return spec


def make_filters(fields=()):
    group = {
        "properties": [copy.deepcopy(PRO)] if "targeting" in fields else [],
        "rollout_percentage": 60 if "rollout" in fields else 10,
    }
    shares = (30, 70) if "variants" in fields else (50, 50)
    variants = [
        {"key": key, "rollout_percentage": share}
        for key, share in zip(("control", "test"), shares, strict=True)
    ]
    early = {"early_exit": True} if "early_exit" in fields else {}
    return {"groups": [group], "multivariate": {"variants": variants}, **early}


def write_raw(sandbox, setting, wishes):
    """Key -> the first action that one call with everything in it meets; empty if it is free.

    Where it would meet several at once, the call without `active` says which one comes first.
    """
    listed = sandbox.call("GET", f"{FLAGS}?limit=1000", None, "phx_ci")[1]["results"]
    ids = {flag["key"]: flag["id"] for flag in listed}
    met = {}
    for key, wish in wishes.items():
        path, method = (FLAGS, "POST") if setting.creates else (f"{FLAGS}{ids[key]}/", "PATCH")
        body, first = {**wish, "key": key}, ""
        status, answer = sandbox.call(method, path, body, "phx_ci")
        if status == 400:
            assert answer["code"] == "policy_conflict", answer
            body["active"], first = False, ENABLE
            status, answer = sandbox.call(method, path, body, "phx_ci")
        assert status in {200, 201, 409}, answer
        met[key] = answer["change_request"]["action_key"] if status == 409 else first
    return met


def list_requests(sandbox, query=""):
    path = f"{REQUESTS}?limit=1000{query}"
    return sandbox.call("GET", path, None, "phx_alice")[1]["results"]


def approve_all(repo):
    """Approve what is open, apply again, until nothing waits."""
    for _ in range(3):
        pending = list_requests(repo.sandbox, "&state=pending")
        if not pending:
            return
        for request in pending:
            path = f"{REQUESTS}{request['id']}/approve/"
            answer = repo.sandbox.call("POST", path, {}, "phx_alice")[1]
            assert answer["status"] == "applied", answer
        assert repo.run("apply", "--yes").code in {0, 3}
    pytest.fail("requests are still open after three rounds")


SETTINGS = [
    Setting(profile, creates, bypasses)
    for bypasses in (False, True)
    for profile in ("g3", "g2")
    for creates in (False, True)
]


@pytest.mark.parametrize(("setting", "name"), cross(SETTINGS, POLICIES, 3), ids=str)
def test_a_change_waits_for_what_its_raw_write_would_meet(world, setting, name):
    """One request a flag; free fields are live; after the approvals the plan is empty."""
    seed = setting.make_seed(POLICIES[name])
    wishes = {k: setting.make_wish(fields) for k, fields in setting.list_combinations().items()}
    repo = world(seed)
    met = write_raw(repo.sandbox, setting, wishes)
    repo.sandbox.reset(seed)
    repo.write("flags.yaml", *(acme.flag(key, **wish) for key, wish in wishes.items()))

    done = repo.run("apply", "--yes", "--format", "json")

    assert 400 not in {row["status"] for row in repo.sandbox.requests()}
    outcomes = {row["address"].rpartition("/")[2]: row for row in done.json["results"]}
    filed = {request["intent"]["flag_key"]: request for request in list_requests(repo.sandbox)}
    (organization,) = repo.sandbox.state()["organizations"]
    live = {flag["key"]: flag for flag in organization["projects"][0]["feature_flags"]}
    for key, wish in wishes.items():
        waits = bool(met[key]) and not setting.bypasses
        assert outcomes[key]["outcome"] == ("waiting" if waits else "done"), (wish, outcomes[key])
        assert (key in filed) is waits
        if not waits:
            continue
        action = filed[key]["action_key"]
        assert action == met[key], wish
        if setting.creates:
            continue
        sent = filed[key]["intent"]["full_request_data"].keys() & wish.keys()
        assert sent <= (TARGETING if action == UPDATE else {"active"}), sent
        for field in ("name", "tags"):
            assert field not in wish or live[key][field] == wish[field]
        assert not live[key].get("active")
    assert len(filed) == len(list_requests(repo.sandbox)), "one request a flag"
    approve_all(repo)
    assert repo.run("plan", "--detailed-exitcode").code == 0
