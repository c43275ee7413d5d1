"""Whether everybody can read what a build prints: then people are not named in full."""

import json
from collections.abc import Mapping
from pathlib import Path

_MOST = 32 * 1024 * 1024


def is_public(environ: Mapping[str, str]) -> bool:
    """Whether this is a build of a public repository, or one of which its host does not say.

    A build of GitHub always has the file of its event: without it this is none.
    """
    if "GITLAB_CI" in environ:
        return environ.get("CI_PROJECT_VISIBILITY", "public") == "public"
    if "GITHUB_ACTIONS" not in environ or "GITHUB_EVENT_PATH" not in environ:
        return False
    try:
        with Path(environ["GITHUB_EVENT_PATH"]).open("rb") as file:
            event = json.loads(file.read(_MOST))
        repository = event["repository"]
        return not (repository.get("private") is True or repository.get("visibility") == "internal")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return True
