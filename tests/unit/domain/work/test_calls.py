"""What HTTP asks of work: debits, holds and their settlement, and orders that are queued or resent."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from autocredits.domain.access import Caller
from autocredits.domain.decide import Command, IdempotencyKey, RecordWrite
from autocredits.domain.errors import Problem
from autocredits.domain.journal import Page
from autocredits.domain.money import parse_amount
from autocredits.domain.work.calls import Debit, Hold, QueueOrder, ResendOrder
from autocredits.domain.work.lifecycle import HOLD_MS
from autocredits.domain.work.messages import request_message
from autocredits.domain.work.record import Work, WorkRequest
from autocredits.edge.messages import parse_message
from autocredits.ledger.commit import Accepted
from autocredits.ledger.ports import UnavailableError
from tests.kit.books import check_books
from tests.kit.builders import (
    ACCOUNT_ID,
    PLATFORM,
    Account,
    adjust,
    capture,
    completed,
    conversion,
    conversion_failed,
    debit,
    failed,
    hold,
    idempotency,
    merchant,
    opened,
    order,
    placed,
    product,
    queue_order,
    release,
    requested,
    sourcing,
)
from tests.kit.memory import MemoryStore
from tests.kit.prices import CELLS

RICH = 10_000


def rich(**more: int) -> Account:
    """An account that can pay for everything below."""
    return opened(RICH, more.get("managed", 100_000))


# ---------------------------------------------------------------- Debit and Hold


@pytest.mark.parametrize(("order_type", "tracking", "cell", "parts"), CELLS)
def test_a_debit_takes_the_cell(order_type: str, tracking: str, cell: str, parts: dict[str, int]) -> None:
    """One entry per unit, without a part, and the order is `ordered`."""
    account = rich()
    accepted = account.do(debit(order(order_type=order_type, tracking=tracking)))
    price = parse_amount(cell)
    managed = 2350 if order_type == "fba" else 0
    assert account.balance() == (RICH - price, 0)
    assert account.balance("managed") == (100_000 - managed, 0)
    entries = accepted.page.entries
    assert [(entry.kind, entry.unit, entry.posted, entry.part) for entry in entries] == [
        ("debited", unit, -amount, None) for unit, amount in (("auto_order", price), ("managed", managed)) if amount
    ]
    assert {(entry.order_type, entry.tracking, entry.rate_card) for entry in entries} == {
        (order_type, tracking, "2024-01")
    }
    work = account.work()
    names = {"tracking": f"tracking:{tracking}", "order": "order"}
    assert (work.status, work.credits, set(work.charged)) == ("ordered", price, {names[part] for part in parts})
    check_books(account)


@pytest.mark.parametrize(("order_type", "tracking", "cell", "parts"), CELLS)
def test_a_hold_sets_the_cell_aside_in_parts(order_type: str, tracking: str, cell: str, parts: dict[str, int]) -> None:
    """One entry per part and unit, and the order is `processing`; a manual one is `ordered` already."""
    account = rich()
    accepted = account.do(hold(order(order_type=order_type, tracking=tracking)))
    managed = 2350 if order_type == "fba" else 0
    assert account.balance() == (RICH, parse_amount(cell))
    assert account.balance("managed") == (100_000, managed)
    expected = [(part, "auto_order", amount) for part, amount in parts.items()]
    if managed:
        expected.insert(1, ("order", "managed", managed))
    assert [(entry.part, entry.unit, entry.held) for entry in accepted.page.entries] == expected
    work = account.work()
    assert {name: part.credits for name, part in work.parts.items()} == parts
    assert work.status == ("ordered" if order_type == "manual" else "processing")
    check_books(account)


def test_a_hold_lasts_as_long_as_it_was_asked_to() -> None:
    """14 days by default, counted from the page's time."""
    account = rich()
    account.do(hold(order("o1")))
    account.do(hold(order("o2"), lasts_ms=60_000))
    assert HOLD_MS == 14 * 24 * 60 * 60 * 1000
    assert account.work("o1").parts["order"].expires_at == account.clock.at_ms + HOLD_MS
    assert account.work("o2").parts["order"].expires_at == account.clock.at_ms + 60_000


def test_a_later_conversion_opens_the_tracking_part_with_its_own_time() -> None:
    """It joins the present attempt's hold, lasts 14 days of its own, and changes neither attempt nor status."""
    account = rich()
    account.do(hold(order(tracking="bce")))
    account.do(capture())
    account.clock.at_ms += HOLD_MS
    account.do(hold(order(tracking="qtrack")))
    work = account.work()
    assert (work.status, work.attempt) == ("shipped", 1)
    assert work.parts["tracking"].expires_at == account.clock.at_ms + HOLD_MS
    assert (work.parts["tracking"].status, work.parts["order"].status) == ("open", "captured")
    check_books(account)


