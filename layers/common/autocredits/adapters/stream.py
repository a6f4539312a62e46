"""The table's stream: which pages were just written."""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from autocredits.domain.audit import Finding
from autocredits.domain.journal import Page

from .dynamo import Item, page_of, place_of

TAMPERING: Mapping[str, str] = MappingProxyType({"MODIFY": "modified_page", "REMOVE": "removed_page"})
"""What a change of a page is: a page is written once and for ever."""


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


def touched_in(event: dict[str, Any]) -> dict[str, list[Finding]]:
    """The accounts whose pages a batch of the stream shows, each with what happened to pages that never change."""
    touched: dict[str, list[Finding]] = {}
    for record in event["Records"]:
        place = place_of(record["dynamodb"]["Keys"])
        if place is None or place.version is None:
            continue
        findings = touched.setdefault(place.account_id, [])
        if kind := TAMPERING.get(record["eventName"]):
            findings.append(Finding(place.version, kind, "the table's stream shows it"))
    return touched


def _from_json(value: dict[str, Any]) -> dict[str, Any]:
    """A value as DynamoDB gives it. Lambda hands bytes over in base64; a page has some only at its top."""
    return {"B": base64.b64decode(value["B"])} if "B" in value else value
