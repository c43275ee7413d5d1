"""Build a resource or a template from a document: kind, schema, address, normal form."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from reconciler.config.documents.templates import Template
from reconciler.config.schema import validator
from reconciler.config.schema.errors import explain_errors, format_value
from reconciler.files.text import make_error
from reconciler.files.working_tree import SETTINGS
from reconciler.kinds import KINDS
from reconciler.lazy_dataclass import dataclass
from reconciler.model import (
    Address,
    Document,
    Finding,
    Kind,
    Lifecycle,
    MappingNode,
    Resource,
    Scope,
    Source,
    Spec,
    WrittenMapping,
    locate_value,
)
from reconciler.suggest import closest_match

Lines = Callable[[str], Sequence[str] | None]

NO_LIFECYCLE: Final = Lifecycle()
_INSTANCE: Final = Scope.INSTANCE  # a member of an enum takes ten times as long to look up
_PROJECT: Final = Scope.PROJECT


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """A document whose kind is known; nothing else about it is checked yet."""

    kind: Kind
    document: MappingNode
    source: Source


Identity = tuple[str, str, str | tuple[str, ...], str]
"""kind, organization, project or selectors, name; folded where the server folds case."""


def classify(document: Document, findings: list[Finding]) -> ParsedDocument | None:
    """Find the kind of a document; a document without a known kind becomes a finding."""
    node = document.value
    if not isinstance(node, MappingNode):
        message = "a document has to be a mapping with `kind`, `metadata` and `spec`"
        findings.append(make_error("R005", message, document.source))
        return None
    name = node.get("kind")
    if isinstance(name, str) and (kind := KINDS.get(name)) is not None:
        return ParsedDocument(kind, node, document.source)
    findings.append(_explain_missing_kind(document, node))
    return None


def has_kind(document: Document) -> bool:
    """Return whether a document says what it is, rightly or wrongly."""
    return isinstance(document.value, MappingNode) and "kind" in document.value


def _explain_missing_kind(document: Document, node: MappingNode) -> Finding:
    """Return why a mapping is not a resource, and what was probably meant."""
    kinds = f"one of {', '.join(KINDS)}"
    if "kind" not in node:
        message, source = "the document has no `kind`", document.source
        if "targets" in node:
            fix = f"settings are read from a file {SETTINGS} above, and from no other"
            return make_error("R003", message, source, why="it looks like settings", fix=fix)
        match = closest_match("kind", node)
        why = f'there is a field "{match}"' if match else ""
        return make_error("R003", message, source, why=why, fix=f"add `kind:` with {kinds}")
    name, source = node["kind"], node.value_source("kind")
    if not isinstance(name, str):
        message = (
            "`kind` has no value" if name is None else f"`kind` cannot be {format_value(name)}"
        )
        return make_error("R003", message, source, fix=f"write {kinds}")
    match = closest_match(name, KINDS)
    fix = f'did you mean "{match}"?' if match else kinds
    return make_error("R003", f"unknown kind {format_value(name)}", source, fix=fix)


def identify(written: ParsedDocument) -> Identity | None:
    """Return which resource a document declares; None if its metadata does not say so."""
    document, kind = written.document, written.kind
    metadata = document.get("metadata")
    if not isinstance(metadata, dict):
        return None
    organization, name = metadata.get("organization"), metadata.get(kind.key)
    if not isinstance(organization, str) or not isinstance(name, str):
        return None
    project: Any = ""
    if kind.scope is _PROJECT:
        project = metadata.get("project")
        if project is None and isinstance(metadata.get("projects"), list):
            project = tuple(str(selector) for selector in metadata["projects"])
        if not isinstance(project, (str, tuple)):
            return None
    return kind.name, organization, project, name.casefold() if kind.folds_case else name


def find_address(written: ParsedDocument) -> Address | None:
    """Return the address of a document, even of one with errors, if it has one."""
    identity = identify(written)
    if identity is None:
        return None
    kind, organization, project, _ = identity
    if isinstance(project, tuple):
        return None
    if written.kind.scope is _INSTANCE:
        return Address(kind, (organization,))
    name: str = written.document["metadata"][written.kind.key]
    return Address(kind, (organization, project, name) if project else (organization, name))


def format_identity(identity: Identity, written: ParsedDocument) -> str:
    """Return the name of the resource that a document declares, for people."""
    name = written.document["metadata"][written.kind.key]
    return str(find_address(written) or f"{identity[0]} {name} with these `projects`")


def is_well_formed(written: ParsedDocument) -> bool:
    """Return whether a document matches its schema and has an organization."""
    document = written.document
    return validator.accepts(written.kind.name, document) and "organization" in document.get(
        "metadata", ()
    )


def explain_document(written: ParsedDocument, lines_of: Lines, target: str) -> Iterator[Finding]:
    """Yield every error of a document that is not well-formed; `target` is for the fix."""
    name, document = written.kind.name, written.document
    metadata = document.get("metadata")
    if not validator.accepts(name, document):
        yield from explain_errors(name, document, written.source, lines_of)
    if isinstance(metadata, MappingNode) and "organization" not in metadata:
        place = document.value_source("metadata")
    elif metadata is None and written.kind.scope is _INSTANCE:
        place = written.source
    else:
        return
    fields = validator.find_schema(name, "metadata", "organization") or {}
    why, fix = str(fields["description"]), "add `organization: …`"
    if target:
        fix = f"{fix}, or set `organization` of the target {target} in {SETTINGS}"
    yield make_error("R006", "`metadata` has no `organization`", place, why=why, fix=fix)


def build_resource(written: ParsedDocument, findings: list[Finding]) -> Resource | Template | None:
    """Turn a well-formed document into a resource in its kind's normal form."""
    kind, document = written.kind, written.document
    metadata = document["metadata"]
    node = document.get("spec")
    written_spec: Spec = {} if node is None else node
    try:
        spec = kind.canonical(written_spec)
    except (ValueError, TypeError, OverflowError) as problem:
        source = written.source if node is None else document.value_source("spec")
        findings.append(make_error("R005", f"`spec` cannot be used: {problem}"[:300], source))
        return None
    organization, name = metadata["organization"], metadata[kind.key]
    parts: tuple[str, ...] = (organization, name)
    if kind.scope is _INSTANCE:
        parts = (organization,)
    elif kind.scope is _PROJECT and "project" in metadata:
        parts = (organization, metadata["project"], name)
    lifecycle = NO_LIFECYCLE
    if "lifecycle" in metadata:
        lifecycle = _build_lifecycle(metadata["lifecycle"])
    id_ = str(metadata["id"]) if "id" in metadata else None
    origin, address = WrittenMapping(written_spec), Address(kind.name, parts)
    resource = Resource(address, spec, written.source, lifecycle, id_, origin)
    if not kind.refers(written_spec):  # nor does the normal form: it adds no name
        resource.mark_unreferring()
    if "projects" in metadata:
        selectors, source = metadata["projects"], metadata.value_source("projects")
        places = tuple(selectors.value_source(index) for index in range(len(selectors)))
        return Template(kind.name, organization, name, tuple(selectors), resource, source, places)
    return resource


def check_lifecycle(written: ParsedDocument) -> Iterator[Finding]:
    """Yield an error for each path under `lifecycle.ignore` that starts with an unknown field."""
    metadata = written.document["metadata"]
    fields = validator.find_schema(written.kind.name, "spec") or {}
    fields_of_spec = fields.get("properties", {})
    for index, path in enumerate(metadata["lifecycle"].get("ignore", ())):
        name = re.split(r"[.\[]", path, maxsplit=1)[0]
        if name not in fields_of_spec:
            match = closest_match(name, fields_of_spec)
            fix = f'did you mean "{match}"?' if match else f"one of {', '.join(fields_of_spec)}"
            source = locate_value(
                written.document, ("metadata", "lifecycle", "ignore", index), written.source
            )
            yield make_error("R004", f'`spec` has no field "{name}"', source, fix=fix)


def _build_lifecycle(node: Mapping[str, Any]) -> Lifecycle:
    return Lifecycle(
        prevent_destroy=node.get("prevent_destroy"),
        ignore=tuple(node.get("ignore", ())),
        absent=node.get("state") == "absent",
        renamed_from=node.get("renamed_from"),
    )
