import pytest

from autocredits.domain.access import (
    Caller,
    check_exists,
    check_manages,
    check_platform,
    check_reaches,
    check_visible,
    check_works_for,
    is_platform,
    may_access_store,
    may_manage,
    may_reach,
)
from autocredits.domain.errors import Problem
from autocredits.domain.work.record import WorkRequest
from tests.kit.builders import order, page_of, state_of

PLATFORM = Caller("platform", "*")
PLATFORM_OF_A_STORE = Caller("platform", "*", "s1")
MERCHANT = Caller("merchant", "acme")
CLERK = Caller("clerk", "acme", "s1")
NOBODY = Caller("nobody", None)
BOUND_TO_NO_STORE = Caller("clerk", "acme", "")
PAGE = page_of(state_of())


@pytest.mark.parametrize(
    ("caller", "may"), [(PLATFORM, True), (PLATFORM_OF_A_STORE, False), (MERCHANT, False), (NOBODY, False)]
)
def test_the_platform_is_a_token_for_all_accounts_that_is_bound_to_no_store(caller: Caller, may: bool) -> None:  # noqa: FBT001 - a table's cell
    """Any other token gets 404 `not_found`, as if the route did not exist."""
    assert is_platform(caller) is may
    if may:
        check_platform(caller)
    else:
        with pytest.raises(Problem, match="not_found"):
            check_platform(caller)


@pytest.mark.parametrize(
    ("caller", "account_id", "may"),
    [
        (PLATFORM, "acme", True),
        (PLATFORM, "bolt", True),
        (PLATFORM, None, True),
        (MERCHANT, "acme", True),
        (MERCHANT, "bolt", False),
        (MERCHANT, "*", False),
        (MERCHANT, None, True),
        (CLERK, "acme", True),
        (CLERK, "bolt", False),
        (NOBODY, "acme", False),
        (NOBODY, None, False),
    ],
)
def test_a_token_reaches_its_own_account_alone(caller: Caller, account_id: str | None, may: bool) -> None:  # noqa: FBT001 - a table's cell
    """Another account is 404 `account_not_found`; the platform reaches all accounts, a token that names none no route."""
    assert may_reach(caller, account_id) is may
    if may:
        check_reaches(caller, account_id)
    else:
        with pytest.raises(Problem, match="account_not_found"):
            check_reaches(caller, account_id)


def test_an_account_without_a_page_does_not_exist() -> None:
    """404 `account_not_found`; an account that was opened has a page."""
    assert check_exists(PAGE) is PAGE
    with pytest.raises(Problem, match="account_not_found") as refused:
        check_exists(None)
    assert refused.value.status == 404


@pytest.mark.parametrize(
    ("caller", "may"), [(PLATFORM, True), (MERCHANT, True), (CLERK, False), (BOUND_TO_NO_STORE, False)]
)
def test_a_token_bound_to_a_store_does_not_manage_the_account(caller: Caller, may: bool) -> None:  # noqa: FBT001 - a table's cell
    """What concerns the whole account is 403 `store_forbidden`."""
    assert may_manage(caller) is may
    if may:
        assert check_manages(PAGE, caller) is PAGE
        return
    with pytest.raises(Problem, match="store_forbidden") as refused:
        check_manages(PAGE, caller)
    assert refused.value.status == 403


def test_whether_the_account_exists_is_checked_before_the_store() -> None:
    """A bound token, too, gets 404 `account_not_found` for an account that was never opened."""
    with pytest.raises(Problem, match="account_not_found"):
        check_manages(None, CLERK)


WORK_OF_A_STORE = [
    (PLATFORM, "s1", True),
    (MERCHANT, "s2", True),
    (CLERK, "s1", True),
    (CLERK, "s2", False),
    (BOUND_TO_NO_STORE, "s1", False),
]


@pytest.mark.parametrize(("caller", "store_id", "may"), WORK_OF_A_STORE)
def test_a_bound_token_starts_work_for_its_own_store_alone(caller: Caller, store_id: str, may: bool) -> None:  # noqa: FBT001 - a table's cell
    """Another store is 403 `store_forbidden`; a claim that is no store id matches none."""
    assert may_access_store(caller, store_id) is may
    if may:
        check_works_for(caller, store_id)
        return
    with pytest.raises(Problem, match="store_forbidden") as refused:
        check_works_for(caller, store_id)
    assert refused.value.status == 403


@pytest.mark.parametrize(("caller", "store_id", "may"), WORK_OF_A_STORE)
def test_another_stores_work_is_as_if_missing(caller: Caller, store_id: str, may: bool) -> None:  # noqa: FBT001 - a table's cell
    """A bound token gets the same 404 for it as for work that does not exist."""
    work = order(store_id=store_id)
    if may:
        assert check_visible(caller, work, "order_not_found") is work
        return
    with pytest.raises(Problem) as hidden:
        check_visible(caller, work, "order_not_found")
    nothing: WorkRequest | None = None
    with pytest.raises(Problem) as missing:
        check_visible(caller, nothing, "order_not_found")
    assert str(hidden.value) == str(missing.value)
    assert (hidden.value.status, hidden.value.extra) == (404, {})
