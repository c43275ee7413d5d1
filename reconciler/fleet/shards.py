"""Divide the targets of a fleet among the jobs of a build: the same shards on every machine.

Pure: the result depends on the targets and the number of shards only. A shard is closed under two
relations, so that nothing has to be agreed between jobs:

* Targets that may use the same key on the same host share its rate budget. Hosts and variables
  are compared by their names in `reconciler.yaml`; what is not written could be any of the
  usual ones, so it counts as equal.
* A target and the targets that it needs are in one shard, which runs them in their order.
"""

import heapq
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final
from urllib.parse import urlsplit

from reconciler.config.targets import Target
from reconciler.errors import UsageError
from reconciler.lazy_pattern import compile_later
from reconciler.model import Shard
from reconciler.posthog.credentials import KEY_VARIABLES

MOST: Final = 10_000  # shards
_SHARD: Final = compile_later(r"([1-9]\d*)/([1-9]\d*)", re.ASCII)
_PORTS: Final = {"https": 443, "http": 80}


def parse_shard(text: str) -> tuple[int, int]:
    """Return `(2, 3)` for `2/3`; raise UsageError for anything else."""
    matched = _SHARD.fullmatch(text)
    index, count = (int(number) for number in matched.groups()) if matched else (0, 0)
    if not 1 <= index <= count <= MOST:
        raise UsageError(
            f"--shard {text}: not a valid shard",
            why=f"it is written I/N, with I from 1 to N, and N at most {MOST:,}",
            fix="write --shard 2/3 for the second of three shards",
        )
    return index, count


def select_shard(targets: Sequence[Target], text: str) -> tuple[Shard, tuple[Target, ...]]:
    """Return the shard that `I/N` names, and its targets; none if there are fewer groups.

    Raises UsageError if the text does not name a shard.
    """
    index, count = parse_shard(text)
    names = tuple(sorted(target.name for target in targets))
    return Shard(index, count, names), divide_targets(targets, count)[index - 1]


def divide_targets(targets: Sequence[Target], count: int) -> tuple[tuple[Target, ...], ...]:
    """Return `count` shards with the targets of each, by name; some may be empty.

    The largest group goes first, each to the shard with the fewest targets so far: as even as
    groups that stay together allow.
    """
    shards: list[list[Target]] = [[] for _ in range(count)]
    groups = sorted(_group_targets(targets), key=lambda group: (-len(group), group[0].name))
    fullness = [(0, index) for index in range(count)]  # a heap: the emptiest shard is the first
    for group in groups:
        size, index = fullness[0]
        shards[index].extend(group)
        heapq.heapreplace(fullness, (size + len(group), index))
    return tuple(tuple(sorted(shard, key=lambda target: target.name)) for shard in shards)


def _group_targets(targets: Sequence[Target]) -> Iterator[list[Target]]:
    """Yield the targets that have to stay together, each group sorted by name."""
    parents = {target.name: target.name for target in targets}

    def find_root(name: str) -> str:
        while parents[name] != name:
            parents[name] = name = parents[parents[name]]
        return name

    def join(names: Iterable[str]) -> None:
        first, *others = (find_root(name) for name in names)
        for other in others:
            parents[find_root(other)] = find_root(first)

    for names in _list_key_users(targets):
        join(names)
    for target in targets:
        join([target.name, *(name for name in target.needs if name in parents)])
    groups: dict[str, list[Target]] = defaultdict(list)
    for target in sorted(targets, key=lambda target: target.name):
        groups[find_root(target.name)].append(target)
    yield from groups.values()


def _list_key_users(targets: Sequence[Target]) -> Iterator[list[str]]:
    """Yield the names of targets that may use one key on one host."""
    by_variable: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for target in targets:
        host = normalize_host(target.host) if target.host is not None else ""
        for variable in KEY_VARIABLES if target.api_key_env is None else (target.api_key_env,):
            by_variable[variable][host].append(target.name)
    for hosts in by_variable.values():
        if "" in hosts:  # a host that is not written may be any of the others
            yield [name for names in hosts.values() for name in names]
        else:
            yield from hosts.values()


def normalize_host(url: str) -> str:
    """Return a host in the form in which equal ones are equal: lower case, with its port."""
    parts = urlsplit(url.lower().rstrip("/"))
    try:
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:  # no such port; the run of the target says so
        return parts.netloc
    return f"{parts.scheme}://{parts.hostname}:{port}"
