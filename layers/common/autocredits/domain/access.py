"""Who may touch what. The gateway has checked the token and its scope; account and store are decided here, once."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["yes", "missing", "forbidden"]

PLATFORM = "*"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as the token says it.

    `account_id` is a merchant's account, `*` for the platform, None for a token that names none. `store_id` is None
    for a token that is not bound to a store; an unusable claim binds to a store that cannot exist.
    """

    actor: str
    account_id: str | None
    store_id: str | None = None


def may_reach(caller: Caller, account_id: str | None) -> Verdict:
    """Whether `caller` may know that the account exists: `yes`, or answer as if it were `missing`.

    A route that names no account (None) is open to every token that names one.
    """
    if caller.account_id is None:
        return "missing"
    return "yes" if account_id is None or caller.account_id in (PLATFORM, account_id) else "missing"


def is_platform(caller: Caller) -> Verdict:
    """Whether `caller` is the platform itself: coupons are its own, and `missing` for all others."""
    return "yes" if caller.account_id == PLATFORM and caller.store_id is None else "missing"


def may_manage(caller: Caller) -> Verdict:
    """Whether `caller` may do what concerns the whole account: opening, standing, adjustments, settings, journal."""
    return "yes" if caller.store_id is None else "forbidden"


def may_work_for(caller: Caller, store_id: str) -> Verdict:
    """Whether `caller` may start work for the store that the request itself names."""
    return "yes" if caller.store_id in (None, store_id) else "forbidden"


def may_see_work_of(caller: Caller, store_id: str) -> Verdict:
    """Whether `caller` may see and settle existing work of the store; another store's is answered as `missing`."""
    return "yes" if caller.store_id in (None, store_id) else "missing"
