"""Drift with a name: who, when, through what, past which gate. Real edits by real people."""

import datetime as dt
import json

import pytest

from tests import acme, factories

FLAGS = "/api/projects/1/feature_flags/"
UPDATE = "feature_flag.update"
ENABLE = "feature_flag.enable"


def seed(*flags, policies=(), **organization):
    flags = flags or [acme.live_flag("a", id=101)]
    return factories.seed(*flags, policies=policies, **organization)


def a(**spec):
    """The flag `a` as the files have it."""
    return acme.flag("a", 10, active=False, **spec)


def edit(repo, path, body, by, method="PATCH", *, client=None):
    """Somebody changes something in PostHog; what the server answered."""
    status, answer = repo.sandbox.call(method, path, body, token=f"phx_{by}", client=client)
    assert status < 300, answer
    return answer


def asked(repo, path, body, by, approver):
    """Somebody asks for a gated change, and somebody else approves it; the request's id."""
    status, answer = repo.sandbox.call("PATCH", path, body, token=f"phx_{by}")
    assert status == 409, answer
    id_ = answer["change_request_id"]
    edit(repo, f"/api/projects/1/change_requests/{id_}/approve/", {}, approver, "POST")
    return id_


def organization(repo):
    answer = repo.sandbox.call("GET", "/api/organizations/", token="phx_alice")[1]
    return f"/api/organizations/{answer['results'][0]['id']}/"


def drift(repo, *options, **extra):
    done = repo.run("drift", "--format", "json", *options, **extra)
    assert done.code in {0, 2}, done.err + done.out
    return done


def fields(done):
    return {
        f"{change['address'].split('/')[-1]}.{field['path']}": field
        for change in done.json["changes"]
        for field in change["fields"]
    }


def attributions(done):
    return {name: field["attribution"] for name, field in fields(done).items()}


def log_reads(repo):
    return [row for row in repo.sandbox.requests() if "activity_logs" in row["path"]]


@pytest.fixture
def committed(world):
    """(documents, seed) -> a repository whose HEAD declares them."""

    def make(documents, its_seed):
        repo = world(its_seed)
        repo.write("config.yaml", *documents)
        repo.commit()
        repo.sandbox.clear()
        return repo

    return make


def test_a_clean_repository_costs_no_look_into_the_log(committed):
    repo = committed([a()], seed())

    assert (0, []) == (drift(repo).code, log_reads(repo))


def test_a_change_by_hand_has_its_person_time_and_client(committed):
    """Nothing gates a flag's name: unapproved. The keys are those of the interface, no others."""
    repo = committed([a(name="a")], seed())
    edit(repo, f"{FLAGS}101/", {"name": "by hand"}, "carol", client="web")

    done = drift(repo)

    found = attributions(done)["a.name"]
    at = dt.datetime.fromisoformat(found.pop("at"))
    assert done.code == 2
    assert abs(at - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=5)
    assert found == {
        "person": "carol@acme.test",
        "client": "web",
        "impersonated": False,
        "class": "unapproved",
        "change_request": None,
    }
    assert {"before": "a", "after": "by hand"} == fields(done)["a.name"]["evidence"]["change"]


def test_what_people_approved_is_named_after_who_asked(committed):
    repo = committed([a()], seed(policies=[acme.policy(ENABLE)]))
    id_ = asked(repo, f"{FLAGS}101/", {"active": True}, by="carol", approver="alice")

    found = attributions(drift(repo))["a.active"]

    assert ("carol@acme.test", "approved", id_) == (
        found["person"],
        found["class"],
        found["change_request"],
    )


