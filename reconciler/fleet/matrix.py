"""Print which shards have targets, in the form in which a code host starts a job for each. Pure."""

import json
from collections.abc import Sequence
from typing import Final

from reconciler.config.targets import Target
from reconciler.errors import UsageError

FORMATS: Final = ("github", "gitlab")
_MOST_JOBS: Final = 256  # of one matrix on GitHub
_GITLAB: Final = """\
# Shards of the fleet that have targets. Include this file in a child pipeline, beside the jobs
# that extend .fleet-shards; each of them runs once per shard:
#   reconciler fleet plan --shard "$SHARD" --out "fleet-$SHARD_INDEX"
.fleet-shards:
  parallel:
    matrix:
"""
_EMPTY: Final = "# No target is selected: there is no shard.\n.fleet-shards: {}\n"


def format_matrix(shards: Sequence[Sequence[Target]], form: str) -> str:
    """Return the matrix of the shards that have targets; `form` is one of `FORMATS`.

    Raises UsageError if the code host cannot start so many jobs.
    """
    rows = [
        (index, f"{index}/{len(shards)}", [target.name for target in shard])
        for index, shard in enumerate(shards, 1)
        if shard
    ]
    if form == "github" and len(rows) > _MOST_JOBS:
        raise UsageError(
            f"--shards {len(shards)}: {len(rows)} shards have targets",
            why=f"GitHub starts at most {_MOST_JOBS} jobs from one matrix",
            fix=f"write --shards {_MOST_JOBS}, or less",
        )
    if form == "github":  # one line: the value of an output, for fromJSON
        include = [
            {"shard": shard, "index": index, "targets": names} for index, shard, names in rows
        ]
        return json.dumps({"include": include}) + "\n"
    if not rows:
        return _EMPTY
    return _GITLAB + "".join(
        f'      # {", ".join(names)}\n      - SHARD: "{shard}"\n        SHARD_INDEX: "{index}"\n'
        for index, shard, names in rows
    )
