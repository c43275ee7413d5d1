"""Where a person looks a plan up in PostHog: pages of objects, and the requests that are open."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from reconciler.kinds import KINDS
from reconciler.model import Action, Change, ChangeRequest, Live, Plan

REQUEST: Final = "/project/{project}/approvals/{id}"

_Key = tuple[tuple[str, ...], str]  # a project, and an id or a key in it


def asked(changes: Iterable[Change], live: Live) -> tuple[ChangeRequest, ...]:
    """The open requests about what is to change, and those that were turned down; oldest first."""
    flags: set[_Key] = set()
    named = set()
    for change in changes:
        if change.action is not Action.NONE and KINDS[change.address.kind].gated:
            flags.add((change.address.parts[:-1], change.live_id or change.address.name))
            named.add(change.gate.change_request)
    found = [one for one in live.change_requests if _flag(one) in flags or one.id in named]
    found += [one for one in live.rejections if one.id in named]
    return tuple(sorted(found, key=lambda one: (one.created_at, one.id)))


def _flag(request: ChangeRequest) -> _Key:
    return (request.organization, request.project), request.resource_id or request.flag_key


def linked(made: Plan, live: Live, host: str) -> Plan:
    """The plan with the page of each object and request that has one."""
    projects = _projects(live)

    def page(scope: tuple[str, ...], template: str, id_: str) -> str | None:
        project = projects.get(scope)
        return host + template.format(project=project, id=id_) if project and template else None

    def of(change: Change) -> Change:
        template = KINDS[change.address.kind].page
        if change.live_id is None or not template or change.action is Action.NONE:
            return change
        return replace(change, url=page(change.address.parts[:-1], template, change.live_id))

    return replace(
        made,
        changes=tuple(map(of, made.changes)),
        change_requests=tuple(
            replace(one, url=page((one.organization, one.project), REQUEST, one.id))
            for one in made.change_requests
        ),
    )


def of_requests(requests: Iterable[ChangeRequest], live: Live, host: str) -> dict[str, str]:
    """The pages of some requests, by their ids."""
    projects = _projects(live)
    return {
        one.id: host + REQUEST.format(project=projects[one.organization, one.project], id=one.id)
        for one in requests
        if (one.organization, one.project) in projects
    }


def _projects(live: Live) -> dict[tuple[str, ...], str]:
    """Organization and name -> id, where it is unambiguous."""
    return {
        address.parts: ids[0]
        for address, ids in live.ids.items()
        if address.kind == "Project" and len(ids) == 1
    }
