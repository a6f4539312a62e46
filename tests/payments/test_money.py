"""What becomes of the credits: granted once and taken back by share, in whatever order Stripe's webhooks come."""

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations

import pytest

from autocredits.domain.purchases.fulfil import NOT_LOST, REFUND_FAILED
from autocredits.domain.state import Balance
from dev.doubles.serving import Object
from dev.doubles.stripe import event
from functions.purchase.payments.stripe import Stripe
from tests.payments.conftest import Counted
from tests.payments.shop import BOUGHT, FREE, NEW_SECRET, PRICE, Shop

CREDITED = Balance(FREE + BOUGHT)


def paid(shop: Shop) -> str:
    """Buy and pay; the session's id."""
    session_id = shop.start()
    assert shop.deliver(shop.double.pay(session_id)) == 200
    assert (shop.status(), shop.balance()) == ("credited", CREDITED)
    return session_id


def changed(told: Object, **changes: object) -> Object:
    """The event with its object changed."""
    about = {**told["data"]["object"], **changes}
    return event(told["type"], about)


def test_hundred_replays(shop: Shop) -> None:
    """A payment that is told a hundred times is credited once."""
    told = shop.double.pay(shop.start())
    assert {shop.deliver(told) for _ in range(100)} == {200}
    assert (shop.balance(), shop.kinds().count("purchased")) == (CREDITED, 1)


def test_twenty_at_once(shop: Shop) -> None:
    """A payment that is told a hundred times, twenty at once, is credited once."""
    told = shop.double.pay(shop.start())
    with ThreadPoolExecutor(20) as pool:
        statuses = set(pool.map(lambda _: shop.deliver(told), range(100)))
    assert 200 in statuses <= {200, 503}
    assert (shop.balance(), shop.kinds().count("purchased")) == (CREDITED, 1)


def test_before_the_start_has_ended(shop: Shop) -> None:
    """A payment that is told before the start has ended is to come again, and then is credited."""
    shop.double.serving.faults.extend(["reset after"] * 2)
    assert shop.buy().status == 503
    told = shop.double.pay("cs_test_1")
    assert (shop.deliver(told), shop.balance()) == (503, Balance(FREE))
    assert shop.start() == "cs_test_1"
    assert (shop.deliver(told), shop.balance()) == (200, CREDITED)


def test_asynchronous_payment(shop: Shop) -> None:
    """Money that takes days is credited when it comes, not when the buyer has done his part."""
    session_id = shop.start()
    assert shop.deliver(shop.double.pay(session_id, later=True)) == 200
    assert (shop.status(), shop.balance()) == ("pending", Balance(FREE))
    assert shop.deliver(shop.double.settle(session_id)) == 200
    assert (shop.status(), shop.balance()) == ("credited", CREDITED)


def test_asynchronous_events_reversed(shop: Shop) -> None:
    """Told in the other sequence, it comes to the same."""
    session_id = shop.start()
    complete = shop.double.pay(session_id, later=True)
    assert [shop.deliver(told) for told in (shop.double.settle(session_id), complete)] == [200, 200]
    assert (shop.status(), shop.balance()) == ("credited", CREDITED)


@pytest.mark.parametrize("first_expires", [True, False])
def test_paid_at_the_last_moment(shop: Shop, *, first_expires: bool) -> None:
    """Whether a session is told to have expired before or after it is told to be paid, it is credited."""
    session_id = shop.start()
    expired = shop.double.expire(session_id)
    told = [expired, shop.double.pay(session_id)] if first_expires else [shop.double.pay(session_id), expired]
    assert [shop.deliver(one) for one in told] == [200, 200]
    assert (shop.status(), shop.balance()) == ("credited", CREDITED)


def test_expired(shop: Shop) -> None:
    """A session that expires moves nothing, however often that is told."""
    expired = shop.double.expire(shop.start())
    assert [shop.deliver(expired) for _ in range(3)] == [200] * 3
    assert (shop.status(), shop.balance()) == ("expired", Balance(FREE))


