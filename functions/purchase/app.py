"""Buying credits over HTTP: packages, coupons, purchases."""

from dataclasses import replace

from autocredits import worklist
from autocredits.adapters.production import open_ledger
from autocredits.domain.access import is_platform
from autocredits.domain.accounts import check_manages
from autocredits.domain.coupons import Coupon, CouponUse, check_usable, terms_of
from autocredits.domain.errors import Problem
from autocredits.domain.payments import Purchase
from autocredits.domain.purchases import SettleReview, StartPurchase, coupon_keys
from autocredits.domain.records import Record
from autocredits.edge import http, lists, settings, views
from autocredits.edge.bodies import parse_body
from autocredits.edge.purchase_bodies import CouponBody, CouponCheck, ReviewBody, check_return_url, parse_purchase
from autocredits.ledger import ConflictError, Ledger
from functions.purchase.checkout import purchase_id_of, read, start
from functions.purchase.payments.registry import on_local_stack, provider_for

app = http.resolver()
handler = http.serve(app)


def ledger() -> Ledger:
    """The ledger of this function."""
    return open_ledger(settings.table_name())


@app.get("/v1/packages")
def packages() -> http.Answer:
    """The packages on sale."""
    http.read_request(app).admit()
    return http.answer(200, views.packages_view(ledger().catalog.packages))


def _admit_platform(request: http.Request) -> None:
    if is_platform(request.caller()) != "yes":
        raise Problem("not_found")


@app.post("/v1/coupons")
def make_coupon() -> http.Answer:
    """Make a coupon."""
    request = http.read_request(app, takes_body=True)
    coupon = parse_body(CouponBody, request.body).coupon()
    _admit_platform(request)
    for name in coupon.packages or ():
        ledger().catalog.package(name)
    try:
        ledger().make_record(("coupon", coupon.code), replace(coupon, rev=1))
    except ConflictError:
        raise Problem("coupon_exists") from None
    return http.answer(201, views.coupon_view(coupon))


@app.get("/v1/coupons/<code>")
def read_coupon(code: str) -> http.Answer:
    """A coupon with its uses."""
    _admit_platform(http.read_request(app))
    coupon = ledger().store.read("", [("coupon", code)]).get(("coupon", code))
    return _coupon(coupon)


@app.delete("/v1/coupons/<code>")
def close_coupon(code: str) -> http.Answer:
    """Close a coupon: it is good for no further purchase."""
    _admit_platform(http.read_request(app))
    return _coupon(ledger().change_record(("coupon", code), _closed))


def _closed(record: Record) -> Record:
    if not isinstance(record, Coupon) or record.closed:
        return record
    return replace(record, closed=True, rev=record.rev + 1)


def _coupon(record: Record | None) -> http.Answer:
    if not isinstance(record, Coupon):
        raise Problem("coupon_not_found")
    return http.answer(200, views.coupon_view(record))


@app.post("/v1/accounts/<account_id>/coupons/check")
def check_coupon(account_id: str) -> http.Answer:
    """What a package would cost with a coupon; reserves nothing."""
    request = http.read_request(app, takes_body=True)
    body = parse_body(CouponCheck, request.body)
    check_manages(ledger().store.head(account_id), request.admit())
    package = ledger().catalog.package(body.package)
    records = ledger().store.read(account_id, coupon_keys(body.code))
    coupon, used = records.get(("coupon", body.code)), records.get(("coupon_use", body.code))
    usable = check_usable(
        coupon if isinstance(coupon, Coupon) else None,
        used if isinstance(used, CouponUse) else None,
        package.name,
        ledger().clock.now_ms(),
    )
    return http.answer(200, views.terms_view(terms_of(usable, package.price)))


@app.post("/v1/accounts/<account_id>/purchases")
def start_purchase(account_id: str) -> http.Answer:
    """Start a payment, its price frozen now."""
    request = http.read_request(app, takes_body=True)
    key = request.key()
    body = parse_purchase(request.body)
    check_return_url(body.return_url, settings.return_origins(), local=on_local_stack())
    provider = provider_for(body.payment_method)
    if provider is None:
        raise Problem("invalid_field", f"payment_method: {body.payment_method} cannot be used here.")
    command = StartPurchase(
        caller=request.admit(),
        idempotency=key,
        purchase_id=purchase_id_of(account_id, key.key),
        order=body.order(),
        payment_method=body.payment_method,
        provider=provider.name,
        coupon=body.coupon,
        return_url=body.return_url,
    )
    accepted = start(ledger(), provider, account_id, command, body.payer.email if body.payer else None)
    return _purchase(201, read(ledger(), account_id, command.purchase_id), replayed=accepted.replayed())


def _purchase(status: int, purchase: Purchase | None, *, replayed: bool = False) -> http.Answer:
    if purchase is None:
        raise Problem("purchase_not_found")
    return http.answer(status, views.purchase_view(purchase), replayed=replayed)


@app.get("/v1/accounts/<account_id>/purchases")
def list_purchases(account_id: str) -> http.Answer:
    """The account's purchases, newest first."""
    request = http.read_request(app, "limit", "cursor")
    limit = lists.parse_limit(request.query.get("limit"))
    binding = lists.binding_of(account_id, "purchases")
    begin = lists.decode_order_cursor(request.query.get("cursor"), binding)
    check_manages(ledger().store.head(account_id), request.admit())
    purchases, position = worklist.list_purchases(ledger().store, account_id, start=begin, limit=limit)
    items = [views.purchase_view(purchase) for purchase in purchases]
    return http.answer(200, {"items": items, "next_cursor": lists.encode_cursor(position, binding)})


@app.get("/v1/accounts/<account_id>/purchases/<purchase_id>")
def read_purchase(account_id: str, purchase_id: str) -> http.Answer:
    """A purchase as it stands."""
    check_manages(ledger().store.head(account_id), http.read_request(app).admit())
    return _purchase(200, read(ledger(), account_id, purchase_id))


@app.post("/v1/accounts/<account_id>/purchases/<purchase_id>/review")
def settle_review(account_id: str, purchase_id: str) -> http.Answer:
    """Settle a purchase in review."""
    request = http.read_request(app, takes_body=True)
    body = parse_body(ReviewBody, request.body)
    caller = request.admit()
    known = read(ledger(), account_id, purchase_id)
    command = SettleReview(
        caller=caller,
        purchase_id=purchase_id,
        request_id=request.request_id(),
        credit=body.decision == "credit",
        reason=body.reason,
        coupon=known.coupon if known else None,
    )
    ledger().execute(account_id, command)
    return _purchase(200, read(ledger(), account_id, purchase_id))
