"""`reconciler show`: a saved plan, rendered again. Contacts nothing."""

import click

from reconciler.cli import files, options
from reconciler.cli.session import Session


@click.command("show", epilog="Example: reconciler show plan.json --format markdown")
@click.argument("planfile")
@options.formats("text", "json", "markdown", "html")
@options.zoom
@click.pass_obj
def command(session: Session, planfile: str, format_: str) -> int:
    """Render a saved plan again. Never contacts the API."""
    from reconciler import render

    session.show(render.plan, files.read_plan(planfile), format_, saved=planfile)
    return 0
