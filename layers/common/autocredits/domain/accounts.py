"""Commands that concern the whole account: opening, standing, settings, adjustments."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from .access import Caller, check_manages
from .decide import Done, Draft, IdempotencyKey
from .journal import Entry
from .records import RecordKey
from .state import check_limit, check_sufficient

FREE_CREDITS = 500
"""Every new account gets 5.00 `auto_order` credits, once (docs/domain.md, "Rules"). Hundredths."""

OPENING_REASON = "opening balance"


@dataclass(frozen=True, slots=True)
class OpenAccount:
    """Opens the account with its free credits, once; a repeat changes nothing.

    `opening` are the balances (hundredths by unit) of an account that moves in from another system: it gets them
    instead of the free credits. None: it is a new one.
    """

    caller: Caller
    orders_processor: str
    opening: Mapping[str, int] | None = None
    expects_new: ClassVar[bool] = True

    def records(self) -> tuple[RecordKey, ...]:
        """None: page 1 itself tells that the account was opened."""
        return ()

    def decide(self, draft: Draft) -> Done:
        """Raises Problem `balance_limit`."""
        if draft.head is not None:
            return Done(did="open_already")
        actor = self.caller.actor
        draft.add(Entry(kind="opened", actor=actor, changes={"orders_processor": self.orders_processor}))
        if self.opening is None:
            draft.add(Entry(kind="granted", actor=actor, unit="auto_order", posted=FREE_CREDITS))
        for unit, amount in (self.opening or {}).items():
            if amount:
                check_limit(draft.state, unit, amount)
                draft.add(Entry(kind="granted", actor=actor, unit=unit, posted=amount, reason=OPENING_REASON))
        return Done(did="opened", count=len(draft.entries))


@dataclass(frozen=True, slots=True)
class ChangeStanding:
    """Changes status, add-on or threshold: one `standing` entry for each value that really changes.

    `changes` maps fields of the state (status, orders_processor, low_balance) to their new values.
    """

    caller: Caller
    changes: dict[str, str | int | None]
    reason: str | None = None
    expects_new: ClassVar[bool] = True

    def records(self) -> tuple[RecordKey, ...]:
        """None: the state itself tells what it is."""
        return ()

    def decide(self, draft: Draft) -> Done:
        """Raises Problem `account_not_found`, `store_forbidden`."""
        check_manages(draft.head, self.caller)
        first = len(draft.entries)
        for name, value in self.changes.items():
            if getattr(draft.state, name) != value:
                entry = Entry(kind="standing", actor=self.caller.actor, changes={name: value}, reason=self.reason)
                draft.add(entry)
        return Done(did="standing", first=first, count=len(draft.entries) - first)


@dataclass(frozen=True, slots=True)
class Adjust:
    """Adds to a unit, or takes from it if `amount` (hundredths, not 0) is negative; never below available."""

    caller: Caller
    idempotency: IdempotencyKey
    unit: str
    amount: int
    reason: str
    reference: str | None = None
    expects_new: ClassVar[bool] = True

    def records(self) -> tuple[RecordKey, ...]:
        """The idempotency key."""
        return (("key", self.idempotency.key),)

    def decide(self, draft: Draft) -> Done:
        """Raises Problem `account_not_found`, `store_forbidden`, `idempotency_key_reused`, 402, `balance_limit`."""
        check_manages(draft.head, self.caller)
        if replay := draft.replay(self.idempotency):
            return replay
        if self.amount < 0:
            check_sufficient(draft.state, self.unit, -self.amount)
        check_limit(draft.state, self.unit, self.amount)
        first = len(draft.entries)
        draft.add(
            Entry(
                kind="adjusted",
                actor=self.caller.actor,
                unit=self.unit,
                posted=self.amount,
                reason=self.reason,
                reference=self.reference,
                key=self.idempotency.key,
            )
        )
        draft.remember(self.idempotency, first)
        return Done(did="adjusted", first=first, count=1)
