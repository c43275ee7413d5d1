"""Names to edges. Unknown and ambiguous names become findings with the candidates."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from reconciler.kind import Reference, Scope
from reconciler.kinds import KINDS, fold
from reconciler.lookalikes import escaped, look
from reconciler.model import Address, Declared, Finding, Live, Resource, Severity
from reconciler.paths import Path, map_values, values_at
from reconciler.plan.lookup import Folded

Edges = Mapping[Address, tuple[Address, ...]]
_NOUNS = {"Member": "person", "Role": "role", "Project": "project", "Organization": "organization"}
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


def spelled(picked: Declared, live: Live) -> Declared:
    """The same with references written as the live side writes them: case is not a change."""
    roles = {fold(address): address.name for address in live.ids if address.kind == "Role"}
    for address, resource in picked.resources.items():  # a renamed role is the role it was
        old = resource.lifecycle.renamed_from
        if address.kind == "Role" and old is not None and fold(address) not in roles:
            before = fold(Address("Role", (address.organization, old)))
            if before in roles:
                roles[fold(address)] = roles[before]
    respelled = {}
    for address, resource in picked.resources.items():
        kind, spec = KINDS[address.kind], resource.spec
        for reference in kind.references:
            spec = map_values(spec, reference.path, _speller(reference, address, roles, live))
        if spec is not resource.spec:
            respelled[address] = replace(resource, spec=kind.canonical(spec))
    return replace(picked, resources={**picked.resources, **respelled}) if respelled else picked


def _speller(
    reference: Reference, address: Address, roles: Mapping[Address, str], live: Live
) -> Callable[[Any], Any]:
    people = live.people.get(address.organization, {})

    def spell(name: Any) -> Any:
        if reference.kind == "Member":
            person = people.get(str(name).lower())
            return person.email if person is not None else name
        return roles.get(fold(Address(reference.kind, (address.organization, str(name)))), name)

    return spell


def needs(resource: Resource) -> Iterator[tuple[Address, Path]]:
    """Every resource that this one names, outermost first: its scope, then its references."""
    address, kind = resource.address, KINDS[resource.address.kind]
    if kind.scope is not Scope.INSTANCE:
        yield Address("Organization", (address.organization,)), ()
    if address.project is not None:
        yield Address("Project", (address.organization, address.project)), ()
    for reference in kind.references:
        for path, name in values_at(resource.spec, reference.path):
            yield Address(reference.kind, (address.organization, str(name))), path


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
        self._known: dict[tuple[str, str], list[str]] = {}

    def look(
        self, resource: Resource, target: Address, path: Path
    ) -> tuple[Address | None, Finding | None]:
        """The declared resource behind a name, if it is declared; a finding if nobody has it."""
        if target in self._sound:
            return self._sound[target], None
        if target.name.startswith("id:"):
            return None, None
        if target.kind == "Member" and target.organization in self._live.partial:
            return None, None  # `identity.hidden_people` says it
        declared = self._declared.find(target)
        found = self._count(target, declared)
        problem: Finding | None = None
        if (renamed := self._renamed_away(target)) is not None and not declared:
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
        edge = self._sound[target] = declared[0] if declared else None
        return edge, None

    def _count(self, target: Address, declared: Sequence[Address]) -> int:
        """How many live objects a name may mean; a pinned one counts alone."""
        if target.kind == "Member":
            return int(target.name.lower() in self._live.people.get(target.organization, {}))
        live = self._live_ids(target)
        pin = next((self._desired.resources[address].id for address in declared), None)
        return 1 if pin in live else len(live)

    def _live_ids(self, target: Address) -> set[str]:
        return {id_ for same in self._ids.find(target) for id_ in self._live.ids[same]}

    def _candidates(self, kind: str, organization: str) -> list[str]:
        known = self._known.get((kind, organization))
        if known is None:
            addresses: Iterable[Address] = (*self._live.ids, *self._desired.resources)
            names = {
                a.name
                for a in addresses
                if a.kind == kind and (kind == "Organization" or a.organization == organization)
            }
            if kind == "Member":
                names |= {p.email for p in self._live.people.get(organization, {}).values()}
            known = self._known[kind, organization] = sorted(names)
        return known

    def _unknown(self, resource: Resource, target: Address, path: Path) -> Finding:
        noun = _NOUNS.get(target.kind, target.kind)
        names = [n for n in self._candidates(target.kind, target.organization) if n != target.name]
        gap = self._closed.get((target.kind, (target.organization,)))
        close = get_close_matches(target.name, names, n=1, cutoff=0.6) if gap is None else []
        listed = ", ".join(names[:SHOWN]) + (
            f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        )
        if gap is not None:
            why, fix = f"the {noun}s of {target.organization} cannot be read: {gap.reason}", gap.fix
        elif close:
            why = f"neither the files nor {_where(target)} have one of this name"
            fix = f"did you mean {_apart(close[0], target.name)}?"
        else:
            why = f"neither the files nor {_where(target)} have one of this name"
            fix = f"known: {listed}" if listed else "declare it, or mend the name"
        source = resource.locate(path)
        shown = _apart(target.name, close[0]) if close else f'"{target.name}"'
        return Finding(
            code="unknown-reference" if gap is None else "unreadable-reference",
            severity=Severity.ERROR,
            message=f"no {noun} is called {shown}"
            if target.kind != "Member"
            else f'nobody in {target.organization} has the address "{target.name}"',
            why=why,
            fix=fix,
            source=source,
            address=resource.address,
            width=len(target.name) if path else 1,
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
            message=f'{_NOUNS[target.kind]} "{target.name}" is renamed to "{renamed.name}" here',
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
            message=f'"{target.name}" names {len(ids)} {_NOUNS.get(target.kind, target.kind)}s',
            why=f"these share the name: {', '.join(ids)}",
            fix=f"declare a {target.kind} of this name with metadata.id of the one meant",
            source=resource.locate(path),
            address=resource.address,
        )


def _apart(meant: str, written: str) -> str:
    """Return a suggestion that can be told from what was written."""
    return escaped(meant) if look(meant) == look(written) else f'"{meant}"'


def _where(target: Address) -> str:
    return "PostHog" if target.kind == "Organization" else target.organization
