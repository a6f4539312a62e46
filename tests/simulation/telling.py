"""What must hold of events after every run: each commit is told whole, and nothing is told that was not committed.

The types are those of docs/contract.md, section 8, once more and by themselves.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from autocredits.domain.journal import Entry, Page
from autocredits.edge.events import bus_events
from tests.simulation.violations import cents, expect
from tests.simulation.world import World

OF_REFUSALS = {
    "order": "auto_order.refused",
    "tracking": "tracking_conversion.refused",
    "sourcing": "sourcing.refused",
}
FUNDED = {"auto_order.funded": "order", "tracking_conversion.funded": "tracking", "sourcing.funded": "sourcing"}
CROSSINGS = ("balance.low", "balance.depleted", "balance.replenished")

Detail = dict[str, Any]


def check_events(before: Page | None, page: Page) -> None:
    """Each entry gives its event, each hold from the queue one more, each crossing of the page at most one. No others.

    Raises Violation.
    """
    told: list[tuple[str, Detail]] = [(event.type, json.loads(event.detail)) for event in bus_events(page)]
    entered = [(type_, detail) for type_, detail in told if type_ not in (*FUNDED, *CROSSINGS)]
    found = [(type_, detail["id"], _amounts(detail)) for type_, detail in entered]
    expect("events", found == list(_expected(page)), (found, page))
    _check_funded(page, [(type_, detail) for type_, detail in told if type_ in FUNDED])
    crossed = [type_ for type_, _ in told if type_ in CROSSINGS]
    expect("events", Counter(crossed) == Counter(_crossed(before, page)), (crossed, page))


def _amounts(detail: Detail) -> tuple[int, int]:
    return cents(detail["posted"] or "0.00"), cents(detail["held"] or "0.00")


def _expected(page: Page) -> Iterator[tuple[str, str, tuple[int, int]]]:
    for index, entry in enumerate(page.entries):
        yield _type_of(entry), f"{page.account_id}/{page.version}.{index}", (entry.posted, entry.held)


def _type_of(entry: Entry) -> str:
    if entry.kind in ("opened", "standing"):
        return f"account.{entry.kind}"
    if entry.kind == "declined":
        return "purchase.declined"
    return OF_REFUSALS[entry.part or ""] if entry.kind == "refused" else f"credits.{entry.kind}"


def _check_funded(page: Page, told: Sequence[tuple[str, Detail]]) -> None:
    """What the funded events say was set aside is what was held without a key, each hundredth once."""
    held, said = Counter[tuple[str, ...]](), Counter[tuple[str, ...]]()
    begun = Counter[str]()
    for entry in page.entries:
        if entry.kind == "held" and entry.part and entry.key is None:
            work = entry.order_id or entry.product_id or ""
            part = "managed" if entry.unit == "managed" else entry.part
            held[work, f"{entry.attempt}", part] += entry.held
            begun[entry.part] += entry.unit == "auto_order"
    for type_, detail in told:
        work = detail.get("order_id") or detail["product_id"]
        first = FUNDED[type_]
        expect("events", first in detail["parts"] and detail["part"] == first, detail)
        for part, amount in detail["parts"].items():
            said[work, f"{detail['attempt']}", part] += cents(amount)
        said[work, f"{detail['attempt']}", "managed"] += cents(detail["managed"])
        expect("events", cents(detail["credits"]) == sum(map(cents, detail["parts"].values())), detail)
    expect("events", +said == +held, (said, held))
    count = Counter(FUNDED[type_] for type_, _ in told)
    whole = all(count[part] == begun[part] for part in ("order", "sourcing"))
    expect("events", whole and count["tracking"] <= begun["tracking"], (count, begun))


def _crossed(before: Page | None, page: Page) -> Iterator[str]:
    """What available credits crossed, from the page before to this one, by the threshold that holds after it."""
    was = before.state.balance("auto_order").available() if before else 0
    now, threshold = page.state.balance("auto_order").available(), page.state.low_balance
    if threshold is not None and now < threshold <= was:
        yield "balance.low"
    if now <= 0 < was:
        yield "balance.depleted"
    short = [available <= 0 if threshold is None else available < threshold for available in (was, now)]
    if short == [True, False]:
        yield "balance.replenished"


def check_bus(world: World) -> None:
    """All that the stream showed is on the bus, or still to be told; all that is there was committed.

    Raises Violation.
    """
    pages = world.stream[: world.streamed]
    waiting = [json.loads(body) for body in (*world.unpublished, *world.given_up)]
    left = {(one["account_id"], one["version"]) for one in waiting}
    there = set(world.bus)
    for page in pages:
        whole = there.issuperset(bus_events(page))
        expect("bus", whole or (page.account_id, page.version) in left, (page.version, world.bus))
    committed = {event for page in world.stream for event in bus_events(page)}
    expect("invented", there <= committed, there - committed)
