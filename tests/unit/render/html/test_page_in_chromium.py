"""The page as a browser shows it: right, quiet, safe, and of use without its script."""

import json
import shutil
import socket
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from reconciler import render
from reconciler.model import (
    NO_GATE,
    Action,
    Address,
    Cause,
    Change,
    FieldChange,
    Plan,
    ScheduledChange,
    Source,
    Verdict,
)
from reconciler.planfile import codec
from reconciler.render.html import change as page_changes
from reconciler.render.shared.sanitize import escape
from tests.support import Repository
from tests.unit.render import samples
from tests.unit.render.strategies import NASTY

SHOWN = "[...document.querySelectorAll('.c')].filter((c) => !c.closest('[hidden]')).length"
TILES = (
    "Object.fromEntries([...document.querySelectorAll('[data-count]')]"
    ".map((b) => [b.dataset.count, Number(b.textContent.replaceAll(',', ''))]))"
)
ACME = Path(__file__).parents[4] / "examples" / "acme"
ATTACKS = [
    "</script><img src=x onerror=\"document.title='pwned'\">",
    "<svg onload=\"document.title='pwned'\"></svg>",
    '" onmouseover="document.title=\'pwned\'" x="',
    "javascript:document.title='pwned'",
    "</style><style>body{display:none}</style>",
    "<!--",
    "{{constructor.constructor('document.title=1')()}} ${document.title} <%= 1 %>",
]
DARK = {"name": "prefers-color-scheme", "value": "dark"}
LIGHT = {"name": "prefers-color-scheme", "value": "light"}
# The contrast of every text with what is behind it, as WCAG counts it: the worst, and where.
CONTRAST = """(() => {
  const channels = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) =>
    v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, n) => sum + v * [0.2126, 0.7152, 0.0722][n], 0);
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const back = channels(getComputedStyle(e).backgroundColor);
      if (back.length === 3 || back[3] > 0) return back;
    }
    return [255, 255, 255];
  };
  let worst = [99, ""];
  for (const element of document.body.querySelectorAll("*")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || ["SCRIPT", "STYLE", "title"].includes(element.tagName)) continue;
    if (element.closest(".skip") || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const svg = element.tagName === "text";
    const under = behind(element);
    const [a, b] = [light(channels(svg ? style.fill : style.color)), light(under)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < worst[0]) worst = [ratio, element.outerHTML.slice(0, 160)];
  }
  return worst;
})()"""


@pytest.fixture
def opened(chromium, tmp_path):
    """A function that shows a plan in a tab of its own."""

    def show(plan=samples.EVERYTHING, fragment="", draw=render.plan, **how):
        path = tmp_path / "plan.html"
        path.write_text(draw(plan, format="html"), encoding="utf-8")
        page = chromium.open(f"file://{path}{fragment}", **how)
        assert page.requests == [f"file://{path}"]
        assert page.problems == []
        return page

    return show


def large(number):
    """A plan of so many changes, of three organizations."""
    causes, actions = tuple(Cause), (Action.UPDATE, Action.UPDATE, Action.CREATE)

    def change(n):
        address = Address("FeatureFlag", (f"org-{n % 3}", ("Web", "Mobile")[n % 2], f"flag-{n}"))
        fields = (
            samples.rollout(10, 50, base=10, cause=causes[n % 4]),
            FieldChange("name", f"Old {n}", f"New {n}"),
        )
        gate = samples.GATED.gate if n % 5 == 0 else NO_GATE
        return Change(address, actions[n % 3], fields, gate, source=Source("flags.yaml", n + 1))

    return Plan(tuple(map(change, range(number))), host="https://eu.posthog.com")


# --- it says what the plan says ---


@pytest.mark.parametrize("name", ["EVERYTHING", "SMALL", "NOTHING"])
def test_the_numbers_of_the_page_are_those_of_the_document(opened, name):
    """Tiles, rows and what each row says of itself."""
    plan = getattr(samples, name)
    document = codec.encode_plan(plan)
    page = opened(plan)

    tiles = page.run(TILES)
    rows = page.run("[...document.querySelectorAll('.c')].map((c) => ({...c.dataset}))")

    assert tiles == document["summary"]
    writes = [row for row in document["changes"] if row["action"] != "none"]
    assert sorted(
        (row["action"], row["kind"], row["gate"].split("\n")[-1]) for row in rows
    ) == sorted((row["action"], row["kind"], row["gate"]["verdict"]) for row in writes)