def test_who_is_let_through_by_a_policy_is_told_from_who_never_met_one(committed):
    """Alice is an owner, whom the policy lets by; what it does not cover needs no gate."""
    policy = acme.policy(
        UPDATE,
        conditions={
            "type": "change_amount",
            "field": "rollout_percentage",
            "operator": ">",
            "value": 20,
        },
        bypass_org_membership_levels=[15],
    )
    flags = [acme.live_flag("a", 10, id=101), acme.live_flag("b", 10, id=102)]
    documents = [a(), acme.flag("b", 10, active=False)]
    repo = committed(documents, seed(*flags, policies=[policy]))
    wide = {"filters": {"groups": [{"properties": [], "rollout_percentage": 90}]}}
    narrow = {"filters": {"groups": [{"properties": [], "rollout_percentage": 15}]}}
    edit(repo, f"{FLAGS}101/", wide, "alice")
    edit(repo, f"{FLAGS}102/", narrow, "bob")

    done = drift(repo)

    path = "filters.groups[0].rollout_percentage"
    told = {name: (one["person"], one["class"]) for name, one in attributions(done).items()}
    assert told == {
        f"a.{path}": ("alice@acme.test", "bypass"),
        f"b.{path}": ("bob@acme.test", "unapproved"),
    }
    policy = "ApprovalPolicy/acme/Web/feature_flag.update"
    assert policy == fields(done)[f"a.{path}"]["evidence"]["policy"]


def test_each_field_is_named_after_who_moved_it_last(committed):
    """Two people edit one flag; a later edit of another field does not take the blame."""
    repo = committed([a(name="a", tags=[])], seed())
    edit(repo, f"{FLAGS}101/", {"name": "first"}, "bob")
    edit(repo, f"{FLAGS}101/", {"name": "second"}, "carol")
    edit(repo, f"{FLAGS}101/", {"tags": ["hot"]}, "bob")
    edit(repo, f"{FLAGS}101/", {"evaluation_runtime": "server"}, "alice")

    told = {name: one["person"] for name, one in attributions(drift(repo)).items()}

    assert told == {"a.name": "carol@acme.test", "a.tags": "bob@acme.test"}


def test_inside_of_filters_only_who_moved_this_very_part_counts(committed):
    """The log has filters as a whole; alice moved the rollout, bob only a payload after her."""
    repo = committed([a()], seed())
    groups = [{"properties": [], "rollout_percentage": 60}]
    edit(repo, f"{FLAGS}101/", {"filters": {"groups": groups}}, "alice")
    edit(repo, f"{FLAGS}101/", {"filters": {"groups": groups, "payloads": {"true": "1"}}}, "bob")

    found = attributions(drift(repo))

    assert {"a.filters.groups[0].rollout_percentage": "alice@acme.test"} == {
        name: one["person"] for name, one in found.items()
    }


def test_what_was_deleted_and_what_came_back_have_a_name_too(committed):
    flags = [acme.live_flag("a", id=101)]
    gone = {**a(), "metadata": {"organization": "acme", "project": "Web", "key": "back"}}
    gone["metadata"]["lifecycle"] = {"state": "absent"}
    repo = committed([a(), gone], seed(*flags))
    edit(repo, f"{FLAGS}101/", {"deleted": True}, "bob")
    groups = [{"properties": [], "rollout_percentage": 5}]
    edit(repo, FLAGS, {"key": "back", "filters": {"groups": groups}}, "carol", "POST")

    done = drift(repo)

    rows = {row["address"].split("/")[-1]: row for row in done.json["changes"]}
    told = {
        name: (row["action"], row["attribution"]["person"], row["evidence"]["action"])
        for name, row in rows.items()
    }
    assert done.code == 2
    assert told == {
        "a": ("create", "bob@acme.test", "deleted"),
        "back": ("delete", "carol@acme.test", "created"),
    }
    assert {"bob@acme.test"} == {one["person"] for one in attributions(done).values()}


