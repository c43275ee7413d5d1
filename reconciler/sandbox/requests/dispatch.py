"""From a request to a response: route, key, scope, place, level, plan, limit, view. In this order.

The order is PostHog's: a caller without access is refused before the call is counted, parsed or
executed.
"""

import json
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

from reconciler.sandbox.protocol.errors import (
    ApiError,
    NotModelled,
    forbidden,
    not_found,
    parse_error,
    payment_required,
    throttled,
)
from reconciler.sandbox.protocol.messages import IncomingRequest, Response
from reconciler.sandbox.requests import auth
from reconciler.sandbox.requests.call import Call, FaultEffect
from reconciler.sandbox.requests.rate_limit import RateLimiter, RateLimits
from reconciler.sandbox.requests.routes import Route, RouteMatch, RouteTable, is_alias
from reconciler.sandbox.store import clock
from reconciler.sandbox.store.generation import Profile
from reconciler.sandbox.store.model import Organization, Token, User
from reconciler.sandbox.store.tables import dump_json
from reconciler.sandbox.store.transaction import Transaction

_FEATURES = {"approvals": "Approvals", "audit_logs": "Audit logs"}
_CALLER_ROUTES = ("users.retrieve", "personal_api_keys.retrieve")  # their paths name no place
_DEEPEST = 200
_UP_TO_SECONDS = len("2026-01-05T09:00:00")
_NO_EFFECT = FaultEffect()


@dataclass(frozen=True, slots=True)
class Outcome:
    """A response, and the user who made the call."""

    response: Response
    user: User | None = None


class Refused(Exception):  # noqa: N818 - a way out of a transaction, not an error
    """Carries the response to a call whose writes must be undone."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.response.status)
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """Answers calls: the routes, the generation and the rate limiter that they share."""

    table: RouteTable
    profile: Profile
    limiter: RateLimiter = field(default_factory=RateLimiter)
    since: float = field(default_factory=clock.wall_time)  # when the server began

    def dispatch(self, tx: Transaction, incoming: IncomingRequest, effect: FaultEffect) -> Outcome:
        """Answer a call inside a transaction.

        Raises:
            Refused: the call was refused; nothing that it did may stay.
        """
        user: User | None = None
        try:
            match = self.table.find_match(incoming.path)
            if match is None:
                return Outcome(NotModelled().to_response())
            if effect.session is not None:
                user, token = effect.session, Token("session", effect.session.id, ["*"])
            else:
                user, token = auth.authenticate(
                    tx,
                    incoming,
                    _peek_body(incoming),
                    challenge=_make_challenge(self.profile, incoming),
                )
            tx.actor = user.email
            if match.leaves_out(incoming.method):
                return Outcome(NotModelled().to_response(), user)
            call, route = self._admit(tx, incoming, match, user=user, token=token, effect=effect)
            response = _run_view(call, route)
        except ApiError as error:
            raise Refused(Outcome(self._mark_alias(incoming, error.to_response()), user)) from error
        except RecursionError as error:
            raise Refused(Outcome(parse_error("JSON parse error").to_response(), user)) from error
        return Outcome(self._mark_alias(incoming, response), user)

    def _admit(
        self,
        tx: Transaction,
        incoming: IncomingRequest,
        match: RouteMatch,
        *,
        user: User,
        token: Token,
        effect: FaultEffect,
    ) -> tuple[Call, Route]:
        """Check scope, place, level, plan and limit, in the API's order."""
        matched = match.find_route(incoming.method)
        if matched is None:
            raise auth.keys_not_supported()
        route, params = matched
        if effect.without_scope is not None and route.scope == effect.without_scope:
            raise forbidden(f"API key missing required scope '{route.scope}'")
        auth.require_scope(token, route.scope)
        location = auth.find_location(
            tx, user=user, token=token, params=_select_location_params(route, params)
        )
        _require_level(route, location)
        _require_plan(tx, route, location.organization)
        if effect.session is None:
            self._require_quota(tx, token)
        return Call(
            tx=tx,
            incoming=incoming,
            profile=self.profile,
            user=user,
            token=token,
            params=params,
            membership=location.membership,
            in_organization=location.organization,
            in_project=location.project,
            data=_drop_fields(_parse_body(incoming), effect.without_fields),
            fault_effect=effect,
        ), route

    def _require_quota(self, tx: Transaction, token: Token) -> None:
        limits = RateLimits(tx.settings.per_minute, tx.settings.per_hour)
        now = clock.read_throttle_clock(tx.settings, tx.now, self.since)
        wait = self.limiter.admit(token.id, limits, now)
        if wait is not None:
            raise throttled(wait)

    def _mark_alias(self, incoming: IncomingRequest, response: Response) -> Response:
        """Announce the successor of the older prefix (contract 1.1)."""
        if not (self.profile.announces_alias and is_alias(incoming.path)):
            return response
        successor = incoming.path.replace("/environments/", "/projects/", 1)
        extra = {"Deprecation": "true", "Link": f'<{successor}>; rel="successor-version"'}
        return replace(response, headers={**response.headers, **extra})


