"""The page from top to bottom, and the policy by which a browser lets nothing else in."""

import base64
import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Final

from reconciler import __version__
from reconciler.model import Plan
from reconciler.planfile import codec, reader
from reconciler.render.html import approvals, change, findings, timeline
from reconciler.render.html.components import count, lines, text
from reconciler.render.shared import attribution, phrases, summary

_PLAN: Final = {
    "create": "to create",
    "update": "to update",
    "delete": "to delete",
    "none": "unchanged",
    "gated": "wait or held",
    "drift": "with drift",
    "conflict": "in conflict",
    "unmanaged": "unmanaged",
}
_HAPPENED: Final = {"create": "delete", "delete": "create"}  # what is not there was deleted
_DRIFT: Final = {
    "update": "changed",
    "create": "not there",
    "delete": "there again",
    "none": "as declared",
    "unmanaged": "unmanaged",
}


def write(plan: Plan, *, drift: bool) -> str:
    """The whole page."""
    style, script = _asset("page.css"), _asset("page.js")
    name = "drift" if drift else "plan"
    digest, commit = summary.seal(plan)
    parts = (
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(style, script)}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        '<meta name="referrer" content="no-referrer">',
        f"<title>{name}: {text(plan.target)}</title>",
        f"<style>{style}</style></head><body>",
        '<a class="skip" href="#changes">To the changes</a>',
        *_head(plan, commit, drift=drift),
        "<main>",
        *_doubts(plan, drift=drift),
        *(() if drift else approvals.section(plan)),
        *timeline.section(plan),
        *findings.section(plan),
        *change.section(plan, drift=drift),
        *_notices(plan),
        "</main>",
        *_foot(plan, digest, drift=drift),
        f"<script>{script}</script></body></html>",
    )
    return "\n".join(parts) + "\n"


@cache
def _asset(name: str) -> str:
    """The style sheet or the script, as it lies beside this module."""
    return files("reconciler.render.html").joinpath(name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """Nothing is loaded from anywhere, and nothing runs but this very style and script."""
    return (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


@cache
def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _head(plan: Plan, commit: str, *, drift: bool) -> Iterator[str]:
    about = (
        plan.host,
        summary.base(plan, drift=drift),
        f"made {attribution.when(plan.created_at)}" if plan.created_at else "",
        f"files of commit {commit}" if commit else "",
    )
    yield f'<header><p class="kicker">reconciler {"drift" if drift else "plan"}</p>'
    yield f"<h1>{text(plan.target)}</h1>"
    yield f'<p class="meta">{" · ".join(text(one) for one in about if one)}</p>'
    line = " ".join(summary.totals(plan, drift=drift))
    yield f'<p class="total">{text(line)}</p><ul class="tiles">'
    counted = codec.summary(plan)
    for key, label in (_DRIFT if drift else _PLAN).items():
        look = _HAPPENED.get(key, key) if drift else key
        yield count(counted[key], label, key=key, look=look)
    yield "</ul></header>"


def _doubts(plan: Plan, *, drift: bool) -> Iterator[str]:
    """What may hold back writes that are taken to pass, and what to do about approved drift."""
    said = [attribution.advice(plan)] if drift else []
    for note, number in () if drift else summary.doubts(plan).items():
        verb = "is" if number == 1 else "are"
        said.append(
            f"{phrases.count(number, 'change')} {verb} taken to pass without approval, but {note}"
        )
    yield from (f'<p class="doubt">{text(one)}</p>' for one in said if one)


def _notices(plan: Plan) -> Iterator[str]:
    notices = tuple(summary.notices(plan))
    if not notices:
        return
    yield '<section id="notices"><h2>Left alone</h2>'
    for one in notices:
        yield f'<details class="notice"><summary>{text(one.title)}</summary>'
        yield f"<pre>{lines(one.rows)}</pre></details>"
    yield "</section>"


def _foot(plan: Plan, digest: str, *, drift: bool) -> Iterator[str]:
    version = getattr(plan, "tool_version", "") or __version__
    cost = [phrases.count(plan.requests.reads, "request") + " sent to make it"]
    if not drift:
        least = plan.requests.minimum_seconds
        pace = f" in {phrases.count(least // 60, 'minute')} or more" if least else ""
        cost.append(f"{phrases.count(plan.requests.expected_writes, 'write')} to apply it{pace}")
    said = (
        f"reconciler {version}",
        ", ".join(cost),
        f"plan {digest}" if digest else "",
        f"files {plan.desired_digest}" if plan.desired_digest else "",
        f"base {reader.redact(plan.base_commit)}" if plan.base_commit else "",
    )
    yield f"<footer>{' · '.join(text(one) for one in said if one)}</footer>"