def test_declined_then_another_method(shop: Shop) -> None:
    """A buyer who is declined is told so, buys once more, and gets his credits once."""
    session_id = shop.start()
    assert shop.deliver(shop.double.pay(session_id, later=True)) == 200
    declined = shop.double.fail(session_id, "insufficient_funds")
    assert [shop.deliver(declined) for _ in range(2)] == [200, 200]
    assert (shop.status(), shop.balance(), shop.kinds().count("declined")) == ("declined", Balance(FREE), 1)
    assert shop.deliver(shop.double.pay(shop.start("k2"))) == 200
    assert (shop.status("k2"), shop.balance()) == ("credited", CREDITED)


def test_declined_then_paid_after_all(shop: Shop) -> None:
    """Money that comes after all is credited, though the payment was told to have failed."""
    session_id = shop.start()
    shop.double.pay(session_id, later=True)
    assert shop.deliver(shop.double.fail(session_id, "try_again_later")) == 200
    assert shop.deliver(shop.double.settle(session_id)) == 200
    assert (shop.status(), shop.balance()) == ("credited", CREDITED)


# What is put aside.


@pytest.mark.parametrize("amount", [PRICE - 1, PRICE + 1])
def test_wrong_amount(shop: Shop, amount: int) -> None:
    """Another amount than was asked is put in review once, and nothing is credited."""
    told = changed(shop.double.pay(shop.start()), amount_total=amount)
    assert [shop.deliver(told) for _ in range(3)] == [202, 200, 200]
    assert (shop.status(), shop.balance()) == ("review", Balance(FREE))


def test_wrong_currency(shop: Shop, counted: Counted) -> None:
    """Money in another currency is put aside and told, each time, and the purchase stays as it is."""
    told = changed(shop.double.pay(shop.start()), currency="eur")
    assert [shop.deliver(told) for _ in range(2)] == [202, 202]
    assert (shop.status(), shop.balance(), counted()) == ("pending", Balance(FREE), ["PaymentPutAside"] * 2)


def test_another_account(shop: Shop) -> None:
    """An event that names another account changes neither account."""
    shop.open("other")
    told = shop.double.pay(shop.start())
    metadata = {"account_id": "other", "purchase_id": shop.purchase().purchase_id}
    assert shop.deliver(changed(told, metadata=metadata)) == 202
    assert (shop.balance(), shop.balance("other")) == (Balance(FREE), Balance(FREE))
    assert shop.status() == "pending"


def test_unknown_purchase(shop: Shop) -> None:
    """An event for a purchase that this account does not have is put aside."""
    told = shop.double.pay(shop.start())
    assert shop.deliver(changed(told, client_reference_id="pur_unknown")) == 202
    assert shop.balance() == Balance(FREE)


def test_unknown_account(shop: Shop) -> None:
    """An event for an account that there is not is put aside."""
    told = shop.double.pay(shop.start())
    assert shop.deliver(changed(told, metadata={"account_id": "nobody"})) == 202
    assert (shop.balance(), shop.ledger.store.head("nobody")) == (Balance(FREE), None)


def test_payment_of_another_purchase(shop: Shop) -> None:
    """A payment that was seen with one purchase pays no other."""
    paid(shop)
    told = changed(shop.double.pay(shop.start("k2")), payment_intent="pi_1")
    assert shop.deliver(told) == 202
    assert (shop.status("k2"), shop.balance()) == ("pending", CREDITED)


def test_payment_of_another_account(shop: Shop) -> None:
    """A payment that was seen with one account pays no purchase of another."""
    paid(shop)
    shop.open("other")
    told = changed(shop.double.pay(shop.start(account_id="other")), payment_intent="pi_1")
    assert shop.deliver(told) == 202
    assert (shop.balance(), shop.balance("other")) == (CREDITED, Balance(FREE))


