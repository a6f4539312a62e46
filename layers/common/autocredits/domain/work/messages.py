"""What each message on the queue does to the work it names (docs/contract.md, section 7), and the service's own.

Identity is the business: order, part, attempt. A message delivered twice, late or out of order ends the same.
Whatever is not written here changes nothing, but is remembered.
"""

from dataclasses import dataclass, replace
from typing import Any

from autocredits.domain.access import check_exists
from autocredits.domain.decide import Done, Draft, NotYet
from autocredits.domain.errors import Problem
from autocredits.domain.ids import hold_id
from autocredits.domain.money import format_amount
from autocredits.domain.records import RecordKey

from .charging import Cause, check_standing, parts_to_charge, price_parts
from .lifecycle import (
    HOLD_MS,
    Settlement,
    ask_for,
    begin,
    complete_charged,
    held_status,
    hold,
    is_same_work,
    put_work,
    refuse,
    settle_part,
)
from .record import FAILED, MAX_MESSAGES_SEEN, Kind, Work, WorkRequest, charge_name, message_digest

SOURCE = "autocredits"
"""The `source` of the service's own messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message about a piece of work. `source` and `message_id` are its CloudEvent's `source` and `id`."""

    source: str
    message_id: str
    kind: Kind
    work_id: str
    attempt: int | None = None

    @property
    def expects_new(self) -> bool:
        """Whether the work is usually unknown yet: only a request comes that early."""
        return False

    @property
    def is_remembered(self) -> bool:
        """Whether the work has to remember that it has seen this message."""
        return True

    def records(self) -> tuple[RecordKey, ...]:
        """The work alone: its record remembers the messages."""
        return ((self.kind, self.work_id),)

    def digest(self) -> str:
        """What the work remembers of this message."""
        return message_digest(self.source, self.message_id)

    def find(self, draft: Draft) -> Work | None:
        """The work that the message is about.

        Raises Problem `account_not_found`, and `too_many_messages` when the work cannot remember another.
        """
        check_exists(draft.head)
        work = draft.get((self.kind, self.work_id), Work)
        if work is None or work.has_seen(self.digest()):
            return work
        if self.is_remembered and len(work.seen) >= MAX_MESSAGES_SEEN:
            raise Problem("too_many_messages")
        return work

    def remembered_by(self, work: Work) -> Work:
        """The work, remembering this message."""
        return work.remember(self.digest()) if self.is_remembered else work

    def changes_nothing(self, draft: Draft, work: Work, did: str = "nothing") -> Done:
        """Remember the message (once) and leave everything else."""
        if self.is_remembered and not work.has_seen(self.digest()):
            work = put_work(draft, self.remembered_by(work), moved=False)
        return Done(did=did, record=work)

    def finish(self, draft: Draft, work: Work, first: int, did: str) -> Done:
        """Write the work with its entries from `first` on, and remember the message."""
        work = put_work(draft, self.remembered_by(work), moved=True)
        return Done(did=did, first=first, count=len(draft.entries) - first, record=work)


