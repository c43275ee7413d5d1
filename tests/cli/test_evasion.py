"""Ways around a gate, each through the real command: the honest one, the attacker's, the benign."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests import acme, factories

RISE = {"type": "change_amount", "field": "rollout_percentage", "operator": ">", "value": 20}
OVER = {"type": "before_after", "field": "rollout_percentage", "operator": ">", "value": 50}
UPDATE, ENABLE, DISABLE = (f"feature_flag.{name}" for name in ("update", "enable", "disable"))
BETA = {"key": "beta", "type": "person", "operator": "exact", "value": ["true"]}
PRO = {"key": "plan", "type": "person", "operator": "exact", "value": ["pro"]}
BOTH = {**PRO, "value": ["pro", "free"]}
CODES = {
    "threshold-walked-under",
    "weakened-and-restored",
    "switched-off-ungated",
    "targeting-widened",
    "rollout-moved",
    "ungated-risk",
}


def group(percentage, *properties, **more):
    found = {"properties": list(properties), **more}
    return found if percentage is ... else {**found, "rollout_percentage": percentage}


def live(*groups, active=True, **more):
    return {"key": "a", "name": "a", "active": active, "filters": {"groups": list(groups)} | more}


def wish(*groups, **more):
    spec = {"filters": {"groups": list(groups)} | more} if groups or more else {}
    return acme.flag("a", **spec)


def rules(conditions=RISE, action=UPDATE, **more):
    return acme.policy(action, conditions=conditions, **more)


def start(world, flag, *policies):
    web = factories.project(flag, policies=policies)
    return world(acme.seed(projects=[web, {"name": "Mobile", "id": 2}]))


def found(repo, *options):
    """The evasions that the plan speaks of, by code; all of them warnings."""
    return by_project(repo, *options).get("Web", {})


def by_project(repo, *options):
    """The same for each project."""
    plan = repo.run("plan", "--format", "json", *options)
    assert plan.code in {0, 4}, plan.err + plan.out  # 4: a delete that has to be confirmed
    said = {}
    for one in plan.json["findings"]:
        if one["code"] in CODES:
            assert one["severity"] == "warning"
            said.setdefault(one["address"].split("/")[2], {})[one["code"]] = one
    return said


def each(world, rows):
    """What one plan says of each row (name, live flag, what is wished, policies): by its name."""
    projects, documents = [], []
    for number, (name, flag, wished, *policies) in enumerate(rows, 1):
        projects.append(
            {"name": name, "id": number, "approval_policies": policies, "feature_flags": [flag]}
        )
        documents.append({**wished, "metadata": {**wished["metadata"], "project": name}})
    repo = world(acme.seed(projects=projects))
    repo.write("all.yaml", *documents)
    said = by_project(repo)
    return {name: said.get(name, {}) for name, *_ in rows}


# -- off, without the approval that switching off needs

GONE = acme.document("FeatureFlag", {}, project="Web", key="a", lifecycle={"state": "absent"})
RENAMED = {"renamed_from": "a"}
OTHER_KEY = acme.document("FeatureFlag", {}, project="Web", key="b", lifecycle=RENAMED)


def test_what_switches_an_active_flag_off_without_active_false_is_said(world):
    """A policy holds back that it is disabled, and no approval is required for this."""
    policy = rules({}, DISABLE)
    rows = {
        "will be deleted": GONE,
        "gets another key": OTHER_KEY,
        "no longer reach anybody": wish(group(0)),
        "will no longer reach anybody": wish(group(0, BETA), group(0)),
    }

    said = each(world, [(name, live(group(50)), row, policy) for name, row in rows.items()])

    for name, findings in said.items():
        message = findings["switched-off-ungated"]["message"]
        assert name in message
        assert DISABLE in message


def test_what_needs_no_approval_to_be_off_evades_nothing(world):
    """Inactive already, or no policy that would ask."""
    on, off, policy = live(group(50)), live(group(50), active=False), rules({}, DISABLE)
    rows = [
        ("inactive", off, GONE, policy),
        ("the policy is off", on, GONE, rules({}, DISABLE, enabled=False)),
        ("let through", on, GONE, rules({}, DISABLE, bypass_org_membership_levels=[8])),
        ("another policy", on, GONE, rules({}, ENABLE)),
        ("there are no numbers, so it never gates", on, GONE, rules(RISE, DISABLE)),
        ("less is not off", on, wish(group(10)), policy),
        ("nobody before", live(group(0)), wish(group(0, BETA)), policy),
    ]

    said = each(world, rows)

    assert dict.fromkeys(said, False) == {
        name: "switched-off-ungated" in findings for name, findings in said.items()
    }


def test_a_flag_that_leaves_the_files_is_a_delete_like_any_other(world):
    """The attacker's way: the document is removed, nothing says `absent`."""
    repo = start(world, live(group(50)), rules({}, DISABLE))
    repo.write("flags.yaml", acme.flag("a", 50, name="a"))
    repo.write("more.yaml", acme.document("Project", {}, name="Web"))
    repo.commit("both")
    (repo.folder / "flags.yaml").unlink()
    repo.commit("gone")

    one = found(repo, "--base", "HEAD~1")["switched-off-ungated"]

    assert "FeatureFlag/acme/Web/a is active and will be deleted" in one["message"]
    text = repo.run("plan", "--base", "HEAD~1").out
    assert "warning:" in text
    assert "no approval is required for this" in text


