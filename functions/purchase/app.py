"""Buying credits over HTTP: packages, coupons, purchases."""

from typing import Any

from autocredits import bootstrap
from autocredits.bootstrap import ledger
from autocredits.domain.access import check_manages
from autocredits.domain.errors import Problem
from autocredits.domain.purchases.calls import CloseCoupon, MakeCoupon, SettleReview, StartPurchase
from autocredits.domain.purchases.coupons import Coupon, CouponUse, check_usable, coupon_keys, terms_of
from autocredits.domain.records import NO_ACCOUNT
from autocredits.edge import queries, views
from autocredits.edge.cursors import encode_cursor
from autocredits.edge.http import Answer, Api, Request, answer
from autocredits.edge.purchase_bodies import (
    CheckoutBody,
    CouponCheck,
    Load,
    PackagePurchase,
    ReviewBody,
    check_return_url,
    parse_checkout,
    parse_coupon,
    parse_purchase,
    parse_review,
)
from autocredits.edge.queries import ListQuery
from autocredits.ledger import lists
from functions.purchase.checkout import Buyer, cancel, change_method, purchase_id_of, start
from functions.purchase.payments.port import Payer
from functions.purchase.payments.registry import method, on_local_stack

app = Api()
handler = app.handle


@app.route("GET /v1/packages", scope="credits:read", who="caller")
def packages(_: Request) -> Answer:
    """The packages on sale."""
    return answer(200, views.packages_view(ledger().catalog.packages))


@app.route("POST /v1/coupons", scope="credits:admin", who="platform", body=parse_coupon)
def make_coupon(request: Request, coupon: Coupon) -> Answer:
    """Make a coupon."""
    made = ledger().execute(NO_ACCOUNT, MakeCoupon(caller=request.caller, coupon=coupon, request_id=request.request_id))
    return answer(201, views.coupon_view(made.record(Coupon)))


@app.route("GET /v1/coupons/{code}", scope="credits:admin", who="platform")
def read_coupon(request: Request) -> Answer:
    """A coupon with its uses."""
    key = ("coupon", request.parameters["code"])
    coupon = ledger().store.read(NO_ACCOUNT, [key]).get(key)
    if not isinstance(coupon, Coupon):
        raise Problem("coupon_not_found")
    return answer(200, views.coupon_view(coupon))


@app.route("DELETE /v1/coupons/{code}", scope="credits:admin", who="platform")
def close_coupon(request: Request) -> Answer:
    """Close a coupon: it is good for no further purchase."""
    closed = ledger().execute(NO_ACCOUNT, CloseCoupon(caller=request.caller, code=request.parameters["code"]))
    return answer(200, views.coupon_view(closed.record(Coupon)))


@app.route("POST /v1/accounts/{account_id}/coupons/check", scope="credits:read", who="caller", body=CouponCheck)
def check_coupon(request: Request, body: CouponCheck) -> Answer:
    """What a package would cost with a coupon; reserves nothing."""
    check_manages(ledger().store.head(request.account_id), request.caller)
    package = ledger().catalog.package(body.package)
    records = ledger().store.read(request.account_id, coupon_keys(body.code))
    coupon, used = records.get(("coupon", body.code)), records.get(("coupon_use", body.code))
    usable = check_usable(
        coupon if isinstance(coupon, Coupon) else None,
        used if isinstance(used, CouponUse) else None,
        package.name,
        ledger().clock.now_ms(),
    )
    return answer(200, views.terms_view(terms_of(usable, package.price)))


def parse_start(value: Any) -> PackagePurchase | Load:
    """What is to be bought, how, and where the buyer goes afterwards. Raises Problem 422."""
    body = parse_purchase(value)
    check_return_url(body.return_url, bootstrap.return_origins(), local=on_local_stack())
    return body


def parse_change(value: Any) -> CheckoutBody:
    """How a purchase is to be paid instead, and where the buyer goes afterwards. Raises Problem 422."""
    body = parse_checkout(value)
    check_return_url(body.return_url, bootstrap.return_origins(), local=on_local_stack())
    return body


