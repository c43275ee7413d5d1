"""Quarters of a project's life: what people wrote, and what each write does under other policies.

A quarter is played in the sandbox. Before each write of a flag the world is kept, so that the same
write can be tried in it afterwards with other policies live: that is the truth about the replay.
"""

import copy
from dataclasses import dataclass, field

from hypothesis import strategies as st

from tests import acme

BEGIN = "2026-01-05T09:00:00Z"
FLAGS = "/api/projects/1/feature_flags/"
POLICIES = "/api/projects/1/approval_policies/"
REQUESTS = "/api/projects/1/change_requests/"
PEOPLE = ("alice", "bob", "carol", "ci")
ROLES = ("Managers", "Watchers")
ACTIONS = ("feature_flag.enable", "feature_flag.disable", "feature_flag.update")
TWINS = ("experiment.launch", "experiment.pause", "experiment.update")
LEVELS = {"member": 1, "admin": 8, "owner": 15}
NO_CONTENT, CREATED, REFUSED, CONFLICT = 204, 201, 400, 409

percentages = st.sampled_from([0, 10, 20, 50, 100, 12.5])
people = st.sampled_from(PEOPLE)
emails = people.map("{}@acme.test".format)
conditions = st.one_of(
    st.just({}),
    st.just({}),
    st.builds(
        lambda kind, field, symbol, value: {
            "type": kind,
            "field": field,
            "operator": symbol,
            "value": value,
        },
        st.sampled_from(["before_after", "change_amount"]),
        st.just("rollout_percentage"),
        st.sampled_from([">", "<", ">=", "<=", "==", "!="]),
        st.sampled_from([0, 10, 20, 50, -20]),
    ),
    st.builds(
        lambda field: {"type": "any_change", "field": field},
        st.sampled_from(["rollout_percentage", "release_conditions"]),
    ),
)


bypasses = st.sampled_from(
    [
        *[([], [])] * 3,
        *(([level], []) for level in LEVELS.values()),
        *(([], [role]) for role in ROLES),
        ([15], ["Managers"]),
    ]
)


@st.composite
def policies(draw, actions, share):
    """A policy for most of these actions, as a seed has it; `share` in four of them."""
    drawn = []
    for action in actions:
        if draw(st.integers(0, 3)) >= share:
            continue
        levels, roles = draw(bypasses)
        drawn.append(
            {
                "action_key": action,
                "conditions": draw(conditions),
                "approver_config": {
                    "quorum": 1,
                    "users": draw(st.lists(emails, min_size=1, max_size=2, unique=True)),
                    "roles": draw(st.lists(st.sampled_from(ROLES), max_size=1)),
                },
                "allow_self_approve": draw(st.booleans()),
                "bypass_org_membership_levels": levels,
                "bypass_roles": roles,
                "enabled": draw(st.integers(0, 7)) > 0,
            }
        )
    return drawn


properties = st.lists(
    st.sampled_from(
        [
            {"key": "email", "value": "x", "operator": "exact", "type": "person"},
            {"key": "plan", "value": ["a", "b"], "operator": "is_not", "type": "person"},
        ]
    ),
    max_size=1,
)


@st.composite
def filters(draw):
    """Filters of one or two sets, perhaps with variants."""
    groups = [
        {
            "properties": draw(properties),
            **draw(st.sampled_from([{}, {"rollout_percentage": draw(percentages)}])),
            **draw(st.sampled_from([{}, {}, {"rollout_percentage": None}])),
        }
        for _ in range(draw(st.integers(1, 2)))
    ]
    built = {"groups": groups}
    match draw(st.integers(0, 5)):
        case 0:
            share = draw(st.sampled_from([30, 50]))
            variants = [("control", share), ("test", 100 - share)]
            built["multivariate"] = {
                "variants": [{"key": k, "rollout_percentage": s} for k, s in variants]
            }
        case 1:
            built["multivariate"] = None
        case 2:
            built["payloads"] = {"true": draw(st.sampled_from(['"a"', '"b"']))}
    return built


