"""Texts that users see keep the rules of `docs/style.md`: its glossary and its words to avoid.

The tables of that page are the rules; there is no second list here.
"""

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
STYLE = ROOT / "docs" / "style.md"
SANDBOX = ROOT / "reconciler" / "sandbox"
POSTHOG_TEXTS = {SANDBOX / "api", SANDBOX / "rules"}  # answers of the sandbox are PostHog's words
PAGES = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")} - {STYLE})
LONGEST_SENTENCE = 40  # words
FENCED = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
SENTENCE_END = re.compile(r"[.!?:;](?=\s|$)|\n\s*\n|\n\s*(?:[*#|]|\d+\.)|\|")
CODE = re.compile(r"`[^`\n]*`")


def read_table(heading: str, column: int) -> Iterator[str]:
    """Yield the cells of one column of the table below a heading of the style page."""
    section = STYLE.read_text("utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    for row in rows[2:]:
        yield row.strip("|").split("|")[column].strip()


@cache
def compile_rules() -> re.Pattern[str]:
    """Return one pattern for the synonyms of the glossary and the words to avoid."""
    phrases = []
    for cell in [*read_table("Glossary", 2), *read_table("Words to avoid", 0)]:
        words, _, exceptions = cell.partition("(except:")
        allowed = [each.strip(" )") for each in exceptions.split(",") if each.strip(" )")]
        phrases += [compile_phrase(each.strip(), allowed) for each in words.split(",")]
    return re.compile("|".join(phrases), re.IGNORECASE)


def compile_phrase(phrase: str, allowed: list[str]) -> str:
    """Return a pattern for a phrase that is not part of an allowed one."""
    before = "".join(
        rf"(?<!{re.escape(each[: each.index(phrase)])})"
        for each in allowed
        if phrase in each and each.index(phrase)
    )
    after = "".join(
        rf"(?!{re.escape(each[len(phrase) :])}\b)" for each in allowed if each.startswith(phrase)
    )
    words = r"\s+".join(map(re.escape, phrase.split()))
    return (
        rf"(?:{before}(?<![\w-]){words}(?![\w-]){after})"
        if phrase[0].isalpha()
        else rf"(?<!-){re.escape(phrase)}"
    )


def find_breaches(text: str) -> list[str]:
    """Return each breach of the rules in a text, with some of its surroundings."""
    return [
        text[max(0, match.start() - 40) : match.end() + 20].replace("\n", " ")
        for match in compile_rules().finditer(text)
    ]


def read_prose(page: Path) -> str:
    """Return a page without its code."""
    return CODE.sub("`code`", FENCED.sub("", page.read_text("utf-8")))


def list_messages(module: Path) -> Iterator[tuple[int, str]]:
    """Yield the texts of several words in a module, with their line; no docstrings."""
    tree = ast.parse(module.read_text("utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    parts = set()
    for node in ast.walk(tree):
        match node:
            case ast.JoinedStr(values=values):
                parts |= {id(each) for each in values}
                text = "".join(
                    str(each.value) if isinstance(each, ast.Constant) else "…" for each in values
                )
            case ast.Constant(value=str(text)) if id(node) not in docstrings | parts:
                pass
            case _:
                continue
        if " " in text.strip():
            yield node.lineno, CODE.sub("`code`", text)


def list_descriptions(node: object) -> Iterator[str]:
    """Yield each title and description of a JSON Schema."""
    match node:
        case dict():
            for key, value in node.items():
                if key in {"title", "description"} and isinstance(value, str):
                    yield value
                yield from list_descriptions(value)
        case list():
            for value in node:
                yield from list_descriptions(value)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_uses_the_words_of_the_glossary(page):
    """Code and console blocks are the program's own words, which the next tests check."""
    assert [] == find_breaches(read_prose(page))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_sentence_of_a_page_needs_a_second_reading(page):
    """Sentences end at a full stop, a colon, a semicolon, a cell or an item of a list."""
    sentences = SENTENCE_END.split(read_prose(page))
    too_long = [
        " ".join(each.split()) for each in sentences if len(each.split()) > LONGEST_SENTENCE
    ]

    assert [] == too_long


def test_messages_and_help_use_the_words_of_the_glossary():
    """Help is a text of a module, too."""
    breaches = [
        f"{module.relative_to(ROOT)}:{line}: {breach}"
        for module in sorted((ROOT / "reconciler").rglob("*.py"))
        if not POSTHOG_TEXTS & set(module.parents)
        for line, text in list_messages(module)
        for breach in find_breaches(text)
    ]

    assert [] == breaches


def test_schemas_use_the_words_of_the_glossary():
    """Editors and `explain` show their descriptions."""
    breaches = [
        f"{schema.name}: {breach}"
        for schema in sorted((ROOT / "schemas").glob("*.json"))
        for text in list_descriptions(json.loads(schema.read_text("utf-8")))
        for breach in find_breaches(CODE.sub("`code`", text))
    ]

    assert [] == breaches


def test_templates_use_the_words_of_the_glossary():
    """Those of pages and reports, and the files that `init` writes."""
    templates = [
        path
        for path in sorted((ROOT / "reconciler").rglob("*"))
        if path.is_file() and (path.parent.name == "templates" or path.suffix == ".html")
    ]
    breaches = [
        f"{path.relative_to(ROOT)}: {breach}"
        for path in templates
        for breach in find_breaches(CODE.sub("`code`", path.read_text("utf-8")))
    ]

    assert templates
    assert [] == breaches


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("There is no file, and it is no longer here.", 0),
        ("This is no plan that can be read.", 1),
        ("The policy holds\nback the write; left alone.", 2),
        ("A stand-alone flag.", 0),
    ],
)
def test_the_rules_find_what_they_are_for(text, count):
    """A rule that never matches checks nothing."""
    assert len(find_breaches(text)) == count
