"""The Store on DynamoDB: one table, a partition of pages per account, every record on a partition of its own."""

import json
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from boto3.dynamodb.types import TypeSerializer
from botocore.exceptions import ClientError

from autocredits.domain.decide import RecordWrite
from autocredits.domain.errors import BrokenInvariantError
from autocredits.domain.journal import Page, page_from_map
from autocredits.domain.kinds import GLOBAL_KINDS, KINDS, record_from_map
from autocredits.domain.records import NO_ACCOUNT, Listing, Record, RecordKey, RecordList, Records
from autocredits.domain.usage import Day, day_before, day_from_map
from autocredits.ledger.ports import (
    AccountsFound,
    ConflictError,
    Listed,
    Snapshot,
    StoredPage,
    UnavailableError,
    list_position,
    shard_of,
)

from .aws import THROTTLED, translate_errors

Item = dict[str, Any]

BATCH = 100
MAX_DAYS = 400

PUT_OFF = "put_off"
"""How often a record was put off in its list since it was last written."""

_KEY_ATTRIBUTES = frozenset(
    {"pk", "sk", "by_creation_pk", "by_creation_sk", "by_status_pk", "by_status_sk", "by_due_pk", "by_due_sk", PUT_OFF}
)
_CONFLICTS = frozenset(
    {"ConditionalCheckFailed", "ConditionalCheckFailedException", "TransactionConflict", "TransactionConflictException"}
)


def parsing_queries(client: Any) -> Any:
    """The client, which now takes a Query's answer as the JSON that it is, with bytes as their Base64.

    The SDK goes through every value once more, which takes ten times as long; reading a journal was mostly this.
    """
    client.meta.events.register("before-parse.dynamodb.Query", _parse_queried, unique_id="parsing_queries")
    return client


def _parse_queried(response_dict: Item, customized_response_dict: Item, **_: object) -> None:
    if response_dict["status_code"] != HTTPStatus.OK:
        return
    try:
        answer = json.loads(response_dict["body"].decode())
    except ValueError:
        return  # the SDK says what is wrong with it
    if isinstance(answer, dict) and "Items" in answer:
        customized_response_dict.update(answer)
        response_dict["body"] = b"{}"


def _deserialize(value: Mapping[str, Any]) -> Any:
    """A value as DynamoDB gives it, as a plain one: numbers are integers here, bytes plain bytes.

    The SDK's own deserializer takes more than twice as long, and reading a journal is mostly this.
    """
    ((kind, inner),) = value.items()
    match kind:
        case "S" | "BOOL":
            return inner
        case "N":
            return int(inner)
        case "M":
            # Most of it is text, which costs no call this way.
            return {name: one["S"] if "S" in one else _deserialize(one) for name, one in inner.items()}
        case "L":
            return [_deserialize(one) for one in inner]
        case "B":
            return b64decode(inner, validate=True) if isinstance(inner, str) else bytes(inner)
        case "NULL":
            return None
        case _:
            raise ValueError(f"a value of the kind {kind}")


