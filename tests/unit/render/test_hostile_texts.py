"""Nothing foreign leaves a sink unescaped, and no word changes the shape of what is around it."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from functools import cache
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import cmarkgfm
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jinja2 import UndefinedError
from markdown_it import MarkdownIt

from reconciler import render
from reconciler.errors import ApiError, ConfigError
from reconciler.kinds import KINDS
from reconciler.model import Outcome, Problem, Result, Severity, Verdict
from reconciler.planfile import digest, results
from reconciler.render import github, gitlab, html, markdown, text
from reconciler.render.html.components import load_environment
from reconciler.render.shared import change_requests, text_diff
from reconciler.render.shared.options import Zoom
from reconciler.render.shared.sanitize import count_columns, escape, make_visible
from reconciler.render.shared.values import format_flow
from tests.unit.render import samples
from tests.unit.render.shared.test_change_requests import payload
from tests.unit.render.strategies import NASTY, hostile, plans

UNSEEN = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
)
COLOUR = re.compile(r"\x1b\[[0-9;]+m")
short = hostile.filter(  # where a line is broken is up to the length of its words
    lambda word: (
        make_visible(word).strip()
        and max(count_columns(make_visible(word)), count_columns(make_visible(format_flow(word))))
        <= 16
        and word not in {*Result, *KINDS}  # what the samples themselves are called
    )
)
LOOKS = [
    (40, 0, Zoom.FIELDS),
    (100, 0, None),
    (100, 2, None),
    (60, 0, Zoom.RESOURCES),
    (40, 0, Zoom.TOTALS),
]


def like(word):
    """A plain word; as many lines of it where a value of several lines is written as a block.

    And as many parts: where an address is wanted, `a/b/c` is not one name.
    """
    if text_diff.format_literal(word) is None:
        return "/".join("word" if part else "" for part in word.split("/"))
    return "\n".join("word" if line else "" for line in word.split("\n"))


def harmless(shown):
    """What a terminal and a CI runner must never be sent (faults I-a and I-b)."""
    assert UNSEEN.search(shown) is None
    assert "##[" not in shown
    for line in shown.split("\n"):
        assert not line.strip().startswith("::"), line
    shown.encode()  # no lone surrogates


def whole(word, draw=render.plan, **look):
    """The drawing of a plan that says a word everywhere, with room enough for all of it."""
    look = {"width": 10_000, "verbose": 1, **look}
    shown = [draw(samples.saying(word, verdict), **look) for verdict in Verdict]
    return "\n".join(shown)


@pytest.mark.parametrize("word", NASTY)
def test_no_format_holds_what_a_runner_takes_for_a_command(word):
    """Whatever is printed to the log of a build: comments, pages, JSON, reports."""
    plan, ended = samples.saying(word), samples.outcomes_saying(word)
    printed = [draw(plan, format=one) for draw in (render.plan, render.drift)
               for one in render.FORMATS]  # fmt: skip
    printed += [render.drift(plan, format="sarif"), gitlab.findings(plan.findings)]
    printed += [
        render.outcomes(ended, plan, format="markdown"),
        digest.format_document(results.encode_outcomes(ended, plan)),
    ]
    for shown in printed:
        harmless(shown.replace("\u200d", ""))
    for line in github.findings(plan.findings).split("\n"):
        assert re.match(r"::(error|warning|notice) ", line)
        assert "##[" not in line


def everything_on_a_terminal(word, *, color=False):
    outcomes, plan = samples.outcomes_saying(word), samples.saying(word)
    found = samples.saying(word).findings
    yield whole(word, format="text", color=color)
    yield whole(word, render.drift, format="text", color=color)
    yield from (text.format_outcome_line(one, color=color) for one in outcomes)
    yield render.outcomes(outcomes, plan, format="text", color=color, width=10_000)
    yield text.findings(found, color=color)
    yield text.error(ConfigError(word, findings=found), color=color)
    yield text.error(ApiError(word, detail=word, code=word, state=word, fix=word), color=color)
    odd = payload(
        id=word,
        action_key=word,
        state=word,
        validation_status=word,
        validation_errors={word: word},
        apply_error=word,
        created_at=word,
        expires_at=word,
        created_by={"email": word},
    )
    odd["approvals"][0] |= {"reason": word, "created_by": {"email": word}}
    place = {"organization": word, "project": word, "base_url": word}
    names = {"people": {11: word}, "roles": {"r1": {"name": word, "members": [word]}}}
    for state in (word, "pending"):
        odd["state"] = state
        yield render.change_request(odd, format="text", color=color, **names, **place)
        row = change_requests.summarize_request(odd, **place)
        yield render.change_requests([row], format="text", color=color)
        proposal = change_requests.describe_proposal(odd)
        row |= {"address": word, "proposal": proposal, "command": word}
        yield render.inbox([row], format="text", color=color)


# --- the terminal ---


@pytest.mark.parametrize("word", NASTY)
def test_nothing_that_a_terminal_obeys(word):
    for shown in everything_on_a_terminal(word):
        harmless(shown)


@given(short)
def test_no_word_changes_the_lines_of_a_terminal(word):
    """As many lines as with a plain word; and as many as there are with colour."""
    plain = list(everything_on_a_terminal(like(word)))
    for expected, shown, colored in zip(
        plain,
        everything_on_a_terminal(word),
        everything_on_a_terminal(word, color=True),
        strict=True,
    ):
        harmless(shown)
        assert shown == COLOUR.sub("", colored)
        if "\n" in expected:
            assert len(expected.split("\n")) == len(shown.split("\n"))


@given(plans)
def test_plans_of_any_shape(plan):
    """At any width, folded or not, in colour or not."""
    for draw in (render.plan, render.drift):
        for width, verbose, zoom in LOOKS:
            look = {"format": "text", "width": width, "verbose": verbose, "zoom": zoom}
            shown = draw(plan, **look)
            colored = draw(plan, color=True, **look)

            harmless(shown)
            assert zoom is not Zoom.TOTALS or "\n" not in shown
            assert shown == COLOUR.sub("", colored)


@settings(deadline=None)
@given(hostile)
def test_escaping_twice_is_escaping_once(word):
    """So that a piece that went through it already does no harm in a fence or a tag."""
    assert escape(word) == escape(escape(word))
    assert make_visible(word) == make_visible(make_visible(word))


def test_what_is_harmless_stays_as_it_is():
    assert escape("Müller & Söhne <50 %> a::b 日本語 ✓") == "Müller & Söhne <50 %> a::b 日本語 ✓"


# --- Markdown ---


def shape(shown):
    """The tree of a Markdown text without its words: what CommonMark makes of it."""
    parser = MarkdownIt("commonmark").enable("table")
    for token in parser.parse(shown):
        if token.type == "inline":
            kinds = [(one.type, one.tag) for one in token.children]
            yield [kind for n, kind in enumerate(kinds) if n == 0 or kind != kinds[n - 1]]
            assert not any(
                one.type in {"html_inline", "image", "link_open"} for one in token.children
            )
        elif token.type == "html_block":
            yield [token.type, *tags(token.content)]
        else:
            yield [token.type, token.tag, token.nesting]


@given(hostile)
def test_no_word_changes_the_tree_of_a_comment(word):
    """Parsed by a CommonMark parser, it is the tree of a plain word (fault I-c)."""
    assume(make_visible(word).strip())

    for draw in (render.plan, render.drift):
        expected = whole(like(word), draw, format="markdown")
        shown = whole(word, draw, format="markdown")

        assert UNSEEN.search(shown.replace("\u200d", "")) is None
        assert list(shape(expected)) == list(shape(shown))


def gfm(shown):
    """The elements that GitHub's own parser makes of it, with extensions and raw HTML."""
    options = cmarkgfm.cmark.Options.CMARK_OPT_UNSAFE
    return tags(cmarkgfm.github_flavored_markdown_to_html(shown, options))


