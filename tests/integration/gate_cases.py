"""Generated cases for the gate: policies, a flag before and after, who writes, and who answers.

Each case is put to both: the plan says what the write will meet, and the write is then really
sent. Nothing here knows how either of them decides.
"""

import copy
import http.client
import json
from dataclasses import dataclass, field, replace
from random import Random

from tests import acme

ACTIONS = ("feature_flag.enable", "feature_flag.disable", "feature_flag.update")
EXPERIMENT_ACTIONS = ("experiment.launch", "experiment.pause", "experiment.update")
ACTORS = ("ci", "alice", "bob", "carol")  # admin, owner, member, admin
ROLES = [
    {"name": "Passers", "members": ["ci@acme.test", "carol@acme.test"]},
    {"name": "Others", "members": ["bob@acme.test"]},
    {"name": "Nobody", "members": []},
]
PERCENTAGES = (0, 5, 10, 12.5, 20, 30, 30.3, 10.1, 50, 80, 99.9, 100, None)
LIMITS = (0, 5, 10, 12.5, 20, 20.2, -20, -0.5, 30, 50, 100, 101, True, "20", "x")
PLAN = {"key": "plan", "type": "person", "value": ["pro"], "operator": "exact"}
AGE = {"key": "age", "type": "person", "value": "30", "operator": "gt"}
PROPERTIES = ([], [], [PLAN], [AGE], [PLAN, AGE], [AGE, PLAN])
SPELLINGS = (  # of one property: the first two are the same to the third generation
    {"key": "n", "type": "person", "value": [1], "operator": "exact"},
    {"key": "n", "type": "person", "value": [1], "negation": False},
    {"key": "n", "type": "person", "value": [1.0]},
    {"key": "n", "type": "person", "value": ["1"]},
    {"key": "n", "type": "person", "value": [True], "operator": "is"},
)
MALFORMED = (
    {"type": "weekday"},
    {"field": "rollout_percentage"},
    {"type": "any_change"},
    {"type": "any_change", "field": ""},
    {"type": "before_after", "field": "rollout_percentage", "operator": ">"},
    {"type": "before_after", "field": "rollout_percentage", "operator": ">", "value": None},
    {"type": "change_amount", "field": "rollout_percentage", "operator": "=>", "value": 3},
    {"type": "change_amount", "field": "rollout_percentage", "operator": "", "value": 3},
)
ASKED = ("approval", "pending", "split")


HIDDEN_OWNERS = ("surveys", "product_tours")  # no answer shows them
REPLAY = "session_replay_flag"  # the key of the one flag of a project that session replay uses
LINKS = ("survey link", "tour link", REPLAY)  # who only uses a flag does not own it
OWNERS = ("", "", "", "experiments", "experiments", "early_access_features", *HIDDEN_OWNERS, *LINKS)
USED_FLAG = {  # owner or user -> where the seed has it, and its field that names the flag
    "experiments": ("experiments", "feature_flag"),
    "early_access_features": ("early_access_features", "feature_flag"),
    "surveys": ("surveys", "targeting_flag"),
    "product_tours": ("product_tours", "internal_targeting_flag"),
    "survey link": ("surveys", "linked_flag"),
    "tour link": ("product_tours", "linked_flag"),
}
INDEX = "aggregation_group_type_index"


def sound(filters, live=None):
    """Filters as PostHog takes them, on top of those that are live."""
    if (live or {}).get(INDEX) is not None:
        filters.setdefault(INDEX, live[INDEX])
    merged = {**(live or {}), **filters}
    own = (filters.get("multivariate") or {}).get("variants", ())
    variants = [one["key"] for one in (merged.get("multivariate") or {}).get("variants", ())]
    whole = filters.get(INDEX)
    for group in filters["groups"]:
        if group.get("variant") not in [one["key"] for one in own]:
            group.pop("variant", None)
        index = group.get(INDEX, whole)
        kind = {"type": "person"} if index is None else {"type": "group", "group_type_index": index}
        for one in group["properties"]:
            one.pop("group_type_index", None)
            one.update(kind)
    if merged.get("payloads") and variants:
        filters["payloads"] = {}
    return filters


@dataclass(frozen=True)
class Case:
    """One flag in a project of its own, or with others beside it."""

    key: str
    project: str
    policies: list
    flag: dict | None  # as it is live; None: it is to be created
    wish: dict
    actor: str = "ci"
    features: list = field(default_factory=lambda: ["approvals"])
    owner: str = ""  # which product owns or uses the flag
    scoped: bool = False  # whether the organization has policies per owner

    @property
    def address(self):
        return f"FeatureFlag/acme/{self.project}/{self.key}"


