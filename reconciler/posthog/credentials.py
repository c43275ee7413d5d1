"""Decide which key goes to which host. Pure functions over environment variables.

A pull request may edit a file, so a file decides neither which key is sent nor where.
"""

import hashlib
import ipaddress
from collections.abc import Callable, Iterator, Mapping
from typing import Final
from urllib.parse import SplitResult, urlsplit

from reconciler.errors import KeyRefusedError, TargetError
from reconciler.lazy_dataclass import dataclass
from reconciler.lazy_pattern import compile_later
from reconciler.posthog import redaction

DEFAULT_HOST: Final = "https://us.posthog.com"
KEY_VARIABLES: Final = ("POSTHOG_API_KEY", "POSTHOG_PERSONAL_API_KEY", "POSTHOG_CLI_API_KEY")
HOSTS_ALLOWED: Final = "RECONCILER_ALLOWED_HOSTS"
KEYS_ALLOWED: Final = "RECONCILER_ALLOWED_KEY_ENVS"
_KEY_PREFIX: Final = "POSTHOG_"
_POSTHOG_HOSTS: Final = ("us.posthog.com", "eu.posthog.com", "app.posthog.com")
_PORTS: Final = {"https": 443, "http": 80}
_HOSTNAME: Final = compile_later(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_VISIBLE_ASCII: Final = compile_later(r"[!-~]+")


class Secret:
    """Wrap a value that does not show itself; only `reveal` returns it.

    `source` is the variable that it came from, for messages.
    """

    __slots__ = ("_value", "source")

    def __init__(self, value: str, source: str = "") -> None:
        redaction.register(value)
        self._value = value
        self.source = source

    def reveal(self) -> str:
        """Return the value itself. For the Authorization header and nothing else."""
        return self._value

    def digest(self) -> str:
        """Return a text that distinguishes keys without being one."""
        return hashlib.sha256(self._value.encode()).hexdigest()

    def __repr__(self) -> str:
        return f"Secret({redaction.MASK})"

    def __str__(self) -> str:
        return redaction.MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> str:
        raise TypeError("a secret cannot be serialized")


@dataclass(frozen=True, slots=True)
class Credentials:
    """Hold an origin (`https://host[:port]`) and the key that may be sent to it."""

    host: str
    key: Secret


def resolve(
    *,
    environ: Mapping[str, str],
    host_option: str | None = None,
    target_host: str | None = None,
    api_key_env: str | None = None,
    where: Callable[[str], str] = "the target's {}".format,
) -> Credentials:
    """Return the host and its key; raise TargetError if they may not be used together.

    Args:
        environ: the environment.
        host_option: `--host`.
        target_host: `host` of the target, from a file under version control.
        api_key_env: the variable that the target names.
        where: returns the location of a key of the target, for messages.

    """
    place = where("host") if target_host else ""
    if host_option:
        host = _parse_origin_at(host_option, "--host")
    elif target_host:
        host = _parse_origin_at(target_host, place)
    else:
        host = _parse_origin_at(environ.get("POSTHOG_HOST") or DEFAULT_HOST, "POSTHOG_HOST")
    if target_host:
        _check_file(_parse_origin_at(target_host, place), host_option, environ, place)
    _check_allowed(host, environ, "--host" if host_option else place)
    return Credentials(host, find_key(environ, api_key_env, where("api_key_env")))


def find_key(
    environ: Mapping[str, str], api_key_env: str | None = None, where: str = "the target"
) -> Secret:
    """Return the key: from the variable that a target names, else from the first that is set.

    A named variable has no fallback: the key of another target must never be used instead.
    """
    if api_key_env:
        _check_variable(api_key_env, environ, where)
    names = (api_key_env,) if api_key_env else KEY_VARIABLES
    for name in names:
        if environ.get(name):
            return _check_key(Secret(environ[name], name))
    if api_key_env:
        why = f"`api_key_env` names {api_key_env} ({where}), and that variable is not set"
    else:
        why = f"none of these variables is set: {', '.join(names)}"
    raise KeyRefusedError(
        "no API key",
        why=why,
        fix=f"create a personal API key (it begins with phx_) and set {names[0]} to it",
    )


def may_hold_key(name: str, environ: Mapping[str, str]) -> bool:
    """Return whether a variable may hold a key: by its name, or because the environment says so."""
    allowed = {entry.strip() for entry in environ.get(KEYS_ALLOWED, "").split(",")}
    return name.startswith(_KEY_PREFIX) or name in allowed


def _check_variable(name: str, environ: Mapping[str, str], where: str) -> None:
    """Refuse a variable that only a file names: a pull request could have any secret sent."""
    if may_hold_key(name, environ):
        return
    raise KeyRefusedError(
        f"{name} may not be used as the API key",
        why=f"`api_key_env` names it ({where}), and a file must not choose which secret is sent",
        fix=f"rename the variable to {_KEY_PREFIX}…, or set {KEYS_ALLOWED}={name} in the "
        "environment",
    )


def _check_file(host: str, host_option: str | None, environ: Mapping[str, str], where: str) -> None:
    """Refuse a host of a file where the environment, or `--host`, names another."""
    named = host_option or environ.get("POSTHOG_HOST")
    if not named or _parse_place(host) in {_parse_place(named), *_list_allowed_places(environ)}:
        return
    source = "--host" if host_option else "POSTHOG_HOST"
    raise TargetError(
        f"the target names another host than {source}: {host} ({where})",
        why=f"{source} is {parse_origin(named)}, and a file must not send the key anywhere else",
        fix=f"unset {source}, or add {urlsplit(host).netloc} to {HOSTS_ALLOWED} in the environment"
        if source == "POSTHOG_HOST"
        else f"leave --host out, or add {urlsplit(host).netloc} to {HOSTS_ALLOWED}",
    )


def _check_key(key: Secret) -> Secret:
    value, name = key.reveal(), key.source
    if not _VISIBLE_ASCII.fullmatch(value):
        raise KeyRefusedError(
            f"the API key in {name} cannot be sent",
            why="it has a space, a line break or another character that keys do not have",
            fix=f"set {name} to the key and nothing else",
        )
    if value.startswith("phc_"):
        raise KeyRefusedError(
            f"the key in {name} is a public project key (phc_)",
            why="project keys send events; they cannot read or change settings",
            fix=f"create a personal API key (it begins with phx_) and set {name} to it",
        )
    return key


def _parse_origin_at(text: str, place: str) -> str:
    """Return the origin; the error also names where it is written."""
    try:
        return parse_origin(text)
    except TargetError as error:
        raise TargetError(f"{error.what} ({place})", why=error.why, fix=error.fix) from error


def parse_origin(text: str) -> str:
    """Return `https://host[:port]` for what a person wrote, or raise TargetError."""
    parts = _split_host(text)
    host, port = parts.hostname or "", _read_port(parts, text)
    if host.endswith(".i.posthog.com"):
        region = "eu" if host.startswith("eu") else "us"
        raise _build_host_error(
            text, "it accepts events; it has no API for settings", f"https://{region}.posthog.com"
        )
    if parts.scheme == "http" and not is_loopback(host):
        raise _build_host_error(
            text, "http:// would send the key unencrypted", f"https://{parts.netloc.lower()}"
        )
    shown = f"[{host}]" if ":" in host else host
    suffix = "" if port == _PORTS[parts.scheme] else f":{port}"
    return f"{parts.scheme}://{shown}{suffix}"


def _split_host(text: str) -> SplitResult:
    """Return the parts of a host. Refuse what two parsers could read differently."""
    example = "https://us.posthog.com"
    if not _VISIBLE_ASCII.fullmatch(text) or "\\" in text:
        raise _build_host_error(text, "it has a character that host names do not have", example)
    whole = text if "://" in text else f"{_guess_scheme(text)}://{text}"
    try:
        parts = urlsplit(whole)
        host = parts.hostname or ""
    except ValueError:
        raise _build_host_error(text, "it is not a valid URL", example) from None
    if parts.scheme not in _PORTS:
        raise _build_host_error(text, f"{parts.scheme}:// is not supported", example)
    if "@" in parts.netloc:
        raise _build_host_error(text, "it must not have a user name or a password", example)
    if not (_HOSTNAME.fullmatch(host) or _is_address(host)):
        raise _build_host_error(
            text, "it is not a valid host name (write other alphabets in xn-- form)", example
        )
    if parts.path not in ("", "/") or "?" in whole or "#" in whole:
        plain = f"{parts.scheme}://{parts.netloc}"
        raise _build_host_error(text, "it must not have a path, query or fragment", plain)
    return parts


def _guess_scheme(text: str) -> str:
    return "http" if is_loopback(text.partition(":")[0].rstrip("/")) else "https"


def _read_port(parts: SplitResult, text: str) -> int:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0 or parts.netloc.endswith(":"):
        raise _build_host_error(
            text, "its port is not a number from 1 to 65535", "https://us.posthog.com"
        )
    return port or _PORTS[parts.scheme]


def _build_host_error(text: str, why: str, suggestion: str) -> TargetError:
    shown = redaction.redact(text[:200])
    return TargetError(f"{shown!r} cannot be the host", why=why, fix=f"write {suggestion}")


def is_loopback(host: str) -> bool:
    """Return whether a host name, without port, is this machine itself."""
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


def _check_allowed(host: str, environ: Mapping[str, str], where: str) -> None:
    """Check that the host is PostHog's own, this machine, or named by the environment."""
    parts = urlsplit(host)
    place = (parts.hostname or "", parts.port or _PORTS[parts.scheme])
    if is_loopback(place[0]) or place in {(name, 443) for name in _POSTHOG_HOSTS}:
        return
    named = environ.get("POSTHOG_HOST", "").strip()
    if place in {_parse_place(named) if named else None, *_list_allowed_places(environ)}:
        return
    raise TargetError(
        f"the key may not be sent to {host} ({where})",
        why="no environment variable names this host, and a host in a file or an option could "
        "belong to anybody",
        fix=f"set POSTHOG_HOST={host}, or add {parts.netloc} to {HOSTS_ALLOWED}",
    )


def _list_allowed_places(environ: Mapping[str, str]) -> Iterator[tuple[str, int] | None]:
    """Yield the places that the environment allows besides the one it names."""
    for text in environ.get(HOSTS_ALLOWED, "").split(","):
        if text.strip():
            yield _parse_place(text.strip())


def _parse_place(text: str) -> tuple[str, int] | None:
    """Return host and port of an entry in the environment; None for an invalid one."""
    try:
        parts = urlsplit(parse_origin(text))
    except TargetError:
        return None
    return parts.hostname or "", parts.port or _PORTS[parts.scheme]