_fields = {
    "active": st.booleans(),
    "filters": filters(),
    "bucketing_identifier": st.sampled_from(["device_id", "distinct_id", None]),
    "name": st.sampled_from(["one", "two"]),
    "tags": st.sampled_from([["a"], []]),
    "key": st.sampled_from(["f", "g", "h"]),
    "deleted": st.sampled_from([True, False, False]),
    "archived": st.booleans(),
}
bodies = st.one_of(
    st.fixed_dictionaries({"active": _fields["active"]}),
    st.fixed_dictionaries({"filters": _fields["filters"]}),
    st.fixed_dictionaries({"filters": _fields["filters"]}),
    st.fixed_dictionaries({"active": _fields["active"], "filters": _fields["filters"]}),
    st.fixed_dictionaries({}, optional=_fields),
)
creations = st.fixed_dictionaries(
    {"key": st.sampled_from(["f", "g", "h", "i"])},
    optional={
        "active": st.booleans(),
        "filters": filters(),
        "is_remote_configuration": st.booleans(),
    },
)
which = st.integers(0, 5)
steps = st.one_of(
    *[st.tuples(st.just("write"), people, which, bodies)] * 8,
    *[st.tuples(st.just("create"), people, creations)] * 2,
    *[st.tuples(st.just("write"), people, which, st.just({"deleted": True}))] * 2,
    st.tuples(st.just("write"), people, which, st.just({"deleted": False})),
    st.tuples(st.just("switch"), people, which, st.sampled_from(["enable", "disable", "archive"])),
    st.tuples(st.just("roll out"), people, which, percentages),
    *[st.tuples(st.just("approve"), which)] * 4,
    st.tuples(st.just("policy"), which, st.booleans()),
    st.tuples(st.just("level"), people, st.sampled_from(sorted(LEVELS.values()))),
    st.tuples(st.just("join"), people, st.sampled_from(ROLES)),
    st.tuples(st.just("leave"), people, st.sampled_from(ROLES)),
    st.tuples(st.just("drop role"), st.sampled_from(ROLES)),
    st.tuples(st.just("add role"), st.sampled_from(ROLES)),
    st.tuples(st.just("experiment"), people, which),
    st.tuples(st.just("schedule"), people, which, st.booleans()),
    *[st.tuples(st.just("wait"), st.sampled_from(["3s", "20s", "1h", "2d"]))] * 3,
)


@dataclass(frozen=True)
class Quarter:
    """A world, the steps of its people, and the policies to try."""

    profile: str
    owner_scoping: bool
    live: list
    owned: dict
    steps: list
    tried: list


@st.composite
def quarters(draw):
    """A whole quarter."""
    scoping = draw(st.sampled_from([False, False, False, True]))
    actions = (*ACTIONS, *TWINS) if scoping else ACTIONS
    owned = draw(
        st.sampled_from(
            [
                {},
                {},
                {"experiments": [{"name": "E", "feature_flag": "b"}]},
                {"early_access_features": [{"name": "F", "feature_flag": "b"}]},
                {"surveys": [{"name": "S", "linked_flag": "b", "targeting_flag": "hidden"}]},
            ]
        )
    )
    return Quarter(
        draw(st.sampled_from(["g3", "g3", "g2", "g1"])),
        scoping,
        draw(policies(actions, 2)),
        owned,
        draw(st.lists(steps, min_size=10, max_size=24)),
        draw(policies(actions, 3).filter(bool)),
    )


@dataclass
class Write:
    """A write of a flag that is in the log: the call, its person, and the world before it."""

    person: str
    method: str
    path: str
    body: dict
    world: dict
    waited: bool = False


@dataclass
class History:
    """What happened in a quarter, oldest first."""

    sandbox: object
    writes: list = field(default_factory=list)
    filed: dict = field(default_factory=dict)  # id of a request -> its write
    unclear: set = field(default_factory=set)  # numbers of entries that no person's call explains

    def call(self, method, path, body=None, person="alice"):
        return self.sandbox.call(method, path, body, f"phx_{person}")

    def count_entries(self):
        organization = self.organization
        path = f"/api/organizations/{organization}/advanced_activity_logs/"
        query = '?scopes=["FeatureFlag"]&page=1&page_size=1'
        return self.call("GET", path + query)[1]["count"]

    @property
    def organization(self):
        return self.call("GET", "/api/organizations/")[1]["results"][0]["id"]

    def write(self, person, method, path, body):
        """Make a call that may write a flag, and remember it if the log has it."""
        world, before = self.sandbox.state(), len(self.writes)
        status, answer = self.call(method, path, body, person)
        write = Write(person, method, path, body, world)
        if status == CONFLICT and answer.get("code") == "approval_required":
            self.filed[answer["change_request_id"]] = write
        self.take(write, before)

    def take(self, write, before):
        """Add a write once for each new entry; several entries are not explained by one call."""
        added = self.count_entries() - before
        for _ in range(added):
            if added > 1 or write is None:
                self.unclear.add(len(self.writes))
            self.writes.append(write)


