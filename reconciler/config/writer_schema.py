"""What editors need: a schema beside the files, and the line at the top of a file that names it."""

import json
import os
from pathlib import Path
from typing import Any, Final

from reconciler.config import one_schema, schema
from reconciler.config.writer_text import MODELINE

FOLDER: Final = ".schemas"  # hidden: no organization can be called so
RESOURCE: Final = "resource.schema.json"
SETTINGS: Final = "reconciler.schema.json"


def texts(*, settings: bool = False) -> dict[str, str]:
    """File name in `FOLDER` -> the schema of any resource document, and that of the settings."""
    found = {RESOURCE: _text(one_schema.build())}
    if settings:
        found[SETTINGS] = _text(schema.load("reconciler"))
    return found


def modeline(file: Path, root: Path, name: str = RESOURCE) -> str:
    """The first line of a file, for editors that ask the YAML language server."""
    path = Path(os.path.relpath(root / FOLDER / name, file.parent)).as_posix()
    return f"{MODELINE}{path if path.startswith('.') else f'./{path}'}\n"


def _text(value: Any) -> str:
    return json.dumps(value, indent=2) + "\n"
