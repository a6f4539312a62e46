"""The queue of orders: what each message does, what is tried again, and what becomes a dead letter."""

import json
import logging
from dataclasses import dataclass, field
from typing import Any

import pytest

from autocredits.adapters.dynamo import DynamoStore
from autocredits.domain.journal import Page
from autocredits.edge.telemetry import logger
from autocredits.ledger.ports import UnavailableError
from tests.kit.service import Context, DeadLetter, Service, cloud_event, handler_of, sqs_record, work

ACME = "/v1/accounts/acme"
INSUFFICIENT = "Insufficient Auto-orders credits, please purchase more credits and resend the order."


@pytest.fixture
def acme(service: Service) -> Service:
    """The service with acme: its 5.00 credits and 50.00 dollars."""
    service.open()
    dollars = {"unit": "managed", "amount": "50.00", "reason": "test"}
    assert service.call("POST", f"{ACME}/adjustments", dollars, key="dollars").status == 201
    return service


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
CONVERSION = {"order_id": "A-1", "store_id": "shop-1", "tracking": "bce", "tracking_number": "TBA1"}


def requested(**data: Any) -> str:
    """An `auto_order.requested` with other data."""
    return cloud_event("auto_order.requested", {**work("A-1"), **data})


def envelope(**attributes: Any) -> str:
    """An `auto_order.placed` with other attributes; None leaves one out."""
    event = {"specversion": "1.0", "id": "m", "source": "s", "type": "auto_order.placed", **attributes}
    return json.dumps({name: value for name, value in event.items() if value is not None})


HOPELESS = {
    "no JSON": ("order A-1, please", "invalid_json"),
    "no object": ("[]", "invalid_field"),
    "a name twice": (requested()[:-1] + ', "id": "again"}', "invalid_json"),
    "33 levels": ('{"x":' + "[" * 32 + "]" * 32 + "}", "invalid_json"),
    "a replacement character": (requested(order_id="\ufffd").replace("\\ufffd", "\ufffd"), "invalid_encoding"),
    "no type": (envelope(type=None, data=PLACED), "invalid_field"),
    "no id": (envelope(id=None, data=PLACED), "invalid_field"),
    "no source": (envelope(source=None, data=PLACED), "invalid_field"),
    "an empty id": (envelope(id="", data=PLACED), "invalid_field"),
    "another version": (envelope(specversion="0.3", data=PLACED), "invalid_field"),
    "an unknown type": (cloud_event("auto_order.sold", work("A-1")), "invalid_field"),
    "an event of ours": (cloud_event("credits.held", work("A-1")), "invalid_field"),
    "no data": (envelope(), "invalid_field"),
    "data in text": (envelope(data=json.dumps(PLACED)), "invalid_field"),
    "an unknown field": (requested(colour="red"), "unknown_field"),
    "a price": (requested(price="1.33"), "unknown_field"),
    "credits": (requested(credits="1.33"), "unknown_field"),
    "a bad id": (requested(order_id="a b"), "invalid_id"),
    "a bad account": (requested(account_id="a.b"), "invalid_id"),
    "a bad type": (requested(order_type="manual"), "invalid_field"),
    "a cost out of place": (requested(cost="1.00"), "invalid_field"),
    "no cost": (requested(order_type="fba"), "invalid_field"),
    "a cost in a number": (requested(order_type="fba", cost=23.5), "invalid_amount"),
    "attempt 0": (requested(attempt=0), "invalid_field"),
    "an attempt in text": (requested(attempt="1"), "invalid_field"),
    "an unknown account": (requested(account_id="nobody"), "account_not_found"),
    "no reason": (cloud_event("auto_order.failed", {"order_id": "A-1"}), "invalid_field"),
    "no supplier": (cloud_event("auto_order.placed", {"order_id": "A-1"}), "invalid_field"),
    "no method": (cloud_event("tracking_conversion.requested", {**CONVERSION, "tracking": "none"}), "invalid_field"),
    "no number": (cloud_event("tracking_conversion.completed", {"order_id": "A-1"}), "invalid_field"),
    "a result of nobody": (cloud_event("auto_order.placed", {**PLACED, "account_id": "nobody"}), "account_not_found"),
}


@pytest.mark.parametrize(("body", "reason"), HOPELESS.values(), ids=list(HOPELESS))
def test_a_hopeless_message_is_a_dead_letter(acme: Service, body: str, reason: str) -> None:
    """A message that can never be processed goes to the dead letters at once, unchanged, with its reason."""
    assert work_on(received(body)) == {"batchItemFailures": []}
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


@dataclass
class RecordingQueue:
    """A queue that remembers what was asked of it."""

    sent: list[str] = field(default_factory=list)
    buried: list[tuple[str, str]] = field(default_factory=list)
    put_off_s: list[int] = field(default_factory=list)

    def send(self, account_id: str, body: str) -> None:
        """Remember the message."""
        self.sent.append(f"{account_id}: {body}")

    def dead_letter(self, body: str, reason: str) -> None:
        """Remember the dead letter."""
        self.buried.append((body, reason))

    def defer(self, receipt: str, seconds: int) -> None:
        """Remember the delay."""
        assert receipt
        self.put_off_s.append(seconds)


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> RecordingQueue:
    """The queue as the worker sees it, for tests that need to know the delays."""
    recording = RecordingQueue()
    monkeypatch.setattr("functions.consume.worker.queue", lambda: recording)
    return recording