def _run_view(call: Call, route: Route) -> Response:
    """Run the view; a repeated read of an unchanged world comes from the cache."""
    incoming, tx = call.incoming, call.tx
    if incoming.method != "GET" or call.fault_effect != _NO_EFFECT:
        return route.view(call)
    time = tx.at if tx.settings.frozen_at is not None else tx.at[:_UP_TO_SECONDS]
    key = (call.token.id, incoming.origin, incoming.path, incoming.query_text)
    return tx.response_cache.get_or_make(key, lambda: route.view(call), at=tx.at, moment=time)


def _select_location_params(route: Route, params: dict[str, str]) -> dict[str, str]:
    return {"me": ""} if route.name in _CALLER_ROUTES else params


def _require_level(route: Route, location: auth.Location) -> None:
    if location.organization is None:
        return
    if location.membership is None:
        hidden = route.path == "/api/organizations/:organization"
        raise not_found() if hidden else forbidden()
    if location.membership.level < route.level:
        raise forbidden(route.refusal)


def _require_plan(tx: Transaction, route: Route, organization: Organization | None) -> None:
    if route.feature is None or organization is None or not tx.settings.cloud:
        return
    if not organization.has(route.feature):
        raise payment_required(_FEATURES[route.feature])


def _make_challenge(profile: Profile, incoming: IncomingRequest) -> str:
    if not profile.announces_alias:
        return "Bearer"
    where = f"{incoming.origin}/.well-known/oauth-protected-resource"
    return f'Bearer resource_metadata="{where}"'


def _peek_body(incoming: IncomingRequest) -> Any:
    """Return the body if it may hold a key; a body that is not JSON is refused later."""
    if b"personal_api_key" not in incoming.body:
        return None
    try:
        return json.loads(incoming.body)
    except (ValueError, RecursionError):
        return None


def _parse_body(incoming: IncomingRequest) -> Any:
    """Return the JSON of a request.

    Raises:
        ApiError: 415 or 400 (contract 1.1).
    """
    if incoming.method == "GET" or not incoming.body:
        return {}
    kind = incoming.get_header("content-type") or ""
    if kind.split(";")[0].strip().lower() != "application/json":
        raise ApiError(
            415,
            type="invalid_request",
            code="unsupported_media_type",
            detail=f'Unsupported media type "{kind}" in request.',
        )
    return _parse_json(incoming.body)


def _drop_fields(data: Any, names: tuple[str, ...]) -> Any:
    if not names or not isinstance(data, dict):
        return data
    return {name: value for name, value in data.items() if name not in names}


def _parse_json(body: bytes) -> Any:
    try:
        value = json.loads(body.decode(), parse_constant=_refuse_constant)
        dump_json(value).encode()  # fails for a lone surrogate
    except (ValueError, RecursionError) as error:
        raise parse_error(f"JSON parse error - {error}") from error
    _require_shallow(value)
    return value


def _require_shallow(value: Any) -> None:
    """Refuse deep nesting before the recursion limit is reached further in."""
    level = [value]
    for _ in range(_DEEPEST):
        level = [inner for value in level for inner in _list_children(value)]
        if not level:
            return
    raise parse_error("JSON parse error - nested too deeply")


def _list_children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [child for child in value.values() if isinstance(child, dict | list)]
    if isinstance(value, list):
        return [child for child in value if isinstance(child, dict | list)]
    return []


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"Out of range float values are not JSON compliant: {word}")