def test_people_and_settings_are_named_as_far_as_the_log_goes(committed):
    """Members and the organization are in the log; who holds a role, and policies, never are."""
    documents = [
        acme.document("Organization", {"enforce_2fa": False}),
        acme.document("Member", {"level": "member"}, email="bob@acme.test"),
        acme.document("Role", {"members": []}, name="Managers"),
        acme.document("ApprovalPolicy", {"enabled": True}, project="Web", action=ENABLE),
    ]
    roles = [{"name": "Managers", "members": []}]
    settings = {"enforce_2fa": False}
    repo = committed(
        documents, seed(policies=[acme.policy(ENABLE)], roles=roles, settings=settings)
    )
    root = organization(repo)
    people = repo.sandbox.call("GET", f"{root}members/", token="phx_alice")[1]["results"]
    bob = next(one["user"]["uuid"] for one in people if one["user"]["email"] == "bob@acme.test")
    role = repo.sandbox.call("GET", f"{root}roles/", token="phx_alice")[1]["results"][0]["id"]
    policies = "/api/projects/1/approval_policies/"
    policy = repo.sandbox.call("GET", policies, token="phx_alice")[1]["results"][0]["id"]
    edit(repo, root, {"enforce_2fa": True}, "alice")
    edit(repo, f"{root}members/{bob}/", {"level": 8}, "alice")
    edit(repo, f"{root}roles/{role}/role_memberships/", {"user_uuid": bob}, "carol", "POST")
    edit(repo, f"{policies}{policy}/", {"enabled": False}, "carol")

    done = drift(repo)

    told = {name: (one["person"], one["class"]) for name, one in attributions(done).items()}
    notes = {name: field["evidence"]["note"] for name, field in fields(done).items()}
    assert told == {
        "acme.enforce_2fa": ("alice@acme.test", "unapproved"),
        "bob@acme.test.level": ("alice@acme.test", "unapproved"),
        "Managers.members": (None, "unknown"),
        f"{ENABLE}.enabled": (None, "unknown"),
    }
    assert "no entries for approval policies; it was last written on" in notes[f"{ENABLE}.enabled"]
    assert "does not show members of a Role" in notes["Managers.members"]


def test_the_log_is_asked_once_for_many_objects(committed):
    """One listing an organization for whatever has drifted, one more for what is gone by name."""
    flags = [acme.live_flag(f"f{n}", id=200 + n) for n in range(12)]
    documents = [acme.flag(f"f{n}", 10, name=f"f{n}") for n in range(12)]
    repo = committed(documents, seed(*flags))
    for n in range(10):
        edit(repo, f"{FLAGS}{200 + n}/", {"name": "x"}, "carol")
    edit(repo, f"{FLAGS}210/", {"deleted": True}, "carol")
    edit(repo, f"{FLAGS}211/", {"deleted": True}, "bob")
    repo.sandbox.clear()

    found = attributions(drift(repo))

    assert {"carol@acme.test", "bob@acme.test"} == {one["person"] for one in found.values()}
    assert len(log_reads(repo)) == 2
    assert [] == repo.sandbox.writes()


def entry(minutes, field, before, after, **more):
    """An update of the flag 101 by bob, as the log has it."""
    return {
        "user": "bob@acme.test",
        "scope": "FeatureFlag",
        "activity": "updated",
        "item_id": "101",
        "team_id": 1,
        "created_at": f"2026-01-02T{minutes // 60:02}:{minutes % 60:02}:00Z",
        "detail": {"name": "a", "changes": [{"field": field, "before": before, "after": after}]},
        **more,
    }


def test_pages_of_the_log_are_followed_and_no_further_than_needed(committed):
    """The name was changed before 450 other edits of the flag: three pages of two hundred."""
    entries = [entry(n, "tags", [str(n - 1)], [str(n)]) for n in range(450)]
    entries[0] = entry(0, "name", "a", "renamed")
    flag = acme.live_flag("a", id=101, name="renamed", tags=["449"])
    repo = committed([a(name="a")], seed(flag, activity=entries))

    assert "bob@acme.test" == attributions(drift(repo))["a.name"]["person"]
    assert len(log_reads(repo)) == 3

    repo.sandbox.clear()
    repo.write("config.yaml", a(tags=[]))
    repo.commit()

    assert "bob@acme.test" == attributions(drift(repo))["a.tags"]["person"]
    assert len(log_reads(repo)) == 1


