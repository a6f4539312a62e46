"""What an account is after each page: balances per unit, standing, add-on, low-balance threshold. No more than that."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .errors import Problem, require
from .forms import from_map
from .money import MAX_BALANCE, format_amount

UNITS = ("auto_order", "ai_rewrite", "finder", "managed")
ACCOUNT_STATUSES = ("active", "paused", "suspended", "closed")
ADD_ON_STATUSES = ("active", "inactive")

INSUFFICIENT_CREDITS = "Insufficient Auto-orders credits, please purchase more credits and resend the order."
PACKAGES_URL = "/v1/packages"


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account owns of one unit, and how much of it is set aside. Hundredths."""

    posted: int = 0
    held: int = 0
    unknown: Mapping[str, Any] = field(default_factory=dict)

    def available(self) -> int:
        """What new work can use. Below zero only after a clawback or when a supplier cost more than was held."""
        return self.posted - self.held


@dataclass(frozen=True, slots=True)
class State:
    """An account's whole state. `balances` holds only the units that were ever used."""

    status: str = "active"
    orders_processor: str = "inactive"
    low_balance: int | None = None
    balances: Mapping[str, Balance] = field(default_factory=dict)
    unknown: Mapping[str, Any] = field(default_factory=dict)

    def balance(self, unit: str) -> Balance:
        """The balance of `unit`, zero if it was never used."""
        return self.balances.get(unit, Balance())

    def move(self, unit: str, posted: int, held: int) -> "State":
        """This state with the signed changes applied to `unit`.

        Raises BrokenInvariantError if a hold would go below zero or a growing balance above its limit.
        """
        require(unit in UNITS, f"unknown unit {unit}")
        before = self.balance(unit)
        after = replace(before, posted=before.posted + posted, held=before.held + held)
        require(after.held >= 0, f"held of {unit} would be {after.held}")
        require(posted <= 0 or after.posted <= MAX_BALANCE, f"posted of {unit} would be {after.posted}")
        return replace(self, balances={**self.balances, unit: after})

    def to_map(self) -> dict[str, Any]:
        """The stored form: what is at its default is left out."""
        units = {
            unit: {**balance.unknown, "posted": balance.posted, "held": balance.held}
            for unit, balance in self.balances.items()
            if balance != Balance()
        }
        return {
            **self.unknown,
            "status": self.status,
            "orders_processor": self.orders_processor,
            **({} if self.low_balance is None else {"low_balance": self.low_balance}),
            "balances": units,
        }


_STATE_FIELDS = ("status", "orders_processor", "low_balance", "balances")
_BALANCE_FIELDS = ("posted", "held")


def state_from_map(stored: Mapping[str, Any]) -> State:
    """The state of a stored form."""
    values = from_map(_STATE_FIELDS, stored)
    balances = stored.get("balances", {})
    values["balances"] = {unit: Balance(**from_map(_BALANCE_FIELDS, amounts)) for unit, amounts in balances.items()}
    return State(**values)


def check_sufficient(state: State, unit: str, required: int) -> None:
    """Raise Problem 402, which names the unit, unless `required` hundredths of it are available.

    The sentence for `auto_order` is the one that merchants know (docs/domain.md, "Rules"); a lack of managed balance
    is another failure and never called by that name.
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
        raise Problem("balance_limit", f"No balance may exceed {format_amount(MAX_BALANCE)}.")
