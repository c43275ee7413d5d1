"""No secret leaves in any spelling that we know."""

import base64
import json
import logging
from io import StringIO
from urllib.parse import quote, quote_plus

import pytest

from reconciler.posthog.redaction import MASK, RedactionFilter, cut_line, redact, register

SECRET = 's3cr3t/with+odd "characters"\\&ä%'


@pytest.fixture(autouse=True)
def _registered():
    register(SECRET)


@pytest.mark.parametrize(
    "spelled",
    [
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        quote(SECRET, safe="").lower(),
        quote_plus(SECRET),
        json.dumps(SECRET)[1:-1],
        repr(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        json.dumps(SECRET).replace("/", "\\/")[1:-1],
    ],
)
def test_a_registered_secret_is_masked_in_every_spelling(spelled):
    assert redact(f"before {spelled} behind") == f"before {MASK} behind"


@pytest.mark.parametrize("before", range(7))
@pytest.mark.parametrize("behind", range(4))
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_base64_is_masked_wherever_the_secret_starts_in_it(before, behind, encode):
    encoded = encode(b"x" * before + SECRET.encode() + b"y" * behind).decode()

    shown = redact(encoded)

    assert MASK in shown
    assert len(shown.replace(MASK, "").rstrip("=")) <= (before * 8 // 6 + 1) + (behind * 8 // 6 + 2)


@pytest.mark.parametrize("prefix", ["phc_", "phs_", "phx_"])
def test_what_looks_like_a_key_is_masked_though_nobody_registered_it(prefix):
    assert redact(f"key={prefix}{'Ab1' * 8}.") == f"key={MASK}."


@pytest.mark.parametrize("text", ["phx_short", "phone", "", "graph_0123456789012345678901"])
def test_ordinary_text_stays(text):
    assert redact(text) == text


def test_a_very_short_secret_does_not_blank_out_everything():
    register("a")

    assert redact("a banana") == "a banana"


def test_cut_makes_one_line_of_at_most_500_characters():
    text = cut_line(f"one\n\ttwo {SECRET} " + "x" * 1000)

    assert text.startswith(f"one two {MASK} xxx")
    assert len(text) == 500
    assert text.endswith("…")


def test_the_logging_filter_masks_message_arguments_and_tracebacks():
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(RedactionFilter())
    log = logging.getLogger("reconciler.test_redaction")
    log.addHandler(handler)
    try:
        try:
            int(SECRET)
        except ValueError:
            log.exception("went wrong: %s", SECRET, stack_info=True)
        log.warning("%(one)s", {"one": SECRET})
    finally:
        log.removeHandler(handler)

    assert SECRET not in stream.getvalue()
    assert stream.getvalue().count(MASK) >= 3
    assert "ValueError" in stream.getvalue()