def test_since_leaves_out_what_is_older_by_the_servers_own_clock(committed):
    """The sandbox lives in January; ten days pass between two edits. What is unknown stays."""
    policies = [acme.policy(ENABLE)]
    documents = [
        a(name="a", tags=[]),
        acme.document("ApprovalPolicy", {"enabled": True}, project="Web", action=ENABLE),
    ]
    repo = committed(documents, {**seed(policies=policies), "now": "2026-01-05T09:00:00Z"})
    policies = "/api/projects/1/approval_policies/"
    policy = repo.sandbox.call("GET", policies, token="phx_alice")[1]["results"][0]["id"]
    edit(repo, f"{policies}{policy}/", {"enabled": False}, "carol")
    edit(repo, f"{FLAGS}101/", {"name": "old edit"}, "carol")
    repo.sandbox.call("POST", "/_sandbox/clock", {"advance": "10d"})
    edit(repo, f"{FLAGS}101/", {"tags": ["new"]}, "bob")
    repo.sandbox.clear()

    done = drift(repo, "--since", "2d")

    assert {f"{ENABLE}.enabled", "a.tags"} == set(attributions(done))
    assert "drift-older" in {finding["code"] for finding in done.json["findings"]}
    assert ["start_date", "end_date"] == [
        name
        for row in log_reads(repo)
        for name in ("start_date", "end_date")
        if name in row["query"]
    ]
    repo.write("config.yaml", a(name="a"))
    repo.commit()
    assert drift(repo, "--since", "2d").code == 0
    assert drift(repo, "--since", "2w").code == 2


def test_a_window_that_is_none_is_a_slip_of_the_command_line(committed):
    repo = committed([a()], seed())

    for word in ("99999999w", "yesterday", "7", "-7d", "0d"):
        done = repo.run("drift", f"--since={word}")

        assert (64, True) == (done.code, "36h, 7d or 2w" in done.err), done.err


SETTINGS = """\
version: 1
targets:
  web:
    paths: [config.yaml]
    drift:
      hold:
        - {address: "FeatureFlag/acme/Web/*", until: %s, reason: "INC-42: off until fixed"}
"""


def test_a_hold_is_shown_and_does_not_fail_until_its_day(committed):
    repo = committed([a(name="a")], seed())
    edit(repo, f"{FLAGS}101/", {"name": "by hand"}, "carol")
    repo.write("reconciler.yaml", SETTINGS % "2999-01-01")

    held = drift(repo)
    shown = repo.run("drift")

    assert (0, 0) == (held.code, shown.code)
    assert "held until 2999-01-01, does not fail: INC-42: off until fixed" in shown.out
    assert "2999-01-01" == held.json["changes"][0]["hold"]["until"]

    repo.write("reconciler.yaml", SETTINGS % '"2026-01-01T10:00:00+02:00"')
    over = drift(repo)

    findings = {finding["code"]: finding for finding in over.json["findings"]}
    assert over.code == 2
    assert "hold" not in over.json["changes"][0]
    assert {"file": "reconciler.yaml", "line": 7} == {
        name: findings["hold-over"]["source"][name] for name in ("file", "line")
    }


@pytest.mark.parametrize(
    ("until", "says"),
    [
        ("2026-13-01", "invalid date or time"),
        ("soon", "a day such as"),
        ('"2026-01-01", when: x', "when"),
    ],
)
def test_a_hold_that_would_never_end_is_an_error_with_its_place(committed, until, says):
    repo = committed([a()], seed())
    repo.write("reconciler.yaml", SETTINGS % until)

    done = repo.run("drift")

    assert (1, True, True) == (done.code, "reconciler.yaml:7:" in done.err, says in done.err)


def test_a_hold_of_a_kind_that_there_is_not_holds_nothing_and_is_an_error(committed):
    repo = committed([a()], seed())
    repo.write("reconciler.yaml", SETTINGS.replace("FeatureFlag/", "Featureflag/") % "2999-01-01")

    done = repo.run("drift")

    assert (1, True) == (done.code, 'did you mean "FeatureFlag/…"?' in done.err)


def test_people_are_named_as_far_as_a_public_report_may(committed):
    repo = committed([a(name="a")], seed())
    edit(repo, f"{FLAGS}101/", {"name": "by hand"}, "carol")

    for word, person in (("full", "carol@acme.test"), ("initials", "C."), ("none", None)):
        done = drift(repo, "--identities", word)

        assert person == attributions(done)["a.name"]["person"]
        for format_ in ("text", "markdown", "html", "sarif"):
            shown = repo.run("drift", "--identities", word, "--format", format_).out
            assert ("carol" in shown) is (word == "full"), shown


