"""Lists of orders and purchases: newest first, by status, in pages that neither skip nor repeat."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autocredits.domain.access import Caller
from autocredits.domain.decide import Command
from autocredits.domain.purchases.calls import PurchaseRequest, StartPurchase
from autocredits.domain.purchases.record import Purchase
from autocredits.domain.records import RecordKey, RecordList, Records
from autocredits.domain.work.record import ORDERS_BY_STATUS
from autocredits.ledger.lists import MAX_RECORDS, list_orders, list_purchases, read_purchase, read_work
from autocredits.ledger.ports import Listed, Store
from tests.kit.builders import (
    ACCOUNT_ID,
    NOW_MS,
    PLATFORM,
    Account,
    completed,
    failed,
    idempotency,
    merchant,
    opened,
    order,
    placed,
    product,
    queue_order,
    requested,
    sourcing,
)
from tests.kit.memory import MemoryStore
from tests.kit.purchases import CARD
from tests.kit.spied import Spied

STATUSES = ("queued", "processing", "ordered", "shipped", "failed")
BOUND = merchant(store_id="s1")


@dataclass(slots=True)
class Counting(MemoryStore):
    """A view of a store that counts its reads and the records that are asked for."""

    asked: Counter[str] = field(default_factory=Counter)

    def read(self, account_id: str, keys: Sequence[RecordKey]) -> Records:
        """Count the records."""
        self.asked["records"] += len(keys)
        self.asked["reads"] += 1
        return MemoryStore.read(self, account_id, keys)


def counted(account: Account) -> Counting:
    """A counting view of the account's store."""
    return Counting(account.store.pages, account.store.records)


def commands_to(status: str, order_id: str, store_id: str) -> list[Command]:
    """What brings a new order to the status."""
    if status == "queued":
        return [queue_order(order(order_id, store_id=store_id))]
    request = requested(order_id, "bce", store_id=store_id)
    last: dict[str, list[Command]] = {
        "processing": [],
        "ordered": [placed(order_id)],
        "shipped": [placed(order_id), completed(order_id)],
        "failed": [failed(order_id)],
    }
    return [request, *last[status]]


def add(
    account: Account, order_id: str, status: str = "processing", store_id: str = "s1", *, later_ms: int = 1
) -> None:
    """A new order in the status, made so much later than what was before."""
    account.clock.at_ms += later_ms
    for command in commands_to(status, order_id, store_id):
        account.do(command)


def filled(*orders: tuple[str, str], later_ms: int = 1) -> Account:
    """An account with orders o000, o001 … of these statuses and stores, oldest first."""
    account = opened(1_000_000)
    for number, (status, store_id) in enumerate(orders):
        add(account, f"o{number:03}", status, store_id, later_ms=later_ms)
    return account


def ids(
    account: Account,
    status: str | None = None,
    *,
    caller: Caller = PLATFORM,
    start: str = "",
    limit: int = 100,
    store: MemoryStore | None = None,
) -> tuple[list[str], str | None]:
    """The ids in one page of a list, and where it goes on."""
    works, position = list_orders(store or account.store, ACCOUNT_ID, caller, status, start=start, limit=limit)
    return [work.work_id for work in works], position


def pages(
    account: Account, status: str | None = None, *, caller: Caller = PLATFORM, limit: int = 100
) -> list[list[str]]:
    """All pages of a list, by its cursors."""
    found: list[list[str]] = []
    position: str | None = ""
    while position is not None:
        page, position = ids(account, status, caller=caller, start=position, limit=limit)
        found.append(page)
        assert len(found) <= 1000
    return found


def joined(found: list[list[str]]) -> list[str]:
    """The ids of all pages."""
    return [order_id for page in found for order_id in page]


def test_no_orders() -> None:
    """An empty list ends at once, with every filter."""
    account = opened(1000)
    for status in (None, *STATUSES):
        assert ids(account, status) == ([], None)


def test_orders_are_listed_newest_first() -> None:
    """By when they were made, whatever became of them since."""
    account = filled(*[("processing", "s1")] * 3)
    account.clock.at_ms += 1000
    account.do(placed("o000"))
    assert ids(account) == (["o002", "o001", "o000"], None)


