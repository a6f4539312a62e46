"""What is due: lists that all accounts share, worked through item by item, so that none stands before another."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from itertools import islice, repeat, zip_longest

from autocredits.domain.records import NO_ACCOUNT, RecordList

from .ports import Clock, Listed, Store
from .time_limit import has_time

PER_READ = 50
AT_ONCE = 8
MAX_PER_RUN = 2_000
"""How many items one run looks at; the rest is for the next."""


def work_through(
    store: Store, clock: Clock, lists: dict[RecordList, Callable[[Listed], bool]], reserve_s: float
) -> dict[str, int]:
    """Do with each item that is due what its list says, several at a time, as long as `reserve_s` are left.

    The longest overdue come first, from all shards in turn. Gives how many went well (`done`), how many did not
    (`failed`), and how many were left for lack of time.
    """

    def in_time(look: Callable[[Listed], bool], due: Listed) -> bool | None:
        return look(due) if has_time(reserve_s) else None

    with ThreadPoolExecutor(AT_ONCE) as pool:
        tasks = [
            pool.submit(copy_context().run, in_time, look, due)
            for look, due in islice(_all_due(store, clock, lists, reserve_s), MAX_PER_RUN)
        ]
        results = [task.result() for task in tasks]
    return {"done": results.count(True), "failed": results.count(False), "left": results.count(None)}


def _all_due(
    store: Store, clock: Clock, lists: dict[RecordList, Callable[[Listed], bool]], reserve_s: float
) -> Iterator[tuple[Callable[[Listed], bool], Listed]]:
    """What is due by now, with what is to be done with it: one from each shard of each list, and so on."""
    shards = [
        zip(repeat(look), _due_of_shard(store, clock, which, shard, reserve_s), strict=False)
        for which, look in lists.items()
        for shard in range(which.shards)
    ]
    for row in zip_longest(*shards):
        yield from (item for item in row if item is not None)


def _due_of_shard(store: Store, clock: Clock, which: RecordList, shard: int, reserve_s: float) -> Iterator[Listed]:
    start, now_ms = "", clock.now_ms()
    while has_time(reserve_s):
        listed = store.list(which, NO_ACCOUNT, start=start, limit=PER_READ, shard=shard)
        yield from (due for due in listed if due.at_ms() <= now_ms)
        if len(listed) < PER_READ or listed[-1].at_ms() > now_ms:
            return
        start = listed[-1].position
