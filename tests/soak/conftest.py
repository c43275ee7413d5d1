"""Long runs: only with RECONCILER_SOAK set, as `make soak` does."""

import os

collect_ignore_glob = [] if os.environ.get("RECONCILER_SOAK") else ["test_*"]
