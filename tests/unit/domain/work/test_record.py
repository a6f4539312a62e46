import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocredits.domain.decide import Command
from autocredits.domain.errors import Problem
from autocredits.domain.records import NO_ACCOUNT, Listing
from autocredits.domain.work.calls import ResendOrder
from autocredits.domain.work.record import (
    DUE_HOLDS,
    DUE_ORDERS,
    MAX_ATTEMPTS,
    MAX_CHANGES,
    MAX_MESSAGES_SEEN,
    ORDERS,
    ORDERS_BY_STATUS,
    Part,
    Progress,
    Work,
    WorkRequest,
    charge_name,
    message_digest,
    work_from_map,
)
from autocredits.ledger.ports import shard_of
from tests.kit.books import check_books
from tests.kit.builders import (
    ACCOUNT_ID,
    NOW_MS,
    PLATFORM,
    Account,
    capture,
    completed,
    conversion,
    conversion_failed,
    debit,
    failed,
    hold,
    opened,
    order,
    placed,
    product,
    release,
    requested,
)

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
PROGRESSES = st.builds(
    Progress,
    attempt=st.integers(1, 99),
    first_hold=st.lists(IDS).map(tuple),
    replaced=st.dictionaries(IDS, st.sampled_from(["captured", "released", "expired"])),
    completed=st.lists(IDS).map(tuple),
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
    asked=st.lists(METHODS).map(tuple),
    converted=st.booleans(),
    latest=st.none() | PROGRESSES,
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


# ---------------------------------------------------------------- what happened in an attempt


def test_the_progress_of_an_earlier_attempt_is_not_the_present_ones() -> None:
    """A release that knows no progress may have begun the present one."""
    known = Progress(attempt=1, first_hold=("order",), replaced={"tracking:bce": "released"}, completed=("order",))
    assert work(latest=known).progress() == known
    assert work(latest=known, attempt=2).progress() == Progress(attempt=2)
    assert work().progress() == Progress(attempt=1)


def test_an_attempts_first_hold_is_what_it_noted() -> None:
    """Or, where an earlier release noted none, all the parts it holds; nothing where nothing is held."""
    parts = {"order": part(), "tracking": part(tracking="bce")}
    assert work(parts=parts, latest=Progress(attempt=1, first_hold=("order",))).first_hold() == ("order",)
    assert work(parts=parts).first_hold() == ("order", "tracking:bce")
    assert work(parts=parts, attempt=2, latest=Progress(attempt=1, first_hold=("order",))).first_hold() == (
        "order",
        "tracking:bce",
    )
    assert work().first_hold() == ()


def test_what_was_held_for_a_charge_stands_as_its_part_or_as_it_ended() -> None:
    """The newest hold of it counts, and the first one apart; none of another method or attempt."""
    ended = Progress(attempt=1, replaced={"tracking:bce": "released", "tracking:qtrack": "expired"})
    known = work(parts={"order": part(), "tracking": part(tracking="bce")}, latest=ended)
    charges = ("order", "tracking:bce", "tracking:qtrack", "tracking:tracking_generator")
    assert [known.hold_status(charge) for charge in charges] == ["open", "open", "expired", None]
    assert [known.first_status(charge) for charge in charges] == ["open", "released", "expired", None]
    assert replace(known, attempt=2).hold_status("tracking:qtrack") is None
    assert replace(known, attempt=2).first_status("tracking:bce") == "open"


@pytest.mark.parametrize(
    ("values", "asked"),
    [
        ({}, {"none"}),
        ({"asked": ("bce", "none")}, {"none", "bce"}),
        ({"parts": {"tracking": part("released", "bce")}}, {"none", "bce"}),
        ({"charged": {"tracking:bce": "2.0", "order": "2.0"}}, {"none", "bce"}),
    ],
)
def test_what_a_work_was_asked_for(values: dict[str, object], asked: set[str]) -> None:
    """Its present method, those it noted, and, of an earlier release, those that it held or charged."""
    known = work(tracking="none", **values)
    methods = ("none", "bce", "qtrack", "tracking_generator")
    assert {tracking for tracking in methods if known.was_asked_for(tracking)} == asked


# ---------------------------------------------------------------- bounds


@pytest.mark.parametrize(
    ("values", "full"),
    [
        ({"status": "failed", "attempt": 98}, False),
        ({"status": "failed", "attempt": 99}, True),
        ({"status": "rejected", "attempt": 99}, True),
        ({"status": "processing", "attempt": 99}, False),
        ({"status": "ordered", "attempt": 99, "rev": 899}, False),
        ({"status": "ordered", "rev": 900}, True),
        ({"status": "failed", "rev": 901}, True),
    ],
)
def test_work_has_room_for_99_attempts_and_900_changes(values: dict[str, object], full: bool) -> None:  # noqa: FBT001 - a table's cell
    """A present attempt may go on, the 99th too, as long as the record has not changed too often."""
    assert (MAX_ATTEMPTS, MAX_CHANGES) == (99, 900)
    known = work(**values)
    if not full:
        known.check_room()
        return
    with pytest.raises(Problem) as refused:
        known.check_room()
    assert (refused.value.code, refused.value.status) == ("too_many_attempts", 409)


METHODS_OF_A_CONVERSION = ("bce", "qtrack", "tracking_generator")


def converted_by_all() -> Account:
    """An order that was held, given back and paid for by every method, again and again."""
    account = opened(10_000_000, 10_000_000)
    account.do(requested(order_type="fba"))
    account.do(placed())
    for tracking in METHODS_OF_A_CONVERSION * 3:
        account.do(conversion(tracking=tracking))
        account.do(conversion_failed(tracking=tracking))
    for tracking in METHODS_OF_A_CONVERSION:
        account.do(conversion(tracking=tracking))
        account.do(completed(tracking=tracking))
    return account


def test_the_lists_of_methods_in_a_record_have_a_bound() -> None:
    """However often each is asked for: three methods and `none`, and the parts of an order."""
    known = converted_by_all().work()
    assert known.asked == ("none", *METHODS_OF_A_CONVERSION)
    assert known.known_parts == ("order", "tracking")
    assert set(known.charged) == {"order", *(f"tracking:{tracking}" for tracking in METHODS_OF_A_CONVERSION)}
    assert known.progress().first_hold == ("order",)
    assert set(known.progress().replaced) == {f"tracking:{tracking}" for tracking in METHODS_OF_A_CONVERSION}


def test_the_list_of_completed_conversions_has_a_bound() -> None:
    """Each that was charged before is completed once."""
    account = opened(10_000_000)
    for tracking in ("none", *METHODS_OF_A_CONVERSION):
        account.do(debit(order(tracking=tracking)))
    for number in range(12):
        account.do(completed(tracking=METHODS_OF_A_CONVERSION[number % 3]))
    completed_ = account.work().progress().completed
    assert completed_ == tuple(f"tracking:{tracking}" for tracking in METHODS_OF_A_CONVERSION)


def test_a_new_attempt_begins_its_lists_anew() -> None:
    """What it notes of its progress is of one attempt, however many there were."""
    account = opened(10_000)
    for _ in range(5):
        for command in (requested(tracking="bce"), conversion_failed(), conversion(tracking="qtrack"), failed()):
            account.do(command)
    assert account.work().latest == Progress(
        attempt=5, first_hold=("order", "tracking:bce"), replaced={"tracking:bce": "released"}
    )


LONG_ID = "o" * 64
LONG: dict[str, Any] = {"store_id": "s" * 64, "cost": 100_000}
WIDE = "\U0001f4a9"


def fullest() -> Account:
    """An account whose order has all that a record can have: every list as long as it gets, and the longest words."""
    account = opened(10_000_000, 10_000_000)
    for attempt in range(1, 99):
        account.do(hold(order(LONG_ID, "fba", "bce", **LONG)))
        account.do(failed(LONG_ID, reason=WIDE * 500) if attempt == 98 else release(LONG_ID, attempt))
    account.do(ResendOrder(PLATFORM, LONG_ID, "r" * 64))
    account.do(requested(LONG_ID, "bce", "fba", store_id="s" * 64, cost="1000.00"))
    account.do(completed(LONG_ID, tracking="bce", tracking_number=WIDE * 1000))
    while len(account.work(LONG_ID).seen) < MAX_MESSAGES_SEEN - 1:
        account.do(failed(LONG_ID, attempt=1))
    account.do(placed(LONG_ID, supplier_order_id=WIDE * 1000))
    while account.work(LONG_ID).rev < MAX_CHANGES:
        account.do(hold(order(LONG_ID, "fba", "qtrack", **LONG)))
        account.do(release(LONG_ID, 99, parts=["tracking"]))
    return account


def test_the_fullest_record_is_far_from_the_largest_item() -> None:
    """200 messages, 99 attempts and 900 changes of a very old account are a tenth of the 400 KB that DynamoDB takes."""
    account = fullest()
    known = account.work(LONG_ID)
    assert (len(known.seen), known.attempt, known.rev >= MAX_CHANGES) == (MAX_MESSAGES_SEEN, 99, True)
    for door in (debit, hold):
        refusal = account.refusal(door(order(LONG_ID, "fba", "tracking_generator", **LONG)))
        assert refusal.code == "too_many_attempts"
    old = replace(known, reason=WIDE * 500, versions=tuple(10**12 - number for number in range(MAX_CHANGES)))
    assert len(json.dumps(old.to_map(), ensure_ascii=False).encode()) < 40 * 1024
    check_books(account)


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
    assert listings[:2] == (Listing(ORDERS, 5, "o1"), Listing(by_status, 9, "o1"))
    assert (by_status.name, by_status.index, by_status.shards, by_status.shared) == (status, "by_status", 8, False)


@pytest.mark.parametrize("status", ["processing", "accepted", "rejected", "failed", "queued"])
def test_a_sourcing_request_is_listed_by_no_creation_or_status(status: str) -> None:
    """Products are only found by their id."""
    names = {listing.list for listing in work(kind="product", status=status).listings()}
    assert not names & {ORDERS, *ORDERS_BY_STATUS.values()}


def expiring(**expires_at: tuple[int, str]) -> dict[str, Part]:
    """Parts by their names, each with its expiry and status."""
    return {name: replace(part(status), expires_at=at) for name, (at, status) in expires_at.items()}


@pytest.mark.parametrize(
    ("parts", "due_at"),
    [
        ({"order": (20, "open")}, 20),
        ({"order": (20, "open"), "tracking": (30, "open")}, 20),
        ({"order": (30, "open"), "tracking": (20, "open")}, 20),
        ({"order": (20, "captured"), "tracking": (30, "open")}, 30),
        ({"order": (20, "released"), "tracking": (30, "captured")}, None),
        ({}, None),
    ],
)
def test_what_is_held_is_due_when_its_first_open_part_expires(
    parts: dict[str, tuple[int, str]], due_at: int | None
) -> None:
    """Under the id of the hold, in one list for all accounts; what has ended is due no more."""
    known = work(attempt=3, parts=expiring(**parts))
    due = [listing for listing in known.listings() if listing.list == DUE_HOLDS]
    assert due == ([Listing(DUE_HOLDS, due_at, "o1~3")] if due_at else [])
    assert (DUE_HOLDS.name, DUE_HOLDS.index, DUE_HOLDS.shards, DUE_HOLDS.shared) == ("due#hold", "by_due", 8, True)


def test_held_sourcing_is_due_as_well() -> None:
    """It expires like every hold."""
    known = work(kind="product", work_id="p1", attempt=2, parts=expiring(sourcing=(20, "open")))
    assert known.listings() == (Listing(DUE_HOLDS, 20, "p1~s2"),)
    assert work(kind="product", parts=expiring(sourcing=(20, "captured"))).listings() == ()


def test_open_parts_are_overdue_from_their_time_on() -> None:
    """In the order they were opened; what has ended is never overdue."""
    known = work(parts=expiring(tracking=(20, "open"), order=(10, "open"), sourcing=(5, "captured")))
    assert [known.overdue_parts(now_ms) for now_ms in (9, 10, 19, 20)] == [
        (),
        ("order",),
        ("order",),
        ("tracking", "order"),
    ]


def test_a_queued_order_is_due_two_minutes_after_it_was_queued() -> None:
    """Its message counts as forgotten then; in another status it is due no more."""
    assert Listing(DUE_ORDERS, 5 + 120_000, "o1") in work(status="queued", status_at=5).listings()
    assert all(listing.list != DUE_ORDERS for listing in work(status="failed", status_at=5).listings())
    assert (DUE_ORDERS.name, DUE_ORDERS.index, DUE_ORDERS.shards, DUE_ORDERS.shared) == ("due#order", "by_due", 8, True)


@pytest.mark.parametrize("door", [lambda: hold(order(), lasts_ms=60_000), requested])
def test_every_hold_is_due_from_when_it_was_made(door: Callable[[], Command]) -> None:
    """Whether it came over HTTP or by the queue; once settled it is due no more."""
    account = opened(1000)
    account.do(door())
    held = account.work()
    shard = shard_of(DUE_HOLDS, "o1~1")
    listed = account.store.list(DUE_HOLDS, NO_ACCOUNT, limit=9, shard=shard)
    assert [(one.account_id, one.item_id, one.at_ms()) for one in listed] == [
        (ACCOUNT_ID, "o1~1", held.parts["order"].expires_at)
    ]
    account.do(capture())
    assert account.store.list(DUE_HOLDS, NO_ACCOUNT, limit=9) == []
