"""Documents for every project that matches: selectors, and what becomes of them."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from reconciler.config.checks import LIVE
from reconciler.config.draft import Draft
from reconciler.config.near import nearest
from reconciler.config.silence import Silences
from reconciler.config.text import error
from reconciler.errors import ConfigError
from reconciler.model import Address, Declared, Finding, Resource, Severity
from reconciler.source import Source

MAX_MATCHED: Final = 200_000  # pairs of templates and projects that are looked at offline


@dataclass(frozen=True, slots=True)
class Template:
    """A document with `metadata.projects`: the same resource in every project that matches."""

    kind: str
    organization: str
    name: str
    selectors: tuple[str, ...]
    resource: Resource  # its address has no project
    place: Source  # of the selectors
    places: tuple[Source, ...] = ()  # of each
    done: frozenset[str] = frozenset()  # projects for which an overlay has made it already

    def matches(self, project: str) -> bool:
        """Whether a project is selected; `*` stands for any text, `!` leaves out."""
        return project not in self.done and selected(self.selectors, project)

    def instance(self, project: str) -> Resource:
        """The resource in one project."""
        address = Address(self.kind, (self.organization, project, self.name))
        return replace(self.resource, address=address)


def selected(selectors: Sequence[str], name: str) -> bool:
    """Whether a name is among those that selectors pick."""
    return any(
        _like(name, selector) for selector in selectors if not selector.startswith("!")
    ) and not any(_like(name, selector[1:]) for selector in selectors if selector.startswith("!"))


def _like(name: str, pattern: str) -> bool:
    first, *rest = pattern.split("*")
    if not rest:
        return name == pattern
    if not name.startswith(first):
        return False
    *middle, last = rest
    at = len(first)
    for piece in middle:
        at = name.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    return len(name) - len(last) >= at and name.endswith(last)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the files say, before project selectors meet the names of projects."""

    declared: Declared
    templates: tuple[Template, ...] = ()
    silences: Silences = field(default_factory=Silences, compare=False, repr=False)
    blobs: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)  # by file
    draft: Draft = field(default_factory=Draft, compare=False, repr=False)

    @property
    def organizations(self) -> tuple[str, ...]:
        """Slugs of every organization that the files name, sorted."""
        named = {address.organization for address in self.declared.resources}
        return tuple(sorted(named | {template.organization for template in self.templates}))


def expand(loaded: Loaded, live_projects: Mapping[str, Iterable[str]] = {}) -> Declared:
    """Put templates into every project that matches: the declared ones, and the live ones.

    Args:
        loaded: what `load` returned.
        live_projects: organization -> names of its live projects, as far as they are known.

    """
    if not loaded.templates:
        return loaded.declared
    resources = dict(loaded.declared.resources)
    findings: list[Finding] = []
    projects = {
        organization: project_names(organization, loaded.declared, live_projects)
        for organization in {template.organization for template in loaded.templates}
    }
    for template in loaded.templates:
        for project in projects[template.organization]:
            if not template.matches(project):
                continue
            resource = template.instance(project)
            other = resources.setdefault(resource.address, resource)
            if other is not resource:
                findings.append(duplicate(resource, other, f'add "!{project}" to `projects`'))
    if findings:
        raise config_error(findings)
    return replace(loaded.declared, resources=resources)


def expand_base(
    base: Loaded | None, live_projects: Mapping[str, Iterable[str]]
) -> tuple[Declared | None, tuple[Finding, ...]]:
    """The base with its selectors put into the projects of now; none where they collide there."""
    if base is None:
        return None, ()
    try:
        return expand(base, live_projects), ()
    except ConfigError as error:
        finding = Finding(
            "base-unreadable",
            Severity.WARNING,
            "the selectors at the base collide in a project of now: causes are unknown, and "
            "nothing is deleted because it left the files",
            why=error.findings[0].message if error.findings else error.what,
            fix="name another commit with --base",
        )
        return None, (finding,)


def project_names(
    organization: str, declared: Declared, live: Mapping[str, Iterable[str]]
) -> list[str]:
    """Names of the projects of an organization, as they are to be; sorted."""
    names = set(live.get(organization, ()))
    for address, resource in declared.resources.items():
        if address.kind == "Project" and address.organization == organization:
            names.discard(resource.lifecycle.renamed_from or "")
            if resource.lifecycle.absent:
                names.discard(address.name)
            else:
                names.add(address.name)
    return sorted(names)


