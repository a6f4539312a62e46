"""Every minute: polls the providers for payments whose webhook never arrived, and for disputes that are open."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from itertools import zip_longest
from typing import Any

from autocredits.bootstrap import ledger
from autocredits.domain.decide import NotYet
from autocredits.domain.errors import BrokenInvariantError, Problem
from autocredits.domain.purchases.calls import PAYABLE, PlanPoll, SettleAgain
from autocredits.domain.purchases.fulfil import PaymentEvent
from autocredits.domain.purchases.record import DUE_PURCHASES, EXPIRES_MS, POLL_DELAYS_MS, Purchase
from autocredits.domain.records import NO_ACCOUNT
from autocredits.edge.telemetry import count, logger
from autocredits.ledger.commit import Ledger
from autocredits.ledger.lists import read_purchase
from autocredits.ledger.ports import Listed, UnavailableError
from autocredits.ledger.time_limit import has_time, limit_of
from functions.purchase.checkout import apply_event
from functions.purchase.payments.registry import provider

PER_READ = 50
AT_ONCE = 8
ACTOR = "system:poll"
"""Who settles what was left unsettled."""

RESERVE_S = 30.0
"""What polls that have begun may need to end."""


def handler(_event: dict[str, Any], context: Any) -> dict[str, int]:
    """Poll for every purchase that is due, several at a time, as long as there is time."""
    with limit_of(context), ThreadPoolExecutor(AT_ONCE) as pool:
        polls = [pool.submit(copy_context().run, _poll_in_time, ledger(), due) for due in due_purchases(ledger())]
        polled = [poll.result() for poll in polls]
    counts = {"polled": polled.count(True), "failed": polled.count(False), "left": polled.count(None)}
    logger.info("polls", extra=counts)
    return counts


def due_purchases(ledger: Ledger) -> Iterator[Listed]:
    """What is due by now, the longest overdue first, from all shards in turn; a full one holds up no other."""
    shards = [_due_of_shard(ledger, shard) for shard in range(DUE_PURCHASES.shards)]
    for row in zip_longest(*shards):
        yield from (due for due in row if due is not None)


def _due_of_shard(ledger: Ledger, shard: int) -> Iterator[Listed]:
    start, now_ms = "", ledger.clock.now_ms()
    while has_time(RESERVE_S):
        listed = ledger.store.list(DUE_PURCHASES, NO_ACCOUNT, start=start, limit=PER_READ, shard=shard)
        yield from (due for due in listed if due.at_ms() <= now_ms)
        if len(listed) < PER_READ or listed[-1].at_ms() > now_ms:
            return
        start = listed[-1].position


def _poll_in_time(ledger: Ledger, due: Listed) -> bool | None:
    return poll(ledger, due) if has_time(RESERVE_S) else None


def poll(ledger: Ledger, due: Listed) -> bool:
    """Poll for one purchase, and say whether that went well. If not, it is put back and no other suffers for it."""
    try:
        _poll(ledger, due)
    except Exception as error:  # noqa: BLE001 - a provider may raise anything
        if isinstance(error, BrokenInvariantError):
            count("BrokenInvariant")
        count("PollFailed")
        logger.warning("poll failed", extra={"purchase_id": due.item_id, "error": type(error).__name__})
        _plan(ledger, due, failed=True)
        return False
    return True


def _plan(ledger: Ledger, due: Listed, *, failed: bool) -> None:
    """Note when the purchase is polled for next. It needs no page of the account, which may be unreadable."""
    try:
        ledger.execute(due.account_id, PlanPoll(purchase_id=due.item_id, failed=failed), reads_page=False)
    except (Problem, UnavailableError, BrokenInvariantError) as error:
        logger.warning("poll not planned", extra={"purchase_id": due.item_id, "error": type(error).__name__})


def _poll(ledger: Ledger, due: Listed) -> None:
    """Ask the provider about one purchase, and do what it says; else note when to ask next."""
    purchase = read_purchase(ledger.store, due.account_id, due.item_id)
    if purchase is None or purchase.poll_at is None or purchase.poll_at > ledger.clock.now_ms():
        return  # the list lags: it has been polled for already
    if purchase.unsettled:
        again = SettleAgain(purchase_id=due.item_id, coupon=purchase.coupon, actor=ACTOR)
        purchase = ledger.execute(due.account_id, again).record(Purchase)
    changed = False
    for event in events_of(due.account_id, purchase, ledger.clock.now_ms()):
        try:
            changed |= apply_event(ledger, due.account_id, event, purchase) not in ("nothing", "put_aside")
        except NotYet:
            continue
    if not changed:
        _plan(ledger, due, failed=False)


def events_of(account_id: str, purchase: Purchase, now_ms: int) -> list[PaymentEvent]:
    """What the provider says. An unpaid purchase expires in 30 days, one whose start broke off in half an hour."""
    checkout = purchase.open_checkout()
    opened = provider(checkout.provider) if checkout else None
    events = list(opened.poll(account_id, purchase)) if opened else []
    if checkout is None or purchase.status() not in PAYABLE or any(event.type == "paid" for event in events):
        return events
    broke_off = checkout.reference is None and now_ms - checkout.started_at >= POLL_DELAYS_MS[2]
    if broke_off or now_ms - purchase.created_at >= EXPIRES_MS:
        expired = PaymentEvent(
            provider=checkout.provider,
            type="expired",
            purchase_id=purchase.purchase_id,
            checkout=checkout.number if broke_off else None,
        )
        return [*events, expired]
    return events
