"""What `apply` is asked to apply: files, or a plan that was made of them before."""

import os
from pathlib import Path

from reconciler.cli import planfiles
from reconciler.cli.session import Session
from reconciler.errors import GuardrailError, UsageError
from reconciler.files import repo_paths, result_files
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Plan, Selection, shorten_commit
from reconciler.model.units import format_time
from reconciler.operations import inputs, saved_plan
from reconciler.operations import plan as operations_plan
from reconciler.operations.history import undo
from reconciler.operations.inputs import Inputs
from reconciler.operations.plan import World
from reconciler.plan.selection import PlanOptions
from reconciler.planfile.codec import Saved
from reconciler.posthog.client import Writer

_MARKS = (b'"format_version"', b'"tool_version"', b'"desired_digest"')
_HEAD = 64 * 1024  # bytes in which a plan says that it is one
_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class PlanSource:
    """Which files, which part of them, which base; all from the plan where there is one."""

    paths: tuple[str, ...] = ()
    select: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    base: str | None = None
    plan: Saved | None = None

    @property
    def is_undo(self) -> bool:
        """Return whether it is a saved plan of `undo`."""
        return self.plan is not None and self.plan.basis is not None and bool(self.plan.basis.undo)

    def part(self, *, prune: bool) -> Selection:
        """Return which part of the files and of the live side it is about."""
        if self.plan is not None and self.plan.basis is not None:
            return self.plan.basis.selection
        return Selection(self.paths, self.select, self.exclude, prune)

    def prefer(self, given: str | None) -> str | None:
        """Return which side of a conflict wins; a plan made with --prefer knows it."""
        basis = self.plan.basis if self.plan is not None else None
        kept = basis.prefer if basis is not None else None
        if self.is_undo and given == "git":
            raise UsageError(
                "--prefer git cannot be used with a plan of undo",
                why="undo never overwrites a later change",
                fix="leave it out, or use --prefer live",
            )
        if kept is None or given in {None, kept}:
            return given or kept
        raise UsageError(
            f"--prefer {given} cannot be used with a plan that was made with --prefer {kept}",
            why="the plan already says which side wins",
            fix=f"leave it out, or plan again: reconciler plan --prefer {given} --out FILE",
        )

    def read_inputs(self, session: Session) -> Inputs:
        """Read the files, the repository and the base; with a plan, the base of the plan."""
        settings, target = session.settings(self.paths), session.target(self.paths)
        if self.plan is not None:
            _refuse_other_paths(self.paths, target.own_paths)
        has_base = self.plan is None or (self.plan.base_commit is not None and not self.is_undo)
        given = inputs.read_inputs(
            settings,
            target,
            session.facts(),
            base_ref=self.base if has_base else None,
            uses_base=has_base,
            parsed=session.surroundings.parsed,
        )
        session.note_ignored(given.ignored)
        return given

    def make_plan(
        self, session: Session, writer: Writer, given: Inputs, options: PlanOptions
    ) -> tuple[Plan, World]:
        """Return the plan, and what it is based on."""
        if self.plan is None:
            return operations_plan.run(writer, given, options)
        saved_plan.check_applies(self.plan, given.target.name, writer.host)
        if self.is_undo:
            files, reverted = undo.restore_files(
                self.plan, given.settings, given.target, given.facts
            )
            options = undo.limit_options(options, reverted)
            session.note(_describe(self.plan))
            planned, world = saved_plan.resume(writer, self.plan, files, options)
            return operations_plan.judge_by_rules(undo.reword(planned), world, given)
        files = saved_plan.expand_files(self.plan, given.loaded, given.base_loaded)
        session.note(_describe(self.plan))
        planned, world = saved_plan.resume(writer, self.plan, files, options, given.history)
        return operations_plan.judge_by_rules(planned, world, given)


def _refuse_other_paths(paths: tuple[str, ...], own: tuple[Path, ...]) -> None:
    """Refuse paths in a plan that the target does not have: a plan cannot choose files."""
    for path in paths:
        lexical = Path(os.path.abspath(path))  # noqa: PTH100  links stay as they are
        if not any(lexical.is_relative_to(folder) for folder in own):
            raise GuardrailError(
                f"this plan was made from {path}, which is not one of the target's files",
                why="a plan cannot bring its own configuration",
                fix="name it under `paths` in reconciler.yaml, or apply the files: "
                f"reconciler apply {path}",
            )


def read_source(
    session: Session,
    paths: tuple[str, ...],
    select: tuple[str, ...],
    exclude: tuple[str, ...],
    base: str | None,
    *,
    prune: bool,
) -> PlanSource:
    """Return what the command line names. A plan contains all of it, and is applied by itself."""
    plans = [path for path in paths if _is_plan(path)]
    if not plans:
        return PlanSource(paths, select, exclude, base)
    if len(paths) > 1:
        others = ", ".join(path for path in paths if path != plans[0]) or plans[0]
        raise UsageError(
            f"{plans[0]} is a saved plan; a plan cannot be applied together with {others}",
            why="it already names the files that it was made from",
            fix=f"reconciler apply {plans[0]}, or name only the files",
        )
    given = {"--select": select, "--exclude": exclude, "--base": base, "--prune": prune}
    if extra := [name for name, value in given.items() if value]:
        raise UsageError(
            f"{' and '.join(extra)} cannot be used with a saved plan",
            why=f"{plans[0]} already contains them",
            fix=f"make the plan with {' and '.join(extra)}: reconciler plan … --out FILE",
        )
    saved = planfiles.read_plan(plans[0])
    if saved.basis is None:
        return PlanSource(plan=saved)
    part = saved.basis.selection
    paths = repo_paths.localize_paths(session.settings().folder, part.paths) if part.paths else ()
    return PlanSource(paths, part.select, part.exclude, saved.base_commit, saved)


def _is_plan(name: str) -> bool:
    """Return whether a file is a plan, by its content; by its name if the content does not say."""
    try:
        head = result_files.read_result_file(name, _HEAD)
    except (OSError, ValueError):
        return False
    opens = head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")
    if any(mark in head for mark in _MARKS) and (opens or not name.endswith(_SUFFIXES)):
        return True
    says_nothing = b"kind" not in head and (opens or name.endswith(".json"))
    return says_nothing and not name.endswith(_SUFFIXES)


def _describe(saved: Saved) -> str:
    """Return which plan is applied, for the log of a build: it is the one that was reviewed."""
    commit = saved.basis.commit if saved.basis is not None else None
    origin = f" from commit {shorten_commit(commit)}" if commit else ""
    return f"saved plan of {format_time(saved.created_at)}{origin} ({saved.digest})"