def test_the_page_of_a_real_plan(chromium, shared_sandbox, tmp_path):
    """The example repository against its own seed: planned, saved, shown from the file alone."""
    shutil.copytree(ACME, tmp_path, dirs_exist_ok=True)
    shared_sandbox.reset(yaml.safe_load((ACME / "seed.yaml").read_text(encoding="utf-8")))
    repo = Repository(tmp_path, shared_sandbox, token="phx_acme_ci")
    made = repo.run("plan", "--out", "plan.json", "--format", "json")
    assert made.code == 0, made.err
    shared_sandbox.clear()

    page = repo.run("show", "plan.json", "--format", "html").out
    (tmp_path / "plan.html").write_text(page, encoding="utf-8")
    shown = chromium.open(f"file://{tmp_path}/plan.html")

    assert shared_sandbox.requests() == []
    assert shown.problems == []
    assert shown.run(TILES) == made.json["summary"]
    assert shown.run(SHOWN) == len(made.json["changes"])
    gated = [row for row in made.json["changes"] if row["gate"]["verdict"] != "none"]
    pictures = shown.run("document.getElementById('people').textContent")
    for row in gated:
        for person in row["gate"]["approvers"]["users"]:
            assert person in pictures


def test_before_and_after_stand_side_by_side_with_place_and_cause(opened):
    page = opened(samples.SMALL)
    row = page.run("document.querySelector('.c').innerText")

    for said in ("filters.groups[0].rollout_percentage", "10", "50", "conflict", "[web]"):
        assert said in row
    assert "config/flags.yaml:31" in row
    assert "because rollout_percentage changes by more than 20 (10 → 50)" in row


def test_each_person_is_listed_once_with_what_they_can_approve(opened):
    """By number of changes, projects and policies; and why they cannot, if they cannot."""
    gate = samples.gate(Verdict.APPROVAL, cannot_approve={"bob@acme.test": "files the request"})
    other = samples.gate(Verdict.APPROVAL, quorum=1)
    plan = Plan(
        (samples.update("a", gate=gate), samples.update("b", gate=other), samples.PENDING),
        change_requests=(samples.ASKED,),
    )
    people = opened(plan).run(
        "[...document.querySelectorAll('.someone')]"
        ".map((p) => [p.querySelector('b').innerText, p.innerText])"
    )

    assert [name for name, _ in people] == ["alice@acme.test", "bob@acme.test"]
    (_, alice), (_, bob) = people
    for said in ("Release managers", "can approve 3 changes in 1 project", "required for 1",
                 "1 open request", "feature_flag.update"):  # fmt: skip
        assert said in alice
    for said in ("can approve 1 change in 1 project", "cannot approve 1 change: files the request",
                 "cannot approve 1 change: has approved"):  # fmt: skip
        assert said in bob
    assert "required" not in bob


def test_a_policy_is_one_card_with_its_quorum_its_people_and_its_verdicts(opened):
    """People are named by links to their entries, not described again."""
    page = opened()
    cards = page.run("[...document.querySelectorAll('.gate')].map((c) => c.innerText)")
    (card,) = (card for card in cards if "feature_flag.update" in card)
    leads = page.run("document.querySelector('.gate .discs a').getAttribute('href')")

    for said in ("2 approvals; expires after 14d", "1\nrejected before", "2\nneed approval",
                 "1\nbypasses approval", "Release managers", "alice@acme.test"):  # fmt: skip
        assert said in card
    assert page.run(f"document.querySelector('{leads} .who b').innerText") == "alice@acme.test"


def test_the_order_of_apply_is_a_picture(opened):
    """Roles, stricter policies, flags, flags in steps, weaker policies, deletes."""
    policy = Address("ApprovalPolicy", ("acme", "Web", "feature_flag.update"))
    stricter = Change(policy, Action.UPDATE, (FieldChange("approvers.quorum", 1, 2),))
    weaker = replace(
        stricter, address=Address(policy.kind, ("acme", "Web", "feature_flag.enable")),
        depends_on=(samples.GATED.address,),
    )  # fmt: skip
    changes = (samples.CREATED_ROLE, stricter, samples.GATED, samples.SPLIT, weaker,
               samples.DELETED)  # fmt: skip
    page = opened(Plan(changes))
    waves = page.run(
        "[...document.querySelectorAll('.wave')].map((w) => [w.querySelector('h3').innerText,"
        " w.querySelector('.count').innerText])"
    )
    calls = page.run("[...document.querySelectorAll('.call')].map((c) => c.innerText)")

    assert waves == [
        ["Organizations, projects, people", "1"], ["Approval policies", "1"], ["Flags", "1"],
        ["Flags in several steps", "1"], ["Weaker policies", "1"], ["Deletes", "1"],
    ]  # fmt: skip
    assert calls == [
        "name, tags no approval",
        "filters approval: feature_flag.update",
        "active approval: feature_flag.enable",
    ]


