"""The one list of what is checked of the contract (docs/posthog-api.md).

The command `conformance` checks it against any server, `tests/sandbox/test_contract.py` against
the sandbox in each of its profiles.
"""

from typing import Final

from reconciler.conformance.access_statements import RULES, SETTINGS
from reconciler.conformance.flag_statements import FLAGS, HOLDOUTS, ROLLOUTS
from reconciler.conformance.gate_statements import CONDITIONS, ENABLE, GATE
from reconciler.conformance.policy_statements import ACCESS, POLICIES
from reconciler.conformance.request_statements import REQUESTS, VOTES
from reconciler.conformance.statement import Statement

STATEMENTS: Final[tuple[Statement, ...]] = (
    *ACCESS,
    *POLICIES,
    *FLAGS,
    *GATE,
    *REQUESTS,
    *VOTES,
    *CONDITIONS,
    *ENABLE,
    *ROLLOUTS,
    *HOLDOUTS,
    *RULES,
    *SETTINGS,
)
