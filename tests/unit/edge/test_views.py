from typing import Any

import pytest

from autocredits.domain.purchases.calls import PurchaseRequest
from autocredits.domain.purchases.coupons import Coupon, Terms
from autocredits.domain.state import State
from autocredits.domain.work.charging import quote
from autocredits.edge import views
from tests.kit.builders import (
    CATALOG,
    Account,
    adjust,
    capture,
    debit,
    failed,
    hold,
    idempotency,
    opened,
    order,
    placed,
    product,
    queue_order,
    release,
    requested,
    state_of,
)
from tests.kit.purchases import Shop, begin, checkout

UNITS = ["auto_order", "ai_rewrite", "finder", "managed"]
AT = "2025-11-24T16:00:00.000Z"  # the manual clock


def shown_hold(account: Account, work_id: str = "o1") -> dict[str, Any]:
    """The order's hold as it is shown."""
    return views.hold_view(account.work(work_id), account.page().state)


def test_every_unit_is_always_present() -> None:
    """An explicit zero, never silence."""
    zero = {"posted": "0.00", "held": "0.00", "available": "0.00"}
    assert views.balances_view(State()) == dict.fromkeys(UNITS, zero)


def test_an_account_is_shown_as_its_page_left_it() -> None:
    """Standing, balances, version and hash."""
    account = opened(1000)
    account.do(hold(order()))
    page = account.page()
    shown = views.account_view("acme", page, page.at)
    assert shown["balances"]["auto_order"] == {"posted": "10.00", "held": "1.00", "available": "9.00"}
    assert {name: shown[name] for name in ("account_id", "status", "orders_processor", "version", "hash", "as_of")} == {
        "account_id": "acme",
        "status": "active",
        "orders_processor": "active",
        "version": 3,
        "hash": page.hash,
        "as_of": AT,
    }


def test_before_its_first_page_an_account_has_nothing() -> None:
    """Zeros, version 0, and the hash that page 1 names."""
    shown = views.account_view("acme", None, 0)
    assert (shown["version"], shown["hash"], list(shown["balances"])) == (0, "0" * 64, UNITS)


def test_the_threshold_is_shown_as_an_amount() -> None:
    """Or as null."""
    assert views.settings_view(State()) == {"low_balance": None}
    assert views.settings_view(State(low_balance=0)) == {"low_balance": "0.00"}


def test_an_entry_shows_what_it_has() -> None:
    """The contract's fields, amounts as decimal strings, what is absent left out."""
    account = opened(500, 2350)
    key = idempotency()
    account.do(hold(order(order_type="fba", tracking="bce"), key))
    first, second, third = views.entries_view(account.page())
    assert first == {
        "entry_id": "3.0",
        "version": 3,
        "at": AT,
        "kind": "held",
        "unit": "auto_order",
        "posted": "0.00",
        "held": "1.00",
        "balance": {"posted": "5.00", "held": "1.00", "available": "4.00"},
        "order_id": "o1",
        "store_id": "s1",
        "part": "order",
        "action": {"order_type": "fba", "tracking": "bce"},
        "rate_card": "2024-01",
        "hold_id": "o1~1",
        "actor": "platform",
        "key": key.key,
        "attempt": 1,
        "cost": "23.50",
    }
    assert (second["unit"], second["held"], second["part"], second["entry_id"]) == ("managed", "23.50", "order", "3.1")
    assert (third["part"], third["held"], third["balance"]["available"]) == ("tracking", "0.33", "3.67")


def test_an_entry_without_a_unit_shows_null() -> None:
    """`opened` and `standing`: unit, posted, held and balance are null."""
    entry = views.entries_view(opened().page())[0]
    assert [entry[name] for name in ("kind", "unit", "posted", "held", "balance")] == ["opened", None, None, None, None]


def test_a_refused_entry_shows_zero() -> None:
    """It moves 0.00 and explains, and names no hold."""
    account = opened(50)
    account.do(requested())
    (entry,) = views.entries_view(account.page())
    assert (entry["kind"], entry["posted"], entry["held"], entry["part"]) == ("refused", "0.00", "0.00", "order")
    assert entry["reason"].startswith("Insufficient Auto-orders credits")
    assert "hold_id" not in entry


