"""Settings of projects: only the project's own endpoint shows them (contract 10.1)."""

import pytest

from tests import acme

PROJECT = "/api/projects/1/"
TOKEN = "phs_"  # the beginning of a secret token in the sandbox
EVERYTHING = {
    "feature_flag_policy": {"require_tags": True},
    "require_evaluation_contexts": True,
    "default_evaluation_contexts_enabled": True,
    "feature_flag_confirmation": {"enabled": True, "message": "Tell #releases"},
    "anonymize_ips": True,
    "app_urls": ["https://acme.test", "https://a.test"],
    "receive_org_level_activity_logs": True,
    "test_account_filters_default_checked": True,
    "week_start_day": "monday",
    "session_recording_opt_in": True,
    "surveys_opt_in": True,
    "heatmaps_opt_in": True,
    "autocapture_opt_out": True,
}


def seed(settings=None, *flags, **more):
    """Return a world in which the project Web has these settings, by the API's names."""
    web = {"name": "Web", "id": 1, "feature_flags": list(flags), "settings": settings or {}}
    return acme.seed(projects=[web, {"name": "Mobile", "id": 2}], **more)


@pytest.fixture
def make(world):
    """Return a function that makes a committed repository with a document of Web."""

    def make_repository(seed, *documents, **spec):
        repo = world(seed)
        repo.write("all.yaml", acme.document("Project", spec, name="Web"), *documents)
        repo.commit()
        repo.sandbox.clear()
        return repo

    return make_repository


def read(repo):
    """Return the project as the API shows it."""
    return repo.sandbox.call("GET", PROJECT, token="phx_ci")[1]


def converge(repo):
    """Apply, and require an empty plan, then an apply without writes."""
    applied = repo.run("apply", "--yes")
    assert applied.code == 0, applied.out + applied.err
    assert repo.run("plan", "--detailed-exitcode").code == 0
    repo.sandbox.clear()
    assert repo.run("apply", "--yes").code == 0
    assert repo.sandbox.writes() == []


@pytest.mark.parametrize("name", sorted(EVERYTHING))
def test_each_setting_is_applied_and_stays(make, name):
    """Alone: what is not written is not sent."""
    repo = make(seed(), **{name: EVERYTHING[name]})
    before = read(repo)
    converge(repo)

    changed = {key for key, value in read(repo).items() if value != before[key]}
    assert changed - {"updated_at"}
    assert all(key.startswith(name) for key in changed - {"updated_at"})


def test_all_settings_come_with_a_new_project(make):
    """PostHog takes them in a second call, and a rerun finds nothing to do."""
    repo = make(seed())
    repo.write("new.yaml", acme.document("Project", EVERYTHING, name="New"))
    repo.commit()
    converge(repo)


def test_an_object_is_sent_whole(make):
    """A rule that no file manages stays."""
    policy = {"require_tags": False, "require_owner": True}
    repo = make(
        seed({"feature_flag_policy_config": policy}), feature_flag_policy={"require_tags": True}
    )
    converge(repo)

    assert read(repo)["feature_flag_policy_config"] == {"require_tags": True, "require_owner": True}


def test_a_project_without_settings_costs_no_further_read(make):
    """The time zone is in the listing."""
    repo = make(seed(), timezone="UTC")
    assert repo.run("plan", "--detailed-exitcode").code == 0

    assert PROJECT not in [call["path"] for call in repo.sandbox.requests()]


def test_the_secret_token_reaches_no_output(make):
    """Neither a plan, a report, a journal nor a log."""
    repo = make(seed(), anonymize_ips=True)
    done = [
        repo.run("-vvv", "plan", "--out", "p.json", "--report", "r"),
        repo.run("-vvv", "apply", "--yes", "--format", "json", "--report", "s"),
        repo.run("-vvv", "pull", "--out", "pulled"),
        repo.run("-vvv", "drift", "--format", "json"),
    ]

    assert TOKEN in read(repo)["secret_api_token"]
    assert all(TOKEN not in each.out + each.err for each in done)
    files = [path for path in repo.folder.rglob("*") if path.is_file() and ".git/" not in str(path)]
    assert len(files) > 5
    assert all(TOKEN.encode() not in path.read_bytes() for path in files)


def test_a_setting_that_the_subscription_lacks_is_one_clear_finding(make):
    """PostHog drops it silently: after that it is reported and not sent again."""
    repo = make(
        seed(features=["approvals", "organizations_projects"]),
        receive_org_level_activity_logs=True,
        anonymize_ips=True,
    )
    applied = repo.run("apply", "--yes")
    planned = repo.run("plan", "--format", "json", "--detailed-exitcode")
    found = [row for row in planned.json["findings"] if row["code"] == "not-kept"]

    assert applied.code == 0, applied.out + applied.err
    assert "did not keep receive_org_level_activity_logs" in applied.out
    assert planned.code == 0
    assert [row["severity"] for row in found] == ["warning"]
    assert "subscription may lack the feature" in found[0]["why"]
    repo.sandbox.clear()
    assert repo.run("apply", "--yes").code == 0
    assert repo.sandbox.writes() == []