@given(hostile)
def test_no_word_changes_what_github_makes_of_a_comment(word):
    """Tables, links without brackets, task lists and raw tags are what its parser adds."""
    assume(make_visible(word).strip())
    assume(word.count("/") < 2)  # an address of more parts, as which the samples hold it unquoted

    for draw in (render.plan, render.drift):
        expected = draw(samples.saying(like(word)), format="markdown")
        shown = draw(samples.saying(word), format="markdown")

        assert gfm(expected) == gfm(shown)
    ended = samples.outcomes_saying(word)
    assert gfm(
        render.outcomes(samples.outcomes_saying("word"), samples.saying("word"), format="markdown")
    ) == gfm(render.outcomes(ended, samples.saying(word), format="markdown"))


@given(plans)
def test_a_comment_of_any_plan_holds_no_markup_of_its_words(plan):
    for draw in (render.plan, render.drift):
        shown = draw(plan, format="markdown")
        kinds = {kind for row in shape(shown) for kind in row if isinstance(kind, str)}
        made = {one if isinstance(one, str) else one[0] for one in gfm(shown)}

        assert len(shown) <= 65_536
        assert {"blockquote_open", "table_open", "ordered_list_open"} & kinds <= {"blockquote_open"}
        assert not {"a", "img", "table", "input", "script", "style", "del", "ol"} & made
        harmless(shown.replace("\u200d", ""))


