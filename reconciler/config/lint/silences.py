"""Apply `metadata.silence`: findings that a person accepts for a reason.

A finding belongs to its document, so a silence in any document of an address covers
all of them, overlays too. Errors that make a document unusable are never silenced.
"""

from bisect import bisect_right
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import field

from reconciler.config.documents import build
from reconciler.config.documents.build import Identity, ParsedDocument
from reconciler.config.lint.codes import CHECKS, LIVE, can_be_silenced
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Finding, MappingNode, SequenceNode, Severity, Source
from reconciler.suggest import closest_match


@dataclass(frozen=True, slots=True)
class _Silence:
    """One entry: what it silences, and where it is written."""

    check: str
    place: Source


@dataclass(slots=True)
class Silences:
    """Every silence of the files, and which of them were of use."""

    by_document: Mapping[Hashable, tuple[_Silence, ...]] = field(default_factory=dict)
    starts: Mapping[str, list[tuple[int, int, Hashable]]] = field(default_factory=dict)
    used: set[Source] = field(default_factory=set)
    silenced: int = 0

    def drop_silenced(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        """Yield the findings that are not silenced."""
        for finding in findings:
            if self.by_document and self._covers(finding):
                self.silenced += 1
            else:
                yield finding

    def find_unused(self, *, live: bool) -> Iterator[Finding]:
        """Yield a warning for each silence that is invalid, or silenced nothing in this run.

        `live`: only those of the live checks, which offline runs cannot evaluate.
        """
        for entries in self.by_document.values():
            seen: set[str] = set()
            for entry in entries:
                yield from self._check_silence(entry, seen, live=live)
                seen.add(entry.check)

    def _covers(self, finding: Finding) -> bool:
        if finding.source is None or not _can_be_covered(finding):
            return False
        for entry in self.by_document.get(self._find_document(finding.source), ()):
            if entry.check == finding.code:
                self.used.add(entry.place)
                return True
        return False

    def _find_document(self, place: Source) -> Hashable:
        """Return the document at a place in a file; None outside of documents."""
        starts = self.starts.get(place.file, ())
        index = bisect_right(starts, (place.line, place.column), key=lambda start: start[:2])
        return starts[index - 1][2] if index else None

    def _check_silence(self, entry: _Silence, seen: set[str], *, live: bool) -> Iterator[Finding]:
        code = entry.check
        if live:
            if code in LIVE and entry.place not in self.used:
                yield _make_warning(entry, f"{code} has nothing to silence here", "remove it")
        elif code not in CHECKS:
            match = closest_match(code, CHECKS)
            fix = f'did you mean "{match}"?' if match else "remove it"
            yield _make_warning(entry, f"unknown check {code}", fix)
        elif not can_be_silenced(code) and entry.place not in self.used:
            why = f"{code}: {CHECKS[code]}"
            yield _make_warning(entry, f"{code} cannot be silenced", "correct the error", why)
        elif code in seen:
            yield _make_warning(entry, f"{code} is silenced twice", "remove one of the two")
        elif entry.place not in self.used and code not in LIVE:
            yield _make_warning(entry, f"{code} has nothing to silence here", "remove it")


def _can_be_covered(finding: Finding) -> bool:
    return finding.severity is not Severity.ERROR or can_be_silenced(finding.code)


def _make_warning(entry: _Silence, message: str, fix: str, why: str = "") -> Finding:
    return Finding("R025", Severity.WARNING, message, why=why, fix=fix, source=entry.place, width=1)


def collect_silences(
    documents: Mapping[Identity, ParsedDocument], written: Iterable[ParsedDocument]
) -> Silences:
    """Find every silence.

    Args:
        documents: as overlays left them.
        written: every document of each file that has an identity.

    """
    by_document: dict[Hashable, tuple[_Silence, ...]] = {}
    for identity, document in documents.items():
        if "silence" in document.document["metadata"] and (
            entries := tuple(_list_entries(document.document))
        ):
            by_document[identity] = entries
    starts: dict[str, list[tuple[int, int, Hashable]]] = {}
    for document in written if by_document else ():
        place = document.source
        start = (place.line, place.column, build.identify(document))
        starts.setdefault(place.file, []).append(start)
    return Silences(by_document, starts)


def _list_entries(document: MappingNode) -> Iterator[_Silence]:
    """Yield the entries of a document, even of one that its schema refuses."""
    written = document["metadata"]["silence"]
    if not isinstance(written, SequenceNode):
        return
    for index, entry in enumerate(written):
        if isinstance(entry, MappingNode) and isinstance(entry.get("check"), str):
            place = entry.value_source("check") if "check" in entry else None
            yield _Silence(entry["check"], place or written.value_source(index))
