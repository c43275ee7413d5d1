"""Name files and folders of documents so that every operating system accepts the names."""

import hashlib
import json
import os
import unicodedata
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import quote

from reconciler.config.edit.documents import DocumentShape
from reconciler.config.edit.file_text import MODELINE
from reconciler.config.schema import validator
from reconciler.files.working_tree import SETTINGS
from reconciler.kinds import KINDS
from reconciler.lazy_pattern import compile_later
from reconciler.model import Address, Scope

LAYOUTS: Final = ("collection", "resource")
SUFFIX: Final = ".yaml"
_PLAIN: Final = DocumentShape()

_MAX_BYTES: Final = 150  # of a name; every system allows 255
_CUT: Final = compile_later("%.?$")  # an incomplete encoded byte
_DEVICES: Final = frozenset(
    {"con", "prn", "aux", "nul", *(f"{name}{n}" for name in ("com", "lpt") for n in range(10))}
)


class FileNames:
    """Chooses a file for each document; names that some system takes for the same get a suffix."""

    def __init__(self, layout: str) -> None:
        self._layout = layout
        self._taken: dict[tuple[str, str], str] = {}

    def choose_file(self, address: Address, shape: DocumentShape = _PLAIN) -> PurePosixPath:
        """Return the file of a document, relative to the output folder."""
        scope = PurePosixPath(*self._list_folders(address, shape))
        plural = KINDS[address.kind].plural
        if self._layout == LAYOUTS[0] or KINDS[address.kind].scope is Scope.INSTANCE:
            return scope / f"{plural}{SUFFIX}"
        folder = scope / plural
        return folder / f"{self._name_part(str(folder), address.name)}{SUFFIX}"

    def _list_folders(self, address: Address, shape: DocumentShape) -> list[str]:
        """Return the folders of a document: the names that it contains itself."""
        names = shape.names.build_identity(KINDS[address.kind], address)
        if shape.omits_organization:
            del names["organization"]
        folders: list[str] = []
        for key in ("organization", "project"):
            if key in names:
                folders.append(self._name_part("/".join(folders), names[key], is_folder=True))
        return folders

    def _name_part(self, folder: str, name: str, *, is_folder: bool = False) -> str:
        """Return a name as a part of a path that no other name in the folder has."""
        encoded = encode_name(name, is_folder=is_folder)
        key = (f"{folder}/{is_folder}", unicodedata.normalize("NFC", encoded).casefold())
        if self._taken.setdefault(key, name) == name:
            return encoded
        return f"{encoded}~{_hash_name(name)}"


def encode_name(name: str, *, is_folder: bool = False) -> str:
    """Return a name as one part of a path, percent-encoded where necessary."""
    part = quote(name, safe="@+ ")  # a space is fine within a name, but not at its ends
    stem = part.split(".")[0].strip().lower()
    if part.startswith((".", " ")) or stem in _DEVICES or f"{part}{SUFFIX}".lower() == SETTINGS:
        part = f"%{ord(part[0]):02X}{part[1:]}"  # hidden, a device on Windows, or our settings
    if part.endswith(" "):
        part = f"{part[:-1]}%20"
    elif part.endswith(".") or (is_folder and part.lower().endswith((".yaml", ".yml"))):
        head, _, tail = part.rpartition(".")
        part = f"{head}%2E{tail}"
    if len(part) > _MAX_BYTES:
        part = f"{_CUT.sub('', part[:_MAX_BYTES]).rstrip()}~{_hash_name(name)}"
    return part


def _hash_name(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:10]


FOLDER: Final = ".schemas"  # hidden: no organization can have this name
RESOURCE: Final = "resource.schema.json"
SETTINGS_SCHEMA: Final = "reconciler.schema.json"


def build_schema_files(*, settings: bool = False) -> dict[str, str]:
    """Return the files in `FOLDER`: the schema of all resources, and that of the settings."""
    files = {RESOURCE: _format_json(validator.build_union_schema())}
    if settings:
        files[SETTINGS_SCHEMA] = _format_json(validator.load_schema("reconciler"))
    return files


def format_modeline(file: Path, root: Path, name: str = RESOURCE) -> str:
    """Return the first line of a file, which names the schema for YAML language servers."""
    path = Path(os.path.relpath(root / FOLDER / name, file.parent)).as_posix()
    return f"{MODELINE}{path if path.startswith('.') else f'./{path}'}\n"


def _format_json(value: Any) -> str:
    return json.dumps(value, indent=2) + "\n"