def test_a_saved_plan_applies_settings(make):
    """The objects of a plan are read again one by one."""
    repo = make(seed(), anonymize_ips=True, week_start_day="sunday")
    assert repo.run("plan", "--out", "p.json").code == 0
    applied = repo.run("apply", "p.json", "--yes")

    assert applied.code == 0, applied.out + applied.err
    assert read(repo)["week_start_day"] == 0
    assert repo.run("plan", "--detailed-exitcode").code == 0


def test_pull_writes_the_settings_and_the_plan_is_clean(make):
    """All of them, also from several projects."""
    live = {"anonymize_ips": True, "week_start_day": 1, "app_urls": ["https://b.test"]}
    repo = make(seed(live))
    assert repo.run("pull", "--out", "pulled", "--kind", "Project").code == 0
    text = "".join(path.read_text() for path in (repo.folder / "pulled").rglob("*.yaml"))

    assert "anonymize_ips: true" in text
    assert "week_start_day: monday" in text
    planned = repo.run("plan", "pulled", "--detailed-exitcode")
    assert planned.code == 0, planned.out


def test_drift_names_who_changed_a_setting(make):
    """PostHog logs it under the scope of the project's team."""
    repo = make(seed(), anonymize_ips=False)
    repo.run("apply", "--yes")
    repo.sandbox.call("PATCH", PROJECT, {"anonymize_ips": True}, token="phx_carol")
    drift = repo.run("drift", "--format", "json")
    (field,) = drift.json["changes"][0]["fields"]

    assert (drift.code, field["path"]) == (2, "anonymize_ips")
    assert field["attribution"]["person"] == "carol@acme.test"


@pytest.mark.parametrize(
    ("spec", "flag_spec", "expected"),
    [
        ({"feature_flag_policy": {"require_tags": True}}, {}, ["R040"]),
        ({"feature_flag_policy": {"require_tags": True}}, {"tags": []}, ["R040"]),
        ({"feature_flag_policy": {"require_tags": True}}, {"tags": ["a"]}, []),
        ({"require_evaluation_contexts": True}, {"tags": ["a"]}, ["R040"]),
        ({"require_evaluation_contexts": True}, {"evaluation_contexts": ["web"]}, []),
        ({}, {}, []),
    ],
    ids=str,
)
def test_flags_are_checked_against_the_rules_of_their_project(make, spec, flag_spec, expected):
    """Offline, where the project is declared."""
    repo = make(seed(), acme.flag("a", 10, **flag_spec), **spec)
    done = repo.run("validate", "--format", "json")

    assert [row["code"] for row in done.json if row["code"] == "R040"] == expected


REQUIRED = {"feature_flag_policy": {"require_tags": True}, "require_evaluation_contexts": True}
LIVE_REQUIRED = {
    "feature_flag_policy_config": {"require_tags": True},
    "require_evaluation_contexts": True,
}


@pytest.mark.parametrize("live", [{}, LIVE_REQUIRED], ids=["planned", "live"])
@pytest.mark.parametrize(
    ("flag", "refused"),
    [
        (acme.flag("new", 10), ["evaluation context", "tag"]),
        (acme.flag("new", 10, tags=["a"]), ["evaluation context"]),
        (acme.flag("new", 10, tags=["a"], evaluation_contexts=["web"]), []),
        (acme.flag("tagged", tags=[]), ["tag"]),
        (acme.flag("tagged", tags=["y"]), []),
        (acme.flag("old", 10, tags=[]), []),
    ],
    ids=str,
)
def test_flags_that_posthog_would_refuse_are_errors_of_the_plan(make, live, flag, refused):
    """Without a further read, where the settings of the project are declared."""
    flags = [acme.live_flag("old", id=7), acme.live_flag("tagged", id=8, tags=["x"])]
    repo = make(seed(live, *flags), flag, **REQUIRED)
    planned = repo.run("plan", "--format", "json")
    found = [row for row in planned.json["findings"] if row["code"] == "would-be-refused"]

    assert [row["message"].rpartition("at least one ")[2] for row in found] == refused
    assert planned.code == (1 if refused else 0)


def test_a_rule_that_the_same_run_lifts_does_not_hold(make):
    """The settings of a project are written before its flags."""
    off = {"feature_flag_policy": {"require_tags": False}, "require_evaluation_contexts": False}
    repo = make(seed(LIVE_REQUIRED), acme.flag("new", 10), **off)

    converge(repo)


def test_posthog_refuses_new_flags_without_a_required_tag(make):
    """Flags that are older than the rule may be edited, but keep their last tag."""
    repo = make(
        seed(
            {"feature_flag_policy_config": {"require_tags": True}},
            acme.live_flag("old", id=7),
            acme.live_flag("tagged", id=8, tags=["x"]),
        )
    )
    flags = "/api/projects/1/feature_flags/"
    new = {"key": "new", "filters": {"groups": [{"properties": [], "rollout_percentage": 1}]}}

    def write(method, path, body):
        return repo.sandbox.call(method, path, body, token="phx_ci")[0]

    assert write("POST", flags, new) == 400
    assert write("POST", flags, {**new, "tags": ["a"]}) == 201
    assert write("PATCH", f"{flags}7/", {"name": "Other"}) == 200
    assert write("PATCH", f"{flags}8/", {"tags": []}) == 400
