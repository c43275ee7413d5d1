"""What a saved plan has besides what it shows: the seals on its text, and what it was made from.

A digest without a key proves no origin: whoever can write a plan can seal it. It shows damage
and careless edits; what an apply does is taken from the files, whatever a plan says.
"""

import hashlib
import json
import re
from typing import Any, Final

from reconciler.errors import GuardrailError
from reconciler.model import ObservedObject, ObservedOrganization, PlanSnapshot, Refusal, Selection
from reconciler.planfile.reader import Node, printed, refused

_MOMENT: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d{6})?Z", re.ASCII)
_OTHER: Final = re.compile(r"(.*) \(\d{6}\)", re.ASCII | re.DOTALL)  # no time, but checked as well
_AGAIN: Final = "make the plan again: reconciler plan --out FILE"
_SIDES: Final = frozenset({"git", "live"})  # of a conflict


def sealed(document: dict[str, Any]) -> dict[str, Any]:
    """The document with its digest, and the check number in its time.

    The digest leaves the time out, so that the same inputs give the same digest; the fraction of
    a second in the time is a number over time and digest, so that damage to it shows as well.
    """
    digest = _digest(document)
    return {**document, "created_at": _checked(document["created_at"], digest), "digest": digest}


def moment(created_at: str) -> str:
    """A time as it was before it got its check number."""
    if found := _MOMENT.fullmatch(created_at):
        return f"{found[1]}Z"
    other = _OTHER.fullmatch(created_at)
    return other[1] if other else created_at


def broken(document: Any, text: str) -> GuardrailError | None:
    """Why this text is not as `as_text` wrote it, if so. `document` is what it says."""
    if not isinstance(document, dict) or not isinstance(document.get("created_at"), str):
        raise refused("it has no created_at")
    again = {name: value for name, value in document.items() if name != "digest"}
    if document.get("digest") is None:
        why = "it has no digest"
    elif sealed(again) != document:
        why = "its digest is of another content"
    elif as_text(document) != text:
        why = "its text is laid out otherwise than it was written"
    else:
        return None
    return GuardrailError("this plan was changed after it was made", why=why, fix=_AGAIN)


def as_text(document: Any) -> str:
    """A plain value as JSON text: ASCII, two spaces, one value a line."""
    return printed(document) + "\n"


def _checked(created_at: str, digest: str) -> str:
    plain = moment(created_at)
    if not plain:
        return plain
    number = (
        int(hashlib.sha256(f"{plain} {digest}".encode("utf-8", "surrogatepass")).hexdigest(), 16)
        % 1_000_000
    )
    found = _MOMENT.fullmatch(plain)
    return f"{found[1]}.{number:06}Z" if found else f"{plain} ({number:06})"


def _digest(document: dict[str, Any]) -> str:
    told = {name: value for name, value in document.items() if name != "created_at"}
    form = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return "sha256:" + hashlib.sha256(form.encode()).hexdigest()


def read_basis(node: Node) -> PlanSnapshot:
    """What the plan was made from."""
    asked = node["selection"]
    return PlanSnapshot(
        commit=node["commit"].maybe(Node.text),
        dirty=node["dirty"].flag(),
        selection=Selection(
            paths=asked["paths"].each(Node.text),
            select=asked["select"].each(Node.text),
            exclude=asked["exclude"].each(Node.text),
            prune=asked["prune"].flag(),
        ),
        organizations=node["organizations"].values(_read_place),
        policies=node["policies"].each(_read_seen),
        before=node["before"].each(_read_seen),
        live=node["live"].values(Node.count),
        prefer=node["prefer"].maybe(_read_prefer),
    )


def refusal(found: Refusal | None) -> dict[str, Any]:
    """Return the row about what `apply` refuses, if there is anything."""
    if found is None:
        return {}
    row = {"whole": found.whole, "changes": found.changes, "rest": found.rest}
    return {"refusal": {**row, "continue": found.go_on}}


def read_refusal(node: Node) -> Refusal:
    """Return what `apply` refuses of the plan."""
    whole, rest, go_on = (node[name].flag() for name in ("whole", "rest", "continue"))
    return Refusal(whole, node["changes"].count(), rest, go_on)


def _read_prefer(node: Node) -> str:
    found = node.text()
    if found not in _SIDES:
        raise refused(f"its basis prefers {found!r}, which is neither side of a conflict")
    return found


def _read_place(node: Node) -> ObservedOrganization:
    return ObservedOrganization(
        node["id"].text(), node["projects"].values(lambda one: one.each(Node.text))
    )


def _read_seen(node: Node) -> ObservedObject:
    spec = node["spec"].values(lambda one: one.value)
    return ObservedObject(
        str(node["address"].address()), node["id"].text(), node["fingerprint"].text(), spec
    )
