"""Convert plans to the documents of schemas/plan.schema.json, and back.

Pure. The document holds everything that a renderer shows, because `show` has nothing else. What
looks like a key is masked.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Final

from reconciler import __version__
from reconciler.lazy_dataclass import dataclass
from reconciler.model import (
    ABSENT,
    Action,
    Address,
    Cause,
    Change,
    ChangeRequest,
    FieldChange,
    Finding,
    Plan,
    Released,
    Requests,
    Severity,
    Source,
    Verdict,
    Vote,
)
from reconciler.planfile import digest as planfile_digest
from reconciler.planfile import drift, gates, schedules
from reconciler.planfile.digest import format_document
from reconciler.planfile.reader import Node, build_error, redact
from reconciler.planfile.version_1 import upgrade_from_version_1

FORMAT_VERSION: Final = 2
OLDEST_VERSION: Final = 1  # that can still be read
PASSES: Final = frozenset({Verdict.NONE, Verdict.BYPASS})  # the write does not wait

_FLAG: Final = "FeatureFlag"
_DEEPEST: Final = 100  # no configuration is nested more deeply
_SIDES: Final = ("base", "live", "desired")


@dataclass(frozen=True, slots=True)
class Saved(Plan):
    """Hold a plan from a document, in which rows without a change are only counted."""

    unchanged: int = 0
    tool_version: str = ""  # of the program that made it
    digest: str = ""  # of everything in the document except its time


def summarize(plan: Plan) -> dict[str, int]:
    """Count the resources by action, gate and cause; every renderer uses these numbers."""
    actions = Counter(change.action for change in plan.changes)
    counted = plan.unchanged if isinstance(plan, Saved) else 0
    causes = Counter(
        cause
        for change in plan.writes
        for cause in {field_change.cause for field_change in change.fields}
    )
    return {
        "create": actions[Action.CREATE],
        "update": actions[Action.UPDATE],
        "delete": actions[Action.DELETE],
        "none": actions[Action.NONE] + counted,
        "gated": sum(change.gate.verdict not in PASSES for change in plan.writes),
        "drift": causes[Cause.DRIFT],
        "conflict": causes[Cause.CONFLICT],
        "unmanaged": len(plan.unmanaged),
    }


def encode_plan(plan: Plan, *, tool_version: str | None = None) -> dict[str, Any]:
    """Return the plan as a document. Rows with nothing to show are left out."""
    based = plan.base_ref is not None or plan.base_commit is not None
    basis = make_plain(plan.basis)
    if plan.basis is not None and plan.basis.undo is None:
        del basis["undo"]  # only a plan of `undo` has it
    document: dict[str, Any] = make_plain(
        {
            "format_version": FORMAT_VERSION,
            "tool_version": tool_version or getattr(plan, "tool_version", __version__),
            "created_at": plan.created_at,
            "target": {"name": plan.target, "host": plan.host},
            "base": {"ref": plan.base_ref, "commit": plan.base_commit} if based else None,
            "desired_digest": plan.desired_digest,
            "summary": summarize(plan),
            "changes": [_encode_change(change) for change in plan.changes if change.is_shown],
            "unmanaged": plan.unmanaged,
            "released": plan.released,
            "findings": plan.findings,
            "requests": plan.requests,
            "change_requests": [_encode_request(request) for request in plan.change_requests],
            **drift.encode_ignored(plan.ignored),
            **(
                {"not_applied": list(map(_encode_change, plan.not_applied))}
                if plan.not_applied
                else {}
            ),
            **drift.encode_unrelated(plan.unrelated_drift),
            **planfile_digest.encode_refusal(plan.refusal),
            "basis": basis,
        }
    )
    return planfile_digest.add_digest(document)


def dump_plan(plan: Plan, *, tool_version: str | None = None) -> str:
    """Return the document as text: ASCII, two spaces, the order of the interface."""
    return format_document(encode_plan(plan, tool_version=tool_version))


def make_plain(value: Any) -> Any:  # noqa: PLR0911  one line a type
    """Return a copy that JSON can hold, with keys of PostHog masked; absent becomes null."""
    match value:
        case str():
            return redact(value)
        case bool() | int() | None:
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case Mapping():
            return {redact(str(name)): make_plain(item) for name, item in value.items()}
        case Address():
            return redact(str(value))
        case list() | tuple():
            return [make_plain(item) for item in value]
        case _ if value is ABSENT:
            return None
        case _ if is_dataclass(value):
            return {field.name: make_plain(getattr(value, field.name)) for field in fields(value)}
        case _:
            return redact(str(value))


def _encode_change(change: Change) -> dict[str, Any]:
    source = change.source
    row: dict[str, Any] = {
        "address": change.address,
        "kind": change.address.kind,
        "action": change.action,
        "live_id": change.live_id,
        "live_fingerprint": change.live_fingerprint,
        "source": {"file": source.file, "line": source.line} if source else None,
        "fields": [
            {name: getattr(field_change, name) for name in ("path", *_SIDES, "cause")}
            | drift.encode_attribution(field_change)
            for field_change in change.fields
        ],
        "gate": change.gate,
        "depends_on": change.depends_on,
        "warnings": change.warnings,
    }
    if change.late:
        row["late"] = change.late
    if change.url is not None:
        row["url"] = change.url
    row |= schedules.encode_schedules(change.scheduled)
    row |= drift.encode_attribution(change) | drift.encode_hold(change.hold)
    nulls = {
        side: [
            number
            for number, field_change in enumerate(change.fields)
            if getattr(field_change, side) is None
        ]
        for side in _SIDES
    }
    row |= drift.encode_lists(change)
    if any(nulls.values()):  # a written null: an absent value is null in the document, too
        row["nulls"] = nulls
    return row


def encode_change(change: Change) -> dict[str, Any]:
    """Return the row of a change as a plain document."""
    row: dict[str, Any] = make_plain(_encode_change(change))
    return row


def _encode_request(request: ChangeRequest) -> dict[str, Any]:
    """Return the row of a change request, without what the server keeps to apply it."""
    hidden = {"payload", "requester_id"} | (set() if request.scheduled_at else {"scheduled_at"})
    return {
        "flag_key": request.name if request.kind == _FLAG else "",
        **{
            field.name: getattr(request, field.name)
            for field in fields(request)
            if field.name not in hidden
        },
    }


def load_plan(text: str) -> Saved:
    """Read the plan in the text of a saved document; raise ConfigError if it is not a plan.

    Raises GuardrailError if the text differs from what was written.
    """
    try:
        document = json.loads(text.removeprefix("\ufeff"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise build_error(f"it is not JSON: {error}") from error
    _check_document(document)
    if (problem := planfile_digest.find_damage(document, text)) is not None:
        raise problem
    return _read_plan(_upgrade(document))


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def decode_plan(document: Any) -> Saved:
    """Read the plan in a document; raise ConfigError if it is not a plan. Ignores the digest.

    Desired resources are not part of it. Everything that a renderer shows is restored.
    """
    _check_document(document)
    return _read_plan(_upgrade(document))


def _upgrade(document: dict[str, Any]) -> Node:
    """Return the document in the format of this program; an older one is converted."""
    is_old = document["format_version"] < FORMAT_VERSION
    return Node(upgrade_from_version_1(document) if is_old else document, "")


def _check_document(document: Any) -> None:
    """Check that the document is flat enough, and has a format that this program knows."""
    level = [document] if isinstance(document, dict | list) else []
    for _ in range(_DEEPEST):
        inside = (
            container.values() if isinstance(container, dict) else container for container in level
        )
        level = [item for items in inside for item in items if isinstance(item, dict | list)]
    if level:
        raise build_error("it is nested too deeply")
    version = Node(document, "")["format_version"].count()
    if not OLDEST_VERSION <= version <= FORMAT_VERSION:
        raise build_error(
            f"its format_version is {version}, and this program reads "
            f"{OLDEST_VERSION} to {FORMAT_VERSION}",
            "show it with the version of reconciler that wrote it, or run plan again",
        )


def _read_plan(node: Node) -> Saved:
    base, none = node["base"], node["summary"]["none"].count()
    changes = node["changes"].each(_read_change)
    for address, times in Counter(change.address for change in changes).most_common(1):
        if times > 1:
            raise build_error(f"{address} occurs twice")
    return Saved(
        changes=changes,
        target=node["target"]["name"].text(),
        host=node["target"]["host"].text(),
        created_at=planfile_digest.strip_check_number(node["created_at"].text()),
        base_ref=base.maybe(lambda node: node["ref"].maybe(Node.text)),
        base_commit=base.maybe(lambda node: node["commit"].maybe(Node.text)),
        desired_digest=node["desired_digest"].text(),
        unmanaged=node["unmanaged"].each(Node.address),
        released=node["released"].each(_read_released),
        findings=node["findings"].each(_read_finding),
        requests=Requests(*(node["requests"][change.name].count() for change in fields(Requests))),
        unchanged=max(0, none - sum(change.action is Action.NONE for change in changes)),
        tool_version=node["tool_version"].text(),
        digest=node["digest"].maybe(Node.text) or "",
        change_requests=node["change_requests"].maybe(lambda rows: rows.each(_read_request)) or (),
        ignored=drift.read_ignored(node),
        not_applied=node["not_applied"].maybe(lambda rows: rows.each(_read_change)) or (),
        unrelated_drift=node["unrelated_drift"].maybe(lambda rows: rows.each(Node.address)) or (),
        basis=node["basis"].maybe(planfile_digest.read_basis),
        refusal=node["refusal"].maybe(planfile_digest.read_refusal),
    )


def _read_change(node: Node) -> Change:
    return Change(
        address=node["address"].address(),
        action=node["action"].word(Action),
        fields=tuple(_read_fields(node["fields"], node["nulls"])),
        lists=drift.read_lists(node),
        gate=gates.read_gate(node["gate"]),
        live_id=node["live_id"].maybe(Node.text),
        live_fingerprint=node["live_fingerprint"].maybe(Node.text),
        source=node["source"].maybe(_read_source),
        depends_on=node["depends_on"].each(Node.address),
        late=node["late"].maybe(lambda late: late.each(Node.address)) or (),
        warnings=node["warnings"].each(_read_finding),
        scheduled=schedules.read_schedules(node),
        url=node["url"].maybe(Node.text),
        attribution=drift.read_attribution(node),
        hold=drift.read_hold(node),
    )


def _read_fields(rows: Node, nulls: Node) -> Iterator[FieldChange]:
    written = {
        (number, side)
        for side in _SIDES
        if nulls.value is not None and nulls[side].value is not None
        for number in nulls[side].each(Node.count)
    }
    for number, row in enumerate(rows.each(lambda row: row)):
        values = {side: row[side].value for side in _SIDES}
        for side in _SIDES:
            if values[side] is None and (number, side) not in written:
                values[side] = ABSENT
        cause, attribution = row["cause"].word(Cause), drift.read_attribution(row)
        yield FieldChange(row["path"].text(), cause=cause, attribution=attribution, **values)


def _read_request(node: Node) -> ChangeRequest:
    return ChangeRequest(
        id=node["id"].text(),
        action_key=node["action_key"].text(),
        state=node["state"].text(),
        name=node["name"].maybe(Node.text) or node["flag_key"].text(),
        kind=node["kind"].maybe(Node.text) or _FLAG,
        organization=node["organization"].text(),
        project=node["project"].text(),
        created_at=node["created_at"].text(),
        expires_at=node["expires_at"].text(),
        resource_id=node["resource_id"].maybe(Node.text),
        requester=node["requester"].maybe(Node.text),
        requester_id=None,
        votes=node["votes"].each(_read_vote),
        url=node["url"].maybe(Node.text),
        scheduled_at=node["scheduled_at"].maybe(Node.text) or "",
        validation_status=node["validation_status"].maybe(Node.text) or "",
        validation_errors=node["validation_errors"].value,
    )


def _read_vote(node: Node) -> Vote:
    return Vote(
        person=node["person"].text(),
        approved=node["approved"].flag(),
        at=node["at"].text(),
        reason=node["reason"].text(),
    )


def _read_source(node: Node) -> Source:
    place = (node[name].maybe(Node.count) or 1 for name in ("line", "column"))
    return Source(node["file"].text(), *place)


def _read_released(node: Node) -> Released:
    address, path = node["address"].address(), node["path"].text()
    return Released(address, path, node["base"].value, node["live"].value)


def read_findings(rows: Any) -> tuple[Finding, ...]:
    """Read the findings of a document; raise ConfigError."""
    return Node(rows, "findings").each(_read_finding)


def _read_finding(node: Node) -> Finding:
    return Finding(
        code=node["code"].text(),
        severity=node["severity"].word(Severity),
        message=node["message"].text(),
        why=node["why"].maybe(Node.text) or "",
        fix=node["fix"].maybe(Node.text) or "",
        source=node["source"].maybe(_read_source),
        address=node["address"].maybe(Node.address),
        excerpt=node["excerpt"].maybe(Node.text) or "",
        width=node["width"].maybe(Node.count) or 1,
    )