# -- whom it reaches


def test_people_who_were_not_reached_are_said_where_percentages_are_watched(world):
    """The policy sees steps of a percentage, and none of these is one."""
    rows = {
        "all properties go": ([group(50, PRO)], [group(50)]),
        "one property goes": ([group(50, PRO, BETA)], [group(50, BETA)]),
        "a value more": ([group(50, PRO)], [group(50, BOTH)]),
        "a group more": ([group(10)], [group(10), group(100, BETA)]),
        "a group without percentage": ([group(10)], [group(10), group(..., BETA)]),
        "other people": ([group(10, PRO)], [group(10, BETA)]),
    }

    said = each(
        world,
        [(name, live(*one), wish(*other), rules()) for name, (one, other) in rows.items()],
    )

    for name, findings in said.items():
        message = findings["targeting-widened"]["message"]
        assert "newly reaches" in message
        assert f"ApprovalPolicy/acme/{name}/{UPDATE}" in message


def test_benign_steps_evade_nothing(world):
    """Fewer people, the same people, steps that the policy allows, and what waits."""
    rows = {
        "narrower": ([group(50)], [group(50, PRO)], rules()),
        "a value less": ([group(50, BOTH)], [group(50, PRO)], rules()),
        "a group less": ([group(50, PRO), group(10)], [group(10)], rules()),
        "inside another": ([group(50)], [group(50), group(50, PRO)], rules()),
        "a small step": ([group(50)], [group(60)], rules()),
        "another order": ([group(50, PRO, BETA)], [group(50, BETA, PRO)], rules()),
        "groups in another order": (
            [group(10), group(15, BETA)],
            [group(15, BETA), group(10)],
            rules(),
        ),
        "it waits": ([group(10)], [group(10), group(20, BETA)], rules({})),
        "the policy is off": ([group(50, PRO)], [group(50)], rules(enabled=False)),
        "let through": (
            [group(50, PRO)],
            [group(50)],
            rules(bypass_org_membership_levels=[8]),
        ),
    }

    said = each(world, [(n, live(*one), wish(*two), rule) for n, (one, two, rule) in rows.items()])

    assert not any(said.values()), said


def test_what_only_some_generations_gate_may_be_an_evasion(world):
    """Without conditions, generation 3 gates targeting and match-by; nothing shows which it is."""
    bucketing = acme.flag("a", bucketing_identifier="device_id")
    rows = [
        ("people", live(group(50, PRO)), wish(group(50)), rules({})),
        ("match-by", live(group(50)), bucketing, rules({})),
    ]

    said = each(world, rows)

    doubt = "only some versions of PostHog gate this, and nothing shows the version"
    widened, risky = said["people"]["targeting-widened"], said["match-by"]["ungated-risk"]
    assert "approval may not be required for this" in widened["message"]
    assert "approval may not be required" in risky["message"]
    assert "bucketing_identifier" in risky["message"]
    assert doubt in widened["why"]
    assert doubt in risky["why"]


