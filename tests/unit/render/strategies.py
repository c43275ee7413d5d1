"""What a hostile file or server could say, and plans of any shape."""

import json
from datetime import UTC, datetime

from hypothesis import strategies as st

from reconciler.model import (
    ABSENT,
    address,
    approvals,
    attribution,
    list_changes,
    plan,
    schedules,
    snapshot,
    source,
)
from reconciler.model import findings as model_findings
from reconciler.model.validity import Unappliable

NASTY = [
    "\x1b[31mred\x1b[0m",
    "\x1b]8;;http://evil.example\x07link\x1b]8;;\x07",
    "over\rwrite",
    "two\nlines",
    "two\n\n# lines",
    "\u202egnp.exe",
    "ali\u200bce",
    "\u2066\u2069",
    "\x9b31m",
    "\x00\x7f\x85",
    "\u2028\u2029",
    "\ud800",
    "<script>alert(1)</script>",
    "</details><img src=x onerror=alert(1)>",
    '"><a href="javascript:alert(1)">x</a>',
    "<!-- --> -->",
    "]]>",
    "&lt;b&gt; &amp;",
    "```",
    "````\n````",
    "`",
    "` `` ```",
    "~~~",
    "::error::x",
    "x ::set-output name=a::b",
    "##[error]x",
    "| a | b |",
    "- item",
    "+ item",
    "1. item",
    "2) item",
    "===",
    "---",
    "# title",
    "> quote",
    "[link](http://evil.example)",
    "![pixel](http://evil.example/p.png)",
    "[ref]: http://evil.example",
    "*a* _b_ ~~c~~ **d**",
    "@alice and @acme/team",
    "#123 acme/web#4 GH-5",
    "www.evil.example http://evil.example",
    "<http://evil.example>",
    "a\\",
    "\\`",
    "    indented",
    "\tx",
    "日本語 ✓ e\u0301",
    "{{x}} ${y} $z$",
    "%0A%0D::error::",
    "null",
    "true",
]

letters = st.text(
    st.characters(exclude_categories=()) | st.sampled_from("`:#@<>&[]()*_-+|~\\\x1b\r\n\u202e"),
    max_size=12,
)
hostile = (
    st.sampled_from(NASTY) | letters | st.builds("{}{}".format, st.sampled_from(NASTY), letters)
).map(lambda text: json.loads(json.dumps(text)))  # two halves of one character are that character
words = hostile.filter(bool)

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | hostile
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(hostile, inner, max_size=4),
    max_leaves=12,
)
sides = values | st.just(ABSENT)
places = st.none() | st.builds(source.Source, hostile, st.integers(1, 9999), st.just(1))
findings = st.builds(
    model_findings.Finding,
    hostile,
    st.sampled_from(model_findings.Severity),
    hostile,
    hostile,
    hostile,
    st.none() | st.builds(source.Source, hostile, st.integers(1, 9999), st.integers(1, 300)),
    st.none(),
    hostile,
    st.integers(1, 40),
)


def address_of(depth):
    return st.builds(address.Address, words.filter(lambda text: "/" not in text), depth)


