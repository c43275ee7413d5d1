"""Resolve names to resources. Unknown and ambiguous names become findings with candidates."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from reconciler.kinds import KINDS, READ, fold_name
from reconciler.lookalikes import escape_name, simplify_name
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
)
from reconciler.plan.diff.matching import FoldedAddresses
from reconciler.plan.diff.reference_spelling import Spelling
from reconciler.suggest import closest_match

Edges = Mapping[Address, tuple[Address, ...]]
_CHECKED = {ref.kind for kind in KINDS.values() for ref in kind.references if ref.takes_ids}
_STORED_UNCHECKED = frozenset({"ExperimentHoldout"})  # PostHog takes any id of these
_APART = frozenset({"Cohort", "ExperimentHoldout"})  # listed only if a flag names them
_MAY_STAY = frozenset({"FeatureFlag"})  # an inactive flag may name a deleted one
SHOWN = 5  # candidates that an error lists


def resolve_names(
    picked: Declared, desired: Declared, live: Live
) -> tuple[Edges, tuple[Finding, ...]]:
    """Return which declared resource needs which other one, and findings for names not found.

    `picked` are the resources of this run, a part of `desired`, which says what names exist.
    """
    names = _KnownNames(picked, desired, live)
    edges: dict[Address, list[Address]] = defaultdict(list)
    findings: list[Finding] = []
    needed_by_scope: dict[tuple[str, tuple[str, ...]], list[Address]] = {}  # where all is known
    for address, resource in picked.resources.items():
        if resource.lifecycle.absent:
            continue
        kind = KINDS[address.kind]
        scope = (kind.name, address.parts[:-1])
        refers = (resource.may_refer and kind.refers(resource.spec)) or bool(kind.part_of)
        if not refers and (needed := needed_by_scope.get(scope)) is not None:
            if needed:
                edges[address] = needed
            continue
        known = len(findings)
        for target, path in list_needed(resource):
            edge, finding = names.resolve_name(resource, target, path)
            if edge is not None:
                edges[address].append(edge)
            if finding is not None:
                findings.append(finding)
                if target.kind in {"Organization", "Project"}:
                    break  # what is inside it cannot be resolved either
        if not refers and len(findings) == known:
            needed_by_scope[scope] = edges.get(address, [])
    return {address: tuple(targets) for address, targets in edges.items()}, tuple(findings)


def respell_references(picked: Declared, live: Live, later: Declared | None = None) -> Declared:
    """Return the resources with references as the live side writes them: case is not a change.

    If `picked` was declared before, `later` are the present files: they rename resources, too.
    """
    spelling = Spelling(picked, live, later)
    respelled = {}
    for address, resource in picked.resources.items():
        if not resource.may_refer:
            continue
        kind, spec = KINDS[address.kind], resource.spec
        for reference in kind.references if kind.refers(spec) else ():
            spec = map_values(spec, reference.path, spelling.build_speller(reference, address))
        if spec is not resource.spec:
            respelled[address] = replace(resource, spec=kind.canonical(spec))
    return replace(picked, resources={**picked.resources, **respelled}) if respelled else picked


def list_needed(resource: Resource) -> Iterator[tuple[Address, Path]]:
    """Yield every resource that this one names, outermost first: its scope, then references."""
    address, kind = resource.address, KINDS[resource.address.kind]
    if kind.scope is not Scope.INSTANCE:
        yield Address("Organization", (address.organization,)), ()
    if address.project is not None:
        yield Address("Project", (address.organization, address.project)), ()
    if kind.part_of:
        yield Address(kind.part_of, address.parts), ()
    for reference, path, reference_name in kind.list_references(resource.spec):
        yield reference.target(address, reference_name), path


def list_id_references(addresses: Collection[Address], *sides: Declared | None) -> set[Address]:
    """Return what references that take ids refer to, as written: it may have to be read."""
    return {
        reference.target(address, name)
        for side in sides
        if side is not None
        for address, resource in side.resources.items()
        if resource.may_refer and address in addresses and not resource.lifecycle.absent
        for reference, _, name in KINDS[address.kind].list_references(resource.spec)
        if reference.takes_ids
    }


def describe_dangling(address: Address, spec: Spec, live: Live) -> str:
    """Return the message about what live conditions refer to and PostHog lacks; "" if nothing."""
    resource = Resource(address, spec)
    declared = Declared({address: resource}, "")
    _, problems = resolve_names(declared, declared, live)
    return next(
        (
            finding.message
            for finding in problems
            if finding.code == "unknown-reference" and finding.severity is Severity.ERROR
        ),
        "",
    )


class _KnownNames:
    """The names that exist: declared ones and live ones."""

    def __init__(self, picked: Declared, desired: Declared, live: Live) -> None:
        self._picked, self._desired, self._live = picked, desired, live
        deleted = {a for a, r in desired.resources.items() if r.lifecycle.absent}
        self._deleted = FoldedAddresses(deleted)
        kept = {a: None for a in desired.resources if a not in deleted} if deleted else None
        self._declared = FoldedAddresses(desired.resources if kept is None else kept)
        self._ids = FoldedAddresses(live.ids)
        self._sound: dict[Address, Address | None] = {}  # names that resolved for one resource
        self._renamed = {
            fold_name(Address(a.kind, (*a.parts[:-1], r.lifecycle.renamed_from))): a
            for a, r in desired.resources.items()
            if r.lifecycle.renamed_from is not None
        }
        self._closed = {(gap.kind, gap.scope): gap for gap in live.unreadable}
        self._known: dict[tuple[str, tuple[str, ...]], list[str]] = {}
        self._owners: dict[str, set[tuple[tuple[str, ...], str]]] = {}

    def resolve_name(
        self, resource: Resource, target: Address, path: Path
    ) -> tuple[Address | None, Finding | None]:
        """Return the declared resource of a name, if any, or a finding if the name is unknown."""
        if target in self._sound and target != resource.address:
            return self._sound[target], None
        if target.name.startswith(ID):
            return None, self._check_id(resource, target, path)
        if target.kind == "Member" and target.organization in self._live.partial:
            return None, None  # `matching.check_hidden_people` reports it
        return self._check_name(resource, target, path)

    def _check_name(
        self, resource: Resource, target: Address, path: Path
    ) -> tuple[Address | None, Finding | None]:
        declared = self._declared.find_equal(target)
        live_count = self._count_live(target, declared)
        problem: Finding | None = None
        if target == resource.address:
            problem = self._report_itself(resource, path)
        elif (renamed := self._find_new_name(target)) is not None and not declared:
            problem = self._report_renamed(resource, target, renamed, path)
        elif live_count > 1:
            problem = self._report_ambiguous(resource, target, path)
        elif not live_count and not declared:
            problem = self._report_unknown(resource, target, path)
        elif not declared and target.kind not in _MAY_STAY and self._deleted.find_equal(target):
            problem = self._report_deleted(resource, target, path)
        elif not live_count and target.kind == "Member":
            return None, None  # the Member document has the finding
        elif not live_count and not any(address in self._picked.resources for address in declared):
            problem = self._report_left_out(resource, declared[0], path)
        if problem is not None:
            return None, problem
        edge = declared[0] if declared else self._find_former(target)
        self._sound[target] = edge
        return edge, None

    def _check_id(self, resource: Resource, target: Address, path: Path) -> Finding | None:
        """Check an id that stands for itself: unknown, without a name, or of a shared name."""
        if target.kind not in _CHECKED:
            return None
        id_ = target.name.removeprefix(ID)
        if (gap := self._closed.get((target.kind, target.parts[:-1]))) is not None:
            return self._report_unchecked(resource, target, gap, path)
        if target.kind not in self._owners:
            self._owners[target.kind] = {
                (address.parts[:-1], live_id)
                for address, ids in self._live.ids.items()
                if address.kind == target.kind
                for live_id in ids
            }
        if (target.parts[:-1], id_) in self._owners[target.kind]:
            return None
        unknown = self._report_unknown(resource, target, path)
        if target.kind in _STORED_UNCHECKED:
            return replace(unknown, severity=Severity.WARNING)
        return unknown

    def _find_former(self, target: Address) -> Address | None:
        """Return the resource that has this name until this run renames it."""
        return self._renamed.get(target) if target.kind in _CHECKED else None

    def _count_live(self, target: Address, declared: Sequence[Address]) -> int:
        """Return how many live objects a name may refer to; with metadata.id, only that one."""
        if target.kind == "Member":
            return int(target.name.lower() in self._live.people.get(target.organization, {}))
        live_ids = self._find_live_ids(target)
        pinned_id = next((self._desired.resources[address].id for address in declared), None)
        return 1 if pinned_id in live_ids else len(live_ids)

    def _find_live_ids(self, target: Address) -> set[str]:
        return {id_ for address in self._ids.find_equal(target) for id_ in self._live.ids[address]}

    def _list_candidates(self, target: Address) -> list[str]:
        scope = target.parts[:-1]
        candidates = self._known.get((target.kind, scope))
        if candidates is None:
            addresses: Iterable[Address] = (*self._live.ids, *self._desired.resources)
            names = {a.name for a in addresses if a.kind == target.kind and a.parts[:-1] == scope}
            if target.kind == "Member":
                people = self._live.people.get(target.organization, {})
                names |= {person.email for person in people.values()}
            candidates = self._known[target.kind, scope] = sorted(filter(is_nameable, names))
        return candidates

    def _report_unknown(self, resource: Resource, target: Address, path: Path) -> Finding:
        noun = READ[target.kind].noun
        names = [name for name in self._list_candidates(target) if name != target.name]
        gap = self._closed.get((target.kind, target.parts[:-1]))
        similar = _find_similar(target.name, names) if gap is None else None
        listed = ", ".join(names[:SHOWN]) + (
            f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        )
        if gap is not None:
            why = f"the {noun}s of {_describe_scope(target)} cannot be read: {gap.reason}"
            fix = gap.fix
        elif similar is not None:
            why = f"neither the files nor {_describe_scope(target)} have one of this name"
            fix = f"did you mean {_quote_distinctly(similar, target.name)}?"
        else:
            why = f"neither the files nor {_describe_scope(target)} have one of this name"
            if target.name.startswith(ID):
                why = f"{_describe_scope(target)} has no such {noun}, or it was deleted"
            elif target.kind == "Cohort":
                why = f"{_describe_scope(target)} has none of this name"
            fix = f"known: {listed}" if listed else "declare it, or correct the name"
            if not listed and target.kind == "Cohort":
                fix = "create the cohort in PostHog, or remove the condition"
        shown = (
            _quote_distinctly(target.name, similar) if similar is not None else f'"{target.name}"'
        )
        return Finding(
            code=_choose_code(target, is_known=gap is None),
            severity=Severity.ERROR,
            message=_compose_message(target, noun, shown, is_known=gap is None),
            why=why,
            fix=fix,
            source=resource.locate(path),
            address=resource.address,
            width=len(target.name.removeprefix(ID)) if path else 1,
        )

    def _report_unchecked(
        self, resource: Resource, target: Address, gap: Unreadable, path: Path
    ) -> Finding:
        noun = READ[target.kind].noun
        finding = _make_finding(
            "unchecked-reference",
            f"the {noun} with the ID {target.name.removeprefix(ID)} is not checked",
            resource,
            path,
            why=f"the {noun}s of {_describe_scope(target)} cannot be read: {gap.reason}",
            fix=gap.fix,
        )
        return replace(finding, severity=Severity.WARNING)

    def _report_itself(self, resource: Resource, path: Path) -> Finding:
        finding = _make_finding(
            "cycle",
            f"{resource.address} depends on itself",
            resource,
            path,
            why="PostHog refuses it",
            fix="remove the condition",
        )
        return replace(finding, width=len(resource.address.name))

    def _find_new_name(self, target: Address) -> Address | None:
        """Return the new name that this run gives a project; roles are respelled instead."""
        renamed = self._renamed.get(fold_name(target)) if target.kind == "Project" else None
        return renamed if renamed in self._picked.resources else None

    def _report_renamed(
        self, resource: Resource, target: Address, renamed: Address, path: Path
    ) -> Finding:
        return _make_finding(
            "unknown-reference",
            f'{READ[target.kind].noun} "{target.name}" is renamed to "{renamed.name}" here',
            resource,
            path,
            why="no project has the old name after this run",
            fix=f'write "{renamed.name}"',
        )

    def _report_deleted(self, resource: Resource, target: Address, path: Path) -> Finding:
        return _make_finding(
            "unknown-reference",
            f'the {READ[target.kind].noun} "{target.name}" is deleted here',
            resource,
            path,
            why="its document says `state: absent`",
            fix=f"remove one of the two: the reference, or `state: absent` of {target}",
        )

    def _report_left_out(self, resource: Resource, target: Address, path: Path) -> Finding:
        return _make_finding(
            "reference-left-out",
            f"{resource.address} needs {target}, which this run leaves out",
            resource,
            path,
            why="it is declared but not live yet, and --select or --exclude leaves it out",
            fix=f"add --select '{target}'",
        )

    def _report_ambiguous(self, resource: Resource, target: Address, path: Path) -> Finding:
        ids = sorted(self._find_live_ids(target))
        return _make_finding(
            "ambiguous-reference",
            f'"{target.name}" names {len(ids)} {READ[target.kind].noun}s',
            resource,
            path,
            why=f"these share the name: {', '.join(ids)}",
            fix="write the ID of the intended object instead of the name"
            if target.kind in _CHECKED
            else f"declare a {target.kind} of this name and set its metadata.id",
        )


def _make_finding(
    code: str, message: str, resource: Resource, path: Path, *, why: str, fix: str
) -> Finding:
    """Return an error at the place of a reference."""
    return Finding(
        code=code,
        severity=Severity.ERROR,
        message=message,
        why=why,
        fix=fix,
        source=resource.locate(path),
        address=resource.address,
    )


def _find_similar(written: str, names: Sequence[str]) -> str | None:
    """Return the name that looks like the written one, else the one that was probably meant."""
    appearance = simplify_name(written)
    lookalike = next((name for name in names if simplify_name(name) == appearance), None)
    return closest_match(written, names) if lookalike is None else lookalike


def _quote_distinctly(suggestion: str, written: str) -> str:
    """Return a suggestion that looks different from what was written."""
    return (
        escape_name(suggestion)
        if simplify_name(suggestion) == simplify_name(written)
        else f'"{suggestion}"'
    )


def _describe_scope(target: Address) -> str:
    return "/".join(target.parts[:-1]) or "PostHog"


def _choose_code(target: Address, *, is_known: bool) -> str:
    """Return the code of a name that was not found, by whether its kind is always read."""
    if is_known:
        return "unknown-reference"
    return "unreadable-name" if target.kind in _APART else "unreadable-reference"


def _compose_message(target: Address, noun: str, shown: str, *, is_known: bool) -> str:
    """Return what is wrong with a name, or that its kind cannot be read."""
    if target.kind == "Member":
        return f'nobody in {target.organization} has the address "{target.name}"'
    if target.name.startswith(ID):
        return f"no {noun} has the ID {target.name.removeprefix(ID)}"
    if not is_known and target.kind in _CHECKED:
        return f'the {noun} "{target.name}" cannot be looked up'
    return f"no {noun} is called {shown}"
