"""The orders queue polled as Lambda does it: the emulator's own poller never takes more than ten messages at once."""

import json
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config

from dev.stack.deploy import REGION
from tests.kit.stack import Stack, eventually

RECEIVED_AT_ONCE = 10
"""The most that SQS gives or takes in one call."""

ANSWER_SECONDS = 120
QUIET_SECONDS = 60


FOR_EVER_S = float("inf")


@dataclass(frozen=True)
class Mapping:
    """How the template has the queue polled."""

    source_arn: str
    function_name: str
    batch_size: int
    window_seconds: int
    concurrency: int

    @classmethod
    def of(cls, stack: Stack) -> "Mapping":
        """The deployed mapping of the orders queue."""
        found = mapping_of(stack, stack.info["orders_queue_url"])
        return cls(
            found["EventSourceArn"],
            found["FunctionArn"].rpartition(":")[2],
            found["BatchSize"],
            found["MaximumBatchingWindowInSeconds"],
            found["ScalingConfig"]["MaximumConcurrency"],
        )


@dataclass
class Polling:
    """What the pollers saw: how large the batches were, how long each took, and the errors of calls that broke."""

    sizes: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    given_back: list[int] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def summary(self) -> str:
        """All that in one line."""
        return (
            f"{len(self.sizes)} batches of up to {max(self.sizes, default=0)} messages, the longest call "
            f"{max(self.seconds, default=0):.1f} s, {sum(self.given_back)} messages given back, {len(self.errors)} calls broke"
        )


def mapping_of(stack: Stack, queue_url: str) -> dict[str, Any]:
    """How a queue's function gets its messages."""
    mappings = stack.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    [found] = [one for one in mappings if one["EventSourceArn"].endswith(f":{queue_url.rpartition('/')[2]}")]
    return dict(found)


@contextmanager
def paused(stack: Stack, queue_url: str) -> Iterator[None]:
    """While nothing is taken from a queue, so that what is sent stays there."""
    functions, uuid = stack.client("lambda"), mapping_of(stack, queue_url)["UUID"]
    functions.update_event_source_mapping(UUID=uuid, Enabled=False)
    try:
        yield
    finally:
        functions.update_event_source_mapping(UUID=uuid, Enabled=True)


@contextmanager
def polled(stack: Stack, longest_wait_s: float) -> Iterator[Polling]:
    """Poll the orders queue with the template's batch size, window and concurrency, in the emulator's place.

    What the function gives back is shown again after its own delay, but at the latest after `longest_wait_s`: the
    delays double, and the last messages of a storm would wait for many minutes.
    """
    mapping = Mapping.of(stack)
    polling, stopping, turn = Polling(), threading.Event(), threading.Lock()
    waiting = Waiting(stack, longest_wait_s)
    with paused(stack, stack.info["orders_queue_url"]), ThreadPoolExecutor(mapping.concurrency) as pool:
        pollers = [Poller(stack, mapping, polling, stopping, turn, waiting) for _ in range(mapping.concurrency)]
        ends = [pool.submit(poller.run) for poller in pollers]
        try:
            yield polling
        finally:
            stopping.set()
        for end in ends:
            end.result()


