"""Shards: disjoint, complete, the same everywhere, and closed under keys and needs."""

import json
import subprocess
import sys
from itertools import combinations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.config.targets import Target
from reconciler.errors import UsageError
from reconciler.fleet import matrix, shards
from reconciler.posthog.credentials import KEY_VARIABLES

HOSTS = (
    *(None, "https://us.posthog.com", "https://US.posthog.com:443", "https://eu.posthog.com"),
    *("http://127.0.0.1:8000", "https://posthog.acme.test"),
)
VARIABLES = (None, *KEY_VARIABLES, *(f"POSTHOG_KEY_{letter}" for letter in "ABCDEFGH"))


@st.composite
def fleets(draw):
    """Targets in any order; each needs only earlier ones, so that there is no cycle."""
    names = draw(st.lists(st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True), unique=True))
    targets = []
    for number, name in enumerate(names):
        earlier = names[:number]
        needs = draw(st.lists(st.sampled_from(earlier), max_size=2, unique=True)) if earlier else []
        targets.append(
            Target(
                name,
                host=draw(st.sampled_from(HOSTS)),
                api_key_env=draw(st.sampled_from(VARIABLES)),
                needs=tuple(needs) if draw(st.booleans()) else (),
            )
        )
    return draw(st.permutations(targets))


counts = st.integers(1, 12)


def may_share_a_key(one, other):
    """Whether both could use the same key on the same host, in some environment."""
    ours, theirs = (
        {each.api_key_env} if each.api_key_env else set(KEY_VARIABLES) for each in (one, other)
    )
    hosts = {each.host and each.host.lower().removesuffix(":443") for each in (one, other)}
    return bool(ours & theirs) and (len(hosts) == 1 or None in hosts)


def place(divided):
    return {target.name: number for number, shard in enumerate(divided, 1) for target in shard}


@given(fleets(), counts)
def test_shards_are_disjoint_and_complete(targets, count):
    """Each target is in one of them, and there are as many as were asked for."""
    divided = shards.divide_targets(targets, count)

    assert count == len(divided)
    assert sorted(target.name for shard in divided for target in shard) == sorted(
        target.name for target in targets
    )


@given(fleets(), counts)
def test_targets_that_may_share_a_key_are_together(targets, count):
    """By host and by the name of the variable, whatever the environment says."""
    where = place(shards.divide_targets(targets, count))

    for one, other in combinations(targets, 2):
        if may_share_a_key(one, other):
            assert where[one.name] == where[other.name]


@given(fleets(), counts)
def test_what_a_target_needs_is_in_its_shard(targets, count):
    """So that the shard runs it first, and no job waits for another."""
    where = place(shards.divide_targets(targets, count))

    for target in targets:
        assert {where[target.name]} >= {where[name] for name in target.needs}


@given(fleets(), counts, st.randoms(use_true_random=False))
def test_the_order_of_the_file_does_not_matter(targets, count, chance):
    """Nor does anything else of the machine."""
    shuffled = list(targets)
    chance.shuffle(shuffled)

    assert shards.divide_targets(targets, count) == shards.divide_targets(shuffled, count)


@given(fleets(), counts)
def test_shards_are_as_even_as_groups_allow(targets, count):
    """No shard could give a group away and still be the fuller one of the two."""
    divided = shards.divide_targets(targets, count)
    groups = [len(group) for group in shards.divide_targets(targets, 256) if group]
    sizes = [len(shard) for shard in divided]

    if groups:
        assert max(sizes) - min(sizes) <= max(groups)
        assert sum(map(bool, sizes)) == min(count, len(groups))


@given(fleets(), counts)
def test_the_matrix_has_the_shards_with_targets(targets, count):
    """In both formats: GitHub's is one line of JSON, GitLab's a file of YAML."""
    divided = shards.divide_targets(targets, count)
    expected = {
        f"{number}/{count}": [target.name for target in shard]
        for number, shard in enumerate(divided, 1)
        if shard
    }

    line = matrix.format_matrix(divided, "github")
    job = yaml.safe_load(matrix.format_matrix(divided, "gitlab"))[".fleet-shards"]

    assert 1 == line.count("\n")
    assert expected == {row["shard"]: row["targets"] for row in json.loads(line)["include"]}
    rows = job["parallel"]["matrix"] if expected else []
    assert list(expected) == [row["SHARD"] for row in rows]
    assert [name.split("/")[0] for name in expected] == [row["SHARD_INDEX"] for row in rows]


def test_shards_are_the_same_in_every_process():
    """Whatever the seed of Python's hashes."""
    code = """
import sys
from reconciler.config.targets import Target
from reconciler.fleet.shards import divide_targets
targets = [Target(f"t{n}", api_key_env=f"POSTHOG_{n % 7}") for n in range(40)]
print([[target.name for target in shard] for shard in divide_targets(targets, 5)])
"""
    shown = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "4711")
    }

    assert 1 == len(shown)


@pytest.mark.parametrize(
    "text", ["", "1", "0/3", "4/3", "1/0", "-1/3", "1/3/5", " 1/3", "1/10001", "a/b", "01/3", "²/3"]
)
def test_what_is_not_a_shard_is_refused(text):
    """With the way to write it."""
    with pytest.raises(UsageError, match="--shard") as caught:
        shards.parse_shard(text)

    assert "--shard 2/3" in caught.value.fix


def test_a_matrix_that_github_cannot_start_is_refused():
    """GitLab and other systems can."""
    targets = [Target(f"t{n}", api_key_env=f"POSTHOG_{n}") for n in range(300)]
    divided = shards.divide_targets(targets, 300)

    with pytest.raises(UsageError, match="300 shards have targets"):
        matrix.format_matrix(divided, "github")
    assert matrix.format_matrix(divided, "gitlab").count("SHARD_INDEX") == 300 + 1
    assert len(json.loads(matrix.format_matrix(divided[:256], "github"))["include"]) == 256
