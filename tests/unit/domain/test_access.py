import pytest

from autocredits.domain.access import Caller, may_manage, may_reach, may_see_work_of, may_work_for

PLATFORM = Caller("platform", "*")
MERCHANT = Caller("merchant", "acme")
CLERK = Caller("clerk", "acme", "s1")
NOBODY = Caller("nobody", None)
IMPOSSIBLE = Caller("clerk", "acme", "")


@pytest.mark.parametrize(
    ("caller", "account_id", "verdict"),
    [
        (PLATFORM, "acme", "yes"),
        (PLATFORM, "bolt", "yes"),
        (PLATFORM, None, "yes"),
        (MERCHANT, "acme", "yes"),
        (MERCHANT, "bolt", "missing"),
        (MERCHANT, "*", "missing"),
        (MERCHANT, None, "yes"),
        (CLERK, "acme", "yes"),
        (CLERK, "bolt", "missing"),
        (NOBODY, "acme", "missing"),
        (NOBODY, None, "missing"),
    ],
)
def test_a_token_reaches_its_own_account_alone(caller: Caller, account_id: str | None, verdict: str) -> None:
    """Another account is as if missing, the platform reaches all, a token without the claim none."""
    assert may_reach(caller, account_id) == verdict


@pytest.mark.parametrize(
    ("caller", "verdict"), [(PLATFORM, "yes"), (MERCHANT, "yes"), (CLERK, "forbidden"), (IMPOSSIBLE, "forbidden")]
)
def test_a_store_does_not_manage_the_account(caller: Caller, verdict: str) -> None:
    """What concerns the whole account is forbidden to a token that is bound to a store."""
    assert may_manage(caller) == verdict


@pytest.mark.parametrize(
    ("caller", "store_id", "verdict"),
    [
        (PLATFORM, "s1", "yes"),
        (MERCHANT, "s2", "yes"),
        (CLERK, "s1", "yes"),
        (CLERK, "s2", "forbidden"),
        (IMPOSSIBLE, "s1", "forbidden"),
    ],
)
def test_a_store_works_for_itself_alone(caller: Caller, store_id: str, verdict: str) -> None:
    """Work that names another store is forbidden."""
    assert may_work_for(caller, store_id) == verdict


@pytest.mark.parametrize(
    ("caller", "store_id", "verdict"),
    [
        (PLATFORM, "s1", "yes"),
        (MERCHANT, "s2", "yes"),
        (CLERK, "s1", "yes"),
        (CLERK, "s2", "missing"),
        (IMPOSSIBLE, "s1", "missing"),
    ],
)
def test_another_stores_work_is_as_if_missing(caller: Caller, store_id: str, verdict: str) -> None:
    """A bound token sees its own store's work, and no hint of another's."""
    assert may_see_work_of(caller, store_id) == verdict
