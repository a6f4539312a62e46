import pytest

from autocredits.domain.access import Caller
from autocredits.domain.accounts import ChangeStanding, OpenAccount
from autocredits.domain.decide import Done
from autocredits.domain.errors import Problem
from autocredits.domain.money import MAX_BALANCE
from autocredits.domain.state import UNITS
from tests.kit.books import check_books
from tests.kit.builders import PLATFORM, Account, adjust, beside, idempotency, merchant, opened

CLERK = merchant(store_id="s1")


def test_a_new_account_gets_five_free_credits() -> None:
    """Page 1 is `opened`, then 5.00 `auto_order` are granted."""
    account = Account()
    done = account.do(OpenAccount(PLATFORM, "inactive")).done
    assert (done.did, done.count) == ("opened", 2)
    assert [(entry.kind, entry.unit, entry.posted) for entry in account.page().entries] == [
        ("opened", None, 0),
        ("granted", "auto_order", 500),
    ]
    assert account.balance() == (500, 0)
    assert account.page().state.orders_processor == "inactive"


@pytest.mark.parametrize(
    "opening",
    [
        {},
        {"auto_order": 12_000},
        {"managed": 1, "finder": MAX_BALANCE, "ai_rewrite": 250},
        {"auto_order": 0, "finder": 5},
    ],
    ids=str,
)
def test_an_account_that_moves_in_has_just_the_balances_it_brings(opening: dict[str, int]) -> None:
    """Each above zero is a `granted` entry of its own with its reason; there is nothing free beside them."""
    account = Account()
    done = account.do(OpenAccount(PLATFORM, "active", opening)).done
    brought = [("granted", unit, amount, "opening balance", "platform") for unit, amount in opening.items() if amount]
    entries = account.page().entries
    assert (done.did, done.count) == ("opened", 1 + len(brought))
    assert (entries[0].kind, entries[0].changes) == ("opened", {"orders_processor": "active"})
    assert [(one.kind, one.unit, one.posted, one.reason, one.actor) for one in entries[1:]] == brought
    for unit in UNITS:
        assert account.balance(unit) == (opening.get(unit, 0), 0)
    check_books(account)


@pytest.mark.parametrize("first", [None, {}, {"finder": 5}], ids=str)
def test_an_account_moves_in_once(first: dict[str, int] | None) -> None:
    """Opened again with whatever balances, it changes nothing, and gets no free credits either."""
    account = Account()
    account.do(OpenAccount(PLATFORM, "active", first))
    page = account.page()
    for again in (None, {}, {"auto_order": 12_000}):
        assert account.do(OpenAccount(PLATFORM, "active", again)).done.did == "open_already"
    assert account.page() == page


def test_no_account_moves_in_with_more_than_a_balance_may_hold() -> None:
    """409 `balance_limit`, and it is not opened at all."""
    account = Account()
    refused = account.refusal(OpenAccount(PLATFORM, "active", {"finder": 1, "managed": MAX_BALANCE + 1}))
    assert (refused.code, refused.status) == ("balance_limit", 409)
    assert account.store.head(account.account_id) is None


def test_an_account_opened_twice_has_its_free_credits_once() -> None:
    """Opening again changes nothing, neither balance nor add-on."""
    account = opened(add_on="inactive")
    again = account.do(OpenAccount(PLATFORM, "active")).done
    assert (again.did, again.count) == ("open_already", 0)
    assert account.balance() == (500, 0)
    assert account.page().version == 1
    assert account.page().state.orders_processor == "inactive"


@pytest.mark.parametrize("status", ["paused", "suspended", "closed"])
def test_closing_and_opening_again_gives_nothing_free(status: str) -> None:
    """Free credits come once per account, for ever, and opening again does not reactivate an account."""
    account = opened()
    account.set_standing(status=status)
    account.do(OpenAccount(PLATFORM, "active"))
    assert account.balance() == (500, 0)
    assert account.page().state.status == status


def test_each_real_change_of_standing_is_an_entry() -> None:
    """Two values that change are two entries with the reason; a value that stays the same makes none."""
    account = opened()
    account.do(ChangeStanding(PLATFORM, {"status": "paused", "orders_processor": "inactive"}, "holidays"))
    entries = account.page().entries
    assert [entry.changes for entry in entries] == [{"status": "paused"}, {"orders_processor": "inactive"}]
    assert {(entry.kind, entry.unit, entry.reason) for entry in entries} == {("standing", None, "holidays")}
    version = account.page().version
    account.do(ChangeStanding(PLATFORM, {"status": "paused", "orders_processor": "inactive"}))
    assert account.page().version == version


