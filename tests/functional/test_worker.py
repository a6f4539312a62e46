"""The queue of orders: what each message does, from SQS to the books and the dead letters.

When a message is tried again, and when no more, is tested in tests/unit/edge/test_batches.py.
"""

import json
from typing import Any

import pytest

from autocredits.adapters.dynamo import DynamoStore
from autocredits.domain.journal import Page
from autocredits.ledger.ports import UnavailableError
from tests.functional.calls import ACME, INSUFFICIENT
from tests.kit.service import DeadLetter, Service, cloud_event, work


def order(service: Service, order_id: str = "A-1") -> Any:
    """An order as it stands."""
    return service.call("GET", f"{ACME}/orders/{order_id}").body


def newest_entry(service: Service) -> Any:
    """The newest entry of acme."""
    return service.call("GET", f"{ACME}/entries", query={"limit": "1"}).body["items"][0]


# ---------------------------------------------------------------- an order's life


def test_an_order_is_funded_placed_and_shipped(acme: Service) -> None:
    """Requested holds 2.50, placed takes 1.00, completed takes 1.50: the order has shipped."""
    assert acme.process("auto_order.requested", work("A-1", "auto", "qtrack")) == []
    assert (order(acme)["status"], acme.balance()["held"]) == ("processing", "2.50")
    acme.process("auto_order.placed", {"order_id": "A-1", "supplier_order_id": "114-1"})
    assert (order(acme)["status"], acme.balance()) == (
        "ordered",
        {"posted": "4.00", "held": "1.50", "available": "2.50"},
    )
    acme.process("tracking_conversion.completed", {"order_id": "A-1", "tracking_number": "QT1"})
    shipped = order(acme)
    assert (shipped["status"], shipped["supplier_order_id"], shipped["tracking_number"]) == ("shipped", "114-1", "QT1")
    assert acme.balance() == {"posted": "2.50", "held": "0.00", "available": "2.50"}
    assert acme.dead_letters() == []


def test_the_sender_is_the_actor(acme: Service) -> None:
    """The `source` of a message is recorded as the actor of its entries."""
    acme.process("auto_order.requested", work("A-1"))
    assert newest_entry(acme)["actor"] == "test"


def test_a_failed_order_costs_nothing(acme: Service) -> None:
    """`auto_order.failed` gives everything back, and says why."""
    acme.process("auto_order.requested", work("A-1", "fba", "qtrack", cost="23.50"))
    assert acme.balance(unit="managed")["held"] == "23.50"
    acme.process("auto_order.failed", {"order_id": "A-1", "reason": "out of stock"})
    assert (order(acme)["status"], order(acme)["status_text"]) == ("failed", "out of stock")
    assert acme.balance() == {"posted": "5.00", "held": "0.00", "available": "5.00"}
    assert acme.balance(unit="managed") == {"posted": "50.00", "held": "0.00", "available": "50.00"}


def test_an_order_may_cost_another_sum(acme: Service) -> None:
    """`managed` of a placed order is what is spent, be it less or more than was held."""
    for order_id, managed in (("A-1", "21.10"), ("A-2", "12.00")):
        acme.process(
            "auto_order.requested", work(order_id, "fba", "none", cost="11.00" if order_id == "A-2" else "23.50")
        )
        acme.process("auto_order.placed", {"order_id": order_id, "supplier_order_id": "s", "managed": managed})
    assert acme.balance(unit="managed") == {"posted": "16.90", "held": "0.00", "available": "16.90"}


def test_lacking_credits_are_an_outcome(acme: Service) -> None:
    """A refused request is acknowledged, recorded in an entry of 0.00, and the order has failed with the sentence."""
    acme.process("auto_order.requested", work("A-1", "auto", "qtrack"))
    acme.process("auto_order.requested", work("A-2", "auto", "qtrack"))
    assert acme.process("auto_order.requested", work("A-3", "auto", "bce")) == []
    assert (order(acme, "A-3")["status"], order(acme, "A-3")["status_text"]) == ("failed", INSUFFICIENT)
    entry = newest_entry(acme)
    assert (entry["kind"], entry["posted"], entry["held"], entry["reason"]) == ("refused", "0.00", "0.00", INSUFFICIENT)
    assert acme.dead_letters() == []