@pytest.mark.parametrize("door", [debit, hold])
def test_a_key_answers_for_ever(door: Callable[..., Debit | Hold]) -> None:
    """The same key gives the first answer from its own page; with another request it is `idempotency_key_reused`."""
    account = rich()
    key = idempotency()
    first = account.do(door(order(), key))
    account.do(debit(order("o2")))
    account.set_standing(status="closed")
    again = account.do(door(order(), key))
    assert again.replayed()
    assert (again.page, again.done.first, again.done.count) == (first.page, first.done.first, first.done.count)
    assert account.refusal(door(order(), IdempotencyKey(key.key, "other"))).code == "idempotency_key_reused"
    assert account.refusal(debit(order("o9"), IdempotencyKey(key.key, "other"))).status == 422


def test_a_refused_key_may_come_again() -> None:
    """A refusal is not remembered: after a top-up the same key works."""
    account = opened(99)
    key = idempotency()
    assert account.refusal(debit(order(), key)).status == 402
    account.do(adjust("auto_order", 1))
    assert not account.do(debit(order(), key)).replayed()
    assert account.do(debit(order(), key)).replayed()
    assert account.balance() == (0, 0)


def test_a_store_bound_token_works_for_its_store() -> None:
    """403 `store_forbidden` for another store, even where the work is known."""
    account = rich()
    clerk = merchant(store_id="s1")
    account.do(debit(order("o1"), caller=clerk))
    account.do(debit(order("o2", store_id="s2")))
    for door in (debit, hold):
        assert account.refusal(door(order("o2", store_id="s2"), caller=clerk)).code == "store_forbidden"


# ---------------------------------------------------------------- SettleHold


def holding(tracking: str = "bce", order_type: str = "auto") -> Account:
    """An account of 100.00 credits and 1,000.00 managed, with one order held."""
    account = opened(10_000, 100_000)
    account.do(hold(order(order_type=order_type, tracking=tracking)))
    return account


def parts_of(account: Account) -> dict[str, str]:
    """How each part stands."""
    return {name: part.status for name, part in account.work().parts.items()}


def test_a_capture_takes_the_whole_hold() -> None:
    """Each part is captured in an entry of its own."""
    account = holding()
    page = account.do(capture()).page
    assert [(entry.kind, entry.part, entry.posted, entry.held) for entry in page.entries] == [
        ("captured", "order", -100, -100),
        ("captured", "tracking", -33, -33),
    ]
    assert account.balance() == (9867, 0)
    assert (account.work().status, account.work().credits) == ("shipped", 133)
    check_books(account)


def test_a_release_gives_the_whole_hold_back() -> None:
    """Each part is released in an entry of its own, with the reason."""
    account = holding()
    page = account.do(release()).page
    assert [(entry.kind, entry.part, entry.posted, entry.held, entry.reason) for entry in page.entries] == [
        ("released", "order", 0, -100, "not needed"),
        ("released", "tracking", 0, -33, "not needed"),
    ]
    assert account.balance() == (10_000, 0)
    assert (account.work().status, account.work().reason) == ("failed", "not needed")
    check_books(account)


@pytest.mark.parametrize("parts", [["tracking", "order"], ["order", "tracking"], ["order", "order"]])
def test_the_sequence_of_named_parts_does_not_matter(parts: list[str]) -> None:
    """Parts named in any sequence, or twice, are settled once."""
    account = holding()
    account.do(capture(parts=parts))
    assert account.balance() == ((9867, 0) if "tracking" in parts else (9900, 33))
    account = holding()
    account.do(release(parts=parts))
    assert account.balance() == (10_000, 0)
    check_books(account)


@pytest.mark.parametrize("parts", [None, ["order"], ["tracking"], ["order", "tracking"]])
def test_a_capture_again_moves_nothing(parts: list[str] | None) -> None:
    """The same capture again is accepted, and shows the hold as it is."""
    account = holding()
    account.do(capture(parts=parts))
    version = account.page().version
    again = account.do(capture(parts=parts))
    assert again.done.did == "captured_already"
    assert again.done.record == account.work()
    assert account.page().version == version


@pytest.mark.parametrize("parts", [None, ["order"], ["tracking"]])
def test_a_release_again_moves_nothing(parts: list[str] | None) -> None:
    """The same release again is accepted, and shows the hold as it is."""
    account = holding()
    account.do(release(parts=parts))
    version = account.page().version
    assert account.do(release(parts=parts)).done.did == "released_already"
    assert account.page().version == version


