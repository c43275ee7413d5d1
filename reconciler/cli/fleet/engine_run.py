"""Run a fleet on the engine: start the runs, wait for them, and report as every fleet does."""

import json
from collections.abc import Iterator, Sequence
from typing import Final

from reconciler.cli.fleet import choice, local_run, results
from reconciler.cli.fleet.choice import FleetChoice
from reconciler.cli.fleet.engine_place import find_engine
from reconciler.cli.fleet.subcommands import FleetOptions
from reconciler.cli.progress import Lines
from reconciler.cli.session import Session
from reconciler.cli.signals import catch_interrupts
from reconciler.errors import GitError, UsageError
from reconciler.files.working_tree import find_git_root
from reconciler.fleet.engine import run_requests
from reconciler.fleet.engine.connection import Connection
from reconciler.fleet.engine.messages import RunOutcome, RunRequest, name_workflow
from reconciler.git import applied_ref, repository

_REFUSED: Final = {
    "--sandbox": "run it without --engine temporal",  # it also sets the host
    "--host": "write `host` into the targets of reconciler.yaml",
    "--config": "run it in the folder of that file, and name the file reconciler.yaml",
    "--notify": "leave --detach out, or write `notify: [env:RECONCILER_NOTIFY_URL]` into the "
    "target and set the variable on the worker: the engine must not store a URL",
}
_MESSAGES: Final = frozenset({"--notify", "--notify-format", "--notify-marker"})


def run_fleet(session: Session, options: FleetOptions) -> int:
    """Run the command for each target on workers; return the worst exit code."""
    _refuse_local_options(session, options)
    chosen = choice.choose_targets(session, options)
    place = find_engine(session, session.settings().fleet)
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
        "--notify": options.detach and "--notify" in options.words,
    }
    for name, fix in _REFUSED.items():
        if given[name]:
            raise UsageError(f"runs on the engine do not accept {name}", fix=fix)


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
    words = (*_drop_messages(options.words), *_list_base_words(session, options))
    return [
        RunRequest(
            session.run_id,
            options.mode,
            name,
            commit,
            session.cwd.resolve().relative_to(root).as_posix(),
            words,
            run_requests.limit_needs(target, chosen.targets),
            options.timeout_s,
            settings.fleet.poll_s,
            run_requests.make_fairness_key(target),
            notifies=options.detach,
        )
        for name, target in chosen.targets.items()
    ]


def _drop_messages(words: Sequence[str]) -> Iterator[str]:
    """Yield options without those of messages: this command sends them, and a URL is a secret."""
    remaining = iter(words)
    for word in remaining:
        if word in _MESSAGES:
            next(remaining, None)
        else:
            yield word


def _list_base_words(session: Session, options: FleetOptions) -> Sequence[str]:
    """Return the base of a pull request as an option: workers do not know of the build."""
    if session.build is None or options.values.get("base") is not None:
        return ()
    target = next(iter(session.settings().targets))  # the base does not depend on it
    state = applied_ref.read_state(session.cwd, target=target, build=session.build)
    base = applied_ref.resolve_base(
        None, target=target, build=session.build, state=state, cwd=session.cwd
    )
    return ("--base", base.commit) if base is not None and base.pull_request else ()


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

    folder = local_run.open_folder(session, options.out, chosen.targets)
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
    was_interrupted = interrupt.code is not None
    return results.report_targets(session, options, chosen, folder, interrupted=was_interrupted)
