"""One self-contained JSON Schema for any resource document, made of those of the kinds.

Written in what draft-07 and 2020-12 share, so that every editor reads it alike.
"""

from typing import Any

from reconciler.config import schema
from reconciler.kinds import KINDS


def build() -> dict[str, Any]:
    """A document is exactly one kind: `oneOf`, told apart by `kind`."""
    definitions = {
        name: {key: value for key, value in schema.load(name).items() if key != "$schema"}
        for name in KINDS
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A resource of reconciler",
        "description": "One document of a configuration repository: `kind`, `metadata`, `spec`.",
        "type": "object",
        "required": ["kind", "metadata"],
        "properties": {"kind": {"description": "What is declared.", "enum": list(KINDS)}},
        "oneOf": [{"$ref": f"#/definitions/{name}"} for name in KINDS],
        "definitions": definitions,
    }
