"""`apply` has no way to approve anything: not by an import, not by a route, not in fact."""

import ast
import re
from pathlib import Path

from tests import acme

CLIENT_ROOT = Path(__file__).parents[2] / "reconciler"
ROUTE = re.compile(r"(^|/)(approve|reject)/")
CLIENT = [path for path in sorted(CLIENT_ROOT.rglob("*.py")) if "sandbox" not in path.parts]


def _strings(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_the_routes_of_votes_stand_in_one_module():
    """All votes go through it; `conformance` decides only on requests that it has filed."""
    modules = {
        path.relative_to(CLIENT_ROOT).as_posix()
        for path in CLIENT
        if any(map(ROUTE.search, _strings(path)))
    }

    assert {"posthog/voting.py", "conformance/scratch.py"} == modules


def test_no_route_is_put_together_from_a_verb():
    """A path that ends with a variable could end with any verb: a request's path never does."""
    for path in CLIENT:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.JoinedStr):
                continue
            called = any(
                isinstance(part, ast.FormattedValue)
                and isinstance(part.value, ast.Call)
                and getattr(part.value.func, "id", getattr(part.value.func, "attr", ""))
                in {"item", "_item"}
                for part in node.values
            )
            verbs = [part for part in node.values[1:] if isinstance(part, ast.FormattedValue)]
            assert not (called and verbs), f"{path.name}:{node.lineno}"


def test_one_module_imports_them():
    """The import contract says the same; this says it without the tool."""
    importers = set()
    for path in CLIENT:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (
                node.module == "reconciler.posthog.voting"
                or (
                    node.module == "reconciler.posthog" and "voting" in {n.name for n in node.names}
                )
            ):
                importers.add(path.relative_to(CLIENT_ROOT).as_posix())

    assert {"commands/requests.py"} == importers


def test_an_apply_whose_own_user_may_approve_still_waits(world):
    """The key's user is an approver of what it files, and self-approval is on: nobody votes."""
    policy = acme.policy(
        "feature_flag.enable",
        approver_config={"quorum": 1, "users": ["ci@acme.test"], "roles": []},
        allow_self_approve=True,
    )
    project = {
        "name": "Web",
        "id": 1,
        "approval_policies": [policy],
        "feature_flags": [acme.live_flag("a", 10)],
    }
    repo = world(acme.seed(projects=[project]))
    repo.write("all.yaml", acme.flag("a", active=True))

    codes = [repo.run("apply", "--yes", "--wait", wait).code for wait in ("0s", "2s")]

    assert [3, 3] == codes
    assert [] == [row for row in repo.sandbox.requests() if ROUTE.search(row["path"])]
