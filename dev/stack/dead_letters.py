"""`make dead-letters`: lists the running stack's dead letters; with REDRIVE=1 puts them back on the queue.

Redriving is always safe: what was already done is a duplicate, and what still fails comes back.
"""

import json
import os
import re
from collections.abc import Iterator
from typing import Any

from dev.stack import deploy
from dev.stack.places import StackInfo, from_environment, running_stack

HIDDEN_SECONDS = 30
ACCOUNT_ID = r"[A-Za-z0-9_-]{1,64}"


def main() -> None:
    """List or redrive, as the environment says."""
    places = from_environment()
    stack = running_stack(places)
    sqs = deploy.client("sqs", places)
    redrive = os.environ.get("REDRIVE") == "1"
    letters = list(receive(sqs, stack["dead_letter_queue_url"]))
    for letter in letters:
        print(f"{reason_of(letter)}\t{letter['Body']}")
        if redrive:
            put_back(sqs, stack, letter)
        else:
            sqs.change_message_visibility(
                QueueUrl=stack["dead_letter_queue_url"], ReceiptHandle=letter["ReceiptHandle"], VisibilityTimeout=0
            )
    print(f"{len(letters)} dead letters{' put back on the queue' if redrive and letters else ''}")


def receive(sqs: Any, queue_url: str) -> Iterator[dict[str, Any]]:
    """Every message on the queue. Each is hidden for a while, so that it comes only once."""
    while messages := sqs.receive_message(
        QueueUrl=queue_url,
        MaxNumberOfMessages=10,
        VisibilityTimeout=HIDDEN_SECONDS,
        MessageAttributeNames=["reason"],
    ).get("Messages"):
        yield from messages


def reason_of(letter: dict[str, Any]) -> str:
    """Why the worker gave up on it. The queue gives up on what was received too often, and gives no reason."""
    attribute = letter.get("MessageAttributes", {}).get("reason")
    return str(attribute["StringValue"]) if attribute else "received too often"


def put_back(sqs: Any, stack: StackInfo, letter: dict[str, Any]) -> None:
    """Send the body to the orders queue, then delete the letter: better sent twice than lost."""
    sqs.send_message(
        QueueUrl=stack["orders_queue_url"], MessageBody=letter["Body"], MessageGroupId=account_of(letter["Body"])
    )
    sqs.delete_message(QueueUrl=stack["dead_letter_queue_url"], ReceiptHandle=letter["ReceiptHandle"])


def account_of(body: str) -> str:
    """The message's group: the account that it names, or `none`."""
    try:
        account_id = json.loads(body)["data"]["account_id"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return "none"
    return account_id if isinstance(account_id, str) and re.fullmatch(ACCOUNT_ID, account_id) else "none"


if __name__ == "__main__":
    main()
