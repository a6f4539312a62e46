"""Deliveries on their way in a scheduler's run, and the states of the world that they meet."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any

from functions.account import app as account_app
from functions.consume import app as consume_app
from tests.kit.deliveries import (
    ACCOUNT,
    BEGIN_MS,
    KINDS,
    Request,
    fba_order,
    http,
    make_code,
    make_last,
    order,
    path_of,
)
from tests.kit.service import Context, Event
from tests.simulation.scheduler import ALL, Call, Worker
from tests.simulation.sweeps import LAST
from tests.simulation.world import SimStore, World, within

MAX_TRIES = 8

RICH, TIGHT, SHORT = "20.00", "3.00", "$30.00"
"""What is available: enough for all, so that a second charge would not be refused; credits for one alone; dollars for
one alone."""
LEVELS: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        RICH: {"auto_order": 20_00, "managed": 100_00},
        TIGHT: {"auto_order": 3_00, "managed": 100_00},
        SHORT: {"auto_order": 20_00, "managed": 30_00},
    }
)
EARLIER_MS = 170_000
"""So long before the run its state was made: what was started then is due for a poll, what was signed is still good."""


@dataclass(slots=True, eq=False)
class Try:
    """One time that a request was sent: between which steps, and what came back, if anything did."""

    begun: int
    ended: int = 0
    answer: dict[str, Any] | None = None


@dataclass(slots=True, eq=False)
class Delivery:
    """A request on its way in a world, until its sender knows what became of it. `name` is its worker's."""

    kind: str
    request: Request
    world: World
    name: str = "a"
    account_id: str = ACCOUNT
    tries: list[Try] = field(default_factory=list)

    def behave(self, _: Worker) -> None:
        """What a worker does with it."""
        deliver([self])

    def is_over(self) -> bool:
        """Whether its sender does not send it again."""
        return self.is_settled() or len(self.tries) >= MAX_TRIES

    def is_settled(self) -> bool:
        """Whether the sender knows what became of it."""
        answer = self.tries[-1].answer if self.tries else None
        if answer is None:
            return False
        return not answer["batchItemFailures"] if self.request.door == "queue" else answer["statusCode"] != 503

    def comes_back_later(self) -> bool:
        """Whether it is sent again only once all others have gone on, as a message that was deferred.

        A client who is told 503 because a start is under way asks again when that has gone on. The stream shows what all
        others have done.
        """
        again = bool(self.tries) and (self.request.door != "http" or self.kind in ("checkout", "cancel"))
        return again or self.kind in LAST

    def event(self, number: int) -> Event:
        """The event of a try: gateway and queue give each an id of its own, also where the same is sent twice."""
        event = self.request.event(number)
        if self.request.door == "queue":
            return {"Records": [{**record, **self._named(record)} for record in event["Records"]]}
        if "requestContext" not in event:
            return event
        request_id = f"{event['requestContext']['requestId']}-{self.name}"
        return {**event, "requestContext": {**event["requestContext"], "requestId": request_id}}

    def _named(self, record: Event) -> dict[str, str]:
        return {name: f"{record[name]}-{self.name}" for name in ("messageId", "receiptHandle")}

    def request_id(self, one: Try) -> str | None:
        """The gateway's id of a try, as the handler was told."""
        context: dict[str, Any] = self.event(self.tries.index(one) + 1).get("requestContext", {})
        return context.get("requestId")

    def answers(self) -> list[tuple[Try, int, dict[str, Any]]]:
        """What was told: try, status and body."""
        told = [(one, one.answer) for one in self.tries if one.answer and "statusCode" in one.answer]
        return [(one, answer["statusCode"], json.loads(answer["body"] or "{}")) for one, answer in told]


def deliver(deliveries: Sequence[Delivery]) -> None:
    """Send them until each is over: one request, or messages that come as one batch."""
    world, handler = deliveries[0].world, deliveries[0].request.handler
    while under_way := [one for one in deliveries if not one.is_over()]:
        later = all(one.comes_back_later() for one in under_way)
        world.call(Call("begin", lambda: None, items=ALL, last=later, idle=True))
        begun = world.step()
        for one in under_way:
            one.tries.append(Try(begun))
        events = [one.event(len(one.tries)) for one in under_way]
        answer = handler(events[0] if len(events) == 1 else _batch(events), Context())
        for one, event in zip(under_way, events, strict=True):
            one.tries[-1].answer = _own(answer, event)
            one.tries[-1].ended = world.step()


