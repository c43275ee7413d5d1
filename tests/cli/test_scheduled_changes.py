"""Scheduled changes of declared flags in `plan` and `drift` (contract 18)."""

import json

import pytest

from tests import acme
from tests.support import Repository

LATER = "2026-01-10T09:00:00Z"
SCHEDULES = "/api/projects/1/scheduled_changes/"
ON = {"operation": "update_status", "value": True}
OFF = {"operation": "update_status", "value": False}
GROUP = {"properties": [], "rollout_percentage": 90}
ADD = {"operation": "add_release_condition", "value": {"groups": [GROUP]}}
SAME, OTHER = "FeatureFlag/acme/Web/same", "FeatureFlag/acme/Web/other"


def schedule(flag="same", payload=ON, **more):
    return {"flag": flag, "scheduled_at": LATER, "payload": payload, **more}


@pytest.fixture
def scheduled(world):
    """Return a function that makes a world of two inactive flags with these scheduled changes."""

    def make(*schedules, policies=(), flags=(), **web):
        live = [acme.live_flag("same", id=1), acme.live_flag("other", id=2), *flags]
        project = {"name": "Web", "id": 1, "feature_flags": live, **web}
        project |= {"scheduled_changes": list(schedules), "approval_policies": list(policies)}
        repo = world(
            {"profile": "g3", "now": "2026-01-05T09:00:00Z", **acme.seed(projects=[project])}
        )
        repo.write("flags.yaml", acme.flag("same", 10, active=False), acme.flag("other", 10))
        repo.commit()
        return repo

    return make


def spoil(repo, effect, point="after"):
    """Let every listing of schedules end like this."""
    match = {"route": "scheduled_changes.list", "hit": "every"}
    rule = {"match": match, "point": point, "effect": effect}
    assert repo.sandbox.call("POST", "/_sandbox/faults", {"faults": [rule]})[0] == 200


def rows(ran):
    return {row["address"]: row for row in ran.json["changes"]}


def test_a_flag_without_a_difference_has_a_row_that_is_not_a_change(scheduled):
    repo = scheduled(schedule("other"))

    for command in (["plan", "--detailed-exitcode"], ["drift"]):
        ran = repo.run(*command, "--format", "json")

        assert ran.code == 0
        assert ran.json["summary"]["none"] == 2
        row = rows(ran)[OTHER]
        assert row["action"] == "none"
        (only,) = row["scheduled"]
        assert (only["at"], only["operation"], only["value"]) == (LATER, "update_status", True)
        assert only["change_request"] is None
        assert row["warnings"] == []
        assert list(rows(ran)) == [OTHER]


def test_a_schedule_against_the_file_is_a_warning(scheduled):
    """The file says `active: false`; the schedule switches on."""
    repo = scheduled(schedule())

    for command in ("plan", "drift"):
        ran = repo.run(command, "--format", "json")

        (warning,) = rows(ran)[SAME]["warnings"]
        assert (ran.code, warning["code"]) == (0, "schedule-differs")
        assert "active" in warning["message"]
        assert "2026-01-10 09:00 UTC" in warning["message"]
        assert "delete the schedule" in warning["fix"]


@pytest.mark.parametrize(
    ("payload", "spec", "paths"),
    [
        (ON, {"active": True}, ()),
        (ON, {"name": "n"}, ()),
        (ADD, {"rollout": 10}, ("filters.groups[1]",)),
        (ADD, {"active": False}, ()),
        ({"operation": "moon", "value": 1}, {"active": False, "rollout": 10}, ()),
        ({"operation": "add_release_condition", "value": 3}, {"rollout": 10}, ()),
        (
            {
                "operation": "update_variants",
                "value": {"variants": [{"key": "a", "rollout_percentage": 100}]},
            },
            {"filters": {"multivariate": None, "groups": [{"rollout_percentage": 10}]}},
            ("filters.multivariate",),
        ),
    ],
    ids=str,
)
def test_a_warning_names_the_declared_fields_that_will_differ(scheduled, payload, spec, paths):
    repo = scheduled(schedule(payload=payload))
    repo.write("flags.yaml", acme.flag("same", **spec))

    row = rows(repo.run("plan", "--format", "json"))[SAME]

    assert [each["operation"] for each in row["scheduled"]] == [payload["operation"]]
    messages = [warning["message"] for warning in row["warnings"]]
    assert len(messages) == bool(paths)
    assert all(path in messages[0] for path in paths)


