"""Accounts: opening, standing, adjustments, settings. All but the settings are for the platform alone."""

from collections.abc import Mapping
from typing import NamedTuple, cast

from credits.answers import Account, AccountStatus, AddOn, Entry, Settings, Unit
from credits.transport import Call

from .base import Calls, path, present

CREATED = 201


class Opened(NamedTuple):
    """An account, and whether this very call opened it; None where an earlier try of the call may have done so."""

    account: Account
    is_new: bool | None


class Accounts(Calls):
    """The calls of docs/contract.md, section 5, "Accounts"."""

    def open_account(
        self, account_id: str, orders_processor: AddOn | None = None, opening: Mapping[Unit, str] | None = None
    ) -> Opened:
        """Open an account with its free credits, or with the balances that it brings along; once, for ever."""
        body = present({"orders_processor": orders_processor, "opening": opening})
        answer = self._answer(Call("PUT", path("accounts", account_id), body))
        is_new = True if answer.status == CREATED else None if answer.is_retried else False
        return Opened(cast("Account", answer.json()), is_new)

    def change_standing(
        self,
        account_id: str,
        status: AccountStatus | None = None,
        orders_processor: AddOn | None = None,
        reason: str | None = None,
    ) -> Account:
        """Change status, add-on or both."""
        body = present({"status": status, "orders_processor": orders_processor, "reason": reason})
        return cast("Account", self._send("PATCH", path("accounts", account_id), body))

    def adjust(
        self,
        account_id: str,
        unit: Unit,
        amount: str,
        reason: str,
        *,
        reference: str | None = None,
        key: str | None = None,
    ) -> Entry:
        """Add to a unit, or take from it."""
        body = present({"unit": unit, "amount": amount, "reason": reason, "reference": reference})
        return cast("Entry", self._keyed(path("accounts", account_id, "adjustments"), body, key))

    def settings(self, account_id: str) -> Settings:
        """The account's settings."""
        return cast("Settings", self._get(path("accounts", account_id, "settings")))

    def change_settings(self, account_id: str, low_balance: str | None) -> Settings:
        """Set the threshold below which the merchant is told; None: never."""
        body = {"low_balance": low_balance}
        return cast("Settings", self._send("PUT", path("accounts", account_id, "settings"), body))
