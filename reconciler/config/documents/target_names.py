"""Read a document as one target means it: its organization, and the live names of its projects.

The same document can serve several targets. A document names a project as all targets do; the
target says what that project is called in its PostHog.
"""

from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from typing import Any, Final

from reconciler.config.documents.build import ParsedDocument
from reconciler.config.documents.overlays import insert_field, make_empty_mapping, replace_field
from reconciler.files.text import make_error
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Address, Finding, Kind, MappingNode, Scope, SequenceNode, Source

_PROJECT: Final = "Project"
_PROJECT_KEYS: Final = ("project", "name")  # in the metadata of resources in projects; of projects


@dataclass(frozen=True, slots=True)
class TargetNames:
    """What a target calls the organization and the projects that documents name.

    Attributes:
        target: the name of the target, for messages.
        organization: slug of its only organization, which documents may leave out.
        projects: name in the documents -> name in PostHog.
        place: where the organization is written.

    """

    target: str = ""
    organization: str | None = None
    projects: Mapping[str, str] = field(default_factory=dict)
    place: Source | None = field(default=None, compare=False)
    _documents: Mapping[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_live_name = {live: name for name, live in self.projects.items()}
        object.__setattr__(self, "_documents", by_live_name)

    @property
    def changes_nothing(self) -> bool:
        """Return whether every document is read as it is written."""
        return self.organization is None and not self.projects

    def find_live_name(self, name: str) -> str:
        """Return the name in PostHog of a project that documents name."""
        return self.projects.get(name, name)

    def find_document_name(self, live_name: str) -> str | None:
        """Return what documents call a live project; None if they cannot name it.

        They cannot name a live project `Web` if their `Web` is another project in this target.
        """
        name = self._documents.get(live_name, live_name)
        return None if self.projects.get(name, name) != live_name else name

    def explain_mapped_rename(self, project: Address, live_name: str) -> str:
        """Return why the new name of a live project is not for its document; else ""."""
        names = (project.name, live_name)
        is_mapped = any(self.find_document_name(name) != name for name in names)
        if project.kind != _PROJECT or not is_mapped:
            return ""
        return f"PostHog calls it {live_name} now, and its name comes from `projects` of the target"

    def build_identity(self, kind: Kind, address: Address) -> dict[str, str]:
        """Return the metadata with which a document of this target declares an address."""
        names = {"organization": address.organization, "project": address.project}
        if kind.scope is not Scope.INSTANCE:
            names[kind.key] = address.name
        key = _PROJECT_KEYS[kind.name == _PROJECT]
        if (live_name := names.get(key)) is not None:
            names[key] = self.find_document_name(live_name) or live_name
        return {name: value for name, value in names.items() if value is not None}

    def localize(self, written: ParsedDocument, findings: list[Finding]) -> ParsedDocument:
        """Return the document with the names of this target; what is wrong goes to `findings`."""
        document, place = written.document, written.source
        metadata = document.get("metadata")
        if metadata is None and written.kind.scope is Scope.INSTANCE:
            metadata = make_empty_mapping(document, place)
        if not isinstance(metadata, MappingNode):
            return written  # the schema refuses it
        findings.extend(self._check_organization(metadata))
        findings.extend(self._check_projects(written.kind.name, metadata))
        changed = self._rename_projects(written.kind.name, metadata)
        if self.organization is not None and "organization" not in metadata:
            changed = insert_field(changed, "organization", self.organization, self.place or place)
        if changed is document.get("metadata"):
            return written
        return replace(written, document=insert_field(document, "metadata", changed, place))

    def _rename_projects(self, kind: str, metadata: MappingNode) -> MappingNode:
        key = _PROJECT_KEYS[kind == _PROJECT]
        name = metadata.get(key)
        if isinstance(name, str) and name in self.projects:
            metadata = replace_field(metadata, key, self.projects[name])
        lifecycle = metadata.get("lifecycle")
        if kind == _PROJECT and isinstance(lifecycle, MappingNode):
            former = lifecycle.get("renamed_from")
            if isinstance(former, str) and former in self.projects:
                renamed = replace_field(lifecycle, "renamed_from", self.projects[former])
                metadata = replace_field(metadata, "lifecycle", renamed)
        return metadata

    def _check_organization(self, metadata: MappingNode) -> Iterator[Finding]:
        """Yield an error if a document belongs to another organization."""
        named = metadata.get("organization")
        if self.organization is None or not isinstance(named, str) or named == self.organization:
            return
        yield make_error(
            "R050",
            f"{named} is not the organization of the target {self.target}",
            metadata.value_source("organization"),
            why=f"the target changes only {self.organization}, which {self.place} names",
            fix="remove `organization` from the document: it is then that of the target",
            width=len(named),
        )

    def _check_projects(self, kind: str, metadata: MappingNode) -> Iterator[Finding]:
        """Yield an error for each project that is named as in PostHog instead of as in the files.

        Two names for one project would be two documents for one object.
        """
        if not self.projects:
            return
        key = _PROJECT_KEYS[kind == _PROJECT]
        if key in metadata:
            yield from self._check_project(metadata[key], metadata[key], metadata, key)
        selectors = metadata.get("projects")
        if isinstance(selectors, SequenceNode):
            for index, selector in enumerate(selectors):
                name = selector.removeprefix("!") if isinstance(selector, str) else selector
                yield from self._check_project(name, selector, selectors, index)

    def _check_project(self, name: Any, written: Any, node: Any, key: Any) -> Iterator[Finding]:
        """Yield an error if a name that is written at `node[key]` is the one in PostHog."""
        if not isinstance(name, str) or name in self.projects:
            return
        meant = self.find_document_name(name)
        if meant is None or meant == name:
            return
        yield make_error(
            "R051",
            f'documents call the project "{name}" by another name: "{meant}"',
            node.value_source(key),
            why=f'the target {self.target} says that "{meant}" is "{name}" in PostHog; two names '
            "for one project could declare one object twice",
            fix=f'write "{meant}"',
            width=len(written),
        )


PLAIN_NAMES: Final = TargetNames()
"""Every document is read as it is written."""