def test_an_ignored_field_is_not_warned_about(scheduled):
    repo = scheduled(schedule())
    document = acme.flag("same", active=False)
    document["metadata"]["lifecycle"] = {"ignore": ["active"]}
    repo.write("flags.yaml", document)

    row = rows(repo.run("plan", "--format", "json"))[SAME]

    assert row["scheduled"]
    assert not row["warnings"]


def test_executed_and_undeclared_ones_are_left_out(scheduled):
    repo = scheduled(schedule(executed_at="2026-01-04T09:00:00Z"), schedule("other"))
    repo.write("flags.yaml", acme.flag("same", 10, active=False))

    assert repo.run("plan", "--format", "json").json["changes"] == []


def test_a_saved_plan_keeps_them(scheduled):
    repo = scheduled(schedule(is_recurring=True, recurrence_interval="daily"))
    repo.run("plan", "--out", "plan.json")
    saved = json.loads((repo.folder / "plan.json").read_text())
    for format in ("text", "markdown", "html", "json"):
        assert repo.run("show", "plan.json", "--format", format).out == (
            repo.run("show", "plan.json", "--format", format).out
        )
    assert repo.run("show", "plan.json", "--format", "json").json["changes"] == saved["changes"]
    (only,) = saved["changes"][0]["scheduled"]
    assert only["repeats"] == "daily"


def test_payloads_that_are_encrypted_are_masked(scheduled):
    variants = [{"key": "a", "rollout_percentage": 100}]
    value = {"variants": variants, "payloads": {"a": '"s3cret"'}}
    secret = acme.live_flag(
        "secret", id=3, has_encrypted_payloads=True, is_remote_configuration=True
    )
    repo = scheduled(
        schedule("secret", {"operation": "update_variants", "value": value}), flags=[secret]
    )
    repo.write("flags.yaml", acme.flag("secret", active=False))

    for format in ("text", "markdown", "html", "json"):
        for command in ("plan", "drift"):
            assert "s3cret" not in repo.run(command, "--format", format, "--verbose").out
    repo.run("plan", "--out", "plan.json")
    assert "s3cret" not in (repo.folder / "plan.json").read_text()


def test_plain_payloads_are_shown_and_compared(scheduled):
    """The schedule does not say that they are plain; the flag does."""
    variants = {"variants": [{"key": "a", "rollout_percentage": 100}]}
    value = {**variants, "payloads": {"a": '"red"'}}
    repo = scheduled(schedule(payload={"operation": "update_variants", "value": value}))
    filters = {"multivariate": variants, "payloads": {"a": '"red"'}}
    repo.write("flags.yaml", acme.flag("same", filters=filters))

    row = rows(repo.run("plan", "--format", "json"))[SAME]

    assert value == row["scheduled"][0]["value"]
    assert [] == row["warnings"]


def test_one_listing_for_each_project_with_declared_flags(scheduled):
    """Whatever the number of flags; the listing of executed ones is not asked for again."""
    repo = scheduled(schedule(), schedule("other"))
    repo.sandbox.clear()

    done = repo.run("plan", "--format", "json")

    asked = [row for row in repo.sandbox.requests() if "scheduled" in row["path"]]
    assert [row["path"] for row in asked] == [SCHEDULES]
    assert done.json["requests"]["reads"] == len(repo.sandbox.requests()) == 3


def test_no_listing_without_declared_flags(scheduled):
    repo = scheduled(schedule())
    repo.sandbox.clear()

    repo.run("plan", "--select", "Role/*")

    assert not [row for row in repo.sandbox.requests() if "scheduled" in row["path"]]


def test_a_schedule_whose_request_waits_names_who_must_approve(scheduled):
    """Its request is read like those of a change, and only then."""
    repo = scheduled(policies=[acme.policy("feature_flag.enable")])
    body = {"record_id": "2", "model_name": "FeatureFlag", "payload": ON, "scheduled_at": LATER}
    status, made = repo.sandbox.call("POST", SCHEDULES, body, token="phx_carol")
    assert status == 201

    for command in ("plan", "drift"):
        ran = repo.run(command, "--format", "json")
        (only,) = rows(ran)[OTHER]["scheduled"]
        assert only["change_request"] == made["change_request"]["id"]
        assert only["state"] == "pending"
        assert only["waits_for"]["approvers"]["users"] == ["alice@acme.test", "bob@acme.test"]
        assert [each["id"] for each in ran.json["change_requests"]] == [only["change_request"]]
        assert (ran.code, ran.json["summary"]["update"]) == (0, 0)
        for format in ("text", "markdown", "html"):
            assert (
                "waits for approval in change request" in repo.run(command, "--format", format).out
            )


