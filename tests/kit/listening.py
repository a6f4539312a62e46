"""What a running stack tells: a queue of the test's own behind a rule on the bus, as a consumer has one."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from tests.kit.event_schemas import check_event
from tests.kit.stack import Stack, eventually

PATIENCE_S = 120


@dataclass(frozen=True)
class Told:
    """An event as a consumer gets it."""

    type: str
    time: str
    detail: dict[str, Any]

    def key(self) -> tuple[str, str]:
        """What tells a double: detail-type and id together."""
        return self.type, self.detail["id"]


@dataclass
class Listener:
    """All events since it began to listen. Each one is checked by its schema."""

    told: list[Told] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def of(self, account_id: str) -> list[Told]:
        """The account's events, in the order in which they came."""
        assert not self.wrong, self.wrong
        return [event for event in list(self.told) if event.detail["account_id"] == account_id]

    def named(self, account_id: str, *types: str) -> list[Told]:
        """Those of them that have one of these detail-types, without doubles."""
        return list({event.key(): event for event in self.of(account_id) if event.type in types}.values())

    def wait_for(self, account_id: str, version: int, *, seconds: float = PATIENCE_S) -> list[Told]:
        """The account's events, as soon as there is one of each page up to `version`."""
        pages = set(range(1, version + 1))

        def all_there() -> list[Told] | None:
            events = self.of(account_id)
            return events if pages <= {event.detail["version"] for event in events} else None

        return eventually(all_there, seconds=seconds)

    def take(self, body: str) -> None:
        """Note an event."""
        event = json.loads(body)
        self.told.append(Told(event["detail-type"], event["time"], event["detail"]))
        try:
            assert event["source"] == "autocredits"
            check_event(event["detail-type"], event["detail"])
        except AssertionError as error:
            self.wrong.append(str(error))


@contextmanager
def listening(stack: Stack) -> Iterator[Listener]:
    """Listen to all that the stack tells from now on."""
    sqs, bus, name = stack.client("sqs"), stack.client("events"), f"listener-{uuid4().hex[:8]}"
    queue_url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    rule = {"EventBusName": stack.info["bus_name"]}
    bus.put_rule(Name=name, EventPattern=json.dumps({"source": ["autocredits"]}), **rule)
    bus.put_targets(Rule=name, Targets=[{"Id": name, "Arn": arn}], **rule)
    listener, stopping = Listener(), threading.Event()

    def listen() -> None:
        while not stopping.is_set():
            answer = sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            messages = answer.get("Messages", [])
            for message in messages:
                listener.take(message["Body"])
            if messages:
                entries = [
                    {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
                    for number, message in enumerate(messages)
                ]
                sqs.delete_message_batch(QueueUrl=queue_url, Entries=entries)

    try:
        with ThreadPoolExecutor(1) as pool:
            ending = pool.submit(listen)
            try:
                yield listener
            finally:
                stopping.set()
            ending.result()
    finally:
        bus.remove_targets(Rule=name, Ids=[name], **rule)
        bus.delete_rule(Name=name, **rule)
        sqs.delete_queue(QueueUrl=queue_url)
    assert not listener.wrong, listener.wrong
