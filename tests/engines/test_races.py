"""Real rivals on a real engine: many threads, each a caller of its own, on one account."""

import json
import multiprocessing
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from autocredits.adapters.clock import SystemClock
from autocredits.adapters.dynamo import DynamoStore
from autocredits.domain.accounts import OpenAccount
from autocredits.domain.decide import Command, IdempotencyKey, NotYet
from autocredits.domain.errors import Problem
from autocredits.domain.journal import Page
from autocredits.domain.purchases.calls import MakeCoupon, PurchaseRequest, StartPurchase, TallyCoupon
from autocredits.domain.purchases.coupons import Coupon, CouponUse
from autocredits.domain.purchases.record import Purchase
from autocredits.domain.records import NO_ACCOUNT
from autocredits.domain.work.calls import Debit
from autocredits.domain.work.record import Work
from autocredits.edge.views import debit_view
from autocredits.ledger.commit import Ledger
from autocredits.ledger.ports import Store
from tests.kit.books import UNITS, check_page
from tests.kit.builders import (
    CATALOG,
    PLATFORM,
    adjust,
    capture,
    completed,
    debit,
    failed,
    fresh,
    hold,
    idempotency,
    order,
    placed,
    queue_order,
    release,
    requested,
)
from tests.kit.engines import NAMES, Endpoint, client_of, make_store
from tests.kit.purchases import CARD, PRICE, cancel, checkout, fulfil, start

PATIENCE = 30

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=NAMES)
def store(request: pytest.FixtureRequest, endpoint: Endpoint) -> DynamoStore:
    """A table on each engine."""
    return make_store(endpoint(request.param))


@pytest.fixture
def account_id() -> str:
    """An account that no other test uses."""
    return fresh("race")


def ledger_on(store: Store) -> Ledger:
    """A ledger with the machine's own clock."""
    return Ledger(store, SystemClock(), CATALOG)


def open_with(store: Store, account_id: str, credits_: int) -> None:
    """Open the account with so much `auto_order`."""
    ledger_on(store).execute(account_id, OpenAccount(PLATFORM, "active"))
    if credits_ != 500:
        ledger_on(store).execute(account_id, adjust("auto_order", credits_ - 500))


def tell(ledger: Ledger, account_id: str, command: Command) -> tuple[str, str]:
    """What a caller is told: one word, and the body. As callers do, it asks again after a 503."""
    for _ in range(PATIENCE):
        try:
            accepted = ledger.execute(account_id, command)
        except Problem as problem:
            if problem.code != "try_again":
                return problem.code, json.dumps(problem.extra)
        except NotYet:
            return "not_yet", ""
        else:
            return accepted.done.did, json.dumps(debit_view(accepted)) if isinstance(command, Debit) else ""
    raise AssertionError("never let through")


def race(store: Store, account_id: str, commands: Sequence[Command]) -> list[tuple[str, str]]:
    """All commands at once, each in a thread of its own that waits for the others."""
    start = threading.Barrier(len(commands))

    def run(command: Command) -> tuple[str, str]:
        start.wait()
        return tell(ledger_on(store), account_id, command)

    with ThreadPoolExecutor(len(commands)) as pool:
        return list(pool.map(run, commands))


def words(answers: Sequence[tuple[str, str]]) -> Counter[str]:
    """How often each word was told."""
    return Counter(word for word, _ in answers)


def check_books(store: Store, account_id: str) -> Page:
    """The newest page, once the journal is found without a gap, linked, and adding up."""
    newest = store.head(account_id)
    assert newest is not None
    pages = store.pages_before(account_id, newest.version + 1, newest.version)[::-1]
    assert len(pages) == newest.version
    for before, page in zip([None, *pages], pages, strict=False):
        check_page(page, before)
    entries = [entry for page in pages for entry in page.entries]
    for unit in UNITS:
        balance = newest.state.balance(unit)
        assert balance.posted == sum(entry.posted for entry in entries if entry.unit == unit)
        assert balance.held == sum(entry.held for entry in entries if entry.unit == unit)
    return newest


