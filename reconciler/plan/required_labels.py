"""Find flags without the tags or evaluation contexts that their project requires (contract 10.1).

Only a project whose settings are declared is checked: those of others would take a request each.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from reconciler.model import Action, Address, Change, Live, RejectedValue, Spec, select_written

_KIND: Final = "FeatureFlag"
_TAGS, _CONTEXTS = "tags", "evaluation_contexts"
_NOUNS: Final = {_TAGS: "tag", _CONTEXTS: "evaluation context"}


def find_missing_labels(
    changes: tuple[Change, ...], live: Live
) -> Iterator[tuple[Change, RejectedValue]]:
    """Yield each change of a flag that PostHog refuses because it leaves a list empty."""
    flags = [change for change in select_written(changes) if change.address.kind == _KIND]
    if not flags:
        return
    required: dict[Address, tuple[str, ...]] = {}
    planned = {c.address: c for c in changes if c.address.kind == "Project"}
    for change in flags:
        if change.desired is None:
            continue
        project = Address("Project", change.address.parts[:-1])
        if project not in required:
            required[project] = tuple(_list_required(_predict_settings(project, planned, live)))
        for name in _find_emptied(change, required[project]):
            yield change, _build_rejection(name, project)


def _predict_settings(project: Address, planned: Mapping[Address, Change], live: Live) -> Spec:
    """Return the settings of a project after the plan, as far as they are known."""
    resource, change = live.resources.get(project), planned.get(project)
    settings = dict(resource.spec) if resource is not None else {}
    if change is None or change.desired is None or change.desired.lifecycle.absent:
        return settings
    return {**settings, **change.desired.spec}


def _list_required(settings: Spec) -> Iterator[str]:
    if (settings.get("feature_flag_policy") or {}).get("require_tags"):
        yield _TAGS
    has_defaults = settings.get("default_evaluation_contexts_enabled")
    if settings.get("require_evaluation_contexts") and not has_defaults:
        yield _CONTEXTS


def _find_emptied(change: Change, names: Iterable[str]) -> Iterator[str]:
    """Yield what a new flag lacks, or an update removes; older flags may stay as they are."""
    spec = change.desired.spec if change.desired is not None else {}
    before = change.before.spec if change.before is not None else {}
    for name in names:
        lacks = change.action is Action.CREATE and not spec.get(name)
        removes = change.action is Action.UPDATE and before.get(name) and spec.get(name) == []
        if lacks or removes:
            yield name


def add_needs(moving: Mapping[Address, Change], needs: Mapping[Address, set[Address]]) -> None:
    """Let flags without tags or contexts wait for a project that stops requiring them."""
    lifted = {
        address: names
        for address, change in moving.items()
        if address.kind == "Project" and (names := _list_lifted(change))
    }
    for address, change in moving.items() if lifted else ():
        project = Address("Project", address.parts[:-1])
        if address.kind == _KIND and any(_find_emptied(change, lifted.get(project, ()))):
            needs[address].add(project)


def _list_lifted(change: Change) -> tuple[str, ...]:
    if change.before is None or change.desired is None:
        return ()
    before = change.before.spec
    after = {**before, **change.desired.spec}
    return tuple({*_list_required(before)} - {*_list_required(after)})


def _build_rejection(name: str, project: Address) -> RejectedValue:
    noun = _NOUNS[name]
    return RejectedValue(
        (name,),
        f"a flag of this project needs at least one {noun}",
        f"{project} requires it",
        f"write `{name}`, with at least one {noun}",
    )
