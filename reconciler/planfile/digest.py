"""Write and read what a saved plan has besides what it shows: its digest, and its snapshot.

A digest without a key does not prove an origin: anybody who can write a plan can compute it. It
shows damage and careless edits; an apply takes what it does from the files, not from the plan.
"""

import hashlib
import json
import re
from typing import Any, Final

from reconciler.errors import GuardrailError
from reconciler.lazy_pattern import compile_later
from reconciler.model import (
    KeptFields,
    ObservedObject,
    ObservedOrganization,
    PlanSnapshot,
    Refusal,
    RevertedRun,
    Selection,
    UndoSnapshot,
)
from reconciler.planfile.reader import Node, build_error, format_json

_MOMENT: Final = compile_later(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d{6})?Z", re.ASCII)
_OTHER: Final = compile_later(
    r"(.*) \(\d{6}\)", re.ASCII | re.DOTALL
)  # not a time, but checked too
_AGAIN: Final = "run plan again: reconciler plan --out FILE"
_SIDES: Final = frozenset({"git", "live"})  # of a conflict


def add_digest(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with its digest, and with the check number in its time.

    The digest does not cover the time, so that the same inputs give the same digest. The fraction
    of a second in the time is a checksum of time and digest, so that damage to the time shows.
    """
    digest = _compute_digest(document)
    return {
        **document,
        "created_at": _add_check_number(document["created_at"], digest),
        "digest": digest,
    }


def strip_check_number(created_at: str) -> str:
    """Return a time without its check number."""
    if match := _MOMENT.fullmatch(created_at):
        return f"{match[1]}Z"
    other = _OTHER.fullmatch(created_at)
    return other[1] if other else created_at


def find_damage(document: Any, text: str) -> GuardrailError | None:
    """Return an error if the text differs from what `as_text` wrote. `document` is its value."""
    if not isinstance(document, dict) or not isinstance(document.get("created_at"), str):
        raise build_error("it has no created_at")
    again = {name: value for name, value in document.items() if name != "digest"}
    if document.get("digest") is None:
        why = "it has no digest"
    elif add_digest(again) != document:
        why = "its digest does not match its content"
    elif format_document(document) != text:
        why = "its text has another layout than the one that was written"
    else:
        return None
    return GuardrailError("this plan was changed after it was made", why=why, fix=_AGAIN)


def format_document(document: Any) -> str:
    """Return a plain value as JSON text: ASCII, two spaces, one value per line."""
    return format_json(document) + "\n"


def _add_check_number(created_at: str, digest: str) -> str:
    plain = strip_check_number(created_at)
    if not plain:
        return plain
    number = (
        int(hashlib.sha256(f"{plain} {digest}".encode("utf-8", "surrogatepass")).hexdigest(), 16)
        % 1_000_000
    )
    match = _MOMENT.fullmatch(plain)
    return f"{match[1]}.{number:06}Z" if match else f"{plain} ({number:06})"


def _compute_digest(document: dict[str, Any]) -> str:
    covered = {name: value for name, value in document.items() if name != "created_at"}
    form = json.dumps(covered, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return "sha256:" + hashlib.sha256(form.encode()).hexdigest()


def read_basis(node: Node) -> PlanSnapshot:
    """Read what the plan was made from."""
    chosen = node["selection"]
    return PlanSnapshot(
        commit=node["commit"].maybe(Node.text),
        dirty=node["dirty"].flag(),
        selection=Selection(
            paths=chosen["paths"].each(Node.text),
            select=chosen["select"].each(Node.text),
            exclude=chosen["exclude"].each(Node.text),
            prune=chosen["prune"].flag(),
        ),
        organizations=node["organizations"].values(_read_organization),
        policies=node["policies"].each(_read_object),
        before=node["before"].each(_read_object),
        live=node["live"].values(Node.count),
        prefer=node["prefer"].maybe(_read_prefer),
        undo=node["undo"].maybe(_read_undo),
    )


def _read_undo(node: Node) -> UndoSnapshot:
    return UndoSnapshot(
        node["runs"].each(_read_run),
        node["kept"].each(Node.text),
        node["kept_fields"].maybe(_read_kept_fields) or (),
    )


def _read_kept_fields(node: Node) -> tuple[KeptFields, ...]:
    return node.each(lambda row: KeptFields(row["address"].text(), row["paths"].each(Node.text)))


def _read_run(node: Node) -> RevertedRun:
    return RevertedRun(
        node["before"].maybe(Node.text), node["after"].text(), node["addresses"].each(Node.text)
    )


def encode_refusal(refusal: Refusal | None) -> dict[str, Any]:
    """Return the row about what `apply` refuses, if there is anything."""
    if refusal is None:
        return {}
    row = {"whole": refusal.whole, "changes": refusal.changes, "rest": refusal.rest}
    return {"refusal": {**row, "continue": refusal.go_on}}


def read_refusal(node: Node) -> Refusal:
    """Return what `apply` refuses of the plan."""
    whole, rest, go_on = (node[name].flag() for name in ("whole", "rest", "continue"))
    return Refusal(whole, node["changes"].count(), rest, go_on)


def _read_prefer(node: Node) -> str:
    side = node.text()
    if side not in _SIDES:
        raise build_error(f"its basis prefers {side!r}, which is neither side of a conflict")
    return side


def _read_organization(node: Node) -> ObservedOrganization:
    return ObservedOrganization(
        node["id"].text(), node["projects"].values(lambda ids: ids.each(Node.text))
    )


def _read_object(node: Node) -> ObservedObject:
    spec = node["spec"].values(lambda value: value.value)
    return ObservedObject(
        str(node["address"].address()), node["id"].text(), node["fingerprint"].text(), spec
    )
