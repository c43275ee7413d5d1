"""A plan from further away on the terminal: one line a resource, one paragraph a gate."""

from collections.abc import Iterable, Iterator
from typing import Final

from reconciler.model import Action, Cause, Change, Plan, get_root
from reconciler.render.shared import approvals, attribution, phrases, schedules, summary
from reconciler.render.shared.phrases import Tone
from reconciler.render.shared.sanitize import count_columns, escape
from reconciler.render.text.style import SIGNS, TONES, TextStyle
from reconciler.render.text.terminal import wrap

_MARKED: Final = {Cause.DRIFT: "drift", Cause.CONFLICT: "CONFLICT"}


def list_resources(changes: Iterable[Change], look: TextStyle) -> Iterator[str]:
    """Yield one paragraph for each kind and scope, one line for each resource."""
    for _, group in summary.group_changes(changes):
        rows = [
            (
                change,
                f"  {phrases.choose_sign(change.action, drift=look.drift)} {_format_name(change)}",
            )
            for change in group
        ]
        widest = max(count_columns(row) for _, row in rows)
        room = min(widest, look.width * 3 // 5)
        yield "\n".join(_format_row(change, row, room, look) for change, row in rows)


def _format_name(change: Change) -> str:
    return escape(str(change.address))


def _format_row(change: Change, row: str, room: int, look: TextStyle) -> str:
    sign = phrases.choose_sign(change.action, drift=look.drift)
    title = look.link(look.paint(_format_name(change), "bold"), change.url)
    shown = look.paint(f"  {sign} ", SIGNS[sign]) + title
    summary = _summarize(change, look)
    if not summary:
        return shown
    gap = " " * max(0, room - count_columns(row))
    text = look.fit(summary, max(room, count_columns(row)) + 2)
    return f"{shown}{gap}  {look.paint(text, _choose_style(change, look))}"


def _summarize(change: Change, look: TextStyle) -> str:
    """Return what its gate does, which fields change, and what is scheduled."""
    later = (f"{phrase.mark} {phrase.short}" for phrase in schedules.describe_schedules(change))
    return "  ".join(filter(None, (_summarize_difference(change, look), *map(escape, later))))


def _summarize_difference(change: Change, look: TextStyle) -> str:
    phrase = None if look.drift else phrases.describe_gate(change)
    gate = f"{phrase.mark} {phrase.short}: " if phrase is not None else ""
    author = attribution.summarize_change(change) if look.drift else None
    by = f"  {author.mark} {author.text}".rstrip() if author is not None else ""
    if look.drift and change.action is not Action.UPDATE:
        return phrases.describe_drift(change.action) + escape(by)
    if change.action is not Action.UPDATE:
        return escape(f"{phrase.mark} {phrase.short}" if phrase is not None else "")
    names: dict[str, str] = {}
    for field in change.fields:
        mark = "" if look.drift else _MARKED.get(field.cause, "")
        names[get_root(field.path)] = mark or names.get(get_root(field.path), "")
    fields = ", ".join(f"{name} [{mark}]" if mark else name for name, mark in names.items())
    return escape(gate + fields + by)


def _choose_style(change: Change, look: TextStyle) -> str:
    phrase = attribution.summarize_change(change) if look.drift else phrases.describe_gate(change)
    loud = phrase is not None and (not look.drift or phrase.tone is Tone.LOUD)
    return TONES[phrase.tone] if phrase is not None and loud else "dim"


def list_gates(plan: Plan, look: TextStyle) -> Iterator[str]:
    """Yield who has to agree to how many changes, once for each gate."""
    lines = ["Approvals:"]
    for group in approvals.group_by_gate(plan.writes):
        text = f"{group.mark} {escape(f'{group.what}: {group.of_whom}')}"
        rows = wrap(text, indent="  ", width=look.width, hang="    ")
        lines.extend(look.paint(row, TONES[group.tone]) for row in rows)
    if len(lines) == 1:
        return
    yield "\n".join(lines)
