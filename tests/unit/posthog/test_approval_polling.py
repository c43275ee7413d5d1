"""Change requests: waited for in rounds, ever less often, by the connection's own clock."""

import pytest

from reconciler.errors import AuthenticationError
from reconciler.posthog.approval_polling import Pauses, Watch
from tests.unit.posthog.servers import Reply, Time, reading, serving


def _page(*requests):
    return Reply(body={"count": len(requests), "next": None, "results": list(requests)})


class Office:
    """Change requests whose states change as rounds go by."""

    def __init__(self, states, odd=()):
        self.states = states  # id -> the state in each round, the last one from then on
        self.odd = dict(odd)  # round -> another answer to its listing
        self.rounds = 0

    def __call__(self, seen, _):
        if seen.path.endswith("/change_requests/"):
            self.rounds += 1
            if self.rounds in self.odd:
                return self.odd[self.rounds]
            waiting = [i for i in self.states if self._state(i) == "pending"]
            return _page(*({"id": i, "state": "pending"} for i in waiting))
        id_ = seen.path.split("/")[-2]
        if self._state(id_) is None:
            return Reply(404, {"type": "invalid_request", "code": "not_found"})
        return Reply(body={"id": id_, "state": self._state(id_)})

    def _state(self, id_):
        states = self.states[id_]
        return states[min(self.rounds, len(states)) - 1]


def _wait(office, ids, timeout_s=600, projects=("7",), **pauses):
    time, decided = Time(), []
    with serving(office) as server, reading(server.url, time=time) as reader:
        pauses = Pauses(**{"first_s": 10, "factor": 1, **pauses})
        watch = Watch(reader, timeout_s=timeout_s, pauses=pauses)
        waiting = {(project, id_) for id_ in ids for project in projects}
        while True:
            for asked, payload in sorted(watch.poll(waiting).items()):
                waiting.discard(asked)
                decided.append((payload["id"], payload["state"]))
            if not waiting or not watch.sleep(waiting):
                return decided, time, server


def test_each_request_is_told_when_it_is_decided():
    office = Office({"a": ["pending", "applied"], "b": ["rejected"], "c": ["pending"] * 3 + ["x"]})
    office.states["c"][-1] = "expired"

    decided, time, server = _wait(office, ["a", "b", "c"])

    assert decided == [("b", "rejected"), ("a", "applied"), ("c", "expired")]
    assert 30 == time.now - 1000
    assert len(server.seen) == 4 + 3, "one listing a round, one read for each that was decided"


def test_it_ends_when_time_is_up_and_leaves_the_rest_out():
    decided, time, server = _wait(Office({"a": ["pending"]}), ["a"], timeout_s=25)

    assert decided == []
    assert 25 == time.now - 1000
    assert 4 == len(server.seen), "the last look is at the very end"


def test_waiting_no_time_looks_once():
    decided, time, server = _wait(Office({"a": ["failed"], "b": ["pending"]}), "ab", timeout_s=0)

    assert decided == [("a", "failed")]
    assert time.slept == []
    assert len(server.seen) == 2


def test_an_unknown_state_counts_as_open():
    assert _wait(Office({"a": ["frozen"]}), ["a"], timeout_s=10)[0] == []


def test_a_request_that_is_not_there_any_more_is_not_waited_for():
    assert _wait(Office({"a": ["pending", None]}), ["a"])[0] == [("a", "gone")]


def test_rounds_come_ever_less_often_and_often_again_after_news():
    office = Office({"a": ["pending"] * 4 + ["applied"], "b": ["pending"]})

    _, time, server = _wait(office, "ab", timeout_s=60, first_s=1.0, factor=2.0, longest_s=8.0)

    starts = [seen for seen in server.seen if seen.path.endswith("/change_requests/")]
    assert 60 == time.now - 1000
    assert len(starts) < 18
    assert max(time.slept) <= 1.0, "in slices, so that a stop is heard"


def test_many_projects_are_asked_no_faster_than_the_budget_allows():
    """A tenth of 480 a minute: 48 projects are a round a minute, not a round a second."""
    projects = [str(number) for number in range(48)]
    office = Office({"a": ["pending"]})

    _, _, server = _wait(office, ["a"], timeout_s=600, projects=projects, first_s=1.0)

    assert len(server.seen) <= 48 * (600 / 60 + 2)


def test_a_round_that_fails_is_no_news():
    office = Office({"a": ["pending", "pending", "applied"]}, odd={1: Reply(400, {"detail": "x"})})

    assert _wait(office, ["a"])[0] == [("a", "applied")]


def test_a_key_that_is_not_accepted_any_more_ends_it():
    office = Office({"a": ["pending"]}, odd={2: Reply(401, {"code": "authentication_failed"})})

    with pytest.raises(AuthenticationError):
        _wait(office, ["a"])
