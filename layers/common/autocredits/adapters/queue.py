"""The queue of orders and its dead letters, on SQS."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class SqsQueue:
    """A Queue on SQS: puts messages off and buries those that can never be processed."""

    client: Any
    url: str
    dead_letter_url: str

    def bury(self, body: str, reason: str) -> None:
        """Send the body, unchanged, to the dead-letter queue with the attribute `reason`."""
        self.client.send_message(
            QueueUrl=self.dead_letter_url,
            MessageBody=body,
            MessageAttributes={"reason": {"DataType": "String", "StringValue": reason}},
        )

    def put_off(self, receipt: str, seconds: int) -> None:
        """Show the received message again after `seconds`, and not before."""
        self.client.change_message_visibility(QueueUrl=self.url, ReceiptHandle=receipt, VisibilityTimeout=seconds)
