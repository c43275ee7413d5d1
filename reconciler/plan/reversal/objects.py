"""Compare live objects with what a run wrote: only what nobody changed since is reverted."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import field, replace
from typing import Any, Final

from reconciler.kinds import KINDS
from reconciler.lazy_dataclass import dataclass
from reconciler.model import (
    ABSENT,
    Action,
    Address,
    Cause,
    Change,
    Declared,
    FieldChange,
    Live,
    LiveResource,
    Resource,
    Spec,
    format_path,
    parse_path,
    put_back,
)
from reconciler.plan.diff import partial_creates, references, secrets, three_way, values
from reconciler.plan.reversal.files import WHOLE, RevertedFiles, list_addresses
from reconciler.plan.reversal.values import revert_spec

_FIRST_VERSIONS: Final = frozenset({None, 1})  # contract 9.4; other kinds have none
_EMPTY: Final[tuple[Any, ...]] = (None, {}, [], "")


@dataclass(frozen=True, slots=True)
class Reversal:
    """What a plan reverts.

    Attributes:
        before: what the files declared before the run.
        addresses: what is reverted.
        restored: resources that the run removed from the files.
        changed: address -> paths that the files have changed again since.

    """

    before: Declared
    addresses: Collection[Address] = ()
    restored: Collection[Address] = ()
    changed: Mapping[Address, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def build(cls, files: RevertedFiles) -> "Reversal":
        """Return the reversal of files with the previous values on top."""
        resources = files.resources.items()
        return cls(
            Declared({a: r.before for a, r in resources if r.before is not None}, "before"),
            frozenset(list_addresses(files)),
            {address for address, reverted in resources if reverted.after is None},
            {address: reverted.changed for address, reverted in resources if reverted.changed},
        )

    def respell(self, live: Live, desired: Declared) -> "Reversal":
        """Return the reversal with references as the live side writes them."""
        return replace(self, before=references.respell_references(self.before, live, desired))

    def compare(
        self, resource: Resource, base: Resource | None, live: LiveResource | None
    ) -> Change:
        """Return the change that reverts one resource; what has changed since is a conflict.

        `base` is what the files declared after the run.
        """
        before = self.before.resources.get(resource.address)
        is_restored = resource.address in self.restored
        if before is None or base is None or is_restored or live is None:
            change = three_way.compare_resource(resource, base, live)
            is_changed = (live is None) is not is_restored and not (
                live is not None and _is_partly_created(change, live)
            )
            return _mark_conflicts(change, (WHOLE,)) if is_changed else change
        kind = KINDS[resource.address.kind]
        hidden = kind.hidden(live.payload)
        after, previous = (_leave_out(side.spec, hidden) for side in (base, before))
        present = {
            name: values.select_managed(
                live.spec.get(name, kind.defaults.get(name, ABSENT)),
                _merge_keys(value, previous.get(name)),
                whole=name in kind.atomic,
                complete=kind.complete,
            )
            for name, value in after.items()
        }
        result = revert_spec(_drop_absent(present), after, previous, kind)
        change = three_way.compare_resource(replace(resource, spec=result.spec), base, live)
        changed = (*result.changed, *self.changed.get(resource.address, ()))
        return _mark_conflicts(change, changed)

    def guard_delete(self, change: Change) -> Change:
        """Return the delete of what the run created; a conflict if it has changed since."""
        resource, live = change.desired, change.before
        if resource is None or live is None or change.action is not Action.DELETE:
            return change
        if change.address in self.changed:
            fields = (FieldChange("metadata", live.address.name, ABSENT, cause=Cause.CONFLICT),)
            return replace(change, fields=fields)
        return replace(change, fields=tuple(_find_later_values(change, live)))

    def list_gated_projects(self) -> set[Address]:
        """List the projects whose open change requests may belong to the run."""
        return {
            Address("Project", address.parts[:-1])
            for address in self.addresses
            if KINDS[address.kind].gated
        }


def _is_partly_created(change: Change, live: LiveResource) -> bool:
    """Return whether an object is what the first calls of its create leave behind.

    A flag that was written again has a higher version.
    """
    is_new = live.payload.get("version") in _FIRST_VERSIONS
    return is_new and partial_creates.is_partly_created(change, live)


def _mark_conflicts(change: Change, paths: Collection[str]) -> Change:
    """Return the change with conflicts at these paths, and below them."""
    if not paths:
        return change
    fields = tuple(
        replace(edit, cause=Cause.CONFLICT)
        if WHOLE in paths or secrets.is_covered(paths, edit.path)
        else edit
        for edit in change.fields
    )
    return replace(change, fields=fields)


def _leave_out(spec: Spec, hidden: Iterable[str]) -> Spec:
    """Return a spec without what the API hides: nobody can know whether it has changed since."""
    for path in hidden:
        spec = put_back(spec, {}, parse_path(path))
    return spec


def _merge_keys(value: object, other: object) -> object:
    """Return a value with the keys of both sides, so that both are taken from the live object."""
    if not isinstance(value, Mapping) or not isinstance(other, Mapping):
        return value
    shared = {name: _merge_keys(item, other.get(name)) for name, item in value.items()}
    return {**other, **shared}


def _drop_absent(spec: Mapping[str, Any]) -> Spec:
    """Return a spec without values that are absent."""
    return {
        name: _drop_absent(item) if isinstance(item, Mapping) else item
        for name, item in spec.items()
        if item is not ABSENT
    }


def _find_later_values(change: Change, live: LiveResource) -> Iterator[FieldChange]:
    """Yield what an object has that is neither as it was created nor the server's default.

    A create of several calls may have been interrupted: then the object has only a part of it.
    """
    kind = KINDS[live.address.kind]
    hidden = kind.hidden(live.payload)
    created = change.desired.spec if change.desired is not None else {}
    is_partial = _is_partly_created(change, live)
    for name in dict.fromkeys((*created, *kind.defaults)):
        default = kind.defaults.get(name, ABSENT)
        written, present = created.get(name, default), live.spec.get(name, default)
        if is_partial if name in created else present == default or not (present or default):
            continue
        for path, value, expected in values.find_differences(present, written, (name,)):
            text = format_path(path)
            is_added = expected is ABSENT and value in _EMPTY  # by the server itself
            if not is_added and not secrets.is_covered(hidden, text):
                yield FieldChange(text, value, ABSENT, expected, Cause.CONFLICT)
