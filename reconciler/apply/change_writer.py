"""One change: look, send once, judge the answer. One outcome; never an exception.

A write is never repeated without a read in between.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from reconciler.apply import (
    approval_requests,
    created_names,
    gate_check,
    readback,
    recovery,
    responses,
)
from reconciler.apply.ids import UnknownNameError
from reconciler.apply.progress import ChangeEnded, Progress, WorkerContext, carried, ended
from reconciler.errors import (
    AmbiguousError,
    ApiError,
    ApprovalRequiredError,
    InvalidRequestError,
    NotFoundError,
    PolicyConflictError,
    ReconcilerError,
    VersionConflictError,
)
from reconciler.kinds import KINDS
from reconciler.model import Action, Detail, Payload, Problem, Request, Result, Write, root


def advance(tools: WorkerContext, progress: Progress, *, but_last: bool) -> Progress:
    """Send the stages that are left, or all but the last one. Whatever happens is an outcome."""
    return _Worker(tools, replace(progress, deferred=False)).advance(but_last=but_last)


class _Worker:
    """One change in the hands of one thread."""

    def __init__(self, tools: WorkerContext, progress: Progress) -> None:
        self._tools = tools
        self._kind = KINDS[progress.change.address.kind]
        self._now = progress
        self._sent: Write | None = None  # what the current stage has to achieve

    def advance(self, *, but_last: bool) -> Progress:
        """See `advance`."""
        try:
            return self._advance(but_last=but_last)
        except ChangeEnded as stop:
            self._saw(stop.payload)
            self._remember(stop)
            return ended(self._now, self._tools, stop)
        except UnknownNameError as error:
            return ended(
                self._now, self._tools, ChangeEnded(Result.FAILED, self._unknown_name(error))
            )
        except ReconcilerError as error:
            if responses.is_early(self._now, error):
                return replace(self._now, deferred=True)
            end = responses.ending(self._now, error)
            trouble = self._now.troubled or responses.is_trouble(error)
            self._now = replace(self._now, halt=responses.halt(error), troubled=trouble)
            return ended(self._now, self._tools, end)
        except Exception as error:  # noqa: BLE001  one odd answer must not end the run of the others
            detail = Detail.UNKNOWN if self._now.attempts else None
            defect = ChangeEnded(Result.FAILED, self._defect(error), detail=detail)
            return ended(self._now, self._tools, defect)

    def _remember(self, stop: ChangeEnded) -> None:
        """Keep for later runs that a create made something under another name."""
        if stop.detail is Detail.MISNAMED and stop.payload is not None:
            folder = self._tools.journal.path.parent.parent
            made = self._kind.identify(stop.payload)
            created_names.remember(folder, self._now.change.address, made)

    def _advance(self, *, but_last: bool) -> Progress:
        if not self._now.done:
            self._now = approval_requests.hold(self._tools, self._now)
        self._check_names(but_last=but_last)
        if not self._now.done:
            self._look()
        while self._now.done < len(self._now.stages) - but_last:
            self._stage()
        if self._now.done < len(self._now.stages):
            return self._now
        raise self._end()

    def _end(self) -> ChangeEnded:
        """Say what became of a change of which every stage is sent; journal what was not kept."""
        now, change = self._now, self._now.change
        desired = change.desired.spec if change.desired is not None else {}
        for name in sorted(now.dropped):
            facts = {"address": str(change.address), "field": name, "value": desired.get(name)}
            version = (now.payload or {}).get("version")
            self._tools.journal.record("not_kept", **facts, version=version)
        names = ", ".join(sorted(now.dropped))
        note = f"PostHog took the write and did not keep {names}" if names else ""
        fields = {root(one.path) for one in change.fields}
        nothing = change.action is Action.UPDATE and fields <= now.dropped
        done = now.attempts and not nothing
        return ChangeEnded(Result.DONE if done else Result.UNCHANGED, note=note)

    def _check_names(self, *, but_last: bool) -> None:
        """Every name of every stage has an id before the first call: no half-written object."""
        change = self._now.change
        for spec in self._now.stages[self._now.done : len(self._now.stages) - but_last]:
            self._tools.names.resolve(self._kind, change.address, spec)
        self._tools.names.scope_ids(change.address)

    def _look(self) -> None:
        """Read the object just before it is written, where PostHog does not compare by itself."""
        change = self._now.change
        if change.action is Action.CREATE:
            if not self._kind.unique:
                write = self._write()
                self._now = responses.exists(self._tools, self._kind, self._now, write, None)
            return
        versioned = self._kind.versioned and "version" in (self._now.payload or {})
        if versioned and change.action is not Action.DELETE:
            return
        payload = readback.reread(self._tools, self._kind, self._now)
        if payload is None:
            if change.action is Action.DELETE:
                raise ChangeEnded(Result.UNCHANGED)
            raise ChangeEnded(Result.REFUSED, readback.gone(change.address))
        if readback.moved(self._kind, self._now, payload):
            self._now = responses.replanned(self._tools, self._now, payload)
        else:
            self._now = replace(self._now, payload=payload)

    def _stage(self) -> None:
        """One stage: its calls, and what their answers mean; again only after a read."""
        sent, left = 0, math.inf
        while True:
            write = self._sent = self._write()
            calls = self._kind.calls(write)
            sent = 1 if len(calls) < left else sent + 1  # a part that is there now is progress
            left = len(calls)
            last: list[Request] = []
            try:
                payload = self._calls(write, calls, last)
            except AmbiguousError as error:
                self._now = replace(self._now, unsure=True, troubled=True)
                found = (last[-1], error)
                try:
                    payload = recovery.resolve(
                        self._tools, self._kind, self._now, write, found, sent=sent
                    )
                except recovery.AlreadyApplied as done:
                    self._finish(write, done.payload)
                    return
                self._saw(payload)
                self._now = replace(self._now, payload=payload or self._now.payload)
            except ApiError as error:
                if self._is_over(write, last[-1], error):
                    return
                if sent >= recovery.MOST:
                    raise responses.refused(self._now, error) from error
            else:
                self._finish(write, payload)
                return

    def _is_over(self, write: Write, request: Request, error: ApiError) -> bool:
        """What a definite refusal means: whether the stage is over, or is sent in other words."""
        create = write.action is Action.CREATE
        responses.advise(self._kind, write, error)
        match error:
            case ApprovalRequiredError():
                raise approval_requests.filed(self._tools, self._now, error) from error
            case VersionConflictError():
                self._move(error)
            case PolicyConflictError() if create:
                self._create_in_parts(error)
            case InvalidRequestError() if create:
                self._now = responses.exists(self._tools, self._kind, self._now, write, error)
                return True
            case InvalidRequestError() | NotFoundError() if not readback.is_whole(
                self._kind, request, write
            ):
                return self._part(write, error)
            case NotFoundError() if not create:
                self._need_gone(error)
            case _:
                if responses.halt(error) is not None or responses.is_trouble(error):
                    raise error
                raise responses.refused(self._now, error) from error
        return False

    def _need_gone(self, error: NotFoundError) -> None:
        """Believe a 404 about what was read before only if the object cannot be read."""
        before, self._now = self._now, replace(self._now, unsure=True)  # if it cannot be read
        payload = readback.reread(self._tools, self._kind, before)
        self._now = before
        if payload is not None:
            raise responses.refused(self._now, error) from error
        if self._now.change.action is not Action.DELETE:
            raise ChangeEnded(Result.REFUSED, readback.gone(self._now.change.address)) from error
        raise ChangeEnded(Result.DONE if self._now.unsure else Result.UNCHANGED) from error

    def _part(self, write: Write, error: ApiError) -> bool:
        """A part was refused: there already, or gone already, by another hand? Then it is well."""
        payload = readback.reread(self._tools, self._kind, self._now)
        if payload is None:
            raise ChangeEnded(Result.REFUSED, readback.gone(self._now.change.address)) from error
        if readback.has(self._kind, write, payload):
            self._finish(write, payload)
            return True
        if self._now.payload is not None and not readback.differs(
            self._kind, self._now.payload, payload
        ):
            raise responses.refused(self._now, error) from error
        self._now = replace(self._now, payload=payload)
        return False

    def _move(self, error: VersionConflictError) -> None:
        """Somebody was quicker: the decision is thrown away, and made anew from what is there."""
        payload = readback.reread(self._tools, self._kind, self._now)
        if payload is None:
            raise ChangeEnded(Result.REFUSED, readback.gone(self._now.change.address)) from error
        self._now = responses.replanned(self._tools, self._now, payload)

    def _create_in_parts(self, error: PolicyConflictError) -> None:
        """The create met two policies at once: start it inactive, enable it in its own call."""
        spec = self._now.change.desired.spec if self._now.change.desired else {}
        parts = self._kind.stages(Action.CREATE, spec, split=True)
        if len(parts) <= len(self._now.stages):
            raise error
        self._now = replace(self._now, stages=parts)

    def _wrote(self, write: Write, *, whole: bool) -> None:
        """Remember what a call has written, in case that the change does not come to its end."""
        names = carried(self._now, self._kind, write, whole=whole) - self._now.dropped
        self._now = replace(self._now, written=self._now.written | names)

    def _saw(self, payload: Payload | None) -> None:
        """Remember what of the current stage has moved although no answer said so."""
        if payload is None or self._sent is None or self._now.payload is None:
            return
        before = readback.spec_of(self._kind, self._now.payload)
        now = readback.spec_of(self._kind, payload)
        moved = {name for name in self._sent.spec if before.get(name) != now.get(name)}
        self._now = replace(self._now, written=self._now.written | moved)

    def _finish(self, write: Write, payload: Payload | None) -> None:
        """The stage is carried out; if people should have been asked first, that is an incident."""
        self._wrote(write, whole=True)
        self._wrote(write, whole=False)
        self._sent, before = None, self._now
        id_ = self._kind.identity(payload) if payload is not None else before.id
        self._now = replace(before, payload=payload, id=id_, done=before.done + 1, unsure=False)
        if payload is not None and gate_check.was_missed(self._kind, before, write, payload):
            raise gate_check.incident(self._now)

    def _write(self) -> Write:
        """What the next stage has to achieve, names turned into ids."""
        now, change = self._now, self._now.change
        spec = self._tools.names.resolve(self._kind, change.address, now.stages[now.done])
        created = now.done and change.action is Action.CREATE
        action = Action.UPDATE if created else change.action
        ids = self._tools.names.scope_ids(change.address)
        if now.id is not None:
            ids["id"] = now.id
        return Write(action, spec, now.payload, ids, self._name(action))

    def _name(self, action: Action) -> str | None:
        """The natural key, where this stage has to send it."""
        change = self._now.change
        if self._now.done:
            return None
        if action is Action.CREATE:
            return change.address.name
        renamed = any(one.path == f"metadata.{self._kind.key}" for one in change.fields)
        return change.address.name if renamed else None

    def _calls(self, write: Write, calls: Sequence[Request], last: list[Request]) -> Payload | None:
        """Send the calls of a stage; the object as last answered, once all of them are confirmed.

        `last` is what was sent. Parts whose answers do not show them are looked for together.
        """
        payload, unshown = self._now.payload, None
        for request in calls:
            last.append(request)
            body = self._send(request)
            if request.method == "DELETE":
                payload = None if write.action is Action.DELETE else payload
                self._wrote(write, whole=False)
            elif readback.is_whole(self._kind, request, write):
                dropped = readback.verify(self._kind, self._now, write, request, body)
                self._now, payload = replace(self._now, dropped=self._now.dropped | dropped), body
                self._wrote(write, whole=True)
            elif isinstance(body, Mapping) and self._kind.echoes(request, body):
                self._wrote(write, whole=False)
            else:
                unshown = request
        if unshown is not None:
            raise readback.unconfirmed(unshown, "it is not of what was asked for")
        return payload

    def _send(self, request: Request) -> Any:
        facts: dict[str, Any] = {
            "address": str(self._now.change.address),
            "method": request.method,
            "path": request.path,
            "fields": sorted(request.body or ()),
        }
        self._tools.journal.intend("write", **facts)
        try:
            with self._tools.slots:
                delivered = self._tools.writer.deliver(request)
        except ApiError as error:
            self._now = replace(self._now, attempts=self._now.attempts + error.sends)
            answer = {"status": error.status, "code": error.code, "error": type(error).__name__}
            if isinstance(error, ApprovalRequiredError):
                answer["change_request"] = error.change_request_id
            self._tools.journal.record("answer", **facts, **answer)
            raise
        self._now = replace(self._now, attempts=self._now.attempts + delivered.sends)
        self._tools.journal.record("answer", **facts, status="ok")
        return delivered.value

    def _unknown_name(self, error: UnknownNameError) -> Problem:
        sent = self._now.attempts
        state = f"{sent} of its calls were sent" if sent else "not sent"
        return Problem(str(error), "it was known when the plan was made", state, "run plan again")

    def _defect(self, error: Exception) -> Problem:
        return Problem(
            f"{self._now.change.address}: the answer could not be used ({type(error).__name__})",
            "PostHog answered in a shape that is not known",
            "unknown: the last call may have been carried out",
            "run apply again: it reads first; report what the journal holds",
        )
