"""Make the README's picture of the page of a plan: `make picture`. It needs Chromium.

The plan is that of examples/acme, made against the sandbox: one request is filed, and the first
of its two approvals is given.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from scripts.record_terminal import RECONCILER, ROOT, start_sandbox

TARGET: Final = ROOT / "docs" / "images" / "plan-page.png"
WIDTH, HEIGHT = 1180, 1080  # pixels
BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAG: Final = "FeatureFlag/acme/Web/new-checkout"
SESSION: Final = (
    ("ci", ("apply", "--yes", "--select", FLAG)),
    ("alice", ("requests", "approve", FLAG, "--yes", "--reason", "The load test is green.")),
    ("ci", ("plan", "--format", "html")),
)


def make_page() -> str:
    """Return the page of the last command."""
    shown = b""
    with start_sandbox() as url, tempfile.TemporaryDirectory() as folder:
        repository = Path(folder) / "acme"
        shutil.copytree(ROOT / "examples" / "acme", repository)
        for person, words in SESSION:
            environ = {
                "PATH": os.environ["PATH"], "HOME": folder, "LANG": "C.UTF-8",
                "POSTHOG_HOST": url, "POSTHOG_API_KEY": f"phx_acme_{person}",
            }  # fmt: skip
            done = subprocess.run(
                [RECONCILER, *words], cwd=repository, env=environ, capture_output=True, check=False
            )
            shown = done.stdout
        return shown.decode().replace(url, "https://eu.posthog.com")


def picture(page: str, target: Path) -> None:
    """Write the upper part of a page as a picture."""
    named = os.environ.get("CHROMIUM")
    browser = next(filter(None, map(shutil.which, [named] if named else BROWSERS)), None)
    if browser is None:
        sys.exit("no Chromium: `make chromium` installs it, or CHROMIUM=/path/to/it names one")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "plan.html"
        path.write_text(page, encoding="utf-8")
        subprocess.run(
            [
                *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
                *(f"--user-data-dir={folder}/profile", f"--window-size={WIDTH},{HEIGHT}"),
                *(f"--screenshot={target.resolve()}", path.as_uri()),
            ],
            check=True,
            capture_output=True,
        )


if __name__ == "__main__":
    picture(make_page(), Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET)