def test_what_ended_otherwise_is_an_invalid_transition() -> None:
    """409 `invalid_transition` where a named part ended otherwise, or nothing is open and no part ended this way."""
    account = holding()
    account.do(capture())
    for parts in (None, ["order"], ["tracking"], ["order", "tracking"]):
        problem = account.refusal(release(parts=parts))
        assert (problem.code, problem.status) == ("invalid_transition", 409)
    account = holding()
    account.do(release())
    for parts in (None, ["order"], ["tracking"]):
        assert account.refusal(capture(parts=parts)).code == "invalid_transition"


def test_a_refused_part_keeps_its_neighbour() -> None:
    """409 `invalid_transition` for one named part that cannot be settled refuses the whole call."""
    account = holding()
    account.do(release(parts=["tracking"]))
    version = account.page().version
    assert account.refusal(capture(parts=["order", "tracking"])).code == "invalid_transition"
    assert account.refusal(capture(parts=["order", "sourcing"])).code == "invalid_transition"
    assert (parts_of(account)["order"], account.page().version) == ("open", version)


def test_what_is_partly_captured_releases_the_rest() -> None:
    """What was captured stays, what is open goes back."""
    account = holding()
    account.do(capture(parts=["order"]))
    account.do(release())
    assert (account.balance(), account.work().status) == ((9900, 0), "ordered")
    assert account.did(capture()) == "captured_already"
    assert account.did(release()) == "released_already"


# What happened after an attempt's first hold: the commands until a call was answered by nobody, the call, and a
# conversion that was opened before the caller asked again.
OPENED_LATER: dict[str, tuple[Callable[[], list[Command]], Callable[..., Command], Callable[[], Command]]] = {
    "captured, then a conversion over HTTP": (
        lambda: [hold(order())],
        capture,
        lambda: hold(order(tracking="bce")),
    ),
    "captured, then a conversion by queue": (
        lambda: [hold(order())],
        capture,
        lambda: conversion(tracking="bce"),
    ),
    "requested by queue, captured, then a conversion": (
        lambda: [requested()],
        capture,
        lambda: conversion(tracking="bce"),
    ),
    "captured with its conversion, then another method": (
        lambda: [hold(order(tracking="bce"))],
        capture,
        lambda: conversion(tracking="qtrack"),
    ),
    "a manual order captured, then another method": (
        lambda: [hold(order(order_type="manual", tracking="bce"))],
        capture,
        lambda: hold(order(order_type="manual", tracking="qtrack")),
    ),
    "a manual order released, then another method": (
        lambda: [hold(order(order_type="manual", tracking="bce"))],
        release,
        lambda: hold(order(order_type="manual", tracking="qtrack")),
    ),
    "a manual order released, then the same method": (
        lambda: [hold(order(order_type="manual", tracking="bce"))],
        release,
        lambda: hold(order(order_type="manual", tracking="bce")),
    ),
    "the rest released, then another method": (
        lambda: [hold(order(tracking="bce")), capture(parts=["order"])],
        release,
        lambda: conversion(tracking="qtrack"),
    ),
    "the rest released, then the same method": (
        lambda: [hold(order(tracking="bce")), capture(parts=["order"])],
        release,
        lambda: conversion(tracking="bce"),
    ),
    "the rest captured, its conversion failed, then the same method": (
        lambda: [hold(order(tracking="bce")), conversion_failed()],
        capture,
        lambda: conversion(tracking="bce"),
    ),
    "a second attempt captured, then a conversion": (
        lambda: [hold(order(tracking="bce")), release(), hold(order())],
        lambda: capture(attempt=2),
        lambda: conversion(tracking="bce"),
    ),
}


@pytest.mark.parametrize("case", OPENED_LATER)
def test_a_call_again_never_settles_what_was_opened_later(case: str) -> None:
    """Without `parts` a call means the attempt's first hold, so it moves nothing; a later conversion is named."""
    before, call, later = OPENED_LATER[case]
    account = opened(RICH, 100_000)
    for command in (*before(), call()):
        account.do(command)
    account.do(later())
    work, page = account.work(), account.page()
    assert work.open_parts() == ("tracking",)
    for _ in range(2):
        assert account.did(call()) in ("captured_already", "released_already")
        assert (account.work(), account.page()) == (work, page)
    account.do(capture(attempt=work.attempt, parts=["tracking"]))
    assert account.work().status == "shipped"
    check_books(account)


def test_a_conversion_that_was_opened_later_is_not_part_of_a_first_call_either() -> None:
    """What the hold set aside is taken, and a call that ends the hold otherwise finds nothing of it open."""
    account = holding(tracking="none")
    account.do(conversion(tracking="bce"))
    assert account.did(capture()) == "captured"
    assert parts_of(account) == {"order": "captured", "tracking": "open"}
    assert account.refusal(release()).code == "invalid_transition"
    assert account.balance() == (9900, 33)


