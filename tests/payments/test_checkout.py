"""Paying the same purchase another way, and canceling it: the open session is closed at Stripe first."""

from collections.abc import Callable

import pytest

from autocredits.domain.state import Balance
from autocredits.domain.times import MINUTE_MS
from dev.doubles.stripe import event
from tests.payments.conftest import Counted
from tests.payments.shop import BOUGHT, FREE, PRICE, Shop

CREDITED = Balance(FREE + BOUGHT)
Ask = Callable[[Shop], tuple[int, str | None]]


def checkout(shop: Shop) -> tuple[int, str | None]:
    """Ask to pay by PayPal instead; the answer in short."""
    answer = shop.checkout("paypal")
    return answer.status, answer.code


def cancel(shop: Shop) -> tuple[int, str | None]:
    """Ask to cancel; the answer in short."""
    answer = shop.cancel()
    return answer.status, answer.code


BOTH = pytest.mark.parametrize("ask", [checkout, cancel])


# ---------------------------------------------------------------- another way


def test_another_method_closes_the_open_session_first(shop: Shop) -> None:
    """The session is expired before the next payment starts; its price, coupon and id stay."""
    shop.make_coupon(percent_off=1000, max_uses=1)
    session_id = shop.start(coupon="C")
    purchase_id = shop.purchase().purchase_id
    answer = shop.checkout("paypal")
    assert answer.status == 200
    told = {name: answer.body[name] for name in ("purchase_id", "status", "price", "coupon", "payment_method")}
    assert told == {
        "purchase_id": purchase_id,
        "status": "pending",
        "price": "35.91",
        "coupon": "C",
        "payment_method": "paypal",
    }
    assert answer.body["payment"]["provider"] == "sandbox"
    assert shop.double.calls() == ["POST checkout/sessions", f"POST checkout/sessions/{session_id}/expire"]
    assert shop.double.sessions[session_id]["status"] == "expired"
    assert shop.coupon_uses() == (1, 1)


def test_each_checkout_has_a_number(shop: Shop) -> None:
    """Back to cards is a new session under a key and a number of its own, and it can be paid."""
    shop.start()
    shop.checkout("paypal")
    assert shop.checkout("card").status == 200
    purchase_id = shop.purchase().purchase_id
    assert [(one.number, one.reference) for one in shop.purchase().checkouts] == [
        (1, "cs_test_1"),
        (2, f"{purchase_id}-2"),
        (3, "cs_test_2"),
    ]
    assert [key for key in shop.double.kept if key.startswith("pur_")] == [f"{purchase_id}-1", f"{purchase_id}-3"]
    assert shop.deliver(shop.double.pay("cs_test_2")) == 200
    assert (shop.status(), shop.balance()) == ("credited", CREDITED)


def test_the_same_method_is_the_same_payment(shop: Shop) -> None:
    """Asked again for the method that is open, nothing is closed and nothing is started: its provider is asked."""
    session = shop.start()
    before = shop.purchase()
    answer = shop.checkout("card")
    assert answer.status == 200
    assert answer.body["payment"] == {
        "provider": "stripe",
        "redirect_url": f"{shop.double.serving.base_url}/c/pay/cs_test_1",
    }
    assert (shop.purchase(), shop.double.calls()[1:]) == (before, [f"GET checkout/sessions/{session}"])


def test_a_buyer_who_comes_back_need_not_wait(shop: Shop) -> None:
    """Asked again for the method that is open, the purchase stands as its provider has it."""
    shop.double.pay(shop.start())
    assert shop.checkout("card").body["status"] == "credited"


def test_a_buyer_who_comes_back_is_answered_though_the_provider_cannot_be_asked(shop: Shop) -> None:
    """The purchase stands as it is known; the schedule asks later."""
    shop.double.pay(shop.start())
    shop.double.serving.faults += ["500 before", "500 before"]
    answer = shop.checkout("card")
    assert (answer.status, answer.body["status"]) == (200, "pending")
    assert shop.poll_after(minutes=2) == (1, 0)
    assert shop.status() == "credited"


