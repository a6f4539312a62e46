"""A table whose transactions a restore has torn, on a real engine: what is found, mended, and made again.

Each case runs commands and tears the last one's transaction in every way: of what it wrote, any part may be there and
the rest as it was before.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain, combinations
from typing import Any, ClassVar, cast

import pytest

from autocredits.adapters.dynamo import DynamoStore
from autocredits.domain.accounts import OpenAccount
from autocredits.domain.decide import Command
from autocredits.domain.purchases.calls import PlanPoll
from autocredits.domain.purchases.fulfil import PaymentEvent
from autocredits.domain.purchases.record import Purchase
from autocredits.domain.state import Balance
from autocredits.domain.work.calls import ResendOrder
from autocredits.domain.work.expiry import ExpireHold
from autocredits.domain.work.record import Work
from autocredits.ledger.auditing import audit
from autocredits.ledger.commit import Ledger
from autocredits.ledger.walking import walk_on
from dev.restore.check import DONE, Line, ServingError
from functions.purchase.checkout import purchase_id_of
from functions.purchase.payments.port import Provider
from tests.engines.restored import Items, Place, Table, is_page, open_lines
from tests.kit.builders import (
    ACCOUNT_ID,
    CATALOG,
    PLATFORM,
    accepted,
    adjust,
    capture,
    completed,
    conversion,
    debit,
    failed,
    hold,
    idempotency,
    order,
    placed,
    product,
    queue_order,
    release,
    requested,
    sourcing,
)
from tests.kit.engines import Endpoint, client_of, make_table
from tests.kit.forms import RELEASES, kept
from tests.kit.purchases import PRICE, cancel, checkout, fulfil, review, start

BUYS = "key-of-b1"
PURCHASE = purchase_id_of(ACCOUNT_ID, BUYS)


def buy(**values: Any) -> Command:
    """The start of the purchase."""
    return start(PURCHASE, idempotency=idempotency(BUYS), **values)


Story = list[Callable[[], Command]]

BUY: Story = [
    buy,
    lambda: checkout(PURCHASE),
    lambda: fulfil("paid", purchase_id=PURCHASE),
]

CASES: dict[str, Story] = {
    "a debit": [lambda: debit(order(tracking="bce"))],
    "a debit of managed balance": [lambda: debit(order(order_type="fba", tracking="bce"))],
    "a hold": [lambda: hold(order(tracking="bce"))],
    "a capture": [lambda: hold(order(order_type="fba", tracking="bce")), lambda: capture(managed=2000)],
    "a capture of a part": [lambda: hold(order(tracking="bce")), lambda: capture(parts=["order"])],
    "a release": [lambda: hold(order(tracking="bce")), release],
    "a request": [lambda: requested(tracking="bce")],
    "a queued order": [lambda: queue_order(order(tracking="bce")), lambda: requested(tracking="bce", attempt=1)],
    "a result": [lambda: requested(tracking="bce"), placed],
    "a failure": [lambda: requested(tracking="bce"), failed],
    "a new attempt": [requested, failed, lambda: requested(tracking="bce")],
    "a conversion": [requested, placed, conversion],
    "a manual conversion": [lambda: conversion(order_type="manual")],
    "a converted order": [requested, placed, conversion, completed],
    "sourcing": [sourcing],
    "accepted sourcing": [sourcing, accepted],
    "an adjustment": [lambda: adjust("finder", 700)],
    "a grant": BUY,
    "a refund": [*BUY, lambda: fulfil("refunded", 1000, purchase_id=PURCHASE)],
    "a dispute": [*BUY, lambda: fulfil("dispute_created", PRICE, purchase_id=PURCHASE)],
    "a lost dispute": [
        *BUY,
        lambda: fulfil("dispute_created", PRICE, purchase_id=PURCHASE),
        lambda: fulfil("dispute_lost", PRICE, purchase_id=PURCHASE),
    ],
    "a free purchase": [lambda: buy(coupon="FREE")],
    "a sourcing debit": [lambda: debit(product())],
    "a hold that expires": [lambda: hold(order(tracking="bce"), lasts_ms=500), lambda: ExpireHold("order", "o1")],
    "an order that is queued": [lambda: queue_order(order(tracking="bce"))],
    "an order that is queued again": [requested, failed, lambda: queue_order(order(tracking="bce"))],
    "a start": [buy],
    "a start with a coupon": [lambda: buy(coupon="TEN")],
    "a start with an unlimited coupon": [lambda: buy(coupon="MORE")],
    "a grant with a coupon": [
        lambda: buy(coupon="TEN"),
        lambda: checkout(PURCHASE),
        lambda: fulfil("paid", 3591, purchase_id=PURCHASE, coupon="TEN"),
    ],
    "a cancellation": [lambda: buy(coupon="TEN"), lambda: cancel(PURCHASE, coupon="TEN")],
    "a payment in review": [*BUY[:2], lambda: fulfil("paid", 1, purchase_id=PURCHASE)],
    "a decline": [*BUY[:2], lambda: fulfil("declined", purchase_id=PURCHASE)],
    "a credit by hand": [
        *BUY[:2],
        lambda: fulfil("paid", 1, purchase_id=PURCHASE),
        lambda: review("credit", PURCHASE, request_id="r1"),
    ],
}


@pytest.fixture(scope="module")
def client(endpoint: Endpoint) -> Any:
    """A client of the engine."""
    return client_of(endpoint("dynoxide"))


@pytest.fixture
def tables(client: Any) -> Callable[[], Table]:
    """New tables on the engine."""
    return lambda: Table(DynamoStore(client, make_table(client)))


@dataclass(frozen=True, slots=True)
class Torn:
    """What a case's last command did: the table before and after it, and the command to be made again."""

    before: Items
    after: Items
    again: Command
    at_ms: int
    balances: Mapping[str, Balance]

    def written(self) -> list[Place]:
        """The items that the last transaction wrote."""
        return [place for place, item in self.after.items() if item != self.before.get(place)]

    def ways(self) -> Iterator[tuple[Place, ...]]:
        """Each set of items that may have come through without the others."""
        written = self.written()
        return chain.from_iterable(combinations(written, size) for size in range(1, len(written)))


