"""The partial order on policies, aspect by aspect, and weakening that touches no policy."""

from dataclasses import replace
from enum import Enum
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.config.yaml import reader
from reconciler.kinds import KINDS
from reconciler.model import (
    Address,
    Declared,
    Lifecycle,
    Live,
    LiveResource,
    Person,
    Resource,
    Severity,
    Source,
    WrittenMapping,
)
from reconciler.plan.approvals.policies import Policy
from reconciler.plan.approvals.server_generation import Generation
from reconciler.plan.diff import three_way
from reconciler.plan.weakening import detect
from reconciler.plan.weakening.compare import Membership, compare_policies

ENABLE, UPDATE = "feature_flag.enable", "feature_flag.update"
WEB = ("acme", "Web")
ALICE, BOB, CAROL = "alice@acme.test", "bob@acme.test", "carol@acme.test"
OPS = ("acme", "ops")
CROWD = Membership({OPS: (BOB, CAROL), ("acme", "empty"): ()}, {})
RISE = {"type": "change_amount", "field": "rollout_percentage", "operator": ">", "value": 20}
CHANGED = {"type": "any_change", "field": "rollout_percentage"}
compare = partial(compare_policies, generations=(Generation.G3, Generation.G2))


class Strength(Enum):
    """How a policy compares with another one: whether it is weaker in something, and stronger."""

    WEAKER = (True, False)
    STRONGER = (False, True)
    MIXED = (True, True)
    NEUTRAL = (False, False)


def find_strength(one, other):
    comparison = compare(one, other, CROWD)
    return Strength((bool(comparison.weaker), bool(comparison.stronger)))


def spec(*, quorum=2, users=(ALICE,), roles=(), **more):
    written = {
        "enabled": True,
        "conditions": {},
        "approvers": {"quorum": quorum, "users": list(users), "roles": list(roles)},
        "allow_self_approve": False,
        "bypass_levels": [],
        "bypass_roles": [],
        "expires_after": "14d",
        **more,
    }
    return KINDS["ApprovalPolicy"].canonical(written)


def policy(action=UPDATE, **more):
    return Policy(Address("ApprovalPolicy", (*WEB, action)), spec(**more), "p-1")


ROWS = [
    ("disabling", policy(), policy(enabled=False)),
    ("deleting", policy(), None),
    ("a lower quorum", policy(), policy(quorum=1)),
    ("one more user", policy(), policy(users=(ALICE, BOB))),
    ("one more role", policy(), policy(roles=("Ops",))),
    ("one more role, though nobody holds it yet", policy(), policy(roles=("Empty",))),
    (
        "one more role, though its holders approve already",
        policy(users=(ALICE, BOB, CAROL)),
        policy(users=(ALICE, BOB, CAROL), roles=("Ops",)),
    ),
    ("self-approval", policy(), policy(allow_self_approve=True)),
    (
        "one more bypass level",
        policy(bypass_levels=["owner"]),
        policy(bypass_levels=["owner", "admin"]),
    ),
    ("one more bypass role", policy(), policy(bypass_roles=["Ops"])),
    ("narrower conditions", policy(), policy(conditions=RISE)),
    ("a higher limit", policy(conditions=RISE), policy(conditions={**RISE, "value": 20.5})),
    ("a longer expiry", policy(), policy(expires_after="30d")),
]


@pytest.mark.parametrize(("strong", "weak"), [r[1:] for r in ROWS], ids=[r[0] for r in ROWS])
def test_each_aspect_makes_a_policy_weaker_and_back_again_stronger(strong, weak):
    """The documented order, one row after the other, read both ways."""
    down, up = compare(strong, weak, CROWD), compare(weak, strong, CROWD)

    assert find_strength(strong, weak) is Strength.WEAKER
    assert find_strength(weak, strong) is Strength.STRONGER
    assert [reason.field for reason in down.weaker] == [reason.field for reason in up.stronger]


