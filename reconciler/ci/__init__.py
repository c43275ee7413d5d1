"""CI builds, code hosts and webhooks: facts about the build, and results reported to the outside.

A result is final before it is reported: an error in this package is shown and changes no result.
"""

import sys

# The command line of the HTTP library, which works without it. Importing it takes 30 ms where rich
# and pygments are installed.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # how a module is kept from being imported
