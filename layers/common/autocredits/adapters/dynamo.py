"""The Store on DynamoDB: one table, a partition of pages per account, every record on a partition of its own."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from autocredits.domain.decide import RecordWrite
from autocredits.domain.errors import BrokenInvariantError
from autocredits.domain.journal import Page, page_from_map
from autocredits.domain.payments import Purchase
from autocredits.domain.records import GLOBAL_KINDS, Record, RecordKey, Records, record_from_map
from autocredits.domain.work import Work
from autocredits.ledger import (
    DUE_SHARDS,
    LISTED_STATUSES,
    ConflictError,
    Due,
    Listed,
    Snapshot,
    UnavailableError,
    list_position,
)

from .aws import THROTTLED, unavailability_named

Item = dict[str, Any]

SHARDS = 8
BATCH = 100

_KEY_ATTRIBUTES = frozenset(
    {"pk", "sk", "by_creation_pk", "by_creation_sk", "by_status_pk", "by_status_sk", "by_due_pk", "by_due_sk"}
)
_CONFLICTS = frozenset({"ConditionalCheckFailed", "TransactionConflict", "TransactionConflictException"})


class _Deserializer(TypeDeserializer):
    """Numbers are integers here; bytes are plain bytes."""

    def _deserialize_n(self, value: str) -> int:
        return int(value)

    def _deserialize_b(self, value: bytes) -> bytes:
        return bytes(value)


_serialize = TypeSerializer().serialize
_deserialize = _Deserializer().deserialize


@dataclass(frozen=True, slots=True)
class DynamoStore:
    """A Store on one DynamoDB table with the keys `pk` and `sk`."""

    client: Any
    table_name: str

    def head(self, account_id: str) -> Page | None:
        """The newest page: one strongly consistent Query."""
        pages = self._query(account_id, "pk = :pk", {":pk": _page_pk(account_id)}, 1)
        return pages[0] if pages else None

    def page(self, account_id: str, version: int) -> Page | None:
        """The page with this number: one strongly consistent GetItem."""
        with _told():
            answer = self.client.get_item(
                TableName=self.table_name, Key=_page_key(account_id, version), ConsistentRead=True
            )
        return _page(account_id, answer["Item"]) if "Item" in answer else None

    def pages_before(self, account_id: str, version: int, limit: int) -> list[Page]:
        """At most `limit` pages below `version`, newest first: one strongly consistent Query."""
        values = {":pk": _page_pk(account_id), ":sk": {"S": _page_sk(version)}}
        return self._query(account_id, "pk = :pk AND sk < :sk", values, limit)

    def _query(self, account_id: str, condition: str, values: Item, limit: int) -> list[Page]:
        with _told():
            answer = self.client.query(
                TableName=self.table_name,
                KeyConditionExpression=condition,
                ExpressionAttributeValues=values,
                ConsistentRead=True,
                ScanIndexForward=False,
                Limit=limit,
            )
        return [_page(account_id, item) for item in answer["Items"]]

    def read(self, account_id: str, keys: Sequence[RecordKey]) -> Records:
        """Those of the records that exist: strongly consistent, 100 a call."""
        records: dict[RecordKey, Record] = {}
        by_pk = {_record_key(account_id, key)["pk"]["S"]: key for key in keys}
        wanted = [_record_key(account_id, key) for key in keys]
        while wanted:
            now, wanted = wanted[:BATCH], wanted[BATCH:]
            with _told():
                answer = self.client.batch_get_item(
                    RequestItems={self.table_name: {"Keys": now, "ConsistentRead": True}}
                )
            left = answer["UnprocessedKeys"].get(self.table_name, {}).get("Keys", [])
            if len(left) == len(now):
                raise UnavailableError("BatchGetItem processed nothing")
            wanted = left + wanted
            for item in answer["Responses"].get(self.table_name, []):
                key = by_pk[item["pk"]["S"]]
                records[key] = record_from_map(key, _plain(item))
        return records

    def snapshot(self, account_id: str, version: int, keys: Sequence[RecordKey]) -> Snapshot:
        """Page and records at one moment: one TransactGetItems."""
        wanted = [_page_key(account_id, version), *(_record_key(account_id, key) for key in keys)]
        with _told():
            answer = self.client.transact_get_items(
                TransactItems=[{"Get": {"TableName": self.table_name, "Key": key}} for key in wanted]
            )
        page, *records = (response.get("Item") for response in answer["Responses"])
        found = {key: record_from_map(key, _plain(item)) for key, item in zip(keys, records, strict=True) if item}
        return Snapshot(bool(page), found)

    def list_orders(
        self, account_id: str, status: str | None, *, start: str, newest_first: bool, limit: int
    ) -> list[Listed]:
        """Orders beyond `start`, merged from the shards of their index: one eventually consistent Query each."""
        index = "by_creation" if status is None else "by_status"
        beyond = ("<" if newest_first else ">", start)
        found: list[Listed] = []
        for shard in range(SHARDS):
            pk = _list_pk(account_id, status or "orders", shard)
            found += self._list(index, pk, beyond, newest_first=newest_first, limit=limit)
        return sorted(found, reverse=newest_first)[:limit]

    def list_purchases(self, account_id: str, *, start: str, limit: int) -> list[Listed]:
        """Purchases beyond `start`, newest first: one eventually consistent Query."""
        pk = _list_pk(account_id, "purchases", 0)
        return self._list("by_creation", pk, ("<", start), newest_first=True, limit=limit)

    def list_due(self, shard: int, now_ms: int, limit: int) -> list[Due]:
        """Purchases of a shard to look after by now: one eventually consistent Query."""
        until = list_position(now_ms + 1, "")
        found = self._list("by_due", f"due#{shard}", ("<", until), newest_first=False, limit=limit)
        return [Due(*one.work_id.split("#")) for one in found]

    def _list(self, index: str, pk: str, beyond: tuple[str, str], *, newest_first: bool, limit: int) -> list[Listed]:
        condition, values = f"{index}_pk = :pk", {":pk": {"S": pk}}
        comparison, position = beyond
        if position:
            condition += f" AND {index}_sk {comparison} :sk"
            values[":sk"] = {"S": position}
        with _told():
            answer = self.client.query(
                TableName=self.table_name,
                IndexName=index,
                KeyConditionExpression=condition,
                ExpressionAttributeValues=values,
                ScanIndexForward=not newest_first,
                Limit=limit,
            )
        return [_listed(item[f"{index}_sk"]["S"]) for item in answer["Items"]]

    def commit(
        self, account_id: str, page: Page | None, writes: Sequence[RecordWrite], *, vacant: int | None = None
    ) -> None:
        """Everything or nothing: one TransactWriteItems."""
        actions = [self._put_record(account_id, write) for write in writes]
        keys: list[RecordKey | None] = [write.key for write in writes]
        if page:
            actions, keys = [self._put_page(account_id, page), *actions], [None, *keys]
        elif vacant is not None:
            actions, keys = [self._check_vacant(account_id, vacant), *actions], [None, *keys]
        with _told(keys):
            self.client.transact_write_items(TransactItems=actions)

    def _put_page(self, account_id: str, page: Page) -> Item:
        stored = page.to_map()
        item = {**stored, "prev": bytes.fromhex(page.prev), "hash": bytes.fromhex(page.hash)}
        # The page's number must be free. This is what lets one of two writers through, and orders them all.
        return self._put(_page_key(account_id, page.version), item, None)

    def _check_vacant(self, account_id: str, version: int) -> Item:
        # No page is written, but what the newest one says was decisive: it must still be the newest.
        check = {
            "TableName": self.table_name,
            "Key": _page_key(account_id, version),
            "ConditionExpression": "attribute_not_exists(pk)",
        }
        return {"ConditionCheck": check}

    def _put_record(self, account_id: str, write: RecordWrite) -> Item:
        attributes = {**write.record.to_map(), **_listing(account_id, write.record)}
        return self._put(_record_key(account_id, write.key), attributes, write.expected_rev)

    def _put(self, key: Item, attributes: Mapping[str, Any], expected_rev: int | None) -> Item:
        put: Item = {
            "TableName": self.table_name,
            "Item": {**key, **{name: _serialize(value) for name, value in attributes.items()}},
            "ConditionExpression": "attribute_not_exists(pk)",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        if expected_rev is not None:
            # Unchanged since it was read. A record that is gone has no rev, and fails as well.
            put["ConditionExpression"] = "rev = :rev"
            put["ExpressionAttributeValues"] = {":rev": {"N": str(expected_rev)}}
        return {"Put": put}


def _page_pk(account_id: str) -> Item:
    return {"S": f"account#{account_id}"}


def _page_sk(version: int) -> str:
    return f"page#{version:012d}"


def _page_key(account_id: str, version: int) -> Item:
    return {"pk": _page_pk(account_id), "sk": {"S": _page_sk(version)}}


def _record_key(account_id: str, key: RecordKey) -> Item:
    kind, record_id = key
    name = f"{kind}#{record_id}" if kind in GLOBAL_KINDS else f"account#{account_id}#{kind}#{record_id}"
    return {"pk": {"S": name}, "sk": {"S": "work" if kind in ("order", "product") else kind}}


def _listing(account_id: str, record: Record) -> dict[str, str]:
    """The attributes by which a record is listed.

    Orders by creation, and by status while they are queued or failed; purchases by creation, and by when their
    provider is to be asked next.
    """
    if isinstance(record, Purchase):
        listing = _listed_as("by_creation", _list_pk(account_id, "purchases", 0), record.created_at, record.purchase_id)
        if record.look_at is not None:
            pk = f"due#{_shard(record.purchase_id, DUE_SHARDS)}"
            listing |= _listed_as("by_due", pk, record.look_at, f"{account_id}#{record.purchase_id}")
        return listing
    if not isinstance(record, Work) or record.kind != "order":
        return {}
    shard = _shard(record.work_id, SHARDS)
    listing = _listed_as("by_creation", _list_pk(account_id, "orders", shard), record.created_at, record.work_id)
    if record.status in LISTED_STATUSES:
        pk = _list_pk(account_id, record.status, shard)
        listing |= _listed_as("by_status", pk, record.status_at, record.work_id)
    return listing


def _listed_as(index: str, pk: str, at_ms: int, name: str) -> dict[str, str]:
    return {f"{index}_pk": pk, f"{index}_sk": list_position(at_ms, name)}


def _shard(name: str, shards: int) -> int:
    """A hash spreads what is listed over shards, so that no index partition gets as hot as what it lists."""
    return hashlib.sha256(name.encode()).digest()[0] % shards


def _list_pk(account_id: str, which: str, shard: int) -> str:
    return f"account#{account_id}#{which}#{shard}"


def _listed(position: str) -> Listed:
    return Listed(position, position.partition("#")[2])


def _plain(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item's attributes as plain values, without those that only serve to find it."""
    return {name: _deserialize(value) for name, value in item.items() if name not in _KEY_ATTRIBUTES}


