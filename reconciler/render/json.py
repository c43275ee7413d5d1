"""Values to JSON: ASCII, a stable order, no keys. The plan's own codec is `planfile`."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from reconciler.lazy_pattern import compile_later
from reconciler.model import Finding, FleetReport, Outcome, Plan
from reconciler.planfile import codec, digest, results
from reconciler.planfile import fleet as planfile_fleet
from reconciler.render.shared.change_requests import RequestView, make_document
from reconciler.render.shared.fleet import LoadDetails
from reconciler.render.shared.options import RenderOptions

_REQUEST: Final = ("id", "address", "action_key", "waiting_for", "expires_at")  # of a status
# Half a character: a byte of a file name that is not UTF-8. As text, since many readers refuse it.
_LONE: Final = compile_later(r"(?<!\\ud[89ab]..)\\udc[89a-f].")


def plan(plan: Plan, options: RenderOptions) -> str:  # noqa: ARG001  the document is always whole
    """Return the document of schemas/plan.schema.json."""
    return codec.dump_plan(plan)


drift = plan  # the same document


def outcomes(
    outcomes: Iterable[Outcome],
    plan: Plan,
    options: RenderOptions,  # noqa: ARG001  the document is always whole
    *,
    stopped: bool,  # noqa: ARG001  the outcomes say so themselves
) -> str:
    """Return the document of schemas/outcomes.schema.json."""
    return results.dump_outcomes(outcomes, plan)


def fleet(
    report: FleetReport,
    options: RenderOptions,  # noqa: ARG001  the document is always whole
    load: LoadDetails,  # noqa: ARG001  each target has a document of its own
) -> str:
    """Return the document of schemas/fleet.schema.json."""
    return planfile_fleet.dump_fleet(report)


def format_rows(shown: Any, options: RenderOptions) -> str:  # noqa: ARG001  the document is always whole
    """Return values that are JSON already, without keys; no newline at the end."""
    return digest.format_document(codec.make_plain(shown)).removesuffix("\n")


def coverage(
    rows: list[Mapping[str, Any]],
    documents: Iterable[str],  # noqa: ARG001  for people: the rows say what is missing
    options: RenderOptions,
) -> str:
    """Return the rows; no newline at the end."""
    return format_rows(rows, options)


change_requests = inbox = reminders = activity = activity_filters = listing = format_rows
replay = format_rows


def status(status: Mapping[str, Any], options: RenderOptions) -> str:
    """Return the status of a target; no newline at the end."""
    rows = [{name: row[name] for name in _REQUEST} for row in status["requests"]]
    return format_rows({**status, "requests": rows}, options)


def change_request(request: RequestView, options: RenderOptions) -> str:
    """Return one change request with everything that is known about it."""
    return format_rows(make_document(request), options)


def findings(listed: Iterable[Finding]) -> str:
    """Return findings by place, as a list of rows; no newline at the end."""
    ordered = sorted(listed, key=lambda finding: finding.sort_key)
    text = digest.format_document(codec.make_plain(ordered)).removesuffix("\n")
    return _LONE.sub(lambda half: f"\\{half[0]}", text)
