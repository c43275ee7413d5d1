"""Where the engine of a session is."""

from reconciler.cli.session import Session
from reconciler.config.fleet_settings import FleetSettings
from reconciler.fleet.engine import connection
from reconciler.fleet.engine.connection import Connection


def find_engine(session: Session, settings: FleetSettings) -> Connection:
    """Return where the engine is; raises EngineError if it cannot be used from here.

    The threads of its SDK may abort Python at the end of the process, which loses the exit code.
    What is `lasting` has the process end without Python's own clean-up.
    """
    place = connection.read_connection(settings, session.environ)
    if session.surroundings.lasting is not None:
        session.surroundings.lasting.append(place)
    return place