def _page(account_id: str, item: Mapping[str, Any]) -> Page:
    stored = _plain(item)
    prev, stored_hash = stored.get("prev"), stored.pop("hash", None)
    if not isinstance(prev, bytes) or not isinstance(stored_hash, bytes):
        raise BrokenInvariantError(f"a page of {account_id} without its hashes")
    return page_from_map(account_id, {**stored, "prev": prev.hex()}, stored_hash.hex())


@contextmanager
def _told(keys: Sequence[RecordKey | None] = ()) -> Iterator[None]:
    """Turn what DynamoDB and the network raise into what the port names. Other errors are defects and go through.

    `keys` are the records of a transaction's actions, None for its page. Several reasons can come at once; a failed
    condition counts before a throttle.
    """
    with unavailability_named():
        try:
            yield
        except ClientError as error:
            reasons: Sequence[Mapping[str, Any]] = error.response.get("CancellationReasons", [])
            codes = {reason.get("Code") for reason in reasons} | {error.response["Error"]["Code"]}
            if codes & _CONFLICTS:
                raise ConflictError(_in_the_way(reasons, keys)) from error
            if codes & THROTTLED:
                raise UnavailableError(str(codes & THROTTLED)) from error
            raise


def _in_the_way(reasons: Sequence[Mapping[str, Any]], keys: Sequence[RecordKey | None]) -> Records:
    """The records that a cancelled transaction found where its conditions failed (ALL_OLD)."""
    return {
        key: record_from_map(key, _plain(reason["Item"]))
        for key, reason in zip(keys, reasons, strict=False)
        if key is not None and reason.get("Code") == "ConditionalCheckFailed" and reason.get("Item")
    }
