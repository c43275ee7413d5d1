"""Links, pipes, devices and folders that cannot be read: refused, and nothing leaks."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from reconciler.config import loader
from reconciler.errors import ConfigError
from reconciler.files import working_tree
from reconciler.files.text import RefusedError

ROOT = Path(__file__).parents[3]
ROLE = "kind: Role\nmetadata: {organization: acme, name: A}\n"
SECRET = "kind: Role\nmetadata: {organization: acme, name: Secret}\n"


@pytest.fixture
def inside(folder):
    """A folder `in` beside a secret outside of it."""
    folder.write({"in/a.yaml": ROLE, "out/secret.yaml": SECRET})
    (folder.path / "in" / ".git").mkdir()
    folder.path /= "in"
    return folder


def names(folder, *paths):
    """Display names of what is read."""
    tree = working_tree.WorkingTree(folder.path)
    return [name for path in paths or (".",) for name, read in tree.walk(Path(path)) if read()]


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("b.yaml", "../out/secret.yaml"),
        ("b.yaml", "{outside}/secret.yaml"),
        ("b", "../out"),
        ("b", "{outside}"),
        ("b", "/"),
        ("b.yaml", "/proc/self/environ"),
        ("x/b", "../../out"),
        ("b.yaml", "../in/../out/secret.yaml"),
    ],
)
def test_a_link_out_of_the_repository_is_an_error(inside, link, target):
    """To a file or a folder, relative or absolute."""
    outside = inside.path.parent / "out"
    place = inside.path / link
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(target.format(outside=outside))
    findings = inside.errors()

    assert [("R010", link, "leads out of the repository")] == [
        (finding.code, finding.source.file, finding.message) for finding in findings
    ]
    assert "Secret" not in str(findings)


def test_a_link_through_another_link_is_followed_to_its_end(inside):
    """And judged there."""
    (inside.path / "one").symlink_to("../out")
    (inside.path / "two.yaml").symlink_to("one/secret.yaml")

    assert ["one", "two.yaml"] == [finding.source.file for finding in inside.errors()]


@pytest.mark.parametrize("path", ["../out", "../out/secret.yaml", "linked", "linked.yaml"])
def test_a_path_that_is_named_is_judged_by_its_own_repository(inside, path):
    """A path of its own is meant; a link in the repository that leaves it is not."""
    (inside.path / "linked").symlink_to("../out")
    (inside.path / "linked.yaml").symlink_to("../out/secret.yaml")

    if path.startswith(".."):
        assert inside.load(path).declared.resources
    else:
        assert ["R010"] == [finding.code for finding in inside.errors(path)]


def test_links_inside_the_repository_are_followed_once(inside):
    """In circles as well; a file that is reached twice is read once."""
    inside.write({"deep/er/b.yaml": ROLE.replace("A}", "B}")})
    (inside.path / "deep" / "er" / "up").symlink_to("../..")
    (inside.path / "deep" / "c.yaml").symlink_to("er/b.yaml")
    (inside.path / "loop").symlink_to("loop")

    assert names(inside) == ["a.yaml", "deep/c.yaml"]


def test_without_git_the_anchor_is_what_links_may_not_leave(folder):
    """The folder of reconciler.yaml; else the current one."""
    folder.write({"top/config/a.yaml": ROLE, "top/shared/b.yaml": ROLE.replace("A}", "B}")})
    (folder.path / "top" / "config" / "link").symlink_to("../shared")
    config, top = folder.path / "top" / "config", folder.path / "top"

    assert (
        len(
            loader.load_files(
                [config], tree=working_tree.WorkingTree(config, anchor=top)
            ).declared.resources
        )
        == 2
    )
    with pytest.raises(ConfigError, match="1 error"):
        loader.load_files([config], tree=working_tree.WorkingTree(config))


@pytest.mark.parametrize("name", ["b.YAML", "b.Yml", "deep/er/b.yAmL"])
def test_the_case_of_an_extension_means_nothing(inside, name):
    """A file that is renamed so has not left the repository: nothing is deleted for it."""
    inside.write({name: ROLE.replace("name: A", "name: B")})

    assert ["a.yaml", name] == names(inside)
    assert len(inside.load().declared.resources) == 2


def test_a_pipe_is_refused_without_waiting_for_it(inside):
    """Nobody writes to it."""
    os.mkfifo(inside.path / "pipe.yaml")
    (finding,) = inside.errors()

    assert (finding.source.file, finding.message) == ("pipe.yaml", "is not a regular file")


def test_a_device_is_refused(inside):
    """It never ends."""
    (finding,) = inside.errors("/dev/zero")

    assert (finding.code, finding.message) == ("R010", "is not a regular file")


UNPRIVILEGED = """
import os, tempfile
from pathlib import Path
from reconciler.config import loader
from reconciler.files import working_tree as files
from reconciler.errors import ConfigError

