"""What the table's stream tells Lambda of pages and records, as JSON: bytes in base64."""

import base64
from collections.abc import Iterable
from typing import Any

from boto3.dynamodb.types import TypeSerializer

from autocredits.adapters.dynamo import page_key, record_key
from autocredits.domain.journal import Page
from autocredits.domain.records import RecordKey

STREAM_ARN = (
    "arn:aws:dynamodb:us-east-1:123456789012:table/autocredits-CreditsTable-1A2B3C4D5E6F/stream/2026-11-24T10:00:00.000"
)


def stream_event(pages: Iterable[Page]) -> dict[str, Any]:
    """The batch that shows these pages."""
    return {"Records": [page_record(page) for page in pages]}


def page_record(page: Page, event_name: str = "INSERT", **values: Any) -> dict[str, Any]:
    """What the stream tells of a page that was written; `values` are attributes beside or in place of its own."""
    stored = {**page.to_map(), "prev": bytes.fromhex(page.prev), "hash": bytes.fromhex(page.hash), **values}
    return stream_record(event_name, page_key(page.account_id, page.version), stored, page.version)


def work_record(account_id: str, key: RecordKey, stored: dict[str, Any]) -> dict[str, Any]:
    """What the stream tells of a record that was written."""
    return stream_record("INSERT", record_key(account_id, key), stored, 1)


def stream_record(event_name: str, key: dict[str, Any], stored: dict[str, Any], number: int) -> dict[str, Any]:
    """A change of an item."""
    image = {**key, **{name: _to_json(value) for name, value in stored.items()}}
    return {
        "eventID": f"{number:032x}",
        "eventName": event_name,
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": {
            "ApproximateCreationDateTime": 1795520420.0,
            "Keys": key,
            "NewImage": image,
            "SequenceNumber": f"{number:021d}",
            "SizeBytes": 1000,
            "StreamViewType": "NEW_IMAGE",
        },
        "eventSourceARN": STREAM_ARN,
    }


def _to_json(value: Any) -> dict[str, Any]:
    if isinstance(value, bytes):
        return {"B": base64.b64encode(value).decode()}
    return dict(TypeSerializer().serialize(value))
