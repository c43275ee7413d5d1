"""Read the plans that commands are given as files."""

from typing import Final

from reconciler.errors import ConfigError, ReconcilerError
from reconciler.files import result_files
from reconciler.planfile import codec
from reconciler.planfile.codec import Saved

_MAX_BYTES: Final = 512 * 1024 * 1024


def read_plan(name: str) -> Saved:
    """Return the plan in a file, exactly as it was written; raise an error that says why not."""
    try:
        return codec.load_plan(result_files.read_whole_file(name, _MAX_BYTES))
    except (OSError, UnicodeDecodeError) as error:
        raise ReconcilerError(
            f"{name} cannot be read as a plan",
            why=getattr(error, "strerror", None) or "it is not UTF-8 text",
            state="nothing was contacted, nothing was written",
            fix="name a file that `reconciler plan --out FILE` wrote",
        ) from error
    except ConfigError as error:
        raise ConfigError(f"{name} is {error.what}", why=error.why, fix=error.fix) from error
