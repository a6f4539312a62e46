"""Every state that work can be in, times everything that can be said or asked of it.

docs/contract.md, section 7, has the table of messages and an order's life.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from autocredits.domain.access import Caller
from autocredits.domain.decide import Command, Done, NotYet, decide
from autocredits.domain.errors import Problem
from autocredits.domain.state import State
from autocredits.domain.work.calls import ResendOrder
from autocredits.domain.work.messages import WorkRequested, request_message
from autocredits.domain.work.record import MAX_MESSAGES_SEEN, Kind, Work, WorkRequest, message_digest
from autocredits.edge.messages import parse_message
from tests.kit.books import check_books
from tests.kit.builders import (
    ACCOUNT_ID,
    CATALOG,
    NOW_MS,
    PLATFORM,
    Account,
    accepted,
    adjust,
    beside,
    capture,
    completed,
    conversion,
    conversion_failed,
    debit,
    failed,
    hold,
    opened,
    order,
    page_of,
    placed,
    product,
    queue_order,
    rejected,
    release,
    requested,
    sourcing,
    state_of,
)

RICH = 10_000


def rich(*commands: Command) -> Account:
    """An account with 100.00 credits and 1,000.00 managed, after these commands."""
    account = opened(RICH, 100_000)
    for command in commands:
        account.do(command)
    return account


SIGN = {"open": "+", "captured": "=", "released": "-", "expired": "!"}


# How an order got where it is. Unless it says otherwise it is `auto` with qtrack, of store s1.
STATES: dict[str, Callable[[], list[Command]]] = {
    "unknown": list,
    "queued": lambda: [queue_order(order(tracking="qtrack"))],
    "processing +.": lambda: [requested()],
    "processing ++": lambda: [requested(tracking="qtrack")],
    "processing +=": lambda: [requested(tracking="qtrack"), completed()],
    "processing +-": lambda: [requested(tracking="qtrack"), conversion_failed()],
    "ordered =.": lambda: [requested(), placed()],
    "ordered =+": lambda: [requested(tracking="qtrack"), placed()],
    "ordered =-": lambda: [requested(tracking="qtrack"), placed(), conversion_failed()],
    "shipped ==": lambda: [requested(tracking="qtrack"), placed(), completed()],
    "failed --": lambda: [requested(tracking="qtrack"), failed()],
    "failed ..": lambda: [adjust("auto_order", -RICH), requested(tracking="qtrack"), adjust("auto_order", RICH)],
    "debited": lambda: [debit(order(tracking="qtrack"))],
    "manual .+": lambda: [hold(order(order_type="manual", tracking="qtrack"))],
    "manual .=": lambda: [hold(order(order_type="manual", tracking="qtrack")), completed()],
}


ASKED: dict[str, Callable[[], Command]] = {
    "requested": lambda: requested(tracking="qtrack"),
    "requested with bce": lambda: requested(tracking="bce"),
    "requested by s2": lambda: requested(tracking="qtrack", store_id="s2"),
    "placed": placed,
    "failed": failed,
    "conversion": conversion,
    "conversion by bce": lambda: conversion(tracking="bce"),
    "completed": completed,
    "completed by bce": lambda: completed(tracking="bce"),
    "conversion failed": conversion_failed,
    "debit": lambda: debit(order(tracking="qtrack")),
    "debit with bce": lambda: debit(order(tracking="bce")),
    "hold": lambda: hold(order(tracking="qtrack")),
    "hold with bce": lambda: hold(order(tracking="bce")),
    "capture": capture,
    "capture order": lambda: capture(parts=["order"]),
    "capture tracking": lambda: capture(parts=["tracking"]),
    "release": release,
    "release order": lambda: release(parts=["order"]),
    "release tracking": lambda: release(parts=["tracking"]),
}


# What comes of it, and, where the order goes on: the status, the attempt, and how parts `order` and `tracking` stand
# (+ open, = captured, - released, . not there). One line per thing asked, in the order of ASKED. Only `completed`, of
# what is charged already, goes on without a page.
EXPECTED = {
    "unknown": """
        held processing 1 ++ | held processing 1 ++ | held processing 1 ++ | not_yet | not_yet
        not_yet | not_yet | not_yet | not_yet | not_yet
        debited ordered 1 .. | debited ordered 1 .. | held processing 1 ++ | held processing 1 ++
        hold_not_found | hold_not_found | hold_not_found | hold_not_found | hold_not_found | hold_not_found""",
    "queued": """
        held processing 1 ++ | order_conflict | order_conflict | not_yet | not_yet
        not_yet | not_yet | not_yet | not_yet | not_yet
        order_conflict | order_conflict | order_conflict | order_conflict
        hold_not_found | hold_not_found | hold_not_found | hold_not_found | hold_not_found | hold_not_found""",
    "processing +.": """
        order_conflict | order_conflict | order_conflict | captured ordered 1 =. | released failed 1 -.
        held processing 1 ++ | held processing 1 ++ | not_yet | not_yet | not_yet
        debited processing 1 +. | debited processing 1 +. | held processing 1 ++ | held processing 1 ++
        captured ordered 1 =. | captured ordered 1 =. | invalid_transition
        released failed 1 -. | released failed 1 -. | invalid_transition""",
    "processing ++": """
        duplicate | order_conflict | order_conflict | captured ordered 1 =+ | released failed 1 --
        duplicate | order_conflict | captured processing 1 += | not_yet | released processing 1 +-
        already_charged | order_conflict | already_charged | order_conflict
        captured shipped 1 == | captured ordered 1 =+ | captured processing 1 +=
        released failed 1 -- | released failed 1 -- | released processing 1 +-""",
    "processing +=": """
        duplicate | order_conflict | order_conflict | captured shipped 1 == | released failed 1 -=
        duplicate | held processing 1 ++ | nothing | not_yet | nothing
        already_charged | debited processing 1 += | already_charged | held processing 1 ++
        captured shipped 1 == | captured shipped 1 == | captured_already
        released failed 1 -= | released failed 1 -= | invalid_transition""",
    "processing +-": """
        duplicate | order_conflict | order_conflict | captured ordered 1 =- | released failed 1 --
        held processing 1 ++ | held processing 1 ++ | nothing | not_yet | nothing
        debited processing 1 +- | debited processing 1 +- | held processing 1 ++ | held processing 1 ++
        captured ordered 1 =- | captured ordered 1 =- | invalid_transition
        released failed 1 -- | released failed 1 -- | released_already""",
    "ordered =.": """
        order_conflict | order_conflict | order_conflict | nothing | nothing
        held ordered 1 =+ | held ordered 1 =+ | not_yet | not_yet | not_yet
        debited ordered 1 =. | debited ordered 1 =. | held ordered 1 =+ | held ordered 1 =+
        captured_already | captured_already | invalid_transition
        invalid_transition | invalid_transition | invalid_transition""",
    "ordered =+": """
        duplicate | order_conflict | order_conflict | nothing | nothing
        duplicate | order_conflict | captured shipped 1 == | not_yet | released ordered 1 =-
        already_charged | order_conflict | already_charged | order_conflict
        captured shipped 1 == | captured_already | captured shipped 1 ==
        released ordered 1 =- | invalid_transition | released ordered 1 =-""",
    "ordered =-": """
        duplicate | order_conflict | order_conflict | nothing | nothing
        held ordered 1 =+ | held ordered 1 =+ | nothing | not_yet | nothing
        debited ordered 1 =- | debited ordered 1 =- | held ordered 1 =+ | held ordered 1 =+
        captured_already | captured_already | invalid_transition
        released_already | invalid_transition | released_already""",
    "shipped ==": """
        duplicate | order_conflict | order_conflict | nothing | nothing
        duplicate | held shipped 1 =+ | nothing | not_yet | nothing
        already_charged | debited shipped 1 == | already_charged | held shipped 1 =+
        captured_already | captured_already | captured_already
        invalid_transition | invalid_transition | invalid_transition""",
    "failed --": """
        held processing 2 ++ | held processing 2 ++ | order_conflict | nothing | nothing
        nothing | nothing | nothing | not_yet | nothing
        debited ordered 2 .. | debited ordered 2 .. | held processing 2 ++ | held processing 2 ++
        invalid_transition | invalid_transition | invalid_transition
        released_already | released_already | released_already""",
    "failed ..": """
        held processing 2 ++ | held processing 2 ++ | order_conflict | not_yet | not_yet
        nothing | nothing | not_yet | not_yet | not_yet
        debited ordered 2 .. | debited ordered 2 .. | held processing 2 ++ | held processing 2 ++
        hold_not_found | hold_not_found | hold_not_found | hold_not_found | hold_not_found | hold_not_found""",
    "debited": """
        duplicate | order_conflict | order_conflict | nothing | nothing
        duplicate | held ordered 1 .+ | completed shipped 1 .. | not_yet | nothing
        already_charged | debited ordered 1 .. | already_charged | held ordered 1 .+
        hold_not_found | hold_not_found | hold_not_found | hold_not_found | hold_not_found | hold_not_found""",
    "manual .+": """
        order_conflict | order_conflict | order_conflict | not_yet | not_yet
        duplicate | order_conflict | captured shipped 1 .= | not_yet | released ordered 1 .-
        order_conflict | order_conflict | order_conflict | order_conflict
        captured shipped 1 .= | invalid_transition | captured shipped 1 .=
        released ordered 1 .- | invalid_transition | released ordered 1 .-""",
    "manual .=": """
        order_conflict | order_conflict | order_conflict | not_yet | not_yet
        duplicate | held shipped 1 .+ | nothing | not_yet | nothing
        order_conflict | order_conflict | order_conflict | order_conflict
        captured_already | invalid_transition | captured_already
        invalid_transition | invalid_transition | invalid_transition""",
}


def cells(expected: str) -> list[str]:
    """The cells of a table that is written over several lines."""
    return [cell.strip() for line in expected.strip().splitlines() for cell in line.split("|")]


CASES = [
    pytest.param(state, asked, cell, id=f"{state}: {asked}")
    for state, expected in EXPECTED.items()
    for asked, cell in zip(ASKED, cells(expected), strict=True)
]


def tell(account: Account, command: Command) -> str:
    """What came of the command, in one word."""
    try:
        return account.did(command)
    except Problem as problem:
        return problem.code
    except NotYet:
        return "not_yet"


def shown(work: Work, *names: str) -> str:
    """Status, attempt, and the status of each part."""
    parts = "".join(SIGN[work.parts[name].status] if name in work.parts else "." for name in names)
    return f"{work.status} {work.attempt} {parts}"


@pytest.mark.parametrize(("state", "asked", "cell"), CASES)
def test_each_state_of_an_order_and_each_message_or_call(state: str, asked: str, cell: str) -> None:
    """The order goes on as the contract's table says, or stays as it was; either way the books are right."""
    account = opened(RICH)
    for command in STATES[state]():
        account.do(command)
    before = account.page()
    known = account.works()
    command = ASKED[asked]()
    told, *after = cell.split(" ", 1)
    assert tell(account, command) == told
    if after:
        assert shown(account.work(), "order", "tracking") == after[0]
        assert account.page().version == before.version + (told != "completed")
    else:
        assert account.page() == before
        assert [shown(work, "order", "tracking") for work in account.works()] == [
            shown(work, "order", "tracking") for work in known
        ]
    check_books(account)


