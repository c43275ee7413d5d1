"""One schedule from beginning to end: apply under faults, then without, until nothing is left."""

from random import Random

from tests.harness import oracle
from tests.harness.driver import Driver
from tests.harness.oracle import need
from tests.harness.scenario import ACTIONS

WRITES = (
    "roles.create",
    "role_memberships.create",
    "role_memberships.delete",
    "approval_policies.create",
    "approval_policies.update",
    "feature_flags.create",
    "feature_flags.update",
    "organizations.update",
    "members.update",
)
READS = (
    "organizations.list",
    "feature_flags.list",
    "feature_flags.retrieve",
    "approval_policies.list",
    "roles.list",
    "members.list",
    "change_requests.list",
    "change_requests.retrieve",
    "users.retrieve",
)
SPOILS_WRITE = (
    ("refuse", "before"),
    ("reset", "before"),
    ("reset", "after"),
    ("reset", "mid_body"),
    ("reset", "late_commit"),
    ("status(500)", "before"),
    ("status(500)", "after"),
    ("status(502)", "after"),
    ("status(503)", "before"),
    ("status(504)", "late_commit"),
    ("status(408)", "after"),
    ("throttle(1)", "before"),
    ("throttle(2, date)", "before"),
    ("throttle(3, text)", "before"),
    ("truncate", "after"),
    ("mutate(html)", "after"),
    ("mutate(garbage)", "after"),
    ("forbid_scope", None),
    ("race", None),
    ("forget", None),
    # Not `enabled`: to weaken a policy that came out stronger than its file takes a person's word.
    ({"drop_fields": {"names": ["name", "active", "enforce_2fa"]}}, None),
)
# Answers that say something else than what became of the write.
ODD_ANSWERS = (
    ({"status": {"code": 200, "body": {"id": 1}}}, "before"),
    ({"status": {"code": 200, "body": {}}}, "after"),
    ({"status": {"code": 202, "body": {"status": "queued"}}}, "before"),
    ({"status": {"code": 207, "body": {}}}, "after"),
    ({"status": {"code": 409, "body": {"code": "throttled"}}}, "before"),
    ({"status": {"code": 409, "body": {"id": 1}}}, "after"),
    ({"status": {"code": 302, "headers": {"location": "/login"}}}, "after"),
    ({"mutate": {"set": {"id": 999_999}}}, "after"),
)
PARTIAL_LISTS = (
    ({"status": {"code": 206, "body": {"count": 0, "next": None, "results": []}}}, "before"),
    ({"status": {"code": 200, "body": []}}, "before"),
    ({"mutate": {"drop": ["count"]}}, "after"),
)
SPOILS_READ = (
    ("refuse", "before"),
    ("reset", "before"),
    ("status(500)", "before"),
    ("status(503)", "before"),
    ("throttle(1)", "before"),
    ("truncate", "after"),
    ("mutate(nan)", "after"),
    ("mutate(duplicate_keys)", "after"),
    ("empty_list", None),
    ("shift_page", None),
    ("stale(2)", None),
    ("forbid_scope", None),
)


SCOPES = {
    "feature_flags": "feature_flag",
    "approval_policies": "approvals",
    "change_requests": "approvals",
    "access_controls": "access_control",
    "experiment_holdouts": "experiment_holdout",
    "projects": "project",
}


def rule(method, route, hit, effect, point=None):
    made = {"match": {"method": method, "route": route, "user": oracle.CI, "hit": hit}}
    if isinstance(effect, str) and effect.startswith("forbid_scope"):
        scope = SCOPES.get(route.partition(".")[0], "organization")
        effect = {"forbid_scope": {"scope": f"{scope}:{'read' if method == 'GET' else 'write'}"}}
    return {**made, "effect": effect, **({"point": point} if point else {})}


def random_faults(chance):
    """One to eight faults: writes, reads, and what people do meanwhile."""
    for _ in range(chance.randint(1, 8)):
        dice = chance.random()
        hit = chance.randint(1, 3)
        if dice < 0.5:
            effect, point = chance.choice(SPOILS_WRITE)
            yield rule("*", chance.choice(WRITES), hit, effect, point)
        elif dice < 0.8:
            effect, point = chance.choice(SPOILS_READ)
            yield rule("GET", chance.choice(READS), hit, effect, point)
        else:
            yield _by_people(chance, hit)


