"""Messages from the queue: their form, what becomes of each, and when it is tried again (contract, section 7)."""

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Annotated, Any, Literal

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from autocredits.domain.charges import Cause
from autocredits.domain.decide import Command, NotYet
from autocredits.domain.errors import Problem
from autocredits.domain.ids import check_account_id
from autocredits.domain.orders import Capture, ConversionRequested, Release, Result, WorkRequested
from autocredits.domain.work import Kind, WorkRequest
from autocredits.ledger import Ledger

from .bodies import AmountFromZero, Body, OrderId, OrderWork, ProductId, StoreId, parse_body
from .json_body import parse_json
from .problems import as_problem
from .sending import Queue
from .telemetry import logger

FIRST_DELAY_S = 5
MAX_DELAY_S = 600
MAX_RECEIVES = 10

Text = Annotated[str, Field(min_length=1, max_length=1000)]
Attempt = Annotated[int, Field(ge=1, le=999_999_999)]
Method = Literal["bce", "qtrack", "tracking_generator"]


class CloudEvent(BaseModel):
    """The envelope (CloudEvents 1.0, JSON format); attributes that the contract does not name are ignored."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    specversion: Literal["1.0"]
    id: Annotated[str, Field(min_length=1, max_length=256)]
    source: Annotated[str, Field(min_length=1, max_length=256)]
    type: str
    data: dict[str, Any]


class _Data(Body):
    """What every message says: which account it is about. `command` is what it asks to be done there."""

    account_id: Annotated[str, BeforeValidator(check_account_id)]

    def command(self, event: CloudEvent) -> Command:
        raise NotImplementedError


class _OrderRequested(_Data, OrderWork):
    order_type: Literal["auto", "fba"]
    attempt: Attempt | None = None

    def command(self, event: CloudEvent) -> Command:
        return WorkRequested(
            source=event.source,
            message_id=event.id,
            kind="order",
            work_id=self.order_id,
            attempt=self.attempt,
            request=self.request(),
        )


class _SourcingRequested(_Data):
    product_id: ProductId
    store_id: StoreId

    def command(self, event: CloudEvent) -> Command:
        request = WorkRequest(kind="product", work_id=self.product_id, store_id=self.store_id)
        return WorkRequested(
            source=event.source, message_id=event.id, kind="product", work_id=self.product_id, request=request
        )


class _ConversionRequested(_Data):
    order_id: OrderId
    store_id: StoreId
    tracking: Method
    tracking_number: Text
    order_type: Literal["auto", "fba", "manual"] | None = None

    def command(self, event: CloudEvent) -> Command:
        return ConversionRequested(
            source=event.source,
            message_id=event.id,
            kind="order",
            work_id=self.order_id,
            store_id=self.store_id,
            order_type=self.order_type,
            tracking=self.tracking,
            tracking_number=self.tracking_number,
        )


class _Placed(_Data):
    order_id: OrderId
    attempt: Attempt | None = None
    supplier_order_id: Text
    managed: AmountFromZero | None = None

    def command(self, event: CloudEvent) -> Command:
        cause = Cause(actor=event.source, supplier_order_id=self.supplier_order_id)
        return _result(
            event,
            kind="order",
            work_id=self.order_id,
            attempt=self.attempt,
            part="order",
            settlement=Capture(cause, self.managed),
        )


class _Failed(_Data):
    order_id: OrderId
    attempt: Attempt | None = None
    reason: Text

    def command(self, event: CloudEvent) -> Command:
        settlement = Release(Cause(actor=event.source, reason=self.reason))
        return _result(
            event, kind="order", work_id=self.order_id, attempt=self.attempt, part="order", settlement=settlement
        )


class _ConversionCompleted(_Data):
    order_id: OrderId
    attempt: Attempt | None = None
    tracking_number: Text
    tracking: Method | None = None

    def command(self, event: CloudEvent) -> Command:
        settlement = Capture(Cause(actor=event.source, tracking_number=self.tracking_number))
        return _result(
            event,
            kind="order",
            work_id=self.order_id,
            attempt=self.attempt,
            part="tracking",
            settlement=settlement,
            tracking=self.tracking,
        )


class _ConversionFailed(_Data):
    order_id: OrderId
    attempt: Attempt | None = None
    reason: Text
    tracking: Method | None = None

    def command(self, event: CloudEvent) -> Command:
        settlement = Release(Cause(actor=event.source, reason=self.reason))
        return _result(
            event,
            kind="order",
            work_id=self.order_id,
            attempt=self.attempt,
            part="tracking",
            settlement=settlement,
            tracking=self.tracking,
        )


class _SourcingAccepted(_Data):
    product_id: ProductId
    attempt: Attempt | None = None
    reason: Text | None = None

    def command(self, event: CloudEvent) -> Command:
        settlement = Capture(Cause(actor=event.source, reason=self.reason))
        return _result(
            event, kind="product", work_id=self.product_id, attempt=self.attempt, part="sourcing", settlement=settlement
        )


class _SourcingRejected(_Data):
    product_id: ProductId
    attempt: Attempt | None = None
    reason: Text | None = None

    def command(self, event: CloudEvent) -> Command:
        settlement = Release(Cause(actor=event.source, reason=self.reason))
        return _result(
            event, kind="product", work_id=self.product_id, attempt=self.attempt, part="sourcing", settlement=settlement
        )


def _result(
    event: CloudEvent,
    *,
    kind: Kind,
    work_id: str,
    attempt: int | None,
    part: str,
    settlement: Capture | Release,
    tracking: str | None = None,
) -> Command:
    return Result(
        source=event.source,
        message_id=event.id,
        kind=kind,
        work_id=work_id,
        attempt=attempt,
        part=part,
        settlement=settlement,
        tracking=tracking,
    )


DATA_BY_TYPE: Mapping[str, type[_Data]] = MappingProxyType(
    {
        "auto_order.requested": _OrderRequested,
        "auto_order.placed": _Placed,
        "auto_order.failed": _Failed,
        "tracking_conversion.requested": _ConversionRequested,
        "tracking_conversion.completed": _ConversionCompleted,
        "tracking_conversion.failed": _ConversionFailed,
        "sourcing.requested": _SourcingRequested,
        "sourcing.accepted": _SourcingAccepted,
        "sourcing.rejected": _SourcingRejected,
    }
)


def parse_message(body: str) -> tuple[str, str, Command]:
    """The type of a message, the account it is about, and what it asks for.

    Raises Problem for a message that can never be processed; its code is the reason of the dead letter.
    """
    event = parse_body(CloudEvent, parse_json(body))
    if event.type not in DATA_BY_TYPE:
        raise Problem("invalid_field", f"type: {event.type[:100]} is unknown.")
    data = parse_body(DATA_BY_TYPE[event.type], event.data)
    return event.type, data.account_id, data.command(event)


def delay_s(receives: int) -> int:
    """How long a message waits after it was received for the n-th time: 5 s, doubling, at most 10 minutes."""
    return int(min(MAX_DELAY_S, FIRST_DELAY_S * 2 ** (receives - 1)))


class RetryError(Exception):
    """The message stays in the queue and is shown again later."""


def process(event: dict[str, Any], context: Any, ledger: Ledger, queue: Queue) -> dict[str, Any]:
    """Process a batch of messages, log one line, and name those that are to be tried again."""
    told: list[dict[str, Any]] = []

    def handle(record: SQSRecord) -> None:
        told.append(_handle(record, ledger, queue))
        if told[-1]["did"] == "retry":
            raise RetryError

    processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
    answer = process_partial_response(event, handle, processor, context)
    logger.info("batch", extra={"messages": told})
    return dict(answer)


def _handle(record: SQSRecord, ledger: Ledger, queue: Queue) -> dict[str, Any]:
    """Process one message, and say what became of it."""
    told: dict[str, Any] = {"message_id": record.message_id, "receives": _receives(record)}
    try:
        told["type"], told["account_id"], command = parse_message(record.body)
        return {**told, "did": ledger.execute(told["account_id"], command).done.did}
    except NotYet:
        problem: Problem | None = None
        reason = "result_before_request"
    except Problem as error:
        problem, reason = error, error.code
    except Exception as error:  # noqa: BLE001 - whatever it is, this message alone must wait for it
        problem, reason = as_problem(error), type(error).__name__
    waits = problem is None or problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    if waits and (problem is not None or _receives(record) < MAX_RECEIVES):
        queue.put_off(record.receipt_handle, delay_s(_receives(record)))
        return {**told, "did": "retry", "reason": reason}
    queue.bury(record.body, reason)
    return {**told, "did": "buried", "reason": reason}


def _receives(record: SQSRecord) -> int:
    return int(record.attributes.approximate_receive_count)