@pytest.mark.parametrize(("state", "asked", "cell"), CASES)
def test_what_is_delivered_twice_moves_once(state: str, asked: str, cell: str) -> None:
    """Delivered twice, any message, and any call with its key, ends as delivered once."""
    account = opened(RICH)
    for command in STATES[state]():
        account.do(command)
    command = ASKED[asked]()
    first = tell(account, command)
    page, works = account.page(), [shown(work, "order", "tracking") for work in account.works()]
    seen = [len(work.seen) for work in account.works()]
    again = tell(account, command)
    assert account.page() == page
    assert [shown(work, "order", "tracking") for work in account.works()] == works
    assert [len(work.seen) for work in account.works()] == seen
    repeated = {
        "held": "replayed" if asked.startswith("hold") else "duplicate",
        "debited": "replayed",
        "captured": "captured_already" if asked.startswith("capture") else "duplicate",
        "released": "released_already" if asked.startswith("release") else "duplicate",
        "nothing": "duplicate",
        "completed": "duplicate",
    }
    assert again == repeated.get(first, first), cell


PRODUCT_STATES: dict[str, Callable[[], list[Command]]] = {
    "unknown": list,
    "processing": lambda: [sourcing()],
    "accepted": lambda: [sourcing(), accepted()],
    "rejected": lambda: [sourcing(), rejected(reason="not sold")],
    "failed": lambda: [adjust("auto_order", -RICH), sourcing(), adjust("auto_order", RICH)],
    "debited": lambda: [debit(product())],
}


PRODUCT_ASKED: dict[str, Callable[[], Command]] = {
    "requested": sourcing,
    "requested by s2": lambda: sourcing(store_id="s2"),
    "accepted": accepted,
    "rejected": rejected,
    "debit": lambda: debit(product()),
    "hold": lambda: hold(product()),
    "capture": lambda: capture("p1", kind="product"),
    "release": lambda: release("p1", kind="product"),
}


