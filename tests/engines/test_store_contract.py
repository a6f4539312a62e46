"""The contract of the Store port, kept alike in memory and on two engines that speak DynamoDB."""

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from boto3.dynamodb.types import TypeSerializer

from autocredits.adapters.dynamo import DynamoStore
from autocredits.domain.decide import RecordWrite
from autocredits.domain.errors import BrokenInvariantError
from autocredits.domain.journal import Entry, Page, next_page
from autocredits.domain.records import KeyRecord, Record, RecordKey
from autocredits.domain.work.record import Part, Work
from autocredits.ledger.ports import ConflictError, Listed, Snapshot, Store, list_position
from dev.engines import dynamodb as engines
from tests.kit.engines import TABLE_NAME, make_store
from tests.kit.memory import MemoryStore

_numbers = itertools.count(1)
NOW_MS = 1_764_000_000_000


@pytest.fixture(
    scope="module",
    params=[
        "memory",
        pytest.param("dynoxide", marks=pytest.mark.slow),
        pytest.param("ministack", marks=pytest.mark.slow),
    ],
)
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """Each store in turn."""
    if request.param == "memory":
        yield MemoryStore()
        return
    with engines.start(request.param) as engine:
        yield make_store(engine)


@pytest.fixture
def account_id() -> str:
    """An account that no other test uses."""
    return f"account-{next(_numbers)}"


def pages_of(account_id: str, count: int, first: Page | None = None) -> list[Page]:
    """So many pages with every kind of field, one after the other."""
    pages: list[Page] = [] if first is None else [first]
    for number in range(count):
        entries = [
            Entry(kind="granted", actor="\u00e4 \u20ac \U0001f600", unit="auto_order", posted=number + 1, reason=""),
            Entry(kind="standing", actor="a", changes={"low_balance": None, "status": "active"}),
            Entry(
                kind="held", actor="a", unit="auto_order", held=1, order_id="o1", attempt=1, expires_at=NOW_MS, cost=7
            ),
        ]
        pages.append(next_page(account_id, pages[-1] if pages else None, NOW_MS + number, entries))
    return pages if first is None else pages[1:]


def key_record(key: str = "k1", version: int = 1) -> RecordWrite:
    """A new key."""
    return RecordWrite(("key", key), KeyRecord(key=key, fingerprint="f", version=version, count=1), None)


def work(order_id: str = "o1", *, rev: int = 1, status: str = "processing", **values: Any) -> Work:
    """An order's record."""
    part = Part(status="open", credits=100, tracking="bce", rate_card="2024-01", expires_at=NOW_MS, entry_id="1.0")
    plain: dict[str, Any] = {
        "kind": "order",
        "work_id": order_id,
        "store_id": "s1",
        "order_type": "auto",
        "tracking": "bce",
        "status": status,
        "parts": {"order": part, "tracking": replace(part, credits=33)},
        "charged": {"tracking:qtrack": "1.0"},
        "known_parts": ("order", "tracking"),
        "seen": ("a" * 32,),
        "versions": (1,),
        "created_at": NOW_MS,
        "updated_at": NOW_MS,
        "status_at": NOW_MS,
        "rev": rev,
    }
    return Work(**(plain | values))


def put(record: Work, expected_rev: int | None) -> RecordWrite:
    """A write of an order's record."""
    return RecordWrite(record.key(), record, expected_rev)


def commit_all(store: Store, account_id: str, pages: Sequence[Page]) -> None:
    """Write the pages, one after the other."""
    for page in pages:
        store.commit(account_id, page, [])


def refused(store: Store, account_id: str, page: Page | None, writes: Sequence[RecordWrite]) -> dict[RecordKey, Record]:
    """The records that stood in the way of a commit."""
    with pytest.raises(ConflictError) as conflict:
        store.commit(account_id, page, writes)
    return dict(conflict.value.records)