def test_products_and_other_accounts_orders_are_not_listed() -> None:
    """A list has the orders of its account alone."""
    account = filled(("processing", "s1"))
    account.do(sourcing("p1"))
    other = opened(1000, account=Account(store=account.store, account_id="other"))
    other.do(queue_order(order("o999")))
    assert product("p1").key() in {work.key() for work in account.works()}
    assert ids(account) == (["o000"], None)


@pytest.mark.parametrize("status", STATUSES)
def test_each_status_has_a_list(status: str) -> None:
    """Of the orders that have it now, newest first."""
    account = filled(*[(one, "s1") for one in STATUSES + STATUSES])
    place = STATUSES.index(status)
    assert ids(account, status) == ([f"o{place + 5:03}", f"o{place:03}"], None)


@pytest.mark.parametrize("status", ["queued", "failed"])
def test_queued_and_failed_orders_are_listed_by_when_they_became_so(status: str) -> None:
    """An order that failed late stands before a newer one that failed early."""
    account = filled(("processing", "s1"), (status, "s1"))
    account.clock.at_ms += 1000
    account.do(failed("o000"))
    if status == "queued":
        account.clock.at_ms += 1000
        account.do(queue_order(order("o000")))
    assert ids(account, status)[0] == ["o000", "o001"]


def test_an_order_that_leaves_a_status_leaves_its_list() -> None:
    """And stands in that of its next one."""
    account = filled(("queued", "s1"))
    assert [ids(account, status)[0] for status in ("queued", "processing")] == [["o000"], []]
    account.do(requested("o000"))
    assert [ids(account, status)[0] for status in ("queued", "processing")] == [[], ["o000"]]


@pytest.mark.parametrize("status", [None, *STATUSES])
@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 100])
def test_cursors_neither_skip_nor_repeat(status: str | None, limit: int) -> None:
    """Whatever the page's size, the pages together are the whole list; none is longer than wanted."""
    account = filled(*[(one, "s1") for one in STATUSES * 4])
    wanted = [work.work_id for work in account.works() if status in (None, work.status)]
    found = pages(account, status, limit=limit)
    assert joined(found) == sorted(wanted, reverse=True)
    assert all(len(page) == limit for page in found[:-1])
    assert len(found[-1]) <= limit


def test_a_list_that_ends_with_a_full_page_has_no_further_cursor() -> None:
    """So that nobody asks for an empty page."""
    account = filled(*[("processing", "s1")] * 4)
    assert ids(account, limit=4)[1] is None
    assert ids(account, limit=3)[1] is not None


def test_orders_of_one_millisecond_are_told_apart() -> None:
    """Their ids decide, so a cursor between them neither skips nor repeats."""
    account = filled(*[("failed", "s1")] * 5, later_ms=0)
    for status in (None, "failed"):
        assert joined(pages(account, status, limit=2)) == ["o004", "o003", "o002", "o001", "o000"]


def test_an_order_made_while_somebody_reads_on_is_not_in_the_way() -> None:
    """It stands before the cursor; what comes after it is as it was."""
    account = filled(*[("processing", "s1")] * 4)
    first, position = ids(account, limit=2)
    assert position is not None
    add(account, "new")
    assert (first, ids(account, start=position)) == (["o003", "o002"], (["o001", "o000"], None))


def test_an_order_that_failed_while_somebody_reads_on_is_not_in_the_way() -> None:
    """Nor one that leaves the list."""
    account = filled(*[("failed", "s1")] * 4, ("processing", "s1"))
    first, position = ids(account, "failed", limit=2)
    assert position is not None
    account.clock.at_ms += 1
    account.do(failed("o004"))
    account.do(queue_order(order("o001")))
    assert (first, ids(account, "failed", start=position)) == (["o003", "o002"], (["o000"], None))


