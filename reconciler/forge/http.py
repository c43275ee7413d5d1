"""Calls to a code host or a webhook: few, small, each with an end. Not the way to PostHog."""

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from typing import IO, Any, Final
from urllib.parse import urlencode, urlsplit

from reconciler import __version__
from reconciler.errors import ForgeError

_LARGEST: Final = 16 * 1024 * 1024
_SHOWN: Final = 300
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
CUT: Final = "\n\n… cut: the whole is in the build's artifacts."


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds that one exchange may take, and how often a read is tried."""

    deadline_s: float = 20.0
    tries: int = 3
    backoff_s: float = 0.5
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True)
class Caller:
    """One origin with the headers that it wants. They are sent nowhere else.

    Redirects are not followed: the token would go along.
    """

    origin: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    patience: Patience = Patience()
    hidden: bool = False  # the path is a secret, and in no message

    def get(self, path: str, **params: str | int) -> Any:
        """The parsed body of a GET, tried again where the host failed."""
        query = f"?{urlencode(params)}" if params else ""
        return self._again("GET", f"{path}{query}")

    def ask(self, path: str, question: Any) -> Any:
        """The parsed answer to a POST that changes nothing, tried again in the same way."""
        return self._again("POST", path, question)

    def _again(self, method: str, path: str, body: Any = None) -> Any:
        for left in reversed(range(self.patience.tries)):
            try:
                return self.send(method, path, body)
            except ForgeError as error:
                if not left or not error.may_have_arrived:
                    raise
                self.patience.sleep(self.patience.backoff_s * (self.patience.tries - left))
        raise AssertionError  # the last try returns or raises

    def listing(self, path: str, **params: str | int) -> list[Mapping[str, Any]]:
        """The rows of a page; ForgeError where the host, or a proxy, answers with anything else."""
        rows = self.get(path, **params)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ForgeError(f"GET {self.origin}{path}: the answer is no list of objects")
        return rows

    def send(self, method: str, path: str, body: Any = None) -> Any:
        """One call, sent once. Its parsed body; raises ForgeError."""
        data = None if body is None else json.dumps(body).encode()
        return self.post_bytes(method, path, data, {"Content-Type": "application/json"})

    def post_bytes(
        self, method: str, path: str, data: bytes | None, headers: Mapping[str, str]
    ) -> Any:
        """The same for a body that is encoded already, since its bytes are signed."""
        request = urllib.request.Request(  # noqa: S310  the origin was checked by `origin_of`
            self.origin + path,
            data=data,
            method=method,
            headers={
                "User-Agent": f"reconciler/{__version__}",
                "Accept": "application/json",
                **self.headers,
                **headers,
            },
        )
        shown = "/…" if self.hidden else path.partition("?")[0]
        about = f"{method} {self.origin}{shown}"
        return _parsed(_within(self.patience.deadline_s, about, lambda: _exchange(request, about)))


def origin_of(url: str, *, what: str) -> tuple[str, str]:
    """(origin, the rest) of a URL that may be called: https, or http on loopback.

    Raises ForgeError; the URL itself, which may be a secret, is in no message.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        parts, host = urlsplit(""), ""
    safe = parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)
    if not safe or not host or "@" in parts.netloc:
        raise ForgeError(
            f"{what} is no address that may be called",
            why="it has to be https://, without a name and password in it",
            fix="write the whole address, beginning with https://",
        )
    rest = parts.path + (f"?{parts.query}" if parts.query else "")
    return f"{parts.scheme}://{parts.netloc}", rest


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(  # noqa: PLR0917  the library's own signature
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Message,
        newurl: str,
    ) -> None:
        """Never: what was sent here was meant for here."""


def _exchange(request: urllib.request.Request, about: str) -> bytes:
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        with opener.open(request, timeout=10) as answer:
            body: bytes = answer.read(_LARGEST + 1)
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(_SHOWN).decode("utf-8", "replace")
        raise ForgeError(f"{about}: HTTP {error.code}", why=_why(said), status=error.code) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise ForgeError(f"{about}: no answer", why=str(reason)[:_SHOWN]) from None
    if len(body) > _LARGEST:
        raise ForgeError(f"{about}: the answer is too large", why=f"more than {_LARGEST} bytes")
    return body


def _why(text: str) -> str:
    """What the host said, in a line."""
    try:
        found = json.loads(text)
    except ValueError:
        return ascii(text)[1:-1]
    message = found.get("message") if isinstance(found, dict) else None
    return ascii(str(message or text))[1:-1]


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return None  # a webhook may answer with a word


def _within(seconds: float, about: str, work: Callable[[], bytes]) -> bytes:
    """The result of `work`, or ForgeError once the time is up: a host that drips is one, too."""
    ended: list[bytes | BaseException] = []

    def run() -> None:
        try:
            ended.append(work())
        except BaseException as error:  # noqa: BLE001  handed to the thread that waits
            ended.append(error)

    thread = threading.Thread(target=run, name="forge", daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        raise ForgeError(f"{about}: not sent", why=str(error)) from error
    thread.join(seconds)
    if not ended:
        raise ForgeError(f"{about}: no whole answer within {seconds:g} s", why="it hangs or drips")
    if isinstance(ended[0], BaseException):
        raise ended[0]
    return ended[0]