_serialize = TypeSerializer().serialize


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
        with _translate_errors():
            answer = self.client.get_item(
                TableName=self.table_name, Key=page_key(account_id, version), ConsistentRead=True
            )
        return page_of(account_id, answer["Item"]) if "Item" in answer else None

    def pages_before(self, account_id: str, version: int, limit: int) -> Sequence[Page]:
        """At most `limit` pages below `version`, newest first: one strongly consistent Query."""
        values = {":pk": _page_pk(account_id), ":sk": {"S": _page_sk(version)}}
        return self._query(account_id, "pk = :pk AND sk < :sk", values, limit)

    def pages_after(self, account_id: str, version: int, limit: int) -> Sequence[StoredPage]:
        """At most `limit` pages above `version`, oldest first: one strongly consistent Query."""
        values = {":pk": _page_pk(account_id), ":sk": {"S": _page_sk(version)}}
        items = self._items("pk = :pk AND sk > :sk", values, limit, newest_first=False)
        return [stored_page(account_id, item) for item in items]

    def _query(self, account_id: str, condition: str, values: Item, limit: int) -> Sequence[Page]:
        return [page_of(account_id, item) for item in self._items(condition, values, limit, newest_first=True)]

    def _items(self, condition: str, values: Item, limit: int, *, newest_first: bool) -> Sequence[Item]:
        with _translate_errors():
            answer = self.client.query(
                TableName=self.table_name,
                KeyConditionExpression=condition,
                ExpressionAttributeValues=values,
                ConsistentRead=True,
                ScanIndexForward=not newest_first,
                Limit=limit,
            )
        items: Sequence[Item] = answer["Items"]
        return items

    def days(self, account_id: str, first: str) -> Sequence[Day]:
        """Strongly consistent Queries, of 1 MB each."""
        newest = self.newest_day(account_id)
        if newest is None:
            return []
        days = [newest]
        while (before := day_before(days[-1].date)) >= first:
            values = {":pk": _days_pk(account_id), ":first": {"S": f"day#{first}"}, ":last": {"S": f"day#{before}"}}
            items = self._items("pk = :pk AND sk BETWEEN :first AND :last", values, MAX_DAYS, newest_first=True)
            if not items:
                break
            days += [_day(item) for item in items]
        return days

    def newest_day(self, account_id: str) -> Day | None:
        """One strongly consistent Query."""
        items = self._items("pk = :pk", {":pk": _days_pk(account_id)}, 1, newest_first=True)
        return _day(items[0]) if items else None

    def write_day(self, account_id: str, day: Day, expected_rev: int | None) -> None:
        """One PutItem, which costs half of what a transaction does."""
        put = self._put_record(account_id, RecordWrite(("day", day.date), day, expected_rev))["Put"]
        with _translate_errors():
            self.client.put_item(**put)

    def find_accounts(self, position: str, limit: int) -> AccountsFound:
        """One eventually consistent Scan."""
        start: Item = {}
        if position:
            pk, sk = json.loads(position)
            start = {"ExclusiveStartKey": {"pk": {"S": pk}, "sk": {"S": sk}}}
        with _translate_errors():
            answer = self.client.scan(
                TableName=self.table_name,
                ProjectionExpression="pk, sk",
                FilterExpression="sk = :first",
                ExpressionAttributeValues={":first": {"S": _page_sk(1)}},
                Limit=limit,
                **start,
            )
        places = [place_of(item) for item in answer["Items"]]
        last = answer.get("LastEvaluatedKey")
        reached = json.dumps([last["pk"]["S"], last["sk"]["S"]]) if last else ""
        return AccountsFound([place.account_id for place in places if place], reached)

    def read(self, account_id: str, keys: Sequence[RecordKey]) -> Records:
        """Those of the records that exist: strongly consistent, 100 a call."""
        records: dict[RecordKey, Record] = {}
        by_pk = {record_key(account_id, key)["pk"]["S"]: key for key in keys}
        wanted = [record_key(account_id, key) for key in keys]
        while wanted:
            now, wanted = wanted[:BATCH], wanted[BATCH:]
            with _translate_errors():
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
        wanted = [page_key(account_id, version), *(record_key(account_id, key) for key in keys)]
        with _translate_errors():
            answer = self.client.transact_get_items(
                TransactItems=[{"Get": {"TableName": self.table_name, "Key": key}} for key in wanted]
            )
        page, *records = (response.get("Item") for response in answer["Responses"])
        found = {key: record_from_map(key, _plain(item)) for key, item in zip(keys, records, strict=True) if item}
        return Snapshot(bool(page), found)

    def list(
        self,
        which: RecordList,
        account_id: str,
        *,
        start: str = "",
        newest_first: bool = False,
        limit: int,
        shard: int | None = None,
    ) -> Sequence[Listed]:
        """Items beyond `start`, merged from the list's shards: one eventually consistent Query each."""
        found: set[Listed] = set()
        for number in range(which.shards) if shard is None else (shard,):
            pk = _list_pk(which, account_id, number)
            items = self._list_shard(which.index, pk, start, newest_first=newest_first, limit=limit)
            found.update(_listed(which, account_id, item[f"{which.index}_sk"]["S"]) for item in items)
        return sorted(found, reverse=newest_first)[:limit]

    def _list_shard(self, index: str, pk: str, start: str, *, newest_first: bool, limit: int) -> Sequence[Item]:
        condition, values = f"{index}_pk = :pk", {":pk": {"S": pk}}
        if start:
            condition += f" AND {index}_sk {'<' if newest_first else '>'} :sk"
            values[":sk"] = {"S": start}
        with _translate_errors():
            answer = self.client.query(
                TableName=self.table_name,
                IndexName=index,
                KeyConditionExpression=condition,
                ExpressionAttributeValues=values,
                ScanIndexForward=not newest_first,
                Limit=limit,
            )
        items: Sequence[Item] = answer["Items"]
        return items

    def put_off(self, which: RecordList, listed: Listed, key: RecordKey, until_ms: Callable[[int], int]) -> int:
        """Its place alone is updated, on condition that it is as listed, with the number of times beside it."""
        primary, place = record_key(listed.account_id, key), f"{which.index}_sk"
        with translate_errors():
            item = self.client.get_item(
                TableName=self.table_name,
                Key=primary,
                ProjectionExpression=f"{place}, {PUT_OFF}",
                ConsistentRead=True,
            ).get("Item", {})
        times = int(item.get(PUT_OFF, {}).get("N", "0")) + 1
        name = listed.position.partition("#")[2]
        try:
            with _translate_errors():
                self.client.update_item(
                    TableName=self.table_name,
                    Key=primary,
                    UpdateExpression=f"SET {place} = :later, {PUT_OFF} = :times",
                    # Somebody may have written the record, or put it off, since it was listed.
                    ConditionExpression=f"{place} = :listed",
                    ExpressionAttributeValues={
                        ":later": {"S": list_position(until_ms(times), name)},
                        ":times": {"N": str(times)},
                        ":listed": {"S": listed.position},
                    },
                )
        except ConflictError:
            return 0
        return times

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
        with _translate_errors(keys):
            self.client.transact_write_items(TransactItems=actions)

    def _put_page(self, account_id: str, page: Page) -> Item:
        stored = page.to_map()
        item = {**stored, "prev": bytes.fromhex(page.prev), "hash": bytes.fromhex(page.hash)}
        # The page's number must be free. This is what lets one of two writers through, and orders them all.
        return self._put(page_key(account_id, page.version), item, None)

    def _check_vacant(self, account_id: str, version: int) -> Item:
        # No page is written, but the decision relied on the newest one: there must be no later one.
        check = {
            "TableName": self.table_name,
            "Key": page_key(account_id, version),
            "ConditionExpression": "attribute_not_exists(pk)",
        }
        return {"ConditionCheck": check}

    def _put_record(self, account_id: str, write: RecordWrite) -> Item:
        attributes: Item = write.record.to_map()
        for listing in write.record.listings():
            attributes |= _listing(account_id, listing)
        return self._put(record_key(account_id, write.key), attributes, write.expected_rev)

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


