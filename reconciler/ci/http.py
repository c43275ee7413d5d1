"""HTTP calls to a code host or a webhook: few, small, each with a deadline. Never to PostHog."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import field
from functools import cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit

from reconciler import __version__
from reconciler.errors import DeliveryError
from reconciler.lazy_dataclass import dataclass

if TYPE_CHECKING:
    from ssl import SSLContext

DEADLINE_S: Final = 20.0  # of one exchange
TRUNCATED: Final = "\n\n… truncated: see the build's artifacts for the rest."
_TRIES: Final = 3  # of a read
_BACKOFF_S: Final = 0.5
_TIMEOUT_S: Final = 10.0  # of one operation of a socket
_MAX_BYTES: Final = 16 * 1024 * 1024
_MAX_SHOWN: Final = 300
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class OriginClient:
    """One origin with the headers that it requires. They are sent nowhere else.

    Redirects are not followed, because the token would be sent along.
    """

    origin: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    deadline_s: float = DEADLINE_S
    hides_path: bool = False  # the path is a secret, so no message may contain it

    def get(self, path: str, **params: str | int) -> Any:
        """Return the parsed body of a GET. Retried if the host failed."""
        query = f"?{urlencode(params)}" if params else ""
        return self._retry("GET", f"{path}{query}")

    def query(self, path: str, question: Any) -> Any:
        """Return the parsed answer to a POST that changes nothing. Retried if the host failed."""
        return self._retry("POST", path, question)

    def list_page(self, path: str, **params: str | int) -> list[Mapping[str, Any]]:
        """Return the rows of a page; DeliveryError if the answer is anything else."""
        rows = self.get(path, **params)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise DeliveryError(f"GET {self.origin}{path}: the answer is not a list of objects")
        return rows

    def send(self, method: str, path: str, body: Any = None) -> Any:
        """Send one request, once. Return the parsed body; raise DeliveryError."""
        content = None if body is None else json.dumps(body).encode()
        return self.send_bytes(method, path, content, {"Content-Type": "application/json"})

    def send_bytes(
        self, method: str, path: str, content: bytes | None, headers: Mapping[str, str]
    ) -> Any:
        """Send a body that is already encoded, because its bytes are signed."""
        own = {
            "User-Agent": f"reconciler/{__version__}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
        }
        sent = {**own, **self.headers, **headers}
        about = f"{method} {self.origin}{'/…' if self.hides_path else path.partition('?')[0]}"
        return _parse(
            _run_within(
                self.deadline_s,
                about,
                lambda: _exchange(method, self.origin + path, content, sent, about=about),
            )
        )

    def _retry(self, method: str, path: str, body: Any = None) -> Any:
        for tries_left in reversed(range(_TRIES)):
            try:
                return self.send(method, path, body)
            except DeliveryError as error:
                if not tries_left or not error.may_have_arrived:
                    raise
                time.sleep(_BACKOFF_S * (_TRIES - tries_left))
        raise AssertionError  # the last try returns or raises


def split_origin(url: str, *, what: str) -> tuple[str, str]:
    """Return (origin, the rest) of a URL that may be called: https, or http on loopback.

    Raises DeliveryError. No message contains the URL, which may be a secret.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        parts, host = urlsplit(""), ""
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)
    if not is_safe or not host or "@" in parts.netloc:
        raise DeliveryError(
            f"{what} is not an address that may be called",
            why="it has to be https://, without a name and password in it",
            fix="write the whole address, beginning with https://",
        )
    rest = parts.path + (f"?{parts.query}" if parts.query else "")
    return f"{parts.scheme}://{parts.netloc}", rest


def truncate(text: str, limit: int) -> str:
    """Return a text that a code host accepts, with a note if it was cut."""
    return text if len(text) <= limit else text[: limit - len(TRUNCATED)] + TRUNCATED


def _exchange(
    method: str, url: str, content: bytes | None, headers: Mapping[str, str], *, about: str
) -> bytes:
    """Return the body of a success. The messages contain no header, and of the URL only `about`."""
    import httpx  # noqa: PLC0415  most runs call no code host

    is_remote = url.startswith("https:")  # a proxy cannot reach our own loopback
    try:
        with (
            httpx.Client(
                verify=_trust_system(),
                trust_env=is_remote,
                timeout=_TIMEOUT_S,
                follow_redirects=False,
            ) as client,
            client.stream(method, url, content=content, headers=dict(headers)) as response,
        ):
            body = b""
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > (_MAX_BYTES if response.is_success else _MAX_SHOWN):
                    break
    except (httpx.LocalProtocolError, httpx.InvalidURL, ValueError, ImportError):
        # the text of these errors may contain the header or the URL
        raise DeliveryError(
            f"{about}: not sent",
            why="the address, the token or a proxy variable of the environment is not valid",
            fix="check them for line breaks and characters outside ASCII",
        ) from None
    except (httpx.HTTPError, OSError) as error:
        why = ascii(str(error))[1:-1][:_MAX_SHOWN] or type(error).__name__
        raise DeliveryError(f"{about}: no answer", why=why) from None
    if not response.is_success:
        status = response.status_code
        raise DeliveryError(
            f"{about}: HTTP {status}", why=_reason(body[:_MAX_SHOWN]), status=status
        )
    if len(body) > _MAX_BYTES:
        why = f"more than {_MAX_BYTES} bytes"
        raise DeliveryError(f"{about}: the answer is too large", why=why)
    return body


@cache
def _trust_system() -> "SSLContext":
    """Return a context with the authorities of the system: a code host may have its own."""
    import ssl  # noqa: PLC0415  httpx imports it, and is not imported before a call

    return ssl.create_default_context()


def _reason(body: bytes) -> str:
    """Return the reason that the host gave, on one line."""
    text = body.decode("utf-8", "replace")
    document = _parse(body)
    message = document.get("message") if isinstance(document, dict) else None
    return ascii(str(message or text))[1:-1]


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except (ValueError, RecursionError):
        return None  # a webhook may answer with a word


def _run_within(seconds: float, about: str, work: Callable[[], bytes]) -> bytes:
    """Return the result of `work`, or raise DeliveryError when the time is up.

    The timeouts of httpx are for one read each: a host that sends a byte from time to time would
    hold the call for hours, and so does a name server that hangs.
    """
    results: list[bytes | BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001  handed to the thread that waits
            results.append(error)

    thread = threading.Thread(target=run, name="ci-http", daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        raise DeliveryError(f"{about}: not sent", why=str(error)) from error
    thread.join(seconds)
    if not results:
        why = "it hangs, or sends too slowly"
        raise DeliveryError(f"{about}: no complete answer within {seconds:g} s", why=why)
    if isinstance(results[0], BaseException):
        raise results[0]
    return results[0]
