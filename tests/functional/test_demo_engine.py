"""The demo's engine between the bus and the orders queue, on moto."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from moto import mock_aws

from dev.stack.demo_engine import ACCOUNT, Engine, subscribe
from tests.kit.told_story import told_story

FUNDED = next(detail for detail_type, detail in told_story() if detail_type == "auto_order.funded")


@dataclass(frozen=True)
class Playground:
    """A bus, an orders queue, and the engine between them."""

    events: Any
    sqs: Any
    engine: Engine

    def tell(self, detail_type: str = "auto_order.funded", **changes: Any) -> None:
        """Put an event on the bus."""
        detail = json.dumps({**FUNDED, "account_id": ACCOUNT, **changes})
        entry = {"EventBusName": "bus", "Source": "autocredits", "DetailType": detail_type, "Detail": detail}
        assert self.events.put_events(Entries=[entry])["FailedEntryCount"] == 0

    def answered(self) -> list[str]:
        """The types of the messages on the orders queue."""
        received = self.sqs.receive_message(QueueUrl=self.engine.orders_url, MaxNumberOfMessages=10)
        return [json.loads(message["Body"])["type"] for message in received.get("Messages", [])]


@pytest.fixture
def playground(monkeypatch: pytest.MonkeyPatch) -> Iterator[Playground]:
    """An engine that has just subscribed."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        events, sqs = boto3.client("events"), boto3.client("sqs")
        events.create_event_bus(Name="bus")
        orders_url = sqs.create_queue(QueueName="orders")["QueueUrl"]
        yield Playground(events, sqs, Engine(sqs, subscribe(events, sqs, "bus"), orders_url))


def test_what_is_funded_is_answered_once(playground: Playground) -> None:
    """Then the engine's queue is empty."""
    playground.tell()
    assert playground.engine.work() == 1
    assert playground.answered() == ["auto_order.placed", "tracking_conversion.completed"]
    assert playground.engine.work() == 0


def test_more_than_ten_events_are_worked_on_at_once(playground: Playground) -> None:
    """As many as there are."""
    for number in range(12):
        playground.tell(id=f"demo/{number}.0")
    assert playground.engine.work() == 12


@pytest.mark.parametrize("other", [{"account_id": "acme"}, {"detail_type": "credits.held"}])
def test_other_events_never_reach_it(playground: Playground, other: dict[str, str]) -> None:
    """Neither those of other accounts nor those of other types."""
    playground.tell(**other)
    assert playground.engine.work() == 0


def test_subscribing_again_changes_nothing(playground: Playground) -> None:
    """As each start of the stack does: an event still comes once."""
    assert subscribe(playground.events, playground.sqs, "bus") == playground.engine.events_url
    playground.tell()
    assert playground.engine.work() == 1
