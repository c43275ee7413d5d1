"""Complete values on the command line from local files: targets, addresses, kinds, request IDs.

A shell asks with every Tab: nobody is contacted, and what cannot be read completes nothing.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import chdir, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from click.shell_completion import CompletionItem

from reconciler import kinds
from reconciler.config import settings as config_settings
from reconciler.config.schema import reference
from reconciler.errors import ReconcilerError
from reconciler.files.run_folder import find_run_folder
from reconciler.operations import inputs

if TYPE_CHECKING:
    from reconciler.config.settings import Settings

_RUNS: Final = 20  # journals that are searched for change requests
_SHOWN: Final = 500  # values


def _complete_offline(
    list_values: Callable[[click.Context, str], list[CompletionItem]],
) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Run in the folder that -C names; nothing is offered where something cannot be read."""

    def complete(
        ctx: click.Context, _parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        try:
            with chdir(_find_value(ctx, "chdir") or "."):
                return list_values(ctx, incomplete)
        except (ReconcilerError, OSError):
            return []

    return complete


@_complete_offline
def complete_targets(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a target."""
    return _choose(sorted(_load_settings(ctx).targets), incomplete)


@_complete_offline
def complete_addresses(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """Complete the address or the bare name of a declared resource."""
    addresses = sorted(set(_list_addresses(ctx)))
    names = sorted({address.rpartition("/")[2] for address in addresses})
    is_address = not incomplete or "/" in incomplete or incomplete[:1].isupper()
    return _choose(addresses if is_address else names, incomplete)


@_complete_offline
def complete_request_ids(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """Complete the ID of a change request that a recent run has filed, or its flag's address."""
    requests = dict(_list_requests(ctx))
    ids = [
        CompletionItem(id_, help=address)
        for id_, address in requests.items()
        if id_.startswith(incomplete)
    ]
    return ids + _choose(sorted(set(requests.values())), incomplete)


def complete_fields(
    _ctx: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete `KIND`, then `KIND.field`."""
    parent, dot, _ = incomplete.rpartition(".")
    if not dot:
        return _choose(kinds.KINDS, incomplete)
    with suppress(ReconcilerError):
        field = reference.find_field(parent)
        children = list(reference.list_fields(field))
        if not field.path:  # as in `explain FeatureFlag.active`
            children = list(reference.list_fields(reference.find_field(f"{parent}.spec")))
        names = [f"{parent}.{child.path.rpartition('.')[2]}" for child in children]
        return _choose(names, incomplete)
    return []


def complete_files(
    _ctx: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Let the shell complete the name of a file."""
    return [CompletionItem(incomplete, type="file")]


def _choose(values: Iterable[str], incomplete: str) -> list[CompletionItem]:
    """Return the values that begin so; those with spaces would need quotes, and are left out."""
    matching = (value for value in values if value.startswith(incomplete) and " " not in value)
    return [CompletionItem(value) for value in islice(matching, _SHOWN)]


def _load_settings(ctx: click.Context) -> "Settings":
    named = _find_value(ctx, "config")
    environ = os.environ  # noqa: TID251  there is no session
    file = Path(named) if named else None
    return config_settings.load_settings(find_run_folder(), environ=environ, file=file)


def _list_addresses(ctx: click.Context) -> Iterator[str]:
    """Yield the declared addresses of the target that was named, else of all."""
    settings = _load_settings(ctx)
    named = [name for name in _find_value(ctx, "target") or () if name in settings.targets]
    for name in named or settings.targets:
        loaded = inputs.load_files(settings, settings.targets[name], find_run_folder())
        yield from map(str, inputs.list_declared(loaded))


def _list_requests(ctx: click.Context) -> Iterator[tuple[str, str]]:
    """Yield IDs and addresses of the requests in recent journals, the newest first."""
    folder = _load_settings(ctx).folder or find_run_folder()
    journals = sorted((folder / ".reconciler" / "runs").glob("*.jsonl"), reverse=True)
    for journal in journals[:_RUNS]:
        for line in journal.read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError):
                row = json.loads(line)
                if isinstance(row, dict) and row.get("change_request"):
                    yield str(row["change_request"]), str(row.get("address", ""))


def _find_value(ctx: click.Context, name: str) -> Any:
    """Return a global option that was typed before or after the command."""
    return ctx.meta.get(f"reconciler.{name}") or ctx.find_root().params.get(name)
