"""Read targets from `reconciler.yaml`; without the file, one from the environment."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from reconciler import __version__
from reconciler.ci.build import Build
from reconciler.config.schema import validator
from reconciler.config.schema.errors import explain_errors
from reconciler.config.yaml import reader
from reconciler.errors import ConfigError, UsageError
from reconciler.files import excerpts
from reconciler.files.text import RefusedError, find_secret_keys, make_error, split_lines
from reconciler.files.working_tree import SETTINGS, find_git_root, read_file_inside
from reconciler.kinds import KINDS
from reconciler.model import Finding, Hold, MappingNode, SequenceNode, Source, parse_time
from reconciler.suggest import closest_match

NAME: Final = SETTINGS
FORMAT: Final = 1  # the newest version of the file that this program reads


@dataclass(frozen=True, slots=True)
class Guardrails:
    """Limits that resource files cannot change."""

    max_deletes: int = 5  # of one kind in one run
    max_delete_percent: float = 20  # and at most this share of the live ones
    allow_weakening: bool = False
    written: MappingNode | None = field(default=None, compare=False)

    def describe_source(self, name: str) -> str:
        """Return where a limit is set, for messages."""
        if self.written is not None and name in self.written:
            return str(self.written.value_source(name))
        return f"the default of guardrails.{name}"


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """How many requests one key may send."""

    per_minute: int = 480
    per_hour: int = 4800


@dataclass(frozen=True, slots=True)
class Target:
    """One PostHog instance with its paths and limits. Paths are absolute."""

    name: str
    host: str | None = None  # None: POSTHOG_HOST, else the default
    organization: str | None = None
    api_key_env: str | None = None  # None: the usual names
    paths: tuple[Path, ...] = ()
    own_paths: tuple[Path, ...] = ()  # without those of the command line
    overlays: tuple[Path, ...] = ()
    guardrails: Guardrails = Guardrails()
    unmanaged: str = "report"  # report | ignore | delete
    ignore: tuple[str, ...] = ()
    confirms_by_name: bool = False  # who applies on a terminal types the name of the target
    rate_limit: RequestLimits = RequestLimits()
    notify: tuple[str, ...] = ()  # webhooks: a URL, or `env:` and the variable that holds it
    holds: tuple[Hold, ...] = ()  # drift that is shown but does not fail until a date
    written: MappingNode | None = field(default=None, compare=False)

    def describe_source(self, key: str) -> str:
        """Return where a value of the target is written, for messages; else the target's name."""
        if self.written is not None and key in self.written:
            return str(self.written.value_source(key))
        return f"target {self.name}"


@dataclass(frozen=True, slots=True)
class Settings:
    """All targets, and the file that declares them."""

    targets: Mapping[str, Target]
    file: Path | None = None
    given: tuple[Path, ...] = ()  # paths from the command line, which replace `paths`

    @property
    def folder(self) -> Path | None:
        """Return the folder of `reconciler.yaml`, which links may not leave outside git."""
        return self.file.parent if self.file else None

    def select_target(self, name: str | None = None) -> Target:
        """Return the target of that name, or the only target. Raises UsageError."""
        names = ", ".join(sorted(self.targets))
        if name is None:
            if len(self.targets) == 1:
                return next(iter(self.targets.values()))
            raise UsageError(
                "--target is required",
                why=f"{(self.file and self.file.name) or NAME} has several targets: {names}",
                fix="name one of them with --target",
            )
        if name not in self.targets:
            match = closest_match(name, self.targets)
            raise UsageError(
                f'unknown target "{name}"',
                why=f"the targets are: {names}",
                fix=f'did you mean "{match}"?' if match else "name one of them with --target",
            )
        return self.targets[name]


@dataclass(frozen=True, slots=True)
class RunFacts:
    """Facts about a run that use cases must not look up themselves.

    Attributes:
        cwd: the current folder, which names in messages are relative to.
        now: the wall clock at the start of the command.
        build: the CI build that the run is a part of; None outside of CI.
        config: the settings file that was named, if one was.

    """

    cwd: Path
    now: datetime
    build: Build | None = None
    config: Path | None = None

    @property
    def stamp(self) -> str:
        """Return the start of the command as ISO 8601."""
        return self.now.strftime("%Y-%m-%dT%H:%M:%SZ")


def find_settings_file(
    cwd: Path, *, environ: Mapping[str, str], file: Path | None = None
) -> Path | None:
    """Return the settings file: `file`, else RECONCILER_CONFIG, else searched from `cwd` up.

    The search ends at the git root, or at the root of the file system outside git.
    """
    named = file or (Path(value) if (value := environ.get("RECONCILER_CONFIG")) else None)
    if named is not None:
        return Path(os.path.abspath(cwd / named))  # noqa: PTH100  links stay as they are
    root = find_git_root(cwd)
    for folder in (cwd, *cwd.parents):
        if os.path.lexists(folder / NAME):  # also if it cannot be read: its limits always apply
            return folder / NAME
        if root is not None and os.path.realpath(folder) == str(root):
            return None
    return None