def page_key(account_id: str, version: int) -> Item:
    """The primary key of a page's item."""
    return {"pk": _page_pk(account_id), "sk": {"S": _page_sk(version)}}


def _days_pk(account_id: str) -> Item:
    return {"S": f"account#{account_id}#usage"}


def record_key(account_id: str, key: RecordKey) -> Item:
    """The primary key of a record's item."""
    kind, record_id = key
    if kind == "day":
        return {"pk": _days_pk(account_id), "sk": {"S": f"day#{record_id}"}}
    name = f"{kind}#{record_id}" if kind in GLOBAL_KINDS else f"account#{account_id}#{kind}#{record_id}"
    return {"pk": {"S": name}, "sk": {"S": "work" if kind in ("order", "product") else kind}}


@dataclass(frozen=True, slots=True)
class Place:
    """What an item of the table is: page `version` of an account, or the record under `key`.

    `account_id` is NO_ACCOUNT for a record that belongs to none.
    """

    account_id: str
    version: int | None = None
    key: RecordKey | None = None


_SORT_KEYS = {"order": "work", "product": "work"}


def place_of(item: Mapping[str, Any]) -> Place | None:
    """What an item is, by its keys; None for one that is neither a page nor a known kind of record."""
    head, *names = item["pk"]["S"].split("#")
    sort_key = item["sk"]["S"]
    if head == "account" and len(names) == 1 and sort_key.startswith("page#"):
        return Place(names[0], version=int(sort_key.removeprefix("page#")))
    if head == "account" and names[1:] == ["usage"] and sort_key.startswith("day#"):
        return Place(names[0], key=("day", sort_key.removeprefix("day#")))
    account_id, kind = NO_ACCOUNT, head
    if head == "account" and len(names) > 1:
        account_id, kind, *names = names
    name = "#".join(names)
    owned = (kind in GLOBAL_KINDS) == (account_id == NO_ACCOUNT)
    known = kind in KINDS and owned and _SORT_KEYS.get(kind, kind) == sort_key
    return Place(account_id, key=(kind, name)) if known else None


