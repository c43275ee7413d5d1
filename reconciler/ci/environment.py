"""Which CI build is running. The only place that reads variables of CI providers."""

from collections.abc import Callable, Mapping
from typing import Final

from reconciler.ci import github, gitlab
from reconciler.ci.build import Build

# a new provider is a module beside these, one of the same name in `render`, and a line here
_PROVIDERS: Final[Mapping[str, Callable[[Mapping[str, str]], Build | None]]] = {
    "GITLAB_CI": gitlab.read_build,
    "GITHUB_ACTIONS": github.read_build,
}


def detect(environ: Mapping[str, str]) -> Build | None:
    """Return the facts about the running build; None outside of CI.

    The variable that a provider always sets decides. Without any of them, a single fact counts:
    people set one to try what a build would do.
    """
    ordered = sorted(_PROVIDERS, key=lambda marker: marker not in environ)
    builds = (_PROVIDERS[marker](environ) for marker in ordered)
    return next((build for build in builds if build is not None), None)
