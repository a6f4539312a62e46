"""The two steps of buying that touch a provider: starting a payment, and handling what a webhook says of one."""

import hashlib
from dataclasses import replace

from autocredits.domain.decide import NotYet
from autocredits.domain.purchases.calls import RecordCheckout, StartPurchase
from autocredits.domain.purchases.fulfil import Fulfil, PaymentEvent
from autocredits.domain.purchases.record import Payment, payment_key
from autocredits.domain.records import NO_ACCOUNT
from autocredits.edge.telemetry import count, logger
from autocredits.ledger.commit import Accepted, Ledger
from autocredits.ledger.lists import read_purchase
from functions.purchase.payments.port import Checkout, Provider, Webhook


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
    purchase = read_purchase(ledger.store, account_id, command.purchase_id)
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


def handle_webhook(ledger: Ledger, provider: Provider, webhook: Webhook) -> int:
    """Do what a webhook says, and give the status to answer: 200 done, 202 put aside, 503 to be sent again.

    Raises Problem `try_again`, and UnavailableError when the provider would have to be asked and cannot be.
    """
    named = _purchase_named(ledger, provider, webhook)
    if named is None:
        count("ForeignPayment")
        return 200
    account_id, purchase_id = named
    event = replace(webhook.event, purchase_id=purchase_id)
    purchase = read_purchase(ledger.store, account_id, purchase_id)
    if purchase is None:
        return _put_aside(account_id, event, "no such purchase in this account")
    try:
        done = ledger.execute(account_id, Fulfil(event, purchase.coupon)).done
    except NotYet:
        return 503
    if done.did == "put_aside":
        return _put_aside(account_id, event, "the payment does not fit the purchase")
    logger.info("payment", extra=_about(account_id, event) | {"did": done.did})
    return 200


def _purchase_named(ledger: Ledger, provider: Provider, webhook: Webhook) -> tuple[str, str] | None:
    """The account and purchase that a webhook is about; None if they are not ours."""
    if webhook.account_id is not None and webhook.event.purchase_id:
        return webhook.account_id, webhook.event.purchase_id
    if webhook.event.payment_id is None:
        return None
    key = payment_key(webhook.event.provider, webhook.event.payment_id)
    payment = ledger.store.read(NO_ACCOUNT, [key]).get(key)
    if isinstance(payment, Payment):
        return payment.account_id, payment.purchase_id
    return provider.find_purchase(webhook.event.payment_id)


def _put_aside(account_id: str, event: PaymentEvent, reason: str) -> int:
    count("PaymentPutAside")
    logger.warning("payment put aside", extra=_about(account_id, event) | {"reason": reason})
    return 202


def _about(account_id: str, event: PaymentEvent) -> dict[str, str | None]:
    return {
        "account_id": account_id,
        "purchase_id": event.purchase_id,
        "provider": event.provider,
        "payment_id": event.payment_id,
        "type": event.type,
        "decline": event.support_code,
    }
