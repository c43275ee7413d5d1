"""The forecast against sections 5.1 and 5.2 of the contract, one row after the other."""

from dataclasses import replace

import pytest

from reconciler.kinds import KINDS
from reconciler.model import (
    Action,
    Address,
    Approvers,
    ChangeRequest,
    Confidence,
    Declared,
    Lifecycle,
    Live,
    LiveResource,
    Person,
    Resource,
    Unreadable,
    Verdict,
    Vote,
    approvals,
)
from reconciler.plan.approvals import forecast
from reconciler.plan.diff import three_way
from reconciler.plan.weakening import effects

ENABLE, DISABLE, UPDATE = (f"feature_flag.{name}" for name in ("enable", "disable", "update"))
WEB = ("acme", "Web")
ALICE, BOB, CI = "alice@acme.test", "bob@acme.test", "ci@acme.test"
PEOPLE = {ALICE: Person(11, "u-11", ALICE, 15), BOB: Person(12, "u-12", BOB, 1)}
ME = Person(13, "u-13", CI, 8)


def rollouts(*percentages, **more):
    """Filters with one group a percentage; `...` leaves the key out."""
    groups = [
        {"properties": []} | ({} if value is ... else {"rollout_percentage": value})
        for value in percentages
    ]
    return {"groups": groups, **more}


def live_flag(filters=None, *, key="checkout", id_="42", **payload):
    payload = {
        "id": int(id_),
        "key": key,
        "version": 3,
        "name": "",
        "active": False,
        "archived": False,
        "filters": rollouts(10) if filters is None else filters,
        **payload,
    }
    kind = KINDS["FeatureFlag"]
    spec = kind.canonical(kind.to_spec(payload))
    return LiveResource(Address("FeatureFlag", (*WEB, key)), id_, spec, payload)


def policy_spec(conditions=None, **more):
    return {
        "enabled": True,
        "conditions": conditions or {},
        "approvers": {"quorum": 1, "users": [ALICE], "roles": []},
        "allow_self_approve": False,
        "bypass_levels": [],
        "bypass_roles": [],
        "expires_after": "14d",
        **more,
    }


def policy(action=UPDATE, conditions=None, **more):
    address = Address("ApprovalPolicy", (*WEB, action))
    return LiveResource(address, f"p-{action}", policy_spec(conditions, **more), {})


def role(name, *members):
    address = Address("Role", ("acme", name))
    return LiveResource(address, f"r-{name}", {"members": list(members)}, {})


def organization(features=("approvals",), level=8):
    payload = {"membership_level": level}
    if features is not ...:
        payload["available_product_features"] = features and [{"key": f} for f in features]
    return LiveResource(Address("Organization", ("acme",)), "o-1", {}, payload)


def world(*resources, me=ME, people=None, org=None, **more):
    items = (org or organization(), *resources)
    people = PEOPLE | {ME.email: ME} if people is None else people
    return Live(
        resources={item.address: item for item in items},
        ids={item.address: (item.id,) for item in items},
        duplicates={},
        people={"acme": people},
        me=me,
        **more,
    )


def flag(spec, key="checkout", **more):
    kind = KINDS["FeatureFlag"]
    return Resource(Address("FeatureFlag", (*WEB, key)), kind.canonical(spec), **more)


def declare(kind, *parts, absent=False, **spec):
    normal = KINDS[kind].canonical(spec)
    return Resource(Address(kind, parts), normal, lifecycle=Lifecycle(absent=absent))


def plan(live, *resources, **more):
    """The changes with their gates, by the name of the resource."""
    declared = Declared({resource.address: resource for resource in resources}, "working tree")
    changes, problems = three_way.compare_all(declared, None, live)
    assert {problem.code for problem in problems} <= {"incomplete-create"}
    last = effects.find_gate_effects(changes, live).list_last()
    gated = forecast.forecast_gates(changes, live, last=last, **more)
    return {change.address.name: change for change in gated}


def gate(live, spec, *others, **more):
    return plan(live, flag(spec), *others, **more)["checkout"].gate


def request(data, action=UPDATE, **more):
    payload = {
        "created_at": "2026-01-05T09:00:00Z",
        "expires_at": "2026-01-19T09:00:00Z",
        "intent": {
            "flag_id": 42,
            "flag_key": "checkout",
            "full_request_data": data,
            "preconditions": {"version": 3},
        },
        "policy_snapshot": {"quorum": 2, "users": [11, 99], "roles": ["r-Ops"]},
    }
    whose = {"requester": CI, "requester_id": 13} | more
    return ChangeRequest(
        **{
            "id": "cr-1",
            "action_key": action,
            "state": "pending",
            "resource_id": "42",
            "name": "checkout",
            "organization": "acme",
            "project": "Web",
            "payload": payload,
        }
        | whose
    )


# --- 5.2: what each action detects -----------------------------------------------------------