def story(table: Table, commands: Story) -> Torn:
    """Let the case happen."""
    table.begin()
    *first, last = [command() for command in commands]
    for command in first:
        assert table.do(command) not in {"try_again", "not_yet"}
    before = table.items()
    assert table.do(last) not in {"try_again", "not_yet"}
    return Torn(before, table.items(), last, table.clock.at_ms, table.balances())


def test_the_walk_over_all_accounts_is_no_finding(tables: Callable[[], Table]) -> None:
    """Its record is known, and left as it was restored; however old it is, accounts are at worst looked at again."""
    table = tables()
    table.begin()
    ledger = Ledger(table.store, table.clock, CATALOG)
    assert walk_on(ledger, lambda _: True, 0).accounts == 1
    before = table.items()
    assert ("walk#audit", "walk") in before
    assert list(table.check(repair=True)) == []
    assert table.items() == before


@pytest.mark.parametrize("case", CASES)
def test_a_torn_transaction_is_mended_and_can_be_made_again(case: str, tables: Callable[[], Table]) -> None:
    """Whatever of it came through: it is found and mended, a second run changes nothing, and all is charged once."""
    whole = tables()
    torn = story(whole, CASES[case])
    assert len(torn.written()) > 1
    assert open_lines(whole.check()) == []
    for way in torn.ways():
        table = tables()
        table.clock.at_ms = torn.at_ms
        table.put({**torn.before, **{place: torn.after[place] for place in way}})
        found = table.check()
        assert not any(line.did != "reported" for line in found)
        repaired = table.check(repair=True)
        assert [replace(line, did="reported") for line in repaired] == found
        mended = table.items()
        left = table.check(repair=True)
        assert not [line for line in left if line.did in DONE]
        assert table.items() == mended
        only_told = {"purchase.missing", "payment.purchase_lost"}
        assert {line.what for line in open_lines(left)} <= only_told
        table.poll()
        told = table.do(torn.again)
        table.poll()
        assert table.balances() == torn.balances, (way, told, repaired)
        assert {line.what for line in open_lines(table.check())} <= only_told, (way, told)


