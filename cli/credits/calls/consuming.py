"""Consuming credits: rates, quotes, debits, holds, orders."""

from collections.abc import Iterator, Sequence
from typing import cast

from credits.answers import Debit, Hold, OpenedHold, OrderStatus, PartName, Quote, Rates, Resent, Sent, WorkStatus
from credits.problems import InvalidTransition, Problem
from credits.work import OrderWork, Work

from .base import Calls, path, present


class Consuming(Calls):
    """The calls of docs/contract.md, section 5, "Consume"."""

    def rates(self) -> Rates:
        """The rate card in force."""
        return cast("Rates", self._get("/rates"))

    def quote(self, account_id: str, work: Work) -> Quote:
        """What a debit of the work would cost now; nothing moves."""
        return cast("Quote", self._send("POST", path("accounts", account_id, "quotes"), work))

    def debit(self, account_id: str, work: Work, *, key: str | None = None) -> Debit:
        """Charge the work at once."""
        return cast("Debit", self._keyed(path("accounts", account_id, "debits"), work, key))

    def hold(self, account_id: str, work: Work, *, expires_in: int | None = None, key: str | None = None) -> OpenedHold:
        """Set credits aside for the work, for so many seconds (14 days)."""
        body = {**work, **present({"expires_in": expires_in})}
        return cast("OpenedHold", self._keyed(path("accounts", account_id, "holds"), body, key))

    def read_hold(self, account_id: str, hold_id: str) -> Hold:
        """The hold as it stands."""
        return cast("Hold", self._get(path("accounts", account_id, "holds", hold_id)))

    def capture(
        self, account_id: str, hold_id: str, parts: Sequence[PartName] | None = None, managed: str | None = None
    ) -> Hold:
        """Take parts of the hold; again it is the same."""
        body = present({"parts": None if parts is None else list(parts), "managed": managed})
        return cast("Hold", self._send("POST", path("accounts", account_id, "holds", hold_id, "capture"), body))

    def release(self, account_id: str, hold_id: str, reason: str, parts: Sequence[PartName] | None = None) -> Hold:
        """Give parts of the hold back; again it is the same."""
        body = present({"parts": None if parts is None else list(parts), "reason": reason})
        return cast("Hold", self._send("POST", path("accounts", account_id, "holds", hold_id, "release"), body))

    def queue_order(self, account_id: str, work: OrderWork, *, key: str | None = None) -> Sent:
        """Put an order on the queue."""
        return cast("Sent", self._keyed(path("accounts", account_id, "orders"), work, key))

    def orders(self, account_id: str, status: OrderStatus | None = None) -> Iterator[WorkStatus]:
        """The account's orders, newest first."""
        return cast("Iterator[WorkStatus]", self._items(path("accounts", account_id, "orders"), {"status": status}))

    def order(self, account_id: str, order_id: str) -> WorkStatus:
        """How an order stands."""
        return cast("WorkStatus", self._get(path("accounts", account_id, "orders", order_id)))

    def sourcing(self, account_id: str, product_id: str) -> WorkStatus:
        """How a sourcing request stands."""
        return cast("WorkStatus", self._get(path("accounts", account_id, "sourcing", product_id)))

    def resend(self, account_id: str, order_id: str) -> Sent:
        """Send a failed order again. Where an earlier try of this call did so, the order as it stands now."""

        def recover(problem: Problem) -> Sent | None:
            if not isinstance(problem, InvalidTransition):
                return None
            now = self.order(account_id, order_id)
            return {"order_id": order_id, "status": cast("OrderStatus", now["status"]), "attempt": now["attempt"]}

        where = path("accounts", account_id, "orders", order_id, "resend")
        return cast("Sent", self._send("POST", where, recover=recover))

    def resend_failed(self, account_id: str) -> Resent:
        """Send failed orders again, oldest first, at most 100 a call.

        After a fault on the way the number may be too low: it is what the last try did.
        """
        body = {"status": "failed"}
        return cast("Resent", self._send("POST", path("accounts", account_id, "orders", "resend"), body))
