"""The page of a fleet as a browser shows it: the numbers of the document, filters, safe, quiet."""

import json
from dataclasses import replace

import pytest

from reconciler import render
from reconciler.model import FleetMode, TargetDetails, TargetResult
from reconciler.planfile import codec, fleet
from reconciler.render.shared.sanitize import escape
from tests.unit.render import fleet_samples, samples
from tests.unit.render.html.test_page_in_chromium import ATTACKS, CONTRAST, DARK, LIGHT

ROWS = "[...document.querySelectorAll('#targets tbody tr')].filter((r) => r.checkVisibility())"
SECTIONS = "[...document.querySelectorAll('.of-target')].filter((s) => s.checkVisibility())"
UNIQUE = """(() => {
  const ids = [...document.querySelectorAll('[id]')].map((e) => e.id);
  return ids.filter((id, n) => ids.indexOf(id) !== n);
})()"""
DEAD = """[...document.querySelectorAll('a[href^="#"]')].map((a) => a.getAttribute('href').slice(1))
  .filter((id) => /^[a-z]+[0-9]*(-[a-z]+[0-9]*)?$/.test(id) && !document.getElementById(id))"""


@pytest.fixture
def opened(chromium, tmp_path):
    """A function that shows a fleet in a tab of its own."""

    def show(sample, fragment="", **how):
        path = tmp_path / "fleet.html"
        shown = render.fleet(sample.report, sample.load, format="html")
        path.write_text(shown, encoding="utf-8")
        page = chromium.open(f"file://{path}{fragment}", **how)
        assert page.requests == [f"file://{path}"]
        assert page.problems == []
        return page

    return show


@pytest.mark.parametrize("mode", fleet_samples.ALL)
def test_the_page_says_what_the_document_says(opened, mode):
    """Exit codes, requests and totals of each target; every link leads somewhere, once."""
    sample = fleet_samples.ALL[mode]
    document = fleet.encode_fleet(sample.report)
    page = opened(sample)

    rows = page.run(f"{ROWS}.map((r) => [...r.children].map((c) => c.textContent.trim()))")
    shown = {name: (code, reads, writes) for name, _, code, reads, writes, _ in rows}
    expected = {
        row["target"]: (
            "-" if row["exit_code"] is None else str(row["exit_code"]),
            str(row["requests"]["reads"]),
            str(row["requests"]["writes"]),
        )
        for row in document["targets"]
    }

    assert shown == expected
    assert page.run(UNIQUE) == []
    assert page.run(DEAD) == []
    for name, key in (("waiting", "waiting"), ("causes", "causes")):
        listed = page.run(f"document.querySelectorAll('#{name} tbody tr').length")
        assert listed == len(document[key])
    assert page.run(f"{SECTIONS}.length") == len(document["targets"])


def test_a_section_shows_the_plan_as_its_own_page_does(opened, chromium, tmp_path):
    """The same changes with the same text, and the same order, people and policies."""
    changes = "[...document.querySelectorAll('{} .c')].map((c) => c.textContent)"
    sections = "[...document.querySelectorAll('{} h2')].map((h) => h.textContent)"
    sample = fleet_samples.PLANS
    plan = sample.load("eu-prod").plan
    page = opened(sample)
    path = tmp_path / "plan.html"
    path.write_text(render.plan(plan, format="html"), encoding="utf-8")
    own = chromium.open(f"file://{path}")
    number = page.run("document.querySelector('#targets tr[data-state=refused]').dataset.target")

    assert page.run(changes.format(f"#{number}")) == own.run(changes.format("main"))
    assert page.run(sections.format(f"#{number}")) == own.run(sections.format("main"))


def test_targets_are_filtered_by_result_and_by_words(opened):
    """Rows, sections and what waits; the address of the page keeps the filter."""
    page = opened(fleet_samples.PLANS)
    every = page.run(f"{ROWS}.length")

    page.click("button[data-state=refused]")
    assert page.run(f"{ROWS}.length") == page.run(f"{SECTIONS}.length") == 1
    assert page.run("location.hash") == "#state=refused"
    waiting = (
        "[...document.querySelectorAll('#waiting tbody tr')].filter((r) => r.checkVisibility())"
    )
    assert page.run(f"{waiting}.every((r) => r.textContent.includes('eu-prod'))")
    assert page.run("document.getElementById('shown').innerText") == f"1 of {every} targets"

    page.click("button[data-state=refused]")
    assert page.run(f"{ROWS}.length") == every

    page.press("/", "/")
    page.type("POSTHOG_KEY_US")
    page.until("location.hash === '#text=POSTHOG_KEY_US'")
    assert page.run(f"{ROWS}.map((r) => r.querySelector('a').innerText)") == ["us-prod"]
    assert page.run("document.getElementById('waiting').checkVisibility()") is False

    page.press("Escape")
    assert page.run(f"{ROWS}.length") == every
    assert page.run("location.hash") == ""
    assert page.problems == []


def test_a_tile_leads_to_the_targets_that_it_counts(opened):
    page = opened(fleet_samples.PLANS)
    page.click("header [data-filter='state=clean']")
    page.until("document.getElementById('shown').dataset.shown === '14'")

    assert page.run(f"{ROWS}.length") == 14


