"""What a page tells (docs/contract.md, section 8): one event for each entry, what is funded, and what was crossed."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocredits.domain.decide import Command
from autocredits.domain.errors import BrokenInvariantError
from autocredits.domain.events import Event, Hold, events_of
from autocredits.domain.journal import KINDS, Entry, Page, next_page
from autocredits.domain.work.lifecycle import HOLD_MS
from tests.kit.builders import (
    ACCOUNT_ID,
    NOW_MS,
    Account,
    adjust,
    capture,
    conversion,
    debit,
    failed,
    hold,
    opened,
    order,
    placed,
    product,
    release,
    requested,
    sourcing,
)

CROSSINGS = ("balance.low", "balance.depleted", "balance.replenished")
FUNDED = ("auto_order.funded", "tracking_conversion.funded", "sourcing.funded")


def told(account: Account, *commands: Command) -> list[Event]:
    """What the page tells that these commands make together; the newest one's if there are none."""
    if commands:
        version = account.page().version
        account.ledger().execute_all(ACCOUNT_ID, commands)
        assert account.page().version == version + 1
    return list(events_of(account.page()))


def types(events: Sequence[Event]) -> list[str]:
    """Their types."""
    return [event.type for event in events]


def funded(events: Sequence[Event]) -> list[tuple[str, int, Hold | None]]:
    """Those that tell that work may begin: type, entry, and what was set aside."""
    return [(event.type, event.index, event.hold) for event in events if event.type in FUNDED]


def crossings(events: Sequence[Event]) -> list[tuple[str, int]]:
    """What was crossed, and the entry that it is made from."""
    return [(event.type, event.index) for event in events if event.type in CROSSINGS]


def page_of(available: int, entries: Sequence[Entry], threshold: int | None = None) -> Page:
    """A page of these entries on an account with so much of `auto_order` available, and this threshold."""
    first = [Entry(kind="opened", actor="a", changes={"low_balance": threshold})]
    if available > 0:
        first.append(Entry(kind="granted", actor="a", unit="auto_order", posted=available))
    if available < 0:
        first.append(Entry(kind="clawed_back", actor="a", unit="auto_order", posted=available))
    head = next_page(ACCOUNT_ID, None, NOW_MS, first)
    return next_page(ACCOUNT_ID, head, NOW_MS, entries)


def moved(kind: str, posted: int = 0, held: int = 0, unit: str = "auto_order", **words: Any) -> Entry:
    """An entry that moves a unit."""
    return Entry(kind=kind, actor="a", unit=unit, posted=posted, held=held, **words)


# ---------------------------------------------------------------- one event for each entry


@pytest.mark.parametrize(
    ("entry", "event_type"),
    [
        (Entry(kind="opened", actor="a"), "account.opened"),
        (Entry(kind="standing", actor="a", changes={"status": "paused"}), "account.standing"),
        (moved("granted", 1), "credits.granted"),
        (moved("purchased", 1), "credits.purchased"),
        (moved("loaded", 1, unit="managed"), "credits.loaded"),
        (moved("held", held=1, part="order", order_id="o1"), "credits.held"),
        (moved("captured", -1, -1, part="order", order_id="o1"), "credits.captured"),
        (moved("released", held=-1, part="order", order_id="o1"), "credits.released"),
        (moved("expired", held=-1, part="order", order_id="o1"), "credits.expired"),
        (moved("debited", -1, order_id="o1"), "credits.debited"),
        (moved("adjusted", -1), "credits.adjusted"),
        (moved("clawed_back", -1, purchase_id="b1"), "credits.clawed_back"),
        (moved("declined", purchase_id="b1"), "purchase.declined"),
        (moved("refused", part="order", order_id="o1"), "auto_order.refused"),
        (moved("refused", part="tracking", order_id="o1"), "tracking_conversion.refused"),
        (moved("refused", part="sourcing", product_id="p1"), "sourcing.refused"),
        (moved("refused", unit="managed", part="order", order_id="o1"), "auto_order.refused"),
    ],
)
def test_an_entry_is_told_by_its_kind(entry: Entry, event_type: str) -> None:
    """Refusals by the part that was refused, all that moves a unit as `credits`, the rest as `account`."""
    held = [moved("held", held=1, part="order", order_id="o1", key="k")] if entry.held < 0 else []
    page = page_of(500, [*held, entry])
    assert events_of(page)[len(held)] == Event(event_type, len(held))


