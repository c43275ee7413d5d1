"""Scheduled changes and the requests that they wait for (contract 18)."""

import pytest

from .conftest import FLAGS, POLICIES, REQUESTS

SCHEDULES = "/api/projects/1/scheduled_changes"
ENABLE, UPDATE = "feature_flag.enable", "feature_flag.update"
ON, OFF = ({"operation": "update_status", "value": value} for value in (True, False))
LATER = "2026-01-05T10:00:00Z"
GROUP = {"properties": [], "rollout_percentage": 90}
ADD = {"operation": "add_release_condition", "value": {"groups": [GROUP]}}


def body(payload=ON, flag=2, **more):
    target = {"record_id": str(flag), "model_name": "FeatureFlag"}
    return {**target, "payload": payload, "scheduled_at": LATER, **more}


def schedule(api, payload=ON, who="max", **more):
    reply = api.post(f"{SCHEDULES}/", body(payload, **more), who=who)
    assert reply.status == 201, reply.body
    return reply.body


def flag(api, number=2):
    return api.get(f"{FLAGS}/{number}/").body


def read(api, change):
    return api.get(f"{SCHEDULES}/{change['id']}/").body


def request_of(api, change):
    return api.get(f"{REQUESTS}/{change['change_request']['id']}/").body


def approve(api, change):
    return api.post(f"{REQUESTS}/{change['change_request']['id']}/approve/", who="ada").body


def test_a_change_without_a_policy_happens_at_its_time(api):
    change = schedule(api)
    assert (change["record_id"], change["team_id"], change["change_request"]) == ("2", 1, None)

    api.sandbox.advance("59m")
    assert flag(api)["active"] is False
    api.sandbox.advance("1m")

    assert flag(api)["active"] is True
    assert flag(api)["last_modified_by"]["email"] == "max@acme.test"
    assert read(api, change)["executed_at"] == LATER
    version = flag(api)["version"]
    api.sandbox.advance("1d")
    assert flag(api)["version"] == version


def test_a_gated_change_gets_its_request_when_it_is_made(api):
    api.policy(ENABLE)

    change = schedule(api)

    assert change["change_request"]["state"] == "pending"
    request = request_of(api, change)
    assert (request["action_key"], request["resource_id"]) == (ENABLE, "2")
    assert request["created_by"]["email"] == "max@acme.test"
    api.sandbox.advance("1h")
    assert request_of(api, change)["state"] == "expired"
    assert flag(api)["active"] is False
    assert read(api, change)["executed_at"] == LATER


def test_an_approved_change_waits_for_its_time(api):
    api.policy(ENABLE)
    change = schedule(api)

    done = approve(api, change)

    assert (done["status"], done["change_request"]["state"]) == ("approved", "approved")
    assert done["message"] == (
        "Quorum reached. Change approved and will be applied at its scheduled time."
    )
    assert "result" not in done
    assert flag(api)["active"] is False
    api.sandbox.advance("1h")
    assert flag(api)["active"] is True
    assert request_of(api, change)["state"] == "applied"


@pytest.mark.parametrize("checked", [True, False])
def test_a_flag_that_moved_meanwhile_is_not_changed(api, checked):
    api.policy(ENABLE)
    change = schedule(api)
    approve(api, change)
    api.patch(f"{FLAGS}/2/", {"name": "moved"})
    if checked:
        api.sandbox.run_task("check_staleness")

    api.sandbox.control("POST", "clock", {"advance": "61m"})

    assert flag(api)["active"] is False
    assert request_of(api, change)["state"] == ("approved" if checked else "failed")


def test_other_operations_write_filters(api):
    schedule(api, ADD, flag=1)
    api.sandbox.advance("1h")

    assert [one["rollout_percentage"] for one in flag(api, 1)["filters"]["groups"]] == [50, 90]

    variants = [{"key": "a", "rollout_percentage": 20}, {"key": "b", "rollout_percentage": 80}]
    split = {"operation": "update_variants", "value": {"variants": variants}}
    schedule(api, split, flag=1, scheduled_at="2026-01-05T11:00:00Z")
    api.sandbox.advance("1h")
    assert flag(api, 1)["filters"]["multivariate"]["variants"] == variants


def test_a_rollout_is_gated_by_the_conditions_of_its_policy(api):
    above = {"type": "before_after", "field": "rollout_percentage", "operator": ">", "value": 80}
    api.policy(UPDATE, conditions=above)

    change = schedule(api, ADD, flag=1)

    assert request_of(api, change)["action_key"] == UPDATE
    api.sandbox.advance("1h")
    assert len(flag(api, 1)["filters"]["groups"]) == 1