def load_settings(
    cwd: Path,
    *,
    environ: Mapping[str, str],
    file: Path | None = None,
    paths: Sequence[Path] = (),
) -> Settings:
    """Load settings for a command that runs in `cwd`; `paths` from the command line win.

    Raises ConfigError with every finding.
    """
    given = tuple(Path(os.path.abspath(cwd / path)) for path in paths)  # noqa: PTH100  links stay as they are
    settings_file = find_settings_file(cwd, file=file, environ=environ)
    if settings_file is None:
        return Settings(
            {"default": Target("default", paths=given or (cwd,), own_paths=(cwd,))}, given=given
        )
    display = _format_path(settings_file, cwd)
    try:
        data = read_file_inside(settings_file, display)
    except RefusedError as problem:
        raise _make_unusable_error(display, problem) from None
    if secrets := list(find_secret_keys(data, display)):
        raise _make_settings_error(secrets, data.decode("utf-8-sig", "replace"))
    _check_program_version(data, display)
    return parse_settings(data, file=settings_file, display=display, given=given)


def parse_settings(
    data: bytes, *, file: Path, display: str, given: tuple[Path, ...] = ()
) -> Settings:
    """Parse settings from the content of a file of the working tree, or of a commit.

    Args:
        data: the content.
        file: the file it comes from; its paths are relative to that folder.
        display: its name in messages.
        given: absolute paths from the command line, which win.

    """
    node, text = _read_document(data, display)
    findings: list[Finding] = []
    settings = _build_settings(node, file, given, findings)
    if findings:
        raise _make_settings_error(findings, text)
    return settings


def _format_path(file: Path, cwd: Path) -> str:
    return (file.relative_to(cwd) if file.is_relative_to(cwd) else file).as_posix()


def _make_unusable_error(display: str, problem: RefusedError) -> ConfigError:
    finding = problem.finding
    return ConfigError(f"{display}: {finding.message}", findings=(finding,), why=finding.why)


def _read_document(data: bytes, display: str) -> tuple[MappingNode, str]:
    """Return the only document of the file, well-formed, and the text."""
    findings: list[Finding] = []
    documents = reader.read_documents(data, display, findings)
    text = data.decode("utf-8-sig", "replace")
    if not findings and len(documents) != 1:
        message = f"{len(documents)} documents instead of one"
        findings.append(make_error("R005", message, Source(display, 1), fix="write one mapping"))
    if not findings and not validator.accepts("reconciler", documents[0].value):
        split = split_lines(text)
        findings = explain_errors(
            "reconciler", documents[0].value, documents[0].source, lambda _: split
        )
    if findings:
        raise _make_settings_error(findings, text)
    return documents[0].value, text


def _check_program_version(data: bytes, display: str) -> None:
    """Raise ConfigError if the file is for another version of the program.

    This comes before the schema, which would reject what a newer version has added. A file that
    cannot be read so far is reported by the schema's check. The base is not checked: its commit
    may be older than the version of the program.
    """
    documents = reader.read_documents(data, display, [])
    node = documents[0].value if documents else None
    if not isinstance(node, MappingNode):
        return
    if findings := [*_check_required_version(node), *_check_format(node)]:
        raise _make_settings_error(findings, data.decode("utf-8-sig", "replace"))


def _check_format(node: MappingNode) -> Iterator[Finding]:
    """Yield an error if the file has a newer format."""
    version = node.get("version")
    if isinstance(version, int) and not isinstance(version, bool) and version > FORMAT:
        message = f"reconciler {__version__} reads version {FORMAT} of this file, not {version}"
        fix = "install a newer version of posthog-reconciler"
        yield make_error("R005", message, node.value_source("version"), fix=fix)


def _check_required_version(node: MappingNode) -> Iterator[Finding]:
    """Yield an error if this version of the program is not one of the required ones."""
    written = node.get("required_version")
    if not isinstance(written, str):
        return
    from packaging.specifiers import InvalidSpecifier, SpecifierSet  # noqa: PLC0415  rarely used

    place, width = node.value_source("required_version"), len(written)
    try:
        allowed = SpecifierSet(written, prereleases=True)
    except InvalidSpecifier:
        message = f'"{written}" is not a version specifier'
        fix = 'write one such as ">=0.3,<1"'
        yield make_error("R005", message, place, fix=fix, width=width)
        return
    if __version__ not in allowed:
        message = f"this is reconciler {__version__}, and the file requires {written}"
        fix = f"install a version {written} of posthog-reconciler"
        yield make_error("R005", message, place, fix=fix, width=width)


