"""Every minute: polls the providers for payments whose webhook never arrived, and for disputes that are open."""

from functools import partial
from typing import Any

from autocredits.bootstrap import ledger
from autocredits.domain.errors import BrokenInvariantError, Problem
from autocredits.domain.purchases.calls import PlanPoll, SettleAgain
from autocredits.domain.purchases.fulfil import PaymentEvent
from autocredits.domain.purchases.record import DUE_PURCHASES, EXPIRES_MS, PAYABLE, POLL_DELAYS_MS, Purchase
from autocredits.edge.telemetry import count, logger
from autocredits.ledger.commit import Ledger
from autocredits.ledger.due import work_through
from autocredits.ledger.lists import read_purchase
from autocredits.ledger.ports import Listed, UnavailableError
from autocredits.ledger.time_limit import limit_of
from functions.purchase.checkout import NOT_YET, apply_events
from functions.purchase.payments.registry import provider

ACTOR = "system:poll"
"""Who settles what was left unsettled."""

RESERVE_S = 30.0
"""What polls that have begun may need to end."""


def handler(_event: dict[str, Any], context: Any) -> dict[str, int]:
    """Poll for every purchase that is due, several at a time, as long as there is time."""
    used = ledger()
    with limit_of(context):
        counts = work_through(used.store, used.clock, {DUE_PURCHASES: partial(poll, used)}, RESERVE_S)
    logger.info("polls", extra=counts)
    return counts


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
    events = events_of(due.account_id, purchase, ledger.clock.now_ms())
    did = apply_events(ledger, due.account_id, events, purchase)
    if not set(did) - {"nothing", "put_aside", NOT_YET}:
        _plan(ledger, due, failed=False)


def events_of(account_id: str, purchase: Purchase, now_ms: int) -> list[PaymentEvent]:
    """What the provider says. An unpaid purchase expires in 30 days, one whose start broke off in half an hour.

    After a decline the buyer has to act before the money is asked for again, though the approval still stands.
    """
    checkout = purchase.open_checkout()
    opened = provider(checkout.provider) if checkout else None
    events = list(opened.poll(account_id, purchase)) if opened else []
    if purchase.status() == "declined" and not purchase.capturing():
        events = [event for event in events if event.type != "approved"]
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