def test_an_account_that_does_not_exist_is_empty(store: Store, account_id: str) -> None:
    """No newest page, no page, no pages, no records."""
    assert store.head(account_id) is None
    assert store.page(account_id, 1) is None
    assert store.pages_before(account_id, 10, 10) == []
    assert store.read(account_id, [("key", "k1"), ("order", "o1")]) == {}
    assert store.read(account_id, []) == {}
    assert store.snapshot(account_id, 1, [("key", "k1")]) == Snapshot(page_exists=False, records={})
    assert store.list_orders(account_id, None, start="", newest_first=True, limit=10) == []


def test_a_page_is_read_as_it_was_written(store: Store, account_id: str) -> None:
    """To the last character, whatever is in it."""
    (page,) = pages_of(account_id, 1)
    store.commit(account_id, page, [])
    assert store.page(account_id, 1) == page
    assert store.head(account_id) == page


def test_the_head_is_the_newest_page(store: Store, account_id: str) -> None:
    """By number, also past nine."""
    pages = pages_of(account_id, 12)
    for page in pages:
        store.commit(account_id, page, [])
        assert store.head(account_id) == page
    assert store.page(account_id, 13) is None
    assert store.page(account_id, 0) is None


@pytest.mark.parametrize(
    ("version", "limit", "numbers"),
    [(13, 100, range(12, 0, -1)), (11, 3, [10, 9, 8]), (10, 1, [9]), (2, 5, [1]), (1, 5, []), (99, 2, [12, 11])],
)
def test_pages_before_one_come_newest_first(
    store: Store, account_id: str, version: int, limit: int, numbers: Sequence[int]
) -> None:
    """Those below the number, at most so many."""
    pages = pages_of(account_id, 12)
    commit_all(store, account_id, pages)
    assert store.pages_before(account_id, version, limit) == [pages[number - 1] for number in numbers]


def test_accounts_do_not_see_each_other(store: Store, account_id: str) -> None:
    """Also where one's name is the beginning of the other's."""
    longer = f"{account_id}0"
    (page,) = pages_of(account_id, 1)
    store.commit(account_id, page, [key_record(), put(work(), None)])
    assert store.head(longer) is None
    assert store.read(longer, [("key", "k1"), ("order", "o1")]) == {}
    assert store.list_orders(longer, None, start="", newest_first=True, limit=10) == []
    (other,) = pages_of(longer, 1)
    store.commit(longer, other, [key_record()])
    assert store.head(account_id) == page


def test_records_are_read_as_they_were_written(store: Store, account_id: str) -> None:
    """Keys, orders and products; an order and a product of one name are two; what is missing is left out."""
    order, product = work("x"), work("x", kind="product", parts={}, status="accepted")
    key = key_record("x")
    store.commit(account_id, None, [key, put(order, None), put(product, None)])
    wanted: list[RecordKey] = [("key", "x"), ("order", "x"), ("product", "x"), ("order", "y")]
    found = store.read(account_id, wanted)
    assert found == {("key", "x"): key.record, ("order", "x"): order, ("product", "x"): product}
    read = found["order", "x"]
    assert isinstance(read, Work)
    assert list(read.parts) == ["order", "tracking"]


def test_many_records_are_read_at_once(store: Store, account_id: str) -> None:
    """More than one call to the table could bring."""
    keys = [f"k{number}" for number in range(130)]
    for start in range(0, 130, 65):
        store.commit(account_id, None, [key_record(key) for key in keys[start : start + 65]])
    found = store.read(account_id, [("key", key) for key in [*keys, "none"]])
    assert set(found) == {("key", key) for key in keys}


def test_page_and_records_are_one_commit(store: Store, account_id: str) -> None:
    """After it all of them are there."""
    (page,) = pages_of(account_id, 1)
    order = work()
    store.commit(account_id, page, [key_record(), put(order, None)])
    assert store.head(account_id) == page
    assert store.read(account_id, [("order", "o1")]) == {("order", "o1"): order}
    assert store.snapshot(account_id, 1, [("order", "o1"), ("order", "o2")]) == Snapshot(
        page_exists=True, records={("order", "o1"): order}
    )
    assert not store.snapshot(account_id, 2, []).page_exists


