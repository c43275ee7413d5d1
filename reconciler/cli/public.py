"""Whether everybody can read what a build prints: then people are not named in full."""

import json
from collections.abc import Mapping
from pathlib import Path

_MOST = 32 * 1024 * 1024


def is_public(environ: Mapping[str, str]) -> bool:
    """Whether this is a build of a public repository, as far as the code host says so."""
    if "GITLAB_CI" in environ:
        return environ.get("CI_PROJECT_VISIBILITY") == "public"
    path = environ.get("GITHUB_EVENT_PATH")
    if "GITHUB_ACTIONS" not in environ or not path:
        return False
    try:
        with Path(path).open("rb") as file:
            event = json.loads(file.read(_MOST))
        repository = event["repository"]
        return repository.get("private") is False and repository.get("visibility") != "internal"
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False
