"""Values → JSON: ASCII, a stable order, no keys. The plan's own codec is `planfile`."""

import re
from collections.abc import Iterable
from typing import Final

from reconciler import planfile
from reconciler.model import Finding, Plan
from reconciler.render.view import View

# Half a character: a byte of a file's name that is no UTF-8. As text, since many readers refuse it.
_LONE: Final = re.compile(r"(?<!\\ud[89ab]..)\\udc[89a-f].")


def plan(plan: Plan, view: View | None = None) -> str:  # noqa: ARG001  there is one way to see it
    """The document of schemas/plan.schema.json, whatever the terminal looks like."""
    return planfile.dumps(plan)


drift = plan  # the same document


def findings(found: Iterable[Finding]) -> str:
    """Findings by place, as a list of rows; no newline at the end."""
    ordered = sorted(found, key=lambda one: one.sort_key)
    text = planfile.as_text(planfile.plain(ordered)).removesuffix("\n")
    return _LONE.sub(lambda one: f"\\{one[0]}", text)