def test_a_schedule_whose_request_was_rejected_is_no_warning(scheduled):
    repo = scheduled(policies=[acme.policy("feature_flag.enable")])
    body = {"record_id": "1", "model_name": "FeatureFlag", "payload": ON, "scheduled_at": LATER}
    _, made = repo.sandbox.call("POST", SCHEDULES, body, token="phx_carol")
    id_ = made["change_request"]["id"]
    assert repo.run("plan", "--format", "json").json["changes"][0]["warnings"]

    repo.run("requests", "reject", id_, "--yes", "--reason", "no", token="phx_alice")

    assert rows(repo.run("plan", "--format", "json"))[SAME]["warnings"] == []
    assert "will not happen" in repo.run("plan").out


@pytest.mark.parametrize("command", ["plan", "drift"])
def test_each_format_shows_them_with_the_warning(scheduled, command):
    repo = scheduled(schedule(), schedule("other"))

    for format in ("text", "markdown", "html"):
        out = repo.run(command, "--format", format).out
        assert out.count("active becomes true") == 2
        assert "another value than the file declares" in out
    assert "10 09:00 UTC" in repo.run(command, "--zoom", "resources").out


def test_a_server_without_schedules_is_asked_a_few_times_only(start_sandbox, tmp_path):
    """404 in one project is the answer for all: not one request for each of a thousand."""
    projects = [
        {"name": f"P{number}", "id": number, "feature_flags": [acme.live_flag("a", id=number)]}
        for number in range(1, 41)
    ]
    sandbox = start_sandbox("--profile", "g2")
    sandbox.reset(acme.seed(projects=projects))
    repo = Repository(tmp_path, sandbox)
    repo.write("flags.yaml", *(acme.flag("a", 10, project=f"P{n}") for n in range(1, 41)))
    sandbox.clear()
    ran = repo.run("plan", "--detailed-exitcode")
    asked = [row for row in sandbox.requests() if "scheduled" in row["path"]]

    assert ran.code == 0
    assert "chedule" not in ran.out + ran.err
    assert 1 <= len(asked) <= 16


def test_a_listing_that_is_refused_is_mentioned_once(scheduled):
    """A key of an older server may read flags and no schedules."""
    repo = scheduled(schedule())
    spoil(repo, {"status": {"code": 403, "body": {"detail": "no"}}}, point="before")

    for command in ("plan", "drift"):
        ran = repo.run(command)
        assert ran.code == 0
        assert ran.out.count("cannot be read in acme/Web") == 1


def make_schedule(repo, payload=ON, flag=1, who="phx_carol"):
    """Schedule a change over the API; return the id of its request."""
    body = {"record_id": str(flag), "model_name": "FeatureFlag"}
    body |= {"payload": payload, "scheduled_at": LATER}
    status, made = repo.sandbox.call("POST", SCHEDULES, body, token=who)
    assert status == 201
    return made["change_request"]["id"]


def gate(ran, address=SAME):
    return rows(ran)[address]["gate"]


def is_active(repo):
    flag = repo.sandbox.call("GET", "/api/projects/1/feature_flags/1/", token="phx_alice")[1]
    return flag["active"]


@pytest.mark.parametrize("approved", [False, True])
def test_the_same_change_waits_for_the_request_of_the_schedule(scheduled, approved):
    """PostHog refuses a second request for it, and applies this one at its time."""
    repo = scheduled(policies=[acme.policy("feature_flag.enable")])
    id_ = make_schedule(repo)
    if approved:
        assert repo.run("requests", "approve", id_, "--yes", token="phx_alice").code == 0
    repo.write("flags.yaml", acme.flag("same", 10, active=True))

    forecast = gate(repo.run("plan", "--format", "json"))
    done = repo.run("apply", "--yes", "--format", "json")

    assert (forecast["verdict"], forecast["change_request"]) == ("pending", id_)
    assert "2026-01-10 09:00 UTC" in forecast["note"]
    assert done.code == 3
    (result,) = (row for row in done.json["results"] if row["address"] == SAME)
    assert (result["outcome"], result["change_request"]) == ("waiting", id_)
    assert not is_active(repo)
    if approved:
        repo.sandbox.call("POST", "/_sandbox/clock", {"set": LATER})
        assert repo.run("apply", "--yes").code == 0
        assert is_active(repo)