LIVE = live_flag()
NEIGHBOUR = live_flag(key="neighbour", id_="7")  # by which the generation is known
ON = live_flag(active=True)
DETECTED = [
    ("false to true is enable", LIVE, {"active": True}, ENABLE),
    ("true to false is disable", ON, {"active": False}, DISABLE),
    ("active as it is, is nothing", ON, {"active": True, "name": "n"}, None),
    ("a rollout that moves is update", LIVE, {"filters": rollouts(50)}, UPDATE),
    ("a rollout that is 10.0 is no move", LIVE, {"filters": rollouts(10.0), "name": "n"}, None),
    ("a group that appears is update", LIVE, {"filters": rollouts(10, 20)}, UPDATE),
    ("100 to null is update", live_flag(rollouts(100)), {"filters": rollouts(None)}, UPDATE),
    ("null to missing is update", live_flag(rollouts(None)), {"filters": rollouts(...)}, UPDATE),
    ("no group at all is update", LIVE, {"filters": {"groups": []}}, UPDATE),
    ("empty filters say nothing", LIVE, {"filters": {}, "name": "n"}, None),
    (
        "variants are positions",
        live_flag({**rollouts(10), "multivariate": {"variants": [{"key": "a"}]}}),
        {"filters": {"multivariate": {"variants": [{"key": "a", "rollout_percentage": 100}]}}},
        UPDATE,
    ),
    (
        "the holdout is a position",
        live_flag(rollouts(10, holdout={"exclusion_percentage": 5})),
        {"filters": rollouts(10, holdout={"exclusion_percentage": 6})},
        UPDATE,
    ),
    (
        "what the files do not write stays, and is no move",
        live_flag(rollouts(10, holdout={"exclusion_percentage": 5})),
        {"filters": rollouts(10), "name": "n"},
        None,
    ),
    ("name, tags and the rest are ungated", LIVE, {"name": "n", "tags": ["a"]}, None),
    ("archiving is ungated", LIVE, {"archived": True}, None),
    ("born active is enable", None, {"active": True}, ENABLE),
    ("active left out is born active", None, {"name": "n"}, ENABLE),
    ("born inactive is nothing, never disable", None, {"active": False}, None),
    (
        "a rollout at birth is update",
        None,
        {"active": False, "filters": rollouts(0)},
        UPDATE,
    ),
    (
        "null at birth is a position too",
        None,
        {"active": False, "filters": rollouts(None)},
        UPDATE,
    ),
    (
        "a birth without percentage has no position",
        None,
        {"active": False, "filters": rollouts(...)},
        None,
    ),
    (
        "a remote configuration without filters is for all",
        None,
        {"active": False, "is_remote_configuration": True},
        UPDATE,
    ),
]


@pytest.mark.parametrize(
    ("live", "spec", "expected"), [r[1:] for r in DETECTED], ids=[r[0] for r in DETECTED]
)
def test_detection(live, spec, expected):
    """With a policy for every action, exactly the one that contract 5.2 names is met."""
    everything = (policy(ENABLE), policy(DISABLE), policy(UPDATE))

    found = gate(world(*everything, live or NEIGHBOUR), spec)

    if expected is None:
        assert (found.verdict, found.confidence) == (Verdict.NONE, Confidence.CERTAIN)
    else:
        assert (found.verdict, found.confidence) == (Verdict.APPROVAL, Confidence.CERTAIN)
        assert found.policy == f"ApprovalPolicy/acme/Web/{expected}"


def test_a_remote_configuration_at_birth_counts_as_100():
    """The number itself is what the condition sees."""
    over = {"type": "before_after", "field": "rollout_percentage", "operator": ">", "value": 99}
    spec = {"active": False, "is_remote_configuration": True}

    found = gate(world(policy(UPDATE, over)), spec)

    assert found.condition == "rollout_percentage becomes more than 99 (nothing -> 100)"


def test_a_position_that_is_ignored_does_not_move():
    """lifecycle.ignore keeps the live value, so nothing is sent that the gate could see."""
    resource = flag(
        {"name": "n", "filters": rollouts(50)}, lifecycle=Lifecycle(ignore=("filters.groups",))
    )

    found = plan(world(LIVE, policy()), resource)["checkout"]

    assert (found.action, found.gate.verdict) == (Action.UPDATE, Verdict.NONE)


def test_an_ignored_part_is_sent_as_it_is_live():
    """Other parts of the same field move; the ignored rollout does not."""
    live = live_flag(rollouts(10, holdout={"id": 1, "exclusion_percentage": 5}), name="old")
    wants = {"name": "n", "filters": rollouts(50, holdout={"id": 2, "exclusion_percentage": 5})}
    never = "filters.multivariate"

    def verdict(*ignore):
        resource = flag(wants, lifecycle=Lifecycle(ignore=ignore))
        return plan(world(live, policy()), resource)["checkout"].gate.verdict

    assert verdict("filters.groups") is Verdict.NONE
    assert verdict("filters.groups", never, "tags", "filters.holdout.exclusion_percentage") is (
        Verdict.NONE
    )
    assert verdict(never) is Verdict.APPROVAL


def test_an_ignored_part_that_is_not_live_is_not_sent():
    """There is nothing to put back."""
    live = live_flag(rollouts(10))
    wants = {"filters": rollouts(10, holdout={"exclusion_percentage": 5}, payloads={"a": "1"})}
    resource = flag(wants, lifecycle=Lifecycle(ignore=("filters.holdout",)))

    assert plan(world(live, policy()), resource)["checkout"].gate.verdict is Verdict.NONE


def test_deleting_and_doing_nothing_are_gated_by_nothing():
    """Contract 3.6 and 0.10."""
    everything = world(LIVE, policy(ENABLE), policy(DISABLE), policy(UPDATE))
    gone = flag({}, lifecycle=Lifecycle(absent=True))

    assert plan(everything, gone)["checkout"].gate == approvals.Gate()
    assert gate(everything, {"active": False}) == approvals.Gate()


LIMIT = {"type": "change_amount", "field": "rollout_percentage", "operator": ">", "value": 5}
FINAL = {"type": "before_after", "field": "rollout_percentage", "operator": ">=", "value": 10}
SELECTED = {"type": "any_change", "field": "release_conditions"}


