"""`reconciler list`: the addresses of what is declared, live, or live but not declared."""

import click

from reconciler import render
from reconciler.cli import options
from reconciler.cli.session import Session
from reconciler.errors import UsageError
from reconciler.kinds import KINDS
from reconciler.model import matches_any
from reconciler.operations import inputs, listing
from reconciler.operations.listing import ListedResource
from reconciler.plan import selection


@click.command("list", epilog="Example: reconciler list --kind FeatureFlag --select new-checkout")
@options.paths
@click.option("--live", is_flag=True, help="What PostHog has, declared or not.")
@click.option("--unmanaged", is_flag=True, help="What PostHog has and no file declares.")
@options.kinds(KINDS)
@options.selection
@options.formats("text", "json")
@click.pass_obj
def command(
    session: Session,
    paths: tuple[str, ...],
    live: bool,
    unmanaged: bool,
    kinds: tuple[str, ...],
    select: tuple[str, ...],
    exclude: tuple[str, ...],
    format_: str,
) -> int:
    """List addresses: declared resources with their file and line, or live ones.

    Reads only files, and needs no key, without --live and --unmanaged.
    """
    if live and unmanaged:
        raise UsageError("--live and --unmanaged exclude each other", fix="use one of them")
    settings, target = session.settings(paths), session.target(paths)
    code = 0
    if live or unmanaged:
        given = inputs.read_inputs(settings, target, session.facts())
        with session.reader(target) as reader:
            found_live = listing.list_live(reader, given, kinds)
        rows = [row for row in found_live.rows if live or not row.is_managed]
        for gap in found_live.unreadable:
            session.warn(f"{gap.describe()}: {gap.reason}")
            code = 1
    else:
        loaded = inputs.load_files(settings, target, session.facts().cwd)
        listed = listing.list_declared(loaded)
        rows = [row for row in listed if not kinds or row.address.kind in kinds]
    state = "live" if live else "unmanaged" if unmanaged else "declared"
    chosen = _select(rows, select, exclude, state)
    documents = [_as_document(row) for row in chosen]
    shown = render.listing(documents, format=format_, color=session.color)
    session.say(shown, wraps=format_ == "text")
    return code


def _select(
    rows: list[ListedResource], select: tuple[str, ...], exclude: tuple[str, ...], state: str
) -> list[ListedResource]:
    """Return the rows that the options select; ReconcilerError for a pattern without a match."""
    addresses = {row.address for row in rows}
    wanted = selection.resolve_names(select, addresses, state=state)
    unwanted = selection.resolve_names(exclude, addresses, state=state)
    selection.check_matches(wanted, addresses, state=state)
    return [
        row
        for row in rows
        if (not wanted or matches_any(row.address, wanted))
        and not matches_any(row.address, unwanted)
    ]


def _as_document(row: ListedResource) -> dict[str, object]:
    source = row.source
    return {
        "address": str(row.address),
        "kind": row.address.kind,
        "source": {"file": source.file, "line": source.line} if source is not None else None,
        "live_id": row.live_id,
    }
