"""`apply PLANFILE`: what was looked at is what is carried out, once, or it is refused."""

import json

from tests import acme
from tests.cli.saved import (
    apply,
    approve_all,
    edit,
    edit_flag,
    live,
    outcomes,
    resealed,
    save,
    seed,
)


def test_a_saved_plan_does_what_a_plan_made_now_would_do(world):
    """Create, update, delete and rename; afterwards a plan is empty."""
    repo = world(seed(acme.live_flag("a"), acme.live_flag("b"), acme.live_flag("old")))
    renamed = acme.flag("new", 10)
    renamed["metadata"]["lifecycle"] = {"renamed_from": "old"}
    gone = acme.flag("b")
    gone["metadata"]["lifecycle"] = {"state": "absent"}
    role = acme.document("Role", {"members": ["bob@acme.test"]}, name="Release")
    repo.write("all.yaml", acme.flag("a", 50), gone, renamed, acme.flag("c", 1), role)
    save(repo)

    done = apply(repo)

    assert 0 == done.code, done.out + done.err
    assert {"done"} == set(outcomes(done).values())
    assert "sha256:" in done.err
    assert 50 == live(repo, "a")["filters"]["groups"][0]["rollout_percentage"]
    assert live(repo, "b") is None
    assert live(repo, "old") is None
    assert 0 == repo.run("plan", "--detailed-exitcode").code


def test_applied_a_second_time_it_writes_nothing(world):
    """Creates, updates and deletes are recognized; 0, and everything is unchanged."""
    repo = world(seed(acme.live_flag("a"), acme.live_flag("b")))
    gone = acme.flag("b")
    gone["metadata"]["lifecycle"] = {"state": "absent"}
    role = acme.document("Role", {"members": ["bob@acme.test"]}, name="Release")
    archived = acme.flag("d", 1, active=False, archived=True)
    repo.write("all.yaml", acme.flag("a", 50), gone, acme.flag("c", 1), role, archived)
    save(repo)
    first = apply(repo)
    assert 0 == first.code, first.out + first.err
    repo.sandbox.clear()

    again = apply(repo)

    assert 0 == again.code, again.out + again.err
    assert [] == repo.sandbox.writes()
    assert {"unchanged"} == set(outcomes(again).values())
    assert again.json["summary"]["unchanged"] == sum(first.json["summary"].values())


def test_what_waits_goes_on_waiting_when_the_plan_is_applied_again(world):
    """3 and 3: the request that was filed is recognized, and none is filed twice."""
    repo = world(seed(acme.live_flag("a"), policies=[acme.policy("feature_flag.update")]))
    repo.write("flags.yaml", acme.flag("a", 50, name="Ay"), acme.flag("m", 1, project="Mobile"))
    save(repo)

    first, again = apply(repo), apply(repo)

    assert [3, 3] == [first.code, again.code], again.err
    assert outcomes(first)["a"] == outcomes(again)["a"] == "waiting"
    assert "unchanged" == outcomes(again)["m"]
    requests = {row["change_request"] for row in (*first.json["results"], *again.json["results"])}
    assert 1 == len(requests - {None})
    approve_all(repo)
    last = apply(repo)
    assert (0, "unchanged") == (last.code, outcomes(last)["a"])
    assert [] == repo.sandbox.writes()


def test_a_flag_that_is_born_in_two_steps_goes_on_from_the_first(world):
    """Under two policies it is created switched off; the plan applied again enables it."""
    policies = [acme.policy("feature_flag.enable"), acme.policy("feature_flag.update")]
    repo = world(seed(policies=policies))
    repo.write("flags.yaml", acme.flag("a", 50, active=True))
    save(repo)
    first = apply(repo)
    assert 3 == first.code, first.out + first.err
    for _ in range(2):
        for row in repo.run("requests", "list", "--format", "json").json:
            edit(
                repo, "POST", f"/api/projects/1/change_requests/{row['id']}/approve/", {}, "phx_bob"
            )
        done = apply(repo)
        if done.code == 0:
            break

    assert 0 == done.code, done.out + done.err
    assert live(repo, "a")["active"] is True
    assert 0 == apply(repo).code


