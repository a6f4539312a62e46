"""What an account consumed: the audited days, and the few pages that have come since."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from autocredits.domain.audit import check_stored
from autocredits.domain.errors import Problem
from autocredits.domain.journal import Page
from autocredits.domain.usage import Used, Uses, date_of, uses_of

from .ports import Store

MAX_PAGES_SINCE = 2_000
PER_READ = 100


@dataclass(frozen=True, slots=True)
class Usage:
    """What was consumed, by UTC day, and the newest page when that was so."""

    by_day: dict[str, Uses]
    newest: Page

    def of_store(self, store_id: str | None) -> "Usage":
        """What one store alone consumed; None: all of it."""
        if store_id is None:
            return self
        return replace(self, by_day={day: _of_store(uses, store_id) for day, uses in self.by_day.items()})


def read_usage(store: Store, newest: Page, first: str) -> Usage:
    """What an account consumed from the day `first` on, up to its newest page.

    Raises Problem `try_again` while the audit is more than 2,000 pages behind.
    """
    account_id = newest.account_id
    days = store.days(account_id, first)
    reached = days[0].reached.version if days else 0
    if newest.version - reached > MAX_PAGES_SINCE:
        raise Problem("try_again", "The usage of this account is still being counted.")
    by_day = {day.date: day.uses for day in days if day.date >= first}
    since: dict[str, list[Page]] = {}
    for page in _pages_between(store, account_id, reached, newest.version):
        since.setdefault(date_of(page.at), []).append(page)
    for date, new in since.items():
        if date >= first:
            by_day[date] = _sum(by_day.get(date, {}), uses_of(new))
    return Usage(by_day, newest)


def _pages_between(store: Store, account_id: str, version: int, last: int) -> Iterator[Page]:
    """The pages after `version`, up to `last`. One that cannot be read is passed by, as the audit passes it by."""
    while version < last and (batch := store.pages_after(account_id, version, min(PER_READ, last - version))):
        for stored in batch:
            version = stored.version
            page = check_stored(account_id, version, stored.stored, stored.hash)
            if isinstance(page, Page):
                yield page


def _sum(one: Uses, other: Uses) -> Uses:
    zero = Used()
    return {pair: one.get(pair, zero) + other.get(pair, zero) for pair in {**one, **other}}


def _of_store(uses: Uses, store_id: str) -> Uses:
    return {pair: use for pair, use in uses.items() if pair[0] == store_id}