def test_a_declined_purchase_is_paid_another_way(shop: Shop) -> None:
    """After a decline the next checkout is pending again, and a late decline of the first one does not count."""
    session_id = shop.start()
    declined = shop.double.decline(session_id)
    assert (shop.deliver(declined), shop.status()) == (200, "declined")
    assert shop.checkout("paypal").body["status"] == "pending"
    assert (shop.deliver(declined), shop.status()) == (200, "pending")


@pytest.mark.parametrize("when", ["before", "after"])
def test_the_closed_session_tells_that_it_expired(shop: Shop, when: str) -> None:
    """Whether that is told before or after the next checkout begins, the purchase goes on, its coupon in use."""
    shop.make_coupon(percent_off=1000, max_uses=1)
    session_id = shop.start(coupon="C")
    expired = event("checkout.session.expired", shop.double.sessions[session_id])
    if when == "before":
        shop.double.serving.meanwhile["POST /expire"] = lambda: shop.deliver(expired)
    assert shop.checkout("paypal").body["status"] == "pending"
    assert shop.deliver(expired) == 200
    assert (shop.status(), shop.coupon_uses()) == ("pending", (1, 1))


@pytest.mark.parametrize("told", [True, False])
def test_paid_while_it_is_closed(shop: Shop, *, told: bool) -> None:
    """A session that is paid at that moment is credited, by the webhook or without it, and nothing else is started."""
    session_id = shop.start()
    webhook = shop.deliver if told else (lambda _: 0)
    shop.double.serving.meanwhile["POST /expire"] = lambda: webhook(shop.double.pay(session_id))
    answer = shop.checkout("paypal")
    assert (answer.status, answer.body["status"], answer.body["payment"]["provider"]) == (200, "credited", "stripe")
    assert (shop.balance(), len(shop.purchase().checkouts)) == (CREDITED, 1)
    assert shop.deliver(event("checkout.session.completed", shop.double.sessions[session_id])) == 200
    assert shop.balance() == CREDITED


@pytest.mark.parametrize(("changes", "status"), [({"amount_total": 1}, "review"), ({"currency": "eur"}, "pending")])
def test_paid_wrongly_while_it_is_closed(shop: Shop, counted: Counted, changes: dict[str, object], status: str) -> None:
    """Money that does not fit is told to a person, and meanwhile the purchase is not paid another way."""
    session_id = shop.start()
    shop.double.sessions[session_id] |= changes
    shop.double.pay(session_id)
    counted()
    assert checkout(shop) == (409, "invalid_transition")
    assert (shop.status(), len(shop.purchase().checkouts), counted()) == (status, 1, ["PaymentPutAside"])


def test_credited_already(shop: Shop) -> None:
    """A purchase that is credited is shown as it stands, also while nothing could be bought."""
    assert shop.deliver(shop.double.pay(shop.start())) == 200
    shop.set_standing(status="suspended")
    answer = shop.checkout("paypal")
    assert (answer.status, answer.body["status"]) == (200, "credited")


def test_a_second_payment_is_put_aside(shop: Shop) -> None:
    """Money that comes through a checkout that was left is credited; what then comes through the open one is not."""
    assert shop.buy(method="paypal").status == 201
    assert shop.checkout("card").status == 200
    assert pay_elsewhere(shop) == 200
    assert (shop.status(), shop.balance()) == ("credited", CREDITED)
    assert (shop.deliver(shop.double.pay("cs_test_1")), shop.balance()) == (202, CREDITED)


@pytest.mark.parametrize(
    ("standing", "code"),
    [
        ({"status": "suspended"}, "account_inactive"),
        ({"status": "closed"}, "account_inactive"),
        ({"orders_processor": "inactive"}, "orders_processor_inactive"),
    ],
)
def test_standing_comes_before_closing(shop: Shop, standing: dict[str, str], code: str) -> None:
    """Where nothing is sold, nothing is closed: the buyer may still pay the open session. It may be canceled."""
    session_id = shop.start()
    shop.set_standing(**standing)
    assert checkout(shop) == (403, code)
    assert shop.double.sessions[session_id]["status"] == "open"
    assert shop.cancel().status == 200


def test_limits_come_before_closing(shop: Shop) -> None:
    """A price that the other method cannot take closes nothing."""
    assert shop.buy(method="paypal", package=None, unit="managed", amount="0.10").status == 201
    answer = shop.checkout("card")
    assert (answer.status, answer.code, len(shop.purchase().checkouts)) == (422, "invalid_amount", 1)


