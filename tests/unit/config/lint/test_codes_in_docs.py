"""Every check has its code, its section in the docs, and a rule about silencing."""

import re
from pathlib import Path

import pytest

from reconciler.config.lint.codes import CHECKS, LIVE, REFUSED, can_be_silenced

PAGE = (Path(__file__).parents[4] / "docs" / "checks.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (R\d{3})\n\n(.*?)(?=\n## |\Z)", PAGE, re.MULTILINE | re.DOTALL))


def test_the_page_has_a_section_for_every_check_and_no_other():
    """In their order."""
    assert list(CHECKS) == sorted(CHECKS) == list(SECTIONS)


@pytest.mark.parametrize("code", CHECKS)
def test_a_section_begins_with_how_bad_it_is(code):
    """And says whether it takes the live side."""
    head = SECTIONS[code].split(".")[0]

    assert head.startswith(("**Error", "**Warning"))
    assert ("live" in head) is (code in LIVE)


def test_what_makes_a_document_unusable_cannot_be_silenced():
    """Warnings can, and doubts, and what the live side says."""
    silent = {code for code in CHECKS if can_be_silenced(code)}
    warnings = {code for code in CHECKS if "R020" <= code < "R030" or "R040" <= code < "R050"}

    assert silent == {"R008", "R012", "R016", "R017", *(warnings - {"R025"} - REFUSED), *LIVE}
