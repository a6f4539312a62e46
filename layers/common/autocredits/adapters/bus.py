"""The bus of events, on EventBridge."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from autocredits.ledger.ports import BusEvent

from .aws import translate_errors

SOURCE = "autocredits"
BATCH = 10
BATCH_BYTES = 200 * 1024
TIME_BYTES = 14
"""What an entry's time counts for (EventBridge's documentation, "Calculating event entry size")."""


@dataclass(frozen=True, slots=True)
class EventBus:
    """A Bus on EventBridge."""

    client: Any
    name: str

    def put(self, events: Sequence[BusEvent]) -> Sequence[BusEvent]:
        """Put the events on the bus, at most 10 and 200 KB in a call; those that did not get there."""
        left: list[BusEvent] = []
        for batch in batches(events):
            with translate_errors():
                answer = self.client.put_events(Entries=[self._entry(event) for event in batch])
            if answer["FailedEntryCount"]:
                results = zip(batch, answer["Entries"], strict=True)
                left += [event for event, result in results if "EventId" not in result]
        return left

    def _entry(self, event: BusEvent) -> dict[str, Any]:
        return {
            "EventBusName": self.name,
            "Source": SOURCE,
            "DetailType": event.type,
            "Time": datetime.fromtimestamp(event.at_ms / 1000, UTC),
            "Detail": event.detail,
        }


def batches(events: Sequence[BusEvent]) -> Iterator[list[BusEvent]]:
    """The events in as few calls as they need, in their sequence."""
    batch: list[BusEvent] = []
    size = 0
    for event in events:
        added = event_bytes(event)
        if batch and (len(batch) == BATCH or size + added > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(event)
        size += added
    if batch:
        yield batch


def event_bytes(event: BusEvent) -> int:
    """How much of a call's room an event takes, in UTF-8."""
    return TIME_BYTES + len(SOURCE) + len(event.type.encode()) + len(event.detail.encode())
