"""`reconciler show`: a saved plan, rendered again. Contacts nothing."""

import click

from reconciler import render
from reconciler.cli import options, planfiles
from reconciler.cli.session import Session


@click.command("show", epilog="Example: reconciler show plan.json --format markdown")
@click.argument("planfile", shell_complete=options.complete("files"))
@options.formats("text", "json", "markdown", "html")
@options.zoom
@click.pass_obj
def command(session: Session, planfile: str, format_: str) -> int:
    """Render a saved plan again. Never contacts the API."""
    session.show_plan(render.plan, planfiles.read_plan(planfile), format_, saved=planfile)
    return 0