def test_a_public_repository_names_nobody_in_full_unless_asked_to(committed):
    """As the code host says of its build; at home and in private ones people have their names."""
    repo = committed([a(name="a")], seed())
    edit(repo, f"{FLAGS}101/", {"name": "by hand"}, "carol")
    event = repo.folder / "event.json"
    github = {"GITHUB_ACTIONS": "true", "GITHUB_EVENT_PATH": str(event)}

    def person(*options, **environ):
        return attributions(drift(repo, *options, **environ))["a.name"]["person"]

    for private, name in ((False, "C."), (True, "carol@acme.test")):
        event.write_text(json.dumps({"repository": {"private": private}}))
        assert name == person(**github)
    for told in ("no JSON", '{"schedule": "17 6 * * *"}'):  # nobody knows: as if it were public
        event.write_text(told)
        assert "C." == person(**github)
    assert "carol@acme.test" == person(GITHUB_ACTIONS="true")  # a build always has its event
    gitlab = {"GITLAB_CI": "true", "CI_PROJECT_VISIBILITY": "public"}
    assert "C." == person(**gitlab)
    assert "carol@acme.test" == person("--identities", "full", **gitlab)


def test_without_the_right_to_the_log_drift_still_works_and_says_what_is_missing(committed):
    """403 for want of a scope, on both logs; the flag itself says when it was last written."""
    its_seed = seed()
    scopes = ["approvals:read", "feature_flag:read", "organization:read", "project:read"]
    its_seed["users"][3]["tokens"].append({"token": "phx_narrow", "scopes": scopes})
    repo = committed([a(name="a")], its_seed)
    edit(repo, f"{FLAGS}101/", {"name": "by hand"}, "carol")
    repo.sandbox.clear()

    done = drift(repo, token="phx_narrow")

    field = fields(done)["a.name"]
    finding = next(one for one in done.json["findings"] if one["code"] == "attribution-incomplete")
    assert (2, None, "unknown") == (
        done.code,
        field["attribution"]["person"],
        field["attribution"]["class"],
    )
    assert "activity_log:read" in finding["why"] + finding["fix"]
    assert "by carol@acme.test" in field["evidence"]["note"]
    assert [403, 403] == [row["status"] for row in log_reads(repo)]


def test_a_plain_member_reads_the_projects_own_log(committed):
    """The log of the organization is for admins; its settings then have no name."""
    documents = [a(name="a"), acme.document("Organization", {"enforce_2fa": False})]
    repo = committed(documents, seed(settings={"enforce_2fa": False}))
    edit(repo, f"{FLAGS}101/", {"name": "by hand"}, "carol")
    edit(repo, organization(repo), {"enforce_2fa": True}, "alice")
    repo.sandbox.clear()

    done = drift(repo, token="phx_bob")

    told = {name: one["person"] for name, one in attributions(done).items()}
    assert told == {"a.name": "carol@acme.test", "acme.enforce_2fa": None}
    assert [403, 200] == [row["status"] for row in log_reads(repo)]
    assert "only the logs of its projects were" in str(done.json["findings"])


def test_without_audit_logs_in_the_plan_approved_drift_is_still_known(committed):
    """402. The request that was applied has the flag's very version: nothing came after it."""
    its_seed = seed(policies=[acme.policy(ENABLE)], features=["approvals"])
    flag = acme.flag("b", 10, name="b")
    its_seed["organizations"][0]["projects"][0]["feature_flags"].append(acme.live_flag("b", id=102))
    repo = committed([a(), flag], {**its_seed, "cloud": True})
    id_ = asked(repo, f"{FLAGS}101/", {"active": True}, by="carol", approver="bob")
    edit(repo, f"{FLAGS}102/", {"name": "by hand"}, "carol")

    done = drift(repo)

    found = attributions(done)
    told = {name: (one["person"], one["class"]) for name, one in found.items()}
    assert told == {"a.active": ("carol@acme.test", "approved"), "b.name": (None, "unknown")}
    assert "upgrade the plan; drift is found without the log, too" in str(done.json["findings"])
    listed = repo.run("activity", "list")
    assert 1 == listed.code
    assert "upgrade the plan to one that has the audit log" in listed.err
    assert id_ == found["a.active"]["change_request"]
    assert "attribution-incomplete" in {one["code"] for one in done.json["findings"]}