def test_a_debit_is_answered_from_its_own_entries() -> None:
    """Also where others stand in the same page."""
    account = opened(1000, 5000)
    key = idempotency()
    command = debit(order(order_type="fba", tracking="qtrack"), key)
    answers = account.ledger().execute_all("acme", [adjust("finder", 5), command, hold(order("o2"))])
    (again,) = account.ledger().execute_all("acme", [command])
    first = views.debit_view(answers[1])  # type: ignore[arg-type]
    assert (first["credits"], first["managed"], first["rate_card"]) == ("2.50", "23.50", "2024-01")
    assert [entry["entry_id"] for entry in first["entries"]] == ["4.1", "4.2"]
    assert views.debit_view(again) == first  # type: ignore[arg-type]


def test_a_hold_is_answered_from_its_own_entries() -> None:
    """What was set aside now, per part; a later conversion shows the tracking part alone."""
    account = opened(1000, 5000)
    shown = views.opened_hold_view(account.do(hold(order(order_type="fba", tracking="bce"))))
    assert (shown["hold_id"], shown["status"], shown["credits"], shown["managed"]) == ("o1~1", "open", "1.33", "23.50")
    assert shown["parts"] == {"order": "1.00", "tracking": "0.33"}
    assert shown["expires_at"] == "2025-12-08T16:00:00.000Z"
    account.do(capture())
    later = views.opened_hold_view(account.do(hold(order(order_type="fba", tracking="qtrack"))))
    assert (later["parts"], later["credits"], later["managed"]) == ({"tracking": "1.50"}, "1.50", "0.00")
    sourced = views.opened_hold_view(account.do(hold(product())))
    assert (sourced["hold_id"], sourced["parts"]) == ("p1~s1", {"sourcing": "1.00"})


def test_a_hold_shows_how_each_part_stands() -> None:
    """Open while a part is; then how it ended, captured if any part was."""
    account = opened(1000)
    account.do(hold(order(tracking="bce")))
    assert (shown_hold(account)["status"], shown_hold(account)["parts"]) == (
        "open",
        {"order": "open", "tracking": "open"},
    )
    account.do(capture(parts=["order"]))
    assert shown_hold(account)["status"] == "open"
    account.do(release())
    shown = shown_hold(account)
    assert (shown["status"], shown["parts"]) == ("captured", {"order": "captured", "tracking": "released"})
    assert shown["balances"]["auto_order"]["available"] == "9.00"
    account.do(hold(order("o2")))
    account.do(release("o2"))
    assert shown_hold(account, "o2")["status"] == "released"


def test_work_is_shown_with_what_it_has_cost() -> None:
    """Its status, attempt, parts, credits so far, and the numbers that were told."""
    account = opened(1000)
    account.do(requested(tracking="bce"))
    account.do(placed(supplier_order_id="supplier-7"))
    assert views.work_view(account.work()) == {
        "order_id": "o1",
        "store_id": "s1",
        "order_type": "auto",
        "tracking": "bce",
        "status": "ordered",
        "status_text": None,
        "attempt": 1,
        "hold_id": "o1~1",
        "parts": {"order": "captured", "tracking": "open"},
        "credits": "1.00",
        "updated_at": AT,
        "supplier_order_id": "supplier-7",
    }


def test_failed_work_says_why() -> None:
    """The refusal's sentence or the reason given; work without a hold names none."""
    account = opened(50)
    account.do(requested())
    shown = views.work_view(account.work())
    assert (shown["status"], shown["hold_id"], shown["parts"]) == ("failed", None, {})
    assert shown["status_text"].startswith("Insufficient Auto-orders credits")
    account.do(adjust("auto_order", 1000))
    account.do(requested())
    account.do(failed(reason="out of stock"))
    assert views.work_view(account.work())["status_text"] == "out of stock"


def test_a_queued_order_is_answered_from_its_key() -> None:
    """As it was then, also when it has gone on."""
    account = opened(1000)
    key = idempotency()
    expected = {"order_id": "o1", "status": "queued", "attempt": 1}
    assert views.queued_order_view("o1", account.do(queue_order(order(), key))) == expected
    account.do(requested(attempt=1))
    assert views.queued_order_view("o1", account.do(queue_order(order(), key))) == expected


def test_a_quote_shows_price_and_shortfall() -> None:
    """Per unit; sufficient if nothing is short."""
    shown = views.quote_view(quote(state_of(50, 0), CATALOG.rate_cards[0], None, order(order_type="fba")))
    assert shown == {
        "credits": "1.00",
        "managed": "23.50",
        "rate_card": "2024-01",
        "sufficient": False,
        "available": {"auto_order": "0.50", "managed": "0.00"},
        "shortfall": {"auto_order": "0.50", "managed": "23.50"},
    }