def test_second_payment(shop: Shop) -> None:
    """A second payment for a purchase that is credited is put aside."""
    session_id = paid(shop)
    told = changed(event("checkout.session.completed", shop.double.sessions[session_id]), payment_intent="pi_2")
    assert shop.deliver(told) == 202
    assert shop.balance() == CREDITED


def test_foreign_session(shop: Shop) -> None:
    """A session that was not started here is none of our business."""
    told = changed(shop.double.pay(shop.start()), client_reference_id=None, metadata={})
    shop.double.intents["pi_1"]["metadata"] = {}
    assert (shop.deliver(told), shop.balance()) == (200, Balance(FREE))


def test_foreign_subscription(shop: Shop) -> None:
    """A session that names nobody and has no payment is none of our business, and nobody is asked."""
    told = changed(shop.double.pay(shop.start()), client_reference_id=None, metadata={}, payment_intent=None)
    asked = len(shop.double.serving.statuses)
    assert (shop.deliver(told), len(shop.double.serving.statuses), shop.balance()) == (200, asked, Balance(FREE))


def test_nameless_session(shop: Shop) -> None:
    """A session that names nobody is found by its payment."""
    told = changed(shop.double.pay(shop.start()), client_reference_id=None, metadata={})
    assert (shop.deliver(told), shop.balance()) == (200, CREDITED)


def test_nameless_session_while_stripe_is_away(shop: Shop) -> None:
    """Where Stripe would have to be asked and cannot be, the webhook is to come again."""
    told = changed(shop.double.pay(shop.start()), client_reference_id=None, metadata={})
    shop.double.serving.faults.extend(["reset before"] * 2)
    assert (shop.deliver(told), shop.balance()) == (503, Balance(FREE))
    assert (shop.deliver(told), shop.balance()) == (200, CREDITED)


# What is taken back.


def test_refund_in_two_steps(shop: Shop) -> None:
    """A refund takes back the refunded share of the price in all, half up; told again, nothing."""
    session_id = paid(shop)
    first = shop.double.refund(session_id, 1000)
    assert (shop.deliver(first), shop.balance()) == (200, Balance(FREE + BOUGHT - 2506))
    second = shop.double.refund(session_id, 2000)
    assert (shop.deliver(second), shop.balance()) == (200, Balance(FREE + BOUGHT - 7519))
    assert (shop.deliver(first), shop.balance()) == (200, Balance(FREE + BOUGHT - 7519))
    rest = shop.double.refund(session_id, PRICE - 3000)
    assert (shop.deliver(rest), shop.balance(), shop.status()) == (200, Balance(FREE), "refunded")


def test_refund_reversed(shop: Shop) -> None:
    """The greater sum first comes to the same, also where only the charge tells, for there is no key to ask with."""
    session_id = paid(shop)
    first, second = shop.double.refund(session_id, 1000), shop.double.refund(session_id, 2000)
    shop.provider = Stripe(api_key="", signing_secrets=(NEW_SECRET,))
    assert [shop.deliver(told) for told in (second, first)] == [200, 200]
    assert (shop.balance(), shop.kinds().count("clawed_back")) == (Balance(FREE + BOUGHT - 7519), 1)


def test_refund_in_another_currency(shop: Shop) -> None:
    """A refund in another currency than was paid is put aside."""
    told = changed(shop.double.refund(paid(shop), 1000), currency="eur")
    assert (shop.deliver(told), shop.balance()) == (202, CREDITED)


@pytest.mark.parametrize("kind", ["refund", "dispute"])
def test_taken_back_before_it_is_paid(shop: Shop, kind: str) -> None:
    """What takes back a payment that is not yet known is to come again."""
    session_id = shop.start()
    told = shop.double.pay(session_id)
    back = shop.double.refund(session_id, PRICE) if kind == "refund" else shop.double.dispute(session_id)
    assert (shop.deliver(back), shop.balance()) == (503, Balance(FREE))
    assert [shop.deliver(told), shop.deliver(back)] == [200, 200]
    assert shop.balance() == (Balance(FREE) if kind == "refund" else Balance(FREE + BOUGHT, held=BOUGHT))


