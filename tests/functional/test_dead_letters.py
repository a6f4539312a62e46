"""`make dead-letters` on AWS, by a dead-letter queue's address and the environment's credentials."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tests.kit import dead_letters


@dataclass(frozen=True)
class Queues:
    """The two queues of a deployed stack."""

    sqs: Any
    orders: str
    dead: str

    def bury(self, body: str, reason: str | None = None) -> None:
        """Put a body on the dead-letter queue."""
        attributes = {"reason": {"DataType": "String", "StringValue": reason}} if reason else {}
        self.sqs.send_message(QueueUrl=self.dead, MessageBody=body, MessageAttributes=attributes)

    def take(self, url: str) -> list[str]:
        """Every body that can be received from a queue now."""
        bodies: list[str] = []
        while messages := self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            bodies += [message["Body"] for message in messages]
        return sorted(bodies)


@pytest.fixture
def queues(monkeypatch: pytest.MonkeyPatch) -> Iterator[Queues]:
    """An orders queue and its dead letters."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        sqs = boto3.client("sqs")
        dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 9})
        orders = sqs.create_queue(QueueName="orders", Attributes={"RedrivePolicy": redrive})["QueueUrl"]
        yield Queues(sqs, orders, dead)


def test_letters_are_listed_with_reason_and_age(queues: Queues) -> None:
    """Looking takes none away, and shows them to the next reader at once."""
    queues.bury("not JSON", "invalid_json")
    queues.bury("{}")
    *lines, last = dead_letters.run(QUEUE_URL=queues.dead)
    assert sorted(line.split("\t") for line in lines) == [
        ["invalid_json", "0 s", "not JSON"],
        ["received too often", "0 s", "{}"],
    ]
    assert last == "2 dead letters"
    assert queues.take(queues.dead) == ["not JSON", "{}"]


def test_a_letter_goes_back_where_it_came_from(queues: Queues) -> None:
    """The dead-letter queue itself tells whose letters it keeps."""
    queues.bury("b1", "try_again")
    assert dead_letters.run(QUEUE_URL=queues.dead, REDRIVE="1")[-1] == "1 dead letters put back on the queue"
    assert (queues.take(queues.orders), queues.take(queues.dead)) == (["b1"], [])


def test_letters_are_put_back_by_reason(queues: Queues) -> None:
    """The others stay where they are."""
    for number, reason in enumerate(("try_again", "invalid_field", "try_again")):
        queues.bury(f"b{number}", reason)
    assert dead_letters.run(QUEUE_URL=queues.dead, REDRIVE="1", REASON="try_again")[-1].startswith("2 dead letters")
    assert (queues.take(queues.orders), queues.take(queues.dead)) == (["b0", "b2"], ["b1"])


def test_more_than_one_batch_is_put_back(queues: Queues) -> None:
    """All of them, each once."""
    for number in range(25):
        queues.bury(f"b{number:02}", "try_again")
    dead_letters.run(QUEUE_URL=queues.dead, REDRIVE="1")
    assert queues.take(queues.orders) == [f"b{number:02}" for number in range(25)]


def test_a_message_goes_back_to_its_accounts_group(queues: Queues) -> None:
    """So that one merchant's letters do not hold up the others."""
    body = json.dumps({"data": {"account_id": "acme"}})
    queues.bury(body, "try_again")
    dead_letters.run(QUEUE_URL=queues.dead, REDRIVE="1")
    [message] = queues.sqs.receive_message(QueueUrl=queues.orders, AttributeNames=["All"])["Messages"]
    assert message["Attributes"]["MessageGroupId"] == "acme"


def test_a_queue_that_keeps_nobodys_letters_is_refused(queues: Queues) -> None:
    """In one line; nothing is taken from it."""
    with pytest.raises(SystemExit, match=r"^error: "):
        dead_letters.run(QUEUE_URL=queues.orders, REDRIVE="1")


@pytest.mark.parametrize(
    ("hours", "told"), [(0.001, "3 s"), (0.5, "30 min"), (1, "1 h"), (26, "1 d"), (24 * 13.9, "13 d")]
)
def test_an_age_is_told_in_its_largest_unit(hours: float, told: str) -> None:
    """Rounded down."""
    assert dead_letters.age(hours * 3600) == told
