"""Every state that work can be in, times everything that can be told or asked about it (contract, section 7)."""

from collections.abc import Callable

import pytest

from autocredits.domain.decide import Command, NotYet
from autocredits.domain.errors import Problem
from autocredits.domain.work.record import MAX_MESSAGES_SEEN, Kind, Work
from tests.kit.books import check_books
from tests.kit.builders import (
    ACCOUNT_ID,
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

RICH = 10_000

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

# What it is told, and, where something moves: the status, the attempt, and how parts `order` and `tracking` stand
# (+ open, = captured, - released, . not there). One line per thing asked, in the order of ASKED.
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
        duplicate | order_conflict | captured processing 1 += | nothing | released processing 1 +-
        already_charged | order_conflict | already_charged | order_conflict
        captured shipped 1 == | captured ordered 1 =+ | captured processing 1 +=
        released failed 1 -- | released failed 1 -- | released processing 1 +-""",
    "processing +=": """
        duplicate | order_conflict | order_conflict | captured shipped 1 == | released failed 1 -=
        duplicate | held processing 1 ++ | nothing | nothing | nothing
        already_charged | debited processing 1 += | already_charged | held processing 1 ++
        captured shipped 1 == | captured shipped 1 == | captured_already
        released failed 1 -= | released failed 1 -= | invalid_transition""",
    "processing +-": """
        duplicate | order_conflict | order_conflict | captured ordered 1 =- | released failed 1 --
        held processing 1 ++ | held processing 1 ++ | nothing | nothing | nothing
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
        duplicate | order_conflict | captured shipped 1 == | nothing | released ordered 1 =-
        already_charged | order_conflict | already_charged | order_conflict
        captured shipped 1 == | captured_already | captured shipped 1 ==
        released ordered 1 =- | invalid_transition | released ordered 1 =-""",
    "ordered =-": """
        duplicate | order_conflict | order_conflict | nothing | nothing
        held ordered 1 =+ | held ordered 1 =+ | nothing | nothing | nothing
        debited ordered 1 =- | debited ordered 1 =- | held ordered 1 =+ | held ordered 1 =+
        captured_already | captured_already | invalid_transition
        released_already | invalid_transition | released_already""",
    "shipped ==": """
        duplicate | order_conflict | order_conflict | nothing | nothing
        duplicate | held shipped 1 =+ | nothing | nothing | nothing
        already_charged | debited shipped 1 == | already_charged | held shipped 1 =+
        captured_already | captured_already | captured_already
        invalid_transition | invalid_transition | invalid_transition""",
    "failed --": """
        held processing 2 ++ | held processing 2 ++ | order_conflict | nothing | nothing
        nothing | nothing | nothing | nothing | nothing
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
        duplicate | held ordered 1 .+ | nothing | nothing | nothing
        already_charged | debited ordered 1 .. | already_charged | held ordered 1 .+
        hold_not_found | hold_not_found | hold_not_found | hold_not_found | hold_not_found | hold_not_found""",
    "manual .+": """
        order_conflict | order_conflict | order_conflict | not_yet | not_yet
        duplicate | order_conflict | captured shipped 1 .= | nothing | released ordered 1 .-
        order_conflict | order_conflict | order_conflict | order_conflict
        captured shipped 1 .= | invalid_transition | captured shipped 1 .=
        released ordered 1 .- | invalid_transition | released ordered 1 .-""",
    "manual .=": """
        order_conflict | order_conflict | order_conflict | not_yet | not_yet
        duplicate | held shipped 1 .+ | nothing | nothing | nothing
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
    """What the command is told, in one word."""
    try:
        return account.did(command)
    except Problem as problem:
        return problem.code
    except NotYet:
        return "not_yet"


def shown(work: Work, *names: str) -> str:
    """Status, attempt, and how the parts stand."""
    parts = "".join(SIGN[work.parts[name].status] if name in work.parts else "." for name in names)
    return f"{work.status} {work.attempt} {parts}"


@pytest.mark.parametrize(("state", "asked", "cell"), CASES)
def test_each_state_of_an_order_and_each_thing_told_about_it(state: str, asked: str, cell: str) -> None:
    """The order goes on as the contract's table says, or stays as it was; the books are right either way."""
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
        assert account.page().version == before.version + 1
    else:
        assert account.page() == before
        assert [shown(work, "order", "tracking") for work in account.works()] == [
            shown(work, "order", "tracking") for work in known
        ]
    check_books(account)


@pytest.mark.parametrize(("state", "asked", "cell"), CASES)
def test_the_same_thing_told_twice_moves_nothing_more(state: str, asked: str, cell: str) -> None:
    """Whatever state and whatever message or call with its key: delivered twice it ends as delivered once."""
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
def test_each_state_of_a_product_and_each_thing_told_about_it(state: str, asked: str, cell: str) -> None:
    """Sourcing goes on as the contract's table says, or stays as it was; told twice it moves once."""
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


# ---------------------------------------------------------------- refusals from the queue


def test_a_request_without_credits_fails_the_order_with_the_sentence() -> None:
    """402 from the queue: `failed`, an entry of 0.00 with the merchants' sentence, nothing held."""
    account = opened(99)
    assert tell(account, requested()) == "refused"
    sentence = "Insufficient Auto-orders credits, please purchase more credits and resend the order."
    work = account.work()
    assert (work.status, work.reason, work.attempt, dict(work.parts)) == ("failed", sentence, 1, {})
    (entry,) = account.page().entries
    assert (entry.kind, entry.unit, entry.posted, entry.held, entry.reason) == ("refused", "auto_order", 0, 0, sentence)
    assert (entry.order_id, entry.store_id, entry.part, entry.attempt) == ("o1", "s1", "order", 1)


def test_a_request_without_managed_balance_fails_by_its_own_name() -> None:
    """Lacking managed balance is another failure, entered in that unit."""
    account = opened(RICH, 2349)
    tell(account, requested(order_type="fba"))
    (entry,) = account.page().entries
    assert (entry.kind, entry.unit, entry.posted) == ("refused", "managed", 0)
    assert account.work().reason == "Insufficient managed balance for product and shipping."


@pytest.mark.parametrize(
    "changes", [{"status": "paused"}, {"status": "suspended"}, {"status": "closed"}, {"orders_processor": "inactive"}]
)
@pytest.mark.parametrize("asked", [requested, sourcing])
def test_a_request_is_refused_by_standing(asked: Callable[[], Command], changes: dict[str, str]) -> None:
    """403 from the queue fails the work with the sentence that says so."""
    account = opened(RICH)
    account.set_standing(**changes)
    assert tell(account, asked()) == "refused"
    (work,) = account.works()
    assert (work.status, work.reason) == ("failed", account.page().entries[0].reason)
    check_books(account)


def test_a_refused_conversion_leaves_the_order_as_it_was() -> None:
    """An order that is placed stays placed when a later conversion is refused, and it may be asked for again."""
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
    """What was refused is not what the order has: its method and number stay those it was charged for."""
    account = opened(133)
    account.do(requested(tracking="bce"))
    account.do(placed())
    account.do(completed(tracking_number="BCE1"))
    assert tell(account, conversion(tracking="qtrack", tracking_number="OTHER")) == "refused"
    work = account.work()
    assert (work.status, work.tracking, work.tracking_number) == ("shipped", "bce", "BCE1")


def test_a_failed_order_is_requested_again_as_a_new_attempt() -> None:
    """After a top-up a request with a new id holds as attempt 2, and clears the reason."""
    account = opened(99)
    tell(account, requested())
    assert tell(account, requested()) == "refused"
    account.do(adjust("auto_order", 1))
    assert tell(account, requested()) == "held"
    work = account.work()
    assert (work.attempt, work.status, work.reason) == (3, "processing", None)


def test_a_known_message_does_not_start_an_attempt() -> None:
    """A request that was refused, delivered again after the top-up, is a duplicate."""
    account = opened(99)
    again = requested(message_id="m1")
    tell(account, again)
    account.do(adjust("auto_order", 1000))
    assert tell(account, again) == "duplicate"
    assert account.work().attempt == 1
    assert tell(account, requested(message_id="m1", source="another")) == "held"


# ---------------------------------------------------------------- identity: attempts and messages


@pytest.mark.parametrize("attempt", [1, 2, 3])
def test_a_request_with_an_attempt_works_while_just_that_attempt_is_queued(attempt: int) -> None:
    """Attempt 2 is queued: a message for 2 holds, one for 1 or 3 is a duplicate."""
    account = opened(RICH)
    account.do(requested())
    account.do(failed())
    account.do(queue_order(order()))
    assert account.work().attempt == 2
    assert tell(account, requested(attempt=attempt)) == ("held" if attempt == 2 else "duplicate")
    assert tell(account, requested(attempt=attempt)) == "duplicate"


@pytest.mark.parametrize("state", [state for state in STATES if state != "queued"])
def test_a_request_with_an_attempt_starts_nothing_else(state: str) -> None:
    """Unless the order is `queued`, a request that names the present attempt, or any, is a duplicate."""
    account = opened(RICH)
    for command in STATES[state]():
        account.do(command)
    page = account.page()
    for attempt in (1, 2):
        assert tell(account, requested(tracking="qtrack", attempt=attempt)) == "duplicate"
    assert account.page() == page


RESULTS = [placed, failed, completed, conversion_failed]


@pytest.mark.parametrize("result", RESULTS)
def test_a_result_of_an_earlier_attempt_changes_nothing(result: Callable[..., Command]) -> None:
    """It is remembered and acknowledged; the present attempt's hold is untouched."""
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
    """Named or not, the present attempt is settled."""
    account = opened(RICH)
    account.do(requested(tracking="qtrack"))
    account.do(failed())
    account.do(requested(tracking="qtrack"))
    assert tell(account, result(attempt=attempt)) in ("captured", "released")
    check_books(account)


def test_a_result_before_its_request_ends_the_same() -> None:
    """Delivered in the other sequence, request and result come to what they come to in the right one."""
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


def test_rejected_sourcing_is_requested_again() -> None:
    """A new request is attempt 2, and its acceptance is charged once."""
    account = opened(RICH)
    account.do(sourcing())
    account.do(rejected())
    assert tell(account, sourcing()) == "held"
    assert tell(account, accepted(attempt=1)) == "nothing"
    assert tell(account, accepted(attempt=2)) == "captured"
    assert account.balance() == (RICH - 100, 0)
    assert tell(account, sourcing()) == "duplicate"


# ---------------------------------------------------------------- message memory


def test_work_remembers_200_messages_and_then_takes_no_more() -> None:
    """Message 201 is `too_many_messages`; known ones are still duplicates, and calls over HTTP still work."""
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


def test_the_200th_message_still_works() -> None:
    """With 199 remembered, one more has its effect."""
    account = opened(RICH)
    for number in range(MAX_MESSAGES_SEEN - 1):
        tell(account, requested(message_id=f"m{number}"))
    assert tell(account, placed()) == "captured"
    assert len(account.work().seen) == 200


def test_a_message_that_waits_is_not_remembered() -> None:
    """What was put off has its effect later."""
    account = opened(RICH)
    account.do(requested())
    early = completed()
    assert tell(account, early) == "not_yet"
    account.do(conversion())
    assert tell(account, early) == "captured"


# ---------------------------------------------------------------- conversions


def test_a_conversion_of_an_unknown_manual_order_opens_it() -> None:
    """`manual` opens a manual order, `ordered`, with its tracking part held at its own cell."""
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
    """Without a type, or as `auto` or `fba`, it came before its request."""
    account = opened(RICH)
    with pytest.raises(NotYet):
        account.do(conversion(order_type=order_type))
    assert account.works() == []


@pytest.mark.parametrize("order_type", ["fba", "manual"])
def test_a_conversion_of_a_known_order_must_name_its_type(order_type: str) -> None:
    """If it names one, it is the order's: another one is other work."""
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
def test_a_result_that_names_another_method_changes_nothing(result: Callable[..., Command]) -> None:
    """Named, the method must be the open one; the right name, or none, settles it."""
    for tracking, told in (("bce", "nothing"), ("qtrack", None), (None, None)):
        account = opened(RICH)
        account.do(requested(tracking="qtrack"))
        word = tell(account, result(tracking=tracking))
        assert word == (told or {"completed": "captured", "conversion_failed": "released"}[result.__name__])


def test_each_method_is_converted_once() -> None:
    """Two methods one after the other are two charges; either again is a duplicate."""
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
    """It was given back; asked for again, it is held again in the same attempt."""
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
    """As held unless told; less frees the rest; more is spent in full, the money is gone."""
    account = opened(RICH, 100_000)
    account.do(requested(order_type="fba"))
    assert account.balance("managed") == (100_000, 2350)
    account.do(placed(managed=managed))
    assert account.balance("managed") == (left, 0)
    assert account.balance() == (RICH - 100, 0)
    check_books(account)


def test_a_dear_supplier_may_take_managed_below_zero() -> None:
    """Then there is no new work that needs managed balance, and all other work goes on."""
    account = opened(RICH, 2350)
    account.do(requested(order_type="fba"))
    account.do(placed(managed="30.00"))
    assert account.balance("managed") == (-650, 0)
    assert tell(account, debit(order("o2", "fba"))) == "balance_frozen"
    assert tell(account, debit(order("o3"))) == "debited"
    check_books(account)


def test_a_failed_fba_order_gives_both_back() -> None:
    """Credits and managed balance."""
    account = opened(RICH, 100_000)
    account.do(requested(order_type="fba", tracking="bce"))
    account.do(failed())
    assert (account.balance(), account.balance("managed")) == ((RICH, 0), (100_000, 0))


# ---------------------------------------------------------------- who speaks


def test_a_message_for_an_unknown_account_is_refused() -> None:
    """`account_not_found`, whatever it is about: a dead letter."""
    for command in (requested(), placed(), conversion(order_type="manual"), sourcing(), accepted()):
        assert Account().refusal(command).code == "account_not_found"


def test_the_source_is_recorded_as_the_actor() -> None:
    """Every entry says who spoke, and what was told of the work."""
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
    """Pages with its entries, and no others."""
    account = opened()
    account.do(requested())
    account.do(requested())
    account.do(sourcing())
    account.do(placed())
    assert account.work().versions == (2, 4)


def test_a_message_of_one_kind_never_finds_the_other() -> None:
    """A product's result does not settle an order of the same name."""
    account = opened(RICH)
    account.do(requested("x"))
    with pytest.raises(NotYet):
        account.do(accepted("x"))
    kinds: tuple[Kind, ...] = ("order", "product")
    assert [key for key in kinds if account.store.read(ACCOUNT_ID, [(key, "x")])] == ["order"]
