"""Read `fleet` of `reconciler.yaml`: on which engine many targets run, and where it is."""

from pathlib import Path
from typing import Any, Final

from reconciler.lazy_dataclass import dataclass
from reconciler.model import MappingNode
from reconciler.model.units import parse_duration


@dataclass(frozen=True, slots=True)
class FleetSettings:
    """Hold how fleets run.

    Attributes:
        engine: `local` for this process, or `temporal`.
        address: of the engine's server, host and port.
        namespace: of the engine.
        task_queue: where workers look for runs.
        poll_s: between two looks at the change requests that an apply waits for.
        artifacts: the folder for reports that workers and this machine share; None: each worker's
            own.

    """

    engine: str = "local"
    address: str = "localhost:7233"
    namespace: str = "default"
    task_queue: str = "reconciler"
    poll_s: float = 30.0
    artifacts: Path | None = None


DEFAULT_FLEET: Final = FleetSettings()


def build_fleet(node: Any, file: Path) -> FleetSettings:
    """Return the settings of a file that its schema accepts; paths are from its folder."""
    values = node if isinstance(node, MappingNode) else {}
    default = DEFAULT_FLEET
    artifacts = values.get("artifacts")
    return FleetSettings(
        engine=values.get("engine", default.engine),
        address=values.get("address", default.address),
        namespace=values.get("namespace", default.namespace),
        task_queue=values.get("task_queue", default.task_queue),
        poll_s=parse_duration(values["poll"]) if "poll" in values else default.poll_s,
        artifacts=file.parent / artifacts if artifacts else None,
    )
