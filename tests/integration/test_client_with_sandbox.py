"""The client against the sandbox, which was written apart from it: real flows, injected faults."""

import json
import time as real_time
import urllib.request

import pytest

from reconciler import errors
from reconciler.model import Request
from reconciler.posthog import activity_log, change_requests, voting
from reconciler.posthog.approval_polling import Watch
from reconciler.posthog.retry_policy import CallLimits
from reconciler.sandbox.server.server import background
from tests.unit.posthog.servers import reading, writing

FLAGS = "/api/projects/1/feature_flags/"
CI, ALICE, LITTLE = "phx_ci_of_the_sandbox", "phx_alice_of_the_sandbox", "phx_little_of_the_sandbox"
SEED = {
    "users": [
        {"email": "alice@acme.test", "id": 11, "tokens": [{"token": ALICE, "scopes": ["*"]}]},
        {
            "email": "ci@acme.test",
            "id": 12,
            "tokens": [
                {"token": CI, "scopes": ["*"]},
                {"token": LITTLE, "scopes": ["feature_flag:read"]},
            ],
        },
    ],
    "organizations": [
        {
            "name": "Acme",
            "slug": "acme",
            "features": ["approvals", "audit_logs"],
            "members": [
                {"email": "alice@acme.test", "level": "owner"},
                {"email": "ci@acme.test", "level": "admin"},
            ],
            "projects": [
                {
                    "name": "Web",
                    "id": 1,
                    "approval_policies": [
                        {
                            "action_key": "feature_flag.enable",
                            "approver_config": {"quorum": 1, "users": ["alice@acme.test"]},
                            "enabled": True,
                        }
                    ],
                    "feature_flags": [
                        {"key": f"flag-{n}", "id": 1000 + n, "active": False}
                        | {"filters": {"groups": []}}
                        for n in range(250)
                    ],
                }
            ],
        }
    ],
}


@pytest.fixture(scope="module")
def sandbox():
    with background(seed=SEED) as running:
        yield running


def _control(sandbox, path, body=None):
    data = None if body is None else body.encode()
    request = urllib.request.Request(sandbox.url + path, data=data)
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())


@pytest.fixture(autouse=True)
def _fresh(sandbox):
    _control(sandbox, "/_sandbox/reset", "")


def _faults(sandbox, text):
    _control(sandbox, "/_sandbox/faults", text)


def _as(key, sandbox):
    return writing(sandbox.url, key)


def test_a_gated_write_is_filed_approved_and_seen_as_applied(sandbox):
    flag = f"{FLAGS}1007/"
    with _as(CI, sandbox) as ci, _as(ALICE, sandbox) as alice:
        with pytest.raises(errors.ApprovalRequiredError) as filed:
            ci.send(Request("PATCH", flag, {"active": True}))
        with pytest.raises(errors.ChangeRequestPendingError) as pending:
            ci.send(Request("PATCH", flag, {"active": True}))
        id_ = filed.value.change_request_id
        assert pending.value.change_request_id == pending.value.change_request["id"] == id_
        assert [one["id"] for one in change_requests.list_open(ci, "1")] == [id_]
        assert change_requests.get(alice, "1", id_)["can_approve"] is True

        with pytest.raises(errors.PermissionDeniedError):
            voting.approve(ci, "1", id_)
        vote = voting.approve(alice, "1", id_, reason="fine")
        assert (vote.status, vote.change_request["state"]) == ("applied", "applied")
        found = Watch(ci, timeout_s=0).poll({("1", id_)})
        assert [one["state"] for one in found.values()] == ["applied"]

        organization = ci.list("/api/organizations/").items[0]["id"]
        by_cursor = list(activity_log.iterate_entries(ci, organization))
        by_page = list(
            activity_log.iterate_entries(ci, organization, activity_log.Query(page=1, page_size=1))
        )
        assert by_cursor == by_page
        assert by_cursor[0]["scope"] == "FeatureFlag"


def test_a_request_of_ones_own_is_cancelled(sandbox):
    with _as(CI, sandbox) as ci:
        with pytest.raises(errors.ApprovalRequiredError) as filed:
            ci.send(Request("PATCH", f"{FLAGS}1007/", {"active": True}))

        vote = change_requests.cancel(ci, "1", filed.value.change_request_id)

    assert (vote.status, vote.change_request["state"]) == ("canceled", "rejected")


