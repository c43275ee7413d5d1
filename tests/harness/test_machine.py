"""The product as a state machine: files, git, people, time, faults, crashes, another pipeline.

Hypothesis picks what happens next and shrinks what fails; every step keeps every invariant.
"""

import json

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests import acme
from tests.effort import effort
from tests.harness import campaign, child, oracle, scenario
from tests.harness.driver import Driver
from tests.harness.test_kill import hung

KEYS = ("a", "b", "c")
ROLLOUTS = st.sampled_from([0, 10, 40, 100])
FAULTS = st.lists(st.integers(0, 10_000), min_size=1, max_size=4)
PEOPLE = st.sampled_from(["alice", "bob"])


class Product(RuleBasedStateMachine):
    """One repository, one server, and everybody who acts on them."""

    sandbox = make_folder = None  # given by the fixture

    @initialize(gated=st.sets(st.sampled_from(scenario.ACTIONS)))
    def begin(self, gated):
        policies = [acme.policy(action) for action in sorted(gated)]
        flags = [*(acme.live_flag(key, 10) for key in KEYS), scenario.legacy()]
        self.made = scenario.Scenario(scenario.world(policies, flags), [], chain=3)
        self.sandbox.reset(self.made.seed)
        self.driver = Driver(self.make_folder(), self.sandbox)
        self.driver.log = []
        self.wanted = {key: {} for key in KEYS}
        self.token = "phx_ci"
        self.write()
        self.commit()

    def write(self):
        documents = []
        for key, spec in sorted(self.wanted.items()):
            rest = {name: value for name, value in spec.items() if name != "rollout"}
            documents.append(acme.flag(key, spec.get("rollout"), **rest))
        self.made.documents = documents
        self.driver.write("all.yaml", *documents)

    def observe(self, *arguments):
        """A command of the pipeline, with every invariant of reports, economy and ledger."""
        self.driver.token = self.token
        return campaign.observed(self.driver, self.made, *arguments)

    @rule(key=st.sampled_from(KEYS), name=st.sampled_from(["One", "Two"]))
    def wish_name(self, key, name):
        self.wanted[key]["name"] = name
        self.write()

    @rule(key=st.sampled_from(KEYS), rollout=ROLLOUTS)
    def wish_rollout(self, key, rollout):
        self.wanted[key]["rollout"] = rollout
        self.write()

    @rule(key=st.sampled_from(KEYS), active=st.booleans())
    def wish_active(self, key, active):
        self.wanted[key]["active"] = active
        self.write()

    @rule()
    def commit(self, message="change"):
        now = self.sandbox.call("POST", "/_sandbox/clock", {"advance": "1m"})[1]["now"]
        # Git's clock is the server's: a commit from the far future would answer every rejection.
        self.driver.commit(message, GIT_COMMITTER_DATE=now, GIT_AUTHOR_DATE=now)
        self.made.forgiven = len(self.driver.ledger())

    @rule()
    def plan(self):
        self.sandbox.clear()
        done = self.driver.go("plan", "--format", "json", token=self.token)
        assert done.code in {0, 1, 4}, done.err
        oracle.check_economy(self.sandbox.requests(), plan=True)
        self.driver.log += self.sandbox.requests()

    @rule()
    def apply(self):
        done = self.observe("apply", "--yes", "--format", "json", "--prefer", "git")
        assert done.code in {0, 3, 4}, done.out + done.err

    @rule(numbers=FAULTS)
    def apply_under_faults(self, numbers):
        faults = [next(iter(campaign.schedule(number))) for number in numbers]
        self.driver.faults([f for f in faults if "revoke" not in str(f["effect"])])
        try:
            self.observe("apply", "--yes", "--format", "json", "--prefer", "git")
        finally:
            self.driver.faults([])

    @rule(hit=st.integers(1, 14), point=st.sampled_from(["before", "after"]))
    def crash(self, hit, point):
        self.sandbox.clear()
        self.driver.faults([campaign.rule("*", "*", hit, "hang", point)])
        running = child.start(self.driver, "apply", "--yes", "--prefer", "git", token=self.token)
        if hung(self.sandbox, running.running):
            running.kill()
        running.result()
        self.driver.faults([])
        self.driver.log += self.sandbox.requests()
        oracle.check_ledger(self.made, self.driver.ledger(), self.driver.log)

    @rule(key=st.sampled_from(KEYS), who=PEOPLE, value=st.sampled_from(["By hand", "Otherwise"]))
    def edit_by_hand(self, key, who, value):
        self._patch(key, who, {"name": value})

    @rule(key=st.sampled_from(KEYS), who=PEOPLE, active=st.booleans())
    def propose_by_hand(self, key, who, active):
        self._patch(key, who, {"active": active})

    def _patch(self, key, who, body):
        listed = self.sandbox.call("GET", "/api/projects/1/feature_flags/", token=f"phx_{who}")[1]
        id_ = next(one["id"] for one in listed["results"] if one["key"] == key)
        path = f"/api/projects/1/feature_flags/{id_}/"
        assert self.sandbox.call("PATCH", path, body, token=f"phx_{who}")[0] in {200, 409}

    @rule()
    def approve(self):
        self.driver.approve_all()

    @rule(who=PEOPLE, verb=st.sampled_from(["approve", "reject"]))
    def vote_on_the_newest(self, who, verb):
        base = "/api/projects/1/change_requests/"
        listed = self.sandbox.call("GET", f"{base}?state=pending", token=f"phx_{who}")[1]["results"]
        if listed:
            path = f"{base}{listed[0]['id']}/{verb}/"
            self.sandbox.call("POST", path, {"reason": "because"}, token=f"phx_{who}")

    @rule(span=st.sampled_from(["2h", "8d", "15d"]))
    def time_passes(self, span):
        self.sandbox.call("POST", "/_sandbox/clock", {"advance": span})

    @rule(action=st.sampled_from(scenario.ACTIONS), enabled=st.booleans())
    def policy_by_hand(self, action, enabled):
        base = "/api/projects/1/approval_policies/"
        found = self.sandbox.call("GET", f"{base}?action_key={action}", token="phx_alice")[1]
        for one in found["results"]:
            path = f"{base}{one['id']}/"
            assert (
                200 == self.sandbox.call("PATCH", path, {"enabled": enabled}, token="phx_alice")[0]
            )

    @rule()
    def rotate_the_key(self):
        self.token = "phx_ci_spare" if self.token == "phx_ci" else "phx_ci"

    @precondition(lambda self: self.made is not None)
    @rule()
    def a_second_pipeline(self):
        token, self.token = self.token, "phx_ci_spare"
        done = self.observe("apply", "--yes", "--format", "json", "--prefer", "git")
        self.token = token
        assert done.code in {0, 3, 4}, done.out + done.err

    def teardown(self):
        """When people agree to everything and nobody interferes, it ends where the files say."""
        if getattr(self, "driver", None) is None:
            return
        # Every document is written anew: what was rejected is asked for once more.
        again = "\n---\n".join(json.dumps(document) for document in self.made.documents)
        self.driver.write("all.yaml", again)
        self.commit("what is wanted in the end")
        self._clear_the_desk()
        said = []
        for _ in range(8):
            done = self.observe("apply", "--yes", "--format", "json", "--prefer", "git")
            said.append((done.code, done.out[-800:]))
            if done.code == 0:
                break
            self.driver.approve_all()
            self._clear_the_desk()
        oracle.need(done.code == 0, "I3-does-not-converge", said)
        plan = self.driver.go("plan", "--detailed-exitcode", token=self.token)
        oracle.need(plan.code == 0, "I1-plan-not-empty", plan.out)

    def _clear_the_desk(self):
        """Whoever has an open request of their own takes it back, or has it decided."""
        base = "/api/projects/1/change_requests/"
        listed = self.sandbox.call("GET", f"{base}?state=pending,approved", token="phx_alice")[1]
        for one in listed["results"]:
            email = one["created_by"]["email"]
            if email == oracle.CI:
                continue
            body, token = {"reason": "tidying"}, f"phx_{email.split('@')[0]}"
            status = self.sandbox.call("POST", f"{base}{one['id']}/cancel/", body, token=token)[0]
            if status != 200:
                self.sandbox.call("POST", f"{base}{one['id']}/reject/", body, token="phx_alice")
                self.sandbox.call("POST", f"{base}{one['id']}/reject/", body, token="phx_bob")


@pytest.fixture
def machine(shared_sandbox, folder):
    Product.sandbox, Product.make_folder = shared_sandbox, staticmethod(folder)
    return Product


@pytest.mark.parametrize("part", range(2))
def test_whatever_happens_every_invariant_holds(machine, part):
    """Hypothesis walks; a failing walk is printed as the steps that a person could take."""
    walk = settings(
        max_examples=effort(3, 600, hunt=15),
        stateful_step_count=20,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
        print_blob=True,
        database=None,
    )
    run_state_machine_as_test(seed(part)(machine), settings=walk)