SCHEDULED = replace(
    samples.update("later"),
    scheduled=(ScheduledChange("2026-01-12T09:00:00Z", "update_status", value=True),),
)


def test_requests_and_scheduled_changes_share_one_axis(opened):
    """Filed, voted on, now, expiring: from left to right; what comes next is above."""
    other = replace(
        samples.ASKED, id="1" * 8, created_at="2026-01-02T09:00:00Z", votes=(),
        expires_at="2026-01-09T09:00:00Z", name="sooner",
    )  # fmt: skip
    page = opened(
        replace(
            samples.EVERYTHING,
            created_at="2026-01-08T15:00:00Z",
            changes=(*samples.EVERYTHING.changes, SCHEDULED),
            change_requests=(samples.ASKED, other),
        )
    )
    rows = page.run(
        "[...document.querySelectorAll('.request')].map((r) => [r.querySelector('.what').innerText,"
        " ...['.bar', '.filed', '.yes', '.now', '.planned'].map((n) => {"
        " const b = r.querySelector(n)?.getBoundingClientRect();"
        " return b ? [b.x + b.width / 2, b.right] : null; })])"
    )
    events = page.run("document.querySelector('#requests').innerText")
    (first, *_), (second, *planned), (third, bar, filed, vote, now, _) = rows

    assert first.startswith("sooner")
    assert "expires in 18 hours" in first
    assert second.startswith("later")
    assert "happens in 3 days" in second
    assert third.startswith("waits-already")
    assert filed[0] < vote[0] < now[0] < planned[4][0] < bar[1]
    assert now[0] == pytest.approx(planned[3][0])
    assert "2026-01-05 09:00 UTC filed by ci@acme.test" in events
    assert "bob@acme.test approved: fine" in events
    assert "2026-01-19 09:00 UTC expires" in events
    assert "active becomes true" in events


def test_links_lead_to_posthog_and_to_places_and_filters_and_nowhere_else(opened):
    page = opened()
    links = page.run("[...document.querySelectorAll('a')].map((a) => a.getAttribute('href'))")
    filters = page.run("[...document.querySelectorAll('[data-filter]')].map((a) => a.hash)")

    assert {link for link in links if not link.startswith("#")} == {
        "http://127.0.0.1:8000/project/1/feature_flags/42",
        f"http://127.0.0.1:8000/project/1/approvals/{samples.REQUEST}",
    }
    for link in {link for link in links if link.startswith("#")} - set(filters):
        assert page.run(f"document.getElementById({json.dumps(link[1:])}) !== null"), link


def test_a_path_is_broken_before_dots_brackets_and_slashes_only(opened):
    """In the narrow first column of a table, too."""
    for width in (400, 1400):
        page = opened(Plan((samples.update("a", samples.rollout(10, 50)),)), width=width)
        broken = page.run(
            """[...document.querySelectorAll("tbody th, .about code")].flatMap((cell) => {
              const found = [];
              let last = null;
              const walk = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
              while (walk.nextNode()) for (let n = 0; n < walk.currentNode.length; n++) {
                const range = document.createRange();
                range.setStart(walk.currentNode, n);
                range.setEnd(walk.currentNode, n + 1);
                const top = range.getBoundingClientRect().top;
                if (last !== null && top > last + 5) found.push(range.toString());
                last = top;
              }
              return found;
            })"""
        )

        assert set(broken) <= set("./[")
        assert broken or width == 400


# --- filters ---


def count(plan, test):
    return sum(map(test, plan.writes))