def test_rates_and_packages_are_shown_whole() -> None:
    """Eleven rates, six packages."""
    rates = views.rates_view(CATALOG.rate_cards[0])
    assert (len(rates["rates"]), rates["sourcing"], rates["effective_from"]) == (11, "1.00", "2024-01-01T00:00:00.000Z")
    assert {"order_type": "auto", "tracking": "qtrack", "credits": "2.50"} in rates["rates"]
    shown = views.packages_view(CATALOG.packages)
    assert shown["currency"] == "USD"
    assert shown["items"][0] == {
        "package": "auto_order-20",
        "unit": "auto_order",
        "credits": "20.00",
        "price": "9.90",
        "price_per_credit": "0.50",
    }


# ---------------------------------------------------------------- purchases and coupons


def shown_purchase(shop: Shop) -> dict[str, Any]:
    """The purchase as it is shown."""
    return views.purchase_view(shop.purchase())


def changed(shop: Shop) -> dict[str, Any]:
    """What is shown of the purchase beside its terms."""
    terms = {
        "purchase_id",
        "unit",
        "credits",
        "price",
        "discount",
        "bonus_credits",
        "package",
        "created_at",
        "updated_at",
    }
    return {
        name: value for name, value in shown_purchase(shop).items() if name not in terms | {"payment", "payment_method"}
    }


def bought(*events: tuple[Any, ...]) -> Shop:
    """A shop whose 100 credits for 39.90 can be paid for, after these events."""
    shop = Shop()
    shop.start()
    for event_type, *amount in events:
        shop.event(event_type, *amount)
    return shop


NOTHING_YET = {"refunded": "0.00", "disputes": []}
PAID = {"paid": "39.90", "payment_id": "pay1"}


def test_a_purchase_that_has_begun_is_shown_whole() -> None:
    """Its terms, and where it is paid."""
    assert shown_purchase(bought()) == {
        "purchase_id": "b1",
        "status": "pending",
        "package": "auto_order-100",
        "unit": "auto_order",
        "credits": "100.00",
        "price": "39.90",
        "discount": "0.00",
        "bonus_credits": "0.00",
        **NOTHING_YET,
        "payment_method": "paypal",
        "payment": {"provider": "paypal", "redirect_url": "https://pay"},
        "created_at": AT,
        "updated_at": AT,
    }


def test_a_purchase_shows_the_checkout_that_is_open() -> None:
    """One whose start is under way has no address yet."""
    shop = bought()
    shop.do(begin())
    shown = shown_purchase(shop)
    assert (shown["payment_method"], shown["payment"]) == ("card", {"provider": "stripe"})
    shop.do(checkout(number=2))
    assert shown_purchase(shop)["payment"] == {"provider": "stripe", "redirect_url": "https://pay"}


def test_a_purchase_with_a_coupon_shows_what_it_gives() -> None:
    """Bonus credits are part of the credits; nothing to pay has no payment, and nothing that was paid."""
    shop = Shop()
    shop.make_coupon(bonus_credits=1000)
    shop.start(coupon="C")
    shown = shown_purchase(shop)
    assert (shown["coupon"], shown["credits"], shown["bonus_credits"]) == ("C", "110.00", "10.00")
    free = Shop()
    free.make_coupon(percent_off=10_000, max_uses=1)
    free.start(coupon="C")
    shown = shown_purchase(free)
    assert (shown["status"], shown["price"], shown["discount"], shown["payment"]) == ("credited", "0.00", "39.90", None)
    assert changed(free) == {"status": "credited", "coupon": "C", **NOTHING_YET}


def test_a_load_names_no_package() -> None:
    """It is of `managed`."""
    shop = Shop()
    shop.start(request=PurchaseRequest(amount=2500))
    shown = shown_purchase(shop)
    assert (shown["unit"], shown["credits"], shown["price"], "package" in shown) == ("managed", "25.00", "25.00", False)


