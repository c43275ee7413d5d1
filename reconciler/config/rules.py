"""Read the files of rules: YAML, schema, duplicate IDs. Expressions are compiled elsewhere."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from datetime import UTC
from itertools import islice
from pathlib import Path
from typing import Final

from reconciler.config.address_patterns import check_patterns
from reconciler.config.schema import validator
from reconciler.config.schema.errors import explain_errors
from reconciler.config.yaml import reader
from reconciler.errors import ConfigError
from reconciler.files import excerpts
from reconciler.files.text import (
    RefusedError,
    compute_blob_id,
    find_secret_keys,
    make_error,
    split_lines,
)
from reconciler.files.working_tree import Tree, make_refusal
from reconciler.lazy_dataclass import dataclass
from reconciler.model import (
    Document,
    Finding,
    MappingNode,
    Rule,
    RuleEffect,
    RuleTest,
    Segment,
    Source,
    parse_time,
    strip_positions,
)

_SCHEMA: Final = "rules"
_EFFECTS: Final = tuple(RuleEffect)


@dataclass(frozen=True, slots=True)
class RuleFiles:
    """Hold the rules of some folders, and git's object id of each file."""

    rules: tuple[Rule, ...] = ()
    blobs: Mapping[str, str] = field(default_factory=dict)


NO_RULES: Final = RuleFiles()


def load_rules(folders: Iterable[Path], tree: Tree) -> RuleFiles:
    """Read every rule below some folders; raise ConfigError with all findings."""
    loader = _RuleLoader(tree)
    for folder in folders:
        loader.read_folder(folder)
    if loader.findings:
        findings = [excerpts.attach_excerpt(each, loader.get_lines) for each in loader.findings]
        raise ConfigError("", findings=sorted(findings, key=lambda each: each.sort_key))
    blobs = {name: compute_blob_id(data) for name, data in loader.texts.items()}
    return RuleFiles(tuple(loader.rules.values()), blobs)


@dataclass(slots=True)
class _RuleLoader:
    """One reading of the folders of a target."""

    tree: Tree
    findings: list[Finding] = field(default_factory=list)
    texts: dict[str, bytes] = field(default_factory=dict)
    split: dict[str, list[str]] = field(default_factory=dict)
    rules: dict[str, Rule] = field(default_factory=dict)  # by ID

    def read_folder(self, folder: Path) -> None:
        """Read every file of a folder; what is wrong goes to `findings`."""
        has_files = False
        try:
            for display, read in self.tree.walk(folder):
                has_files = True
                if display not in self.texts:
                    self.texts[display] = read()
                    self._read_file(display, self.texts[display])
            if not has_files and not self.tree.may_lack_paths:
                message, fix = "no YAML file with rules in this folder", "check the path"
                raise make_refusal(self.tree.show_path(folder), message, fix=fix)
        except RefusedError as problem:
            self.findings.append(problem.finding)

    def _read_file(self, display: str, data: bytes) -> None:
        count = len(self.findings)
        self.findings.extend(find_secret_keys(data, display))
        documents = reader.read_documents(data, display, self.findings)
        if not documents and len(self.findings) == count:
            fix = "write `rules:` and a list of rules into it, or remove the file"
            self.findings.append(make_refusal(display, "no rules in this file", fix=fix).finding)
        for document in documents:
            self._read_document(document)

    def _read_document(self, document: Document) -> None:
        node = document.value
        if not validator.accepts(_SCHEMA, node):
            self.findings.extend(explain_errors(_SCHEMA, node, document.source, self.get_lines))
            return
        for written in node["rules"]:
            rule = self._build_rule(written)
            if rule is None:
                continue
            other = self.rules.setdefault(rule.id, rule)
            if other is not rule:
                message = f'two rules have the ID "{rule.id}"'
                why = f"the other rule is at {other.source}"
                fix, width = "give one of them another ID", len(rule.id)
                error = make_error("R007", message, rule.source, why=why, fix=fix, width=width)
                self.findings.append(error)

    def _build_rule(self, node: MappingNode) -> Rule | None:
        source = node.value_source("id")
        effects = [effect for effect in _EFFECTS if effect in node]
        if len(effects) != 1:
            both = "both `deny` and `warn`" if effects else "neither `deny` nor `warn`"
            message = f'the rule "{node["id"]}" has {both}'
            fix = "write one of them, with the reason: `deny: …` or `warn: …`"
            self.findings.append(make_error("R005", message, source, fix=fix))
            return None
        count = len(self.findings)
        self.findings.extend(check_patterns(node, "select"))
        tests = [self._build_test(test, node["id"]) for test in node.get("tests", ())]
        if len(self.findings) > count:
            return None
        place = node.value_source("when")
        lines = self.get_lines(place.file) or ()
        return Rule(
            node["id"],
            node["when"],
            effects[0],
            node[effects[0]],
            tuple(node.get("select", ())),
            tuple(tests),
            source,
            tuple(_map_expression(node["when"], place, lines)),
        )

    def _build_test(self, node: MappingNode, rule: str) -> RuleTest:
        now = node.get("now", "")
        if now and not _is_moment(now):
            fix = "write a time such as 2026-01-02T15:00:00Z"
            message, place = f"invalid date or time: {now}", node.value_source("now")
            self.findings.append(make_error("R005", message, place, fix=fix, width=len(now)))
        name = "name" if "name" in node else "expect"
        return RuleTest(
            node.get("name", f"a test of {rule}"),
            strip_positions(node["change"]),
            node["expect"],
            node.value_source(name),
            strip_positions(node.get("plan", {})),
            tuple(node.get("author", ())),
            now,
        )

    def get_lines(self, file: str) -> list[str] | None:
        """Return the lines of a file that was read, as positions count them."""
        if file not in self.split:
            if file not in self.texts:
                return None
            self.split[file] = split_lines(self.texts[file].decode("utf-8-sig", "replace"))
        return self.split[file]


def _is_moment(text: str) -> bool:
    """Return whether a text is a time that also exists in UTC."""
    moment = parse_time(text)
    try:
        return moment is not None and moment.astimezone(UTC) is not None
    except OverflowError:  # before the year 1, or after 9999
        return False


def _map_expression(text: str, place: Source, lines: Sequence[str]) -> Iterator[Segment]:
    """Yield where each part of an expression is in its file, for the places of its errors."""
    if not 0 < place.line <= len(lines):
        return
    head = lines[place.line - 1][place.column - 1 :]
    is_block = head[:1] in {"|", ">"}
    if not is_block:
        column = place.column + (head[:1] in {'"', "'"})
        yield Segment(1, 1, replace(place, column=column))
    start = place.line + 1
    written = _list_content(lines, start)
    if head[:1] == "|":
        block = list(islice(written, text.count("\n") + 1))
        indent = next((column for _, column, part in block if part), 1)
        for number, (line, _, _) in enumerate(block, 1):
            yield Segment(number, 1, Source(place.file, line, indent))
        return
    column = 1 if is_block else len(head.strip("\"' ")) + 2
    for line, indent, part in written:
        if column > len(text):
            return
        yield Segment(1, column, Source(place.file, line, indent))
        column += len(part) + 1


def _list_content(lines: Sequence[str], start: int) -> Iterator[tuple[int, int, str]]:
    """Yield number, first column and text of each line from `start` on; lines count from 1."""
    for number in range(start, len(lines) + 1):
        line = lines[number - 1]
        part = line.strip()
        yield number, line.find(part) + 1, part