@pytest.mark.parametrize(
    ("fragment", "test"),
    [
        ("#action=delete", lambda one: one.action is Action.DELETE),
        ("#gate=bypass", lambda one: one.gate.verdict is Verdict.BYPASS),
        ("#kind=Role", lambda one: one.address.kind == "Role"),
        ("#cause=drift", lambda one: any(field.cause is Cause.DRIFT for field in one.fields)),
        ("#action=update&gate=none", lambda one: one.address.name == "nobody-knows"),
        ("#text=CONFIG%2Fflags.yaml%3A31", lambda one: one.address.name == "new-checkout"),
        ("#text=beta+faster", lambda one: one.address.name == "new-search"),
        ("#text=nowhere-at-all", lambda _: False),
        ("#nonsense=1", lambda _: True),
    ],
)
def test_an_address_with_a_filter_shows_as_many_as_the_plan_has(opened, fragment, test):
    """And says how many; what is left empty is hidden, also in the tree."""
    page = opened(fragment=fragment)
    expected = count(samples.EVERYTHING, test)

    assert page.run(SHOWN) == expected
    assert page.run("document.getElementById('shown').dataset.shown") == str(expected)
    empty = page.run(
        "[...document.querySelectorAll('.group')].filter((g) => !g.hidden"
        " && !g.querySelector('.c:not([hidden])')).length"
    )
    assert empty == 0


LINKED = """[...document.querySelectorAll("[data-filter]")].map((a) => {
  const beside = a.closest(".lanes li, .places span, .tile") ?? a;
  return [a.hash, Number(beside.innerText.match(/[\\d,]+/)[0].replaceAll(",", ""))];
})"""


def test_a_number_with_a_link_is_what_its_filter_shows(opened):
    """Tiles, waves, people and policies; without the script they lead to the changes."""
    page = opened()
    linked = page.run(LINKED)

    assert len(linked) > 20
    assert len(dict(linked)) == len({(link, number) for link, number in linked})
    for link, number in dict(linked).items():
        page.run(
            "new Promise((done) => { addEventListener('hashchange', () => setTimeout(done));"
            f" location.hash = {json.dumps(link)} }})"
        )
        assert page.run(SHOWN) == number, link
    without = opened(script=False)
    assert without.run("[...new Set([...document.querySelectorAll('[data-filter]')]"
                       ".map((a) => a.hash))]") == ["#changes"]  # fmt: skip


def test_the_numbers_of_the_sidebar_and_of_the_buttons_follow_the_filter(opened):
    """A button counts what it would show together with the other filters."""
    page = opened(fragment="#kind=FeatureFlag&gate=none")
    shown = page.run(SHOWN)

    beside = page.run("[...document.querySelectorAll('nav a:not([hidden]) .number')]"
                      ".map((n) => Number(n.innerText))")  # fmt: skip
    actions = dict(
        page.run("[...document.querySelectorAll('[data-facet=action]')]"
                 ".map((b) => [b.dataset.value, Number(b.querySelector('b').innerText)])")
    )  # fmt: skip
    kinds = page.run("document.querySelector('[data-value=Role] b').innerText")

    assert sum(beside) == shown == sum(actions.values())
    assert actions == {"create": 1, "update": 1, "delete": 1}
    assert kinds == "1"


def test_a_filter_that_all_share_or_none_has_is_not_offered(opened):
    """Drift of which nobody is known has no row for people; nor has one kind a row of kinds."""
    changed = samples.update("a", samples.rollout(77, 50, attribution=samples.UNSAID))
    late = samples.update("b", samples.rollout(1, 2, attribution=samples.UNAPPLIED))
    page = opened(replace(samples.DRIFTED, changes=(changed, late)), draw=render.drift)
    rows = page.run(
        "[...document.querySelectorAll('.facet')].map((f) => [f.getAttribute('aria-label'),"
        " ...[...f.querySelectorAll('button')].map((b) => b.innerText)])"
    )

    assert rows == [["Approval", "not known 1", "not applied yet 1"]]


def test_the_legend_of_drift_speaks_of_drift(opened):
    plan = replace(samples.DRIFTED, changes=(SCHEDULED,), created_at="2026-01-08T15:00:00Z")
    page = opened(plan, draw=render.drift)

    assert "now: drift was checked" in page.run("document.querySelector('.legend').innerText")


def test_drift_is_found_by_who_did_it_and_how(opened):
    """By person and by way, as the document has them."""
    rows = codec.encode_plan(samples.TOLD)["changes"]
    page = opened(samples.TOLD, draw=render.drift)
    people = page.run(
        "[...document.querySelectorAll('[data-facet=who], [data-facet=way]')]"
        ".map((b) => [b.dataset.facet, b.dataset.value])"
    )

    assert ["who", "dana@acme.test"] in people
    assert ["way", "bypass"] in people
    for facet, value in people:
        key = {"who": "person", "way": "class"}[facet]
        page.run(f"location.hash = new URLSearchParams({{{facet}: {json.dumps(value)}}})")
        expected = sum(
            value in {(one.get("attribution") or {}).get(key) for one in (row, *row["fields"])}
            for row in rows
        )
        page.until(f"document.getElementById('shown').dataset.shown === '{expected}'")
        assert page.run(SHOWN) == expected


