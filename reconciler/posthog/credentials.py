"""Which key goes to which host. Pure functions over a mapping of environment variables.

A pull request may edit `host:` in a file, so a file never decides alone where the key is sent.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

from reconciler.errors import TargetError
from reconciler.posthog import redaction

DEFAULT_HOST: Final = "https://us.posthog.com"
KEY_VARIABLES: Final = ("POSTHOG_API_KEY", "POSTHOG_PERSONAL_API_KEY", "POSTHOG_CLI_API_KEY")
_POSTHOG_HOSTS: Final = ("us.posthog.com", "eu.posthog.com", "app.posthog.com")
_PORTS: Final = {"https": 443, "http": 80}
_HOSTNAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_VISIBLE_ASCII: Final = re.compile(r"[!-~]+")


class Secret:
    """A value that does not show itself; only `reveal` gives it away.

    `source` is the variable that it came from, for messages.
    """

    __slots__ = ("_value", "source")

    def __init__(self, value: str, source: str = "") -> None:
        redaction.register(value)
        self._value = value
        self.source = source

    def reveal(self) -> str:
        """The value itself. For the Authorization header and nothing else."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({redaction.MASK})"

    def __str__(self) -> str:
        return redaction.MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> str:
        raise TypeError("a secret is not written down")


@dataclass(frozen=True, slots=True)
class Credentials:
    """An origin (`https://host[:port]`, nothing behind it) and the key that may be sent to it."""

    host: str
    key: Secret


def resolve(
    *,
    environ: Mapping[str, str],
    host_option: str | None = None,
    target_host: str | None = None,
    api_key_env: str | None = None,
) -> Credentials:
    """The host and its key, or a TargetError that says how to mend it.

    Args:
        environ: the environment.
        host_option: `--host`.
        target_host: `host` of the target, from a file under version control.
        api_key_env: the variable that the target names.

    """
    host = origin(host_option or target_host or environ.get("POSTHOG_HOST") or DEFAULT_HOST)
    _check_allowed(host, environ)
    return Credentials(host, find_key(environ, api_key_env))


def find_key(environ: Mapping[str, str], api_key_env: str | None = None) -> Secret:
    """The key, from the first of its variables that is set."""
    names = (*((api_key_env,) if api_key_env else ()), *KEY_VARIABLES)
    for name in names:
        if environ.get(name):
            return _checked_key(Secret(environ[name], name))
    raise TargetError(
        "no API key",
        why=f"none of these variables is set: {', '.join(names)}",
        fix=f"create a personal API key (it begins with phx_) and set {names[0]} to it",
    )


def _checked_key(key: Secret) -> Secret:
    value, name = key.reveal(), key.source
    if not _VISIBLE_ASCII.fullmatch(value):
        raise TargetError(
            f"the API key in {name} cannot be sent",
            why="it holds a space, a line break or another character that no key has",
            fix=f"set {name} to the key alone",
        )
    if value.startswith("phc_"):
        raise TargetError(
            f"the key in {name} is a public project key (phc_)",
            why="project keys send events; they cannot read or change settings",
            fix=f"create a personal API key (it begins with phx_) and set {name} to it",
        )
    return key


def origin(text: str) -> str:
    """`https://host[:port]` of what a person wrote, or a TargetError."""
    parts = _split(text)
    host, port = parts.hostname or "", _port(parts, text)
    if host.endswith(".i.posthog.com"):
        region = "eu" if host.startswith("eu") else "us"
        raise _bad_host(
            text, "it takes events in; it has no API for settings", f"https://{region}.posthog.com"
        )
    if parts.scheme == "http" and not is_loopback(host):
        raise _bad_host(
            text, "http:// would send the key in the clear", f"https://{parts.netloc.lower()}"
        )
    shown = f"[{host}]" if ":" in host else host
    suffix = "" if port == _PORTS[parts.scheme] else f":{port}"
    return f"{parts.scheme}://{shown}{suffix}"


def _split(text: str) -> SplitResult:
    """The parts of a host as written. What two readers could read differently is refused."""
    example = "https://us.posthog.com"
    if not _VISIBLE_ASCII.fullmatch(text) or "\\" in text:
        raise _bad_host(text, "it holds a character that no host name has", example)
    whole = text if "://" in text else f"{_guessed_scheme(text)}://{text}"
    try:
        parts = urlsplit(whole)
        host = parts.hostname or ""
    except ValueError:
        raise _bad_host(text, "it is no URL", example) from None
    if parts.scheme not in _PORTS:
        raise _bad_host(text, f"{parts.scheme}:// is not spoken here", example)
    if "@" in parts.netloc:
        raise _bad_host(text, "user names and passwords do not belong into it", example)
    if not (_HOSTNAME.fullmatch(host) or _is_address(host)):
        raise _bad_host(text, "that is no host name (other alphabets: in their xn-- form)", example)
    if parts.path not in ("", "/") or "?" in whole or "#" in whole:
        plain = f"{parts.scheme}://{parts.netloc}"
        raise _bad_host(text, "a host has no path, query or fragment", plain)
    return parts


def _guessed_scheme(text: str) -> str:
    return "http" if is_loopback(text.partition(":")[0].rstrip("/")) else "https"


def _port(parts: SplitResult, text: str) -> int:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0 or parts.netloc.endswith(":"):
        raise _bad_host(text, "its port is not a number from 1 to 65535", "https://us.posthog.com")
    return port or _PORTS[parts.scheme]


def _bad_host(text: str, why: str, suggestion: str) -> TargetError:
    shown = redaction.redact(text[:200])
    return TargetError(f"{shown!r} cannot be the host", why=why, fix=f"write {suggestion}")


def is_loopback(host: str) -> bool:
    """Whether a host name, without port, is this machine itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return "%" not in host


def _check_allowed(host: str, environ: Mapping[str, str]) -> None:
    """The key goes where the environment says, to PostHog's own hosts, or to this machine."""
    parts = urlsplit(host)
    place = (parts.hostname or "", parts.port or _PORTS[parts.scheme])
    if is_loopback(place[0]) or place in {(name, 443) for name in _POSTHOG_HOSTS}:
        return
    named = [environ.get("POSTHOG_HOST", "")]
    named += environ.get("RECONCILER_ALLOWED_HOSTS", "").split(",")
    if any(place == _place(text.strip()) for text in named if text.strip()):
        return
    raise TargetError(
        f"the key may not be sent to {host}",
        why="no environment variable names this host, and a host in a file or an option could "
        "be anybody's",
        fix=f"set POSTHOG_HOST={host}, or add {parts.netloc} to RECONCILER_ALLOWED_HOSTS",
    )


def _place(text: str) -> tuple[str, int] | None:
    """Host and port of an entry in the environment; None for one that makes no sense."""
    try:
        parts = urlsplit(origin(text))
    except TargetError:
        return None
    return parts.hostname or "", parts.port or _PORTS[parts.scheme]