@pytest.mark.parametrize(
    ("conditions", "verdict", "condition"),
    [
        ({}, Verdict.APPROVAL, "every change of release_conditions (groups[0])"),
        (SELECTED, Verdict.APPROVAL, "every change of release_conditions (groups[0])"),
        (FINAL, Verdict.APPROVAL, "rollout_percentage becomes at least 10 (10 -> 10)"),
        (LIMIT, Verdict.NONE, None),
        ({"type": "any_change", "field": "rollout_percentage"}, Verdict.NONE, None),
    ],
)
def test_a_change_of_properties_meets_the_table_of_conditions(conditions, verdict, condition):
    """Contract 4, and never certain: neither the generation nor the owner is shown."""
    spec = {"filters": {"groups": [{"properties": [{"key": "a"}], "rollout_percentage": 10}]}}

    found = gate(world(LIVE, policy(UPDATE, conditions)), spec)

    assert (found.verdict, found.condition) == (verdict, condition)
    if verdict is Verdict.APPROVAL:
        assert found.confidence is Confidence.LIKELY


def test_conditions_on_targeting_find_nothing_while_only_rollouts_change():
    """G3 supplies the release conditions only if they changed (contract 4)."""
    any_number = {"type": "change_amount", "field": "release_conditions"}
    conditions = {**any_number, "operator": "<", "value": 100}

    found = gate(world(LIVE, policy(UPDATE, conditions)), {"filters": rollouts(90)})

    assert found.verdict is Verdict.NONE


@pytest.mark.parametrize(
    "spec",
    [
        {"bucketing_identifier": "device_id"},
        {"filters": rollouts(10, ...)},
        {"filters": rollouts(10, early_exit=True)},
        {"filters": {"groups": [{"properties": [], "rollout_percentage": 10, "variant": "a"}]}},
    ],
)
def test_every_part_of_the_targeting_is_forecast(spec):
    """Match-by is sent together with the filters (contract 5.7)."""
    found = gate(world(LIVE, policy(UPDATE)), spec)

    assert (found.verdict, found.confidence) == (Verdict.APPROVAL, Confidence.LIKELY)


@pytest.mark.parametrize(
    ("payload", "actions", "expected"),
    [
        ({"experiment_set": [7]}, [UPDATE], (Verdict.APPROVAL, Confidence.LIKELY, UPDATE)),
        (
            {"experiment_set": [7]},
            [UPDATE, "experiment.update"],
            (Verdict.APPROVAL, Confidence.CERTAIN, "experiment.update"),
        ),
        ({"experiment_set": [7]}, [UPDATE, "experiment.pause"], (Verdict.NONE, Confidence.LIKELY)),
        ({"features": [{"id": 1}]}, [UPDATE], (Verdict.APPROVAL, Confidence.LIKELY, UPDATE)),
        (
            {"features": [{"id": 1}]},
            [UPDATE, "experiment.update"],
            (Verdict.NONE, Confidence.CERTAIN),
        ),
        ({}, [UPDATE], (Verdict.APPROVAL, Confidence.CERTAIN, UPDATE)),
        ({}, [UPDATE, "experiment.pause"], (Verdict.APPROVAL, Confidence.LIKELY, UPDATE)),
    ],
)
def test_the_owner_decides_which_policy_a_rollout_meets(payload, actions, expected):
    """Contract 5.8: a policy of experiments that can be read shows that the switch is on."""
    live = live_flag(rollouts(10))
    live.payload.update(payload)

    found = gate(world(live, *map(policy, actions)), {"filters": rollouts(20)})

    assert (found.verdict, found.confidence) == expected[:2]
    if len(expected) > 2:
        assert found.policy.endswith(expected[2])


@pytest.mark.parametrize("owner", ["experiment_set", "features"])
def test_the_release_conditions_of_an_owned_flag_are_free(owner):
    """Contract 5.8, whatever the switch; only the second generation does not look at the owner."""
    live = live_flag(rollouts(10))
    live.payload[owner] = [7]
    spec = {"filters": {"groups": [{"properties": [{"key": "a"}], "rollout_percentage": 10}]}}

    assert gate(world(live, policy(UPDATE)), spec).verdict is Verdict.NONE


def test_display_keys_order_and_operator_are_no_release_condition():
    """Properties are compared in one form and order."""
    one = {"key": "a", "type": "person", "operator": "exact", "value": ["x"], "label": "A"}
    other = {"key": "b", "type": "person"}
    groups = [{"properties": [one, other], "rollout_percentage": 10}]
    same = [{"properties": [other, {**one, "operator": None}], "rollout_percentage": 10}]
    changed = {"type": "any_change", "field": "release_conditions"}

    found = gate(
        world(live_flag({"groups": groups}), policy(UPDATE, changed)),
        {"filters": {"groups": same, "aggregation_group_type_index": None}},
    )

    assert found.verdict is Verdict.NONE


def test_another_aggregation_is_another_release_condition():
    """The flag is rolled out to groups in place of people."""
    changed = {"type": "any_change", "field": "release_conditions"}
    spec = {"filters": rollouts(10, aggregation_group_type_index=0)}

    found = gate(world(LIVE, policy(UPDATE, changed)), spec)

    assert found.condition == "every change of release_conditions (groups[0])"


