"""What HTTP asks of work: debits, holds, their capture and release, and orders that are queued.

A queued order is recorded first and sent to the queue afterwards. The record is the truth and the message only a
reminder of it, so there is no dual write: a lost message is sent again, and one too many changes nothing, because it
carries the attempt that it is for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from autocredits.domain.access import Caller, check_exists, check_visible, check_works_for
from autocredits.domain.decide import Done, Draft, IdempotencyKey
from autocredits.domain.errors import Problem
from autocredits.domain.records import RecordKey

from .charging import Cause, price_work
from .lifecycle import (
    HOLD_MS,
    Settlement,
    begin,
    debit,
    held_status,
    hold,
    is_same_work,
    next_attempt,
    put_work,
    settle_part,
)
from .record import Kind, Work, WorkRequest, charge_name


@dataclass(frozen=True, slots=True)
class Charge:
    """What debits, holds and queued orders have in common: a caller, a key, and the work."""

    caller: Caller
    idempotency: IdempotencyKey
    request: WorkRequest
    expects_new: ClassVar[bool] = True

    def records(self) -> tuple[RecordKey, ...]:
        """The idempotency key and the work."""
        return ("key", self.idempotency.key), self.request.key()

    def replay(self, draft: Draft) -> Done | None:
        """The first answer to this key, if there was one.

        Raises Problem `account_not_found`, `store_forbidden`, `idempotency_key_reused`.
        """
        check_exists(draft.head)
        check_works_for(self.caller, self.request.store_id)
        return draft.replay(self.idempotency)

    def cause(self) -> Cause:
        """What its entries say of it."""
        return Cause(actor=self.caller.actor, key=self.idempotency.key)

    def finish(self, draft: Draft, work: Work, first: int, did: str) -> Done:
        """Write the work and the key's record."""
        work = put_work(draft, work, moved=True)
        draft.remember(self.idempotency, first)
        return Done(did=did, first=first, count=len(draft.entries) - first, record=work)


@dataclass(frozen=True, slots=True)
class Debit(Charge):
    """Charges the work at once: one `debited` entry per unit."""

    def decide(self, draft: Draft) -> Done:
        """Raises every Problem of new work (docs/contract.md, section 4), in its order."""
        if replay := self.replay(draft):
            return replay
        before, price = price_work(draft, self.request)
        work = begin(draft, before, self.request, "accepted" if self.request.kind == "product" else "ordered")
        first = len(draft.entries)
        return self.finish(draft, debit(draft, work, price, self.cause()), first, "debited")


@dataclass(frozen=True, slots=True)
class Hold(Charge):
    """Sets credits aside for the work, split in parts, for `lasts_ms` milliseconds."""

    lasts_ms: int = HOLD_MS

    def decide(self, draft: Draft) -> Done:
        """Raises every Problem of new work (docs/contract.md, section 4), in its order."""
        if replay := self.replay(draft):
            return replay
        before, price = price_work(draft, self.request)
        work = begin(draft, before, self.request, held_status(self.request))
        first = len(draft.entries)
        work = hold(draft, work, price, self.cause(), draft.at_ms() + self.lasts_ms)
        return self.finish(draft, work, first, "held")