def test_a_log_that_fails_costs_no_drift(committed):
    """500 on every try: a warning, and the report."""
    repo = committed([a(name="a")], seed())
    edit(repo, f"{FLAGS}101/", {"name": "by hand"}, "carol")
    fault = {
        "match": {"path": "*advanced_activity_logs*", "hit": "every"},
        "effect": {"status": 500},
    }
    status, body = repo.sandbox.call("POST", "/_sandbox/faults", {"faults": [fault]})
    assert status == 200, body

    done = drift(repo)

    assert (2, "unknown") == (done.code, attributions(done)["a.name"]["class"])
    assert "attribution-incomplete" in {one["code"] for one in done.json["findings"]}


def test_staff_who_act_as_a_person_are_told_from_the_person(committed):
    one = entry(0, "name", "a", "by staff", was_impersonated=True, client="web")
    repo = committed(
        [a(name="a")], seed(acme.live_flag("a", id=101, name="by staff"), activity=[one])
    )

    found = attributions(drift(repo))["a.name"]

    assert (True, "bob@acme.test") == (found["impersonated"], found["person"])
    assert "by PostHog's staff, acting as bob@acme.test in the web app" in repo.run("drift").out


def test_an_entry_that_is_not_what_is_live_accuses_nobody_of_it(committed):
    """Bob wrote 30; somebody who is not in the log wrote 77 after him."""
    one = entry(0, "name", "a", "thirty")
    live = acme.live_flag("a", id=101, name="seventy-seven")
    repo = committed([a(name="a")], seed(live, activity=[one]))

    found = fields(drift(repo))["a.name"]

    assert "unknown" == found["attribution"]["class"]
    assert "not the one it wrote" in found["evidence"]["note"]


def test_a_stronger_policy_is_drift_and_no_error(committed):
    """To revert it would weaken: that is a matter of `--revert`, not of looking."""
    document = acme.document(
        "ApprovalPolicy",
        {"approvers": {"quorum": 1, "users": ["alice@acme.test", "bob@acme.test"], "roles": []}},
        project="Web",
        action=ENABLE,
    )
    repo = committed([document], seed(policies=[acme.policy(ENABLE)]))
    policies = "/api/projects/1/approval_policies/"
    policy = repo.sandbox.call("GET", policies, token="phx_alice")[1]["results"][0]
    config = {**policy["approver_config"], "quorum": 2}
    edit(repo, f"{policies}{policy['id']}/", {"approver_config": config}, "carol")

    assert {f"{ENABLE}.approvers.quorum"} == set(fields(drift(repo)))


def test_a_member_who_left_is_drift_with_a_name(committed):
    """Nobody can be created: for a plan an error, for drift something that happened."""
    document = acme.document("Member", {"level": "member"}, email="bob@acme.test")
    repo = committed([document], seed())
    root = organization(repo)
    people = repo.sandbox.call("GET", f"{root}members/", token="phx_alice")[1]["results"]
    bob = next(one["user"]["uuid"] for one in people if one["user"]["email"] == "bob@acme.test")
    edit(repo, f"{root}members/{bob}/", None, "alice", "DELETE")

    done = drift(repo)

    row = done.json["changes"][0]
    assert (2, "create", "alice@acme.test") == (
        done.code,
        row["action"],
        row["attribution"]["person"],
    )