def test_a_conversion_whose_order_was_debited_is_a_first_hold() -> None:
    """The attempt has no other, so calls without `parts` mean that."""
    account = opened(RICH)
    for command in (debit(order()), hold(order(tracking="bce")), capture(), hold(order(tracking="qtrack"))):
        account.do(command)
    assert account.did(capture()) == "captured_already"
    assert account.refusal(release()).code == "invalid_transition"
    assert account.balance() == (RICH - 133, 150)


@pytest.mark.parametrize(("managed", "left"), [(None, 97_650), (2350, 97_650), (2110, 97_890), (0, 100_000)])
def test_managed_balance_is_captured_as_spent(managed: int | None, left: int) -> None:
    """As held by default; a lower `managed` frees the rest."""
    account = holding(order_type="fba")
    account.do(capture(managed=managed))
    assert account.balance("managed") == (left, 0)
    assert account.balance() == (9867, 0)
    assert account.work().parts["order"].managed == 100_000 - left
    check_books(account)


def test_more_managed_than_held_is_refused() -> None:
    """422 `capture_exceeds_hold`, and nothing moves."""
    account = holding(order_type="fba")
    problem = account.refusal(capture(managed=2351))
    assert (problem.code, problem.status) == ("capture_exceeds_hold", 422)
    assert account.balance("managed") == (100_000, 2350)


def test_managed_balance_belongs_to_the_order_part() -> None:
    """422 `capture_exceeds_hold` for an `auto` order, or for part `tracking` alone, which hold none."""
    assert holding().refusal(capture(managed=1)).code == "capture_exceeds_hold"
    account = holding(order_type="fba")
    assert account.refusal(capture(parts=["tracking"], managed=1)).code == "capture_exceeds_hold"
    account.do(capture(parts=["tracking"], managed=0))
    assert account.balance("managed") == (100_000, 2350)


def test_a_released_fba_order_gives_both_back() -> None:
    """Credits and managed balance are both available again."""
    account = holding(order_type="fba")
    account.do(release())
    assert (account.balance(), account.balance("managed")) == ((10_000, 0), (100_000, 0))


def test_the_hold_of_an_earlier_attempt_is_never_settled() -> None:
    """409 `invalid_transition`, and the present attempt's hold is untouched."""
    account = holding()
    account.do(failed())
    account.do(requested(tracking="bce"))
    for command in (capture(attempt=1), release(attempt=1)):
        assert account.refusal(command).code == "invalid_transition"
    assert account.balance() == (10_000, 133)
    account.do(capture(attempt=2))
    assert account.balance() == (9867, 0)


@pytest.mark.parametrize("attempt", [2, 3])
def test_the_hold_of_a_later_attempt_does_not_exist_yet(attempt: int) -> None:
    """404 `hold_not_found`."""
    account = holding()
    assert account.refusal(capture(attempt=attempt)).code == "hold_not_found"
    assert account.refusal(release(attempt=attempt)).code == "hold_not_found"


def test_work_that_was_debited_has_no_hold() -> None:
    """404 `hold_not_found`, as for unknown work, and for an order's id as a product's."""
    account = opened(1000)
    account.do(debit(order()))
    account.do(hold(product("p1")))
    for command in (capture(), capture("o2"), capture("p1"), capture("o1", kind="product")):
        problem = account.refusal(command)
        assert (problem.code, problem.status) == ("hold_not_found", 404)


def test_another_stores_hold_is_as_if_missing() -> None:
    """404 `hold_not_found` for a token bound to another store; its own store's token settles it."""
    account = holding()
    for command in (capture(caller=merchant(store_id="s2")), release(caller=merchant(store_id="s2"))):
        assert account.refusal(command).code == "hold_not_found"
    account.do(capture(caller=merchant(store_id="s1")))


@pytest.mark.parametrize("changes", [{"status": "paused"}, {"status": "closed"}, {"orders_processor": "inactive"}])
def test_open_holds_finish_whatever_the_standing(changes: dict[str, str]) -> None:
    """Captures and releases go through on an account that may start no new work."""
    account = holding()
    account.do(hold(order("o2")))
    account.set_standing(**changes)
    account.do(capture("o1"))
    account.do(release("o2"))
    assert account.balance() == (9867, 0)
    assert account.refusal(hold(order("o3"))).status == 403


def test_settling_needs_an_account() -> None:
    """404 `account_not_found`."""
    assert Account().refusal(capture()).code == "account_not_found"
    assert Account().refusal(release()).code == "account_not_found"


# ---------------------------------------------------------------- QueueOrder

ORDER_KEY = ("order", "o1")