NEUTRAL = [
    ("nothing at all", policy(), policy()),
    (
        "other words for the same conditions",
        policy(),
        policy(conditions={"type": "odd"}),
    ),
    ("the same duration in other units", policy(expires_after="14d"), policy(expires_after="2w")),
    (
        "people in another order and case",
        policy(users=(ALICE, BOB)),
        policy(users=("BOB@acme.test", ALICE)),
    ),
    ("a role in another case", policy(roles=("Ops",)), policy(roles=("ops",))),
    (
        "a person who holds the role anyway",
        policy(users=(ALICE,), roles=("Ops",)),
        policy(users=(ALICE, BOB), roles=("Ops",)),
    ),
    ("deleting what was disabled", policy(enabled=False), None),
    ("no policy before and after", None, None),
]


@pytest.mark.parametrize(("one", "other"), [r[1:] for r in NEUTRAL], ids=[r[0] for r in NEUTRAL])
def test_what_means_the_same_is_neutral(one, other):
    """Compared by meaning."""
    assert find_strength(one, other) is Strength.NEUTRAL
    assert find_strength(other, one) is Strength.NEUTRAL


MIXED = [
    ("a higher quorum and self-approval", policy(), policy(quorum=3, allow_self_approve=True)),
    ("another person", policy(), policy(users=(BOB,))),
    (
        "another threshold of another kind",
        policy(conditions=RISE),
        policy(conditions={**RISE, "type": "before_after", "value": 60}),
    ),
    ("another action", policy(), policy(ENABLE)),
    ("more approvers, shorter expiry", policy(), policy(users=(ALICE, BOB), expires_after="1h")),
]


@pytest.mark.parametrize(("one", "other"), [r[1:] for r in MIXED], ids=[r[0] for r in MIXED])
def test_weaker_in_one_and_stronger_in_another_is_mixed(one, other):
    """Neither of the two is the stronger one."""
    assert find_strength(one, other) is Strength.MIXED
    assert find_strength(other, one) is Strength.MIXED


def test_the_reasons_are_sentences_with_the_values():
    """Both ways."""
    down = compare(
        policy(conditions=RISE),
        policy(
            quorum=1,
            roles=("Ops",),
            allow_self_approve=True,
            bypass_levels=["owner"],
            bypass_roles=["Ops"],
            expires_after="36h",
            conditions={**RISE, "value": 30},
        ),
        CROWD,
    )

    assert [reason.text for reason in down.weaker] == [
        "quorum 2 → 1",
        "holders of the role Ops (bob@acme.test, carol@acme.test) may approve",
        "people may approve their own requests",
        "everybody of level owner bypasses it",
        "every holder of the role Ops bypasses it",
        "no longer gated: changes such as 0 → 30",
    ]
    assert [reason.text for reason in down.stronger] == [
        "requests stay open for 36h instead of 14d"
    ]
    off = compare(policy(), policy(enabled=False, users=(ALICE, BOB)), CROWD)
    assert [reason.text for reason in off.weaker] == ["it is disabled", f"{BOB} may approve"]


PEOPLE = st.lists(st.sampled_from([ALICE, BOB, CAROL]), max_size=3)
ROLES = st.lists(st.sampled_from(["Ops", "Empty", "id:gone"]), max_size=2)
LIMITED = st.sampled_from(
    [{}, RISE, {**RISE, "value": 40}, {**RISE, "type": "before_after"}, {"type": "odd"}]
)
POLICIES = st.one_of(
    st.none(),
    st.builds(
        policy,
        st.sampled_from([UPDATE, ENABLE, "survey.launch"]),
        quorum=st.sampled_from([1, 2, 3, None, True]),
        users=PEOPLE,
        roles=ROLES,
        enabled=st.booleans(),
        allow_self_approve=st.booleans(),
        bypass_levels=st.lists(st.sampled_from(["owner", "admin", 3]), max_size=2),
        bypass_roles=ROLES,
        conditions=LIMITED,
        expires_after=st.sampled_from(["0s", "36h", "14d"]),
    ),
)


@given(one=POLICIES, other=POLICIES)
def test_weaker_one_way_is_stronger_the_other_way(one, other):
    """Antisymmetry, aspect by aspect."""
    there, back = compare(one, other, CROWD), compare(other, one, CROWD)

    assert [r.field for r in there.weaker] == [r.field for r in back.stronger]
    assert [r.field for r in there.stronger] == [r.field for r in back.weaker]


@given(one=POLICIES)
def test_a_policy_is_as_strong_as_itself(one):
    """Reflexive."""
    assert find_strength(one, one) is Strength.NEUTRAL


# --- find --------------------------------------------------------------------------------------


