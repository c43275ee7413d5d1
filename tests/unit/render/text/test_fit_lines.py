"""Lines that are too long for a terminal."""

from hypothesis import given
from hypothesis import strategies as st

from reconciler.render.text.terminal import fit_lines, paint

WORDS = st.lists(st.text("abc/.:é", min_size=1, max_size=30), min_size=1, max_size=20)


@given(WORDS, st.integers(0, 8), st.integers(20, 120))
def test_nothing_is_lost_and_everything_that_can_be_broken_fits(words, indent, width):
    """Only spaces move. A part of a word that is too long stays whole, on a line of its own."""
    text = " " * indent + " ".join(words)

    shown = fit_lines(text, width)

    assert text.replace(" ", "") == shown.replace(" ", "").replace("\n", "")
    for line in shown.split("\n"):
        assert line.strip()
        assert len(line) <= width or " " not in line.strip()


def test_a_line_continues_below_its_last_column():
    """As people align what belongs together."""
    text = "  why:   a policy of the project replaces it, and a write is refused"

    assert [
        "  why:   a policy of the project",
        "         replaces it, and a write",
        "         is refused",
    ] == fit_lines(text, 33).split("\n")


def test_a_long_path_is_broken_at_a_slash_and_a_url_nowhere():
    """What is broken cannot be opened."""
    path = "config/organizations/acme/projects/Storefront/feature_flags.yaml:12"
    url = "https://eu.posthog.com/project/2/approvals/a8936ed0-f39e-4bc0-a935-725924e9d79a"

    assert [
        "  Path",
        "    config/organizations/acme/projects/",
        "    Storefront/feature_flags.yaml:12",
    ] == fit_lines(f"  Path {path}", 40).split("\n")
    assert ["See", f"  {url}"] == fit_lines(f"See {url}", 40).split("\n")
    assert f"    {url}" == fit_lines(f"    {url}", 40), "nor does it move"


def test_colours_take_no_columns():
    """A coloured line that fits stays as it is."""
    text = " ".join(paint("word", "bold", on=True) for _ in range(8))

    assert text == fit_lines(text, 39)
    assert 2 == len(fit_lines(text, 38).split("\n"))