@dataclass(slots=True)
class LosesAnswers(MemoryStore):
    """Another view of a store; it does its first commit and loses the answer."""

    has_lost: bool = False

    def commit(
        self, account_id: str, page: Page | None, writes: Sequence[RecordWrite], *, vacant: int | None = None
    ) -> None:
        """Commit, and the first time do not say so."""
        MemoryStore.commit(self, account_id, page, writes, vacant=vacant)
        if not self.has_lost:
            self.has_lost = True
            raise UnavailableError("the answer got lost")


def own_message(work: Work) -> Command:
    """The command of the service's own message for the order as it stands."""
    return parse_message(json.dumps(request_message(ACCOUNT_ID, work)))[2]


def queued_by(caller: Caller, request: WorkRequest, key: IdempotencyKey | None = None) -> QueueOrder:
    """An order over HTTP by this caller."""
    return QueueOrder(caller, key or idempotency(), request)


def again(order_id: str = "o1", request_id: str = "r1", caller: Caller = PLATFORM) -> ResendOrder:
    """A request to send the order again."""
    return ResendOrder(caller, order_id, request_id)


def answer(accepted: Accepted) -> tuple[str | None, int | None]:
    """Status and attempt that `POST /orders` answers."""
    record = accepted.done.key_record
    assert record is not None
    return record.status, record.attempt


def standing(account: Account, order_id: str = "o1") -> tuple[str, int]:
    """Status and attempt as the record has them."""
    work = account.work(order_id)
    return work.status, work.attempt


# What brings a new account's order o1 to each status; it has no tracking, but for the shipped one.
TO_STATUS: dict[str, Callable[[], list[Command]]] = {
    "queued": lambda: [queue_order(order())],
    "processing": lambda: [requested()],
    "ordered": lambda: [requested(), placed()],
    "shipped": lambda: [requested(tracking="bce"), placed(), completed()],
    "failed": lambda: [requested(), failed()],
}


def brought_to(status: str, credits_: int = 1000) -> Account:
    """An account whose order o1 has the status."""
    account = opened(credits_)
    for command in TO_STATUS[status]():
        account.do(command)
    assert account.work().status == status
    return account


def test_a_new_order_is_recorded_as_queued_and_moves_nothing() -> None:
    """Its record and its key are written, and no page."""
    account = opened(1000)
    accepted = account.do(queue_order(order(tracking="bce")))
    assert (accepted.done.did, answer(accepted)) == ("queued", ("queued", 1))
    assert (account.page().version, account.balance()) == (2, (1000, 0))
    assert (account.work().status, account.work().versions, dict(account.work().parts)) == ("queued", (), {})


@pytest.mark.parametrize(
    ("credits_", "add_on"), [(0, "active"), (1000, "inactive")], ids=["without credits", "without the add-on"]
)
def test_standing_and_credits_are_judged_by_the_queue(credits_: int, add_on: str) -> None:
    """The order is accepted; then its message is refused, which fails it and says why."""
    account = opened(credits_, add_on=add_on)
    assert answer(account.do(queue_order(order()))) == ("queued", 1)
    assert account.did(own_message(account.work())) == "refused"
    assert account.work().status == "failed"
    assert account.work().reason
    check_books(account)


@pytest.mark.parametrize("status", ["paused", "suspended", "closed"])
def test_an_account_that_is_not_active_may_queue_and_its_message_is_refused(status: str) -> None:
    """Standing, too, is judged only by the queue."""
    account = opened(1000)
    account.set_standing(status=status)
    assert answer(account.do(queue_order(order()))) == ("queued", 1)
    assert account.did(own_message(account.work())) == "refused"


@pytest.mark.parametrize("status", ["queued", "processing", "ordered"])
def test_the_same_work_again_has_its_present_status(status: str) -> None:
    """Under another key nothing changes and nothing is charged."""
    account = brought_to(status)
    before, balance = account.work(), account.balance()
    assert answer(account.do(queue_order(order()))) == (status, 1)
    assert (account.work(), account.balance()) == (before, balance)


def test_a_shipped_order_again_is_still_shipped() -> None:
    """The same work is that with its tracking."""
    account = brought_to("shipped")
    assert answer(account.do(queue_order(order(tracking="bce")))) == ("shipped", 1)


def test_work_that_was_converted_later_is_still_the_same_work() -> None:
    """An order without tracking that was converted later may be asked for as it was, or as it is."""
    account = brought_to("ordered")
    account.do(conversion(tracking="qtrack"))
    assert answer(account.do(queue_order(order()))) == ("ordered", 1)
    assert answer(account.do(queue_order(order(tracking="qtrack")))) == ("ordered", 1)


