"""Random histories of two accounts: calls and messages, repeated and out of order, checked by a bookkeeper.

The bookkeeper reads nothing but the entries. It knows the price table, and that each part of a piece of work is held
by at most one hold at a time and paid for once per method.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from autocredits.domain.accounts import ChangeStanding
from autocredits.domain.decide import Command, IdempotencyKey, NotYet
from autocredits.domain.errors import Problem
from autocredits.domain.journal import Entry, Page
from tests.kit.books import check_holds, check_page
from tests.kit.builders import (
    PLATFORM,
    Account,
    accepted,
    adjust,
    capture,
    completed,
    conversion,
    conversion_failed,
    debit,
    failed,
    hold,
    merchant,
    opened,
    order,
    placed,
    product,
    queue_order,
    rejected,
    release,
    requested,
    sourcing,
)

# docs/domain.md, "What an action costs", once more and in hundredths: what each cell costs.
TABLE = {
    "auto": {"none": 100, "bce": 133, "qtrack": 250, "tracking_generator": 200},
    "manual": {"bce": 33, "qtrack": 50, "tracking_generator": 100},
}
TABLE["fba"] = TABLE["auto"]
SOURCING = 100


def price_of(entry: Entry, part: str) -> int:
    """What the part costs."""
    if part == "sourcing":
        return SOURCING
    cells = TABLE[entry.order_type or ""]
    order_cell = cells.get("none", 0)
    return order_cell if part == "order" else cells[entry.tracking or ""] - order_cell


@dataclass
class Bookkeeper:
    """An account as its entries tell it."""

    posted: Counter[str] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)
    open: dict[tuple[str, str], tuple[int, str | None, Counter[str]]] = field(default_factory=dict)
    paid: set[tuple[str, str]] = field(default_factory=set)

    def available(self, unit: str) -> int:
        """What is left for new work."""
        return self.posted[unit] - self.held[unit]

    def enter(self, entry: Entry) -> None:
        """Take one entry into the books, and object to what may not be."""
        if entry.unit is None:
            assert (entry.posted, entry.held) == (0, 0)
            return
        self.posted[entry.unit] += entry.posted
        self.held[entry.unit] += entry.held
        work = entry.order_id or f"product {entry.product_id}"
        if entry.kind in ("held", "debited"):
            assert self.available(entry.unit) >= 0, "new work took more than there was"
        if entry.kind == "held":
            self._hold(work, entry)
        elif entry.kind in ("captured", "released"):
            self._settle(work, entry)
        elif entry.kind == "debited":
            self._debit(work, entry)
        elif entry.kind == "refused":
            assert (entry.posted, entry.held) == (0, 0)
            assert entry.reason
        else:
            assert entry.held == 0

    def _hold(self, work: str, entry: Entry) -> None:
        part = entry.part or ""
        if entry.unit == "managed":
            assert (part, entry.held) == ("order", entry.cost)
            self.open[work, part][2]["managed"] += entry.held
            return
        assert (work, part) not in self.open, "held twice"
        assert (work, charge(part, entry)) not in self.paid, "held what was paid for"
        assert entry.held == price_of(entry, part)
        self.open[work, part] = (entry.attempt or 0, entry.tracking, Counter(auto_order=entry.held))

    def _settle(self, work: str, entry: Entry) -> None:
        part = entry.part or ""
        attempt, tracking, held = self.open[work, part]
        assert (attempt, tracking) == (entry.attempt, entry.tracking), "settled another hold"
        unit = entry.unit or ""
        assert entry.held == -held.pop(unit)
        if unit == "auto_order":
            assert entry.posted == (entry.held if entry.kind == "captured" else 0)
        if entry.kind == "captured":
            self._pay(work, charge(part, entry), again=unit == "managed")
        if not held:
            del self.open[work, part]

    def _debit(self, work: str, entry: Entry) -> None:
        if entry.unit == "managed":
            assert entry.posted == -(entry.cost or 0)
            assert (work, "order") in self.paid
            return
        parts = ["sourcing"] if entry.product_id else ["order", "tracking"]
        if entry.order_type == "manual" or (work, "order") in self.paid or (work, "order") in self.open:
            parts = [part for part in parts if part != "order"]
        if entry.tracking == "none" or (work, f"tracking {entry.tracking}") in self.paid:
            parts = [part for part in parts if part != "tracking"]
        assert parts, "debited what was paid for"
        assert all((work, part) not in self.open for part in parts), "debited what is held"
        assert entry.posted == -sum(price_of(entry, part) for part in parts)
        for part in parts:
            self._pay(work, charge(part, entry))

    def _pay(self, work: str, what: str, *, again: bool = False) -> None:
        assert again or (work, what) not in self.paid, "paid twice"
        self.paid.add((work, what))


def charge(part: str, entry: Entry) -> str:
    """What is paid for once: an order, a product, a conversion by one method."""
    return f"tracking {entry.tracking}" if part == "tracking" else part


Make = Callable[[], Command]

ORDERS = st.sampled_from(["o1", "o1", "o2"])
PRODUCTS = st.sampled_from(["p1"])
TRACKINGS = st.sampled_from(["none", "none", "bce", "qtrack", "tracking_generator"])
METHODS = st.sampled_from(["bce", "qtrack"])
TYPES = st.sampled_from(["auto", "auto", "fba", "manual"])
STORES = st.sampled_from(["s1"] * 9 + ["s2"])
ATTEMPTS = st.sampled_from([None, None, 1, 2])
KEYS = st.sampled_from([f"k{number}" for number in range(40)])
MESSAGES = st.sampled_from([f"m{number}" for number in range(60)])
PARTS = st.sampled_from([None, None, ["order"], ["tracking"], ["order", "tracking"]])


def _http(door: Callable[..., Command]) -> st.SearchStrategy[Command]:
    """Calls with a key, whose fingerprint is that of the work, as it is over HTTP."""

    def make(key: str, order_id: str, order_type: str, tracking: str, store_id: str, caller: Any) -> Command:
        request = order(order_id, order_type, tracking, store_id=store_id)
        return door(
            request, IdempotencyKey(key, f"{door.__name__} {request}"), **({"caller": caller} if caller else {})
        )

    callers = st.sampled_from([None, None, None, merchant(store_id="s1")])
    if door is queue_order:
        return st.builds(make, KEYS, ORDERS, st.sampled_from(["auto", "fba"]), TRACKINGS, STORES, st.none())
    return st.builds(make, KEYS, ORDERS, TYPES, TRACKINGS, STORES, callers)


def _sourced(door: Callable[..., Command]) -> st.SearchStrategy[Command]:
    def make(key: str, product_id: str) -> Command:
        return door(product(product_id), IdempotencyKey(key, f"{door.__name__} {product_id}"))

    return st.builds(make, KEYS, PRODUCTS)


def _adjusted(key: str, unit: str, amount: int) -> Command:
    return adjust(unit, amount, IdempotencyKey(key, f"adjust {unit} {amount}"))


HTTP: st.SearchStrategy[Command] = st.one_of(
    _http(debit),
    _http(hold),
    _http(hold),
    _http(queue_order),
    _sourced(debit),
    _sourced(hold),
    st.builds(
        capture, ORDERS, st.sampled_from([1, 1, 2]), parts=PARTS, managed=st.sampled_from([None, None, 2110, 2351])
    ),
    st.builds(release, ORDERS, st.sampled_from([1, 1, 2]), parts=PARTS),
    st.builds(capture, PRODUCTS, st.sampled_from([1, 2]), kind=st.just("product")),
    st.builds(release, PRODUCTS, st.sampled_from([1, 2]), kind=st.just("product")),
    st.builds(_adjusted, KEYS, st.sampled_from(["auto_order", "managed"]), st.sampled_from([-200, 150, 400, 2500])),
    st.sampled_from(
        [
            ChangeStanding(PLATFORM, {"status": "paused"}),
            ChangeStanding(PLATFORM, {"status": "active"}),
            ChangeStanding(PLATFORM, {"status": "active", "orders_processor": "inactive"}),
            ChangeStanding(PLATFORM, {"status": "active", "orders_processor": "active"}),
            ChangeStanding(PLATFORM, {"status": "active", "orders_processor": "active"}),
        ]
    ),
)

MESSAGES_IN: st.SearchStrategy[Command] = st.one_of(
    st.builds(
        requested,
        ORDERS,
        TRACKINGS,
        st.sampled_from(["auto", "auto", "fba"]),
        message_id=MESSAGES,
        store_id=STORES,
        attempt=ATTEMPTS,
    ),
    st.builds(
        placed, ORDERS, message_id=MESSAGES, attempt=ATTEMPTS, managed=st.sampled_from([None, None, "21.10", "30.00"])
    ),
    st.builds(failed, ORDERS, message_id=MESSAGES, attempt=ATTEMPTS),
    st.builds(
        conversion,
        ORDERS,
        METHODS,
        message_id=MESSAGES,
        order_type=st.sampled_from([None, None, "auto", "manual"]),
    ),
    st.builds(completed, ORDERS, message_id=MESSAGES, attempt=ATTEMPTS, tracking=st.none() | METHODS),
    st.builds(conversion_failed, ORDERS, message_id=MESSAGES, attempt=ATTEMPTS),
    st.builds(sourcing, PRODUCTS, message_id=MESSAGES),
    st.builds(accepted, PRODUCTS, message_id=MESSAGES, attempt=ATTEMPTS),
    st.builds(rejected, PRODUCTS, message_id=MESSAGES, attempt=ATTEMPTS),
)

COMMANDS: st.SearchStrategy[Command] = HTTP | MESSAGES_IN

# Mostly new commands; now and then one of the last few is delivered again.
STEPS = st.lists(
    st.tuples(st.sampled_from([False, False, False, True]), COMMANDS, st.sampled_from([0, 0, 0, 0, 0, 0, 1, 2, 5])),
    min_size=25,
    max_size=80,
)

MOVES = {"held", "debited", "captured", "released", "refused", "adjusted", "standing"}


def outcome(account: Account, command: Command) -> tuple[str, int | None]:
    """What came of the command, and the page that answers it if it is a replay."""
    try:
        done = account.do(command).done
    except Problem as problem:
        return problem.code, None
    except NotYet:
        return "not_yet", None
    return done.did, done.replayed.version if done.replayed else None


def check_step(account: Account, bookkeeper: Bookkeeper, before: Page, word: str) -> None:
    """The account's books right after a step: at most one new page, linked, and every sum as the entries say."""
    page = account.page()
    if page == before:
        assert word not in MOVES - {"standing"}
    else:
        assert word in MOVES
        assert page.version == before.version + 1
        check_page(page, before)
        for entry in page.entries:
            bookkeeper.enter(entry)
    for unit in ("auto_order", "ai_rewrite", "finder", "managed"):
        assert account.balance(unit) == (bookkeeper.posted[unit], bookkeeper.held[unit])
    check_holds(account)


