"""`reconciler schema`: the JSON Schema of resource documents, or of one kind."""

import json

import click

from reconciler.config.schema import validator
from reconciler.kinds import KINDS

SETTINGS = "reconciler.yaml"


@click.command("schema", epilog="Example: reconciler schema > reconciler.schema.json")
@click.argument(
    "kind",
    metavar="[KIND]",
    type=click.Choice([*KINDS, SETTINGS], case_sensitive=False),
    required=False,
)
def command(kind: str | None) -> int:
    """Print the JSON Schema of any resource document, for editors, or that of one KIND.

    KIND is that of a resource, such as FeatureFlag, or `reconciler.yaml` for the settings.
    """
    document = (
        validator.build_union_schema()
        if kind is None
        else validator.load_schema("reconciler" if kind == SETTINGS else kind)
    )
    click.echo(json.dumps(document, indent=2))
    return 0