@pytest.mark.parametrize(
    "word",
    ["@alice", "x @acme/team", "#123", "acme/web#4", "GH-5", "!12", "$3", "%4", "&5", "~label"],
)
def test_nobody_is_mentioned_and_nothing_is_linked(word):
    """Outside of code a joiner stands behind each sign of GitHub's and of GitLab's."""
    for shown in (markdown.escape_prose(word), markdown.escape_tag(word)):
        plain = unescape(shown).replace("\\", "")
        assert re.search(r"[@#!$%&~]\w|GH-\d", plain) is None


@pytest.mark.parametrize("word", ["http://evil.example", "www.evil.example"])
def test_no_address_becomes_a_link(word):
    assert markdown.escape_prose(word) in (r"http\://evil\.example", r"www\.evil\.example")


def test_a_fence_is_longer_than_any_run_inside():
    shown = markdown.format_fence(["````", "`````"], "diff").split("\n")

    assert shown == ["``````diff", "````", "`````", "``````"]


MONSTERS = ["x", "😀" * 300, "`" * 500, "\x1b" * 500, "\u0301" * 9_999, "&" * 9_999, "@a" * 9_999,
            "\\" * 9_999, "\ud800" * 999, "line\n" * 999, "日" * 9_999]  # fmt: skip
MANY_CHANGES = tuple(
    samples.update(
        f"flag-{n}",
        samples.rollout(n, n + 1),
        gate=samples.gate(Verdict.APPROVAL, policy=f"ApprovalPolicy/acme/P{n}/feature_flag.update"),
    )
    for n in range(700)
)


@pytest.mark.parametrize("word", MONSTERS, ids=lambda word: f"{word[:1]!a}")
def test_a_comment_never_outgrows_what_github_takes(word):
    """Totals, approvals and findings are there; the rest is counted, and it is said where it is."""
    said = samples.saying(word, Verdict.BLOCKED)
    plan = replace(
        said,
        changes=said.changes + MANY_CHANGES,
        findings=said.findings * 20 + (samples.MISSING,) * 500,
        unmanaged=said.unmanaged * 500,
    )
    for draw in (render.plan, render.drift):
        shown = draw(plan, format="markdown", whole="plan.json", run="https://ci.example/run/7")

        assert len(shown.encode("utf-16-le")) // 2 <= markdown.CAP
        assert shown.count("<details") == shown.count("</details>")
        assert "#### Findings" in shown
        assert re.search(r"more changes\*\* not shown: .*`reconciler show plan.json`", shown)
        assert "[this run](https://ci.example/run/7)" in shown
    shown = render.plan(plan, format="markdown")

    assert shown.index("to update") < shown.index("#### Approvals") < shown.index("#### Findings")
    assert shown.index("#### Findings") < shown.index("<details>")


