"""The queue of orders and its dead letters, on SQS."""

from dataclasses import dataclass
from typing import Any

from .aws import translate_errors


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

    def dead_letter(self, body: str, reason: str) -> None:
        """Send the body, unchanged, to the dead-letter queue with the attribute `reason`."""
        with translate_errors():
            self.client.send_message(
                QueueUrl=self.dead_letter_url,
                MessageBody=body,
                MessageAttributes={"reason": {"DataType": "String", "StringValue": reason}},
            )

    def defer(self, receipt: str, seconds: int) -> None:
        """Show the received message again after `seconds`, and not before."""
        with translate_errors():
            self.client.change_message_visibility(QueueUrl=self.url, ReceiptHandle=receipt, VisibilityTimeout=seconds)
