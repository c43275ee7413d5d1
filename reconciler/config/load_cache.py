"""Cache what a load read of each file, for a load of nearly the same files.

Most files of the base equal those of the working tree: equal bytes are parsed, checked and built
once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from reconciler.config.lint.confusable_names import Built
from reconciler.model import Document, MappingNode, Resource


@dataclass(slots=True)
class LoadCache:
    """Texts, documents and resources of one load; large, so clear it soon."""

    texts: dict[str, bytes] = field(default_factory=dict)  # by file, of those without a finding
    _documents: dict[str, Sequence[Document]] = field(default_factory=dict)
    built: Sequence[Built] = ()  # everything that was built
    _by_node: dict[int, Built] = field(default_factory=dict)

    def store_file(self, file: str, data: bytes, documents: Sequence[Document]) -> None:
        """Store the documents of a file without a finding."""
        self.texts[file], self._documents[file] = data, documents

    def find_documents(self, file: str, data: bytes) -> Sequence[Document] | None:
        """Return the stored documents of a file if its bytes are the same."""
        return self._documents[file] if self.texts.get(file) == data else None

    def find_resource(self, node: MappingNode) -> Resource | None:
        """Return the resource that was built from a stored document; None if it is not known."""
        if self.built and not self._by_node:
            plain = (built for built in self.built if "projects" not in built[1]["metadata"])
            self._by_node = {id(built[1]): built for built in plain}  # `built` keeps them alive
        entry = self._by_node.get(id(node))
        return entry[0] if entry is not None else None

    def clear(self) -> None:
        """Remove everything, once nothing loads the same files again."""
        self.built = ()
        for stored in (self.texts, self._documents, self._by_node):
            stored.clear()