PRODUCT_EXPECTED = {
    "unknown": """
        held processing 1 + | held processing 1 + | not_yet | not_yet
        debited accepted 1 . | held processing 1 + | hold_not_found | hold_not_found""",
    "processing": """
        duplicate | order_conflict | captured accepted 1 = | released rejected 1 -
        already_charged | already_charged | captured accepted 1 = | released rejected 1 -""",
    "accepted": """
        duplicate | order_conflict | nothing | nothing
        already_charged | already_charged | captured_already | invalid_transition""",
    "rejected": """
        held processing 2 + | order_conflict | nothing | nothing
        debited accepted 2 . | held processing 2 + | invalid_transition | released_already""",
    "failed": """
        held processing 2 + | order_conflict | not_yet | not_yet
        debited accepted 2 . | held processing 2 + | hold_not_found | hold_not_found""",
    "debited": """
        duplicate | order_conflict | nothing | nothing
        already_charged | already_charged | hold_not_found | hold_not_found""",
}


@pytest.mark.parametrize(
    ("state", "asked", "cell"),
    [
        pytest.param(state, asked, cell, id=f"{state}: {asked}")
        for state, expected in PRODUCT_EXPECTED.items()
        for asked, cell in zip(PRODUCT_ASKED, cells(expected), strict=True)
    ],
)
def test_each_state_of_a_product_and_each_message_or_call(state: str, asked: str, cell: str) -> None:
    """Sourcing goes on as the contract's table says, or stays as it was; delivered twice it moves once."""
    account = opened(RICH)
    for command in PRODUCT_STATES[state]():
        account.do(command)
    before = account.page()
    command = PRODUCT_ASKED[asked]()
    told, *after = cell.split(" ", 1)
    assert tell(account, command) == told
    assert account.page().version == before.version + len(after)
    if after:
        assert shown(account.work("p1", "product"), "sourcing") == after[0]
    page = account.page()
    tell(account, command)
    assert account.page() == page
    check_books(account)


# ---------------------------------------------------------------- requests that are refused


def test_a_request_without_credits_fails_the_order() -> None:
    """`insufficient_credits` from the queue is an entry of 0.00 with the sentence that merchants know."""
    account = opened(99)
    assert tell(account, requested()) == "refused"
    sentence = "Insufficient Auto-orders credits, please purchase more credits and resend the order."
    work = account.work()
    assert (work.status, work.reason, work.attempt, dict(work.parts)) == ("failed", sentence, 1, {})
    (entry,) = account.page().entries
    assert (entry.kind, entry.unit, entry.posted, entry.held, entry.reason) == ("refused", "auto_order", 0, 0, sentence)
    assert (entry.order_id, entry.store_id, entry.part, entry.attempt) == ("o1", "s1", "order", 1)


def test_a_request_without_managed_balance_fails_in_that_unit() -> None:
    """`insufficient_managed_balance` is another failure, with a sentence of its own."""
    account = opened(RICH, 2349)
    tell(account, requested(order_type="fba"))
    (entry,) = account.page().entries
    assert (entry.kind, entry.unit, entry.posted) == ("refused", "managed", 0)
    assert account.work().reason == "Insufficient managed balance for product and shipping."


@pytest.mark.parametrize(
    ("state", "unit"),
    [(state_of(-1), "auto_order"), (state_of(managed=-1), "managed"), (state_of(-1, -1), "auto_order")],
)
def test_a_refusal_for_a_frozen_balance_is_entered_in_its_unit(state: State, unit: str) -> None:
    """`balance_frozen` fails the order, and the entry stands where the balance is below zero."""
    asked = [requested(order_type="fba")]
    decision = decide(ACCOUNT_ID, page_of(state), {}, asked, catalog=CATALOG, now_ms=NOW_MS)
    assert decision.page is not None
    (entry,) = decision.page.entries
    assert (entry.kind, entry.unit, entry.posted, entry.held) == ("refused", unit, 0, 0)
    assert entry.reason == f"The {unit} balance is below zero. Top it up before starting new work."


@pytest.mark.parametrize(
    "changes", [{"status": "paused"}, {"status": "suspended"}, {"status": "closed"}, {"orders_processor": "inactive"}]
)
@pytest.mark.parametrize("asked", [requested, sourcing])
def test_a_request_is_refused_by_standing(asked: Callable[[], Command], changes: dict[str, str]) -> None:
    """`account_inactive` and `orders_processor_inactive` fail the work, and its entry and record say why."""
    account = opened(RICH)
    account.set_standing(**changes)
    assert tell(account, asked()) == "refused"
    (work,) = account.works()
    assert (work.status, work.reason) == ("failed", account.page().entries[0].reason)
    check_books(account)


def test_a_refused_conversion_leaves_the_order_as_it_was() -> None:
    """A placed order stays `ordered`, and the conversion may be requested again."""
    account = opened(100)
    account.do(requested())
    account.do(placed())
    assert tell(account, conversion(tracking="bce")) == "refused"
    assert account.page().entries[0].part == "tracking"
    assert (account.work().status, account.work().reason) == ("ordered", None)
    account.do(adjust("auto_order", 33))
    assert tell(account, conversion(tracking="bce")) == "held"
    check_books(account)


def test_a_refused_conversion_does_not_rename_the_order() -> None:
    """Its method and number stay those that it was charged for."""
    account = opened(133)
    account.do(requested(tracking="bce"))
    account.do(placed())
    account.do(completed(tracking_number="BCE1"))
    assert tell(account, conversion(tracking="qtrack", tracking_number="OTHER")) == "refused"
    work = account.work()
    assert (work.status, work.tracking, work.tracking_number) == ("shipped", "bce", "BCE1")


# ---------------------------------------------------------------- requests


def test_a_failed_order_is_requested_again_as_a_new_attempt() -> None:
    """Each request with a new id is an attempt; the one after the top-up is held, and has no reason."""
    account = opened(99)
    tell(account, requested())
    assert tell(account, requested()) == "refused"
    account.do(adjust("auto_order", 1))
    assert tell(account, requested()) == "held"
    work = account.work()
    assert (work.attempt, work.status, work.reason) == (3, "processing", None)


def test_a_known_message_does_not_start_an_attempt() -> None:
    """A refused request that is delivered again after a top-up is a duplicate."""
    account = opened(99)
    again = requested(message_id="m1")
    tell(account, again)
    account.do(adjust("auto_order", 1000))
    assert tell(account, again) == "duplicate"
    assert account.work().attempt == 1
    assert tell(account, requested(message_id="m1", source="another")) == "held"


