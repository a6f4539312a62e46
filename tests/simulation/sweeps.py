"""Schedules and the stream in a scheduler's run: sweeps, the queue's own worker, pages on their way to the bus, time.

They are sent again as AWS does it: a schedule comes again, the stream shows a batch again, a message is shown again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from types import MappingProxyType
from typing import Any

from autocredits.domain.times import DAY_MS, MINUTE_MS
from autocredits.ledger.ports import UnavailableError
from functions.consume import worker as consume_worker
from functions.publish import app as publish_app
from functions.publish import republish as republish_app
from functions.sweep import app as sweep_app
from tests.kit.deliveries import FBA, KINDS, Kind, Maker, Request, message, order
from tests.kit.service import Event, Handler
from tests.kit.streams import stream_event
from tests.simulation.scheduler import ALL, Call, Worker
from tests.simulation.world import World, world

HOLD_MS = 14 * DAY_MS
"""How long a hold lasts (docs/contract.md, section 5)."""
LONG_AGO_MS = HOLD_MS + DAY_MS
"""So long before the run the state was made in which holds are overdue."""
MAX_PAGES = 10
"""How many pages the stream shows at once."""


def _again_if_unavailable(handler: Handler) -> Handler:
    """What AWS does again because it failed: 503, as a request would be told."""

    @wraps(handler)
    def call(event: Event, context: Any) -> dict[str, Any]:
        try:
            handler(event, context)
        except UnavailableError:
            return {"statusCode": 503, "body": ""}
        return {"statusCode": 200, "body": ""}

    return call


def _publish(_: Event, context: Any) -> None:
    """The stream shows batch after batch. One that failed is shown again, and none after it meanwhile."""
    one = world()
    while batch := one.stream[one.streamed : one.streamed + MAX_PAGES]:
        publish_app.handler(stream_event(batch), context)
        one.streamed += len(batch)


def _republish(_: Event, context: Any) -> None:
    """The republish queue shows what it has until all of that is acknowledged."""
    one = world()
    shown = [*one.unpublished]
    left = left_of(shown, republish_app.handler, context)
    one.unpublished = [*left, *one.unpublished[len(shown) :]]
    if one.unpublished:
        raise UnavailableError("shown again")


def _drain(_: Event, context: Any) -> None:
    """The orders queue shows what the service itself has put there until all of that is acknowledged."""
    one = world()
    shown = [*one.sent]
    left = left_of(shown, consume_worker.handler, context)
    one.sent = [*left, *one.sent[len(shown) :]]
    if left:
        raise UnavailableError("shown again")


def left_of(bodies: Sequence[str], handler: Handler, context: Any) -> list[str]:
    """Those of the messages that a worker has not acknowledged."""
    records = [_record(number, body) for number, body in enumerate(bodies)]
    failed = handler({"Records": records}, context)["batchItemFailures"] if records else []
    again = {one["itemIdentifier"] for one in failed}
    return [body for record, body in zip(records, bodies, strict=True) if record["messageId"] in again]


def _record(number: int, body: str) -> Event:
    (record,) = message("", f"own-{number}", {}, ("", "")).event(1)["Records"]
    record["attributes"]["ApproximateFirstReceiveTimestamp"] = str(world().at_ms)
    return {**record, "body": body}


def _schedule(handler: Any) -> Maker:
    return lambda account, number: Request("schedule", _again_if_unavailable(handler), lambda _: {})  # noqa: ARG005


def _own_message(account: str, number: int) -> Request:
    """The service's own message about an order's first attempt. The order need not remember it: its attempt tells."""
    told = {"account_id": account, **order(number), "attempt": 1}
    sent = message("auto_order.requested", f"{account}/o{number}~1", told, ("order", f"o{number}"))
    return replace(sent, message=None)


FROM_OUTSIDE = ("sweep", "queue", "publish", "republish")
"""The kinds that come from a schedule, a queue's own worker or the stream, and concern all accounts."""

LAST = ("publish", "republish")
"""The kinds that begin once all others are over: nobody else touches what they touch."""

MORE_KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        **KINDS,
        "sweep": Kind(_schedule(sweep_app.handler), ("held", "placed", "partly", "converting", "queued")),
        "queue": Kind(_schedule(_drain), ("queued",)),
        "own message": Kind(_own_message, ("queued",)),
        "publish": Kind(_schedule(_publish), ("held",)),
        "republish": Kind(_schedule(_republish), ("held",)),
    }
)
"""Every kind of delivery that there is in a run."""

OF_ORDERS = (
    *("sweep", "capture", "release", "auto_order.requested", "auto_order.placed", "auto_order.failed"),
    *("tracking_conversion.requested", "tracking_conversion.completed", "tracking_conversion.failed"),
    *("own message", "order", "resend", "debit", "hold", "adjustment", "standing"),
)
OF_PRODUCTS = ("sweep", "sourcing.requested", "sourcing.accepted", "sourcing.rejected")
MEETING: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        **dict.fromkeys(MORE_KINDS["sweep"].bases, OF_ORDERS),
        "sourcing": OF_PRODUCTS,
        "fba held": ("sweep", *FBA),
    }
)
"""The states in which something is due, and the kinds that meet a sweep there."""

OF_NEW_WORK = ("debit", "hold", "auto_order.requested", "order")


@dataclass(frozen=True, slots=True)
class Passing:
    """Time that goes by at some moment of a run: whatever is on the way stands still meanwhile."""

    world: World
    ms: int

    def behave(self, _: Worker) -> None:
        """What its worker does."""
        self.world.call(Call("time passes", self.perform, items=ALL, writes=True, idle=True))

    def perform(self) -> None:
        """It is later now."""
        self.world.at_ms += self.ms


TIMES = (3 * MINUTE_MS, LONG_AGO_MS)
"""What may pass: until a queued order counts as forgotten, and until a hold is overdue."""
