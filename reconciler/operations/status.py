"""Report where a target stands: the base, what is newer, and the open change requests."""

from collections.abc import Sequence

from reconciler.config.load_cache import ParsedFiles
from reconciler.config.settings import RunFacts, Settings
from reconciler.config.targets import Target
from reconciler.git import applied_ref, repository
from reconciler.git.applied_ref import Base
from reconciler.git.repository import RepositoryState
from reconciler.lazy_dataclass import dataclass
from reconciler.live import key_access
from reconciler.model import format_timestamp
from reconciler.operations import change_requests, inputs
from reconciler.operations.change_requests import OpenRequest
from reconciler.posthog.change_requests import OPEN
from reconciler.posthog.client import Reader


@dataclass(frozen=True, slots=True)
class GitStatus:
    """What git knows of a target.

    Attributes:
        base: the commit that was applied last, if it is known.
        applied_at: ISO 8601; None where this clone has not recorded it.
        commits_since: commits between the base and the commit that is checked out.
        dirty: files that differ from that commit.
        organizations: slugs that the files name.

    """

    base: Base | None
    applied_at: str | None
    commits_since: int
    dirty: int
    organizations: tuple[str, ...]


def read_git(
    settings: Settings, target: Target, facts: RunFacts, parsed: ParsedFiles | None = None
) -> GitStatus:
    """Read what git knows; contacts nobody. `parsed` has the files that other targets have read."""
    loaded = inputs.load_files(settings, target, facts.cwd, parsed)
    state = inputs.read_state(target, facts)
    if state is None or state.head is None:
        return GitStatus(None, None, 0, 0, loaded.organizations)
    base = applied_ref.resolve_base(
        None, target=target.name, build=facts.build, state=state, cwd=target.paths[0]
    )
    if base is not None and not base.in_history:
        base = None
    since = base.commit if base is not None else None
    commits = repository.count_commits(state.head, since=since, cwd=state.root)
    blobs = {**loaded.blobs, **inputs.load_rules(settings, target, facts.cwd).blobs}
    differences = inputs.find_uncommitted(settings, target, facts, state, blobs)
    dirty = len(differences.files) if differences is not None else 0
    return GitStatus(base, _read_time(base, state), commits, dirty, loaded.organizations)


def _read_time(base: Base | None, state: RepositoryState) -> str | None:
    if base is None or base.ref not in state.refs or base.pull_request:
        return None
    at = repository.read_ref_time(base.ref, state.root)
    return format_timestamp(at) if at is not None else None


def list_open_requests(
    reader: Reader, target: Target, organizations: Sequence[str]
) -> list[OpenRequest]:
    """List the open change requests of a target, those that expire first at the top.

    People are read only in organizations that have open requests.
    """
    named = (target.organization,) if target.organization else organizations
    places = [
        place
        for place in change_requests.list_projects(key_access.read_directory(reader))
        if not named or place.organization in named
    ]
    requests = change_requests.list_by_expiry(reader, places, OPEN)
    return list(change_requests.add_names(reader, requests))
