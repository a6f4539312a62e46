"""What becomes of the credits: granted once and taken back by share, in whatever order Stripe's webhooks come."""

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations

import pytest

from autocredits.domain.purchases.calls import RecordCheckout
from autocredits.domain.state import Balance
from functions.purchase.payments.port import Checkout
from tests.payments.shop import BOUGHT, FREE, PRICE, Shop
from tests.payments.stripe_double import Object, event

CREDITED = Balance(FREE + BOUGHT)


def paid(shop: Shop) -> str:
    """Buy and pay; the session's id."""
    session_id = shop.start()
    assert shop.deliver(shop.double.pay(session_id)) == 200
    assert (shop.purchase().status, shop.balance()) == ("credited", CREDITED)
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
    command = shop.command("k1", "acme")
    shop.ledger.execute("acme", command)
    started = shop.provider.start(Checkout("acme", command.purchase_id, PRICE, "auto_order-100", None, None))
    told = shop.double.pay(started.reference)
    assert (shop.deliver(told), shop.balance()) == (503, Balance(FREE))
    known = RecordCheckout(
        purchase_id=command.purchase_id, provider_reference=started.reference, redirect_url=started.redirect_url
    )
    shop.ledger.execute("acme", known)
    assert (shop.deliver(told), shop.balance()) == (200, CREDITED)


def test_asynchronous_payment(shop: Shop) -> None:
    """Money that takes days is credited when it comes, not when the buyer has done his part."""
    session_id = shop.start()
    assert shop.deliver(shop.double.pay(session_id, later=True)) == 200
    assert (shop.purchase().status, shop.balance()) == ("pending", Balance(FREE))
    assert shop.deliver(shop.double.settle(session_id)) == 200
    assert (shop.purchase().status, shop.balance()) == ("credited", CREDITED)


def test_asynchronous_events_reversed(shop: Shop) -> None:
    """Told in the other sequence, it comes to the same."""
    session_id = shop.start()
    complete = shop.double.pay(session_id, later=True)
    assert [shop.deliver(told) for told in (shop.double.settle(session_id), complete)] == [200, 200]
    assert (shop.purchase().status, shop.balance()) == ("credited", CREDITED)


@pytest.mark.parametrize("first_expires", [True, False])
def test_paid_at_the_last_moment(shop: Shop, *, first_expires: bool) -> None:
    """Whether a session is told to have expired before or after it is told to be paid, it is credited."""
    session_id = shop.start()
    expired = shop.double.expire(session_id)
    told = [expired, shop.double.pay(session_id)] if first_expires else [shop.double.pay(session_id), expired]
    assert [shop.deliver(one) for one in told] == [200, 200]
    assert (shop.purchase().status, shop.balance()) == ("credited", CREDITED)


def test_expired(shop: Shop) -> None:
    """A session that expires moves nothing, however often that is told."""
    expired = shop.double.expire(shop.start())
    assert [shop.deliver(expired) for _ in range(3)] == [200] * 3
    assert (shop.purchase().status, shop.balance()) == ("expired", Balance(FREE))


def test_declined_then_another_method(shop: Shop) -> None:
    """A buyer who is declined is told so, buys once more, and gets his credits once."""
    session_id = shop.start()
    assert shop.deliver(shop.double.pay(session_id, later=True)) == 200
    declined = shop.double.fail(session_id, "insufficient_funds")
    assert [shop.deliver(declined) for _ in range(2)] == [200, 200]
    assert (shop.purchase().status, shop.balance(), shop.kinds().count("declined")) == ("declined", Balance(FREE), 1)
    assert shop.deliver(shop.double.pay(shop.start("k2"))) == 200
    assert (shop.purchase("k2").status, shop.balance()) == ("credited", CREDITED)


def test_declined_then_paid_after_all(shop: Shop) -> None:
    """Money that comes after all is credited, though the payment was told to have failed."""
    session_id = shop.start()
    shop.double.pay(session_id, later=True)
    assert shop.deliver(shop.double.fail(session_id, "try_again_later")) == 200
    assert shop.deliver(shop.double.settle(session_id)) == 200
    assert (shop.purchase().status, shop.balance()) == ("credited", CREDITED)


# What is put aside.


@pytest.mark.parametrize("changes", [{"amount_total": PRICE - 1}, {"amount_total": PRICE + 1}, {"currency": "eur"}])
def test_wrong_amount_or_currency(shop: Shop, changes: dict[str, object]) -> None:
    """Another amount or currency than was asked is put in review once, and nothing is credited."""
    told = changed(shop.double.pay(shop.start()), **changes)
    assert [shop.deliver(told) for _ in range(3)] == [202, 200, 200]
    assert (shop.purchase().status, shop.balance()) == ("review", Balance(FREE))