def balance_of(page: Page) -> tuple[int, int]:
    """Posted and held of `auto_order`."""
    balance = page.state.balance("auto_order")
    return balance.posted, balance.held


def work_of(store: Store, account_id: str, order_id: str = "o1") -> Work:
    """The order's record."""
    record = store.read(account_id, [("order", order_id)])["order", order_id]
    assert isinstance(record, Work)
    return record


def test_the_same_key_forty_times_at_once_charges_once(store: Store, account_id: str) -> None:
    """One is the first answer, 39 are its replay, and all have the same body."""
    open_with(store, account_id, 500)
    key = IdempotencyKey("k1", "as sent")
    answers = race(store, account_id, [debit(order(tracking="bce"), key) for _ in range(40)])
    assert words(answers) == {"debited": 1, "replayed": 39}
    assert len({body for _, body in answers}) == 1
    page = check_books(store, account_id)
    assert (balance_of(page), page.version) == ((367, 0), 2)


def test_the_same_order_under_forty_keys_is_charged_once(store: Store, account_id: str) -> None:
    """One is charged; the others are told which entry has charged the order."""
    open_with(store, account_id, 500)
    answers = race(store, account_id, [debit(order()) for _ in range(40)])
    assert words(answers) == {"debited": 1, "already_charged": 39}
    assert {json.loads(body)["entry_id"] for word, body in answers if word == "already_charged"} == {"2.0"}
    assert balance_of(check_books(store, account_id)) == (400, 0)


def test_adjustments_are_never_lost(store: Store, account_id: str) -> None:
    """Thirty additions at once are thirty pages, and all that they add."""
    open_with(store, account_id, 500)
    answers = race(store, account_id, [adjust("auto_order", 7) for _ in range(30)])
    assert words(answers) == {"adjusted": 30}
    page = check_books(store, account_id)
    assert (balance_of(page), page.version) == ((500 + 30 * 7, 0), 31)


def test_sixty_racing_debits_spend_45_credits_exactly(store: Store, account_id: str) -> None:
    """45 are accepted, 15 told that credits lack, 0.00 is left, and the journal has no gap."""
    open_with(store, account_id, 4500)
    answers = race(store, account_id, [debit(order(f"o{number}")) for number in range(60)])
    assert words(answers) == {"debited": 45, "insufficient_credits": 15}
    page = check_books(store, account_id)
    assert (balance_of(page), page.version) == ((0, 0), 2 + 45)


def _debits(endpoint_url: str, table_name: str, account_id: str, first: int, start: Any, told: Any) -> None:
    """A process of its own: twenty debits, one after the other."""
    ledger = ledger_on(DynamoStore(client_of(endpoint_url), table_name))
    names = [f"o{first + number}" for number in range(20)]
    commands = [debit(order(name), IdempotencyKey(f"key of {name}", name)) for name in names]
    start.wait()
    told.put([tell(ledger, account_id, command)[0] for command in commands])


def test_racing_processes_spend_45_credits_exactly(store: DynamoStore, account_id: str) -> None:
    """As with threads: three processes with twenty debits each."""
    context = multiprocessing.get_context("spawn")
    open_with(store, account_id, 4500)
    start, told = context.Barrier(3), context.Queue()
    place = store.client.meta.endpoint_url, store.table_name, account_id
    processes = [context.Process(target=_debits, args=(*place, 20 * number, start, told)) for number in range(3)]
    for process in processes:
        process.start()
    answers = Counter(word for _ in processes for word in told.get(timeout=60))
    for process in processes:
        process.join(30)
    assert answers == {"debited": 45, "insufficient_credits": 15}
    assert balance_of(check_books(store, account_id)) == (0, 0)


def test_one_order_under_many_keys_is_held_once(store: Store, account_id: str) -> None:
    """One holds, all others are told that the work is charged already."""
    open_with(store, account_id, 10_000)
    answers = race(store, account_id, [hold(order()) for _ in range(20)])
    assert words(answers) == {"held": 1, "already_charged": 19}
    assert balance_of(check_books(store, account_id)) == (10_000, 100)


