"""What editors need: a schema beside the files, and the line at the top of a file that names it."""

import json
import os
from pathlib import Path
from typing import Any, Final

from reconciler.config import schema
from reconciler.kinds import KINDS

FOLDER: Final = ".schemas"  # hidden: no organization can be called so
RESOURCE: Final = "resource.schema.json"
SETTINGS: Final = "reconciler.schema.json"
_MARK: Final = "# yaml-language-server: $schema="


def texts(*, settings: bool = False) -> dict[str, str]:
    """File name in `FOLDER` -> the schema of any resource document, and that of the settings."""
    found = {RESOURCE: _text(resource())}
    if settings:
        found[SETTINGS] = _text(schema.load("reconciler"))
    return found


def resource() -> dict[str, Any]:
    """One schema for any document, chosen by `kind`; self-contained."""
    kinds = list(KINDS)
    chosen = [
        {
            "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
            "then": {n: v for n, v in schema.load(kind).items() if n not in {"$schema", "$id"}},
        }
        for kind in kinds
    ]
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Resource",
        "description": "One resource: an organization, project, member, role, policy or flag.",
        "type": "object",
        "required": ["kind", "metadata"],
        "properties": {"kind": {"description": "What is declared.", "enum": kinds}},
        "allOf": chosen,
    }


def modeline(file: Path, root: Path, name: str = RESOURCE) -> str:
    """The first line of a file, for editors that ask the YAML language server."""
    path = Path(os.path.relpath(root / FOLDER / name, file.parent)).as_posix()
    return f"{_MARK}{path if path.startswith('.') else f'./{path}'}\n"


def _text(value: Any) -> str:
    return json.dumps(value, indent=2) + "\n"
