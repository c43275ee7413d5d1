"""Run a fleet on the engine: start the runs, wait for them, and report as every fleet does."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from reconciler.cli.fleet import choice, local_run, results
from reconciler.cli.fleet.choice import FleetChoice
from reconciler.cli.fleet.subcommands import FleetOptions
from reconciler.cli.progress import Lines
from reconciler.cli.session import Session
from reconciler.cli.signals import catch_interrupts
from reconciler.errors import GitError, UsageError
from reconciler.files.working_tree import find_git_root
from reconciler.fleet import combine
from reconciler.fleet.engine import connection, run_requests
from reconciler.fleet.engine.connection import Connection
from reconciler.fleet.engine.messages import RunOutcome, RunRequest, name_workflow
from reconciler.git import repository

if TYPE_CHECKING:
    from reconciler.fleet.engine.connection import Connection

_REFUSED: Final = {
    "--host": "write `host` into the targets of reconciler.yaml",
    "--sandbox": "run it without --engine temporal",
    "--config": "run it in the folder of that file, and name the file reconciler.yaml",
    "--notify": "write `notify: [env:RECONCILER_NOTIFY_URL]` into the target, and set the variable "
    "on the worker; the history of the engine must not contain a URL",
}


def run_fleet(session: Session, options: FleetOptions) -> int:
    """Run the command for each target on workers; return the worst exit code."""
    _refuse_local_options(session, options)
    chosen = choice.choose_targets(session, options)
    place = connection.read_connection(session.settings().fleet, session.environ)
    choice.confirm(options, chosen.targets)
    requests = _make_requests(session, options, chosen)
    if options.detach:
        return _start(session, options, place, requests)
    return _wait(session, options, place, requests, chosen)


def _refuse_local_options(session: Session, options: FleetOptions) -> None:
    """Refuse what means this machine, or may not be kept in the engine's history."""
    given = {
        "--host": session.host,
        "--sandbox": session.sandbox,
        "--config": session.config,
        "--notify": "--notify" in options.words,
    }
    for name, fix in _REFUSED.items():
        if given[name]:
            raise UsageError(f"{name} is not for runs on the engine", fix=fix)


def _make_requests(
    session: Session, options: FleetOptions, chosen: FleetChoice
) -> list[RunRequest]:
    settings, root = session.settings(), find_git_root(session.cwd)
    if root is None:
        raise GitError(
            "a fleet on the engine runs at a commit, and this is not a git repository",
            why="a worker reads the files from its own clone",
            fix="run it in a clone of the configuration repository",
        )
    commit = repository.resolve_commit("HEAD", session.cwd)
    return [
        RunRequest(
            session.run_id,
            options.mode,
            name,
            commit,
            session.cwd.resolve().relative_to(root).as_posix(),
            options.words,
            run_requests.limit_needs(target, chosen.targets),
            options.timeout_s,
            settings.fleet.poll_s,
            run_requests.make_fairness_key(target),
        )
        for name, target in chosen.targets.items()
    ]


def _start(
    session: Session, options: FleetOptions, place: Connection, requests: Sequence[RunRequest]
) -> int:
    from reconciler.fleet.engine.temporal import fleet  # noqa: PLC0415  the SDK takes half a second

    fleet.start(place, requests)
    ids = [name_workflow(each.mode, each.target) for each in requests]
    if options.format == "json":
        session.say(json.dumps({"format_version": 1, "mode": options.mode, "workflows": ids}))
    else:
        session.say("\n".join(ids))
    return 0


def _wait(
    session: Session,
    options: FleetOptions,
    place: Connection,
    requests: Sequence[RunRequest],
    chosen: FleetChoice,
) -> int:
    """Wait for the runs, and report on them as every fleet does."""
    from reconciler.fleet.engine.temporal import fleet  # noqa: PLC0415  the SDK takes half a second

    folder = local_run.open_folder(session, options.out)
    folders = {name: folder / name for name in chosen.targets}
    stop = fleet.StopSignal()
    with (
        catch_interrupts(lambda _: stop.set(), session.surroundings.control) as interrupt,
        Lines(session.err, quiet=session.quiet) as lines,
    ):

        def take(request: RunRequest, outcome: RunOutcome) -> None:
            run_requests.take_report(request, outcome, folders[request.target])
            local_run.show_ended(session, options.mode, lines, folders[request.target])

        def warn() -> None:
            session.warn(
                f"no worker serves the task queue {place.task_queue}: the runs start when there "
                "is one; start it with `reconciler fleet worker`"
            )

        fleet.run(place, requests, on_outcome=take, on_no_worker=warn, stop=stop)
    session.surroundings.lasting = [*(session.surroundings.lasting or ()), fleet]
    report = combine.combine_targets(
        folders,
        mode=options.mode,
        commit=requests[0].commit if requests else None,
        shard=chosen.shard,
        interrupted=interrupt.code is not None,
    )
    out = folder if options.out is not None else None
    return results.finish(session, report, folders, form=options.format, out=out)
