"""The line of a finding, the caret under it, and what was probably meant."""

import pytest

from reconciler.config.schema import validator
from reconciler.errors import ConfigError
from reconciler.files import excerpts
from reconciler.model import Finding, Severity, Source
from reconciler.suggest import closest_match, count_edits, find_near_miss


@pytest.mark.parametrize(
    ("line", "column", "text"),
    [
        ("name: Release managers  # ours", 7, "Release managers"),
        ("name: 'it''s' # x", 7, "'it''s'"),
        ('name: "a \\" b" x', 7, '"a \\" b"'),
        ("{a: one two, b: c}", 5, "one two"),
        ("[one, two]", 7, "two"),
        ("a: [one, two]  # x", 4, "[one, two]"),
        ("a: {b: c}", 4, "{b: c}"),
        ("url: https://a.test/#x", 6, "https://a.test/#x"),
        ("key: value", 1, "key"),
        ("- item", 3, "item"),
        ("- &a x", 3, "&a x"),
        ("a:", 3, ""),
        ("a: |", 4, "|"),
    ],
)
def test_the_caret_covers_the_key_or_the_value(line, column, text):
    """Plain, quoted, in flow style."""
    assert max(1, len(text)) == excerpts.measure_width(line, column)


def test_an_excerpt_is_read_from_disk_where_nothing_else_is_given(tmp_path, monkeypatch):
    """For findings of a plan, whose files were read long ago."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text("x: 1\nname: Web\n")
    finding = Finding("R000", Severity.ERROR, "m", source=Source("a.yaml", 2, 7))

    assert excerpts.attach_excerpt(finding).excerpt == "name: Web"
    assert excerpts.attach_excerpt(finding).width == 3
    (tmp_path / "a.yaml").write_text("x: 1\nname: Mobile\n")
    assert excerpts.attach_excerpt(finding).excerpt == "name: Mobile"


@pytest.mark.parametrize(
    "source", [None, Source("gone.yaml", 1), Source("a.yaml", 9), Source("a", 0)]
)
def test_without_the_line_a_finding_stays_as_it_is(tmp_path, monkeypatch, source):
    """No file, no such line."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text("x: 1\n")
    finding = Finding("R000", Severity.ERROR, "m", source=source)

    assert excerpts.attach_excerpt(finding) == finding


@pytest.mark.parametrize(
    ("word", "candidates", "meant"),
    [
        ("aprovers", ["approvers", "enabled"], "approvers"),
        ("Approvers", ["approvers"], "approvers"),
        ("rollout_precentage", ["rollout_percentage"], "rollout_percentage"),
        ("conditon", ["conditions"], "conditions"),
        ("tag", ["tags", "name"], "tags"),
        ("approver", ["approvers"], "approvers"),
        ("levels", ["bypass_levels"], "bypass_levels"),
        ("doc", ["doctor", "drift"], "doctor"),
        ("do", ["doctor", "drift"], None),
        ("colour", ["tags", "name"], None),
        ("x", ["key"], None),
        ("", ["key"], None),
    ],
)
def test_the_nearest_word_is_suggested_if_it_is_near(word, candidates, meant):
    """Typos, other case, parts of compounds."""
    assert meant == closest_match(word, candidates)


@pytest.mark.parametrize(
    ("name", "declared", "meant"),
    [
        ("Release manager", ["Release managers"], "Release managers"),
        ("Wbesite", ["Website"], "Website"),
        ("Team 1", ["Team 2"], None),
        ("Team 10", ["Team 1"], None),
        ("Web", ["Wab"], None),
        ("Designers", ["Engineers"], None),
    ],
)
def test_a_slip_is_two_edits_at_most_and_not_of_digits(name, declared, meant):
    """And short names are never guessed at."""
    assert meant == find_near_miss(name, declared)


def test_distances_count_edits():
    """Insert, delete, replace, swap neighbours; no further than asked."""
    assert count_edits("abcd", "abcd") == 0
    assert count_edits("abcd", "abd") == 1
    assert count_edits("abcd", "bacd") == 1
    assert count_edits("abcd", "wxyz") == 3
    assert count_edits("a", "abcdefgh") == 3


def test_a_schema_that_is_not_installed_is_a_clear_error():
    """Not a traceback."""
    with pytest.raises(ConfigError, match=r"nothing_here\.schema\.json"):
        validator.read_text("NothingHere")


def test_schemas_of_the_package_win_over_those_beside_it(tmp_path, monkeypatch):
    """A wheel brings its own."""
    for name in ("package", "beside"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.schema.json").write_text(f'{{"title": "{name}"}}')
    monkeypatch.setattr(validator, "FOLDERS", (tmp_path / "package", tmp_path / "beside"))

    assert "package" in validator.read_text("X")
    (tmp_path / "package" / "x.schema.json").unlink()
    assert "beside" in validator.read_text("X")
