"""Holds that nobody settled expire (docs/contract.md, section 7, "An order's life")."""

import pytest

from autocredits.domain.decide import Command
from autocredits.domain.times import DAY_MS
from autocredits.domain.work.expiry import ACTOR, REASON, ExpireHold
from autocredits.domain.work.lifecycle import HOLD_MS
from autocredits.domain.work.record import DUE_HOLDS
from tests.kit.books import check_books
from tests.kit.builders import (
    Account,
    accepted,
    beside,
    capture,
    completed,
    conversion,
    failed,
    hold,
    opened,
    order,
    placed,
    product,
    requested,
    sourcing,
)

EXPIRE = ExpireHold("order", "o1")
EXPIRE_SOURCING = ExpireHold("product", "p1")


def after(*commands: Command, pass_ms: int = HOLD_MS, credits_: int = 500) -> Account:
    """An account that did these, and on which then so much time has passed."""
    account = opened(credits_, 10_000)
    for command in commands:
        account.do(command)
    account.clock.at_ms += pass_ms
    return account


def parts_of(account: Account) -> dict[str, str]:
    """How each part of the order's hold stands."""
    return {name: part.status for name, part in account.work().parts.items()}


def test_an_order_whose_hold_expires_has_failed() -> None:
    """All that was set aside goes back in one page, which says who did it and why."""
    account = after(requested(order_type="fba", tracking="bce"))
    assert account.did(EXPIRE) == "expired"
    entries = account.page().entries
    assert [(entry.kind, entry.unit, entry.posted, entry.held, entry.part) for entry in entries] == [
        ("expired", "auto_order", 0, -100, "order"),
        ("expired", "managed", 0, -2350, "order"),
        ("expired", "auto_order", 0, -33, "tracking"),
    ]
    assert {(entry.actor, entry.reason, entry.order_id, entry.store_id) for entry in entries} == {
        (ACTOR, REASON, "o1", "s1")
    }
    assert (account.work().status, account.work().reason) == ("failed", REASON)
    assert parts_of(account) == {"order": "expired", "tracking": "expired"}
    assert (account.balance(), account.balance("managed")) == ((500, 0), (10_000, 0))
    check_books(account)


def test_sourcing_whose_hold_expires_has_failed() -> None:
    """Nobody has rejected it."""
    account = after(sourcing())
    assert account.did(EXPIRE_SOURCING) == "expired"
    work = account.work("p1", "product")
    assert (work.status, work.parts["sourcing"].status, work.reason) == ("failed", "expired", REASON)
    assert account.balance() == (500, 0)


def test_an_order_stays_as_it_is_when_its_conversion_expires() -> None:
    """It was placed, and its number is not converted."""
    account = after(requested(), placed(), conversion())
    assert account.did(EXPIRE) == "expired"
    assert [(entry.kind, entry.part) for entry in account.page().entries] == [("expired", "tracking")]
    assert (account.work().status, account.work().reason) == ("ordered", None)
    assert parts_of(account) == {"order": "captured", "tracking": "expired"}
    assert account.balance() == (400, 0)
    check_books(account)


def test_a_part_that_was_opened_with_the_order_expires_alone() -> None:
    """What was captured of the hold stays captured."""
    account = after(requested(tracking="bce"), placed())
    assert account.did(EXPIRE) == "expired"
    assert (parts_of(account), account.work().status) == ({"order": "captured", "tracking": "expired"}, "ordered")


def test_an_order_that_expires_gives_back_what_was_opened_later() -> None:
    """Without its part `order` there is nothing to convert, though that part had time left."""
    account = after(requested(), pass_ms=HOLD_MS - DAY_MS)
    account.do(conversion())
    account.clock.at_ms += DAY_MS
    assert account.did(EXPIRE) == "expired"
    assert parts_of(account) == {"order": "expired", "tracking": "expired"}
    assert account.balance() == (500, 0)
    check_books(account)


def test_parts_expire_one_by_one() -> None:
    """A conversion that was held for a minute does not take the order's own hold with it."""
    account = after(hold(order()), hold(order(tracking="bce"), lasts_ms=60_000), pass_ms=60_000)
    assert account.did(EXPIRE) == "expired"
    assert (parts_of(account), account.work().status) == ({"order": "open", "tracking": "expired"}, "processing")
    account.clock.at_ms += HOLD_MS
    assert account.did(EXPIRE) == "expired"
    assert (parts_of(account), account.work().status) == ({"order": "expired", "tracking": "expired"}, "failed")
    assert account.balance() == (500, 0)
    check_books(account)


