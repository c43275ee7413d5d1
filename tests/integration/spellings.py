"""Documents of every kind in odd spellings, made from the kinds' own schemas."""

import json

from reconciler.config.schema import validator
from reconciler.kinds import KINDS
from tests import acme

PEOPLE = [f"{name}@acme.test" for name in acme.PEOPLE]
ROLES = ["Release managers", "Über team"]
ENDS = ["", "", " ", "\n", "\t ", "\u00a0"]
TEXTS = ["Checkout", "Two\nlines", "ÄÖÜ ß İ", "你好 👩‍👩‍👧", "x" * 40, "0x1f", "null", "-"]
NUMBERS = [0, 1, 1.0, -0.0, 2.5, 1e22, 12345678901234567890, 1e-7]
JSON_TEXTS = [
    '{"b":1,"a":2}', '{ "a" : 2.0 ,\n "b" : 1e0 }', '"\\u4f60\\u597d"', "[1, 10E399, 1.50]",
    '{"a": 1, "a": 2}', " true\n", '"\\ud83d\\ude00 \\ud800"', "0.1e-20", "-0", '"\\u0000\\/"',
]  # fmt: skip
OPERATORS = {
    "text": ["contains", "not_contains", ">", "<", ">=", "<=", "gt", "icontains"],
    "any": ["is", "eq", "equals", "=", "==", "neq", "!=", "exact", "is_not", None],
}
DURATIONS = ["0.35m", "1d12h", "0.000001w", "36h", "0.5h0.5m", "86400s", "14d", "999999d"]


def text(dice):
    return dice.choice(ENDS) + dice.choice(TEXTS) + dice.choice(ENDS)


def number(dice, low, high):
    found = dice.randint(low, high)
    return float(found) if dice.random() < 0.3 else found


def several(dice, make, most=3):
    """A list with repetitions, in any order."""
    found = [make() for _ in range(dice.randint(0, most))]
    found += dice.sample(found, min(len(found), dice.randint(0, 1)))
    dice.shuffle(found)
    return found


def some(dice, **choices):
    """A mapping with some of the keys; a choice is a list of values."""
    keys = [name for name in choices if dice.random() < 0.5]
    return {name: dice.choice(choices[name]) for name in keys}


def payload(dice, depth=2):
    if depth and dice.random() < 0.4:
        return {dice.choice(TEXTS): payload(dice, depth - 1) for _ in range(2)}
    if depth and dice.random() < 0.3:
        return [payload(dice, depth - 1) for _ in range(2)]
    inner = [*TEXTS, *NUMBERS, None, True]
    return dice.choice(inner) if depth < 2 else dice.choice([*JSON_TEXTS, *NUMBERS, None, False])


def condition(dice):
    kind = dice.choice(list(OPERATORS))
    value = dice.choice(TEXTS)
    if kind == "any":
        value = dice.choice([value, [value, "pro"], 1, 2.0, True])
    return {
        "key": dice.choice(["plan", "email"]),
        "type": "person",
        "value": value,
        "operator": dice.choice(OPERATORS[kind]),
        **some(dice, negation=[False, None], group_type_index=[None], label=["Plan"]),
    }


def group(dice, indexes):
    shares = [0, 10.0, 33.3, 100, None]
    found = some(dice, rollout_percentage=shares, variant=[None], description=[None, " x "],
                 sort_key=["k"], aggregation_group_type_index=indexes)  # fmt: skip
    if indexes == [None] and dice.random() < 0.8:
        found["properties"] = dice.choice([None, [], [condition(dice)], [condition(dice)]])
    return found


def filters(dice):
    indexes = dice.choice([[None], [None], [0], [0, None]])
    found = {"groups": [group(dice, indexes) for _ in range(dice.randint(1, 3))]}
    found |= some(dice, aggregation_group_type_index=indexes, super_groups=[[], None],
                  holdout_groups=[[{"properties": []}]], holdout=[None])  # fmt: skip
    keys = ["true"]
    if dice.random() < 0.3:
        found["multivariate"] = dice.choice([None, {"variants": []}])
    elif dice.random() < 0.4:
        keys = ["a", "b"]
        shares = dice.choice([(60, 40), (60.0, 40.0), (33.3, 66.7)])
        found["multivariate"] = {
            "variants": [
                {"key": key, "rollout_percentage": share, **some(dice, name=[None, "", " A "])}
                for key, share in zip(keys, shares, strict=True)
            ]
        }
    if dice.random() < 0.6:
        found["payloads"] = dice.choice([None, {}, *[{keys[0]: payload(dice)}] * 4])
    return found


