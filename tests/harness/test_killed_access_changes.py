"""Killed between two calls that move who is a project admin: the rest is never refused.

With a base. Without one nobody knows whether a person was an admin before, so it is refused.
"""

import signal
from random import Random

import pytest

from tests import acme
from tests.effort import effort
from tests.harness import campaign, child, governed
from tests.harness.driver import Driver
from tests.harness.oracle import need
from tests.harness.scenario import NOW, Scenario
from tests.harness.test_kill import hung

PEOPLE = ("bob@acme.test", "dora@acme.test", "ed@acme.test")
ROLES = ("Keepers", "Release managers")
LEVELS = ("none", "member", "admin")
KILLS = effort(range(5, 600, 60), range(600), hunt=range(3, 600, 12))
CHUNKS = 4


def list_admins(rules, members, *, narrow):
    """Who is a project admin; rules by subject, counted apart from the program."""
    admins = set()
    for person in (*PEOPLE, "*"):
        own = [rules["members"][person]] if person in rules["members"] else []
        held = [level for role, level in rules["roles"].items() if person in members[role]]
        general = [rules["default"]] if rules["default"] else []
        levels = (own or held or general) if narrow else [*own, *held, *general]
        if not levels or "admin" in levels:
            admins.add(person)
    return admins


def draw(chance):
    """Rules of a project, and the members of the roles."""
    rules = {
        "default": chance.choice(["none", "member", "none", None, "admin"]),
        "roles": {role: chance.choice(LEVELS) for role in ROLES if chance.random() < 0.7},
        "members": {who: chance.choice(LEVELS) for who in PEOPLE if chance.random() < 0.4},
    }
    return rules, {role: [who for who in PEOPLE if chance.random() < 0.4] for role in ROLES}


def from_number(number):
    """Two states of which the second makes nobody an admin."""
    chance = Random(number * 7 + 1)
    narrow = chance.random() < 0.5
    while True:
        before, after = draw(chance), draw(chance)
        gains = list_admins(*after, narrow=narrow) - list_admins(*before, narrow=narrow)
        if not gains and before != after:
            break
    rules, members = before
    rows = [governed.rule("project", rules["default"])] if rules["default"] else []
    rows += [governed.rule("project", level, role=role) for role, level in rules["roles"].items()]
    rows += [governed.rule("project", level, member=who) for who, level in rules["members"].items()]
    seed = governed.make_world(rows)
    for who in PEOPLE[1:]:
        seed["users"].append({"email": who, "tokens": []})
        seed["organizations"][0]["members"].append({"email": who, "level": "member"})
    seed["organizations"][0]["roles"] = [
        {"name": role, "members": list(held)} for role, held in members.items()
    ]
    seed["organizations"][0]["uses_most_specific_access_resolution"] = narrow
    return Scenario(seed, _documents(*after), 0, number), _documents(*before)


def _documents(rules, members):
    return [
        acme.document("ProjectAccess", {"project": rules}, project="Web"),
        *(acme.document("Role", {"members": held}, name=role) for role, held in members.items()),
    ]


def begin(sandbox, folder, made, before):
    """The world, and the files as a commit after the base, which says what is live."""
    sandbox.reset(made.seed)
    driver = Driver(folder, sandbox)
    dates = {"GIT_COMMITTER_DATE": NOW, "GIT_AUTHOR_DATE": NOW}
    driver.write("all.yaml", *before)
    driver.commit("base", **dates)
    driver.git("update-ref", "refs/reconciler/applied/default", "HEAD")
    driver.write("all.yaml", *made.documents)
    driver.commit("change", **dates)
    return driver


def killed(sandbox, folder, number):
    """One kill: a world, a request of its first apply, and a side of it."""
    made, before = from_number(number // 10)
    driver = begin(sandbox, folder, made, before)
    hit, point = 10 + number % 10, ("before", "after")[number % 2]
    driver.faults([campaign.rule("*", "*", hit, "hang", point)])
    running = child.start(driver, "apply", "--yes", "--format", "json")
    if hung(sandbox, running.running):
        running.kill(signal.SIGKILL)
    done = running.result()
    need(done is None or done.code == 0, "refused at first", done)
    driver.faults([])
    driver.log = sandbox.requests()
    again = campaign.observed(driver, made, "apply", "--yes", "--format", "json")
    need(again.code == 0, "I15-refuses-its-own-rest", again.out[-900:] + again.err[-900:])
    campaign.converge(driver, made)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_killed_between_two_calls_and_never_refused(shared_sandbox, folder, chunk):
    """Over rules for everybody, roles and people, and over who holds the roles."""
    for number in KILLS[chunk::CHUNKS]:
        try:
            killed(shared_sandbox, folder(), number)
        except AssertionError as error:
            pytest.fail(f"number={number}\n{error}")


def test_worlds_that_were_refused_once(shared_sandbox, folder):
    """Somebody leaves one way of being an admin before the other way is there."""
    for number in (161, 273, 315, 553):
        killed(shared_sandbox, folder(), number)
