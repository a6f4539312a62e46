"""Tables torn at random on a real engine, as a point-in-time restore may leave them: mended, they serve again.

A story of random requests, messages and payments is torn somewhere in its last steps: the journal ends at one moment,
and every record is as it was at a moment of its own.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import pytest

from autocredits.adapters.dynamo import DynamoStore, place_of, record_of
from autocredits.domain.accounts import OpenAccount
from autocredits.domain.decide import Command
from autocredits.domain.journal import Entered
from autocredits.domain.purchases.calls import CancelPurchase
from autocredits.domain.purchases.fulfil import Fulfil, as_entered
from autocredits.domain.purchases.record import Purchase
from autocredits.domain.records import Record, RecordKey
from autocredits.domain.work.calls import ResendOrder
from autocredits.domain.work.rebuild import disagreements, work_of_entries
from autocredits.domain.work.record import Work
from dev.restore.check import DONE
from dev.restore.journals import keys_of
from functions.purchase.checkout import purchase_id_of
from tests.engines.restored import Items, Table, is_page, open_lines
from tests.kit.builders import (
    ACCOUNT_ID,
    CATALOG,
    NOW_MS,
    PLATFORM,
    accepted,
    adjust,
    capture,
    completed,
    conversion,
    conversion_failed,
    debit,
    failed,
    hold,
    idempotency,
    order,
    placed,
    product,
    queue_order,
    rejected,
    release,
    requested,
    sourcing,
)
from tests.kit.engines import Endpoint, client_of, make_table
from tests.kit.figures import seed, size, tally
from tests.kit.purchases import PRICE, cancel, checkout, fulfil, start

RUNS = size(test=25, prove=2000)
STEPS = 30
TORN_STEPS = 8
OTHER = "untouched"

ONLY_TOLD = {"purchase.missing", "payment.purchase_lost"}
"""What nothing can mend: terms that are lost."""

TRACKING = ("none", "bce", "qtrack")
COUPONS = (None, "FREE", "TEN", "MORE")


@dataclass(slots=True)
class Story:
    """What happened on a table: each step's command, and the table after it."""

    table: Table
    random: Random
    told: list[Command] = field(default_factory=list)
    after: list[Items] = field(default_factory=list)

    def happen(self) -> None:
        """Let it happen, beside an account that nothing happens to."""
        self.table.begin()
        self.table.do(OpenAccount(PLATFORM, "active"), OTHER)
        self.table.do(debit(order()), OTHER)
        for number in range(STEPS):
            self.told.append(self.command(str(number)))
            self.table.do(self.told[-1])
            self.after.append(self.table.items())

    def command(self, number: str) -> Command:
        """Any command on one of a few orders, products and purchases."""
        pick = self.random.choice
        name, tracking, kind = pick(("o1", "o2", "o3")), pick(TRACKING), pick(("auto", "auto", "fba"))
        buys, coupon = f"buys {pick('ab')}", pick(COUPONS)
        bought = purchase_id_of(ACCOUNT_ID, buys)
        work, key = order(name, kind, tracking), idempotency(f"key {number}")
        converted = pick(TRACKING[1:])
        choices: list[Callable[[], Command]] = [
            lambda: debit(work, key),
            lambda: hold(work, key),
            lambda: queue_order(work, key),
            lambda: adjust("auto_order", 7, key),
            lambda: debit(product(pick(("p1", "p2"))), key),
            lambda: requested(name, tracking, kind),
            lambda: requested(name, tracking, kind, attempt=pick((1, 2))),
            lambda: capture(name, pick((1, 2)), parts=pick((None, ["order"], ["tracking"]))),
            lambda: release(name, pick((1, 2)), parts=pick((None, ["tracking"]))),
            lambda: placed(name),
            lambda: failed(name),
            lambda: ResendOrder(PLATFORM, name, f"request {number}"),
            lambda: conversion(name, converted),
            lambda: conversion("m1", converted, order_type="manual"),
            lambda: completed(pick((name, "m1"))),
            lambda: conversion_failed(pick((name, "m1"))),
            lambda: sourcing(pick(("p1", "p2"))),
            lambda: pick((accepted, rejected))(pick(("p1", "p2"))),
            lambda: start(bought, idempotency=idempotency(buys), coupon=coupon),
            lambda: checkout(bought),
            lambda: cancel(bought, coupon=coupon_of(bought, self.table)),
            lambda: self.payment(bought),
            lambda: self.payment(bought),
        ]
        return pick(choices)()

    def payment(self, bought: str) -> Command:
        """News of a payment."""
        coupon = coupon_of(bought, self.table)
        paid = 3591 if coupon == "TEN" else PRICE
        news = (("paid", paid), ("refunded", 1000), ("dispute_created", 500), ("dispute_lost", 500), ("declined", 0))
        kind, amount = self.random.choice((("paid", paid), *news))
        return fulfil(kind, amount, purchase_id=bought, payment_id=f"of {bought}", coupon=coupon)

    def torn(self) -> Items:
        """The table as a restore may leave it: the journal up to one of the last steps, each record up to another."""
        journal = self.moment()
        places = {place for items in self.after for place in items}
        cut = {place: journal if is_page(place) else self.moment() for place in sorted(places)}
        return {place: self.after[at][place] for place, at in cut.items() if place in self.after[at]}

    def moment(self) -> int:
        """One of the last steps."""
        return len(self.after) - 1 - self.random.randrange(TORN_STEPS)


