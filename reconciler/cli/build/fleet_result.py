"""What the command of a fleet left behind: one comment, one issue, one summary for all targets."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from reconciler import render
from reconciler.cli.build.command_result import list_drift
from reconciler.cli.build.result import format_flag
from reconciler.errors import ReconcilerError
from reconciler.files import repo_paths
from reconciler.fleet import combine, target_folder
from reconciler.lazy_dataclass import dataclass
from reconciler.model import (
    LEFT_OUT,
    ExitCode,
    Finding,
    FleetMode,
    FleetReport,
    Severity,
    TargetDetails,
    TargetResult,
)
from reconciler.planfile import fleet
from reconciler.render.shared.options import RenderOptions

_CHANGES: Final = ("create", "update", "delete")


@dataclass(frozen=True, slots=True)
class FleetResult:
    """The report of a fleet in a folder; None if the command ended before it began.

    Attributes:
        mode: what was asked for: the command that runs for each target, or `merge`.
        code: the exit code.
        folder: holds `fleet.json`, and a folder for each target.
        label: which targets were asked for; the same for every run of a job.
        look: how the report is shown.
        report: what the folder says.

    """

    mode: str
    code: int
    folder: Path
    label: str
    look: RenderOptions
    report: FleetReport | None = None

    @property
    def command(self) -> str:
        """Return `fleet plan`, also for what `fleet merge` combines."""
        return f"fleet {self.report.mode if self.report is not None else self.mode}"

    @property
    def target(self) -> str:
        """Return which targets were asked for."""
        return self.label

    @property
    def _results(self) -> tuple[TargetResult, ...]:
        return self.report.targets if self.report is not None else ()

    @property
    def _measures_drift(self) -> bool:
        return self.report is not None and self.report.mode is FleetMode.DRIFT

    @property
    def has_drift(self) -> bool:
        """Return whether drift was found in any target."""
        differs = any(result.exit_code == ExitCode.DIFFERENCES for result in self._results)
        return self._measures_drift and differs

    @property
    def is_measured(self) -> bool:
        """Return whether the drift of every target is known."""
        codes = {result.exit_code for result in self._results}
        measured = {ExitCode.DONE, ExitCode.DIFFERENCES}
        return self._measures_drift and bool(codes) and codes <= measured

    @property
    def outputs(self) -> dict[str, str]:
        """Return what later steps may branch on."""
        changes = sum(self._count(name) for name in _CHANGES)
        return {
            "exit-code": str(self.code),
            "has-changes": format_flag(not self._measures_drift and changes > 0),
            "has-drift": format_flag(
                self.has_drift if self._measures_drift else self._count("drift") > 0
            ),
            "waiting": str(self._count("waiting")),
            "plan-file": "",
        }

    def describe_clean(self) -> str | None:
        """Return why the issue is closed; None if not all of the drift was asked for."""
        plans = (self._load(result.target).plan for result in self._results)
        if any(finding.code in LEFT_OUT for plan in plans if plan for finding in plan.findings):
            return None
        return "Nothing has drifted in any target."

    def list_findings(self) -> tuple[Finding, ...]:
        """Return what deserves a mark on a line; what targets share is there once."""
        findings = dict.fromkeys(
            finding for result in self._results for finding in self._list_of_target(result)
        )
        return repo_paths.locate_from_root(findings)

    def render_body(self) -> str:
        """Return the report as Markdown."""
        if self.report is None:
            return f"`reconciler {self.command}` ended with {self.code}, before any target ran.\n"
        return render.fleet(self.report, self._load, format="markdown", options=self.look) + "\n"

    def _list_of_target(self, result: TargetResult) -> Iterator[Finding]:
        details = self._load(result.target)
        yield from details.findings
        if details.plan is not None:
            yield from details.plan.findings
            if self._measures_drift:
                yield from list_drift(details.plan)
        if result.skipped_because is not None:
            message = f"{result.target}: skipped: {result.skipped_because}"
            yield Finding("target-skipped", Severity.WARNING, message)
        if result.error is not None:
            error = result.error
            what = f"{result.target}: {error.what}"
            yield Finding("target-failed", Severity.ERROR, what, why=error.why, fix=error.fix)

    def _load(self, target: str) -> TargetDetails:
        return target_folder.load_details(self.folder / target)

    def _count(self, name: str) -> int:
        numbers = (result.summary.get(name) for result in self._results)
        return sum(number for number in numbers if isinstance(number, int))


def read_fleet(folder: Path) -> FleetReport | None:
    """Return the report of the fleet in a folder; None if it was not written."""
    try:
        text = (folder / combine.FLEET).read_text(encoding="utf-8")
        return fleet.decode_fleet(json.loads(text))
    except (OSError, ValueError, ReconcilerError):
        return None
