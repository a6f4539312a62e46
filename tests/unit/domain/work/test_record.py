from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocredits.domain.records import Listing
from autocredits.domain.work.record import (
    ORDERS,
    ORDERS_BY_STATUS,
    Part,
    Work,
    WorkRequest,
    charge_name,
    message_digest,
    work_from_map,
)
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


def test_the_parts_of_a_hold_are_stored_with_their_order() -> None:
    """A map has no order, and a part that is opened again is the last."""
    stored = work(parts={"tracking": part(tracking="bce"), "order": part()}).to_map()
    assert stored["part_order"] == ["tracking", "order"]
    stored["parts"] = dict(sorted(stored["parts"].items()))
    assert list(work_from_map(stored).parts) == ["tracking", "order"]


def test_a_record_stores_only_what_it_has() -> None:
    """An order that was only begun has no parts, charges or messages to store."""
    assert set(work(rev=1).to_map()) == {
        "kind", "work_id", "store_id", "status", "attempt", "created_at", "updated_at", "status_at", "rev"
    }  # fmt: skip


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
def test_work_consists_of_parts(request_: WorkRequest, parts: tuple[str, ...]) -> None:
    """An automated order has part `order`, a conversion part `tracking`, a sourcing request part `sourcing`."""
    assert request_.part_names() == parts


@pytest.mark.parametrize("request_", [order(order_type="fba", tracking="bce"), product()])
def test_a_record_stands_for_its_request(request_: WorkRequest) -> None:
    """What was asked for can be asked for again."""
    known = work(
        kind=request_.kind,
        work_id=request_.work_id,
        store_id=request_.store_id,
        order_type=request_.order_type,
        tracking=request_.tracking,
        cost=request_.cost,
    )
    assert known.request() == request_
    assert known.key() == request_.key()


def test_a_charge_is_live_by_its_method() -> None:
    """Tracking is charged once per method, the order once."""
    charged = work(charged={"order": "2.0", "tracking:bce": "3.0"})
    assert charged.live_entry_id("order", "qtrack") == "2.0"
    assert charged.live_entry_id("tracking", "bce") == "3.0"
    assert charged.live_entry_id("tracking", "qtrack") is None
    assert (charge_name("order", "bce"), charge_name("tracking", "bce")) == ("order", "tracking:bce")


@pytest.mark.parametrize("status", ["captured", "released", "expired"])
def test_an_open_hold_counts_as_a_charge(status: str) -> None:
    """An open part is live; one that has ended is not, nor is one of another tracking method."""
    held = work(parts={"order": part(), "tracking": part(tracking="bce")})
    assert held.live_entry_id("order", None) == "2.0"
    assert held.live_entry_id("tracking", "bce") == "2.0"
    assert held.live_entry_id("tracking", "qtrack") is None
    assert held.open_parts() == ("order", "tracking")
    ended = replace(held, parts={"order": part(status)})
    assert ended.live_entry_id("order", None) is None
    assert ended.open_parts() == ()


def test_a_message_is_remembered_by_source_and_id() -> None:
    """Two messages are the same only if both are, wherever one ends and the other begins."""
    digests = {message_digest(*pair) for pair in (("a", "bc"), ("ab", "c"), ("abc", ""), ("1:a", "bc"), ("a", "cb"))}
    assert len(digests) == 5
    remembered = work().remember(message_digest("a", "bc"))
    assert remembered.has_seen(message_digest("a", "bc"))
    assert not remembered.has_seen(message_digest("ab", "c"))


def test_a_digest_never_changes() -> None:
    """It is stored: 128 bits in 32 digits, for ever the same."""
    assert message_digest("engine", "m1") == "364104c77d048799d980660b5bc8596a"


def test_the_newest_page_of_a_record() -> None:
    """A record names the pages that touched it; before the first it names none."""
    assert work().newest_version() == 0
    assert work(versions=(2, 5)).newest_version() == 5


# ---------------------------------------------------------------- lists


@pytest.mark.parametrize("status", ["processing", "ordered", "shipped"])
def test_an_order_is_listed_by_its_creation(status: str) -> None:
    """Each account has its own list, spread over 8 shards."""
    assert work(status=status, created_at=5, status_at=9).listings() == (Listing(ORDERS, 5, "o1"),)
    assert (ORDERS.index, ORDERS.shards, ORDERS.shared) == ("by_creation", 8, False)


@pytest.mark.parametrize("status", ["queued", "failed"])
def test_a_queued_or_failed_order_is_also_listed_by_when_it_became_so(status: str) -> None:
    """It leaves that list as soon as it has another status."""
    by_status = ORDERS_BY_STATUS[status]
    listings = work(status=status, created_at=5, status_at=9).listings()
    assert listings == (Listing(ORDERS, 5, "o1"), Listing(by_status, 9, "o1"))
    assert (by_status.name, by_status.index, by_status.shards, by_status.shared) == (status, "by_status", 8, False)


@pytest.mark.parametrize("status", ["processing", "accepted", "rejected", "failed"])
def test_a_sourcing_request_stands_in_no_list(status: str) -> None:
    """Products are only found by their id."""
    assert work(kind="product", status=status).listings() == ()