class Dice:
    """One seeded source of cases, for a profile of the server: generations know other fields."""

    def __init__(self, seed, *, profile="g2"):
        self.random, self.profile = Random(seed), profile  # noqa: S311  a die, not a secret
        self.old, self.owned = profile == "g1", profile == "g3"
        self.scoped = self.owned and self.maybe(0.5)

    def maybe(self, chance):
        return self.random.random() < chance

    def pick(self, *values):
        return copy.deepcopy(self.random.choice(values))

    def percentage(self):
        return self.pick(*PERCENTAGES)

    def properties(self):
        if self.owned and self.maybe(0.3):
            return [self.pick(*SPELLINGS)]
        return self.pick(*PROPERTIES)

    def group(self):
        group = {"properties": self.properties()}
        if self.maybe(0.1):
            group["variant"] = self.pick("a", "b", None)
        return group | ({"rollout_percentage": self.percentage()} if self.maybe(0.85) else {})

    def filters(self, *, live=False):
        filters = {"groups": [self.group() for _ in range(self.pick(1, 1, 1, 2, 3))]}
        if self.maybe(0.2):
            share = self.pick(40, 50, 60)
            variants = [("a", share), ("b", 100 - share)]
            filters["multivariate"] = {
                "variants": [{"key": key, "rollout_percentage": part} for key, part in variants]
            }
        if self.maybe(0.12):
            filters["payloads"] = {"true": self.pick('"x"', '"y"')}
        if self.owned and self.maybe(0.2):
            filters["early_exit"] = self.maybe(0.7)
        if self.maybe(0.15):
            filters["aggregation_group_type_index"] = self.pick(0, 1, None)
        if not self.old and self.maybe(0.15):
            filters["holdout"] = {"id": 1, "exclusion_percentage": self.pick(0, 5, 10)}
        if self.maybe(0.3) and live:  # files never set these: they are not compared (9.2)
            name = self.pick("super_groups", "holdout_groups")
            filters[name] = [{"rollout_percentage": self.pick(5, 10, 50)}]
        return filters

    def near(self, filters):
        """The same filters, but for a step somewhere, or for nothing at all."""
        found = copy.deepcopy(filters)
        found.pop("super_groups", None)
        found.pop("holdout_groups", None)
        variants = (found.get("multivariate") or {}).get("variants")
        if self.owned and self.maybe(0.1):
            found["early_exit"] = found.get("early_exit") is not True
        elif variants and self.maybe(0.4):
            self.vary(variants, found["groups"])
        else:
            self.step(found["groups"])
        return found

    def vary(self, variants, groups):
        """A step of the variants: their shares, names, order, or who is sure to get which."""
        match self.pick("shares", "name", "order", "override"):
            case "shares":
                for variant, share in zip(variants, self.pick((30, 70), (50, 50)), strict=True):
                    variant["rollout_percentage"] = share
            case "name":
                variants[0]["name"] = "another"
            case "order":
                variants.reverse()
            case "override":
                self.random.choice(groups)["variant"] = self.pick("a", "b", None)

    def step(self, groups):
        """A step of the groups: of one, or of their number or order."""
        group = self.random.choice(groups)
        match self.pick(*["rollout"] * 3, "properties", "more", "less", "order", "none"):
            case "rollout":
                group["rollout_percentage"] = self.percentage()
            case "properties":
                group["properties"] = self.properties()
            case "more":
                groups.append(self.group())
            case "less":
                del groups[1:]
            case "order":
                groups.reverse()

    def conditions(self):
        if self.maybe(0.25):
            return {}
        if self.maybe(0.12):
            return self.pick(*MALFORMED)
        release = ["release_conditions"] * (3 if self.owned else 1)
        chosen = self.pick(*["rollout_percentage"] * 14, "name", *release)
        found = {
            "type": self.pick("before_after", "change_amount", "change_amount", "any_change"),
            "field": chosen,
            "operator": self.pick(">", "<", ">=", "<=", "==", "!="),
            "value": self.pick(*LIMITS),
        }
        if found["type"] == "any_change" and self.maybe(0.5):
            del found["operator"], found["value"]
        return found

    def policy(self, action):
        users = self.pick(["alice"], ["alice", "bob"], ["ci", "bob"], [])
        levels = self.pick([], [], [], [], [15], [8], [1, 15])
        return acme.policy(
            action,
            conditions=self.conditions(),
            enabled=self.maybe(0.9),
            bypass_org_membership_levels=levels,
            bypass_roles=self.pick([], [], [], ["Passers"], ["Others"], ["Nobody"]),
            approver_config={
                "quorum": self.pick(1, 1, 2),
                "users": [f"{name}@acme.test" for name in users],
                "roles": self.pick([], [], ["Others"], ["Passers"], ["Nobody"]),
            },
            allow_self_approve=self.maybe(0.3),
            expires_after=self.pick("14 00:00:00", "1 12:00:00", "02:00:00"),
        )

    def cases(self, number, *, actor, flags=25):
        """One project: its policies, flags that are to change, and flags that are to come."""
        actions = (*ACTIONS, *EXPERIMENT_ACTIONS) if self.scoped else ACTIONS
        policies = [self.policy(action) for action in actions if self.maybe(0.65)]
        for n in range(flags):
            there = None
            if n >= flags // 6:
                there = {"key": f"f{n}", "name": "n", "active": self.maybe(0.5)}
                there["filters"] = sound(self.filters(live=True))
                if not self.old:
                    there["bucketing_identifier"] = self.pick(None, "distinct_id", "device_id")
            wish = {"name": "wanted"}
            if not self.old and self.maybe(0.2):
                wish["bucketing_identifier"] = self.pick("distinct_id", "device_id", None)
            if self.maybe(0.6):
                wish["active"] = self.maybe(0.6)
            if there is None or self.maybe(0.75):
                near = there is not None and self.maybe(0.7)
                wanted = self.near(there["filters"]) if near else self.filters()
                wish["filters"] = sound(wanted, there and there["filters"])
            if there is None and self.maybe(0.15):
                wish["is_remote_configuration"] = True
                if self.maybe(0.5):
                    del wish["filters"]
            owner = self.pick(*OWNERS) if self.owned and there is not None else ""
            if owner == "early_access_features" and INDEX in json.dumps([there, wish]):
                owner = "experiments"  # such a flag takes no group aggregation (9.2)
            yield Case(
                f"f{n}", f"P{number}", policies, there, wish, actor, owner=owner, scoped=self.scoped
            )