def live_policy(action=UPDATE, id_="p-1", **more):
    return LiveResource(Address("ApprovalPolicy", (*WEB, action)), id_, spec(**more), {})


def live_role(name, *members):
    return LiveResource(Address("Role", ("acme", name)), f"r-{name}", {"members": [*members]}, {})


def live_member(email, level):
    return LiveResource(Address("Member", ("acme", email)), f"u-{email}", {"level": level}, {})


def world(*items, levels=None):
    people = {
        email: Person(number, f"u-{number}", email, (levels or {}).get(email))
        for number, email in enumerate((ALICE, BOB, CAROL))
    }
    return Live(
        resources={item.address: item for item in items},
        ids={item.address: (item.id,) for item in items},
        duplicates={},
        people={"acme": people},
    )


def declare(kind, *parts, absent=False, renamed_from=None, **written):
    lifecycle = Lifecycle(absent=absent, renamed_from=renamed_from)
    place = Source("config/all.yaml", 7, 1)
    return Resource(Address(kind, parts), KINDS[kind].canonical(written), place, lifecycle)


def rules(action=UPDATE, **more):
    return declare("ApprovalPolicy", *WEB, action, **more)


def find(live, *resources):
    declared = Declared({resource.address: resource for resource in resources}, "working tree")
    changes, problems = three_way.compare_all(declared, None, live)
    assert {problem.code for problem in problems} <= {"incomplete-create"}
    return detect.find_weakenings(changes, live)


def weakened(live, *resources):
    """Addresses and messages of the errors."""
    findings = [f for f in find(live, *resources) if f.severity is Severity.ERROR]
    assert {finding.code for finding in findings} <= {"policy-weakened"}
    return {finding.address.name: finding.message for finding in findings}


def test_a_weaker_policy_is_an_error_with_its_reasons_and_its_way_out():
    """Message, place, and the flag that allows it."""
    approvers = {"quorum": 1, "users": [ALICE]}

    (finding,) = find(world(live_policy()), rules(approvers=approvers, allow_self_approve=True))

    assert (finding.code, finding.severity) == ("policy-weakened", Severity.ERROR)
    assert finding.address == Address("ApprovalPolicy", (*WEB, UPDATE))
    assert "quorum 2 → 1; people may approve their own requests" in finding.message
    assert "--allow-weakening" in finding.fix
    assert finding.source == Source("config/all.yaml", 7, 1)


def test_a_weakening_is_pointed_at_where_it_is_written():
    """The value itself, if the file knows its place."""
    text = b"# why\nenabled: false\n"
    (document,) = reader.read_documents(text, "config/policies.yaml", [])
    address = Address("ApprovalPolicy", (*WEB, UPDATE))
    resource = Resource(
        address, {"enabled": False}, Source("x", 1), origin=WrittenMapping(document.value)
    )

    (finding,) = find(world(live_policy()), resource)

    assert finding.source == Source("config/policies.yaml", 2, 10)


def test_mixed_is_weaker_and_says_what_is_stronger():
    """Weaker in any respect is weaker."""
    (finding,) = find(world(live_policy()), rules(approvers={"quorum": 3, "users": [BOB]}))

    assert "bob@acme.test may approve" in finding.message
    assert finding.why == (
        "but it is stronger in this: quorum 2 → 3; alice@acme.test may no longer approve"
    )


def test_stronger_and_neutral_changes_are_not_mentioned():
    """Nor a policy that is declared as it is."""
    live = world(live_policy(users=(ALICE, BOB)))

    assert find(live, rules(approvers={"quorum": 2, "users": [ALICE]})) == ()
    assert find(live, rules(conditions={"type": "odd"})) == ()
    assert find(live, rules(enabled=True)) == ()


def test_what_only_some_generations_gate_weakens_until_the_generation_is_known():
    """Nothing else shows the version than a request that only generation 3 files."""
    flag = LiveResource(
        Address("FeatureFlag", (*WEB, "f")), "1", {}, {"archived": False, "experiment_set": []}
    )
    live = world(live_policy())
    live = replace(live, resources={**live.resources, flag.address: flag})

    (weakening,) = find(live, rules(conditions=CHANGED))

    assert "changes of the release conditions (on PostHog since autumn 2026" in weakening.message
    first = replace(flag, payload={})
    live = replace(live, resources={**live.resources, flag.address: first})
    assert find(live, rules(conditions=CHANGED)) == ()


