"""The smallest amounts, the first page, the last digit: where a rule begins to hold."""

from typing import Any

import pytest

from autocredits.domain.access import Caller, is_platform
from autocredits.domain.accounts import ChangeStanding
from autocredits.domain.catalog import BadCatalogError, Package, load_packages, load_rate_card
from autocredits.domain.decide import Done, RecordWrite
from autocredits.domain.money import MAX_BALANCE
from autocredits.domain.state import Balance, State
from autocredits.domain.times import parse_time
from autocredits.domain.work.record import Work
from autocredits.ledger.commit import Accepted
from tests.kit.builders import ACCOUNT_ID, NOW_MS, PLATFORM, Account, adjust, capture, hold, opened, order, placed

PAIRS = [
    (kind, method) for kind in ("fba", "auto", "manual") for method in ("none", "bce", "qtrack", "tracking_generator")
]


def card(**changed: str) -> dict[str, Any]:
    """A rate card in which `none` costs 1.00 and all else 2.00, with other cells by the name `<type>_<tracking>`."""
    rows = [
        {
            "order_type": kind,
            "tracking": method,
            "credits": changed.get(f"{kind}_{method}", "1.00" if method == "none" else "2.00"),
        }
        for kind, method in PAIRS
        if (kind, method) != ("manual", "none")
    ]
    sourcing = changed.get("sourcing", "1.00")
    return {"rate_card": "c", "effective_from": "2030-01-01T00:00:00Z", "sourcing": sourcing, "rates": rows}


@pytest.mark.parametrize(
    "changed", [{"sourcing": "0.01"}, {"manual_bce": "0.01"}, {"fba_bce": "1.01"}, {"auto_none": "0.01"}]
)
def test_one_hundredth_is_a_price(changed: dict[str, str]) -> None:
    """A price, and the difference of two, is 0.01 at least."""
    assert load_rate_card(card(**changed)).name == "c"


@pytest.mark.parametrize(
    "changed", [{"sourcing": "0.00"}, {"manual_bce": "0.00"}, {"fba_bce": "1.00"}, {"auto_none": "2.00"}]
)
def test_nothing_is_no_price(changed: dict[str, str]) -> None:
    """Nor is a conversion that costs as much as none."""
    with pytest.raises(BadCatalogError):
        load_rate_card(card(**changed))


def test_one_hundredth_can_be_sold_for_a_cent() -> None:
    """The smallest package."""
    row = {"package": "auto_order-0.01", "unit": "auto_order", "credits": "0.01", "price": "0.01"}
    assert load_packages({"packages": [row]}) == (Package("auto_order-0.01", "auto_order", 1, 1),)


@pytest.mark.parametrize(
    ("credits_", "price", "shown"), [(100, 1000, 1000), (10_000, 100, 1), (2000, 990, 50), (200, 1, 1)]
)
def test_the_price_per_credit_is_in_cents(credits_: int, price: int, shown: int) -> None:
    """Rounded half up, whatever the package."""
    assert Package("p", "auto_order", credits_, price).price_per_credit() == shown


def test_a_time_is_a_whole_number() -> None:
    """Milliseconds, never a float."""
    assert isinstance(parse_time("2026-11-01T00:00:00.123456Z"), int)


def test_the_state_before_a_page_knows_what_was_held() -> None:
    """A hold's page held nothing before it, and its capture's page what it took."""
    account = opened(1000)
    account.do(hold(order()))
    assert account.page().state_before().balance("auto_order") == Balance(1000, 0)
    account.do(capture())
    assert account.page().state_before().balance("auto_order") == Balance(1000, 100)


@pytest.mark.parametrize(
    ("caller", "verdict"),
    [
        (PLATFORM, "yes"),
        (Caller("platform", "*", "s1"), "missing"),
        (Caller("merchant", "acme"), "missing"),
        (Caller("nobody", None), "missing"),
    ],
)
def test_who_is_the_platform(caller: Caller, verdict: str) -> None:
    """A token for all accounts that is bound to no store."""
    assert is_platform(caller) == verdict


def test_a_changed_standing_tells_its_own_entries() -> None:
    """One for each value that really changes, behind what stands in the page before them."""
    account = opened(1000)
    change = ChangeStanding(PLATFORM, {"status": "paused", "orders_processor": "active", "low_balance": 200}, "because")
    _, answer = account.ledger().execute_all(ACCOUNT_ID, [adjust("finder", 1), change])
    assert isinstance(answer, Accepted)
    assert answer.done == Done(did="standing", first=1, count=2)
    entries = answer.page.entries[1:]
    assert [(entry.kind, entry.actor, entry.reason) for entry in entries] == [("standing", "platform", "because")] * 2
    assert [entry.changes for entry in entries] == [{"status": "paused"}, {"low_balance": 200}]


@pytest.mark.parametrize(("version", "code"), [(1, "try_again"), (0, "account_not_found")])
def test_a_record_of_the_first_page_waits_for_it(version: int, code: str) -> None:
    """A record that names page 1 of an account that shows none yet: the reader is late. One that names none is not."""
    account = Account()
    versions = (version,) if version else ()
    plain: dict[str, Any] = {"created_at": NOW_MS, "updated_at": NOW_MS, "status_at": NOW_MS, "rev": 1}
    work = Work(kind="order", work_id="o1", store_id="s1", status="processing", versions=versions, **plain)
    account.store.commit(ACCOUNT_ID, None, [RecordWrite(("order", "o1"), work, None)])
    assert account.refusal(placed()).code == code


def test_only_what_grows_is_limited() -> None:
    """A balance above the limit, however it came there, may still be held and spent."""
    state = State(balances={"finder": Balance(MAX_BALANCE + 2)})
    assert state.move("finder", 0, 1).balance("finder") == Balance(MAX_BALANCE + 2, 1)
    assert state.move("finder", -1, 0).balance("finder") == Balance(MAX_BALANCE + 1, 0)