def test_what_generation_3_certainly_gates_is_no_evasion(world):
    """A visible policy for experiments shows the generation, and governs their flags."""
    free = acme.flag("b", filters={"groups": [group(50)]})
    web = factories.project(
        live(group(50, PRO)),
        {**live(group(50, PRO)), "key": "b"},
        policies=[rules({}), rules({}, "experiment.update")],
    )
    web["experiments"] = [{"name": "B", "feature_flag": "b"}]
    repo = world(acme.seed(projects=[web], owner_scoping=True))
    bucketing = {"bucketing_identifier": "device_id"}
    repo.write("all.yaml", acme.flag("a", filters={"groups": [group(50)]}, **bucketing), free)

    plan = repo.run("plan", "--format", "json").json

    (evasion,) = [one for one in plan["findings"] if one["code"] in CODES]
    assert (evasion["code"], evasion["address"]) == ("targeting-widened", "FeatureFlag/acme/Web/b")
    assert "no approval is required for this" in evasion["message"]
    assert "ApprovalPolicy/acme/Web/experiment.update" in evasion["message"]


# -- the same percentages in another place


def test_a_percentage_that_moves_with_its_people_is_said(world):
    """By their places nothing moved, or nothing that counts."""
    swapped = [group(10), group(100, BETA)], [group(10, BETA), group(100)]
    rows = {
        "swapped under steps": (*swapped, rules()),
        "swapped under every change": (*swapped, rules({})),
        "swapped under a target": (*swapped, rules(OVER)),
        "null": ([group(10)], [group(None)], rules()),
        "left out": ([group(10)], [group(...)], rules()),
        "left out under a target": ([group(10)], [group(...)], rules(OVER)),
    }

    said = each(world, [(n, live(*one), wish(*two), rule) for n, (one, two, rule) in rows.items()])

    for findings in said.values():
        assert "everybody from 10 % to 100 %" in findings["rollout-moved"]["message"]


def test_shares_of_variants_that_change_their_names_are_said(world):
    """The attacker's way with variants: the keys are swapped, the numbers stay."""
    small = [{"key": "old", "rollout_percentage": 90}, {"key": "new", "rollout_percentage": 10}]
    large = [{"key": "new", "rollout_percentage": 90}, {"key": "old", "rollout_percentage": 10}]
    flag = live(group(100), multivariate={"variants": small})
    wished = wish(group(100), multivariate={"variants": large})

    (findings,) = each(world, [("Web", flag, wished, rules())]).values()

    assert "variant new from 10 % to 90 %" in findings["rollout-moved"]["message"]


def test_fewer_people_held_out_are_more_people_reached(world):
    """A policy for rises sees a percentage fall: 50 to 10 held out is 50 to 90 reached."""
    now, then = ({"holdout": {"id": 1, "exclusion_percentage": part}} for part in (50, 10))
    little = {"holdout": {"id": 1, "exclusion_percentage": 40}}
    rows = {
        "by much": (live(group(10), **now), wish(group(10), **then), rules()),
        "by little": (live(group(10), **now), wish(group(10), **little), rules()),
    }

    said = each(world, [(name, *row) for name, row in rows.items()])

    message = said["by much"]["rollout-moved"]["message"]
    assert "people outside the holdout from 50 % to 90 %" in message
    assert "rollout-moved" not in said["by little"]


# -- what no policy looks at


def test_what_an_active_flag_gives_is_said_where_nothing_holds_it_back(world):
    """Any policy of the project shows that somebody wants to be asked."""
    good = {"payloads": {"true": '"good"'}}
    several = {"variants": [{"key": "x", "rollout_percentage": 100}]}
    on, off = live(group(50), **good), live(group(50), active=False, **good)
    wishes = {
        "payloads": wish(group(50), payloads={"true": '"evil"'}),
        "variants": wish(group(50), multivariate=several, payloads={"x": '"good"'}),
        "bucketing_identifier": acme.flag("a", bucketing_identifier="device_id"),
        "evaluation_runtime": acme.flag("a", evaluation_runtime="client"),
    }
    rows = [(name, on, wished, rules({}, ENABLE)) for name, wished in wishes.items()]
    rows += [(f"{name}, inactive", off, row, rules({}, ENABLE)) for name, row in wishes.items()]
    rows += [(f"{name}, no policy", on, wished) for name, wished in wishes.items()]

    said = each(world, rows)

    for name in wishes:
        one = said[name].pop("ungated-risk")
        assert name in one["message"]
        assert ENABLE in one["fix"]
        assert "evil" not in json.dumps(one)
    assert not any(said.values()), said


