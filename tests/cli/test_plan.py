"""`plan` and `drift` through the console script: what they cost, show and refuse."""

from tests import acme, factories


def many(count, rollout=10):
    return [acme.live_flag(f"flag-{n:04}", rollout) for n in range(count)]


def test_a_clean_plan_costs_its_pages_and_one_listing_of_organizations(world):
    """2,000 live and declared flags: 20 requests, 1 for organizations and 1 for schedules."""
    projects = [{"name": "Web", "id": 1, "feature_flags": many(2000)}]
    repo = world(acme.seed(projects=projects))
    documents = [acme.flag(f"flag-{n:04}", 10, active=False) for n in range(2000)]
    for part in range(4):
        repo.write(f"flags-{part}.yaml", *documents[part * 500 : part * 500 + 500])
    repo.sandbox.clear()

    done = repo.run("plan", "--detailed-exitcode", "--format", "json")

    paths = [row["path"] for row in repo.sandbox.requests()]
    assert done.code == 0, done.out[:500] + done.err
    assert sum("feature_flags" in path for path in paths) == 20
    assert 22 == len(paths) == done.json["requests"]["reads"]
    assert done.json["summary"]["none"] == 2000


def test_only_declared_collections_are_listed(world):
    """A file with one flag asks for organizations, and for flags and schedules of its project."""
    repo = world(factories.seed(*many(1)))
    repo.write("flags.yaml", acme.flag("flag-0000", 10))
    repo.sandbox.clear()

    repo.run("plan")

    paths = [row["path"].rstrip("/") for row in repo.sandbox.requests()]
    assert sorted(paths) == [
        "/api/organizations",
        "/api/projects/1/feature_flags",
        "/api/projects/1/scheduled_changes",
    ]


def test_plan_and_drift_send_get_only(world):
    """Whatever there is to do."""
    projects = [{"name": "Web", "id": 1, "approval_policies": [acme.policy("feature_flag.enable")]}]
    repo = world(acme.seed(projects=projects))
    repo.write("all.yaml", acme.flag("a", 10), acme.document("Role", {"members": []}, name="R"))
    repo.commit()
    repo.sandbox.clear()

    repo.run("plan")
    repo.run("plan", "--format", "json", "--out", "plan.json")
    repo.run("drift")

    assert {"GET"} == {row["method"] for row in repo.sandbox.requests()}


def test_the_plan_as_json_is_the_interface(world):
    """Every key that programs read."""
    repo = world(factories.seed(*many(2)))
    repo.write("flags.yaml", acme.flag("flag-0000", 50), acme.flag("fresh", 1))

    plan = repo.run("plan", "--format", "json").json

    assert {name: plan["summary"][name] for name in ("create", "update", "delete")} == {
        "create": 1,
        "update": 1,
        "delete": 0,
    }
    update = next(change for change in plan["changes"] if change["action"] == "update")
    assert update["address"] == "FeatureFlag/acme/Web/flag-0000"
    assert update["fields"][0] == {
        "path": "filters.groups[0].rollout_percentage",
        "base": None,
        "live": 10,
        "desired": 50,
        "cause": "unknown",
    }
    assert update["source"]["file"] == "flags.yaml"
    assert plan["unmanaged"] == ["FeatureFlag/acme/Web/flag-0001"]
    assert plan["base"] is None


def test_exit_codes_of_plan(world):
    """0 either way without the option; 2 for changes with it."""
    repo = world(acme.seed())
    repo.write("flags.yaml", acme.flag("a", 10))

    assert repo.run("plan").code == 0
    assert repo.run("plan", "--detailed-exitcode").code == 2
    assert repo.run("plan", "--exclude", "FeatureFlag/*", "--detailed-exitcode").code == 0
    assert repo.run("plan", "--select", "FeatureFlag/acme/*", "--detailed-exitcode").code == 2


def test_a_plan_says_how_long_the_rate_limit_makes_its_apply(world):
    """1,000 writes at 480 a minute cannot be done in less than two."""
    repo = world(acme.seed())
    repo.write("flags.yaml", *(acme.flag(f"flag-{number}", 50) for number in range(1_000)))

    asked = repo.run("plan", "--format", "json", "--out", "plan.json").json["requests"]

    assert (1_000, 120) == (asked["expected_writes"], asked["minimum_seconds"])
    page = repo.run("show", "plan.json", "--format", "html").out
    assert "1,000 writes to apply it in 2 minutes or more" in page


def test_a_saved_plan_is_shown_again_without_contacting_anything(world):
    """`show` renders what `plan --out` wrote, in every format."""
    repo = world(acme.seed())
    repo.write("flags.yaml", acme.flag("a", 10))
    made = repo.run("plan", "--out", "plan.json")
    repo.sandbox.clear()

    shown = repo.run("show", "plan.json")

    assert made.out == shown.out
    assert "FeatureFlag/acme/Web/a" in repo.run("show", "plan.json", "--format", "markdown").out
    assert repo.sandbox.requests() == []


def test_drift_compares_the_commit_not_the_working_tree(world):
    """0 when clean, 2 on drift; what is not committed does not count."""
    repo = world(factories.seed(*many(1)))
    repo.write("flags.yaml", acme.flag("flag-0000", 10))
    repo.commit()
    repo.write("flags.yaml", acme.flag("flag-0000", 77))

    assert repo.run("drift").code == 0

    repo.commit()
    drifted = repo.run("drift")

    assert drifted.code == 2
    assert "77" in drifted.out


def test_drift_outside_git_is_an_error(world):
    """1, and the message says what to do."""
    repo = world(acme.seed())
    repo.write("flags.yaml", acme.flag("a", 10))

    done = repo.run("drift")

    assert done.code == 1
    assert "git" in done.err


def test_all_errors_of_a_run_are_reported_together_and_nothing_is_contacted(world):
    """Unknown kind, unknown field, wrong type, a near miss of a name, two of one address."""
    repo = world(acme.seed())
    repo.write(
        "bad.yaml",
        """\
kind: FeatureFlagg
metadata: {organization: acme, project: Web, key: a}
---
kind: FeatureFlag
metadata: {organization: acme, project: Web, key: b}
spec: {activ: true}
---
kind: FeatureFlag
metadata: {organization: acme, project: Web, key: c}
spec: {active: no}
---
kind: Role
metadata: {organization: acme, name: Release managers}
---
kind: ApprovalPolicy
metadata: {organization: acme, project: Web, action: feature_flag.update}
spec:
  approvers:
    quorum: 1
    roles: [Release manager]
---
kind: FeatureFlag
metadata: {organization: acme, project: Web, key: c}
""",
    )
    repo.sandbox.clear()

    for command in ("validate", "plan"):
        done = repo.run(command)

        assert done.code == 1
        for place in ("bad.yaml:1:", "bad.yaml:6:", "bad.yaml:10:", "bad.yaml:20:", "bad.yaml:22:"):
            assert place in done.err, (place, done.err)
        assert '"FeatureFlag"' in done.err
        assert '"active"' in done.err
        assert '"Release managers"' in done.err
    assert repo.sandbox.requests() == []
