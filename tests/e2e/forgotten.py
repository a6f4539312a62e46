"""What nobody looks after any more: a hold that is not settled, a lost message, records that nobody can read."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.e2e.merchant import Merchant, fresh, opened, work
from tests.kit.polling import paused
from tests.kit.stack import Stack, eventually

EXPIRES_IN_S = 60
POISON = 100
SHARDS = 8


@dataclass(frozen=True)
class Forgotten:
    """A merchant with an order whose hold nobody settles, one whose message is lost, and another one's poison."""

    merchant: Merchant
    held_order_id: str
    expires_at: str
    lost_order_id: str
    poison: "Poison"


@dataclass(frozen=True)
class Poison:
    """Records of an account whose journal cannot be read, at the head of what is due."""

    stack: Stack
    account_id: str

    def put(self) -> None:
        """Write them, as no release would."""
        page = {"pk": f"account#{self.account_id}", "sk": "page#000000000001", "entries": "not a list"}
        self._put(page)
        for number in range(POISON):
            order_id = f"poison-{number}"
            self._put(
                {
                    "pk": f"account#{self.account_id}#order#{order_id}",
                    "sk": "work",
                    "by_due_pk": f"due#hold#{number % SHARDS}",
                    "by_due_sk": f"{number:014}#{self.account_id}#{order_id}~1",
                }
            )

    def items(self) -> list[dict[str, Any]]:
        """The records as they are now."""
        found = []
        for number in range(POISON):
            key = {"pk": {"S": f"account#{self.account_id}#order#poison-{number}"}, "sk": {"S": "work"}}
            table = self.stack.info["table_name"]
            found.append(self.stack.client("dynamodb").get_item(TableName=table, Key=key, ConsistentRead=True)["Item"])
        return found

    def _put(self, item: dict[str, str]) -> None:
        stored = {name: {"S": value} for name, value in item.items()}
        self.stack.client("dynamodb").put_item(TableName=self.stack.info["table_name"], Item=stored)


def forget(stack: Stack) -> Forgotten:
    """Make all of it. The sweep needs a minute or three for it."""
    poison = Poison(stack, fresh("unreadable"))
    poison.put()
    merchant, held, lost = opened(stack), work(tracking="bce"), work()
    hold = merchant.hold(held | {"expires_in": EXPIRES_IN_S}).json()
    drop_message(merchant, lost)
    return Forgotten(merchant, held["order_id"], hold["expires_at"], lost["order_id"], poison)


def drop_message(merchant: Merchant, order: dict[str, Any]) -> None:
    """Queue an order, and lose its message."""
    stack, queue_url = merchant.stack, merchant.stack.info["orders_queue_url"]
    with paused(stack, queue_url):
        queued = merchant.call("POST", "/orders", json=order, key=fresh("key"))
        assert (queued.status_code, queued.json()["status"]) == (202, "queued")
        eventually(partial(take, stack, queue_url, order["order_id"]))


def take(stack: Stack, queue_url: str, order_id: str) -> bool:
    """Take an order's message out of the queue; whether it was there."""
    sqs = stack.client("sqs")
    for message in sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get(
        "Messages", []
    ):
        if order_id in message["Body"]:
            sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
            return True
    return False