def test_where_rounding_decides_the_forecast_is_only_likely():
    """The server may count in doubles, or not."""
    limit = {
        "type": "change_amount",
        "field": "rollout_percentage",
        "operator": "!=",
        "value": 20.2,
    }
    live = live_flag(rollouts(10.1))

    found = gate(world(live, policy(UPDATE, limit)), {"filters": rollouts(30.3)})

    assert (found.verdict, found.confidence) == (Verdict.APPROVAL, Confidence.LIKELY)
    assert "rounding" in found.note


# --- 5.1: order of evaluation ----------------------------------------------------------------


def test_the_example_of_the_interface():
    """Policy, condition with numbers, quorum, approvers by name, expiry."""
    rise = {"type": "change_amount", "field": "rollout_percentage", "operator": ">", "value": 20}
    ops = role("Ops", ALICE, BOB)
    approvers = {"quorum": 2, "users": [ALICE], "roles": ["Ops"]}

    found = gate(
        world(LIVE, ops, policy(UPDATE, rise, approvers=approvers)), {"filters": rollouts(50)}
    )

    assert found == approvals.Gate(
        verdict=Verdict.APPROVAL,
        confidence=Confidence.CERTAIN,
        policy="ApprovalPolicy/acme/Web/feature_flag.update",
        condition="rollout_percentage changes by more than 20 (10 -> 50)",
        quorum=2,
        approvers=Approvers((ALICE,), {"Ops": (ALICE, BOB)}),
        expires_after="14d",
    )


WORDS = [
    (UPDATE, {}, {"filters": rollouts(50)}, "every change of rollout_percentage (10 -> 50)"),
    (
        UPDATE,
        {},
        {"filters": rollouts(10, 12.5)},
        "every change of rollout_percentage (groups[1]: nothing -> 12.5)",
    ),
    (
        UPDATE,
        {"type": "before_after", "field": "rollout_percentage", "operator": ">=", "value": 50},
        {"filters": rollouts(50)},
        "rollout_percentage becomes at least 50 (10 -> 50)",
    ),
    (
        UPDATE,
        {"type": "any_change", "field": "rollout_percentage"},
        {"filters": rollouts(None)},
        "every change of rollout_percentage (10 -> null)",
    ),
    (
        UPDATE,
        {"type": "magic"},
        {"filters": rollouts(50)},
        (
            "every change of rollout_percentage (10 -> 50); its condition type 'magic' is unknown, "
            "so it gates everything"
        ),
    ),
    (ENABLE, {}, {"active": True}, "active: false -> true"),
    (
        ENABLE,
        {"type": "any_change"},
        {"active": True},
        "active: false -> true; its conditions have no field, so it gates everything",
    ),
]


@pytest.mark.parametrize(("action", "conditions", "spec", "expected"), WORDS)
def test_the_condition_is_a_sentence_with_the_numbers(action, conditions, spec, expected):
    """What a person reads in the plan."""
    assert expected == gate(world(LIVE, policy(action, conditions)), spec).condition


def test_a_created_flag_is_said_to_be_created_active():
    """There is no `false` that it comes from."""
    assert gate(world(policy(ENABLE)), {"name": "n"}).condition == "created active"


@pytest.mark.parametrize("features", [(), None, ("audit_logs",)])
def test_without_the_feature_the_gate_is_off_and_that_is_a_warning(features):
    """Policies may exist that never gate anything (contract 1.4)."""
    live = world(LIVE, policy(), org=organization(features))

    found = plan(live, flag({"filters": rollouts(50)}))["checkout"]

    assert found.gate == approvals.Gate()
    assert [finding.code for finding in found.warnings] == ["gate-off"]
    assert plan(live, flag({"name": "n"}))["checkout"].warnings == ()


def test_without_the_feature_and_without_policies_there_is_nothing_to_warn_of():
    """No policy, no surprise."""
    found = plan(world(LIVE, org=organization(())), flag({"filters": rollouts(50)}))["checkout"]

    assert (found.gate, found.warnings) == (approvals.Gate(), ())


def test_a_server_that_does_not_tell_its_features_is_taken_to_gate():
    """Fields missing from an answer are tolerated."""
    live = world(LIVE, policy(), org=organization(...))

    assert gate(live, {"filters": rollouts(50)}).verdict is Verdict.APPROVAL


@pytest.mark.parametrize("policies", [(), (policy(enabled=False),), (policy(ENABLE),)])
def test_without_an_enabled_policy_an_organization_wide_one_may_gate(policies):
    """It cannot be read: none, and only likely."""
    found = gate(world(LIVE, *policies), {"filters": rollouts(50)})

    assert (found.verdict, found.confidence) == (Verdict.NONE, Confidence.LIKELY)
    assert "organization" in found.note
    assert found.policy is None


def steps(gate):
    """What each call writes, and what happens to it."""
    return [(step.fields, step.verdict, step.policy) for step in gate.steps]


@pytest.mark.parametrize("filters", [rollouts(10, 20), rollouts(10, early_exit=True)])
def test_without_a_policy_targeting_counts_as_much_as_a_percentage(filters):
    """A policy of the organization may look at either, on any server."""
    live = live_flag(rollouts(10))
    found = gate(world(live), {"filters": filters})
    assert (found.verdict, found.confidence) == (Verdict.NONE, Confidence.LIKELY)
    assert f"no enabled policy for {UPDATE}; an organization-wide one" in found.note
    assert gate(world(live, policy()), {"filters": filters}).waits