@pytest.mark.parametrize(
    ("events", "shown"),
    [
        ([("declined",)], {"status": "declined", **NOTHING_YET}),
        ([("expired",)], {"status": "expired", **NOTHING_YET}),
        ([("paid",)], {"status": "credited", **PAID, **NOTHING_YET}),
        ([("paid",), ("refunded", 1000)], {"status": "credited", **PAID, "refunded": "10.00", "disputes": []}),
        (
            [("paid",), ("refunded", 3990), ("refund_failed", 990)],
            {"status": "credited", **PAID, "refunded": "30.00", "disputes": []},
        ),
        (
            [("paid", 5000)],
            {"status": "review", "paid": "50.00", "review_reason": "wrong amount", **NOTHING_YET},
        ),
        (
            [("paid", 5000), ("refunded", 5000)],
            {"status": "canceled", "paid": "50.00", "refunded": "50.00", "disputes": []},
        ),
        (
            [("paid",), ("dispute_created", 1000)],
            {
                "status": "disputed",
                **PAID,
                "refunded": "0.00",
                "disputes": [{"dispute_id": "pay1", "amount": "10.00", "status": "open"}],
            },
        ),
    ],
    ids=str,
)
def test_a_purchase_shows_what_became_of_it(events: list[tuple[Any, ...]], shown: dict[str, Any]) -> None:
    """What was paid and refunded, its disputes, and why it waits."""
    assert changed(bought(*events)) == shown


def test_a_purchase_shows_every_dispute_with_its_end() -> None:
    """However it ended: by the provider's word or by hand."""
    shop = bought(("paid",))
    for dispute_id, event_type in (("d3", "dispute_created"), ("d1", "dispute_won"), ("d2", "dispute_lost")):
        shop.event(event_type, 1000, dispute_id=dispute_id)
    ends = [("d1", "won"), ("d2", "lost"), ("d3", "open")]
    disputes = shown_purchase(shop)["disputes"]
    assert [(one["dispute_id"], one["status"]) for one in disputes] == ends
    shop.review("dispute_lost", dispute_id="d3")
    assert shown_purchase(shop)["disputes"][2] == {"dispute_id": "d3", "amount": "10.00", "status": "lost"}
    assert "reviewed_by" not in shown_purchase(shop)


@pytest.mark.parametrize(
    ("decision", "shown"),
    [("credit", {"status": "credited", "payment_id": "pay1"}), ("refuse", {"status": "canceled"})],
)
def test_a_purchase_that_was_reviewed_says_by_whom_and_why(decision: str, shown: dict[str, str]) -> None:
    """What was paid is shown all the same."""
    shop = bought(("paid", 5000))
    shop.review(decision)
    decided = {"reviewed_by": "platform", "review_reason": "seen"}
    assert changed(shop) == {**shown, "paid": "50.00", **decided, **NOTHING_YET}


def test_a_purchase_that_was_canceled_says_by_whom() -> None:
    """Also if it was paid after all."""
    shop = bought()
    shop.cancel()
    assert changed(shop) == {"status": "canceled", "canceled_by": "merchant", **NOTHING_YET}
    shop.event("paid")
    assert changed(shop) == {"status": "credited", "canceled_by": "merchant", **PAID, **NOTHING_YET}


def test_of_two_payments_the_one_that_pays_is_shown() -> None:
    """Beside it, why the other one waits."""
    shop = bought(("paid", 5000))
    shop.event("paid", payment_id="pay2")
    waiting = {"status": "review", "review_reason": "wrong amount"}
    assert changed(shop) == {**waiting, "paid": "39.90", "payment_id": "pay2", **NOTHING_YET}


def test_a_coupon_is_shown_with_its_uses() -> None:
    """What it does not limit is left out; who made and closed it is told."""
    made = {"code": "C", "percent_off": "10.00", "uses": 0, "closed": False, "created_by": "platform"}
    shop = Shop()
    assert views.coupon_view(shop.make_coupon(percent_off=1000)) == made
    full = Coupon(
        code="C",
        amount_off=100,
        packages=("p",),
        starts_at=0,
        ends_at=1000,
        max_uses=2,
        max_uses_per_account=1,
        closed=True,
        uses=2,
        created_by="me",
        closed_by="you",
        made_by="request",
    )
    assert views.coupon_view(full) == {
        "code": "C",
        "amount_off": "1.00",
        "packages": ["p"],
        "starts_at": "1970-01-01T00:00:00.000Z",
        "ends_at": "1970-01-01T00:00:01.000Z",
        "max_uses": 2,
        "max_uses_per_account": 1,
        "uses": 2,
        "closed": True,
        "created_by": "me",
        "closed_by": "you",
    }


def test_terms_are_shown_as_valid() -> None:
    """A coupon that is not is refused."""
    assert views.terms_view(Terms(3591, 399, 0)) == {
        "valid": True,
        "price": "35.91",
        "discount": "3.99",
        "bonus_credits": "0.00",
    }