def _by_people(chance, hit):
    route = chance.choice([*WRITES, *READS])
    flag = f"flag-{chance.randint(0, 3)}"
    action = chance.choice(ACTIONS)
    by_hand = {"allow_self_approve": True}
    effect = chance.choice(
        [
            {
                "edit": {
                    "as": "alice@acme.test",
                    "project": 1,
                    "flag": flag,
                    "set": {"name": "By hand"},
                }
            },
            {
                "edit": {
                    "as": "alice@acme.test",
                    "project": 1,
                    "flag": flag,
                    "set": {"tags": ["ui"]},
                }
            },
            {
                "edit": {
                    "as": "alice@acme.test",
                    "project": 1,
                    "flag": flag,
                    "set": {"active": True},
                }
            },
            {"edit": {"as": "alice@acme.test", "project": 1, "flag": flag, "delete": True}},
            {"edit": {"as": "alice@acme.test", "project": 2, "policy": action, "set": by_hand}},
            {
                "edit": {
                    "as": "alice@acme.test",
                    "organization": "acme",
                    "set": {"enforce_2fa": False},
                }
            },
            {"vote": {"decision": "approve", "as": "alice@acme.test"}},
            {"clock": {"advance": "2h"}},
            {"clock": {"advance": "15d"}},
            {"task": {"run": "check_staleness"}},
        ]
    )
    return rule("*", route, hit, effect, chance.choice(["before", "after"]))


def play(sandbox, folder, scenario, faults, *, seed=0):
    """The whole of it; raises Violation."""
    sandbox.reset(scenario.seed)
    driver = Driver(folder, sandbox, seed=seed)
    driver.write("all.yaml", *scenario.documents)
    driver.faults(faults, seed)
    observed(driver, scenario, "apply", "--yes", "--format", "json")
    driver.faults([])
    driver.token = "phx_ci_spare"  # of the same user: the other may have been revoked
    converge(driver, scenario)
    return driver


def observed(driver, scenario, *arguments):
    """A command, and every invariant that a single one has to keep."""
    before = len(driver.ledger())
    driver.sandbox.clear()
    done = driver.go(*arguments)
    ledger, requests = driver.ledger(), driver.sandbox.requests()
    state = driver.sandbox.state()
    oracle.check_economy(requests, plan=arguments[0] == "plan")
    oracle.check_fresh(ledger[before:], requests)
    oracle.check_report(scenario, oracle.Seen(done, before, ledger, requests, state))
    driver.log = [*getattr(driver, "log", []), *requests]
    oracle.check_ledger(scenario, ledger, driver.log)
    oracle.untouched(scenario, state)
    return done


def converge(driver, scenario):
    """I3: at most 1 + g applies without faults, people agreeing in between; then nothing to do."""
    said = []
    for _ in range(2 + scenario.chain):
        done = observed(driver, scenario, "apply", "--yes", "--format", "json")
        said.append((done.code, done.out[-600:], done.err[-300:]))
        if done.code == 0:
            break
        need(done.code in {3, 4}, "I3-fails-without-faults", said)
        driver.approve_all()
    need(done.code == 0, "I3-does-not-converge", said)
    state = driver.sandbox.state()
    for document in scenario.documents:
        need(oracle.holds(state, document), "I3-not-as-declared", document)
    driver.sandbox.clear()
    plan = driver.go("plan", "--detailed-exitcode")
    need(plan.code == 0, "I1-plan-not-empty", plan.out)
    again = driver.go("apply", "--yes", "--format", "json")
    need(again.code == 0, "I1-second-apply", again.out)
    need(not driver.sandbox.writes(), "I1-second-apply-wrote", driver.sandbox.writes())


def schedule(number):
    """The faults of a number; chance apart from that of the scenario."""
    return list(random_faults(Random(number * 7919 + 1)))
