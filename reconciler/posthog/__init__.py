"""Talk to PostHog: paths go in, and parsed bodies or our errors come out."""

import sys

# The command line of the HTTP library, which works without it. Importing it costs every command
# 30 ms where rich and pygments are installed.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # how a module is kept from being imported
