"""A queue and its dead letters, on SQS."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autocredits.ledger.ports import UnavailableError

from .aws import translate_errors

BATCH = 10


@dataclass(frozen=True, slots=True)
class SqsQueue:
    """A Queue on SQS: sends and defers messages, and makes dead letters of those that can never be processed.

    Each call may raise UnavailableError.
    """

    client: Any
    url: str
    dead_letter_url: str

    def send(self, account_id: str, body: str) -> None:
        """Send a message; its group is the account, so that one merchant's flood does not hold up the others."""
        with translate_errors():
            self.client.send_message(QueueUrl=self.url, MessageBody=body, MessageGroupId=account_id)

    def send_all(self, messages: Sequence[tuple[str, str]]) -> None:
        """Send messages, each an account and a body, ten in a call."""
        entries = [
            {"Id": str(number), "MessageBody": body, "MessageGroupId": account_id}
            for number, (account_id, body) in enumerate(messages)
        ]
        for start in range(0, len(entries), BATCH):
            with translate_errors():
                answer = self.client.send_message_batch(QueueUrl=self.url, Entries=entries[start : start + BATCH])
            if failed := answer.get("Failed"):
                raise UnavailableError(f"{len(failed)} messages were not sent: {failed[0].get('Code')}")

    def dead_letter(self, body: str, reason: str) -> None:
        """Send the body, unchanged, to the dead-letter queue with the attribute `reason`."""
        with translate_errors():
            self.client.send_message(
                QueueUrl=self.dead_letter_url,
                MessageBody=body,
                MessageAttributes={"reason": {"DataType": "String", "StringValue": reason}},
            )

    def defer(self, delays: Mapping[str, int]) -> None:
        """Show received messages again after so many seconds each, and not before: ten in a call.

        One whose receipt is out of date comes back by itself.
        """
        entries = [
            {"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": seconds}
            for number, (receipt, seconds) in enumerate(delays.items())
        ]
        for start in range(0, len(entries), BATCH):
            with translate_errors():
                self.client.change_message_visibility_batch(QueueUrl=self.url, Entries=entries[start : start + BATCH])
