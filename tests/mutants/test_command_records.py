"""Which records each command concerns, and whether they are read before it is decided."""

from typing import Any

import pytest

from autocredits.domain.accounts import Adjust, ChangeStanding, OpenAccount
from autocredits.domain.decide import Command
from autocredits.domain.purchases.calls import (
    CloseCoupon,
    MakeCoupon,
    PlanPoll,
    RefusePayment,
    TallyCoupon,
)
from autocredits.domain.purchases.coupons import Coupon
from autocredits.domain.purchases.fulfil import Fulfil, PaymentEvent
from autocredits.domain.work.calls import ResendOrder
from tests.kit.builders import (
    PLATFORM,
    accepted,
    capture,
    completed,
    conversion,
    debit,
    hold,
    idempotency,
    order,
    placed,
    product,
    queue_order,
    release,
    requested,
    sourcing,
)
from tests.kit.purchases import begin, cancel, checkout, review, start

KEY = idempotency("k1")
UNPAID = PaymentEvent(provider="stripe", type="paid", purchase_id="b1")
PAID = PaymentEvent(provider="stripe", type="paid", purchase_id="b1", payment_id="pay1")
PURCHASE = (("purchase", "b1"),)
COUPON = (("coupon", "C"), ("coupon_use", "C"))

COMMANDS: list[tuple[Command, tuple[tuple[str, str], ...], bool]] = [
    (OpenAccount(PLATFORM, "active"), (), True),
    (ChangeStanding(PLATFORM, {"status": "paused"}), (), True),
    (Adjust(PLATFORM, KEY, "finder", 1, "a gift"), (("key", "k1"),), True),
    (debit(order(), KEY), (("key", "k1"), ("order", "o1")), True),
    (debit(product(), KEY), (("key", "k1"), ("product", "p1")), True),
    (hold(order(), KEY), (("key", "k1"), ("order", "o1")), True),
    (queue_order(order(), KEY), (("key", "k1"), ("order", "o1")), True),
    (ResendOrder(PLATFORM, "o1", "r1"), (("order", "o1"),), False),
    (capture(), (("order", "o1"),), False),
    (capture("p1", kind="product"), (("product", "p1"),), False),
    (release(), (("order", "o1"),), False),
    (requested(), (("order", "o1"),), True),
    (requested(attempt=2), (("order", "o1"),), False),
    (sourcing(), (("product", "p1"),), True),
    (placed(), (("order", "o1"),), False),
    (accepted(), (("product", "p1"),), False),
    (conversion(), (("order", "o1"),), False),
    (completed(), (("order", "o1"),), False),
    (start(idempotency=KEY), (("key", "k1"), *PURCHASE), True),
    (start(idempotency=KEY, coupon="C"), (("key", "k1"), *PURCHASE, *COUPON), False),
    (checkout(), PURCHASE, False),
    (begin(), PURCHASE, False),
    (begin(coupon="C"), (*PURCHASE, *COUPON), False),
    (RefusePayment(purchase_id="b1", provider="stripe"), PURCHASE, False),
    (RefusePayment(purchase_id="b1", provider="stripe", coupon="C"), (*PURCHASE, *COUPON), False),
    (cancel(), PURCHASE, False),
    (cancel(coupon="C"), (*PURCHASE, *COUPON), False),
    (PlanPoll(purchase_id="b1"), PURCHASE, False),
    (Fulfil(UNPAID), PURCHASE, False),
    (Fulfil(PAID, "C"), (*PURCHASE, ("payment", "stripe#pay1"), *COUPON), False),
    (review("credit"), PURCHASE, False),
    (review("credit", coupon="C"), (*PURCHASE, *COUPON), False),
    (TallyCoupon(code="C"), COUPON, False),
    (MakeCoupon(caller=PLATFORM, coupon=Coupon(code="C"), request_id="r1"), (("coupon", "C"),), True),
    (CloseCoupon(caller=PLATFORM, code="C"), (("coupon", "C"),), False),
]


@pytest.mark.parametrize(("command", "records", "expects_new"), COMMANDS)
def test_what_a_command_concerns(command: Command, records: tuple[Any, ...], expects_new: bool) -> None:  # noqa: FBT001
    """Its records are these, and they are read beforehand unless they are usually new."""
    assert command.records() == records
    assert command.expects_new is expects_new
