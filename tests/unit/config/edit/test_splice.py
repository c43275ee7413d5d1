"""What somebody wrote, rewritten: each change where it stands, every other byte as it was."""

import random

import pytest

from reconciler.config.edit import emitter, merge
from reconciler.config.edit.splice import CannotEditError, splice_edits
from reconciler.config.yaml import events, reader

FLAG = """\
kind: FeatureFlag  # the flag
spec:
  # about the name
  name: "New"   # trailing

  filters: # f
    groups:
    # first group
    - properties: [] # none
      rollout_percentage: 99   # pct
      description: hi # d
  tags: # of the team
      - a # keep?
      # between
      - 'b'
      - c
# tail
"""
FILTERS = {
    "groups": [{"properties": [], "rollout_percentage": 99, "description": "hi"}],
}
WAS = {"spec": {"name": "New", "filters": FILTERS, "tags": ["a", "b", "c"]}}


def changed(**spec):
    """The document of the tests with other values."""
    return {"spec": {**WAS["spec"], **spec}}


def group(**changes):
    """Its only group with other values; None leaves a key out."""
    made = {**FILTERS["groups"][0], **changes}
    return {"groups": [{key: value for key, value in made.items() if value is not None}]}


@pytest.mark.parametrize(
    ("now", "old", "new"),
    [
        (changed(tags=["a", "c"]), "      - 'b'\n", ""),
        (changed(tags=["b", "c"]), "      - a # keep?\n", ""),
        (changed(tags=["a", "b", "c", "no"]), "      - c\n", '      - c\n      - "no"\n'),
        (changed(name="x: y"), '"New"', '"x: y"'),
        (changed(filters=group(rollout_percentage=10)), "99", "10"),
        (changed(filters=group(description=None)), "      description: hi # d\n", ""),
        (changed(filters=group(properties=None)), "", ""),  # none is what it says already
        (
            changed(filters=group(variant="on")),
            "hi # d\n",
            'hi # d\n      variant: "on"\n',
        ),
        (
            changed(filters=group(properties=[{"key": "plan", "type": "person"}])),
            "properties: [] # none\n",
            "properties: # none\n        - {key: plan, type: person}\n",
        ),
        (changed(active=False), "      - c\n", "      - c\n  active: false\n"),
        (
            changed(tags=[]),
            "tags: # of the team\n      - a # keep?\n      # between\n      - 'b'\n      - c\n",
            "tags: [] # of the team\n",
        ),
    ],
)  # fmt: skip
def test_one_change_is_one_place_of_the_text(now, old, new):
    """Comments, quotes, spaces, order and indentation of everything else stay."""
    assert merge.rewrite_document(FLAG, WAS, now) == FLAG.replace(old, new)


def test_null_and_a_missing_key_are_different_in_the_items_of_a_list():
    """PostHog keeps them apart, and so does the plan."""
    text = "spec:\n  filters:\n    groups:\n    - rollout_percentage: null\n      variant: a\n"
    was = {"spec": {"filters": {"groups": [{"rollout_percentage": None, "variant": "a"}]}}}
    now = {"spec": {"filters": {"groups": [{"variant": "a"}]}}}

    assert merge.rewrite_document(text, was, now) == (
        "spec:\n  filters:\n    groups:\n    - variant: a\n"
    )


def test_a_comment_between_brackets_outlives_what_stood_before_it():
    """On a line of its own."""
    text = "spec:\n  tags: [a, b,\n         # why c\n         c]\n"
    was = {"spec": {"tags": ["a", "b", "c"]}}

    assert merge.rewrite_document(text, was, {"spec": {"tags": ["a", "c"]}}) == (
        "spec:\n  tags: [a, \n         # why c\n         c]\n"
    )


def test_people_and_roles_are_the_same_in_any_spelling():
    """Who is there already stays as somebody wrote it; tags are not names."""
    text = "spec:\n  members: [ALICE@acme.test, bob@acme.test]  # both\n  tags: [A]\n"
    was = {"spec": {"members": ["ALICE@acme.test", "bob@acme.test"], "tags": ["A"]}}
    now = {"spec": {"members": ["alice@acme.test", "carol@acme.test"], "tags": ["a"]}}
    made = merge.rewrite_document(text, was, now, [("spec", "members")])

    assert "members: [ALICE@acme.test, carol@acme.test]  # both" in made
    assert "tags: [a]" in made


def test_what_is_shared_by_an_alias_is_never_changed_for_both():
    """It is told instead."""
    text = "spec:\n  roles: &r [A]\n  bypass_roles: *r\n"
    was = {"spec": {"roles": ["A"], "bypass_roles": ["A"]}}

    with pytest.raises(CannotEditError):
        merge.rewrite_document(text, was, {"spec": {"roles": ["A"], "bypass_roles": []}})


