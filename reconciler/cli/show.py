"""`reconciler show`: a saved plan, rendered again. Contacts nothing."""

from pathlib import Path

import click

from reconciler.cli import options
from reconciler.cli.session import Session
from reconciler.errors import ReconcilerError


@click.command("show", epilog="Example: reconciler show plan.json --format markdown")
@click.argument("planfile")
@options.formats("text", "json", "markdown", "html")
@options.zoom
@click.pass_obj
def command(session: Session, planfile: str, format_: str) -> int:
    """Render a saved plan again. Never contacts the API."""
    from reconciler import planfile as codec
    from reconciler import render

    try:
        data = Path(planfile).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ReconcilerError(
            f"{planfile} cannot be read",
            why=getattr(error, "strerror", None) or "it is no UTF-8 text",
            fix="name a file that `reconciler plan --out FILE` wrote",
        ) from error
    made = codec.loads(data)
    session.show(render.plan, made, format_, saved=planfile)
    return 0