@pytest.mark.parametrize("attempt", [1, 2, 3])
def test_a_request_with_an_attempt_works_while_just_that_attempt_is_queued(attempt: int) -> None:
    """Where attempt 2 is queued, a message for it is held; one for 1 or 3 is a duplicate."""
    account = opened(RICH)
    account.do(requested())
    account.do(failed())
    account.do(queue_order(order()))
    assert account.work().attempt == 2
    assert tell(account, requested(attempt=attempt)) == ("held" if attempt == 2 else "duplicate")
    assert tell(account, requested(attempt=attempt)) == "duplicate"


@pytest.mark.parametrize("state", [state for state in STATES if state != "queued"])
def test_a_request_with_an_attempt_starts_nothing_else(state: str) -> None:
    """Unless the order is `queued`, a request that names an attempt is a duplicate."""
    account = opened(RICH)
    for command in STATES[state]():
        account.do(command)
    page = account.page()
    for attempt in (1, 2):
        assert tell(account, requested(tracking="qtrack", attempt=attempt)) == "duplicate"
    assert account.page() == page


def test_the_first_request_again_after_another_conversion_is_a_duplicate() -> None:
    """Its own conversion failed, and another method came instead: it still asks for the same work."""
    account = rich(requested(tracking="qtrack"), placed(), conversion_failed(), conversion(tracking="bce"))
    for command in (requested(tracking="qtrack"), requested(tracking="bce"), requested()):
        assert tell(account, command) == "duplicate"
    account.do(completed(tracking="bce"))
    assert tell(account, requested(tracking="qtrack")) == "duplicate"
    assert tell(account, requested(tracking="tracking_generator")) == "order_conflict"
    assert account.balance() == (RICH - 133, 0)


def test_a_refused_conversion_was_asked_for_all_the_same() -> None:
    """A request that names its method is the same work."""
    account = opened(100)
    for command in (requested(), conversion(tracking="bce")):
        account.do(command)
    assert (account.work().tracking, account.work().asked) == ("none", ("none", "bce"))
    assert tell(account, requested(tracking="bce")) == "duplicate"


def test_a_queued_order_is_funded_as_it_was_queued() -> None:
    """Whichever of its methods the storefront's message names."""
    account = rich(requested(tracking="qtrack"), failed(), queue_order(order(tracking="bce")))
    assert tell(account, requested(tracking="qtrack")) == "held"
    assert (account.work().tracking, account.balance()) == ("bce", (RICH, 133))


def test_a_request_for_what_is_all_charged_is_a_duplicate() -> None:
    """Even of a failed order nothing is left to hold; only the message is remembered."""
    account = rich(requested(tracking="bce"), completed(), failed())
    before = account.work()
    work = WorkRequest(kind="order", work_id="o1", store_id="s1", order_type="manual", tracking="bce")
    command = WorkRequested(source="engine", message_id="m9", kind="order", work_id="o1", request=work)
    assert account.did(command) == "duplicate"
    after = account.work()
    assert after == replace(before, seen=(*before.seen, message_digest("engine", "m9")), rev=before.rev + 1)


def test_rejected_sourcing_is_requested_again() -> None:
    """A new request is attempt 2; its acceptance is charged once."""
    account = opened(RICH)
    account.do(sourcing())
    account.do(rejected())
    assert tell(account, sourcing()) == "held"
    assert tell(account, accepted(attempt=1)) == "nothing"
    assert tell(account, accepted(attempt=2)) == "captured"
    assert account.balance() == (RICH - 100, 0)
    assert tell(account, sourcing()) == "duplicate"


# ---------------------------------------------------------------- results: of which attempt, and which comes first

RESULTS = [placed, failed, completed, conversion_failed]


@pytest.mark.parametrize("result", RESULTS)
def test_a_result_of_an_earlier_attempt_changes_nothing(result: Callable[..., Command]) -> None:
    """The present attempt's hold is untouched."""
    account = opened(RICH)
    account.do(requested(tracking="qtrack"))
    account.do(failed())
    account.do(requested(tracking="qtrack"))
    assert tell(account, result(attempt=1)) == "nothing"
    assert shown(account.work(), "order", "tracking") == "processing 2 ++"
    assert account.balance() == (RICH, 250)


@pytest.mark.parametrize("result", RESULTS)
def test_a_result_of_a_later_attempt_waits(result: Callable[..., Command]) -> None:
    """It came before its request."""
    account = opened(RICH)
    account.do(requested(tracking="qtrack"))
    with pytest.raises(NotYet):
        account.do(result(attempt=2))
    assert account.work().seen == account.work().seen[:1]


@pytest.mark.parametrize("attempt", [None, 2])
@pytest.mark.parametrize("result", RESULTS)
def test_a_result_means_the_present_attempt(result: Callable[..., Command], attempt: int | None) -> None:
    """Whether it names it or names none, the present attempt is settled."""
    account = opened(RICH)
    account.do(requested(tracking="qtrack"))
    account.do(failed())
    account.do(requested(tracking="qtrack"))
    assert tell(account, result(attempt=attempt)) in ("captured", "released")
    check_books(account)


def test_a_result_before_its_request_ends_the_same() -> None:
    """A result that came too early has its effect when it comes again."""
    account = opened(RICH)
    result = placed()
    assert tell(account, result) == "not_yet"
    assert tell(account, requested()) == "held"
    assert tell(account, result) == "captured"
    assert tell(account, result) == "duplicate"
    assert account.balance() == (RICH - 100, 0)


@pytest.mark.parametrize(("first", "second"), [(placed, failed), (failed, placed)])
def test_of_two_contradicting_results_the_first_wins(
    first: Callable[[], Command], second: Callable[[], Command]
) -> None:
    """The second changes nothing."""
    account = opened(RICH)
    account.do(requested())
    account.do(first())
    before = account.page()
    assert tell(account, second()) == "nothing"
    assert account.page() == before


@pytest.mark.parametrize(("first", "second"), [(completed, conversion_failed), (conversion_failed, completed)])
def test_of_two_contradicting_conversions_the_first_wins(
    first: Callable[[], Command], second: Callable[[], Command]
) -> None:
    """The second changes nothing."""
    account = opened(RICH)
    account.do(requested(tracking="bce"))
    account.do(first())
    before = account.page()
    assert tell(account, second()) == "nothing"
    assert account.page() == before


