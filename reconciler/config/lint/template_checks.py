"""Check templates: what they match, and where two of them overlap."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from reconciler.config.documents.templates import (
    MAX_MATCHED,
    Template,
    is_selected,
    make_duplicate_finding,
    matches_pattern,
)
from reconciler.config.lint.codes import LIVE
from reconciler.files.text import make_error
from reconciler.model import Address, Finding, Resource, Severity
from reconciler.suggest import closest_match


def check_templates(
    resources: Mapping[Address, Resource], templates: Sequence[Template]
) -> Iterator[Finding]:
    """Yield the findings about templates that need no live projects."""
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
        yield from _check_selectors(template, names if written * len(names) < MAX_MATCHED else ())
    for address, resource in resources.items():
        for template in named.get((address.kind, address.organization, address.name), ()):
            if address.project is not None and template.matches(address.project):
                yield make_duplicate_finding(
                    resource,
                    template.resource,
                    f'add "!{template.name_project(address.project)}" there',
                )
    for (_, organization, _), same in named.items():
        if len(same) > 1:
            yield from _check_overlaps(same, projects.get(organization, ()))


def _check_overlaps(same: Sequence[Template], projects: Collection[str]) -> Iterator[Finding]:
    """Yield declared projects in which two templates overlap; expanding finds the others."""
    if len(same) * len(projects) > MAX_MATCHED:
        return
    for project in projects:
        matching = [template for template in same if template.matches(project)]
        for template in matching[1:]:
            fix = f'add "!{template.name_project(project)}" to one of them'
            yield make_duplicate_finding(template.instance(project), matching[0].resource, fix)


def _check_selectors(template: Template, names: Collection[str]) -> Iterator[Finding]:
    source, selectors = template.place, template.selectors
    left_out = {selector[1:] for selector in selectors if selector.startswith("!")}
    if all(selector.startswith("!") for selector in selectors):
        message = "`projects` only excludes, and includes nothing"
        yield make_error("R013", message, source, fix='put "*" first')
    elif "*" in left_out or left_out.issuperset(
        selector for selector in selectors if selector[:1] != "!"
    ):
        message = "`projects` excludes everything that it includes"
        yield make_error(
            "R013", message, source, fix="remove the items that begin with `!`, or include more"
        )
    elif names:
        yield from find_unmatched_selectors(template, names, "R013", "of the files")


def find_unmatched_selectors(
    template: Template, names: Collection[str], code: str, where: str
) -> Iterator[Finding]:
    """Yield a warning for each selector, or for all together, that matches no project.

    A `!` that matches nothing is dangerous: it does not exclude what it should.
    """
    document_names = map(template.name_project, names)
    names = dict.fromkeys(name for name in document_names if name is not None)
    pairs = zip(template.selectors, template.places, strict=True)
    idle = [
        (text, place) for text, place in pairs if not _matches_any(text.removeprefix("!"), names)
    ]
    for text, place in idle:
        match = None if "*" in text else closest_match(text.removeprefix("!"), names)
        sign = "!" if text.startswith("!") else ""
        yield Finding(
            code,
            Severity.WARNING,
            f'"{text}" matches no project {where}',
            why="" if code in LIVE else "a project that is in no file may match",
            fix=f'did you mean "{sign}{match}"?' if match else "",
            source=place,
            width=len(text),
        )
    if not idle and not any(is_selected(template.selectors, name) for name in names):
        message = f"`projects` matches no project {where}"
        yield Finding(code, Severity.WARNING, message, source=template.place)


def _matches_any(pattern: str, names: Collection[str]) -> bool:
    return pattern in names or (
        "*" in pattern and any(matches_pattern(name, pattern) for name in names)
    )
