"""`python -m tests.harness SEED [SEED…]`, or `FIRST-LAST`: replay schedules, say what fails.

`--stop` ends at the first that does.
"""

import sys
import tempfile
import traceback
from pathlib import Path

from tests.harness import campaign, scenario
from tests.support import sandbox_process


def main(arguments):
    numbers, stop = [], "--stop" in arguments
    for one in [word for word in arguments if word != "--stop"]:
        first, _, last = one.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    failed = []
    with sandbox_process() as sandbox:
        for number in numbers:
            with tempfile.TemporaryDirectory() as folder:
                try:
                    made = scenario.from_number(number)
                    faults = campaign.schedule(number)
                    campaign.play(sandbox, Path(folder), made, faults, seed=number)
                except Exception as error:  # noqa: BLE001  every failure is told, and the next tried
                    failed.append(number)
                    print(f"seed={number}: {str(error)[:1500]}")
                    if stop:
                        return True
                    if len(numbers) == 1:
                        traceback.print_exc()
                        print(*made.documents, sep="\n")
                        print(*faults, sep="\n")
    print(f"{len(numbers)} schedules, {len(failed)} failed: {failed[:50]}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