def test_every_kind_of_entry_is_told_by_some_type() -> None:
    """None is left out of the test above."""
    [mark] = test_an_entry_is_told_by_its_kind.pytestmark  # type: ignore[attr-defined]
    assert {entry.kind for entry, _ in mark.args[1]} == set(KINDS)


def test_an_account_that_opens_tells_so_first() -> None:
    """Then its free credits, by which it is no longer at zero."""
    assert types(told(opened())) == ["account.opened", "credits.granted", "balance.replenished"]


def test_each_unit_of_a_debit_is_told() -> None:
    """Credits and managed balance are an entry each."""
    assert types(told(opened(500, 2350), debit(order(order_type="fba")))) == ["credits.debited"] * 2


def test_entries_come_first_and_in_their_sequence() -> None:
    """What is funded and what was crossed follows them."""
    account = opened(133)
    events = told(account, requested(tracking="bce"))
    assert types(events) == ["credits.held", "credits.held", "auto_order.funded", "balance.depleted"]
    assert [event.index for event in events] == [0, 1, 0, 1]


# ---------------------------------------------------------------- what is funded


def test_an_order_from_the_queue_is_funded() -> None:
    """Once, from its first entry, with the credits of each part, the managed balance and the time it expires."""
    events = told(opened(500, 2350), requested(order_type="fba", tracking="bce"))
    assert types(events)[:3] == ["credits.held"] * 3
    hold_ = Hold({"order": 100, "tracking": 33}, 2350, NOW_MS + HOLD_MS)
    assert funded(events) == [("auto_order.funded", 0, hold_)]
    assert hold_.credits() == 133


def test_a_conversion_from_the_queue_is_funded() -> None:
    """Of an order that was placed before: the difference, for its part alone."""
    account = opened(500)
    for command in (requested(), placed()):
        account.do(command)
    events = told(account, conversion())
    [(event_type, index, hold_)] = funded(events)
    assert (event_type, index) == ("tracking_conversion.funded", 0)
    assert hold_ == Hold({"tracking": account.work().parts["tracking"].credits}, 0, NOW_MS + HOLD_MS)


def test_sourcing_from_the_queue_is_funded() -> None:
    """With its one part."""
    events = told(opened(500), sourcing())
    assert funded(events) == [("sourcing.funded", 0, Hold({"sourcing": 100}, 0, NOW_MS + HOLD_MS))]


@pytest.mark.parametrize("request_", [order(tracking="bce"), product()], ids=["order", "product"])
def test_a_hold_over_http_is_not_funded(request_: Any) -> None:
    """Whoever asked was answered."""
    assert types(told(opened(500), hold(request_))) == ["credits.held"] * len(request_.part_names())


def test_what_is_settled_or_refused_is_not_funded() -> None:
    """Captures, releases and refusals set nothing aside."""
    account = opened(250)
    account.do(requested("o1"))
    account.do(requested("o2"))
    assert funded(told(account, placed("o1"), failed("o2"), requested("o3"), requested("o4"))) == [
        ("auto_order.funded", 2, Hold({"order": 100}, 0, NOW_MS + HOLD_MS))
    ]
    assert types(told(account))[:4] == [
        "credits.captured",
        "credits.released",
        "credits.held",
        "auto_order.refused",
    ]


def test_each_request_of_a_page_is_funded() -> None:
    """Orders and products that came together, each from its own first entry."""
    events = told(opened(1000), requested("o1", "bce"), requested("o2", "bce"), sourcing("p1"), sourcing("p2"))
    assert [(event_type, index) for event_type, index, _ in funded(events)] == [
        ("auto_order.funded", 0),
        ("auto_order.funded", 2),
        ("sourcing.funded", 4),
        ("sourcing.funded", 5),
    ]
    assert [hold_.credits() for _, _, hold_ in funded(events) if hold_] == [133, 133, 100, 100]