def test_the_first_work_again_after_another_conversion_is_still_the_same_work() -> None:
    """Its own conversion failed, and another method came instead: nothing changes under another key."""
    account = opened(1000)
    account.do(queue_order(order(tracking="qtrack")))
    for command in (own_message(account.work()), placed(), conversion_failed(), conversion(tracking="bce")):
        account.do(command)
    work = account.work()
    for tracking in ("qtrack", "bce", "none"):
        assert answer(account.do(queue_order(order(tracking=tracking)))) == ("ordered", 1)
    assert account.refusal(queue_order(order(tracking="tracking_generator"))).code == "order_conflict"
    assert (account.work(), account.balance()) == (work, (900, 33))


OTHER_WORK = [order(order_type="fba"), order(tracking="bce"), order(store_id="s2")]


@pytest.mark.parametrize("status", ["queued", "processing", "ordered", "shipped"])
@pytest.mark.parametrize("other", OTHER_WORK, ids=["order type", "tracking", "store"])
def test_other_work_under_the_same_order_is_a_conflict(status: str, other: WorkRequest) -> None:
    """409 `order_conflict` for the same order with another store, order type or tracking."""
    account = brought_to(status)
    if status == "shipped" and other.tracking == "bce":
        other = order(tracking="qtrack")
    before = account.work()
    assert account.refusal(queue_order(other)).code == "order_conflict"
    assert account.work() == before


def test_another_cost_is_other_work() -> None:
    """409 `order_conflict` for an `fba` order with another cost."""
    account = opened(1000, 10_000)
    account.do(queue_order(order(order_type="fba", cost=2350)))
    assert account.refusal(queue_order(order(order_type="fba", cost=2351))).code == "order_conflict"


def test_a_failed_order_is_queued_as_a_new_attempt_with_other_work() -> None:
    """Order type, tracking and cost may differ, and the reason it failed is gone."""
    account = opened(1000, 10_000)
    account.do(requested())
    account.do(failed())
    other = order(order_type="fba", tracking="qtrack", cost=1200)
    assert answer(account.do(queue_order(other))) == ("queued", 2)
    work = account.work()
    assert (work.order_type, work.tracking, work.cost, work.reason) == ("fba", "qtrack", 1200, None)
    assert (work.parts, account.balance()) == ({}, (1000, 0))
    assert account.did(own_message(work)) == "held"
    assert (account.balance(), account.balance("managed")) == ((1000, 250), (10_000, 1200))


def test_a_failed_order_keeps_its_store() -> None:
    """409 `order_conflict` for a new attempt by another store."""
    account = brought_to("failed")
    assert account.refusal(queue_order(order(store_id="s2"))).code == "order_conflict"
    assert standing(account) == ("failed", 1)


def test_a_replay_is_the_first_answer_again() -> None:
    """Status and attempt are those of that time, whatever became of the order since."""
    account = brought_to("failed")
    key = idempotency()
    first = account.do(queue_order(order(), key))
    assert (answer(first), first.replayed()) == (("queued", 2), False)
    account.do(own_message(account.work()))
    account.do(failed())
    account.do(again())
    assert standing(account) == ("queued", 3)
    replay = account.do(queue_order(order(), key))
    assert (answer(replay), replay.replayed(), standing(account)) == (("queued", 2), True, ("queued", 3))


def test_a_replay_comes_with_the_order_as_it_stands() -> None:
    """So a message that was lost is sent again, and one for an order that is no longer queued is not."""
    account = opened(1000)
    key = idempotency()
    account.do(queue_order(order(), key))
    assert account.do(queue_order(order(), key)).record(Work) == account.work()
    account.do(own_message(account.work()))
    assert account.do(queue_order(order(), key)).record(Work).status == "processing"


def test_a_replay_for_known_work_keeps_its_first_status() -> None:
    """A key that found the order `processing` says so for ever."""
    account = brought_to("processing")
    key = idempotency()
    account.do(queue_order(order(), key))
    account.do(placed())
    assert answer(account.do(queue_order(order(), key))) == ("processing", 1)


def test_a_replay_goes_before_a_conflict() -> None:
    """The first answer comes again even once the order stands for other work."""
    account = opened(1000, 10_000)
    key = idempotency()
    account.do(queue_order(order(), key))
    account.do(own_message(account.work()))
    account.do(failed())
    account.do(queue_order(order(order_type="fba")))
    assert account.do(queue_order(order(), key)).replayed()
    assert account.refusal(queue_order(order())).code == "order_conflict"


@pytest.mark.parametrize("used_by", ["orders", "debits"])
def test_a_key_that_came_with_another_request_is_refused(used_by: str) -> None:
    """422 `idempotency_key_reused`, whatever the first request was for; the order is not recorded."""
    account = opened(1000)
    key = idempotency("k1", "the first request")
    account.do(queue_order(order("o0"), key) if used_by == "orders" else debit(order("o0"), key))
    assert account.refusal(queue_order(order(), idempotency("k1", "another"))).code == "idempotency_key_reused"
    assert not account.store.read(ACCOUNT_ID, [ORDER_KEY])