def test_the_21st_checkout(shop: Shop) -> None:
    """A purchase has twenty checkouts at most; the twentieth stays open, and is the same when it is asked for again."""
    shop.start()
    for number in range(2, 21):
        assert shop.checkout("card" if number % 2 else "paypal").status == 200
    asked = len(shop.double.calls())
    answer = shop.checkout("card")
    assert (answer.status, answer.code, len(shop.double.calls())) == (409, "too_many_attempts", asked)
    assert (shop.checkout("paypal").status, len(shop.purchase().checkouts)) == (200, 20)
    assert pay_elsewhere(shop) == 200
    assert shop.balance() == CREDITED


# ---------------------------------------------------------------- canceling


def test_cancel(shop: Shop) -> None:
    """Canceling closes the session and gives the coupon's use back; it is known who did it, and again is the same."""
    shop.make_coupon(percent_off=1000, max_uses=1)
    session_id = shop.start(coupon="C")
    for _ in range(2):
        answer = shop.cancel(account="acme")
        assert (answer.status, answer.body["status"], answer.body["canceled_by"]) == (200, "canceled", "acme")
    assert shop.double.calls() == ["POST checkout/sessions", f"POST checkout/sessions/{session_id}/expire"]
    assert (shop.coupon_uses(), shop.balance()) == ((0, 0), Balance(FREE))
    assert shop.buy("k2", coupon="C").status == 201


def test_cancel_a_declined_purchase(shop: Shop) -> None:
    """A purchase that was declined can be canceled."""
    shop.deliver(shop.double.decline(shop.start()))
    assert shop.cancel().body["status"] == "canceled"


@pytest.mark.parametrize("when", ["before", "after"])
def test_the_canceled_session_tells_that_it_expired(shop: Shop, when: str) -> None:
    """Whether that is told before or after, the purchase is canceled, and the coupon's use is given back once."""
    shop.make_coupon(percent_off=1000, max_uses=2)
    session_id = shop.start(coupon="C")
    assert shop.buy("k2", coupon="C").status == 201
    expired = event("checkout.session.expired", shop.double.sessions[session_id])
    if when == "before":
        shop.double.serving.meanwhile["POST /expire"] = lambda: shop.deliver(expired)
    assert shop.cancel().body["status"] == "canceled"
    assert shop.deliver(expired) == 200
    assert (shop.status(), shop.coupon_uses()) == ("canceled", (1, 1))


@pytest.mark.parametrize("told", [True, False])
def test_paid_while_it_is_canceled(shop: Shop, *, told: bool) -> None:
    """A session that is paid at that moment is credited, by the webhook or without it, and not canceled."""
    session_id = shop.start()
    webhook = shop.deliver if told else (lambda _: 0)
    shop.double.serving.meanwhile["POST /expire"] = lambda: webhook(shop.double.pay(session_id))
    assert cancel(shop) == (409, "invalid_transition")
    assert (shop.status(), shop.balance()) == ("credited", CREDITED)


def test_paid_after_it_was_canceled(shop: Shop, counted: Counted) -> None:
    """Money that comes all the same is credited, and the coupon counted beyond its limit, which is told."""
    shop.make_coupon(percent_off=1000, max_uses=1)
    assert shop.buy(method="paypal", coupon="C").status == 201
    assert shop.cancel().status == 200
    assert shop.buy("k2", coupon="C").status == 201
    counted()
    assert pay_elsewhere(shop, "35.91") == 200
    assert (shop.status(), shop.balance(), shop.coupon_uses()) == ("credited", CREDITED, (2, 2))
    assert counted() == ["CouponUsedAfterAll"]


def test_cancel_what_is_settled(shop: Shop) -> None:
    """What is credited, in review, refunded or disputed cannot be canceled."""
    session_id = shop.start()
    shop.deliver(shop.double.pay(session_id))
    assert cancel(shop) == (409, "invalid_transition")
    shop.deliver(shop.double.dispute(session_id))
    assert (cancel(shop), shop.status()) == ((409, "invalid_transition"), "disputed")
    shop.deliver(shop.double.dispute(session_id, "won"))
    shop.deliver(shop.double.refund(session_id, PRICE))
    assert (cancel(shop), shop.status()) == ((409, "invalid_transition"), "refunded")
    assert shop.buy("k2", "paypal").status == 201
    assert pay_elsewhere(shop, "0.01", key="k2") == 202
    assert (shop.cancel("k2").code, shop.status("k2")) == ("invalid_transition", "review")


