"""Reads accounts' journals, and judges records by them.

On a table that is being written to, an account is judged again if its journal has grown meanwhile.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from autocredits.adapters.dynamo import DynamoStore, Item, page_key, page_of, place_of
from autocredits.domain.errors import BrokenInvariantError
from autocredits.domain.journal import NO_PAGE_HASH, Entered, Entry
from autocredits.domain.records import KeyRecord, Record, RecordKey
from autocredits.domain.usage import Day
from autocredits.ledger.ports import UnavailableError
from dev.restore.judge import Finding, Journal

BATCH = 100
JUDGED_AGAIN = 3


@dataclass(frozen=True, slots=True)
class Journals:
    """The journals of a table."""

    store: DynamoStore

    def judge(self, account_id: str, keys: Iterable[RecordKey], now_ms: int) -> list[Finding]:
        """What is wrong with an account's journal, and with these of its records."""
        wanted = sorted(keys)
        for _ in range(JUDGED_AGAIN):
            journal = self._read(account_id, set(wanted))
            records = self.store.read(account_id, wanted)
            self._know_pages(journal, records.values())
            findings = [journal.judge(key, records.get(key), now_ms) for key in wanted]
            if self.newest(account_id) == journal.newest:
                break
        return [*journal.faults, *(finding for finding in findings if finding is not None)]

    def newest(self, account_id: str) -> int:
        """The number of the newest page, whether it can be read or not; 0 without any."""
        answer = self.store.client.query(
            **self._query(account_id), ProjectionExpression="pk, sk", ScanIndexForward=False, Limit=1
        )
        places = [place_of(item) for item in answer["Items"]]
        return max((place.version or 0 for place in places if place), default=0)

    def hashes(self, pages: Iterable[tuple[str, int]]) -> dict[tuple[str, int], str]:
        """The hashes of pages, by account and number, as far as they are there: 100 a call."""
        found: dict[tuple[str, int], str] = {}
        keys = [page_key(account_id, version) for account_id, version in dict.fromkeys(pages)]
        while keys:
            now, keys = keys[:BATCH], keys[BATCH:]
            request = {"Keys": now, "ConsistentRead": True, "ProjectionExpression": "pk, sk, #hash"}
            request["ExpressionAttributeNames"] = {"#hash": "hash"}
            answer = self.store.client.batch_get_item(RequestItems={self.store.table_name: request})
            left = answer.get("UnprocessedKeys", {}).get(self.store.table_name, {}).get("Keys", [])
            if len(left) == len(now):
                raise UnavailableError("BatchGetItem processed nothing")
            keys = left + keys
            for item in answer["Responses"].get(self.store.table_name, []):
                place = place_of(item)
                if place is not None and place.version is not None:
                    found[place.account_id, place.version] = bytes(item.get("hash", {}).get("B", b"")).hex()
        return found

    def _read(self, account_id: str, wanted: set[RecordKey]) -> Journal:
        """The whole journal, oldest page first: what is wrong with it, and the entries of the wanted records."""
        journal = Journal(account_id)
        link: str | None = NO_PAGE_HASH
        for version, item in self._pages(account_id):
            if version != journal.newest + 1:
                journal.fault(journal.newest + 1, "journal.gap", f"pages up to {version - 1} are not there")
                link = None
            journal.newest = version
            try:
                page = page_of(account_id, item)
            except BrokenInvariantError as error:
                journal.fault(version, "journal.hash", str(error))
                link = None
                continue
            if page.version != version or (link is not None and page.prev != link):
                journal.fault(version, "journal.link", "it does not follow the page before it")
            link = page.hash
            for index, entry in enumerate(page.entries):
                for key in wanted.intersection(keys_of(entry)):
                    journal.entries.setdefault(key, []).append(Entered(version, index, page.at, entry))
                    journal.hashes[version] = page.hash
        return journal

    def _know_pages(self, journal: Journal, records: Iterable[Record]) -> None:
        """Look up the pages that keys and days name."""
        named = [(journal.account_id, page.version) for one in records if (page := page_named(one)) is not None]
        journal.hashes.update({version: text for (_, version), text in self.hashes(named).items()})

    def _pages(self, account_id: str) -> Iterator[tuple[int, Item]]:
        for answer in self.store.client.get_paginator("query").paginate(**self._query(account_id)):
            for item in answer["Items"]:
                place = place_of(item)
                if place is not None and place.version is not None:
                    yield place.version, item

    def _query(self, account_id: str) -> dict[str, Any]:
        return {
            "TableName": self.store.table_name,
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": {":pk": page_key(account_id, 0)["pk"]},
            "ConsistentRead": True,
        }


@dataclass(frozen=True, slots=True)
class PageNamed:
    """A page that a record names, with the hash that it must have; None: any."""

    version: int
    hash: str | None


def page_named(record: Record) -> PageNamed | None:
    """The page that a record names by its number: the one that answers a key, or that an audited day has come to."""
    match record:
        case KeyRecord():
            return PageNamed(record.version, record.hash)
        case Day():
            return PageNamed(record.reached.version, record.reached.hash)
        case _:
            return None


def keys_of(entry: Entry) -> Sequence[RecordKey]:
    """The records that an entry's page was written with."""
    names = (
        ("key", entry.key),
        ("order", entry.order_id),
        ("product", entry.product_id),
        ("purchase", entry.purchase_id),
    )
    return [(kind, name) for kind, name in names if name is not None]
