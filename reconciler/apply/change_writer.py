"""Write one change: read, send once, judge the response. One outcome; never an exception.

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
from reconciler.apply.progress import (
    ChangeEnded,
    Progress,
    WorkerContext,
    end_change,
    list_written_fields,
)
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
from reconciler.model import (
    Action,
    Detail,
    Payload,
    Problem,
    Request,
    Result,
    Write,
    get_root,
    join_sentences,
    read_revision,
)


def advance_change(tools: WorkerContext, progress: Progress, *, but_last: bool) -> Progress:
    """Send the stages that are left, or all but the last one. Every end is an outcome."""
    if progress.deferred:
        progress = replace(progress, deferred=False)
    return _Worker(tools, progress).advance(but_last=but_last)


class _Worker:
    """One change in the hands of one thread."""

    def __init__(self, tools: WorkerContext, progress: Progress) -> None:
        self._tools = tools
        self._kind = KINDS[progress.change.address.kind]
        self._progress = progress
        self._sent: Write | None = None  # what the current stage has to achieve

    def advance(self, *, but_last: bool) -> Progress:
        """See `advance`."""
        try:
            return self._advance(but_last=but_last)
        except ChangeEnded as stop:
            self._record_seen(stop.payload)
            self._remember_name(stop)
            return end_change(self._progress, self._tools, stop)
        except UnknownNameError as error:
            return end_change(
                self._progress,
                self._tools,
                ChangeEnded(Result.FAILED, self._describe_unknown_name(error)),
            )
        except ReconcilerError as error:
            if responses.is_early(self._progress, error):
                return replace(self._progress, deferred=True)
            end = responses.end_interrupted(self._progress, error)
            trouble = self._progress.troubled or responses.is_trouble(error)
            self._progress = replace(
                self._progress, halt=responses.find_halt(error), troubled=trouble
            )
            return end_change(self._progress, self._tools, end)
        except Exception as error:  # noqa: BLE001  one odd answer must not end the run of the others
            detail = Detail.UNKNOWN if self._progress.attempts else None
            defect = ChangeEnded(Result.FAILED, self._describe_defect(error), detail=detail)
            return end_change(self._progress, self._tools, defect)

    def _remember_name(self, stop: ChangeEnded) -> None:
        """Record for later runs that a create made an object under another name."""
        if stop.detail is Detail.MISNAMED and stop.payload is not None:
            folder = self._tools.journal.path.parent.parent
            created_name = self._kind.identify(stop.payload)
            created_names.remember(folder, self._progress.change.address, created_name)

    def _advance(self, *, but_last: bool) -> Progress:
        if not self._progress.done:
            self._progress = approval_requests.check_requests(self._tools, self._progress)
        self._check_names(but_last=but_last)
        if not self._progress.done:
            self._read_before_write()
        while self._progress.done < len(self._progress.stages) - but_last:
            self._send_stage()
        if self._progress.done < len(self._progress.stages):
            return self._progress
        raise self._end_stages()

    def _end_stages(self) -> ChangeEnded:
        """Return the end of a change whose stages are all sent; journal what was not kept."""
        now, change = self._progress, self._progress.change
        desired = change.desired.spec if change.desired is not None else {}
        for name in sorted(now.dropped):
            facts = {"address": str(change.address), "field": name, "value": desired.get(name)}
            version = read_revision(now.payload or {})
            self._tools.journal.record("not_kept", **facts, version=version)
        names = ", ".join(sorted(now.dropped))
        note = f"PostHog took the write and did not keep {names}" if names else ""
        fields = {get_root(field.path) for field in change.fields}
        nothing = change.action is Action.UPDATE and fields <= now.dropped
        done = now.attempts and not nothing
        return ChangeEnded(Result.DONE if done else Result.UNCHANGED, note=note)

    def _check_names(self, *, but_last: bool) -> None:
        """Require an id for every name of every stage before the first call."""
        change = self._progress.change
        for spec in self._progress.stages[
            self._progress.done : len(self._progress.stages) - but_last
        ]:
            self._tools.names.resolve(self._kind, change.address, spec)
        self._tools.names.scope_ids(change.address)

    def _read_before_write(self) -> None:
        """Read the object just before it is written, where PostHog does not compare versions."""
        change = self._progress.change
        if change.action is Action.CREATE:
            if self._kind.part_of:
                return
            if not self._kind.unique:
                write = self._build_write()
                self._progress = responses.adopt_existing(
                    self._tools, self._kind, self._progress, write, None
                )
            return
        versioned = self._kind.versioned and "version" in (self._progress.payload or {})
        if versioned and change.action is not Action.DELETE:
            return
        payload = readback.read_current(self._tools, self._kind, self._progress)
        if payload is None:
            if change.action is Action.DELETE:
                raise ChangeEnded(Result.UNCHANGED)
            raise ChangeEnded(Result.REFUSED, readback.describe_deleted(change.address))
        if readback.has_changed(self._kind, self._progress, payload):
            self._progress = responses.replan_changed(self._tools, self._progress, payload)
        else:
            self._progress = replace(self._progress, payload=payload)

    def _send_stage(self) -> None:
        """Send the calls of one stage and judge their responses; repeat only after a read."""
        sent, left, sent_calls = 0, math.inf, recovery.SentCalls()
        while True:
            write = self._sent = self._build_write()
            calls = self._kind.calls(write)
            sent_calls.require_kept(self._progress.change.address, calls)
            sent = 1 if len(calls) < left else sent + 1  # a part that is there now is progress
            left = len(calls)
            try:
                payload = self._send_calls(write, calls, sent_calls)
            except AmbiguousError as error:
                self._progress = replace(self._progress, uncertain=True, troubled=True)
                lost = (sent_calls.last or calls[-1], error)
                try:
                    payload = recovery.resolve_lost_write(
                        self._tools, self._kind, self._progress, write, lost, sent=sent
                    )
                except recovery.AlreadyApplied as done:
                    self._finish_stage(write, done.payload)
                    return
                self._record_seen(payload)
                self._progress = replace(self._progress, payload=payload or self._progress.payload)
            except ApiError as error:
                if self._is_over(write, sent_calls.last or calls[-1], error):
                    return
                if sent >= recovery.MOST:
                    raise responses.end_refused(self._progress, error) from error
            else:
                self._finish_stage(write, payload)
                return

    def _is_over(self, write: Write, request: Request, error: ApiError) -> bool:
        """Return whether a refusal ends the stage; if not, it is sent in another form."""
        create = write.action is Action.CREATE
        responses.name_refused_field(self._kind, write, error)
        match error:
            case ApprovalRequiredError():
                raise approval_requests.end_filed(self._tools, self._progress, error) from error
            case VersionConflictError():
                self._replan_after_conflict(error)
            case PolicyConflictError() if create:
                self._create_in_parts(error)
            case InvalidRequestError() if create:
                responses.require_available(self._kind, self._progress, error)
                self._progress = responses.adopt_existing(
                    self._tools, self._kind, self._progress, write, error
                )
                return True
            case InvalidRequestError() | NotFoundError() if not readback.is_object_call(
                self._kind, request, write
            ):
                return self._resolve_part(write, error)
            case NotFoundError() if not create:
                self._require_deleted(error)
            case _:
                if responses.find_halt(error) is not None or responses.is_trouble(error):
                    raise error
                raise responses.end_refused(self._progress, error) from error
        return False

    def _require_deleted(self, error: NotFoundError) -> None:
        """Believe a 404 about what was read before only if the object cannot be read."""
        before = self._progress
        self._progress = replace(before, uncertain=True)  # if it cannot be read
        payload = readback.read_current(self._tools, self._kind, before)
        self._progress = before
        if payload is not None:
            raise responses.end_refused(self._progress, error) from error
        if self._progress.change.action is not Action.DELETE:
            raise ChangeEnded(
                Result.REFUSED, readback.describe_deleted(self._progress.change.address)
            ) from error
        raise ChangeEnded(Result.DONE if self._progress.uncertain else Result.UNCHANGED) from error

    def _resolve_part(self, write: Write, error: ApiError) -> bool:
        """Return whether a refused part of the stage is already as wanted."""
        payload = readback.read_current(self._tools, self._kind, self._progress)
        if payload is None:
            raise ChangeEnded(
                Result.REFUSED, readback.describe_deleted(self._progress.change.address)
            ) from error
        if readback.holds_write(self._kind, write, payload):
            self._finish_stage(write, payload)
            return True
        recovery.require_unchanged(self._kind, self._progress, write, payload)
        if self._progress.payload is not None and not readback.has_difference(
            self._kind, self._progress.payload, payload
        ):
            raise responses.end_refused(self._progress, error) from error
        self._progress = replace(self._progress, payload=payload)
        return False

    def _replan_after_conflict(self, error: VersionConflictError) -> None:
        """Plan again after a version conflict, from the object as it is now."""
        payload = readback.read_current(self._tools, self._kind, self._progress)
        if payload is None:
            raise ChangeEnded(
                Result.REFUSED, readback.describe_deleted(self._progress.change.address)
            ) from error
        self._progress = responses.replan_changed(self._tools, self._progress, payload)

    def _create_in_parts(self, error: PolicyConflictError) -> None:
        """Split a create that matched two policies: create inactive, enable in its own call."""
        spec = self._progress.change.desired.spec if self._progress.change.desired else {}
        parts = self._kind.stages(Action.CREATE, spec, split=True)
        if len(parts) <= len(self._progress.stages):
            raise error
        self._progress = replace(self._progress, stages=parts)

    def _record_written(self, write: Write, *, whole: bool) -> None:
        """Record what a call has written, for a change that does not reach its end."""
        names = (
            list_written_fields(self._progress, self._kind, write, whole=whole)
            - self._progress.dropped
        )
        if not names <= self._progress.written:
            self._progress = replace(self._progress, written=self._progress.written | names)

    def _record_seen(self, payload: Payload | None) -> None:
        """Record what the current stage has changed although no response said so."""
        if payload is None or self._sent is None or self._progress.payload is None:
            return
        before = readback.to_managed_spec(self._kind, self._progress.payload)
        now = readback.to_managed_spec(self._kind, payload)
        changed = {name for name in self._sent.spec if before.get(name) != now.get(name)}
        self._progress = replace(self._progress, written=self._progress.written | changed)

    def _finish_stage(self, write: Write, payload: Payload | None) -> None:
        """Finish a stage; if it should have waited for approval, that is an incident."""
        self._record_written(write, whole=True)
        self._record_written(write, whole=False)
        self._sent, before = None, self._progress
        id_ = self._kind.identity(payload) if payload is not None else before.id
        self._progress = replace(
            before, payload=payload, id=id_, done=before.done + 1, uncertain=False
        )
        if gate_check.was_missed(self._kind, before, write, payload):
            raise gate_check.end_incident(self._progress)
        if passed := gate_check.describe_passed(self._kind, before, write, payload):
            note = join_sentences(self._progress.note, passed)
            self._progress = replace(self._progress, note=note)

    def _build_write(self) -> Write:
        """Build the write of the next stage, with ids in place of names."""
        now, change = self._progress, self._progress.change
        spec = self._tools.names.resolve(self._kind, change.address, now.stages[now.done])
        created = now.done and change.action is Action.CREATE
        action = Action.UPDATE if created else change.action
        ids = self._tools.names.scope_ids(change.address)
        if self._kind.part_of and now.id is None:
            now = self._progress = replace(now, id=ids["id"])
        if now.id is not None:
            ids["id"] = now.id
        if action is Action.UPDATE and (why := self._kind.locked(now.payload or {})):
            raise ChangeEnded(Result.REFUSED, readback.describe_locked(change.address, why))
        return Write(action, spec, now.payload, ids, self._name_to_send(action))

    def _name_to_send(self, action: Action) -> str | None:
        """Return the natural key, where this stage has to send it."""
        change = self._progress.change
        if self._progress.done:
            return None
        if action is Action.CREATE:
            return None if self._kind.part_of else change.address.name
        renamed = any(field.path == f"metadata.{self._kind.key}" for field in change.fields)
        return change.address.name if renamed else None

    def _send_calls(
        self, write: Write, calls: Sequence[Request], sent: recovery.SentCalls
    ) -> Payload | None:
        """Send the calls of a stage; the object as last answered, once all of them are confirmed.

        Parts whose answers do not show them are looked for together.
        """
        payload, unshown = self._progress.payload, None
        for request in calls:
            sent.last = request
            body = self._send_call(request)
            if request.method == "DELETE":
                payload = None if write.action is Action.DELETE else payload
                self._record_written(write, whole=False)
                sent.confirm(request)
            elif readback.is_object_call(self._kind, request, write):
                dropped = readback.verify_response(self._kind, self._progress, write, request, body)
                if dropped:
                    now = self._progress
                    self._progress = replace(now, dropped=now.dropped | dropped)
                payload = body
                self._record_written(write, whole=True)
            elif self._kind.echoes(request, body if isinstance(body, Mapping) else {}):
                self._record_written(write, whole=False)
                sent.confirm(request)
            else:
                unshown = request
        if self._kind.parts:
            return readback.confirm_parts(self._tools, self._kind, self._progress, write, calls)
        if unshown is not None:
            raise readback.make_unconfirmed_error(unshown, "it is not of what was asked for")
        return payload

    def _send_call(self, request: Request) -> Any:
        facts: dict[str, Any] = {
            "address": str(self._progress.change.address),
            "method": request.method,
            "path": request.path,
            "fields": sorted(request.body or ()),
        }
        self._tools.journal.intend("write", **facts)
        try:
            with self._tools.slots:
                delivered = self._tools.writer.deliver(request)
        except ApiError as error:
            self._progress = replace(self._progress, attempts=self._progress.attempts + error.sends)
            answer = {"status": error.status, "code": error.code, "error": type(error).__name__}
            if isinstance(error, ApprovalRequiredError):
                answer["change_request"] = error.change_request_id
            self._tools.journal.record("answer", **facts, **answer)
            raise
        self._progress = replace(self._progress, attempts=self._progress.attempts + delivered.sends)
        self._tools.journal.record("answer", **facts, status="ok")
        return delivered.value

    def _describe_unknown_name(self, error: UnknownNameError) -> Problem:
        sent = self._progress.attempts
        state = f"requests sent: {sent}" if sent else "not sent"
        return Problem(str(error), "it was known when the plan was made", state, "run plan again")

    def _describe_defect(self, error: Exception) -> Problem:
        return Problem(
            f"{self._progress.change.address}: the response could not be used "
            f"({type(error).__name__})",
            "PostHog answered in a shape that is not known",
            "unknown: the last call may have been carried out",
            "run apply again: it reads first; report what the journal holds",
        )