def test_another_account(shop: Shop) -> None:
    """An event that names another account changes neither account."""
    shop.open("other")
    told = shop.double.pay(shop.start())
    metadata = {"account_id": "other", "purchase_id": shop.purchase().purchase_id}
    assert shop.deliver(changed(told, metadata=metadata)) == 202
    assert (shop.balance(), shop.balance("other")) == (Balance(FREE), Balance(FREE))
    assert shop.purchase().status == "pending"


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
    assert (shop.purchase("k2").status, shop.balance()) == ("pending", CREDITED)


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
    asked = len(shop.double.answered)
    assert (shop.deliver(told), len(shop.double.answered), shop.balance()) == (200, asked, Balance(FREE))


def test_nameless_session(shop: Shop) -> None:
    """A session that names nobody is found by its payment."""
    told = changed(shop.double.pay(shop.start()), client_reference_id=None, metadata={})
    assert (shop.deliver(told), shop.balance()) == (200, CREDITED)


def test_nameless_session_while_stripe_is_away(shop: Shop) -> None:
    """Where Stripe would have to be asked and cannot be, the webhook is to come again."""
    told = changed(shop.double.pay(shop.start()), client_reference_id=None, metadata={})
    shop.double.faults.extend(["reset before"] * 2)
    assert (shop.deliver(told), shop.balance()) == (503, Balance(FREE))
    assert (shop.deliver(told), shop.balance()) == (200, CREDITED)


# What is taken back.


def test_refund_in_two_steps(shop: Shop) -> None:
    """A refund takes back the refunded share of the price in all, half up; a smaller sum that is late, nothing."""
    session_id = paid(shop)
    first, second = shop.double.refund(session_id, 1000), shop.double.refund(session_id, 2000)
    assert (shop.deliver(first), shop.balance()) == (200, Balance(FREE + BOUGHT - 2506))
    assert (shop.deliver(second), shop.balance()) == (200, Balance(FREE + BOUGHT - 7519))
    assert (shop.deliver(first), shop.balance()) == (200, Balance(FREE + BOUGHT - 7519))
    rest = shop.double.refund(session_id, PRICE - 3000)
    assert (shop.deliver(rest), shop.balance(), shop.purchase().status) == (200, Balance(FREE), "refunded")


def test_refund_reversed(shop: Shop) -> None:
    """The greater sum first comes to the same."""
    session_id = paid(shop)
    first, second = shop.double.refund(session_id, 1000), shop.double.refund(session_id, 2000)
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


@pytest.mark.parametrize("status", ["won", "warning_closed"])
def test_dispute_won(shop: Shop, status: str) -> None:
    """A dispute freezes what was bought; won, it is free again."""
    session_id = paid(shop)
    assert shop.deliver(shop.double.dispute(session_id)) == 200
    assert (shop.balance(), shop.purchase().status) == (Balance(FREE + BOUGHT, held=BOUGHT), "disputed")
    assert shop.deliver(shop.double.dispute(session_id, status)) == 200
    assert (shop.balance(), shop.purchase().status) == (CREDITED, "credited")


def test_dispute_lost(shop: Shop) -> None:
    """Lost, it is gone."""
    session_id = paid(shop)
    assert [shop.deliver(shop.double.dispute(session_id, status)) for status in ("needs_response", "lost")] == [
        200,
        200,
    ]
    assert (shop.balance(), shop.purchase().status) == (Balance(FREE), "charged_back")


@pytest.mark.parametrize(("status", "expected"), [("won", CREDITED), ("lost", Balance(FREE))])
def test_dispute_reversed(shop: Shop, status: str, expected: Balance) -> None:
    """A dispute whose end is told before its beginning comes to the same, and nothing stays frozen."""
    session_id = paid(shop)
    for told in (shop.double.dispute(session_id, status), shop.double.dispute(session_id)):
        assert (shop.deliver(told), shop.balance()) == (200, expected)


def test_unknown_end_of_a_dispute(shop: Shop) -> None:
    """A dispute that ends in an unknown way stays frozen, for a person to decide."""
    session_id = paid(shop)
    assert shop.deliver(shop.double.dispute(session_id)) == 200
    assert shop.deliver(shop.double.dispute(session_id, "prevented")) == 202
    assert shop.balance() == Balance(FREE + BOUGHT, held=BOUGHT)


@pytest.mark.slow
@pytest.mark.parametrize(("end", "expected"), [("won", FREE + BOUGHT - 7519), ("lost", FREE)])
def test_every_order(shop: Shop, end: str, expected: int) -> None:
    """In whatever order a payment, its refunds and its dispute are told, twice each, it comes to the same."""
    for number, order in enumerate(permutations(range(5))):
        shop.open(f"account-{number}")
        session_id = shop.start(account_id=f"account-{number}")
        events = [
            shop.double.pay(session_id),
            shop.double.refund(session_id, 1000),
            shop.double.refund(session_id, 2000),
            shop.double.dispute(session_id),
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
