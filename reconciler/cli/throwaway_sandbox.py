"""Start a sandbox for one command (`--sandbox`) and remove it afterwards."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from reconciler.errors import ReconcilerError
from reconciler.sandbox import server
from reconciler.sandbox.protocol.errors import SandboxError


@dataclass(frozen=True, slots=True)
class Running:
    """A throw-away server and a key that it knows."""

    url: str
    token: str


@contextmanager
def sandbox_errors() -> Iterator[None]:
    """What the server says on purpose, as one of our errors."""
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


def default_seed() -> Path:
    """The seed inside the wheel, else the example's beside the package."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "sandbox" / "default_seed.yaml"
    return inside if inside.exists() else package.parent / "examples" / "acme" / "seed.yaml"


@contextmanager
def throw_away(seed: Path) -> Iterator[Running]:
    """A server in this process for the time of one command, and its seed's first key."""
    with sandbox_errors(), server.background(seed=seed) as running:
        yield Running(running.url, _first_token(seed))


def _first_token(seed: Path) -> str:
    """The key with every scope that the seed names first."""
    found = re.search(r"token:\s*['\"]?(phx_[A-Za-z0-9_]+)", seed.read_text(encoding="utf-8"))
    if found is None:
        raise ReconcilerError(f"{seed} names no key", fix="give one of its users a token")
    return found.group(1)