def test_one_order_through_every_door_is_charged_once(store: Store, account_id: str) -> None:
    """Debits, holds, the queue and messages for the same order: one of them begins it, and it costs 1.00."""
    open_with(store, account_id, 10_000)
    doors: list[Callable[[], Command]] = [
        lambda: debit(order()),
        lambda: hold(order()),
        lambda: queue_order(order()),
        requested,
    ]
    answers = race(store, account_id, [door() for door in doors for _ in range(8)])
    assert sum(words(answers)[word] for word in ("debited", "held")) == 1
    assert set(words(answers)) <= {"debited", "held", "already_charged", "duplicate", "queued", "order_conflict"}
    posted, held = balance_of(check_books(store, account_id))
    assert (posted - held, posted in (9900, 10_000)) == (9900, True)


@pytest.mark.parametrize("parts", [None, ["order"], ["tracking"]])
def test_a_hold_that_is_captured_many_times_is_captured_once(
    store: Store, account_id: str, parts: list[str] | None
) -> None:
    """One takes it, the others find it taken."""
    open_with(store, account_id, 1000)
    ledger_on(store).execute(account_id, hold(order(tracking="qtrack")))
    answers = race(store, account_id, [capture(parts=parts) for _ in range(20)])
    assert words(answers) == {"captured": 1, "captured_already": 19}
    taken = {None: 250, "order": 100, "tracking": 150}[parts[0] if parts else None]
    assert balance_of(check_books(store, account_id)) == (1000 - taken, 250 - taken)


def test_capture_and_release_of_one_hold_end_one_way(store: Store, account_id: str) -> None:
    """Whoever is first wins; all of the other kind are told so; nothing stays held."""
    open_with(store, account_id, 1000)
    ledger_on(store).execute(account_id, hold(order(tracking="bce")))
    answers = words(race(store, account_id, [make() for make in (capture, release) for _ in range(12)]))
    captured = answers["captured"] == 1
    if captured:
        assert answers == {"captured": 1, "captured_already": 11, "invalid_transition": 12}
    else:
        assert answers == {"released": 1, "released_already": 11, "invalid_transition": 12}
    assert balance_of(check_books(store, account_id)) == (1000 - 133 * captured, 0)
    assert work_of(store, account_id).status == ("shipped" if captured else "failed")


def test_parts_of_one_hold_are_settled_by_rivals(store: Store, account_id: str) -> None:
    """Order and tracking captured at the same time, each many times: each once, and the order is shipped."""
    open_with(store, account_id, 1000)
    ledger_on(store).execute(account_id, hold(order(tracking="qtrack")))
    commands = [capture(parts=[part]) for part in ("order", "tracking") for _ in range(10)]
    assert words(race(store, account_id, commands)) == {"captured": 2, "captured_already": 18}
    assert balance_of(check_books(store, account_id)) == (750, 0)
    assert work_of(store, account_id).status == "shipped"


def test_results_of_both_kinds_for_one_order_end_one_way(store: Store, account_id: str) -> None:
    """Placed, failed and completed many times at once: the books are right and nothing stays held."""
    open_with(store, account_id, 1000)
    ledger_on(store).execute(account_id, requested(tracking="qtrack"))
    commands = [make() for make in (placed, failed, completed) for _ in range(8)]
    answers = words(race(store, account_id, commands))
    work = work_of(store, account_id)
    page = check_books(store, account_id)
    assert answers["captured"] + answers["released"] in (1, 2)
    assert set(answers) <= {"captured", "released", "nothing"}
    assert balance_of(page) == (1000 - work.credits, 0)
    assert work.status in ("shipped", "failed")
    assert len(work.seen) == 25


