"""Starting, changing and canceling payments at a provider, and doing what it says of them."""

import hashlib
from dataclasses import dataclass, replace

from autocredits.domain.access import Caller, check_manages
from autocredits.domain.decide import NotYet
from autocredits.domain.errors import Problem
from autocredits.domain.purchases.calls import (
    PAYABLE,
    BeginCheckout,
    CancelPurchase,
    Method,
    RecordCheckout,
    RefusePayment,
    StartPurchase,
    TallyCoupon,
    check_may_change,
)
from autocredits.domain.purchases.facts import Checkout
from autocredits.domain.purchases.fulfil import Fulfil, PaymentEvent
from autocredits.domain.purchases.record import Payment, Purchase, payment_key
from autocredits.domain.records import NO_ACCOUNT
from autocredits.edge.telemetry import count, logger
from autocredits.ledger.commit import Accepted, Ledger
from autocredits.ledger.lists import read_purchase
from autocredits.ledger.ports import UnavailableError
from functions.purchase.payments.port import (
    PaymentRefusedError,
    Provider,
    RepeatedStartError,
    StartRequest,
    Webhook,
)
from functions.purchase.payments.registry import provider

MAX_STARTS = 3
"""How many numbers one call tries, where the answer to a start was lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Buyer:
    """Who pays, by which method, and what that takes. `request_id` names the request, for its own retries."""

    caller: Caller
    method: Method
    return_url: str | None
    payer_email: str | None
    request_id: str


def purchase_id_of(account_id: str, key: str) -> str:
    """The id of the purchase that a key starts: the same for the same key, and nothing to be guessed from it."""
    return "pur_" + hashlib.sha256(f"{account_id}#{key}".encode()).hexdigest()[:26]


def start(ledger: Ledger, account_id: str, command: StartPurchase, buyer: Buyer) -> Accepted:
    """Record the purchase, then start its checkout at the provider, then note that it did.

    If it breaks off in between, the same key goes on where it stopped. Raises Problem, `payment_refused` among them,
    and UnavailableError when the provider cannot be asked.
    """
    accepted = ledger.execute(account_id, command)
    purchase = _known(ledger, account_id, command.purchase_id)
    if purchase.decided("payment_refused"):
        raise Problem("payment_refused")
    tally(ledger, account_id, purchase)
    checkout = purchase.open_checkout()
    same_method = checkout is not None and checkout.payment_method == command.method.name
    if checkout and same_method and checkout.reference is None and purchase.status() in PAYABLE:
        _start_checkout(ledger, account_id, purchase, buyer)
    return accepted


def change_method(ledger: Ledger, account_id: str, purchase_id: str, buyer: Buyer) -> None:
    """Let the same purchase be paid another way: close the open checkout at its provider, then start a new one.

    Asked again for the method that is open, it stays. A checkout that was paid meanwhile ends in `credited`.
    Raises Problem, and UnavailableError when a provider cannot be asked.
    """
    page = check_manages(ledger.store.head(account_id), buyer.caller)
    purchase = _known(ledger, account_id, purchase_id)
    if purchase.status() == "credited":
        return
    checkout = check_may_change(page.state, purchase, buyer.method)
    if checkout.payment_method != buyer.method.name:
        if not _close(ledger, account_id, purchase, checkout):
            if _known(ledger, account_id, purchase_id).status() != "credited":
                raise Problem("invalid_transition", "This purchase was paid, and a person has to look at the payment.")
            return
        purchase = _begin_checkout(ledger, account_id, purchase, checkout, buyer)
    elif checkout.reference is not None:
        return
    _start_checkout(ledger, account_id, purchase, buyer)


def cancel(ledger: Ledger, account_id: str, purchase_id: str, caller: Caller) -> None:
    """Cancel an unpaid purchase: close its checkout at the provider, and give its coupon's use back.

    Raises Problem, and UnavailableError when the provider cannot be asked.
    """
    check_manages(ledger.store.head(account_id), caller)
    purchase = _known(ledger, account_id, purchase_id)
    checkout = purchase.open_checkout()
    if checkout and purchase.status() in PAYABLE:
        _close(ledger, account_id, purchase, checkout)
    command = CancelPurchase(purchase_id=purchase_id, coupon=purchase.coupon, caller=caller)
    tally(ledger, account_id, ledger.execute(account_id, command).record(Purchase))


def _known(ledger: Ledger, account_id: str, purchase_id: str) -> Purchase:
    purchase = read_purchase(ledger.store, account_id, purchase_id)
    if purchase is None:
        raise Problem("purchase_not_found")
    return purchase


def _close(ledger: Ledger, account_id: str, purchase: Purchase, checkout: Checkout) -> bool:
    """Whether nobody can pay the checkout any more; False: it was paid, and that is done now.

    Raises Problem `invalid_transition` while its money is on its way, UnavailableError while its start is.
    """
    opened = provider(checkout.provider)
    if opened is None or checkout.reference is None:
        raise UnavailableError("the checkout cannot be closed now")
    closed = opened.close(checkout)
    if closed == "on_its_way":
        raise Problem("invalid_transition", "The money for this purchase is on its way.")
    if closed == "paid":
        for event in opened.poll(account_id, purchase):
            apply_event(ledger, account_id, event, purchase)
    return closed == "closed"


def _begin_checkout(ledger: Ledger, account_id: str, purchase: Purchase, closed: Checkout, buyer: Buyer) -> Purchase:
    """Record the checkout that follows one that nobody can pay any more."""
    command = BeginCheckout(
        purchase_id=purchase.purchase_id,
        coupon=purchase.coupon,
        caller=buyer.caller,
        method=buyer.method,
        after=closed.number,
        return_url=buyer.return_url,
        request_id=buyer.request_id,
    )
    return ledger.execute(account_id, command).record(Purchase)


def _start_checkout(ledger: Ledger, account_id: str, purchase: Purchase, buyer: Buyer) -> None:
    """Start the open checkout at its provider and note it. A start that cannot be repeated goes on as the next one.

    What was credited meanwhile is not started any more.
    """
    for _ in range(MAX_STARTS):
        if purchase.status() == "credited":
            return
        checkout = purchase.open_checkout()
        opened = provider(checkout.provider) if checkout else None
        if checkout is None or opened is None:
            raise UnavailableError("the provider is not set up")
        try:
            _start_once(
                ledger,
                opened,
                account_id,
                purchase,
                StartRequest(
                    account_id=account_id,
                    purchase_id=purchase.purchase_id,
                    number=checkout.number,
                    started_at=checkout.started_at,
                    price=purchase.price,
                    description=purchase.package or "managed balance",
                    return_url=checkout.return_url,
                    payer_email=buyer.payer_email,
                ),
            )
        except RepeatedStartError:
            purchase = _begin_checkout(ledger, account_id, purchase, checkout, buyer)
        else:
            return
    raise UnavailableError("the payment could not be started")


def _start_once(ledger: Ledger, opened: Provider, account_id: str, purchase: Purchase, request: StartRequest) -> None:
    """Start a checkout at the provider and note that it knows of it.

    Raises Problem `payment_refused`, unless the purchase was credited meanwhile through an earlier checkout.
    """
    try:
        started = opened.start(request)
    except PaymentRefusedError as error:
        logger.warning("payment refused", extra={"purchase_id": purchase.purchase_id, "detail": str(error)})
        refusal = RefusePayment(purchase_id=purchase.purchase_id, coupon=purchase.coupon, provider=opened.name)
        after = ledger.execute(account_id, refusal).record(Purchase)
        tally(ledger, account_id, after)
        if after.status() == "credited":
            return
        raise Problem("payment_refused") from error
    command = RecordCheckout(
        purchase_id=purchase.purchase_id,
        number=request.number,
        reference=started.reference,
        redirect_url=started.redirect_url,
    )
    ledger.execute(account_id, command)


def tally(ledger: Ledger, account_id: str, purchase: Purchase) -> None:
    """Bring the count of the purchase's coupon up to date. If that fails, the next one of the account does it."""
    if purchase.coupon is None:
        return
    try:
        ledger.execute(account_id, TallyCoupon(code=purchase.coupon), reads_page=False)
    except Problem:
        logger.info("coupon not tallied", extra={"purchase_id": purchase.purchase_id})


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
        put_aside(account_id, event, "no such purchase in this account")
        return 202
    try:
        return 202 if apply_event(ledger, account_id, event, purchase) == "put_aside" else 200
    except NotYet:
        return 503


def apply_event(ledger: Ledger, account_id: str, event: PaymentEvent, purchase: Purchase) -> str:
    """Add what a provider says of a purchase to its facts; what that did, in one word. Raises Problem, NotYet."""
    done = ledger.execute(account_id, Fulfil(event, purchase.coupon)).done
    if done.did == "put_aside":
        put_aside(account_id, event, "the payment does not fit the purchase")
        return done.did
    logger.info("payment", extra=_about(account_id, event) | {"did": done.did})
    after = done.record
    if isinstance(after, Purchase) and after.coupon_counted != purchase.coupon_counted:
        if after.coupon_counted:
            count("CouponUsedAfterAll")
        tally(ledger, account_id, after)
    return done.did


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


def put_aside(account_id: str, event: PaymentEvent, reason: str) -> None:
    """Tell the operator of a payment that a person has to look at."""
    count("PaymentPutAside")
    logger.warning("payment put aside", extra=_about(account_id, event) | {"reason": reason})


def _about(account_id: str, event: PaymentEvent) -> dict[str, str | None]:
    return {
        "account_id": account_id,
        "purchase_id": event.purchase_id,
        "provider": event.provider,
        "payment_id": event.payment_id,
        "type": event.type,
        "decline": event.support_code,
    }
