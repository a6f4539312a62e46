"""The commit loop under faults and rivals that no emulator shows, each put in on purpose."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autocredits.domain.accounts import ChangeStanding, OpenAccount
from autocredits.domain.decide import Command, IdempotencyKey, NotYet
from autocredits.domain.errors import BrokenInvariantError, Problem
from autocredits.domain.purchases.calls import CloseCoupon, MakeCoupon, PlanPoll, RefusePayment, TallyCoupon
from autocredits.domain.purchases.coupons import Coupon, CouponUse
from autocredits.domain.purchases.record import Purchase
from autocredits.domain.records import NO_ACCOUNT, Record
from autocredits.domain.work.record import Work
from autocredits.ledger.commit import BUDGET_S, Accepted, Ledger
from autocredits.ledger.ports import Store, UnavailableError
from tests.kit.books import check_books
from tests.kit.builders import (
    ACCOUNT_ID,
    PLATFORM,
    Account,
    adjust,
    capture,
    completed,
    conversion,
    debit,
    failed,
    hold,
    opened,
    order,
    placed,
    queue_order,
    release,
    requested,
    sourcing,
)
from tests.kit.memory import MemoryStore
from tests.kit.purchases import begin, cancel, checkout, fulfil, review, start
from tests.outages.faulty import (
    ANSWER_LOST,
    CONFLICT,
    FAULTS,
    OK,
    REQUEST_LOST,
    THROTTLED,
    FaultyStore,
    HalfShownStore,
    RivalStore,
    copy_of,
)

COUPON = Coupon(code="C1", percent_off=1000)
KEY = IdempotencyKey("k1", "as sent")
OTHER_KEY = IdempotencyKey("k2", "as sent")


def make_coupon(request_id: str = "r1") -> MakeCoupon:
    """A request that makes the coupon."""
    return MakeCoupon(caller=PLATFORM, coupon=COUPON, request_id=request_id)


def close_coupon() -> CloseCoupon:
    """A request that closes it."""
    return CloseCoupon(caller=PLATFORM, code=COUPON.code)


def account_of(command: Command) -> str:
    """The account that the command concerns: none has coupons."""
    return NO_ACCOUNT if isinstance(command, MakeCoupon | CloseCoupon) else ACCOUNT_ID


def execute(ledger: Ledger, command: Command) -> Accepted:
    """Do the command, with no more of the account than it needs."""
    return ledger.execute(account_of(command), command, reads_page=not isinstance(command, TallyCoupon | PlanPoll))


def do(account: Account, command: Command) -> None:
    """Do the command; it must be accepted."""
    execute(account.ledger(), command)


def tell(ledger: Ledger, command: Command) -> str:
    """What the command is told, in one word."""
    try:
        return execute(ledger, command).done.did
    except Problem as problem:
        return problem.code
    except NotYet:
        return "not_yet"


def insist(account: Account, store: Store, command: Command) -> str:
    """What the command is told by a ledger over this view, asked again while the outcome is unknown."""
    for _ in range(5):
        word = tell(account.ledger(store), command)
        if word != "try_again":
            return word
    raise AssertionError("it never came through")


@dataclass(frozen=True)
class Story:
    """Something asked of an account in some state: what it is told at first, and when it is asked again."""

    credits: int
    before: Callable[[], list[Command]]
    command: Callable[[], Command]
    told: str
    told_again: str

    def account(self) -> Account:
        """The account as it is before the command."""
        account = opened(self.credits, 5000)
        for command in self.before():
            do(account, command)
        return account


def bought() -> list[Command]:
    """A purchase whose checkout the provider knows of."""
    return [start(), checkout()]


def bought_with_coupon() -> list[Command]:
    """The same with the coupon."""
    return [make_coupon(), start(coupon="C1"), checkout()]


def paid() -> list[Command]:
    """A purchase that is credited."""
    return [*bought(), fulfil("paid")]


STORIES = {
    "debit": Story(100, list, lambda: debit(order(), KEY), "debited", "replayed"),
    "debit of the last credits": Story(250, list, lambda: debit(order(tracking="qtrack"), KEY), "debited", "replayed"),
    "debit too dear": Story(99, list, lambda: debit(order(), KEY), "insufficient_credits", "insufficient_credits"),
    "debit of charged work": Story(
        500, lambda: [debit(order())], lambda: debit(order(), KEY), "already_charged", "already_charged"
    ),
    "debit with a used key": Story(
        500,
        lambda: [debit(order("o2"), IdempotencyKey("k1", "another"))],
        lambda: debit(order(), KEY),
        "idempotency_key_reused",
        "idempotency_key_reused",
    ),
    "later conversion": Story(
        150, lambda: [debit(order())], lambda: hold(order(tracking="bce"), KEY), "held", "replayed"
    ),
    "fba hold": Story(100, list, lambda: hold(order(order_type="fba"), KEY), "held", "replayed"),
    "adjustment": Story(500, list, lambda: adjust("auto_order", -500, KEY), "adjusted", "replayed"),
    "capture": Story(250, lambda: [hold(order(tracking="qtrack"))], capture, "captured", "captured_already"),
    "release": Story(250, lambda: [hold(order(tracking="qtrack"))], release, "released", "released_already"),
    "capture of nothing": Story(250, list, capture, "hold_not_found", "hold_not_found"),
    "queued order": Story(0, list, lambda: queue_order(order(), KEY), "queued", "replayed"),
    "requested": Story(100, list, requested, "held", "duplicate"),
    "requested, queued": Story(
        100, lambda: [queue_order(order())], lambda: requested(attempt=1), "held", "duplicate"
    ),
    "requested again": Story(500, lambda: [requested(), failed()], requested, "held", "duplicate"),
    "refused": Story(99, list, requested, "refused", "duplicate"),
    "placed": Story(250, lambda: [requested(tracking="qtrack")], placed, "captured", "duplicate"),
    "placed too late": Story(250, lambda: [requested(), failed()], placed, "nothing", "duplicate"),
    "placed too early": Story(250, list, placed, "not_yet", "not_yet"),
    "failed": Story(250, lambda: [requested(tracking="qtrack")], failed, "released", "duplicate"),
    "conversion": Story(250, lambda: [requested(), placed()], conversion, "held", "duplicate"),
    "completed": Story(250, lambda: [requested(tracking="qtrack")], completed, "captured", "duplicate"),
    "sourcing": Story(100, list, sourcing, "held", "duplicate"),
    "coupon": Story(500, list, make_coupon, "made", "made"),
    "coupon of another": Story(500, lambda: [make_coupon("r0")], make_coupon, "coupon_exists", "coupon_exists"),
    "coupon closed": Story(500, lambda: [make_coupon()], close_coupon, "closed", "closed_already"),
    "coupon that is none": Story(500, list, close_coupon, "coupon_not_found", "coupon_not_found"),
    "purchase": Story(500, list, lambda: start(idempotency=KEY), "pending", "replayed"),
    "purchase with a coupon": Story(
        500, lambda: [make_coupon()], lambda: start(idempotency=KEY, coupon="C1"), "pending", "replayed"
    ),
    "checkout noted": Story(500, lambda: [start()], checkout, "checkout", "nothing"),
    "checkout begun": Story(500, bought, lambda: begin(request_id="r1"), "checkout", "checkout"),
    "canceled": Story(500, bought_with_coupon, lambda: cancel(coupon="C1"), "canceled", "canceled"),
    "payment refused": Story(
        500, bought_with_coupon, lambda: RefusePayment(purchase_id="b1", coupon="C1", provider="paypal"), "canceled", "nothing"
    ),
    "paid": Story(500, bought, lambda: fulfil("paid"), "credited", "nothing"),
    "paid after all": Story(
        500,
        lambda: [*bought_with_coupon(), cancel(coupon="C1")],
        lambda: fulfil("paid", 3591, coupon="C1"),
        "credited",
        "nothing",
    ),
    "paid too early": Story(500, lambda: [start()], lambda: fulfil("paid"), "not_yet", "not_yet"),
    "declined": Story(500, bought, lambda: fulfil("declined"), "declined", "nothing"),
    "refunded": Story(500, paid, lambda: fulfil("refunded", 1000), "credited", "nothing"),
    "refund that failed": Story(
        500, lambda: [*paid(), fulfil("refunded", 1000)], lambda: fulfil("refund_failed", 1000), "credited", "nothing"
    ),
    "dispute lost": Story(500, paid, lambda: fulfil("dispute_lost", 1000), "charged_back", "nothing"),
    "reviewed": Story(
        500,
        lambda: [*bought(), fulfil("paid", 5000)],
        lambda: review("credit", request_id="r1"),
        "credited",
        "credited",
    ),
    "reviewed by another": Story(
        500,
        lambda: [*bought(), fulfil("paid", 5000), review("refuse", request_id="r0")],
        lambda: review("credit", request_id="r1"),
        "invalid_transition",
        "invalid_transition",
    ),
    "coupon tallied": Story(500, bought_with_coupon, lambda: TallyCoupon(code="C1"), "tallied", "nothing"),
    "poll planned": Story(500, bought, lambda: PlanPoll(purchase_id="b1", failed=True), "polled", "polled"),
}  # fmt: skip

SCHEDULES = st.lists(st.sampled_from((OK, *FAULTS)), max_size=9)


def shape(account: Account) -> tuple[object, ...]:
    """All that an account has come to, but for times, hashes, and the names that the builders count up."""
    unlike = {"key": None, "expires_at": None}
    entries = [[entry.to_map() | unlike for entry in page.entries] for page in account.pages()]
    works = sorted(
        (work.kind, work.work_id, work.status, work.attempt, work.credits, len(work.seen)) for work in account.works()
    )
    purchases = [record for record in records_of(account) if isinstance(record, Purchase)]
    bought = [(one.status(), one.facts(), one.clawed_back, one.coupon_counted) for one in purchases]
    uses = [record.uses for record in records_of(account) if isinstance(record, Coupon | CouponUse)]
    return entries, works, sorted(kind for _, (kind, _) in account.store.records), bought, uses


def records_of(account: Account) -> list[Record]:
    """All records, also those of no account."""
    return list(account.store.read(ACCOUNT_ID, sorted({key for _, key in account.store.records})).values())


@pytest.mark.parametrize("name", STORIES)
@settings(max_examples=40, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(schedule=SCHEDULES, again=SCHEDULES)
def test_faults_do_not_change_what_happens(name: str, schedule: list[str], again: list[str]) -> None:
    """Whatever is lost, throttled or in conflict: the command happens once, and is told what is true."""
    story = STORIES[name]
    command = story.command()
    undisturbed = story.account()
    assert tell(undisturbed.ledger(), command) == story.told
    account = story.account()
    word = insist(account, FaultyStore(account.store, schedule), command)
    assert word in (story.told, story.told_again)
    if ANSWER_LOST not in schedule:
        assert word == story.told
    assert shape(account) == shape(undisturbed)
    assert insist(account, FaultyStore(account.store, again), command) == story.told_again
    assert shape(account) == shape(undisturbed)
    check_books(account)


@pytest.mark.parametrize("name", STORIES)
def test_every_single_fault_in_every_place(name: str) -> None:
    """One fault of each kind at each call of the loop, and two in a row."""
    story = STORIES[name]
    for place, (one, two) in itertools.product(range(5), itertools.product(FAULTS, (OK, *FAULTS))):
        account = story.account()
        command = story.command()
        word = insist(account, FaultyStore(account.store, [*[OK] * place, one, two]), command)
        assert word in (story.told, story.told_again)
        assert tell(account.ledger(), command) == story.told_again
        check_books(account)


@pytest.mark.parametrize("fault", [REQUEST_LOST, THROTTLED])
@pytest.mark.parametrize(
    "command",
    [debit(order()), capture(), requested(), placed(), OpenAccount(PLATFORM, "active"), make_coupon(), close_coupon()],
)
def test_after_eight_seconds_the_outcome_is_unknown(command: Command, fault: str) -> None:
    """503 `try_again`: not earlier, and hardly later; every wait is short at first and never long."""
    account = opened(500)
    page = account.page()
    store = FaultyStore(account.store, itertools.repeat(fault))
    assert tell(account.ledger(store), command) == "try_again"
    assert BUDGET_S == 8.0
    assert 8.0 <= account.clock.waited_s <= 8.25
    assert account.page() == page


def test_a_conflict_without_end_is_given_up_after_eight_seconds() -> None:
    """Bounded by time, not by count."""
    account = opened(500)
    store = FaultyStore(account.store, itertools.cycle([OK, CONFLICT]))
    assert tell(account.ledger(store), debit(order())) == "try_again"
    assert 8.0 <= account.clock.waited_s <= 8.25
    assert account.balance() == (500, 0)


def test_a_refusal_that_cannot_be_confirmed_is_not_told() -> None:
    """While a write is under way, nobody is told that he lacks credits."""
    account = opened(50)
    store = FaultyStore(account.store, itertools.cycle([OK, CONFLICT]))
    assert tell(account.ledger(store), debit(order())) == "try_again"
    assert (
        tell(Account(MemoryStore()).ledger(FaultyStore(MemoryStore(), [OK, CONFLICT])), debit(order()))
        == "account_not_found"
    )


def test_a_lost_answer_is_found_in_the_records() -> None:
    """Every answer of a commit is lost, and yet the command is answered, at once, from what it wrote."""
    account = opened(500)
    store = FaultyStore(account.store, [OK, ANSWER_LOST])
    answer = account.ledger(store).execute(ACCOUNT_ID, debit(order(), KEY))
    assert answer.replayed()
    assert account.balance() == (400, 0)
    assert account.clock.waited_s < 0.1


def test_what_is_unknown_after_eight_seconds_is_safe_to_send_again() -> None:
    """The commit was done and nobody could tell: the same key gives its answer, and charges no more."""
    account = opened(500)
    store = FaultyStore(account.store, itertools.chain([OK, ANSWER_LOST], itertools.repeat(REQUEST_LOST)))
    assert tell(account.ledger(store), debit(order(), KEY)) == "try_again"
    assert account.balance() == (400, 0)
    assert tell(account.ledger(), debit(order(), KEY)) == "replayed"
    assert account.balance() == (400, 0)


# ---------------------------------------------------------------- rivals


@dataclass(frozen=True)
class Meeting:
    """Two commands on one account at the same time, and what the second may be told."""

    credits: int
    before: Callable[[], list[Command]]
    first: Callable[[], Command]
    second: Callable[[], Command]
    told: tuple[str, ...]


MEETINGS = {
    "the same key": Meeting(100, list, lambda: debit(order(), KEY), lambda: debit(order(), KEY), ("replayed",)),
    "the same key, hold": Meeting(100, list, lambda: hold(order(), KEY), lambda: hold(order(), KEY), ("replayed",)),
    "another key, same work": Meeting(
        100, list, lambda: debit(order(), KEY), lambda: debit(order(), OTHER_KEY), ("already_charged",)
    ),
    "another door, same work": Meeting(100, list, lambda: debit(order(), KEY), requested, ("duplicate",)),
    "the last credits": Meeting(
        100, list, lambda: debit(order(), KEY), lambda: debit(order("o2"), OTHER_KEY), ("insufficient_credits",)
    ),
    "the last credits, queued": Meeting(100, list, requested, lambda: requested("o2"), ("refused",)),
    "enough for both": Meeting(200, list, lambda: debit(order(), KEY), lambda: hold(order("o2"), OTHER_KEY), ("held",)),
    "a key used otherwise": Meeting(
        500,
        list,
        lambda: debit(order(), KEY),
        lambda: debit(order("o2"), IdempotencyKey("k1", "another")),
        ("idempotency_key_reused",),
    ),
    "a top-up": Meeting(
        50, list, lambda: adjust("auto_order", 100, KEY), lambda: debit(order(), OTHER_KEY), ("debited",)
    ),
    "an account is paused": Meeting(
        100, list, lambda: ChangeStanding(PLATFORM, {"status": "paused"}), lambda: debit(order(), KEY), ("account_inactive",)
    ),
    "capture and capture": Meeting(100, lambda: [hold(order())], capture, capture, ("captured_already",)),
    "capture and capture, more held": Meeting(
        500, lambda: [hold(order()), hold(order("o9"))], capture, capture, ("captured_already",)
    ),
    "capture and release, more held": Meeting(
        500, lambda: [hold(order()), hold(order("o9"))], capture, release, ("invalid_transition",)
    ),
    "capture and release": Meeting(100, lambda: [hold(order())], capture, release, ("invalid_transition",)),
    "release and capture": Meeting(100, lambda: [hold(order())], release, capture, ("invalid_transition",)),
    "placed and failed": Meeting(100, lambda: [requested()], placed, failed, ("nothing",)),
    "failed and placed": Meeting(100, lambda: [requested()], failed, placed, ("nothing",)),
    "two parts": Meeting(250, lambda: [requested(tracking="qtrack")], placed, completed, ("captured",)),
    "one message twice": Meeting(
        500, list, lambda: requested(message_id="m1"), lambda: requested(message_id="m1"), ("duplicate",)
    ),
    "one refused message twice": Meeting(
        99, list, lambda: requested(message_id="m1"), lambda: requested(message_id="m1"), ("duplicate",)
    ),
    "a new attempt twice": Meeting(
        500,
        lambda: [requested(), failed()],
        lambda: requested(message_id="m1"),
        lambda: requested(message_id="m2"),
        ("duplicate",),
    ),
    "a request and its result": Meeting(100, list, requested, placed, ("captured", "not_yet")),
    "two methods": Meeting(
        500,
        lambda: [debit(order())],
        lambda: hold(order(tracking="bce"), KEY),
        lambda: hold(order(tracking="qtrack"), OTHER_KEY),
        ("order_conflict",),
    ),
    "queued and debited": Meeting(
        100, list, lambda: queue_order(order(), KEY), lambda: debit(order(), OTHER_KEY), ("order_conflict",)
    ),
    "two who make a coupon": Meeting(500, list, make_coupon, lambda: make_coupon("r2"), ("coupon_exists",)),
    "a coupon made twice by one": Meeting(500, list, make_coupon, make_coupon, ("made",)),
    "a coupon closed twice": Meeting(500, lambda: [make_coupon()], close_coupon, close_coupon, ("closed_already",)),
    "a coupon made and closed": Meeting(500, list, make_coupon, close_coupon, ("closed", "coupon_not_found")),
    "paid and canceled": Meeting(500, bought, lambda: fulfil("paid"), cancel, ("invalid_transition",)),
    "canceled and paid": Meeting(500, bought, cancel, lambda: fulfil("paid"), ("credited",)),
    "paid twice": Meeting(500, bought, lambda: fulfil("paid"), lambda: fulfil("paid"), ("nothing",)),
    "paid by two": Meeting(
        500, bought, lambda: fulfil("paid"), lambda: fulfil("paid", payment_id="pay2"), ("put_aside",)
    ),
    "paid, and another way": Meeting(500, bought, lambda: fulfil("paid"), begin, ("credited",)),
    "two other ways": Meeting(500, bought, begin, begin, ("invalid_transition",)),
    "another way, and canceled": Meeting(500, bought, begin, cancel, ("canceled",)),
    "canceled, and another way": Meeting(500, bought, cancel, begin, ("invalid_transition",)),
    "refunded and lost": Meeting(
        500, paid, lambda: fulfil("refunded", 1000), lambda: fulfil("dispute_lost", 1000), ("charged_back",)
    ),
    "polled and paid": Meeting(
        500, bought, lambda: fulfil("paid"), lambda: PlanPoll(purchase_id="b1", failed=True), ("polled",)
    ),
    "the last use": Meeting(
        500,
        lambda: [MakeCoupon(caller=PLATFORM, coupon=replace(COUPON, max_uses=1), request_id="r1")],
        lambda: start("b1", coupon="C1"),
        lambda: start("b2", coupon="C1"),
        ("coupon_invalid",),
    ),
    "queued twice": Meeting(100, list, lambda: queue_order(order(), KEY), lambda: queue_order(order(), KEY), ("replayed",)),
}  # fmt: skip


def meet(meeting: Meeting) -> Account:
    """The account before the two meet."""
    account = opened(meeting.credits)
    for command in meeting.before():
        do(account, command)
    return account


@pytest.mark.parametrize("before", ["read", "commit", "snapshot"])
@pytest.mark.parametrize("name", MEETINGS)
def test_a_rival_who_is_faster_is_seen(name: str, before: str) -> None:
    """Somebody commits between the reading and the writing: what is told is true after it."""
    meeting = MEETINGS[name]
    account = meet(meeting)
    first = meeting.first()
    store = RivalStore(account.store, [(before, lambda: do(account, first))])
    word = tell(account.ledger(store), meeting.second())
    if not store.rivals:
        assert word in meeting.told
    check_books(account)


@pytest.mark.parametrize(
    ("second", "told"), [(capture, "captured_already"), (placed, "nothing"), (release, "invalid_transition")]
)
def test_records_that_a_conflict_brought_may_be_old_by_now(second: Callable[[], Command], told: str) -> None:
    """One rival stands in the way, another is faster before the next try: what is told is true, and no defect."""
    account = opened(500)
    account.do(requested(tracking="qtrack"))
    noise, end = completed(tracking="bce"), capture()
    store = RivalStore(account.store, [("commit", lambda: do(account, noise)), ("head", lambda: account.do(end))])
    assert tell(account.ledger(store), second()) == told
    assert store.rivals == []
    assert account.balance() == (250, 0)
    check_books(account)


def test_a_twin_that_leaves_only_its_key_in_the_way_is_answered_with_the_order() -> None:
    """The second try brings the key alone: the replay still tells the order, which a repeated request sends again."""
    account = opened(500)
    account.do(queue_order(order(), OTHER_KEY))
    twin = queue_order(order(), KEY)
    store = RivalStore(account.store, [("commit", lambda: None), ("commit", lambda: account.do(twin))])
    accepted = account.ledger(store).execute(ACCOUNT_ID, twin)
    assert accepted.replayed()
    assert accepted.record(Work) == account.work()


def items_of(before: MemoryStore, after: MemoryStore) -> frozenset[object]:
    """What a transaction has written: the account's page, and records by their keys."""
    records = {place[1] for place, text in after.records.items() if before.records.get(place) != text}
    grown = before.pages.get(ACCOUNT_ID, {}).keys() != after.pages.get(ACCOUNT_ID, {}).keys()
    return frozenset(records | ({"page"} if grown else set()))


