"""Lists of an account's orders. The indexes are hints: what is shown and resent is what the records say."""

from collections.abc import Iterator
from dataclasses import dataclass

from .domain.access import Caller, may_see_work_of
from .domain.payments import Purchase
from .domain.work import Work
from .ledger import LISTED_STATUSES, Store

MAX_RECORDS = 500
RECORDS_PER_READ = 100


@dataclass(frozen=True, slots=True)
class Found:
    """An order as its record says, and where its list goes on after it."""

    position: str
    work: Work


def walk_orders(
    store: Store, account_id: str, status: str | None, *, start: str, newest_first: bool, per_read: int
) -> Iterator[Found | str]:
    """The orders of a list beyond `start`, and, for an order that has left it meanwhile, its position alone.

    `queued` and `failed` have a list of their own; the other statuses are looked for among all orders.
    """
    listed_status = status if status in LISTED_STATUSES else None
    while True:
        listed = store.list_orders(account_id, listed_status, start=start, newest_first=newest_first, limit=per_read)
        keys = dict.fromkeys(("order", one.work_id) for one in listed)  # an index may show an order twice on its way
        records = store.read(account_id, list(keys))
        for one in listed:
            work = records.get(("order", one.work_id))
            fits = isinstance(work, Work) and status in (None, work.status)
            yield Found(one.position, work) if isinstance(work, Work) and fits else one.position
        if len(listed) < per_read:
            return
        start = listed[-1].position


def list_orders(
    store: Store, account_id: str, caller: Caller, status: str | None, *, start: str, limit: int
) -> tuple[list[Work], str | None]:
    """At most `limit` orders that the caller may see, newest first, and where to go on; None at the end.

    At most 500 records are looked at, so a list may be shorter and still go on.
    """
    works: list[Work] = []
    filtered = status not in (None, *LISTED_STATUSES) or caller.store_id is not None
    per_read = RECORDS_PER_READ if filtered else limit
    orders = walk_orders(store, account_id, status, start=start, newest_first=True, per_read=per_read)
    position = start
    for number, found in enumerate(orders):
        if len(works) == limit:
            return works, position
        position = found.position if isinstance(found, Found) else found
        if isinstance(found, Found) and may_see_work_of(caller, found.work.store_id) == "yes":
            works.append(found.work)
        if number + 1 == MAX_RECORDS:
            return works, position
    return works, None


def list_purchases(store: Store, account_id: str, *, start: str, limit: int) -> tuple[list[Purchase], str | None]:
    """At most `limit` purchases, newest first, and where to go on; None at the end."""
    listed = store.list_purchases(account_id, start=start, limit=limit + 1)
    records = store.read(account_id, [("purchase", one.work_id) for one in listed[:limit]])
    found = [records.get(("purchase", one.work_id)) for one in listed[:limit]]
    position = listed[limit - 1].position if len(listed) > limit else None
    return [purchase for purchase in found if isinstance(purchase, Purchase)], position
