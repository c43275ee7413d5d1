"""Reading a schedule of faults from a document, a file or the short form (docs/sandbox.md)."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from reconciler.sandbox.faults.injection import (
    CALL_EFFECTS,
    OPEN_END,
    POINTS,
    WIRE_EFFECTS,
    WORLD_EFFECTS,
    Effect,
    RequestMatch,
    Rule,
    Schedule,
    check_points,
)
from reconciler.sandbox.protocol.errors import SandboxError
from reconciler.sandbox.rules.periodic_tasks import TASKS
from reconciler.sandbox.store import clock

Args = dict[str, Any]

# the arguments of each effect, in the order of the short form: name, type, default
_NUMBER = (int, float)
_ARGUMENTS: Mapping[str, tuple[tuple[str, Any, Any], ...]] = {
    "refuse": (),
    "reset": (),
    "hang": (("seconds", _NUMBER, 3600),),
    "drip": (("seconds", _NUMBER, 0.05),),
    "status": (("code", int, 500), ("body", object, None), ("headers", dict, None)),
    "throttle": (("seconds", int, 13), ("form", str, "header")),
    "truncate": (("at", int, None),),
    "mutate": (("kind", str, None), ("set", dict, None), ("drop", list, None)),
    "stale": (("writes", int, 1),),
    "shift_page": (("rows", int, 1),),
    "empty_list": (),
    "forbid_scope": (("scope", str, None),),
    "race": (),
    "forget": (),
    "drop_fields": (("names", list, None),),
    "revoke_key": (),
    "edit": (
        ("as", str, None),
        ("project", object, None),
        ("organization", str, None),
        ("flag", str, None),
        ("policy", str, None),
        ("role", str, None),
        ("set", dict, None),
        ("delete", bool, False),
    ),
    "vote": (
        ("decision", str, "approve"),
        ("as", str, None),
        ("reason", str, "by hand"),
        ("flag", str, None),
    ),
    "call": (
        ("as", str, None),
        ("method", str, "GET"),
        ("path", str, None),
        ("body", object, None),
    ),
    "clock": (("advance", str, None), ("set", str, None)),
    "task": (("run", str, None),),
}
_THROTTLE_FORMS = ("header", "date", "text")
MUTATIONS = ("html", "nan", "garbage", "duplicate_keys", "deep", "surrogate", "content_type")
_DECISIONS = ("approve", "reject", "cancel")
_SHORT_EFFECT = re.compile(r"(?P<name>\w+)(?:\((?P<args>.*)\))?", re.DOTALL)
_SHORT_RULE = re.compile(r"\s*[A-Za-z*]+:\S")
_RULE_KEYS = {"match", "effect", "point", "probability", "later"}
_MATCH_KEYS = {"method", "route", "path", "user", "hit"}
_PARTS = 5
assert set(_ARGUMENTS) == WIRE_EFFECTS | CALL_EFFECTS | WORLD_EFFECTS  # noqa: S101 - a table that must be complete


def read_option(text: str) -> Schedule:
    """Read `--faults FILE|SPEC`."""
    path = Path(text)
    try:
        if path.is_file():
            return parse_schedule(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SandboxError(f"--faults {text}: {error}") from error
    if ":" not in text:
        raise SandboxError(f"--faults {text}: neither a file nor METHOD:ROUTE:HIT:POINT:EFFECT")
    return parse_schedule(text)


def parse_schedule(text: str) -> Schedule:
    """Read a schedule from JSON, YAML or the short form; an empty text is an empty schedule.

    Raises:
        SandboxError: with the place.
    """
    if not text.strip():
        return Schedule()
    if _SHORT_RULE.match(text):
        return Schedule(
            [_parse_short_rule(part.strip()) for part in text.split(";") if part.strip()]
        )
    try:
        document = json.loads(text) if text.lstrip().startswith("{") else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise SandboxError(f"the fault schedule is neither JSON nor YAML: {error}") from error
    if document is None:
        return Schedule()
    return build_schedule(document)


def build_schedule(document: Any) -> Schedule:
    """Build a schedule from `{seed, faults: [...]}`, or from the list only."""
    if isinstance(document, list):
        document = {"faults": document}
    if not isinstance(document, dict) or not isinstance(document.get("faults", []), list):
        raise SandboxError(
            "a fault schedule is an object with a list `faults`, or METHOD:ROUTE:HIT:POINT:EFFECT"
        )
    _require_known_fields(document, {"seed", "faults"}, "schedule")
    seed = document.get("seed", 0)
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise SandboxError("seed: a whole number is needed")
    rules = [
        _build_rule(rule, f"faults[{place}]")
        for place, rule in enumerate(document.get("faults", []))
    ]
    return Schedule(rules, seed)


def _parse_short_rule(text: str) -> Rule:
    """Read `METHOD:ROUTE:HIT:POINT:EFFECT`; `*` leaves a part open."""
    parts = text.split(":", _PARTS - 1)
    if len(parts) != _PARTS:
        raise SandboxError(f"{text!r}: write METHOD:ROUTE:HIT:POINT:EFFECT")
    method, route, hit, point, effect = (part.strip() for part in parts)
    rule: Args = {"match": {"method": method, "route": route, "hit": hit}, "effect": effect}
    return _build_rule({**rule, "point": None if point == "*" else point}, repr(text))


def _build_rule(fields: Any, where: str) -> Rule:
    if not isinstance(fields, dict) or "effect" not in fields:
        raise SandboxError(f"{where}: an object with an effect is needed")
    _require_known_fields(fields, _RULE_KEYS, where)
    given = fields["effect"]
    listed = given if isinstance(given, list) else [given]
    if not listed:
        raise SandboxError(f"{where}.effect: at least one is needed")
    point, later = fields.get("point"), fields.get("later", 1)
    if point is not None and point not in POINTS:
        raise SandboxError(f"{where}.point: choose {', '.join(POINTS)}")
    if isinstance(later, bool) or not isinstance(later, int) or later < 1:
        raise SandboxError(f"{where}.later: a whole number of requests is needed")
    probability = fields.get("probability", 1.0)
    if not isinstance(probability, int | float) or not 0 <= probability <= 1:
        raise SandboxError(f"{where}.probability: a number from 0 to 1 is needed")
    rule = Rule(
        match=_build_match(fields.get("match") or {}, f"{where}.match"),
        effects=tuple(_build_effect(effect, f"{where}.effect") for effect in listed),
        point=point,
        probability=float(probability),
        later=later,
    )
    return check_points(rule, where)


def _build_match(fields: Any, where: str) -> RequestMatch:
    if not isinstance(fields, dict):
        raise SandboxError(f"{where}: an object is needed")
    _require_known_fields(fields, _MATCH_KEYS, where)
    words = {name: str(value) for name, value in fields.items() if name != "hit"}
    return RequestMatch(hits=_parse_hits(fields.get("hit", 1), f"{where}.hit"), **words)


def _parse_hits(given: Any, where: str) -> tuple[tuple[int, int | None], ...]:
    """Read `2`, `[1, 4]`, `"2-5"`, `"3-"` or `"every"`."""
    if isinstance(given, list):
        return tuple(pair for item in given for pair in _parse_hits(item, where))
    text = str(given).strip()
    if text in ("every", "*"):
        return ((1, OPEN_END),)
    first, dash, last = text.partition("-")
    if not first.isdigit() or not (last.isdigit() or not last) or int(first) < 1:
        raise SandboxError(f'{where}: {given!r}: write 2, "2-5", "3-", [1, 4] or every')
    if not dash:
        return ((int(first), int(first)),)
    return ((int(first), int(last) if last else OPEN_END),)


def _build_effect(given: Any, where: str) -> Effect:
    """Read `reset`, `status(503)`, `{status: 503}` or `{status: {code: 503}}`."""
    if isinstance(given, str):
        match = _SHORT_EFFECT.fullmatch(given.strip())
        if match is None:
            raise SandboxError(f"{where}: {given!r} is not an effect")
        inner = match["args"]
        values = [yaml.safe_load(part) for part in inner.split(",")] if inner else []
        return _build_named_effect(match["name"], values, where)
    if isinstance(given, dict) and len(given) == 1:
        name, value = next(iter(given.items()))
        if isinstance(value, dict):
            return _build_named_effect(str(name), value, where)
        return _build_named_effect(str(name), [] if value is None else [value], where)
    raise SandboxError(f"{where}: a name, or an object with one name, is needed")


def _build_named_effect(name: str, given: Any, where: str) -> Effect:
    if name not in _ARGUMENTS:
        raise SandboxError(f"{where}: unknown effect {name!r}: choose {', '.join(_ARGUMENTS)}")
    known = _ARGUMENTS[name]
    if isinstance(given, list):
        if len(given) > len(known):
            raise SandboxError(f"{where}: {name} takes {len(known)} values at most")
        given = {known[place][0]: value for place, value in enumerate(given)}
    _require_known_fields(given, {argument[0] for argument in known}, f"{where}.{name}")
    args: Args = {}
    for argument, kind, default in known:
        value = given.get(argument, default)
        wrong = isinstance(value, bool) and kind is not bool and kind is not object
        if value is not None and (wrong or not isinstance(value, kind)):
            raise SandboxError(f"{where}.{name}.{argument}: {value!r} has the wrong type")
        args[argument] = value
    _require_valid_arguments(name, args, f"{where}.{name}")
    return Effect(name, args)


def _require_valid_arguments(name: str, args: Args, where: str) -> None:
    """Check what the type of an argument does not say."""
    choices = {
        "throttle": ("form", _THROTTLE_FORMS),
        "vote": ("decision", _DECISIONS),
        "mutate": ("kind", (None, *MUTATIONS)),
        "task": ("run", tuple(TASKS)),
    }
    if name in choices:
        argument, allowed = choices[name]
        if args[argument] not in allowed:
            listed = ", ".join(str(word) for word in allowed if word)
            raise SandboxError(f"{where}.{argument}: choose {listed}")
    needed = {
        "vote": ("as",),
        "edit": ("as",),
        "call": ("as", "path"),
        "forbid_scope": ("scope",),
        "drop_fields": ("names",),
    }
    for argument in needed.get(name, ()):
        if not args[argument]:
            raise SandboxError(f"{where}.{argument}: is needed")
    if name == "clock":
        _require_time(args, where)


def _require_time(args: Args, where: str) -> None:
    if (args["advance"] is None) == (args["set"] is None):
        raise SandboxError(f"{where}: needs either advance or set")
    if args["advance"] is not None:
        clock.parse_span(args["advance"])
        return
    try:
        clock.parse_time(args["set"])
    except ValueError as error:
        raise SandboxError(f"{where}.set: {args['set']!r} is not a time") from error


def _require_known_fields(given: Mapping[Any, Any], known: set[str], where: str) -> None:
    unknown = [str(name) for name in given if name not in known]
    if unknown:
        raise SandboxError(f"{where}: unknown field {unknown[0]!r}: {', '.join(sorted(known))}")