def test_a_page_number_is_given_once(store: Store, account_id: str) -> None:
    """A page that is taken refuses the commit, brings no record, and leaves nothing of it."""
    first, second = pages_of(account_id, 2)
    store.commit(account_id, first, [])
    rival = next_page(account_id, None, NOW_MS, [Entry(kind="opened", actor="b")])
    assert refused(store, account_id, rival, [key_record(), put(work(), None)]) == {}
    assert store.page(account_id, 1) == first
    assert store.read(account_id, [("key", "k1"), ("order", "o1")]) == {}
    store.commit(account_id, second, [key_record()])


def test_a_new_record_must_not_be_there(store: Store, account_id: str) -> None:
    """A key that exists refuses the whole commit and is brought along; the page's number stays free."""
    first, second = pages_of(account_id, 2)
    key = key_record()
    store.commit(account_id, first, [key])
    assert refused(store, account_id, second, [key_record(version=2), put(work(), None)]) == {("key", "k1"): key.record}
    assert store.head(account_id) == first
    assert store.read(account_id, [("order", "o1")]) == {}
    store.commit(account_id, second, [put(work(), None)])


def test_a_known_record_must_have_its_rev(store: Store, account_id: str) -> None:
    """With the rev as read it is written; with an older, a newer or none it is refused and brought along."""
    first, second = work(rev=1), work(rev=2, status="ordered")
    store.commit(account_id, None, [put(first, None)])
    store.commit(account_id, None, [put(second, 1)])
    third = work(rev=3, status="shipped")
    for expected_rev in (1, 3, None):
        assert refused(store, account_id, None, [put(third, expected_rev)]) == {("order", "o1"): second}
    store.commit(account_id, None, [put(third, 2)])
    assert store.read(account_id, [("order", "o1")]) == {("order", "o1"): third}


def test_a_record_that_is_gone_has_no_rev(store: Store, account_id: str) -> None:
    """A write on a rev of something that does not exist is refused, and brings nothing."""
    assert refused(store, account_id, None, [put(work(rev=2), 1)]) == {}
    assert store.read(account_id, [("order", "o1")]) == {}


def test_several_reasons_come_at_once(store: Store, account_id: str) -> None:
    """A page that is taken, a key and two orders in the way: all records are brought, and no others."""
    (page,) = pages_of(account_id, 1)
    key, one, two = key_record(), work("o1"), work("o2", rev=5)
    store.commit(account_id, page, [key, put(one, None), put(two, None)])
    rival = next_page(account_id, None, NOW_MS, [Entry(kind="opened", actor="b")])
    writes = [
        key_record("fresh"),
        key_record(),
        put(work("o1", rev=8), 7),
        put(work("o2", rev=6), 5),
        put(work("o3"), None),
        put(work("gone", rev=2), 1),
    ]
    assert refused(store, account_id, rival, writes) == {("key", "k1"): key.record, ("order", "o1"): one}
    assert store.read(account_id, [write.key for write in writes]) == {
        ("key", "k1"): key.record,
        ("order", "o1"): one,
        ("order", "o2"): two,
    }


def test_the_last_of_many_refuses_all(store: Store, account_id: str) -> None:
    """All or nothing: whichever of fifty writes cannot be made, none is."""
    (page,) = pages_of(account_id, 1)
    store.commit(account_id, None, [put(work("o49"), None)])
    writes = [put(work(f"o{number}"), None) for number in range(50)]
    assert set(refused(store, account_id, page, writes)) == {("order", "o49")}
    assert set(store.read(account_id, [write.key for write in writes])) == {("order", "o49")}
    assert store.head(account_id) is None