def test_deleting_a_policy_is_weaker_and_says_what_is_gated_no_more():
    """Also by `state: absent`."""
    said = weakened(world(live_policy()), rules(absent=True))

    assert "feature_flag.update is no longer gated" in said[UPDATE]
    assert weakened(world(live_policy(enabled=False)), rules(absent=True)) == {}


def test_a_renamed_policy_leaves_its_action_ungated():
    """And gates another."""
    findings = find(world(live_policy()), rules(ENABLE, renamed_from=UPDATE, enabled=True))

    assert [finding.code for finding in findings] == ["policy-weakened", "policy-shadows"]
    assert "feature_flag.update is no longer gated" in findings[0].message
    assert "feature_flag.enable is gated" in findings[0].why


@pytest.mark.parametrize(
    "live", [world(), world(live_policy(enabled=False))], ids=["created", "enabled"]
)
def test_a_policy_that_starts_to_gate_may_shadow_an_organization_wide_one(live):
    """That one cannot be read: a notice, no error."""
    approvers = {"quorum": 2, "users": [ALICE]}

    findings = find(live, rules(enabled=True, approvers=approvers))

    assert [(f.code, f.severity) for f in findings] == [("policy-shadows", Severity.NOTICE)]


def test_a_policy_that_is_created_disabled_is_nothing():
    """It gates nothing, and takes nobody's place."""
    assert find(world(), rules(enabled=False, approvers={"quorum": 1})) == ()


# --- indirectly --------------------------------------------------------------------------------


def role(name, *members, **more):
    return declare("Role", "acme", name, members=list(members), **more)


def test_a_larger_approver_role_is_weaker():
    """Votes are counted against the role of the moment."""
    live = world(live_policy(roles=("Ops",)), live_role("Ops", BOB))

    said = weakened(live, role("Ops", BOB, CAROL))

    assert said == {
        "Ops": "Role/acme/Ops weakens a policy: "
        f"{CAROL} may approve under ApprovalPolicy/acme/Web/{UPDATE}"
    }


def test_the_policies_are_named_in_one_order_whatever_that_of_the_listing():
    """A saved plan and what is found anew at the apply say the same, letter by letter."""
    items = [live_policy(action, f"p-{action}", roles=("Ops",)) for action in (UPDATE, ENABLE)]

    said = [
        weakened(world(*listed, live_role("Ops")), role("Ops", BOB))
        for listed in (items, items[::-1])
    ]

    assert said[0] == said[1]
    assert said[0]["Ops"].index(ENABLE) < said[0]["Ops"].index(UPDATE)


def test_a_smaller_approver_role_is_not():
    """Fewer is stronger; who approves anyway is no news; another role is none of its business."""
    live = world(live_policy(roles=("Ops",)), live_role("Ops", BOB), live_role("Cooks"))

    assert find(live, role("Ops")) == ()
    assert find(live, role("Ops", BOB, ALICE)) == ()
    assert find(live, role("Cooks", CAROL)) == ()


def test_a_larger_bypass_role_is_weaker():
    """Unless the newcomer bypasses already, by level."""
    live = world(
        live_policy(bypass_roles=["Ops"], bypass_levels=["owner"]),
        live_role("Ops"),
        levels={ALICE: 15},
    )

    said = weakened(live, role("Ops", ALICE, BOB))

    assert list(said) == ["Ops"]
    assert f"{BOB} bypasses" in said["Ops"]
    assert ALICE not in said["Ops"]


def test_a_role_that_is_renamed_and_grows_is_still_the_role_of_the_policy():
    """The policy knows it by its id."""
    live = world(live_policy(roles=("Ops",)), live_role("Ops", BOB))

    said = weakened(live, role("Crew", BOB, CAROL, renamed_from="Ops"))

    assert f"{CAROL} may approve" in said["Crew"]
    assert find(live, role("Crew", BOB, renamed_from="Ops")) == ()


def test_a_role_that_a_policy_names_only_now_is_the_policys_finding():
    """Said once, with its members as the plan leaves them."""
    live = world(live_policy(), live_role("Ops", BOB))
    approvers = {"quorum": 2, "users": [ALICE], "roles": ["Ops"]}

    said = weakened(live, role("Ops", BOB, CAROL), rules(approvers=approvers))

    assert list(said) == [UPDATE]
    assert f"({BOB}, {CAROL})" in said[UPDATE]