def test_a_changed_standing_points_to_its_own_entries() -> None:
    """Those that stand before them in the page belong to other commands."""
    account = opened(1000)
    change = ChangeStanding(PLATFORM, {"status": "paused", "orders_processor": "active", "low_balance": 200}, "because")
    done, entries = beside(account, change)
    assert done == Done(did="standing", first=1, count=2)
    assert [(entry.kind, entry.actor, entry.reason) for entry in entries] == [("standing", "platform", "because")] * 2
    assert [entry.changes for entry in entries] == [{"status": "paused"}, {"low_balance": 200}]


def test_the_threshold_is_part_of_the_standing() -> None:
    """`low_balance` is set, changed and removed by standing entries; zero is a threshold."""
    account = opened()
    for threshold in (200, 0, None):
        account.set_standing(low_balance=threshold)
        assert account.page().state.low_balance == threshold
    assert account.page().version == 4
    check_books(account)


def test_an_adjustment_adds_or_takes() -> None:
    """An adjustment is one entry with its reason and key, in any unit."""
    account = opened()
    key = idempotency()
    account.do(adjust("ai_rewrite", 250, key))
    (entry,) = account.page().entries
    assert (entry.kind, entry.unit, entry.posted, entry.reason, entry.key) == (
        "adjusted",
        "ai_rewrite",
        250,
        "a gift",
        key.key,
    )
    account.do(adjust("ai_rewrite", -250))
    assert account.balance("ai_rewrite") == (0, 0)
    check_books(account)


def test_an_adjustment_is_replayed_by_its_key() -> None:
    """The same key adjusts once; with another request it is refused."""
    account = opened()
    key = idempotency()
    first = account.do(adjust("finder", 100, key))
    again = account.do(adjust("finder", 100, key))
    assert again.replayed()
    assert (again.page, again.done.first) == (first.page, first.done.first)
    assert account.balance("finder") == (100, 0)
    assert account.refusal(adjust("finder", 100, idempotency(key.key, "another"))).code == "idempotency_key_reused"


@pytest.mark.parametrize("unit", UNITS)
def test_an_adjustment_never_takes_more_than_is_available(unit: str) -> None:
    """One hundredth too much is 402; all that is available may be taken."""
    account = opened(500)
    if unit != "auto_order":
        account.do(adjust(unit, 500))
    assert account.refusal(adjust(unit, -501)).status == 402
    account.do(adjust(unit, -500))
    assert account.balance(unit) == (0, 0)


def test_a_refused_adjustment_may_come_again_with_its_key() -> None:
    """A refusal is not remembered: once there is enough, the same key works."""
    account = opened()
    key = idempotency()
    assert account.refusal(adjust("finder", -100, key)).status == 402
    account.do(adjust("finder", 100))
    assert not account.do(adjust("finder", -100, key)).replayed()


@pytest.mark.parametrize("unit", ["auto_order", "managed"])
def test_no_adjustment_passes_the_limit_of_a_balance(unit: str) -> None:
    """409 `balance_limit`, and a full balance may still shrink."""
    account = opened()
    room = MAX_BALANCE - account.balance(unit)[0]
    assert account.refusal(adjust(unit, room + 1)).code == "balance_limit"
    account.do(adjust(unit, room))
    assert account.refusal(adjust(unit, 1)).code == "balance_limit"
    account.do(adjust(unit, -1))
    account.do(adjust(unit, 1))


@pytest.mark.parametrize("status", ["paused", "suspended", "closed"])
def test_an_adjustment_needs_no_standing(status: str) -> None:
    """Corrections are possible on an account that is paused, suspended or closed, and without the add-on."""
    account = opened(add_on="inactive")
    account.set_standing(status=status)
    account.do(adjust("auto_order", 100))
    assert account.balance() == (600, 0)


@pytest.mark.parametrize("caller", [CLERK, Caller("clerk", "*", "s1")])
def test_a_store_changes_and_adjusts_nothing(caller: Caller) -> None:
    """Standing and adjustments are 403 `store_forbidden` for a token that is bound to a store."""
    account = opened()
    for command in (
        ChangeStanding(caller, {"status": "paused"}),
        adjust("finder", 1, caller=caller),
    ):
        with pytest.raises(Problem) as refused:
            account.do(command)
        assert (refused.value.code, refused.value.status) == ("store_forbidden", 403)
    assert account.page().version == 1


def test_what_was_never_opened_cannot_be_changed() -> None:
    """404 `account_not_found`, which is checked before `store_forbidden`."""
    for caller in (PLATFORM, CLERK):
        assert Account().refusal(ChangeStanding(caller, {"status": "paused"})).code == "account_not_found"
        assert Account().refusal(adjust("finder", 1, caller=caller)).code == "account_not_found"