def test_one_message_delivered_many_times_at_once_holds_once(store: Store, account_id: str) -> None:
    """One holds, the others are duplicates, and the work remembers one message."""
    open_with(store, account_id, 1000)
    answers = race(store, account_id, [requested(message_id="m1") for _ in range(20)])
    assert words(answers) == {"held": 1, "duplicate": 19}
    assert balance_of(check_books(store, account_id)) == (1000, 100)
    assert len(work_of(store, account_id).seen) == 1


def test_an_account_opened_many_times_at_once_has_its_free_credits_once(store: Store, account_id: str) -> None:
    """One opens it; for the others it is open."""
    answers = race(store, account_id, [OpenAccount(PLATFORM, "active") for _ in range(20)])
    assert words(answers) == {"opened": 1, "open_already": 19}
    page = check_books(store, account_id)
    assert (balance_of(page), page.version) == ((500, 0), 1)


def test_an_order_is_queued_once_by_many(store: Store, account_id: str) -> None:
    """Whatever the key, there is one record of attempt 1, and nothing moves."""
    open_with(store, account_id, 1000)
    keys = [IdempotencyKey(f"k{number % 4}", "as sent") for number in range(20)]
    answers = words(race(store, account_id, [queue_order(order(), key) for key in keys]))
    assert answers == {"queued": 4, "replayed": 16}
    work = work_of(store, account_id)
    assert (work.status, work.attempt) == ("queued", 1)
    assert check_books(store, account_id).version == 2


def test_groups_that_race_charge_each_order_once(store: Store, account_id: str) -> None:
    """Two workers with the same thirty orders in groups of ten, and callers beside them: each order once."""
    open_with(store, account_id, 2000)
    orders = [f"o{number}" for number in range(30)]
    groups = [orders[start : start + 10] for start in range(0, 30, 10)] * 2
    start = threading.Barrier(len(groups) + 10)

    def work(group: list[str]) -> Counter[str]:
        start.wait()
        commands = [requested(name, message_id=f"for {name}") for name in group]
        answers = ledger_on(store).execute_all(account_id, commands)
        return Counter(getattr(getattr(answer, "done", None), "did", "other") for answer in answers)

    def call(number: int) -> Counter[str]:
        start.wait()
        return Counter([tell(ledger_on(store), account_id, debit(order(f"x{number}")))[0]])

    with ThreadPoolExecutor(len(groups) + 10) as pool:
        futures = [pool.submit(work, group) for group in groups] + [pool.submit(call, number) for number in range(10)]
        results = [future.result() for future in futures]
    total: Counter[str] = sum(results, Counter())
    assert total["held"] + total["debited"] == 20
    assert total["held"] + total["refused"] == 30
    assert total["duplicate"] == 30
    posted, held = balance_of(check_books(store, account_id))
    assert posted - held == 0


def test_a_coupon_is_made_by_one_of_many(store: Store) -> None:
    """Whoever is first has made it; of the others, only a repetition of the same request is told so too."""
    coupon = Coupon(code=fresh("COUPON"), percent_off=1000)
    commands = [MakeCoupon(caller=PLATFORM, coupon=coupon, request_id=f"request-{number % 5}") for number in range(20)]
    assert words(race(store, NO_ACCOUNT, commands)) == {"made": 4, "coupon_exists": 16}


def test_the_last_use_of_a_coupon_goes_to_one_account(store: Store) -> None:
    """Twenty accounts buy with a coupon that is good for three purchases: three do, and the others learn why not."""
    coupon = Coupon(code=fresh("COUPON"), percent_off=1000, max_uses=3)
    ledger_on(store).execute(NO_ACCOUNT, MakeCoupon(caller=PLATFORM, coupon=coupon, request_id="r1"))
    buyers = [fresh("race") for _ in range(20)]
    for account_id in buyers:
        open_with(store, account_id, 500)
    start = threading.Barrier(len(buyers))

    def buy(account_id: str) -> tuple[str, str]:
        command = StartPurchase(
            caller=PLATFORM,
            idempotency=idempotency(),
            purchase_id=fresh("purchase"),
            request=PurchaseRequest(package="auto_order-100"),
            method=CARD,
            coupon=coupon.code,
        )
        start.wait()
        return tell(ledger_on(store), account_id, command)

    with ThreadPoolExecutor(len(buyers)) as pool:
        answers = list(pool.map(buy, buyers))
    assert words(answers) == {"pending": 3, "coupon_invalid": 17}
    assert {json.loads(body)["reason"] for word, body in answers if word == "coupon_invalid"} == {"used_up"}
    (record,) = store.read(NO_ACCOUNT, [("coupon", coupon.code)]).values()
    assert isinstance(record, Coupon)
    assert record.uses == 3


