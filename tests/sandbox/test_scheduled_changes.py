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


def schedule(g3, payload=ON, who="max", **more):
    reply = g3.post(f"{SCHEDULES}/", body(payload, **more), who=who)
    assert reply.status == 201, reply.body
    return reply.body


def flag(g3, number=2):
    return g3.get(f"{FLAGS}/{number}/").body


def read(g3, change):
    return g3.get(f"{SCHEDULES}/{change['id']}/").body


def request_of(g3, change):
    return g3.get(f"{REQUESTS}/{change['change_request']['id']}/").body


def approve(g3, change):
    return g3.post(f"{REQUESTS}/{change['change_request']['id']}/approve/", who="ada").body


def test_a_change_without_a_policy_happens_at_its_time(g3):
    change = schedule(g3)
    assert (change["record_id"], change["team_id"], change["change_request"]) == ("2", 1, None)

    g3.sandbox.advance("59m")
    assert flag(g3)["active"] is False
    g3.sandbox.advance("1m")

    assert flag(g3)["active"] is True
    assert flag(g3)["last_modified_by"]["email"] == "max@acme.test"
    assert read(g3, change)["executed_at"] == LATER
    version = flag(g3)["version"]
    g3.sandbox.advance("1d")
    assert flag(g3)["version"] == version


def test_a_gated_change_gets_its_request_when_it_is_made(g3):
    g3.policy(ENABLE)

    change = schedule(g3)

    assert change["change_request"]["state"] == "pending"
    request = request_of(g3, change)
    assert (request["action_key"], request["resource_id"]) == (ENABLE, "2")
    assert request["created_by"]["email"] == "max@acme.test"
    g3.sandbox.advance("1h")
    assert request_of(g3, change)["state"] == "expired"
    assert flag(g3)["active"] is False
    assert read(g3, change)["executed_at"] == LATER


def test_an_approved_change_waits_for_its_time(g3):
    g3.policy(ENABLE)
    change = schedule(g3)

    done = approve(g3, change)

    assert (done["status"], done["change_request"]["state"]) == ("approved", "approved")
    assert done["message"] == (
        "Quorum reached. Change approved and will be applied at its scheduled time."
    )
    assert "result" not in done
    assert flag(g3)["active"] is False
    g3.sandbox.advance("1h")
    assert flag(g3)["active"] is True
    assert request_of(g3, change)["state"] == "applied"


@pytest.mark.parametrize("checked", [True, False])
def test_a_flag_that_moved_meanwhile_is_not_changed(g3, checked):
    g3.policy(ENABLE)
    change = schedule(g3)
    approve(g3, change)
    g3.patch(f"{FLAGS}/2/", {"name": "moved"})
    if checked:
        g3.sandbox.run_task("check_staleness")

    g3.sandbox.control("POST", "clock", {"advance": "61m"})

    assert flag(g3)["active"] is False
    assert request_of(g3, change)["state"] == ("approved" if checked else "failed")


def test_other_operations_write_filters(g3):
    schedule(g3, ADD, flag=1)
    g3.sandbox.advance("1h")

    assert [one["rollout_percentage"] for one in flag(g3, 1)["filters"]["groups"]] == [50, 90]

    variants = [{"key": "a", "rollout_percentage": 20}, {"key": "b", "rollout_percentage": 80}]
    split = {"operation": "update_variants", "value": {"variants": variants}}
    schedule(g3, split, flag=1, scheduled_at="2026-01-05T11:00:00Z")
    g3.sandbox.advance("1h")
    assert flag(g3, 1)["filters"]["multivariate"]["variants"] == variants


def test_a_rollout_is_gated_by_the_conditions_of_its_policy(g3):
    above = {"type": "before_after", "field": "rollout_percentage", "operator": ">", "value": 80}
    g3.policy(UPDATE, conditions=above)

    change = schedule(g3, ADD, flag=1)

    assert request_of(g3, change)["action_key"] == UPDATE
    g3.sandbox.advance("1h")
    assert len(flag(g3, 1)["filters"]["groups"]) == 1