def test_only_what_the_plan_speaks_of_is_read_again(world):
    """1,000 live flags, one of them changes: a handful of requests, and no listing of flags."""
    names = [f"f{n:03}" for n in range(1000)]
    repo = world(seed(*map(acme.live_flag, names)))
    repo.write("flags.yaml", *(acme.flag(name, 10) for name in names[1:]), acme.flag("f000", 20))
    save(repo)

    done = apply(repo)

    reads = [row["path"] for row in repo.sandbox.requests() if row["method"] == "GET"]
    assert 0 == done.code, done.err
    assert not [path for path in reads if path.rstrip("/").endswith("feature_flags")]
    assert len(reads) <= 7, reads
    assert 1 == len(repo.sandbox.writes())


# --- what moved ---


def test_what_moved_is_refused_with_field_values_and_who_did_it(world):
    """4, nothing is written; with --continue the rest is, and it is 4 still."""
    repo = world(seed(acme.live_flag("a"), acme.live_flag("b")))
    repo.write("flags.yaml", acme.flag("a", 50), acme.flag("b", 60))
    save(repo)
    filters = {"groups": [{"properties": [], "rollout_percentage": 33}]}
    edit_flag(repo, "a", filters=filters)

    done = apply(repo)

    assert 4 == done.code
    assert [] == repo.sandbox.writes()
    assert "FeatureFlag/acme/Web/a" in done.err
    for word in ("filters.groups[0].rollout_percentage", "10", "33", "alice@acme.test"):
        assert word in done.err
    logs = [row for row in repo.sandbox.requests() if "activity" in row["path"]]
    assert 1 == len(logs)
    assert "item_ids" in logs[0]["query"]

    rest = apply(repo, "--continue")

    assert 4 == rest.code
    assert {"a": "refused", "b": "done"} == outcomes(rest)
    assert 33 == live(repo, "a")["filters"]["groups"][0]["rollout_percentage"]


def test_what_is_in_no_file_counts_too(world):
    """The plan was looked at with another name on the flag, though no file says anything of it."""
    repo = world(seed(acme.live_flag("a")))
    repo.write("flags.yaml", acme.flag("a", 50))
    save(repo)
    edit_flag(repo, "a", name="Do not touch")

    done = apply(repo)

    assert 4 == done.code
    assert 'name changed from "a" to "Do not touch"' in done.err


def test_without_the_right_to_read_the_log_it_works_as_well(world):
    """Nobody is named; everything else is told."""
    start = seed(acme.live_flag("a"))
    scopes = ["organization:read", "feature_flag:write", "approvals:read", "user:read"]
    start["users"][3]["tokens"] = [{"token": "phx_few", "scopes": scopes}]
    repo = world(start)
    repo.token = "phx_few"
    repo.write("flags.yaml", acme.flag("a", 50))
    save(repo)
    edit_flag(repo, "a", name="x")

    done = apply(repo)

    assert 4 == done.code
    assert 'name changed from "a" to "x"' in done.err
    assert "alice" not in done.err


def test_nothing_is_asked_of_the_log_where_nothing_moved(world):
    repo = world(seed(acme.live_flag("a")))
    repo.write("flags.yaml", acme.flag("a", 50))
    save(repo)
    apply(repo)

    assert not [row for row in repo.sandbox.requests() if "activity" in row["path"]]


def gone(repo):
    edit_flag(repo, "a", deleted=True)


def made_anew(repo):
    gone(repo)
    body = {"key": "a", "filters": {"groups": [{"properties": [], "rollout_percentage": 10}]}}
    edit(repo, "POST", "/api/projects/1/feature_flags/", body)


def called_otherwise(repo):
    edit_flag(repo, "a", key="z")


def there_already(repo):
    body = {"key": "b", "filters": {"groups": [{"properties": [], "rollout_percentage": 7}]}}
    edit(repo, "POST", "/api/projects/1/feature_flags/", body)


def touched_before_its_end(repo):
    edit_flag(repo, "c", tags=["still-needed"])


OTHERS = [
    (gone, "a", "it was deleted"),
    (made_anew, "a", "it was deleted"),
    (called_otherwise, "a", 'metadata.key changed from "a" to "z"'),
    (there_already, "b", "it exists already"),
    (touched_before_its_end, "c", "still-needed"),
]


