"""The contract of the Store port, kept alike in memory and on every engine that speaks DynamoDB."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from boto3.dynamodb.types import TypeSerializer

from autocredits.adapters.dynamo import DynamoStore
from autocredits.domain.audit import Reached
from autocredits.domain.decide import RecordWrite
from autocredits.domain.errors import BrokenInvariantError
from autocredits.domain.journal import Entry, Page, hash_of, next_page
from autocredits.domain.purchases.record import DUE_PURCHASES, PURCHASES, Purchase
from autocredits.domain.records import NO_ACCOUNT, Record, RecordKey, RecordList
from autocredits.domain.usage import DUE_AUDITS, OTHER_STORES, Day, Used
from autocredits.domain.work.record import DUE_HOLDS, DUE_ORDERS, ORDERS, ORDERS_BY_STATUS, SEND_AGAIN_MS, Work
from autocredits.ledger.ports import ConflictError, Listed, Snapshot, Store, StoredPage, list_position, shard_of
from tests.engines.samples import key_record, pages_of, purchase, put, work
from tests.kit.builders import NOW_MS, fresh
from tests.kit.engines import NAMES, Endpoint, make_store
from tests.kit.filled import RECORDS
from tests.kit.memory import MemoryStore

ON_A_TABLE = [pytest.param(name, marks=pytest.mark.slow) for name in NAMES]


@pytest.fixture(scope="module", params=["memory", *ON_A_TABLE])
def store(request: pytest.FixtureRequest, endpoint: Endpoint) -> Store:
    """Each store in turn."""
    if request.param == "memory":
        return MemoryStore()
    return make_store(endpoint(request.param))


@pytest.fixture
def account_id() -> str:
    """An account that no other test uses."""
    return fresh("account")


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
    assert store.list(ORDERS, account_id, limit=10) == []


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
    store.commit(account_id, page, [key_record(), put(work())])
    assert store.head(longer) is None
    assert store.read(longer, [("key", "k1"), ("order", "o1")]) == {}
    (other,) = pages_of(longer, 1)
    store.commit(longer, other, [key_record()])
    assert store.head(account_id) == page


def test_records_are_read_as_they_were_written(store: Store, account_id: str) -> None:
    """Keys, orders and products; an order and a product of one name are two; what is missing is left out."""
    order, product = work("x"), work("x", kind="product", parts={}, status="accepted")
    key = key_record("x")
    store.commit(account_id, None, [key, put(order), put(product)])
    wanted: list[RecordKey] = [("key", "x"), ("order", "x"), ("product", "x"), ("order", "y")]
    found = store.read(account_id, wanted)
    assert found == {("key", "x"): key.record, ("order", "x"): order, ("product", "x"): product}
    read = found["order", "x"]
    assert isinstance(read, Work)
    assert list(read.parts) == ["order", "tracking"]


def test_what_a_later_release_wrote_is_kept(store: Store, account_id: str) -> None:
    """Fields that this release does not know are stored and read as they are, in pages as in records."""
    later = {"later": {"text": "\u00e4", "number": -7, "list": [True, None, "text"]}}
    (plain,) = pages_of(account_id, 1)
    page = replace(plain, unknown=later)
    page = replace(page, hash=hash_of(account_id, page.to_map()))
    records: list[Work | Purchase] = [work(unknown=later), purchase(unknown={**later, "form": 2})]
    store.commit(account_id, page, [put(record) for record in records])
    assert store.head(account_id) == page
    assert store.read(account_id, [record.key() for record in records]) == {record.key(): record for record in records}


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
    store.commit(account_id, page, [key_record(), put(order)])
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
    assert refused(store, account_id, rival, [key_record(), put(work())]) == {}
    assert store.page(account_id, 1) == first
    assert store.read(account_id, [("key", "k1"), ("order", "o1")]) == {}
    store.commit(account_id, second, [key_record()])


def test_a_new_record_must_not_be_there(store: Store, account_id: str) -> None:
    """A key that exists refuses the whole commit and is brought along; the page's number stays free."""
    first, second = pages_of(account_id, 2)
    key = key_record()
    store.commit(account_id, first, [key])
    assert refused(store, account_id, second, [key_record(version=2), put(work())]) == {("key", "k1"): key.record}
    assert store.head(account_id) == first
    assert store.read(account_id, [("order", "o1")]) == {}
    store.commit(account_id, second, [put(work())])


