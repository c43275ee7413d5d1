"""One run: what an earlier run left goes, every probe runs, everything of ours goes."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Final

from reconciler.conformance import access_probes, gate_probes, judgement, probes, scratch
from reconciler.conformance.exchange import (
    InterruptedProbeError,
    ProbeSkippedError,
    Recorder,
)
from reconciler.conformance.judgement import Judged, Observations
from reconciler.conformance.scene import Scene
from reconciler.conformance.scratch import Leftover, ScratchProject
from reconciler.conformance.statement import ApiGeneration
from reconciler.conformance.statements import STATEMENTS
from reconciler.errors import ApiError
from reconciler.lazy_dataclass import dataclass

PROBES: Final[Mapping[str, Callable[[Scene], None]]] = MappingProxyType(
    {
        "access": probes.probe_access,
        "policies": probes.probe_policies,
        "flags": probes.probe_flags,
        "gate": gate_probes.probe_gate,
        "votes": gate_probes.probe_votes,
        "second": gate_probes.probe_second_person,
        "conditions": gate_probes.probe_conditions,
        "stale": gate_probes.probe_stale_editor,
        "enable": gate_probes.probe_enable,
        "secrets": gate_probes.probe_secrets,
        "rollouts": gate_probes.probe_rollouts,
        "holdouts": probes.probe_holdouts,
        "rules": access_probes.probe_rules,
        "settings": access_probes.probe_settings,
        "reserved": gate_probes.probe_reserved_key,
    }
)
_GATED: Final = frozenset(
    {
        *("gate", "votes", "second", "conditions", "stale", "enable", "holdouts", "secrets"),
        "rollouts",
    }
)
_ATTEMPTS: Final = 2  # to remove everything: a single failed answer leaves nothing behind
_WRITES_FLAGS: Final = _GATED | {"flags"}
_GATE_KEYS: Final = ("feature_flag.", "experiment.", "experiment_holdout.")


@dataclass(frozen=True, slots=True)
class ConformanceReport:
    """What a run has shown.

    `left_behind` is what could not be removed; `problem` why it could not be looked for.
    """

    host: str
    generation: ApiGeneration
    judged: tuple[Judged, ...]
    left_behind: tuple[Leftover, ...]
    requests: int
    problem: str = ""
    is_interrupted: bool = False


def run(recorder: Recorder, project: ScratchProject, foreign: tuple[str, ...]) -> ConformanceReport:
    """Run every probe and remove everything that they made.

    Args:
        recorder: sends the calls.
        project: where.
        foreign: action keys of the policies of others, which would decide about our writes.

    """
    recorder.facts["me"] = project.user_id
    _remove(recorder, project)
    is_interrupted = False
    try:
        for name, probe in PROBES.items():
            _run_probe(recorder, project, name, probe, foreign)
    except InterruptedProbeError:
        is_interrupted = True
        for name in PROBES:
            recorder.skipped.setdefault(name, "the run was interrupted")
    finally:
        left_behind, problem = _remove(recorder, project)
    observed = Observations(recorder.exchanges, recorder.facts, recorder.skipped)
    generation = judgement.find_generation(STATEMENTS, observed)
    judged = judgement.judge_all(STATEMENTS, observed, generation)
    return ConformanceReport(
        recorder.writer.host,
        generation,
        judged,
        left_behind,
        sum(client.reads + client.writes for client in recorder.writers),
        problem,
        is_interrupted,
    )


def _run_probe(
    recorder: Recorder,
    project: ScratchProject,
    name: str,
    probe: Callable[[Scene], None],
    foreign: tuple[str, ...],
) -> None:
    """Run one probe, and note why if it cannot be run to its end."""
    if name in _GATED and not project.has_approvals:
        recorder.skipped[name] = "the organization's plan has no approvals"
        return
    decides = [key for key in foreign if key.startswith(_GATE_KEYS)]
    if name in _WRITES_FLAGS and decides:
        recorder.skipped[name] = f"the project has policies of others: {', '.join(sorted(decides))}"
        return
    scene = Scene(recorder, project)
    try:
        probe(scene)
        scene.delete_policies()
    except ProbeSkippedError as skipped:
        recorder.skipped[name] = str(skipped)
        _tidy(scene)
    except ApiError as error:
        recorder.skipped[name] = f"{error.what}: {error.why}"
        _tidy(scene)


def _tidy(scene: Scene) -> None:
    """Let the next probe begin without policies and open requests, as far as that is possible."""
    with suppress(ProbeSkippedError):
        scene.settle()
        scene.delete_policies()


def _remove(recorder: Recorder, project: ScratchProject) -> tuple[tuple[Leftover, ...], str]:
    problem = ""
    for _ in range(_ATTEMPTS):
        try:
            return scratch.remove(recorder, project), ""
        except ApiError as error:
            problem = f"what is left in the project cannot be read: {error.what}: {error.why}"
    return (), problem
