from autocredits.domain.purchases.record import DUE_PURCHASES
from autocredits.domain.records import KeyRecord
from autocredits.ledger.ports import ConflictError, Listed, list_position, shard_of


def test_positions_sort_as_times_do() -> None:
    """A list's positions are ordered by time, whatever the items are called."""
    assert list_position(9, "z") < list_position(10, "a") < list_position(1_764_000_000_000, "A")


def test_a_position_is_the_time_in_fourteen_digits_and_the_name() -> None:
    """It is stored, so it stays as it is."""
    assert list_position(1_764_000_000_000, "o1") == "01764000000000#o1"


def test_a_listed_item_tells_its_time() -> None:
    """The time that it is sorted by, whatever its name holds."""
    assert Listed(list_position(1_764_000_000_000, "acme#pur_1"), "acme", "pur_1").at_ms() == 1_764_000_000_000


def test_an_item_is_always_in_the_same_shard() -> None:
    """Its hash says which; it is stored, so it stays as it is, and many items fill every shard."""
    assert [shard_of(DUE_PURCHASES, item_id) for item_id in ("pur_1", "pur_2", "pur_3")] == [2, 3, 1]
    assert {shard_of(DUE_PURCHASES, f"pur_{number}") for number in range(200)} == set(range(DUE_PURCHASES.shards))


def test_a_conflict_tells_which_records_stood_in_the_way() -> None:
    """None unless the store names them."""
    record = KeyRecord(key="k", fingerprint="f", version=1)
    assert ConflictError().records == {}
    assert ConflictError({("key", "k"): record}).records == {("key", "k"): record}
