"""Every minute: polls the providers for payments whose webhook never arrived."""

from collections.abc import Iterator
from typing import Any

from autocredits.bootstrap import ledger
from autocredits.domain.decide import NotYet
from autocredits.domain.errors import Problem
from autocredits.domain.purchases.calls import PlanPoll
from autocredits.domain.purchases.fulfil import Fulfil, PaymentEvent
from autocredits.domain.purchases.record import DUE_PURCHASES, POLL_DELAYS_MS, Purchase
from autocredits.domain.records import NO_ACCOUNT
from autocredits.edge.telemetry import logger
from autocredits.ledger.commit import Ledger
from autocredits.ledger.lists import read_purchase
from autocredits.ledger.ports import Listed, UnavailableError
from functions.purchase.payments.registry import providers

PER_SHARD = 50
RESERVE_MS = 20_000


def handler(_event: dict[str, Any], context: Any) -> dict[str, int]:
    """Poll for every purchase that is due, as long as there is time; the rest is due in the next minute."""
    polled = failed = 0
    for due in due_purchases(ledger()):
        if context.get_remaining_time_in_millis() < RESERVE_MS:
            break
        if poll(ledger(), due):
            polled += 1
        else:
            failed += 1
    logger.info("polls", extra={"polled": polled, "failed": failed})
    return {"polled": polled, "failed": failed}


def due_purchases(ledger: Ledger) -> Iterator[Listed]:
    """What is due by now, at most 50 of each shard, the longest overdue first."""
    for shard in range(DUE_PURCHASES.shards):
        listed = ledger.store.list(DUE_PURCHASES, NO_ACCOUNT, limit=PER_SHARD, shard=shard)
        now_ms = ledger.clock.now_ms()
        yield from (due for due in listed if due.at_ms() <= now_ms)


def poll(ledger: Ledger, due: Listed) -> bool:
    """Poll for one purchase, and say whether that went well. If not, the others must not suffer for it."""
    try:
        try:
            _poll(ledger, due)
        except Exception as error:  # noqa: BLE001 - a provider may raise anything
            logger.warning("poll failed", extra={"purchase_id": due.item_id, "error": type(error).__name__})
            ledger.execute(due.account_id, PlanPoll(due.item_id))
            return False
    except (Problem, UnavailableError):
        return False
    return True


def _poll(ledger: Ledger, due: Listed) -> None:
    """Ask the provider about one purchase, and do what it says; else note when to ask next."""
    purchase = read_purchase(ledger.store, due.account_id, due.item_id)
    if purchase is None or purchase.poll_at is None or purchase.poll_at > ledger.clock.now_ms():
        return  # the list lags: it has been polled for already
    event = event_of(due.account_id, purchase, ledger.clock.now_ms())
    if event is not None:
        try:
            ledger.execute(due.account_id, Fulfil(event, purchase.coupon))
        except NotYet:
            event = None
    if event is None:
        ledger.execute(due.account_id, PlanPoll(due.item_id))


def event_of(account_id: str, purchase: Purchase, now_ms: int) -> PaymentEvent | None:
    """What the provider says. A purchase whose start broke off has expired once half an hour has passed."""
    if not purchase.checkout:
        if now_ms - purchase.created_at < POLL_DELAYS_MS[2]:
            return None
        return PaymentEvent(provider=purchase.provider or "", type="expired", purchase_id=purchase.purchase_id)
    provider = providers().get(purchase.provider or "")
    return provider.poll(account_id, purchase) if provider else None