def test_missing_scopes_and_unknown_keys_are_told_with_their_fix(sandbox):
    with _as(LITTLE, sandbox) as little, pytest.raises(errors.PermissionDeniedError) as denied:
        little.get("/api/projects/1/approval_policies/")
    with _as("phx_nobody", sandbox) as nobody, pytest.raises(errors.AuthenticationError):
        nobody.get("/api/users/@me/")

    assert "approvals:read" in denied.value.fix


SPOILED = ["html", "nan", "garbage", "duplicate_keys", "deep", "surrogate", "content_type"]
HEALED = [
    "refuse", "reset", "status(500)", "status(502)", "status(503)", "throttle(2)",
    "throttle(2, date)", "throttle(2, text)", "truncate", "shift_page(1)", "shift_page(-1)",
    *(f"mutate({kind})" for kind in SPOILED),
]  # fmt: skip


@pytest.mark.parametrize("hit", [1, 2, 3])
@pytest.mark.parametrize("effect", HEALED)
def test_a_listing_survives_a_single_fault_whole(sandbox, effect, hit):
    point = "after" if effect.startswith(("truncate", "mutate")) else "*"
    _faults(sandbox, f"GET:feature_flags.list:{hit}:{point}:{effect}")
    with reading(sandbox.url, CI) as reader:
        listing = reader.list(FLAGS)

    assert sorted(flag["id"] for flag in listing.items) == list(range(1000, 1250))


@pytest.mark.parametrize("effect", ["shift_page(1)", "shift_page(-1)"])
def test_a_listing_that_never_adds_up_is_an_error(sandbox, effect):
    _faults(sandbox, f"GET:feature_flags.list:2-:*:{effect}")
    with (
        reading(sandbox.url, CI) as reader,
        pytest.raises(errors.IncompleteListingError),
    ):
        reader.list(FLAGS)


AMBIGUOUS = [
    "refuse", "reset", "status(500)", "status(502)", "status(503)", "status(504)", "truncate",
    *(f"mutate({kind})" for kind in SPOILED),
]  # fmt: skip


@pytest.mark.parametrize("effect", AMBIGUOUS)
def test_a_write_whose_answer_is_spoiled_is_sent_once_and_ambiguous(sandbox, effect):
    point = "before" if effect == "refuse" else "after"
    _faults(sandbox, f"PATCH:feature_flags.update:1:{point}:{effect}")
    with _as(CI, sandbox) as ci:
        with pytest.raises(errors.AmbiguousError):
            ci.send(Request("PATCH", f"{FLAGS}1007/", {"name": "new"}))
        version = ci.get(f"{FLAGS}1007/")["version"]

    sent = [one for one in _control(sandbox, "/_sandbox/requests") if one["method"] == "PATCH"]
    assert len(sent) == 1
    assert version == (1 if point == "before" else 2)


def test_a_throttled_write_lands_once(sandbox):
    _faults(sandbox, "PATCH:feature_flags.update:1-3:before:throttle(2)")
    with _as(CI, sandbox) as ci:
        assert ci.send(Request("PATCH", f"{FLAGS}1007/", {"name": "new"}))["version"] == 2


def test_a_server_that_drips_is_given_up_and_asked_again(sandbox):
    _faults(sandbox, "GET:feature_flags.list:1:after:drip(0.05)")
    hands = {"clock": real_time.monotonic, "limits": CallLimits(deadline_s=0.5)}
    with reading(sandbox.url, CI, **hands) as reader:
        assert len(reader.list(FLAGS, page_size=1000).items) == 250
        assert reader.reads == 2


@pytest.mark.parametrize("profile", ["g1", "docs"])
def test_other_generations_of_the_server_are_understood(profile):
    with (
        background(seed=SEED, profile=profile) as old,
        _as(CI, old) as ci,
        _as(ALICE, old) as alice,
    ):
        assert len(ci.list(FLAGS).items) == 250
        with pytest.raises(errors.ApprovalRequiredError) as filed:
            ci.send(Request("PATCH", f"{FLAGS}1007/", {"active": True}))
        vote = voting.approve(alice, "1", filed.value.change_request_id, reason="fine")

    assert vote.change_request["state"] == "applied"
    assert vote.status == "applied"
