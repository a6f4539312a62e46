"""`make dead-letters`: lists dead letters with their reasons and ages; with REDRIVE=1 puts them back on the queue.

Those of the running local stack; with STACK=name those of a stack on AWS, with QUEUE_URL=… those of that dead-letter
queue, by the credentials and region of the environment. REASON=code takes only those with this reason. Redriving is
always safe: what was already done is a duplicate, and what still fails comes back.
"""

import json
import os
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from dev.stack import deploy
from dev.stack.places import from_environment, running_stack

AT_MOST = 10_000
"""How many letters one run looks at. What is left is for the next."""

HIDDEN_SECONDS = 900
"""How long a letter is kept from other readers while it is listed or put back."""

PER_SECOND = 50
"""How many letters are put back in a second, so that the worker's other messages do not wait for long."""

NO_REASON = "received too often"
"""What is said of a letter that the queue itself gave up on."""

ACCOUNT_ID = r"[A-Za-z0-9_-]{1,64}"


@dataclass(frozen=True)
class Queues:
    """The two queues, and a client for them."""

    sqs: Any
    orders_url: str
    dead_letter_url: str


@dataclass(frozen=True)
class Letter:
    """A dead letter: its body, why the worker gave up on it, and since when it lies there (seconds since 1970)."""

    body: str
    reason: str
    since_s: float
    receipt: str

    def line(self, now_s: float) -> str:
        """Reason, age and body, parted by tabs."""
        return f"{self.reason}\t{age(now_s - self.since_s)}\t{self.body}"


def main() -> None:
    """List or redrive, as the environment says."""
    reason, redrive = os.environ.get("REASON", ""), os.environ.get("REDRIVE") == "1"
    try:
        queues = find_queues()
        letters = list(receive(queues))
        chosen = [letter for letter in letters if reason in ("", letter.reason)]
        others = [letter for letter in letters if reason not in ("", letter.reason)]
        for letter in chosen:
            print(letter.line(time.time()))
        if redrive:
            put_back(queues, chosen)
        show_again(queues, others if redrive else letters)
    except (ClientError, BotoCoreError) as error:
        raise SystemExit(f"error: the queue cannot be reached: {error}") from None
    done = " put back on the queue" if redrive and chosen else ""
    more = f"; that is as many as one run takes, so run it again: {AT_MOST}" if len(letters) == AT_MOST else ""
    print(f"{len(chosen)} dead letters{done}{more}")


def find_queues() -> Queues:
    """The queues that the environment names. Exits with what to do if there are none."""
    if queue_url := os.environ.get("QUEUE_URL"):
        sqs = boto3.client("sqs")
        sources = sqs.list_dead_letter_source_queues(QueueUrl=queue_url).get("queueUrls", [])
        if len(sources) != 1:
            raise SystemExit(f"error: {queue_url} is the dead-letter queue of {len(sources)} queues, not of one")
        return Queues(sqs, sources[0], queue_url)
    if stack := os.environ.get("STACK"):
        outputs = deploy.outputs_on_aws(stack)
        if not {"OrdersQueueUrl", "DeadLetterQueueUrl"} <= outputs.keys():
            raise SystemExit(f"error: the stack {stack} is none of autocredits: it has no output DeadLetterQueueUrl")
        return Queues(boto3.client("sqs"), outputs["OrdersQueueUrl"], outputs["DeadLetterQueueUrl"])
    places = from_environment()
    local = running_stack(places)
    return Queues(deploy.client("sqs", places), local["orders_queue_url"], local["dead_letter_queue_url"])


def receive(queues: Queues) -> Iterator[Letter]:
    """The letters on the queue, each once. They are hidden meanwhile, so that none comes twice."""
    seen: set[str] = set()
    while messages := queues.sqs.receive_message(
        QueueUrl=queues.dead_letter_url,
        MaxNumberOfMessages=10,
        VisibilityTimeout=HIDDEN_SECONDS,
        MessageAttributeNames=["reason"],
        AttributeNames=["SentTimestamp"],
    ).get("Messages"):
        for message in messages:
            if message["MessageId"] not in seen:
                seen.add(message["MessageId"])
                yield letter_of(message)
        if len(seen) >= AT_MOST:
            return


def letter_of(message: dict[str, Any]) -> Letter:
    """A received message as a letter."""
    attribute = message.get("MessageAttributes", {}).get("reason")
    return Letter(
        body=message["Body"],
        reason=str(attribute["StringValue"]) if attribute else NO_REASON,
        since_s=int(message["Attributes"]["SentTimestamp"]) / 1000,
        receipt=message["ReceiptHandle"],
    )


def put_back(queues: Queues, letters: list[Letter]) -> None:
    """Send each body to the orders queue, then delete the letter: better sent twice than lost."""
    for number, letter in enumerate(letters, 1):
        queues.sqs.send_message(
            QueueUrl=queues.orders_url, MessageBody=letter.body, MessageGroupId=account_of(letter.body)
        )
        queues.sqs.delete_message(QueueUrl=queues.dead_letter_url, ReceiptHandle=letter.receipt)
        if number % PER_SECOND == 0:
            print(f"{number} of {len(letters)} put back", file=sys.stderr)
            time.sleep(1)


def show_again(queues: Queues, letters: list[Letter]) -> None:
    """Show the letters to other readers at once."""
    for letter in letters:
        queues.sqs.change_message_visibility(
            QueueUrl=queues.dead_letter_url, ReceiptHandle=letter.receipt, VisibilityTimeout=0
        )


def age(seconds: float) -> str:
    """A time in the largest unit that fits: `5 s`, `12 min`, `3 h`, `2 d`."""
    whole = max(0, int(seconds))
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if whole >= length:
            return f"{whole // length} {unit}"
    return f"{whole} s"


def account_of(body: str) -> str:
    """The message's group: the account that it names, or `none`."""
    try:
        account_id = json.loads(body)["data"]["account_id"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return "none"
    return account_id if isinstance(account_id, str) and re.fullmatch(ACCOUNT_ID, account_id) else "none"


if __name__ == "__main__":
    main()
