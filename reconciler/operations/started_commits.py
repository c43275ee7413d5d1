"""Find the commits since the base that an interrupted apply may have begun to write."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from reconciler.config import loaded
from reconciler.model import Declared, Live
from reconciler.operations.policy_history import History
from reconciler.plan.diff import references
from reconciler.plan.planner import Comparison
from reconciler.plan.weakening import detect
from reconciler.plan.weakening.partial_apply import StartedCommits
from reconciler.posthog.client import Reader


def find_started_commits(
    reader: Reader,
    compared: Comparison,
    desired: Declared,
    live: Live,
    *,
    history: History | None,
    projects: Mapping[str, Sequence[str]],
) -> StartedCommits | None:
    """Return what an apply since the base may have begun; None if nothing weakens or is known.

    `projects` are the names of the projects of each organization.
    """
    if history is None or history.base is None or compared.base is None:
        return None
    words = detect.list_search_words(compared.changes, live)
    states = history.read_since_base(words) if words else None
    if states is None:
        return None
    base = compared.base.resources
    unchanged = {
        address: resource
        for address, resource in base.items()
        if resource == compared.picked.resources.get(address)
    }
    declared = []
    for state in states:
        then = references.respell_references(
            loaded.expand_templates(state, projects), live, desired
        )
        declared.append(replace(then, resources={**unchanged, **then.resources}))
    skew = timedelta(seconds=reader.clock_skew_s or 0.0)
    committed = history.find_base_time()
    return StartedCommits(
        compared.base, tuple(declared), desired, committed + skew if committed is not None else None
    )
