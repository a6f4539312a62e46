import pytest

from autocredits.domain.errors import Problem
from tests.kit.books import check_books
from tests.kit.builders import (
    Account,
    capture,
    completed,
    debit,
    failed,
    hold,
    merchant,
    opened,
    order,
    placed,
    product,
    release,
    requested,
)


def holding(tracking: str = "bce", order_type: str = "auto") -> Account:
    """An account of 100.00 credits and 1,000.00 managed, with one order held."""
    account = opened(10_000, 100_000)
    account.do(hold(order(order_type=order_type, tracking=tracking)))
    return account


def parts_of(account: Account) -> dict[str, str]:
    """How each part stands."""
    return {name: part.status for name, part in account.work().parts.items()}


def test_a_capture_takes_all_open_parts() -> None:
    """Every part is captured in an entry of its own, and the order is shipped."""
    account = holding()
    page = account.do(capture()).page
    assert [(entry.kind, entry.part, entry.posted, entry.held) for entry in page.entries] == [
        ("captured", "order", -100, -100),
        ("captured", "tracking", -33, -33),
    ]
    assert account.balance() == (9867, 0)
    assert (account.work().status, account.work().credits) == ("shipped", 133)
    check_books(account)


def test_a_release_gives_all_open_parts_back() -> None:
    """Every part is released in an entry of its own with the reason, and the order has failed."""
    account = holding()
    page = account.do(release()).page
    assert [(entry.kind, entry.part, entry.posted, entry.held, entry.reason) for entry in page.entries] == [
        ("released", "order", 0, -100, "not needed"),
        ("released", "tracking", 0, -33, "not needed"),
    ]
    assert account.balance() == (10_000, 0)
    assert (account.work().status, account.work().reason) == ("failed", "not needed")
    check_books(account)


def test_parts_are_captured_one_by_one() -> None:
    """`order` makes it ordered, then `tracking` makes it shipped; the other way round it ships with the later."""
    account = holding()
    account.do(capture(parts=["order"]))
    assert (parts_of(account), account.work().status) == ({"order": "captured", "tracking": "open"}, "ordered")
    assert account.balance() == (9900, 33)
    account.do(capture(parts=["tracking"]))
    assert (account.balance(), account.work().status) == ((9867, 0), "shipped")

    account = holding()
    account.do(capture(parts=["tracking"]))
    assert (parts_of(account), account.work().status) == ({"order": "open", "tracking": "captured"}, "processing")
    account.do(capture(parts=["order"]))
    assert (account.balance(), account.work().status) == ((9867, 0), "shipped")
    check_books(account)


def test_the_tracking_part_is_released_alone() -> None:
    """Without its conversion the order goes on."""
    account = holding()
    account.do(release(parts=["tracking"]))
    assert (parts_of(account), account.work().status) == ({"order": "open", "tracking": "released"}, "processing")
    account.do(capture())
    assert (account.balance(), account.work().status) == ((9900, 0), "ordered")


def test_without_its_order_part_nothing_stays_held() -> None:
    """Releasing `order` releases what else is open, and the order has failed."""
    account = holding()
    account.do(release(parts=["order"]))
    assert parts_of(account) == {"order": "released", "tracking": "released"}
    assert (account.balance(), account.work().status) == ((10_000, 0), "failed")


@pytest.mark.parametrize("parts", [["tracking", "order"], ["order", "tracking"], ["order", "order"]])
def test_the_sequence_of_named_parts_does_not_matter(parts: list[str]) -> None:
    """Naming parts in any sequence, or twice, settles each once."""
    account = holding()
    account.do(capture(parts=parts))
    assert account.balance() == ((9867, 0) if "tracking" in parts else (9900, 33))
    account = holding()
    account.do(release(parts=parts))
    assert account.balance() == (10_000, 0)
    check_books(account)


@pytest.mark.parametrize("parts", [None, ["order"], ["tracking"], ["order", "tracking"]])
def test_a_capture_again_moves_nothing(parts: list[str] | None) -> None:
    """The same capture again is accepted, enters nothing, and shows the hold."""
    account = holding()
    account.do(capture(parts=parts))
    version = account.page().version
    again = account.do(capture(parts=parts))
    if parts is None or "order" in parts:
        assert again.done.did == "captured_already"
    assert again.done.record == account.work()
    assert account.page().version == version


@pytest.mark.parametrize("parts", [None, ["order"], ["tracking"]])
def test_a_release_again_moves_nothing(parts: list[str] | None) -> None:
    """The same release again is accepted, enters nothing, and shows the hold."""
    account = holding()
    account.do(release(parts=parts))
    version = account.page().version
    assert account.do(release(parts=parts)).done.did == "released_already"
    assert account.page().version == version


def test_what_ended_otherwise_is_an_invalid_transition() -> None:
    """A named part that ended otherwise, or nothing open and no part ended this way: 409."""
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
    """One named part that cannot be settled refuses the whole call, and nothing moves."""
    account = holding()
    account.do(release(parts=["tracking"]))
    version = account.page().version
    assert account.refusal(capture(parts=["order", "tracking"])).code == "invalid_transition"
    assert account.refusal(capture(parts=["order", "sourcing"])).code == "invalid_transition"
    assert (parts_of(account)["order"], account.page().version) == ("open", version)


