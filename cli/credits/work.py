"""What credits pay for, as a call names it (docs/contract.md, section 5)."""

from typing import Literal, NotRequired, TypedDict

from autocredits.domain.catalog import OrderType, Tracking

__all__ = ["OrderType", "OrderWork", "ProductWork", "Tracking", "Work", "order", "product"]


class OrderWork(TypedDict):
    """An order of the account; `cost` (US dollars) exactly when it is fulfilled by the platform (`fba`)."""

    order_id: str
    store_id: str
    order_type: OrderType
    tracking: Tracking
    cost: NotRequired[str]


class ProductWork(TypedDict):
    """A sourcing request."""

    product_id: str
    store_id: str
    sourcing: Literal[True]


Work = OrderWork | ProductWork


def order(
    order_id: str, store_id: str, order_type: OrderType = "auto", tracking: Tracking = "none", cost: str | None = None
) -> OrderWork:
    """An order as a call names it."""
    work: OrderWork = {"order_id": order_id, "store_id": store_id, "order_type": order_type, "tracking": tracking}
    return work if cost is None else {**work, "cost": cost}


def product(product_id: str, store_id: str) -> ProductWork:
    """A sourcing request as a call names it."""
    return {"product_id": product_id, "store_id": store_id, "sourcing": True}
