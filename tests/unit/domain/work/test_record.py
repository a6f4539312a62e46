from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocredits.domain.kinds import record_from_map
from autocredits.domain.records import KeyRecord
from autocredits.domain.work.record import Part, Work, charge_name, message_digest, work_from_map
from tests.kit.builders import NOW_MS, order, product

IDS = st.from_regex(r"[A-Za-z0-9_.:-]{1,12}", fullmatch=True)
METHODS = st.sampled_from(["none", "bce", "qtrack", "tracking_generator"])
PARTS = st.builds(
    Part,
    status=st.sampled_from(["open", "captured", "released", "expired"]),
    credits=st.integers(0, 10**6),
    managed=st.integers(0, 10**6),
    tracking=st.none() | METHODS,
    rate_card=IDS,
    expires_at=st.integers(1, 10**14),
    entry_id=IDS,
)
WORKS = st.builds(
    Work,
    kind=st.sampled_from(["order", "product"]),
    work_id=IDS,
    store_id=IDS,
    order_type=st.none() | st.sampled_from(["auto", "fba", "manual"]),
    tracking=st.none() | METHODS,
    cost=st.none() | st.integers(1, 10**6),
    status=IDS,
    attempt=st.integers(1, 99),
    parts=st.dictionaries(st.sampled_from(["order", "tracking", "sourcing"]), PARTS),
    charged=st.dictionaries(IDS, IDS),
    known_parts=st.lists(IDS).map(tuple),
    converted=st.booleans(),
    credits=st.integers(0, 10**6),
    reason=st.none() | IDS,
    resent_by=st.none() | IDS,
    tracking_number=st.none() | IDS,
    supplier_order_id=st.none() | IDS,
    seen=st.lists(IDS).map(tuple),
    versions=st.lists(st.integers(1, 10**9)).map(tuple),
    created_at=st.integers(1, 10**14),
    updated_at=st.integers(1, 10**14),
    status_at=st.integers(1, 10**14),
    rev=st.integers(1, 10**6),
)


def part(status: str = "open", tracking: str | None = None) -> Part:
    """A part of a hold."""
    return Part(status=status, credits=100, tracking=tracking, rate_card="c", expires_at=NOW_MS, entry_id="2.0")  # type: ignore[arg-type]


def work(**values: object) -> Work:
    """An order in some state."""
    plain = {"kind": "order", "work_id": "o1", "store_id": "s1", "status": "processing"}
    times = {"created_at": NOW_MS, "updated_at": NOW_MS, "status_at": NOW_MS}
    return Work(**(plain | times | values))  # type: ignore[arg-type]


@given(WORKS)
def test_a_work_record_survives_being_stored(stored: Work) -> None:
    """What is read back is the record, its parts in the order they were opened."""
    again = work_from_map(stored.to_map())
    assert again == stored
    assert list(again.parts) == list(stored.parts)


def test_what_is_empty_is_not_stored() -> None:
    """None, nothing, false and zero cost no space."""
    assert set(work(rev=1).to_map()) == {
        "kind", "work_id", "store_id", "status", "attempt", "created_at", "updated_at", "status_at", "rev"
    }  # fmt: skip


@given(IDS, IDS, st.integers(1, 10**9), st.integers(0, 48), st.integers(0, 49))
def test_a_key_survives_being_stored(key: str, fingerprint: str, version: int, first: int, count: int) -> None:
    """A key's record is read back as it was, and told from work by the kind of its own key."""
    record = KeyRecord(key=key, fingerprint=fingerprint, version=version, first=first, count=count)
    assert record_from_map(("key", key), record.to_map()) == record
    assert record_from_map(("order", "o1"), work(rev=1).to_map()) == work(rev=1)


@pytest.mark.parametrize(
    ("request_", "parts"),
    [
        (order(tracking="none"), ("order",)),
        (order(tracking="qtrack"), ("order", "tracking")),
        (order(order_type="fba", tracking="bce"), ("order", "tracking")),
        (order(order_type="manual", tracking="bce"), ("tracking",)),
        (order(order_type="manual", tracking="none"), ()),
        (product(), ("sourcing",)),
    ],
)
def test_work_consists_of_parts(request_: object, parts: tuple[str, ...]) -> None:
    """An automated order has its order, a conversion its tracking, a sourcing request itself."""
    assert request_.part_names() == parts  # type: ignore[attr-defined]


def test_a_charge_is_live_by_its_method() -> None:
    """Tracking is charged once per method, the order once."""
    charged = work(charged={"order": "2.0", "tracking:bce": "3.0"})
    assert charged.live_entry_id("order", "qtrack") == "2.0"
    assert charged.live_entry_id("tracking", "bce") == "3.0"
    assert charged.live_entry_id("tracking", "qtrack") is None
    assert (charge_name("order", "bce"), charge_name("tracking", "bce")) == ("order", "tracking:bce")


@pytest.mark.parametrize("status", ["captured", "released", "expired"])
def test_an_open_hold_counts_as_a_charge(status: str) -> None:
    """An open part is live; one that ended is not, nor is tracking of another method."""
    held = work(parts={"order": part(), "tracking": part(tracking="bce")})
    assert held.live_entry_id("order", None) == "2.0"
    assert held.live_entry_id("tracking", "bce") == "2.0"
    assert held.live_entry_id("tracking", "qtrack") is None
    assert held.open_parts() == ("order", "tracking")
    ended = replace(held, parts={"order": part(status)})
    assert ended.live_entry_id("order", None) is None
    assert ended.open_parts() == ()


def test_a_message_is_remembered_by_source_and_id() -> None:
    """Two messages are one if both source and id are the same, however they are cut."""
    assert message_digest("a", "bc") == message_digest("a", "bc")
    digests = {message_digest(*pair) for pair in (("a", "bc"), ("ab", "c"), ("abc", ""), ("1:a", "bc"), ("a", "cb"))}
    assert len(digests) == 5
    met = work().meet(message_digest("a", "bc"))
    assert met.has_seen(message_digest("a", "bc"))
    assert not met.has_seen(message_digest("ab", "c"))
    assert met.meet(None) is met


def test_the_newest_page_of_a_record() -> None:
    """A record names the pages that touched it; before the first it names none."""
    assert work().newest_version() == 0
    assert work(versions=(2, 5)).newest_version() == 5