def test_filters_are_pressed_typed_and_cleared(opened):
    """By mouse and by keyboard; the address of the page keeps them."""
    page = opened()
    every = page.run(SHOWN)

    page.click("[data-facet=gate][data-value=approval]")
    assert page.run(SHOWN) == 2
    assert page.run("location.hash") == "#gate=approval"
    pressed = "document.querySelector('[data-value=approval]').getAttribute('aria-pressed')"
    assert page.run(pressed) == "true"

    page.click("[data-facet=gate][data-value=approval]")
    assert page.run(SHOWN) == every

    page.press("/", "/")
    assert page.run("document.activeElement.id") == "text"
    page.type("not there")
    page.until("location.hash === '#text=not+there'")
    assert page.run(SHOWN) == 0

    page.press("Escape")
    assert page.run(SHOWN) == every
    assert page.run("location.hash") == ""
    assert page.problems == []


def test_a_link_to_a_change_unfolds_it(opened):
    """In a page whose groups are folded, too."""
    page = opened(large(400), "#c250")

    assert page.run("document.getElementById('c250').open")
    assert page.run("document.getElementById('c250').closest('.group').open")
    assert page.run("document.querySelectorAll('.c[open]').length") == 1


def test_unfold_and_fold(opened):
    page = opened(large(40))
    assert page.run("document.querySelectorAll('.c[open]').length") == 0

    page.click("#open")
    assert page.run("document.querySelectorAll('.c[open]').length") == 40
    page.click("#fold")
    assert page.run("document.querySelectorAll('.c[open]').length") == 0


def test_thousands_of_changes_are_a_few_megabytes_and_can_be_searched(opened):
    """Groups are folded, and a search finds the one; a change takes 1,200 bytes at most."""
    plan = large(1500)
    page = opened(plan)

    assert page.run("document.documentElement.outerHTML.length") < 1_800_000
    assert page.run("document.querySelectorAll('.c').length") == 1500
    assert page.run("document.querySelectorAll('.group[open]').length") == 0
    page.run("location.hash = '#text=flag-1321'")
    page.until("document.getElementById('shown').dataset.shown === '1'")
    found = page.run("document.querySelector('.group[open] .c:not([hidden]) .name').textContent")
    assert found == "flag-1321"


def test_a_page_has_an_end(monkeypatch):
    """Beyond some number the changes are counted; totals are those of the whole plan."""
    assert page_changes.MOST == 20_000
    monkeypatch.setattr(page_changes, "MOST", 1_600)
    page = render.plan(large(1_603), format="html")

    assert page.count('class="c ') == 1_600
    assert "3 more changes of later steps" in page
    assert '<b data-count="update">1,069</b>' in page


# --- nothing foreign is obeyed ---


@pytest.mark.parametrize("word", ATTACKS)
def test_a_hostile_name_stays_text(opened, word):
    """The page has its own script and no other, and shows the name as it is."""
    page = opened(samples.saying(word))

    assert page.run("document.querySelector('h1').textContent") == escape(word)
    assert page.run("document.title").startswith("plan: ")
    assert page.run("document.querySelectorAll('script, style').length") == 2
    assert page.run("document.querySelectorAll('img, iframe, object, link, form').length") == 0
    assert page.run("document.documentElement.dataset.ready") == "yes"
    assert page.run("getComputedStyle(document.body).display") == "block"
    assert page.run(SHOWN) == 3


def test_everything_nasty_at_once_stays_text(opened):
    """Whatever a file or a server could say, in one page."""
    plans = [samples.saying(word) for word in NASTY]
    changes = {one.address: one for plan in plans for one in plan.changes}
    asked = tuple(one for plan in plans for one in plan.change_requests)
    page = opened(Plan(tuple(changes.values()), change_requests=asked))

    shown = page.run("document.body.textContent")
    for word in NASTY:
        assert escape(word) in shown
    assert page.run("document.querySelectorAll('script, style, img, iframe').length") == 2
    assert page.run(SHOWN) == len(changes)


