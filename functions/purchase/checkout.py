"""Starting a purchase, and doing what a payment's news says: the two steps that all doors of this room share."""

import hashlib
from dataclasses import replace

from autocredits.domain.decide import NotYet
from autocredits.domain.payments import Payment, Purchase, payment_key
from autocredits.domain.purchases import Fulfil, PaymentNews, RecordCheckout, StartPurchase
from autocredits.edge.telemetry import count, logger
from autocredits.ledger import Accepted, Ledger
from functions.purchase.payments.port import Checkout, Provider, Told


def purchase_id_of(account_id: str, key: str) -> str:
    """The id of the purchase that a key starts: the same for the same key, and nothing to be guessed from it."""
    return "pur_" + hashlib.sha256(f"{account_id}#{key}".encode()).hexdigest()[:26]


def start(
    ledger: Ledger, provider: Provider, account_id: str, command: StartPurchase, payer_email: str | None
) -> Accepted:
    """Record the purchase, then let the provider know of it, then note that it does.

    If it ends in between, the same key goes on where it stopped: the provider takes the same purchase but once.
    Raises Problem, and UnavailableError when the provider cannot be asked.
    """
    accepted = ledger.execute(account_id, command)
    purchase = read(ledger, account_id, command.purchase_id)
    if purchase is not None and purchase.status == "pending" and not purchase.checkout:
        checkout = Checkout(
            account_id=account_id,
            purchase_id=purchase.purchase_id,
            price=purchase.price,
            description=purchase.package or "managed balance",
            return_url=purchase.return_url,
            payer_email=payer_email,
        )
        started = provider.start(checkout)
        ledger.execute(
            account_id,
            RecordCheckout(
                purchase_id=purchase.purchase_id,
                provider_reference=started.reference,
                redirect_url=started.redirect_url,
            ),
        )
    return accepted


def read(ledger: Ledger, account_id: str, purchase_id: str) -> Purchase | None:
    """The purchase as it stands."""
    record = ledger.store.read(account_id, [("purchase", purchase_id)]).get(("purchase", purchase_id))
    return record if isinstance(record, Purchase) else None


def hear(ledger: Ledger, provider: Provider, told: Told) -> int:
    """Do what a webhook says, and give the status to answer: 200 done, 202 put aside, 503 to be sent again.

    Raises Problem `try_again`, and UnavailableError when the provider would have to be asked and cannot be.
    """
    named = _purchase_named(ledger, provider, told)
    if named is None:
        count("ForeignPayment")
        return 200
    account_id, purchase_id = named
    news = replace(told.news, purchase_id=purchase_id)
    purchase = read(ledger, account_id, purchase_id)
    if purchase is None:
        return _put_aside(account_id, news, "no such purchase in this account")
    try:
        done = ledger.execute(account_id, Fulfil(news, purchase.coupon)).done
    except NotYet:
        return 503
    if done.did == "put_aside":
        return _put_aside(account_id, news, "the payment does not fit the purchase")
    logger.info("payment", extra=_about(account_id, news) | {"did": done.did})
    return 200


def _purchase_named(ledger: Ledger, provider: Provider, told: Told) -> tuple[str, str] | None:
    """The account and purchase that news is about; None if they are not ours."""
    if told.account_id is not None and told.news.purchase_id:
        return told.account_id, told.news.purchase_id
    if told.news.payment_id is None:
        return None
    key = payment_key(told.news.provider, told.news.payment_id)
    payment = ledger.store.read("", [key]).get(key)
    if isinstance(payment, Payment):
        return payment.account_id, payment.purchase_id
    return provider.find_purchase(told.news.payment_id)


def _put_aside(account_id: str, news: PaymentNews, reason: str) -> int:
    count("PaymentPutAside")
    logger.warning("payment put aside", extra=_about(account_id, news) | {"reason": reason})
    return 202


def _about(account_id: str, news: PaymentNews) -> dict[str, str | None]:
    return {
        "account_id": account_id,
        "purchase_id": news.purchase_id,
        "provider": news.provider,
        "payment_id": news.payment_id,
        "what": news.what,
        "decline": news.support_code,
    }
