"""The requests that are measured, and what each may cost, whatever the machine: calls to the table, and seconds."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count

from autocredits.domain.times import format_time
from bench.journals import STEP_MS, account_of
from bench.service import Bench

MAX_S = 3.0
MAX_USAGE_S = 2.0
USUAL_REFERENCE_S = 0.0008
"""What one GetItem takes on the machine that the limits are set for. A slower one may take longer by as much."""

_numbers = count(1)


@dataclass(frozen=True)
class Request:
    """A request to an account with so many pages. `most_calls` is how often it may ask the table (None: any number)."""

    name: str
    ask: Callable[[Bench, int], object]
    most_calls: Callable[[int], int] | None = None
    most_s: float = MAX_S
    repeats: int = 15


def read(
    path: str, query: Callable[[Bench, int], Mapping[str, str]] = lambda *_: {}, accept: str = "application/json"
) -> Callable[[Bench, int], object]:
    """GET a route of the account."""

    def ask(bench: Bench, pages: int) -> object:
        return bench.call("GET", account_of(pages), path, query=dict(query(bench, pages)), accept=accept)

    return ask


def debit(bench: Bench, pages: int) -> object:
    """Charge an order that is new."""
    number = next(_numbers)
    order = bench.order(f"measured-{number}", "shop-1")
    return bench.call("POST", account_of(pages), "/debits", order, key=f"measured-{number}")


def time_of(bench: Bench, pages: int, share: float) -> str:
    """The time at which the journal was so far."""
    newest = bench.clock.at_ms
    return format_time(newest - round((1 - share) * pages) * STEP_MS)


def range_of(bench: Bench, pages: int, share: float) -> dict[str, str]:
    """From a time on, about fifty entries."""
    return {"from": time_of(bench, pages, share), "to": time_of(bench, pages, share + 50 / max(pages, 100))}


def lately(bench: Bench, pages: int) -> dict[str, str]:
    """The last twenty thousand entries, as many as one statement holds."""
    return {"from": time_of(bench, pages, max(0.0, 1 - 19_900 / pages))}


def halving(pages: int) -> int:
    """The newest page, and as many as a binary search looks at."""
    return 2 + math.ceil(math.log2(pages))


REQUESTS = (
    Request("a balance", read("/balance"), lambda _: 1),
    Request("a balance of the past", read("/balance", lambda b, n: {"at": time_of(b, n, 0.37)}), halving),
    Request("the newest 50 entries", read("/entries"), lambda _: 4),
    Request("50 entries of the past", read("/entries", lambda b, n: range_of(b, n, 0.37)), lambda n: halving(n) + 4),
    Request("the entries of an order", read("/entries", lambda *_: {"order_id": "first"}), lambda _: 4),
    Request("50 entries of a store", read("/entries", lambda *_: {"store_id": "shop-1"}), lambda _: 8),
    Request(
        "entries of a store that has hardly any", read("/entries", lambda *_: {"store_id": "shop-rare"}), lambda _: 13
    ),
    Request("50 pages of the journal", read("/journal", lambda _, n: {"after": str(n // 2)}), lambda _: 2),
    Request(
        "a statement of 20,000 entries",
        read("/entries", lately, accept="text/csv"),
        lambda n: 2 * halving(n) + 42,
        repeats=3,
    ),
    Request("a debit", debit, lambda _: 2),  # last, since it makes the journal longer
)
"""Those whose cost may or may not grow with the journal."""

USAGE = Request(
    "a year's usage, 300,000 pages a month",
    lambda bench, _: bench.call("GET", "busy", "/usage", query={"from": "2025-01-01", "to": "2026-01-01", "by": "day"}),
    most_s=MAX_USAGE_S,
    repeats=5,
)
"""Of an account with 420 pairs of store and action a day, whose audit is 1,999 pages behind."""


@dataclass
class Figure:
    """What one request cost: calls to the table, and the seconds of each time."""

    request: Request
    pages: int
    calls: int = 0
    seconds: list[float] = field(default_factory=list)

    def median_s(self) -> float:
        """The middle one."""
        return sorted(self.seconds)[len(self.seconds) // 2]

    def failures(self, reference_s: float = USUAL_REFERENCE_S) -> list[str]:
        """In which way it cost more than it may, on a machine where the reference takes so long."""
        told = f"{self.request.name} at {self.pages:,} pages"
        found = []
        most_s = self.request.most_s * max(1.0, reference_s / USUAL_REFERENCE_S)
        if max(self.seconds) > most_s:
            found.append(f"{told} took {max(self.seconds):.1f} s: {most_s:.1f} s is the most")
        most = self.request.most_calls and self.request.most_calls(self.pages)
        if most is not None and self.calls > most:
            found.append(f"{told} asked the table {self.calls} times: {most} is the most")
        return found
