"""Who may touch what. The gateway has checked the token and its scope; account and store are checked here, once."""

from dataclasses import dataclass
from typing import Protocol, TypeVar

from .errors import Problem
from .journal import Page

PLATFORM = "*"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, according to the token.

    `account_id` is a merchant's account, `*` for the platform, None for a token that names none. `store_id` is None
    for a token that is not bound to a store; an unusable claim binds to a store that cannot exist.
    """

    actor: str
    account_id: str | None
    store_id: str | None = None


class OfStore(Protocol):
    """Something that belongs to one of the account's stores."""

    @property
    def store_id(self) -> str:
        """The store."""
        ...


AnyOfStore = TypeVar("AnyOfStore", bound=OfStore)


def is_platform(caller: Caller) -> bool:
    """Whether `caller` is the platform itself."""
    return caller.account_id == PLATFORM and caller.store_id is None


def may_reach(caller: Caller, account_id: str | None) -> bool:
    """Whether `caller` may know that the account exists.

    A route that names no account (None) is open to every token that names one.
    """
    return caller.account_id is not None and (account_id is None or caller.account_id in (PLATFORM, account_id))


def may_manage(caller: Caller) -> bool:
    """Whether `caller` may do what concerns the whole account: a token that is bound to a store may not."""
    return caller.store_id is None


def may_access_store(caller: Caller, store_id: str) -> bool:
    """Whether `caller` may start, see and settle work of the store."""
    return caller.store_id in (None, store_id)


def check_platform(caller: Caller) -> None:
    """Raise Problem `not_found` unless `caller` is the platform itself."""
    if not is_platform(caller):
        raise Problem("not_found")


def check_reaches(caller: Caller, account_id: str | None) -> None:
    """Raise Problem `account_not_found` for another merchant's account, and for a token that names none."""
    if not may_reach(caller, account_id):
        raise Problem("account_not_found")


def check_exists(head: Page | None) -> Page:
    """The account's newest page. Raises Problem `account_not_found` unless the account was opened."""
    if head is None:
        raise Problem("account_not_found")
    return head


def check_manages(head: Page | None, caller: Caller) -> Page:
    """The account's newest page.

    Raises Problem `account_not_found`, then `store_forbidden` for a token that is bound to a store.
    """
    head = check_exists(head)
    if not may_manage(caller):
        raise Problem("store_forbidden")
    return head


def check_works_for(caller: Caller, store_id: str) -> None:
    """Raise Problem `store_forbidden` when `caller` is bound to another store than the one the request names."""
    if not may_access_store(caller, store_id):
        raise Problem("store_forbidden", "This token may only do work for its own store.")


def check_visible(caller: Caller, work: AnyOfStore | None, code: str) -> AnyOfStore:
    """The work itself. Raises Problem `code` if there is none, or if it belongs to another store than the token's."""
    if work is None or not may_access_store(caller, work.store_id):
        raise Problem(code)
    return work
