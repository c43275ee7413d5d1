"""Fixtures of the clients, and the table of operations at the end of the run."""

import json
import re
from collections import defaultdict
from pathlib import Path

import pytest

from reconciler.sandbox.server.server import background
from reconciler.sandbox.server.testing import Sandbox
from tests.clients import running, world

PROFILES = ("g3", "g2")
OPERATIONS = (
    *("start-up", "organizations", "projects", "members", "roles"),
    *("read flags", "write flags", "gated write", "delete flags", "activity log"),
)
# What a passed test shows, by the answer that its mark expects.
SIGNS = {"works": "✔", "refused": "○", "not modelled": "∅"}
FAILED, ABSENT = "✘", "-"
LEGEND = (
    "✔ works   ○ refused, as PostHog refuses it   ∅ not modelled by the sandbox (404)"
    "   - the client has no such operation   ✘ deviation"
)
CELL = "client cell"
FOLDER = Path(__file__).parent


def _versions():
    """Return the version of each client, as the two package managers are given them."""
    npm = json.loads((FOLDER / "package.json").read_text(encoding="utf-8"))["dependencies"]
    pip = (FOLDER / "requirements.in").read_text(encoding="utf-8")
    return npm | dict(re.findall(r"(?m)^([\w-]+)==(\S+)$", pip))


VERSIONS = _versions()


def pytest_itemcollected(item):
    """Mark each test for `make clients`; its report carries the cell of the table it fills."""
    item.add_marker("clients")
    client = item.module.CLIENT
    row = (f"{client} {VERSIONS[client]}", item.callspec.params["server"])
    operations = list(item.iter_markers("operation"))
    assert operations, f"{item.nodeid} names no operation"
    for operation in operations:
        [name] = operation.args
        assert name in OPERATIONS, name
        sign = SIGNS[operation.kwargs.get("answer", "works")]
        item.user_properties.append((CELL, (row, name, sign)))


def pytest_terminal_summary(terminalreporter):
    """Print what each client did in each profile."""
    table = defaultdict(lambda: defaultdict(set))
    for outcome in ("passed", "failed", "error"):
        for report in terminalreporter.getreports(outcome):
            for row, operation, sign in (
                value for name, value in report.user_properties if name == CELL
            ):
                table[row][operation].add(sign if outcome == "passed" else FAILED)
    if table:
        terminalreporter.section("clients")
        for line in _lines(table):
            terminalreporter.write_line(line)


def _lines(table):
    rows = [("client", "profile", *OPERATIONS)]
    for (client, profile), cells in sorted(table.items(), reverse=True):
        rows.append((client, profile, *(_cell(cells.get(name, ABSENT)) for name in OPERATIONS)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
    yield LEGEND


def _cell(signs):
    return FAILED if FAILED in signs else " ".join(sorted(signs, reverse=True))


@pytest.fixture(scope="session", autouse=True)
def installed():
    """Stop where the clients are missing: a skipped run would look like a good one."""
    if not (running.INSTALLED / ".ready").exists():
        pytest.exit(f"the clients are not installed in {running.INSTALLED}: run `make clients`", 1)


@pytest.fixture(scope="session", params=PROFILES)
def server(request):
    """One sandbox for each profile."""
    with background(seed=world.SEED, profile=request.param) as server:
        yield Sandbox(server.url)


@pytest.fixture(scope="session")
def environment(server, tmp_path_factory):
    """Return the environment of every client."""
    return running.client_environment(
        address=server.url, key=world.KEY, home=tmp_path_factory.mktemp("home"), project=world.WEB
    )


@pytest.fixture
def sandbox(server):
    """Return the sandbox with a fresh world."""
    server.reset(world.SEED)
    return server
