"""What a run takes from where it runs: the process, or the fleet that it is a part of."""

import os
import sys
from collections.abc import Callable
from dataclasses import field
from typing import IO, TYPE_CHECKING

from reconciler.lazy_dataclass import dataclass

if TYPE_CHECKING:
    from reconciler.cli.throwaway_sandbox import Running
    from reconciler.config.load_cache import ParsedFiles
    from reconciler.config.settings import Settings
    from reconciler.fleet.target_run import RunControl


@dataclass(slots=True)
class Surroundings:
    """The streams, the environment, and what runs side by side share.

    Attributes:
        out: where results go.
        err: where progress, notes, warnings and errors go.
        environ: the variables of the environment.
        control: stops the run of one target of a fleet; None for a run that owns the process.
        parsed: the files that other runs have read; None for a run that shares none.
        settings: reconciler.yaml, by the paths of the command line that replace `paths` in it.
        sandbox: the temporary server of the fleet, if it has one.
        lasting: keeps what a command has read until the process ends: to give it back object by
            object would take long. None if the process goes on.
        warn: takes the warnings of the run, too; None if nobody else shows them.
        has_abandoned: whether threads were left behind, which nobody waits for.
        notifies: whether the run sends messages to webhooks; a fleet sends them for its targets.

    """

    out: IO[str] = field(default_factory=lambda: sys.stdout)
    err: IO[str] = field(default_factory=lambda: sys.stderr)
    environ: dict[str, str] = field(
        default_factory=lambda: dict(os.environ)  # noqa: TID251  read here, and handed on
    )
    control: "RunControl | None" = None
    parsed: "ParsedFiles | None" = None
    settings: "dict[tuple[str, ...], Settings]" = field(default_factory=dict)
    sandbox: "Running | None" = None
    lasting: list[object] | None = None
    warn: Callable[[str], None] | None = None
    has_abandoned: bool = False
    notifies: bool = True