def coupon_of(bought: str, table: Table) -> str | None:
    """The coupon of a purchase, which a command has to know beforehand."""
    record = table.store.read(ACCOUNT_ID, [("purchase", bought)]).get(("purchase", bought))
    return record.coupon if isinstance(record, Purchase) else None


def with_coupon(command: Command, table: Table) -> Command:
    """The command as it would be made now."""
    if isinstance(command, CancelPurchase):
        return replace(command, coupon=coupon_of(command.purchase_id, table))
    if isinstance(command, Fulfil):
        return replace(command, coupon=coupon_of(command.event.purchase_id, table))
    return command


@dataclass(frozen=True, slots=True)
class Books:
    """All entries of an account, by the records that they name, and those records."""

    entered: dict[RecordKey, list[Entered]]
    records: dict[RecordKey, Record]

    def of(self, kind: type[Any]) -> Iterator[tuple[Any, list[Entered]]]:
        """The records of a kind, each with its entries."""
        for key, record in self.records.items():
            if isinstance(record, kind):
                yield record, self.entered.get(key, [])


def books(table: Table) -> Books:
    """The account's books, as they are stored."""
    entered: defaultdict[RecordKey, list[Entered]] = defaultdict(list)
    for page in table.pages():
        for index, entry in enumerate(page.entries):
            for key in keys_of(entry):
                entered[key].append(Entered(page.version, index, page.at, entry))
    records: dict[RecordKey, Record] = {}
    for item in table.items().values():
        place = place_of(item)
        assert place is not None
        if place.key is not None and place.account_id == ACCOUNT_ID:
            records[place.key] = record_of(place.key, item)
    return Books(entered, records)


def check_agreement(told: Books) -> None:
    """Every record says what the journal says, and every entry has its record."""
    for work, found in told.of(Work):
        assert disagreements(work, work_of_entries(found)) == [], work
    for purchase, found in told.of(Purchase):
        assert as_entered(purchase, found, 0) == purchase
    for key, found in told.entered.items():
        assert key in told.records or key[0] == "purchase", key
        assert key[0] != "key" or len({one.version for one in found}) == 1, f"{key} was charged twice"


def check_charges(told: Books) -> None:
    """Nothing was charged twice: what left the balance for a piece of work is the price of what it was charged for."""
    for work, found in told.of(Work):
        taken = -sum(one.entry.posted for one in found if one.entry.unit == "auto_order")
        assert taken == work.credits == sum(price_of(work, charge) for charge in work.charged)
        ended = Counter(one.entry.part for one in found if one.entry.kind == "captured" and one.entry.attempt)
        assert ended["order"] <= 2, "once per unit"
    for purchase, found in told.of(Purchase):
        credited = sum(one.entry.posted for one in found)
        assert credited == (purchase.total_credits() - purchase.clawed_back if purchase.granted else 0)
        assert credited <= purchase.total_credits()


def price_of(work: Work, charge: str) -> int:
    """What a charge costs."""
    card = CATALOG.card_at(NOW_MS)
    part, _, tracking = charge.partition(":")
    return card.sourcing if part == "sourcing" else card.parts(work.order_type or "", tracking or "none")[part]


@pytest.fixture(scope="module")
def client(endpoint: Endpoint) -> Any:
    """A client of the engine."""
    return client_of(endpoint("dynoxide"))


@pytest.mark.parametrize("run", range(RUNS))
def test_a_table_that_is_torn_at_random_serves_again_once_it_is_mended(run: int, client: Any) -> None:
    """All records agree, another repair finds nothing, requests and messages come again, and nothing counts twice."""
    story = Story(Table(DynamoStore(client, make_table(client))), Random(f"{seed()} {run}"))
    story.happen()
    torn = story.torn()
    table = Table(DynamoStore(client, make_table(client)), story.table.clock)
    table.put(torn)
    lines = table.check(repair=True)
    assert {line.what for line in open_lines(lines)} <= ONLY_TOLD
    mended = table.items()
    check_agreement(books(table))
    check_charges(books(table))
    untouched = {place for place in torn if place[0].startswith(f"account#{OTHER}")}
    assert len(untouched) > 3
    assert {place: mended[place] for place in untouched} == {place: torn[place] for place in untouched}
    again = table.check(repair=True)
    assert not [line for line in again if line.did in DONE]
    assert table.items() == mended

    table.poll()
    for _ in range(2):
        for command in story.told[-TORN_STEPS:]:
            assert table.do(with_coupon(command, table)) != "try_again", command
        table.poll()
    assert {line.what for line in open_lines(table.check())} <= ONLY_TOLD
    check_agreement(books(table))
    check_charges(books(table))
    assert table.do(debit(order("new", tracking="bce"))) == "debited"
    tally(restored_tables=1, mended_records=sum(line.did in DONE for line in lines))