def email(dice):
    found = dice.choice(PEOPLE)
    return dice.choice([found, found.upper(), found.title()])


SPECIAL = {
    "filters": filters,
    "members": lambda dice: several(dice, lambda: email(dice)),
    "users": lambda dice: several(dice, lambda: email(dice)),
    "roles": lambda dice: several(dice, lambda: dice.choice(ROLES)),
    "bypass_roles": lambda dice: several(dice, lambda: dice.choice(ROLES)),
    "default_role": lambda dice: dice.choice([None, *ROLES]),
    "expires_after": lambda dice: dice.choice(DURATIONS),
    "timezone": lambda dice: dice.choice(["UTC", "Europe/Berlin"]),
    "logo_media_id": lambda _: None,  # an image would have to be there
    "archived": lambda _: False,  # an archived flag is another life cycle
}


def value(dice, node, name=""):  # noqa: PLR0911  one line a type
    """Any value that a schema accepts, as far as it can be told from the schema."""
    if name in SPECIAL:
        return SPECIAL[name](dice)
    if "enum" in node:
        return dice.choice(node["enum"])
    kinds = node.get("type", ["string", "integer", "null"])
    kind = dice.choice([kinds] if isinstance(kinds, str) else kinds)
    match kind:
        case "null":
            return None
        case "boolean":
            return dice.random() < 0.5
        case "integer" | "number":
            low = node.get("minimum", 1)
            return number(dice, low, min(node.get("maximum", low + 20), low + 20))
        case "string" if "pattern" in node and node["pattern"] != "\\S":
            return dice.choice(node["examples"])
        case "string" if "then" in node:
            return dice.choice(node["then"]["enum"])
        case "string":
            return text(dice)
        case "array":
            return several(dice, lambda: value(dice, node.get("items", {})))
        case _:
            return fields(dice, node)


def fields(dice, node):
    known = node.get("properties", {})
    written = [name for name in known if name in node.get("required", ()) or dice.random() < 0.6]
    return {name: value(dice, known[name], name) for name in written}


GUARDED = {"members_can_create_projects", "members_can_see_org_members", "enforce_verified_domains"}


def documents(dice):
    """Documents of every kind in the registry; flags and policies in projects of their own."""
    about = {
        "Organization": [{}],
        "Project": [{"name": "Mobile"}, {"name": "Brand new"}],
        "Role": [{"name": name} for name in ROLES],
        "Member": [{"email": dice.choice(["bob@acme.test", "Bob@ACME.test"])}],
        "ApprovalPolicy": [
            {"project": "Mobile", "action": action}
            for action in ("feature_flag.enable", "feature_flag.update", "inert.action")
        ],
        "ProjectAccess": [{"project": "Web"}],
        "ExperimentHoldout": [{"project": "Web", "name": f"Holdout {n}"} for n in range(3)],
        "FeatureFlag": [{"project": "Web", "key": f"flag-{n}"} for n in range(12)],
    }
    assert about.keys() == KINDS.keys(), "a kind without documents"
    for kind, metadata in about.items():
        spec = validator.find_schema(kind, "spec")
        for names in metadata:
            found = fields(dice, spec)
            if kind == "ProjectAccess":  # other levels may lock somebody out, or make admins
                found = {"feature_flag": {"default": dice.choice(["viewer", "editor", None])}}
            if kind == "ApprovalPolicy":
                found.setdefault("approvers", {"quorum": 1, "users": PEOPLE[:1]})
            if kind == "Organization":  # guardrails refuse to widen what people can do
                for name in GUARDED & found.keys():
                    del found[name]
            if kind == "ExperimentHoldout":
                found.setdefault("rollout_percentage", 10)
            if kind == "FeatureFlag":
                found.setdefault("filters", filters(dice))
                if found.get("has_encrypted_payloads"):  # PostHog refuses it without
                    found["is_remote_configuration"] = True
            yield acme.document(kind, found, **names)


def as_yaml(document):
    """JSON is YAML: numbers and letters stay as they are spelled."""
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"
