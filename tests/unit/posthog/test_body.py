"""Strict JSON, and inflating no further than allowed."""

import gzip
import json
import zlib

import pytest

from reconciler.posthog.body import MAX_DEPTH, inflate, parse


@pytest.mark.parametrize("value", [{}, [], {"a": [1, 2.5, None, True, "ä\U0001f600"]}, "x", 0])
def test_good_json_is_parsed(value):
    assert parse(json.dumps(value).encode()) == value
    assert parse(json.dumps(value, ensure_ascii=False).encode()) == value


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b'{"a": 1',
        b"<html></html>",
        b"{} {}",
        b'{"a": 1, "a": 2}',
        b'{"a": NaN}',
        b"[Infinity]",
        b"[-Infinity]",
        b"[1e999]",
        b'{"a": ' + b"9" * 5000 + b"}",
        b"[" * 101 + b"]" * 101,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000,
        b'["\\ud800"]',
        b'{"\\uDFFF": 1}',
        b'"\xff"',
        b"\xef\xbb\xbf{}",
        '{"a": 1}'.encode("utf-16"),
    ],
    ids=range(19),
)
def test_doubtful_json_is_refused_with_a_reason(raw):
    with pytest.raises(ValueError, match=r"."):
        parse(raw)


@pytest.mark.parametrize(("start", "inner", "end"), [("[", "", "]"), ('{"a":', "1", "}")])
def test_nesting_is_refused_beyond_the_same_depth_whatever_nests(start, inner, end):
    depth = MAX_DEPTH - 1  # the list around it is one level
    parse(f"[1, {start * depth}{inner}{end * depth}, 2]".encode())
    depth += 1
    with pytest.raises(ValueError, match="nested too deeply"):
        parse(f"[1, {start * depth}{inner}{end * depth}, 2]".encode())


def test_a_page_cut_off_at_any_byte_is_refused():
    page = json.dumps({"count": 1, "next": None, "results": [{"id": 1, "name": "ä\\ud"}]}).encode()
    for length in range(len(page)):
        with pytest.raises(ValueError, match=r"."):
            parse(page[:length])


def test_a_surrogate_pair_is_a_character():
    assert parse(b'["\\ud83d\\ude00"]') == ["\U0001f600"]


def _pieces(data, size=7):
    return [data[start : start + size] for start in range(0, len(data), size)]


def test_gzip_is_inflated_piece_by_piece():
    data = b"hello " * 1000

    assert b"".join(inflate(_pieces(gzip.compress(data)), "gzip", 10_000)) == data
    assert b"".join(inflate([], "gzip", 10)) == b""
    assert b"".join(inflate([b"a", b"b"], "identity", 10)) == b"ab"


def test_a_bomb_is_inflated_no_further_than_allowed():
    bomb = gzip.compress(bytes(50_000_000))

    first = next(inflate([bomb], "gzip", 1000))

    assert len(first) == 1001


@pytest.mark.parametrize(
    ("data", "encoding", "reason"),
    [
        (gzip.compress(b"x" * 100, mtime=0)[:-5], "gzip", "cut off"),
        (gzip.compress(b"x", mtime=0) + b"more", "gzip", "after the end"),
        (b"no gzip at all", "gzip", "damaged"),
        (zlib.compress(b"x"), "deflate", "not requested"),
        (b"x", "br", "not requested"),
    ],
)
def test_damaged_or_strange_encodings_are_refused(data, encoding, reason):
    with pytest.raises(ValueError, match=reason):
        b"".join(inflate([data], encoding, 1000))
