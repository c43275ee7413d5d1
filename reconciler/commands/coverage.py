"""`reconciler coverage`: which policies cover which flags, now and after PostHog's hand-over."""

import click

from reconciler import render
from reconciler.cli import options
from reconciler.cli.session import Session
from reconciler.operations import coverage


@click.command("coverage", epilog="Example: reconciler coverage --format json")
@options.formats("text", "json")
@click.pass_obj
def command(session: Session, format_: str) -> int:
    """Show who owns each flag, which policies cover it now and after PostHog's hand-over.

    At the hand-over PostHog begins to gate the flags of experiments separately, and stops gating
    those of surveys, product tours and early access features. Reads only.
    """
    target = session.target()
    with session.reader(target) as reader:
        read = coverage.read_coverage(reader, target.organization)
    rows = [
        {
            "address": str(row.address),
            "owner": row.owner.value,
            "now": [str(policy) for policy in row.now],
            "after": [str(policy) for policy in row.after],
            "loses": row.loses,
        }
        for row in read.report.rows
    ]
    shown = render.coverage(rows, read.documents, format=format_, color=session.color)
    session.say(shown, wraps=format_ == "text")
    for gap in read.unreadable:
        session.warn(f"{gap.describe()}: {gap.reason}")
    return 1 if read.unreadable else 0