def record_of(key: RecordKey, item: Mapping[str, Any]) -> Record:
    """The record of an item."""
    return record_from_map(key, _plain(item))


def _listing(account_id: str, listing: Listing) -> dict[str, str]:
    """The attributes by which a record stands in a list."""
    which, shard = listing.list, shard_of(listing.list, listing.item_id)
    # In a list that all accounts share, an item's name says whose it is.
    name = f"{account_id}#{listing.item_id}" if which.shared else listing.item_id
    return {
        f"{which.index}_pk": _list_pk(which, account_id, shard),
        f"{which.index}_sk": list_position(listing.at_ms, name),
    }


def _list_pk(which: RecordList, account_id: str, shard: int) -> str:
    return f"{which.name}#{shard}" if which.shared else f"account#{account_id}#{which.name}#{shard}"


def _listed(which: RecordList, account_id: str, position: str) -> Listed:
    name = position.partition("#")[2]
    owner, item_id = name.split("#") if which.shared else (account_id, name)
    return Listed(position, owner, item_id)


def _plain(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item's attributes as plain values, without those that only serve to find it."""
    return {name: _deserialize(value) for name, value in item.items() if name not in _KEY_ATTRIBUTES}


def page_of(account_id: str, item: Mapping[str, Any]) -> Page:
    """The page of an item. Raises BrokenInvariantError unless its hash covers exactly what is stored."""
    found = stored_page(account_id, item)
    if not found.hash:
        raise BrokenInvariantError(f"a page of {account_id} without its hashes")
    return page_from_map(account_id, found.stored, found.hash)


def stored_page(account_id: str, item: Mapping[str, Any]) -> StoredPage:
    """The page of an item as it is stored; without a hash unless it has both of them."""
    version = int(item["sk"]["S"].removeprefix("page#"))
    try:
        stored = _plain(item)
    except ValueError:  # a number that is not whole
        return StoredPage(account_id, version, {}, "")
    prev, stored_hash = stored.get("prev"), stored.pop("hash", None)
    if not isinstance(prev, bytes) or not isinstance(stored_hash, bytes):
        return StoredPage(account_id, version, stored, "")
    return StoredPage(account_id, version, {**stored, "prev": prev.hex()}, stored_hash.hex())


def _day(item: Mapping[str, Any]) -> Day:
    return day_from_map(item["sk"]["S"].removeprefix("day#"), _plain(item))


@contextmanager
def _translate_errors(keys: Sequence[RecordKey | None] = ()) -> Iterator[None]:
    """Turn what DynamoDB and the network raise into what the port names. Other errors are defects and go through.

    `keys` are the records of a transaction's actions, None for its page. Several reasons can come at once; a failed
    condition counts before a throttle.
    """
    with translate_errors():
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
