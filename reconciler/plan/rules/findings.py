"""Turn what rules say into findings: a denied change, a warning, a rule that cannot be judged."""

from typing import Final

from reconciler.lazy_dataclass import dataclass
from reconciler.model import (
    Change,
    Finding,
    Rule,
    RuleEffect,
    Severity,
    matches_any,
    shorten_commit,
)

DENIED: Final = "rule-denied"
WARNED: Final = "rule-warned"
FAILED: Final = "rule-failed"  # on one change: it counts as denied
INVALID: Final = "rule-invalid"  # about the whole plan: a rule that nobody can judge
NO_BASE: Final = "rules-without-base"
CODES: Final = frozenset({DENIED, WARNED, FAILED, INVALID, NO_BASE})
REFUSALS: Final = frozenset({DENIED, FAILED, INVALID})

_FIRST: Final = (
    "apply a commit that changes only the rule first; until then the rule of the base counts, too"
)

_CORRECT: Final = (
    "correct the rule, and add this case to its tests; has(x.y) is true if the key "
    "exists, and x.y != null if it also has a value"
)


@dataclass(frozen=True, slots=True)
class JudgedRule:
    """Hold a rule that judges a plan, and where it is from.

    Attributes:
        rule: the rule.
        commit: full id of the base that has it so; None for a rule of the files.

    """

    rule: Rule
    commit: str | None = None

    @property
    def name(self) -> str:
        """Return its name in messages."""
        if self.commit is None:
            return f"the rule {self.rule.id}"
        return f"the rule {self.rule.id} of the base {shorten_commit(self.commit)}"

    def applies_to(self, change: Change) -> bool:
        """Return whether its patterns select a change."""
        return not self.rule.select or matches_any(change.address, self.rule.select)


def report_result(judged: JudgedRule, change: Change, result: bool | str) -> Finding | None:
    """Return the finding for what a rule says about a change; None if it lets the change pass.

    Args:
        judged: the rule.
        change: the change.
        result: whether its expression is true, or why it has no value.

    """
    if result is False:
        return None
    rule, base = judged.rule, judged.commit is not None
    if isinstance(result, str):
        return Finding(
            FAILED,
            Severity.ERROR,
            f"{judged.name} cannot judge {change.address}: {result}",
            "a rule that fails on a change denies the change",
            _FIRST if base else _CORRECT,
            rule.source,
            change.address,
        )
    if rule.effect is RuleEffect.WARN:
        message = f"{judged.name} warns of {change.address}: {rule.message}"
        source, address = rule.source, change.address
        return Finding(WARNED, Severity.WARNING, message, source=source, address=address)
    return Finding(
        DENIED,
        Severity.ERROR,
        f"{judged.name} denies {change.address}: {rule.message}",
        "no option of the command line lifts a rule",
        _FIRST if base else "change what the files declare, or change the rule",
        rule.source,
        change.address,
    )


def report_invalid(judged: JudgedRule, message: str, line: int, column: int) -> Finding:
    """Return the finding about a rule whose expression does not compile."""
    return Finding(
        INVALID,
        Severity.ERROR,
        f"{judged.name} does not compile: {message}",
        "a rule that cannot be judged denies every change",
        "correct the expression: reconciler rules test"
        if judged.commit is None
        else "name another commit with --base, or apply a commit that corrects the rule",
        judged.rule.locate(line, column),
    )


def report_unreadable(commit: str, why: str) -> Finding:
    """Return the finding about a base whose rules cannot be read."""
    return Finding(
        INVALID,
        Severity.ERROR,
        f"the rules of the base {shorten_commit(commit)} cannot be read",
        why,
        "no plan can be judged without them; apply another commit first",
    )


def report_no_base() -> Finding:
    """Return the finding that only the rules of the files judge the plan."""
    return Finding(
        NO_BASE,
        Severity.NOTICE,
        "no base is known, so only the rules of these files judge the plan",
    )