def duplicate(resource: Resource, other: Resource, fix: str) -> Finding:
    """Say that two documents declare the same resource."""
    return error(
        "R007",
        f"{resource.address} is declared twice",
        resource.source or Source("", 1),
        why=f"it is declared at {other.source} already",
        fix=fix,
    )


def config_error(findings: Iterable[Finding]) -> ConfigError:
    """One error that carries all findings, sorted by place."""
    ordered = sorted(findings, key=lambda finding: finding.sort_key)
    errors = sum(finding.severity is Severity.ERROR for finding in ordered)
    noun = "error" if errors == 1 else "errors"
    return ConfigError(f"{errors:,} {noun} in the files", findings=ordered)


def findings(
    resources: Mapping[Address, Resource], templates: Sequence[Template]
) -> Iterator[Finding]:
    """What can be said about templates before the live projects are known."""
    if not templates:
        return
    projects: dict[str, dict[str, None]] = {}  # names, in the order of the files
    for address in resources:
        if address.kind == "Project":
            projects.setdefault(address.organization, {})[address.name] = None
    named: dict[tuple[str, str, str], list[Template]] = {}
    written = sum(len(template.selectors) for template in templates)
    for template in templates:
        named.setdefault((template.kind, template.organization, template.name), []).append(template)
        names = projects.get(template.organization, ())
        yield from _selectors(template, names if written * len(names) < MAX_MATCHED else ())
    for address, resource in resources.items():
        for template in named.get((address.kind, address.organization, address.name), ()):
            if address.project is not None and template.matches(address.project):
                yield duplicate(resource, template.resource, f'add "!{address.project}" there')
    for (_, organization, _), same in named.items():
        if len(same) > 1:
            yield from _overlaps(same, projects.get(organization, ()))


def _overlaps(same: Sequence[Template], projects: Collection[str]) -> Iterator[Finding]:
    """Declared projects in which two templates declare the same; `expand` sees the rest."""
    if len(same) * len(projects) > MAX_MATCHED:
        return
    for project in projects:
        matching = [template for template in same if template.matches(project)]
        for template in matching[1:]:
            fix = f'add "!{project}" to one of them'
            yield duplicate(template.instance(project), matching[0].resource, fix)


def _selectors(template: Template, names: Collection[str]) -> Iterator[Finding]:
    place, selectors = template.place, template.selectors
    left_out = {selector[1:] for selector in selectors if selector.startswith("!")}
    if all(selector.startswith("!") for selector in selectors):
        message = "`projects` leaves out, but picks nothing"
        yield error("R013", message, place, fix='put "*" first')
    elif "*" in left_out or left_out.issuperset(one for one in selectors if one[:1] != "!"):
        message = "`projects` leaves out everything that it picks"
        yield error("R013", message, place, fix="remove what begins with `!`, or pick more")
    elif names:
        yield from unmatched(template, names, "R013", "of the files")


def unmatched(
    template: Template, names: Collection[str], code: str, where: str
) -> Iterator[Finding]:
    """A warning for each selector, or for all together, that matches no project of `names`.

    A `!` that matches nothing is the dangerous one: it was to keep something out.
    """
    each = zip(template.selectors, template.places, strict=True)
    idle = [(text, place) for text, place in each if not _any_like(text.removeprefix("!"), names)]
    for text, place in idle:
        meant = None if "*" in text else nearest(text.removeprefix("!"), names)
        sign = "!" if text.startswith("!") else ""
        yield Finding(
            code,
            Severity.WARNING,
            f'"{text}" matches no project {where}',
            why="" if code in LIVE else "a project that is in no file may match",
            fix=f'did you mean "{sign}{meant}"?' if meant else "",
            source=place,
            width=len(text),
        )
    if not idle and not any(selected(template.selectors, name) for name in names):
        message = f"`projects` matches no project {where}"
        yield Finding(code, Severity.WARNING, message, source=template.place)


def _any_like(pattern: str, names: Collection[str]) -> bool:
    return pattern in names or ("*" in pattern and any(_like(name, pattern) for name in names))