def test_a_page_without_its_records_is_always_found(tables: Callable[[], Table]) -> None:
    """And records without their page as well."""
    for case, commands in CASES.items():
        torn = story(tables(), commands)
        pages = [place for place in torn.written() if is_page(place)]
        if not pages:
            continue
        for way in (pages, [place for place in torn.written() if place not in pages]):
            table = tables()
            table.put({**torn.before, **{place: torn.after[place] for place in way}})
            assert open_lines(table.check()), (case, way)


def test_the_request_of_a_lost_page_is_like_new(tables: Callable[[], Table]) -> None:
    """A debit whose page is lost: with its key it was a 500 for ever; repaired, it is charged."""
    torn = story(tables(), CASES["a debit"])
    table = tables()
    table.put({place: item for place, item in torn.after.items() if place[1] != "page#000000000004"})
    assert {line.what for line in table.check()} == {"key.page_lost", "work.newer"}
    assert {line.did for line in table.check(repair=True)} == {"removed"}
    assert table.do(torn.again) == "debited"
    assert table.do(torn.again) == "replayed"
    assert table.balances() == torn.balances


def test_an_order_that_is_lost_is_queued_again_by_its_key(tables: Callable[[], Table]) -> None:
    """Nothing in the table tells of it, but a retry with the same key does, and is answered as before."""
    torn = story(tables(), CASES["an order that is queued"])
    table = tables()
    table.put({place: item for place, item in torn.after.items() if place[1] != "work"})
    assert table.check(repair=True) == []
    assert [table.do(torn.again), table.do(torn.again)] == ["queued", "replayed"]
    assert isinstance(table.store.read(ACCOUNT_ID, [("order", "o1")])["order", "o1"], Work)


def test_a_purchase_that_is_lost_is_started_again_by_its_key(tables: Callable[[], Table]) -> None:
    """It is the same purchase, by the same id, so that its provider knows it."""
    torn = story(tables(), CASES["a start"])
    table = tables()
    table.put({place: item for place, item in torn.after.items() if place[1] != "purchase"})
    assert table.check(repair=True) == []
    assert [table.do(torn.again), table.do(torn.again)] == ["pending", "replayed"]
    assert isinstance(table.store.read(ACCOUNT_ID, [("purchase", PURCHASE)])["purchase", PURCHASE], Purchase)


def test_a_purchase_whose_key_is_lost_is_not_started_anew(tables: Callable[[], Table]) -> None:
    """It is credited, and stays so."""
    torn = story(tables(), CASES["a grant"])
    table = tables()
    table.put({place: item for place, item in torn.after.items() if place[0] != f"account#{ACCOUNT_ID}#key#{BUYS}"})
    assert table.check(repair=True) == []
    assert [table.do(buy()), table.do(buy())] == ["credited", "replayed"]
    assert table.balances() == torn.balances


def test_records_of_an_account_without_a_journal_are_told(tables: Callable[[], Table]) -> None:
    """The account has to be opened again; what its pages did is undone."""
    torn = story(tables(), [buy, lambda: debit(order())])
    table = tables()
    table.put({place: item for place, item in torn.after.items() if not is_page(place)})
    lines = table.check(repair=True)
    assert ("account.lost", "reported") in {(line.what, line.did) for line in lines}
    assert {line.what for line in open_lines(lines)} == {"account.lost"}
    assert table.do(OpenAccount(PLATFORM, "active")) == "opened"
    assert open_lines(table.check()) == []
    assert table.do(torn.again) == "debited"