def test_policies_of_project_and_organization_conflict(api):
    def wide(seed):
        policy = {"action_key": ENABLE, "approver_config": {"quorum": 1}}
        acme = seed["organizations"][0]
        acme["approval_policies"] = acme["projects"][0]["approval_policies"] = [policy]

    api.reset(wide)

    reply = api.post(f"{SCHEDULES}/", body(), who="max")

    assert (reply.status, reply.body["code"]) == (400, "policy_conflict")
    assert "separate scheduled changes" in reply.body["guidance"]
    assert api.results(f"{SCHEDULES}/") == []


@pytest.mark.parametrize("approved", [True, False])
def test_a_second_schedule_cannot_borrow_a_request(api, approved):
    api.policy(ENABLE)
    first = schedule(api)
    if approved:
        approve(api, first)

    reply = api.post(f"{SCHEDULES}/", body(scheduled_at="2026-01-05T09:05:00Z"), who="mia")

    assert (reply.status, reply.body["code"]) == (409, "change_request_pending")
    assert reply.body["change_request_id"] == first["change_request"]["id"]
    assert len(api.results(f"{SCHEDULES}/")) == 1
    direct = api.patch(f"{FLAGS}/2/", {"active": True}, who="mia")
    assert direct.body["code"] == "change_request_pending"


@pytest.mark.parametrize("approved", [True, False])
def test_a_schedule_with_an_open_request_cannot_be_retimed(api, approved):
    api.policy(ENABLE)
    change = schedule(api)
    if approved:
        approve(api, change)

    reply = api.patch(f"{SCHEDULES}/{change['id']}/", {"scheduled_at": "2026-01-05T09:01:00Z"})

    assert (reply.status, reply.body["attr"]) == (400, "scheduled_at")
    same = {"scheduled_at": LATER, "is_recurring": False}
    assert api.patch(f"{SCHEDULES}/{change['id']}/", same).status == 200


def test_a_schedule_without_a_request_can_be_retimed(api):
    change = schedule(api)

    moved = api.patch(f"{SCHEDULES}/{change['id']}/", {"scheduled_at": "2026-01-05T09:01:00Z"})

    assert moved.body["scheduled_at"] == "2026-01-05T09:01:00Z"
    api.sandbox.advance("1m")
    again = api.patch(f"{SCHEDULES}/{change['id']}/", {"payload": OFF})
    assert (again.status, flag(api)["active"]) == (400, True)


def test_a_changed_payload_is_gated_again_as_the_editor(api):
    api.policy(ENABLE)
    change = schedule(api, OFF)
    assert change["change_request"] is None

    changed = api.patch(f"{SCHEDULES}/{change['id']}/", {"payload": ON}, who="mia").body

    assert request_of(api, changed)["created_by"]["email"] == "mia@acme.test"
    freed = api.patch(f"{SCHEDULES}/{change['id']}/", {"payload": OFF}, who="mia").body
    assert freed["change_request"] is None
    assert request_of(api, changed)["state"] == "expired"


def test_another_gated_payload_gets_another_request(api):
    api.policy(UPDATE)
    change = schedule(api, ADD, flag=1)
    other = {**ADD, "value": {"groups": [{**GROUP, "rollout_percentage": 10}]}}

    changed = api.patch(f"{SCHEDULES}/{change['id']}/", {"payload": other}, who="mia").body

    assert changed["change_request"]["id"] != change["change_request"]["id"]
    assert request_of(api, change)["state"] == "expired"
    assert request_of(api, changed)["state"] == "pending"


@pytest.mark.parametrize("approved", [True, False])
def test_deleting_a_schedule_expires_its_request(api, approved):
    api.policy(ENABLE)
    change = schedule(api)
    if approved:
        approve(api, change)

    assert api.delete(f"{SCHEDULES}/{change['id']}/").status == 204

    assert request_of(api, change)["state"] == "expired"
    assert api.get(f"{SCHEDULES}/{change['id']}/").status == 404


def test_a_recurring_schedule_gets_a_request_for_each_occurrence(api):
    api.policy(ENABLE)
    change = schedule(api, is_recurring=True, recurrence_interval="daily")
    api.sandbox.advance("1h")

    after = read(api, change)

    assert request_of(api, change)["state"] == "expired"
    assert after["change_request"]["id"] != change["change_request"]["id"]
    assert (after["scheduled_at"], after["executed_at"]) == ("2026-01-06T10:00:00Z", None)
    assert after["last_executed_at"] == LATER
    approve(api, after)
    api.sandbox.advance("1d")
    assert flag(api)["active"] is True
    assert read(api, change)["change_request"] is None


