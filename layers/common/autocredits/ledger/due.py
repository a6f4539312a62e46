"""What is due: lists that all accounts share, worked through item by item, so that none stands before another."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from itertools import islice, repeat, zip_longest

from autocredits.domain.records import NO_ACCOUNT, RecordList

from .ports import Clock, Listed, Store, UnavailableError
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
    (`failed`), and how many were left for lack of time. Raises UnavailableError if a shard could not be read, once what
    the others have shown is done.
    """
    reading = _Reading(store, clock, reserve_s)

    def in_time(look: Callable[[Listed], bool], due: Listed) -> bool | None:
        return look(due) if has_time(reserve_s) else None

    with ThreadPoolExecutor(AT_ONCE) as pool:
        tasks = [
            pool.submit(copy_context().run, in_time, look, due)
            for look, due in islice(reading.all_due(lists), MAX_PER_RUN)
        ]
        results = [task.result() for task in tasks]
    if reading.failures:
        raise reading.failures[0]
    return {"done": results.count(True), "failed": results.count(False), "left": results.count(None)}


@dataclass(frozen=True, slots=True)
class _Reading:
    """Finds what is due, as long as `reserve_s` are left; `failures` are those of shards that could not be read."""

    store: Store
    clock: Clock
    reserve_s: float
    failures: list[UnavailableError] = field(default_factory=list)

    def all_due(
        self, lists: dict[RecordList, Callable[[Listed], bool]]
    ) -> Iterator[tuple[Callable[[Listed], bool], Listed]]:
        """What is due by now, with what is to be done with it: one from each shard of each list, and so on."""
        shards = [
            zip(repeat(look), self._due_of_shard(which, shard), strict=False)
            for which, look in lists.items()
            for shard in range(which.shards)
        ]
        for row in zip_longest(*shards):
            yield from (item for item in row if item is not None)

    def _due_of_shard(self, which: RecordList, shard: int) -> Iterator[Listed]:
        start, now_ms = "", self.clock.now_ms()
        while has_time(self.reserve_s):
            try:
                listed = self.store.list(which, NO_ACCOUNT, start=start, limit=PER_READ, shard=shard)
            except UnavailableError as error:
                self.failures.append(error)
                return
            yield from (due for due in listed if due.at_ms() <= now_ms)
            if len(listed) < PER_READ or listed[-1].at_ms() > now_ms:
                return
            start = listed[-1].position