def test_what_is_unmanaged_or_ignored_is_listed_apart_and_never_fails(committed):
    document = a(name="a")
    document["metadata"]["lifecycle"] = {"ignore": ["name"]}
    repo = committed([document, acme.flag("b", 10)], seed(*map(acme.live_flag, "abc")))
    flags = repo.sandbox.call("GET", FLAGS, token="phx_ci")[1]["results"]
    for flag in flags:
        edit(repo, f"{FLAGS}{flag['id']}/", {"name": "x", "active": True}, "carol")
    edit(repo, f"{FLAGS}{flags[0]['id']}/", {"active": False}, "carol")
    repo.write("config.yaml", {**document, "spec": {"name": "a"}}, acme.flag("b", 10, name="b"))
    repo.write(
        "reconciler.yaml",
        "version: 1\ntargets:\n  web:\n    paths: [config.yaml]\n    ignore: ['*/b']\n",
    )
    repo.commit()

    done = drift(repo)

    assert (0, [], ["FeatureFlag/acme/Web/c"]) == (
        done.code,
        done.json["changes"],
        done.json["unmanaged"],
    )
    assert [("FeatureFlag/acme/Web/b", None), ("FeatureFlag/acme/Web/a", "name")] == [
        (row["address"], row["path"]) for row in done.json["ignored"]
    ]


def test_a_repository_without_commits_is_told_so(world):
    repo = world(seed())
    repo.write("config.yaml", a())
    repo.git("init", "-q")

    done = repo.run("drift")

    assert (1, True) == (done.code, "no commit" in done.err)
    assert "git commit" in done.err


def test_no_remote_is_needed(committed):
    repo = committed([a()], seed())

    assert (0, "") == (drift(repo).code, drift(repo).err)


def test_sarif_points_at_the_declared_field_and_names_who(committed):
    repo = committed([a(name="a")], seed())
    edit(repo, f"{FLAGS}101/", {"name": "by hand"}, "carol")

    done = repo.run("drift", "--format", "sarif")

    run = done.json["runs"][0]
    result = next(one for one in run["results"] if one["ruleId"] == "drift-unapproved")
    place = result["locations"][0]["physicalLocation"]
    lines = (repo.folder / "config.yaml").read_text().splitlines()
    assert (2, "config.yaml") == (done.code, place["artifactLocation"]["uri"])
    assert "name: a" in lines[place["region"]["startLine"] - 1]
    assert "carol@acme.test" in result["message"]["text"]


def test_a_pull_request_sees_drift_only_on_what_it_touches(committed):
    """The rest is one line; the JSON has everything, and so has `show` of a saved plan."""
    flags = [acme.live_flag(key, id=200 + number) for number, key in enumerate("abc")]
    documents = [acme.flag(key, 10, name=key) for key in "abc"]
    repo = committed(documents, seed(*flags))
    repo.git("checkout", "-q", "-b", "topic")
    repo.write("config.yaml", acme.flag("a", 10, name="a", tags=["new"]), *documents[1:])
    repo.commit()
    for id_ in (200, 201, 202):
        edit(repo, f"{FLAGS}{id_}/", {"name": "by hand"}, "carol")
    build = {"GITHUB_BASE_REF": "main"}

    shown = repo.run("plan", "--out", "plan.json", **build)
    whole = repo.run("plan", "--format", "json", **build).json

    away = ["FeatureFlag/acme/Web/b", "FeatureFlag/acme/Web/c"]
    assert away == whole["unrelated_drift"]
    assert (3, 3) == (len(whole["changes"]), whole["summary"]["update"])
    told = "2 resources drifted that this pull request does not touch; apply writes them back"
    assert told in shown.out
    assert ("~ FeatureFlag/acme/Web/a" in shown.out, "~ FeatureFlag/acme/Web/b" in shown.out) == (
        True,
        False,
    )
    assert shown.out.rstrip("\n") == repo.run("show", "plan.json").out.rstrip("\n")
    for format_ in ("markdown", "html"):
        page = repo.run("plan", "--format", format_, **build).out
        assert "drifted that this pull request does not touch" in page
    assert "~ FeatureFlag/acme/Web/b" in repo.run("plan", "--drift", "all", **build).out
    assert "unrelated_drift" not in repo.run("plan", "--format", "json").json


