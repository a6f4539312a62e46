import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError, ReadTimeoutError

from autocredits.adapters.queue import SqsQueue
from autocredits.ledger.ports import UnavailableError
from tests.kit.wire import answering, client_of, error, raising, response

ORDERS, DEAD = "http://127.0.0.1:1/1/orders", "http://127.0.0.1:1/1/dead"

CALLS: dict[str, Callable[[SqsQueue], None]] = {
    "send": lambda queue: queue.send("acme", "body"),
    "send_all": lambda queue: queue.send_all([("acme", "body")]),
    "dead_letter": lambda queue: queue.dead_letter("body", "invalid_json"),
    "defer": lambda queue: queue.defer({"receipt": 5}),
}


def queue_on(client: Any) -> SqsQueue:
    """The queue on this client."""
    return SqsQueue(client, ORDERS, DEAD)


@pytest.mark.parametrize(
    ("call", "asked"),
    [
        ("send", {"QueueUrl": ORDERS, "MessageBody": "body", "MessageGroupId": "acme"}),
        (
            "send_all",
            {"QueueUrl": ORDERS, "Entries": [{"Id": "0", "MessageBody": "body", "MessageGroupId": "acme"}]},
        ),
        (
            "dead_letter",
            {
                "QueueUrl": DEAD,
                "MessageBody": "body",
                "MessageAttributes": {"reason": {"DataType": "String", "StringValue": "invalid_json"}},
            },
        ),
        (
            "defer",
            {"QueueUrl": ORDERS, "Entries": [{"Id": "0", "ReceiptHandle": "receipt", "VisibilityTimeout": 5}]},
        ),
    ],
)
def test_what_sqs_is_asked(call: str, asked: dict[str, Any]) -> None:
    """A message goes in its account's group, a dead letter with its reason, and a deferred one is hidden so long."""
    sent: list[dict[str, Any]] = []

    def send(request: Any, **_: object) -> AWSResponse:
        sent.append(json.loads(request.body))
        return response(200, {})

    CALLS[call](queue_on(client_of("sqs", send)))
    assert sent == [asked]


def test_ten_messages_are_deferred_in_one_call() -> None:
    """Each for as long as was said; without any, nothing is asked."""
    sent: list[list[tuple[str, int]]] = []

    def send(request: Any, **_: object) -> AWSResponse:
        entries = json.loads(request.body)["Entries"]
        assert len({entry["Id"] for entry in entries}) == len(entries)
        sent.append([(entry["ReceiptHandle"], entry["VisibilityTimeout"]) for entry in entries])
        return response(200, {"Successful": [], "Failed": []})

    delays = {f"r{number}": number for number in range(25)}
    queue = queue_on(client_of("sqs", send))
    queue.defer(delays)
    queue.defer({})
    assert [len(few) for few in sent] == [10, 10, 5]
    assert dict(one for few in sent for one in few) == delays


def test_ten_messages_are_sent_in_one_call() -> None:
    """Each in its account's group, in their sequence; without any, nothing is asked."""
    sent: list[list[tuple[str, str]]] = []

    def send(request: Any, **_: object) -> AWSResponse:
        entries = json.loads(request.body)["Entries"]
        assert len({entry["Id"] for entry in entries}) == len(entries)
        sent.append([(entry["MessageGroupId"], entry["MessageBody"]) for entry in entries])
        return response(200, {"Successful": [], "Failed": []})

    messages = [(f"account-{number % 3}", f"body {number}") for number in range(25)]
    queue = queue_on(client_of("sqs", send))
    queue.send_all(messages)
    queue.send_all([])
    assert [len(few) for few in sent] == [10, 10, 5]
    assert [one for few in sent for one in few] == messages


def test_messages_of_which_one_was_not_sent_are_told() -> None:
    """An answer of 200 can carry failures: whoever sent them tries all of them again."""
    failed = {"Id": "1", "SenderFault": False, "Code": "InternalError"}
    queue = queue_on(answering("sqs", 200, {"Successful": [{"Id": "0"}], "Failed": [failed]}))
    with pytest.raises(UnavailableError, match="1 messages were not sent: InternalError"):
        queue.send_all([("acme", "one"), ("acme", "two")])


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "client",
    [answering("sqs", 503, error("ServiceUnavailable")), raising("sqs", ReadTimeoutError(endpoint_url="x"))],
    ids=["failing", "silent"],
)
def test_a_queue_that_does_not_answer_is_unavailable(call: str, client: Any) -> None:
    """Whichever call it was."""
    with pytest.raises(UnavailableError):
        CALLS[call](queue_on(client))


@pytest.mark.parametrize("call", CALLS)
def test_a_defect_of_ours_goes_through(call: str) -> None:
    """A queue that we may not use, or that is not there, is no outage."""
    with pytest.raises(ClientError, match="AccessDenied"):
        CALLS[call](queue_on(answering("sqs", 403, error("AccessDenied"))))