def deliver_in_turn(deliveries: Sequence[Delivery]) -> None:
    """Send each once the one before is over."""
    for one in deliveries:
        deliver([one])


def _batch(events: Sequence[Event]) -> Event:
    return {"Records": [record for event in events for record in event["Records"]]}


def _own(answer: dict[str, Any], event: Event) -> dict[str, Any]:
    """What a batch's answer says of the messages of one event."""
    if "batchItemFailures" not in answer:
        return answer
    own = {record["messageId"] for record in event["Records"]}
    return {"batchItemFailures": [one for one in answer["batchItemFailures"] if one["itemIdentifier"] in own]}


def _steps(base: str, account: str, number: int) -> Sequence[Request | None]:
    """What has happened to the works of a number before the run begins. What comes after None happened lately."""
    made = {name: kind.make(number, account) for name, kind in KINDS.items()}
    requested, converting = made["auto_order.requested"], made["tracking_conversion.requested"]
    placed, completed = made["auto_order.placed"], made["tracking_conversion.completed"]

    def plain(wanted: Mapping[str, str]) -> Request:
        return http(consume_app.handler, "POST", f"{path_of(account)}/debits", wanted, key=f"plain-{number}")

    steps: dict[str, Sequence[Request | None]] = {
        "new": [],
        "held": [requested],
        "failed": [requested, made["auto_order.failed"]],
        "queued": [made["order"]],
        "placed": [requested, placed],
        "partly": [requested, completed, None, converting],
        "ordered": [plain(order(number, "none"))],
        "converting": [plain(order(number, "none")), converting],
        "sourcing": [made["sourcing.requested"]],
        "fba held": [made["fba requested"]],
        "fba failed": [made["fba requested"], made["fba failed"]],
        "fba ordered": [plain(fba_order(number, "none"))],
        "started": [made["start"]],
        "changed": [made["start"], made["checkout"]],
        "canceled": [made["start"], made["cancel"]],
        "paid": [made["start"], made["paid"]],
        "disputed": [made["start"], made["paid"], made["disputed"]],
        "waiting": [made["start"], made["paid otherwise"]],
        "coupon": [made["coupon made"]] if account == ACCOUNT else [],
    }
    return steps[base]


@cache
def base_store(
    base: str, level: str, accounts: tuple[str, ...] = (ACCOUNT,), earlier_ms: int = EARLIER_MS, works: int = 2
) -> SimStore:
    """The store of accounts in a state, with so much available, made so long ago by the handlers themselves."""
    one = World(None, SimStore())
    one.at_ms -= earlier_ms
    with within(one):
        for code in (make_code(1), make_code(2), make_last()):
            _do(code)
        for account in accounts:
            if base != "unopened":
                _make_account(one, account, base, level, works)
    return one.store


def _make_account(one: World, account: str, base: str, level: str, works: int) -> None:
    opening = {"orders_processor": "active", "opening": {"auto_order": "25.00", "managed": "200.00"}}
    _do(http(account_app.handler, "PUT", path_of(account), opening))
    _do(http(account_app.handler, "PUT", f"{path_of(account)}/settings", {"low_balance": "1.00"}))
    for number in range(1, works + 1):
        for step in _steps(base, account, number):
            if step is None:
                one.at_ms = BEGIN_MS - EARLIER_MS
            else:
                _do(step)
    head = one.store.head(account)
    for unit, wanted in LEVELS[level].items():
        missing = wanted - (head.state.balance(unit).available() if head else 0)
        amount = f"{'-' if missing < 0 else ''}{abs(missing) // 100}.{abs(missing) % 100:02}"
        change = {"unit": unit, "amount": amount, "reason": "base"}
        if missing:
            _do(http(account_app.handler, "POST", f"{path_of(account)}/adjustments", change, key=f"base-{unit}"))


def _do(request: Request) -> None:
    answer = request.handler(request.event(1), Context())
    done = answer["statusCode"] < 300 if "statusCode" in answer else not answer["batchItemFailures"]
    if not done:
        raise AssertionError(answer)