@pytest.mark.parametrize("status", [None, *STATUSES])
def test_a_store_bound_caller_sees_its_own_orders_alone(status: str | None) -> None:
    """In every list, whatever the page's size."""
    account = filled(*[(one, store_id) for one in STATUSES for store_id in ("s2", "s1", "s3", "s1")])
    mine = [work.work_id for work in account.works() if status in (None, work.status) and work.store_id == "s1"]
    for limit in (1, 2, 3, 100):
        assert joined(pages(account, status, caller=BOUND, limit=limit)) == sorted(mine, reverse=True)
    assert ids(account, status, caller=merchant(store_id="s4")) == ([], None)


@pytest.mark.parametrize("status", ["queued", "failed"])
def test_what_is_shown_is_what_the_records_say(status: str) -> None:
    """An index that lags shows no order in a list of a status that it has no longer."""
    account = filled((status, "s1"), (status, "s1"), (status, "s1"))
    listed = account.store.list(ORDERS_BY_STATUS[status], ACCOUNT_ID, newest_first=True, limit=100)
    account.do(requested("o001"))

    class Old(MemoryStore):
        def list(self, *_: object, **__: object) -> Sequence[Listed]:
            return listed

    assert ids(account, status, store=Old(account.store.pages, account.store.records)) == (["o002", "o000"], None)


# ---------------------------------------------------------------- many orders


@pytest.fixture(scope="module")
def many() -> Account:
    """1,203 orders in work, o0000 to o1202, of which three are ordered: the oldest, the 500th and 501st newest.

    The oldest is the only one of store s1.
    """
    account = opened(10_000_000)
    for number in range(1203):
        add(account, f"o{number:04}", store_id="s1" if number == 0 else "s2")
    for order_id in ("o0000", "o0702", "o0703"):
        account.do(placed(order_id))
    return account


def test_a_filtered_page_looks_at_500_orders(many: Account) -> None:
    """Then it answers what it has, with a cursor, even if that is nothing."""
    assert MAX_RECORDS == 500
    first, position = ids(many, "ordered")
    assert (first, position is not None) == (["o0703"], True)
    second, position = ids(many, "ordered", start=position or "")
    assert (second, position is not None) == (["o0702"], True)
    assert ids(many, "ordered", start=position or "") == (["o0000"], None)
    assert ids(many, "shipped")[0] == []


def test_a_filtered_page_stops_when_it_is_full(many: Account) -> None:
    """It looks no further than it must."""
    store = counted(many)
    assert ids(many, "processing", limit=3, store=store)[0] == ["o1202", "o1201", "o1200"]
    assert store.asked["records"] <= 100


@pytest.mark.parametrize(("status", "caller"), [("shipped", PLATFORM), (None, BOUND), ("ordered", BOUND)])
def test_no_page_of_a_list_looks_at_more_than_500_orders(many: Account, status: str | None, caller: Caller) -> None:
    """Whatever is filtered, and however few are wanted."""
    for limit in (50, 100):
        store = counted(many)
        ids(many, status, caller=caller, limit=limit, store=store)
        assert store.asked["records"] <= MAX_RECORDS


@pytest.mark.parametrize("limit", [1, 50, 100])
def test_a_page_of_a_store_bound_caller_takes_few_calls(many: Account, limit: int) -> None:
    """Looking at 500 orders takes a few reads, not five hundred: on DynamoDB each is nine calls."""
    store = counted(many)
    ids(many, caller=BOUND, limit=limit, store=store)
    assert store.asked["reads"] <= 11


