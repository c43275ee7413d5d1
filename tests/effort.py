"""How much a test tries: a sample in the gate, more in a hunt for planted bugs, all in the soak.

`pytest --hypothesis-profile` selects one of the three for Hypothesis and for every other count.
"""

import os

from hypothesis import settings

TIMES = int(os.environ.get("SOAK_TIMES", "1"))  # `make soak TIMES=3` tries three times as many


def register_profiles():
    """Register the three profiles, and load the one of the gate.

    The gate tries the same examples each time, so that it is red for what a change did; the soak
    looks for new examples.
    """
    settings.register_profile("gate", derandomize=True, deadline=None, max_examples=15)
    settings.register_profile("hunt", derandomize=True, deadline=None, max_examples=100)
    settings.register_profile("soak", print_blob=True, deadline=None, max_examples=200 * TIMES)
    settings.load_profile("gate")


def effort(gate, soak, hunt=None):
    """Return the count of the profile that is loaded; a hunt tries what the gate tries, or more."""
    match settings.get_current_profile_name():
        case "soak":
            return soak
        case "hunt" if hunt is not None:
            return hunt
        case _:
            return gate


def cross(places, faults, share):
    """Return each place with each fault; in the gate one pair in `share`, so that each occurs."""
    stride = effort(share, 1, hunt=1)
    return [
        (place, fault)
        for row, place in enumerate(places)
        for column, fault in enumerate(faults)
        if (row - column) % stride == 0
    ]
