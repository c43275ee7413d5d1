"""Findings in four sentences (what, why, state, fix), as the terminal and plain text show them."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from reconciler.model import Finding, Severity
from reconciler.render.shared.sanitize import clip, count_columns, escape, mask_keys

Paint = Callable[[str, str], str]  # escaped text and the name of a style -> the text in it

_STYLES: Final = {Severity.ERROR: "alarm", Severity.WARNING: "loud", Severity.NOTICE: "blue"}
_LONGEST: Final = 500  # characters of a cause: servers answer with whole pages
_EXCERPT: Final = 160  # characters of a line of a file


def _unpainted(text: str, style: str) -> str:  # noqa: ARG001  the signature of a Paint
    return text


def format_finding(
    finding: Finding, *, state: str = "nothing was written", paint: Paint = _unpainted
) -> Iterator[str]:
    """Yield one finding: place and message, the line of the file, why, state, fix."""
    place = f"{escape(str(finding.source))}: " if finding.source else ""
    label = paint(f"{finding.severity}:", _STYLES[finding.severity])
    yield f"{label} {paint(place, 'bold')}{escape(finding.message)}"
    yield from format_excerpt(finding, paint=paint)
    shown_state = state if finding.severity is Severity.ERROR else ""
    yield from format_sentences(finding.why, shown_state, finding.fix, paint=paint)


def format_sentences(why: str, state: str, fix: str, *, paint: Paint = _unpainted) -> Iterator[str]:
    """Yield the last three of the four sentences; an empty one is left out."""
    for label, text in (("why:  ", why), ("state:", state), ("fix:  ", fix)):
        if text:
            yield f"  {paint(label, 'dim')} {clip(escape(text), _LONGEST)}"


def format_excerpt(finding: Finding, *, paint: Paint = _unpainted) -> Iterator[str]:
    """Yield the line of the file, and carets below the place; nothing without an excerpt."""
    place = finding.source
    if place is None or not finding.excerpt:
        return
    start = max(0, place.column - 1)
    left = max(0, start + min(finding.width, _EXCERPT // 2) - _EXCERPT)
    line = mask_keys(finding.excerpt)  # before it is cut, or half a key would be left
    cut = line[left : left + _EXCERPT]
    lead = "…" if left else ""
    tail = "…" if left + _EXCERPT < len(line) else ""
    marked = cut[start - left : start - left + finding.width]
    before = len(lead) + count_columns(escape(cut[: start - left]))
    number = f"{place.line:>5}"
    yield f"{paint(f'{number} |', 'dim')} {lead}{escape(cut)}{tail}"
    caret = paint("^" * max(1, count_columns(escape(marked))), "alarm")
    yield f"{paint(' ' * len(number) + ' |', 'dim')} {' ' * before}{caret}"


def compute_fingerprints(findings: Sequence[Finding]) -> list[str]:
    """Return what identifies each finding from commit to commit: not its line, which moves."""
    seen: Counter[tuple[str, ...]] = Counter()
    digests = []
    for finding in findings:
        file = finding.source.file if finding.source else ""
        key = (finding.code, file, str(finding.address or ""), finding.message)
        seen[key] += 1
        text = "\0".join((*key, str(seen[key])))
        digests.append(hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest())
    return digests
