"""Name the action keys that gate something, and describe which writes of a kind they gate.

The rules for flags look at positions in their filters (`plan.approvals.actions`). Other kinds say
here which whole writes wait.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from reconciler.lazy_dataclass import dataclass
from reconciler.model.plan import Action
from reconciler.model.resources import Payload

# Contract 3.6.
EXPERIMENT_TWINS: Final = MappingProxyType(
    {
        "feature_flag.enable": "experiment.launch",
        "feature_flag.disable": "experiment.pause",
        "feature_flag.update": "experiment.update",
    }
)
"""Action on flags -> the same action on flags that an experiment owns (contract 3.8)."""

FLAG_ACTIONS: Final = tuple(EXPERIMENT_TWINS)
EXPERIMENT_ACTIONS: Final = tuple(EXPERIMENT_TWINS.values())
HOLDOUT_ACTIONS: Final = ("experiment_holdout.update", "experiment_holdout.delete")
GATING_ACTIONS: Final = (*FLAG_ACTIONS, *EXPERIMENT_ACTIONS, *HOLDOUT_ACTIONS)


@dataclass(frozen=True, slots=True)
class WriteGate:
    """Describe the approval action that covers one kind of write.

    Attributes:
        action: the action key of its policies.
        write: the write that it covers: an update or a delete.
        fields: the fields whose change counts; none: every write does.
        fallbacks: the actions whose policies apply if it has no policy, the first one that
            has a policy. Their conditions are ignored.
        looks_at: the field that conditions of its own policy can name. PostHog supplies no
            positions for it.

    """

    action: str
    write: Action
    fields: tuple[str, ...] = ()
    fallbacks: tuple[str, ...] = ()
    looks_at: str = ""


@dataclass(frozen=True, slots=True)
class Rewrites:
    """Describe the objects of another kind that PostHog writes together with an object.

    Attributes:
        kind: the kind of those objects.
        field: the field of theirs that is written, as a file names it.
        copied: the field of the object itself, and the field of theirs that gets its value.
        through: the kind that connects the two; it is listed to find them.
        owner: payload of a connecting object -> the id of the object that it belongs to.
        name: payload of a connecting object -> the name of the object that is written.
        id: the same -> its id; empty if the payload does not show it.
        listings: the query parameters of each listing; together they show every object.

    """

    kind: str
    field: str
    copied: tuple[str, str]
    through: str
    owner: Callable[[Payload], str | None]
    name: Callable[[Payload], str]
    id: Callable[[Payload], str]
    listings: tuple[Mapping[str, str], ...] = ({},)


def read_full_request(intent: Payload) -> Payload:
    """Return the body that an approved request replays (contract 7.2)."""
    return dict(intent.get("full_request_data") or {})


def has_moved_version(intent: Payload, live: Payload) -> bool:
    """Return whether an object, as last seen, is newer than what a request is based on.

    A request of this run may be based on a newer one: its ungated calls come first.
    """
    filed = (intent.get("preconditions") or {}).get("version")
    version = live.get("version")
    return isinstance(filed, int) and isinstance(version, int) and filed < version