def test_a_resent_order_whose_page_is_lost_can_be_resent(tables: Callable[[], Table]) -> None:
    """It has failed again, as the journal says: nothing tells whether it was resent or asked for anew."""
    resent: Story = [requested, failed, lambda: ResendOrder(PLATFORM, "o1", "r1"), lambda: requested(attempt=2)]
    torn = story(tables(), resent)
    table = tables()
    table.put({place: item for place, item in torn.after.items() if place[1] != "page#000000000006"})
    assert [(line.what, line.did) for line in table.check(repair=True)] == [("work.newer", "set back")]
    assert table.do(torn.again) == "duplicate"
    assert table.do(ResendOrder(PLATFORM, "o1", "r2")) == "resent"
    assert table.do(torn.again) == "held"
    assert table.balances() == torn.balances


def test_an_adjustment_whose_key_is_lost_is_not_made_twice(tables: Callable[[], Table]) -> None:
    """Its key is put back, without the request that nobody knows any more."""
    torn = story(tables(), CASES["an adjustment"])
    table = tables()
    lost = [place for place in torn.written() if place[1] == "key"]
    table.put({place: item for place, item in torn.after.items() if place not in lost})
    assert [(line.what, line.did) for line in table.check(repair=True)] == [("key.missing", "added")]
    assert table.do(torn.again) == "idempotency_key_reused"
    assert table.balances() == torn.balances


@pytest.mark.parametrize("damage", ["gap", "hash"])
def test_a_broken_journal_is_told_and_nothing_is_mended_by_it(damage: str, tables: Callable[[], Table]) -> None:
    """Later pages have the lost one's sums in them: what it charged is charged."""
    torn = story(tables(), [*CASES["a debit"], lambda: adjust("finder", 1)])
    table = tables()
    table.put(torn.after)
    place = (f"account#{ACCOUNT_ID}", "page#000000000004")
    if damage == "gap":
        key = {"pk": {"S": place[0]}, "sk": {"S": place[1]}}
        table.store.client.delete_item(TableName=table.store.table_name, Key=key)
    else:
        table.put({place: {**torn.after[place], "at": {"N": "1"}}})
    before = table.items()
    lines = table.check(repair=True)
    assert f"journal.{damage}" in {line.what for line in lines}
    assert {line.did for line in lines} == {"reported"}
    assert table.items() == before


def test_several_requests_of_several_accounts_are_mended_at_once(tables: Callable[[], Table]) -> None:
    """The newest pages of many accounts are lost."""
    table = tables()
    accounts = [f"account-{number}" for number in range(30)]
    for account_id in accounts:
        table.do(OpenAccount(PLATFORM, "active"), account_id)
        table.do(debit(order(), idempotency(f"k1-{account_id}")), account_id)
        table.do(debit(order("o2"), idempotency(f"k2-{account_id}")), account_id)
        for version in (2, 3):
            key = {"pk": {"S": f"account#{account_id}"}, "sk": {"S": f"page#{version:012d}"}}
            table.store.client.delete_item(TableName=table.store.table_name, Key=key)
    lines = table.check(repair=True)
    assert len(lines) == 4 * 30
    assert {line.did for line in lines} == {"removed"}
    assert table.check() == []


def test_an_audit_that_came_further_than_the_journal_is_done_again(tables: Callable[[], Table]) -> None:
    """Its day is removed, the account is audited anew, and nobody is suspended for pages that are lost."""
    table = tables()
    table.begin()
    ledger = Ledger(table.store, table.clock, CATALOG)
    before = table.items()
    table.do(debit(order()))
    audit(ledger, ACCOUNT_ID)
    lost = [place for place in table.items() if place not in before and not place[1].startswith("day#")]
    table.delete(*lost)
    [line] = open_lines(table.check())
    assert line.what == "day.ahead"
    table.check(repair=True)
    assert not open_lines(table.check())
    table.do(debit(order()))
    assert audit(ledger, ACCOUNT_ID).findings == []
    assert table.pages()[-1].state.status == "active"


