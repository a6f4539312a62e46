"""Deliveries on their way in a scheduler's run, and the states of the world that they meet."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from functions.account import app as account_app
from functions.consume import app as consume_app
from tests.kit.deliveries import ACCOUNT, KINDS, PATH, Request, http, make_code, make_last, order
from tests.kit.service import Context, Event
from tests.simulation.scheduler import ALL, Call, Worker
from tests.simulation.world import SimStore, World, within

MAX_TRIES = 8

RICH, TIGHT = "20.00", "3.00"
"""Available credits: enough for all, so that a second charge would not be refused; and enough for one alone."""
EARLIER_MS = 170_000
"""So long before the run its state was made: what was started then is due for a poll, what was signed is still good."""


@dataclass(slots=True, eq=False)
class Try:
    """One time that a request was sent: between which steps and pages, and what came back, if anything did."""

    begun: int
    begun_version: int
    ended: int = 0
    ended_version: int = 0
    answer: dict[str, Any] | None = None


@dataclass(slots=True)
class Delivery:
    """A request on its way in a world, until its sender knows what became of it. `name` is its worker's."""

    kind: str
    request: Request
    world: World
    name: str = "a"
    tries: list[Try] = field(default_factory=list)

    def behave(self, _: Worker) -> None:
        """What a worker does with it."""
        while not self.is_settled() and len(self.tries) < MAX_TRIES:
            # A client who is told 503 because a start is under way asks again when that has gone on.
            later = bool(self.tries) and (self.request.door != "http" or self.kind in ("checkout", "cancel"))
            self.world.call(Call("begin", lambda: None, items=ALL, last=later))
            one = Try(self.world.step(), self.world.version())
            self.tries.append(one)
            one.answer = self.request.handler(self.event(len(self.tries)), Context())
            one.ended, one.ended_version = self.world.step(), self.world.version()

    def is_settled(self) -> bool:
        """Whether the sender knows what became of it."""
        answer = self.tries[-1].answer if self.tries else None
        if answer is None:
            return False
        return not answer["batchItemFailures"] if self.request.door == "queue" else answer["statusCode"] < 500

    def event(self, number: int) -> Event:
        """The event of a try: the gateway gives each an id of its own, also where the same is asked for twice."""
        event = self.request.event(number)
        if "requestContext" not in event:
            return event
        request_id = f"{event['requestContext']['requestId']}-{self.name}"
        return {**event, "requestContext": {**event["requestContext"], "requestId": request_id}}

    def request_id(self, one: Try) -> str | None:
        """The gateway's id of a try, as the handler was told."""
        context: dict[str, Any] = self.event(self.tries.index(one) + 1).get("requestContext", {})
        return context.get("requestId")

    def answers(self) -> list[tuple[Try, int, dict[str, Any]]]:
        """What was told: try, status and body."""
        told = [(one, one.answer) for one in self.tries if one.answer and "statusCode" in one.answer]
        return [(one, answer["statusCode"], json.loads(answer["body"] or "{}")) for one, answer in told]


def _plain_order(number: int) -> Request:
    return http(consume_app.handler, "POST", f"{PATH}/debits", order(number, "none"), key=f"plain-{number}")


def _steps(base: str, number: int) -> Sequence[Request]:
    """What has happened to the works of a number before the run begins."""
    made = {name: kind.make(number) for name, kind in KINDS.items()}
    requested, converting = made["auto_order.requested"], made["tracking_conversion.requested"]
    return {
        "new": [],
        "held": [requested],
        "failed": [requested, made["auto_order.failed"]],
        "queued": [made["order"]],
        "ordered": [_plain_order(number)],
        "converting": [_plain_order(number), converting],
        "sourcing": [made["sourcing.requested"]],
        "started": [made["start"]],
        "changed": [made["start"], made["checkout"]],
        "canceled": [made["start"], made["cancel"]],
        "paid": [made["start"], made["paid"]],
        "disputed": [made["start"], made["paid"], made["disputed"]],
        "waiting": [made["start"], made["paid otherwise"]],
        "coupon": [made["coupon made"]],
    }[base]


@cache
def base_store(base: str, level: str) -> SimStore:
    """The store of an account in a state, with so many credits available, made by the handlers themselves."""
    one = World(None, SimStore())
    one.at_ms -= EARLIER_MS
    with within(one):
        for code in (make_code(1), make_code(2), make_last()):
            _do(code)
        _do(http(account_app.handler, "PUT", PATH, {"orders_processor": "active"}))
        _do(http(account_app.handler, "POST", f"{PATH}/adjustments", _change("20.00"), key="base-1"))
        for number in (1, 2):
            for step in _steps(base, number):
                _do(step)
        head = one.store.head(ACCOUNT)
        available = head.state.balance("auto_order").available() if head else 0
        missing = int(level.replace(".", "")) - available
        amount = f"{'-' if missing < 0 else ''}{abs(missing) // 100}.{abs(missing) % 100:02}"
        if missing:
            _do(http(account_app.handler, "POST", f"{PATH}/adjustments", _change(amount), key="base-2"))
    return one.store


def _change(amount: str) -> dict[str, str]:
    return {"unit": "auto_order", "amount": amount, "reason": "base"}


def _do(request: Request) -> None:
    answer = request.handler(request.event(1), Context())
    done = answer["statusCode"] < 300 if "statusCode" in answer else not answer["batchItemFailures"]
    if not done:
        raise AssertionError(answer)
