"""Compile the client with every sentence replaced by a random one, and run commands of it.

Each text that people read becomes a call that makes up another text, each time it is evaluated; a
constant in capitals gets new words each time it is looked up. So no text equals another, nor
contains it, and what the program decides by a text comes out differently.

    python -m tests.harness.rewording OPTIONS

reads a command a line and answers with its exit code and output. OPTIONS is JSON: `reword`, and
`planted` changes of modules.
"""

import ast
import builtins
import json
import re
import string
import sys
from importlib import import_module
from importlib.machinery import PathFinder, SourceFileLoader
from random import Random

STRICT = ("plan", "apply", "operations", "render", "live", "drift", "model")
# Words of other programs that the client looks for, because no status or code says the same: of
# PostHog's refusals (contract 1.2, 7.4, 11), and of libyaml. Those of git are bytes, which stay.
FOREIGN = frozenset(
    {
        "owners can view",
        "scoped projects",
        "does not have access to the requested",
        "approver set",
        "your own change request",
        "only pending",
        "cannot cancel",
        "access to the project",
        "level is insufficient",
        "does not support",
        "personal api key",
        "maximum nesting depth",
    }
)
SOURCES = {  # their texts are read by Python, not by people
    "reconciler.lazy_dataclass",
    "reconciler.config.yaml.shapes",
}
_SENTENCE = re.compile(r"[A-Za-z]{2,}[^A-Za-z]* [^A-Za-z]*[A-Za-z]{2,}")
_KEPT = re.compile(r"\{[^{}]*\}|%\(\w+\)s|%[sdr]|\n")  # placeholders
_CAPITALS = re.compile(r"_*[A-Z][A-Z0-9_]*")
_made: set[str] = set()
_chance = Random(13)


def reworded(text):
    """Other words, and other signs between them; placeholders and the ends of lines stay."""
    pieces, end = [], 0
    for kept in _KEPT.finditer(text):
        pieces += [_words(text[end : kept.start()]), kept[0]]
        end = kept.end()
    made = "".join((*pieces, _words(text[end:])))
    _made.add(made)
    return made


def _words(text):
    if not text:
        return ""
    number = max(1, len(text) // 7)
    words = ("".join(_chance.choices(string.ascii_lowercase, k=7)) for _ in range(number))
    return f" {' '.join(words)} "


def again(value):
    """Other words for a constant that is a text of ours; anything else as it is."""
    return reworded(value) if type(value) is str and value in _made else value


class Rewording(ast.NodeTransformer):
    """Replaces texts of a module by calls. `strict`: also what stands between two values."""

    def __init__(self, *, strict):
        self.strict = strict

    def _is_text(self, value):
        if not isinstance(value, str) or value in FOREIGN or "%(" in value:  # of git or click
            return False
        return bool(_SENTENCE.search(value)) or (self.strict and " " in value.strip())

    def visit_Constant(self, node):
        return _call("_reworded_", node) if self._is_text(node.value) else node

    def visit_JoinedStr(self, node):
        for number, part in enumerate(node.values):
            if isinstance(part, ast.FormattedValue):
                part.value = self.visit(part.value)  # its format is no text
            elif self._is_text(part.value) or (self.strict and " " in part.value):
                node.values[number] = ast.FormattedValue(_call("_reworded_", part), -1, None)
        return node

    def visit_Name(self, node):
        is_constant = isinstance(node.ctx, ast.Load) and _CAPITALS.fullmatch(node.id)
        return _call("_again_", node) if is_constant else node

    def visit_Attribute(self, node):
        self.generic_visit(node)
        is_constant = isinstance(node.ctx, ast.Load) and _CAPITALS.fullmatch(node.attr)
        return _call("_again_", node) if is_constant else node

    def visit_Expr(self, node):
        return node if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_Call(self, node):
        function = ast.unparse(node.func)
        if function.startswith("re.") or function.endswith(
            ("compile_later", "TypeVar", "strftime", "cast")
        ):
            return node
        return self.generic_visit(node)

    def visit_match_case(self, node):
        node.guard = self.visit(node.guard) if node.guard is not None else None
        node.body = [self.visit(statement) for statement in node.body]
        return node

    def visit_AnnAssign(self, node):
        is_type = ast.unparse(node.annotation) == "TypeAlias"
        node.value = (
            self.visit(node.value) if node.value is not None and not is_type else node.value
        )
        return node

    def visit_arg(self, node):
        return node

    def visit_FunctionDef(self, node):
        returns, node.returns = node.returns, None
        self.generic_visit(node)
        node.returns = returns
        return node


def _call(name, node):
    return ast.copy_location(ast.Call(ast.Name(name, ast.Load()), [node], []), node)


class _Loader(SourceFileLoader):
    """Compiles from the changed tree; never from a cache, and without leaving one."""

    reword, planted = True, {}

    def get_code(self, fullname):
        path = self.get_filename(fullname)
        text = self.get_data(path).decode()
        for old, new in self.planted.get(fullname, ()):
            assert old in text, (fullname, old)
            text = text.replace(old, new)
        tree = ast.parse(text)
        if self.reword and fullname not in SOURCES:
            strict = not {*fullname.split(".")[1:2]}.isdisjoint(STRICT)
            tree = ast.fix_missing_locations(Rewording(strict=strict).visit(tree))
        return compile(tree, path, "exec", dont_inherit=True)


class _Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.split(".")[0] != "reconciler" or name.startswith("reconciler.sandbox"):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


def serve(*, reword, planted):
    """Run the commands that are read from the standard input."""
    if reword or planted:
        builtins._reworded_, builtins._again_ = reworded, again
        _Loader.reword, _Loader.planted = reword, planted
        sys.meta_path.insert(0, _Finder)
    run_in_process = import_module("tests.support").run_in_process  # imports the client: not before
    results = sys.stdout
    for line in sys.stdin:
        command = json.loads(line)
        done = run_in_process(command["arguments"], command["folder"], command["environ"])
        results.write(json.dumps([done.code, done.out, done.err]) + "\n")
        results.flush()


if __name__ == "__main__":
    serve(**json.loads(sys.argv[1]))
