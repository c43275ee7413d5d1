"""A replay tells the truth: every row that is not `unknown` agrees with the sandbox."""

import copy
import shutil
import tempfile
from pathlib import Path

from hypothesis import given, settings

from tests import acme
from tests.effort import effort
from tests.integration import quarters
from tests.integration.quarters import LEVELS, Oracle
from tests.support import Repository

WORDS = {number: word for word, number in LEVELS.items()}


def document(policy):
    """A policy of the seed as a document."""
    spec = {
        "enabled": policy["enabled"],
        "conditions": policy["conditions"],
        "approvers": policy["approver_config"],
        "allow_self_approve": policy["allow_self_approve"],
        "bypass_levels": [WORDS[level] for level in policy["bypass_org_membership_levels"]],
        "bypass_roles": policy["bypass_roles"],
    }
    return acme.document("ApprovalPolicy", spec, project="Web", action=policy["action_key"])


@settings(max_examples=effort(15, 1_000, hunt=60))
@given(quarter=quarters.quarters())
def test_every_row_that_is_not_unknown_is_correct(shared_sandbox, quarter):
    """The same writes in the same worlds, with the policies live, wait or pass as it says."""
    history = quarters.play(quarter, shared_sandbox)
    folder = Path(tempfile.mkdtemp())
    try:
        repo = Repository(folder, shared_sandbox, token="phx_alice")
        repo.write("tried.yaml", *map(document, quarter.tried))
        done = repo.run("replay", "--since", "90d", "--policies", "tried.yaml", "--format", "json")
        assert done.code == 0, done.err
    finally:
        shutil.rmtree(folder)
    answer, oracle = done.json, Oracle(shared_sandbox, quarter.tried)

    rows = list(reversed(answer["rows"]))
    assert len(rows) == answer["changes"] == len(history.writes)
    for number, (row, write) in enumerate(zip(rows, history.writes, strict=True)):
        if number in history.unclear:
            continue
        assert row["waited"] is write.waited, (number, row)
        assert row["person"] == f"{write.person}@acme.test"
        if row["would_wait"] != "unknown":
            truth = oracle.would_wait(copy.copy(write))
            assert row["would_wait"] is truth, (number, row, write.method, write.path, write.body)
    assert answer["waited"] == sum(row["waited"] for row in rows)
    assert answer["would_wait"] == sum(row["would_wait"] is True for row in rows)
    assert answer["unknown"] == sum(row["would_wait"] == "unknown" for row in rows)