@pytest.mark.parametrize("status", ["won", "warning_closed", "prevented"])
def test_dispute_won(shop: Shop, status: str) -> None:
    """A dispute freezes what was bought; won, closed as an inquiry or prevented, it is free again."""
    session_id = paid(shop)
    assert shop.deliver(shop.double.dispute(session_id)) == 200
    assert (shop.balance(), shop.status()) == (Balance(FREE + BOUGHT, held=BOUGHT), "disputed")
    assert shop.deliver(shop.double.dispute(session_id, status)) == 200
    assert (shop.balance(), shop.status()) == (CREDITED, "credited")


def test_dispute_lost(shop: Shop) -> None:
    """Lost, it is gone."""
    session_id = paid(shop)
    assert [shop.deliver(shop.double.dispute(session_id, status)) for status in ("needs_response", "lost")] == [
        200,
        200,
    ]
    assert (shop.balance(), shop.status()) == (Balance(FREE), "charged_back")


@pytest.mark.parametrize(("status", "expected"), [("won", CREDITED), ("lost", Balance(FREE))])
def test_dispute_reversed(shop: Shop, status: str, expected: Balance) -> None:
    """A dispute whose end is told before its beginning comes to the same, and nothing stays frozen."""
    session_id = paid(shop)
    for told in (shop.double.dispute(session_id, status), shop.double.dispute(session_id)):
        assert (shop.deliver(told), shop.balance()) == (200, expected)


def test_updated_dispute(shop: Shop) -> None:
    """News that a dispute is looked at changes nothing; news of its end counts, whatever event brings it."""
    session_id = paid(shop)
    assert shop.deliver(shop.double.dispute(session_id)) == 200
    assert shop.deliver(shop.double.dispute(session_id, "under_review")) == 200
    assert (shop.balance(), shop.kinds().count("held")) == (Balance(FREE + BOUGHT, held=BOUGHT), 1)
    told = shop.double.dispute(session_id, "won")
    assert shop.deliver(told | {"type": "charge.dispute.updated"}) == 200
    assert (shop.balance(), shop.status()) == (CREDITED, "credited")


def test_unknown_end_of_a_dispute(shop: Shop, counted: Counted) -> None:
    """A dispute that ends in an unknown way stays frozen, is told, and is ended by a person."""
    session_id = paid(shop)
    assert shop.deliver(shop.double.dispute(session_id)) == 200
    closed = changed(shop.double.dispute(session_id, "won"), status="vanished")
    assert (shop.deliver(closed), counted()) == (202, ["PaymentPutAside"])
    assert shop.balance() == Balance(FREE + BOUGHT, held=BOUGHT)
    assert shop.review("dispute_lost").body["status"] == "charged_back"
    assert shop.balance() == Balance(FREE)


# Facts, and not what was heard last.


def in_review(shop: Shop, amount: int) -> str:
    """Buy and pay so much instead of the price; the session's id."""
    session_id = shop.start()
    shop.double.sessions[session_id]["amount_total"] = amount
    assert shop.deliver(shop.double.pay(session_id)) == 202
    return session_id


def test_a_payment_in_review_is_refunded(shop: Shop) -> None:
    """Nothing was granted, so nothing is taken back: also when all of a greater payment than the price goes back."""
    session_id = in_review(shop, 5000)
    assert shop.deliver(shop.double.refund(session_id, PRICE)) == 200
    assert (shop.status(), shop.balance()) == ("review", Balance(FREE))
    assert shop.deliver(shop.double.refund(session_id, 5000 - PRICE)) == 200
    assert (shop.status(), shop.balance()) == ("canceled", Balance(FREE))
    assert shop.review("credit").status == 409