def test_what_is_partly_captured_releases_the_rest() -> None:
    """A release takes what is open: the order was captured and stays, the conversion goes back."""
    account = holding()
    account.do(capture(parts=["order"]))
    account.do(release())
    assert (account.balance(), account.work().status) == ((9900, 0), "ordered")
    assert account.did(capture()) == "captured_already"
    assert account.did(release()) == "released_already"


@pytest.mark.parametrize(("managed", "left"), [(None, 97_650), (2350, 97_650), (2110, 97_890), (0, 100_000)])
def test_managed_balance_is_captured_as_spent(managed: int | None, left: int) -> None:
    """As held unless told; a lower `managed` frees the rest, nothing spent frees all."""
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
    """A capture that holds no managed balance takes none: an `auto` order, or the tracking part alone."""
    assert holding().refusal(capture(managed=1)).code == "capture_exceeds_hold"
    account = holding(order_type="fba")
    assert account.refusal(capture(parts=["tracking"], managed=1)).code == "capture_exceeds_hold"
    account.do(capture(parts=["tracking"], managed=0))
    assert account.balance("managed") == (100_000, 2350)


def test_a_released_fba_order_gives_both_back() -> None:
    """Credits and managed balance are both released."""
    account = holding(order_type="fba")
    account.do(release())
    assert (account.balance(), account.balance("managed")) == ((10_000, 0), (100_000, 0))


def test_sourcing_is_accepted_or_rejected() -> None:
    """Capture is acceptance, release is rejection."""
    account = opened(1000)
    account.do(hold(product("p1")))
    account.do(hold(product("p2")))
    account.do(capture("p1", kind="product"))
    account.do(release("p2", kind="product", parts=["sourcing"]))
    assert account.balance() == (900, 0)
    assert (account.work("p1", "product").status, account.work("p2", "product").status) == ("accepted", "rejected")
    check_books(account)


def test_a_manual_order_ships_with_its_conversion() -> None:
    """A manual order is ordered from the start; capturing its number ships it, releasing leaves it ordered."""
    account = holding("qtrack", "manual")
    account.do(capture())
    assert (account.balance(), account.work().status) == ((9950, 0), "shipped")
    account = holding("qtrack", "manual")
    account.do(release())
    assert (account.balance(), account.work().status) == ((10_000, 0), "ordered")


def test_the_hold_of_an_earlier_attempt_is_never_settled() -> None:
    """Its capture and release are 409 `invalid_transition`; the present attempt's is untouched."""
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
    """404 `hold_not_found`, as for unknown work and for a product's id with an order's hold."""
    account = opened(1000)
    account.do(debit(order()))
    account.do(hold(product("p1")))
    for command in (capture(), capture("o2"), capture("p1"), capture("o1", kind="product")):
        problem = account.refusal(command)
        assert (problem.code, problem.status) == ("hold_not_found", 404)


def test_another_stores_hold_is_as_if_missing() -> None:
    """A bound token settles its own store's holds; another's is 404, and nothing moves."""
    account = holding()
    for command in (capture(caller=merchant(store_id="s2")), release(caller=merchant(store_id="s2"))):
        assert account.refusal(command).code == "hold_not_found"
    account.do(capture(caller=merchant(store_id="s1")))


@pytest.mark.parametrize("changes", [{"status": "paused"}, {"status": "closed"}, {"orders_processor": "inactive"}])
def test_open_holds_finish_whatever_the_standing(changes: dict[str, str]) -> None:
    """Captures and releases go through; new work does not."""
    account = holding()
    account.do(hold(order("o2")))
    account.set_standing(**changes)
    account.do(capture("o1"))
    account.do(release("o2"))
    assert account.balance() == (9867, 0)
    with pytest.raises(Problem):
        account.do(hold(order("o3")))


def test_settling_needs_an_account() -> None:
    """404 `account_not_found`."""
    assert Account().refusal(capture()).code == "account_not_found"
    assert Account().refusal(release()).code == "account_not_found"


def test_an_entry_that_ends_a_part_says_how_it_was_opened() -> None:
    """A captured part names the method it was opened for, also after another conversion was asked for."""
    account = holding("none")
    account.do(hold(order(tracking="qtrack")))
    page = account.do(capture()).page
    assert [(entry.part, entry.tracking) for entry in page.entries] == [("order", "none"), ("tracking", "qtrack")]


@pytest.mark.parametrize(("again", "status"), [("bce", "shipped"), ("qtrack", "ordered")])
def test_a_conversion_of_an_earlier_attempt_counts_for_its_own_method(again: str, status: str) -> None:
    """An order placed in a second attempt is shipped if its method was converted in the first, else once it is."""
    account = opened(10_000)
    for command in (requested(tracking="bce"), completed(), failed(), requested(tracking=again), placed()):
        account.do(command)
    assert account.work().status == status
    check_books(account)