@pytest.mark.parametrize(("lasts_ms", "did"), [(60_001, "nothing"), (60_000, "expired"), (59_999, "expired")])
def test_a_hold_expires_at_its_time(lasts_ms: int, did: str) -> None:
    """Neither before nor after."""
    account = after(hold(order(), lasts_ms=lasts_ms), pass_ms=60_000)
    version = account.page().version
    assert account.did(EXPIRE) == did
    assert account.page().version == version + (did == "expired")


@pytest.mark.parametrize(
    ("commands", "command"),
    [
        ([], EXPIRE),
        ([requested(), placed()], EXPIRE),
        ([requested(), failed()], EXPIRE),
        ([requested(), conversion(), placed(), completed()], EXPIRE),
        ([hold(product()), capture("p1", kind="product")], EXPIRE_SOURCING),
        ([sourcing(), accepted()], EXPIRE_SOURCING),
    ],
    ids=["unknown", "captured", "released", "shipped", "captured sourcing", "accepted"],
)
def test_what_is_not_open_does_not_expire(commands: list[Command], command: ExpireHold) -> None:
    """Nothing is written, neither a page nor a record."""
    account = after(*commands)
    version, records = account.page().version, dict(account.store.records)
    assert account.did(command) == "nothing"
    assert (account.page().version, account.store.records) == (version, records)


def test_a_hold_expires_once() -> None:
    """Whoever comes second finds nothing."""
    account = after(requested())
    assert [account.did(EXPIRE), account.did(EXPIRE)] == ["expired", "nothing"]
    assert account.balance() == (500, 0)


def test_the_hold_of_an_earlier_attempt_is_none() -> None:
    """An order that failed and was requested again has a hold of its own, which is not due yet."""
    account = after(requested(), failed())
    account.do(requested())
    assert account.did(EXPIRE) == "nothing"
    assert (account.work().attempt, parts_of(account)) == (2, {"order": "open"})


def test_an_expired_hold_names_its_attempt() -> None:
    """And the method and rate card of each part, as a release does."""
    account = after(requested(tracking="bce"), failed())
    account.do(requested(tracking="bce"))
    account.clock.at_ms += HOLD_MS
    account.do(EXPIRE)
    assert [(entry.attempt, entry.part, entry.tracking, entry.rate_card) for entry in account.page().entries] == [
        (2, "order", "bce", "2024-01"),
        (2, "tracking", "bce", "2024-01"),
    ]


def test_an_expired_order_can_be_requested_again() -> None:
    """As a new attempt with a hold of its own."""
    account = after(requested())
    account.do(EXPIRE)
    assert account.did(requested()) == "held"
    assert (account.work().status, account.work().attempt) == ("processing", 2)
    assert account.balance() == (500, 100)


def test_a_conversion_that_expired_can_be_requested_again() -> None:
    """For the same order."""
    account = after(requested(), placed(), conversion())
    account.do(EXPIRE)
    assert account.did(conversion()) == "held"
    assert account.did(completed()) == "captured"
    assert account.work().status == "shipped"
    check_books(account)


def test_a_result_that_comes_after_the_expiry_moves_nothing() -> None:
    """Of two contradicting ends the first wins."""
    account = after(requested())
    account.do(EXPIRE)
    assert [account.did(placed()), account.did(failed())] == ["nothing", "nothing"]
    assert (account.balance(), account.work().status) == ((500, 0), "failed")


@pytest.mark.parametrize("status", ["paused", "suspended", "closed"])
def test_a_hold_expires_whatever_the_accounts_standing(status: str) -> None:
    """Giving back needs no standing."""
    account = after(requested())
    account.set_standing(status=status)
    assert account.did(EXPIRE) == "expired"


def test_an_account_that_does_not_exist_has_no_holds() -> None:
    """404, as everywhere."""
    assert Account().refusal(EXPIRE).code == "account_not_found"


def test_an_order_that_was_written_too_often_expires_all_the_same() -> None:
    """What is open can always end."""
    account = after(requested())
    account.age(900)
    assert account.did(EXPIRE) == "expired"


def test_an_expired_hold_is_due_no_more() -> None:
    """It has left the list, and the record knows the page."""
    account = after(requested())
    assert len(account.store.list(DUE_HOLDS, "", limit=10)) == 1
    account.do(EXPIRE)
    assert account.store.list(DUE_HOLDS, "", limit=10) == []
    assert account.work().versions[-1] == account.page().version


def test_an_expiry_shares_its_page() -> None:
    """Its own entries are named by place and number."""
    account = after(requested(tracking="bce"))
    done, entries = beside(account, EXPIRE)
    assert (done.did, done.first, [entry.kind for entry in entries]) == ("expired", 1, ["expired", "expired"])
