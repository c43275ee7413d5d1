"""Make requests for runs from settings, and use the reports that runs have left."""

import hashlib
import shutil
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

from reconciler.config.settings import Settings
from reconciler.config.targets import Target
from reconciler.fleet import selection, target_folder, waves
from reconciler.fleet.engine.messages import RunOutcome, RunRequest, ScheduledFleet
from reconciler.fleet.target_run import LOG
from reconciler.model import ExitCode, FleetMode, Problem, TargetResult
from reconciler.posthog import credentials

_WITHOUT_ERROR: Final = frozenset(
    {ExitCode.DONE, ExitCode.DIFFERENCES, ExitCode.WAITING, ExitCode.INTERRUPTED}
)
_MAX_KEY: Final = 64  # bytes of a fairness key


def make_scheduled(
    settings: Settings, fleet: ScheduledFleet, commit: str, id_: str
) -> list[RunRequest]:
    """Return the runs of a schedule."""
    names = selection.select_targets(settings.targets, fleet.patterns)
    return [
        RunRequest(
            id_,
            fleet.mode,
            name,
            commit,
            fleet.folder,
            tuple(fleet.words),
            limit_needs(settings.targets[name], names),
            fleet.timeout_s,
            fleet.poll_s,
            make_fairness_key(settings.targets[name]),
            notifies=True,
        )
        for name in names
    ]


def limit_needs(target: Target, names: Collection[str]) -> tuple[str, ...]:
    """Return the targets that a target needs, as far as they run as well."""
    return tuple(name for name in target.needs if name in names)


def make_fairness_key(target: Target) -> str:
    """Return the host and the name of the key's variable, by which the server may share out."""
    variable = target.api_key_env or credentials.KEY_VARIABLES[0]
    text = f"{variable}@{target.host or credentials.DEFAULT_HOST}"
    return text.encode()[:_MAX_KEY].decode(errors="ignore")


def digest_report(folder: Path) -> str:
    """Return a digest of a report's summary; "" if there is none."""
    try:
        data = (folder / target_folder.SUMMARY).read_bytes()
    except OSError:
        return ""
    return hashlib.sha256(data).hexdigest()


def take_report(request: RunRequest, outcome: RunOutcome, folder: Path) -> bool:
    """Copy the report of a run to `folder`; return False if the store cannot be read from here.

    Then the folder only says what the outcome does.
    """
    mode = FleetMode(request.mode)
    source = Path(outcome.report) if outcome.report else None
    if source is not None and outcome.digest and digest_report(source) == outcome.digest:
        shutil.copytree(source, folder, dirs_exist_ok=True)
        with suppress(OSError):  # a run that could not begin has none
            shutil.copyfile(_name_log(source), _name_log(folder))
        return True
    error = None
    if outcome.exit_code is not None and outcome.exit_code not in _WITHOUT_ERROR:
        error = Problem(
            f"{request.target} ended with {outcome.exit_code}",
            "its report is in the folder of the worker that ran it, which is not here",
            "",
            f"look there: {outcome.report}",
        )
    result = TargetResult(
        request.target,
        outcome.exit_code,
        outcome.seconds,
        outcome.requests,
        skipped_because=_explain_skip(outcome),
        error=error,
    )
    target_folder.write_result(folder, mode, result)
    return False


def _name_log(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}{LOG}")


def _explain_skip(outcome: RunOutcome) -> str | None:
    """Return why a run did not begin; None if it did."""
    if outcome.exit_code is not None:
        return None
    if outcome.unmet is None:
        return "the fleet was interrupted"
    return waves.describe_unmet(outcome.unmet, outcome.unmet_code)
