"""Values to attribute: a flag as it is live, entries of the log, requests, policies."""

from datetime import UTC, datetime, timedelta

from reconciler.kinds import KINDS
from reconciler.live.names import build_speller
from reconciler.model import (
    Address,
    ChangeRequest,
    Declared,
    Entry,
    FieldMove,
    Lifecycle,
    Live,
    LiveResource,
    Resource,
)
from reconciler.plan.diff import three_way

WEB = ("acme", "Web")
FLAG = Address("FeatureFlag", (*WEB, "a"))
NOON = datetime(2026, 1, 6, 12, tzinfo=UTC)


def at(minutes):
    return NOON + timedelta(minutes=minutes)


def resource(address=FLAG, *, absent=False, **spec):
    kind = KINDS[address.kind]
    return Resource(address, kind.canonical(spec), lifecycle=Lifecycle(absent=absent))


def there(address=FLAG, id_="101", **payload):
    kind = KINDS[address.kind]
    payload = {"id": id_, **payload}
    return LiveResource(address, id_, kind.canonical(kind.to_spec(payload)), payload)


def world(*resources, features=("approvals",), **more):
    """What is live; always with its organization."""
    payload = {"id": "o", "slug": "acme", "name": "Acme"}
    if features is not None:
        payload["available_product_features"] = [{"key": one} for one in features]
    acme = LiveResource(Address("Organization", ("acme",)), "o", {"name": "Acme"}, payload)
    every = {one.address: one for one in (acme, *resources)}
    ids = {address: (one.id,) for address, one in every.items()}
    ids[Address("Project", WEB)] = ("1",)
    return Live(every, ids, {}, {}, **more)


def drifted(desired, live):
    return three_way.compare_resource(desired, desired, live)


def entry(minutes, *moves, **more):
    """An update of the flag by dana; `moves` are (field, before, after)."""
    base = {
        "id": f"e{minutes}",
        "at": at(minutes),
        "written": at(minutes).isoformat(),
        "organization": "acme",
        "project": "1",
        "scope": "FeatureFlag",
        "activity": "updated",
        "item": "101",
        "name": "a",
        "person": "dana@acme.test",
        "user_id": 7,
        "client": None,
        "impersonated": False,
        "moves": tuple(FieldMove(*move) for move in moves),
    }
    return Entry(**{**base, **more})


def applied(minutes, data, **more):
    """A change request of dana's that was applied."""
    payload = {
        "applied_at": at(minutes).isoformat(),
        "intent": {"full_request_data": data},
        "result_data": {"resource_id": 101, "resource_version": 5},
    }
    payload |= more.pop("payload", {})
    base = {
        "id": f"r{minutes}",
        "action_key": "feature_flag.enable",
        "state": "applied",
        "resource_id": "101",
        "name": "a",
        "organization": "acme",
        "project": "Web",
        "requester": "dana@acme.test",
        "requester_id": 7,
        "payload": payload,
    }
    return ChangeRequest(**{**base, **more})


def policy(action, made=-9999, changed=None, **spec):
    """A live policy, made and changed so many minutes from noon."""
    payload = {
        "id": action,
        "action_key": action,
        "enabled": True,
        "approver_config": {"quorum": 1, "users": [], "roles": []},
        "created_at": at(made).isoformat(),
        "updated_at": at(made if changed is None else changed).isoformat(),
        **spec,
    }
    kind = KINDS["ApprovalPolicy"]
    address = Address("ApprovalPolicy", (*WEB, action))
    return LiveResource(address, action, kind.canonical(kind.to_spec(payload)), payload)


def declared(*resources):
    return Declared({one.address: one for one in resources}, "a commit")


SPELL = build_speller(world())
