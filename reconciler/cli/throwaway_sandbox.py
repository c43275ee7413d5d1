"""Start a sandbox for one command (`--sandbox`) and remove it afterwards."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reconciler.errors import ReconcilerError
from reconciler.lazy_dataclass import dataclass
from reconciler.sandbox import server
from reconciler.sandbox.protocol.errors import SandboxError


@dataclass(frozen=True, slots=True)
class Running:
    """A throw-away server and a key that it knows."""

    url: str
    token: str


@contextmanager
def sandbox_errors() -> Iterator[None]:
    """Turn what the server raises on purpose into one of our errors."""
    try:
        yield
    except ImportError as error:
        raise ReconcilerError(
            "the sandbox's packages are not installed",
            why=str(error),
            state="nothing was started",
            fix="pip install 'posthog-reconciler[sandbox]'",
        ) from error
    except SandboxError as error:
        raise ReconcilerError(
            "the sandbox cannot start",
            why=str(error),
            state="nothing was started",
            fix="see `reconciler sandbox --help` and docs/sandbox.md",
        ) from error


def find_default_seed() -> Path:
    """Return the seed inside the wheel, else the example's beside the package."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "sandbox" / "default_seed.yaml"
    return inside if inside.exists() else package.parent / "examples" / "acme" / "seed.yaml"


@contextmanager
def run_sandbox(seed: Path) -> Iterator[Running]:
    """Run a server in this process for one command; yield it with its seed's first key."""
    with sandbox_errors(), server.background(seed=seed) as running:
        yield Running(running.url, _find_token(seed))


def _find_token(seed: Path) -> str:
    """Return the key with every scope that the seed names first."""
    match = re.search(r"token:\s*['\"]?(phx_[A-Za-z0-9_]+)", seed.read_text(encoding="utf-8"))
    if match is None:
        raise ReconcilerError(f"{seed} names no key", fix="give one of its users a token")
    return match.group(1)