def test_a_refusal_is_not_remembered() -> None:
    """The key of a refused request can still be used."""
    account = brought_to("queued")
    assert account.refusal(queue_order(order(store_id="s2"), idempotency("k1", "wrong"))).code == "order_conflict"
    assert answer(account.do(queue_order(order(), idempotency("k1", "right")))) == ("queued", 1)


def test_a_store_bound_caller_queues_for_its_own_store_alone() -> None:
    """403 `store_forbidden` for another store, before replay and conflict."""
    account = opened(1000)
    key = idempotency()
    assert answer(account.do(queued_by(merchant(store_id="s1"), order(), key))) == ("queued", 1)
    assert account.refusal(queued_by(merchant(store_id="s2"), order(), key)).code == "store_forbidden"
    assert account.refusal(queued_by(merchant(store_id="s2"), order(store_id="s2"))).code == "order_conflict"


def test_a_lost_answer_queues_once() -> None:
    """The order is decided again, and the key says that it was queued."""
    account = opened(1000)
    accepted = account.ledger(LosesAnswers(account.store.pages, account.store.records)).execute(
        ACCOUNT_ID, queue_order(order())
    )
    assert (answer(accepted), standing(account)) == (("queued", 1), ("queued", 1))


# ---------------------------------------------------------------- ResendOrder


@pytest.mark.parametrize("status", ["queued", "processing", "ordered", "shipped"])
def test_only_a_failed_order_is_sent_again(status: str) -> None:
    """409 `invalid_transition` in any other status, and nothing changes."""
    account = brought_to(status)
    before = account.work()
    assert account.refusal(again()).code == "invalid_transition"
    assert account.work() == before


def test_an_order_that_is_not_there_is_not_sent_again() -> None:
    """404 `order_not_found`, also for a token that is bound to another store."""
    account = brought_to("failed")
    assert account.refusal(again("o2")).code == "order_not_found"
    assert account.refusal(again(caller=merchant(store_id="s2"))).code == "order_not_found"
    assert account.did(again(caller=merchant(store_id="s1"))) == "resent"


@pytest.mark.parametrize("how", ["failed", "refused"])
def test_a_failed_order_is_sent_again_as_a_new_attempt(how: str) -> None:
    """The work is the same, nothing is held, no reason is left; and then its message is judged anew."""
    account = opened(1000 if how == "failed" else 0, 10_000)
    account.do(requested(tracking="bce", order_type="fba"))
    if how == "failed":
        account.do(failed())
    account.do(again())
    work = account.work()
    assert (work.status, work.attempt, work.parts, work.reason) == ("queued", 2, {}, None)
    assert (work.order_type, work.tracking, work.cost) == ("fba", "bce", 2350)
    assert account.did(own_message(work)) == ("held" if how == "failed" else "refused")
    check_books(account)


def test_the_same_request_resends_once_and_another_is_refused() -> None:
    """A request recognises its own work while the order is queued, and never repeats it."""
    account = brought_to("failed")
    account.do(again(request_id="r1"))
    assert account.did(again(request_id="r1")) == "resent"
    assert account.refusal(again(request_id="r2")).code == "invalid_transition"
    assert standing(account) == ("queued", 2)
    account.do(own_message(account.work()))
    assert account.refusal(again(request_id="r1")).code == "invalid_transition"


def test_a_lost_answer_resends_once() -> None:
    """The request is decided again, and the record says that this very request resent it."""
    account = brought_to("failed")
    assert (
        account.ledger(LosesAnswers(account.store.pages, account.store.records)).execute(ACCOUNT_ID, again()).done.did
        == "resent"
    )
    assert standing(account) == ("queued", 2)


def test_an_unknown_account_queues_and_resends_nothing() -> None:
    """404 `account_not_found`, which is checked before the store."""
    account = Account()
    bound = merchant(store_id="s2")
    assert account.refusal(queue_order(order())).code == "account_not_found"
    assert account.refusal(queued_by(bound, order())).code == "account_not_found"
    assert account.refusal(again()).code == "account_not_found"


# ---------------------------------------------------------------- too_many_attempts


def refused_99_times() -> Account:
    """An account whose order o1 and product p1 have failed at attempt 99, and which could pay for them by now."""
    account = opened(0)
    for _ in range(99):
        account.do(requested())
        account.do(sourcing())
    account.do(adjust("auto_order", 1000))
    assert standing(account) == ("failed", 99)
    return account