def test_a_full_page_and_its_records_are_one_commit(store: Store, account_id: str) -> None:
    """49 entries, each with a key and a work record: 99 writes at once."""
    entries = [Entry(kind="granted", actor="a", unit="finder", posted=1, reason="x" * 200) for _ in range(49)]
    page = next_page(account_id, None, NOW_MS, entries)
    writes = [key_record(f"k{number}") for number in range(49)] + [
        put(work(f"o{number}"), None) for number in range(49)
    ]
    store.commit(account_id, page, writes)
    assert store.head(account_id) == page
    assert len(store.read(account_id, [write.key for write in writes])) == 98


def test_records_alone_may_hang_on_an_absent_page(store: Store, account_id: str) -> None:
    """Where no page is written but the newest was decisive, the next one must be absent: all or nothing."""
    first, second = pages_of(account_id, 2)
    store.commit(account_id, first, [])
    store.commit(account_id, None, [key_record("k1")], vacant=2)
    store.commit(account_id, second, [])
    with pytest.raises(ConflictError) as conflict:
        store.commit(account_id, None, [key_record("k2")], vacant=2)
    assert conflict.value.records == {}
    with pytest.raises(ConflictError) as conflict:
        store.commit(account_id, None, [key_record("k1"), key_record("k2")], vacant=2)
    assert set(conflict.value.records) == {("key", "k1")}
    assert set(store.read(account_id, [("key", "k1"), ("key", "k2")])) == {("key", "k1")}
    assert store.head(account_id) == second


def test_a_work_record_keeps_200_messages(store: Store, account_id: str) -> None:
    """The largest record there can be is stored and read whole."""
    full = work(seen=tuple(f"{number:032d}" for number in range(200)), versions=tuple(range(1, 400)), reason="x" * 1000)
    store.commit(account_id, None, [put(full, None)])
    assert store.read(account_id, [("order", "o1")]) == {("order", "o1"): full}


Damage = Callable[[dict[str, Any]], object]

DAMAGES = [
    pytest.param(lambda item: item.update(at=item["at"] + 1), id="another time"),
    pytest.param(lambda item: item["entries"][0].update(posted=5000), id="another amount"),
    pytest.param(lambda item: item["entries"].pop(), id="an entry less"),
    pytest.param(lambda item: item["state"]["balances"]["auto_order"].update(posted=10**6), id="another balance"),
    pytest.param(lambda item: item["state"].update(status="closed"), id="another standing"),
    pytest.param(lambda item: item.update(note="hello"), id="a field more"),
    pytest.param(lambda item: item.pop("state"), id="no state"),
    pytest.param(lambda item: item.update(account_id="another"), id="an account's name"),
]


def damage_page(store: Store, account_id: str, version: int, damage: Damage) -> None:
    """Change what is stored behind the store's back."""
    if isinstance(store, MemoryStore):
        text, stored_hash = store.pages[account_id][version]
        stored = json.loads(text)
        damage(stored)
        store.pages[account_id][version] = (json.dumps(stored), stored_hash)
        return
    assert isinstance(store, DynamoStore)
    page = store.page(account_id, version)
    assert page is not None
    stored = page.to_map()
    damage(stored)
    item = {**stored, "hash": bytes.fromhex(page.hash)}
    if "prev" in stored:
        item["prev"] = bytes.fromhex(stored["prev"])
    overwrite(store, account_id, version, item)


