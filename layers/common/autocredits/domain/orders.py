"""What each message from the queue does to the work it names (contract, section 7).

Identity is the business: order, part, attempt. A message delivered twice, late or in another order ends the same.
Whatever is not written here changes nothing, but is remembered.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from .accounts import check_exists
from .charges import (
    FAILED,
    HOLD_MS,
    Cause,
    enter_refusal,
    held_status,
    open_parts,
    parts_to_charge,
    present_work,
    price_parts,
)
from .decide import Done, Draft, NotYet
from .errors import Problem
from .records import RecordKey
from .settle import capture, release
from .work import MAX_MESSAGES_SEEN, Kind, Work, WorkRequest, message_digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message about a piece of work. `source` and `message_id` are its CloudEvent's `source` and `id`."""

    source: str
    message_id: str
    kind: Kind
    work_id: str
    attempt: int | None = None

    def records(self) -> tuple[RecordKey, ...]:
        """The work alone: its record remembers the messages."""
        return ((self.kind, self.work_id),)

    def expects_new(self) -> bool:
        """Only a request usually comes before its work is known."""
        return False

    def digest(self) -> str:
        """What the work remembers of this message."""
        return message_digest(self.source, self.message_id)

    def find(self, draft: Draft) -> Work | None:
        """The work that the message is about.

        Raises Problem `account_not_found`, and `too_many_messages` when the work cannot remember another.
        """
        check_exists(draft.head)
        work = draft.work((self.kind, self.work_id))
        if work is None or work.has_seen(self.digest()):
            return work
        if len(work.seen) >= MAX_MESSAGES_SEEN:
            raise Problem("too_many_messages")
        return work

    def changes_nothing(self, draft: Draft, work: Work, did: str = "nothing") -> Done:
        """Remember the message (once) and leave everything else."""
        if not work.has_seen(self.digest()):
            work = draft.put_work(work.meet(self.digest()), moved=False)
        return Done(did=did, work=work)

    def finish(self, draft: Draft, work: Work, first: int, did: str) -> Done:
        """Write the work with its entries from `first` on, and remember the message."""
        work = draft.put_work(work.meet(self.digest()), moved=True)
        return Done(did=did, first=first, count=len(draft.entries) - first, work=work)


def hold_for(draft: Draft, message: Message, work: Work, request: WorkRequest, parts: tuple[str, ...]) -> Done:
    """Hold `parts` of the request for `work`, which is given as it stands once they are held.

    A refusal (402, 403) is an outcome too: it is entered. Work that was to begin has failed then; an order whose
    later conversion is refused stays as it was.
    """
    first = len(draft.entries)
    cause = Cause(actor=message.source, tracking_number=work.tracking_number)
    try:
        price = price_parts(draft, request, parts)
    except Problem as refusal:
        if refusal.status not in (402, 403):
            raise
        failed = enter_refusal(draft, work, parts[0], refusal, cause)
        before = draft.work(work.key())
        return message.finish(draft, before if before and parts[0] == "tracking" else failed, first, "refused")
    work = open_parts(draft, work, price, cause, draft.at_ms() + HOLD_MS)
    return message.finish(draft, work, first, "held")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkRequested(Message):
    """`auto_order.requested` and `sourcing.requested`.

    With `attempt` it works only while exactly that attempt is queued.
    """

    request: WorkRequest

    def expects_new(self) -> bool:
        """Most requests are the first of their work, but for those that continue a queued attempt."""
        return self.attempt is None

    def decide(self, draft: Draft) -> Done:
        """Raises Problem `account_not_found`, `order_conflict`, `too_many_messages`: dead letters."""
        work = self.find(draft)
        if work is None:
            return Done(did="duplicate") if self.attempt is not None else self.begin(draft, None)
        queued = work.status == "queued"
        if work.has_seen(self.digest()) or (self.attempt is not None and not (queued and self.attempt == work.attempt)):
            return self.changes_nothing(draft, work, "duplicate")
        if work.store_id != self.request.store_id:
            raise Problem("order_conflict", f"This {work.kind} belongs to another store of the account.")
        if work.status in FAILED:
            return self.begin(draft, work)
        if not is_same_work(work, self.request):
            raise Problem("order_conflict", f"This {work.kind} is known with other work.")
        return self.begin(draft, work) if queued else self.changes_nothing(draft, work, "duplicate")

    def begin(self, draft: Draft, work: Work | None) -> Done:
        """Hold credits for new work, a new attempt, or a queued one; what was charged before is not charged again."""
        begun = present_work(draft, work, self.request, held_status(self.request))
        parts = self.request.part_names()
        missing = tuple(part for part in parts if begun.live_entry_id(part, self.request.tracking) is None)
        if work is not None and not missing:
            return self.changes_nothing(draft, work, "duplicate")
        return hold_for(draft, self, begun, self.request, missing)


