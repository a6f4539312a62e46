"""Writes what a repair changes: each record alone, and only if it is still what was judged."""

from typing import Any

from botocore.exceptions import ClientError

from autocredits.adapters.dynamo import DynamoStore, record_key
from autocredits.domain.decide import RecordWrite
from autocredits.domain.records import KeyRecord, Record, rev_of
from autocredits.ledger.ports import ConflictError
from dev.restore.judge import Change


def apply(store: DynamoStore, account_id: str, change: Change) -> str:
    """What was done: `added`, `set back` or `removed`, or `left` where the record has changed meanwhile."""
    if change.after is None:
        return "" if change.before is None else _remove(store, account_id, change, change.before)
    try:
        store.commit(account_id, None, [RecordWrite(change.key, change.after, rev_of(change.before))])
    except ConflictError:
        return "left"
    return "added" if change.before is None else "set back"


def _remove(store: DynamoStore, account_id: str, change: Change, before: Record) -> str:
    """A key is written once, so it is told by its content; any other record by its `rev`."""
    wanted: dict[str, Any] = {"rev": before.rev}
    if isinstance(before, KeyRecord):
        wanted = {"fingerprint": before.fingerprint, "version": before.version}
    try:
        store.client.delete_item(
            TableName=store.table_name,
            Key=record_key(account_id, change.key),
            ConditionExpression=" AND ".join(f"#{name} = :{name}" for name in wanted),
            ExpressionAttributeNames={f"#{name}": name for name in wanted},
            ExpressionAttributeValues={
                f":{name}": {"S" if isinstance(value, str) else "N": str(value)} for name, value in wanted.items()
            },
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
        return "left"
    return "removed"