def test_an_object_that_is_another_is_refused(world):
    """Gone, made anew, renamed, there before us, or changed since its end was decided."""
    repo = world(seed(acme.live_flag("a"), acme.live_flag("c"), acme.live_flag("d")))
    doomed = acme.flag("c")
    doomed["metadata"]["lifecycle"] = {"state": "absent"}
    repo.write("flags.yaml", acme.flag("a", 50), acme.flag("b", 60), doomed, acme.flag("d", 20))
    save(repo)
    start = repo.sandbox.state()
    for move, flag, word in OTHERS:
        repo.sandbox.reset(start)
        move(repo)
        done = apply(repo, "--continue")

        assert 4 == done.code, word
        assert word in json.loads(done.out)["findings"][0]["message"]
        others = {name: outcome for name, outcome in outcomes(done).items() if name != flag}
        assert "refused" == outcomes(done)[flag]
        assert {"done"} == set(others.values())


def test_what_moved_to_where_the_plan_wants_it_is_no_reason_to_stop(world):
    """Somebody was quicker: it is unchanged, and the rest is done."""
    repo = world(seed(acme.live_flag("a"), acme.live_flag("b")))
    repo.write("flags.yaml", acme.flag("a", 50, name="Ay"), acme.flag("b", 60))
    save(repo)
    filters = {"groups": [{"properties": [], "rollout_percentage": 50}]}
    edit_flag(repo, "a", filters=filters)

    half = apply(repo)
    assert (0, {"a": "done", "b": "done"}) == (half.code, outcomes(half))
    assert "Ay" == live(repo, "a")["name"]


def test_what_depends_on_what_moved_is_refused_with_it(world):
    """A policy that names a role; a flag that the policy gates."""
    repo = world(seed(roles=[{"name": "Release", "members": ["bob@acme.test"]}]))
    policy = acme.document(
        "ApprovalPolicy",
        {"approvers": {"quorum": 1, "roles": ["Release"]}},
        project="Web",
        action="feature_flag.disable",
    )
    role = acme.document("Role", {"members": []}, name="Release")
    repo.write("all.yaml", role, policy, acme.flag("a", 50), acme.flag("m", 5, project="Mobile"))
    save(repo)
    roles = edit(repo, "GET", "/api/organizations/@current/roles/")["results"]
    person = edit(repo, "GET", "/api/users/@me/", token="phx_carol")["uuid"]
    path = f"/api/organizations/@current/roles/{roles[0]['id']}/role_memberships/"
    edit(repo, "POST", path, {"user_uuid": person})

    done = apply(repo, "--continue")

    assert 4 == done.code
    assert {
        "Release": "refused",
        "feature_flag.disable": "refused",
        "a": "refused",
        "m": "done",
    } == outcomes(done)


# --- a plan for something else ---


def test_a_plan_for_other_files_is_refused_before_anything_is_asked(world):
    """A field, a resource more, a lifecycle: whatever is declared otherwise."""
    repo = world(seed(acme.live_flag("a")))
    repo.write("flags.yaml", acme.flag("a", 50))
    save(repo)
    protected = acme.flag("a", 50)
    protected["metadata"]["lifecycle"] = {"prevent_destroy": True}

    for documents in ([acme.flag("a", 51)], [acme.flag("a", 50), acme.flag("b", 1)], [protected]):
        repo.write("flags.yaml", *documents)
        done = apply(repo)

        assert 4 == done.code
        assert "another configuration" in done.err
        assert [] == repo.sandbox.requests()

    repo.write("other/name.yaml", acme.flag("a", 50))
    (repo.folder / "flags.yaml").unlink()
    assert 0 == apply(repo).code  # the same, written elsewhere


def test_a_plan_for_another_host_or_target_is_refused(world):
    repo = world(seed(acme.live_flag("a")))
    targets = {name: {"paths": ["config"]} for name in ("blue", "green")}
    repo.write("reconciler.yaml", {"version": 1, "targets": targets})
    repo.write("config/flags.yaml", acme.flag("a", 50))
    assert 0 == repo.run("--target", "blue", "plan", "--out", "plan.json").code
    repo.sandbox.clear()

    target = repo.run("--target", "green", "apply", "plan.json", "--yes")
    host = repo.run(
        "--target", "blue", "--host", "http://localhost:1", "apply", "plan.json", "--yes"
    )

    assert [4, 4] == [target.code, host.code], host.err
    assert "target blue" in target.err
    assert "another host" in host.err
    assert [] == repo.sandbox.requests()


