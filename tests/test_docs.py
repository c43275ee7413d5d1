"""The pages are true: the reference is the program's own, and what they show to type is typed."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
import yaml

from scripts.cli_reference import render_reference
from tests.support import CLEAN, Repository, run_in_process

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "reconciler"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
CONSOLE = re.compile(r"^ *```console\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
FENCED = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
GOOD = {0, 2, 3}  # done, differences, waiting: what an example may end with


def test_the_reference_is_what_the_program_says():
    """`make docs` brings it up to date."""
    assert render_reference() == (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")


def anchors(page):
    """The names of a page's headings, as GitHub makes them."""
    for heading in re.findall(r"^#+ (.*)$", FENCED.sub("", page.read_text("utf-8")), re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_between_pages_leads_somewhere(page):
    """To a file that is there, and to a heading of it."""
    links = re.findall(r"\]\(([^)\s]+)\)", FENCED.sub("", page.read_text("utf-8")))
    broken = []
    for file, _, anchor in (link.partition("#") for link in links if "://" not in link):
        there = page.parent / file if file else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(f"{file}#{anchor}")

    assert [] == broken


def test_every_page_is_in_the_index():
    """Who looks finds it."""
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    pages = {page.name for page in PAGES if page.parent.name == "docs"} - {"index.md"}

    assert {page for page in pages if f"]({page})" in index} == pages


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_every_file_that_a_map_of_the_code_names_exists(page):
    """Paths are from the root of the repository, or below `reconciler/`."""
    text = (ROOT / page).read_text("utf-8")
    files = r"[\w./]*\w/[\w./]*\w\.(?:py|json|yaml|toml)"
    named = set(re.findall(files + r"|\b\w+(?:/\w+)*/(?=`)", text))
    missing = {name for name in named if not ((ROOT / name).exists() or (PACKAGE / name).exists())}

    assert len(named) > 5
    assert missing == set()


def typed(page):
    """The command lines of a page's console blocks, in their order."""
    for block in CONSOLE.findall(page.read_text(encoding="utf-8")):
        for line in block.splitlines():
            text = line.strip()
            if text.startswith("$ reconciler") and "sandbox --port" not in text:
                yield text.removeprefix("$ ").split("  #")[0].strip()


SHOWN = [page for page in PAGES if list(typed(page))]


@pytest.mark.parametrize("page", SHOWN, ids=lambda page: page.name)
def test_what_a_page_shows_to_type_can_be_typed(page, shared_sandbox, tmp_path):
    """In a copy of the examples, committed, beside a sandbox of their world; line by line."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    folder = tmp_path / "examples" / "acme"
    shared_sandbox.reset(yaml.safe_load((folder / "seed.yaml").read_text("utf-8")))
    repo = Repository(folder, shared_sandbox, token="phx_acme_ci")
    repo.commit()
    for shown in typed(page):
        line = re.sub(r" && export \S+=phx_…", "", shown)
        line = line.replace("reconciler apply", "reconciler apply --yes")
        where = tmp_path if "examples/acme" in line else folder
        if "reconciler init" in line:
            folder = tmp_path / "new"
            folder.mkdir(exist_ok=True)
            where = folder
        for part in line.split(" && "):
            program, *arguments = shlex.split(part)
            assert program == "reconciler", line
            done = run_in_process(arguments, where, repo.environment())
            assert done.code in GOOD, (line, done.out[-800:], done.err[-800:])


def test_there_are_examples_to_type():
    """In the README and on the first pages that a newcomer reads."""
    assert {"README.md", "quickstart.md", "init.md", "terraform.md"} <= {
        page.name for page in SHOWN
    }


def test_the_program_prints_its_reference_without_a_key():
    """Nothing of the machine is in it."""
    text = render_reference()

    assert str(Path.home()) not in text
    assert CLEAN["PATH"] not in text
