"""When an open change request is the one that a change would file (contract 7.2)."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.kinds import KINDS
from reconciler.model import Address, ChangeRequest, Lifecycle, LiveResource, Resource
from reconciler.plan.approvals.request_matching import has_same_intent, is_about, is_open_on_object
from reconciler.plan.diff import three_way

FLAG = KINDS["FeatureFlag"]
HERE = Address("FeatureFlag", ("acme", "Web", "checkout"))
TARGETED = [{"key": "plan", "type": "person", "value": ["pro"]}]


def rollouts(*percentages, **more):
    groups = [{"properties": [], "rollout_percentage": value} for value in percentages]
    return {"groups": groups, **more}


def live(filters=None, **payload):
    payload = {
        "id": 42,
        "key": "checkout",
        "name": "",
        "active": False,
        "tags": [],
        "filters": filters or rollouts(10),
        **payload,
    }
    return LiveResource(HERE, "42", FLAG.canonical(FLAG.to_spec(payload)), payload)


def change(spec, there=None, **lifecycle):
    lifecycle = Lifecycle(**lifecycle)
    return three_way.compare_resource(
        Resource(HERE, FLAG.canonical(spec), lifecycle=lifecycle), None, there
    )


def request(data, *, gated=None, **more):
    intent = {"flag_key": "checkout", "full_request_data": data, "gated_changes": gated or {}}
    made = ChangeRequest(
        id="cr-1",
        action_key="feature_flag.update",
        state="pending",
        resource_id="42",
        name="checkout",
        organization="acme",
        project="Web",
        requester=None,
        requester_id=None,
        payload={"intent": intent},
    )
    return replace(made, **more)


NORMALIZED = {
    "groups": [{"properties": [], "rollout_percentage": 50, "aggregation_group_type_index": None}],
    "aggregation_group_type_index": None,
}
WANTS = {"name": "New", "filters": rollouts(50)}
ROWS = [
    ("the gated field alone", {"filters": rollouts(50)}, WANTS, True),
    ("the same, normalized by the server", {"filters": NORMALIZED}, WANTS, True),
    ("50 and 50.0", {"filters": rollouts(50.0)}, WANTS, True),
    ("the whole change in one body", {"name": "New", "filters": rollouts(50)}, WANTS, True),
    (
        "a raw body with what only steers the write",
        {"filters": rollouts(50), "version": 3, "original_flag": {"name": "x"}, "_x": 1},
        WANTS,
        True,
    ),
    (
        "a raw body of a whole form, the rest as it is live",
        {"key": "checkout", "name": "New", "active": False, "filters": rollouts(50), "tags": []},
        WANTS,
        True,
    ),
    ("another percentage", {"filters": rollouts(60)}, WANTS, False),
    ("one group more", {"filters": rollouts(50, 5)}, WANTS, False),
    ("another name beside it", {"name": "Old", "filters": rollouts(50)}, WANTS, False),
    ("an unmanaged field besides", {"filters": rollouts(50), "tags": ["x"]}, WANTS, False),
    ("an unmanaged filter besides", {"filters": rollouts(50, payloads={"a": "1"})}, WANTS, False),
    ("nothing of the change", {"active": False}, WANTS, False),
    ("nothing at all", {}, WANTS, False),
    ("a delete", {"filters": rollouts(50), "deleted": True}, WANTS, False),
    ("a rename", {"filters": rollouts(50), "key": "other"}, WANTS, False),
    ("half of the change: only active", {"active": True}, {**WANTS, "active": True}, True),
    ("the other half as it was", {"active": True, "filters": rollouts(10)}, WANTS, False),
    ("active the other way", {"active": False}, {**WANTS, "active": True}, False),
]


@pytest.mark.parametrize(
    ("data", "spec", "expected"), [r[1:] for r in ROWS], ids=[r[0] for r in ROWS]
)
def test_row(data, spec, expected):
    """All of it must be wanted, and nothing besides."""
    there = live()

    assert has_same_intent(request(data), change(spec, there), there) is expected


def test_a_lifecycle_call_has_no_body_and_still_says_active():
    """POST …/enable/ proposes `gated_changes.active`."""
    there = live()
    wants = change({"active": True}, there)

    assert has_same_intent(request({}, gated={"active": True}), wants, there)
    assert not has_same_intent(request({}, gated={"active": False}), wants, there)
    assert not has_same_intent(request({}, gated={"rollout_percentage": []}), wants, there)
    assert not has_same_intent(replace(request({}), payload={}), wants, there)


def test_filters_are_merged_into_the_stored_ones():
    """What a request leaves out of `filters` stays; what the files leave out, too."""
    there = live(rollouts(10, holdout={"exclusion_percentage": 5}))
    wants = change({"filters": rollouts(50)}, there)

    assert has_same_intent(request({"filters": rollouts(50)}), wants, there)
    kept = rollouts(50, holdout={"exclusion_percentage": 5})
    assert has_same_intent(request({"filters": kept}), wants, there)
    other = rollouts(50, holdout={"exclusion_percentage": 6})
    assert not has_same_intent(request({"filters": other}), wants, there)


def test_what_is_ignored_or_cannot_be_read_back_is_not_compared():
    """lifecycle.ignore, and encrypted payloads."""
    there = live(rollouts(10, payloads={"a": "********"}), has_encrypted_payloads=True)
    spec = {"name": "n", "filters": rollouts(50, payloads={"a": '"secret"'})}
    redacted = rollouts(50, payloads={"a": "********"})

    assert has_same_intent(request({"filters": redacted}), change(spec, there), there)
    ignoring = change({"name": "n", "filters": rollouts(77)}, live(), ignore=("filters.groups",))
    assert has_same_intent(request({"name": "n", "filters": rollouts(60)}), ignoring, live())


def test_the_flag_as_last_seen_counts_more_than_as_it_was_planned():
    """Between two calls of one change the flag has moved, by our own hand."""
    there = live()
    wants = change({"name": "New", "filters": rollouts(50)}, there)
    moved = {"name": "New", "tags": ["by hand"]}
    seen = replace(there, spec={**there.spec, **moved}, payload={**there.payload, **moved})

    assert has_same_intent(request({"filters": rollouts(50), "tags": ["by hand"]}), wants, seen)


CREATES = [
    ("as the files want it", {"filters": rollouts(50), "active": True}, True),
    ("born active because it says nothing", {"filters": rollouts(50)}, True),
    ("born inactive, the first of two calls", {"filters": rollouts(50), "active": False}, True),
    ("a server's defaults besides", {"filters": rollouts(50), "tags": [], "name": ""}, True),
    ("with its key", {"key": "checkout", "filters": rollouts(50)}, True),
    ("another percentage", {"filters": rollouts(5)}, False),
    ("another name", {"filters": rollouts(50), "name": "Mine"}, False),
    ("more filters", {"filters": rollouts(50, payloads={"a": "1"})}, False),
]


@pytest.mark.parametrize(
    ("data", "expected"), [r[1:] for r in CREATES], ids=[r[0] for r in CREATES]
)
def test_a_create_is_known_by_its_key_and_its_fields(data, expected):
    """A gated create has no id."""
    wants = change({"filters": rollouts(50)})
    filed = request(data, resource_id=None)

    assert has_same_intent(filed, wants, None) is expected
    assert not has_same_intent(replace(filed, name="other"), wants, None)


def test_a_flag_that_the_files_want_inactive_is_not_the_one_born_active():
    """Left out means active."""
    wants = change({"filters": rollouts(50), "active": False})

    assert not has_same_intent(request({"filters": rollouts(50)}, resource_id=None), wants, None)
    assert has_same_intent(
        request({"filters": rollouts(50), "active": False}, resource_id=None), wants, None
    )


def test_the_second_call_of_a_create_is_still_the_create():
    """The flag has an id by now, the change has none: the key tells."""
    wants = change({"filters": rollouts(50), "active": True})

    assert has_same_intent(request({"active": True}), wants, None)
    assert not has_same_intent(request({"active": False}), wants, None)


def test_without_the_flag_what_the_files_do_not_write_must_be_empty():
    """There is nothing to compare it with."""
    wants = change({"filters": rollouts(50)}, live())

    assert has_same_intent(request({"filters": rollouts(50), "tags": []}), wants, None)
    assert not has_same_intent(request({"filters": rollouts(50), "tags": ["x"]}), wants, None)


def test_a_delete_never_files():
    """Contract 0.10."""
    there = live()
    gone = change({}, there, absent=True)

    assert not has_same_intent(request({"active": False}), gone, there)
    assert is_open_on_object(request({"active": False}), gone)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("pending", True),
        ("approved", True),
        ("applied", False),
        ("rejected", False),
        ("expired", False),
        ("failed", False),
        ("brand-new", True),  # a state that nobody knows counts as open
    ],
)
def test_only_open_requests_hold(state, expected):
    """Pending and approved."""
    wants = change({"active": True}, live())

    assert is_open_on_object(request({"active": True}, state=state), wants) is expected


def test_a_request_is_about_one_flag_of_one_project():
    """By id; by key while there is no id."""
    update, create = change({"active": True}, live()), change({"active": True})
    filed = request({"active": True})

    assert is_about(filed, update)
    assert not is_about(replace(filed, resource_id="43"), update)
    assert not is_about(replace(filed, resource_id=None), update)
    assert not is_about(replace(filed, project="Mobile"), update)
    assert is_about(replace(filed, resource_id=None), create)
    assert not is_about(replace(filed, organization="other", resource_id=None), create)


PERCENT = st.one_of(st.integers(0, 100), st.just(12.5), st.none())
SPECS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["", "a", "b"]),
        "active": st.booleans(),
        "tags": st.lists(st.sampled_from(["x", "y"]), max_size=2),
        "filters": st.builds(lambda values: rollouts(*values), st.lists(PERCENT, max_size=3)),
    },
)


@given(before=SPECS, wanted=SPECS)
def test_every_call_that_we_send_files_a_request_that_is_ours(before, wanted):
    """Whatever the change: what its own stages propose has its intent."""
    there = live(**before)
    moving = change(wanted, there)
    roots = {one.path.split(".")[0].split("[")[0] for one in moving.fields}
    spec = {name: value for name, value in moving.desired.spec.items() if name in roots}

    for stage in FLAG.stages(moving.action, spec, split=False) if roots else ():
        body = dict(stage)
        if "filters" in body:
            body["filters"] = {**there.payload["filters"], **(body["filters"] or {})}
        assert has_same_intent(request(body), moving, there)


@given(wanted=SPECS, split=st.booleans())
def test_every_create_that_we_send_files_a_request_that_is_ours(wanted, split):
    """In one call or in several."""
    moving = change(wanted)
    first, *others = FLAG.stages(moving.action, moving.desired.spec, split=split)

    assert has_same_intent(request({"key": "checkout", **first}, resource_id=None), moving, None)
    assert all(has_same_intent(request(dict(stage)), moving, None) for stage in others)


@given(before=SPECS, wanted=SPECS, proposed=SPECS)
def test_a_request_that_is_ours_leads_towards_the_files(before, wanted, proposed):
    """Once it is applied, no field differs that did not differ before, and one less does."""
    there = live(**before)
    moving = change(wanted, there)

    if has_same_intent(request(proposed), moving, there):
        after = {**there.payload, **proposed}
        if "filters" in proposed:
            after["filters"] = {**there.payload["filters"], **proposed["filters"]}
        left = change(wanted, replace(there, spec=FLAG.canonical(FLAG.to_spec(after))))

        assert {f.path for f in left.fields} < {f.path for f in moving.fields}
