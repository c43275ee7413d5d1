"""Hold the declared resources of a tree of files, and the templates that expand to more."""

from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from typing import Final

from reconciler.config.documents.templates import Template, make_duplicate_finding
from reconciler.config.lint.codes import PARDONED
from reconciler.config.lint.silences import Silences
from reconciler.config.load_cache import LoadCache
from reconciler.errors import ConfigError, NothingDeclaredError
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Declared, Finding, Severity

_NOT_RESOURCES: Final = frozenset({"R003", "R010"})  # documents without a kind, or no file at all


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the files declare, before project selectors are expanded."""

    declared: Declared
    templates: tuple[Template, ...] = ()
    silences: Silences = field(default_factory=Silences, compare=False, repr=False)
    writes_organization: bool = False  # some document does, although the target names it
    blobs: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)  # by file
    cache: LoadCache = field(default_factory=LoadCache, compare=False, repr=False)

    @property
    def organizations(self) -> tuple[str, ...]:
        """Return the slugs of every organization that the files name, sorted."""
        named = {address.organization for address in self.declared.resources}
        return tuple(sorted(named | {template.organization for template in self.templates}))


def expand_templates(loaded: Loaded, live_projects: Mapping[str, Iterable[str]] = {}) -> Declared:
    """Expand templates for every project that matches, declared or live.

    Args:
        loaded: what `load_files` returned.
        live_projects: organization -> names of its live projects, as far as they are known.

    """
    if not loaded.templates:
        return loaded.declared
    resources = dict(loaded.declared.resources)
    findings: list[Finding] = []
    projects = {
        organization: list_project_names(organization, loaded.declared, live_projects)
        for organization in {template.organization for template in loaded.templates}
    }
    for template in loaded.templates:
        for project in projects[template.organization]:
            if not template.matches(project):
                continue
            resource = template.instance(project)
            other = resources.setdefault(resource.address, resource)
            if other is not resource:
                fix = f'add "!{template.name_project(project)}" to `projects`'
                findings.append(make_duplicate_finding(resource, other, fix))
    if findings:
        raise make_config_error(findings)
    return replace(loaded.declared, resources=resources)


def expand_base(
    base: Loaded | None, live_projects: Mapping[str, Iterable[str]]
) -> tuple[Declared | None, tuple[Finding, ...]]:
    """Expand the base's selectors for today's projects; None if resources collide there."""
    if base is None:
        return None, ()
    try:
        return expand_templates(base, live_projects), ()
    except ConfigError as error:
        finding = Finding(
            "base-unreadable",
            Severity.WARNING,
            "selectors of the base collide in a current project: causes are unknown, and "
            "nothing is deleted because it left the files",
            why=error.findings[0].message if error.findings else error.what,
            fix="name another commit with --base",
        )
        return None, (finding,)


def list_project_names(
    organization: str, declared: Declared, live: Mapping[str, Iterable[str]]
) -> list[str]:
    """Return the desired names of the projects of an organization, sorted."""
    names = set(live.get(organization, ()))
    for address, resource in declared.resources.items():
        if address.kind == "Project" and address.organization == organization:
            names.discard(resource.lifecycle.renamed_from or "")
            if resource.lifecycle.absent:
                names.discard(address.name)
            else:
                names.add(address.name)
    return sorted(names)


def make_config_error(findings: Iterable[Finding], *, has_kinds: bool = True) -> ConfigError:
    """Return one error with all findings, sorted by place.

    `has_kinds`: some document says what it is; else these may be files of something else.
    """
    ordered = sorted(findings, key=lambda finding: finding.sort_key)
    errors = sum(finding.severity is Severity.ERROR for finding in ordered)
    noun = "error" if errors == 1 else "errors"
    is_readable = all(finding.code in _NOT_RESOURCES for finding in ordered)
    error = ConfigError if has_kinds or not is_readable else NothingDeclaredError
    return error(f"{errors:,} {noun} in the files", findings=ordered)


def soften_past_error(finding: Finding) -> Finding:
    """Turn a pardoned error of a past commit into a warning: only a new commit can correct it."""
    if finding.code not in PARDONED:
        return finding
    return replace(finding, severity=Severity.WARNING)
