"""The report of a fleet: no word changes its shape, and it fits wherever it is shown."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import assume, given

from reconciler import render
from reconciler.model import DriftCause, WaitingRequest
from reconciler.render import html, markdown
from reconciler.render.shared.options import RenderOptions, Zoom
from reconciler.render.shared.sanitize import count_columns, make_visible
from tests.unit.render import fleet_samples, samples
from tests.unit.render.strategies import NASTY, hostile
from tests.unit.render.test_hostile_texts import MONSTERS, gfm, harmless, like, shape


def shown(sample, format_, **look):
    return render.fleet(sample.report, sample.load, format=format_, options=RenderOptions(**look))


@pytest.mark.parametrize("word", NASTY)
def test_nothing_is_obeyed(word):
    """By a terminal, by the log of a build, or by a code host."""
    sample = fleet_samples.saying(word)

    for format_ in render.FORMATS:
        harmless(shown(sample, format_, width=200).replace("\u200d", ""))


@given(hostile)
def test_no_word_changes_the_tree_of_a_comment(word):
    """Parsed as CommonMark and by GitHub's own parser, it is the tree of a plain word."""
    assume(make_visible(word).strip())
    assume(word.count("/") < 2)  # an address of more parts
    expected, made = (shown(fleet_samples.saying(each), "markdown") for each in (like(word), word))

    assert list(shape(expected)) == list(shape(made))
    assert gfm(expected) == gfm(made)


@pytest.mark.parametrize("word", MONSTERS, ids=lambda word: f"{word[:1]!a}")
def test_a_comment_never_outgrows_what_github_takes(word):
    """Hundreds of targets, requests and causes: each list has its share, the rest is counted."""
    sample = fleet_samples.large(300)
    plan = replace(samples.saying(word), host="http://127.0.0.1:8000")
    sample.details = dict.fromkeys(sample.details, fleet_samples.TargetDetails(plan=plan))
    failed = tuple(
        replace(row, exit_code=1, error=fleet_samples.Problem(word, word, word, word))
        for row in sample.report.targets
    )
    address = samples.MANAGERS
    request = WaitingRequest("target-001", address, word, (word,) * 9, word, 2, (word,), word)
    cause = DriftCause(word, "FeatureFlag", word, word, (word,) * 30, (address,) * 30)
    sample.report = replace(
        sample.report, targets=failed, waiting=(request,) * 400, causes=(cause,) * 400
    )
    comment = shown(sample, "markdown")

    assert len(comment.encode("utf-16-le", "surrogatepass")) // 2 <= markdown.CAP
    assert comment.count("<details") == comment.count("</details>")
    for heading in ("300 targets with errors", "#### Waiting for approval", "#### Drift by cause"):
        assert heading in comment
    assert re.search(r"… and \d+ more", comment)


@pytest.mark.parametrize("width", [60, 80, 100])
@pytest.mark.parametrize("mode", fleet_samples.ALL)
def test_the_text_fits_its_terminal(mode, width):
    """Lines are broken at spaces; nothing of the samples is longer than a line."""
    lines = shown(fleet_samples.ALL[mode], "text", width=width, verbose=1).split("\n")

    assert [line for line in lines if count_columns(line) > width] == []


def test_the_text_of_a_large_fleet_is_short():
    """What is clean is counted, and so is what waits beyond the first."""
    quiet = fleet_samples.Sample(
        fleet_samples.FleetMode.PLAN,
        tuple(fleet_samples.planned(f"t-{n:03}", samples.NOTHING) for n in range(500)),
    )

    assert "✓ 500 targets without changes (-v lists them)" in shown(quiet, "text")
    assert shown(quiet, "text").count("\n") < 8
    assert shown(quiet, "text", verbose=1).count("\n") > 500


def test_with_quiet_the_totals_are_all():
    """One line."""
    line = shown(fleet_samples.PLANS, "text", zoom=Zoom.TOTALS, width=200)

    assert "18 targets: 1 failed, 1 refused, 1 skipped" in line
    assert "\n" not in line


def test_the_page_has_the_policy_of_its_own_style_and_script():
    """It loads nothing; no attribute runs anything."""
    folder = Path(html.__file__).parent
    script = "".join((folder / name).read_text() for name in ("filters.js", "fleet.js"))
    page = shown(fleet_samples.PLANS, "html")

    assert re.search(
        r"content=\"default-src 'none'; style-src 'sha256-[^']+'; script-src 'sha256-[^']+'; "
        r"base-uri 'none'; form-action 'none'\"",
        page,
    )
    assert "url(" not in page
    assert not re.search(r"\b(src|srcset|style|on[a-z]+)=", page.replace(script, ""))
    never = "innerHTML outerHTML insertAdjacent document.write eval fetch( XMLHttpRequest import("
    for word in (*never.split(), "new Function", "localStorage", "cookie"):
        assert word not in script
