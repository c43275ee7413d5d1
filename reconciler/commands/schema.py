"""`reconciler schema`: the JSON Schema of resource documents, or of one kind."""

import json

import click

from reconciler.config.schema import validator
from reconciler.kinds import KINDS

OTHERS = {"reconciler.yaml": "reconciler", "rules": "rules"}  # what is not a kind -> its schema


@click.command("schema", epilog="Example: reconciler schema > reconciler.schema.json")
@click.argument(
    "kind",
    metavar="[KIND]",
    type=click.Choice([*KINDS, *OTHERS], case_sensitive=False),
    required=False,
)
def command(kind: str | None) -> int:
    """Print the JSON Schema of any resource document, for editors, or that of one KIND.

    KIND is that of a resource, such as FeatureFlag, `reconciler.yaml` for the settings, or `rules`
    for files of rules.
    """
    document = (
        validator.build_union_schema()
        if kind is None
        else validator.load_schema(OTHERS.get(kind, kind))
    )
    click.echo(json.dumps(document, indent=2))
    return 0
