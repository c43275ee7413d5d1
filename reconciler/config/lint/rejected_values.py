"""Find values that PostHog refuses whatever is live, each at its place in the files."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from reconciler.config.lint import time_zones
from reconciler.kinds import KINDS
from reconciler.lazy_pattern import compile_later
from reconciler.model import Finding, Path, RejectedValue, Resource, Severity, Spec, get_value
from reconciler.normal_form import filter_checks
from reconciler.suggest import closest_match

MAX_FINDINGS: Final = 100  # of one resource
LARGEST_FILTERS: Final = 1_000_000  # bytes
_CODES: Final = {"FeatureFlag": "R023"}
_OTHERS: Final = "R019"
_SHARES: Final = "R027"
_UNSTORABLE: Final = compile_later("[\0\ud800-\udfff]")
_ESCAPES: Final = compile_later(  # how such a character can be written in YAML
    rb"\\(?:0|x00|u0000|U00000000|[uU](?:0000)?[dD][89a-fA-F])"
)


def may_be_unstorable(data: bytes) -> bool:
    """Return whether a file holds an escape of a character that no server can store."""
    return b"\\" in data and _ESCAPES.search(data) is not None


def check_spec(kind: str, spec: Spec) -> Iterable[RejectedValue]:
    """Find what PostHog refuses of the fields of a kind, whatever is live."""
    refusals = KINDS[kind].refusals(spec)
    if kind != "Project" or (rejected := time_zones.check_time_zone(spec.get("timezone"))) is None:
        return refusals
    return (*refusals, rejected)


def check_resource(
    resource: Resource, written: Spec, *, texts: bool, large: bool
) -> Sequence[Finding]:
    """Find what PostHog would refuse of one resource, whose spec is `written` in the files.

    `texts`: look at every text as well; `large`: and at how long filters are as JSON.
    """
    kind = resource.address.kind
    rejected = check_spec(kind, written)
    if not (rejected or texts or large) or resource.lifecycle.absent:
        return ()
    code, first = _CODES.get(kind, _OTHERS), islice(rejected, MAX_FINDINGS)
    findings = [_make_finding(resource, value, code) for value in first]
    if large and kind == "FeatureFlag":
        too_large = _check_size(resource.spec)
        findings += [_make_finding(resource, value, _CODES[kind]) for value in too_large]
    if texts:
        unstorable = islice(_find_unstorable_texts(resource), MAX_FINDINGS)
        findings += [_make_finding(resource, value, _OTHERS) for value in unstorable]
    return findings


def _make_finding(resource: Resource, rejected: RejectedValue, code: str) -> Finding:
    match = (
        closest_match(str(get_value(resource.written, rejected.path, "")), rejected.near)
        if rejected.near
        else None
    )
    return Finding(
        _SHARES if rejected.topic == filter_checks.SHARES else code,
        Severity.ERROR,
        rejected.message,
        why=rejected.why or "PostHog refuses it",
        fix=f'did you mean "{match}"?' if match else rejected.fix,
        source=resource.locate(rejected.path),
        address=resource.address,
    )


def _check_size(spec: Spec) -> Iterator[RejectedValue]:
    text = json.dumps(spec.get("filters"), ensure_ascii=False, separators=(",", ":"), default=str)
    size = len(text.encode("utf-8", "replace"))
    if size > LARGEST_FILTERS:
        message = f"the filters are {size:,} bytes of JSON, more than {LARGEST_FILTERS:,}"
        yield RejectedValue(("filters",), message, "", "use a cohort, or shorter payloads")


def _find_unstorable_texts(resource: Resource) -> Iterator[RejectedValue]:
    for part in resource.address.parts:
        yield from _find_unstorable(part, ())
    yield from _find_unstorable(resource.written, ())


def _find_unstorable(value: Any, path: Path) -> Iterator[RejectedValue]:
    """Find texts, also names of mappings, that neither JSON nor PostgreSQL can hold."""
    if isinstance(value, str):
        if (character := _UNSTORABLE.search(value)) is not None:
            code = f"U+{ord(character[0]):04X}"
            fix = "remove the character"
            yield RejectedValue(
                path, f"the text has the character {code}, which no server can store", "", fix
            )
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _find_unstorable(name, (*path, name))
            yield from _find_unstorable(item, (*path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _find_unstorable(item, (*path, index))