@pytest.mark.parametrize("who", ["phx_carol", "phx_ci"])
@pytest.mark.parametrize("saved", [False, True])
def test_another_change_does_not_end_the_request_of_a_schedule(scheduled, who, saved):
    """Not even one of this key's own user: somebody has scheduled it on purpose."""
    repo = scheduled(policies=[acme.policy("feature_flag.enable")])
    id_ = make_schedule(repo, who=who)
    repo.write("flags.yaml", acme.flag("same", 20, active=False))
    repo.commit()

    forecast = gate(repo.run("plan", "--format", "json", "--out", "plan.json"))
    done = repo.run("apply", *(["plan.json"] if saved else []), "--yes", "--format", "json")

    assert (forecast["verdict"], forecast["change_request"]) == ("blocked", id_)
    assert "delete the scheduled change" in forecast["note"]
    assert done.code == 3
    request = repo.sandbox.call("GET", f"/api/projects/1/change_requests/{id_}/", token=who)[1]
    assert request["state"] == "pending"
    flag = repo.sandbox.call("GET", "/api/projects/1/feature_flags/1/", token=who)[1]
    assert flag["filters"]["groups"][0]["rollout_percentage"] == 10


@pytest.mark.parametrize(
    "effect",
    [
        {"drop": ["results.*.change_request"]},
        {"set": {"results[0].change_request": None}},
        {"set": {"results[0].change_request": "018f0000-0000-4000-8000-00000000000a"}},
        {"set": {"results[0].change_request": {"id": None}}},
        {"set": {"results[0].payload": None}},
        {"set": {"results[0].payload": {"operation": "add_release_condition", "value": [1]}}},
        {"set": {"results[0].scheduled_at": None}},
    ],
    ids=str,
)
def test_other_forms_of_a_schedule_are_tolerated(scheduled, effect):
    repo = scheduled(policies=[acme.policy("feature_flag.enable")])
    make_schedule(repo)
    spoil(repo, {"mutate": effect})

    for command in ("plan", "drift"):
        for format in ("text", "markdown", "html", "json"):
            assert repo.run(command, "--format", format).code == 0
        assert len(rows(repo.run(command, "--format", "json"))[SAME]["scheduled"]) == 1


def attributions(ran):
    return [
        (field["attribution"]["person"], "scheduled change" in field["evidence"]["note"])
        for row in ran.json["changes"]
        for field in row["fields"]
    ]


@pytest.mark.parametrize("more", [{}, {"is_recurring": True, "recurrence_interval": "daily"}])
def test_drift_says_that_a_schedule_wrote_a_value(scheduled, more):
    """As the person who made the schedule, at its time."""
    repo = scheduled(schedule(**more, created_by="bob@acme.test"))
    repo.sandbox.call("POST", "/_sandbox/clock", {"set": LATER})

    ran = repo.run("drift", "--format", "json")

    assert (ran.code, is_active(repo)) == (2, True)
    assert attributions(ran) == [("bob@acme.test", True)]
    assert "a scheduled change wrote it" in " ".join(repo.run("drift").out.split())


def test_drift_says_that_a_schedule_added_a_condition(scheduled):
    repo = scheduled(schedule(payload=ADD))
    repo.sandbox.call("POST", "/_sandbox/clock", {"set": LATER})

    assert attributions(repo.run("drift", "--format", "json")) == [("alice@acme.test", True)]


@pytest.mark.parametrize(
    ("who", "at"), [("phx_alice", "2026-01-10T09:05:00Z"), ("phx_carol", LATER)]
)
def test_a_write_at_another_time_or_by_somebody_else_is_theirs(scheduled, who, at):
    """The schedule made the flag inactive, as it was; alice or carol switched it on."""
    repo = scheduled(schedule(created_by="alice@acme.test"), schedule(payload=OFF))
    repo.sandbox.call("POST", "/_sandbox/clock", {"set": LATER})
    repo.sandbox.call("POST", "/_sandbox/clock", {"set": at})
    path = "/api/projects/1/feature_flags/1/"
    assert repo.sandbox.call("PATCH", path, {"active": True}, token=who)[0] == 200

    person = f"{who.removeprefix('phx_')}@acme.test"
    assert attributions(repo.run("drift", "--format", "json")) == [(person, False)]
