"""The form of what callers send: bodies of requests and their fields (docs/contract.md, sections 2 and 5)."""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from autocredits.domain.catalog import OrderType, Tracking
from autocredits.domain.errors import Problem
from autocredits.domain.ids import check_caller_id
from autocredits.domain.money import parse_amount
from autocredits.domain.work.record import WorkRequest


def _from_zero(value: object) -> int:
    amount = parse_amount(value)
    if amount < 0:
        raise Problem("invalid_amount", "This amount must not be negative.")
    return amount


def _above_zero(value: object) -> int:
    amount = parse_amount(value)
    if amount <= 0:
        raise Problem("invalid_amount", "This amount must be above 0.00.")
    return amount


def _not_zero(value: object) -> int:
    amount = parse_amount(value)
    if amount == 0:
        raise Problem("invalid_amount", "An adjustment must not be 0.00.")
    return amount


AmountFromZero = Annotated[int, BeforeValidator(_from_zero)]
AmountAboveZero = Annotated[int, BeforeValidator(_above_zero)]
AmountNotZero = Annotated[int, BeforeValidator(_not_zero)]
OrderId = Annotated[str, BeforeValidator(lambda value: check_caller_id(value, "order_id"))]
ProductId = Annotated[str, BeforeValidator(lambda value: check_caller_id(value, "product_id"))]
StoreId = Annotated[str, BeforeValidator(lambda value: check_caller_id(value, "store_id"))]
Reason = Annotated[str, Field(min_length=1, max_length=200)]
Unit = Literal["auto_order", "ai_rewrite", "finder", "managed"]


class Body(BaseModel):
    """Exactly the fields that are named, each of exactly its type."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


AnyBody = TypeVar("AnyBody", bound=BaseModel)


def parse_body(model: type[AnyBody], value: Any) -> AnyBody:
    """`value` in the form of `model`.

    Raises Problem `invalid_amount`, `invalid_id`, `unknown_field`, or `invalid_field` for the rest.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"])) or "body"
        code = "unknown_field" if first["type"] == "extra_forbidden" else "invalid_field"
        # What pydantic says of a whole object names our class.
        said = "Input should be an object" if first["type"] == "model_type" else first["msg"]
        raise Problem(code, f"{field}: {said}.") from None


class NoBody(Body):
    """A route that takes no body accepts an empty object."""


class OpenBody(Body):
    """PUT /accounts/{account_id}."""

    orders_processor: Literal["active", "inactive"] = "inactive"
    opening: dict[Unit, AmountFromZero] | None = None

    def balances(self) -> dict[str, int] | None:
        """The balances that the account brings along; None: it is a new one."""
        return None if self.opening is None else dict(self.opening.items())


class StandingBody(Body):
    """PATCH /accounts/{account_id}."""

    status: Literal["active", "paused", "suspended", "closed"] = "active"
    orders_processor: Literal["active", "inactive"] = "inactive"
    reason: Reason | None = None

    def changes(self) -> dict[str, str | int | None]:
        """The values that were sent."""
        return self.model_dump(include={"status", "orders_processor"}, exclude_unset=True)


def parse_standing(value: Any) -> StandingBody:
    """What is to change. Raises Problem 422, `invalid_field` also if that is nothing."""
    body = parse_body(StandingBody, value)
    if not body.changes():
        raise Problem("invalid_field", "Send status, orders_processor, or both.")
    return body


class SettingsBody(Body):
    """PUT /accounts/{account_id}/settings."""

    low_balance: Annotated[int | None, BeforeValidator(lambda value: None if value is None else _from_zero(value))]


class AdjustmentBody(Body):
    """POST /accounts/{account_id}/adjustments."""

    unit: Unit
    amount: AmountNotZero
    reason: Reason
    reference: Reason | None = None


class OrderWork(Body):
    """WORK of an order; `cost` exactly when it is fulfilled by the platform."""

    order_id: OrderId
    store_id: StoreId
    order_type: OrderType
    tracking: Tracking
    cost: AmountAboveZero | None = None

    def request(self) -> WorkRequest:
        """The work asked for. Raises Problem `invalid_field` for a cost that is missing or out of place."""
        if (self.order_type == "fba") != (self.cost is not None):
            raise Problem("invalid_field", "cost is required for fba orders and not allowed otherwise.")
        return WorkRequest(
            kind="order",
            work_id=self.order_id,
            store_id=self.store_id,
            order_type=self.order_type,
            tracking=self.tracking,
            cost=self.cost,
        )


class QueuedOrder(OrderWork):
    """POST /accounts/{account_id}/orders."""

    order_type: Literal["auto", "fba"]


def parse_queued_order(value: Any) -> WorkRequest:
    """WORK of an order that is to be queued. Raises Problem 422."""
    return parse_body(QueuedOrder, value).request()


class ResendBody(Body):
    """POST /accounts/{account_id}/orders/resend."""

    status: Literal["failed"]


class SourcingWork(Body):
    """WORK of a sourcing request."""

    product_id: ProductId
    store_id: StoreId
    sourcing: bool

    def request(self) -> WorkRequest:
        """The work asked for. Raises Problem `invalid_field` unless `sourcing` is true."""
        if not self.sourcing:
            raise Problem("invalid_field", "sourcing must be true.")
        return WorkRequest(kind="product", work_id=self.product_id, store_id=self.store_id)


class HoldTerms(Body):
    """How long a hold lasts."""

    expires_in: Annotated[int, Field(ge=60, le=2_592_000)] = 14 * 24 * 60 * 60


class OrderHold(OrderWork, HoldTerms):
    """POST /accounts/{account_id}/holds for an order."""


class SourcingHold(SourcingWork, HoldTerms):
    """POST /accounts/{account_id}/holds for a sourcing request."""


def is_sourcing(value: Any) -> bool:
    """Whether WORK speaks of a product rather than an order."""
    return isinstance(value, dict) and ("product_id" in value or "sourcing" in value)


def parse_work(value: Any) -> WorkRequest:
    """WORK of a debit or quote. Raises Problem 422."""
    return (parse_body(SourcingWork, value) if is_sourcing(value) else parse_body(OrderWork, value)).request()


def parse_hold(value: Any) -> tuple[WorkRequest, int]:
    """WORK of a hold, and for how many milliseconds it is to last. Raises Problem 422."""
    body = parse_body(SourcingHold, value) if is_sourcing(value) else parse_body(OrderHold, value)
    return body.request(), body.expires_in * 1000


PartName = Literal["order", "tracking", "sourcing"]
PartNames = Annotated[list[PartName], Field(min_length=1, max_length=3)]


class CaptureBody(Body):
    """POST …/holds/{hold_id}/capture."""

    parts: PartNames | None = None
    managed: AmountFromZero | None = None


class ReleaseBody(Body):
    """POST …/holds/{hold_id}/release."""

    parts: PartNames | None = None
    reason: Reason
