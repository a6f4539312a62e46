"""The two doors of the product that the model is compared with: the core's commands, and the handlers."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol

from autocredits.domain.access import Caller
from autocredits.domain.accounts import Adjust, ChangeStanding, OpenAccount
from autocredits.domain.decide import Command, IdempotencyKey, NotYet
from autocredits.domain.errors import Problem
from autocredits.domain.work.calls import Debit, Hold, QueueOrder, ResendOrder, SettleHold
from autocredits.domain.work.charging import Cause
from autocredits.domain.work.lifecycle import HOLD_MS, Settlement
from autocredits.domain.work.record import WorkRequest
from autocredits.edge.messages import parse_message
from autocredits.ledger.commit import Ledger
from functions.purchase.checkout import purchase_id_of
from functions.purchase.payments.sandbox import sign
from tests.kit.builders import CATALOG, fresh
from tests.kit.handlers import SECRET, handlers_on
from tests.kit.memory import ManualClock, MemoryQueue, MemoryStore
from tests.kit.service import Context, handler_of, http_event
from tests.model.model import Ask, Op, Told, ask_of


@dataclass
class World:
    """A store, a clock and a queue, all in memory."""

    store: MemoryStore = field(default_factory=MemoryStore)
    clock: ManualClock = field(default_factory=ManualClock)
    queue: MemoryQueue = field(default_factory=MemoryQueue)

    def ledger(self) -> Ledger:
        """The ledger on them."""
        return Ledger(self.store, self.clock, CATALOG)


class Door(Protocol):
    """A way into the product."""

    world: World

    def call(self, account: str, op: Op) -> Told:
        """Do the operation, and say what was told."""
        ...


class Core:
    """`decide` and the commit loop."""

    def __init__(self) -> None:
        self.world = World()

    def call(self, account: str, op: Op) -> Told:
        """Do the operation as a command. A success has no status here."""
        try:
            done = self.world.ledger().execute(account, command_of(account, op))
        except Problem as problem:
            return Told(0 if op.is_message() else problem.status, problem.code)
        except NotYet:
            return Told(0, "wait")
        return Told(0, replayed=done.replayed())


def command_of(account: str, op: Op) -> Command:
    """The command that an operation is."""
    caller, told = Caller("model", "*" if op.store is None else account, op.store), op.told
    key = IdempotencyKey(op.key or "", str(op.request()))
    if op.is_message():
        return parse_message(message_of(account, op))[2]
    if op.do in {"debits", "holds", "orders"}:
        return _work_command(caller, key, op.do, ask_of(told))
    if op.do in {"capture", "release"}:
        return _settlement(caller, op)
    if op.do == "resend":
        return ResendOrder(caller, told["order_id"], fresh("request"))
    if op.do == "open":
        opening = told.get("opening")
        balances = None if opening is None else {unit: hundredths(sum_) or 0 for unit, sum_ in opening.items()}
        return OpenAccount(caller, told["orders_processor"], balances)
    if op.do == "adjustments":
        return Adjust(caller, key, told["unit"], hundredths(told["amount"]) or 0, told["reason"], None)
    changes: dict[str, Any] = {"low_balance": hundredths(told["low_balance"])} if op.do == "settings" else dict(told)
    return ChangeStanding(caller, changes)


def _work_command(caller: Caller, key: IdempotencyKey, do: str, ask: Ask) -> Command:
    request = WorkRequest(
        kind="product" if ask.kind == "product" else "order",
        work_id=ask.work_id,
        store_id=ask.store,
        order_type=ask.order_type,
        tracking=ask.tracking,
        cost=ask.cost,
    )
    if do == "holds":
        return Hold(caller, key, request, HOLD_MS)
    return Debit(caller, key, request) if do == "debits" else QueueOrder(caller, key, request)


def _settlement(caller: Caller, op: Op) -> Command:
    told = op.told
    settlement = Settlement("captured", Cause(actor=caller.actor), hundredths(told.get("managed")))
    if op.do == "release":
        settlement = Settlement("released", Cause(actor=caller.actor, reason="not needed"))
    return SettleHold(
        caller=caller,
        kind=told["kind"],
        work_id=told["work_id"],
        attempt=told["attempt"],
        settlement=settlement,
        parts=told.get("parts"),
    )


def hundredths(text: str | None) -> int | None:
    """An amount as the domain takes it."""
    return None if text is None else int(text.replace(".", ""))


def message_of(account: str, op: Op) -> str:
    """The message as it is sent."""
    data = {"account_id": account, **op.told}
    event = {"specversion": "1.0", "id": op.message_id, "source": "engine", "type": op.do, "data": data}
    return json.dumps(event)


class Service:
    """Every handler, over a world in memory."""

    def __init__(self) -> None:
        self.world = World()
        self.received = 0

    def call(self, account: str, op: Op) -> Told:
        """Call the route, or deliver the message, that the operation is."""
        if op.is_message():
            return self.deliver(message_of(account, op))
        if op.do == "webhook":
            return self._webhook(account, op)
        method, path, body = route_of(account, op)
        return self.request(
            method, path, body, account="*" if op.store is None else account, store=op.store, key=op.key
        )

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        account: str = "*",
        store: str | None = None,
        key: str | None = None,
        query: dict[str, str] | None = None,
    ) -> Told:
        """One request."""
        claims = {"sub": "test", "account_id": account, **({} if store is None else {"store_id": store})}
        headers = {"content-type": "application/json", **({} if key is None else {"idempotency-key": key})}
        text = None if body is None else json.dumps(body)
        event = http_event(method, path, claims=claims, headers=headers, body=text, query=query)
        answer = handler_of(event)(event, Context())
        shown = json.loads(answer["body"])
        failed = answer["statusCode"] >= 400
        replayed = "Idempotent-Replayed" in answer.get("headers", {})
        return Told(answer["statusCode"], shown["code"] if failed else None, replayed, shown)

    def deliver(self, body: str) -> Told:
        """Give the worker one message, received for the first time."""
        self.received += 1
        name, known = f"m{self.received}", len(self.world.queue.dead)
        attributes = {
            "ApproximateReceiveCount": "1",
            "ApproximateFirstReceiveTimestamp": str(self.world.clock.now_ms()),
        }
        record = {"messageId": name, "receiptHandle": name, "body": body, "attributes": attributes}
        event = {"Records": [{**record, "messageAttributes": {}, "eventSource": "aws:sqs", "eventSourceARN": QUEUE}]}
        failures = worker(event)["batchItemFailures"]
        letters = self.world.queue.dead[known:]
        assert all(letter["body"] == body for letter in letters)
        assert len(failures) + len(letters) <= 1
        assert ({name: 5} if failures else {}) == {key: s for key, s in self.world.queue.delays.items() if key == name}
        return Told(0, "wait" if failures else letters[0]["reason"] if letters else None)

    def _webhook(self, account: str, op: Op) -> Told:
        told = op.told
        event = {
            "id": fresh("evt"),
            "type": told["type"],
            "account_id": account,
            "purchase_id": purchase_id_of(told.get("owner", account), told["purchase"]),
            "payment_id": told["payment"],
            "amount": told["amount"],
            "currency": "USD",
        }
        raw, now = json.dumps(event), str(int(time.time()))
        headers = {"sandbox-signature": f"t={now},v1={sign(SECRET, now, raw.encode())}"}
        request = http_event("POST", "/v1/payments/sandbox/webhook", headers=headers, body=raw)
        return Told(handler_of(request)(request, Context())["statusCode"])


QUEUE = "arn:aws:sqs:us-east-1:123456789012:orders"


def worker(event: dict[str, Any]) -> dict[str, Any]:
    """The worker's answer to a batch."""
    answer: dict[str, Any] = import_module("functions.consume.worker").handler(event, Context())
    return answer