def seed(quarter):
    """The world in which a quarter begins."""
    flags = [acme.live_flag("a", 10, active=True), acme.live_flag("b", 20)]
    web = {
        "name": "Web",
        "id": 1,
        "feature_flags": flags,
        "approval_policies": copy.deepcopy(quarter.live),
        **copy.deepcopy(quarter.owned),
    }
    roles = [{"name": "Managers", "members": ["bob@acme.test"]}, {"name": "Watchers"}]
    features = ["approvals", "audit_logs", "organizations_projects"]
    world = acme.seed(projects=[web], roles=roles, features=features)
    world["organizations"][0]["owner_scoping"] = quarter.owner_scoping
    return {"now": BEGIN, "profile": quarter.profile, **world}


def play(quarter, sandbox):
    """Play a quarter; its history."""
    sandbox.reset(seed(quarter))
    history = History(sandbox)
    for name, *arguments in quarter.steps:
        _STEPS[name](history, *arguments)
    return history


def _list_flags(history):
    """Ids of all flags, deleted ones too, in a stable order."""
    project = history.sandbox.state()["organizations"][0]["projects"][0]
    return [flag["id"] for flag in project["feature_flags"]]


def _path(history, number):
    ids = _list_flags(history)
    return f"{FLAGS}{ids[number % len(ids)]}/"


def _write(history, person, number, body):
    history.write(person, "PATCH", _path(history, number), body)


def _create(history, person, body):
    history.write(person, "POST", FLAGS, {"name": "new", **body})


def _switch(history, person, number, action):
    history.write(person, "POST", f"{_path(history, number)}{action}/", {})


def _roll_out(history, person, number, share):
    path = _path(history, number)
    version = (history.call("GET", path)[1] or {}).get("version")
    body = {"condition_index": 0, "rollout_percentage": share, "version": version}
    history.write(person, "POST", f"{path}set_release_condition_rollout/", body)


def _approve(history, number):
    """Let people approve a pending request, until it is applied."""
    pending = history.call("GET", f"{REQUESTS}?state=pending")[1]["results"]
    if not pending:
        return
    request, before = pending[number % len(pending)], len(history.writes)
    for person in PEOPLE:
        _, answer = history.call("POST", f"{REQUESTS}{request['id']}/approve/", {}, person)
        if (answer or {}).get("status") in {"applied", "failed"}:
            break
    write = history.filed.get(request["id"])
    history.take(write, before)
    if write is not None and len(history.writes) > before:
        write.waited = True


def _policy(history, number, enabled):
    """Switch a policy on or off; if there is none, nothing."""
    listed = history.call("GET", POLICIES)[1]["results"]
    if listed:
        path = f"{POLICIES}{listed[number % len(listed)]['id']}/"
        history.call("PATCH", path, {"enabled": enabled})


def _level(history, person, level):
    path = f"/api/organizations/{history.organization}/members/{_uuid(history, person)}/"
    history.call("PATCH", path, {"level": level})


def _uuid(history, person):
    users = history.sandbox.state()["users"]
    return next(user["uuid"] for user in users if user["email"] == f"{person}@acme.test")


def _find_role(history, name):
    path = f"/api/organizations/{history.organization}/roles/"
    roles = history.call("GET", path)[1]["results"]
    return path, next((role for role in roles if role["name"] == name), None)


def _join(history, person, name):
    path, role = _find_role(history, name)
    if role is not None:
        body = {"user_uuid": _uuid(history, person)}
        history.call("POST", f"{path}{role['id']}/role_memberships/", body)


