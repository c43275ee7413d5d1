"""Read the objects by which past changes of a project are judged: flags, policies, schedules."""

from typing import Final

from reconciler.live import schedules
from reconciler.live.key_access import Directory
from reconciler.live.reader import Reading
from reconciler.model import Address, Live
from reconciler.posthog.client import Reader

_FLAG: Final = "FeatureFlag"


def read_project(
    reader: Reader, directory: Directory, before: Live, project: Address, id_: str
) -> Live:
    """Return the flags of a project, archived ones included, its policies and schedules.

    `before` has the people and roles of the organization: they are not read again.
    """
    scope = (project.organization, project.name)
    reading = Reading(reader, directory, {project: id_}, before)
    reading.list_all((kind, scope) for kind in (_FLAG, "ApprovalPolicy", schedules.KIND))
    reading.list_missing({(_FLAG, scope): ("",)})  # the listing of archived flags
    return reading.build_live()