@app.route(
    "POST /v1/accounts/{account_id}/purchases", scope="credits:purchase", who="caller", body=parse_start, key=True
)
def start_purchase(request: Request, body: PackagePurchase | Load) -> Answer:
    """Start a payment, its price frozen now."""
    buyer = _buyer(request, body)
    command = StartPurchase(
        caller=buyer.caller,
        idempotency=request.key,
        purchase_id=purchase_id_of(request.account_id, request.key.key),
        request=body.request(),
        method=buyer.method,
        coupon=body.coupon,
        return_url=body.return_url,
    )
    accepted = start(ledger(), request.account_id, command, buyer)
    return _purchase(201, request.account_id, command.purchase_id, replayed=accepted.replayed())


def _buyer(request: Request, body: CheckoutBody) -> Buyer:
    """Who pays, and how. Raises Problem `invalid_field` for a method that cannot be used here."""
    found = method(body.payment_method)
    if found is None:
        raise Problem("invalid_field", f"payment_method {body.payment_method} is not available here.")
    return Buyer(
        caller=request.caller,
        method=found,
        return_url=body.return_url,
        webhooks_url=bootstrap.webhooks_url() or f"https://{request.domain}",
        payer=Payer(body.payer.country, body.payer.email) if body.payer else None,
        request_id=request.request_id,
    )


def _purchase(status: int, account_id: str, purchase_id: str, *, replayed: bool = False) -> Answer:
    """The purchase as it stands now."""
    purchase = lists.read_purchase(ledger().store, account_id, purchase_id)
    if purchase is None:
        raise Problem("purchase_not_found")
    return answer(status, views.purchase_view(purchase), replayed=replayed)


@app.route("GET /v1/accounts/{account_id}/purchases", scope="credits:read", who="caller", query=queries.PURCHASES)
def list_purchases(request: Request, query: ListQuery) -> Answer:
    """The account's purchases, newest first."""
    store = ledger().store
    check_manages(store.head(request.account_id), request.caller)
    purchases, position = lists.list_purchases(store, request.account_id, start=query.start, limit=query.limit)
    items = [views.purchase_view(purchase) for purchase in purchases]
    return answer(200, {"items": items, "next_cursor": encode_cursor(position, query.binding)})


@app.route("GET /v1/accounts/{account_id}/purchases/{purchase_id}", scope="credits:read", who="caller")
def read_purchase(request: Request) -> Answer:
    """A purchase as it stands."""
    check_manages(ledger().store.head(request.account_id), request.caller)
    return _purchase(200, request.account_id, request.parameters["purchase_id"])


@app.route(
    "POST /v1/accounts/{account_id}/purchases/{purchase_id}/checkout",
    scope="credits:purchase",
    who="caller",
    body=parse_change,
)
def change_checkout(request: Request, body: CheckoutBody) -> Answer:
    """Pay the same purchase another way."""
    purchase_id = request.parameters["purchase_id"]
    change_method(ledger(), request.account_id, purchase_id, _buyer(request, body))
    return _purchase(200, request.account_id, purchase_id)


@app.route("POST /v1/accounts/{account_id}/purchases/{purchase_id}/cancel", scope="credits:purchase", who="caller")
def cancel_purchase(request: Request) -> Answer:
    """Cancel an unpaid purchase."""
    cancel(ledger(), request.account_id, request.parameters["purchase_id"], request.caller)
    return _purchase(200, request.account_id, request.parameters["purchase_id"])


@app.route(
    "POST /v1/accounts/{account_id}/purchases/{purchase_id}/review",
    scope="credits:admin",
    who="platform",
    body=parse_review,
)
def settle_review(request: Request, body: ReviewBody) -> Answer:
    """Settle a purchase in review, or a dispute whose end was never told."""
    purchase_id = request.parameters["purchase_id"]
    known = lists.read_purchase(ledger().store, request.account_id, purchase_id)
    command = SettleReview(
        caller=request.caller,
        purchase_id=purchase_id,
        request_id=request.request_id,
        decision=body.decision,
        dispute_id=body.dispute_id,
        reason=body.reason,
        coupon=known.coupon if known else None,
    )
    ledger().execute(request.account_id, command)
    return _purchase(200, request.account_id, purchase_id)
