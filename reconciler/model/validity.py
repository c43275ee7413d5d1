"""Say why a change request cannot be applied, and who has to do what (contract 7.5).

PostHog checks open requests again and again: what it has marked may become valid again, so a mark
is shown and never remembered.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from reconciler.lazy_dataclass import dataclass

STALE: Final = "stale"
INVALID: Final = "invalid"
_APPROVED, _FAILED = "approved", "failed"
_COMMIT: Final = " (and commit the document again)"  # what was rejected is not requested again
_ENDED: Final = frozenset({"applied", "rejected", "expired"})


@dataclass(frozen=True, slots=True)
class Unappliable:
    """Hold why a request cannot be applied as things are, and the next step."""

    why: str
    fix: str


@dataclass(frozen=True, slots=True)
class Validity:
    """Hold the mark of a change request, and what the next step depends on.

    Attributes:
        status: `validation_status` of PostHog; unknown ones count as valid.
        errors: `validation_errors`, which may have any shape.
        state: of the request.
        requester: who filed it, if that is known.
        is_own: whether that is the user of this key.
        has_approvals: whether somebody has approved it.
        apply_error: why a failed request could not be applied.
        noun: what the request is about, in one word.

    """

    status: str
    errors: Any
    state: str
    requester: str | None
    is_own: bool = False
    has_approvals: bool = False
    apply_error: str = ""
    noun: str = "flag"

    @property
    def lost_access(self) -> bool:
        """Return whether the requester may no longer change what the request is about."""
        return self.status == INVALID and "access" in _as_mapping(self.errors)

    def mark_moved(self) -> "Validity":
        """Return the validity if the object has changed since: PostHog marks that only later."""
        return self if self.is_stale else replace(self, status=STALE, errors=None)

    @property
    def is_stale(self) -> bool:
        """Return whether the object has changed since the request was filed."""
        return self.status == STALE

    def explain(self) -> Unappliable | None:
        """Return why the request cannot be applied, or was not, and who has to do what.

        None: nothing is known to be in its way.
        """
        if self.state == _FAILED:
            return Unappliable(self._read_failure(), self._describe_failure())
        if self.state in _ENDED or self.status not in {STALE, INVALID}:
            return None
        if self.is_stale:
            why = self._read_error("staleness") or f"the {self.noun} has changed since it was filed"
            return Unappliable(why, f"{self._describe_withdrawal()}, then run plan and apply again")
        if self.lost_access:
            return Unappliable(self._read_error("access"), self._describe_access())
        why = self._read_error("") or "PostHog marks it as invalid"
        return Unappliable(why, f"{self._describe_withdrawal()}, then run apply again")

    def _read_failure(self) -> str:
        return self.apply_error or self._read_error("access") or "PostHog does not say why"

    def _describe_failure(self) -> str:
        """Return what to do after a failure: of its causes, only lost access leaves a mark."""
        if self.lost_access:
            return (
                f"give {self._requester} access to the {self.noun} again, or use the key of "
                "somebody who has it; then run apply again"
            )
        return "run plan again, then apply: what is still wanted is requested once more"

    def _describe_access(self) -> str:
        """Return what to do about a requester without access."""
        back = f"give {self._requester} access to the {self.noun} again"
        if self.is_own:
            back += " (until then none of its requests can be applied)"
        end = self._describe_withdrawal()
        if self._can_cancel and not self.is_own:  # who has left cannot cancel
            end += f", or an approver reject it{_COMMIT}"
        return f"{back}; or {end}, then run apply with the key of somebody who has access"

    @property
    def _requester(self) -> str:
        return "this key's user" if self.is_own else self.requester or "the requester"

    def _describe_withdrawal(self) -> str:
        """Return who can end the request; nobody, if it is approved (contract 7.4)."""
        if self.state == _APPROVED:
            return "wait until it fails or expires (nobody can end an approved request)"
        if not self._can_cancel:
            return f"have an approver reject it{_COMMIT}"
        return "cancel it" if self.is_own else f"have {self._requester} cancel it"

    @property
    def _can_cancel(self) -> bool:
        """Return whether its requester can cancel it: after a vote for it only if it is stale."""
        return self.state != _APPROVED and (self.is_stale or not self.has_approvals)

    def _read_error(self, key: str) -> str:
        """Return what PostHog says, in its own words."""
        errors = _as_mapping(self.errors)
        if key in errors:
            return str(errors[key]).rstrip(".")
        texts = errors.values() if errors else [self.errors or ""]
        return "; ".join(str(text).rstrip(".") for text in texts)


def _as_mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
