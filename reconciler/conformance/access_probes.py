"""Probes of access rules, and of the settings of the project and its organization.

They write a single rule: everybody may view the toolbar, as without a rule. They write nothing
else, and never touch the rules of others.
"""

from collections.abc import Iterator
from typing import Any, Final

from reconciler.conformance.exchange import Exchange, ProbeSkippedError, set_aside
from reconciler.conformance.scene import Scene
from reconciler.conformance.scratch import NOBODY, OWN_LEVEL, OWN_TYPE, is_own_rule

_OK: Final = 200
_READ: Final = "the scope access_control:read"
_WRITE: Final = "the scope access_control:write, as an admin of the project"


def probe_rules(scene: Scene) -> None:
    """Read the rules of the project; set and remove one that changes nothing."""
    recorder, project = scene.recorder, scene.project
    own, types = project.path("access_controls"), project.path("resource_access_controls")
    listed = recorder.call("rules.project", "GET", own)
    if set_aside(recorder, listed, _READ):
        raise ProbeSkippedError(recorder.skipped[listed.name])
    known = recorder.call("rules.types", "GET", types)
    recorder.call("rules.old_name", "GET", project.path("global_access_controls"))
    others = [row for row in _list_rows(known) if not is_own_rule(row, project.user_id)]
    if known.status != _OK or any(row.get("resource") == OWN_TYPE for row in others):
        return
    body = {"resource": OWN_TYPE, "access_level": OWN_LEVEL}
    answered = recorder.call("rules.set", "PUT", types, body)
    if set_aside(recorder, answered, _WRITE):
        return
    for name, fields in (
        ("unknown_level", {"access_level": "nobody"}),
        ("too_high", {"access_level": "editor"}),
        ("unknown_type", {"resource": "nothing"}),
        ("two_subjects", {"role": NOBODY, "organization_member": NOBODY}),
    ):
        answered = recorder.call(f"rules.{name}", "PUT", types, {**body, **fields})
        if answered.status == _OK:  # remove what the server accepted
            recorder.call("", "PUT", types, {**body, **fields, "access_level": None})
    removed = {**body, "access_level": None}
    recorder.call("rules.removed", "PUT", types, removed)
    recorder.call("rules.removed_again", "PUT", types, removed)


def _list_rows(answer: Exchange) -> Iterator[dict[str, Any]]:
    rows = answer.get("access_controls")
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict):
            yield row


def probe_settings(scene: Scene) -> None:
    """Read the project in both ways, and its organization."""
    recorder, project = scene.recorder, scene.project
    organization = f"/api/organizations/{project.organization_id}/"
    for name, path in (
        ("settings.project", project.path()),
        ("settings.listed", f"{organization}projects/"),
        ("settings.organization", organization),
    ):
        answered = recorder.call(name, "GET", path)
        set_aside(recorder, answered, "the scopes project:read and organization:read")
