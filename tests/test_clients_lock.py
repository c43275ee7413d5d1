"""What `make clients` installs: pinned by hash, and never skipped without a word."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "tests" / "clients"
EXACT = re.compile(r"\d+(\.\d+)*")


def test_clients_from_pypi_are_locked_with_hashes():
    """All that they need, too."""
    wanted = (FOLDER / "requirements.in").read_text(encoding="utf-8")
    lock = (FOLDER / "requirements.lock").read_text(encoding="utf-8")
    names = dict(re.findall(r"(?m)^([a-z0-9-]+)==(\S+)$", wanted))
    pinned = dict(re.findall(r"(?m)^([a-z0-9-]+)==(\S+) \\$", lock))

    assert len(names) >= 4
    assert names.items() <= pinned.items()
    for block in re.split(r"(?m)^(?=[a-z0-9])", lock)[1:]:
        assert "--hash=sha256:" in block, block
    assert "://" not in lock


def test_clients_from_npm_are_locked_with_hashes_and_run_no_scripts():
    """An install script is code that runs before anybody has looked."""
    wanted = json.loads((FOLDER / "package.json").read_text(encoding="utf-8"))["dependencies"]
    lock = json.loads((FOLDER / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    packages = {path: about for path, about in lock.items() if path}

    assert all(EXACT.fullmatch(version) for version in wanted.values())
    assert wanted == {name: packages[f"node_modules/{name}"]["version"] for name in wanted}
    assert [] == [path for path, about in packages.items() if "sha512-" not in about["integrity"]]
    assert "ignore-scripts=true" in (FOLDER / ".npmrc").read_text(encoding="utf-8")


@pytest.mark.parametrize("present", [(), ("node",), ("npm",)])
def test_make_says_how_to_install_what_is_missing(tmp_path, present):
    """A run without Node.js fails; it does not pass with fewer clients."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in present:
        (tools / name).symlink_to("/bin/true")
    folder = tmp_path / "clients"
    done = subprocess.run(
        [shutil.which("make"), f"CLIENTS={folder}", "PYTHON=python3", f"{folder}/.ready"],
        cwd=ROOT,
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert 2 == done.returncode
    assert "make clients needs Node.js 20 or newer with npm: install it" in done.stderr
    assert not folder.exists()
