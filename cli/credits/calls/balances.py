"""Reading: balances, entries, statements, usage, the journal; the health of the service. Times are RFC 3339 in UTC."""

import csv
import io
from collections.abc import Iterator
from typing import cast

from credits.answers import Account, Entry, Health, JournalItem, Kind, Unit, Usage, UsageBy
from credits.problems import RangeTooLarge
from credits.transport import Call

from .base import AT_ONCE, Calls, path, present


class Balances(Calls):
    """The calls of docs/contract.md, section 5, "Balance", and of the service's health."""

    def health(self) -> Health:
        """Whether the service answers."""
        return cast("Health", self._get("/health"))

    def balance(self, account_id: str, at: str | None = None) -> Account:
        """The account now, or as it was up to and including a time."""
        return cast("Account", self._get(path("accounts", account_id, "balance"), {"at": at}))

    def entries(
        self,
        account_id: str,
        *,
        unit: Unit | None = None,
        kind: Kind | None = None,
        store_id: str | None = None,
        order_id: str | None = None,
        from_: str | None = None,
        to: str | None = None,
    ) -> Iterator[Entry]:
        """The account's entries, newest first, from `from_` to before `to`."""
        query = {"unit": unit, "kind": kind, "store_id": store_id, "order_id": order_id, "from": from_, "to": to}
        return cast("Iterator[Entry]", self._items(path("accounts", account_id, "entries"), query))

    def statement(
        self,
        account_id: str,
        *,
        unit: Unit | None = None,
        kind: Kind | None = None,
        store_id: str | None = None,
        order_id: str | None = None,
        from_: str | None = None,
        to: str | None = None,
    ) -> Iterator[dict[str, str]]:
        """The rows of a statement, oldest first. One that is too long for an answer is asked for in pieces."""
        query = {"unit": unit, "kind": kind, "store_id": store_id, "order_id": order_id, "from": from_, "to": to}
        where, is_first, ends = path("accounts", account_id, "entries"), True, [to]
        while ends:
            query["to"] = ends[-1]
            try:
                text = self._answer(Call("GET", where, query=present(query), accept="text/csv")).text
            except RangeTooLarge as problem:
                split_at = problem.members.get("split_at")
                if not isinstance(split_at, str) or split_at in (query["from"], query["to"]):
                    raise  # what happened in one millisecond cannot be told in pieces
                ends.append(split_at)
                continue
            query["from"] = ends.pop()
            yield from _piece(text, is_first=is_first, is_last=not ends)
            is_first = False

    def usage(
        self, account_id: str, *, from_: str | None = None, to: str | None = None, by: UsageBy = "store"
    ) -> Usage:
        """The `auto_order` credits consumed from the UTC day `from_` to before the day `to`."""
        query = {"from": from_, "to": to, "by": by}
        return cast("Usage", self._get(path("accounts", account_id, "usage"), query))

    def journal(self, account_id: str, after: int = 0, at_once: int = AT_ONCE) -> Iterator[JournalItem]:
        """The pages that follow page `after`, oldest first, as `credits verify` takes them; so many an answer."""
        where = path("accounts", account_id, "journal")
        return cast("Iterator[JournalItem]", self._items(where, {"after": str(after)}, at_once))


def _piece(text: str, *, is_first: bool, is_last: bool) -> Iterator[dict[str, str]]:
    """The rows of a piece, without the openings and closings between two pieces."""
    for row in csv.DictReader(io.StringIO(text, newline="")):
        between = (row["kind"] == "opening" and not is_first) or (row["kind"] == "closing" and not is_last)
        if not between:
            yield row
