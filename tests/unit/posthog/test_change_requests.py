"""Change requests: read, voted on, cancelled, waited for."""

import json

import pytest

from reconciler.errors import (
    AmbiguousError,
    InvalidRequestError,
    PermissionDeniedError,
    UnreadableError,
)
from reconciler.posthog import change_requests, voting
from reconciler.posthog.change_requests import VoteResponse
from tests.unit.posthog.servers import Reply, reading, serving, writing

BASE = "/api/projects/7/change_requests/"
ONE = {"id": "a", "state": "pending"}


def _page(*requests):
    return Reply(body={"count": len(requests), "next": None, "results": list(requests)})


def test_open_ones_are_asked_for_by_state_in_one_parameter():
    with serving(lambda *_: _page(ONE)) as server, reading(server.url) as reader:
        assert change_requests.list_open(reader, "7") == (ONE,)

    assert server.seen[0].path == BASE
    assert server.seen[0].query == {"limit": "100", "state": "pending,approved"}


def test_all_filters_of_the_contract_are_passed_on_and_the_others_left_out():
    with serving(lambda *_: _page()) as server, reading(server.url) as reader:
        change_requests.list_all(
            reader,
            "7",
            state=["failed"],
            requester=31,
            action_key="feature_flag.enable",
            resource_type="feature_flag",
            resource_id="418",
        )
        change_requests.list_all(reader, "7")

    assert server.seen[0].query == {
        "limit": "100",
        "state": "failed",
        "requester": "31",
        "action_key": "feature_flag.enable",
        "resource_type": "feature_flag",
        "resource_id": "418",
    }
    assert server.seen[1].query == {"limit": "100"}


def test_ids_are_encoded_into_the_path():
    body = {"id": "../../evil?x", "state": "pending"}
    with serving(lambda *_: Reply(body=body)) as server, reading(server.url) as reader:
        change_requests.get(reader, "@current", "../../evil?x")

    assert server.seen[0].path == "/api/projects/%40current/change_requests/..%2F..%2Fevil%3Fx/"


VOTED = {"status": "approved", "message": "1/2 approvals.", "change_request": ONE}


@pytest.mark.parametrize("verb", ["approve", "reject", "cancel"])
def test_a_vote_sends_its_reason_and_says_what_became_of_it(verb):
    module = change_requests if verb == "cancel" else voting
    with serving(lambda *_: Reply(body=VOTED)) as server, writing(server.url) as writer:
        vote = getattr(module, verb)(writer, "7", "a", reason="because")

    assert vote == VoteResponse("approved", "1/2 approvals.", ONE)
    assert (server.seen[0].method, server.seen[0].path) == ("POST", f"{BASE}a/{verb}/")
    assert json.loads(server.seen[0].body) == {"reason": "because"}


def test_the_bare_change_request_of_the_published_docs_is_understood():
    body = {"id": "a", "state": "applied"}
    with serving(lambda *_: Reply(body=body)) as server, writing(server.url) as writer:
        assert voting.approve(writer, "7", "a") == VoteResponse("applied", "", body)


def test_a_failed_apply_is_an_answer_not_an_error():
    body = {"status": "failed", "message": "m", "change_request": {"id": "a", "state": "failed"}}
    with serving(lambda *_: Reply(body=body)) as server, writing(server.url) as writer:
        assert voting.approve(writer, "7", "a").status == "failed"


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        "x",
        {"change_request": None},
        {"id": 5, "state": "pending"},
        {"id": "b", "state": "pending"},
        {"id": "a", "state": None},
        {"id": "a", "state": "pending", "approvals": {}},
        {"id": "a", "state": "pending", "created_by": "alice"},
        {"id": "a", "state": "pending", "intent": []},
    ],
)
def test_a_response_about_another_change_request_is_unreadable(body):
    with serving(lambda *_: Reply(body=body)) as server, writing(server.url) as writer:
        for verb in (voting.approve, change_requests.cancel):
            with pytest.raises(AmbiguousError):
                verb(writer, "7", "a")
        with pytest.raises(UnreadableError):
            change_requests.get(writer, "7", "a")


@pytest.mark.parametrize(
    ("status", "body", "cls"),
    [
        (400, {"error": "You have already voted on this change request."}, InvalidRequestError),
        (403, {"detail": "Only pending change requests can be approved"}, PermissionDeniedError),
    ],
)
def test_a_refused_vote_says_why(status, body, cls):
    with (
        serving(lambda *_: Reply(status, body)) as server,
        writing(server.url) as writer,
        pytest.raises(cls) as caught,
    ):
        voting.approve(writer, "7", "a")
    assert next(iter(body.values())) in caught.value.detail
