"""`--report DIR`: what a run was about and what became of it, as files for a build's artifacts.

If a report cannot be written, no result and no exit code changes.
"""

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field
from pathlib import Path
from typing import Any

from reconciler import render
from reconciler.cli import event_log
from reconciler.errors import ReconcilerError, explain_refusal
from reconciler.files import result_files
from reconciler.files.working_tree import check_output
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Outcome, Plan
from reconciler.planfile import codec, digest, results

FORMAT_VERSION = 1
FILES = (
    *("plan.json", "plan.html", "plan.md"),
    *("journal.jsonl", "outcomes.json", "outcomes.md", "status.json"),
    "summary.json",
)


def prepare_folder(folder: Path) -> Path:
    """Return a writable folder without the report of an earlier run; raise OSError."""
    check_output(folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
    handle, probe = tempfile.mkstemp(prefix=".reconciler-", dir=folder)
    os.close(handle)
    Path(probe).unlink()
    return folder


@dataclass
class Report:
    """The folder of one run's report; without one nothing is kept.

    Files: plan.json, plan.html, plan.md of what was planned (drift: of what drifted),
    journal.jsonl, outcomes.json and outcomes.md of what was written, status.json of where a
    target stands, summary.json of it all.
    """

    folder: Path | None
    note: Callable[[str], None]
    identities: str = "full"  # how plans and outcomes name people, except in JSON
    facts: dict[str, Any] = field(default_factory=dict)
    totals: Mapping[str, Any] = field(default_factory=dict)  # of the last document
    written: list[str] = field(default_factory=list)
    is_abandoned: Callable[[], bool] = lambda: False  # a fleet has written how the run ended

    def open(self) -> None:
        """Make the folder, before anything is contacted; raises ReconcilerError."""
        if self.folder is None:
            return
        check_output(self.folder)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ReconcilerError(
                f"--report {self.folder}: no folder can be made there",
                why=explain_refusal(error),
                fix="name a folder, or a place where one can be made",
            ) from error

    def plan(self, plan: Plan, *, drift: bool = False) -> None:
        """Keep a plan, for programs and for people."""
        self.facts |= {"target": plan.target, "host": plan.host}
        self.facts["plan"] = self.totals = codec.summarize(plan)
        event = "drift.found" if drift else "plan.made"
        event_log.emit_event(
            event, target=plan.target, reads=plan.requests.reads, **self.facts["plan"]
        )
        if self.folder is None:
            return
        draw = render.drift if drift else render.plan
        self.facts["errors"] = len(plan.errors)
        whole = str(self.folder / "plan.json")
        for name, form in (("plan.json", "json"), ("plan.html", "html"), ("plan.md", "markdown")):
            self._keep(name, draw(plan, format=form, whole=whole, identities=self.identities))

    def outcomes(self, ended: Iterable[Outcome], plan: Plan) -> None:
        """Keep what became of each change."""
        if self.folder is None:
            return
        rows = tuple(ended)
        document = results.encode_outcomes(rows, plan)
        self.facts["outcomes"] = self.totals = document["summary"]
        self.facts["account"] = document["account"]
        self._keep("outcomes.json", digest.format_document(document))
        self._keep(
            "outcomes.md",
            render.outcomes(rows, plan, format="markdown", identities=self.identities),
        )

    def status(self, document: Mapping[str, Any], shown: str) -> None:
        """Keep where the target stands; `shown` is the document as JSON."""
        self.facts |= {"target": document["target"], "host": document["host"]}
        self.totals = {
            "commits_since": document["commits_since"],
            "dirty": document["dirty"],
            "requests": len(document["requests"]),
        }
        self._keep("status.json", shown + "\n")

    @contextmanager
    def journal(self, path: Path) -> Iterator[None]:
        """Keep a copy of the journal once the block has ended, however it did."""
        try:
            yield
        finally:
            if self.folder is not None:
                self._copy(path)

    def _copy(self, path: Path) -> None:
        try:
            self._keep("journal.jsonl", path.read_text(encoding="utf-8"))
        except OSError as error:
            self.note(f"warning: the report lacks the journal: {explain_refusal(error)}")

    def end(self, **facts: Any) -> None:
        """Write the summary: the last file, so that its being there means that all are."""
        if self.folder is None:
            return
        document = {
            "format_version": FORMAT_VERSION,
            **self.facts,
            **facts,
            "summary": self.totals,
            "files": [*self.written, "summary.json"],
        }
        self._keep("summary.json", json.dumps(codec.make_plain(document), indent=2) + "\n")

    def _keep(self, name: str, text: str) -> None:
        if self.folder is None or self.is_abandoned():
            return
        try:
            result_files.write_private(os.fspath(self.folder / name), text)
        except ReconcilerError as error:
            self.note(f"warning: the report is not whole: {error.what}: {error.why}")
        else:
            self.written.append(name)
