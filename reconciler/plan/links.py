"""Links into PostHog: the pages of a plan's objects and of its change requests."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from reconciler.kinds import KINDS
from reconciler.model import Action, Change, ChangeRequest, Live, Plan

REQUEST: Final = "/project/{project}/approvals/{id}"

_Key = tuple[str, tuple[str, ...], str]  # a kind, a project, and an id or a key in it


def list_change_requests(changes: Iterable[Change], live: Live) -> tuple[ChangeRequest, ...]:
    """Return the open and the rejected requests about what changes, oldest first."""
    if not (live.change_requests or live.rejections):
        return ()
    keys: set[_Key] = set()
    named = set[str | None]()
    for change in changes:
        named |= {scheduled.change_request for scheduled in change.scheduled} - {None}
        if change.action is not Action.NONE and KINDS[change.address.kind].gated:
            address = change.address
            keys.add((address.kind, address.parts[:-1], change.live_id or address.name))
            named.add(change.gate.change_request)
    requests = [
        request
        for request in live.change_requests
        if _get_key(request) in keys or request.id in named
    ]
    requests += [request for request in live.rejections if request.id in named]
    return tuple(sorted(requests, key=lambda request: (request.created_at, request.id)))


def _get_key(request: ChangeRequest) -> _Key:
    scope = (request.organization, request.project)
    return request.kind, scope, request.resource_id or request.name


def add_links(plan: Plan, live: Live, host: str) -> Plan:
    """Return the plan with the page of each object and request that has one."""
    projects = _index_projects(live)

    def page(scope: tuple[str, ...], template: str, id_: str) -> str | None:
        project = projects.get(scope)
        return host + template.format(project=project, id=id_) if project and template else None

    def add_page(change: Change) -> Change:
        template = KINDS[change.address.kind].page
        if change.live_id is None or not template:
            return change
        return replace(change, url=page(change.address.parts[:-1], template, change.live_id))

    none = Action.NONE
    return replace(
        plan,
        changes=tuple([c if c.action is none else add_page(c) for c in plan.changes]),
        change_requests=tuple(
            replace(request, url=page((request.organization, request.project), REQUEST, request.id))
            for request in plan.change_requests
        ),
    )


def link_requests(requests: Iterable[ChangeRequest], live: Live, host: str) -> dict[str, str]:
    """Return the pages of requests, by their ids."""
    projects = _index_projects(live)
    return {
        request.id: host
        + REQUEST.format(project=projects[request.organization, request.project], id=request.id)
        for request in requests
        if (request.organization, request.project) in projects
    }


def _index_projects(live: Live) -> dict[tuple[str, ...], str]:
    """Return project ids by organization and name, where they are unambiguous."""
    return {
        address.parts: ids[0]
        for address, ids in live.ids.items()
        if address.kind == "Project" and len(ids) == 1
    }