def test_two_matching_actions_are_a_split_and_the_first_gated_call_is_described():
    """One raw write would be 400 policy_conflict; sent as filters, then active."""
    live = world(LIVE, policy(UPDATE, expires_after="2d"), policy(ENABLE))

    found = gate(live, {"active": True, "filters": rollouts(50)})

    assert (found.verdict, found.confidence) == (Verdict.SPLIT, Confidence.CERTAIN)
    assert found.policy == f"ApprovalPolicy/acme/Web/{UPDATE}"
    assert found.condition == "every change of rollout_percentage (10 -> 50)"
    assert found.expires_after == "2d"
    assert steps(found) == [
        (("filters",), Verdict.APPROVAL, f"ApprovalPolicy/acme/Web/{UPDATE}"),
        (("active",), Verdict.APPROVAL, f"ApprovalPolicy/acme/Web/{ENABLE}"),
    ]


def test_a_split_comes_before_conditions_and_bypass():
    """Step 6 stands before 8 and 9: also who bypasses, or would not be gated, meets the 400."""
    never = {"type": "before_after", "field": "rollout_percentage", "operator": ">", "value": 100}
    quiet = world(LIVE, policy(UPDATE, never), policy(DISABLE), policy(ENABLE))
    through = world(
        LIVE, policy(UPDATE, bypass_levels=["admin"]), policy(ENABLE, bypass_levels=["admin"])
    )
    spec = {"active": True, "filters": rollouts(50)}

    first, second = gate(quiet, spec), gate(through, spec)

    assert first.verdict is Verdict.SPLIT
    assert first.policy == f"ApprovalPolicy/acme/Web/{ENABLE}"
    assert second.verdict is Verdict.SPLIT
    assert second.policy == f"ApprovalPolicy/acme/Web/{UPDATE}"
    assert [Verdict.BYPASS, Verdict.BYPASS] == [verdict for _, verdict, _ in steps(second)]
    assert second.bypassed


def test_a_create_under_two_policies_is_a_split_that_is_born_inactive():
    """The second call enables: false to true."""
    live = world(NEIGHBOUR, policy(UPDATE, {"type": "magic"}), policy(ENABLE))

    found = gate(live, {"filters": rollouts(50)})

    assert (found.verdict, found.confidence) == (Verdict.SPLIT, Confidence.CERTAIN)
    assert found.policy == f"ApprovalPolicy/acme/Web/{UPDATE}"
    assert steps(found) == [
        (("filters", "active"), Verdict.APPROVAL, f"ApprovalPolicy/acme/Web/{UPDATE}"),
        (("active",), Verdict.APPROVAL, f"ApprovalPolicy/acme/Web/{ENABLE}"),
    ]


def test_two_actions_and_one_policy_are_no_split():
    """Only actions with an enabled policy count; the organization may have the other policy."""
    live = world(LIVE, policy(UPDATE), policy(ENABLE, enabled=False))

    found = gate(live, {"active": True, "filters": rollouts(50)})

    assert (found.verdict, found.confidence) == (Verdict.APPROVAL, Confidence.LIKELY)
    assert f"no enabled policy for {ENABLE}; an organization-wide one" in found.note
    assert gate(live, {"filters": rollouts(50)}).confidence is Confidence.CERTAIN


@pytest.mark.parametrize(
    ("level", "levels", "verdict"),
    [
        (15, ["owner"], Verdict.BYPASS),
        (15, ["admin"], Verdict.APPROVAL),  # exact match, not "at least"
        (8, ["owner", "admin"], Verdict.BYPASS),
        (1, ["owner", "admin"], Verdict.APPROVAL),
        (3, [3], Verdict.BYPASS),
    ],
)
def test_bypass_by_level_is_an_exact_match(level, levels, verdict):
    """Contract 5.1, step 8."""
    live = world(LIVE, policy(bypass_levels=levels), org=organization(level=level))

    found = gate(live, {"filters": rollouts(50)})

    assert (found.verdict, found.confidence) == (verdict, Confidence.CERTAIN)
    assert ("BYPASSED" in found.note) is (verdict is Verdict.BYPASS)


def test_bypass_by_role():
    """Any role of the list will do; names are compared as roles are, whatever their case."""
    ops = role("Ops", "CI@acme.test")

    found = gate(world(LIVE, ops, policy(bypass_roles=["ops"])), {"filters": rollouts(50)})

    assert found.verdict is Verdict.BYPASS
    assert found.note.startswith("BYPASSED: ci@acme.test holds the role ops")
    assert found.condition == "every change of rollout_percentage (10 -> 50)"


def test_nothing_is_bypassed_where_nothing_is_gated():
    """The conditions are not met: no alarm."""
    rise = {"type": "change_amount", "field": "rollout_percentage", "operator": ">", "value": 90}
    live = world(LIVE, policy(UPDATE, rise, bypass_levels=["admin"]))

    found = gate(live, {"filters": rollouts(50)})

    assert (found.verdict, found.confidence) == (Verdict.NONE, Confidence.CERTAIN)


def test_levels_come_from_the_organization_then_from_the_member_then_from_the_key():
    """The key's own answer is about its current organization, which may be another."""
    rules = policy(bypass_levels=["admin"])
    nothing = organization(level=None)
    spec = {"filters": rollouts(50)}

    member = gate(world(LIVE, rules, org=nothing), spec)
    key = gate(world(LIVE, rules, org=nothing, people=PEOPLE), spec)
    nobody = gate(world(LIVE, rules, org=nothing, me=None), spec)

    assert (member.verdict, member.confidence) == (Verdict.BYPASS, Confidence.CERTAIN)
    assert (key.verdict, key.confidence) == (Verdict.BYPASS, Confidence.LIKELY)
    assert (nobody.verdict, nobody.confidence) == (Verdict.APPROVAL, Confidence.LIKELY)


