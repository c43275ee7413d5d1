"""Read the user of a key, the organizations that it can see, and their projects."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from reconciler.kinds import KINDS
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Payload
from reconciler.posthog import response_shapes
from reconciler.posthog.client import Reader

_ME: Final = "/api/users/@me/"


@dataclass(frozen=True, slots=True)
class Directory:
    """Hold the organizations that this key can see, and their projects, from one listing."""

    organizations: Mapping[
        str, tuple[Payload, ...]
    ]  # slug -> payloads; slugs are unique in practice
    projects: Mapping[str, Mapping[str, tuple[str, ...]]]  # slug -> project name -> ids

    def project_names(self) -> dict[str, tuple[str, ...]]:
        """Return project names by organization slug, for selectors."""
        return {slug: tuple(sorted(names)) for slug, names in self.projects.items()}


def read_directory(reader: Reader) -> Directory:
    """List the organizations; their payloads also name the projects (contract 6.1)."""
    organizations: dict[str, list[Payload]] = defaultdict(list)
    projects: dict[str, dict[str, tuple[str, ...]]] = {}
    for payload in list_organizations(reader):
        slug = str(payload["slug"])
        organizations[slug].append(payload)
        projects[slug] = _embedded_projects(reader, payload)
    return Directory({slug: tuple(payloads) for slug, payloads in organizations.items()}, projects)


def list_organizations(reader: Reader) -> tuple[Payload, ...]:
    """Return the organizations that this key can see, each of the expected shape."""
    kind = KINDS["Organization"]
    organizations = reader.list(kind.collection).items
    for payload in organizations:
        response_shapes.require_shape(kind.collection, payload, response_shapes.ORGANIZATION)
        response_shapes.require_object(kind, kind.collection, payload)
    return organizations


def read_key_user(reader: Reader) -> Payload:
    """Read the user whose key this is."""
    return dict(response_shapes.require_shape(_ME, reader.get(_ME), response_shapes.ME))


def _embedded_projects(reader: Reader, organization: Payload) -> dict[str, tuple[str, ...]]:
    embedded = organization.get("teams")
    if embedded is None:
        embedded = organization.get("projects")
    if embedded is None:  # a server that does not embed them
        path = KINDS["Project"].path(
            KINDS["Project"].collection, {"organization": str(organization["id"])}
        )
        embedded = reader.list(path).items
        response_shapes.require_shape(
            path, list(embedded), response_shapes.Each(response_shapes.PROJECT)
        )
    names: dict[str, tuple[str, ...]] = {}
    for project in embedded:
        names[str(project["name"])] = (*names.get(str(project["name"]), ()), str(project["id"]))
    return names
