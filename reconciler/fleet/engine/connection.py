"""Say where the Temporal server is: the environment, else `fleet` in reconciler.yaml."""

from collections.abc import Mapping
from dataclasses import field
from importlib.util import find_spec
from typing import Final

from reconciler.config.fleet_settings import FleetSettings
from reconciler.errors import EngineError
from reconciler.lazy_dataclass import dataclass
from reconciler.posthog import credentials

ADDRESS: Final = "TEMPORAL_ADDRESS"
API_KEY: Final = "TEMPORAL_API_KEY"


@dataclass(frozen=True, slots=True)
class Connection:
    """Hold where the server is, and what runs are queued as."""

    address: str
    namespace: str
    task_queue: str
    environ: Mapping[str, str] = field(repr=False)  # of the SDK: TEMPORAL_...


def read_connection(settings: FleetSettings, environ: Mapping[str, str]) -> Connection:
    """Return the connection of a run; variables of the SDK win over reconciler.yaml.

    Raises EngineError without the SDK, and where a file decides who gets the API key.
    """
    if find_spec("temporalio") is None:
        raise EngineError(
            "the packages for Temporal are not installed",
            why="a fleet on the engine needs the extra `temporal`",
            fix="pip install 'posthog-reconciler[temporal]'",
        )
    own = {name: value for name, value in environ.items() if name.startswith("TEMPORAL_")}
    address = own.get(ADDRESS) or settings.address
    host = address.rpartition(":")[0].strip("[]") or address
    if own.get(API_KEY) and not own.get(ADDRESS) and not credentials.is_loopback(host):
        raise EngineError(
            f"{API_KEY} may not be sent to {address}",
            why="only reconciler.yaml names this address, and a file must not decide who gets it",
            fix=f"set {ADDRESS}={address}",
        )
    namespace = own.get("TEMPORAL_NAMESPACE") or settings.namespace
    return Connection(address, namespace, settings.task_queue, own)