def test_a_table_that_is_still_written_to_is_not_repaired(tables: Callable[[], Table]) -> None:
    """Its newest page or record is young; it is checked all the same."""
    torn = story(tables(), CASES["a debit"])
    table = tables()
    table.clock.at_ms = torn.at_ms
    table.put({place: item for place, item in torn.after.items() if place[1] != "page#000000000004"})
    before = table.items()
    with pytest.raises(ServingError):
        table.check(repair=True, later_ms=60_000)
    assert table.items() == before
    assert len(table.check(later_ms=60_000)) == 2


@dataclass(frozen=True, slots=True)
class Knows:
    """A provider that knows a purchase as paid."""

    name: ClassVar[str] = "paypal"

    def poll(self, account_id: str, purchase: Purchase) -> list[PaymentEvent]:  # noqa: ARG002 - the port's form
        """It was paid."""
        return [PaymentEvent(provider="paypal", type="paid", purchase_id=purchase.purchase_id, payment_id="pay1")]


def test_a_purchase_that_its_provider_knows_as_paid_is_due_at_once(tables: Callable[[], Table]) -> None:
    """And one whose provider cannot be asked is named."""
    table = tables()
    story(table, BUY[:2])
    (line,) = table.check()
    assert (line.what, line.is_open()) == ("purchase.not_asked", False)
    table.provider = cast("Provider", Knows())
    table.clock.at_ms += 7_200_000
    assert table.do(PlanPoll(purchase_id=PURCHASE)) == "polled"
    lines = table.check(repair=True, later_ms=1_800_000)
    assert [(line.what, line.did) for line in lines] == [("purchase.paid", "set back")]
    record = table.store.read(ACCOUNT_ID, [("purchase", PURCHASE)])["purchase", PURCHASE]
    assert isinstance(record, Purchase)
    assert record.poll_at == table.clock.now_ms() + 1_800_000
    (line,) = table.check(repair=True)
    assert (line.what, line.did, line.is_open()) == ("purchase.due", "reported", False)


def test_what_every_release_wrote_is_clean(tables: Callable[[], Table]) -> None:
    """The tables of earlier releases have nothing torn in them."""
    for release_ in RELEASES:
        table = tables()
        table.put(by_place(kept(release_)))
        assert open_lines(table.check(later_ms=10**12)) == [], release_


@pytest.mark.parametrize("release_", RELEASES)
def test_keys_that_are_lost_are_put_back_as_they_were(release_: str, tables: Callable[[], Table]) -> None:
    """An entry tells the request of a debit, a hold or an adjustment; of a free purchase the request is not known."""
    table, whole = tables(), by_place(kept(release_))
    lost = {place: item for place, item in whole.items() if place[1] == "key" and "count" in item}
    table.put({place: item for place, item in whole.items() if place not in lost})
    lines = table.check(repair=True, later_ms=10**12)
    assert {(line.what, line.did) for line in open_or_done(lines)} == {("key.missing", "added")}
    again = table.items()
    for place, item in lost.items():
        there = dict(again[place])
        if "hash" not in item:
            del there["hash"]
        if place[0].endswith("free"):
            assert there["fingerprint"] == {"S": "unknown"}
            there["fingerprint"] = item["fingerprint"]
        assert there == item


def by_place(items: list[dict[str, Any]]) -> Items:
    """Items by their primary keys."""
    return {(item["pk"]["S"], item["sk"]["S"]): item for item in items}


def open_or_done(lines: list[Line]) -> list[Line]:
    """What is not just told."""
    return [line for line in lines if line.is_open() or line.did in DONE]
