"""Turn live resources into documents as a person writes them: no defaults, no ids, in order."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from reconciler.config.documents.target_names import PLAIN_NAMES, TargetNames
from reconciler.config.edit import emitter
from reconciler.config.lint import rejected_values
from reconciler.config.schema import validator
from reconciler.kinds import KINDS
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Address, Kind, Resource, Spec

_EMPTY: Final[tuple[Any, ...]] = (None, {}, [], "")
_SHOWN: Final = 80  # characters of a value in a message
CORRECT: Final = "correct it in PostHog, and pull again"


@dataclass(frozen=True, slots=True)
class Item:
    """One live resource that is to be written."""

    address: Address
    spec: Spec  # in normal form, with names instead of ids
    id: str | None = None  # for `metadata.id`, if several live objects share the name
    hidden: tuple[str, ...] = ()  # paths that the API does not show
    resource: Resource | None = None  # the document that declares it, if there is one
    fields: frozenset[str] = frozenset()  # of the document, whose live values differ
    renamed: bool = False  # the document has another name
    taken: tuple[str, ...] = ()  # paths of the document that get the live value


@dataclass(frozen=True, slots=True)
class SkippedEdit:
    """A live value or resource that is not written, and why."""

    address: Address
    reason: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class DocumentShape:
    """How much of a resource is written, and with which names.

    Attributes:
        full: whether fields with the default value are written.
        names: what the target calls the organization and the projects of documents.
        omits_organization: whether documents leave it to the target.

    """

    full: bool = False
    names: TargetNames = PLAIN_NAMES
    omits_organization: bool = False

    def build_document(self, item: Item) -> dict[str, Any]:
        """Return the whole document of an item."""
        document: dict[str, Any] = {
            "kind": item.address.kind,
            "metadata": self.build_metadata(item),
        }
        if spec := self.build_spec(item):
            document["spec"] = spec
        return document

    def build_metadata(self, item: Item) -> dict[str, Any]:
        """Return the metadata that identifies a resource."""
        metadata: dict[str, Any] = self.names.build_identity(KINDS[item.address.kind], item.address)
        if self.omits_organization:
            del metadata["organization"]
        if item.id is not None:
            metadata["id"] = int(item.id) if item.id.isdecimal() else item.id
        return metadata

    def build_spec(self, item: Item) -> dict[str, Any]:
        """Return the fields to write, ordered as in the schema; by default without defaults."""
        kind = KINDS[item.address.kind]
        spec = {name: value for name, value in item.spec.items() if name not in item.hidden}
        if not self.full:
            spec = {
                n: _drop_empty(kind, n, v) for n, v in spec.items() if not is_default(kind, n, v)
            }
        for path in item.hidden:
            name, _, inner = path.partition(".")
            if inner and isinstance(spec.get(name), Mapping):
                spec[name] = {n: v for n, v in spec[name].items() if n != inner}
        ordered: dict[str, Any] = _order_keys(spec, validator.find_schema(kind.name, "spec") or {})
        return ordered


def is_default(kind: Kind, name: str, value: Any) -> bool:
    """Return whether the server has this value by default; off, empty and unset are the same."""
    defaults = kind.defaults
    return name in defaults and (defaults[name] == value or not (defaults[name] or value))


def _drop_empty(kind: Kind, name: str, value: Any) -> Any:
    """Return a mapping without its empty values, which mean nothing; `conditions` keeps them."""
    if not isinstance(value, Mapping) or name == "conditions":
        return value
    kept_keys = {"groups"} if kind.gates else set()
    return {key: item for key, item in value.items() if item not in _EMPTY or key in kept_keys}


def _order_keys(value: Any, schema: Mapping[str, Any]) -> Any:
    """Order keys as in the schema, then the others by name."""
    if isinstance(value, Mapping):
        known: Mapping[str, Any] = schema.get("properties", {})
        names = [name for name in known if name in value]
        names += sorted(name for name in value if name not in known)
        return {name: _order_keys(value[name], known.get(name, {})) for name in names}
    if isinstance(value, list):
        items = schema.get("items", {})
        return [_order_keys(item, items) for item in value]
    return value


def drop_unwritable_fields(items: Iterable[Item], skipped: list[SkippedEdit]) -> Iterator[Item]:
    """Yield the items without the fields that no file can hold, which are added to `skipped`."""
    for item in items:
        reasons = _find_unwritable_fields(item)
        for name, reason in reasons.items():
            if item.spec[name] is not None:
                skipped.append(
                    SkippedEdit(item.address, f"`{name}` is left out: {reason}", CORRECT)
                )
        spec = {name: value for name, value in item.spec.items() if name not in reasons}
        yield replace(item, spec=spec, fields=item.fields - reasons.keys()) if reasons else item


def _find_unwritable_fields(item: Item) -> dict[str, str]:
    """Return each field that `validate` would refuse, and why."""
    document, reasons = DocumentShape(full=True).build_document(item), dict[str, str]()
    accepts = validator.accepts(item.address.kind, document)
    if not accepts and validator.accepts(item.address.kind, {**document, "spec": {}}):
        for name in document.get("spec", {}):
            if not _is_accepted(document, name):
                shown = emitter.format_flow(item.spec[name])
                shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
                reasons[name] = f"no file can hold {shown}"
    others = {name: value for name, value in item.spec.items() if name not in reasons}
    for rejection in rejected_values.check_spec(item.address.kind, others):
        reasons.setdefault(
            str(rejection.path[0]), f"PostHog would refuse it today: {rejection.message}"
        )
    return reasons


def _is_accepted(document: Mapping[str, Any], name: str) -> bool:
    """Return whether the schema accepts a document with this field only."""
    reduced = {**document, "spec": {name: document["spec"][name]}}
    return validator.accepts(document["kind"], reduced)
