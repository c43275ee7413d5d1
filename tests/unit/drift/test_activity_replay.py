"""The log walked back from what is live: which entry moved which field."""

from reconciler.drift.activity_replay import WHOLE, ActivityReplay
from reconciler.model import Address, LogAction
from tests.unit.drift.worlds import FLAG, SPELL, drifted, entry, resource, there

GROUPS = [{"properties": [], "rollout_percentage": 10}]
WIDE = [{"properties": [], "rollout_percentage": 90}]
ROLLOUT = "filters.groups[0].rollout_percentage"


def walked(change, *entries):
    """The trail of a change after entries, newest first."""
    trails = ActivityReplay([change], SPELL)
    for one in sorted(entries, key=lambda one: one.at, reverse=True):
        trails.take(one, {"1": "Web"})
    return trails.histories[change.address]


def test_the_newest_entry_that_moved_a_field_explains_it():
    change = drifted(resource(name="a"), there(name="c"))

    trail = walked(change, entry(1, ("name", "a", "b")), entry(2, ("name", "b", "c")))

    assert ("e2", ("b", "c"), True) == (
        trail.events["name"].entry.id,
        trail.events["name"].values,
        trail.events["name"].fits,
    )
    assert trail.done


def test_an_entry_about_another_part_of_filters_explains_nothing():
    change = drifted(
        resource(filters={"groups": GROUPS}),
        there(filters={"groups": WIDE, "payloads": {"a": "1"}}),
    )
    before, after = {"groups": WIDE}, {"groups": WIDE, "payloads": {"a": "1"}}

    trail = walked(change, entry(2, ("filters", before, after)))

    assert {ROLLOUT} == trail.open


def test_what_the_server_adds_to_filters_is_no_move():
    """The log has the stored form; both sides are brought into ours before they are compared."""
    change = drifted(resource(filters={"groups": GROUPS}), there(filters={"groups": WIDE}))
    stored = [{**WIDE[0], "aggregation_group_type_index": None, "variant": None}]

    trail = walked(
        change,
        entry(2, ("filters", {"groups": WIDE}, {"groups": stored})),
        entry(1, ("filters", {"groups": GROUPS}, {"groups": WIDE})),
    )

    assert "e1" == trail.events[ROLLOUT].entry.id


def test_a_create_explains_every_field_and_knows_the_object_as_it_was():
    """Rolled back over what came later: it was born inactive."""
    change = drifted(resource(name="a", active=True), there(name="b", active=True))

    trail = walked(
        change,
        entry(2, ("active", False, True)),
        entry(1, activity="created"),
    )

    step = trail.events["name"]
    assert (LogAction.CREATED, None, False, "b") == (
        step.action,
        step.before,
        step.after["active"],
        step.after["name"],
    )


def test_what_is_gone_is_explained_by_its_deletion_alone():
    """By name, for the id is not known; in this project only; what happened before is no reason."""
    change = drifted(resource(name="a"), None)
    deletion = entry(3, ("deleted", False, True), item="7", activity="deleted")

    assert walked(change, deletion).events[WHOLE].action is LogAction.DELETED
    assert (
        walked(change, entry(3, ("deleted", False, True))).events[WHOLE].action is LogAction.DELETED
    )
    assert walked(change, entry(1, activity="created")).open == {WHOLE}
    assert walked(change, entry(3, activity="deleted", project="2")).open == {WHOLE}
    assert walked(change, entry(3, activity="deleted", name="b")).open == {WHOLE}


def test_what_came_back_was_made_anew_or_restored():
    change = drifted(resource(absent=True), there())

    assert walked(change, entry(2, activity="created")).events[WHOLE].action is LogAction.CREATED
    restored = walked(change, entry(2, ("deleted", True, False)))
    assert restored.events[WHOLE].action is LogAction.RESTORED


def test_a_name_is_found_whatever_its_case_where_the_kind_folds_it():
    role = Address("Role", ("acme", "Managers"))
    change = drifted(resource(role, members=[]), None)
    gone = entry(1, scope="Role", activity="deleted", name="managers", project=None)

    assert walked(change, gone).done


def test_what_the_log_never_shows_is_not_asked_for():
    """Who holds a role, and policies: nobody waits for an entry."""
    role = Address("Role", ("acme", "Managers"))
    policy = Address("ApprovalPolicy", ("acme", "Web", "feature_flag.enable"))
    changes = [
        drifted(resource(role, members=["a@x.test"]), there(role, members=[], name="Managers")),
        drifted(resource(policy, enabled=True), there(policy, enabled=False)),
    ]

    trails = ActivityReplay(changes, SPELL)

    assert all(trail.done for trail in trails.histories.values())
    assert [] == list(trails.list_questions())


def test_a_value_that_follows_no_entry_does_not_fit():
    change = drifted(resource(name="a"), there(name="somebody else's"))

    assert walked(change, entry(1, ("name", "a", "b"))).events["name"].fits is False


def test_odd_values_of_a_log_are_no_reason_to_fail():
    change = drifted(resource(filters={"groups": GROUPS}), there(filters={"groups": WIDE}))
    odd = [None, 7, "x", [], {"groups": None}, {"groups": [None]}, {"groups": [{"properties": 3}]}]

    for number, value in enumerate(odd):
        walked(change, entry(number, ("filters", value, odd[-1 - number]), ("nonsense", 1, 2)))


def test_one_listing_asks_for_a_hundred_objects_of_an_organization():
    """Ids of what is there and names of what is gone in listings of their own; scopes each once."""
    changes = []
    for number in range(250):
        address = Address("FeatureFlag", ("acme", "Web", f"f{number}"))
        live = there(address, str(number), name="y") if number % 2 else None
        changes.append(drifted(resource(address, name="x"), live))
    member = Address("Member", ("other", "b@x.test"))
    user = {"uuid": "u", "email": "b@x.test"}
    changes.append(drifted(resource(member, level="member"), there(member, level=8, user=user)))

    asked = [one.question for one in ActivityReplay(changes, SPELL).list_questions()]

    sizes = [(one.organization, len(one.items), len(one.names)) for one in asked]
    assert sizes == [
        ("acme", 100, 0),
        ("acme", 25, 0),
        ("acme", 0, 100),
        ("acme", 0, 25),
        ("other", 2, 0),
    ]
    assert {("FeatureFlag",), ("OrganizationMembership",)} == {one.scopes for one in asked}


def test_an_entry_that_comes_twice_is_taken_once():
    change = drifted(resource(name="a"), there(name="b"))
    trails = ActivityReplay([change], SPELL)

    for _ in range(2):
        trails.take(entry(1, ("tags", [], ["x"])), {})

    assert {"name"} == trails.histories[FLAG].open
