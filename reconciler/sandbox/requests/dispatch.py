"""From a request to an answer: route, key, scope, place, level, plan, limit, view. In this order.

The order is the API's own: a caller without the right is told so before anything is counted,
parsed or looked up.
"""

import json
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

from reconciler.sandbox.protocol.errors import (
    ApiError,
    forbidden,
    not_found,
    parse_error,
    payment_required,
    throttled,
)
from reconciler.sandbox.protocol.messages import Answer, Incoming
from reconciler.sandbox.requests import auth
from reconciler.sandbox.requests.call import Bend, Call
from reconciler.sandbox.requests.rate_limit import Limits, Throttle
from reconciler.sandbox.requests.routes import Match, Route, Table, is_alias
from reconciler.sandbox.store import clock
from reconciler.sandbox.store.generation import Profile
from reconciler.sandbox.store.model import Organization, Token, User
from reconciler.sandbox.store.tables import dump
from reconciler.sandbox.store.transaction import Transaction

_FEATURES = {"approvals": "Approvals", "audit_logs": "Audit logs"}
_OF_THE_CALLER = ("users.retrieve", "personal_api_keys.retrieve")  # no place is named
_DEEPEST = 200
_SECOND = len("2026-01-05T09:00:00")
_STRAIGHT = Bend()


@dataclass(frozen=True, slots=True)
class Desk:
    """What every call of a server shares."""

    table: Table
    profile: Profile
    throttle: Throttle
    since: float = field(default_factory=clock.wall)  # when the server began


@dataclass(frozen=True, slots=True)
class Outcome:
    """An answer, and who it was for."""

    answer: Answer
    user: User | None = None


def dispatch(desk: Desk, tx: Transaction, incoming: Incoming, bend: Bend) -> Outcome:
    """Answer a call inside a transaction.

    Raises:
        Refused: the call was refused; nothing that it did may stay.
    """
    user: User | None = None
    try:
        match = desk.table.match(incoming.path)
        if match is None:
            raise not_found("Endpoint not found.")
        challenge = _challenge(desk.profile, incoming)
        if bend.session is not None:
            user, token = bend.session, Token("session", bend.session.id, ["*"])
        else:
            user, token = auth.authenticate(tx, incoming, _peek(incoming), challenge=challenge)
        tx.actor = user.email
        call, route = _admit(desk, tx, incoming, match=match, user=user, token=token, bend=bend)
        answer = _answer(call, route, token)
    except ApiError as error:
        raise Refused(Outcome(_alias_headers(desk, incoming, error.answer()), user)) from error
    except RecursionError as error:
        raise Refused(Outcome(parse_error("JSON parse error").answer(), user)) from error
    return Outcome(_alias_headers(desk, incoming, answer), user)


def _answer(call: Call, route: Route, token: Token) -> Answer:
    """The view's answer; a read of the same in the same world is not worked out twice."""
    incoming, tx = call.incoming, call.tx
    if incoming.method != "GET" or call.bend != _STRAIGHT:
        return route.view(call)
    time = tx.at if tx.ground.frozen_at is not None else tx.at[:_SECOND]
    key = (token.id, incoming.origin, incoming.path, incoming.query_text, time)
    return tx.shelf.answer(key, lambda: route.view(call))


