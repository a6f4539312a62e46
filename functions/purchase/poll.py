"""Every minute: asks the providers after payments that never spoke."""

from typing import Any

from autocredits.adapters.production import open_ledger
from autocredits.domain.decide import NotYet
from autocredits.domain.errors import Problem
from autocredits.domain.payments import LOOKS_MS, Purchase
from autocredits.domain.purchases import Fulfil, PaymentNews, PlanLook
from autocredits.edge import settings
from autocredits.edge.telemetry import logger
from autocredits.ledger import DUE_SHARDS, Due, Ledger, UnavailableError
from functions.purchase.checkout import read
from functions.purchase.payments.registry import providers

PER_SHARD = 50
RESERVE_MS = 20_000


def ledger() -> Ledger:
    """The ledger of this function."""
    return open_ledger(settings.table_name())


def handler(_event: dict[str, Any], context: Any) -> dict[str, int]:
    """Look after every purchase that is due, as long as there is time; the rest is due in the next minute."""
    looked = failed = 0
    for shard in range(DUE_SHARDS):
        for due in ledger().store.list_due(shard, ledger().clock.now_ms(), PER_SHARD):
            if context.get_remaining_time_in_millis() < RESERVE_MS:
                break
            if look_after(ledger(), due):
                looked += 1
            else:
                failed += 1
    logger.info("looks", extra={"looked": looked, "failed": failed})
    return {"looked": looked, "failed": failed}


def look_after(ledger: Ledger, due: Due) -> bool:
    """Look after one purchase, and say whether that went well. If not, the next is not to suffer for it."""
    try:
        try:
            _look_after(ledger, due)
        except Exception as error:  # noqa: BLE001 - a provider may raise anything
            logger.warning("look failed", extra={"purchase_id": due.purchase_id, "error": type(error).__name__})
            ledger.execute(due.account_id, PlanLook(due.purchase_id))
            return False
    except (Problem, UnavailableError):
        return False
    return True


def _look_after(ledger: Ledger, due: Due) -> None:
    """Ask the provider of one purchase, and do what it says; else note when to ask next."""
    purchase = read(ledger, due.account_id, due.purchase_id)
    if purchase is None or purchase.look_at is None or purchase.look_at > ledger.clock.now_ms():
        return  # the list lags: it has been looked after already
    news = news_of(due.account_id, purchase, ledger.clock.now_ms())
    if news is not None:
        try:
            ledger.execute(due.account_id, Fulfil(news, purchase.coupon))
        except NotYet:
            news = None
    if news is None:
        ledger.execute(due.account_id, PlanLook(due.purchase_id))


def news_of(account_id: str, purchase: Purchase, now_ms: int) -> PaymentNews | None:
    """What the provider says. A purchase whose start broke off has expired once half an hour has passed."""
    if not purchase.checkout:
        if now_ms - purchase.created_at < LOOKS_MS[2]:
            return None
        return PaymentNews(provider=purchase.provider or "", what="expired", purchase_id=purchase.purchase_id)
    provider = providers().get(purchase.provider or "")
    return provider.look(account_id, purchase) if provider else None