def test_a_conflict_at_the_next_occurrence_stops_a_recurring_schedule(api):
    api.policy(ENABLE)
    change = schedule(api, is_recurring=True, recurrence_interval="daily")
    state = api.sandbox.state()
    wide = {"action_key": ENABLE, "approver_config": {"quorum": 1}}
    state["organizations"][0]["approval_policies"] = [wide]
    api.sandbox.reset(state)

    api.sandbox.advance("1h")

    stuck = read(api, change)
    assert (stuck["scheduled_at"], stuck["executed_at"]) == (LATER, None)
    assert stuck["failure_reason"] == "This change matches multiple approval policies"
    assert flag(api)["active"] is False


def test_a_recurring_schedule_ends(api):
    end = "2026-01-06T12:00:00Z"
    change = schedule(
        api, OFF, flag=1, is_recurring=True, recurrence_interval="daily", end_date=end
    )

    api.sandbox.advance("1h")
    assert read(api, change)["executed_at"] is None
    api.sandbox.advance("1d")
    assert read(api, change)["executed_at"] == "2026-01-06T10:00:00Z"


@pytest.mark.parametrize(
    ("change", "attr"),
    [
        ({"record_id": "99"}, None),
        ({"record_id": "x"}, None),
        ({"model_name": "Moon"}, "model_name"),
        ({"payload": []}, "payload"),
        ({"scheduled_at": "soon"}, "scheduled_at"),
        ({"is_recurring": True}, "recurrence_interval"),
        ({"recurrence_interval": "daily"}, "recurrence_interval"),
        ({"payload": ADD, "is_recurring": True, "recurrence_interval": "daily"}, "payload"),
        ({"end_date": "2026-01-05T09:30:00Z"}, "end_date"),
    ],
    ids=str,
)
def test_an_invalid_schedule_is_refused(api, change, attr):
    reply = api.post(f"{SCHEDULES}/", {**body(), **change})

    assert (reply.status, reply.body["attr"]) == (400, attr)


def test_a_payload_that_cannot_be_read_fails_at_its_time(api):
    api.policy(ENABLE)
    change = schedule(api, {"operation": "moon", "value": 1})
    assert change["change_request"] is None

    api.sandbox.advance("1h")

    assert read(api, change)["failure_reason"] == "Invalid payload"


def test_schedules_are_listed_by_flag(api):
    first, second = schedule(api), schedule(api, OFF, flag=1)

    assert [one["id"] for one in api.results(f"{SCHEDULES}/")] == [second["id"], first["id"]]
    assert [one["id"] for one in api.results(f"{SCHEDULES}/?record_id=2")] == [first["id"]]
    assert api.results(f"{SCHEDULES}/?model_name=Moon") == []
    assert api.patch(f"{SCHEDULES}/{first['id']}/", {"record_id": "1"}).status == 400


def test_a_seeded_schedule_fires_and_a_state_keeps_its_request(api):
    def plan(seed):
        web = seed["organizations"][0]["projects"][0]
        web["scheduled_changes"] = [
            {"flag": "off", "scheduled_at": LATER, "payload": ON, "created_by": "max@acme.test"}
        ]

    api.reset(plan)
    api.policy(ENABLE)
    schedule(api, OFF, flag=1)
    state = api.sandbox.state()
    api.sandbox.reset(state)
    assert api.sandbox.state() == state

    api.sandbox.run_task("process_scheduled_changes")
    assert flag(api)["active"] is False
    api.sandbox.advance("1h")
    assert (flag(api)["active"], flag(api, 1)["active"]) == (True, False)
    assert api.results(f"{POLICIES}/")


def test_a_seeded_schedule_without_a_person_is_of_the_first_member(api):
    """Null is a person who is gone: then it fails at its time."""

    def plan(seed):
        web = seed["organizations"][0]["projects"][0]
        what = {"scheduled_at": LATER, "payload": ON}
        web["scheduled_changes"] = [
            {"flag": "off", **what},
            {"flag": "on", **what, "payload": OFF, "created_by": None},
        ]

    api.reset(plan)
    state = api.sandbox.state()
    api.sandbox.reset(state)
    assert api.sandbox.state() == state
    api.sandbox.advance("1h")

    assert (flag(api)["active"], flag(api, 1)["active"]) == (True, True)


def test_cron_is_not_modelled(api):
    reply = api.post(f"{SCHEDULES}/", body(is_recurring=True, cron_expression="0 9 * * 1"))

    assert (reply.status, reply.body) == (404, {"detail": "not modelled by the sandbox"})
