"""Lists of an account's orders and purchases. A list is a hint: what is shown and resent is what the records say."""

from collections.abc import Iterator
from dataclasses import dataclass

from autocredits.domain.access import Caller, may_access_store
from autocredits.domain.purchases.record import PURCHASES, Purchase
from autocredits.domain.work.record import ORDERS, ORDERS_BY_STATUS, Work

from .ports import Store

MAX_RECORDS = 500
RECORDS_PER_READ = 100


@dataclass(frozen=True, slots=True)
class Found:
    """An order as its record says, and where its list goes on after it."""

    position: str
    work: Work


def read_work(store: Store, account_id: str, key: tuple[str, str]) -> Work | None:
    """The work record under `key`, if there is one."""
    record = store.read(account_id, [key]).get(key)
    return record if isinstance(record, Work) else None


def read_purchase(store: Store, account_id: str, purchase_id: str) -> Purchase | None:
    """The purchase as it stands, if there is one."""
    record = store.read(account_id, [("purchase", purchase_id)]).get(("purchase", purchase_id))
    return record if isinstance(record, Purchase) else None


def walk_orders(
    store: Store, account_id: str, status: str | None, *, start: str, newest_first: bool, per_read: int
) -> Iterator[Found | str]:
    """The orders of a list beyond `start`, and, for an order that has left it meanwhile, its position alone.

    `queued` and `failed` have a list of their own; the other statuses are looked for among all orders.
    """
    which = ORDERS_BY_STATUS.get(status or "", ORDERS)
    while True:
        listed = store.list(which, account_id, start=start, newest_first=newest_first, limit=per_read)
        keys = dict.fromkeys(("order", one.item_id) for one in listed)  # an index may show an order twice as it moves
        records = store.read(account_id, list(keys))
        for one in listed:
            work = records.get(("order", one.item_id))
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
    filtered = status not in (None, *ORDERS_BY_STATUS) or caller.store_id is not None
    per_read = RECORDS_PER_READ if filtered else limit
    orders = walk_orders(store, account_id, status, start=start, newest_first=True, per_read=per_read)
    position = start
    for number, found in enumerate(orders):
        if len(works) == limit:
            return works, position
        position = found.position if isinstance(found, Found) else found
        if isinstance(found, Found) and may_access_store(caller, found.work.store_id):
            works.append(found.work)
        if number + 1 == MAX_RECORDS:
            return works, position
    return works, None


def list_purchases(store: Store, account_id: str, *, start: str, limit: int) -> tuple[list[Purchase], str | None]:
    """At most `limit` purchases, newest first, and where to go on; None at the end."""
    listed = store.list(PURCHASES, account_id, start=start, newest_first=True, limit=limit + 1)
    records = store.read(account_id, [("purchase", one.item_id) for one in listed[:limit]])
    found = [records.get(("purchase", one.item_id)) for one in listed[:limit]]
    position = listed[limit - 1].position if len(listed) > limit else None
    return [purchase for purchase in found if isinstance(purchase, Purchase)], position
