"""`reconciler schema`: the JSON Schema of resource documents, or of one kind."""

import json

import click

KINDS = ["Organization", "Project", "Role", "Member", "ApprovalPolicy", "FeatureFlag"]


@click.command("schema", epilog="Example: reconciler schema > reconciler.schema.json")
@click.argument("kind", type=click.Choice(KINDS), required=False)
def command(kind: str | None) -> int:
    """Print the JSON Schema of any resource document, or of one KIND, for editors."""
    from reconciler.config import one_schema, schema

    click.echo(json.dumps(one_schema.build() if kind is None else schema.load(kind), indent=2))
    return 0
