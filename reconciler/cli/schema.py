"""`reconciler schema`: the JSON Schema of a kind."""

import json

import click

KINDS = ["Organization", "Project", "Member", "Role", "ApprovalPolicy", "FeatureFlag"]


@click.command("schema", epilog="Example: reconciler schema FeatureFlag > feature_flag.schema.json")
@click.argument("kind", type=click.Choice(KINDS))
def command(kind: str) -> int:
    """Print the JSON Schema of a kind, for editors."""
    from reconciler.config import schema

    click.echo(json.dumps(schema.load(kind), indent=2))
    return 0
