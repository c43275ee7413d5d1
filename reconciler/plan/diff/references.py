"""Names to edges. Unknown and ambiguous names become findings with the candidates."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from reconciler.kinds import KINDS, READ, fold
from reconciler.lookalikes import escaped, look
from reconciler.model import (
    ID,
    Address,
    Declared,
    Finding,
    Live,
    Path,
    Resource,
    Scope,
    Severity,
    Spec,
    Unreadable,
    is_nameable,
    map_values,
    values_at,
)
from reconciler.plan.diff.matching import Folded
from reconciler.plan.diff.reference_spelling import Spelling
from reconciler.suggest import closest_match

Edges = Mapping[Address, tuple[Address, ...]]
NOUNS = {
    "Member": "person",
    "Role": "role",
    "Project": "project",
    "Organization": "organization",
    "FeatureFlag": "flag",
    "Cohort": "cohort",
}
_CHECKED = {one.kind for kind in KINDS.values() for one in kind.references if one.takes_ids}
SHOWN = 5  # candidates that an error lists


def resolve(picked: Declared, desired: Declared, live: Live) -> tuple[Edges, tuple[Finding, ...]]:
    """Which declared resource needs which declared resource, and the names nobody has.

    `picked` are the resources this run is about, out of `desired`, which says what names exist.
    """
    names = _Names(picked, desired, live)
    edges: dict[Address, list[Address]] = defaultdict(list)
    findings: list[Finding] = []
    for address, resource in picked.resources.items():
        if resource.lifecycle.absent:
            continue
        for target, path in needs(resource):
            edge, finding = names.look(resource, target, path)
            if edge is not None:
                edges[address].append(edge)
            if finding is not None:
                findings.append(finding)
                if target.kind in {"Organization", "Project"}:
                    break  # nothing inside it can be known either
    return {address: tuple(found) for address, found in edges.items()}, tuple(findings)


def spelled(picked: Declared, live: Live, later: Declared | None = None) -> Declared:
    """Return the same with references as the live side writes them: case is not a change.

    For what was declared before, `later` are the files of now: what they rename is the same.
    """
    spelling = Spelling(picked, live, later)
    respelled = {}
    for address, resource in picked.resources.items():
        kind, spec = KINDS[address.kind], resource.spec
        for reference in kind.references:
            spec = map_values(spec, reference.path, spelling.of(reference, address))
        if spec is not resource.spec:
            respelled[address] = replace(resource, spec=kind.canonical(spec))
    return replace(picked, resources={**picked.resources, **respelled}) if respelled else picked


def needs(resource: Resource) -> Iterator[tuple[Address, Path]]:
    """Every resource that this one names, outermost first: its scope, then its references."""
    address, kind = resource.address, KINDS[resource.address.kind]
    if kind.scope is not Scope.INSTANCE:
        yield Address("Organization", (address.organization,)), ()
    if address.project is not None:
        yield Address("Project", (address.organization, address.project)), ()
    for reference in kind.references:
        for path, name in values_at(resource.spec, reference.path):
            yield reference.target(address, name), path


def conditions(wanted: Collection[Address], *sides: Declared | None) -> set[Address]:
    """Return what references that take ids refer to, as written: it may have to be listed."""
    return {
        reference.target(address, name)
        for side in sides
        if side is not None
        for address in wanted
        if (resource := side.resources.get(address)) is not None and not resource.lifecycle.absent
        for reference in KINDS[address.kind].references
        if reference.takes_ids
        for _, name in values_at(resource.spec, reference.path)
    }


def dangling(address: Address, spec: Spec, live: Live) -> str:
    """Return what live conditions refer to and PostHog does not have; "" if nothing."""
    resource = Resource(address, spec)
    there = Declared({address: resource}, "")
    _, found = resolve(there, there, live)
    return next((one.message for one in found if one.code == "unknown-reference"), "")


class _Names:
    """What names exist: declared ones, and live ones."""

    def __init__(self, picked: Declared, desired: Declared, live: Live) -> None:
        self._picked, self._desired, self._live = picked, desired, live
        self._declared = Folded(a for a, r in desired.resources.items() if not r.lifecycle.absent)
        self._ids = Folded(live.ids)
        self._sound: dict[Address, Address | None] = {}  # names that no resource goes wrong with
        self._renamed = {
            fold(Address(a.kind, (*a.parts[:-1], r.lifecycle.renamed_from))): a
            for a, r in desired.resources.items()
            if r.lifecycle.renamed_from is not None
        }
        self._closed = {(gap.kind, gap.scope): gap for gap in live.unreadable}
        self._known: dict[tuple[str, tuple[str, ...]], list[str]] = {}
        self._owners: dict[str, set[tuple[tuple[str, ...], str]]] = {}

    def look(
        self, resource: Resource, target: Address, path: Path
    ) -> tuple[Address | None, Finding | None]:
        """The declared resource behind a name, if it is declared; a finding if nobody has it."""
        if target in self._sound and target != resource.address:
            return self._sound[target], None
        if target.name.startswith(ID):
            return None, self._unnamed(resource, target, path)
        if target.kind == "Member" and target.organization in self._live.partial:
            return None, None  # `identity.hidden_people` says it
        return self._judged(resource, target, path)

    def _judged(
        self, resource: Resource, target: Address, path: Path
    ) -> tuple[Address | None, Finding | None]:
        declared = self._declared.find(target)
        found = self._count(target, declared)
        problem: Finding | None = None
        if target == resource.address:
            problem = self._itself(resource, path)
        elif (renamed := self._renamed_away(target)) is not None and not declared:
            problem = self._moved_on(resource, target, renamed, path)
        elif found > 1:
            problem = self._ambiguous(resource, target, path)
        elif not found and not declared:
            problem = self._unknown(resource, target, path)
        elif not found and target.kind == "Member":
            return None, None  # the Member document itself carries the finding
        elif not found and not any(address in self._picked.resources for address in declared):
            problem = self._left_out(resource, declared[0], path)
        if problem is not None:
            return None, problem
        edge = declared[0] if declared else self._former(target)
        self._sound[target] = edge
        return edge, None

    def _unnamed(self, resource: Resource, target: Address, path: Path) -> Finding | None:
        """Check an id that stands for itself: unknown, without a name, or of a shared name."""
        if target.kind not in _CHECKED:
            return None
        id_ = target.name.removeprefix(ID)
        if (gap := self._closed.get((target.kind, target.parts[:-1]))) is not None:
            return self._unchecked(resource, target, gap, path)
        if target.kind not in self._owners:
            self._owners[target.kind] = {
                (address.parts[:-1], one)
                for address, ids in self._live.ids.items()
                if address.kind == target.kind
                for one in ids
            }
        if (target.parts[:-1], id_) in self._owners[target.kind]:
            return None
        return self._unknown(resource, target, path)

    def _former(self, target: Address) -> Address | None:
        """Return the resource that has this name until this run renames it."""
        return self._renamed.get(target) if target.kind in _CHECKED else None

    def _count(self, target: Address, declared: Sequence[Address]) -> int:
        """How many live objects a name may mean; a pinned one counts alone."""
        if target.kind == "Member":
            return int(target.name.lower() in self._live.people.get(target.organization, {}))
        live = self._live_ids(target)
        pin = next((self._desired.resources[address].id for address in declared), None)
        return 1 if pin in live else len(live)

    def _live_ids(self, target: Address) -> set[str]:
        return {id_ for same in self._ids.find(target) for id_ in self._live.ids[same]}

    def _candidates(self, target: Address) -> list[str]:
        scope = target.parts[:-1]
        known = self._known.get((target.kind, scope))
        if known is None:
            addresses: Iterable[Address] = (*self._live.ids, *self._desired.resources)
            names = {a.name for a in addresses if a.kind == target.kind and a.parts[:-1] == scope}
            if target.kind == "Member":
                people = self._live.people.get(target.organization, {})
                names |= {person.email for person in people.values()}
            known = self._known[target.kind, scope] = sorted(filter(is_nameable, names))
        return known

    def _unknown(self, resource: Resource, target: Address, path: Path) -> Finding:
        noun = NOUNS.get(target.kind, target.kind)
        names = [name for name in self._candidates(target) if name != target.name]
        gap = self._closed.get((target.kind, target.parts[:-1]))
        similar = _find_similar(target.name, names) if gap is None else None
        listed = ", ".join(names[:SHOWN]) + (
            f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        )
        if gap is not None:
            why = f"the {noun}s of {_where(target)} cannot be read: {gap.reason}"
            fix = gap.fix
        elif similar is not None:
            why = f"neither the files nor {_where(target)} have one of this name"
            fix = f"did you mean {_apart(similar, target.name)}?"
        else:
            why = f"neither the files nor {_where(target)} have one of this name"
            if target.name.startswith(ID):
                why = f"{_where(target)} has no such {noun}, or it was deleted"
            elif target.kind == "Cohort":
                why = f"{_where(target)} has none of this name"
            fix = f"known: {listed}" if listed else "declare it, or correct the name"
            if not listed and target.kind == "Cohort":
                fix = "create the cohort in PostHog, or remove the condition"
        shown = _apart(target.name, similar) if similar is not None else f'"{target.name}"'
        return Finding(
            code=_code(target, is_known=gap is None),
            severity=Severity.ERROR,
            message=_message(target, noun, shown, is_known=gap is None),
            why=why,
            fix=fix,
            source=resource.locate(path),
            address=resource.address,
            width=len(target.name.removeprefix(ID)) if path else 1,
        )

    def _unchecked(
        self, resource: Resource, target: Address, gap: Unreadable, path: Path
    ) -> Finding:
        noun = NOUNS[target.kind]
        return Finding(
            code="unchecked-reference",
            severity=Severity.WARNING,
            message=f"the {noun} with the ID {target.name.removeprefix(ID)} is not checked",
            why=f"the {noun}s of {_where(target)} cannot be read: {gap.reason}",
            fix=gap.fix,
            source=resource.locate(path),
            address=resource.address,
        )

    def _itself(self, resource: Resource, path: Path) -> Finding:
        return Finding(
            code="cycle",
            severity=Severity.ERROR,
            message=f"{resource.address} depends on itself",
            why="PostHog refuses it",
            fix="remove the condition",
            source=resource.locate(path),
            address=resource.address,
            width=len(resource.address.name),
        )

    def _renamed_away(self, target: Address) -> Address | None:
        """The new name that this very run gives a Project; roles are respelled instead."""
        renamed = self._renamed.get(fold(target)) if target.kind == "Project" else None
        return renamed if renamed in self._picked.resources else None

    def _moved_on(
        self, resource: Resource, target: Address, renamed: Address, path: Path
    ) -> Finding:
        return Finding(
            code="unknown-reference",
            severity=Severity.ERROR,
            message=f'{NOUNS[target.kind]} "{target.name}" is renamed to "{renamed.name}" here',
            why="after this run no project has the old name any more",
            fix=f'write "{renamed.name}"',
            source=resource.locate(path),
            address=resource.address,
        )

    def _left_out(self, resource: Resource, target: Address, path: Path) -> Finding:
        return Finding(
            code="reference-left-out",
            severity=Severity.ERROR,
            message=f"{resource.address} needs {target}, which this run leaves out",
            why="it is declared but not live yet, and --select or --exclude leaves it out",
            fix=f"add --select '{target}'",
            source=resource.locate(path),
            address=resource.address,
        )

    def _ambiguous(self, resource: Resource, target: Address, path: Path) -> Finding:
        ids = sorted(self._live_ids(target))
        return Finding(
            code="ambiguous-reference",
            severity=Severity.ERROR,
            message=f'"{target.name}" names {len(ids)} {NOUNS.get(target.kind, target.kind)}s',
            why=f"these share the name: {', '.join(ids)}",
            fix="write the id of the one that is meant instead of the name"
            if target.kind in _CHECKED
            else f"declare a {target.kind} of this name with metadata.id of the one meant",
            source=resource.locate(path),
            address=resource.address,
        )


def _find_similar(written: str, names: Sequence[str]) -> str | None:
    """Return the name that looks like the written one, else the one that was probably meant."""
    appearance = look(written)
    same = next((name for name in names if look(name) == appearance), None)
    return closest_match(written, names) if same is None else same


def _apart(meant: str, written: str) -> str:
    """Return a suggestion that looks different from what was written."""
    return escaped(meant) if look(meant) == look(written) else f'"{meant}"'


def _where(target: Address) -> str:
    return "/".join(target.parts[:-1]) or "PostHog"


def _code(target: Address, *, is_known: bool) -> str:
    """Return the code of a name that was not found, by whether anything declares its kind."""
    if is_known:
        return "unknown-reference"
    return "unreadable-reference" if READ[target.kind].declared else "unreadable-name"


def _message(target: Address, noun: str, shown: str, *, is_known: bool) -> str:
    """Return what is wrong with a name, or that its kind cannot be read."""
    if target.kind == "Member":
        return f'nobody in {target.organization} has the address "{target.name}"'
    if target.name.startswith(ID):
        return f"no {noun} has the ID {target.name.removeprefix(ID)}"
    if not is_known and target.kind in _CHECKED:
        return f'the {noun} "{target.name}" cannot be looked up'
    return f"no {noun} is called {shown}"
