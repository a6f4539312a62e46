"""What was forgotten is found on the deployed stack, by the sweep as it is scheduled there."""

from datetime import datetime

import pytest

from tests.e2e.forgotten import POISON, Forgotten
from tests.e2e.merchant import Merchant
from tests.kit.stack import eventually

SWEPT_S = 240
EXPIRED_WITHIN_S = 300


@pytest.fixture
def merchant(forgotten: Forgotten) -> Merchant:
    """The merchant who forgot."""
    return forgotten.merchant


def wait_for(merchant: Merchant, order_id: str, status: str) -> dict[str, object]:
    """The order, once it has the status."""
    return eventually(
        lambda: order if (order := merchant.order(order_id))["status"] == status else None, seconds=SWEPT_S
    )


def test_a_hold_that_is_left_alone_expires(merchant: Merchant, forgotten: Forgotten) -> None:
    """Within five minutes of its time: all of it is given back, and its order has failed."""
    order = wait_for(merchant, forgotten.held_order_id, "failed")
    assert order["parts"] == {"order": "expired", "tracking": "expired"}
    expired = [entry for entry in merchant.entries(order_id=forgotten.held_order_id) if entry["kind"] == "expired"]
    assert [(entry["part"], entry["held"], entry["actor"]) for entry in expired] == [
        ("tracking", "-0.33", "system:sweep"),
        ("order", "-1.00", "system:sweep"),
    ]
    due, at = (datetime.fromisoformat(time) for time in (forgotten.expires_at, expired[0]["at"]))
    assert 0 <= (at - due).total_seconds() <= EXPIRED_WITHIN_S


def test_a_lost_message_is_sent_again(merchant: Merchant, forgotten: Forgotten) -> None:
    """The queued order is funded in the attempt that it was queued for."""
    order = wait_for(merchant, forgotten.lost_order_id, "processing")
    assert (order["attempt"], order["parts"]) == (1, {"order": "open"})


def test_an_order_whose_hold_expired_can_be_resent(merchant: Merchant, forgotten: Forgotten) -> None:
    """As a new attempt, which is funded again."""
    wait_for(merchant, forgotten.held_order_id, "failed")
    resent = merchant.call("POST", f"/orders/{forgotten.held_order_id}/resend")
    assert resent.status_code == 202, resent.text
    order = wait_for(merchant, forgotten.held_order_id, "processing")
    assert (order["attempt"], order["parts"]) == (2, {"order": "open", "tracking": "open"})


def test_what_nobody_can_read_is_put_off(forgotten: Forgotten) -> None:
    """A hundred such records stood before the merchant's hold. Each has been tried, alone, and waits for its time."""

    def all_put_off() -> bool:
        return all(int(item.get("put_off", {}).get("N", "0")) >= 1 for item in forgotten.poison.items())

    eventually(all_put_off, seconds=SWEPT_S)
    places = [item["by_due_sk"]["S"] for item in forgotten.poison.items()]
    assert len(places) == POISON
    assert all(place > f"{0:04}1" for place in places)
