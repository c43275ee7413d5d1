"""A plan from further away on the terminal: one line a resource, one paragraph a gate."""

from collections.abc import Iterable, Iterator
from typing import Final

from reconciler.model import Action, Cause, Change, Plan, root
from reconciler.render.shared import approvals, attribution, phrases, summary
from reconciler.render.shared.phrases import Tone
from reconciler.render.shared.sanitize import columns, escape
from reconciler.render.text.style import SIGNS, TONES, TextStyle
from reconciler.render.text.terminal import wrap

_MARKED: Final = {Cause.DRIFT: "drift", Cause.CONFLICT: "CONFLICT"}


def resources(changes: Iterable[Change], look: TextStyle) -> Iterator[str]:
    """One paragraph a kind and scope, one line a resource."""
    for _, group in summary.grouped(changes):
        rows = [
            (one, f"  {phrases.sign(one.action, drift=look.drift)} {_name(one)}") for one in group
        ]
        widest = max(columns(row) for _, row in rows)
        room = min(widest, look.width * 3 // 5)
        yield "\n".join(_row(one, row, room, look) for one, row in rows)


def _name(one: Change) -> str:
    return escape(str(one.address))


def _row(one: Change, row: str, room: int, look: TextStyle) -> str:
    sign = phrases.sign(one.action, drift=look.drift)
    title = look.link(look.paint(_name(one), "bold"), one.url)
    shown = look.paint(f"  {sign} ", SIGNS[sign]) + title
    said = _said(one, look)
    if not said:
        return shown
    gap = " " * max(0, room - columns(row))
    text = look.fit(said, max(room, columns(row)) + 2)
    return f"{shown}{gap}  {look.paint(text, _tone(one, look))}"


def _said(one: Change, look: TextStyle) -> str:
    """What its gate does, and which fields move."""
    said = None if look.drift else phrases.gate(one)
    gate = f"{said.mark} {said.short}: " if said is not None else ""
    told = attribution.brief(one) if look.drift else None
    by = f"  {told.mark} {told.text}".rstrip() if told is not None else ""
    if look.drift and one.action is not Action.UPDATE:
        return phrases.drifted(one.action) + escape(by)
    if one.action is not Action.UPDATE:
        return escape(f"{said.mark} {said.short}" if said is not None else "")
    names: dict[str, str] = {}
    for field in one.fields:
        mark = "" if look.drift else _MARKED.get(field.cause, "")
        names[root(field.path)] = mark or names.get(root(field.path), "")
    fields = ", ".join(f"{name} [{mark}]" if mark else name for name, mark in names.items())
    return escape(gate + fields + by)


def _tone(one: Change, look: TextStyle) -> str:
    said = attribution.brief(one) if look.drift else phrases.gate(one)
    loud = said is not None and (not look.drift or said.tone is Tone.LOUD)
    return TONES[said.tone] if said is not None and loud else "dim"


def gates(plan: Plan, look: TextStyle) -> Iterator[str]:
    """Who has to agree to how many changes, said once a gate."""
    lines = ["Approvals:"]
    for one in approvals.groups(plan.writes):
        text = f"{one.mark} {escape(f'{one.what}: {one.of_whom}')}"
        rows = wrap(text, indent="  ", width=look.width, hang="    ")
        lines.extend(look.paint(row, TONES[one.tone]) for row in rows)
    if len(lines) == 1:
        return
    yield "\n".join(lines)