def test_roles_and_policies_that_are_new_together_weaken_nothing():
    """There was nothing before."""
    approvers = {"quorum": 1, "roles": ["Ops"]}

    assert weakened(world(), role("Ops", BOB), rules(approvers=approvers)) == {}


def test_disabled_policies_and_other_organizations_do_not_count():
    """They gate nothing here."""
    live = world(live_policy(roles=("Ops",), enabled=False), live_role("Ops"))
    other = LiveResource(Address("Role", ("other", "Ops")), "r-o", {"members": []}, {})
    both = world(live_policy(roles=("Ops",)), live_role("Ops"), other)

    assert find(live, role("Ops", CAROL)) == ()
    assert find(both, declare("Role", "other", "Ops", members=[CAROL])) == ()


def test_deleting_a_role_that_a_policy_names_is_an_error():
    """Its id stays behind among the approvers."""
    live = world(live_policy(roles=("Ops",)), live_role("Ops", BOB))
    let_go = rules(approvers={"quorum": 2, "users": [ALICE], "roles": []})

    assert "still names it" in weakened(live, role("Ops", absent=True))["Ops"]
    assert weakened(live, role("Ops", absent=True), let_go) == {}
    assert weakened(live, role("Ops", absent=True), rules(absent=True)).keys() == {UPDATE}


def test_deleting_a_bypass_role_is_not():
    """PostHog takes it out of the policy: fewer bypass."""
    live = world(live_policy(bypass_roles=["Ops"]), live_role("Ops", BOB))

    assert find(live, role("Ops", absent=True)) == ()


def member(email, level):
    return declare("Member", "acme", email, level=level)


def test_a_level_that_bypasses_is_weaker_and_one_that_does_no_more_is_not():
    """Levels match exactly."""
    live = world(
        live_policy(bypass_levels=["admin"]),
        live_member(BOB, "member"),
        live_member(CAROL, "admin"),
    )

    assert f"{BOB} bypasses" in weakened(live, member(BOB, "admin"))[BOB]
    assert weakened(live, member(CAROL, "owner")) == {}


def test_a_new_admin_may_change_the_policies():
    """Nothing is weaker yet: a warning, where there is a policy at all."""
    bob = live_member(BOB, "member")

    (finding,) = find(world(live_policy(), bob), member(BOB, "admin"))

    assert (finding.code, finding.severity) == ("policy-weakening-possible", Severity.WARNING)
    assert find(world(bob), member(BOB, "admin")) == ()
    assert find(world(live_policy(), live_member(BOB, "admin")), member(BOB, "owner")) == ()
    assert find(world(live_policy(), live_member(BOB, "admin")), member(BOB, "member")) == ()


def test_a_default_role_that_approves_or_bypasses_is_weaker():
    """Whoever joins gets it."""
    acme = LiveResource(Address("Organization", ("acme",)), "o-1", {"default_role": None}, {})
    live = world(acme, live_policy(roles=("Ops",), bypass_roles=["Ops"]), live_role("Ops"))

    (finding,) = find(live, declare("Organization", "acme", default_role="Ops"))

    assert (finding.code, finding.severity) == ("policy-weakened", Severity.ERROR)
    assert "may approve under" in finding.message
    assert "which bypasses" in finding.message
    assert find(live, declare("Organization", "acme", name="Acme")) == ()


def test_what_has_no_people_and_gates_nothing_weakens_nothing():
    """Flags and projects."""
    live = world(live_policy())

    assert find(live, declare("FeatureFlag", *WEB, "f", active=True)) == ()
    assert find(live, declare("Project", "acme", "New", timezone="UTC")) == ()


def test_who_comes_in_by_another_door_than_the_one_that_is_closed_is_found():
    """A role that the policy lets go of hides nobody who joins it and is named at the same time."""
    live = world(live_policy(roles=("Ops",)), live_role("Ops", BOB))
    named = rules(approvers={"quorum": 2, "users": [ALICE, CAROL], "roles": []})

    said = weakened(live, named, role("Ops", BOB, CAROL))

    assert f"{CAROL} may approve" in said[UPDATE]