def test_names_tags_and_what_waits_are_no_risk(world):
    """Benign, or looked at by people anyway; an inactive flag gives nothing to anybody."""
    plain = acme.flag("a", name="new", tags=["x"], filters={"groups": [group(50)]})
    rows = [
        ("plain", live(group(50)), plain, rules()),
        ("waits", live(group(50)), wish(group(90), payloads={"true": '"new"'}), rules()),
        ("inactive", live(group(50, PRO), active=False), wish(group(50)), rules()),
    ]

    said = each(world, rows)

    assert not any(said.values()), said


# -- step by step


def day(number):
    stamp = f"2026-01-{number:02}T12:00:00Z"
    return {"GIT_AUTHOR_DATE": stamp, "GIT_COMMITTER_DATE": stamp}


def recently(minutes):
    """A time shortly before now, so that it is within the days that are looked at."""
    at = (datetime.now(UTC) - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"GIT_AUTHOR_DATE": at, "GIT_COMMITTER_DATE": at}


def walked(repo, *percentages, file="flags.yaml", dates=recently):
    """Each percentage committed; the last but one is live, the last is what the plan is about."""
    for number, percentage in enumerate(percentages):
        name = file if isinstance(file, str) else file[number % len(file)]
        for other in [] if isinstance(file, str) else file:
            if other != name and (repo.folder / other).exists():
                repo.write(other, acme.flag("other", 1))
        repo.write(name, acme.flag("a", percentage))
        repo.commit(f"{percentage}", **dates(60 - number))


def test_a_threshold_that_is_walked_under_in_steps_is_said(world):
    """10, 25, 40: no step is over 20, the whole is."""
    repo = start(world, live(group(25)), rules())
    walked(repo, 10, 25, 40)

    one = found(repo)["threshold-walked-under"]

    assert "groups[0] 10 → 25 → 40" in one["message"]
    assert "10 → 40 at once would need approval" in one["why"]
    assert "more than 20" in one["why"]
    assert "in steps" in repo.run("plan").out
    assert "in steps" in repo.run("plan", "--format", "markdown").out
    assert "in steps" in repo.run("plan", "--format", "html").out


def test_a_step_in_the_working_tree_counts(world):
    """Not committed yet."""
    repo = start(world, live(group(25)), rules())
    walked(repo, 10, 25)
    repo.write("flags.yaml", acme.flag("a", 40))

    assert "10 → 25 → 40" in found(repo)["threshold-walked-under"]["message"]


def test_the_attacker_who_moves_the_document_with_each_step_is_found(world):
    """From file to file, so that no file has a history."""
    repo = start(world, live(group(40)), rules())
    walked(repo, 10, 25, 40, 55, file=["one.yaml", "two.yaml"])

    assert "10 → 25 → 40 → 55" in found(repo)["threshold-walked-under"]["message"]


def test_the_attacker_who_dates_commits_back_is_found(world):
    """A commit is not older than those before it, of whichever files."""
    repo = start(world, live(group(25)), rules())
    repo.write("flags.yaml", acme.flag("a", 10))
    repo.commit("long ago", **day(1))
    repo.write("notes.txt", "something else")
    repo.commit("honest", **recently(60))
    for number, percentage in enumerate((25, 40), 1):
        repo.write("flags.yaml", acme.flag("a", percentage))
        repo.commit("backdated", **day(number))

    assert "threshold-walked-under" in found(repo)


def test_the_attacker_who_spells_the_key_with_escapes_is_found(world):
    """What is looked for is the flag, not its letters."""
    repo = start(world, {**live(group(25)), "key": "a-flag"}, rules())
    for number, percentage in enumerate((10, 25, 40)):
        text = json.dumps(acme.flag("a-flag", percentage))
        repo.write("flags.yaml", text.replace("a-flag", "a\\u002dflag") if number < 2 else text)
        repo.commit("step", **recently(60 - number))

    assert "threshold-walked-under" in found(repo)


