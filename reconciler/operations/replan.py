"""What apply asks of planning while it runs: the planner's answers for one object at a time.

Pure, and safe for several threads: everything it stands on was read before the run.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

from reconciler.apply.progress import ChangeEnded
from reconciler.kinds import KINDS
from reconciler.live import names
from reconciler.model import (
    Action,
    Address,
    Awaited,
    Change,
    ChangeRequest,
    Declared,
    Finding,
    Live,
    LiveResource,
    Payload,
    Plan,
    Problem,
    Result,
)
from reconciler.plan.approvals import change_requests, forecast, request_matching
from reconciler.plan.approvals.evaluation import GateEvaluator
from reconciler.plan.diff import references, three_way
from reconciler.plan.weakening import effects

Remark = Callable[[Address, ChangeRequest], str]
Judge = Callable[[Change], Finding | None]  # why the rules of the target deny a change


class LiveReplanner:
    """See `apply.progress.Replanner`."""

    def __init__(
        self,
        plan: Plan,
        *,
        base: Declared | None,
        live: Live,
        remark: Remark | None = None,
        judge: Judge | None = None,
    ) -> None:
        self._remark, self._judge = remark, judge
        self._base = references.respell_references(base, live) if base is not None else None
        self._live = live
        self._names = names.Names({}, live)
        self._others = tuple(  # what the plan does to policies and people counts in a forecast
            change for change in plan.writes if not KINDS[change.address.kind].gated
        )
        self._requests = {
            request.id: request.payload for request in (*live.change_requests, *live.rejections)
        }

    @cached_property
    def _open(self) -> change_requests.RequestIndex:
        return change_requests.RequestIndex(self._live.change_requests, self._live)

    @cached_property
    def _steps(self) -> GateEvaluator:
        return GateEvaluator(self._others, self._live)

    @cached_property
    def _ground(self) -> Live:
        """Return the live side without what is gated and its requests, which have changed since."""
        kept = {
            address: resource
            for address, resource in self._live.resources.items()
            if not KINDS[address.kind].gated
        }
        return replace(self._live, resources=kept, duplicates={}, change_requests=())

    def learn(self, address: Address, id_: str) -> None:
        """Remember the id of an object that this run created; called by the thread of outcomes."""
        self._names.learn(address, id_)

    def get_request(self, id_: str) -> Payload:
        """Return a change request as the plan saw it; empty if it did not."""
        return self._requests.get(id_, {})

    def is_same_intent(self, request: Payload, change: Change, seen: Payload | None) -> bool:
        """Return whether a request proposes what the change wants of the object as last seen."""
        proposed = names.build_change_request(request, *change.address.parts[:2], names=self._names)
        live = change.before
        if live is not None and seen is not None:
            live = self._resource(change, seen)
        return request_matching.has_same_intent(proposed, change, live)

    def list_superseded(self, change: Change) -> tuple[str, ...]:
        """Open requests of this key's user that make way for the change."""
        me = self._live.me.id if self._live.me is not None else None
        return change_requests.list_superseded(self._open, change, change.before, me)

    def replan(self, change: Change, payload: Payload | None) -> Change:
        """Return the change as it would be planned for the object as it is now.

        Raises ChangeEnded if the rules of the target deny it by now.
        """
        now = self._plan_again(change, payload)
        if self._judge is None or now.action is Action.NONE:
            return now
        if (denial := self._judge(now)) is not None:
            problem = Problem(denial.message, denial.why, "not sent", denial.fix)
            raise ChangeEnded(Result.REFUSED, problem, payload=payload)
        return now

    def _plan_again(self, change: Change, payload: Payload | None) -> Change:
        if change.desired is None:
            return change
        live_resource = self._resource(change, payload) if payload is not None else None
        base = self._base.resources.get(change.address) if self._base is not None else None
        now = replace(
            three_way.compare_resource(change.desired, base, live_resource),
            depends_on=change.depends_on,
            late=change.late,
            url=change.url,
        )
        if not KINDS[change.address.kind].gated or now.action is Action.NONE:
            return now
        live = self._ground
        if live_resource is not None:
            live = replace(live, resources={**live.resources, live_resource.address: live_resource})
        changes = (*self._others, now)
        last = effects.find_gate_effects(changes, live).list_last()
        return forecast.forecast_gates(changes, live, live.rejections, last=last)[-1]

    def _resource(self, change: Change, payload: Payload) -> LiveResource:
        scope = change.address.parts[:-1]
        return names.build_resource(KINDS[change.address.kind], scope, payload, self._names)

    def describe_awaited(self, change: Change, request: Payload) -> Awaited:
        """Return whom a request waits for, by name."""
        change_request = names.build_change_request(request, *change.address.parts[:2])
        return change_requests.describe_awaited(
            change_request, change.before, self._steps, self._live
        )

    def remark_on_approval(self, change: Change, request: Payload) -> str:
        """Return the note about a request that was approved."""
        change_request = names.build_change_request(request, *change.address.parts[:2])
        return self._remark(change.address, change_request) if self._remark is not None else ""
