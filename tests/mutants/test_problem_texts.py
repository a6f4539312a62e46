"""What people read: every refusal of the core word for word, with all its members."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from autocredits.domain import ids, journal, money, times
from autocredits.domain.accounts import ChangeStanding
from autocredits.domain.catalog import BadCatalogError, Catalog, load_catalog, load_packages, load_rate_card
from autocredits.domain.decide import Command, Draft
from autocredits.domain.errors import BrokenInvariantError, Problem
from autocredits.domain.journal import Entry
from autocredits.domain.purchases.calls import CloseCoupon, MakeCoupon, PlanPoll, PurchaseRequest
from autocredits.domain.purchases.coupons import Coupon, CouponUse, check_usable
from autocredits.domain.purchases.record import Purchase
from autocredits.domain.state import State
from autocredits.domain.work.calls import ResendOrder
from tests.kit.builders import (
    ACCOUNT_ID,
    CATALOG,
    NOW_MS,
    PLATFORM,
    Account,
    adjust,
    capture,
    conversion,
    debit,
    hold,
    idempotency,
    merchant,
    opened,
    order,
    page_of,
    placed,
    product,
    queue_order,
    release,
    requested,
    sourcing,
    state_of,
)
from tests.kit.purchases import PAYPAL, begin, cancel, checkout, fulfil, review, start

OTHER_STORE = merchant(store_id="s2")


def told(before: list[Command], command: Command, *, credits_: int = 1000, managed: int = 10_000) -> list[Any]:
    """Code, sentence and further members of the refusal, after these commands."""
    account = opened(credits_, managed)
    for earlier in before:
        account.do(earlier)
    problem = account.refusal(command)
    return [problem.code, problem.detail, problem.extra]


BASE = Coupon(code="C", percent_off=1000)
USED = CouponUse(code="C", uses=1)
DISPUTES = [fulfil("dispute_created", 1000, dispute_id=dispute_id) for dispute_id in ("d1", "d2")]


def make_coupon(request_id: str) -> MakeCoupon:
    """A coupon that the platform makes."""
    return MakeCoupon(caller=PLATFORM, coupon=BASE, request_id=request_id)


FIRST_ID = "4.0"  # the first entry after the opening and two adjustments

REFUSED: list[tuple[str, Callable[[], list[Any]], list[Any]]] = [
    (
        "credits",
        lambda: told([], debit(order()), credits_=60),
        [
            "insufficient_credits",
            "Insufficient Auto-orders credits, please purchase more credits and resend the order.",
            {
                "unit": "auto_order",
                "required": "1.00",
                "available": "0.60",
                "shortfall": "0.40",
                "packages_url": "/v1/packages",
            },
        ],
    ),
    (
        "managed",
        lambda: told([], debit(order(order_type="fba")), managed=2000),
        [
            "insufficient_managed_balance",
            "Insufficient managed balance for product and shipping.",
            {
                "unit": "managed",
                "required": "23.50",
                "available": "20.00",
                "shortfall": "3.50",
                "packages_url": "/v1/packages",
            },
        ],
    ),
    (
        "another unit",
        lambda: told([], adjust("finder", -1)),
        [
            "insufficient_credits",
            "Insufficient finder credits.",
            {
                "unit": "finder",
                "required": "0.01",
                "available": "0.00",
                "shortfall": "0.01",
                "packages_url": "/v1/packages",
            },
        ],
    ),
    (
        "limit",
        lambda: told([], adjust("finder", 100_000_000_001)),
        ["balance_limit", "No balance may exceed 1000000000.00.", {}],
    ),
    (
        "store of an order",
        lambda: told([debit(order())], debit(order(store_id="s2"))),
        ["order_conflict", "This order belongs to another store of the account.", {}],
    ),
    (
        "store of a product",
        lambda: told([debit(product())], debit(product(store_id="s2"))),
        ["order_conflict", "This product belongs to another store of the account.", {}],
    ),
    (
        "queued",
        lambda: told([queue_order(order())], debit(order())),
        ["order_conflict", "This order is queued and will be charged from the queue.", {}],
    ),
    (
        "other work",
        lambda: told([debit(order())], debit(order(order_type="fba"))),
        ["order_conflict", "This order was requested with different details.", {}],
    ),
    (
        "charged",
        lambda: told([debit(order())], debit(order())),
        ["already_charged", "This work is already charged.", {"entry_id": FIRST_ID}],
    ),
    (
        "held in parts",
        lambda: told([hold(order(tracking="bce"))], hold(order(tracking="bce"))),
        ["already_charged", "This work is already charged.", {"entry_id": "4.1"}],
    ),
    (
        "another method",
        lambda: told([hold(order(tracking="bce"))], hold(order(tracking="qtrack"))),
        ["order_conflict", "Another tracking method of this order is still open.", {}],
    ),
    (
        "inactive",
        lambda: told([ChangeStanding(PLATFORM, {"status": "paused"})], debit(order())),
        [
            "account_inactive",
            "This account is not active and takes no new work.",
            {"account_status": "paused"},
        ],
    ),
    (
        "no add-on",
        lambda: told([ChangeStanding(PLATFORM, {"orders_processor": "inactive"})], debit(order())),
        [
            "orders_processor_inactive",
            "The Orders Processor add-on must be active to buy or use credits.",
            {},
        ],
    ),
    (
        "no rate",
        lambda: told([], debit(order(order_type="manual"))),
        ["unknown_rate", "There is nothing to charge for manual with tracking none.", {}],
    ),
    (
        "store of a token",
        lambda: told([], debit(order(), caller=OTHER_STORE)),
        ["store_forbidden", "This token may only do work for its own store.", {}],
    ),
    (
        "another store's order",
        lambda: told([hold(order())], capture(caller=OTHER_STORE)),
        ["hold_not_found", "No such hold.", {}],
    ),
    (
        "earlier attempt",
        lambda: told([hold(order()), release(), hold(order())], capture()),
        ["invalid_transition", "This hold belongs to an earlier attempt.", {}],
    ),
    (
        "later attempt",
        lambda: told([hold(order())], capture(attempt=2)),
        ["hold_not_found", "No such hold.", {}],
    ),
    (
        "captured",
        lambda: told([hold(order()), capture()], release()),
        ["invalid_transition", "This hold is already settled.", {}],
    ),
    (
        "part captured",
        lambda: told([hold(order()), capture()], release(parts=["order"])),
        ["invalid_transition", "Part order is neither open nor released.", {}],
    ),
    (
        "no such part",
        lambda: told([hold(order())], capture(parts=["tracking"])),
        ["invalid_transition", "Part tracking is neither open nor captured.", {}],
    ),
    (
        "more than held",
        lambda: told([hold(order(order_type="fba"))], capture(managed=2351)),
        ["capture_exceeds_hold", "This captures more managed balance than is held.", {}],
    ),
    (
        "key",
        lambda: told([debit(order(), idempotency("key", "one"))], debit(order(), idempotency("key", "two"))),
        ["idempotency_key_reused", "This key was used for a different request.", {}],
    ),
    (
        "queued for another store",
        lambda: told([debit(order())], queue_order(order(store_id="s2"))),
        ["order_conflict", "This order belongs to another store of the account.", {}],
    ),
    (
        "queued as other work",
        lambda: told([debit(order())], queue_order(order(order_type="fba"))),
        ["order_conflict", "This order was requested with different details.", {}],
    ),
    (
        "resent",
        lambda: told([requested()], ResendOrder(PLATFORM, "o1", "r1")),
        ["invalid_transition", "Only a failed order can be resent.", {}],
    ),
    (
        "no order",
        lambda: told([], ResendOrder(PLATFORM, "o1", "r1")),
        ["order_not_found", "No such order.", {}],
    ),
    (
        "message for another store",
        lambda: told([requested()], requested(store_id="s2")),
        ["order_conflict", "This order belongs to another store of the account.", {}],
    ),
    (
        "message for a product of another store",
        lambda: told([sourcing()], sourcing(store_id="s2")),
        ["order_conflict", "This product belongs to another store of the account.", {}],
    ),
    (
        "message for other work",
        lambda: told([requested()], requested(order_type="fba")),
        ["order_conflict", "This order was requested with different details.", {}],
    ),
    (
        "conversion for another store",
        lambda: told([requested(), placed()], conversion(store_id="s2")),
        ["order_conflict", "This order was requested with another store or order type.", {}],
    ),
    (
        "sold to nobody",
        lambda: told([ChangeStanding(PLATFORM, {"status": "closed"})], start()),
        [
            "account_inactive",
            "This account is not active and takes no new work.",
            {"account_status": "closed"},
        ],
    ),
    (
        "sold without the add-on",
        lambda: told([ChangeStanding(PLATFORM, {"orders_processor": "inactive"})], start()),
        [
            "orders_processor_inactive",
            "The Orders Processor add-on must be active to buy or use credits.",
            {},
        ],
    ),
    (
        "no package",
        lambda: told([], start(request=PurchaseRequest(package="auto_order-21"))),
        ["unknown_package", "There is no such package.", {}],
    ),
    (
        "no purchase",
        lambda: told([], PlanPoll(purchase_id="b1")),
        ["purchase_not_found", "No such purchase.", {}],
    ),
    (
        "no coupon",
        lambda: told([], CloseCoupon(caller=PLATFORM, code="C")),
        ["coupon_not_found", "No such coupon.", {}],
    ),
    (
        "another coupon",
        lambda: told([make_coupon("r1")], make_coupon("r2")),
        ["coupon_exists", "A coupon with this code already exists.", {}],
    ),
    (
        "no review",
        lambda: told([start()], review("credit")),
        ["invalid_transition", "This purchase has no payment to decide on.", {}],
    ),
    (
        "no dispute",
        lambda: told([start()], review("dispute_won")),
        ["invalid_transition", "This purchase has no such open dispute.", {}],
    ),
    (
        "one of several disputes",
        lambda: told([start(), checkout(), fulfil("paid"), *DISPUTES], review("dispute_won")),
        ["invalid_field", "dispute_id is required when several disputes are open.", {}],
    ),
    (
        "too little for the provider",
        lambda: told([], start(request=PurchaseRequest(amount=49), method=replace(PAYPAL, least=50))),
        ["invalid_amount", "paypal takes payments from 0.50 to 1000000.00.", {}],
    ),
    (
        "another way to pay what is over",
        lambda: told([start(), cancel()], begin()),
        ["invalid_transition", "This purchase can no longer be paid another way.", {}],
    ),
    (
        "another way to pay after another one",
        lambda: told([start(), begin()], begin()),
        ["invalid_transition", "This purchase is being paid another way already.", {}],
    ),
    (
        "too many ways to pay",
        lambda: told([start(), *(begin(after=number) for number in range(1, 20))], begin(after=20)),
        ["too_many_attempts", "This purchase has had as many checkouts as it may have.", {}],
    ),
    (
        "canceled too late",
        lambda: told([start(), checkout(), fulfil("paid")], cancel()),
        ["invalid_transition", "Only an unpaid purchase can be canceled.", {}],
    ),
    (
        "bound to a store",
        lambda: told([], adjust("finder", 1, caller=OTHER_STORE)),
        ["store_forbidden", "This token is bound to one store and may not do this.", {}],
    ),
    (
        "bound to a store",
        lambda: told([], adjust("finder", 1, caller=OTHER_STORE)),
        ["store_forbidden", "This token is bound to one store and may not do this.", {}],
    ),
]


@pytest.mark.parametrize(("tell", "sentence"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_refusal_in_its_own_words(tell: Callable[[], list[Any]], sentence: list[Any]) -> None:
    """Code, sentence and members are these, and no others."""
    assert tell() == sentence


def test_no_account_in_its_own_words() -> None:
    """No account, no members."""
    refused = Account().refusal(debit(order()))
    assert (refused.code, refused.detail, refused.extra) == ("account_not_found", "No such account.", {})


@pytest.mark.parametrize("unit", ["auto_order", "managed"])
def test_a_frozen_balance_in_its_own_words(unit: str) -> None:
    """The unit that is below zero is named."""
    state = state_of(-1) if unit == "auto_order" else state_of(managed=-1)
    draft = Draft(ACCOUNT_ID, page_of(state), {}, CATALOG, NOW_MS)
    with pytest.raises(Problem) as refused:
        debit(order(order_type="fba")).decide(draft)
    sentence = f"The {unit} balance is below zero. Top it up before starting new work."
    assert (refused.value.code, refused.value.detail, refused.value.extra) == ("balance_frozen", sentence, {})


@pytest.mark.parametrize(
    ("coupon", "package", "reason", "sentence"),
    [
        (None, "p", "unknown", "No such coupon."),
        (replace(BASE, closed=True), "p", "closed", "This coupon is closed."),
        (replace(BASE, starts_at=101), "p", "not_started", "This coupon is not valid yet."),
        (replace(BASE, ends_at=100), "p", "ended", "This coupon has expired."),
        (BASE, None, "package", "This coupon is not valid for this purchase."),
        (replace(BASE, max_uses=2, uses=2), "p", "used_up", "This coupon has been used up."),
        (
            replace(BASE, max_uses_per_account=1),
            "p",
            "used_up_by_account",
            "This account has used up this coupon.",
        ),
    ],
)
def test_a_coupon_is_refused_in_its_own_words(
    coupon: Coupon | None, package: str | None, reason: str, sentence: str
) -> None:
    """Seven reasons, each with its sentence."""
    with pytest.raises(Problem) as refused:
        check_usable(coupon, USED, package, 100)
    problem = refused.value
    assert (problem.code, problem.detail, problem.extra) == ("coupon_invalid", sentence, {"reason": reason})


@pytest.mark.parametrize(
    ("read", "code", "sentence"),
    [
        (
            lambda: money.parse_amount("1"),
            "invalid_amount",
            'An amount is a string with exactly two decimals, such as "1.33".',
        ),
        (
            lambda: times.parse_time("now"),
            "invalid_field",
            'A time is RFC 3339 in UTC, such as "2026-11-01T00:00:00Z".',
        ),
        (
            lambda: times.parse_time("2026-02-30T00:00:00Z"),
            "invalid_field",
            "2026-02-30T00:00:00Z is not a time of the calendar.",
        ),
        (
            lambda: ids.check_account_id("a b"),
            "invalid_id",
            "An account id is 1 to 64 characters long: A-Z a-z 0-9 _ -",
        ),
        (
            lambda: ids.check_caller_id("a b", "order_id"),
            "invalid_id",
            "order_id is 1 to 64 characters long: A-Z a-z 0-9 _ . : -",
        ),
        (lambda: ids.parse_hold_id("o1"), "hold_not_found", "No such hold."),
        (lambda: Catalog((), ()).card_at(NOW_MS), "unknown_rate", "No rate card is in force."),
    ],
)
def test_what_cannot_be_read_is_refused_in_its_own_words(read: Callable[[], object], code: str, sentence: str) -> None:
    """The sentence shows the right form."""
    with pytest.raises(Problem) as refused:
        read()
    assert (refused.value.code, refused.value.detail, refused.value.extra) == (code, sentence, {})


RATES = [
    {"order_type": kind, "tracking": method, "credits": f"{1 + place}.00"}
    for kind in ("fba", "auto", "manual")
    for place, method in enumerate(("none", "bce", "qtrack", "tracking_generator"))
    if (kind, method) != ("manual", "none")
]
CARD: dict[str, Any] = {
    "rate_card": "c",
    "effective_from": "2030-01-01T00:00:00Z",
    "sourcing": "1.00",
    "rates": RATES,
}
ROW = {"package": "auto_order-20", "unit": "auto_order", "credits": "20.00", "price": "9.90"}
FREE_ROW = {"order_type": "manual", "tracking": "bce", "credits": "0.00"}
SAME_ROW = {"order_type": "fba", "tracking": "bce", "credits": "1.00"}


@pytest.mark.parametrize(
    ("load", "sentence"),
    [
        (lambda: load_rate_card({}), "rate card: 'rates'"),
        (lambda: load_rate_card({**CARD, "rates": RATES[1:]}), "c: each of the 11 priced pairs must stand there once"),
        (lambda: load_rate_card({**CARD, "sourcing": "0.00"}), "c: every price must be above 0"),
        (
            lambda: load_rate_card({**CARD, "rates": [*RATES[:8], FREE_ROW, *RATES[9:]]}),
            "c: every price must be above 0",
        ),
        (
            lambda: load_rate_card({**CARD, "rates": [RATES[0], SAME_ROW, *RATES[2:]]}),
            "c: fba with bce must cost more than without",
        ),
        (lambda: load_packages({}), "packages: 'packages'"),
        (lambda: load_packages({"packages": [ROW, ROW]}), "packages: a name stands there twice"),
        (
            lambda: load_packages({"packages": [{**ROW, "price": "0.00"}]}),
            "auto_order-20: credits and price must be above 0, the unit a known one",
        ),
        (
            lambda: load_packages({"packages": [{**ROW, "credits": "21.00"}]}),
            "auto_order-20: the name must be <unit>-<credits>",
        ),
        (
            lambda: load_catalog([CARD, {**CARD, "rate_card": "d"}], {"packages": []}),
            "rate cards: two share a name or a beginning",
        ),
    ],
)
def test_a_bad_catalog_is_told_in_its_own_words(load: Callable[[], object], sentence: str) -> None:
    """It says what is wrong with the card or package."""
    with pytest.raises(BadCatalogError) as refused:
        load()
    assert str(refused.value) == sentence


def _draft_order_as_purchase() -> None:
    account = opened(1000)
    account.do(debit(order()))
    Draft(ACCOUNT_ID, None, {("order", "o1"): account.work()}, CATALOG, NOW_MS).get(("order", "o1"), Purchase)


@pytest.mark.parametrize(
    ("break_it", "sentence"),
    [
        (lambda: State().move("dollars", 1, 0), "unknown unit dollars"),
        (lambda: State().move("finder", 0, -1), "held of finder would be -1"),
        (lambda: State().move("finder", 100_000_000_001, 0), "posted of finder would be 100000000001"),
        (lambda: journal.next_page("a", None, 1, []), "a page of 0 entries"),
        (lambda: journal.next_page("a", None, 1, [Entry(kind="opened", actor="me")] * 50), "a page of 50 entries"),
        (
            lambda: journal.apply(State(), Entry(kind="opened", actor="me", unit="finder")),
            "a opened entry moves nothing",
        ),
        (
            lambda: journal.apply(State(), Entry(kind="given", actor="me", unit="finder")),
            "an entry given of unit finder",
        ),
        (
            lambda: journal.apply(state_of(5), Entry(kind="debited", actor="me", unit="auto_order", posted=-6)),
            "an entry debited of -6, 0 on Balance(posted=5, held=0, unknown={})",
        ),
        (lambda: journal.page_from_map("a", {"version": 1}, "x"), "a page with only the fields ['version']"),
        (
            lambda: journal.page_from_map("a", page_of(State()).to_map(), "x"),
            "page 7 does not match its hash",
        ),
        (_draft_order_as_purchase, "the record ('order', 'o1') is no Purchase"),
    ],
)
def test_a_broken_invariant_is_told_in_its_own_words(break_it: Callable[[], object], sentence: str) -> None:
    """It says which one broke, and by how much."""
    with pytest.raises(BrokenInvariantError) as refused:
        break_it()
    assert str(refused.value) == sentence
