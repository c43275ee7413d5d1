"""Cache what a load read of each file, for a load of nearly the same files.

Most files of the base equal those of the working tree: equal bytes are parsed, checked and built
once.
"""

import gc
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import field
from threading import Lock
from typing import Final

from reconciler.config.documents.target_names import PLAIN_NAMES, TargetNames
from reconciler.config.lint.confusable_names import Built
from reconciler.config.yaml import reader
from reconciler.files.packed_texts import PackedText, PackedTexts, pack_text
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Document, Finding, MappingNode, Resource

_COMMITS: Final = 4  # whose files are kept for further targets


@dataclass(slots=True)
class ParsedFiles:
    """The files that several targets share: each is read and parsed once. Thread-safe."""

    texts: PackedTexts = field(default_factory=PackedTexts)
    _parsed: dict[str, tuple[Sequence[Document], Sequence[Finding]]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)  # parsing side by side would not be faster
    _commits: "OrderedDict[str, ParsedFiles]" = field(default_factory=OrderedDict)

    def at_commit(self, commit: str) -> "ParsedFiles":
        """Return the files of a commit; those above are of the working tree."""
        with self._lock:
            files = self._commits.setdefault(commit, ParsedFiles())
            self._commits.move_to_end(commit)
            if len(self._commits) > _COMMITS:
                self._commits.popitem(last=False)
            return files

    def read_file(self, file: str, read: Callable[[], bytes]) -> bytes:
        """Return the content of a file; `read` may raise RefusedError."""
        with self._lock:
            if file in self.texts:
                return self.texts[file]
            data = read()
            self.texts.packed[file] = pack_text(data)
            return data

    def read_documents(self, file: str, data: bytes, findings: list[Finding]) -> Sequence[Document]:
        """Return the documents of a file; what is wrong goes to `findings`."""
        with self._lock:
            if file not in self._parsed:
                problems: list[Finding] = []
                kept = self.texts.packed.get(file)
                self._parsed[file] = (reader.read_documents(data, file, problems, kept), problems)
            documents, file_problems = self._parsed[file]
        findings.extend(file_problems)
        return documents


@dataclass(slots=True)
class LoadCache:
    """Texts, documents and resources of one load; large, so clear it soon."""

    texts: PackedTexts = field(default_factory=PackedTexts)  # by git's id of the content
    _documents: dict[tuple[str, str], Sequence[Document]] = field(
        default_factory=dict
    )  # by file and content, of files without a finding
    built: Sequence[Built] = ()  # everything that was built
    _by_node: dict[int, Built] = field(default_factory=dict)
    _names: TargetNames = PLAIN_NAMES  # which the documents of `_localized` have
    _localized: dict[int, tuple[MappingNode, MappingNode]] = field(default_factory=dict)

    def store_file(
        self, file: str, blob: str, text: PackedText | None, documents: Sequence[Document]
    ) -> None:
        """Store the documents of a file without a finding."""
        self._documents[file, blob] = documents
        if text is not None:
            self.texts.packed[blob] = text

    def find_documents(self, file: str, blob: str) -> Sequence[Document] | None:
        """Return the stored documents of a file if its content is the same."""
        return self._documents.get((file, blob))

    def store_localized(
        self, written: MappingNode, localized: MappingNode, names: TargetNames
    ) -> None:
        """Store a document with the names of the target; all are stored with the same names."""
        self._names = names
        self._localized[id(written)] = (written, localized)  # which keeps the id in use

    def find_localized(self, written: MappingNode, names: TargetNames) -> MappingNode | None:
        """Return a document with these names if it is known."""
        if id(written) not in self._localized or self._names != names:
            return None
        return self._localized[id(written)][1]

    def find_resource(self, node: MappingNode) -> Resource | None:
        """Return the resource that was built from a stored document; None if it is not known."""
        if self.built and not self._by_node:
            plain = (built for built in self.built if "projects" not in built[1]["metadata"])
            self._by_node = {id(built[1]): built for built in plain}  # `built` keeps them alive
        entry = self._by_node.get(id(node))
        return entry[0] if entry is not None else None

    def clear(self) -> None:
        """Remove everything, once nothing loads the same files again."""
        for resource, _, _ in self.built:
            resource.origin.release()
        self.built = ()
        for stored in (self.texts.packed, self._documents, self._by_node, self._localized):
            stored.clear()


@contextmanager
def pause_garbage_collection() -> Iterator[None]:
    """Pause garbage collection, which doubles the time to build many thousands of containers.

    The containers have no cycles and live as long as the command, so they are never collected.
    Only the main thread freezes them: a freeze would also keep what other threads no longer need.
    """
    was_enabled = gc.isenabled()
    lives_on = threading.current_thread() is threading.main_thread()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled and lives_on:
            gc.freeze()
        if was_enabled:
            gc.enable()
