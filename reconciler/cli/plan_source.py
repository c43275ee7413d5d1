"""What `apply` is asked to carry out: files, or a plan that was made of them before."""

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from reconciler import __version__
from reconciler.cli import inputs, repo_paths, result_files
from reconciler.cli.inputs import Before
from reconciler.cli.session import Session
from reconciler.config.loaded import Loaded
from reconciler.config.settings import Target
from reconciler.errors import GuardrailError, UsageError
from reconciler.model import Plan, Selection
from reconciler.operations import plan as operations_plan
from reconciler.operations import saved_plan
from reconciler.operations.plan import World
from reconciler.plan.selection import Options
from reconciler.planfile.codec import Saved
from reconciler.posthog.client import Writer

_MARKS = (b'"format_version"', b'"tool_version"', b'"desired_digest"')
_HEAD = 64 * 1024  # bytes in which a plan says that it is one
_FILES = (".yaml", ".yml")
_AGAIN = "make the plan again: reconciler plan --out FILE"


@dataclass(frozen=True, slots=True)
class PlanSource:
    """Which files, which part of them, which base; all from the plan where there is one."""

    paths: tuple[str, ...] = ()
    select: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    base: str | None = None
    plan: Saved | None = None

    def part(self, *, prune: bool) -> Selection:
        """Which part of the files and of the live side it is about."""
        if self.plan is not None and self.plan.basis is not None:
            return self.plan.basis.selection
        return Selection(self.paths, self.select, self.exclude, prune)

    def prefer(self, given: str | None) -> str | None:
        """Return which side of a conflict wins; a plan made with --prefer knows it."""
        basis = self.plan.basis if self.plan is not None else None
        kept = basis.prefer if basis is not None else None
        if kept is None or given in {None, kept}:
            return given or kept
        raise UsageError(
            f"--prefer {given} cannot be used with a plan that was made with --prefer {kept}",
            why="the plan already says which side wins",
            fix=f"leave it out, or plan again: reconciler plan --prefer {given} --out FILE",
        )

    def load(self, session: Session) -> tuple[Target, Loaded]:
        """The target, and the files. A plan does not choose files that the target does not name."""
        if self.plan is not None and self.paths:
            mine = session.target().paths
            for path in self.paths:
                lexical = Path(os.path.abspath(path))  # noqa: PTH100  links stay as they are
                if not any(lexical.is_relative_to(one) for one in mine):
                    raise GuardrailError(
                        f"this plan was made from {path}, which is none of the target's files",
                        why="a plan cannot bring its own configuration",
                        fix="name it under `paths` in reconciler.yaml, or apply the files: "
                        f"reconciler apply {path}",
                    )
        return session.load(self.paths)

    def before(self, session: Session, target: Target, loaded: Loaded) -> Before:
        """What was before: with a plan, what was before that."""
        known = self.plan is None or self.plan.base_commit is not None
        return inputs.look(session, target, loaded, asked=self.base, paths=self.paths, based=known)

    def made(
        self,
        session: Session,
        target: Target,
        writer: Writer,
        loaded: Loaded,
        before: Before,
        chosen: Options,
    ) -> tuple[Plan, World]:
        """The plan, and what it rests on."""
        since = session.since(target, before.base)
        if self.plan is not None:
            _check(self.plan, target, writer.host)
            said = saved_plan.files(self.plan, loaded, before.loaded)
            session.note(_taken(self.plan))
            made, world = saved_plan.resume(writer, self.plan, said, chosen, since)
            return made, replace(world, lineage=session.lineage(target))
        world = operations_plan.observe(
            writer, loaded, chosen, before.loaded, session.past(target), since=since
        )
        world = replace(world, lineage=session.lineage(target))
        made = operations_plan.plan(
            world,
            chosen,
            target=target.name,
            host=writer.host,
            created_at=session.stamp(),
            base=before.base,
            said=before.findings,
        )
        return made, world


def asked(
    session: Session,
    paths: tuple[str, ...],
    select: tuple[str, ...],
    exclude: tuple[str, ...],
    base: str | None,
    *,
    prune: bool,
) -> PlanSource:
    """From the command line. A plan says all of it itself, and stands alone."""
    plans = [path for path in paths if _is_plan(path)]
    if not plans:
        return PlanSource(paths, select, exclude, base)
    if len(paths) > 1:
        others = ", ".join(path for path in paths if path != plans[0]) or plans[0]
        raise UsageError(
            f"{plans[0]} is a saved plan, and a plan is applied alone, not with {others}",
            why="it says itself which files it was made from",
            fix=f"reconciler apply {plans[0]}, or name the files alone",
        )
    given = {"--select": select, "--exclude": exclude, "--base": base, "--prune": prune}
    if extra := [name for name, value in given.items() if value]:
        raise UsageError(
            f"{' and '.join(extra)} cannot be used with a saved plan",
            why=f"{plans[0]} says itself what it is about",
            fix=f"make the plan with {' and '.join(extra)}: reconciler plan … --out FILE",
        )
    saved = result_files.read_plan(plans[0])
    if saved.basis is None:
        return PlanSource(plan=saved)
    about = saved.basis.selection
    return PlanSource(
        repo_paths.localize_paths(session.settings().folder, about.paths),
        about.select,
        about.exclude,
        saved.base_commit,
        saved,
    )


def _is_plan(name: str) -> bool:
    """Told by its content; by its name only where the content says nothing of either."""
    try:
        head = result_files.read(name, _HEAD)
    except (OSError, ValueError):
        return False
    opens = head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")
    if any(mark in head for mark in _MARKS) and (opens or not name.endswith(_FILES)):
        return True
    says_nothing = b"kind" not in head and (opens or name.endswith(".json"))
    return says_nothing and not name.endswith(_FILES)


def _check(saved: Saved, target: Target, host: str) -> None:
    """Whether this plan is for this program and this target; contacts nobody."""
    if _version(saved.tool_version) > _version(__version__):
        raise GuardrailError(
            f"this plan was made by reconciler {saved.tool_version}",
            why=f"this is {__version__}, and may understand some of it otherwise",
            fix=f"apply it with that version, or {_AGAIN}",
        )
    if saved.target != target.name:
        raise GuardrailError(
            f"this plan was made for the target {saved.target}",
            why=f"this run is for {target.name}",
            fix=f"reconciler --target {saved.target} apply …, or {_AGAIN}",
        )
    if saved.host != host:
        raise GuardrailError(
            f"this plan was made for another host: {saved.host}",
            why=f"this run is for {host}",
            fix=f"apply it where it was made for, or {_AGAIN}",
        )


def _version(text: str) -> tuple[int, ...]:
    """Something to compare: numbers; what is no version is newer than all."""
    found = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)([a-z.+-].*)?", text, re.ASCII)
    return tuple(int(number) for number in found.groups()[:3]) if found else (2**31,)


def _taken(saved: Saved) -> str:
    """What was looked at is what is applied: for the log of a build."""
    commit = saved.basis.commit if saved.basis is not None else None
    made = f" from commit {commit[:12]}" if commit else ""
    return f"plan of {saved.created_at}{made}: {saved.digest}, as it was made"
