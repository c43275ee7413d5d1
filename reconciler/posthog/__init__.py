"""The far side: the only room with a socket. Paths go in, parsed bodies or our errors come out."""

import sys

# The command line of the HTTP library, which comes without where this cannot be imported: where
# rich and pygments are installed it costs every command 30 ms.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # how a module is kept from being imported
