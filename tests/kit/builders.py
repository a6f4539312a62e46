"""What the tests are built from: callers, work, commands and messages with plain defaults, and an account to try them.

Amounts are hundredths, as inside the product.
"""

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from autocredits.bootstrap import catalog
from autocredits.domain.access import Caller
from autocredits.domain.accounts import Adjust, ChangeStanding, OpenAccount
from autocredits.domain.decide import Command, Done, IdempotencyKey
from autocredits.domain.errors import Problem
from autocredits.domain.journal import NO_PAGE_HASH, Entry, Page
from autocredits.domain.state import Balance, State
from autocredits.domain.work.calls import Debit, Hold, QueueOrder, SettleHold
from autocredits.domain.work.charging import Cause
from autocredits.domain.work.lifecycle import HOLD_MS, Settlement
from autocredits.domain.work.record import Kind, Work, WorkRequest
from autocredits.edge.messages import parse_message
from autocredits.ledger.commit import Accepted, Ledger
from autocredits.ledger.ports import Store
from tests.kit.memory import ManualClock, MemoryStore

CATALOG = catalog()
ACCOUNT_ID = "acme"
PLATFORM = Caller("platform", "*")
NOW_MS = 1_764_000_000_000

_numbers = itertools.count(1)


def fresh(prefix: str) -> str:
    """A name that no other test has used."""
    return f"{prefix}-{next(_numbers)}"


def merchant(account_id: str = ACCOUNT_ID, store_id: str | None = None) -> Caller:
    """A merchant's token, perhaps bound to a store."""
    return Caller("merchant", account_id, store_id)


def idempotency(key: str | None = None, fingerprint: str | None = None) -> IdempotencyKey:
    """A key with the fingerprint of its request; both new unless given."""
    key = key or fresh("key")
    return IdempotencyKey(key, fingerprint or f"request of {key}")


def order(
    order_id: str = "o1", order_type: str = "auto", tracking: str = "none", *, store_id: str = "s1", cost: int = 2350
) -> WorkRequest:
    """WORK of an order; `cost` counts for `fba` alone."""
    return WorkRequest(
        kind="order",
        work_id=order_id,
        store_id=store_id,
        order_type=order_type,
        tracking=tracking,
        cost=cost if order_type == "fba" else None,
    )


def product(product_id: str = "p1", *, store_id: str = "s1") -> WorkRequest:
    """WORK of a sourcing request."""
    return WorkRequest(kind="product", work_id=product_id, store_id=store_id)


def debit(request: WorkRequest, key: IdempotencyKey | None = None, caller: Caller = PLATFORM) -> Debit:
    """A debit over HTTP."""
    return Debit(caller, key or idempotency(), request)


def hold(
    request: WorkRequest, key: IdempotencyKey | None = None, caller: Caller = PLATFORM, lasts_ms: int = HOLD_MS
) -> Hold:
    """A hold over HTTP."""
    return Hold(caller, key or idempotency(), request, lasts_ms)


def queue_order(request: WorkRequest, key: IdempotencyKey | None = None) -> QueueOrder:
    """An order over HTTP that is to be queued."""
    return QueueOrder(PLATFORM, key or idempotency(), request)


def capture(
    work_id: str = "o1",
    attempt: int = 1,
    *,
    parts: Sequence[str] | None = None,
    managed: int | None = None,
    kind: Kind = "order",
    caller: Caller = PLATFORM,
) -> SettleHold:
    """A capture over HTTP."""
    settlement = Settlement("captured", Cause(actor=caller.actor), managed)
    return SettleHold(caller=caller, kind=kind, work_id=work_id, attempt=attempt, settlement=settlement, parts=parts)


def release(
    work_id: str = "o1",
    attempt: int = 1,
    *,
    parts: Sequence[str] | None = None,
    kind: Kind = "order",
    caller: Caller = PLATFORM,
) -> SettleHold:
    """A release over HTTP."""
    settlement = Settlement("released", Cause(actor=caller.actor, reason="not needed"))
    return SettleHold(caller=caller, kind=kind, work_id=work_id, attempt=attempt, settlement=settlement, parts=parts)


def adjust(unit: str, amount: int, key: IdempotencyKey | None = None, caller: Caller = PLATFORM) -> Adjust:
    """An adjustment over HTTP."""
    return Adjust(caller, key or idempotency(), unit, amount, "a gift", None)


def envelope(
    event_type: str, data: dict[str, Any], *, message_id: str | None = None, source: str = "engine"
) -> dict[str, Any]:
    """A CloudEvent."""
    message_id = message_id or fresh("message")
    return {"specversion": "1.0", "id": message_id, "source": source, "type": event_type, "data": data}


def message(event_type: str, *, message_id: str | None = None, source: str = "engine", **data: Any) -> Command:
    """What a message asks for; it is new unless its id is given."""
    event = envelope(event_type, {"account_id": ACCOUNT_ID, **data}, message_id=message_id, source=source)
    return parse_message(json.dumps(event))[2]


def requested(
    order_id: str = "o1",
    tracking: str = "none",
    order_type: str = "auto",
    *,
    message_id: str | None = None,
    **data: Any,
) -> Command:
    """`auto_order.requested` from store s1, unless `data` says otherwise."""
    cost = {"cost": "23.50"} if order_type == "fba" else {}
    work = {"order_id": order_id, "store_id": "s1", "order_type": order_type, "tracking": tracking, **cost}
    return message("auto_order.requested", message_id=message_id, **(work | data))


def placed(order_id: str = "o1", **data: Any) -> Command:
    """`auto_order.placed`."""
    return message("auto_order.placed", **({"order_id": order_id, "supplier_order_id": "supplier-1"} | data))