def test_a_conversion_comes_later(acme: Service) -> None:
    """A conversion of a placed order holds the difference alone, and is taken or given back."""
    acme.process("auto_order.requested", work("A-1"))
    acme.process("auto_order.placed", {"order_id": "A-1", "supplier_order_id": "s"})
    request = {"order_id": "A-1", "store_id": "shop-1", "tracking": "bce", "tracking_number": "TBA1"}
    acme.process("tracking_conversion.requested", request)
    assert acme.balance()["held"] == "0.33"
    acme.process("tracking_conversion.failed", {"order_id": "A-1", "reason": "unknown number"})
    assert acme.balance() == {"posted": "4.00", "held": "0.00", "available": "4.00"}
    assert order(acme)["status"] == "ordered"


def test_a_debited_conversion_is_completed(acme: Service) -> None:
    """Its number is noted and the order is shipped, without an entry."""
    acme.call("POST", f"{ACME}/debits", work("A-1", "auto", "bce"), key="debit")
    before = newest_entry(acme)
    acme.process("tracking_conversion.completed", {"order_id": "A-1", "tracking_number": "BCE1"})
    acme.process("tracking_conversion.completed", {"order_id": "A-1", "tracking_number": "OTHER"})
    assert (order(acme)["status"], order(acme)["tracking_number"]) == ("shipped", "BCE1")
    assert (newest_entry(acme), acme.dead_letters()) == (before, [])


def test_a_result_of_another_method_waits_for_its_request(acme: Service) -> None:
    """The order is converted already, by another one; then it is captured, and its number noted."""
    acme.process("auto_order.requested", work("A-1", "auto", "bce"))
    acme.process("auto_order.placed", {"order_id": "A-1", "supplier_order_id": "s"})
    acme.process("tracking_conversion.completed", {"order_id": "A-1", "tracking_number": "BCE1"})
    early = {"order_id": "A-1", "tracking": "qtrack", "tracking_number": "QT1"}
    assert len(acme.process("tracking_conversion.completed", early, message_id="early")) == 1
    request = {"order_id": "A-1", "store_id": "shop-1", "tracking": "qtrack", "tracking_number": "TBA1"}
    assert acme.process("tracking_conversion.requested", request) == []
    assert acme.process("tracking_conversion.completed", early, message_id="early") == []
    assert (order(acme)["tracking_number"], order(acme)["credits"]) == ("QT1", "2.83")
    assert acme.balance()["held"] == "0.00"


def test_a_refusal_for_dollars_that_are_overdrawn_is_entered_in_dollars(acme: Service) -> None:
    """Where a merchant looks who asks why."""
    acme.process("auto_order.requested", work("A-1", "fba", "none", cost="50.00"))
    acme.process("auto_order.placed", {"order_id": "A-1", "supplier_order_id": "s", "managed": "60.00"})
    assert acme.process("auto_order.requested", work("A-2", "fba", "none", cost="1.00")) == []
    query = {"unit": "managed", "kind": "refused"}
    (entry,) = acme.call("GET", f"{ACME}/entries", query=query).body["items"]
    assert (entry["order_id"], entry["posted"]) == ("A-2", "0.00")
    assert entry["reason"] == order(acme, "A-2")["status_text"]


def test_managed_for_an_order_that_has_none_is_a_dead_letter(acme: Service) -> None:
    """`invalid_field`, before and after the order is settled: nobody had asked about that money."""
    acme.process("auto_order.requested", work("A-1"))
    data = {"order_id": "A-1", "supplier_order_id": "s", "managed": "1.00"}
    acme.process("auto_order.placed", data)
    assert (order(acme)["status"], acme.balance()["held"]) == ("processing", "1.00")
    acme.process("auto_order.placed", {"order_id": "A-1", "supplier_order_id": "s"})
    acme.process("auto_order.placed", data)
    assert [letter.reason for letter in acme.dead_letters()] == ["invalid_field"] * 2
    assert acme.balance(unit="managed")["posted"] == "50.00"


def test_a_long_reason_is_told_in_500_characters(acme: Service) -> None:
    """The order fails for it all the same."""
    acme.process("auto_order.requested", work("A-1"))
    assert acme.process("auto_order.failed", {"order_id": "A-1", "reason": "x" * 5000}) == []
    assert (order(acme)["status_text"], newest_entry(acme)["reason"]) == ("x" * 500, "x" * 500)


def test_a_manual_order_begins_with_its_conversion(acme: Service) -> None:
    """A conversion for an unknown manual order opens it; for another unknown order it waits."""
    request = {"order_id": "A-1", "store_id": "shop-1", "tracking": "bce", "tracking_number": "TBA1"}
    assert len(acme.process("tracking_conversion.requested", request)) == 1
    assert acme.process("tracking_conversion.requested", {**request, "order_type": "manual"}) == []
    assert (order(acme)["order_type"], order(acme)["status"], acme.balance()["held"]) == ("manual", "ordered", "0.33")