def test_a_plan_for_another_organization_or_project_is_refused(world):
    """Of the same name and with the same flags, but not the ones that were looked at."""
    repo = world(seed(acme.live_flag("a")))
    repo.write("flags.yaml", acme.flag("a", 50))
    save(repo)

    organization = seed(acme.live_flag("a"))
    organization["organizations"][0]["id"] = "01900000-0000-7000-8000-000000000002"
    repo.sandbox.reset(organization)
    assert "another organization" in (one := apply(repo)).err

    twin = seed(acme.live_flag("a"))
    twin["organizations"][0]["projects"][0]["id"] = 7
    repo.sandbox.reset(twin)
    assert "another project" in (two := apply(repo)).err
    assert [4, 4] == [one.code, two.code]
    assert repo.sandbox.writes() == []


def test_a_project_that_is_new_since_is_not_written_to(world):
    """A template would put a flag into it; the plan did not."""
    repo = world(seed())
    template = acme.flag("everywhere", 10)
    template["metadata"]["projects"] = ["*"]
    del template["metadata"]["project"]
    repo.write("flags.yaml", template)
    save(repo)
    edit(repo, "POST", "/api/organizations/@current/projects/", {"name": "Brand new"})

    done = apply(repo)

    assert 0 == done.code, done.err
    places = {row["path"].split("/")[3] for row in repo.sandbox.writes()}
    assert {"1", "2"} == places


def test_a_plan_of_a_newer_program_is_refused(world):
    repo = world(seed(acme.live_flag("a")))
    repo.write("flags.yaml", acme.flag("a", 50))
    path = save(repo)
    for version in ("0.2.0", "10.0.0", "nonsense"):
        resealed(path, lambda document, version=version: document.update(tool_version=version))
        done = apply(repo)

        assert 4 == done.code
        assert version in done.err
    assert [] == repo.sandbox.requests()


def test_a_report_is_no_plan(world):
    """What drift printed can be shown, and not applied."""
    repo = world(seed(acme.live_flag("a")))
    repo.write("flags.yaml", acme.flag("a", 50))
    repo.commit()
    (repo.folder / "drift.json").write_text(repo.run("drift", "--format", "json").out)

    done = apply(repo, name="drift.json")

    assert 4 == done.code
    assert "can be shown, and not applied" in done.err


def test_what_lives_in_what_the_plan_makes_is_recognized_too(world):
    """A new organization with a role it waits for, a new project with a flag, a renamed project."""
    repo = world(seed(more=[{"name": "Old", "id": 3, "feature_flags": [acme.live_flag("o")]}]))
    renamed = acme.document("Project", {}, name="New")
    renamed["metadata"]["lifecycle"] = {"renamed_from": "Old"}
    fresh = {"organization": "fresh"}
    repo.write(
        "all.yaml",
        {"kind": "Organization", "metadata": fresh, "spec": {"name": "Fresh", "default_role": "R"}},
        {"kind": "Role", "metadata": {**fresh, "name": "R"}, "spec": {}},
        {"kind": "Project", "metadata": {**fresh, "name": "First"}, "spec": {"timezone": "UTC"}},
        acme.document("Project", {"timezone": "Europe/Berlin"}, name="Third"),
        acme.flag("t", 5, project="Third"),
        renamed,
        acme.flag("o", 20, project="New"),
        acme.document("Member", {"level": "admin"}, email="bob@acme.test"),
        acme.document("Organization", {"enforce_2fa": True}),
    )
    save(repo)

    first = apply(repo, token="phx_alice")
    assert 0 == first.code, first.out + first.err
    repo.sandbox.clear()
    again = apply(repo, token="phx_alice")

    assert 0 == again.code, again.out + again.err
    assert [] == repo.sandbox.writes()
    assert {"unchanged"} == set(outcomes(again).values())
