"""Messages from the queue: their form, and the command that each one is (docs/contract.md, section 7)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from autocredits.domain.decide import Command
from autocredits.domain.errors import Problem
from autocredits.domain.ids import check_account_id
from autocredits.domain.work.charging import Cause
from autocredits.domain.work.lifecycle import Settlement
from autocredits.domain.work.messages import ConversionRequested, Result, WorkRequested
from autocredits.domain.work.record import WorkRequest

from .bodies import AmountFromZero, Body, OrderId, OrderWork, ProductId, StoreId, parse_body
from .json_body import parse_json

MAX_REASON = 500

Text = Annotated[str, Field(min_length=1, max_length=1000)]
Reason = Annotated[str, Field(min_length=1), AfterValidator(lambda text: text[:MAX_REASON])]
"""Cut, never refused: a result is not lost for its length."""

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


class _OrderResult(_Data):
    order_id: OrderId
    attempt: Attempt | None = None

    def result(self, event: CloudEvent, part: str, settlement: Settlement, tracking: str | None = None) -> Command:
        return Result(
            source=event.source,
            message_id=event.id,
            kind="order",
            work_id=self.order_id,
            attempt=self.attempt,
            part=part,
            settlement=settlement,
            tracking=tracking,
        )


class _Placed(_OrderResult):
    supplier_order_id: Text
    managed: AmountFromZero | None = None

    def command(self, event: CloudEvent) -> Command:
        cause = Cause(actor=event.source, supplier_order_id=self.supplier_order_id)
        return self.result(event, "order", Settlement("captured", cause, self.managed))


class _Failed(_OrderResult):
    reason: Reason

    def command(self, event: CloudEvent) -> Command:
        return self.result(event, "order", Settlement("released", Cause(actor=event.source, reason=self.reason)))


class _ConversionCompleted(_OrderResult):
    tracking_number: Text
    tracking: Method | None = None

    def command(self, event: CloudEvent) -> Command:
        cause = Cause(actor=event.source, tracking_number=self.tracking_number)
        return self.result(event, "tracking", Settlement("captured", cause), self.tracking)


class _ConversionFailed(_OrderResult):
    reason: Reason
    tracking: Method | None = None

    def command(self, event: CloudEvent) -> Command:
        return self.result(
            event, "tracking", Settlement("released", Cause(actor=event.source, reason=self.reason)), self.tracking
        )


class _SourcingResult(_Data):
    product_id: ProductId
    attempt: Attempt | None = None
    reason: Reason | None = None

    def result(self, event: CloudEvent, settlement: Settlement) -> Command:
        return Result(
            source=event.source,
            message_id=event.id,
            kind="product",
            work_id=self.product_id,
            attempt=self.attempt,
            part="sourcing",
            settlement=settlement,
        )


class _SourcingAccepted(_SourcingResult):
    def command(self, event: CloudEvent) -> Command:
        return self.result(event, Settlement("captured", Cause(actor=event.source, reason=self.reason)))


class _SourcingRejected(_SourcingResult):
    def command(self, event: CloudEvent) -> Command:
        return self.result(event, Settlement("released", Cause(actor=event.source, reason=self.reason)))


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
        raise Problem("invalid_field", f"Unknown type: {event.type[:100]}")
    data = parse_body(DATA_BY_TYPE[event.type], event.data)
    return event.type, data.account_id, data.command(event)