def world(cases):
    """A seed in which each project of the cases is as they say, and one flag tells the age."""
    projects = {}
    for case in cases:
        project = projects.setdefault(
            case.project,
            {
                "name": case.project,
                "id": int(case.project[1:]),
                "approval_policies": case.policies,
                "feature_flags": [acme.live_flag("zz-neighbour")],
            },
        )
        if case.flag is not None:
            project["feature_flags"].append(case.flag)
        if case.owner == REPLAY:
            project[REPLAY] = case.key
        elif case.owner:
            products, field_name = USED_FLAG[case.owner]
            project.setdefault(products, []).append({"name": case.key, field_name: case.key})
    features = [*cases[0].features, "audit_logs", "organizations_projects"]
    scoping = {"owner_scoping": True} if cases[0].scoped else {}
    return acme.seed(projects=list(projects.values()), roles=ROLES, features=features, **scoping)


def documents(cases):
    """What the files say: the wishes, one document each."""
    return "\n---\n".join(
        json.dumps(acme.flag(case.key, project=case.project, **case.wish)) for case in cases
    )


class Caller:
    """One kept connection to a sandbox, as one person."""

    def __init__(self, sandbox, actor):
        self.token = f"phx_{actor}"
        self._connection = http.client.HTTPConnection(sandbox.url.removeprefix("http://"))

    def __call__(self, method, path, body=None, token=None):
        headers = {
            "Authorization": f"Bearer {token or self.token}",
            "Content-Type": "application/json",
        }
        data = None if body is None else json.dumps(body)
        self._connection.request(method, path, body=data, headers=headers)
        answer = self._connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else None

    def close(self):
        self._connection.close()


def stages(case, stored):
    """The calls that contract 5.7 asks for, each with complete filters (9.2)."""
    if case.flag is None:
        return [("POST", {**case.wish, "key": case.key})]
    targeting = ("filters", "bucketing_identifier")
    plain = {name: case.wish[name] for name in case.wish if name not in (*targeting, "active")}
    filters = {name: case.wish[name] for name in targeting if name in case.wish} or None
    if "filters" in case.wish:
        filters["filters"] = {**stored, **case.wish["filters"]}
    active = {"active": case.wish["active"]} if "active" in case.wish else None
    last = (active, filters) if active == {"active": False} else (filters, active)
    first, *more = [body for body in last if body is not None] or [{}]
    return [("PATCH", {**plain, **first}), *(("PATCH", body) for body in more)]