def check_records(account: Account, bookkeeper: Bookkeeper) -> None:
    """The work records say what the entries say: what is open, what was paid for, and what it cost."""
    for work in account.works():
        name = work.work_id if work.kind == "order" else f"product {work.work_id}"
        assert set(work.open_parts()) == {part for other, part in bookkeeper.open if other == name}
        assert {charged.replace(":", " ") for charged in work.charged} == {
            what for other, what in bookkeeper.paid if other == name
        }
        for version in work.versions:
            page = account.store.page(account.account_id, version)
            assert page is not None
            assert any(work.work_id in (entry.order_id, entry.product_id) for entry in page.entries)
    spent = sum(
        -entry.posted
        for page in account.pages()
        for entry in page.entries
        if entry.unit == "auto_order" and entry.kind in ("debited", "captured")
    )
    assert sum(work.credits for work in account.works()) == spent


@settings(max_examples=300, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_no_history_breaks_the_books(steps: list[tuple[bool, Command, int]]) -> None:
    """Whatever is called and sent, in whatever order and how often: the books are right after every step."""
    first = opened(400, 3000)
    second = opened(300, 0, account=Account(first.store, first.clock, "bolt"))
    accounts = [(account, Bookkeeper()) for account in (first, second)]
    for account, bookkeeper in accounts:
        for page in account.pages():
            for entry in page.entries:
                bookkeeper.enter(entry)
    delivered: list[tuple[bool, Command]] = []
    answers: dict[tuple[str, str, str], int] = {}
    for to_second, command, again in steps:
        step = delivered[-again] if again and len(delivered) >= again else (to_second, command)
        delivered.append(step)
        account, bookkeeper = accounts[step[0]]
        bystander = accounts[not step[0]][0].page()
        before = account.page()
        first.clock.at_ms += (again - 2) * 1000  # a clock that is now and then set back
        word, replay_version = outcome(account, step[1])
        event(word)
        check_step(account, bookkeeper, before, word)
        assert accounts[not step[0]][0].page() == bystander
        key = getattr(step[1], "idempotency", None)
        if word in MOVES and key is not None:
            place = (account.account_id, key.key, key.fingerprint)
            assert place not in answers, "a key has moved something twice"
            answers[place] = account.page().version
        if replay_version is not None and key is not None and (account.account_id, key.key, key.fingerprint) in answers:
            assert replay_version == answers[account.account_id, key.key, key.fingerprint]
    for account, bookkeeper in accounts:
        check_records(account, bookkeeper)
