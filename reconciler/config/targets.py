"""Build the targets that `reconciler.yaml` declares, with its `defaults` under each."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from reconciler.config.address_patterns import check_address_kind, check_patterns
from reconciler.config.documents.overlays import merge_mappings
from reconciler.config.documents.target_names import TargetNames
from reconciler.files.text import make_error
from reconciler.files.working_tree import find_git_root
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Finding, Hold, MappingNode, SequenceNode, Source, parse_time
from reconciler.suggest import closest_match, list_names


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
    organization: str | None = None  # the only one; documents may leave it out
    projects: Mapping[str, str] = field(default_factory=dict)  # name in documents -> in PostHog
    api_key_env: str | None = None  # None: the usual names
    paths: tuple[Path, ...] = ()
    own_paths: tuple[Path, ...] = ()  # without those of the command line
    overlays: tuple[Path, ...] = ()
    rules: tuple[Path, ...] = ()  # files and folders with rules over plans
    without_resources: tuple[Path, ...] = ()  # the same, of all targets
    guardrails: Guardrails = Guardrails()
    unmanaged: str = "report"  # report | ignore | delete
    ignore: tuple[str, ...] = ()
    confirms_by_name: bool = False  # who applies on a terminal types the name of the target
    rate_limit: RequestLimits = RequestLimits()
    notify: tuple[str, ...] = ()  # webhooks: a URL, or `env:` and the variable that holds it
    needs: tuple[str, ...] = ()  # targets that have to succeed before it, in a fleet
    holds: tuple[Hold, ...] = ()  # drift that is shown but does not fail until a date
    written: MappingNode | None = field(default=None, compare=False)

    @property
    def names(self) -> TargetNames:
        """Return what this target calls the organization and the projects of documents."""
        place = None
        if self.written is not None and "organization" in self.written:
            place = self.written.value_source("organization")
        return TargetNames(self.name, self.organization, self.projects, place)

    def list_resource_paths(self) -> tuple[Path, ...]:
        """Return the paths that may declare resources: those that are not in a folder of rules."""
        return tuple(
            path
            for path in self.paths
            if not any(path.is_relative_to(folder) for folder in self.without_resources)
        )

    def describe_source(self, key: str) -> str:
        """Return where a value of the target is written, for messages; else the target's name."""
        if self.written is not None and key in self.written:
            return str(self.written.value_source(key))
        return f"target {self.name}"


def build_targets(
    node: MappingNode, file: Path, given: tuple[Path, ...], findings: list[Finding]
) -> dict[str, Target]:
    """Return the targets of a file that its schema accepts; what is wrong goes to `findings`.

    Args:
        node: the content of the file; `defaults` are values for every target.
        file: the file, whose folder paths are relative to.
        given: absolute paths from the command line, which replace `paths`.
        findings: errors are added here, once for a value of `defaults` that several targets use.

    """
    targets: dict[str, Target] = {}
    problems: list[Finding] = []
    defaults = node.get("defaults")
    for name, own in node["targets"].items():
        values = merge_mappings(defaults, own) if defaults and own else own or defaults
        targets[name] = _build_target(name, values or MappingNode(), file, given, problems)
    every = tuple(dict.fromkeys(path for target in targets.values() for path in target.rules))
    if every:
        targets = {n: replace(target, without_resources=every) for n, target in targets.items()}
    problems.extend(_check_names(node["targets"]))
    problems.extend(_check_needs(targets))
    findings.extend(dict.fromkeys(problems))
    return targets


def _build_target(
    name: str, values: Any, file: Path, given: tuple[Path, ...], findings: list[Finding]
) -> Target:
    own = _resolve_paths(values, "paths", file, [] if given else findings) or (file.parent,)
    findings.extend(check_patterns(values, "ignore"))
    findings.extend(_check_projects(values))
    return Target(
        name,
        host=values["host"].rstrip("/") if "host" in values else None,
        organization=values.get("organization"),
        projects=values.get("projects") or {},
        api_key_env=values.get("api_key_env"),
        paths=given or own,
        own_paths=own,
        overlays=_resolve_paths(values, "overlays", file, findings),
        rules=_resolve_paths(values, "rules", file, findings),
        guardrails=_build_guardrails(values.get("guardrails")),
        unmanaged=values.get("unmanaged", "report"),
        ignore=tuple(values.get("ignore", ())),
        confirms_by_name=values.get("confirm") == "name",
        rate_limit=RequestLimits(**values.get("rate_limit", {})),
        notify=tuple(values.get("notify", ())),
        needs=tuple(values.get("needs", ())),
        holds=read_holds(values, findings, lambda hold: check_address_kind(hold, "address")),
        written=values,
    )


def _check_projects(values: Any) -> Iterator[Finding]:
    """Yield an error for each live project that has two names in the documents."""
    names: dict[str, str] = {}
    projects: Any = values.get("projects") or {}
    for name, live_name in projects.items():
        other = names.setdefault(live_name, name)
        if other != name:
            message = f'"{other}" and "{name}" are both the project "{live_name}"'
            why = "two documents could declare one object"
            place, width = projects.value_source(name), len(live_name)
            fix = "give each its own project"
            yield make_error("R005", message, place, why=why, fix=fix, width=width)


def _check_names(node: MappingNode) -> Iterator[Finding]:
    """Yield an error for each name that another one equals apart from the case of letters."""
    names: dict[str, str] = {}
    for name in node:
        other = names.setdefault(name.casefold(), name)
        if other != name:
            message = f'the targets "{other}" and "{name}" differ only in the case of letters'
            why = "their reports and git refs would be the same files on macOS and Windows"
            place, fix = node.key_source(name), "rename one of them"
            yield make_error("R005", message, place, why=why, fix=fix, width=len(name))


def _check_needs(targets: Mapping[str, Target]) -> Iterator[Finding]:
    """Yield an error for each unknown name in `needs`, and for each cycle."""
    waits: dict[str, tuple[str, ...]] = {}
    for target in targets.values():
        waits[target.name] = tuple(name for name in target.needs if name in targets)
        for index, name in enumerate(target.needs):
            if name not in targets:
                match = closest_match(name, targets)
                fix = f'did you mean "{match}"?' if match else f"one of {list_names(targets)}"
                place, width = _locate_need(target, index), len(name)
                yield make_error("R005", f'no target "{name}"', place, fix=fix, width=width)
    try:
        TopologicalSorter(waits).prepare()
    except CycleError as error:
        cycle: list[str] = error.args[1][::-1]  # each needs the next
        target = targets[cycle[0]]
        yield make_error(
            "R005",
            f"targets need each other in a cycle: {' -> '.join(cycle)}",
            _locate_need(target, target.needs.index(cycle[1])),
            why="none of them could start",
            fix="remove one of these names; `needs: []` replaces the value of `defaults`",
            width=len(cycle[1]),
        )


def _locate_need(target: Target, index: int) -> Source:
    """Return where a name in `needs` is written."""
    assert target.written is not None  # noqa: S101  a target with `needs` is from a file
    place: Source = target.written["needs"].value_source(index)
    return place


def _build_guardrails(node: MappingNode | None) -> Guardrails:
    if node is None:
        return Guardrails()
    return Guardrails(**node, written=node)


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
    places = {"paths": target.own_paths, "overlays": target.overlays, "rules": target.rules}
    for key, paths in places.items():
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