@pytest.mark.parametrize(("first", "second"), [(accepted, rejected), (rejected, accepted)])
def test_of_two_contradicting_sourcings_the_first_wins(
    first: Callable[[], Command], second: Callable[[], Command]
) -> None:
    """The second changes nothing."""
    account = opened(RICH)
    account.do(sourcing())
    account.do(first())
    before = account.page()
    assert tell(account, second()) == "nothing"
    assert account.page() == before


@pytest.mark.parametrize("result", [placed, failed, completed, conversion_failed])
def test_a_result_for_an_attempt_that_holds_nothing_changes_nothing(result: Callable[..., Command]) -> None:
    """It names no method, and the part is known from the attempt before: the order was refused, so nothing can come."""
    account = rich(requested(tracking="bce"), failed(), adjust("auto_order", -RICH), requested(tracking="bce"))
    assert (account.work().status, account.work().parts) == ("failed", {})
    assert tell(account, result()) == "nothing"


@pytest.mark.parametrize(
    ("result", "part"), [(placed, "order"), (failed, "order"), (completed, "tracking"), (conversion_failed, "tracking")]
)
def test_a_result_for_what_has_expired_changes_nothing(result: Callable[..., Command], part: str) -> None:
    """As for what was given back, whether it names its method or not."""
    account = rich(requested(tracking="bce"))
    place = (ACCOUNT_ID, ("order", "o1"))
    stored = json.loads(account.store.records[place])
    stored["parts"][part]["status"] = "expired"
    account.store.records[place] = json.dumps(stored)
    assert tell(account, result()) == "nothing"
    if part == "tracking":
        assert tell(account, result(tracking="bce")) == "nothing"
        assert tell(account, result(tracking="qtrack")) == "not_yet"


def test_a_result_waits_while_its_order_is_queued_again() -> None:
    """The part is known from the attempt before, but the present one has not begun."""
    account = opened(10_000)
    for command in (requested(), failed(), queue_order(order())):
        account.do(command)
    with pytest.raises(NotYet):
        account.do(placed())


# ---------------------------------------------------------------- too_many_messages, and what is remembered


def test_work_remembers_200_messages_and_then_takes_no_more() -> None:
    """Message 201 is `too_many_messages`; known ones stay duplicates, and calls over HTTP still work."""
    account = opened(RICH)
    account.do(requested(message_id="m0"))
    for number in range(1, MAX_MESSAGES_SEEN):
        assert tell(account, requested(message_id=f"m{number}")) == "duplicate"
    assert len(account.work().seen) == MAX_MESSAGES_SEEN == 200
    for command in (placed(), failed(), requested(), conversion(), completed()):
        assert tell(account, command) == "too_many_messages"
    assert tell(account, requested(message_id="m0")) == "duplicate"
    assert tell(account, requested(message_id="m199")) == "duplicate"
    assert len(account.work().seen) == 200
    assert tell(account, capture()) == "captured"
    assert account.balance() == (RICH - 100, 0)


def test_a_request_that_names_its_attempt_takes_no_place() -> None:
    """Its attempt tells, whoever sent it: it works where 200 are remembered, and is a duplicate ever after."""
    account = opened(RICH)
    account.do(requested(message_id="m0"))
    account.do(failed(message_id="m1"))
    for number in range(2, MAX_MESSAGES_SEEN):
        assert tell(account, placed(message_id=f"m{number}")) == "nothing"
    account.do(again())
    seen = account.work().seen
    assert len(seen) == MAX_MESSAGES_SEEN
    for command, did in ((own_message(account.work()), "held"), (requested(attempt=2), "duplicate")):
        assert (account.did(command), account.did(command)) == (did, "duplicate")
    assert account.work().seen == seen
    assert tell(account, requested()) == "too_many_messages"


def test_the_200th_message_still_works() -> None:
    """With 199 remembered, one more has its effect."""
    account = opened(RICH)
    for number in range(MAX_MESSAGES_SEEN - 1):
        tell(account, requested(message_id=f"m{number}"))
    assert tell(account, placed()) == "captured"
    assert len(account.work().seen) == 200


def test_a_message_that_waits_is_not_remembered() -> None:
    """It has its effect when it comes again."""
    account = opened(RICH)
    account.do(requested())
    early = completed()
    assert tell(account, early) == "not_yet"
    account.do(conversion())
    assert tell(account, early) == "captured"


@pytest.mark.parametrize(
    ("before", "message"),
    [
        ([requested(message_id="m1")], requested(message_id="m1")),
        ([requested(), placed(message_id="m2")], placed(message_id="m2")),
        ([requested(), placed(), conversion(message_id="m3")], conversion(message_id="m3")),
    ],
)
def test_the_same_message_again_writes_nothing(before: list[Command], message: Command) -> None:
    """It is a duplicate, and the record is not even written."""
    account = rich(*before)
    work = account.work()
    assert beside(account, message) == (Done(did="duplicate", record=work), [])
    assert account.work() == work


@pytest.mark.parametrize(
    ("before", "message", "did"),
    [
        ([requested()], requested, "duplicate"),
        ([requested(), placed()], placed, "nothing"),
        ([requested(), placed()], failed, "nothing"),
        ([requested(), failed()], conversion, "nothing"),
        ([requested(tracking="qtrack"), placed()], conversion, "duplicate"),
        (
            [requested(tracking="qtrack"), conversion_failed(), conversion(tracking="bce")],
            lambda: completed(tracking="qtrack"),
            "nothing",
        ),
        ([requested(), failed(), requested()], lambda: placed(attempt=1), "nothing"),
    ],
)
def test_a_message_that_changes_nothing_is_remembered_and_no_more(
    before: list[Command], message: Any, did: str
) -> None:
    """No page touches the record, and its status keeps its time."""
    account = rich(*before)
    work = account.work()
    account.clock.at_ms += 5
    done, entries = beside(account, message())
    now = account.work()
    assert (done, entries) == (Done(did=did, record=now), [])
    assert now == replace(work, seen=now.seen, rev=work.rev + 1, updated_at=account.clock.at_ms)
    assert len(now.seen) == len(work.seen) + 1


# ---------------------------------------------------------------- conversions


def test_a_conversion_of_an_unknown_manual_order_opens_it() -> None:
    """The order is `ordered`, and its tracking part is held at its own cell."""
    account = opened(RICH)
    assert tell(account, conversion(order_type="manual", tracking="qtrack")) == "held"
    work = account.work()
    assert (work.order_type, shown(work, "order", "tracking"), work.tracking_number) == (
        "manual",
        "ordered 1 .+",
        "TBA1",
    )
    assert account.balance() == (RICH, 50)
    account.do(completed())
    assert (account.balance(), account.work().status, account.work().tracking_number) == ((9950, 0), "shipped", "BCE1")