class Refused(Exception):  # noqa: N818 - a way out of a transaction, not an error
    """Carries the answer of a call whose writes must be undone."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.answer.status)
        self.outcome = outcome


def _admit(
    desk: Desk,
    tx: Transaction,
    incoming: Incoming,
    *,
    match: Match,
    user: User,
    token: Token,
    bend: Bend,
) -> tuple[Call, Route]:
    found = match.route(incoming.method)
    if found is None:
        raise auth.no_keys_here()
    route, params = found
    if bend.without_scope is not None and route.scope == bend.without_scope:
        raise forbidden(f"API key missing required scope '{route.scope}'")
    auth.need_scope(token, route.scope)
    place = auth.locate(tx, user=user, token=token, params=_location(route, params))
    _need_level(route, place)
    _need_plan(tx, route, place.organization)
    if bend.session is None:
        _need_quota(desk, tx, token)
    return Call(
        tx=tx,
        incoming=incoming,
        profile=desk.profile,
        user=user,
        token=token,
        params=params,
        membership=place.membership,
        in_organization=place.organization,
        in_project=place.project,
        data=_without(_body(incoming), bend.without_fields),
        bend=bend,
    ), route


def _location(route: Route, params: dict[str, str]) -> dict[str, str]:
    return {"me": ""} if route.name in _OF_THE_CALLER else params


def _need_level(route: Route, place: auth.Place) -> None:
    if place.organization is None:
        return
    if place.membership is None:
        hidden = route.path == "/api/organizations/:organization"
        raise not_found() if hidden else forbidden()
    if place.membership.level < route.level:
        raise forbidden(route.refusal)


def _need_plan(tx: Transaction, route: Route, organization: Organization | None) -> None:
    if route.feature is None or organization is None or not tx.ground.cloud:
        return
    if not organization.has(route.feature):
        raise payment_required(_FEATURES[route.feature])


def _need_quota(desk: Desk, tx: Transaction, token: Token) -> None:
    limits = Limits(tx.ground.per_minute, tx.ground.per_hour)
    wait = desk.throttle.wait(token.id, limits, clock.patience(tx.ground, tx.now, desk.since))
    if wait is not None:
        raise throttled(wait)


def _challenge(profile: Profile, incoming: Incoming) -> str:
    if not profile.announces_alias:
        return "Bearer"
    where = f"{incoming.origin}/.well-known/oauth-protected-resource"
    return f'Bearer resource_metadata="{where}"'


def _alias_headers(desk: Desk, incoming: Incoming, answer: Answer) -> Answer:
    if not (desk.profile.announces_alias and is_alias(incoming.path)):
        return answer
    successor = incoming.path.replace("/environments/", "/projects/", 1)
    extra = {"Deprecation": "true", "Link": f'<{successor}>; rel="successor-version"'}
    return replace(answer, headers={**answer.headers, **extra})


def _peek(incoming: Incoming) -> Any:
    """The body as far as it may hold a key; never a reason to refuse."""
    if b"personal_api_key" not in incoming.body:
        return None
    try:
        return json.loads(incoming.body)
    except (ValueError, RecursionError):
        return None


def _body(incoming: Incoming) -> Any:
    """The JSON of a request.

    Raises:
        ApiError: 415 or 400 (contract 1.1).
    """
    if incoming.method == "GET" or not incoming.body:
        return {}
    kind = incoming.header("content-type") or ""
    if kind.split(";")[0].strip().lower() != "application/json":
        raise ApiError(
            415,
            type="invalid_request",
            code="unsupported_media_type",
            detail=f'Unsupported media type "{kind}" in request.',
        )
    return _json(incoming.body)


def _without(data: Any, names: tuple[str, ...]) -> Any:
    if not names or not isinstance(data, dict):
        return data
    return {name: value for name, value in data.items() if name not in names}


def _json(body: bytes) -> Any:
    try:
        value = json.loads(body.decode(), parse_constant=_no_constant)
        dump(value).encode()  # a lone surrogate is no text
    except (ValueError, RecursionError) as error:
        raise parse_error(f"JSON parse error - {error}") from error
    _need_shallow(value)
    return value


def _need_shallow(value: Any) -> None:
    """Refuse what no honest body is, before it breaks something deeper in."""
    level = [value]
    for _ in range(_DEEPEST):
        level = [inner for one in level for inner in _inside(one)]
        if not level:
            return
    raise parse_error("JSON parse error - nested too deeply")


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [one for one in value.values() if isinstance(one, dict | list)]
    if isinstance(value, list):
        return [one for one in value if isinstance(one, dict | list)]
    return []


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"Out of range float values are not JSON compliant: {word}")