@pytest.mark.parametrize("word", MONSTERS, ids=lambda word: f"{word[:1]!a}")
def test_what_became_of_a_large_plan_fits_a_comment_too(word):
    plan = replace(samples.saying(word), changes=MANY_CHANGES)
    failed = Problem(word, word, word, word)
    ended = [
        Outcome(one.address, one.action, Result.FAILED, problem=failed) for one in MANY_CHANGES
    ]
    shown = render.outcomes([*samples.outcomes_saying(word), *ended], plan, format="markdown")

    assert len(shown.encode("utf-16-le")) // 2 <= 30_000
    assert "#### Failed" in shown
    assert "more" in shown


@pytest.mark.parametrize(
    ("whole", "run"), [("a b`.json", "javascript:x"), ("$(x)", "https://a/)[x](b"), ("", "")]
)
def test_where_the_whole_is_is_not_believed_blindly(whole, run):
    """Names that could be more than a name are left out."""
    shown = render.plan(samples.Plan(MANY_CHANGES), format="markdown", whole=whole, run=run)

    assert "`reconciler plan --format html` shows everything." in shown


# --- HTML ---


ASSETS = Path(html.__file__).parent
STYLE = (ASSETS / "page.css").read_text()
SCRIPT = "".join((ASSETS / name).read_text() for name in ("filters.js", "page.js"))


class Tags(HTMLParser):
    """Every tag with its attributes, and the words between."""

    def __init__(self):
        super().__init__()
        self.found, self.words = [], ""

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, *attrs))

    def handle_endtag(self, tag):
        self.found.append(f"/{tag}")

    def handle_data(self, data):
        self.words += data

    def handle_comment(self, data):  # noqa: ARG002  the parser's own signature
        self.found.append("comment")

    def unknown_decl(self, data):
        raise AssertionError(data)


def frame(shown):
    """The tags with their attributes, but for those that hold words for people or the script."""
    told = {"aria-label", "title", "data-value", "data-kind", "data-who", "data-filter"}
    for one in tags(shown):
        if one == ("wbr",):  # where a line may end
            continue
        attributes = one[1:] if isinstance(one, tuple) else ()
        yield one[0] if attributes else one
        yield [(name, "" if name in told else value) for name, value in attributes]


def tags(shown):
    parser = Tags()
    parser.feed(shown.replace(STYLE, "").replace(SCRIPT, ""))
    parser.close()
    return parser.found


@cache
def plain_frame(word, verdict, draw):
    return list(frame(draw(samples.saying(word, verdict), format="html")))


@given(short, st.sampled_from(Verdict))
def test_no_word_changes_the_elements_of_a_page(word, verdict):
    """Parsed, the page has the same tags and attributes as for a plain word (fault I-d)."""
    for draw in (render.plan, render.drift):
        shown = draw(samples.saying(word, verdict), format="html")

        assert plain_frame(like(word), verdict, draw) == list(frame(shown))
        assert UNSEEN.search(shown) is None


KNOWN_TAGS = (
    "html head meta title style body a header p h1 h2 h3 ul ol li b i span main section div "
    "svg rect path circle line text nav details summary pre code table thead tbody tr "
    "th td ins del time input button script footer ol br wbr"
)
KNOWN_ATTRIBUTES = (
    "lang charset http-equiv content name class id open colspan href rel role hidden type scope "
    "placeholder viewbox width height x y rx cx cy r d x1 x2 y1 y2 title"
)


