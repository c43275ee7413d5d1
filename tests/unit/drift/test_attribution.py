"""Entries, requests and policies → approved, unapproved, bypass, unknown."""

from dataclasses import replace

import pytest

from reconciler.drift import attribution, filters
from reconciler.drift.activity_replay import ActivityReplay
from reconciler.drift.approvals import Approvals
from reconciler.kinds import KINDS
from reconciler.model import (
    IDENTITIES,
    Action,
    Address,
    ApprovalClass,
    Attribution,
    Hold,
    Unreadable,
    mask_person,
    matches_any,
)
from reconciler.plan.approvals import past_coverage
from tests.unit.drift.worlds import (
    NOON,
    SPELL,
    WEB,
    applied,
    at,
    declared,
    drifted,
    entry,
    policy,
    resource,
    there,
    world,
)

ENABLE = "feature_flag.enable"
ON = ("active", False, True)


def told(*, entries=(), requests=(), policies=(), files=(), live=None, blind=(), **more):
    """The attribution of a flag that is on and should be off."""
    flag = there(active=True, version=5, **more)
    change = drifted(resource(active=False), flag)
    trails = ActivityReplay([change], SPELL)
    for one in sorted(entries, key=lambda one: one.at, reverse=True):
        trails.take(one, {"1": "Web"})
    live = live if live is not None else world(flag, *policies)
    evidence = attribution.Evidence(
        trails.histories,
        Approvals(requests, SPELL),
        past_coverage.PastCoverage(live, declared(*files)).find_cover,
        blind=blind,
    )
    (changed,) = attribution.attribute_changes((change,), evidence)
    return changed.fields[0].attribution


def test_an_applied_request_of_the_same_person_time_and_values_is_behind_a_write():
    found = told(entries=[entry(5, ON)], requests=[applied(5, {"active": True})])

    assert (ApprovalClass.APPROVED, "r5", "dana@acme.test") == (
        found.approval_class,
        found.change_request,
        found.person,
    )


@pytest.mark.parametrize(
    "request_",
    [
        applied(4, {"active": True}),  # another time
        applied(5, {"active": False}),  # another value
        applied(5, {"name": "x"}),  # another field
        applied(5, {"active": True}, requester_id=8),  # another person
        applied(5, {"active": True}, resource_id="102"),  # another flag
        applied(5, {"active": True}, organization="other"),
        applied(5, {"active": True}, state="rejected"),
        applied(5, {"active": True}, payload={"applied_at": None}),
    ],
)
def test_any_other_request_is_not(request_):
    """And then the policy that covered the write was passed by."""
    found = told(entries=[entry(5, ON)], requests=[request_], policies=[policy(ENABLE)])

    assert (ApprovalClass.BYPASS, f"ApprovalPolicy/acme/Web/{ENABLE}") == (
        found.approval_class,
        found.policy,
    )


def test_of_two_requests_the_nearest_in_time_counts():
    near, far = applied(5, {"active": True}), applied(5.1, {"active": True})

    assert "r5" == told(entries=[entry(5, ON)], requests=[far, near]).change_request


def test_a_gated_create_is_known_by_what_it_made():
    """The request has no id of a flag, its result has."""
    made = applied(5, {"key": "a"}, resource_id=None)

    assert (
        told(entries=[entry(5, activity="created")], requests=[made]).approval_class
        is ApprovalClass.APPROVED
    )


OFF = resource(Address("ApprovalPolicy", (*WEB, ENABLE)), enabled=False)
IN_GIT = resource(Address("ApprovalPolicy", (*WEB, ENABLE)), enabled=True)
AMOUNT = {"type": "change_amount", "field": "rollout_percentage", "operator": ">", "value": 20}


@pytest.mark.parametrize(
    ("policies", "files", "way"),
    [
        ([], [], ApprovalClass.UNAPPROVED),
        ([policy(ENABLE)], [], ApprovalClass.BYPASS),
        ([policy("feature_flag.update")], [], ApprovalClass.UNAPPROVED),
        ([policy(ENABLE, enabled=False)], [], ApprovalClass.UNAPPROVED),
        (
            [policy(ENABLE, conditions=AMOUNT)],
            [],
            ApprovalClass.UNAPPROVED,
        ),  # says nothing of enabling
        ([policy(ENABLE, made=9)], [], ApprovalClass.UNAPPROVED),  # it was not there yet
        ([policy(ENABLE, changed=9)], [], ApprovalClass.BYPASS),  # as it is now
        ([policy(ENABLE, changed=9, enabled=False)], [], ApprovalClass.UNKNOWN),  # in no log
        (
            [policy(ENABLE, changed=9, enabled=False)],
            [IN_GIT],
            ApprovalClass.BYPASS,
        ),  # as git has it
        ([policy(ENABLE, changed=9, enabled=False)], [OFF], ApprovalClass.UNAPPROVED),
        (
            [policy(ENABLE, changed=1, enabled=False)],
            [IN_GIT],
            ApprovalClass.UNAPPROVED,
        ),  # off at the time
        ([], [IN_GIT], ApprovalClass.UNKNOWN),  # deleted, nobody knows when
        ([], [OFF], ApprovalClass.UNAPPROVED),
    ],
)
def test_what_policies_say_of_a_write_of_the_past(policies, files, way):
    found = told(entries=[entry(5, ON)], policies=policies, files=files)

    assert way is found.approval_class
    assert (way is ApprovalClass.UNKNOWN) <= bool(found.note)


