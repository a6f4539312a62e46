"""How work goes on after its credits were held: parts are captured or released, and the status follows.

Over HTTP a hold is settled part by part; messages do the same to the part they speak of (contract, section 7).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .access import Caller
from .accounts import check_exists
from .charges import Cause, capture_part, check_visible, release_part
from .decide import Done, Draft
from .errors import Problem
from .records import RecordKey
from .work import Kind, Work


def capture(draft: Draft, work: Work, name: str, cause: Cause, managed: int | None = None) -> Work:
    """Take an open part and let the status follow: placed, converted or accepted.

    An order is `shipped` with the later of placed and converted.
    """
    work = capture_part(draft, work, name, cause, managed)
    if name == "sourcing":
        return replace(work, status="accepted")
    if name == "tracking":
        status = "shipped" if work.status == "ordered" else work.status
        number = cause.tracking_number or work.tracking_number
        return replace(work, status=status, converted=True, tracking_number=number)
    status = "shipped" if work.converted else "ordered"
    return replace(work, status=status, supplier_order_id=cause.supplier_order_id or work.supplier_order_id)


def release(draft: Draft, work: Work, name: str, cause: Cause) -> Work:
    """Give an open part back and let the status follow.

    Without its part `order` an order has failed, and all else that is still open for it goes back too.
    """
    if name == "sourcing":
        return replace(release_part(draft, work, name, cause), status="rejected", reason=cause.reason)
    if name == "tracking":
        return release_part(draft, work, name, cause)
    for part in work.open_parts():
        work = release_part(draft, work, part, cause)
    return replace(work, status="failed", reason=cause.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class SettleHold:
    """What capturing and releasing a hold over HTTP have in common. `parts` None: all that are open."""

    caller: Caller
    kind: Kind
    work_id: str
    attempt: int
    parts: Sequence[str] | None = None

    def records(self) -> tuple[RecordKey, ...]:
        """The work that the hold belongs to."""
        return ((self.kind, self.work_id),)

    def expects_new(self) -> bool:
        """The work is there, or there is nothing to settle."""
        return False

    def present_hold(self, draft: Draft) -> Work:
        """The work, if the hold is its present attempt's.

        Raises Problem `account_not_found`, `hold_not_found`, `invalid_transition` for an earlier attempt.
        """
        check_exists(draft.head)
        work = check_visible(self.caller, draft.work((self.kind, self.work_id)), "hold_not_found")
        if self.attempt < work.attempt:
            raise Problem("invalid_transition", "This hold belongs to an earlier attempt.")
        if self.attempt > work.attempt or not work.parts:
            raise Problem("hold_not_found")
        return work

    def open_targets(self, work: Work, ended: str) -> tuple[str, ...]:
        """The parts to settle now; none if they have all `ended` this way already.

        Raises Problem `invalid_transition` for a named part that ended otherwise, or if nothing is open and no part
        ended this way.
        """
        named = work.open_parts() if self.parts is None else self.parts
        if not named and all(part.status != ended for part in work.parts.values()):
            raise Problem("invalid_transition")
        for name in named:
            if name not in work.parts or work.parts[name].status not in ("open", ended):
                raise Problem("invalid_transition", f"Part {name} is not open and not {ended}.")
        return tuple(name for name in work.open_parts() if name in named)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureHold(SettleHold):
    """Takes parts of a hold. `managed` (US cents) is what product and shipping really cost, at most what is held."""

    managed: int | None = None

    def decide(self, draft: Draft) -> Done:
        """Raises Problem `account_not_found`, `hold_not_found`, `invalid_transition`, `capture_exceeds_hold`."""
        work = self.present_hold(draft)
        targets = self.open_targets(work, "captured")
        if not targets:
            return Done(did="captured_already", work=work)
        held = work.parts["order"].managed if "order" in targets else 0
        if (self.managed or 0) > held:
            raise Problem("capture_exceeds_hold", "More managed balance than this capture has held.")
        first = len(draft.entries)
        cause = Cause(actor=self.caller.actor)
        for name in targets:
            work = capture(draft, work, name, cause, self.managed if name == "order" else None)
        work = draft.put_work(work, moved=True)
        return Done(did="captured", first=first, count=len(draft.entries) - first, work=work)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseHold(SettleHold):
    """Gives parts of a hold back."""

    reason: str

    def decide(self, draft: Draft) -> Done:
        """Raises Problem `account_not_found`, `hold_not_found`, `invalid_transition`."""
        work = self.present_hold(draft)
        targets = self.open_targets(work, "released")
        if not targets:
            return Done(did="released_already", work=work)
        first = len(draft.entries)
        cause = Cause(actor=self.caller.actor, reason=self.reason)
        for name in targets:
            if name in work.open_parts():
                work = release(draft, work, name, cause)
        work = draft.put_work(work, moved=True)
        return Done(did="released", first=first, count=len(draft.entries) - first, work=work)