def _leave(history, person, name):
    path, role = _find_role(history, name)
    for held in role["members"] if role is not None else ():
        if held["user"]["email"] == f"{person}@acme.test":
            history.call("DELETE", f"{path}{role['id']}/role_memberships/{held['id']}/")


def _drop_role(history, name):
    path, role = _find_role(history, name)
    if role is not None:
        history.call("DELETE", f"{path}{role['id']}/")


def _add_role(history, name):
    path, role = _find_role(history, name)
    if role is None:
        history.call("POST", path, {"name": name})


def _experiment(history, person, number):
    """Launch or pause the experiment of the project, or make one of a flag, or of a new one."""
    path = "/api/projects/1/experiments/"
    listed = history.call("GET", path)[1].get("results")
    if not listed:
        ids = _list_flags(history)
        flag = history.call("GET", f"{FLAGS}{ids[number % len(ids)]}/")[1]
        key = "made" if number % 2 else flag["key"]
        history.write(person, "POST", path, {"name": "X", "feature_flag_key": key})
        return
    action = ("launch", "pause", "resume", "end")[number % 4]
    history.write(person, "POST", f"{path}{listed[0]['id']}/{action}/", {})


def _schedule(history, person, number, active):
    """Schedule a change, and let its time come. PostHog checks it when it is scheduled."""
    ids, path = _list_flags(history), "/api/projects/1/scheduled_changes/"
    now = history.sandbox.state()["now"]
    body = {
        "record_id": str(ids[number % len(ids)]),
        "model_name": "FeatureFlag",
        "payload": {"operation": "update_status", "value": active},
        "scheduled_at": f"{now[:-3]}59Z",
    }
    before = len(history.writes)
    if history.call("POST", path, body, person)[0] == CREATED:
        _wait(history, "2h")
        history.take(None, before)


def _wait(history, span):
    history.sandbox.call("POST", "/_sandbox/clock", {"advance": span})


_STEPS = {
    "write": _write,
    "create": _create,
    "switch": _switch,
    "roll out": _roll_out,
    "approve": _approve,
    "policy": _policy,
    "level": _level,
    "join": _join,
    "leave": _leave,
    "drop role": _drop_role,
    "add role": _add_role,
    "experiment": _experiment,
    "schedule": _schedule,
    "wait": _wait,
}


class Oracle:
    """The truth: each write is tried again, in its own world, with the policies live."""

    def __init__(self, sandbox, tried):
        self.sandbox, self.tried = sandbox, tried
        state = sandbox.state()["organizations"][0]
        self.role_ids = {role["name"]: role["id"] for role in state["roles"]}

    def would_wait(self, write):
        """Whether the write waits for approval; one that meets two policies is split."""
        status, answer = self._try(write, write.body)
        if status == REFUSED and (answer or {}).get("code") == "policy_conflict":
            parts = _split(write)
            return any(self._try(write, part)[0] == CONFLICT for part in parts)
        assert status in {200, CREATED, CONFLICT}, (status, answer, write)
        return status == CONFLICT

    def _try(self, write, body):
        world = copy.deepcopy(write.world)
        organization = world["organizations"][0]
        project = organization["projects"][0]
        names = {role["id"]: role["name"] for role in organization["roles"]}
        policies = copy.deepcopy(self.tried)
        for policy in policies:
            config = policy["approver_config"]
            for holder, key in ((policy, "bypass_roles"), (config, "roles")):
                ids = (self.role_ids.get(name) for name in holder[key])
                holder[key] = [names[id_] for id_ in ids if id_ in names]
        project["approval_policies"], project["change_requests"] = policies, []
        project["scheduled_changes"] = []
        organization["approval_policies"] = []
        self.sandbox.reset(world)
        return self.sandbox.call(write.method, write.path, body, f"phx_{write.person}")


def _split(write):
    """The parts of a write that meet one policy each."""
    body = write.body
    if write.method == "POST" and write.path == FLAGS:  # inactive first, then enabled
        return [{**body, "active": False}, {**body, "active": True, "filters": {"groups": [{}]}}]
    targeting = {k: v for k, v in body.items() if k in {"filters", "bucketing_identifier"}}
    return [targeting, {"active": body["active"]}]
