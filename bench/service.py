"""The service as the bench calls it: its own handlers and ledger, on a store whose calls are counted."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

from autocredits.adapters.dynamo import DynamoStore
from autocredits.bootstrap import catalog
from autocredits.ledger.commit import Ledger
from tests.kit.engines import client_of
from tests.kit.handlers import handlers_on
from tests.kit.memory import MemoryQueue
from tests.kit.service import Answer, Context, handler_of, http_event

CLAIMS = {"sub": "bench", "account_id": "*"}


@dataclass(slots=True)
class Clock:
    """A clock that stands still, so that journals of a year can be made in a minute. Only its seconds pass."""

    START_MS: ClassVar[int] = 1_735_689_600_000  # 2025-01-01T00:00:00Z
    at_ms: int = START_MS

    def now_ms(self) -> int:
        """What the bench says that it is."""
        return self.at_ms

    def monotonic_s(self) -> float:
        """Real seconds: lists that are filtered stop after two of them."""
        return time.monotonic()

    def sleep_up_to(self, seconds: float) -> None:
        """Wait: nobody else writes here, so this is never asked for."""
        raise AssertionError(f"a conflict in the bench: it would wait {seconds} s")


@dataclass(slots=True)
class Bench:
    """Handlers over one table. `calls` counts what they ask of it."""

    store: DynamoStore
    clock: Clock = field(default_factory=Clock)
    calls: int = 0

    def count(self, **_: Any) -> None:
        """One more call."""
        self.calls += 1

    def ledger(self) -> Ledger:
        """The ledger, as a function opens it."""
        return Ledger(self.store, self.clock, catalog())

    def call(
        self,
        method: str,
        account_id: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        query: dict[str, str] | None = None,
        accept: str = "application/json",
    ) -> Answer:
        """Call a route of an account, and take nothing but success."""
        headers = {"content-type": "application/json", "accept": accept, **({"idempotency-key": key} if key else {})}
        event = http_event(
            method,
            f"/v1/accounts/{account_id}{path}",
            claims=CLAIMS,
            headers=headers,
            body=None if body is None else json.dumps(body),
            query=query,
        )
        told = handler_of(event)(event, Context())
        answer = Answer(told["statusCode"], told.get("headers", {}), told["body"])
        if answer.status not in (200, 201):
            raise AssertionError(f"{method} {path} {query}: {answer.status} {answer.text}")
        return answer

    def order(self, order_id: str, store_id: str) -> dict[str, str]:
        """WORK."""
        return {"order_id": order_id, "store_id": store_id, "order_type": "auto", "tracking": "none"}


@contextmanager
def open_bench(endpoint_url: str, table_name: str) -> Iterator[Bench]:
    """The handlers on a table of an engine."""
    client = client_of(endpoint_url)
    bench = Bench(DynamoStore(client, table_name))
    client.meta.events.register("before-call.dynamodb", bench.count)
    with handlers_on(bench.ledger, MemoryQueue, lambda: None):
        yield bench
