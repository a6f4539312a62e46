"""Lists of an account's orders and purchases. A list is a hint: what is shown and resent is what the records say."""

from collections.abc import Iterator
from dataclasses import dataclass

from autocredits.domain.access import Caller, may_access_store
from autocredits.domain.purchases.record import PURCHASES, Purchase
from autocredits.domain.records import RecordList
from autocredits.domain.work.record import ORDERS, ORDERS_BY_STATUS, Work

from .ports import Clock, Store, list_position
from .time_limit import OutOfTimeError, time_limit

MAX_RECORDS = 500
RECORDS_PER_READ = 100
MAX_SECONDS = 10.0


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
    """The orders of a list beyond `start`, each once, and the positions alone of what has no place in it any more.

    `queued` and `failed` have a list of their own; the other statuses are looked for among all orders. An index may
    show an order twice as it moves, so one that a reader has passed at its present place is not shown again.
    """
    which = ORDERS_BY_STATUS.get(status or "", ORDERS)
    begun, seen = start, set[str]()
    while True:
        listed = store.list(which, account_id, start=start, newest_first=newest_first, limit=per_read)
        keys = dict.fromkeys(("order", one.item_id) for one in listed)
        records = store.read(account_id, list(keys))
        for one in listed:
            work = records.get(("order", one.item_id))
            fits = isinstance(work, Work) and status in (None, work.status) and one.item_id not in seen
            if isinstance(work, Work) and fits and not _passed(work, which, begun, newest_first=newest_first):
                seen.add(one.item_id)
                yield Found(one.position, work)
            else:
                yield one.position
        if len(listed) < per_read:
            return
        start = listed[-1].position


def _passed(work: Work, which: RecordList, start: str, *, newest_first: bool) -> bool:
    """Whether the order's present place in the list lies before `start`."""
    place = next(list_position(at.at_ms, at.item_id) for at in work.listings() if at.list == which)
    return bool(start) and (place >= start if newest_first else place <= start)


def list_orders(
    store: Store, clock: Clock, account_id: str, caller: Caller, status: str | None, *, start: str, limit: int
) -> tuple[list[Work], str | None]:
    """At most `limit` orders that the caller may see, newest first, and where to go on; None at the end.

    At most 500 records are looked at, in about 10 seconds, so a list may be shorter and still go on.
    """
    works: list[Work] = []
    filtered = status not in (None, *ORDERS_BY_STATUS) or caller.store_id is not None
    per_read = RECORDS_PER_READ if filtered else limit
    orders = walk_orders(store, account_id, status, start=start, newest_first=True, per_read=per_read)
    position = start
    try:
        with time_limit(MAX_SECONDS, clock.monotonic_s):
            for number, found in enumerate(orders):
                if len(works) == limit:
                    return works, position
                position = found.position if isinstance(found, Found) else found
                if isinstance(found, Found) and may_access_store(caller, found.work.store_id):
                    works.append(found.work)
                if number + 1 == MAX_RECORDS:
                    return works, position
    except OutOfTimeError:
        if position == start:
            raise
        return works, position
    return works, None


def list_purchases(store: Store, account_id: str, *, start: str, limit: int) -> tuple[list[Purchase], str | None]:
    """At most `limit` purchases, newest first, and where to go on; None at the end."""
    listed = store.list(PURCHASES, account_id, start=start, newest_first=True, limit=limit + 1)
    records = store.read(account_id, [("purchase", one.item_id) for one in listed[:limit]])
    found = [records.get(("purchase", one.item_id)) for one in listed[:limit]]
    position = listed[limit - 1].position if len(listed) > limit else None
    return [purchase for purchase in found if isinstance(purchase, Purchase)], position