@dataclass(frozen=True, slots=True, kw_only=True)
class SettleHold:
    """Captures or releases parts of an attempt's hold; `parts` None: those that its first hold set aside.

    Captured `managed` is at most what is held.
    """

    caller: Caller
    kind: Kind
    work_id: str
    attempt: int
    settlement: Settlement
    parts: Sequence[str] | None = None
    expects_new: ClassVar[bool] = False

    def records(self) -> tuple[RecordKey, ...]:
        """The work that the hold belongs to."""
        return ((self.kind, self.work_id),)

    def decide(self, draft: Draft) -> Done:
        """Raises Problem `account_not_found`, `hold_not_found`, `invalid_transition`, `capture_exceeds_hold`."""
        work, ended = self.present_hold(draft), self.settlement.ended
        targets = self.open_targets(work)
        if not targets:
            return Done(did=f"{ended}_already", record=work)
        held = work.parts["order"].managed if "order" in targets else 0
        if (self.settlement.managed or 0) > held:
            raise Problem("capture_exceeds_hold", "This captures more managed balance than is held.")
        first = len(draft.entries)
        for name in targets:
            if name in work.open_parts():  # releasing `order` has released the others too
                work = settle_part(draft, work, name, self.settlement)
        work = put_work(draft, work, moved=True)
        return Done(did=ended, first=first, count=len(draft.entries) - first, record=work)

    def present_hold(self, draft: Draft) -> Work:
        """The work, if the hold is its present attempt's.

        Raises Problem `account_not_found`, `hold_not_found`, `invalid_transition` for an earlier attempt.
        """
        check_exists(draft.head)
        work = check_visible(self.caller, draft.get((self.kind, self.work_id), Work), "hold_not_found")
        if self.attempt < work.attempt:
            raise Problem("invalid_transition", "This hold belongs to an earlier attempt.")
        if self.attempt > work.attempt or not work.parts:
            raise Problem("hold_not_found")
        return work

    def open_targets(self, work: Work) -> tuple[str, ...]:
        """The parts to settle now; none if they have all ended this way already.

        Raises Problem `invalid_transition` for a named part that ended otherwise, or if nothing is open and no part
        ended this way.
        """
        if self.parts is None:
            return self.open_by_default(work)
        ended = self.settlement.ended
        for name in self.parts:
            if name not in work.parts or work.parts[name].status not in ("open", ended):
                raise Problem("invalid_transition", f"Part {name} is neither open nor {ended}.")
        return tuple(name for name in work.open_parts() if name in self.parts)

    def open_by_default(self, work: Work) -> tuple[str, ...]:
        """What is still open of the attempt's first hold: a repeated call never settles what was opened later.

        Raises Problem `invalid_transition` if nothing of it is open and nothing ended this way.
        """
        charges = {name: charge_name(name, part.tracking) for name, part in work.parts.items()}
        first = {charge: work.first_status(charge) for charge in work.first_hold()}
        targets = tuple(name for name, charge in charges.items() if first.get(charge) == "open")
        if not targets and self.settlement.ended not in first.values():
            raise Problem("invalid_transition")
        return targets


@dataclass(frozen=True, slots=True)
class QueueOrder(Charge):
    """Records an order as `queued`; a failed one as a new attempt. Known work is left as it is.

    An order that was lost in a restore, while its key was not, is queued again.
    """

    def decide(self, draft: Draft) -> Done:
        """Raises what a replay raises, and Problem `order_conflict`, `too_many_attempts`."""
        replay = self.replay(draft)
        work = draft.get(self.request.key(), Work)
        if replay and work is not None:
            return replace(replay, record=work)
        if work is not None and work.store_id != self.request.store_id:
            raise Problem("order_conflict", "This order belongs to another store of the account.")
        if work is None or work.status == "failed":
            work = put_work(draft, begin(draft, work, self.request, "queued"), moved=False)
        elif not is_same_work(work, self.request):
            raise Problem("order_conflict", "This order was requested with different details.")
        key_record = replay.key_record if replay else draft.remember_status(self.idempotency, work.status, work.attempt)
        return Done(did="queued", record=work, key_record=key_record)


@dataclass(frozen=True, slots=True)
class ResendOrder:
    """Queues a failed order again, as a new attempt. `request_id` names the request, for its own retries."""

    caller: Caller
    order_id: str
    request_id: str
    expects_new: ClassVar[bool] = False

    def records(self) -> tuple[RecordKey, ...]:
        """The order."""
        return (("order", self.order_id),)

    def decide(self, draft: Draft) -> Done:
        """Raises Problem `account_not_found`, `order_not_found`, `invalid_transition`, `too_many_attempts`."""
        check_exists(draft.head)
        work = check_visible(self.caller, draft.get(("order", self.order_id), Work), "order_not_found")
        if work.status == "queued" and work.resent_by == self.request_id:
            return Done(did="resent", record=work)
        if work.status != "failed":
            raise Problem("invalid_transition", "Only a failed order can be resent.")
        again = replace(next_attempt(work, work.request(), "queued"), resent_by=self.request_id)
        return Done(did="resent", record=put_work(draft, again, moved=False))
