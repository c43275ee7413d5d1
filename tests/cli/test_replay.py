"""`reconciler replay`: which past changes of flags would have waited under other policies."""

import pytest

from tests import acme, factories

BEGIN = "2026-01-05T09:00:00Z"
FLAGS = "/api/projects/1/feature_flags/"
KEYS = ("window", "changes", "waited", "would_wait", "rows", "people", "nobody_could_approve")
ROW = ("address", "at", "person", "action_key", "waited", "would_wait", "policy", "why")
ENABLE, UPDATE = "feature_flag.enable", "feature_flag.update"


def shares(percentage, *properties):
    return {"groups": [{"properties": list(properties), "rollout_percentage": percentage}]}


def rule(action, *, project="Web", users=("alice@acme.test",), quorum=1, **spec):
    """A policy document."""
    spec = {"approvers": {"quorum": quorum, "users": list(users)}, **spec}
    return acme.document("ApprovalPolicy", spec, project=project, action=action)


def entry(number, *moves, activity="updated", item="7", scope="FeatureFlag", **changes):
    """An entry of the log, as a seed has it; `moves` are (field, before, after)."""
    lines = [
        {"type": scope, "action": "changed", "field": name, "before": before, "after": after}
        for name, before, after in moves
    ]
    return {
        "user": "bob@acme.test",
        "team_id": 1,
        "activity": activity,
        "item_id": item,
        "scope": scope,
        "created_at": f"2026-01-04T09:{number:02}:00Z",
        "detail": {"name": "a", "changes": lines},
        **changes,
    }


def logged(*entries, **organization):
    """A world with the flag `a`, whose id is 7, and this log."""
    flag = acme.live_flag("a", 10, id=7, created_at="2025-06-01T00:00:00Z", active=True)
    seed = factories.seed(flag, activity=list(entries), **organization)
    for member in seed["organizations"][0]["members"]:
        member["joined_at"] = member["updated_at"] = "2025-01-01T00:00:00Z"
    return {"now": BEGIN, **seed}


def replayed(repo, *arguments, **environ):
    done = repo.run("replay", "--format", "json", *arguments, **environ)
    assert done.code == 0, done.err
    assert repo.sandbox.writes() == []
    return done.json


def answers(repo, *arguments):
    """(the answer, the reason) of each change, newest first."""
    return [(row["would_wait"], row["why"]) for row in replayed(repo, *arguments)["rows"]]


def test_the_document_has_the_keys_of_the_interface(world):
    repo = world(logged(entry(1, ("active", False, True))))
    repo.write("policies.yaml", rule(ENABLE, users=["alice@acme.test", "carol@acme.test"]))

    document = replayed(repo, "--since", "7d")

    assert set(KEYS) <= set(document)
    assert [tuple(row) for row in document["rows"]] == [ROW]
    assert document["rows"][0] == {
        "address": "FeatureFlag/acme/Web/a",
        "at": "2026-01-04T09:01:00Z",
        "person": "bob@acme.test",
        "action_key": ENABLE,
        "waited": False,
        "would_wait": True,
        "policy": f"ApprovalPolicy/acme/Web/{ENABLE}",
        "why": "active: false -> true",
    }
    assert (document["changes"], document["waited"], document["would_wait"]) == (1, 0, 1)
    assert document["people"] == [
        {"email": "alice@acme.test", "requests": 1},
        {"email": "carol@acme.test", "requests": 1},
    ]
    assert document["window"]["since"].startswith("2025-12-29T")


def test_text_begins_with_the_answer_and_fits_80_columns(world):
    """Then come the changes, the people, what is not known, and the limits of the log."""
    holder = {"name": "Release managers", "members": ["carol@acme.test"]}
    repo = world(
        logged(
            entry(3, ("filters", shares(10), None)),
            entry(2, ("filters", shares(0), shares(10)), user="alice@acme.test"),
            entry(1, ("active", False, True)),
            roles=[holder],
        )
    )
    repo.write("policies.yaml", rule(ENABLE), rule(UPDATE))

    done = repo.run("replay", "--since", "7d")

    lines = done.out.splitlines()
    assert lines[0].startswith("Of 3 changes since 2025-12-29")
    assert "2 would have waited instead of 0" in " ".join(lines[:2])
    assert "Not known: 1." in " ".join(lines[:2])
    assert max(map(len, lines)) <= 80
    assert "Requests that each person would have had to decide:" in lines
    assert "  alice@acme.test  1" in lines
    assert "Nobody could have approved 1 change." in lines
    assert "  1  the log does not show `filters` of the flag" in lines
    assert "  3 entries about flags, the first of 2026-01-04 09:01 UTC" in lines
    assert "  1 change without the value after" in lines
    assert "read with" in done.err


