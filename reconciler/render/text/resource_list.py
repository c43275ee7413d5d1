"""A plan from further away on the terminal: one line a resource, one paragraph a gate."""

from collections.abc import Iterable, Iterator
from typing import Final

from reconciler.model import Action, Cause, Change, Plan, root
from reconciler.render.shared import approvals, attribution, phrases, summary
from reconciler.render.shared.phrases import Tone
from reconciler.render.shared.sanitize import count_columns, escape
from reconciler.render.text.style import SIGNS, TONES, TextStyle
from reconciler.render.text.terminal import wrap

_MARKED: Final = {Cause.DRIFT: "drift", Cause.CONFLICT: "CONFLICT"}


def list_resources(changes: Iterable[Change], look: TextStyle) -> Iterator[str]:
    """One paragraph a kind and scope, one line a resource."""
    for _, group in summary.group_changes(changes):
        rows = [
            (one, f"  {phrases.choose_sign(one.action, drift=look.drift)} {_format_name(one)}")
            for one in group
        ]
        widest = max(count_columns(row) for _, row in rows)
        room = min(widest, look.width * 3 // 5)
        yield "\n".join(_format_row(one, row, room, look) for one, row in rows)


def _format_name(one: Change) -> str:
    return escape(str(one.address))


def _format_row(one: Change, row: str, room: int, look: TextStyle) -> str:
    sign = phrases.choose_sign(one.action, drift=look.drift)
    title = look.link(look.paint(_format_name(one), "bold"), one.url)
    shown = look.paint(f"  {sign} ", SIGNS[sign]) + title
    said = _summarize(one, look)
    if not said:
        return shown
    gap = " " * max(0, room - count_columns(row))
    text = look.fit(said, max(room, count_columns(row)) + 2)
    return f"{shown}{gap}  {look.paint(text, _choose_style(one, look))}"


def _summarize(one: Change, look: TextStyle) -> str:
    """What its gate does, and which fields move."""
    said = None if look.drift else phrases.describe_gate(one)
    gate = f"{said.mark} {said.short}: " if said is not None else ""
    told = attribution.summarize_change(one) if look.drift else None
    by = f"  {told.mark} {told.text}".rstrip() if told is not None else ""
    if look.drift and one.action is not Action.UPDATE:
        return phrases.describe_drift(one.action) + escape(by)
    if one.action is not Action.UPDATE:
        return escape(f"{said.mark} {said.short}" if said is not None else "")
    names: dict[str, str] = {}
    for field in one.fields:
        mark = "" if look.drift else _MARKED.get(field.cause, "")
        names[root(field.path)] = mark or names.get(root(field.path), "")
    fields = ", ".join(f"{name} [{mark}]" if mark else name for name, mark in names.items())
    return escape(gate + fields + by)


def _choose_style(one: Change, look: TextStyle) -> str:
    said = attribution.summarize_change(one) if look.drift else phrases.describe_gate(one)
    loud = said is not None and (not look.drift or said.tone is Tone.LOUD)
    return TONES[said.tone] if said is not None and loud else "dim"


def list_gates(plan: Plan, look: TextStyle) -> Iterator[str]:
    """Who has to agree to how many changes, said once a gate."""
    lines = ["Approvals:"]
    for one in approvals.group_by_gate(plan.writes):
        text = f"{one.mark} {escape(f'{one.what}: {one.of_whom}')}"
        rows = wrap(text, indent="  ", width=look.width, hang="    ")
        lines.extend(look.paint(row, TONES[one.tone]) for row in rows)
    if len(lines) == 1:
        return
    yield "\n".join(lines)