def test_a_policy_that_was_off_while_git_has_it_on_is_said():
    """Unapproved, and by whose doing is another line of the report."""
    found = told(
        entries=[entry(5, ON)],
        policies=[policy(ENABLE, changed=1, enabled=False)],
        files=[IN_GIT],
    )

    assert "as in git" in found.note


def test_without_the_feature_nothing_gates():
    flag = there(active=True)

    for features, way in (((), ApprovalClass.UNAPPROVED), (None, ApprovalClass.BYPASS)):
        live = world(flag, policy(ENABLE), features=features)
        assert way is told(entries=[entry(5, ON)], live=live).approval_class


def test_what_cannot_be_read_accuses_nobody():
    flag = there(active=True)
    closed = world(flag, unreadable=(Unreadable("ApprovalPolicy", WEB, "no scope", 403),))
    hidden = told(entries=[entry(5, ON)], live=closed)
    blind = told(entries=[entry(5, ON)], policies=[policy(ENABLE)], blind=[WEB])

    assert (ApprovalClass.UNKNOWN, True) == (hidden.approval_class, "no scope" in hidden.note)
    assert (ApprovalClass.UNKNOWN, True) == (blind.approval_class, "cannot read" in blind.note)
    assert "dana@acme.test" == hidden.person == blind.person


def test_without_an_entry_the_request_of_the_flags_own_version_tells():
    """Nothing was written after it; with another version something was."""
    last = applied(5, {"active": True})
    other = applied(
        5, {"active": True}, payload={"result_data": {"resource_id": 101, "resource_version": 4}}
    )

    assert (ApprovalClass.APPROVED, "dana@acme.test") == (
        told(requests=[last]).approval_class,
        told(requests=[last]).person,
    )
    assert told(requests=[other]).approval_class is ApprovalClass.UNKNOWN
    assert told(requests=[applied(5, {"name": "x"})]).approval_class is ApprovalClass.UNKNOWN


def test_without_anything_the_object_itself_says_when_it_was_written():
    at_all = told(updated_at="2026-01-06T10:12:13Z", last_modified_by={"email": "bob@acme.test"})

    assert at_all.note == (
        "the activity log has no entry about it; "
        "it was last written on 2026-01-06 10:12 UTC by bob@acme.test"
    )


@pytest.mark.parametrize(
    ("person", "full", "initials", "none"),
    [
        ("dana@acme.test", "dana@acme.test", "D.", None),
        ("dana.van-smith_2@acme.test", "dana.van-smith_2@acme.test", "D.V.S.2.", None),
        ("@acme.test", "@acme.test", None, None),
        ("PostHog", "PostHog", "PostHog", "PostHog"),
        (None, None, None, None),
    ],
)
def test_names_as_a_report_may_have_them(person, full, initials, none):
    shown = [mask_person(person, word) for word in IDENTITIES]

    assert [full, initials, none] == shown


def moved(minutes, way=ApprovalClass.UNAPPROVED, **fields):
    """A drifted flag, each field with an attribution."""
    change = drifted(resource(**dict.fromkeys(fields, "x")), there(**fields))
    known = Attribution(at=at(minutes).isoformat(), approval_class=way)
    return replace(change, fields=tuple(replace(one, attribution=known) for one in change.fields))


def test_a_window_keeps_what_is_in_it_and_what_has_no_time():
    old, new = moved(1, name="a"), moved(9, name="b")
    unknown = replace(old, fields=(replace(old.fields[0], attribution=Attribution()),))

    kept, left = filters.drop_older((old, new, unknown), at(5))

    assert [Action.NONE, Action.UPDATE, Action.UPDATE] == [change.action for change in kept]
    assert 1 == left


def test_what_is_left_out_of_a_change_is_ignored_by_what_is_sent():
    """PostHog takes filters as a whole: the rest has to go along as it is live."""
    change = moved(1, name="a")
    kept, _ = filters.keep_classes((change,), ("approved",))

    assert (Action.NONE, ("name",)) == (kept[0].action, kept[0].desired.lifecycle.ignore)


def test_the_longest_of_several_holds_counts_and_one_that_is_over_does_not():
    change = moved(1, name="a")
    lines = [Hold("*", at(minutes), str(minutes), "why") for minutes in (-5, 60, 30)]
    other = Hold("FeatureFlag/other/*", at(99), "99", "why")

    (held,) = filters.add_holds((change,), [*lines, other], NOON, matches_any)

    assert "60" == held.hold.written
    assert filters.add_holds((change,), lines, at(60), matches_any)[0].hold is None


def test_every_kind_is_in_the_log_or_said_not_to_be():
    """A new kind has to say what the log calls it; nothing else would ask for its entries."""
    unlogged = {kind.name for kind in KINDS.values() if not kind.activity_scopes}

    assert {"ApprovalPolicy", "ProjectAccess"} == unlogged