def test_the_attacker_who_walks_among_many_other_commits_is_found(world):
    """Commits of other documents do not push the steps out of sight."""
    repo = start(world, live(group(25)), rules())
    walked(repo, 10, 25)
    for number in range(25):
        repo.write("other.yaml", acme.flag(f"filler-{number}", 1))
        repo.commit("filler", **recently(40))
    repo.write("flags.yaml", acme.flag("a", 40))
    repo.commit("last", **recently(1))

    assert "threshold-walked-under" in found(repo, "--select", "FeatureFlag/acme/Web/a")


@pytest.mark.parametrize(
    ("there", "steps", "policy", "dates"),
    [
        (40, (10, 40, 45), rules(), recently),  # 10 -> 40 was asked for
        (20, (10, 20, 25), rules(), recently),  # not over 20 in all
        (40, (50, 40, 30), rules(), recently),  # only rises are watched
        (25, (10, 25, 40), rules(OVER), recently),  # what it ends at is watched
        (25, (10, 25, 40), rules(enabled=False), recently),
        (25, (10, 25, 40), rules(), lambda _: day(3)),  # long ago
        (25, (10, 25, 10, 25, 30), rules(), recently),  # to and fro
        (10, (10, 25, 40), rules(), recently),  # never applied: one write, which waits
    ],
    ids=["asked", "small", "falls", "target", "policy off", "long ago", "to and fro", "one write"],
)
def test_steps_that_evade_nothing_are_not_said(world, there, steps, policy, dates):
    """Honest histories."""
    repo = start(world, live(group(there)), policy)
    walked(repo, *steps, dates=dates)

    assert "threshold-walked-under" not in found(repo)


def policy_document(**spec):
    return acme.document("ApprovalPolicy", spec, project="Web", action=UPDATE)


STRICT = {"approvers": {"quorum": 2, "users": ["alice@acme.test", "bob@acme.test"]}}
LAX = {"approvers": {"quorum": 1, "users": ["alice@acme.test", "bob@acme.test"]}}


@pytest.mark.parametrize("weaker", [{**LAX}, {**STRICT, "enabled": False}, None])
def test_a_gate_that_is_closed_again_after_something_went_through_is_said(world, weaker):
    """Weakened, used, restored: three commits, each fine by itself."""
    policies = (
        []
        if weaker is None
        else [
            acme.policy(
                UPDATE,
                approver_config={**(weaker["approvers"]), "roles": []},
                enabled=weaker.get("enabled", True),
            )
        ]
    )
    repo = start(world, live(group(90)), *policies)
    steps = [(STRICT, 10), (weaker, 10), (weaker, 90), ({**STRICT, "enabled": True}, 90)]
    for number, (spec, percentage) in enumerate(steps):
        documents = [] if spec is None else [policy_document(**spec)]
        repo.write("all.yaml", *documents, acme.flag("a", percentage))
        repo.commit("step", **recently(60 - number))

    one = found(repo)["weakened-and-restored"]

    assert "is restored to what it was before commit" in one["message"]
    assert "FeatureFlag/acme/Web/a" in one["message"]


@pytest.mark.parametrize(
    "steps",
    [
        [(LAX, 10), (LAX, 90), (STRICT, 90)],
        [(STRICT, 10), (LAX, 10), (STRICT, 10)],
        [(STRICT, 10), (STRICT, 90), (LAX, 90), (STRICT, 90)],
    ],
    ids=["stricter than ever", "nothing in between", "before it was weakened"],
)
def test_a_gate_that_nobody_went_through_is_not_said(world, steps):
    """It was never so strict, or no flag moved while it was weaker."""
    lax = acme.policy(UPDATE, approver_config={**LAX["approvers"], "roles": []})
    repo = start(world, live(group(steps[-1][1])), lax)
    for number, (spec, percentage) in enumerate(steps):
        repo.write("all.yaml", policy_document(**spec), acme.flag("a", percentage))
        repo.commit("step", **recently(60 - number))

    assert {} == found(repo)