def test_sourcing_is_accepted_or_rejected(acme: Service) -> None:
    """A sourcing request holds 1.00 and is taken or given back; a rejected one may come again."""
    for product_id in ("P-1", "P-2"):
        acme.process("sourcing.requested", {"product_id": product_id, "store_id": "shop-1"})
    acme.process("sourcing.accepted", {"product_id": "P-1"})
    acme.process("sourcing.rejected", {"product_id": "P-2", "reason": "nobody has it"})
    assert acme.balance() == {"posted": "4.00", "held": "0.00", "available": "4.00"}
    rejected = acme.call("GET", f"{ACME}/sourcing/P-2").body
    assert (rejected["status"], rejected["status_text"]) == ("rejected", "nobody has it")
    acme.process("sourcing.requested", {"product_id": "P-2", "store_id": "shop-1"})
    assert acme.call("GET", f"{ACME}/sourcing/P-2").body["hold_id"] == "P-2~s2"


# ---------------------------------------------------------------- once


def test_a_message_works_once(acme: Service) -> None:
    """The same message, or the same request under another id, changes nothing more."""
    for message_id in ("m-1", "m-1", "m-2"):
        assert acme.process("auto_order.requested", work("A-1"), message_id=message_id) == []
    assert acme.balance()["held"] == "1.00"
    for _ in range(2):
        acme.process("auto_order.placed", {"order_id": "A-1", "supplier_order_id": "s"})
    assert acme.balance() == {"posted": "4.00", "held": "0.00", "available": "4.00"}
    assert acme.dead_letters() == []


def test_twins_in_one_batch_work_once(acme: Service) -> None:
    """The same message twice in a batch holds once."""
    for _ in range(2):
        acme.send("auto_order.requested", work("A-1"), message_id="m-1")
    assert acme.deliver() == []
    assert acme.balance()["held"] == "1.00"


def test_the_first_of_two_results_wins(acme: Service) -> None:
    """A contradicting result that comes later changes nothing."""
    acme.process("auto_order.requested", work("A-1"))
    acme.process("auto_order.failed", {"order_id": "A-1", "reason": "out of stock"})
    assert acme.process("auto_order.placed", {"order_id": "A-1", "supplier_order_id": "s"}) == []
    assert (order(acme)["status"], acme.balance()["posted"]) == ("failed", "5.00")


def test_an_earlier_attempt_is_over(acme: Service) -> None:
    """A result that names an earlier attempt changes nothing; one for a later attempt waits."""
    for message_id in ("m-1", "m-2"):
        acme.process("auto_order.requested", work("A-1"), message_id=message_id)
        if message_id == "m-1":
            acme.process("auto_order.failed", {"order_id": "A-1", "reason": "x"})
    placed = {"order_id": "A-1", "supplier_order_id": "s"}
    assert acme.process("auto_order.placed", {**placed, "attempt": 1}) == []
    assert acme.balance() == {"posted": "5.00", "held": "1.00", "available": "4.00"}
    assert len(acme.process("auto_order.placed", {**placed, "attempt": 3})) == 1
    assert acme.process("auto_order.placed", {**placed, "attempt": 2}) == []
    assert acme.balance()["posted"] == "4.00"


def test_work_remembers_200_messages(acme: Service) -> None:
    """What comes after 200 messages for one piece of work is a dead letter."""
    acme.process("auto_order.requested", work("A-1"), message_id="m-0")
    for number in range(1, 200):
        acme.send("auto_order.requested", work("A-1"), message_id=f"m-{number}")
        if number % 10 == 9:
            acme.deliver()
    assert acme.dead_letters() == []
    acme.process("auto_order.requested", work("A-1"), message_id="m-200")
    assert [letter.reason for letter in acme.dead_letters()] == ["too_many_messages"]
    acme.process("auto_order.requested", work("A-1"), message_id="m-199")
    assert acme.dead_letters() == []


# ---------------------------------------------------------------- dead letters


PLACED = {"account_id": "acme", "order_id": "A-1", "supplier_order_id": "s"}