# ---------------------------------------------------------------- both


@BOTH
def test_money_on_its_way(shop: Shop, ask: Ask) -> None:
    """A session that is complete but unpaid cannot be closed: its money comes, or does not."""
    session_id = shop.start()
    shop.deliver(shop.double.pay(session_id, later=True))
    assert ask(shop) == (409, "invalid_transition")
    assert (shop.status(), len(shop.purchase().checkouts)) == ("pending", 1)
    assert shop.deliver(shop.double.settle(session_id)) == 200
    assert shop.balance() == CREDITED


@BOTH
@pytest.mark.parametrize("status", ["expired", "canceled", "review", "disputed"])
def test_what_cannot_be_paid_any_more(shop: Shop, ask: Ask, status: str) -> None:
    """Whatever is over, paid or settled is no more to be paid another way, and Stripe is not asked."""
    session_id = shop.start()
    if status == "expired":
        shop.deliver(shop.double.expire(session_id))
    elif status == "canceled":
        shop.cancel()
    else:
        paid = shop.double.pay(session_id)
        if status == "review":
            paid["data"]["object"]["amount_total"] += 1
        shop.deliver(paid)
        if status == "disputed":
            shop.deliver(shop.double.dispute(session_id))
    asked = len(shop.double.calls())
    expected = (200, None) if ask is cancel and status in ("expired", "canceled") else (409, "invalid_transition")
    assert (ask(shop), len(shop.double.calls())) == (expected, asked)
    assert shop.status() == ("canceled" if expected[0] == 200 else status)


@BOTH
def test_a_start_under_way(shop: Shop, ask: Ask) -> None:
    """While Stripe's answer to the start is awaited, nothing can be closed: that is to be asked again."""
    shop.double.serving.faults.extend(["reset before"] * 2)
    assert shop.buy().status == 503
    assert ask(shop) == (503, "try_again")
    assert shop.status() == "pending"
    assert shop.buy().status == 201
    assert ask(shop) == (200, None)


@BOTH
@pytest.mark.parametrize("fault", ["reset before", "500 before", "silent after"])
def test_while_stripe_is_away(shop: Shop, ask: Ask, fault: object) -> None:
    """Where Stripe does not answer, the session counts as open; asked again, it goes on."""
    session_id = shop.start()
    shop.double.serving.faults.extend([fault] * 2)  # type: ignore[list-item] # names of faults
    assert ask(shop) == (503, "try_again")
    assert (shop.status(), shop.session()) == ("pending", session_id)
    assert ask(shop) == (200, None)
    assert shop.double.sessions[session_id]["status"] == "expired"


@BOTH
def test_a_session_that_has_ended_by_itself(shop: Shop, ask: Ask) -> None:
    """A session that expired unheard is as good as closed."""
    shop.start()
    shop.clock.at_ms += 61 * MINUTE_MS
    assert ask(shop) == (200, None)


@BOTH
def test_who_may_ask(shop: Shop, ask: Ask) -> None:
    """Another account's purchase is a missing one, and a token that is bound to a store may not."""
    shop.open("umbrella")
    shop.start()
    path = f"/purchases/{shop.purchase().purchase_id}/{ask.__name__}"
    body = {"payment_method": "paypal"} if ask is checkout else None
    for account_id, account, store, status, code in (
        ("acme", "umbrella", None, 404, "account_not_found"),
        ("umbrella", "umbrella", None, 404, "purchase_not_found"),
        ("acme", "acme", "shop-1", 403, "store_forbidden"),
    ):
        answer = shop.call(path, body, account_id=account_id, account=account, store=store)
        assert (answer.status, answer.code) == (status, code)
    assert shop.double.calls() == ["POST checkout/sessions"]
    assert shop.call(path, body, account="acme").status == 200


def pay_elsewhere(shop: Shop, amount: str = "39.90", *, key: str = "k1") -> int:
    """The sandbox tells of a payment; the status it gets."""
    return shop.tell_sandbox("payment.succeeded", amount, key=key)
