"""The guardrails at the command line: what lifts one, how a refusal reads, what is recorded."""

from typing import TYPE_CHECKING

from reconciler.cli.session import Session
from reconciler.errors import GitError, GuardrailError

if TYPE_CHECKING:
    from reconciler.cli.before import Before
    from reconciler.config.settings import Target
    from reconciler.model import Plan
    from reconciler.plan.build import Options
    from reconciler.plan.guardrails import Limits


def limits(
    target: "Target",
    confirm_deletes: int | None = None,
    allow_destroy: tuple[str, ...] = (),
    *,
    weakening: bool = False,
) -> "Limits":
    """What the target allows, and what the command line lifts for this run."""
    from reconciler.plan import guardrails

    rails = target.guardrails
    return guardrails.Limits(
        rails.max_deletes,
        rails.max_delete_percent,
        confirm_deletes,
        allow_destroy,
        rails.allow_weakening or weakening,
    )


def guard(made: "Plan") -> None:
    """Refuse the whole run if a guardrail says no (interface section 2, exit code 4)."""
    from reconciler.plan import guardrails

    refused = [finding for finding in made.errors if finding.code in guardrails.CODES]
    if refused:
        raise GuardrailError(
            "; ".join(finding.message for finding in refused),
            why="; ".join(dict.fromkeys(finding.why for finding in refused if finding.why)),
            fix="; ".join(dict.fromkeys(finding.fix for finding in refused))
            + "; --continue does the rest",
        )


def record(session: Session, target: "Target", chosen: "Options", before: "Before") -> None:
    """Move the ref of the base to what was applied, if that is a commit, all of it."""
    from reconciler.config import base, git

    if chosen.select or chosen.exclude or chosen.prefer == "live":
        return
    if before.repository is None or before.head is None or not before.clean:
        return
    if any(path.is_file() for path in target.paths):  # a part of the files is not all of them
        return
    ref = base.applied_ref(target.name)
    try:
        git.update_ref(ref, before.head, cwd=before.repository, message="reconciler apply")
    except GitError as error:
        session.note(f"warning: the base was not recorded: {error.what}")
