"""Find what files outside a run declare: a document that moved there was not removed."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import field
from pathlib import Path
from typing import Final

from reconciler.config.documents import build
from reconciler.config.documents.target_names import PLAIN_NAMES, TargetNames
from reconciler.config.documents.templates import is_selected
from reconciler.config.yaml import reader
from reconciler.files.text import RefusedError
from reconciler.files.working_tree import Entry, Read, WorkingTree
from reconciler.kinds import fold_name
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Address, Finding

_KIND: Final = b"kind"  # a file without it has no document


@dataclass(frozen=True, slots=True)
class OtherDeclarations:
    """The addresses that other files declare. Unreadable files declare nothing."""

    plain: Collection[build.Identity] = ()
    selectors: Mapping[tuple[str, str, str], Collection[tuple[str, ...]]] = field(
        default_factory=dict
    )
    names: TargetNames = PLAIN_NAMES

    def __contains__(self, address: object) -> bool:
        if not isinstance(address, Address):
            return False
        folded = fold_name(address)
        project = folded.project or ""
        if (folded.kind, folded.organization, project, folded.name) in self.plain:
            return True
        selector_lists = self.selectors.get((folded.kind, folded.organization, folded.name), ())
        name = self.names.find_document_name(project)
        return name is not None and any(is_selected(each, name) for each in selector_lists)


def read_other_files(
    paths: Sequence[Path], tree: WorkingTree, known: Collection[str], names: TargetNames
) -> OtherDeclarations:
    """Read every document below `paths`, except in files of `known`; check nothing."""
    plain: set[build.Identity] = set()
    selectors: dict[tuple[str, str, str], list[tuple[str, ...]]] = {}
    for display, read in _walk_files(paths, tree):
        for identity in _read_identities(display, read, names) if display not in known else ():
            kind, organization, project, name = identity
            if isinstance(project, tuple):
                selectors.setdefault((kind, organization, name), []).append(project)
            else:
                plain.add(identity)
    return OtherDeclarations(frozenset(plain), selectors, names)


def _walk_files(paths: Sequence[Path], tree: WorkingTree) -> Iterator[Entry]:
    """Yield every file that can be read."""
    for path in paths:
        with suppress(RefusedError):
            yield from tree.walk(path)


def _read_identities(display: str, read: Read, names: TargetNames) -> Iterator[build.Identity]:
    """Yield the identity of each document of a file that has one."""
    ignored: list[Finding] = []
    data = b""
    with suppress(RefusedError):
        data = read()
    for document in reader.read_documents(data, display, ignored) if _KIND in data else ():
        written = build.classify(document, ignored)
        if written is not None:
            written = names.localize(written, ignored)
        identity = build.identify(written) if written is not None else None
        if identity is not None:
            yield identity