@given(plans)
def test_a_page_of_any_plan_is_well_formed_and_runs_nothing_of_it(plan):
    """Known elements and attributes alone; one script, which is that of the program."""
    for draw in (render.plan, render.drift):
        shown = draw(plan, format="html")
        found = tags(shown)
        names = [one if isinstance(one, str) else one[0] for one in found]
        void = {"meta", "input", "br", "wbr"}
        opened = [name for name in names if not name.startswith("/") and name not in void]

        assert sorted(opened) == sorted(name[1:] for name in names if name.startswith("/"))
        assert {name.removeprefix("/") for name in names} <= set(KNOWN_TAGS.split())
        assert names.count("script") == names.count("style") == 1
        assert shown.count(SCRIPT) == shown.count(STYLE) == 1
        for one in found:
            for name, value in one[1:] if isinstance(one, tuple) else ():
                assert name in KNOWN_ATTRIBUTES.split() or name.startswith(("data-", "aria-")), name
                if name == "href":
                    assert value.startswith(("#", plan.host.rstrip("/") + "/"))
                    assert value.startswith(("#", "https://", "http://"))


def test_a_page_loads_nothing_and_runs_what_its_policy_names():
    """The hashes are those of the style and of the script; nothing else is let in."""
    shown = render.plan(samples.EVERYTHING, format="html")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', shown)[1]
    hashes = [
        "'sha256-" + base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() + "'"
        for part in (STYLE, SCRIPT)
    ]

    assert policy == (
        f"default-src 'none'; style-src {hashes[0]}; script-src {hashes[1]}; "
        "base-uri 'none'; form-action 'none'"
    )
    assert "url(" not in shown
    assert "@import" not in shown
    assert not re.search(r"\b(src|srcset|style|on[a-z]+)=", shown.replace(SCRIPT, ""))


def test_the_templates_escape_everything_but_their_own_assets():
    """Nothing that a plan says is marked as safe, and no template turns escaping off."""
    templates = "".join(path.read_text(encoding="utf-8") for path in ASSETS.glob("*.html"))

    assert load_environment().autoescape is True
    assert set(re.findall(r"(\w+)\s*\|\s*safe\b", templates)) == {"policy", "style", "script"}
    assert "autoescape" not in templates


def test_a_template_that_prints_an_unknown_name_fails():
    """A renamed field is an error, and not an empty place on the page."""
    with pytest.raises(UndefinedError):
        load_environment().from_string("{{ plan.no_such_field }}").render(plan=samples.SMALL)


def test_the_script_makes_no_markup_and_asks_for_nothing():
    """What it shows it shows as text."""
    never = "innerHTML outerHTML insertAdjacent document.write eval fetch( XMLHttpRequest import("
    for word in (*never.split(), "new Function", "localStorage", "cookie"):
        assert word not in SCRIPT


def test_the_words_of_a_page_are_those_of_the_plan():
    parser = Tags()
    parser.feed(render.plan(samples.saying("<b>bold</b>"), format="html"))

    assert "<b>bold</b>" in parser.words


# --- JSON ---


@pytest.mark.parametrize("word", NASTY)
def test_json_is_ascii_and_says_every_word_as_it_was(word):
    plan = samples.saying(word)
    for shown in (
        render.plan(plan, format="json"),
        results.dump_outcomes(samples.outcomes_saying(word), plan),
        render.json.findings(plan.findings) if hasattr(render, "json") else "[]",
    ):
        assert shown.isascii()
        json.loads(shown)

    assert word == json.loads(render.plan(plan, format="json"))["findings"][0]["message"]


def test_every_severity_has_its_place_in_every_sink():
    for severity in Severity:
        plan = samples.saying("word", severity=severity)
        for format_ in render.FORMATS:
            assert severity in render.plan(plan, format=format_)


def test_an_unknown_format_is_an_error():
    with pytest.raises(ValueError, match="no such format"):
        render.plan(samples.SMALL, format="yaml")
