"""Policies for experiments: made by PostHog, never pruned, and no longer copies (contract 3.8)."""

import yaml

from tests import acme

FLAGS = ("feature_flag.enable", "feature_flag.disable", "feature_flag.update")
EXPERIMENTS = ("experiment.launch", "experiment.pause", "experiment.update")
ALICE = {"quorum": 1, "users": ["alice@acme.test"]}
RULES = {"approvers": {**ALICE, "users": ["alice@acme.test", "bob@acme.test"]}}
AMOUNT = {"type": "change_amount", "field": "rollout_percentage", "operator": ">", "value": 20}
UNDECLARED = "experiment-policies-undeclared"


def policy(action, **spec):
    return acme.document("ApprovalPolicy", {**RULES, **spec}, project="Web", action=action)


def address(action):
    return f"ApprovalPolicy/acme/Web/{action}"


def switched(world, *actions, live=FLAGS):
    """A world after the hand-over, whose files declare policies for these actions."""
    policies = [acme.policy(action) for action in live]
    web = {"name": "Web", "id": 1, "approval_policies": policies}
    repo = world(acme.seed(projects=[web], owner_scoping=True))
    if actions:
        repo.write("policies.yaml", *map(policy, actions))
        repo.commit()
    return repo


def findings(repo, *options):
    """The findings of a plan about policies: code -> messages."""
    done = repo.run("plan", "--format", "json", *options)
    found = {}
    for row in done.json["findings"]:
        found.setdefault(row["code"], []).append(row["message"])
    return done, found


def live_actions(repo):
    (organization,) = repo.sandbox.state()["organizations"]
    return sorted(row["action_key"] for row in organization["projects"][0]["approval_policies"])


def test_policies_that_posthog_made_are_never_pruned_and_mentioned_once(world):
    """With --prune the rest goes; with and without, one notice names them all."""
    repo = switched(world, *FLAGS[:2], live=(*FLAGS, *EXPERIMENTS))

    done, without = findings(repo)
    pruning, with_prune = findings(repo, "--prune")

    assert done.json["unmanaged"] == sorted(map(address, (*EXPERIMENTS, FLAGS[2])))
    deleted = [row["address"] for row in pruning.json["changes"] if row["action"] == "delete"]
    assert deleted == [address(FLAGS[2])]
    for found in (without, with_prune):
        (message,) = found[UNDECLARED]
        assert all(address(action) in message for action in EXPERIMENTS)
        assert "prune-left-alone" not in found
    assert "reconciler pull" in repo.run("plan").out
    done = repo.run("apply", "--yes", "--prune", "--allow-weakening")
    assert done.code == 0, done.err
    assert live_actions(repo) == sorted((*FLAGS[:2], *EXPERIMENTS))


def test_a_target_that_deletes_the_unmanaged_leaves_them_too(world):
    """`prune-waits` does not count them; `unmanaged: ignore` hides the notice."""
    repo = switched(world, *FLAGS, live=(*FLAGS, *EXPERIMENTS))
    for word, expected in (("delete", {UNDECLARED}), ("ignore", set())):
        settings = {"paths": ["policies.yaml"], "unmanaged": word}
        repo.write("reconciler.yaml", {"version": 1, "targets": {"default": settings}})

        _, found = findings(repo)

        assert found.keys() & {UNDECLARED, "prune-waits"} == expected


def test_pull_adopts_them_and_what_is_declared_is_managed(world):
    """Afterwards nothing is undeclared, and the files validate without a warning."""
    repo = switched(world, *FLAGS, live=(*FLAGS, *EXPERIMENTS))
    done = repo.run("pull", "--kind", "ApprovalPolicy", "--out", ".")
    assert done.code == 0, done.err
    text = "\n---\n".join(path.read_text() for path in repo.folder.rglob("*.yaml"))
    declared = {row["metadata"]["action"] for row in yaml.safe_load_all(text) if row}

    checked = repo.run("validate")
    done, found = findings(repo, "--detailed-exitcode", "--prune")

    assert declared == {*FLAGS, *EXPERIMENTS}
    assert (checked.code, "R020" in checked.out + checked.err) == (0, False)
    assert (done.code, UNDECLARED in found) == (0, False)


def test_a_changed_flag_policy_names_its_twin(world):
    """Unless the twin changes with it, or there is none."""
    repo = switched(world, live=(*FLAGS, *EXPERIMENTS[:2]))
    repo.write(
        "policies.yaml",
        policy(FLAGS[0], expires_after="2d"),
        policy(FLAGS[1], expires_after="2d"),
        policy(EXPERIMENTS[1], expires_after="2d"),
        policy(FLAGS[2], expires_after="2d"),
    )

    _, found = findings(repo)

    (message,) = found["experiment-policy-not-followed"]
    assert address(FLAGS[0]) in message
    assert address(EXPERIMENTS[0]) in message


def test_a_policy_that_posthog_does_not_offer_yet_is_refused_once(world):
    """Apply reports it as not available, sends it once, and does the rest."""
    web = {"name": "Web", "id": 1}
    repo = world(acme.seed(projects=[web]))
    repo.write("policies.yaml", policy(FLAGS[0]), policy(EXPERIMENTS[0]))

    planned, found = findings(repo)
    done = repo.run("apply", "--yes", "--format", "json")

    assert planned.code == 0
    assert "experiment-policy-unavailable" in found
    assert done.code == 1
    outcomes = {row["address"]: row["outcome"] for row in done.json["results"]}
    assert outcomes[address(FLAGS[0])] == "done"
    assert outcomes[address(EXPERIMENTS[0])] == "failed"
    assert "`experiment.launch` is not available in this organization yet" in done.out + done.err
    statuses = [row["status"] for row in repo.sandbox.writes()]
    assert sorted(statuses) == [201, 400]


def test_a_policy_for_experiments_is_created_where_posthog_offers_it(world):
    """A visible one shows that the organization has been switched over."""
    repo = switched(world, *FLAGS, *EXPERIMENTS[:2], live=(*FLAGS, EXPERIMENTS[0]))

    _, found = findings(repo)

    assert "experiment-policy-unavailable" not in found
    assert repo.run("apply", "--yes").code == 0
    assert live_actions(repo) == sorted((*FLAGS, *EXPERIMENTS[:2]))


def test_a_condition_does_not_hold_for_holdouts(world):
    """Said of a new condition only, and not where holdouts have policies of their own."""
    repo = world(acme.seed(projects=[{"name": "Web", "id": 1}]))
    update = policy(FLAGS[2], conditions=AMOUNT)
    own = [policy(f"experiment_holdout.{verb}") for verb in ("update", "delete")]
    repo.write("policies.yaml", update)
    _, alone = findings(repo)
    repo.write("policies.yaml", update, *own)
    done, beside = findings(repo)
    repo.write("policies.yaml", policy(FLAGS[2]))
    _, unconditional = findings(repo)

    assert address(FLAGS[2]) in alone["holdouts-gated"][0]
    assert done.code == 0
    assert not [found for found in (beside, unconditional) if "holdouts-gated" in found]
