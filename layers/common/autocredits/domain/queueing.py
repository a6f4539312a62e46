"""Orders that are queued over HTTP: recorded first, sent to the queue after, judged there (contract, section 5).

The record is the truth and the message only a reminder of it, so there is no dual write: a message that got lost is
sent again, and one too many changes nothing, because it carries the attempt that it is for.
"""

from dataclasses import dataclass, replace
from typing import Any

from .access import Caller
from .accounts import check_exists
from .charges import check_visible, check_works_for, is_converted, present_work
from .decide import Done, Draft, IdempotencyKey
from .errors import Problem
from .ids import hold_id
from .money import format_amount
from .orders import is_same_work
from .records import RecordKey
from .work import Work, WorkRequest

SOURCE = "autocredits"
"""The `source` of the service's own messages."""


@dataclass(frozen=True, slots=True)
class QueueOrder:
    """Records an order as `queued`; a failed one as a new attempt. Known work is left as it is."""

    caller: Caller
    idempotency: IdempotencyKey
    request: WorkRequest

    def records(self) -> tuple[RecordKey, ...]:
        """The idempotency key and the order."""
        return ("key", self.idempotency.key), self.request.key()

    def expects_new(self) -> bool:
        """Most keys and most orders are new."""
        return True

    def decide(self, draft: Draft) -> Done:
        """Raises Problem `account_not_found`, `store_forbidden`, `idempotency_key_reused`, `order_conflict`."""
        check_exists(draft.head)
        check_works_for(self.caller, self.request)
        work = draft.work(self.request.key())
        if replay := draft.replay(self.idempotency):
            return replace(replay, work=work)
        if work is not None and work.store_id != self.request.store_id:
            raise Problem("order_conflict", "This order belongs to another store of the account.")
        if work is None or work.status == "failed":
            work = draft.put_work(present_work(draft, work, self.request, "queued"), moved=False)
        elif not is_same_work(work, self.request):
            raise Problem("order_conflict", "This order is known with other work.")
        return Done(did="queued", work=work, key_record=draft.remember_status(self.idempotency, work))


@dataclass(frozen=True, slots=True)
class ResendOrder:
    """Queues a failed order again, as a new attempt. `request_id` names the request, for its own retries."""

    caller: Caller
    order_id: str
    request_id: str

    def records(self) -> tuple[RecordKey, ...]:
        """The order."""
        return (("order", self.order_id),)

    def expects_new(self) -> bool:
        """The order is there, or there is nothing to resend."""
        return False

    def decide(self, draft: Draft) -> Done:
        """Raises Problem `account_not_found`, `order_not_found`, `invalid_transition` unless it has failed."""
        check_exists(draft.head)
        work = check_visible(self.caller, draft.work(("order", self.order_id)), "order_not_found")
        if work.status == "queued" and work.resent_by == self.request_id:
            return Done(did="resent", work=work)
        if work.status != "failed":
            raise Problem("invalid_transition", "Only a failed order can be sent again.")
        again = replace(
            work,
            status="queued",
            attempt=work.attempt + 1,
            parts={},
            converted=is_converted(work, work.tracking),
            reason=None,
            resent_by=self.request_id,
        )
        return Done(did="resent", work=draft.put_work(again, moved=False))


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