WORDS = ["a", "no", "12:30", "x y", "é", '"q"', "it's", "a: b", "a #b", "", "two\nlines", "end\n"]


class Author:
    """Writes documents as people do, each in another layout, and changes values; seeded."""

    def __init__(self, seed):
        self.rng = random.Random(seed)  # noqa: S311  to be repeated, not to be secret

    def value(self, depth=0):
        chance = self.rng.random()
        if depth > 3 or chance < 0.45:
            return self.rng.choice([*WORDS, 1, 3.5, True, None])
        if chance < 0.7:
            return [self.value(depth + 1) for _ in range(self.rng.randrange(4))]
        keys = (f"{self.rng.choice('klmnop')}{n}" for n in range(self.rng.randrange(4)))
        return {key: self.value(depth + 1) for key in keys}

    def change(self, value):
        rng = self.rng
        if isinstance(value, dict):
            kept = {k: v for k, v in value.items() if rng.random() > 0.15}
            made = {k: self.change(v) if rng.random() < 0.4 else v for k, v in kept.items()}
            return made | ({f"new{rng.randrange(3)}": self.value(2)} if rng.random() < 0.3 else {})
        if isinstance(value, list):
            made = [
                self.change(v) if rng.random() < 0.3 else v for v in value if rng.random() > 0.2
            ]
            if rng.random() < 0.3:
                made.insert(rng.randrange(len(made) + 1), self.value(2))
            return made
        return self.value(2) if rng.random() < 0.5 else value

    def write(self, value, indent, start):
        """Lines of a value after its key or dash."""
        behind_dash = start.rstrip().endswith("-")
        nested = isinstance(value, (dict, list))
        if nested and (
            not value or self.rng.random() < 0.25 or (behind_dash and isinstance(value, list))
        ):
            yield f"{start} {emitter.format_flow(value)}{self.comment()}"
        elif isinstance(value, dict):
            yield from self._mapping(value, indent, start, behind_dash)
        elif isinstance(value, list):
            yield f"{start}{self.comment()}"
            column = max(0, indent - 2 + self.rng.choice([0, 2, 4]))
            for item in value:
                yield from self.between(column)
                yield from self.write(item, column + 2, f"{' ' * column}-")
        elif isinstance(value, str) and "\n" in value and emitter.format_entry("k", value, "")[1:]:
            _, *lines = emitter.format_entry("k", value, " " * (indent - 2))
            style = emitter.format_entry("k", value, "")[0].removeprefix("k: ")
            yield from (f"{start} {style}", *lines)
        elif value is None and self.rng.random() < 0.5:
            yield f"{start}{self.comment()}"
        else:
            yield f"{start} {emitter.format_scalar(value)}{self.comment()}"

    def _mapping(self, value, indent, start, behind_dash):
        if not behind_dash:
            yield f"{start}{self.comment()}"
        for number, (key, item) in enumerate(value.items()):
            if behind_dash and number == 0:
                yield from self.write(item, indent + 2, f"{start} {key}:")
                continue
            yield from self.between(indent)
            yield from self.write(item, indent + 2, f"{' ' * indent}{key}:")

    def comment(self):
        return f"  # {self.rng.randrange(99)}" if self.rng.random() < 0.3 else ""

    def between(self, column):
        if self.rng.random() < 0.2:
            yield self.rng.choice(["", f"{' ' * column}# line {self.rng.randrange(99)}"])


@pytest.mark.parametrize("seed", range(8))
def test_whatever_changes_in_whatever_layout_is_done_where_it_stands(seed):
    """Without writing the document again; what is beside it is the same byte for byte."""
    author, done = Author(seed), 0
    beside = 'other:   {  a: "b" ,  c: [ d ]  }   # as it is\n\n# end\n'
    for _ in range(60):
        spec = {"filters": author.value(), "tags": ["b", "a"], "name": author.rng.choice(WORDS)}
        text = "# head\n" + "".join(f"{line}\n" for line in author.write(spec, 2, "spec:")) + beside
        was, now = {"spec": spec}, {"spec": author.change(spec)}
        (document,) = reader.read_documents(text.encode(), "", [])
        expected = merge.copy_plain(document.value)
        assert expected["spec"] == spec
        merger = merge.Merger()
        merger.merge_mapping(expected, was, now)
        if not merger.edits:
            continue
        made = splice_edits(events.compose_document(text), text, merger.edits, expected)
        findings = []
        assert reader.read_documents(made.encode(), "", findings)[0].value == expected, text
        assert findings == []
        assert made.startswith("# head\n")
        assert made.endswith(beside)
        done += 1
    assert done > 30