@pytest.mark.parametrize("place", ["t2", "t2-c3", "t2-p1"])
def test_a_link_opens_what_it_leads_to(opened, place):
    """A target, or a change of its plan: also one that a filter had hidden."""
    page = opened(fleet_samples.PLANS, f"#{place}")

    assert page.run(f"document.getElementById('{place}').checkVisibility()")
    assert page.run("document.getElementById('t2').open")
    page.run("location.hash = '#state=clean'")
    page.until("!document.getElementById('t2').checkVisibility()")
    page.run(f"location.hash = '#{place}'")
    page.until(f"document.getElementById('{place}').checkVisibility()")


def test_without_its_script_the_page_says_the_same(opened):
    """All rows are there, and what cannot work is not shown."""
    with_script, without = opened(fleet_samples.DRIFTS), opened(fleet_samples.DRIFTS, script=False)
    text = "document.querySelector('main').textContent"

    assert without.run(f"{ROWS}.length") == with_script.run(f"{ROWS}.length")
    assert without.run(text) == with_script.run(text)
    assert without.run("document.getElementById('filters').checkVisibility()") is False
    without.click("#t1 summary")
    assert without.run("document.getElementById('t1').open")


@pytest.mark.parametrize("word", ATTACKS)
def test_a_hostile_text_stays_text(opened, word):
    """Whatever a file, a server or a report says, everywhere on the page."""
    page = opened(fleet_samples.saying(word))

    assert escape(word) in page.run("document.body.textContent")
    assert page.run("document.querySelectorAll('script, style').length") == 2
    assert page.run("document.querySelectorAll('img, iframe, object, link, form').length") == 0
    assert page.run("document.title").startswith("fleet drift: ")
    assert page.run("document.documentElement.dataset.ready") == "yes"
    links = page.run("[...document.links].map((a) => a.getAttribute('href'))")
    assert all(link.startswith("#") for link in links)


def test_every_text_can_be_read(opened):
    """Contrast of at least 4.5 with what is behind it, in both colour schemes."""
    for sample in fleet_samples.ALL.values():
        page = opened(sample)
        page.run("document.querySelectorAll('details').forEach((d) => { d.open = true })")
        for scheme in (LIGHT, DARK):
            page.call("Emulation.setEmulatedMedia", features=[scheme])
            ratio, where = page.run(CONTRAST)

            assert ratio >= 4.5, where


def test_nothing_stands_out_to_the_side(opened):
    """At any width, whatever is as long as it likes."""
    for sample in (*fleet_samples.ALL.values(), fleet_samples.saying("long" * 60)):
        page = opened(sample)
        page.run("document.querySelectorAll('details').forEach((d) => { d.open = true })")
        for width in (320, 420, 900, 1600):
            page.resize(width)

            assert page.run("document.documentElement.scrollWidth") <= width


def test_a_hundred_targets_are_half_a_megabyte_and_are_searched(opened):
    """Five changes each; folded until somebody looks for one."""
    page = opened(fleet_samples.large(100))

    assert page.run("document.documentElement.outerHTML.length") < 500_000
    assert page.run("document.querySelectorAll('.of-target[open]').length") == 0
    page.run("location.hash = '#text=target-042'")
    page.until("document.getElementById('shown').dataset.shown === '1'")


def test_a_page_of_large_plans_has_an_end():
    """Each target has its share, and what is left out is counted."""
    sample = fleet_samples.large(50, changes=150)
    page = render.fleet(sample.report, sample.load, format="html")

    assert page.count('class="c ') == 5_000
    assert page.count("50 more changes of later steps") == 50


def test_a_report_that_cannot_be_read_leaves_its_error(opened):
    """Without details, the section says why."""
    result = TargetResult("lost", 1, error=fleet_samples.NO_KEY)
    page = opened(fleet_samples.Sample(FleetMode.PLAN, ((result, TargetDetails()),)))

    assert "POSTHOG_KEY_US is not set" in page.run("document.getElementById('t1').textContent")


def test_a_page_of_the_request_is_a_link_and_nothing_else_is(opened):
    """The page of PostHog, as the plan of the target names it."""
    asked = replace(samples.ASKED, url="javascript:alert(1)")
    evil = replace(samples.EVERYTHING, change_requests=(asked,))
    good = opened(fleet_samples.PLANS)
    bad = opened(fleet_samples.Sample(FleetMode.PLAN, (fleet_samples.planned("a", evil),)))
    links = "[...document.querySelectorAll('#waiting a')].map((a) => a.getAttribute('href'))"

    assert samples.REQUEST_PAGE in good.run(links)
    assert all(link.startswith("#") for link in bad.run(links))


def test_the_numbers_of_sections_are_those_of_the_plans(opened):
    """A change is a row in the section of its target."""
    page = opened(fleet_samples.DRIFTS)
    counted = json.loads(
        page.run(
            "JSON.stringify(Object.fromEntries([...document.querySelectorAll('.of-target')]"
            ".map((s) => [s.querySelector('b').textContent, s.querySelectorAll('.c').length])))"
        )
    )

    for name, number in counted.items():
        totals = codec.summarize(fleet_samples.DRIFTS.load(name).plan)
        assert number == totals["create"] + totals["update"] + totals["delete"]