def requested(**data: Any) -> str:
    """An `auto_order.requested` with other data."""
    return cloud_event("auto_order.requested", {**work("A-1"), **data})


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("order A-1, please", "invalid_json"),
        (requested(order_id="\ufffd").replace("\\ufffd", "\ufffd"), "invalid_encoding"),
        (requested(price="1.33"), "unknown_field"),
        (requested(order_type="fba", cost=23.5), "invalid_amount"),
        (requested(account_id="nobody"), "account_not_found"),
        (cloud_event("auto_order.placed", {**PLACED, "account_id": "nobody"}), "account_not_found"),
    ],
)
def test_a_hopeless_message_is_a_dead_letter(acme: Service, body: str, reason: str) -> None:
    """A message that can never be processed goes to the dead letters at once, unchanged, with its reason."""
    acme.send_text(body)
    assert acme.deliver() == []
    assert acme.dead_letters() == [DeadLetter(body, reason)]


def test_a_dead_letter_keeps_its_spelling(acme: Service) -> None:
    """Spaces, escapes and signs of any alphabet come through as they were sent."""
    body = ' {"id":"m\\u00e9",\n\t"data" : {"order_id": "Bücher 本 🎈"} ,"x":1.50}  '
    acme.send_text(body)
    assert acme.deliver() == []
    assert [letter.body for letter in acme.dead_letters()] == [body]


def test_other_work_under_a_known_order_is_a_dead_letter(acme: Service) -> None:
    """A request that contradicts what is known of its order is no retry and no refusal."""
    acme.process("auto_order.requested", work("A-1"))
    for other in (work("A-1", store_id="shop-2"), work("A-1", "fba", "none", cost="1.00")):
        assert acme.process("auto_order.requested", other) == []
        assert [letter.reason for letter in acme.dead_letters()] == ["order_conflict"]
    assert acme.balance()["held"] == "1.00"


def test_other_attributes_are_ignored(acme: Service) -> None:
    """CloudEvents attributes that the contract does not name are no fault of a message."""
    more = {"time": "2026-11-24T12:00:00Z", "subject": "A-1", "datacontenttype": "application/json", "traceparent": "x"}
    acme.send_text(cloud_event("auto_order.requested", work("A-1"), **more))
    assert acme.deliver() == []
    assert acme.balance()["held"] == "1.00"


# ---------------------------------------------------------------- batches and retries


@pytest.mark.usefixtures("clock")
def test_while_the_table_does_not_answer_messages_wait(acme: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """They stay in the queue, and none becomes a dead letter."""

    def fail(*_: Any) -> Page:
        raise UnavailableError("ThrottlingException")

    with monkeypatch.context() as patch:
        patch.setattr(DynamoStore, "head", fail)
        assert len(acme.process("auto_order.requested", work("A-1"))) == 1
    assert acme.balance()["held"] == "0.00"
    assert acme.dead_letters() == []


def test_a_waiting_message_is_out_of_sight(acme: Service) -> None:
    """A message that waits is not shown at once again, and nothing is lost of it."""
    (waiting,) = acme.process("auto_order.placed", PLACED)
    assert json.loads(waiting)["data"] == PLACED
    assert acme.deliver() == []
    assert acme.dead_letters() == []


def test_each_message_of_a_batch_has_its_own_outcome(acme: Service) -> None:
    """Good, refused, hopeless and waiting messages, and those of other accounts, do not disturb each other."""
    acme.open("umbrella")
    good = [requested(order_id=f"A-{number}", tracking="qtrack") for number in (1, 2)]
    refused, hopeless = requested(order_id="A-3", tracking="qtrack"), requested(price="1.00")
    waiting = cloud_event("auto_order.placed", {**PLACED, "order_id": "A-9"})
    other = requested(account_id="umbrella", order_id="U-1")
    for body in (hopeless, good[0], waiting, other, good[1], refused):
        acme.send_text(body)
    assert acme.deliver() == [waiting]
    assert acme.dead_letters() == [DeadLetter(hopeless, "unknown_field")]
    statuses = [order(acme, f"A-{number}")["status"] for number in (1, 2, 3)]
    assert statuses == ["processing", "processing", "failed"]
    assert acme.balance() == {"posted": "5.00", "held": "5.00", "available": "0.00"}
    assert acme.balance("umbrella")["held"] == "1.00"


def test_a_number_beyond_measure_disturbs_nobody(acme: Service) -> None:
    """A message with an exponent beyond measure is a dead letter, and its neighbours are worked on."""
    poison = requested().replace('"A-1"', "1e9999999999999999999")
    acme.send_text(poison)
    acme.send_text(requested(order_id="A-2"))
    assert acme.deliver() == []
    assert [letter.body for letter in acme.dead_letters()] == [poison]
    assert acme.balance()["held"] == "1.00"
