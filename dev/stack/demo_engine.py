"""The demo's automation engine: it takes what is funded off a queue of its own, and answers on the orders queue.

A rule on the bus fills that queue with the events of the demo account alone. docs/automation-engine.md has an engine
with what a real one needs beyond this: retries, dead letters, and work that takes time.
"""

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

ACCOUNT = "demo"
SOURCE = "autocredits-demo"
NAME = "autocredits-demo-engine"
"""Of the rule on the bus and of the queue that it fills."""

FUNDED = ("auto_order.funded", "tracking_conversion.funded", "sourcing.funded")
FAILS = 8
"""One order in so many fails."""

Event = Mapping[str, Any]
Answer = tuple[str, dict[str, Any]]
"""A message's type and data."""


def subscribe(events: Any, sqs: Any, bus_name: str) -> str:
    """Have the bus put what the demo works on into a queue; its address. Done again, it changes nothing."""
    url: str = sqs.create_queue(QueueName=NAME, Attributes={"MessageRetentionPeriod": "1209600"})["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["autocredits"], "detail-type": list(FUNDED), "detail": {"account_id": [ACCOUNT]}}
    events.put_rule(Name=NAME, EventBusName=bus_name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=NAME, EventBusName=bus_name, Targets=[{"Id": "queue", "Arn": arn}])
    return url


@dataclass(frozen=True)
class Engine:
    """Works on what is funded. An event that comes twice is answered twice, by the same messages."""

    sqs: Any
    events_url: str
    orders_url: str

    def work(self) -> int:
        """Answer all that is there; how many events that were."""
        answered = 0
        while events := self.sqs.receive_message(QueueUrl=self.events_url, MaxNumberOfMessages=10).get("Messages"):
            for event in events:
                for message in answers(json.loads(event["Body"])):
                    self.send(message)
                self.sqs.delete_message(QueueUrl=self.events_url, ReceiptHandle=event["ReceiptHandle"])
                answered += 1
        return answered

    def send(self, message: dict[str, Any]) -> None:
        """Put a message about the demo account on the orders queue."""
        self.sqs.send_message(QueueUrl=self.orders_url, MessageBody=json.dumps(message), MessageGroupId=ACCOUNT)


def answers(event: Event) -> list[dict[str, Any]]:
    """The messages that answer an event. Its own id is in theirs, so that they are the same ones each time."""
    detail = event["detail"]
    return [message(f"{detail['id']}/{kind}", kind, data) for kind, data in _results(event["detail-type"], detail)]


def message(message_id: str, kind: str, data: dict[str, Any]) -> dict[str, Any]:
    """A CloudEvent about the demo account."""
    envelope = {"specversion": "1.0", "id": message_id, "source": SOURCE, "type": kind}
    return {**envelope, "data": {"account_id": ACCOUNT, **data}}


def _results(detail_type: str, detail: Event) -> Iterator[Answer]:
    """What becomes of funded work: sourcing is accepted, numbers are converted, and most orders are placed."""
    chance = zlib.crc32(detail["hold_id"].encode())
    if detail_type == "sourcing.funded":
        yield "sourcing.accepted", {"product_id": detail["product_id"], "attempt": detail["attempt"]}
        return
    order = {"order_id": detail["order_id"], "attempt": detail["attempt"]}
    if detail_type == "auto_order.funded" and chance % FAILS == 0:
        yield "auto_order.failed", {**order, "reason": "the supplier is out of stock"}
        return
    if detail_type == "auto_order.funded":
        yield "auto_order.placed", {**order, "supplier_order_id": f"114-{chance:010d}"}
    if "tracking" in detail["parts"]:
        converted = {"tracking": detail["tracking"], "tracking_number": f"QT{chance:010d}"}
        yield "tracking_conversion.completed", {**order, **converted}
