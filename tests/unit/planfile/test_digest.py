"""A saved plan is taken to the letter or not at all: every byte, every length, every key."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.errors import ReconcilerError
from reconciler.model import ObservedObject, ObservedOrganization, PlanSnapshot, Selection
from reconciler.planfile import codec
from reconciler.planfile import digest as planfile_digest
from tests.effort import effort
from tests.unit.render import samples

FINGERPRINT = "sha256:" + "ab" * 32
BASIS = PlanSnapshot(
    commit="1" * 40,
    selection=Selection(select=("FeatureFlag/*",)),
    organizations={"acme": ObservedOrganization("0190", {"Web": ("1",)})},
    policies=(
        ObservedObject("ApprovalPolicy/acme/Web/feature_flag.update", "7", FINGERPRINT, {"n": 1.5}),
    ),
    before=(
        ObservedObject("FeatureFlag/acme/Web/new-checkout", "42", FINGERPRINT, {"active": None}),
    ),
    live={"FeatureFlag/acme/Web": 3},
)
PLAN = replace(samples.SMALL, basis=BASIS)
TEXT = codec.dump_plan(PLAN)
DATA = TEXT.encode("ascii")
MASKS = [*(1 << bit for bit in range(8)), 0x1B, 0xFF]


def accepted(data):
    """Whether bytes are taken for a plan; every refusal is an error that says what to do."""
    try:
        codec.load_plan(data.decode("utf-8"))
    except UnicodeDecodeError:  # who reads the file says so
        return False
    except ReconcilerError as error:
        return not (error.what and error.why and error.fix)
    return True


def test_what_was_written_is_read_again():
    """With everything that its apply needs."""
    back = codec.load_plan(TEXT)

    assert back.basis == BASIS
    assert back.created_at == PLAN.created_at
    assert TEXT == codec.dump_plan(back)


@pytest.mark.parametrize("first", range(effort(3, len(MASKS))))
def test_no_byte_can_be_flipped(first):
    """At every place of the file: in the gate some bits, in the soak each, and several at once."""
    taken = [
        (place, mask)
        for place in range(len(DATA))
        for mask in [MASKS[(place + first) % len(MASKS)]]
        if accepted(DATA[:place] + bytes([DATA[place] ^ mask]) + DATA[place + 1 :])
    ]

    assert taken == []


def test_no_length_but_the_whole_is_taken():
    assert [length for length in range(len(DATA)) if accepted(DATA[:length])] == []


def test_nothing_can_be_added():
    for more in (b" ", b"\n", b"{}", b"\x00", DATA):
        assert not accepted(DATA + more)
        assert not accepted(more + DATA)


def test_no_digit_of_the_time_can_be_another():
    """The digest leaves the time out, so that a plan made again has it; the time checks itself."""
    start = TEXT.index('"created_at"') + len('"created_at": "')
    taken = [
        (place, digit)
        for place in range(start, start + len("2026-01-01T00:00:00.000000Z"))
        for digit in "0123456789"
        if TEXT[place] not in (digit, *"-:TZ.")
        and accepted((TEXT[:place] + digit + TEXT[place + 1 :]).encode())
    ]

    assert taken == []


def test_the_same_plan_made_later_differs_in_its_time_alone():
    later = json.loads(codec.dump_plan(replace(PLAN, created_at="2027-12-31T23:59:59Z")))
    first = json.loads(TEXT)

    assert later.pop("created_at") != first.pop("created_at")
    assert later == first


def places(node, path=()):
    if path:
        yield path
    items = enumerate(node) if isinstance(node, list) else ()
    for step, value in node.items() if isinstance(node, dict) else items:
        yield from places(value, (*path, step))


@pytest.mark.parametrize("path", list(places(json.loads(TEXT))), ids=str)
def test_no_key_can_be_removed(path):
    """Wherever it stands, and however neatly the rest is written again."""
    document = json.loads(TEXT)
    node = document
    for step in path[:-1]:
        node = node[step]
    del node[path[-1]]

    assert not accepted(planfile_digest.format_document(document).encode())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (TEXT.replace("\n", "\r\n"), "another layout"),
        (json.dumps(json.loads(TEXT)), "another layout"),
        ("\ufeff" + TEXT, "another layout"),
        (TEXT.replace('"host": "http:', '"host": "https:'), "does not match"),
        (TEXT.replace('"none": 2', '"none": 2, "none": 2'), "another layout"),
        (TEXT.replace('"digest": "sha256:', '"digest": "sha512:'), "does not match"),
    ],
)
def test_the_refusal_says_what_is_wrong(text, why):
    with pytest.raises(ReconcilerError) as caught:
        codec.load_plan(text)

    assert 4 == caught.value.exit_code
    assert why in caught.value.why


FOREIGN = [
    '{"format_version": "1.2", "terraform_version": "1.9.0", "planned_values": {}}',
    '{"kind": "FeatureFlag", "metadata": {"key": "a"}}',
    '{"format_version": 1}',
    '{"format_version": 1, "created_at": "2026-01-01T00:00:00Z"}',
    "kind: FeatureFlag\n",
    "PK\x03\x04",
    "",
]


@pytest.mark.parametrize("text", FOREIGN)
def test_what_another_tool_wrote_is_refused(text):
    assert not accepted(text.encode())


def test_a_newer_format_is_told_from_a_changed_plan():
    text = TEXT.replace('"format_version": 2', '"format_version": 3')
    with pytest.raises(ReconcilerError) as caught:
        codec.load_plan(text)

    assert "format_version is 3" in caught.value.why
    assert 1 == caught.value.exit_code


@settings(deadline=None)
@given(st.datetimes().map(lambda when: when.strftime("%Y-%m-%dT%H:%M:%SZ")), st.text(max_size=9))
def test_a_time_loses_its_check_number_again(when, digest):
    """Whatever the digest; a time of another form is left as it is."""
    document = planfile_digest.add_digest({"created_at": when, "x": digest})

    assert when == planfile_digest.strip_check_number(document["created_at"])
    assert planfile_digest.strip_check_number(digest) in digest