def test_cursors_of_many_orders_neither_skip_nor_repeat(many: Account) -> None:
    """Also through pages that are empty."""
    everything = sorted((work.work_id for work in many.works()), reverse=True)
    assert joined(pages(many)) == everything
    assert joined(pages(many, "processing")) == [one for one in everything if one not in ("o0000", "o0702", "o0703")]
    assert joined(pages(many, "ordered")) == ["o0703", "o0702", "o0000"]
    assert joined(pages(many, caller=BOUND)) == ["o0000"]
    assert joined(pages(many, "shipped")) == []


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.sampled_from(STATUSES), st.sampled_from(["s1", "s2"]), st.integers(0, 2)), max_size=25),
    st.sampled_from([None, *STATUSES]),
    st.sampled_from([PLATFORM, BOUND]),
    st.integers(1, 7),
)
def test_any_list_is_read_whole_by_its_cursors(
    orders: list[tuple[str, str, int]], status: str | None, caller: Caller, limit: int
) -> None:
    """Any orders, of any age, by any page's size."""
    account = opened(1_000_000)
    for number, (one, store_id, later_ms) in enumerate(orders):
        add(account, f"o{number:03}", one, store_id, later_ms=later_ms)
    wanted = [
        work.work_id
        for work in account.works()
        if status in (None, work.status) and caller.store_id in (None, work.store_id)
    ]
    assert joined(pages(account, status, caller=caller, limit=limit)) == sorted(wanted, reverse=True)


class Stuttering(MemoryStore):
    """A view of a store whose index shows an order twice: where it was, and where it has come to."""

    def list(self, which: RecordList, account_id: str, **how: Any) -> Sequence[Listed]:
        """The first order once more."""
        listed = MemoryStore.list(self, which, account_id, **how)
        return [*listed[:1], *listed]


def test_an_index_that_shows_an_order_twice_is_read() -> None:
    """An order that is moving in the index is no error."""
    account = filled(("processing", "s1"), ("processing", "s1"))
    found, position = ids(account, store=Stuttering(account.store.pages, account.store.records))
    assert (set(found), position) == ({"o000", "o001"}, None)


# ---------------------------------------------------------------- single records


def test_work_is_read_under_its_key() -> None:
    """One read of one record; None where there is none."""
    account = opened(1000)
    account.do(requested())
    spied = Spied(account.store)
    assert read_work(cast("Store", spied), ACCOUNT_ID, ("order", "o1")) == account.work()
    assert spied.calls == [("read", ACCOUNT_ID, [("order", "o1")])]
    assert read_work(account.store, ACCOUNT_ID, ("order", "o2")) is None


# ---------------------------------------------------------------- purchases


def purchases(*at_ms: int) -> Account:
    """An account with purchases pur_0, pur_1 … that were started then."""
    account = opened(1000)
    for number, at in enumerate(at_ms):
        account.clock.at_ms = at
        account.do(start(f"pur_{number}"))
    return account


def start(purchase_id: str) -> StartPurchase:
    """A package that is bought by card."""
    return StartPurchase(
        caller=PLATFORM,
        idempotency=idempotency(),
        purchase_id=purchase_id,
        request=PurchaseRequest(package="auto_order-20"),
        method=CARD,
    )


def bought(account: Account, limit: int) -> list[list[str]]:
    """All pages of the list of purchases, by its cursors."""
    found: list[list[str]] = []
    position: str | None = ""
    while position is not None:
        page, position = list_purchases(account.store, ACCOUNT_ID, start=position, limit=limit)
        found.append([purchase.purchase_id for purchase in page])
    return found


def test_a_purchase_is_read_under_its_id() -> None:
    """None where there is none."""
    account = purchases(NOW_MS)
    purchase = read_purchase(account.store, ACCOUNT_ID, "pur_0")
    assert isinstance(purchase, Purchase)
    assert (purchase.purchase_id, purchase.status()) == ("pur_0", "pending")
    assert read_purchase(account.store, ACCOUNT_ID, "pur_1") is None


@pytest.mark.parametrize(("limit", "sizes"), [(1, [1, 1, 1, 1, 1]), (2, [2, 2, 1]), (5, [5]), (100, [5])])
def test_purchases_are_listed_newest_first(limit: int, sizes: list[int]) -> None:
    """In pages that neither skip nor repeat, also within one millisecond; a last page that is full ends the list."""
    found = bought(purchases(NOW_MS, NOW_MS, NOW_MS + 1, NOW_MS + 2, NOW_MS + 2), limit)
    assert joined(found) == ["pur_4", "pur_3", "pur_2", "pur_1", "pur_0"]
    assert [len(page) for page in found] == sizes


def test_no_purchases() -> None:
    """An empty list ends at once."""
    assert bought(opened(1000), 10) == [[]]
