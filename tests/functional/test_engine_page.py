"""The engine in docs/automation-engine.md, between a bus and the orders queue on moto, and what its answers do."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import boto3
import pytest
from moto import mock_aws

from autocredits.edge.messages import parse_message
from tests.kit import builders, engine_page
from tests.kit.builders import Account, opened
from tests.kit.event_schemas import check_event
from tests.kit.told_story import told_by

Message = dict[str, Any]


@dataclass
class Playground:
    """An account whose events go on a bus, the engine, and the orders queue."""

    module: ModuleType
    engine: Any
    events: Any
    sqs: Any
    account: Account = field(default_factory=lambda: opened(5000, 10_000))
    told: int = 0

    def do(self, command: Any) -> None:
        """Do something in the account, and put on the bus what that tells."""
        self.account.do(command)
        for detail_type, detail in told_by(self.account)[self.told :]:
            self.put(detail_type, detail)
        self.told = len(told_by(self.account))

    def put(self, detail_type: str, detail: Mapping[str, Any]) -> None:
        """Put an event on the bus."""
        check_event(detail_type, detail)
        entry = {"EventBusName": "bus", "Source": "autocredits", "DetailType": detail_type}
        assert self.events.put_events(Entries=[{**entry, "Detail": json.dumps(detail)}])["FailedEntryCount"] == 0

    def put_again(self, detail_type: str) -> None:
        """Put the newest event of a type on the bus once more."""
        self.put(detail_type, [detail for told, detail in told_by(self.account) if told == detail_type][-1])

    def work(self) -> list[Message]:
        """Let the engine work once; the messages that it put on the orders queue."""
        self.engine.work(wait_s=0)
        received = self.sqs.receive_message(
            QueueUrl=self.engine.orders_url, MaxNumberOfMessages=10, AttributeNames=["MessageGroupId"]
        ).get("Messages", [])
        assert {message["Attributes"]["MessageGroupId"] for message in received} <= {builders.ACCOUNT_ID}
        return [json.loads(message["Body"]) for message in received]

    def outcomes(self) -> list[tuple[str, str]]:
        """Let the engine work once, and the account take its answers: each one's type, and what it did."""
        messages = self.work()
        return [(message["type"], self.account.did(parse_message(json.dumps(message))[2])) for message in messages]

    def hidden_s(self, receipts: list[int]) -> None:
        """Note for how long each event is put off."""
        change = self.sqs.change_message_visibility

        def noted(**arguments: Any) -> Any:
            receipts.append(arguments["VisibilityTimeout"])
            return change(**{**arguments, "VisibilityTimeout": 0})

        self.engine.sqs.change_message_visibility = noted


@pytest.fixture
def playground(monkeypatch: pytest.MonkeyPatch) -> Iterator[Playground]:
    """An engine that has just connected."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    module = engine_page.imported()
    with mock_aws():
        events, sqs = boto3.client("events", "us-east-1"), boto3.client("sqs", "us-east-1")
        events.create_event_bus(Name="bus")
        orders_url = sqs.create_queue(QueueName="orders")["QueueUrl"]
        settings = {"region": "us-east-1", "bus_name": "bus", "orders_queue_url": orders_url}
        module.connect(settings)
        yield Playground(module, module.connect(settings), events, sqs)  # connecting again changes nothing


def test_a_funded_order_is_placed_and_converted(playground: Playground) -> None:
    """It ends shipped, and its credits are taken."""
    playground.do(builders.requested("A-1", "qtrack"))
    assert playground.outcomes() == [("auto_order.placed", "captured"), ("tracking_conversion.completed", "captured")]
    assert playground.account.work("A-1").status == "shipped"
    assert playground.account.balance() == (4750, 0)


def test_an_fba_order_says_what_it_cost(playground: Playground) -> None:
    """It is taken from managed balance."""
    playground.do(builders.requested("A-1", "none", "fba"))
    assert playground.outcomes() == [("auto_order.placed", "captured")]
    assert playground.account.balance("managed") == (7650, 0)


def test_what_the_supplier_refuses_is_failed_with_the_reason(playground: Playground) -> None:
    """The credits are given back."""
    playground.do(builders.requested("sold-out-1", "bce"))
    assert playground.outcomes() == [("auto_order.failed", "released")]
    assert playground.account.work("sold-out-1").reason == "The supplier is out of stock."
    assert playground.account.balance() == (5000, 0)


def test_a_conversion_is_completed_by_its_method(playground: Playground) -> None:
    """Also a second one of the same attempt."""
    for method in ("bce", "qtrack"):
        playground.do(builders.conversion("M-1", method, order_type="manual"))
        assert playground.outcomes() == [("tracking_conversion.completed", "captured")]


def test_a_conversion_that_is_refused_is_failed(playground: Playground, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its credits are given back."""

    def refuse(*_: Any) -> str:
        raise playground.module.Refused("no such number")

    monkeypatch.setitem(playground.module.__dict__, "convert_tracking", refuse)
    playground.do(builders.conversion("M-1", "bce", order_type="manual"))
    assert playground.outcomes() == [("tracking_conversion.failed", "released")]