@pytest.mark.parametrize("order_type", [None, "auto", "fba"])
def test_a_conversion_of_another_unknown_order_waits(order_type: str | None) -> None:
    """Without a type, or as `auto` or `fba`, it has come before its request."""
    account = opened(RICH)
    with pytest.raises(NotYet):
        account.do(conversion(order_type=order_type))
    assert account.works() == []


@pytest.mark.parametrize("order_type", ["fba", "manual"])
def test_a_conversion_of_a_known_order_must_name_its_type(order_type: str) -> None:
    """`order_conflict` for another type or store; the type may be left out."""
    account = opened(RICH)
    account.do(requested())
    assert tell(account, conversion(order_type=order_type)) == "order_conflict"
    assert tell(account, conversion(store_id="s2")) == "order_conflict"
    assert tell(account, conversion(order_type="auto")) == "held"


@pytest.mark.parametrize(
    ("order_type", "tracking", "held"),
    [
        ("auto", "bce", 33),
        ("auto", "qtrack", 150),
        ("auto", "tracking_generator", 100),
        ("fba", "bce", 33),
        ("fba", "qtrack", 150),
        ("fba", "tracking_generator", 100),
        ("manual", "bce", 33),
        ("manual", "qtrack", 50),
        ("manual", "tracking_generator", 100),
    ],
)
def test_a_conversion_holds_what_the_method_costs(order_type: str, tracking: str, held: int) -> None:
    """The difference of the cells for an automated order, the cell for a manual one."""
    account = opened(RICH, 100_000)
    if order_type != "manual":
        account.do(requested(order_type=order_type))
        account.do(placed())
    account.do(conversion(tracking=tracking, order_type=order_type))
    assert account.balance()[1] == held
    assert account.balance("managed")[1] == 0
    check_books(account)


@pytest.mark.parametrize("result", [completed, conversion_failed])
def test_a_result_that_names_another_method_waits_for_it(result: Callable[..., Command]) -> None:
    """A result that names the open method, or none, settles it."""
    for tracking, told in (("bce", "not_yet"), ("qtrack", None), (None, None)):
        account = opened(RICH)
        account.do(requested(tracking="qtrack"))
        word = tell(account, result(tracking=tracking))
        assert word == (told or {"completed": "captured", "conversion_failed": "released"}[result.__name__])


def converted_by_bce() -> Account:
    """An account whose order is shipped with a number of BlueCare's."""
    account = rich(requested(tracking="bce"), placed(), completed())
    assert (account.work().status, account.work().tracking_number) == ("shipped", "BCE1")
    return account


@pytest.mark.parametrize(
    ("result", "told", "balance", "number"),
    [
        (completed, "captured", (RICH - 133 - 150, 0), "QT1"),
        (conversion_failed, "released", (RICH - 133, 0), "TBA1"),
    ],
)
def test_a_result_of_another_method_before_its_request_ends_the_same(
    result: Callable[..., Command], told: str, balance: tuple[int, int], number: str
) -> None:
    """The order is converted already, by another method: the result waits, then has its effect."""
    account = converted_by_bce()
    early = result(tracking="qtrack", **({"tracking_number": "QT1"} if result is completed else {}))
    assert tell(account, early) == "not_yet"
    assert tell(account, conversion(tracking="qtrack")) == "held"
    assert tell(account, early) == told
    assert (account.balance(), account.work().tracking_number) == (balance, number)
    check_books(account)


@pytest.mark.parametrize("result", [completed, conversion_failed])
def test_a_method_that_failed_and_is_asked_for_again_ends_by_a_later_result(result: Callable[..., Command]) -> None:
    """A result that comes in between is of the conversion that failed: it changes nothing, then or later."""
    account = rich(requested(tracking="bce"), placed(), conversion_failed(tracking="bce"))
    between = result(tracking="bce")
    assert tell(account, between) == "nothing"
    assert tell(account, conversion(tracking="bce")) == "held"
    assert tell(account, between) == "duplicate"
    assert shown(account.work(), "order", "tracking") == "ordered 1 =+"
    assert tell(account, result(tracking="bce")) in ("captured", "released")
    check_books(account)


def test_a_result_of_a_method_given_back_changes_nothing_while_another_is_open() -> None:
    """Even once the part was opened for a third: it was given back in this attempt."""
    account = rich(requested(tracking="bce"), placed(), conversion_failed())
    for tracking in ("qtrack", "tracking_generator"):
        account.do(conversion(tracking=tracking))
        assert tell(account, completed(tracking="bce")) == "nothing"
        account.do(conversion_failed(tracking=tracking))
    account.do(conversion(tracking="qtrack"))
    assert tell(account, completed(tracking="tracking_generator")) == "nothing"
    assert account.balance() == (RICH - 100, 150)


def test_a_method_given_back_in_an_earlier_attempt_is_a_new_one() -> None:
    """Its result waits for its request, for the part is not held in this attempt."""
    account = rich(requested(tracking="bce"), conversion_failed(), failed(), requested())
    early = completed(tracking="bce")
    assert tell(account, early) == "not_yet"
    account.do(conversion(tracking="bce"))
    assert tell(account, early) == "captured"


# ---------------------------------------------------------------- conversions that a debit has charged


@pytest.mark.parametrize("tracking", [None, "bce"])
def test_a_debited_conversion_that_is_completed_ships_its_order(tracking: str | None) -> None:
    """The number is noted, and nothing moves: it is paid for."""
    account = rich(debit(order(tracking="bce")))
    page = account.page()
    done = account.do(completed(tracking=tracking)).done
    work = account.work()
    assert (done.did, done.count, done.record) == ("completed", 0, work)
    assert (work.status, work.tracking_number, work.credits) == ("shipped", "BCE1", 133)
    assert (account.page(), work.versions) == (page, (page.version,))


def test_the_first_number_of_a_debited_conversion_counts() -> None:
    """A second result, with another number, changes nothing; nor does a failure."""
    account = rich(debit(order(tracking="bce")), completed())
    for late in (completed(tracking_number="OTHER"), conversion_failed()):
        assert tell(account, late) == "nothing"
    assert (account.work().status, account.work().tracking_number) == ("shipped", "BCE1")


def test_a_debited_conversion_that_failed_still_may_be_completed() -> None:
    """What was paid for is not given back, so the failure changes nothing."""
    account = rich(debit(order(tracking="bce")))
    assert tell(account, conversion_failed()) == "nothing"
    assert tell(account, completed()) == "completed"
    assert account.balance() == (RICH - 133, 0)


