"""One account's story that tells an event of every type, in the same words each time it is told."""

import json
from collections.abc import Mapping
from typing import Any

from autocredits.domain.decide import Command
from autocredits.domain.purchases.calls import PurchaseRequest
from autocredits.domain.work.expiry import ExpireHold
from autocredits.domain.work.lifecycle import HOLD_MS
from autocredits.edge.events import bus_events
from tests.kit import builders
from tests.kit.builders import Account, idempotency, merchant
from tests.kit.purchases import PRICE, Shop

Told = tuple[str, Mapping[str, Any]]
"""An event's detail-type and its detail."""

STEP_MS = 1_500


def told_by(account: Account) -> list[Told]:
    """All that an account's pages tell, oldest first."""
    return [(event.type, json.loads(event.detail)) for page in account.pages() for event in bus_events(page)]


def told_story() -> list[Told]:
    """What is told of the story."""
    account = Shop()
    account.set_standing(low_balance=200)
    for command in (*spending(), *sourcing(), *running_out()):
        step(account, command)
    account.clock.at_ms += HOLD_MS
    step(account, ExpireHold("order", "A-1004"))
    buy(account)
    return told_by(account)


def step(account: Account, command: Command) -> None:
    """The next thing that happens, a moment later."""
    account.clock.at_ms += STEP_MS
    account.do(command)


def spending() -> list[Command]:
    """An order that is placed and converted, one that is debited, one that fails, and a conversion for a manual one."""
    shop, store = merchant(), "shop-1"
    return [
        builders.requested("A-1001", "bce", store_id=store, source="storefront"),
        builders.placed("A-1001", supplier_order_id="114-0000001", attempt=1),
        builders.completed("A-1001", tracking_number="BCE0000001", attempt=1),
        builders.debit(builders.order("A-1002", "auto", "none", store_id=store), idempotency("debit-A-1002"), shop),
        builders.adjust("managed", 5000, idempotency("adjust-1")),
        builders.hold(builders.order("A-1003", "fba", "none", store_id=store), idempotency("hold-A-1003"), shop),
        builders.release("A-1003", caller=shop),
        builders.conversion(
            "M-1001", "bce", store_id=store, order_type="manual", tracking_number="TBA0000001", source="storefront"
        ),
    ]


def sourcing() -> list[Command]:
    """A sourcing request that is rejected."""
    return [
        builders.sourcing("P-1001", store_id="shop-1", source="storefront"),
        builders.rejected("P-1001", reason="no supplier has it", attempt=1),
    ]


def running_out() -> list[Command]:
    """The last credit is set aside, and everything else is refused."""
    store = {"store_id": "shop-1", "source": "storefront"}
    return [
        builders.requested("A-1004", **store),
        builders.adjust("auto_order", -34, idempotency("adjust-2")),
        builders.requested("A-1005", "bce", **store),
        builders.conversion("A-1001", "qtrack", tracking_number="TBA0000002", **store),
        builders.sourcing("P-1002", **store),
        builders.sourcing("P-1003", **store),
    ]


def buy(account: Shop) -> None:
    """A package that is declined, paid, disputed and refunded; managed balance that is loaded."""
    account.start("pur_1")
    account.event("declined", purchase_id="pur_1", payment_id="pay_1", reason="insufficient funds")
    account.clock.at_ms += STEP_MS
    account.event("paid", purchase_id="pur_1", payment_id="pay_2", reason=None)
    account.clock.at_ms += STEP_MS
    account.event("refunded", 1000, purchase_id="pur_1", payment_id="pay_2", reason="asked for by the buyer")
    account.start("pur_2", request=PurchaseRequest(amount=PRICE))
    account.event("paid", purchase_id="pur_2", payment_id="pay_3", reason=None)
