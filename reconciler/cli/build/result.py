"""What a build reports of a command: of one target, or of a fleet."""

from typing import Protocol

from reconciler.model import Finding


class BuildResult(Protocol):
    """The result of a command, for the comment, the issue, the job summary and the outputs."""

    @property
    def command(self) -> str:
        """Return the command, as a comment is marked with it."""

    @property
    def target(self) -> str:
        """Return the target, or the phrase for several."""

    @property
    def outputs(self) -> dict[str, str]:
        """Return what later steps may branch on."""

    @property
    def has_drift(self) -> bool:
        """Return whether a drift was found; the issue is then written."""

    @property
    def is_measured(self) -> bool:
        """Return whether the drift is known everywhere."""

    def describe_clean(self) -> str | None:
        """Return why the issue is closed; None if not all of the drift was asked for."""

    def list_findings(self) -> tuple[Finding, ...]:
        """Return what deserves a mark on a line: findings, what drifted, what did not work."""

    def render_body(self) -> str:
        """Return the result as Markdown, for a comment, an issue and the job's summary."""


def format_flag(value: object) -> str:
    """Return a condition as an output of a step."""
    return "true" if value else "false"