def test_a_conversion_debited_before_its_order_is_placed_ships_with_it() -> None:
    """It is `shipped` with the later of placed and completed."""
    account = rich(requested(), debit(order(tracking="bce")))
    assert tell(account, completed()) == "completed"
    assert shown(account.work(), "order", "tracking") == "processing 1 +."
    account.do(placed())
    assert (account.work().status, account.work().tracking_number) == ("shipped", "BCE1")


def test_each_debited_method_is_completed_once() -> None:
    """The number that was told last is the order's."""
    account = rich(debit(order(tracking="bce")), debit(order(tracking="qtrack")))
    for tracking, did in (("bce", "completed"), ("qtrack", "completed"), ("bce", "nothing"), ("qtrack", "nothing")):
        assert tell(account, completed(tracking=tracking, tracking_number=f"{tracking}-1")) == did
    assert account.work().tracking_number == "qtrack-1"


def test_each_method_is_converted_once() -> None:
    """Two methods, one after the other, are two charges; either of them again is a duplicate."""
    account = opened(RICH)
    account.do(requested())
    account.do(placed())
    for tracking in ("bce", "qtrack"):
        account.do(conversion(tracking=tracking))
        account.do(completed(tracking=tracking))
    assert account.balance() == (RICH - 100 - 33 - 150, 0)
    for tracking in ("bce", "qtrack"):
        assert tell(account, conversion(tracking=tracking)) == "duplicate"
    check_books(account)


def test_a_failed_conversion_is_asked_for_again() -> None:
    """It is held again in the same attempt."""
    account = opened(RICH)
    account.do(requested(tracking="bce"))
    account.do(conversion_failed())
    assert tell(account, conversion(tracking="bce")) == "held"
    assert shown(account.work(), "order", "tracking") == "processing 1 ++"
    account.do(completed())
    account.do(placed())
    assert (account.balance(), account.work().status) == ((RICH - 133, 0), "shipped")


# ---------------------------------------------------------------- managed balance


@pytest.mark.parametrize(
    ("managed", "left"), [(None, 97_650), ("23.50", 97_650), ("21.10", 97_890), ("0.00", 100_000), ("30.00", 97_000)]
)
def test_placed_takes_what_the_supplier_cost(managed: str | None, left: int) -> None:
    """As held by default; less frees the rest, and more is spent too, because the money is gone."""
    account = opened(RICH, 100_000)
    account.do(requested(order_type="fba"))
    assert account.balance("managed") == (100_000, 2350)
    account.do(placed(managed=managed))
    assert account.balance("managed") == (left, 0)
    assert account.balance() == (RICH - 100, 0)
    check_books(account)


def test_a_dear_supplier_may_take_managed_below_zero() -> None:
    """Then `balance_frozen` refuses work that needs managed balance, and no other."""
    account = opened(RICH, 2350)
    account.do(requested(order_type="fba"))
    account.do(placed(managed="30.00"))
    assert account.balance("managed") == (-650, 0)
    assert tell(account, debit(order("o2", "fba"))) == "balance_frozen"
    assert tell(account, debit(order("o3"))) == "debited"
    check_books(account)


MANAGED_OF_NO_FBA: dict[str, Callable[[], list[Command]]] = {
    "queued": lambda: [queue_order(order())],
    "processing": lambda: [requested()],
    "ordered": lambda: [requested(), placed()],
    "failed": lambda: [requested(), failed()],
    "debited": lambda: [debit(order())],
    "manual": lambda: [conversion(order_type="manual")],
}


@pytest.mark.parametrize("state", MANAGED_OF_NO_FBA)
def test_placed_with_managed_of_no_fba_order_is_told(state: str) -> None:
    """`invalid_field`, a dead letter, even if the order is settled: money was spent that nobody had asked about."""
    account = opened(RICH, 100_000)
    for command in MANAGED_OF_NO_FBA[state]():
        account.do(command)
    work = account.work()
    for attempt, managed in ((None, "1.00"), (1, "1.00"), (None, "0.00")):
        assert tell(account, placed(managed=managed, attempt=attempt)) == "invalid_field"
    assert account.work() == work
    assert account.balance("managed") == (100_000, 0)


def test_placed_with_managed_of_another_attempt_is_not_told() -> None:
    """An earlier attempt may have been an `fba` order, so it changes nothing; a later one may become one, so it waits."""
    account = opened(RICH, 100_000)
    for command in (requested(order_type="fba"), failed(), requested()):
        account.do(command)
    assert tell(account, placed(managed="23.50", attempt=1)) == "nothing"
    assert tell(account, placed(managed="23.50", attempt=3)) == "not_yet"
    assert tell(account, placed(managed="23.50", attempt=2)) == "invalid_field"
    assert shown(account.work(), "order") == "processing 2 +"


def test_placed_with_managed_before_its_order_waits() -> None:
    """Nobody knows yet what order it is."""
    assert tell(rich(), placed(managed="1.00")) == "not_yet"


def test_a_failed_fba_order_gives_both_back() -> None:
    """Credits and managed balance are both available again."""
    account = opened(RICH, 100_000)
    account.do(requested(order_type="fba", tracking="bce"))
    account.do(failed())
    assert (account.balance(), account.balance("managed")) == ((RICH, 0), (100_000, 0))


# ---------------------------------------------------------------- who speaks, and of what


def test_a_message_for_an_unknown_account_is_refused() -> None:
    """`account_not_found`, whatever it is about; it becomes a dead letter."""
    for command in (requested(), placed(), conversion(order_type="manual"), sourcing(), accepted()):
        assert Account().refusal(command).code == "account_not_found"


def test_the_source_is_recorded_as_the_actor() -> None:
    """Every entry names who sent the message, and what it said of the work."""
    account = opened(RICH)
    account.do(requested(tracking="bce", source="storefront"))
    account.do(placed(source="robot", supplier_order_id="supplier-7"))
    (entry,) = account.page().entries
    assert (entry.actor, entry.supplier_order_id) == ("robot", "supplier-7")
    account.do(completed(source="converter", tracking_number="BCE7"))
    (entry,) = account.page().entries
    assert (entry.actor, entry.tracking_number) == ("converter", "BCE7")
    work = account.work()
    assert (work.supplier_order_id, work.tracking_number) == ("supplier-7", "BCE7")


def test_the_record_names_the_pages_that_touched_it() -> None:
    """Those that hold an entry of it, and no others."""
    account = opened()
    account.do(requested())
    account.do(requested())
    account.do(sourcing())
    account.do(placed())
    assert account.work().versions == (2, 4)


