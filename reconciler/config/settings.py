"""Read targets from `reconciler.yaml`; without the file, one from the environment."""

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from reconciler import __version__
from reconciler.ci.build import Build
from reconciler.config.fleet_settings import DEFAULT_FLEET, FleetSettings, build_fleet
from reconciler.config.schema import validator
from reconciler.config.schema.errors import explain_errors
from reconciler.config.targets import Target, build_targets
from reconciler.config.yaml import reader
from reconciler.errors import ConfigError, UsageError
from reconciler.files import excerpts
from reconciler.files.text import (
    RefusedError,
    compute_blob_id,
    find_secret_keys,
    make_error,
    split_lines,
)
from reconciler.files.working_tree import SETTINGS, find_git_root, read_file_inside
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Finding, MappingNode, Source, format_timestamp
from reconciler.suggest import closest_match, list_names

NAME: Final = SETTINGS
FORMAT: Final = 1  # the newest version of the file that this program reads


@dataclass(frozen=True, slots=True)
class Settings:
    """All targets, and the file that declares them."""

    targets: Mapping[str, Target]
    file: Path | None = None
    given: tuple[Path, ...] = ()  # paths from the command line, which replace `paths`
    blob: str = ""  # git's ID of the content of the file, as it was read
    fleet: FleetSettings = DEFAULT_FLEET

    @property
    def folder(self) -> Path | None:
        """Return the folder of `reconciler.yaml`, which links may not leave outside git."""
        return self.file.parent if self.file else None

    def select_target(self, name: str | None = None) -> Target:
        """Return the target of that name, or the only target. Raises UsageError."""
        names = list_names(self.targets)
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
        return format_timestamp(self.now)


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
    return parse_settings(
        data, file=settings_file, display=display, given=given, checks_version=True
    )


def parse_settings(
    data: bytes,
    *,
    file: Path,
    display: str,
    given: tuple[Path, ...] = (),
    checks_version: bool = False,
) -> Settings:
    """Parse settings from the content of a file of the working tree, or of a commit.

    Args:
        data: the content.
        file: the file it comes from; its paths are relative to that folder.
        display: its name in messages.
        given: absolute paths from the command line, which win.
        checks_version: whether the file must be for this version of the program. That of the
            base need not be: its commit may be older than the program.

    """
    node, text = _read_document(data, display, checks_version=checks_version)
    findings: list[Finding] = []
    targets = build_targets(node, file, given, findings)
    if findings:
        raise _make_settings_error(findings, text)
    blob = compute_blob_id(data)
    return Settings(targets, file, given, blob, build_fleet(node.get("fleet"), file))


def _format_path(file: Path, cwd: Path) -> str:
    return (file.relative_to(cwd) if file.is_relative_to(cwd) else file).as_posix()


def _make_unusable_error(display: str, problem: RefusedError) -> ConfigError:
    finding = problem.finding
    return ConfigError(f"{display}: {finding.message}", findings=(finding,), why=finding.why)


def _read_document(data: bytes, display: str, *, checks_version: bool) -> tuple[MappingNode, str]:
    """Return the only document of the file, well-formed, and the text."""
    findings: list[Finding] = []
    documents = reader.read_documents(data, display, findings)
    text = data.decode("utf-8-sig", "replace")
    if not findings and len(documents) != 1:
        message = f"{len(documents)} documents instead of one"
        findings.append(make_error("R005", message, Source(display, 1), fix="write one mapping"))
    if not findings and checks_version:  # before the schema, which rejects newer fields
        findings.extend(_check_program_version(documents[0].value))
    if not findings and not validator.accepts("reconciler", documents[0].value):
        split = split_lines(text)
        findings = explain_errors(
            "reconciler", documents[0].value, documents[0].source, lambda _: split
        )
    if findings:
        raise _make_settings_error(findings, text)
    return documents[0].value, text


def _check_program_version(node: Any) -> Iterator[Finding]:
    """Yield an error if the file is for another version of the program."""
    if isinstance(node, MappingNode):
        yield from _check_required_version(node)
        yield from _check_format(node)


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