NEW_ATTEMPTS: dict[str, Callable[[], Command]] = {
    "resend": again,
    "order": lambda: queue_order(order()),
    "order of another kind": lambda: queue_order(order(order_type="fba")),
    "debit": lambda: debit(order()),
    "hold": lambda: hold(order()),
    "debited sourcing": lambda: debit(product()),
    "held sourcing": lambda: hold(product()),
}


@pytest.mark.parametrize("door", NEW_ATTEMPTS)
def test_a_hundredth_attempt_is_refused_before_anything_is_written(door: str) -> None:
    """409 `too_many_attempts`: the order stays `failed`, for a message could never fund it."""
    account = refused_99_times()
    before = account.works(), account.page()
    problem = account.refusal(NEW_ATTEMPTS[door]())
    assert (problem.code, problem.status) == ("too_many_attempts", 409)
    assert (account.works(), account.page()) == before


def test_the_99th_attempt_is_queued_and_funded() -> None:
    """Whatever is queued can be funded by its message, and what is held can end."""
    account = opened(0)
    for _ in range(98):
        account.do(requested())
    account.do(adjust("auto_order", 1000))
    account.do(again())
    assert standing(account) == ("queued", 99)
    assert account.did(own_message(account.work())) == "held"
    assert account.did(release(attempt=99)) == "released"
    assert account.refusal(again()).code == "too_many_attempts"
    assert account.balance() == (1000, 0)
    check_books(account)


def test_an_order_without_credits_is_never_queued_in_vain() -> None:
    """Sent again two hundred times it is refused at the hundredth attempt, and no more is queued than can be funded."""
    account = opened(0)
    account.do(queue_order(order()))
    outcomes = []
    for number in range(200):
        if account.work().status == "queued":
            account.do(own_message(account.work()))
        try:
            outcomes.append(account.did(again(request_id=f"r{number}")))
        except Problem as problem:
            outcomes.append(problem.code)
    assert outcomes == ["resent"] * 98 + ["too_many_attempts"] * 102
    account.do(adjust("auto_order", 1000))
    assert account.refusal(again(request_id="after the top-up")).code == "too_many_attempts"
    assert standing(account) == ("failed", 99)


def test_a_key_that_was_answered_is_answered_at_any_number_of_attempts() -> None:
    """A replay comes before `too_many_attempts`."""
    account, queued, charged = opened(1000), idempotency(), idempotency()
    account.do(hold(order(), charged))
    account.do(failed())
    account.do(queue_order(order(), queued))
    for _ in range(98):
        account.do(requested())
        account.do(failed())
    assert standing(account) == ("failed", 99)
    assert account.do(hold(order(), charged)).replayed()
    assert account.do(queue_order(order(), queued)).replayed()


def settled_until_refused() -> tuple[Account, list[str]]:
    """A manual order whose conversion is held and released until that is refused, and what was said."""
    account, said = opened(1000), ["held"]
    manual = order(order_type="manual", tracking="bce")
    account.do(hold(manual))
    while said[-1] == "held":
        account.do(release(parts=["tracking"]))
        try:
            said.append(account.did(hold(manual)))
        except Problem as problem:
            said.append(problem.code)
    return account, said


def test_at_900_changes_nothing_new_is_opened() -> None:
    """409 `too_many_attempts` for the 451st hold and for a debit; the record grows no more."""
    account, said = settled_until_refused()
    assert said == ["held"] * 450 + ["too_many_attempts"]
    work = account.work()
    assert (work.rev, work.attempt, len(work.versions)) == (900, 1, 900)
    for door in (debit, hold):
        for tracking in ("bce", "qtrack"):
            problem = account.refusal(door(order(order_type="manual", tracking=tracking)))
            assert (problem.code, problem.status) == ("too_many_attempts", 409)
    assert account.did(queue_order(order(order_type="manual", tracking="bce"))) == "queued"
    assert account.work() == work
    check_books(account)


@pytest.mark.parametrize("door", [capture, release])
def test_what_is_open_after_900_changes_still_ends(door: Callable[..., Command]) -> None:
    """By a call or by a message, part by part."""
    account = opened(1000)
    account.do(hold(order(tracking="bce")))
    account.age(900)
    assert account.did(door(parts=["tracking"])) in ("captured", "released")
    assert account.did(failed()) == "released"
    assert account.work().rev == 902
    for command in (again(), queue_order(order()), hold(order()), debit(order())):
        assert account.refusal(command).code == "too_many_attempts"
    check_books(account)


def test_an_order_queued_after_899_changes_is_funded() -> None:
    """The limit is told before anything is queued, never after."""
    account = opened(1000)
    for command in (requested(), failed()):
        account.do(command)
    account.age(899)
    account.do(again())
    assert account.did(own_message(account.work())) == "held"
    assert (account.work().rev, account.did(placed())) == (901, "captured")