def route_of(account: str, op: Op) -> tuple[str, str, Any]:
    """Method, path and body of an operation."""
    base, told = f"/v1/accounts/{account}", op.told
    if op.do in {"open", "standing"}:
        return "PUT" if op.do == "open" else "PATCH", base, told
    if op.do in {"capture", "release"}:
        return "POST", f"{base}/holds/{hold_id(told)}/{op.do}", _body(op)
    if op.do == "resend":
        return "POST", f"{base}/orders/{told['order_id']}/resend", None
    if op.do == "resend_all":
        return "POST", f"{base}/orders/resend", {"status": "failed"}
    if op.do == "review":
        body = {"decision": told["decision"], "reason": "looked at"}
        return "POST", f"{base}/purchases/{purchase_id_of(account, told['purchase'])}/review", body
    return "PUT" if op.do == "settings" else "POST", f"{base}/{op.do}", _body(op)


def _body(op: Op) -> Mapping[str, Any]:
    told = {name: value for name, value in op.told.items() if name not in {"kind", "work_id", "attempt"}}
    return {**told, "reason": "not needed"} if op.do == "release" else told


def hold_id(told: Mapping[str, Any]) -> str:
    """The id of the hold that is meant."""
    return f"{told['work_id']}~{'s' if told['kind'] == 'product' else ''}{told['attempt']}"


class _Secrets:
    def read(self, _: str) -> dict[str, Any]:
        return {"signing": [SECRET]}


@contextmanager
def functions_over(worlds: dict[str, World]) -> Iterator[None]:
    """The functions work in `worlds["now"]`, whatever it is at the time."""

    def ledger() -> Ledger:
        return worlds["now"].ledger()

    with handlers_on(ledger, lambda: worlds["now"].queue, _Secrets):
        yield
