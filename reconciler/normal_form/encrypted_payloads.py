"""Conceal payloads that PostHog encrypts, before anything else of the program gets a response.

The secret tokens of projects are removed in the same place: nothing needs them.

A change request, a log entry or a scheduled change does not say whether its flag is encrypted, so
its payloads are always concealed: they print as PostHog's own placeholder. Code that knows the
flag to be unencrypted, and code that only compares, may `reveal` them.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, Self

REDACTED: Final = '"********* (encrypted)"'  # in place of a payload (contract 7.2)
WITHHELD: Final = "(withheld: it quotes an encrypted payload)"
MARK: Final = "has_encrypted_payloads"

TOKENS: Final = ("secret_api_token", "secret_api_token_backup")  # of a project (contract 10)
_PAYLOADS: Final = ("payloads", "encrypted_payloads", *TOKENS)
_FILTERS: Final = "filters"
_ABOUT: Final = ("intent", "intent_display")  # what a request holds of the flag (contract 7.1)
_TEXTS: Final = ("apply_error", "validation_errors")
_INSIDE: Final = ("change_request", "existing_change_request", "feature_flag", "team")
_PIECE: Final = 8  # characters of a secret that a text may not have in common with it


class Concealed(str):
    """Print as a placeholder; hold the value for `reveal`."""

    __slots__ = ("value",)
    value: Any

    def __new__(cls, value: Any, shown: str = REDACTED) -> Self:
        """Return a text that shows `shown`, and holds `value`."""
        text = super().__new__(cls, shown)
        text.value = value
        return text


def conceal(body: Any) -> Any:
    """Return the parsed body of a response with its payloads concealed, changed in place."""
    if isinstance(body, dict):
        rows = body.get("results")
        if isinstance(rows, list):
            for row in rows:
                _conceal_object(row)
        else:
            _conceal_object(body)
    elif isinstance(body, list):
        for row in body:
            _conceal_object(row)
    return body


def _conceal_object(row: Any) -> None:
    if not isinstance(row, dict):
        return
    for name in TOKENS:
        row.pop(name, None)
    if row.get(MARK) and isinstance(filters := row.get(_FILTERS), dict) and filters.get("payloads"):
        filters["payloads"] = _redact(filters["payloads"])
    if "intent" in row:
        _conceal_request(row)
    if "detail" in row and "activity" in row:
        row["detail"] = _conceal_below(row["detail"])
    if "scheduled_at" in row:
        row["payload"] = _conceal_below(row.get("payload"))
    for name in _INSIDE:
        if name in row:
            _conceal_object(row[name])


def _redact(payloads: Any) -> Any:
    return dict.fromkeys(payloads, REDACTED) if isinstance(payloads, dict) else REDACTED


def _conceal_request(row: dict[str, Any]) -> None:
    """Conceal the payloads of a change request, and texts of it that quote them."""
    if _is_plain_create(row):
        return
    secrets = [secret for name in _ABOUT for secret in _list_below(row.get(name))]
    for name in _ABOUT:
        if name in row:
            row[name] = _conceal_below(row[name])
    for name in _TEXTS if secrets else ():
        if row.get(name):
            row[name] = _conceal_quotes(row[name], secrets)


def _conceal_quotes(value: Any, secrets: list[str]) -> Any:
    """Return a copy without the texts that quote a secret."""
    if isinstance(value, str) and quotes_any(value, secrets):
        return Concealed(value, WITHHELD)
    if isinstance(value, dict):
        return {name: _conceal_quotes(item, secrets) for name, item in value.items()}
    return [_conceal_quotes(item, secrets) for item in value] if isinstance(value, list) else value


def _is_plain_create(row: Mapping[str, Any]) -> bool:
    """Return whether a request creates a flag that is not encrypted: it says so itself."""
    intent = row.get("intent")
    if not isinstance(intent, Mapping) or intent.get("http_method") != "POST":
        return False
    sent = intent.get("full_request_data")
    encrypts = isinstance(sent, Mapping) and bool(sent.get(MARK))
    return row.get("resource_id") is None and intent.get("flag_id") is None and not encrypts


def _conceal_below(value: Any) -> Any:
    """Return a copy in which every payload is concealed, however deep it is."""
    if isinstance(value, Mapping):
        if value.get("field") in (_FILTERS, *_PAYLOADS):  # a change in the activity log
            value = {**value, **{side: _read_side(value, side) for side in ("before", "after")}}
        return {
            name: _conceal_each(item) if name in _PAYLOADS else _conceal_below(item)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [_conceal_below(item) for item in value]
    return value


def _read_side(move: Mapping[str, Any], side: str) -> Any:
    """Return one side of a logged change; a payload, and filters that are text, concealed."""
    value = move.get(side)
    if move["field"] in _PAYLOADS:
        return _conceal_each(value)
    return Concealed(value) if isinstance(value, str) and "payloads" in value else value


def _conceal_each(payloads: Any) -> Any:
    if isinstance(payloads, Mapping):
        return {name: _conceal_value(value) for name, value in payloads.items()}
    return _conceal_value(payloads)


def _conceal_value(value: Any) -> Any:
    is_shown = value is None or value == REDACTED or isinstance(value, Concealed)
    return value if is_shown else Concealed(value)


def reveal(value: Any) -> Any:
    """Return a copy with the values of concealed payloads: to compare them, never to show them."""
    if isinstance(value, Concealed):
        return value.value
    if isinstance(value, Mapping):
        return {name: reveal(item) for name, item in value.items()}
    if isinstance(value, list):
        return [reveal(item) for item in value]
    return value


def has_concealed(value: Any) -> bool:
    """Return whether a value holds concealed payloads."""
    if isinstance(value, Concealed):
        return True
    if isinstance(value, Mapping):
        return any(map(has_concealed, value.values()))
    return isinstance(value, list) and any(map(has_concealed, value))


def list_sent_secrets(body: Any) -> tuple[str, ...]:
    """List the payloads that a write sends for a flag that encrypts them."""
    if not isinstance(body, Mapping) or not body.get(MARK):
        return ()
    return tuple(_list_below(body.get(_FILTERS)))


def _list_below(value: Any) -> Iterator[str]:
    """Yield every payload below a value, as text."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _list_texts(item) if name in _PAYLOADS else _list_below(item)
    elif isinstance(value, list):
        for item in value:
            yield from _list_below(item)


def _list_texts(payload: Any) -> Iterator[str]:
    """Yield the texts inside a payload: a text may hold JSON."""
    if isinstance(payload, Mapping | list):
        for item in payload.values() if isinstance(payload, Mapping) else payload:
            yield from _list_texts(item)
        return
    if not isinstance(payload, str):
        if payload is not None and not isinstance(payload, bool):
            yield str(payload)
        return
    if payload == REDACTED:
        return
    try:
        inner = json.loads(payload)
    except (ValueError, RecursionError):
        yield payload
        return
    if inner == payload or isinstance(inner, bool):
        return
    yield from _list_texts(inner)


def quotes_any(text: str, secrets: tuple[str, ...] | list[str]) -> bool:
    """Return whether a text quotes a secret, or a piece of a long one."""
    for secret in secrets:
        if len(secret) <= _PIECE:
            if len(secret) > 2 and secret in text:  # noqa: PLR2004  `1` is in every text
                return True
        elif any(text[at : at + _PIECE] in secret for at in range(len(text) - _PIECE + 1)):
            return True
    return False
