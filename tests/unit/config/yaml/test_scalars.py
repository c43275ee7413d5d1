"""What a plain scalar stands for, and what becomes of it where another type is wanted."""

import pytest

from reconciler.config.yaml import reader
from reconciler.config.yaml.scalars import resolve_scalar

TEXT = [
    "no", "No", "NO", "yes", "Yes", "on", "On", "off", "OFF", "y", "n", "Y", "N",
    "010", "-010", "+010", "00", "007", "01.5", "0e", "08", "1_000", "1_0.5", "0_1", "_1",
    "12:30", "12:30:45", "1:2", "190:20:30.15", "2026-01-01", "2026-01-01T00:00:00Z",
    "2026-02-30", "=", "<", "0b101", "0o8", "0xZZ", "0x", "1e", "e3", "1e+", ".", "..", "-", "+",
    "tRUE", "TrUe", "nULL", "nil", "None", "none", "~x", "1.2.3", "1,000", "12%", "inf", "nan",
    "Infinity", "-inf", "٣", "¼", "1٣",
]  # fmt: skip

VALUES = {
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
    "null": None, "Null": None, "NULL": None, "~": None, "": None,
    "0": 0, "-0": 0, "7": 7, "+7": 7, "-7": -7, "123456789012345678901": 123456789012345678901,
    "0.5": 0.5, ".5": 0.5, "-.5": -0.5, "5.": 5.0, "1.0": 1.0, "1e3": 1000.0, "1E3": 1000.0,
    "1.5e-3": 0.0015, "+1.5": 1.5, "0e3": 0.0, "0o17": 15, "0x1F": 31, "0x1f": 31,
}  # fmt: skip


@pytest.mark.parametrize("raw", TEXT)
def test_what_yaml_1_1_takes_for_something_else_is_text(raw):
    """Norway, octals, sexagesimals, dates."""
    assert raw == resolve_scalar(raw)


@pytest.mark.parametrize(("raw", "value"), VALUES.items())
def test_the_core_schema_of_yaml_1_2_is_what_counts(raw, value):
    """Same value and same type: 1.0 is no int, true is no 1."""
    found = resolve_scalar(raw)

    assert value == found
    assert type(value) is type(found)


@pytest.mark.parametrize(
    "raw", [".inf", "-.inf", "+.Inf", ".INF", ".nan", ".NaN", "1e400", "9" * 101]
)
def test_numbers_that_cannot_be_sent_are_refused(raw):
    """JSON has no infinity, and no computer has the rest."""
    with pytest.raises(ValueError, match="number"):
        resolve_scalar(raw)


@pytest.mark.parametrize("raw", [*TEXT, *VALUES])
def test_quotes_make_text_of_anything(raw):
    """Whatever it looks like."""
    findings = []
    (document,) = reader.read_documents(f"a: '{raw}'\n".encode(), "x", findings)

    assert {"a": raw} == document.value
    assert findings == []


FLAG = """\
kind: FeatureFlag
metadata: {{organization: acme, project: Web, key: a}}
spec:
  {field}: {raw}
"""
POLICY = """\
kind: ApprovalPolicy
metadata: {{organization: acme, project: Web, action: feature_flag.update}}
spec:
  {field}: {raw}
"""
MEANT = {
    "boolean": (FLAG, "active"),
    "text": (FLAG, "name"),
    "whole number": (POLICY, "approvers: {quorum"),
    "number or null": (FLAG, "filters: {groups: [{rollout_percentage"),
    "list": (FLAG, "tags"),
}
CASES = [
    # raw, wanted, what is said; None: accepted
    ("true", "boolean", None),
    ("False", "boolean", None),
    ("no", "boolean", "write `false`"),
    ("Off", "boolean", "write `false`"),
    ("yes", "boolean", "write `true`"),
    ("'true'", "boolean", "write `true` without quotes"),
    ("1", "boolean", "write true or false"),
    ("maybe", "boolean", "write `true` or `false`"),
    ("~", "boolean", "write a value, or remove the key"),
    ("no", "text", None),
    ("010", "text", None),
    ("12:30", "text", None),
    ("1_000", "text", None),
    ("2026-01-01", "text", None),
    ("'7'", "text", None),
    ("7", "text", 'quote it: "7"'),
    ("1e3", "text", 'quote it: "1e3"'),
    ("0x1F", "text", 'quote it: "0x1F"'),
    ("true", "text", 'quote it: "true"'),
    ("null", "text", "write a value, or remove the key"),
    ("[a]", "text", "write text"),
    ("2", "whole number", None),
    ("2.5", "whole number", "write a whole number"),
    ("010", "whole number", "write `10`"),
    ("1_000", "whole number", "write `1000`"),
    ("'2'", "whole number", "write `2` without quotes"),
    ("two", "whole number", "write a number"),
    ("0", "whole number", "write a value that is at least 1"),
    ("50", "number or null", None),
    ("12.5", "number or null", None),
    ("1e1", "number or null", None),
    ("null", "number or null", None),
    ("50%", "number or null", "write `50`"),
    ("12:30", "number or null", "write a number"),
    ("050", "number or null", "write `50`"),
    ("101", "number or null", "write a value that is at most 100"),
    ("-1", "number or null", "write a value that is at least 0"),
    ("true", "number or null", "write a number or null"),
    (".inf", "number or null", 'quote it to make it text: ".inf"'),
    ("[a, b]", "list", None),
    ("a", "list", "write `[a]`"),
    ("", "list", "write `[]` for none, or remove the key"),
    ("{a: b}", "list", "write a list"),
]


@pytest.mark.parametrize(("raw", "wanted", "said"), CASES)
def test_a_value_of_another_type_is_an_error_that_names_the_fix(folder, raw, wanted, said):
    """Spellings against the types that fields want."""
    template, field = MEANT[wanted]
    closing = "".join({"{": "}", "[": "]"}[c] for c in reversed(field) if c in "{[")
    folder.write({"a.yaml": template.format(field=field, raw=raw + closing)})

    if said is None:
        assert folder.load().declared.resources
    else:
        assert said in [finding.fix for finding in folder.errors()]