def _make_settings_error(findings: list[Finding], text: str) -> ConfigError:
    split = split_lines(text)
    shown = [excerpts.attach_excerpt(finding, lambda _: split) for finding in findings]
    shown.sort(key=lambda finding: finding.sort_key)
    noun = "error" if len(shown) == 1 else "errors"
    return ConfigError(f"{len(shown)} {noun} in the settings", findings=shown)


def _build_settings(
    node: MappingNode, file: Path, given: tuple[Path, ...], findings: list[Finding]
) -> Settings:
    targets = {}
    for name, written in node["targets"].items():
        values: Any = written or MappingNode()
        own = _resolve_paths(values, "paths", file, [] if given else findings) or (file.parent,)
        findings.extend(_check_ignored(values))
        targets[name] = Target(
            name,
            host=values["host"].rstrip("/") if "host" in values else None,
            organization=values.get("organization"),
            api_key_env=values.get("api_key_env"),
            paths=given or own,
            own_paths=own,
            overlays=_resolve_paths(values, "overlays", file, findings),
            guardrails=_build_guardrails(values.get("guardrails")),
            unmanaged=values.get("unmanaged", "report"),
            ignore=tuple(values.get("ignore", ())),
            confirms_by_name=values.get("confirm") == "name",
            rate_limit=RequestLimits(**values.get("rate_limit", {})),
            notify=tuple(values.get("notify", ())),
            holds=read_holds(values, findings, lambda hold: _check_address_kind(hold, "address")),
            written=values,
        )
    return Settings(targets, file, given)


def _build_guardrails(node: MappingNode | None) -> Guardrails:
    if node is None:
        return Guardrails()
    return Guardrails(**node, written=node)


def _check_ignored(node: Any) -> Iterator[Finding]:
    """Yield an error for each pattern of an unknown kind, which would ignore nothing."""
    for index in range(len(node.get("ignore", ()))):
        yield from _check_address_kind(node["ignore"], index)


def _check_address_kind(node: Any, key: str | int) -> Iterator[Finding]:
    """Yield an error if the address pattern at a place has an unknown kind."""
    kind, slash, _ = node[key].partition("/")
    if "*" in kind or (slash and kind in KINDS):
        return
    match = closest_match(kind, KINDS)
    fix = f'did you mean "{match}/…"?' if match else f"one of {', '.join(KINDS)}, or `*`"
    message = f'no address begins with "{kind}{slash}"'
    yield make_error("R005", message, node.value_source(key), fix=fix, width=len(kind))


def _resolve_paths(node: Any, key: str, file: Path, findings: list[Finding]) -> tuple[Path, ...]:
    """Return the absolute paths of a target; they may not leave the repository."""
    written: SequenceNode = node.get(key) or SequenceNode()
    root = find_git_root(file.parent) or Path(os.path.realpath(file.parent))
    resolved = []
    for index, text in enumerate(written):
        path = Path(os.path.abspath(file.parent / text))  # noqa: PTH100  links stay as they are
        if not Path(os.path.realpath(path)).is_relative_to(root):
            message = f"`{key}` leads out of the repository: {text}"
            fix = f"use a path inside {root.name}, or give the path on the command line"
            findings.append(make_error("R010", message, written.value_source(index), fix=fix))
            continue
        resolved.append(path)
    return tuple(resolved)


def find_missing_paths(target: Target) -> Iterator[Finding]:
    """Yield an error for each path in the settings of a target that does not exist, at its line."""
    for key, paths in (("paths", target.own_paths), ("overlays", target.overlays)):
        written = target.written.get(key) if target.written is not None else None
        if written is None or (key == "paths" and target.paths != target.own_paths):
            continue
        for index, path in enumerate(paths):
            if not os.path.exists(path):  # noqa: PTH110  False also for what cannot be a path
                message = f"`{key}`: no such file or folder: {written[index]}"
                place, fix = written.value_source(index), "check the path"
                yield make_error("R010", message, place, fix=fix)


PatternCheck = Callable[[Any], Iterator[Finding]]


def read_holds(
    target: Any, findings: list[Finding], check_pattern: PatternCheck
) -> tuple[Hold, ...]:
    """Return the holds of a target; an invalid date becomes a finding.

    Args:
        target: its mapping in the settings, accepted by the schema.
        findings: errors are added here.
        check_pattern: yields the errors of an address pattern.

    """
    holds = []
    for node in (target.get("drift") or {}).get("hold", ()):
        until = parse_time(node["until"])
        if until is None:
            message = f"invalid date or time: {node['until']}"
            fix = "write a day such as 2026-12-01, or a time such as 2026-12-01T18:00:00Z"
            place = node.value_source("until")
            findings.append(make_error("R005", message, place, fix=fix, width=len(node["until"])))
            continue
        findings.extend(check_pattern(node))
        source = node.value_source("address")
        holds.append(Hold(node["address"], until, node["until"], node["reason"], source))
    return tuple(holds)