def failed(order_id: str = "o1", **data: Any) -> Command:
    """`auto_order.failed`."""
    return message("auto_order.failed", **({"order_id": order_id, "reason": "out of stock"} | data))


def conversion(order_id: str = "o1", tracking: str = "qtrack", **data: Any) -> Command:
    """`tracking_conversion.requested` from store s1, unless `data` says otherwise."""
    plain = {"order_id": order_id, "store_id": "s1", "tracking": tracking, "tracking_number": "TBA1"}
    return message("tracking_conversion.requested", **(plain | data))


def completed(order_id: str = "o1", **data: Any) -> Command:
    """`tracking_conversion.completed`."""
    return message("tracking_conversion.completed", **({"order_id": order_id, "tracking_number": "BCE1"} | data))


def conversion_failed(order_id: str = "o1", **data: Any) -> Command:
    """`tracking_conversion.failed`."""
    return message("tracking_conversion.failed", **({"order_id": order_id, "reason": "no number"} | data))


def sourcing(product_id: str = "p1", **data: Any) -> Command:
    """`sourcing.requested` from store s1, unless `data` says otherwise."""
    return message("sourcing.requested", **({"product_id": product_id, "store_id": "s1"} | data))


def accepted(product_id: str = "p1", **data: Any) -> Command:
    """`sourcing.accepted`."""
    return message("sourcing.accepted", **({"product_id": product_id} | data))


def rejected(product_id: str = "p1", **data: Any) -> Command:
    """`sourcing.rejected`."""
    return message("sourcing.rejected", **({"product_id": product_id} | data))


def state_of(
    auto_order: int = 10_000, managed: int = 100_000, *, held: int = 0, status: str = "active", add_on: str = "active"
) -> State:
    """An account's state; `held` is of `auto_order`."""
    balances = {"auto_order": Balance(auto_order, held), "managed": Balance(managed)}
    return State(status=status, orders_processor=add_on, balances=balances)


def page_of(state: State, version: int = 7, at: int = NOW_MS) -> Page:
    """A page that left the account in `state`; what is before it does not matter."""
    return Page(ACCOUNT_ID, version, at, (), state, NO_PAGE_HASH, "a" * 64)


def replaced_request(request: WorkRequest, **values: Any) -> WorkRequest:
    """The request with other values."""
    return replace(request, **values)


@dataclass(slots=True)
class Account:
    """An account on a ledger in memory, driven command by command."""

    store: MemoryStore = field(default_factory=MemoryStore)
    clock: ManualClock = field(default_factory=ManualClock)
    account_id: str = ACCOUNT_ID

    def ledger(self, store: Store | None = None) -> Ledger:
        """The ledger, perhaps over another view of the store."""
        return Ledger(store or self.store, self.clock, CATALOG)

    def do(self, command: Command) -> Accepted:
        """Do the command; it must be accepted."""
        return self.ledger().execute(self.account_id, command)

    def did(self, command: Command) -> str:
        """What the command did, in the product's own word."""
        return self.do(command).done.did

    def refusal(self, command: Command) -> Problem:
        """Why the command is refused; it must be."""
        try:
            accepted_command = self.do(command)
        except Problem as problem:
            return problem
        raise AssertionError(f"accepted: {accepted_command.done.did}")

    def page(self) -> Page:
        """The newest page."""
        page = self.store.head(self.account_id)
        assert page is not None
        return page

    def pages(self) -> list[Page]:
        """All pages, oldest first."""
        return list(self.store.pages_before(self.account_id, 10**9, 10**9))[::-1]

    def balance(self, unit: str = "auto_order") -> tuple[int, int]:
        """Posted and held."""
        balance = self.page().state.balance(unit)
        return balance.posted, balance.held

    def work(self, work_id: str = "o1", kind: Kind = "order") -> Work:
        """The work record."""
        record = self.store.read(self.account_id, [(kind, work_id)])[kind, work_id]
        assert isinstance(record, Work)
        return record

    def works(self) -> list[Work]:
        """All work records."""
        keys = [key for account_id, key in self.store.records if account_id == self.account_id]
        return [record for record in self.store.read(self.account_id, keys).values() if isinstance(record, Work)]

    def age(self, rev: int, work_id: str = "o1") -> None:
        """Let the order have been written so often."""
        place = (self.account_id, ("order", work_id))
        self.store.records[place] = json.dumps(json.loads(self.store.records[place]) | {"rev": rev})

    def set_standing(self, **changes: Any) -> None:
        """Change status, add-on or threshold."""
        self.do(ChangeStanding(PLATFORM, changes))


def opened(credits_: int = 500, managed: int = 0, *, add_on: str = "active", account: Account | None = None) -> Account:
    """An account that was just opened, with so much of `auto_order` and `managed`."""
    account = account or Account()
    account.do(OpenAccount(PLATFORM, add_on))
    if credits_ != 500:
        account.do(adjust("auto_order", credits_ - 500))
    if managed:
        account.do(adjust("managed", managed))
    return account


def beside(account: Account, command: Command) -> tuple[Done, list[Entry]]:
    """Do the command in a page that another one has begun; its outcome, and its own entries."""
    _, answer = account.ledger().execute_all(ACCOUNT_ID, [adjust("finder", 1), command])
    assert isinstance(answer, Accepted)
    assert answer.page.hash == account.page().hash
    first, done = answer.page.entries[0], answer.done
    assert (first.kind, first.unit, first.posted) == ("adjusted", "finder", 1)
    assert done.first in ((1,) if done.count else (0, 1))  # a purchase names its place without an entry too
    assert done.count == len(answer.page.entries) - 1
    return done, list(answer.page.entries[1:])
