"""What an account is after each page: balances per unit, standing, add-on, low-balance threshold. No more than that."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .errors import require
from .money import MAX_BALANCE

UNITS = ("auto_order", "ai_rewrite", "finder", "managed")
ACCOUNT_STATUSES = ("active", "paused", "suspended", "closed")
ADD_ON_STATUSES = ("active", "inactive")


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account owns of one unit, and how much of it is set aside. Hundredths."""

    posted: int = 0
    held: int = 0

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

    def balance(self, unit: str) -> Balance:
        """The balance of `unit`, zero if it was never used."""
        return self.balances.get(unit, Balance())

    def move(self, unit: str, posted: int, held: int) -> "State":
        """This state with the signed changes applied to `unit`.

        Raises BrokenInvariantError if a hold would go below zero or a growing balance above its limit.
        """
        require(unit in UNITS, f"unknown unit {unit}")
        before = self.balance(unit)
        after = Balance(before.posted + posted, before.held + held)
        require(after.held >= 0, f"held of {unit} would be {after.held}")
        require(posted <= 0 or after.posted <= MAX_BALANCE, f"posted of {unit} would be {after.posted}")
        return replace(self, balances={**self.balances, unit: after})

    def to_map(self) -> dict[str, Any]:
        """The stored form: what is at its default is left out."""
        units = {
            unit: {"posted": balance.posted, "held": balance.held}
            for unit, balance in self.balances.items()
            if balance != Balance()
        }
        return {
            "status": self.status,
            "orders_processor": self.orders_processor,
            **({} if self.low_balance is None else {"low_balance": self.low_balance}),
            "balances": units,
        }


def state_from_map(stored: Mapping[str, Any]) -> State:
    """The state of a stored form."""
    return State(
        status=stored["status"],
        orders_processor=stored["orders_processor"],
        low_balance=stored.get("low_balance"),
        balances={unit: Balance(**amounts) for unit, amounts in stored["balances"].items()},
    )