def hold_for(draft: Draft, message: Message, work: Work, request: WorkRequest, parts: tuple[str, ...]) -> Done:
    """Hold `parts` of the request for `work`, which already has the status that it gets once they are held.

    A refusal (402, 403) is an outcome too, and is entered.
    """
    first = len(draft.entries)
    cause = Cause(actor=message.source, tracking_number=work.tracking_number)
    try:
        check_standing(draft.state, request, parts)
        price = price_parts(draft, request, parts)
    except Problem as refusal:
        if refusal.status not in (402, 403):
            raise
        return message.finish(draft, refuse(draft, work, parts[0], refusal, cause), first, "refused")
    return message.finish(draft, hold(draft, work, price, cause, draft.at_ms() + HOLD_MS), first, "held")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkRequested(Message):
    """`auto_order.requested` and `sourcing.requested`.

    With `attempt` it works only while exactly that attempt is queued, so that nothing need remember it.
    """

    request: WorkRequest

    @property
    def is_remembered(self) -> bool:
        """Only a request that does not name its attempt: the others are told by that."""
        return self.attempt is None

    @property
    def expects_new(self) -> bool:
        """Most requests are the first of their work; one that names its attempt continues a queued one."""
        return self.attempt is None

    def decide(self, draft: Draft) -> Done:
        """Raises Problem `account_not_found`, `order_conflict`, and the two for what is too many: dead letters."""
        work = self.find(draft)
        if work is None:
            return Done(did="duplicate") if self.attempt is not None else self.start(draft, None, self.request)
        queued = work.status == "queued"
        if work.has_seen(self.digest()) or (self.attempt is not None and not (queued and self.attempt == work.attempt)):
            return self.changes_nothing(draft, work, "duplicate")
        if work.store_id != self.request.store_id:
            raise Problem("order_conflict", f"This {work.kind} belongs to another store of the account.")
        if work.status in FAILED:
            return self.start(draft, work, self.request)
        if not is_same_work(work, self.request):
            raise Problem("order_conflict", f"This {work.kind} was requested with different details.")
        if not queued:
            return self.changes_nothing(draft, work, "duplicate")
        return self.start(draft, work, work.request())  # as it was queued, whichever of its methods is named here

    def start(self, draft: Draft, work: Work | None, request: WorkRequest) -> Done:
        """Hold credits for new work, a new attempt, or a queued one; what was charged before is not charged again."""
        begun = begin(draft, work, request, held_status(request))
        missing = tuple(part for part in request.part_names() if begun.live_entry_id(part, request.tracking) is None)
        if work is not None and not missing:
            return self.changes_nothing(draft, work, "duplicate")
        return hold_for(draft, self, begun, request, missing)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionRequested(Message):
    """`tracking_conversion.requested`: holds the tracking part of a known order, or of a manual one it opens.

    `order_type` is None where the message left it out.
    """

    store_id: str
    order_type: str | None
    tracking: str
    tracking_number: str

    def decide(self, draft: Draft) -> Done:
        """Raises NotYet; Problem `account_not_found`, `order_conflict`, the two for what is too many: dead letters."""
        work = self.find(draft)
        if work is None:
            if self.order_type != "manual":
                raise NotYet
            return self.hold(draft, begin(draft, None, self.request("manual", None), "ordered"))
        if work.has_seen(self.digest()):
            return self.changes_nothing(draft, work, "duplicate")
        if work.store_id != self.store_id or self.order_type not in (None, work.order_type):
            raise Problem("order_conflict", "This order was requested with another store or order type.")
        if work.status == "queued":
            raise NotYet
        if work.status == "failed":
            return self.changes_nothing(draft, work)
        try:
            parts_to_charge(work, self.request(work.order_type, work.cost))
        except Problem as problem:
            if problem.code != "already_charged":
                raise
            return self.changes_nothing(draft, work, "duplicate")
        work.check_room()
        return self.hold(draft, ask_for(work, self.tracking))

    def request(self, order_type: str | None, cost: int | None) -> WorkRequest:
        """The work that the order would be with this conversion."""
        return WorkRequest(
            kind="order",
            work_id=self.work_id,
            store_id=self.store_id,
            order_type=order_type,
            tracking=self.tracking,
            cost=cost,
        )

    def hold(self, draft: Draft, work: Work) -> Done:
        """Hold the tracking part alone, and note the number that is to be converted."""
        work = replace(work, tracking_number=self.tracking_number)
        return hold_for(draft, self, work, self.request(work.order_type, work.cost), ("tracking",))


@dataclass(frozen=True, slots=True, kw_only=True)
class Result(Message):
    """A result for one part of the work: placed, failed, completed, accepted, rejected.

    `tracking` is the method that a conversion's result names, if it names one.
    """

    part: str
    settlement: Settlement
    tracking: str | None = None

    def decide(self, draft: Draft) -> Done:
        """Raises NotYet for a result that came before its request; Problem for dead letters.

        Of two contradicting results the first wins: a part that is not open any more changes nothing.
        """
        work = self.find(draft)
        if work is None:
            raise NotYet
        if work.has_seen(self.digest()):
            return self.changes_nothing(draft, work, "duplicate")
        if self.attempt is not None and self.attempt < work.attempt:
            return self.changes_nothing(draft, work)
        if (self.attempt or 0) > work.attempt:
            raise NotYet
        if self.settlement.managed is not None and work.order_type != "fba":
            raise Problem("invalid_field", "Only an fba order is paid for with managed balance.")
        if work.status == "queued" or self.part not in work.known_parts:
            raise NotYet
        if self.ends_open_part(work):
            first = len(draft.entries)
            return self.finish(
                draft, settle_part(draft, work, self.part, self.settlement), first, self.settlement.ended
            )
        return self.after_the_end(draft, work)

    def ends_open_part(self, work: Work) -> bool:
        """Whether the part is open, for the method that the result names, if it names one."""
        part = work.parts.get(self.part)
        return part is not None and part.status == "open" and self.tracking in (None, part.tracking)

    def after_the_end(self, draft: Draft, work: Work) -> Done:
        """A result for what is not open: it completes a conversion that was charged before, or changes nothing.

        Raises NotYet for a method that was neither charged nor given back in this attempt.
        """
        charge = charge_name(self.part, self.tracking or work.tracking)
        ended = charge in work.charged or work.hold_status(charge) in ("released", "expired")
        if self.tracking is not None and not ended:
            raise NotYet
        if self.part == "tracking" and self.settlement.ended == "captured":
            completed = complete_charged(work, charge, self.settlement.cause)
            if completed is not None:
                return Done(did="completed", record=put_work(draft, self.remembered_by(completed), moved=False))
        return self.changes_nothing(draft, work)


def request_message(account_id: str, work: Work) -> dict[str, Any]:
    """The CloudEvent that asks for a queued order's credits. Sent again, it is the same message."""
    cost = {} if work.cost is None else {"cost": format_amount(work.cost)}
    return {
        "specversion": "1.0",
        "id": f"{account_id}/{hold_id('order', work.work_id, work.attempt)}",
        "source": SOURCE,
        "type": "auto_order.requested",
        "data": {
            "account_id": account_id,
            "order_id": work.work_id,
            "store_id": work.store_id,
            "order_type": work.order_type,
            "tracking": work.tracking,
            **cost,
            "attempt": work.attempt,
        },
    }