def received(body: str, *, receives: int = 1, message_id: str = "m") -> dict[str, Any]:
    """A message as Lambda hands it over, received for the n-th time."""
    attributes = {"ApproximateReceiveCount": str(receives), "SentTimestamp": "0", "SenderId": "s"}
    message = {"MessageId": message_id, "ReceiptHandle": "r", "Body": body, "Attributes": attributes, "MD5OfBody": ""}
    return sqs_record(message)


def work_on(*records: dict[str, Any], context: Context | None = None) -> dict[str, Any]:
    """Give records to the worker; its answer."""
    event = {"Records": list(records)}
    return handler_of(event)(event, context or Context())


@pytest.mark.usefixtures("acme")
def test_a_result_before_its_request_waits(queue: RecordingQueue) -> None:
    """It is shown again after 5 s, then twice as long each time, 10 minutes at most; at the tenth it is buried."""
    body = cloud_event("auto_order.placed", PLACED)
    for receives in range(1, 10):
        answer = work_on(received(body, receives=receives))
        assert answer == {"batchItemFailures": [{"itemIdentifier": "m"}]}
    assert queue.put_off_s == [5, 10, 20, 40, 80, 160, 320, 600, 600]
    assert work_on(received(body, receives=10)) == {"batchItemFailures": []}
    assert queue.buried == [(body, "result_before_request")]


def test_a_waiting_message_is_out_of_sight(acme: Service) -> None:
    """A message that waits is not shown at once again, and nothing is lost of it."""
    (waiting,) = acme.process("auto_order.placed", PLACED)
    assert json.loads(waiting)["data"] == PLACED
    assert acme.deliver() == []
    assert acme.dead_letters() == []


def test_a_result_waits_while_its_order_is_queued(acme: Service) -> None:
    """A result of an order that is still queued comes before its request."""
    acme.call("POST", f"{ACME}/orders", work("A-1"), key="k")
    acme.send("auto_order.placed", {"order_id": "A-1", "supplier_order_id": "s"})
    bodies = acme.deliver()
    assert [json.loads(body)["type"] for body in bodies] in ([], ["auto_order.placed"])
    assert order(acme)["status"] in ("processing", "ordered")


@pytest.mark.parametrize("receives", [1, 10, 11])
def test_what_time_can_mend_is_tried_again(
    acme: Service, queue: RecordingQueue, monkeypatch: pytest.MonkeyPatch, receives: int
) -> None:
    """While the table does not answer, messages wait and none is buried, however often it was received."""

    def fail(*_: Any) -> Page:
        raise UnavailableError("ThrottlingException")

    with monkeypatch.context() as patch:
        patch.setattr(DynamoStore, "head", fail)
        patch.setattr("autocredits.ledger.BUDGET_S", 0.0)
        answer = work_on(received(requested(), receives=receives))
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m"}]}
    assert (queue.buried, queue.put_off_s) == ([], [min(600, 5 * 2 ** (receives - 1))])
    assert acme.balance()["held"] == "0.00"


@pytest.mark.usefixtures("acme")
def test_an_unexpected_fault_is_tried_again(
    queue: RecordingQueue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A fault of ours makes the message wait, and is logged whole."""

    def fail(*_: Any) -> Page:
        raise RuntimeError("a defect")

    monkeypatch.setattr(DynamoStore, "head", fail)
    assert len(work_on(received(requested()))["batchItemFailures"]) == 1
    assert (queue.buried, queue.put_off_s) == ([], [5])
    assert any(record.exc_info and "a defect" in str(record.exc_info[1]) for record in caplog.records)


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


def test_without_time_a_batch_waits(acme: Service, queue: RecordingQueue) -> None:
    """With too little time left for a commit, messages wait for a second and are lost to nobody."""
    records = [received(requested(order_id=f"A-{number}"), message_id=str(number)) for number in range(2)]
    answer = work_on(*records, context=Context(remaining_ms=5_000))
    assert [failure["itemIdentifier"] for failure in answer["batchItemFailures"]] == ["0", "1"]
    assert (queue.put_off_s, queue.buried) == ([1, 1], [])
    assert acme.balance()["held"] == "0.00"


def test_a_dead_letter_that_cannot_be_sent_stays(
    acme: Service, queue: RecordingQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message whose dead letter could not be sent is not acknowledged; its neighbours are."""

    def fail(*_: Any) -> None:
        raise UnavailableError("ServiceUnavailable")

    monkeypatch.setattr(queue, "bury", fail)
    answer = work_on(received("hopeless", message_id="1"), received(requested(), message_id="2"))
    assert answer == {"batchItemFailures": [{"itemIdentifier": "1"}]}
    assert acme.balance()["held"] == "1.00"


@pytest.mark.usefixtures("acme")
def test_a_batch_logs_one_line(queue: RecordingQueue, caplog: pytest.LogCaptureFixture) -> None:
    """Each batch logs one line that says what became of each message."""
    caplog.clear()
    with caplog.at_level(logging.DEBUG, logger=logger.name):
        work_on(received(requested(), message_id="1"), received("hopeless", message_id="2"))
    (line,) = (record for record in caplog.records if record.name == logger.name)
    told = {message["message_id"]: (message["did"], message["reason"]) for message in line.__dict__["messages"]}
    assert told == {"1": ("held", None), "2": ("buried", "invalid_json")}
    assert len(queue.buried) == 1