def subsets(items: frozenset[object]) -> list[frozenset[object]]:
    """All that can show at once."""
    listed = sorted(items, key=str)
    return [frozenset(some) for size in range(len(listed)) for some in itertools.combinations(listed, size)]


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("name", MEETINGS)
def test_a_commit_that_shows_item_by_item_misleads_nobody(name: str, strict: bool) -> None:  # noqa: FBT001 - a parameter
    """Whichever of its items show first and for how long: what the second is told is true, and charged once."""
    meeting = MEETINGS[name]
    account = meet(meeting)
    before = copy_of(account.store)
    do(account, meeting.first())
    items = items_of(before, account.store)
    assert items
    after = copy_of(account.store)
    for shown, reads in itertools.product(subsets(items), range(1, 6)):
        again = Account(copy_of(after), account.clock)
        store = HalfShownStore(again.store, before, items, shown, reads, strict)
        assert tell(again.ledger(store), meeting.second()) in meeting.told, (shown, reads)
        check_books(again)


LOST: dict[str, Callable[[], Command]] = {
    "the same key": lambda: debit(order("o1"), KEY),
    "the same key, for other work": lambda: debit(order("o2"), KEY),
    "another key": lambda: debit(order("o1"), OTHER_KEY),
    "the same work by the queue": requested,
    "a capture": capture,
    "a release": release,
}