def test_an_order_and_its_conversion_in_one_page_are_two() -> None:
    """Though both are of one order and one attempt."""
    events = told(opened(1000), requested(), conversion())
    assert [(event_type, index) for event_type, index, _ in funded(events)] == [
        ("auto_order.funded", 0),
        ("tracking_conversion.funded", 1),
    ]


def test_two_attempts_in_one_page_are_two() -> None:
    """The order failed in between, and was requested again."""
    events = told(opened(1000), requested(), failed(), requested(message_id="again"))
    assert types(events) == [
        "credits.held",
        "credits.released",
        "credits.held",
        "auto_order.funded",
        "auto_order.funded",
    ]
    assert [index for _, index, _ in funded(events)] == [0, 2]


def test_a_hold_over_http_beside_one_from_the_queue_is_left_out() -> None:
    """Their entries stand side by side in one page."""
    events = told(opened(1000), hold(order("o1")), requested("o2"), hold(order("o3")))
    assert [(event_type, index) for event_type, index, _ in funded(events)] == [("auto_order.funded", 1)]


# ---------------------------------------------------------------- what was crossed


@pytest.mark.parametrize(
    ("before", "after", "threshold", "crossed"),
    [
        (300, 200, 200, []),
        (300, 199, 200, ["balance.low"]),
        (200, 199, 200, ["balance.low"]),
        (199, 100, 200, []),
        (199, 0, 200, ["balance.depleted"]),
        (200, 0, 200, ["balance.low", "balance.depleted"]),
        (300, -50, 200, ["balance.low", "balance.depleted"]),
        (0, -50, 200, []),
        (1, 0, None, ["balance.depleted"]),
        (1, -1, None, ["balance.depleted"]),
        (300, 1, None, []),
        (0, 1, None, ["balance.replenished"]),
        (-50, 1, None, ["balance.replenished"]),
        (-50, 0, None, []),
        (1, 300, None, []),
        (0, 199, 200, []),
        (0, 200, 200, ["balance.replenished"]),
        (199, 200, 200, ["balance.replenished"]),
        (200, 300, 200, []),
        (-50, 199, 200, []),
        (1, 0, 0, ["balance.depleted"]),
        (1, -1, 0, ["balance.low", "balance.depleted"]),
        (0, -1, 0, ["balance.low"]),
        (-1, 0, 0, ["balance.replenished"]),
        (0, 1, 0, []),
    ],
)
def test_a_crossing_is_told(before: int, after: int, threshold: int | None, crossed: list[str]) -> None:
    """`low` at the threshold and then below, `depleted` above zero and then not, `replenished` on the way back."""
    kind = "granted" if after > before else "clawed_back"
    page = page_of(before, [moved(kind, after - before)], threshold)
    assert [event_type for event_type, _ in crossings(events_of(page))] == crossed


def test_a_hold_counts() -> None:
    """What is set aside is no longer to be used."""
    account = opened(250)
    account.set_standing(low_balance=200)
    assert crossings(told(account, hold(order()))) == [("balance.low", 0)]


def test_what_comes_and_goes_within_a_page_is_no_crossing() -> None:
    """A hold that is released again, or a grant that is taken back."""
    account = opened(250)
    account.set_standing(low_balance=200)
    assert types(told(account, hold(order()), release())) == ["credits.held", "credits.released"]
    page = page_of(100, [moved("granted", 900), moved("clawed_back", -900)], 200)
    assert crossings(events_of(page)) == []


def test_a_capture_of_what_was_held_is_no_crossing() -> None:
    """The hold was."""
    account = opened(250)
    account.set_standing(low_balance=200)
    account.do(hold(order()))
    assert types(told(account, capture())) == ["credits.captured"]


@pytest.mark.parametrize("threshold", [100, 300, None])
def test_a_changed_threshold_is_no_crossing(threshold: int | None) -> None:
    """Though the balance was on its other side before."""
    account = opened(250)
    account.set_standing(low_balance=200)
    account.set_standing(low_balance=threshold)
    assert types(told(account)) == ["account.standing"]