def test_a_change_that_waited_is_compared(world):
    """An approved request made it; the request and the entry are paired by their values."""
    repo = world({"now": BEGIN, **factories.gated(acme.live_flag("a", 10, id=7))})
    call, path = repo.sandbox.call, f"{FLAGS}7/"
    filed = call("PATCH", path, {"active": True}, "phx_ci")[1]["change_request_id"]
    call("POST", "/_sandbox/clock", {"advance": "1h"})
    call("POST", f"/api/projects/1/change_requests/{filed}/approve/", {}, "phx_alice")
    call("PATCH", path, {"filters": shares(50)}, "phx_ci")
    repo.write("policies.yaml", rule(UPDATE))
    repo.sandbox.clear()

    document = replayed(repo)

    rows = [(row["action_key"], row["waited"], row["would_wait"]) for row in document["rows"]]
    assert rows == [(UPDATE, False, True), (ENABLE, True, False)]
    assert (document["waited"], document["would_wait"]) == (1, 1)


def test_of_equal_writes_at_one_moment_only_one_waited(world):
    """Versions show which of them the request made, where times and values are the same."""
    repo = world({"now": BEGIN, **factories.gated(acme.live_flag("a", 10, id=7))})
    call, path = repo.sandbox.call, f"{FLAGS}7/"
    filed = call("PATCH", path, {"active": True}, "phx_ci")[1]["change_request_id"]
    call("POST", f"/api/projects/1/change_requests/{filed}/approve/", {}, "phx_alice")
    listed = call("GET", "/api/projects/1/approval_policies/", None, "phx_alice")[1]["results"]
    policy = f"/api/projects/1/approval_policies/{listed[0]['id']}/"
    call("PATCH", policy, {"enabled": False}, "phx_alice")
    for active in (False, True):
        call("PATCH", path, {"active": active}, "phx_ci")
    repo.write("policies.yaml", rule(ENABLE))
    repo.sandbox.clear()

    rows = replayed(repo)["rows"]

    assert [row["waited"] for row in rows] == [False, False, True]
    assert [row["would_wait"] for row in rows] == [True, False, True]


def test_a_scheduled_change_is_unknown(world):
    """PostHog checked the policies when it was scheduled, and no log shows that."""
    seed = {"now": BEGIN, **factories.seed(acme.live_flag("a", 10, id=7))}
    project = seed["organizations"][0]["projects"][0]
    payload = {"operation": "update_status", "value": True}
    project["scheduled_changes"] = [
        {"flag": "a", "scheduled_at": "2026-01-05T10:00:00Z", "payload": payload}
    ]
    repo = world(seed)
    repo.sandbox.call("POST", "/_sandbox/clock", {"advance": "2h"})
    repo.write("policies.yaml", rule(ENABLE))

    ((answer, why),) = answers(repo)

    assert answer == "unknown"
    assert why.startswith(("a scheduled change wrote it", "PostHog itself wrote it"))


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, True),
        ({"enabled": False}, False),
        ({"bypass_levels": ["member"]}, False),
        ({"bypass_levels": ["admin"]}, True),
        ({"bypass_roles": ["Managers"]}, False),
        ({"bypass_roles": ["Watchers"]}, "unknown"),
        ({"bypass_roles": ["Nobody"]}, True),
    ],
)
def test_bypasses_count_as_far_as_the_past_is_known(world, spec, expected):
    """A holder of now has held the role since a known time; others may have held it then."""
    roles = [
        {
            "name": "Managers",
            "created_at": "2025-01-01T00:00:00Z",
            "members": [{"email": "bob@acme.test", "joined_at": "2025-01-01T00:00:00Z"}],
        },
        {"name": "Watchers", "created_at": "2025-01-01T00:00:00Z", "members": []},
    ]
    repo = world(logged(entry(1, ("active", False, True)), roles=roles))
    repo.write("policies.yaml", rule(ENABLE, **spec))

    assert [answer for answer, _ in answers(repo)] == [expected]


def test_the_level_at_the_time_of_the_change_counts(world):
    """Bob was an admin when he made the first change, and is a member now."""
    level = ("level", 8, 1)
    log = (
        entry(1, ("active", False, True)),
        entry(2, level, item="m", scope="OrganizationMembership", team_id=None),
        entry(3, ("active", False, True)),
    )
    seed = logged(*log)
    seed["organizations"][0]["members"][1]["id"] = "6f0e9a3c-0000-4000-8000-000000000001"
    seed["organizations"][0]["activity"][1]["item_id"] = "6f0e9a3c-0000-4000-8000-000000000001"
    repo = world(seed)
    repo.write("policies.yaml", rule(ENABLE, bypass_levels=["admin"]))

    assert answers(repo) == [
        (True, "active: false -> true"),
        (False, "bob@acme.test bypasses it as an admin"),
    ]