def test_the_policy_of_the_page_lets_nothing_in(opened):
    """Markup that got in all the same could neither run nor load anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        page = opened()
        stopped = page.run(
            f"""new Promise((done) => {{
              const stopped = [];
              addEventListener("securitypolicyviolation", (event) => {{
                stopped.push(event.effectiveDirective);
                if (stopped.length === 4) done(stopped.sort());
              }});
              const add = (tag, more) => document.body.append(
                Object.assign(document.createElement(tag), more));
              add("img", {{src: "{address}/pixel.png"}});
              add("script", {{src: "{address}/x.js"}});
              add("script", {{textContent: "document.title = 'pwned'"}});
              fetch("{address}/data").catch(() => 0);
            }})"""
        )
        server.settimeout(0.2)
        with pytest.raises(TimeoutError):
            server.accept()

    assert stopped == ["connect-src", "img-src", "script-src-elem", "script-src-elem"]
    assert page.run("document.title") == "plan: production"


# --- without a script, in the dark, on a phone, on paper ---


def test_without_its_script_the_page_says_the_same(opened):
    """All rows are there, and what cannot work is not shown."""
    with_script, without = opened(), opened(script=False)
    rows = "[...document.querySelectorAll('.c')].map((c) => c.textContent)"

    assert without.run(rows) == with_script.run(rows)
    assert without.run(SHOWN) == with_script.run(SHOWN)
    assert without.run("document.getElementById('filters').checkVisibility()") is False
    assert without.run("document.documentElement.dataset.ready") is None
    folded = opened(large(40), script=False)
    folded.click(".c summary")
    assert folded.run("document.querySelectorAll('.c[open]').length") == 1


def test_every_text_can_be_read(opened):
    """Contrast of at least 4.5 with what is behind it, in both colour schemes."""
    for page in (opened(), opened(samples.TOLD, draw=render.drift)):
        page.run("document.querySelectorAll('details').forEach((d) => { d.open = true })")
        for scheme in (LIGHT, DARK):
            page.call("Emulation.setEmulatedMedia", features=[scheme])
            ratio, where = page.run(CONTRAST)

            assert ratio >= 4.5, where


def test_nothing_stands_out_to_the_side(opened):
    """At any width, whatever is as long as it likes."""
    for plan in (samples.EVERYTHING, samples.saying("long" * 60), samples.saying("<b>" * 60)):
        page = opened(plan)
        for width in (320, 420, 900, 1600):
            page.resize(width)

            assert page.run("document.documentElement.scrollWidth") <= width


def test_paper_has_no_controls_and_no_folds(opened):
    """All values of a small plan are printed; of a large one a line for each change."""
    values = "document.querySelectorAll('.c td')"
    for plan, is_open in ((large(20), True), (large(320), False)):
        page = opened(plan, media=[LIGHT])
        page.call("Emulation.setEmulatedMedia", media="print")
        summaries = "[...document.querySelectorAll('.c summary')]"

        assert page.run("document.getElementById('filters').checkVisibility()") is False
        assert page.run("document.querySelector('nav').checkVisibility()") is False
        assert page.run(f"{summaries}.every((s) => s.checkVisibility() && s.offsetHeight > 20)")
        assert page.run(f"{values}.length") > 20
        assert page.run(f"[...{values}].every((v) => v.checkVisibility()) ") is is_open


def test_nothing_waits_to_be_scrolled_to(opened):
    """A picture of the whole page has no blank rows: the last one is drawn like the first."""
    page = opened()

    assert page.run("document.documentElement.scrollHeight > innerHeight * 3")
    assert page.run(
        "[...document.querySelectorAll('*')]"
        ".every((e) => getComputedStyle(e).contentVisibility === 'visible')"
    )
    assert page.run("document.querySelector('.c:last-of-type .name').innerText") != ""


def test_everything_is_reached_by_keyboard_and_has_a_name(opened):
    """The first stop leads past everything; controls say what they are."""
    page = opened()
    page.press("Tab")
    assert page.run("document.activeElement.getAttribute('href')") == "#changes"
    assert page.run("document.activeElement.matches(':focus-visible')")

    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    unnamed = [
        node
        for node in nodes
        if node.get("role", {}).get("value") in {"button", "link", "searchbox", "image"}
        and not node.get("ignored")
        and not node.get("name", {}).get("value")
    ]
    assert unnamed == []