def test_a_threshold_that_changes_with_the_balance_counts_for_both_sides() -> None:
    """By the new one the balance is low after as before; by the old one it would have crossed it."""
    changed = Entry(kind="standing", actor="a", changes={"low_balance": 500})
    page = page_of(250, [changed, moved("clawed_back", -100)], 200)
    assert types(events_of(page)) == ["account.standing", "credits.clawed_back"]


def test_a_crossing_is_made_from_the_last_entry_of_the_unit() -> None:
    """Whatever else follows in the page."""
    last = [moved("granted", 1, unit="finder"), Entry(kind="standing", actor="a", changes={"status": "paused"})]
    page = page_of(250, [moved("clawed_back", -10), moved("clawed_back", -50), *last], 200)
    assert crossings(events_of(page)) == [("balance.low", 1)]


@pytest.mark.parametrize("unit", ["managed", "finder", "ai_rewrite"])
def test_other_units_cross_nothing(unit: str) -> None:
    """Thresholds are about `auto_order` alone."""
    account = opened(100, 0)
    account.set_standing(low_balance=200)
    assert types(told(account, adjust(unit, 100))) == ["credits.adjusted"]
    assert types(told(account, adjust(unit, -100))) == ["credits.adjusted"]


# ---------------------------------------------------------------- any page at all


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    """An entry of any kind, of one of a few pieces of work."""
    kind = draw(st.sampled_from([*KINDS, "held", "held"]))
    if kind == "opened":
        return Entry(kind=kind, actor="a")
    if kind == "standing":
        return Entry(kind=kind, actor="a", changes={"low_balance": draw(st.none() | st.integers(0, 1000))})
    amount = draw(st.integers(1, 1000))
    signs = {"held": (0, 1), "captured": (-1, -1), "debited": (-1, 0), "clawed_back": (-1, 0)}
    signs |= dict.fromkeys(("released", "expired"), (0, -1)) | dict.fromkeys(("refused", "declined"), (0, 0))
    posted, held = signs.get(kind, (1, 0))
    part = draw(st.sampled_from(["order", "tracking", "sourcing"]))
    work: dict[str, Any] = {"product_id": "p1"} if part == "sourcing" else {"order_id": draw(st.sampled_from("xy"))}
    words = {
        "attempt": draw(st.integers(1, 2)),
        "key": draw(st.sampled_from([None, None, "k"])),
        "part": part,
        "expires_at": 1,
    }
    unit = draw(st.sampled_from(["auto_order", "auto_order", "managed"]))
    return moved(kind, posted * amount, held * amount, unit, **work, **words)


@st.composite
def pages(draw: st.DrawFn) -> Page:
    """A page of such entries, without those that would break the books of an account with so much available."""
    available = draw(st.integers(-500, 2000))
    threshold = draw(st.none() | st.integers(0, 1000))
    kept: list[Entry] = []
    for entry in draw(st.lists(entries(), min_size=1, max_size=20)):
        with suppress(BrokenInvariantError):
            page_of(available, [*kept, entry], threshold)
            kept.append(entry)
    return page_of(available, kept or [Entry(kind="opened", actor="a")], threshold)


@given(pages())
def test_any_page_tells_each_entry_once_and_each_crossing_at_most_once(page: Page) -> None:
    """One event for each entry, at its own place; a crossing only where `auto_order` moved; funded only from a hold."""
    drawn = page.entries
    events = events_of(page)
    assert [event.index for event in events[: len(drawn)]] == list(range(len(drawn)))
    rest = events[len(drawn) :]
    assert {event.type for event in rest} <= {*CROSSINGS, *FUNDED}
    crossed = Counter(event.type for event in rest if event.type in CROSSINGS)
    assert max(crossed.values(), default=0) <= 1
    assert not crossed or any(entry.unit == "auto_order" for entry in drawn)
    assert not crossed["balance.replenished"] or crossed.total() == 1
    starts = [event.index for event in rest if event.type in FUNDED]
    assert len(starts) == len(set(starts))
    assert all(drawn[index].kind == "held" and drawn[index].key is None for index in starts)
    set_aside = sum(event.hold.credits() + event.hold.managed for event in rest if event.hold)
    assert set_aside == sum(entry.held for entry in drawn if entry.kind == "held" and entry.key is None)
    assert events_of(page) == events