@pytest.mark.parametrize("name", LOST)
@pytest.mark.parametrize(
    "schedule", [[], [OK, OK, REQUEST_LOST], [OK, OK, CONFLICT], [OK, ANSWER_LOST], [CONFLICT] * 3]
)
def test_a_record_without_its_page_is_a_defect_whatever_else_fails(name: str, schedule: list[str]) -> None:
    """Nothing is decided on what is left of a table: as soon as one moment shows it, without waiting 8 seconds."""
    account = opened(500)
    account.do(debit(order("o1"), KEY))
    account.store.pages[ACCOUNT_ID].popitem()
    left = copy_of(account.store)
    with pytest.raises(BrokenInvariantError):
        account.ledger(FaultyStore(account.store, schedule)).execute(ACCOUNT_ID, LOST[name]())
    assert account.clock.waited_s < 0.2
    assert (account.store.pages, account.store.records) == (left.pages, left.records)


def test_a_key_is_not_answered_by_a_page_that_has_taken_the_place_of_its_own() -> None:
    """A part of the table was lost, and others went on: another page stands where the key's own stood."""
    account = opened(500)
    account.do(debit(order("o1"), KEY))
    account.store.pages[ACCOUNT_ID].popitem()
    account.do(debit(order("o2"), OTHER_KEY))
    with pytest.raises(BrokenInvariantError):
        account.do(debit(order("o1"), KEY))
    assert account.balance() == (400, 0)


