"""Starting, changing and canceling payments at a provider, and doing what it says of them."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from autocredits.domain.access import Caller, check_manages
from autocredits.domain.decide import NotYet
from autocredits.domain.errors import Problem
from autocredits.domain.purchases.calls import (
    ON_ITS_WAY,
    BeginCapture,
    BeginCheckout,
    CancelPurchase,
    Method,
    RecordCheckout,
    RefusePayment,
    StartPurchase,
    TallyCoupon,
    check_may_change,
    check_not_capturing,
)
from autocredits.domain.purchases.facts import Checkout
from autocredits.domain.purchases.fulfil import Fulfil, PaymentEvent
from autocredits.domain.purchases.record import PAYABLE, Payment, Purchase, payment_key
from autocredits.domain.records import NO_ACCOUNT
from autocredits.edge.telemetry import count, logger
from autocredits.ledger.commit import Accepted, Ledger
from autocredits.ledger.lists import read_purchase
from autocredits.ledger.ports import UnavailableError
from functions.purchase.payments.port import (
    Payer,
    PaymentRefusedError,
    Provider,
    RepeatedStartError,
    StartRequest,
    Webhook,
)
from functions.purchase.payments.registry import provider

NOT_YET = "not_yet"
"""What an event does that comes before what it belongs to."""

MAX_STARTS = 3
"""How many numbers one call tries, where the answer to a start was lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Buyer:
    """Who pays, by which method, and what that takes. `request_id` names the request, for its own retries.

    `webhooks_url` is the address of this API, for providers that are told with each checkout where to send webhooks.
    """

    caller: Caller
    method: Method
    return_url: str | None
    webhooks_url: str
    payer: Payer | None
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

    Asked again for the method that is open, it stays, and its provider is asked what has become of it: so a buyer who
    comes back need not wait for a webhook. A checkout that was paid meanwhile ends in `credited`.
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
        _look(ledger, account_id, purchase)
        return
    _start_checkout(ledger, account_id, purchase, buyer)


def _look(ledger: Ledger, account_id: str, purchase: Purchase) -> None:
    """Ask the provider of the open checkout what has become of it. Whatever cannot be done now, the schedule does."""
    checkout = purchase.open_checkout()
    try:
        opened = provider(checkout.provider) if checkout else None
        if opened is not None:
            with _understanding(opened):
                events = opened.poll(account_id, purchase)
            apply_events(ledger, account_id, events, purchase)
    except UnavailableError as error:
        logger.warning("not asked", extra={"purchase_id": purchase.purchase_id, "error": str(error)})


def cancel(ledger: Ledger, account_id: str, purchase_id: str, caller: Caller) -> None:
    """Cancel an unpaid purchase: close its checkout at the provider, and give its coupon's use back.

    Raises Problem, and UnavailableError when the provider cannot be asked.
    """
    check_manages(ledger.store.head(account_id), caller)
    purchase = _known(ledger, account_id, purchase_id)
    checkout = purchase.open_checkout()
    if checkout and purchase.status() in PAYABLE:
        check_not_capturing(purchase)
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
    with _understanding(opened):
        closed = opened.close(checkout)
        events = opened.poll(account_id, purchase) if closed == "paid" else ()
    if closed == "on_its_way":
        raise Problem("invalid_transition", ON_ITS_WAY)
    apply_events(ledger, account_id, events, purchase)
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
                    webhook_url=f"{buyer.webhooks_url}/v1/payments/{opened.name}/webhook",
                    payer=buyer.payer,
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
        with _understanding(opened):
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
    events = [replace(event, purchase_id=purchase_id) for event in webhook.events]
    purchase = read_purchase(ledger.store, account_id, purchase_id)
    if purchase is None:
        for event in events:
            put_aside(account_id, event, "no such purchase in this account")
        return 202
    did = apply_events(ledger, account_id, events, purchase)
    return 503 if NOT_YET in did else 202 if "put_aside" in did else 200


def apply_events(ledger: Ledger, account_id: str, events: Sequence[PaymentEvent], purchase: Purchase) -> list[str]:
    """Do all that a provider says of a purchase, and take the money where the buyer has approved that.

    What each did, in one word: `nothing`, `put_aside`, `not_yet`, else how it left the purchase. Raises Problem, and
    UnavailableError when money cannot be taken now.
    """
    did = []
    for event in events:
        try:
            if event.type == "approved":
                did += _capture(ledger, account_id, event, purchase)
            else:
                did.append(apply_event(ledger, account_id, event, purchase))
        except NotYet:
            did.append(NOT_YET)
    return did


def _capture(ledger: Ledger, account_id: str, event: PaymentEvent, purchase: Purchase) -> list[str]:
    """Take the money of the open checkout, after noting that it is to be taken. Of no other checkout it is taken."""
    opened = provider(event.provider)
    if opened is None:
        raise UnavailableError("the provider is not set up")
    begin = BeginCapture(purchase_id=purchase.purchase_id, number=event.checkout, reference=event.reference)
    begun = ledger.execute(account_id, begin)
    logger.info("payment", extra=_about(account_id, event) | {"did": begun.done.did})
    if begun.done.did != "capturing":
        return ["nothing"]
    purchase = begun.record(Purchase)
    with _understanding(opened):
        events = opened.capture(account_id, purchase)
    return [apply_event(ledger, account_id, said, purchase) for said in events]


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


@contextmanager
def _understanding(provider: Provider) -> Iterator[None]:
    """Raise UnavailableError for an answer of the provider's in a form that is not known: it is as good as none."""
    try:
        yield
    except Problem as problem:
        logger.warning("not understood", extra={"provider": provider.name, "detail": problem.detail})
        raise UnavailableError(f"{provider.name} cannot be understood") from problem


def _purchase_named(ledger: Ledger, provider: Provider, webhook: Webhook) -> tuple[str, str] | None:
    """The account and purchase that a webhook is about; None if they are not ours."""
    event = webhook.events[0]
    if webhook.account_id is not None and event.purchase_id:
        return webhook.account_id, event.purchase_id
    if event.payment_id is None:
        return None
    key = payment_key(event.provider, event.payment_id)
    payment = ledger.store.read(NO_ACCOUNT, [key]).get(key)
    if isinstance(payment, Payment):
        return payment.account_id, payment.purchase_id
    return provider.find_purchase(event.payment_id)


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
