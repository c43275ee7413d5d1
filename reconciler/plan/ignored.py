"""What the files and the settings say to leave alone, and how it differs: for drift to list."""

from collections.abc import Iterator
from dataclasses import replace

from reconciler.model import Declared, Ignored, Live
from reconciler.plan import references, selection, three_way
from reconciler.plan.build import Options, pick
from reconciler.plan.lookup import Lookup


def find(desired: Declared, live: Live, options: Options) -> Iterator[Ignored]:
    """Resources under `ignore` of the target, then fields under `lifecycle.ignore` that differ."""
    if options.ignore:
        known = sorted({*desired.resources, *live.resources})
        yield from (Ignored(one) for one in known if selection.matches(one, options.ignore))
    picked = pick(desired, options).resources
    holding = {address: one for address, one in picked.items() if one.lifecycle.ignore}
    if not holding:
        return
    lookup = Lookup(live)
    spelled = references.spelled(replace(desired, resources=holding), live).resources
    for address, resource in sorted(spelled.items()):
        there = lookup.candidates(resource)
        if len(there) != 1 or resource.lifecycle.absent:
            continue
        counted = {one.path for one in three_way.change(resource, None, there[0]).fields}
        bare = replace(resource, lifecycle=replace(resource.lifecycle, ignore=()))
        for one in three_way.change(bare, None, there[0]).fields:
            if one.path not in counted:
                yield Ignored(address, one.path, one.desired, one.live)
