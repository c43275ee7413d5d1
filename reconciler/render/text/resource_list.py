"""A plan from further away on the terminal: one line a resource, one paragraph a gate."""

from collections.abc import Iterable, Iterator
from typing import Final

from reconciler.model import Action, Cause, Change, Plan, get_root
from reconciler.render.shared import approvals, attribution, phrases, schedules, summary
from reconciler.render.shared.phrases import Phrase, Tone
from reconciler.render.shared.sanitize import count_columns, escape
from reconciler.render.text.style import SIGNS, TONES, TextStyle
from reconciler.render.text.terminal import wrap

_SIGN: Final = 4  # columns of a sign with the spaces around it
_MARKED: Final = {Cause.DRIFT: "drift", Cause.CONFLICT: "CONFLICT"}


def list_resources(changes: Iterable[Change], look: TextStyle) -> Iterator[str]:
    """Yield one paragraph for each kind and scope, one line for each resource."""
    for _, group in summary.group_changes(changes):
        rows = [(change, escape(str(change.address))) for change in group]
        widest = max(count_columns(name) for _, name in rows) + _SIGN
        room = min(widest, look.width * 3 // 5)
        yield "\n".join(_format_row(change, name, room, look) for change, name in rows)


def _format_row(change: Change, name: str, room: int, look: TextStyle) -> str:
    sign = phrases.choose_sign(change.action, drift=look.drift)
    shown = look.paint(f"  {sign} ", SIGNS[sign]) + look.link(look.paint(name, "bold"), change.url)
    phrase = None if look.drift else phrases.describe_gate(change)
    summary = _summarize(change, phrase, look)
    if not summary:
        return shown
    taken = _SIGN + count_columns(name)
    gap = " " * max(0, room - taken)
    text = look.fit(summary, max(room, taken) + 2)
    return f"{shown}{gap}  {look.paint(text, _choose_style(change, phrase, look))}"


def _summarize(change: Change, gate: Phrase | None, look: TextStyle) -> str:
    """Return what its gate does, which fields change, and what is scheduled."""
    difference = _summarize_difference(change, gate, look)
    later = (f"{phrase.mark} {phrase.short}" for phrase in schedules.describe_schedules(change))
    return "  ".join(filter(None, (difference, *map(escape, later))))


def _summarize_difference(change: Change, phrase: Phrase | None, look: TextStyle) -> str:
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
        root = get_root(field.path)
        names[root] = mark or names.get(root, "")
    fields = ", ".join(f"{name} [{mark}]" if mark else name for name, mark in names.items())
    return escape(gate + fields + by)


def _choose_style(change: Change, gate: Phrase | None, look: TextStyle) -> str:
    phrase = attribution.summarize_change(change) if look.drift else gate
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
