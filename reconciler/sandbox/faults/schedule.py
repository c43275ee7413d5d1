"""From a document, a file or a short text to a schedule of faults (format: docs/sandbox.md)."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from reconciler.sandbox.faults.injection import (
    BEND,
    POINTS,
    REST,
    WIRE,
    WORLD,
    Effect,
    Match,
    Rule,
    Schedule,
    check,
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
_FORMS = ("header", "date", "text")
KINDS = ("html", "nan", "garbage", "duplicate_keys", "deep", "surrogate", "content_type")
_DECISIONS = ("approve", "reject", "cancel")
_SHORT = re.compile(r"(?P<name>\w+)(?:\((?P<args>.*)\))?", re.DOTALL)
_SHORT_RULE = re.compile(r"\s*[A-Za-z*]+:\S")
_RULE_KEYS = {"match", "effect", "point", "probability", "later"}
_MATCH_KEYS = {"method", "route", "path", "user", "hit"}
_PARTS = 5
assert set(_ARGUMENTS) == WIRE | BEND | WORLD  # noqa: S101 - a table that must be complete


def from_option(text: str) -> Schedule:
    """`--faults FILE|SPEC`."""
    path = Path(text)
    try:
        if path.is_file():
            return parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SandboxError(f"--faults {text}: {error}") from error
    if ":" not in text:
        raise SandboxError(f"--faults {text}: no such file, and no METHOD:ROUTE:HIT:POINT:EFFECT")
    return parse(text)


def parse(text: str) -> Schedule:
    """A schedule from JSON, YAML or the short form; an empty text is an empty schedule.

    Raises:
        SandboxError: with the place.
    """
    if not text.strip():
        return Schedule()
    if _SHORT_RULE.match(text):
        return Schedule([_short(part.strip()) for part in text.split(";") if part.strip()])
    try:
        document = json.loads(text) if text.lstrip().startswith("{") else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise SandboxError(f"the fault schedule is neither JSON nor YAML: {error}") from error
    if document is None:
        return Schedule()
    return from_document(document)


def from_document(document: Any) -> Schedule:
    """A schedule from `{seed, faults: [...]}`, or from the list alone."""
    if isinstance(document, list):
        document = {"faults": document}
    if not isinstance(document, dict) or not isinstance(document.get("faults", []), list):
        raise SandboxError(
            "a fault schedule is an object with a list `faults`, or METHOD:ROUTE:HIT:POINT:EFFECT"
        )
    _need_known(document, {"seed", "faults"}, "schedule")
    seed = document.get("seed", 0)
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise SandboxError("seed: a whole number is needed")
    rules = [_rule(one, f"faults[{place}]") for place, one in enumerate(document.get("faults", []))]
    return Schedule(rules, seed)


def _short(text: str) -> Rule:
    """`METHOD:ROUTE:HIT:POINT:EFFECT`; `*` leaves a part open."""
    parts = text.split(":", _PARTS - 1)
    if len(parts) != _PARTS:
        raise SandboxError(f"{text!r}: write METHOD:ROUTE:HIT:POINT:EFFECT")
    method, route, hit, point, effect = (part.strip() for part in parts)
    rule: Args = {"match": {"method": method, "route": route, "hit": hit}, "effect": effect}
    return _rule({**rule, "point": None if point == "*" else point}, repr(text))


def _rule(one: Any, where: str) -> Rule:
    if not isinstance(one, dict) or "effect" not in one:
        raise SandboxError(f"{where}: an object with an effect is needed")
    _need_known(one, _RULE_KEYS, where)
    given = one["effect"]
    listed = given if isinstance(given, list) else [given]
    if not listed:
        raise SandboxError(f"{where}.effect: at least one is needed")
    point, later = one.get("point"), one.get("later", 1)
    if point is not None and point not in POINTS:
        raise SandboxError(f"{where}.point: choose {', '.join(POINTS)}")
    if isinstance(later, bool) or not isinstance(later, int) or later < 1:
        raise SandboxError(f"{where}.later: a whole number of requests is needed")
    probability = one.get("probability", 1.0)
    if not isinstance(probability, int | float) or not 0 <= probability <= 1:
        raise SandboxError(f"{where}.probability: a number from 0 to 1 is needed")
    rule = Rule(
        match=_match(one.get("match") or {}, f"{where}.match"),
        effects=tuple(_effect(effect, f"{where}.effect") for effect in listed),
        point=point,
        probability=float(probability),
        later=later,
    )
    return check(rule, where)


def _match(one: Any, where: str) -> Match:
    if not isinstance(one, dict):
        raise SandboxError(f"{where}: an object is needed")
    _need_known(one, _MATCH_KEYS, where)
    words = {name: str(value) for name, value in one.items() if name != "hit"}
    return Match(hits=_hits(one.get("hit", 1), f"{where}.hit"), **words)


def _hits(given: Any, where: str) -> tuple[tuple[int, int | None], ...]:
    """`2`, `[1, 4]`, `"2-5"`, `"3-"`, `"every"`."""
    if isinstance(given, list):
        return tuple(pair for one in given for pair in _hits(one, where))
    text = str(given).strip()
    if text in ("every", "*"):
        return ((1, REST),)
    first, dash, last = text.partition("-")
    if not first.isdigit() or not (last.isdigit() or not last) or int(first) < 1:
        raise SandboxError(f'{where}: {given!r}: write 2, "2-5", "3-", [1, 4] or every')
    if not dash:
        return ((int(first), int(first)),)
    return ((int(first), int(last) if last else REST),)


def _effect(given: Any, where: str) -> Effect:
    """`reset`, `status(503)`, or `{status: 503}`, or `{status: {code: 503}}`."""
    if isinstance(given, str):
        match = _SHORT.fullmatch(given.strip())
        if match is None:
            raise SandboxError(f"{where}: {given!r} is no effect")
        inner = match["args"]
        values = [yaml.safe_load(part) for part in inner.split(",")] if inner else []
        return _built(match["name"], values, where)
    if isinstance(given, dict) and len(given) == 1:
        name, value = next(iter(given.items()))
        if isinstance(value, dict):
            return _built(str(name), value, where)
        return _built(str(name), [] if value is None else [value], where)
    raise SandboxError(f"{where}: a name, or an object with one name, is needed")


def _built(name: str, given: Any, where: str) -> Effect:
    if name not in _ARGUMENTS:
        raise SandboxError(f"{where}: unknown effect {name!r}: choose {', '.join(_ARGUMENTS)}")
    known = _ARGUMENTS[name]
    if isinstance(given, list):
        if len(given) > len(known):
            raise SandboxError(f"{where}: {name} takes {len(known)} values at most")
        given = {known[place][0]: value for place, value in enumerate(given)}
    _need_known(given, {one[0] for one in known}, f"{where}.{name}")
    args: Args = {}
    for argument, kind, default in known:
        value = given.get(argument, default)
        wrong = isinstance(value, bool) and kind is not bool and kind is not object
        if value is not None and (wrong or not isinstance(value, kind)):
            raise SandboxError(f"{where}.{name}.{argument}: {value!r} has the wrong type")
        args[argument] = value
    _need_sound(name, args, f"{where}.{name}")
    return Effect(name, args)


def _need_sound(name: str, args: Args, where: str) -> None:
    """What the type of an argument does not say."""
    choices = {
        "throttle": ("form", _FORMS),
        "vote": ("decision", _DECISIONS),
        "mutate": ("kind", (None, *KINDS)),
        "task": ("run", tuple(TASKS)),
    }
    if name in choices:
        argument, allowed = choices[name]
        if args[argument] not in allowed:
            listed = ", ".join(str(one) for one in allowed if one)
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
        _need_time(args, where)


def _need_time(args: Args, where: str) -> None:
    if (args["advance"] is None) == (args["set"] is None):
        raise SandboxError(f"{where}: needs either advance or set")
    if args["advance"] is not None:
        clock.span(args["advance"])
        return
    try:
        clock.parse(args["set"])
    except ValueError as error:
        raise SandboxError(f"{where}.set: {args['set']!r} is no time") from error


def _need_known(given: Mapping[Any, Any], known: set[str], where: str) -> None:
    strange = [str(one) for one in given if one not in known]
    if strange:
        raise SandboxError(f"{where}: unknown field {strange[0]!r}: {', '.join(sorted(known))}")
