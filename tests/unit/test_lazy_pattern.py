"""`lazy_pattern.compile_later` means the same as `re.compile`."""

import re

import pytest

from reconciler.lazy_pattern import compile_later

BOTH = pytest.mark.parametrize("compile_", [re.compile, compile_later], ids=["at-once", "later"])


@BOTH
def test_a_pattern_finds_the_same_each_time(compile_):
    """The first use compiles it; later ones take what is compiled."""
    pattern = compile_(r"(\d+)x", re.IGNORECASE)

    for _ in range(2):
        assert pattern.fullmatch("12X")[1] == "12"
        assert pattern.search("ab") is None
        assert pattern.sub("_", "1x2X3") == "__3"
        assert pattern.findall("1x 22x") == ["1", "22"]
    assert pattern.pattern == r"(\d+)x"
    assert compile_(rb"a+").split(b"baab") == [b"b", b"b"]


def test_a_pattern_that_nobody_uses_is_not_compiled():
    """Even one that cannot be: the error comes with the first use."""
    pattern = compile_later("(")

    with pytest.raises(re.error, match="unterminated"):
        pattern.match("a")