def test_a_level_before_the_window_is_unknown(world):
    """Bob filed the request as a member, before the window that is replayed."""
    repo = world({"now": BEGIN, **factories.gated(acme.live_flag("a", 10, id=7))})
    call, organization = repo.sandbox.call, "/api/organizations/@current"
    filed = call("PATCH", f"{FLAGS}7/", {"active": True}, "phx_bob")[1]["change_request_id"]
    members = call("GET", f"{organization}/members/", None, "phx_alice")[1]["results"]
    (bob,) = (each["user"]["uuid"] for each in members if each["user"]["email"][:3] == "bob")
    call("POST", "/_sandbox/clock", {"advance": "1d"})
    call("PATCH", f"{organization}/members/{bob}/", {"level": 8}, "phx_alice")
    call("POST", "/_sandbox/clock", {"advance": "5d"})
    call("POST", f"/api/projects/1/change_requests/{filed}/approve/", {}, "phx_alice")
    repo.write("policies.yaml", rule(ENABLE, bypass_levels=["admin"]))
    repo.sandbox.clear()

    short, long = answers(repo, "--since", "3d"), answers(repo, "--since", "30d")

    assert [answer for answer, _ in (*short, *long)] == ["unknown", True]


def test_what_the_log_lacks_is_unknown_and_counted(world):
    repo = world(
        logged(
            entry(4, activity="updated"),
            entry(3, activity="commented"),
            entry(2, ("filters", None, shares(10))),
            entry(1, ("tags", None, ["a"])),
        )
    )
    repo.write("policies.yaml", rule(UPDATE))

    document = replayed(repo)

    assert [row["would_wait"] for row in document["rows"]] == ["unknown", "unknown", False]
    assert document["unknown"] == 2
    assert document["limits"]["without_before"] == 2
    assert document["limits"]["entries"] == 3
    assert document["limits"]["creations_missing"] == 0


def test_what_no_policy_covers_is_known_without_values(world):
    """Values that are missing do not matter then."""
    repo = world(logged(entry(1, ("filters", None, shares(10)))))
    repo.write("policies.yaml", rule(ENABLE))

    assert answers(repo) == [(False, "no approval is needed for such a change")]


def test_a_new_flag_is_the_present_one_with_later_writes_taken_back(world):
    """It was created active, and is inactive now."""
    repo = world(
        logged(entry(2, ("active", True, False)), entry(1, activity="created", user="ci@acme.test"))
    )
    repo.sandbox.call("PATCH", f"{FLAGS}7/", {"active": False}, "phx_alice")
    repo.write("policies.yaml", rule(ENABLE))
    repo.sandbox.clear()

    created = replayed(repo)["rows"][-1]

    assert (created["would_wait"], created["why"]) == (True, "created active")


def test_a_deleted_flag_does_not_show_how_it_was_created(world):
    log = (
        entry(2, ("deleted", False, True), activity="deleted", item="9"),
        entry(1, activity="created", item="9"),
    )
    repo = world(logged(*log))
    repo.write("policies.yaml", rule(ENABLE))

    assert answers(repo) == [
        (False, "no approval is needed for such a change"),
        ("unknown", "the log does not show `active` of the flag"),
    ]


def test_a_write_that_is_missing_in_the_log_is_counted(world):
    """Two entries do not fit together: 20 became 30 without an entry."""
    repo = world(
        logged(
            entry(2, ("filters", shares(30), shares(10))),
            entry(1, ("filters", shares(10), shares(20))),
        )
    )
    repo.write("policies.yaml", rule(UPDATE))

    assert replayed(repo)["limits"]["gaps"] == 1


def test_targeting_waits_on_a_new_server_and_is_unknown_on_an_older_one(world):
    """A server of G2 shows nothing that one of G3 cannot show, too."""
    person = {"key": "email", "value": "x", "operator": "exact", "type": "person"}
    seed = logged(entry(1, ("filters", shares(10, person), shares(10))))
    repo = world(seed)
    repo.write("policies.yaml", rule(UPDATE))

    assert [answer for answer, _ in answers(repo)] == [True]
    repo.sandbox.reset({**seed, "profile": "g2"})
    assert [answer for answer, _ in answers(repo)] == ["unknown"]


