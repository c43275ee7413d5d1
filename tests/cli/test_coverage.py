"""`reconciler coverage`: who owns which flag, and which policies cover it (contract 3.8, 5.8)."""

import pytest
import yaml

from tests import acme

FLAGS = ("feature_flag.enable", "feature_flag.disable", "feature_flag.update")
EXPERIMENTS = ("experiment.launch", "experiment.pause", "experiment.update")
KEYS = ("plain", "tested", "beta", "asked", "replayed")


def addresses(*actions, project="Web"):
    return [f"ApprovalPolicy/acme/{project}/{action}" for action in actions]


def seed(*actions, switch=False, mobile=False, **changes):
    """A project with a flag of each owner that can be told, and policies for these actions."""
    web = {
        "name": "Web",
        "id": 1,
        "feature_flags": [acme.live_flag(key) for key in KEYS],
        "experiments": [{"name": "E", "feature_flag": "tested"}],
        "early_access_features": [{"name": "F", "feature_flag": "beta"}],
        "surveys": [{"name": "S", "linked_flag": "asked"}],
        "session_replay_flag": "replayed",
        "approval_policies": [acme.policy(action) for action in actions],
        **changes,
    }
    other = {"name": "Mobile", "id": 2, "feature_flags": [acme.live_flag("m")]}
    return acme.seed(projects=[web, *([other] if mobile else [])], owner_scoping=switch)


def covered(repo):
    """Key of a flag -> the rest of its row."""
    done = repo.run("coverage", "--format", "json")
    assert done.code == 0, done.err
    assert repo.sandbox.writes() == []
    assert [row["address"] for row in done.json] == sorted(row["address"] for row in done.json)
    return {row.pop("address").rpartition("/")[2]: row for row in done.json}


def test_before_the_hand_over_policies_for_flags_cover_every_flag(world):
    """Afterwards copies cover experiments, and nothing covers early access features."""
    rows = covered(world(seed(*FLAGS)))

    flags, experiments = addresses(*FLAGS), addresses(*EXPERIMENTS)
    assert rows == {
        "plain": {"owner": "unowned", "now": flags, "after": flags, "loses": False},
        "replayed": {"owner": "unowned", "now": flags, "after": flags, "loses": False},
        "tested": {"owner": "experiment", "now": flags, "after": experiments, "loses": False},
        "beta": {"owner": "early_access_feature", "now": flags, "after": [], "loses": True},
        "asked": {"owner": "unknown", "now": flags, "after": [], "loses": True},
    }


def test_the_forecast_comes_true_at_the_hand_over(world):
    """What was `after` is `now`, once PostHog has copied the policies and switched over."""
    repo = world(seed(*FLAGS))
    before = covered(repo)
    repo.sandbox.call("POST", "/_sandbox/tasks", {"run": "sync_experiment_policies"})
    world = repo.sandbox.state()
    world["organizations"][0]["owner_scoping"] = True
    repo.sandbox.reset(world)

    after = covered(repo)

    assert {key: row["now"] for key, row in after.items()} == {
        key: row["after"] for key, row in before.items()
    }
    assert {key: row["loses"] for key, row in after.items()} == {
        key: row["loses"] for key, row in before.items()
    }


@pytest.mark.parametrize(
    ("actions", "after", "loses"),
    [
        (FLAGS, EXPERIMENTS[:0], None),  # nothing shows the switch: as before the hand-over
        ((*FLAGS, EXPERIMENTS[0]), EXPERIMENTS[:1], True),
        ((FLAGS[0], *EXPERIMENTS[:2]), EXPERIMENTS[:2], False),
    ],
)
def test_after_the_hand_over_a_missing_copy_is_lost_coverage(world, actions, after, loses):
    """Only policies that are live count; a policy without a counterpart for flags is no loss."""
    repo = world(seed(*actions, switch=True))

    row = covered(repo)["tested"]

    if loses is None:
        assert (row["now"], row["loses"]) == (addresses(*FLAGS), False)
    else:
        assert row["now"] == row["after"] == addresses(*after)
        assert row["loses"] is loses


def test_disabled_policies_and_other_projects_cover_nothing(world):
    """Coverage is of one project; a project without policies loses nothing."""
    policies = [acme.policy(FLAGS[0], enabled=False), acme.policy(FLAGS[2])]
    rows = covered(world(seed(mobile=True, approval_policies=policies)))

    assert rows["plain"]["now"] == addresses(FLAGS[2])
    assert rows["tested"]["after"] == addresses(EXPERIMENTS[2])
    assert rows["m"] == {"owner": "unowned", "now": [], "after": [], "loses": False}


def test_the_documents_it_prints_keep_experiments_covered(world):
    """After the hand-over they apply, and then nothing of an experiment is lost."""
    repo = world(seed(*FLAGS, EXPERIMENTS[0], switch=True))
    text = repo.run("coverage").out
    assert "3 flags lose coverage" in text
    assert "FeatureFlag/acme/Web/tested (experiment): now experiment.launch; after" in text
    _, *documents = text.split("---\n")
    assert {row["metadata"]["action"] for row in map(yaml.safe_load, documents)} == {
        *EXPERIMENTS[1:]
    }
    repo.write("policies.yaml", "---\n".join(documents))

    assert repo.run("validate").code == 0
    assert repo.run("apply", "--yes").code == 0
    repo.sandbox.clear()

    assert covered(repo)["tested"]["loses"] is False
    assert "---" not in repo.run("coverage").out


def test_a_project_whose_policies_cannot_be_read_is_left_out(world):
    """Said on stderr, with exit code 1; nothing is concluded about its flags."""
    limited = seed(*FLAGS)
    scopes = ["organization:read", "project:read", "feature_flag:read", "organization_member:read"]
    limited["users"][3]["tokens"][0]["scopes"] = scopes
    repo = world(limited)

    done = repo.run("coverage", "--format", "json")

    assert (done.code, done.json) == (1, [])
    assert "ApprovalPolicy of acme/Web cannot be read" in done.err
    assert repo.run("coverage").out == "No flags.\n"


def test_a_target_names_its_organization(world):
    """Of an organization that the key cannot see there is no report."""
    repo = world(seed(*FLAGS))
    target = {"paths": ["."], "organization": "nowhere"}
    repo.write("reconciler.yaml", {"version": 1, "targets": {"default": target}})

    done = repo.run("coverage")

    assert done.code == 1
    assert "nowhere" in done.err
