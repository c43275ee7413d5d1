"""How a person wants to see something. A format ignores what it cannot do."""

from enum import StrEnum
from typing import Final

from reconciler.lazy_dataclass import dataclass

LARGE: Final = 100  # changes; of a larger plan nobody reads every field unasked


class Zoom(StrEnum):
    """How near the terminal goes: one line in all, one a resource, one a field."""

    TOTALS = "totals"
    RESOURCES = "resources"
    FIELDS = "fields"


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """What was asked for, and what the place it is shown at is able to do."""

    color: bool = False
    links: bool = False  # whether a terminal opens what is marked as a link
    width: int = 100  # columns
    columns: int = 0  # of a terminal, where a wider table is hard to read; 0: no terminal
    verbose: int = 0
    zoom: Zoom | None = None  # None: by the size of the plan
    command: str = "plan"  # that shows the plan
    whole: str = ""  # where the whole plan is, for what has to leave something out
    run: str = ""  # URL of the pipeline run that made it
    identities: str = "full"  # how people are named: full, or initials
    folder: str = ""  # where places are relative to, from the root of the repository

    def near(self, changes: int) -> Zoom:
        """Return how much detail to show of so many changes."""
        if self.zoom is not None:
            return self.zoom
        return Zoom.RESOURCES if changes > LARGE and not self.verbose else Zoom.FIELDS
