"""Load what paths declare: discovery, documents, overlays, duplicates, references.

Errors of all files are collected and raised together; only unreadable text stops the reading of
a file, and then only of that file.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Final

from reconciler.config.documents import build
from reconciler.config.documents import overlays as documents_overlays
from reconciler.config.documents.build import Identity, ParsedDocument
from reconciler.config.documents.target_names import PLAIN_NAMES, TargetNames
from reconciler.config.documents.templates import Template, is_selected
from reconciler.config.lint import (
    confusable_names,
    cycles,
    likely_mistakes,
    rejected_values,
    rename_conflicts,
    template_checks,
    unresolved_names,
)
from reconciler.config.lint import silences as lint_silences
from reconciler.config.load_cache import LoadCache, ParsedFiles, pause_garbage_collection
from reconciler.config.loaded import Loaded, make_config_error, soften_past_error
from reconciler.files import excerpts
from reconciler.files.run_folder import find_run_folder
from reconciler.files.text import (
    RefusedError,
    compute_blob_id,
    find_secret_keys,
    make_error,
    split_lines,
)
from reconciler.files.working_tree import Read, Tree, WorkingTree, make_refusal
from reconciler.git.commit_tree import CommitTree
from reconciler.kinds import KINDS
from reconciler.lazy_dataclass import dataclass
from reconciler.model import (
    Address,
    Declared,
    Document,
    Finding,
    MappingNode,
    Resource,
    Scope,
    Severity,
)

MAX_FILES: Final = 10_000
MAX_TOTAL_BYTES: Final = 64 * 1024 * 1024
MAX_EXPLAINED: Final = 1_000
MAX_FINDINGS: Final = 10_000  # then nothing more is explained; what is wrong is wrong
_LFS: Final = b"version https://git-lfs.github.com/spec/"


def load_files(
    paths: Sequence[Path],
    *,
    overlays: Sequence[Path] = (),
    names: TargetNames = PLAIN_NAMES,
    tree: Tree | None = None,
    anchor: Path | None = None,
    like: Loaded | None = None,
    warn: bool = True,
    parsed: ParsedFiles | None = None,
) -> Loaded:
    """Read everything that `paths` declare, with `overlays` merged over it, later ones winning.

    Args:
        paths: files and folders; relative ones from the current folder.
        overlays: the same; what they declare goes over what has the same address.
        names: what the target calls the organization and the projects of documents.
        tree: where the files come from; the working tree if not given.
        anchor: folder of `reconciler.yaml`, which links may not leave where there is no git.
        like: what was loaded from another tree; files that are equal are not read again.
        warn: whether to look for likely mistakes, too.
        parsed: the files that other targets have read; those of this one are added.

    Raises ConfigError with every finding if there is any error.

    """
    source = WorkingTree(find_run_folder(), anchor) if tree is None else tree
    with pause_garbage_collection():
        earlier = like.cache if like is not None else LoadCache()
        loader = _Loader(source, tuple(overlays), names, earlier, warn, parsed or ParsedFiles())
        return loader.run(paths)


def _is_single(row: tuple[Identity, ParsedDocument]) -> bool:
    return isinstance(row[0][2], str)


@dataclass(slots=True)
class _Loader:
    """One run of `load`."""

    tree: Tree
    overlays: tuple[Path, ...]
    names: TargetNames
    earlier: LoadCache
    warn: bool
    parsed: ParsedFiles
    cache: LoadCache = field(default_factory=LoadCache)
    findings: list[Finding] = field(default_factory=list)
    blobs: dict[str, str] = field(default_factory=dict)  # git's id of the content of each file
    split: dict[str, list[str]] = field(default_factory=dict)
    by_name: dict[tuple[str, str, str], list[Identity]] = field(default_factory=dict)
    written: list[ParsedDocument] = field(default_factory=list)  # all that have an identity
    total: int = 0
    refused: int = 0
    unexplained: bool = False
    writes_organization: bool = False
    has_kinds: bool = False  # some document says what it is
    has_escapes: bool = False  # some text has an escape that no server can store
    longest: int = 0  # bytes of a file
    cut_short: bool = False  # something could not be read: what it declares is not known

    def run(self, paths: Sequence[Path]) -> Loaded:
        base: dict[Identity, ParsedDocument] = {}
        self._read_documents(paths, base)
        overlaid: dict[Identity, set[str]] = {}
        if self.overlays:
            for identity in base:
                self._remember_template(identity)
        for path in self.overlays:
            layer: dict[Identity, ParsedDocument] = {}
            self._read_documents((path,), layer)
            self._merge(base, layer, overlaid)
        resources, templates = self._build(base, overlaid)
        silences = lint_silences.collect_silences(base, self.written)
        if isinstance(self.tree, CommitTree):
            self.findings = [soften_past_error(finding) for finding in self.findings]
        findings = list(silences.drop_silenced(self.findings))
        refused = any(finding.severity is Severity.ERROR for finding in findings)
        if not refused:
            findings.extend(silences.find_unused(live=False))
        findings = [excerpts.attach_excerpt(finding, self._lines) for finding in findings]
        if refused:
            raise make_config_error(findings, has_kinds=self.has_kinds)
        findings.sort(key=lambda finding: finding.sort_key)
        declared = Declared(resources, self.tree.origin, tuple(findings))
        writes_slug = self.writes_organization
        return Loaded(declared, tuple(templates), silences, writes_slug, self.blobs, self.cache)

    def _read_documents(self, paths: Iterable[Path], into: dict[Identity, ParsedDocument]) -> None:
        """Add every document with a known kind, of every file."""
        for path in paths:
            has_files = False
            others = [overlay for overlay in self.overlays if overlay != path]
            try:
                for display, read in self.tree.walk(path, others):
                    has_files = True
                    self._read_file(display, read, into)
                if not has_files and not self.tree.may_lack_paths:
                    folder = self.tree.show_path(path)
                    raise make_refusal(folder, "no YAML file in this folder", fix="check the path")
            except RefusedError as problem:
                self.cut_short = True
                self.findings.append(problem.finding)

    def _read_file(self, display: str, read: Read, into: dict[Identity, ParsedDocument]) -> None:
        if display in self.blobs:
            return
        try:
            data = self.parsed.read_file(display, read)
        except RefusedError as problem:
            self.cut_short = True
            self.findings.append(problem.finding)
            return
        self.blobs[display] = compute_blob_id(data)
        self.total, self.longest = self.total + len(data), max(self.longest, len(data))
        self.has_escapes = self.has_escapes or rejected_values.may_be_unstorable(data)
        if data.startswith(_LFS):
            fix = "run `git lfs pull`, or keep configuration out of LFS"
            message = "a pointer of Git LFS, not the file itself"
            self.findings.append(make_refusal(display, message, fix=fix, code="R014").finding)
            return
        if len(self.blobs) > MAX_FILES or self.total > MAX_TOTAL_BYTES:
            message = f"more than {MAX_FILES:,} files, or {MAX_TOTAL_BYTES >> 20} MiB, in all"
            raise make_refusal(display, message, fix="name fewer paths", code="R009")
        self.findings.extend(find_secret_keys(data, display))
        localizes = not self.names.changes_nothing
        for document in self._documents(display, data):
            if len(self.findings) > MAX_FINDINGS:
                message = f"more than {MAX_FINDINGS:,} findings; the rest is not checked"
                raise make_refusal(display, message, fix="correct these first", code="R009")
            written = build.classify(document, self.findings)
            if written is not None:
                self.has_kinds = True
                self._add(into, self._localize(written) if localizes else written)
            elif build.has_kind(document):
                self.has_kinds = True

    def _localize(self, written: ParsedDocument) -> ParsedDocument:
        """Return a document with the names of the target, from the cache if it is there."""
        metadata = written.document.get("metadata")
        if isinstance(metadata, MappingNode) and "organization" in metadata:
            self.writes_organization = True
        document = self.earlier.find_localized(written.document, self.names)
        if document is not None:
            localized = replace(written, document=document)
        else:
            count = len(self.findings)
            localized = self.names.localize(written, self.findings)
            if len(self.findings) > count:
                return localized
        self.cache.store_localized(written.document, localized.document, self.names)
        return localized

    def _documents(self, display: str, data: bytes) -> Sequence[Document]:
        """Return the documents of a file, from the cache if the file has not changed."""
        count = len(self.findings)
        blob = self.blobs[display]
        documents = self.earlier.find_documents(display, blob)
        if documents is None:
            documents = self.parsed.read_documents(display, data, self.findings)
        if not documents and len(self.findings) == count:
            fix = "remove the file, or write a document into it"
            self.findings.append(make_refusal(display, "no document in this file", fix=fix).finding)
        if len(self.findings) > count:
            self.cut_short = True
        else:
            self.cache.store_file(display, blob, self.parsed.texts.packed.get(display), documents)
        return documents

    def _add(self, into: dict[Identity, ParsedDocument], written: ParsedDocument) -> None:
        identity = build.identify(written)
        if identity is None:
            self._is_well_formed(written)
            return
        self.written.append(written)
        other = into.setdefault(identity, written)
        if other is not written:
            self.findings.append(
                make_error(
                    "R007",
                    f"{build.format_identity(identity, written)} is declared twice",
                    written.source,
                    why=f"it is declared at {other.source} already",
                    fix="remove one of the two, or give one another name",
                )
            )
            self._is_well_formed(written)

    def _merge(
        self,
        base: dict[Identity, ParsedDocument],
        layer: Mapping[Identity, ParsedDocument],
        overlaid: dict[Identity, set[str]],
    ) -> None:
        for identity, written in sorted(layer.items(), key=_is_single):  # what is for many first
            below = base.get(identity)
            document = below.document if below else self._from_template(identity, base, overlaid)
            if document is None:
                base[identity] = written
                self._remember_template(identity)
            else:
                merged = documents_overlays.merge_documents(
                    written.kind.name, document, written.document
                )
                source = below.source if below else written.source
                base[identity] = ParsedDocument(written.kind, merged, source)
            for project in overlaid.get(identity, ()):
                self._merge_one(base, identity, written, project)

    def _merge_one(
        self,
        base: dict[Identity, ParsedDocument],
        many: Identity,
        over: ParsedDocument,
        project: str,
    ) -> None:
        """Put an overlay of many over what an earlier overlay made of it for one project."""
        identity = (many[0], many[1], project, many[3])
        written = base[identity]
        document = documents_overlays.remove_field(over.document, "metadata", "projects")
        base[identity] = replace(
            written,
            document=documents_overlays.merge_documents(
                written.kind.name, written.document, document
            ),
        )

    def _from_template(
        self,
        identity: Identity,
        base: Mapping[Identity, ParsedDocument],
        overlaid: dict[Identity, set[str]],
    ) -> MappingNode | None:
        """Return the document that a template would put into the project of an overlay."""
        kind, organization, project, name = identity
        if not isinstance(project, str) or KINDS[kind].scope is not Scope.PROJECT:
            return None
        document_name = self.names.find_document_name(project)
        for other in self.by_name.get((kind, organization, name), ()):
            if document_name is not None and is_selected(other[2], document_name):
                overlaid.setdefault(other, set()).add(project)
                return documents_overlays.remove_field(base[other].document, "metadata", "projects")
        return None

    def _remember_template(self, identity: Identity) -> None:
        kind, organization, selectors, name = identity
        if isinstance(selectors, tuple):
            self.by_name.setdefault((kind, organization, name), []).append(identity)

    def _build(
        self, base: Mapping[Identity, ParsedDocument], overlaid: Mapping[Identity, set[str]]
    ) -> tuple[dict[Address, Resource], list[Template]]:
        resources: dict[Address, Resource] = {}
        templates: list[Template] = []
        built_from: list[confusable_names.Built] = []
        for identity, written in base.items():
            built: Resource | Template | None = None
            if self.earlier.built:
                built = self.earlier.find_resource(written.document)
            if built is None and self._is_well_formed(written):
                built = build.build_resource(written, self.findings)
                if "lifecycle" in written.document["metadata"]:
                    self.findings.extend(build.check_lifecycle(written))
            if isinstance(built, Template):
                done, name_project = overlaid.get(identity, ()), self.names.find_document_name
                built = replace(built, done=frozenset(done), name_project=name_project)
                templates.append(built)
                built_from.append((built.resource, written.document, written.kind))
            elif built is not None:
                resources[built.address] = built
                built_from.append((built, written.document, written.kind))
        self.cache.built = built_from
        if self.warn:
            self._report_doubts(built_from)
        self._check_together(base, built_from, resources, templates)
        return resources, templates

    def _check_together(
        self,
        base: Mapping[Identity, ParsedDocument],
        built_from: Sequence[confusable_names.Built],
        resources: Mapping[Address, Resource],
        templates: Sequence[Template],
    ) -> None:
        """Report what is wrong with resources that are well-formed by themselves."""
        self.findings.extend(confusable_names.check_names(built_from))
        self.findings.extend(template_checks.check_templates(resources, templates))
        if self.warn and templates:
            template_resources = (template.resource for template in templates)
            self.findings.extend(
                unresolved_names.find_ids_in_templates(template_resources, resources)
            )
        self.findings.extend(cycles.find_cycles(resources))
        self.findings.extend(
            rename_conflicts.find_rename_conflicts(resources, templates, built_from)
        )
        if not self.cut_short:
            self.findings.extend(unresolved_names.find_near_misses(base.values(), built_from))
            self.findings.extend(unresolved_names.find_mapping_typos(base.values(), self.names))

    def _report_doubts(self, built_from: Sequence[confusable_names.Built]) -> None:
        """Report what PostHog would refuse, and what is legal but suspicious."""
        of_kind: defaultdict[str, list[Resource]] = defaultdict(list)
        texts, large = self.has_escapes, self.longest > rejected_values.LARGEST_FILTERS
        check, find_mistakes = rejected_values.check_resource, likely_mistakes.find_likely_mistakes
        for resource, _, kind in built_from:
            of_kind[kind.name].append(resource)
            written = resource.written
            self.findings += check(resource, written, texts=texts, large=large)
            self.findings += find_mistakes(resource, written, self._lines)
        self.findings.extend(likely_mistakes.find_impossible_quorums(of_kind))
        self.findings.extend(likely_mistakes.find_missing_labels(of_kind))

    def _is_well_formed(self, written: ParsedDocument) -> bool:
        """Check a document against its schema; explains the first thousand that are refused."""
        if build.is_well_formed(written):
            return True
        self.refused += 1
        if self.refused <= MAX_EXPLAINED and len(self.findings) < MAX_FINDINGS:
            address = build.find_address(written)
            self.findings.extend(
                replace(finding, address=address)
                for finding in build.explain_document(written, self._lines, self.names.target)
            )
        elif not self.unexplained:
            self.unexplained = True
            message = "too many documents are refused; the rest is not explained"
            self.findings.append(make_error("R009", message, written.source))
        return False

    def _lines(self, file: str) -> list[str] | None:
        """Return the lines of a file that was read, as positions count them."""
        if file not in self.split:
            if file not in self.blobs:
                return None
            text = self.parsed.texts[file].decode("utf-8-sig", "replace")
            self.split[file] = split_lines(text)
        return self.split[file]