def test_an_unknown_user_may_hold_a_bypass_role():
    """Without `user:read` that cannot be told."""
    live = world(LIVE, role("Ops"), policy(bypass_roles=["Ops"]), me=None)

    found = gate(live, {"filters": rollouts(50)})

    assert (found.verdict, found.confidence) == (Verdict.APPROVAL, Confidence.LIKELY)
    assert "it is not known" in found.note


def test_a_bypass_that_the_plan_itself_gives_comes_after_the_flag():
    """Who gets weaker gates is written last."""
    live = world(LIVE, role("Ops"), policy(bypass_roles=["Ops"]))

    found = gate(live, {"filters": rollouts(50)}, declare("Role", "acme", "Ops", members=[CI]))

    assert (found.verdict, found.confidence) == (Verdict.APPROVAL, Confidence.CERTAIN)
    assert "after this plan no approval may be needed" in found.note


def test_a_bypass_that_the_plan_takes_away_is_gone_before_the_flag():
    """The same the other way round, by level and by role."""
    there = LiveResource(Address("Member", ("acme", CI)), "u-13", {"level": "admin"}, {})
    by_level = world(LIVE, policy(bypass_levels=["admin"]), there)
    by_role = world(LIVE, role("Ops", CI), policy(bypass_roles=["Ops"]))

    for live, change in (
        (by_level, declare("Member", "acme", CI, level="member")),
        (by_role, declare("Role", "acme", "Ops", members=[])),
    ):
        assert gate(live, {"filters": rollouts(50)}).verdict is Verdict.BYPASS
        found = gate(live, {"filters": rollouts(50)}, change)
        assert (found.verdict, found.confidence) == (Verdict.APPROVAL, Confidence.CERTAIN)


def test_a_bypass_role_that_is_deleted_goes_last_so_the_flag_still_bypasses():
    """Deletes come after everything."""
    live = world(LIVE, role("Ops", CI), policy(bypass_roles=["Ops"]))

    found = gate(live, {"filters": rollouts(50)}, declare("Role", "acme", "Ops", absent=True))

    assert (found.verdict, found.confidence) == (Verdict.BYPASS, Confidence.CERTAIN)


def test_a_condition_on_active_makes_the_server_fail_unless_one_bypasses():
    """What the gate cannot evaluate may end in a 500."""
    broken = {"type": "any_change", "field": "active"}

    fails = gate(world(LIVE, policy(ENABLE, broken)), {"active": True})
    passes = gate(world(LIVE, policy(ENABLE, broken, bypass_levels=["admin"])), {"active": True})

    assert (fails.verdict, fails.confidence) == (Verdict.NONE, Confidence.UNKNOWN)
    assert "500" in fails.note
    assert (passes.verdict, passes.confidence) == (Verdict.NONE, Confidence.CERTAIN)


# --- policies of this same plan --------------------------------------------------------------


def change_policy(action=UPDATE, absent=False, **spec):
    return declare("ApprovalPolicy", *WEB, action, absent=absent, **spec)


def test_a_policy_that_the_plan_creates_counts():
    """It is written before the flag, with the server's defaults."""
    created = change_policy(approvers={"quorum": 1, "users": [BOB]})

    found = gate(world(LIVE), {"filters": rollouts(50)}, created)

    assert (found.verdict, found.confidence) == (Verdict.APPROVAL, Confidence.CERTAIN)
    assert (found.approvers.users, found.expires_after) == ((BOB,), "14d")
    assert "is created by the same plan" in found.note


def test_a_policy_counts_as_the_plan_leaves_it():
    """Written fields over live ones; what is not written stays."""
    changed = change_policy(conditions={}, approvers={"quorum": 2, "users": [ALICE, BOB]})
    never = {"type": "before_after", "field": "rollout_percentage", "operator": ">", "value": 100}

    found = gate(
        world(LIVE, policy(UPDATE, never, expires_after="1d")), {"filters": rollouts(50)}, changed
    )

    assert (found.verdict, found.quorum, found.expires_after) == (Verdict.APPROVAL, 2, "1d")
    assert "is changed by the same plan" in found.note


@pytest.mark.parametrize(
    "gone", [change_policy(absent=True), change_policy(enabled=False)], ids=["deleted", "disabled"]
)
def test_a_policy_that_the_plan_takes_away_goes_after_the_flag(gone):
    """So it still counts, and the note says what becomes of it."""
    found = gate(world(LIVE, policy()), {"filters": rollouts(50)}, gone)

    assert (found.verdict, found.confidence) == (Verdict.APPROVAL, Confidence.CERTAIN)
    assert "weakened afterwards by the same plan" in found.note


def test_a_policy_that_is_renamed_gates_its_new_action_only():
    """The old action has no policy any more."""
    renamed = Resource(
        Address("ApprovalPolicy", (*WEB, ENABLE)),
        {"enabled": True},
        lifecycle=Lifecycle(renamed_from=UPDATE),
    )
    live = world(LIVE, policy(UPDATE))

    assert gate(live, {"filters": rollouts(50)}, renamed).verdict is Verdict.NONE
    assert gate(live, {"active": True}, renamed).verdict is Verdict.APPROVAL