def test_a_payment_in_review_is_refunded_in_part_and_credited(shop: Shop) -> None:
    """Credited by hand, what went back of it is taken at once, by its share of what was paid."""
    session_id = in_review(shop, 4000)
    assert shop.deliver(shop.double.refund(session_id, 2000)) == 200
    assert shop.review("credit").body["status"] == "credited"
    assert shop.balance() == Balance(FREE + BOUGHT // 2)


def test_a_payment_in_review_is_lost(shop: Shop) -> None:
    """A payment that a dispute has taken whole cannot be credited by hand."""
    session_id = in_review(shop, 4000)
    assert [shop.deliver(shop.double.dispute(session_id, end)) for end in ("needs_response", "lost")] == [200, 200]
    answer = shop.review("credit")
    assert (answer.status, answer.code, shop.balance()) == (409, "invalid_transition", Balance(FREE))


def test_two_lost_disputes(shop: Shop) -> None:
    """Each dispute takes its share once, however often its end is told."""
    session_id = paid(shop)
    first = shop.double.dispute(session_id, "lost", id="du_1", amount=1000)
    second = shop.double.dispute(session_id, "lost", id="du_2", amount=1000)
    assert [shop.deliver(told) for told in (first, second, first, first)] == [200] * 4
    assert (shop.balance(), shop.kinds().count("clawed_back")) == (Balance(5487), 2)


def test_one_dispute_lost_and_one_won(shop: Shop) -> None:
    """A dispute that was won does not undo the one that was lost."""
    session_id = paid(shop)
    assert shop.deliver(shop.double.dispute(session_id, "lost", id="du_1")) == 200
    for end in ("needs_response", "won"):
        assert shop.deliver(shop.double.dispute(session_id, end, id="du_2")) == 200
    assert (shop.status(), shop.balance()) == ("charged_back", Balance(FREE))


@pytest.mark.parametrize(("status", "currency", "amount"), [("needs_response", "eur", 1596), ("lost", "jpy", PRICE)])
def test_dispute_in_another_currency(shop: Shop, status: str, currency: str, amount: int) -> None:
    """A dispute in another currency than was paid is put aside, and nothing is frozen or taken."""
    told = shop.double.dispute(paid(shop), status, currency=currency, amount=amount)
    assert (shop.deliver(told), shop.balance(), shop.status()) == (202, CREDITED, "credited")


@pytest.mark.parametrize("in_full", [True, False])
def test_failed_refund(shop: Shop, *, in_full: bool) -> None:
    """What a refund took is given back once it has failed, and the entry says why."""
    session_id = paid(shop)
    assert shop.deliver(shop.double.refund(session_id, 1000)) == 200
    assert shop.deliver(shop.double.refund(session_id, PRICE - 1000 if in_full else 1000)) == 200
    failed = shop.double.fail_refund("re_2")
    assert [shop.deliver(failed) for _ in range(2)] == [200, 200]
    assert (shop.status(), shop.balance()) == ("credited", Balance(FREE + BOUGHT - 2506))
    assert shop.last_reason() == REFUND_FAILED


def test_failed_refund_and_another(shop: Shop) -> None:
    """A later refund counts beside one that failed, though the charge tells only the sum of what did not fail."""
    session_id = paid(shop)
    told = [shop.double.refund(session_id, 1000), shop.double.fail_refund("re_1")]
    again = shop.double.refund(session_id, 1000)
    assert again["data"]["object"]["amount_refunded"] == 1000
    assert [shop.deliver(one) for one in (*told, again)] == [200] * 3
    assert shop.balance() == Balance(FREE + BOUGHT - 2506)


def test_refund_whose_failure_is_not_told(shop: Shop) -> None:
    """What Stripe knows of all refunds is asked with each one, so a lost webhook of a failure is made good."""
    session_id = paid(shop)
    assert shop.deliver(shop.double.refund(session_id, 2000)) == 200
    shop.double.fail_refund("re_1")
    assert shop.deliver(shop.double.refund(session_id, 1000)) == 200
    assert shop.balance() == Balance(FREE + BOUGHT - 2506)


def test_refund_while_stripe_is_away(shop: Shop) -> None:
    """Where Stripe cannot be asked for the refunds, the webhook is to come again."""
    refunded = shop.double.refund(paid(shop), 1000)
    shop.double.serving.faults.extend(["reset before"] * 2)
    assert (shop.deliver(refunded), shop.balance()) == (503, CREDITED)
    assert (shop.deliver(refunded), shop.balance()) == (200, Balance(FREE + BOUGHT - 2506))


def test_prevented_by_a_refund(shop: Shop) -> None:
    """A dispute that a refund prevented ends `refunded`: nothing stays frozen, and nothing is taken twice."""
    session_id = paid(shop)
    assert shop.deliver(shop.double.dispute(session_id)) == 200
    assert shop.deliver(shop.double.refund(session_id, PRICE)) == 200
    assert (shop.status(), shop.balance()) == ("disputed", Balance(FREE))
    assert shop.deliver(shop.double.dispute(session_id, "prevented")) == 200
    assert (shop.status(), shop.balance()) == ("refunded", Balance(FREE))


def test_dispute_that_is_never_told_to_end(shop: Shop) -> None:
    """A person ends it; what the provider says later beats that, and what was taken comes back with its reason."""
    session_id = paid(shop)
    assert shop.deliver(shop.double.dispute(session_id)) == 200
    assert shop.review("dispute_lost").body["status"] == "charged_back"
    assert shop.balance() == Balance(FREE)
    assert shop.deliver(shop.double.dispute(session_id, "won")) == 200
    assert (shop.status(), shop.balance(), shop.last_reason()) == ("credited", CREDITED, NOT_LOST)


# Coupons and how payments end.


def test_a_decline_gives_no_use_back(shop: Shop) -> None:
    """A coupon that an account may use once opens one session: while that can still be paid, there is no second."""
    shop.make_coupon(percent_off=1000, max_uses_per_account=1)
    session_id = shop.start(coupon="C")
    assert shop.deliver(shop.double.decline(session_id)) == 200
    for key in ("k2", "k3", "k4", "k5"):
        assert shop.buy(key, coupon="C").code == "coupon_invalid"
    assert shop.deliver(shop.double.pay(session_id)) == 200
    assert (shop.balance(), shop.coupon_uses()) == (CREDITED, (1, 1))


def test_an_abandoned_purchase_gives_its_use_back(shop: Shop) -> None:
    """A buyer who comes back cancels what he left, or just goes on with it; an expired session gives the use back."""
    shop.make_coupon(percent_off=1000, max_uses_per_account=1)
    shop.start(coupon="C")
    assert shop.buy("k2", coupon="C").body["reason"] == "used_up_by_account"
    assert shop.cancel().status == 200
    session_id = shop.start("k2", coupon="C")
    assert shop.deliver(shop.double.expire(session_id)) == 200
    assert shop.deliver(shop.double.pay(shop.start("k3", coupon="C"))) == 200
    assert (shop.balance(), shop.coupon_uses()) == (CREDITED, (1, 1))


@pytest.mark.slow
@pytest.mark.parametrize(("end", "expected"), [("won", FREE + BOUGHT - 2506), ("lost", FREE)])
def test_every_order(shop: Shop, end: str, expected: int) -> None:
    """In whatever order a payment, its refunds, a failed one and its dispute are told, twice each, it comes to the same."""
    for number, order in enumerate(permutations(range(5))):
        shop.open(f"account-{number}")
        session_id = shop.start(account_id=f"account-{number}")
        events = [
            shop.double.pay(session_id),
            shop.double.refund(session_id, 1000),
            shop.double.refund(session_id, 2000),
            shop.double.fail_refund(f"re_{len(shop.double.refunds)}"),
            shop.double.dispute(session_id, end),
        ]
        waiting = deque(events[index] for index in (*order, *order))
        for _ in range(100):
            if waiting and shop.deliver(waiting[0]) == 503:
                waiting.rotate(-1)
            elif waiting:
                waiting.popleft()
        assert not waiting, order
        assert shop.balance(f"account-{number}") == Balance(expected), order
