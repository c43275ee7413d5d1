"""What people see, as files. `GOLDEN=write pytest tests/unit/render` writes them again."""

import os
import re
from pathlib import Path

import pytest

from reconciler import render
from reconciler.errors import ConfigError, PermissionDeniedError
from reconciler.planfile import results
from reconciler.render import html, text
from reconciler.render.shared import change_requests
from reconciler.render.shared.options import RenderOptions, Zoom
from tests.unit.render import fleet_samples, samples
from tests.unit.render.shared.test_change_requests import PEOPLE, PLACE, ROLES, payload

GOLDEN = Path(__file__).parent / "golden"
SUFFIXES = {"text": "txt", "markdown": "md", "html": "html", "json": "json"}


def check(name, shown):
    path = GOLDEN / name
    for asset in ("page.css", "fleet.css", "filters.js", "page.js", "fleet.js"):
        content = (Path(html.__file__).parent / asset).read_text(encoding="utf-8")
        shown = shown.replace(content, f"/* {asset} */")
    shown = re.sub(r"'sha256-[^']*'", "'sha256-…'", shown)
    if os.environ.get("GOLDEN") == "write":
        path.write_text(shown, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == shown


@pytest.mark.parametrize("format_", SUFFIXES)
@pytest.mark.parametrize("name", ["everything", "small", "nothing"])
def test_plan(name, format_):
    plan = getattr(samples, name.upper())

    check(f"{name}.{SUFFIXES[format_]}", render.plan(plan, format=format_))


@pytest.mark.parametrize("format_", ["text", "markdown", "html"])
def test_drift(format_):
    check(f"drift.{SUFFIXES[format_]}", render.drift(samples.DRIFTED, format=format_))


@pytest.mark.parametrize("format_", [*SUFFIXES, "sarif"])
def test_drift_with_a_name(format_):
    suffix = SUFFIXES.get(format_, format_)

    check(f"told.{suffix}", render.drift(samples.TOLD, format=format_))


def test_drift_from_further_away():
    check("told-resources.txt", render.drift(samples.TOLD, format="text", zoom=Zoom.RESOURCES))


def test_plan_in_full():
    check("everything-verbose.txt", render.plan(samples.EVERYTHING, format="text", verbose=1))


def test_plan_on_a_narrow_terminal_in_colour():
    check(
        "everything-narrow.ansi",
        render.plan(samples.EVERYTHING, format="text", color=True, width=60),
    )


def test_no_drift():
    check("no-drift.txt", render.drift(samples.NOTHING, format="text"))


def test_apply():
    lines = "\n".join(text.format_outcome_line(one, color=False) for one in samples.OUTCOMES)
    shown = render.outcomes(samples.OUTCOMES, samples.EVERYTHING, format="text", color=False)

    check("apply.txt", f"{lines}\n\n{shown}\n")
    check("apply.md", render.outcomes(samples.OUTCOMES, samples.EVERYTHING, format="markdown"))
    check("apply.json", results.dump_outcomes(samples.OUTCOMES, samples.EVERYTHING))


def test_errors():
    found = ConfigError("the files", findings=(samples.WARNED, samples.MISSING))
    denied = PermissionDeniedError(
        "GET /api/organizations/: refused", status=403, code="permission_denied", detail="no scope"
    )

    check("config-error.txt", text.error(found, color=False))
    check("api-error.txt", text.error(denied, color=False))


def test_requests():
    rows = [
        change_requests.summarize_request(payload(state=state), **PLACE)
        for state in ("pending", "applied")
    ]
    whole = render.change_request(
        payload(), people=PEOPLE, roles=ROLES, format="text", color=False, **PLACE
    )

    check("change_requests.txt", render.change_requests(rows, format="text", color=False))
    check("request.txt", whole)


@pytest.mark.parametrize("format_", ["text", "markdown", "json"])
@pytest.mark.parametrize("mode", fleet_samples.ALL)
def test_fleet(mode, format_):
    sample = fleet_samples.ALL[mode]
    look = RenderOptions(width=80)
    shown = render.fleet(sample.report, sample.load, format=format_, options=look)

    check(f"fleet-{mode}.{SUFFIXES[format_]}", shown)


def test_fleet_page():
    """The sections are those of `plan.html`, whose goldens are above."""
    sample = fleet_samples.STATUSES

    check("fleet-status.html", render.fleet(sample.report, sample.load, format="html"))


def test_every_golden_file_is_made_by_a_test():
    """A file nobody writes any more would be believed for ever."""
    made = {f"{n}.{s}" for n in ("everything", "small", "nothing") for s in SUFFIXES.values()}
    made |= {"drift.txt", "drift.md", "drift.html", "no-drift.txt", "apply.txt", "apply.md"}
    made |= {"everything-verbose.txt", "everything-narrow.ansi", "config-error.txt"}
    made |= {"told-resources.txt"}
    made |= {f"told.{suffix}" for suffix in (*SUFFIXES.values(), "sarif")}
    made |= {f"fleet-{mode}.{s}" for mode in fleet_samples.ALL for s in ("txt", "md", "json")}
    made |= {"fleet-status.html"}
    made |= {"api-error.txt", "change_requests.txt", "request.txt", "apply.json"}

    assert {path.name for path in GOLDEN.iterdir()} == made