def test_policies_of_project_and_organization_conflict(g3):
    def wide(seed):
        policy = {"action_key": ENABLE, "approver_config": {"quorum": 1}}
        acme = seed["organizations"][0]
        acme["approval_policies"] = acme["projects"][0]["approval_policies"] = [policy]

    g3.reset(wide)

    reply = g3.post(f"{SCHEDULES}/", body(), who="max")

    assert (reply.status, reply.body["code"]) == (400, "policy_conflict")
    assert "separate scheduled changes" in reply.body["guidance"]
    assert g3.results(f"{SCHEDULES}/") == []


@pytest.mark.parametrize("approved", [True, False])
def test_a_second_schedule_cannot_borrow_a_request(g3, approved):
    g3.policy(ENABLE)
    first = schedule(g3)
    if approved:
        approve(g3, first)

    reply = g3.post(f"{SCHEDULES}/", body(scheduled_at="2026-01-05T09:05:00Z"), who="mia")

    assert (reply.status, reply.body["code"]) == (409, "change_request_pending")
    assert reply.body["change_request_id"] == first["change_request"]["id"]
    assert len(g3.results(f"{SCHEDULES}/")) == 1
    direct = g3.patch(f"{FLAGS}/2/", {"active": True}, who="mia")
    assert direct.body["code"] == "change_request_pending"


@pytest.mark.parametrize("approved", [True, False])
def test_a_schedule_with_an_open_request_cannot_be_retimed(g3, approved):
    g3.policy(ENABLE)
    change = schedule(g3)
    if approved:
        approve(g3, change)

    reply = g3.patch(f"{SCHEDULES}/{change['id']}/", {"scheduled_at": "2026-01-05T09:01:00Z"})

    assert (reply.status, reply.body["attr"]) == (400, "scheduled_at")
    same = {"scheduled_at": LATER, "is_recurring": False}
    assert g3.patch(f"{SCHEDULES}/{change['id']}/", same).status == 200


def test_a_schedule_without_a_request_can_be_retimed(g3):
    change = schedule(g3)

    moved = g3.patch(f"{SCHEDULES}/{change['id']}/", {"scheduled_at": "2026-01-05T09:01:00Z"})

    assert moved.body["scheduled_at"] == "2026-01-05T09:01:00Z"
    g3.sandbox.advance("1m")
    again = g3.patch(f"{SCHEDULES}/{change['id']}/", {"payload": OFF})
    assert (again.status, flag(g3)["active"]) == (400, True)


def test_a_changed_payload_is_gated_again_as_the_editor(g3):
    g3.policy(ENABLE)
    change = schedule(g3, OFF)
    assert change["change_request"] is None

    changed = g3.patch(f"{SCHEDULES}/{change['id']}/", {"payload": ON}, who="mia").body

    assert request_of(g3, changed)["created_by"]["email"] == "mia@acme.test"
    freed = g3.patch(f"{SCHEDULES}/{change['id']}/", {"payload": OFF}, who="mia").body
    assert freed["change_request"] is None
    assert request_of(g3, changed)["state"] == "expired"


def test_another_gated_payload_gets_another_request(g3):
    g3.policy(UPDATE)
    change = schedule(g3, ADD, flag=1)
    other = {**ADD, "value": {"groups": [{**GROUP, "rollout_percentage": 10}]}}

    changed = g3.patch(f"{SCHEDULES}/{change['id']}/", {"payload": other}, who="mia").body

    assert changed["change_request"]["id"] != change["change_request"]["id"]
    assert request_of(g3, change)["state"] == "expired"
    assert request_of(g3, changed)["state"] == "pending"


@pytest.mark.parametrize("approved", [True, False])
def test_deleting_a_schedule_expires_its_request(g3, approved):
    g3.policy(ENABLE)
    change = schedule(g3)
    if approved:
        approve(g3, change)

    assert g3.delete(f"{SCHEDULES}/{change['id']}/").status == 204

    assert request_of(g3, change)["state"] == "expired"
    assert g3.get(f"{SCHEDULES}/{change['id']}/").status == 404