def overwrite(store: DynamoStore, account_id: str, version: int, attributes: dict[str, Any]) -> None:
    """Put an item where a page lies, as somebody with the table in his hands could."""
    place = {"pk": f"account#{account_id}", "sk": f"page#{version:012d}"}
    item = {name: TypeSerializer().serialize(value) for name, value in (place | attributes).items()}
    store.client.put_item(TableName=TABLE_NAME, Item=item)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_page_is_never_shown(store: Store, account_id: str, damage: Damage) -> None:
    """Whichever way it is read, a page that does not match its hash raises BrokenInvariantError."""
    commit_all(store, account_id, pages_of(account_id, 2))
    damage_page(store, account_id, 2, damage)
    with pytest.raises(BrokenInvariantError):
        store.head(account_id)
    with pytest.raises(BrokenInvariantError):
        store.page(account_id, 2)
    with pytest.raises(BrokenInvariantError):
        store.pages_before(account_id, 3, 5)
    assert store.page(account_id, 1) is not None


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda item: item.pop("hash"), id="no hash"),
        pytest.param(lambda item: item.update(hash="a" * 64), id="a hash of text"),
        pytest.param(lambda item: item.pop("prev"), id="no link"),
        pytest.param(lambda item: item.update(prev="0" * 64), id="a link of text"),
    ],
)
def test_a_page_without_its_hash_is_damaged(store: Store, account_id: str, damage: Damage) -> None:
    """On the table: a page whose hash or link is missing or of another type raises BrokenInvariantError."""
    if not isinstance(store, DynamoStore):
        pytest.skip("in memory the hash is no attribute")
    (page,) = pages_of(account_id, 1)
    item = {**page.to_map(), "prev": bytes.fromhex(page.prev), "hash": bytes.fromhex(page.hash)}
    damage(item)
    overwrite(store, account_id, 1, item)
    with pytest.raises(BrokenInvariantError):
        store.head(account_id)


def test_a_page_of_another_account_is_damaged(store: Store, account_id: str) -> None:
    """A whole page, with its own hash, does not belong where it lies."""
    (page,) = pages_of(f"{account_id}-other", 1)
    store.commit(account_id, page, [])
    with pytest.raises(BrokenInvariantError):
        store.head(account_id)


def test_orders_are_listed_by_creation(store: Store, account_id: str) -> None:
    """Newest first or oldest first, beyond a position, at most so many; products and keys are no orders."""
    orders = [work(f"o{number:02d}", created_at=NOW_MS + number) for number in range(30)]
    store.commit(account_id, None, [put(order, None) for order in orders])
    store.commit(account_id, None, [key_record(), put(work("p1", kind="product"), None)])
    expected = [Listed(list_position(order.created_at, order.work_id), order.work_id) for order in orders]

    def listed(start: str, limit: int, *, newest_first: bool) -> list[Listed]:
        return store.list_orders(account_id, None, start=start, newest_first=newest_first, limit=limit)

    assert listed("", 100, newest_first=True) == expected[::-1]
    assert listed("", 100, newest_first=False) == expected
    assert listed("", 7, newest_first=True) == expected[::-1][:7]
    assert listed(expected[10].position, 4, newest_first=True) == expected[9:5:-1]
    assert listed(expected[10].position, 4, newest_first=False) == expected[11:15]
    assert listed(expected[0].position, 4, newest_first=True) == []


@pytest.mark.parametrize("status", ["queued", "failed"])
def test_queued_and_failed_orders_have_a_list_of_their_own(store: Store, account_id: str, status: str) -> None:
    """By the time they got the status, and only as long as they have it."""
    records = [
        work("o1", status=status, created_at=NOW_MS, status_at=NOW_MS + 9),
        work("o2", status=status, created_at=NOW_MS + 1, status_at=NOW_MS + 5),
        work("o3", status="processing"),
        work("o4", status="failed" if status == "queued" else "queued"),
    ]
    store.commit(account_id, None, [put(record, None) for record in records])
    listed = store.list_orders(account_id, status, start="", newest_first=False, limit=10)
    assert [one.work_id for one in listed] == ["o2", "o1"]
    assert listed[0].position == list_position(NOW_MS + 5, "o2")
    store.commit(account_id, None, [put(replace(records[1], status="ordered", rev=2), 1)])
    listed = store.list_orders(account_id, status, start="", newest_first=True, limit=10)
    assert [one.work_id for one in listed] == ["o1"]