class Waiting:
    """What was given back, and when it has waited long enough."""

    def __init__(self, stack: Stack, longest_s: float) -> None:
        self.sqs, self.url, self.longest_s = stack.client("sqs"), stack.info["orders_queue_url"], longest_s
        self.due: deque[tuple[float, str]] = deque()

    def add(self, receipts: Iterable[str]) -> None:
        """These have been given back just now."""
        self.due.extend((time.monotonic() + self.longest_s, receipt) for receipt in receipts)

    def show(self) -> None:
        """Show what has waited long enough. A receipt is worth nothing any more if the message came back by itself."""
        now_s = time.monotonic()
        receipts = []
        while self.due and self.due[0][0] <= now_s:
            receipts.append(self.due.popleft()[1])
        for start in range(0, len(receipts), RECEIVED_AT_ONCE):
            entries = [
                {"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
                for number, receipt in enumerate(receipts[start : start + RECEIVED_AT_ONCE])
            ]
            self.sqs.change_message_visibility_batch(QueueUrl=self.url, Entries=entries)


class Poller:
    """One of the pollers, one call of the function at a time.

    They gather in turn, so that what lies together in the queue comes together.
    """

    def __init__(
        self,
        stack: Stack,
        mapping: Mapping,
        polling: Polling,
        stopping: threading.Event,
        turn: threading.Lock,
        waiting: "Waiting",
    ) -> None:
        self.mapping, self.polling, self.stopping = mapping, polling, stopping
        self.turn, self.waiting = turn, waiting
        self.url = stack.info["orders_queue_url"]
        self.sqs = stack.client("sqs")
        self.lambdas = patient_client("lambda", stack)

    def run(self) -> None:
        """Poll until told to stop."""
        while not self.stopping.is_set():
            with self.turn:
                self.waiting.show()
                batch = [] if self.stopping.is_set() else self.gather()
            if batch:
                self.work_on(batch)

    def gather(self) -> list[dict[str, Any]]:
        """As many messages as make a batch, or what comes within the window."""
        batch: list[dict[str, Any]] = []
        deadline = time.monotonic() + self.mapping.window_seconds
        while (room := self.mapping.batch_size - len(batch)) and time.monotonic() < deadline:
            answer = self.sqs.receive_message(
                QueueUrl=self.url,
                MaxNumberOfMessages=min(room, RECEIVED_AT_ONCE),
                MessageSystemAttributeNames=["All"],
                WaitTimeSeconds=1,
            )
            batch += answer.get("Messages", [])
        return batch

    def work_on(self, batch: list[dict[str, Any]]) -> None:
        """Call the function, and acknowledge what it does not name; if it broke, nothing."""
        began = time.monotonic()
        answer = self.lambdas.invoke(
            FunctionName=self.mapping.function_name,
            Payload=json.dumps({"Records": [self.record_of(message) for message in batch]}),
        )
        told = json.loads(answer["Payload"].read())
        self.polling.sizes.append(len(batch))
        self.polling.seconds.append(time.monotonic() - began)
        if "FunctionError" in answer:
            self.polling.errors.append(str(told["errorMessage"]))
            return
        failed = {failure["itemIdentifier"] for failure in told["batchItemFailures"]}
        self.polling.given_back.append(len(failed))
        self.waiting.add(message["ReceiptHandle"] for message in batch if message["MessageId"] in failed)
        done = [message["ReceiptHandle"] for message in batch if message["MessageId"] not in failed]
        for start in range(0, len(done), RECEIVED_AT_ONCE):
            receipts = done[start : start + RECEIVED_AT_ONCE]
            entries = [{"Id": str(number), "ReceiptHandle": receipt} for number, receipt in enumerate(receipts)]
            self.sqs.delete_message_batch(QueueUrl=self.url, Entries=entries)

    def record_of(self, message: dict[str, Any]) -> dict[str, Any]:
        """A message as Lambda hands it to the function."""
        return {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message["Attributes"],
            "messageAttributes": {},
            "md5OfBody": message["MD5OfBody"],
            "eventSource": "aws:sqs",
            "eventSourceARN": self.mapping.source_arn,
            "awsRegion": REGION,
        }


def patient_client(service: str, stack: Stack) -> Any:
    """A client that waits for the function's answer, as long as a function may take with its start."""
    return boto3.client(
        service,  # type: ignore[call-overload]  # the stubs know some services, this takes any
        endpoint_url=stack.info["endpoint_url"],
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=ANSWER_SECONDS),
    )


@contextmanager
def function_environment(stack: Stack, function_name: str, **more: str) -> Iterator[None]:
    """Start the function's workers anew with more in their environment, and at the end as they were.

    Nothing may be under way: the workers that run are ended.
    """
    lambdas = patient_client("lambda", stack)  # the emulator clears away what each of them had unpacked
    before = lambdas.get_function_configuration(FunctionName=function_name)["Environment"]["Variables"]

    def put(variables: dict[str, str]) -> None:
        lambdas.update_function_configuration(FunctionName=function_name, Environment={"Variables": variables})
        eventually(
            lambda: lambdas.get_function_configuration(FunctionName=function_name)["LastUpdateStatus"] == "Successful",
            seconds=QUIET_SECONDS,
        )

    put(before | more)
    try:
        yield
    finally:
        put(before)