def look(folder):
    try:
        loaded = loader.load_files([folder], tree=files.WorkingTree(folder))
        return [str(address) for address in loaded.declared.resources]
    except ConfigError as error:
        return [finding.source.file for finding in error.findings]

with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    folder.chmod(0o755)
    (folder / "c").mkdir()
    (folder / "b.yaml").write_text(ROLE)
    (folder / "c" / "d.yaml").write_text(ROLE.replace("A}", "B}"))
    print(*look(folder))  # everything that is needed is imported now
    (folder / "b.yaml").chmod(0)
    (folder / "c").chmod(0)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresuid(65534, 65534, 0)
    print(*look(folder))
    if os.getresuid()[2] == 0:
        os.setresuid(0, 0, 0)
    (folder / "c").chmod(0o755)
"""  # fmt: skip


def test_what_may_not_be_read_is_an_error():
    """File or folder. The superuser may read everything, so a child drops its rights first."""
    code = f"ROLE = {ROLE!r}\n{UNPRIVILEGED}"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.stdout.split("\n")[:2] == ["Role/acme/A Role/acme/B", "b.yaml c"], done.stderr


def test_a_file_that_grows_while_it_is_read_is_cut_at_the_limit(inside):
    """One byte over: refused, never read on."""
    (inside.path / "big.yaml").write_bytes(b"#" * (9 * 1024 * 1024))
    (finding,) = inside.errors()

    assert (finding.code, finding.source.file) == ("R009", "big.yaml")


def test_folders_cannot_be_nested_without_end(inside):
    """64 in each other."""
    deep = inside.path.joinpath(*["d"] * 70)
    deep.mkdir(parents=True)
    (deep / "a.yaml").write_text(ROLE)

    assert "R009" in [finding.code for finding in inside.errors()]


def test_a_link_that_is_swapped_while_walking_never_lets_anything_out(inside):
    """Opened step by step without following links: whoever wins the race, nothing leaks."""
    safe, place = inside.path / "safe.yaml", inside.path / "swap.yaml"
    safe.write_text(ROLE)
    stop = threading.Event()

    def swap():
        scratch = inside.path / ".scratch"
        while not stop.is_set():
            for target in ("safe.yaml", "../out/secret.yaml"):
                scratch.unlink(missing_ok=True)
                scratch.symlink_to(target)
                scratch.replace(place)
            scratch.write_text(ROLE)
            scratch.replace(place)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(1000):
            for _, read in working_tree.WorkingTree(inside.path).walk(Path()):
                try:
                    assert b"Secret" not in read()
                except RefusedError:
                    continue
    finally:
        stop.set()
        thread.join()


def test_the_working_folder_is_never_searched_for_modules(inside):
    """A `yaml.py` beside the files stays what it is: a file."""
    (inside.path / "yaml.py").write_text("raise SystemExit('imported')")
    code = (
        "from pathlib import Path\nfrom reconciler.config import loader\n"
        "print(len(loader.load_files([Path('a.yaml')]).declared.resources))"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=inside.path,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "1\n"