def is_same_work(work: Work, request: WorkRequest) -> bool:
    """Whether the request asks for what the record already stands for: its own method, or parts it has charged."""
    if (work.order_type, work.cost) != (request.order_type, request.cost):
        return False
    if request.tracking == work.tracking:
        return True
    return all(work.live_entry_id(part, request.tracking) is not None for part in request.part_names())


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
        """Raises NotYet, and Problem `account_not_found`, `order_conflict`, `too_many_messages`: dead letters."""
        work = self.find(draft)
        if work is None:
            if self.order_type != "manual":
                raise NotYet
            return self.hold(draft, present_work(draft, None, self.request("manual", None), "ordered"))
        if work.has_seen(self.digest()):
            return self.changes_nothing(draft, work, "duplicate")
        if work.store_id != self.store_id or self.order_type not in (None, work.order_type):
            raise Problem("order_conflict", "This order is known with another store or order type.")
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
        return self.hold(draft, replace(work, tracking=self.tracking))

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


@dataclass(frozen=True, slots=True)
class Capture:
    """A good result. `managed` (US cents) may be more than was held, and is then spent."""

    cause: Cause
    managed: int | None = None
    did: ClassVar[str] = "captured"

    def settle(self, draft: Draft, work: Work, part: str) -> Work:
        """Take the part."""
        return capture(draft, work, part, self.cause, self.managed)


@dataclass(frozen=True, slots=True)
class Release:
    """A bad result."""

    cause: Cause
    did: ClassVar[str] = "released"

    def settle(self, draft: Draft, work: Work, part: str) -> Work:
        """Give the part back."""
        return release(draft, work, part, self.cause)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result(Message):
    """A result for one part of the work: placed, failed, completed, accepted, rejected.

    `tracking` is the method that a conversion's result names, if it names one.
    """

    part: str
    settlement: Capture | Release
    tracking: str | None = None

    def decide(self, draft: Draft) -> Done:
        """Raises NotYet while the part it speaks of was never held; Problem for dead letters.

        Of two contradicting results the first wins: a part that is not open any more changes nothing.
        """
        work = self.find(draft)
        if work is None:
            raise NotYet
        if work.has_seen(self.digest()):
            return self.changes_nothing(draft, work, "duplicate")
        if self.attempt is not None and self.attempt < work.attempt:
            return self.changes_nothing(draft, work)
        if work.status == "queued" or (self.attempt or 0) > work.attempt or self.part not in work.known_parts:
            raise NotYet
        if self.part not in work.open_parts() or self.names_another_method(work):
            return self.changes_nothing(draft, work)
        first = len(draft.entries)
        work = self.settlement.settle(draft, work, self.part)
        return self.finish(draft, work, first, self.settlement.did)

    def names_another_method(self, work: Work) -> bool:
        """Whether the result is for another tracking method than the open one."""
        return self.tracking is not None and work.parts[self.part].tracking != self.tracking