addresses = address_of(st.lists(words, min_size=1, max_size=3).map(tuple))
maybe = st.none() | hostile
gates = st.builds(
    approvals.Gate,
    st.sampled_from(approvals.Verdict),
    st.sampled_from(approvals.Confidence),
    maybe,
    maybe,
    st.none() | st.integers(0, 9),
    st.builds(
        approvals.Approvers,
        st.lists(hostile, max_size=3).map(tuple),
        st.dictionaries(hostile, st.lists(hostile, max_size=9).map(tuple), max_size=2),
    ),
    maybe,
    maybe,
    hostile,
    st.dictionaries(hostile, hostile, max_size=2),
    st.none() | st.sampled_from(approvals.RequestPlan),
    st.lists(hostile, max_size=2).map(tuple),
)
votes = st.builds(approvals.Vote, hostile, st.booleans(), hostile, hostile)
requests = st.builds(
    approvals.ChangeRequest,
    hostile,
    hostile,
    hostile,
    maybe,
    hostile,
    hostile,
    hostile,
    maybe,
    st.none(),
    st.just({}),
    hostile,
    hostile,
    st.lists(votes, max_size=2).map(tuple),
    maybe,
)
attributions = st.none() | st.builds(
    attribution.Attribution,
    maybe,
    maybe,
    maybe,
    st.none() | st.booleans(),
    st.sampled_from(attribution.ApprovalClass),
    maybe,
    st.sampled_from(attribution.LogAction),
    st.none() | st.tuples(sides, sides),
    maybe,
    maybe,
    hostile,
)
holds = st.none() | st.builds(
    attribution.Hold,
    hostile,
    st.datetimes(min_value=datetime(2000, 1, 1)).map(lambda at: at.replace(tzinfo=UTC)),  # noqa: DTZ001  given one
    hostile,
    hostile,
    places,
)
ignored = st.builds(plan.Ignored, addresses) | st.builds(
    plan.Ignored, addresses, words, values, values
)
list_changes_ = st.builds(
    list_changes.ListChange,
    words,
    st.lists(
        st.builds(
            list_changes.ItemChange,
            words,
            sides,
            sides,
            st.none() | st.integers(0, 9),
            st.integers(0, 9),
            st.integers(0, 9),
        ),
        max_size=3,
    ).map(tuple),
    st.integers(0, 3),
)
awaited = st.builds(
    approvals.Awaited,
    st.none() | st.integers(0, 9),
    st.builds(approvals.Approvers, st.lists(hostile, max_size=2).map(tuple)),
    st.lists(hostile, max_size=2).map(tuple),
    hostile,
    st.none() | st.builds(Unappliable, hostile, hostile),
)
schedules_ = st.builds(
    schedules.ScheduledChange,
    hostile,
    st.sampled_from([schedules.SET_STATUS, schedules.ADD_CONDITION, schedules.SET_VARIANTS])
    | hostile,
    values | st.fixed_dictionaries({}, optional={"groups": values, "variants": values}),
    maybe,
    hostile,
    hostile,
    hostile | st.sampled_from(["pending", "approved", "rejected"]),
    st.none() | awaited,
)
changes = st.builds(
    plan.Change,
    addresses,
    st.sampled_from(plan.Action),
    st.lists(
        st.builds(
            plan.FieldChange,
            words,
            sides,
            sides,
            sides,
            st.sampled_from(plan.Cause),
            attributions,
        ),
        max_size=4,
    ).map(tuple),
    gates,
    maybe,
    maybe,
    places,
    st.lists(addresses, max_size=2).map(tuple),
    st.lists(addresses, max_size=1).map(tuple),
    st.lists(findings, max_size=1).map(tuple),
    url=maybe,
    attribution=attributions,
    hold=holds,
    lists=st.lists(list_changes_, max_size=1).map(tuple),
    scheduled=st.lists(schedules_, max_size=2).map(tuple),
)
seen = st.builds(
    snapshot.ObservedObject,
    addresses.map(str),
    hostile,
    hostile,
    st.dictionaries(hostile, values, max_size=2),
)
bases = st.builds(
    snapshot.PlanSnapshot,
    maybe,
    st.booleans(),
    st.builds(snapshot.Selection, *[st.lists(hostile, max_size=2).map(tuple)] * 3),
    st.dictionaries(
        hostile,
        st.builds(
            snapshot.ObservedOrganization,
            hostile,
            st.dictionaries(hostile, st.lists(hostile, max_size=2).map(tuple), max_size=2),
        ),
        max_size=2,
    ),
    st.lists(seen, max_size=2).map(tuple),
    st.lists(seen, max_size=2).map(tuple),
    st.dictionaries(hostile, st.integers(0, 9999), max_size=2),
)
plans = st.builds(
    plan.Plan,
    st.lists(changes, max_size=4, unique_by=lambda change: change.address).map(tuple),
    hostile,
    hostile,
    hostile,
    maybe,
    maybe,
    hostile,
    st.lists(addresses, max_size=3).map(tuple),
    st.lists(st.builds(plan.Released, addresses, hostile, values, values), max_size=2).map(tuple),
    st.lists(findings, max_size=3).map(tuple),
    st.builds(plan.Requests, *[st.integers(0, 9999)] * 3),
    st.lists(requests, max_size=2).map(tuple),
    st.lists(ignored, max_size=2).map(tuple),
    not_applied=st.lists(changes, max_size=1).map(tuple),
    basis=st.none() | bases,
    unrelated_drift=st.lists(addresses, max_size=2).map(tuple),
    refusal=st.none()
    | st.builds(approvals.Refusal, st.booleans(), st.integers(0, 9), st.booleans(), st.booleans()),
)