def test_a_known_record_must_have_its_rev(store: Store, account_id: str) -> None:
    """With the rev as read it is written; with an older, a newer or none it is refused and brought along."""
    first, second = work(rev=1), work(rev=2, status="ordered")
    store.commit(account_id, None, [put(first)])
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
    store.commit(account_id, page, [key, put(one), put(two)])
    rival = next_page(account_id, None, NOW_MS, [Entry(kind="opened", actor="b")])
    writes = [
        key_record("fresh"),
        key_record(),
        put(work("o1", rev=8), 7),
        put(work("o2", rev=6), 5),
        put(work("o3")),
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
    store.commit(account_id, None, [put(work("o49"))])
    writes = [put(work(f"o{number}")) for number in range(50)]
    assert set(refused(store, account_id, page, writes)) == {("order", "o49")}
    assert set(store.read(account_id, [write.key for write in writes])) == {("order", "o49")}
    assert store.head(account_id) is None


def test_a_full_page_and_its_records_are_one_commit(store: Store, account_id: str) -> None:
    """49 entries, each with a key and a work record: 99 writes at once."""
    entries = [Entry(kind="granted", actor="a", unit="finder", posted=1, reason="x" * 200) for _ in range(49)]
    page = next_page(account_id, None, NOW_MS, entries)
    writes = [key_record(f"k{number}") for number in range(49)] + [put(work(f"o{number}")) for number in range(49)]
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
    store.commit(account_id, None, [put(full)])
    assert store.read(account_id, [("order", "o1")]) == {("order", "o1"): full}


@pytest.mark.parametrize("kind", RECORDS)
def test_a_record_of_any_kind_is_read_as_it_was_written(store: Store, account_id: str, kind: str) -> None:
    """With every field set, also within its facts; a payment that was told of first stays the first."""
    record, key = RECORDS[kind], (kind, fresh("record"))
    store.commit(account_id, None, [RecordWrite(key, record, None)])
    found = store.read(account_id, [key])[key]
    assert found == record
    if isinstance(record, Purchase) and isinstance(found, Purchase):
        assert list(found.payments) == list(record.payments)


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
    store.client.put_item(TableName=store.table_name, Item=item)


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


@pytest.mark.parametrize("store", ON_A_TABLE, indirect=True)
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
    assert isinstance(store, DynamoStore)
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


@dataclass(frozen=True)
class Sample:
    """Items of one list, one a millisecond from a time of their own on, and what else may not stand in it."""

    which: RecordList
    make: Callable[[str, int], Work | Purchase]
    others: tuple[Work | Purchase, ...]


def _order(status: str) -> Callable[[str, int], Work]:
    """Orders that were created the other way round than they got their status."""
    return lambda name, at_ms: work(name, status=status, created_at=2 * NOW_MS - at_ms, status_at=at_ms)


SAMPLES = {
    "orders": Sample(
        ORDERS,
        lambda name, at_ms: work(name, created_at=at_ms, status_at=2 * NOW_MS - at_ms),
        (work("x1", kind="product"), purchase("x2")),
    ),
    "queued": Sample(ORDERS_BY_STATUS["queued"], _order("queued"), (work("x1"), work("x2", status="failed"))),
    "failed": Sample(ORDERS_BY_STATUS["failed"], _order("failed"), (work("x1"), work("x2", status="queued"))),
    "purchases": Sample(
        PURCHASES, lambda name, at_ms: purchase(name, created_at=at_ms, poll_at=2 * NOW_MS - at_ms), (work("x1"),)
    ),
    "due orders": Sample(
        DUE_ORDERS,
        lambda name, at_ms: work(name, status="queued", parts={}, status_at=at_ms - SEND_AGAIN_MS),
        (work("x1"), purchase("x2", poll_at=NOW_MS)),
    ),
    "due purchases": Sample(
        DUE_PURCHASES,
        lambda name, at_ms: purchase(name, created_at=2 * NOW_MS - at_ms, poll_at=at_ms),
        (work("x1"), purchase("x2", poll_at=None)),
    ),
}

SOME = 60
"""So many items that each shard has several."""


@pytest.fixture(params=SAMPLES)
def sample(request: pytest.FixtureRequest) -> Sample:
    """Each list in turn."""
    return SAMPLES[request.param]


def owner_of(sample: Sample, account_id: str) -> str:
    """For whom the list is read."""
    return NO_ACCOUNT if sample.which.shared else account_id


def fill(store: Store, sample: Sample, account_id: str, *, first_ms: int = NOW_MS) -> list[Listed]:
    """Store items, and others, of the account; how the list is to show the items, oldest first."""
    names = [fresh("item") for _ in range(SOME)]
    times = [first_ms + number // 2 for number in range(SOME)]  # two of each millisecond
    records = [sample.make(name, at_ms) for name, at_ms in zip(names, times, strict=True)]
    store.commit(account_id, None, [key_record(), *(put(record) for record in (*records, *sample.others))])
    whole_names = [f"{account_id}#{name}" if sample.which.shared else name for name in names]
    positions = [list_position(at_ms, name) for at_ms, name in zip(times, whole_names, strict=True)]
    return sorted(Listed(position, account_id, name) for position, name in zip(positions, names, strict=True))


def own(listed: Sequence[Listed], *account_ids: str) -> list[Listed]:
    """What is listed of these accounts: a shared list shows the items of other tests too."""
    return [one for one in listed if one.account_id in account_ids]


def walk(store: Store, which: RecordList, owner: str, limit: int, *, newest_first: bool) -> list[Listed]:
    """The whole list, read on and on from the last item that was shown."""
    found: list[Listed] = []
    while True:
        start = found[-1].position if found else ""
        page = store.list(which, owner, start=start, newest_first=newest_first, limit=limit)
        assert len(page) <= limit
        found += page
        if len(page) < limit:
            return found


@pytest.mark.parametrize("newest_first", [False, True], ids=["oldest first", "newest first"])
@pytest.mark.parametrize("limit", [7, 1000])
def test_a_list_shows_its_items_by_time(
    store: Store, account_id: str, sample: Sample, limit: int, *, newest_first: bool
) -> None:
    """Read page by page in either direction, it shows each of its items once, and nothing else."""
    expected = fill(store, sample, account_id)
    if newest_first:
        expected.reverse()
    found = walk(store, sample.which, owner_of(sample, account_id), limit, newest_first=newest_first)
    assert own(found, account_id) == expected
    assert found == sorted(set(found), reverse=newest_first)


def test_a_list_goes_on_beyond_a_position(store: Store, account_id: str, sample: Sample) -> None:
    """In either direction, without the item at the position itself, and with no more than were asked for."""
    owner, first_ms = owner_of(sample, account_id), NOW_MS + 1_000_000 * int(account_id.partition("-")[2])
    items = fill(store, sample, account_id, first_ms=first_ms)
    middle = items[10].position
    assert list(store.list(sample.which, owner, start=middle, limit=4)) == items[11:15]
    assert list(store.list(sample.which, owner, start=middle, newest_first=True, limit=4)) == items[9:5:-1]
    assert own(store.list(sample.which, owner, start=items[-1].position, limit=4), account_id) == []
    assert own(store.list(sample.which, owner, start=items[0].position, newest_first=True, limit=4), account_id) == []


def test_a_shard_shows_its_share(store: Store, account_id: str, sample: Sample) -> None:
    """Each item stands in one shard, by its id, and the shards together are the list."""
    items = fill(store, sample, account_id)
    shares = [
        own(store.list(sample.which, owner_of(sample, account_id), limit=10_000, shard=shard), account_id)
        for shard in range(sample.which.shards)
    ]
    assert all(shares)
    for shard, share in enumerate(shares):
        assert share == [item for item in items if shard_of(sample.which, item.item_id) == shard]


def test_a_list_tells_whose_an_item_is(store: Store, account_id: str, sample: Sample) -> None:
    """Accounts see their own items; a list that all share names the account of each, also where ids are the same."""
    other_id, records = f"{account_id}0", [sample.make("same", NOW_MS)]
    for owner in (account_id, other_id):
        store.commit(owner, None, [put(record) for record in records])
    if sample.which.shared:
        found = own(store.list(sample.which, NO_ACCOUNT, limit=10_000), account_id, other_id)
        assert {(one.account_id, one.item_id) for one in found} == {(account_id, "same"), (other_id, "same")}
        assert {one.at_ms() for one in found} == {NOW_MS}
    else:
        for owner in (account_id, other_id):
            (found_one,) = store.list(sample.which, owner, limit=10)
            assert (found_one.account_id, found_one.item_id, found_one.at_ms()) == (owner, "same", NOW_MS)


@pytest.mark.parametrize(
    ("which", "before", "after"),
    [
        (ORDERS_BY_STATUS["queued"], work(status="queued"), work(rev=2, status="processing")),
        (ORDERS_BY_STATUS["failed"], work(status="failed"), work(rev=2, status="queued")),
        (DUE_PURCHASES, purchase(poll_at=NOW_MS), purchase(rev=2)),
        (DUE_ORDERS, work(status="queued", parts={}), work(rev=2)),
        (DUE_HOLDS, work(), work(rev=2, parts={})),
    ],
)
def test_an_item_leaves_its_list(
    store: Store, account_id: str, which: RecordList, before: Work | Purchase, after: Work | Purchase
) -> None:
    """It is listed as long as its record says so."""
    owner = NO_ACCOUNT if which.shared else account_id
    store.commit(account_id, None, [put(before)])
    assert len(own(store.list(which, owner, limit=10_000), account_id)) == 1
    store.commit(account_id, None, [put(after, 1)])
    assert own(store.list(which, owner, limit=10_000), account_id) == []


def test_an_item_moves_in_its_list(store: Store, account_id: str) -> None:
    """A purchase that is polled again later stands at its new time alone."""
    store.commit(account_id, None, [put(purchase(poll_at=NOW_MS))])
    store.commit(account_id, None, [put(purchase(rev=2, poll_at=NOW_MS + 5), 1)])
    (found,) = own(store.list(DUE_PURCHASES, NO_ACCOUNT, limit=10_000), account_id)
    assert found.at_ms() == NOW_MS + 5


HELD = work()
KEY: RecordKey = ("order", "o1")


def due_hold(store: Store, account_id: str) -> Listed:
    """Where the hold of the account's order stands in the list of what is due."""
    (found,) = own(store.list(DUE_HOLDS, NO_ACCOUNT, limit=10_000), account_id)
    return found


def minutes(times: int) -> int:
    """So many minutes later."""
    return NOW_MS + times * 60_000


def test_what_is_put_off_is_listed_later(store: Store, account_id: str) -> None:
    """At the time that is asked for, by how often it was put off, and nowhere else; its record is as it was."""
    store.commit(account_id, None, [put(HELD)])
    first = due_hold(store, account_id)
    for times in (1, 2, 3):
        listed = due_hold(store, account_id)
        assert store.put_off(DUE_HOLDS, listed, KEY, minutes) == times
        assert due_hold(store, account_id) == replace(
            first, position=list_position(minutes(times), f"{account_id}#o1~1")
        )
    assert store.read(account_id, [KEY]) == {KEY: HELD}


def test_what_was_put_off_can_be_written(store: Store, account_id: str) -> None:
    """On the rev that it had before; then it stands at its own time, and is put off for the first time again."""
    store.commit(account_id, None, [put(HELD)])
    for _ in range(3):
        store.put_off(DUE_HOLDS, due_hold(store, account_id), KEY, minutes)
    store.commit(account_id, None, [put(work(rev=2), 1)])
    assert due_hold(store, account_id).at_ms() == NOW_MS
    assert store.put_off(DUE_HOLDS, due_hold(store, account_id), KEY, minutes) == 1


def test_what_somebody_else_put_off_is_left_there(store: Store, account_id: str) -> None:
    """Of two who saw it at one place, one puts it off."""
    store.commit(account_id, None, [put(HELD)])
    seen = due_hold(store, account_id)
    assert store.put_off(DUE_HOLDS, seen, KEY, minutes) == 1
    assert store.put_off(DUE_HOLDS, seen, KEY, lambda _: NOW_MS + 7) == 0
    assert due_hold(store, account_id).at_ms() == minutes(1)


@pytest.mark.parametrize(
    "after", [work(rev=2, parts={}), work(rev=2, status="queued", parts={})], ids=["settled", "in another list"]
)
def test_what_left_its_list_is_not_put_off(store: Store, account_id: str, after: Work) -> None:
    """It is neither listed again nor changed where it stands now."""
    store.commit(account_id, None, [put(HELD)])
    seen = due_hold(store, account_id)
    store.commit(account_id, None, [put(after, 1)])
    orders = own(store.list(DUE_ORDERS, NO_ACCOUNT, limit=10_000), account_id)
    assert store.put_off(DUE_HOLDS, seen, KEY, minutes) == 0
    assert own(store.list(DUE_HOLDS, NO_ACCOUNT, limit=10_000), account_id) == []
    assert own(store.list(DUE_ORDERS, NO_ACCOUNT, limit=10_000), account_id) == orders


def test_what_does_not_exist_is_not_put_off(store: Store, account_id: str) -> None:
    """And is not made by that."""
    seen = Listed(list_position(NOW_MS, f"{account_id}#o1~1"), account_id, "o1~1")
    assert store.put_off(DUE_HOLDS, seen, KEY, minutes) == 0
    assert store.read(account_id, [KEY]) == {}
    assert own(store.list(DUE_HOLDS, NO_ACCOUNT, limit=10_000), account_id) == []


@pytest.mark.parametrize("store", ON_A_TABLE, indirect=True)
def test_an_item_that_an_index_shows_twice_is_listed_once(store: Store, account_id: str) -> None:
    """On the table: two index entries of one place, as while an index catches up."""
    assert isinstance(store, DynamoStore)
    store.commit(account_id, None, [put(work())])
    shard = shard_of(ORDERS, "o1")
    index_entry = {
        "pk": f"account#{account_id}#order#left behind",
        "sk": "work",
        "by_creation_pk": f"account#{account_id}#orders#{shard}",
        "by_creation_sk": list_position(NOW_MS, "o1"),
    }
    item = {name: TypeSerializer().serialize(value) for name, value in index_entry.items()}
    store.client.put_item(TableName=store.table_name, Item=item)
    assert [one.item_id for one in store.list(ORDERS, account_id, limit=10)] == ["o1"]


# ---------------------------------------------------------------- the audit's pages and days


def stored_of(page: Page) -> StoredPage:
    """A page as it lies in the table."""
    return StoredPage(page.account_id, page.version, page.to_map(), page.hash)


def day(date: str = "2026-11-24", *, rev: int = 1, **values: Any) -> Day:
    """A day's record with a store's uses, and those of all stores that are not told apart."""
    (page,) = pages_of("whose", 1)
    plain: dict[str, Any] = {
        "reached": Reached(page.version, page.at, page.hash, page.state),
        "uses": {("s1", "auto/none"): Used(100, 1), ("s.2", "sourcing"): Used(300, 3), (OTHER_STORES, "x"): Used(7, 2)},
    }
    return Day(date=date, rev=rev, **(plain | values))


@pytest.mark.parametrize(
    ("version", "limit", "numbers"),
    [(0, 100, range(1, 13)), (9, 2, [10, 11]), (11, 5, [12]), (12, 5, []), (99, 5, [])],
)
def test_pages_after_one_come_oldest_first(
    store: Store, account_id: str, version: int, limit: int, numbers: Sequence[int]
) -> None:
    """Those above the number, at most so many, as they are stored."""
    pages = pages_of(account_id, 12)
    commit_all(store, account_id, pages)
    assert store.pages_after(account_id, version, limit) == [stored_of(pages[number - 1]) for number in numbers]


def test_an_account_that_was_never_audited_has_no_days(store: Store, account_id: str) -> None:
    """None is the newest, and none comes from any day on."""
    assert store.newest_day(account_id) is None
    assert store.days(account_id, "2026-01-01") == []


def test_a_day_is_read_as_it_was_written(store: Store, account_id: str) -> None:
    """With what it has reached, its uses, its findings, and what a later release has written there."""
    written = day(
        findings=((3, "wrong_hash"), (4, "broken_link")),
        behind_since=NOW_MS,
        unknown={"later": {"text": "\u00e4", "list": [1, None, True]}},
    )
    store.write_day(account_id, written, None)
    assert store.newest_day(account_id) == written
    assert store.read(account_id, [("day", written.date)]) == {("day", written.date): written}


def test_a_day_after_a_page_that_cannot_be_read_has_neither_hash_nor_state(store: Store, account_id: str) -> None:
    """Only how far the audit has come."""
    written = day(reached=Reached(7, NOW_MS, None, None), uses={})
    store.write_day(account_id, written, None)
    assert store.newest_day(account_id) == written


def test_a_day_is_written_under_its_condition(store: Store, account_id: str) -> None:
    """A new one if there is none, an old one if nobody has written it since; else nothing is written."""
    store.write_day(account_id, day(), None)
    for expected_rev in (None, 2):
        with pytest.raises(ConflictError):
            store.write_day(account_id, day(rev=9), expected_rev)
    store.write_day(account_id, day(rev=2, uses={}), 1)
    with pytest.raises(ConflictError):
        store.write_day(account_id, day(rev=3), 1)
    with pytest.raises(ConflictError):
        store.write_day(account_id, day("2026-11-25", rev=2), 1)
    assert store.days(account_id, "2026-01-01") == [day(rev=2, uses={})]


def test_days_come_newest_first(store: Store, account_id: str) -> None:
    """From a day on; the newest one always, also where it is older."""
    dates = ["2025-12-31", "2026-01-01", "2026-01-02", "2026-11-24"]
    for date in dates:
        store.write_day(account_id, day(date), None)
    store.write_day(f"{account_id}0", day("2026-11-25"), None)
    wanted = {"2026-12-01": 1, "2026-11-24": 1, "2026-01-03": 1, "2026-01-01": 3, "2025-01-01": 4}
    for first, number in wanted.items():
        found = [one.date for one in store.days(account_id, first)]
        assert (first, found) == (first, dates[::-1][:number])
    assert store.newest_day(account_id) == day("2026-11-24")


def test_a_year_of_full_days_is_read_whole(store: Store, account_id: str) -> None:
    """More than one answer of the table holds."""
    uses = {(f"store-{number:058d}", "auto/tracking_generator"): Used(number, 1) for number in range(1_000)}
    dates = [f"2026-01-{number:02d}" for number in range(1, 32)]
    for date in dates:
        store.write_day(account_id, day(date, uses=uses), None)
    found = store.days(account_id, "2026-01-02")
    assert [one.date for one in found] == dates[:0:-1]
    assert all(one.uses == uses for one in found)


def test_an_audit_that_is_behind_stands_in_its_list(store: Store, account_id: str) -> None:
    """Until it is behind no more; the sweep can put it off meanwhile."""
    store.write_day(account_id, day(behind_since=NOW_MS), None)
    shard = shard_of(DUE_AUDITS, "2026-11-24")

    def listed() -> list[Listed]:
        found = store.list(DUE_AUDITS, NO_ACCOUNT, limit=100, shard=shard)
        return [one for one in found if one.account_id == account_id]

    (due,) = listed()
    assert (due.at_ms(), due.item_id) == (NOW_MS, "2026-11-24")
    assert store.put_off(DUE_AUDITS, due, ("day", due.item_id), lambda times: NOW_MS + times) == 1
    assert [one.at_ms() for one in listed()] == [NOW_MS + 1]
    store.write_day(account_id, day(rev=2), 1)
    assert listed() == []


# ---------------------------------------------------------------- finding accounts


def found_from(store: Store, position: str, limit: int) -> list[str]:
    """All accounts from a position on, read in parts of so many items."""
    found: list[str] = []
    for _ in range(10_000):
        part = store.find_accounts(position, limit)
        assert len(part.account_ids) <= limit
        found += part.account_ids
        position = part.position
        if not position:
            return found
    raise AssertionError("the store has no end")


@pytest.mark.parametrize("limit", [1, 7, 500])
def test_every_account_is_found_once(store: Store, account_id: str, limit: int) -> None:
    """In parts of any size, whatever else is there: longer journals, records, days."""
    wanted = [f"{account_id}-{number}" for number in range(9)]
    for name in wanted:
        commit_all(store, name, pages_of(name, 3))
        store.write_day(name, day(), None)
    store.commit(f"{account_id}-lost", None, [key_record()], vacant=1)
    found = found_from(store, "", limit)
    assert sorted(name for name in found if name.startswith(account_id)) == wanted
    assert len(set(found)) == len(found)


def test_a_position_whose_item_is_gone_is_gone_on_from(store: Store, account_id: str) -> None:
    """As after a restore: what comes before it and what comes after it are all that there is."""
    wanted = [f"{account_id}-{number}" for number in range(9)]
    for name in wanted:
        commit_all(store, name, pages_of(name, 1))
    gone = f"{account_id}-4-gone"
    position = json.dumps([f"account#{gone}", "page#000000000001"]) if isinstance(store, DynamoStore) else gone
    found = [name for name in found_from(store, position, 7) if name.startswith(account_id)]
    assert len(set(found)) == len(found)
    assert set(found) <= set(wanted)
    assert found_from(store, position, 3) == found_from(store, position, 500)
