"""Commands that concern the whole account: opening, standing, settings, adjustments."""

from dataclasses import dataclass

from .access import Caller, may_manage
from .decide import Done, Draft, IdempotencyKey
from .errors import Problem
from .journal import Entry, Page
from .money import MAX_BALANCE, format_amount
from .records import RecordKey
from .state import State

FREE_CREDITS = 500
"""Every new account gets 5.00 `auto_order` credits, once (domain.md, "Rules"). Hundredths."""

INSUFFICIENT_CREDITS = "Insufficient Auto-orders credits, please purchase more credits and resend the order."
PACKAGES_URL = "/v1/packages"


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
    if may_manage(caller) != "yes":
        raise Problem("store_forbidden")
    return head


def check_sufficient(state: State, unit: str, required: int) -> None:
    """Raise Problem 402, which names the unit, unless `required` hundredths of it are available.

    The sentence for `auto_order` is the merchants' own (domain.md, "Rules"); lacking managed balance is another
    failure and never called by that name.
    """
    available = state.balance(unit).available()
    if required <= available:
        return
    code, detail = "insufficient_credits", f"Insufficient {unit} credits."
    if unit == "auto_order":
        detail = INSUFFICIENT_CREDITS
    elif unit == "managed":
        code, detail = "insufficient_managed_balance", "Insufficient managed balance for product and shipping."
    raise Problem(
        code,
        detail,
        unit=unit,
        required=format_amount(required),
        available=format_amount(available),
        shortfall=format_amount(required - available),
        packages_url=PACKAGES_URL,
    )


def check_limit(state: State, unit: str, added: int) -> None:
    """Raise Problem `balance_limit` if the balance would pass its limit."""
    if state.balance(unit).posted + added > MAX_BALANCE:
        raise Problem("balance_limit", f"No balance may pass {format_amount(MAX_BALANCE)}.")


@dataclass(frozen=True, slots=True)
class OpenAccount:
    """Opens the account with its free credits, once; a repeat changes nothing."""

    caller: Caller
    orders_processor: str

    def records(self) -> tuple[RecordKey, ...]:
        """None: page 1 itself tells that the account was opened."""
        return ()

    def expects_new(self) -> bool:
        """There is nothing to read."""
        return True

    def decide(self, draft: Draft) -> Done:
        """Raises Problem `store_forbidden`."""
        if may_manage(self.caller) != "yes":
            raise Problem("store_forbidden")
        if draft.head is not None:
            return Done(did="open_already")
        changes = {"orders_processor": self.orders_processor}
        draft.add(Entry(kind="opened", actor=self.caller.actor, changes=changes))
        draft.add(Entry(kind="granted", actor=self.caller.actor, unit="auto_order", posted=FREE_CREDITS))
        return Done(did="opened", count=2)


@dataclass(frozen=True, slots=True)
class ChangeStanding:
    """Changes status, add-on or threshold: one `standing` entry for each value that really changes.

    `changes` maps fields of the state (status, orders_processor, low_balance) to their new values.
    """

    caller: Caller
    changes: dict[str, str | int | None]
    reason: str | None = None

    def records(self) -> tuple[RecordKey, ...]:
        """None: the state itself tells what it is."""
        return ()

    def expects_new(self) -> bool:
        """There is nothing to read."""
        return True

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

    def records(self) -> tuple[RecordKey, ...]:
        """The idempotency key."""
        return (("key", self.idempotency.key),)

    def expects_new(self) -> bool:
        """Most keys are new."""
        return True

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
