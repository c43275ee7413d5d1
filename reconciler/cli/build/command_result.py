"""What the command of one target left behind in its report."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, Final

from reconciler.cli.build.result import format_flag
from reconciler.files import repo_paths
from reconciler.lazy_dataclass import dataclass
from reconciler.model import LEFT_OUT, ExitCode, Finding, Plan, Severity
from reconciler.planfile import codec
from reconciler.render import markdown
from reconciler.render import text as render_text
from reconciler.render.shared import attribution, phrases

_LISTED: Final = 50  # findings of an error that a comment has room for


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What a command left behind.

    Attributes:
        command: its name.
        code: its exit code.
        folder: its report.
        summary: what the report says of the whole run.
        named: the target that was named, if the run ended before it knew it.

    """

    command: str
    code: int
    folder: Path
    summary: Mapping[str, Any] = field(default_factory=dict)
    named: str = "default"

    @property
    def target(self) -> str:
        """Return the target, also where a command ended before it knew."""
        return str(self.summary.get("target") or self.named)

    @property
    def counts(self) -> Mapping[str, int]:
        """Return how many resources a plan concerns, by action."""
        return self.summary.get("plan") or {}

    @property
    def changes(self) -> int:
        """Resources that differ."""
        return sum(self.counts.get(action, 0) for action in ("create", "update", "delete"))

    @property
    def has_drift(self) -> bool:
        """Return whether drift was found."""
        return self.code == ExitCode.DIFFERENCES

    @property
    def outputs(self) -> dict[str, str]:
        """Return what later steps may branch on."""
        seen = self.changes if self.code else 0  # what is held does not count
        drift = seen if self.command == "drift" else self.counts.get("drift", 0)
        plan = self.folder / "plan.json"
        return {
            "exit-code": str(self.code),
            "has-changes": format_flag(self.command != "drift" and self.changes > 0),
            "has-drift": format_flag(drift > 0),
            "waiting": str((self.summary.get("outcomes") or {}).get("waiting", 0)),
            "plan-file": str(plan) if plan.is_file() else "",
        }

    @property
    def is_measured(self) -> bool:
        """Return whether the drift is known."""
        return self.code in {ExitCode.DONE, ExitCode.DIFFERENCES}

    def describe_clean(self) -> str | None:
        """Return why the issue is closed; None if not all of the drift was asked for."""
        if any(finding.code in LEFT_OUT for finding in self.list_findings()):
            return None
        if self.changes:
            return "What still differs is held, as reconciler.yaml says."
        waits = json.loads(self._read_file("plan.json") or "{}").get("not_applied")
        return "Nothing has drifted." if waits else "PostHog matches the files."

    def list_findings(self) -> tuple[Finding, ...]:
        """Return what deserves a mark on a line."""
        text = self._read_file("plan.json")
        if not text:  # it ended before: what the files are wrong with is all there is
            return repo_paths.locate_from_root(
                codec.read_findings(self.summary.get("findings") or [])
            )
        plan = codec.load_plan(text)
        findings = [*plan.findings]
        if self.command == "drift":
            findings += list_drift(plan)
        changes = {str(change.address): change for change in plan.changes}
        outcomes = json.loads(self._read_file("outcomes.json") or '{"results": []}')
        for row in outcomes["results"]:
            if row["outcome"] not in {"failed", "refused", "waiting"}:
                continue
            change, problem = changes.get(row["address"]), row.get("error") or {}
            bad = row["outcome"] != "waiting"
            findings.append(
                Finding(
                    row["outcome"],
                    Severity.ERROR if bad else Severity.NOTICE,
                    problem.get("what") or f"{row['address']} waits for approval: {row.get('url')}",
                    why=_explain(row, problem),
                    fix=problem.get("fix") or "",
                    source=change.source if change is not None else None,
                    address=change.address if change is not None else None,
                )
            )
        return repo_paths.locate_from_root(findings)

    def render_body(self) -> str:
        """Return the result as Markdown."""
        parts = [self._read_file("plan.md"), self._read_file("outcomes.md")]
        if parts[1] and sum(map(len, parts)) > markdown.CAP:
            parts[0] = "The plan is too long to be shown here; see plan.html in the report."
        error = self.summary.get("error")
        if self.command == "validate" and not error and "errors" in self.summary:
            parts += _describe_validation(self.summary)
        elif error:
            parts.append(f"**{self.command} failed.**\n")
            parts.append(markdown.format_fence(self._describe_error(error)))
        if not any(parts):
            parts = [f"`reconciler {self.command}` ended with {self.code}."]
        return "\n\n".join(part.rstrip() for part in parts if part) + "\n"

    def _read_file(self, name: str) -> str:
        """Return a file of the report; empty if it was not written."""
        try:
            return (self.folder / name).read_text(encoding="utf-8")
        except OSError:
            return ""

    def _describe_error(self, error: Mapping[str, Any]) -> Iterator[str]:
        """Yield what ended a command; before there was a plan, with findings about the files."""
        rows = [] if self._read_file("plan.json") else self.summary.get("findings") or []
        if findings := codec.read_findings(rows[:_LISTED]):
            yield from render_text.findings(findings, color=False).split("\n")
            yield ""
        keys = ("what", "why", "state", "fix")
        yield from (f"{key}: {error[key]}" for key in keys if error.get(key))


def read_summary(folder: Path) -> Mapping[str, Any]:
    """Return what a report says of the whole run; nothing if it was not written."""
    try:
        document = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def list_drift(plan: Plan) -> Iterator[Finding]:
    """Yield a finding for each field that has drifted."""
    for change in plan.writes:
        yield from attribution.make_findings(change)


def _explain(row: Mapping[str, Any], problem: Mapping[str, Any]) -> str:
    """Return why it did not finish, and what of it is live."""
    live = ", ".join(row.get("written") or ())
    reasons = (problem.get("why"), f"{live} written" if live else "")
    return "; ".join(part for part in reasons if part)


def _describe_validation(summary: Mapping[str, Any]) -> Iterator[str]:
    """Yield the result of `validate`, and the worst findings. A fork's pull request shows it."""
    counts = [
        phrases.count(number, noun)
        for noun in ("resource", *Severity)
        if (number := int(summary.get(f"{noun}s") or 0))
    ]
    word = "Not valid" if summary["errors"] else "Valid"
    targets = ", ".join(map(markdown.format_code, summary.get("targets") or ()))
    yield f"**{word}{' for ' if targets else ''}{targets}.** {', '.join(counts)}\n"
    if findings := codec.read_findings(summary["findings"][:_LISTED]):
        yield markdown.format_fence(render_text.findings(findings, color=False).split("\n"))
