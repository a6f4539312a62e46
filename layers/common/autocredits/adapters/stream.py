"""The table's stream: which pages were just written."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from autocredits.domain.journal import Page

from .dynamo import Item, page_of, place_of


@dataclass(frozen=True, slots=True)
class StreamedPage:
    """A page that the stream shows: whose it is, its number, and its item as it was written."""

    account_id: str
    version: int
    item: Item

    def read(self) -> Page:
        """The page itself. Raises BrokenInvariantError unless its hash covers exactly what is stored."""
        return page_of(self.account_id, {name: _from_json(value) for name, value in self.item.items()})


def pages_in(event: dict[str, Any]) -> Iterator[StreamedPage]:
    """The new pages of a batch, in its sequence. All else that the stream tells is passed by."""
    for record in event["Records"]:
        change = record["dynamodb"]
        place = place_of(change["Keys"])
        if record["eventName"] == "INSERT" and place is not None and place.version is not None:
            yield StreamedPage(place.account_id, place.version, change["NewImage"])


def _from_json(value: dict[str, Any]) -> dict[str, Any]:
    """A value as DynamoDB gives it. Lambda hands bytes over in base64; a page has some only at its top."""
    return {"B": base64.b64decode(value["B"])} if "B" in value else value