class Server:
    """The writes of some cases, really sent."""

    def __init__(self, sandbox, cases):
        self.call = Caller(sandbox, cases[0].actor)
        self._flags = {}
        for project in {case.project for case in cases}:
            route = f"/api/projects/{project[1:]}/feature_flags/"
            for flag in self.call("GET", f"{route}?limit=1000")[1]["results"]:
                self._flags[project, flag["key"]] = flag

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.call.close()

    def _send(self, case, method, body):
        route = f"/api/projects/{case.project[1:]}/feature_flags/"
        there = self._flags.get((case.project, case.key))
        return self.call(method, f"{route}{there['id']}/" if there else route, body)

    def raw(self, case):
        """(status, answer) of one single call with everything in it."""
        method = "PATCH" if case.flag is not None else "POST"
        return self._send(case, method, {**case.wish, "key": case.key})

    def staged(self, case):
        """(status, answer) of the calls one after the other, up to the first that is held."""
        there = self._flags.get((case.project, case.key)) or {}
        status, answer = 0, None
        for method, body in stages(case, there.get("filters") or {}):
            status, answer = self._send(case, method, body)
            if status not in (200, 201):
                break
        return status, answer

    def born_inactive(self, case):
        """The calls of a create that would meet two policies at once."""
        last = {name: case.wish[name] for name in case.wish if name == "archived"}
        status, answer = self._send(case, "POST", {**case.wish, "key": case.key, "active": False})
        if status != 201:
            return status, answer
        route = f"/api/projects/{case.project[1:]}/feature_flags/{answer['id']}/"
        return self.call("PATCH", route, {"active": True, **last})


def held(gate):
    """Whether the forecast says that some call of the change waits."""
    if gate["verdict"] == "split":
        return any(step["verdict"] == "approval" for step in gate["steps"])
    return gate["verdict"] in ASKED


def wrong(gate, answered, *, raw):
    """In what the forecast differs from the answer; nothing where they agree."""
    status, answer = answered
    if raw and gate["verdict"] == "split":
        expected = (400, "policy_conflict")
    elif held(gate):
        expected = (409, "approval_required")
    elif gate["confidence"] == "unknown" and status == 500:
        return ""
    else:
        expected = (200 if status != 201 else 201, None)
    if (status, (answer or {}).get("code")) != expected:
        return f"said {gate['verdict']}, answered {status} {(answer or {}).get('code')}"
    if expected[0] != 409:
        return ""
    request = answer["change_request"]
    asked = (request["action_key"], request["policy_snapshot"]["quorum"])
    said = (gate["policy"].rsplit("/", 1)[1], gate["quorum"])
    return "" if asked == said else f"said {said}, answered {asked}"


def smaller(case):
    """Cases with one thing less, largest steps first."""
    for number in range(len(case.policies)):
        left = case.policies[:number] + case.policies[number + 1 :]
        yield replace(case, policies=left)
    for number, policy in enumerate(case.policies):
        for name in ("bypass_org_membership_levels", "bypass_roles", "conditions"):
            if policy.get(name):
                plain = {**policy, name: {} if name == "conditions" else []}
                put = [*case.policies[:number], plain, *case.policies[number + 1 :]]
                yield replace(case, policies=put)
    for name in case.wish:
        if not (case.flag is None and name == "filters"):
            yield replace(case, wish={k: v for k, v in case.wish.items() if k != name})
    for holder in ("flag", "wish"):
        value = getattr(case, holder) or {}
        for filters in _smaller_filters(value.get("filters") or {}):
            yield replace(case, **{holder: {**value, "filters": filters}})


def _smaller_filters(filters):
    for name in filters:
        if name != "groups":
            yield {k: v for k, v in filters.items() if k != name}
    groups = filters.get("groups") or []
    for number, group in enumerate(groups):
        if len(groups) > 1:
            yield {**filters, "groups": groups[:number] + groups[number + 1 :]}
        for name in group:
            if name != "properties" or group[name]:
                less = {k: v for k, v in group.items() if k != name} | (
                    {"properties": []} if name == "properties" else {}
                )
                yield {**filters, "groups": [*groups[:number], less, *groups[number + 1 :]]}


def shrunk(case, fails, tries=60):
    """The smallest case found that still fails, one thing left out at a time."""
    while tries:
        for other in smaller(case):
            tries -= 1
            if fails(other):
                case = other
                break
            if not tries:
                break
        else:
            break
    return case