def test_a_recurring_schedule_gets_a_request_for_each_occurrence(g3):
    g3.policy(ENABLE)
    change = schedule(g3, is_recurring=True, recurrence_interval="daily")
    g3.sandbox.advance("1h")

    after = read(g3, change)

    assert request_of(g3, change)["state"] == "expired"
    assert after["change_request"]["id"] != change["change_request"]["id"]
    assert (after["scheduled_at"], after["executed_at"]) == ("2026-01-06T10:00:00Z", None)
    assert after["last_executed_at"] == LATER
    approve(g3, after)
    g3.sandbox.advance("1d")
    assert flag(g3)["active"] is True
    assert read(g3, change)["change_request"] is None


def test_a_conflict_at_the_next_occurrence_stops_a_recurring_schedule(g3):
    g3.policy(ENABLE)
    change = schedule(g3, is_recurring=True, recurrence_interval="daily")
    state = g3.sandbox.state()
    wide = {"action_key": ENABLE, "approver_config": {"quorum": 1}}
    state["organizations"][0]["approval_policies"] = [wide]
    g3.sandbox.reset(state)

    g3.sandbox.advance("1h")

    stuck = read(g3, change)
    assert (stuck["scheduled_at"], stuck["executed_at"]) == (LATER, None)
    assert stuck["failure_reason"] == "This change matches multiple approval policies"
    assert flag(g3)["active"] is False


def test_a_recurring_schedule_ends(g3):
    end = "2026-01-06T12:00:00Z"
    change = schedule(g3, OFF, flag=1, is_recurring=True, recurrence_interval="daily", end_date=end)

    g3.sandbox.advance("1h")
    assert read(g3, change)["executed_at"] is None
    g3.sandbox.advance("1d")
    assert read(g3, change)["executed_at"] == "2026-01-06T10:00:00Z"


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
def test_an_invalid_schedule_is_refused(g3, change, attr):
    reply = g3.post(f"{SCHEDULES}/", {**body(), **change})

    assert (reply.status, reply.body["attr"]) == (400, attr)


def test_a_payload_that_cannot_be_read_fails_at_its_time(g3):
    g3.policy(ENABLE)
    change = schedule(g3, {"operation": "moon", "value": 1})
    assert change["change_request"] is None

    g3.sandbox.advance("1h")

    assert read(g3, change)["failure_reason"] == "Invalid payload"


def test_schedules_are_listed_by_flag(g3):
    first, second = schedule(g3), schedule(g3, OFF, flag=1)

    assert [one["id"] for one in g3.results(f"{SCHEDULES}/")] == [second["id"], first["id"]]
    assert [one["id"] for one in g3.results(f"{SCHEDULES}/?record_id=2")] == [first["id"]]
    assert g3.results(f"{SCHEDULES}/?model_name=Moon") == []
    assert g3.patch(f"{SCHEDULES}/{first['id']}/", {"record_id": "1"}).status == 400


def test_a_seeded_schedule_fires_and_a_state_keeps_its_request(g3):
    def plan(seed):
        web = seed["organizations"][0]["projects"][0]
        web["scheduled_changes"] = [
            {"flag": "off", "scheduled_at": LATER, "payload": ON, "created_by": "max@acme.test"}
        ]

    g3.reset(plan)
    g3.policy(ENABLE)
    schedule(g3, OFF, flag=1)
    state = g3.sandbox.state()
    g3.sandbox.reset(state)
    assert g3.sandbox.state() == state

    g3.sandbox.run_task("process_scheduled_changes")
    assert flag(g3)["active"] is False
    g3.sandbox.advance("1h")
    assert (flag(g3)["active"], flag(g3, 1)["active"]) == (True, False)
    assert g3.results(f"{POLICIES}/")


def test_cron_is_not_modelled(g3):
    reply = g3.post(f"{SCHEDULES}/", body(is_recurring=True, cron_expression="0 9 * * 1"))

    assert (reply.status, reply.body["detail"]) == (404, "not modelled by the sandbox")