def test_the_uses_of_an_unlimited_coupon_are_all_counted(store: Store) -> None:
    """Twenty accounts start at once and then tally at once: nobody waits for another, and no use is lost."""
    coupon = Coupon(code=fresh("COUPON"), percent_off=1000)
    ledger_on(store).execute(NO_ACCOUNT, MakeCoupon(caller=PLATFORM, coupon=coupon, request_id="r1"))
    buyers = [fresh("race") for _ in range(20)]
    for account_id in buyers:
        open_with(store, account_id, 500)
    begin = threading.Barrier(len(buyers))

    def buy(account_id: str) -> str:
        begin.wait()
        told, _ = tell(ledger_on(store), account_id, start(fresh("purchase"), caller=PLATFORM, coupon=coupon.code))
        for _ in range(PATIENCE):
            try:
                ledger_on(store).execute(account_id, TallyCoupon(code=coupon.code), reads_page=False)
                break
            except Problem as problem:
                assert problem.code == "try_again"  # noqa: PT017 - any other is a failure of the test
        return told

    with ThreadPoolExecutor(len(buyers)) as pool:
        assert set(pool.map(buy, buyers)) == {"pending"}
    (record,) = store.read(NO_ACCOUNT, [("coupon", coupon.code)]).values()
    assert isinstance(record, Coupon)
    assert record.uses == 20
    for account_id in buyers:
        (used,) = store.read(account_id, [("coupon_use", coupon.code)]).values()
        assert isinstance(used, CouponUse)
        assert (used.uses, used.tallied) == (1, 1)


def test_news_of_a_payment_told_at_once_comes_to_the_same(store: Store, account_id: str) -> None:
    """Paid, canceled, refunded, disputed and lost, each told several times at once, and again until it is heard."""
    open_with(store, account_id, 500)
    ledger = ledger_on(store)
    purchase_id = fresh("purchase")
    for command in (start(purchase_id, caller=PLATFORM), checkout(purchase_id)):
        ledger.execute(account_id, command)
    of: dict[str, Any] = {"purchase_id": purchase_id, "payment_id": fresh("payment")}
    news: list[Command] = [
        fulfil("paid", **of),
        fulfil("refunded", 990, **of),
        fulfil("refunded", 1990, **of),
        fulfil("refund_failed", 990, **of, refund_id="r1"),
        fulfil("dispute_created", 500, **of, dispute_id="d1"),
        fulfil("dispute_lost", 500, **of, dispute_id="d1"),
        fulfil("dispute_won", 700, **of, dispute_id="d2"),
    ]
    ledger.execute(account_id, news[0])
    answers = race(store, account_id, [*news, cancel(purchase_id, caller=PLATFORM)] * 3)
    assert "try_again" not in words(answers)
    assert words(answers)["invalid_transition"] == 3
    page = check_books(store, account_id)
    # Of 39.90 are gone 19.90 - 9.90 refunded and 5.00 lost: 15.00, and of 100 credits 37.59.
    assert balance_of(page) == (500 + 10_000 - 3_759, 0)
    (purchase,) = store.read(account_id, [("purchase", purchase_id)]).values()
    assert isinstance(purchase, Purchase)
    assert (purchase.status(), purchase.price, purchase.clawed_back) == ("charged_back", PRICE, 3_759)