def test_a_policy_that_is_declared_as_it_is_changes_nothing():
    """`none` rows are no change."""
    same = change_policy(enabled=True)

    found = gate(world(LIVE, policy()), {"filters": rollouts(50)}, same)

    assert (found.verdict, found.note) == (Verdict.APPROVAL, "")


def test_in_a_new_organization_nothing_is_certain():
    """Nobody knows its plan yet."""
    live = replace(world(), resources={})
    created = declare("Organization", "acme", name="Acme")
    rules = change_policy(approvers={"quorum": 1, "users": [ALICE]})

    found = gate(live, {"filters": rollouts(50)}, created, rules)

    assert (found.verdict, found.confidence) == (Verdict.APPROVAL, Confidence.LIKELY)


# --- people ----------------------------------------------------------------------------------


def approvers(quorum, users=(), roles=()):
    return {"quorum": quorum, "users": list(users), "roles": list(roles)}


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (policy(approvers=approvers(1, [CI, ALICE])), "ci@acme.test, who files the request"),
        (policy(approvers=approvers(1, [CI])), "nobody can approve it"),
        (policy(approvers=approvers(1)), "nobody can approve it"),
        (policy(approvers=approvers(2, [ALICE])), "only 1 can approve it, and 2 are needed"),
        (policy(approvers=approvers(2, [ALICE, CI])), "only 1 can approve it, and 2 are needed"),
        (policy(approvers=approvers(1, [ALICE, "gone@acme.test"])), "not in acme: gone@acme.test"),
        (policy(approvers=approvers(1, ["id:99"])), "nobody can approve it"),
        (policy(approvers=approvers(1, [], ["Gone"])), "nobody can approve it"),
        (policy(approvers=approvers(2, [ALICE], ["Ops"])), ""),
        (policy(approvers=approvers(2, [CI, ALICE]), allow_self_approve=True), ""),
    ],
)
def test_the_note_says_who_cannot_approve_and_whether_enough_can(rules, said):
    """The requester with self-approval off, people who left, a quorum nobody reaches."""
    found = gate(world(LIVE, role("Ops", BOB), rules), {"filters": rollouts(50)})

    assert found.verdict is Verdict.APPROVAL
    assert said in found.note
    assert bool(said) is bool(found.note)


def test_approvers_by_role_are_shown_as_the_plan_leaves_them():
    """Votes are counted against the roles of the moment (contract 7.4)."""
    rules = policy(approvers=approvers(1, [], ["Ops"]))
    changed = declare("Role", "acme", "Ops", members=[BOB])

    found = gate(world(LIVE, role("Ops", ALICE), rules), {"filters": rollouts(50)}, changed)

    assert found.approvers == Approvers((), {"Ops": (BOB,)})


def test_roles_that_cannot_be_read_are_said():
    """Not that nobody can approve."""
    gap = Unreadable("Role", ("acme",), "403")
    live = world(LIVE, policy(approvers=approvers(1, [], ["id:r-1"])), unreadable=(gap,))

    assert "cannot be read" in gate(live, {"filters": rollouts(50)}).note


def test_a_role_that_is_deleted_renamed_or_new_is_followed():
    """Under either name while the plan renames it."""
    rules = policy(approvers=approvers(1, [], ["Old", "New", "Gone"]))
    renamed = Resource(
        Address("Role", ("acme", "New")), {}, lifecycle=Lifecycle(renamed_from="Old")
    )
    gone = declare("Role", "acme", "Gone", absent=True)
    live = world(LIVE, role("Old", ALICE), role("Gone", BOB), rules)

    found = gate(live, {"filters": rollouts(50)}, renamed, gone)

    assert found.approvers.roles == {"Old": (ALICE,), "New": (ALICE,), "Gone": ()}


# --- what cannot be read ---------------------------------------------------------------------


def test_policies_that_cannot_be_read_leave_the_gate_unknown():
    """None, unknown, and why."""
    gap = Unreadable("ApprovalPolicy", WEB, "missing scope approvals:read", 403)
    live = world(LIVE, unreadable=(gap,))

    found = gate(live, {"filters": rollouts(50)})

    assert (found.verdict, found.confidence) == (Verdict.NONE, Confidence.UNKNOWN)
    assert "approvals:read" in found.note
    assert gate(live, {"name": "n"}).confidence is Confidence.CERTAIN


def test_requests_that_cannot_be_read_leave_the_gate_unknown():
    """A request may hold the flag."""
    gap = Unreadable("ChangeRequest", WEB, "missing scope", 403)
    live = world(LIVE, policy(), unreadable=(gap,))

    found = gate(live, {"filters": rollouts(50)})

    assert (found.verdict, found.confidence) == (Verdict.APPROVAL, Confidence.UNKNOWN)
    assert gate(live, {"name": "n"}).confidence is Confidence.UNKNOWN


# --- requests that are there already ---------------------------------------------------------


def test_a_request_with_this_very_intent_is_pending():
    """Its snapshot decides, whatever the policy says by now."""
    open_one = request({"filters": rollouts(50)})
    live = world(LIVE, role("Ops", BOB), policy(), change_requests=(open_one,))

    found = gate(live, {"filters": rollouts(50)})

    assert (found.verdict, found.confidence) == (Verdict.PENDING, Confidence.CERTAIN)
    assert (found.change_request, found.quorum) == ("cr-1", 2)
    assert found.approvers == Approvers((ALICE, "id:99"), {"Ops": (BOB,)})
    assert found.policy == f"ApprovalPolicy/acme/Web/{UPDATE}"
    assert found.condition == "every change of rollout_percentage (10 -> 50)"
    assert "expires 2026-01-19 09:00 UTC" in found.note
    assert "not in acme: id:99" in found.note
    assert "nobody" not in found.note