@pytest.mark.parametrize(
    ("owned", "expected"),
    [
        ({}, True),
        ({"experiments": [{"name": "E", "feature_flag": "a"}]}, "unknown"),
        ({"early_access_features": [{"name": "F", "feature_flag": "a"}]}, "unknown"),
        ({"surveys": [{"name": "S", "linked_flag": "a"}]}, "unknown"),
    ],
)
def test_targeting_of_a_flag_that_a_product_owns_is_unknown(world, owned, expected):
    """Nothing shows since when it owns the flag, and then targeting is free."""
    person = {"key": "email", "value": "x", "operator": "exact", "type": "person"}
    seed = logged(entry(1, ("filters", shares(10, person), shares(10))))
    seed["organizations"][0]["projects"][0] |= owned
    repo = world(seed)
    repo.write("policies.yaml", rule(UPDATE))

    assert [answer for answer, _ in answers(repo)] == [expected]


def test_targeting_of_a_deleted_flag_is_unknown(world):
    """Nothing shows who owned it; its share is known."""
    person = {"key": "email", "value": "x", "operator": "exact", "type": "person"}
    repo = world(
        logged(
            entry(3, ("deleted", False, True), activity="deleted", item="9"),
            entry(2, ("filters", shares(10, person), shares(10)), item="9"),
            entry(1, ("filters", shares(5, person), shares(10, person)), item="9"),
        )
    )
    repo.write("policies.yaml", rule(UPDATE))

    assert [answer for answer, _ in answers(repo)] == [False, "unknown", True]


def test_a_flag_that_lists_do_not_show_is_unknown(world):
    """A survey made it; what PostHog writes for a survey needs no approval."""
    repo = world(logged(entry(1, ("active", False, True), item="99")))
    repo.write("policies.yaml", rule(ENABLE))

    ((answer, why),) = answers(repo)

    assert answer == "unknown"
    assert why.startswith("a survey or a product tour created the flag")


def test_a_role_that_was_deleted_later_may_have_let_people_pass(world):
    """The role of now is younger than the change; another one had its name before."""
    role = {"name": "Managers", "created_at": "2026-01-04T12:00:00Z", "members": []}
    young = logged(entry(1, ("active", False, True)), roles=[role])
    deleted = entry(2, activity="deleted", scope="Role", item="r", team_id=None)
    deleted["detail"]["name"] = "managers"
    older = logged(entry(1, ("active", False, True)), deleted, roles=[role])
    repo = world(young)
    repo.write("policies.yaml", rule(ENABLE, bypass_roles=["Managers"]))

    assert [answer for answer, _ in answers(repo)] == [True]
    repo.sandbox.reset(older)
    assert [answer for answer, _ in answers(repo)] == ["unknown"]


def test_policies_of_another_file_are_the_only_ones_tried(world):
    """What is live, and what the target declares, does not count."""
    seed = logged(entry(1, ("active", False, True)))
    project = seed["organizations"][0]["projects"][0]
    project["approval_policies"] = [acme.policy(ENABLE, enabled=False)]
    repo = world(seed)
    repo.write("reconciler.yaml", {"version": 1, "targets": {"t": {"paths": ["config"]}}})
    repo.write("config/policies.yaml", rule(UPDATE))
    repo.write("drafts/enable.yaml", rule(ENABLE))

    assert [answer for answer, _ in answers(repo)] == [False]
    assert [answer for answer, _ in answers(repo, "--policies", "drafts")] == [True]


def test_a_policy_for_several_projects_is_tried_in_each(world):
    other = {"name": "Mobile", "id": 2, "feature_flags": [acme.live_flag("m", id=8)]}
    seed = logged(
        entry(2, ("active", False, True), item="8", team_id=2), entry(1, ("active", False, True))
    )
    seed["organizations"][0]["projects"].append(other)
    repo = world(seed)
    everywhere = rule(ENABLE)
    everywhere["metadata"] = {"organization": "acme", "projects": ["*"], "action": ENABLE}
    repo.write("policies.yaml", everywhere)

    both = [row["address"] for row in replayed(repo)["rows"]]
    one = replayed(repo, "--project", "Mobile")

    assert both == ["FeatureFlag/acme/Mobile/a", "FeatureFlag/acme/Web/a"]
    assert [row["address"] for row in one["rows"]] == both[:1]
    assert one["would_wait"] == 1


