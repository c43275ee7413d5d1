"""Change requests: read, voted on, cancelled, waited for."""

import json

import pytest

from reconciler.errors import InvalidRequestError, PermissionDeniedError, UnreadableError
from reconciler.posthog import change_requests
from reconciler.posthog.change_requests import Vote
from tests.posthog.servers import Reply, Time, reading, serving, writing

BASE = "/api/projects/7/change_requests/"


def _page(*requests):
    return Reply(body={"count": len(requests), "next": None, "results": list(requests)})


def test_open_ones_are_asked_for_by_state_in_one_parameter():
    with serving(lambda *_: _page({"id": "a"})) as server, reading(server.url) as reader:
        assert change_requests.list_open(reader, "7") == ({"id": "a"},)

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
    with serving(lambda *_: Reply(body={"id": "x"})) as server, reading(server.url) as reader:
        change_requests.get(reader, "@current", "../../evil?x")

    assert server.seen[0].path == "/api/projects/%40current/change_requests/..%2F..%2Fevil%3Fx/"


VOTED = {"status": "approved", "message": "1/2 approvals.", "change_request": {"id": "a"}}


@pytest.mark.parametrize("verb", ["approve", "reject", "cancel"])
def test_a_vote_sends_its_reason_and_says_what_became_of_it(verb):
    with serving(lambda *_: Reply(body=VOTED)) as server, writing(server.url) as writer:
        vote = getattr(change_requests, verb)(writer, "7", "a", reason="because")

    assert vote == Vote("approved", "1/2 approvals.", {"id": "a"})
    assert (server.seen[0].method, server.seen[0].path) == ("POST", f"{BASE}a/{verb}/")
    assert json.loads(server.seen[0].body) == {"reason": "because"}


def test_the_bare_change_request_of_the_published_docs_is_understood():
    body = {"id": "a", "state": "applied"}
    with serving(lambda *_: Reply(body=body)) as server, writing(server.url) as writer:
        assert change_requests.approve(writer, "7", "a") == Vote("applied", "", body)


def test_a_failed_apply_is_an_answer_not_an_error():
    body = {"status": "failed", "message": "m", "change_request": {"id": "a", "state": "failed"}}
    with serving(lambda *_: Reply(body=body)) as server, writing(server.url) as writer:
        assert change_requests.approve(writer, "7", "a").status == "failed"


@pytest.mark.parametrize("body", [{}, [], "x", {"change_request": None}])
def test_an_answer_that_is_no_change_request_is_unreadable(body):
    with serving(lambda *_: Reply(body=body)) as server, writing(server.url) as writer:
        with pytest.raises(UnreadableError):
            change_requests.approve(writer, "7", "a")
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
        change_requests.approve(writer, "7", "a")
    assert next(iter(body.values())) in caught.value.detail


class Office:
    """Change requests whose states change as rounds go by."""

    def __init__(self, states):
        self.states = states  # id -> the state in each round, the last one from then on
        self.rounds = 0

    def __call__(self, seen, _):
        if seen.path.endswith("/change_requests/"):
            self.rounds += 1
            return _page(*({"id": i} for i in self.states if self._state(i) == "pending"))
        id_ = seen.path.split("/")[-2]
        return Reply(body={"id": id_, "state": self._state(id_)})

    def _state(self, id_):
        states = self.states[id_]
        return states[min(self.rounds, len(states)) - 1]


def _wait(office, ids, **options):
    time = Time()
    with serving(office) as server, reading(server.url) as reader:
        decided = list(
            change_requests.wait(
                reader,
                [("7", id_) for id_ in ids],
                clock=time.clock,
                sleep=time.sleep,
                **{"timeout_s": 600, "poll_s": 10, **options},
            )
        )
    return [(one["id"], one["state"]) for one in decided], time, server


def test_waiting_yields_each_request_when_it_is_decided():
    office = Office({"a": ["pending", "applied"], "b": ["rejected"], "c": ["pending"] * 3 + ["x"]})
    office.states["c"][-1] = "expired"

    decided, time, server = _wait(office, ["a", "b", "c"])

    assert decided == [("b", "rejected"), ("a", "applied"), ("c", "expired")]
    assert time.slept == [10, 10, 10]
    assert len(server.seen) == 4 + 3, "one listing a round, one read for each that was decided"


def test_waiting_ends_when_time_is_up_and_leaves_the_rest_out():
    decided, time, _ = _wait(Office({"a": ["pending"]}), ["a"], timeout_s=25)

    assert decided == []
    assert time.slept == [10, 10, 5]


def test_waiting_no_time_looks_once():
    decided, time, server = _wait(Office({"a": ["failed"], "b": ["pending"]}), "ab", timeout_s=0)

    assert decided == [("a", "failed")]
    assert time.slept == []
    assert len(server.seen) == 2


def test_an_unknown_state_counts_as_open():
    assert _wait(Office({"a": ["frozen"]}), ["a"], timeout_s=10)[0] == []
