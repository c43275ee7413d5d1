"""List every check of the files, with its code. Codes are stable: tools match on them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

CHECKS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "R001": "the text is not YAML, or not UTF-8",
        "R002": "a key is written twice in one mapping",
        "R003": "the kind of a document is missing or unknown",
        "R004": "a field that the kind does not have",
        "R005": "a value of the wrong type, or not one of those allowed",
        "R006": "a required field is missing",
        "R007": "two documents declare the same resource",
        "R008": "a name refers to nothing, and a declared one is nearly the same",
        "R009": "a file, a document or the whole input is larger than allowed",
        "R010": "a file or folder is missing, unreadable, empty, or outside the repository",
        "R011": "a YAML feature that is refused: tags, merge keys, keys that are not text",
        "R012": "characters that cannot be seen, or that look like others",
        "R013": "a project selector that matches nothing",
        "R014": "a file in git that is not text: a Git LFS pointer or a link",
        "R015": "resources that are renamed into, or need, each other in a cycle",
        "R016": "a name that is renamed away, and that another document wants as well",
        "R017": "what looks like a secret key of PostHog in a file",
        "R018": "a name or slug that PostHog would not keep as it is written",
        "R019": "a value that PostHog refuses, or that no server can store",
        "R020": "an approval policy for an action that gates nothing",
        "R021": "an approval policy that nobody, or too few people, can approve",
        "R022": "a condition that PostHog reads otherwise than it looks",
        "R023": "a feature flag that PostHog refuses",
        "R024": "an approval policy that lets everybody through, or whose requests expire at once",
        "R025": "a silence that is unknown, not allowed, or silences nothing",
        "R026": "an approval policy that only holders of roles can approve",
        "R027": "shares of variants that do not add up to 100",
        "R028": "text without quotes that older readers of YAML take for something else",
        "R029": "an ID in a document that is for several projects",
        "R030": "a name that nobody has, neither in the files nor in PostHog",
        "R031": "an approval policy that too few people can really approve",
        "R032": "an organization whose plan lacks approvals, so that its policies gate nothing",
        "R033": "something declared that this key cannot read",
        "R034": "something declared that this key, or its user, cannot write",
        "R035": "something declared that PostHog would not create as it is written",
        "R036": "a project selector that matches no project, neither of the files nor of PostHog",
        "R037": "something new that may be a live object under another name",
        "R038": "a change that PostHog would refuse as things are",
        "R040": "a feature flag without a tag or context that its project requires",
        "R050": "a document of another organization than that of the target",
        "R051": "a project by its name in PostHog, where `projects` of the target has another",
    }
)
"""Code -> what it is about, in one line. R02x are warnings, but for those of `REFUSED`: legal on
the server, but suspicious; so are R04x. R03x need the live side: `validate --live`.
"""

LIVE: Final = frozenset(code for code in CHECKS if code.startswith("R03"))
"""Checks of `validate --live` only."""

DOUBTS: Final = frozenset({"R008", "R012", "R016", "R017"})
"""Errors that may be mistaken, so they can be silenced."""

REFUSED: Final = frozenset({"R018", "R019", "R023", "R027"})
"""Errors because PostHog would refuse a value, or keep another one."""

PARDONED: Final = DOUBTS | REFUSED
"""Errors that do not make a past commit unusable: only the next commit can correct them."""

_OF_THE_TOOL: Final = frozenset({"R025"})


def can_be_silenced(code: str) -> bool:
    """Return whether a resource may silence a check: a warning, or an error that may be mistaken.

    Errors that make a document unusable can never be silenced.
    """
    is_suspicious = (
        "R020" <= code < "R030" or "R040" <= code < "R050"
    ) and code not in REFUSED | _OF_THE_TOOL
    return is_suspicious or code in DOUBTS or code in LIVE