def test_where_only_others_drifted_the_plan_does_not_say_that_nothing_would_be_done(committed):
    """The pull request changes nothing; its apply would."""
    repo = committed([a(name="a", tags=[])], seed())
    repo.git("checkout", "-q", "-b", "topic")
    repo.commit("nothing of it is about a")
    edit(repo, f"{FLAGS}101/", {"name": "by hand"}, "carol")

    for format_ in ("text", "markdown", "html"):
        done = repo.run("plan", "--detailed-exitcode", "--format", format_, GITHUB_BASE_REF="main")

        assert 2 == done.code
        assert "No changes of this pull request" in done.out
        assert "apply writes it back" in done.out


def test_a_commit_that_was_not_applied_yet_is_nobodys_drift(committed):
    """Git moved after the last apply: neither bob, who edited before, nor anybody else is named."""
    repo = committed([a(name="a", tags=[])], seed())
    edit(repo, f"{FLAGS}101/", {"tags": ["x"]}, "bob")
    edit(repo, f"{FLAGS}101/", {"tags": []}, "bob")
    assert repo.run("apply", "--yes").code == 0
    repo.write("config.yaml", a(name="a", tags=["wanted"]), acme.flag("new", 10))
    later = (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=5)).isoformat()
    repo.commit(GIT_COMMITTER_DATE=later)
    edit(repo, f"{FLAGS}101/", {"name": "by hand"}, "carol")

    done = drift(repo)

    told = {name: field["evidence"]["action"] for name, field in fields(done).items()}
    assert (2, {"a.name": "changed"}) == (done.code, told)
    assert attributions(done)["a.name"]["person"] == "carol@acme.test"
    waiting = {row["address"][-3:]: row["fields"][0] for row in done.json["not_applied"]}
    assert {"b/a": "tags", "new": "filters"} == {k: one["path"] for k, one in waiting.items()}
    assert {"unapplied"} == {one["evidence"]["action"] for one in waiting.values()}
    assert {None} == {one["attribution"]["person"] for one in waiting.values()}
    reverted = repo.run("drift", "--revert", "--yes", "--format", "json")
    flag = repo.sandbox.call("GET", f"{FLAGS}101/", token="phx_ci")[1]
    assert (0, "a", []) == (reverted.code, flag["name"], flag["tags"]), reverted.err
    assert "2 not applied yet: only git has changed them" in reverted.err
    before = (repo.folder / "config.yaml").read_text()
    assert repo.run("drift", "--adopt").code == 0
    assert before == (repo.folder / "config.yaml").read_text()


def test_a_request_that_would_mend_it_is_said(committed):
    """What apply has filed and waits for is drift that somebody is already looking after."""
    repo = committed([a()], seed(policies=[acme.policy("feature_flag.disable")]))
    edit(repo, f"{FLAGS}101/", {"active": True}, "carol")
    filed = repo.run("drift", "--revert", "--yes", "--format", "json").json["results"][0]

    shown = repo.run("drift")

    assert (2, True) == (
        shown.code,
        f"change request {filed['change_request']} is open" in shown.out,
    )


def test_a_server_that_does_not_know_a_filter_still_names_the_others(committed):
    """What is gone is asked for by name; a 400 to that is a gap, and no more."""
    flags = [acme.live_flag("a", id=101), acme.live_flag("b", id=102)]
    repo = committed([a(name="a"), acme.flag("b", 10)], seed(*flags))
    edit(repo, f"{FLAGS}101/", {"name": "by hand"}, "carol")
    edit(repo, f"{FLAGS}102/", {"deleted": True}, "carol")
    fault = {
        "match": {"path": "*activity_logs*", "hit": 2},
        "effect": {"status": {"code": 400, "body": {"detail": "no such filter"}}},
    }
    assert repo.sandbox.call("POST", "/_sandbox/faults", {"faults": [fault]})[0] == 200

    done = drift(repo)

    rows = {row["address"].split("/")[-1]: row for row in done.json["changes"]}
    assert "carol@acme.test" == attributions(done)["a.name"]["person"]
    assert rows["b"]["attribution"]["person"] is None
    assert "not about b" in str(done.json["findings"])