def test_a_message_of_one_kind_never_finds_the_other() -> None:
    """A product's result does not settle an order with the same id."""
    account = opened(RICH)
    account.do(requested("x"))
    with pytest.raises(NotYet):
        account.do(accepted("x"))
    kinds: tuple[Kind, ...] = ("order", "product")
    assert [key for key in kinds if account.store.read(ACCOUNT_ID, [(key, "x")])] == ["order"]


# ---------------------------------------------------------------- the service's own messages


def own_message(work: Work) -> Command:
    """The command of the service's own message for the order as it stands."""
    return parse_message(json.dumps(request_message(ACCOUNT_ID, work)))[2]


def standing(account: Account, order_id: str = "o1") -> tuple[str, int]:
    """Status and attempt as the record has them."""
    work = account.work(order_id)
    return work.status, work.attempt


def again(order_id: str = "o1", request_id: str = "r1", caller: Caller = PLATFORM) -> ResendOrder:
    """A request to send the order again."""
    return ResendOrder(caller, order_id, request_id)


def failed_order() -> Account:
    """An account with 10.00 credits whose order o1 has failed."""
    account = opened(1000)
    account.do(requested())
    account.do(failed())
    return account


def test_the_own_message_says_what_the_order_is() -> None:
    """It is a CloudEvent that names the attempt, and sent again it is the same message."""
    account = opened(1000)
    account.do(queue_order(order(order_type="fba", tracking="qtrack", cost=905)))
    message = request_message(ACCOUNT_ID, account.work())
    assert message == {
        "specversion": "1.0",
        "id": "acme/o1~1",
        "source": "autocredits",
        "type": "auto_order.requested",
        "data": {
            "account_id": "acme",
            "order_id": "o1",
            "store_id": "s1",
            "order_type": "fba",
            "tracking": "qtrack",
            "cost": "9.05",
            "attempt": 1,
        },
    }
    assert request_message(ACCOUNT_ID, account.work()) == message


def test_each_attempt_has_a_message_of_its_own() -> None:
    """Otherwise the order would take the second attempt's for a duplicate of the first."""
    account = opened(0)
    account.do(queue_order(order()))
    first = request_message(ACCOUNT_ID, account.work())
    account.do(own_message(account.work()))
    account.do(again())
    second = request_message(ACCOUNT_ID, account.work())
    assert (first["id"], second["id"], second["data"]["attempt"]) == ("acme/o1~1", "acme/o1~2", 2)
    assert "cost" not in second["data"]


def test_a_message_processed_before_and_after_a_failure_charges_once() -> None:
    """The second time its attempt is no longer queued, whether the order has failed or is queued again."""
    account = opened(1000)
    account.do(queue_order(order()))
    message = own_message(account.work())
    assert [account.did(command) for command in (message, failed(), message)] == ["held", "released", "duplicate"]
    assert (standing(account), account.balance()) == (("failed", 1), (1000, 0))
    account.do(again())
    assert account.did(message) == "duplicate"
    assert (standing(account), account.balance()) == (("queued", 2), (1000, 0))
    account.do(own_message(account.work()))
    assert account.did(message) == "duplicate"
    account.do(placed())
    assert (standing(account), account.balance(), account.work().credits) == (("ordered", 2), (900, 0), 100)
    check_books(account)


def test_a_refused_message_processed_again_after_a_top_up_charges_nothing() -> None:
    """Only a new attempt is charged."""
    account = opened(0)
    account.do(queue_order(order()))
    message = own_message(account.work())
    account.do(message)
    account.do(adjust("auto_order", 1000))
    assert account.did(message) == "duplicate"
    assert (standing(account), account.balance()) == (("failed", 1), (1000, 0))


@pytest.mark.parametrize("attempt", [1, 3])
def test_a_request_for_another_attempt_never_works(attempt: int) -> None:
    """Even under a new id: only the attempt that is queued is held."""
    account = failed_order()
    account.do(again())
    assert account.did(requested(attempt=attempt)) == "duplicate"
    assert (standing(account), account.balance()) == (("queued", 2), (1000, 0))
    assert account.did(requested(attempt=2)) == "held"


def test_an_order_that_was_refused_at_every_attempt_is_funded_by_its_last() -> None:
    """However often it was sent again: the service's own messages take no place in its memory."""
    account = opened(0)
    account.do(queue_order(order()))
    for attempt in range(1, 99):
        assert account.did(own_message(account.work())) == "refused"
        assert account.did(again(request_id=f"r{attempt}")) == "resent"
    assert (standing(account), account.work().seen) == (("queued", 99), ())
    account.do(adjust("auto_order", RICH))
    assert account.did(own_message(account.work())) == "held"
    assert account.did(placed()) == "captured"
    assert account.balance() == (RICH - 100, 0)
    check_books(account)


@pytest.mark.parametrize("asked", [requested, sourcing])
def test_a_hundredth_attempt_is_a_dead_letter(asked: Callable[..., Command]) -> None:
    """`too_many_attempts`, before standing and credits are judged; nothing is entered, and the message not remembered."""
    account = opened(0)
    for _ in range(99):
        assert tell(account, asked()) == "refused"
    account.set_standing(status="paused")
    (before,) = account.works()
    page = account.page()
    assert tell(account, asked()) == "too_many_attempts"
    assert (account.works(), account.page(), before.attempt) == ([before], page, 99)


def test_a_conversion_after_900_changes_is_a_dead_letter() -> None:
    """`too_many_attempts`; what is known stays a duplicate, and what is open ends."""
    account = rich(requested("o1", "bce"), placed(), conversion_failed(), conversion(tracking="qtrack"))
    account.age(900)
    assert tell(account, conversion(tracking="qtrack")) == "duplicate"
    assert tell(account, completed(tracking="qtrack")) == "captured"
    assert tell(account, conversion(tracking="bce")) == "too_many_attempts"
    assert (account.work().rev, account.balance()) == (902, (RICH - 250, 0))


def test_an_own_message_without_its_order_is_a_duplicate() -> None:
    """The order is recorded before its message is sent, so there is nothing that it could be for."""
    account = opened(1000)
    assert account.did(requested(attempt=1)) == "duplicate"
    assert account.works() == []


def test_a_request_of_the_storefront_takes_a_queued_order_up() -> None:
    """Without `attempt` it does what the service's own message would, which then is a duplicate."""
    account = opened(1000)
    account.do(queue_order(order()))
    own = own_message(account.work())
    assert [account.did(requested()), account.did(own)] == ["held", "duplicate"]
    assert (standing(account), account.balance()) == (("processing", 1), (1000, 100))