def test_the_number_of_requests_does_not_depend_on_the_number_of_changes(world):
    def count(number):
        log = [entry(n, ("active", False, True)) for n in range(number)]
        repo = world(logged(*log))
        repo.write("policies.yaml", rule(ENABLE))
        replayed(repo)
        return len(repo.sandbox.requests())

    assert count(2) == count(50)


def test_a_project_without_declared_policies_takes_one_request(world):
    """What waited there is in its change requests; nothing else matters."""
    other = {"name": "Mobile", "id": 2, "feature_flags": [acme.live_flag("m", id=8)]}
    seed = logged(entry(2, ("active", False, True), item="8", team_id=2))
    seed["organizations"][0]["projects"].append(other)
    repo = world(seed)
    repo.write("policies.yaml", rule(ENABLE))

    assert [answer for answer, _ in answers(repo)] == [False]
    paths = [row["path"] for row in repo.sandbox.requests() if "/projects/" in row["path"]]
    assert paths == ["/api/projects/2/change_requests/"]


def test_an_early_server_does_not_say_the_project_of_an_entry(world):
    """If there is only one project, the entry is about it; a project's own log needs no name."""
    repo = world(logged(entry(1, ("active", False, True), team_id=None)))
    repo.write("policies.yaml", rule(ENABLE))

    assert [answer for answer, _ in answers(repo)] == [True]


def test_a_member_reads_the_logs_of_the_projects(world):
    """They have no changes of levels, so the level of then is known only if nothing changed."""
    repo = world(logged(entry(1, ("active", False, True))))
    repo.write("policies.yaml", rule(ENABLE, bypass_levels=["owner"]))

    done = repo.run("replay", "--format", "json", token="phx_bob")

    assert done.code == 0, done.err
    assert [row["would_wait"] for row in done.json["rows"]] == [True]
    assert "the activity log of acme cannot be read; only the logs of its projects were" in done.err


@pytest.mark.parametrize("missing", ["activity_log:read", "approvals:read", "feature_flag:read"])
def test_a_key_without_a_scope_is_an_error_that_names_it(world, missing):
    seed = logged(entry(1, ("active", False, True)))
    scopes = {
        *("activity_log:read", "approvals:read", "feature_flag:read", "organization:read"),
        *("organization_member:read", "project:read", "user:read"),
    }
    seed["users"][2]["tokens"] = [{"token": "phx_carol", "scopes": sorted(scopes - {missing})}]
    repo = world(seed)
    repo.write("policies.yaml", rule(ENABLE))

    done = repo.run("replay", token="phx_carol")

    assert done.code == 1
    assert done.out == ""
    assert missing in done.err


def test_without_a_policy_there_is_no_question(world):
    repo = world(logged())
    repo.write("flags.yaml", acme.flag("a", 10))

    done = repo.run("replay")

    assert (done.code, done.out) == (1, "")
    assert "no approval policy is declared" in done.err
    assert repo.sandbox.requests() == []


def test_an_unknown_project_is_an_error_with_a_suggestion(world):
    repo = world(logged())
    repo.write("policies.yaml", rule(ENABLE))

    done = repo.run("replay", "--project", "Wep")

    assert done.code == 1
    assert 'did you mean "Web"?' in done.err


@pytest.mark.parametrize("since", ["0d", "soon", "-3d", "9999999999d"])
def test_a_window_that_makes_no_sense_is_a_usage_error(world, since):
    repo = world(logged())
    repo.write("policies.yaml", rule(ENABLE))

    done = repo.run("replay", f"--since={since}")

    assert done.code == 64
    assert "--since" in done.err


def test_an_empty_log_is_an_answer(world):
    repo = world(logged())
    repo.write("policies.yaml", rule(ENABLE))

    done = repo.run("replay")

    assert done.code == 0
    assert done.out.startswith("The activity log has no change of a flag since")


def test_a_public_build_names_people_by_initials(world, github):
    """Everybody can read what it says."""
    repo = world(logged(entry(1, ("active", False, True))))
    repo.write("policies.yaml", rule(ENABLE, bypass_levels=["member"]), rule(UPDATE))
    build = {**github, "GITHUB_REPOSITORY_VISIBILITY": "public"}

    done = repo.run("replay", **build)

    assert done.code == 0, done.err
    assert "bob@acme.test" not in done.out


def test_foreign_text_cannot_reach_the_terminal(world):
    log = entry(1, ("active", False, True))
    log["detail"]["name"] = "\x1b[2Jphx_secretsecretsecret"
    repo = world(logged(log))
    repo.write("policies.yaml", rule(ENABLE))

    done = repo.run("replay")

    assert "\x1b" not in done.out
    assert "phx_secret" not in done.out