def test_who_filed_a_pending_request_cannot_approve_it():
    """The requester of the request, who need not be this key's user."""
    filed = request({"filters": rollouts(50)}, requester=ALICE)
    live = world(LIVE, role("Ops", BOB), policy(), change_requests=(filed,))

    found = gate(live, {"filters": rollouts(50)})

    assert f"{ALICE}, who files the request, cannot approve it" in found.note
    assert "only 1 can approve it, and 2 are needed" in found.note
    assert found.cannot_approve == {
        ALICE: "files the request",
        "id:99": "not in acme",
    }


def test_who_has_voted_cannot_vote_again():
    """By name, for whoever looks for the next one to ask."""
    vote = Vote(BOB, approved=True, at="2026-01-06T09:00:00Z")
    filed = request({"filters": rollouts(50)}, votes=(vote,))
    live = world(LIVE, role("Ops", BOB), policy(), change_requests=(filed,))

    found = gate(live, {"filters": rollouts(50)})

    assert found.cannot_approve == {"id:99": "not in acme", BOB: "has approved"}


def test_a_request_with_another_intent_blocks_every_write():
    """Any write would make it unappliable; the note says whose it is."""
    other = request({"filters": rollouts(90)}, requester=BOB)
    live = world(LIVE, policy(), change_requests=(other,))

    for spec in ({"filters": rollouts(50)}, {"name": "n"}):
        found = gate(live, spec)

        assert (found.verdict, found.change_request) == (Verdict.BLOCKED, "cr-1")
        assert BOB in found.note
    gone = flag({}, lifecycle=Lifecycle(absent=True))
    assert plan(live, gone)["checkout"].gate.verdict is Verdict.BLOCKED


def test_blocked_comes_before_pending_and_pending_before_split():
    """What a person most needs to know."""
    ours, theirs = request({"filters": rollouts(50)}), request({"filters": rollouts(90)}, id="cr-2")
    spec = {"active": True, "filters": rollouts(50)}
    rules = (policy(UPDATE), policy(ENABLE))

    blocked = gate(world(LIVE, *rules, change_requests=(ours, theirs)), spec)
    pending = gate(world(LIVE, *rules, change_requests=(ours,)), spec)

    assert (blocked.verdict, blocked.change_request) == (Verdict.BLOCKED, "cr-2")
    assert (pending.verdict, pending.change_request) == (Verdict.PENDING, "cr-1")


def test_of_two_equal_requests_the_older_is_waited_for():
    """Reliability G2."""
    first, second = request({"filters": rollouts(50)}), request({"filters": rollouts(50)}, id="a")
    later = replace(second, payload={**second.payload, "created_at": "2026-01-06T09:00:00Z"})

    found = gate(world(LIVE, policy(), change_requests=(later, first)), {"filters": rollouts(50)})

    assert found.change_request == "cr-1"


def test_a_request_that_the_flag_has_overtaken_is_said_to_be_dead():
    """Contract 0.5: approval would end in `failed`."""
    moved = world(live_flag(version=4), policy(), change_requests=(request({"active": True}),))

    assert "can no longer be applied" in gate(moved, {"active": True}).note


def test_requests_of_other_flags_and_closed_ones_hold_nothing():
    """Another id, another project, another state."""
    ours = request({"filters": rollouts(90)})
    others = (
        replace(ours, resource_id="43"),
        replace(ours, project="Mobile"),
        replace(ours, state="rejected"),
        replace(ours, resource_id=None),
    )

    found = gate(world(LIVE, policy(), change_requests=others), {"filters": rollouts(50)})

    assert found.verdict is Verdict.APPROVAL


def test_a_rejection_that_stands_is_remembered():
    """The same intent is not filed again; another intent is."""
    turned_down = request({"filters": rollouts(50)}, state="rejected")
    live = world(LIVE, policy())

    same = gate(live, {"filters": rollouts(50)}, rejections=(turned_down,))
    other = gate(live, {"filters": rollouts(60)}, rejections=(turned_down,))
    free = gate(world(LIVE), {"filters": rollouts(50)}, rejections=(turned_down,))

    assert (same.verdict, same.change_request) == (Verdict.REJECTED, "cr-1")
    assert other.verdict is Verdict.APPROVAL
    assert free.verdict is Verdict.NONE


# --- the frame -------------------------------------------------------------------------------


def test_other_kinds_and_untouched_flags_keep_no_gate():
    """Only flag writes are gated."""
    created = declare("Role", "acme", "New", members=[])

    found = plan(world(LIVE, policy()), created, flag({"filters": rollouts(50)}))

    assert found["New"].gate == approvals.Gate()
    assert found["checkout"].gate.verdict is Verdict.APPROVAL
    assert forecast.forecast_gates((), world(), last=()) == ()


def test_projects_are_those_in_which_a_flag_is_written():
    """Only there are policies and requests read."""
    live = world(LIVE)
    declared = {
        r.address: r for r in (flag({"active": True}), declare("Role", "acme", "R", members=[]))
    }
    changes, _ = three_way.compare_all(Declared(declared, ""), None, live)
    idle, _ = three_way.compare_all(
        Declared({LIVE.address: flag({"active": False})}, ""), None, live
    )

    assert forecast.list_gated_projects(changes) == {Address("Project", WEB)}
    assert forecast.list_gated_projects(idle) == set()