@pytest.mark.parametrize("reads", range(1, 6))
def test_an_account_that_is_just_opened_is_not_told_missing(reads: int) -> None:
    """404 `account_not_found` is confirmed too."""
    account = opened(100)
    store = HalfShownStore(account.store, MemoryStore(), frozenset({"page"}), frozenset(), reads)
    assert tell(account.ledger(store), debit(order(), KEY)) == "debited"


BATCHES = st.lists(
    st.sampled_from(
        [
            lambda: debit(order("o1"), KEY),
            lambda: debit(order("o1"), OTHER_KEY),
            lambda: requested("o1", message_id="m1"),
            lambda: requested("o2", "qtrack", message_id="m2"),
            lambda: requested("o3", message_id="m3"),
            lambda: placed("o2", message_id="m4"),
            lambda: failed("o2", message_id="m5"),
            lambda: completed("o2", message_id="m6"),
            lambda: capture("o2"),
            lambda: adjust("auto_order", 100, IdempotencyKey("k3", "as sent")),
        ]
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=300, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(BATCHES, SCHEDULES, SCHEDULES)
def test_a_batch_under_faults_and_delivered_again_happens_once(
    batch: Sequence[Callable[[], Command]], schedule: list[str], again: list[str]
) -> None:
    """All of a batch's outcomes are as if nothing had been lost: balance and charges end the same."""
    commands = [make() for make in batch]
    calm = opened(400)
    calm.ledger().execute_all(ACCOUNT_ID, commands)
    calm.ledger().execute_all(ACCOUNT_ID, commands)
    account = opened(400)
    for faults in (schedule, again):
        for _ in range(5):
            try:
                answers = account.ledger(FaultyStore(account.store, faults)).execute_all(ACCOUNT_ID, commands)
                break
            except Problem:
                continue  # try_again: delivered once more
        assert len(answers) == len(commands)
        assert all(isinstance(answer, Accepted | Problem | NotYet) for answer in answers)
    check_books(account)
    if ANSWER_LOST not in schedule + again:
        assert account.balance() == calm.balance()
        assert [work.charged.keys() for work in account.works()] == [work.charged.keys() for work in calm.works()]


def test_an_unavailable_store_outside_the_loop_says_so() -> None:
    """A plain read is not repeated here; it raises what the port names."""
    with pytest.raises(UnavailableError):
        FaultyStore(MemoryStore(), [REQUEST_LOST]).head(ACCOUNT_ID)