def test_sourcing_is_accepted(playground: Playground) -> None:
    """Its credit is taken."""
    playground.do(builders.sourcing("P-1"))
    assert playground.outcomes() == [("sourcing.accepted", "captured")]


def test_a_hold_over_http_is_not_its_work(playground: Playground) -> None:
    """Its caller does that work."""
    playground.do(builders.hold(builders.order("A-1")))
    assert playground.work() == []


def test_an_event_that_comes_twice_changes_nothing_the_second_time(playground: Playground) -> None:
    """It is answered by the same messages, which are duplicates."""
    playground.do(builders.requested("A-1", "qtrack"))
    playground.outcomes()
    playground.put_again("auto_order.funded")
    assert playground.outcomes() == [("auto_order.placed", "duplicate"), ("tracking_conversion.completed", "duplicate")]


def test_an_answer_to_an_earlier_attempt_changes_nothing(playground: Playground) -> None:
    """Even if the order is being tried again meanwhile."""
    playground.do(builders.requested("A-1"))
    playground.account.do(builders.failed("A-1"))
    playground.account.do(builders.requested("A-1"))
    assert playground.outcomes() == [("auto_order.placed", "nothing")]
    assert playground.account.work("A-1").status == "processing"


def test_what_goes_wrong_is_tried_again_later_and_later(
    playground: Playground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After 10 s, doubling, at most 15 minutes; after the eighth try it is a dead letter."""

    def unreachable(*_: Any) -> str:
        raise TimeoutError

    monkeypatch.setitem(playground.module.__dict__, "place_order", unreachable)
    delays: list[int] = []
    playground.hidden_s(delays)
    playground.do(builders.requested("A-1"))
    for _ in range(10):
        assert playground.work() == []
    assert delays == [10, 20, 40, 80, 160, 320, 640, 900]
    dead = playground.sqs.get_queue_url(QueueName="automation-engine-dead-letters")["QueueUrl"]
    [letter] = playground.sqs.receive_message(QueueUrl=dead)["Messages"]
    assert json.loads(letter["Body"])["detail"]["order_id"] == "A-1"


def test_an_event_that_fails_holds_up_no_other(playground: Playground, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those behind it are answered."""
    place = playground.module.place_order

    def flaky(reference: str, order: Mapping[str, Any]) -> str:
        if order["order_id"] == "A-1":
            raise TimeoutError
        return str(place(reference, order))

    monkeypatch.setitem(playground.module.__dict__, "place_order", flaky)
    playground.do(builders.requested("A-1"))
    playground.do(builders.requested("A-2"))
    assert [message["data"]["order_id"] for message in playground.work()] == ["A-2"]


def test_answers_that_were_taken_in_part_are_all_sent_again(playground: Playground) -> None:
    """The event stays until the orders queue has taken all of them."""
    send = playground.sqs.send_message_batch

    def take_one(**arguments: Any) -> Any:
        first, *_ = arguments["Entries"]
        failed = {"Id": "1", "SenderFault": False, "Code": "InternalError"}
        return {**send(**{**arguments, "Entries": [first]}), "Failed": [failed]}

    playground.do(builders.requested("A-1", "qtrack"))
    playground.hidden_s([])
    playground.engine.sqs.send_message_batch = take_one
    assert playground.outcomes() == [("auto_order.placed", "captured")]
    playground.engine.sqs.send_message_batch = send
    assert playground.outcomes() == [("auto_order.placed", "duplicate"), ("tracking_conversion.completed", "captured")]


def test_only_its_rule_may_send_to_its_queues(playground: Playground) -> None:
    """Both queues say so, and what EventBridge could not deliver goes to the dead letters."""
    [target] = playground.events.list_targets_by_rule(Rule="automation-engine", EventBusName="bus")["Targets"]
    rule = playground.events.describe_rule(Name="automation-engine", EventBusName="bus")
    dead = playground.sqs.get_queue_url(QueueName="automation-engine-dead-letters")["QueueUrl"]
    for url in (playground.engine.events_url, dead):
        attributes = playground.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        [statement] = json.loads(attributes["Policy"])["Statement"]
        assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": rule["Arn"]}}
        assert attributes["MessageRetentionPeriod"] == "1209600"
    assert target["DeadLetterConfig"]["Arn"].endswith(":automation-engine-dead-letters")
