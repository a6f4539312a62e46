"""The Store on DynamoDB: one table, a partition of pages per account, every record on a partition of its own."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.parsers import ResponseParserError

from autocredits.domain.decide import RecordKey, Records, RecordWrite, record_from_map
from autocredits.domain.journal import Page, page_from_map
from autocredits.ledger import ConflictError, Snapshot, UnavailableError

Item = dict[str, Any]

_THROTTLED = frozenset(
    {
        "InternalServerError",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "ThrottlingError",
        "ThrottlingException",
        "TransactionInProgressException",
    }
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
        """Those of the records that exist: one strongly consistent GetItem each."""
        records = {}
        for key in keys:
            with _told():
                answer = self.client.get_item(
                    TableName=self.table_name, Key=_record_key(account_id, key), ConsistentRead=True
                )
            if "Item" in answer:
                records[key] = record_from_map(key, _plain(answer["Item"]))
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

    def commit(self, account_id: str, page: Page | None, writes: Sequence[RecordWrite]) -> None:
        """Everything or nothing: one TransactWriteItems."""
        actions = [self._put_page(account_id, page)] if page else []
        actions += [self._put_record(account_id, write) for write in writes]
        keys: list[RecordKey | None] = [None] if page else []
        keys += [write.key for write in writes]
        with _told(keys):
            self.client.transact_write_items(TransactItems=actions)

    def _put_page(self, account_id: str, page: Page) -> Item:
        stored = page.to_map()
        item = {**stored, "prev": bytes.fromhex(page.prev), "hash": bytes.fromhex(page.hash)}
        # The page's number must be free. This is what lets one of two writers through, and orders them all.
        return self._put(_page_key(account_id, page.version), item, None)

    def _put_record(self, account_id: str, write: RecordWrite) -> Item:
        return self._put(_record_key(account_id, write.key), write.record.to_map(), write.expected_rev)

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
    return {
        "pk": {"S": f"account#{account_id}#{kind}#{record_id}"},
        "sk": {"S": "key" if kind == "key" else "work"},
    }


def _plain(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item's attributes as plain values, without its keys."""
    return {name: _deserialize(value) for name, value in item.items() if name not in ("pk", "sk")}


def _page(account_id: str, item: Mapping[str, Any]) -> Page:
    stored = _plain(item)
    stored_hash = stored.pop("hash").hex()
    return page_from_map(account_id, {**stored, "prev": stored["prev"].hex()}, stored_hash)


@contextmanager
def _told(keys: Sequence[RecordKey | None] = ()) -> Iterator[None]:
    """Turn what DynamoDB and the network raise into what the port names. Other errors are defects and go through.

    `keys` are the records of a transaction's actions, None for its page.
    """
    try:
        yield
    except ClientError as error:
        raise _named(error, keys) from error
    except (HTTPClientError, ResponseParserError) as error:
        raise UnavailableError(type(error).__name__) from error
    except BotoCoreError as error:
        if type(error).__name__ in ("ConnectionError", "ProxyConnectionError"):
            raise UnavailableError(type(error).__name__) from error
        raise


def _named(error: ClientError, keys: Sequence[RecordKey | None]) -> Exception:
    code = error.response["Error"]["Code"]
    reasons: Sequence[Mapping[str, Any]] = error.response.get("CancellationReasons", [])
    codes = {reason.get("Code") for reason in reasons} | {code}
    if codes & _CONFLICTS:
        return ConflictError(_in_the_way(reasons, keys))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if codes & _THROTTLED or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return UnavailableError(code)
    return error


def _in_the_way(reasons: Sequence[Mapping[str, Any]], keys: Sequence[RecordKey | None]) -> Records:
    """The records that a cancelled transaction found where its conditions failed (ALL_OLD)."""
    return {
        key: record_from_map(key, _plain(reason["Item"]))
        for key, reason in zip(keys, reasons, strict=False)
        if key is not None and reason.get("Code") == "ConditionalCheckFailed" and reason.get("Item")
    }
