"""Accounts and their opening balances from another system, each opened exactly once.

An account can be opened once, for ever, so a run that was stopped is simply run again: what is there already is
compared with its row and left alone. Nothing is remembered between runs but what the service itself remembers.
"""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, get_args

from autocredits.domain.accounts import OPENING_REASON
from autocredits.domain.errors import Problem as BadForm
from autocredits.domain.ids import check_account_id
from autocredits.domain.money import MAX_BALANCE, format_amount, parse_amount
from autocredits.domain.state import UNITS

from .answers import AddOn, Entry, Unit
from .client import Client
from .problems import AccountNotFound, CreditsError

COLUMNS = ("account_id", "orders_processor", *UNITS)

Outcome = Literal["would open", "opened", "there already", "differs", "failed", "bad row"]


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the file: an account with its balances, or what is wrong with it."""

    line: int
    account_id: str
    orders_processor: AddOn = "inactive"
    opening: dict[Unit, str] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a row."""

    row: Row
    outcome: Outcome
    detail: str = ""

    def is_good(self) -> bool:
        """Whether the account is, or would be, there as the row says."""
        return self.outcome in ("would open", "opened", "there already")


class BadFile(ValueError):  # noqa: N818 - it says what the file is
    """The file has not the columns that it needs."""


def read_rows(lines: Iterable[str]) -> Iterator[Row]:
    """The rows of a CSV file with the column `account_id`, and any of `orders_processor` and the units.

    An empty amount is none. Raises BadFile for other columns.
    """
    reader = csv.DictReader(lines, strict=True)
    seen: dict[str, int] = {}
    try:
        names = reader.fieldnames or []
        if "account_id" not in names or len(set(names)) != len(names) or not set(names) <= set(COLUMNS):
            raise BadFile(f"the first line must name account_id and any of {', '.join(COLUMNS[1:])}, each once")
        for values in reader:
            yield _row(reader.line_num, values, seen)
    except csv.Error as error:
        raise BadFile(f"line {reader.line_num}: {error}") from None


def _row(line: int, values: dict[str, str | None], seen: dict[str, int]) -> Row:
    account_id = values.get("account_id") or ""
    try:
        _check_fields(account_id, values, seen)
        seen[account_id] = line
        opening = {unit: _amount(unit, values.get(unit)) for unit in get_args(Unit)}
        return Row(line, account_id, _add_on(values.get("orders_processor")), {u: a for u, a in opening.items() if a})
    except BadForm as problem:
        return Row(line, account_id, error=problem.detail)


def _check_fields(account_id: str, values: dict[str, str | None], seen: dict[str, int]) -> None:
    if None in values or None in values.values():
        raise BadForm("invalid_field", "it has more or fewer fields than the first line")
    check_account_id(account_id)
    if account_id in seen:
        raise BadForm("invalid_id", f"{account_id} stands in line {seen[account_id]} already")


def _add_on(text: str | None) -> AddOn:
    if text not in (None, "", "active", "inactive"):
        raise BadForm("invalid_field", f"orders_processor is active or inactive, not {text}")
    return "active" if text == "active" else "inactive"


def _amount(unit: str, text: str | None) -> str | None:
    """The amount; None for none or nothing."""
    if not text:
        return None
    try:
        amount = parse_amount(text)
    except BadForm:
        raise BadForm("invalid_amount", f'{unit} is an amount with two decimals, such as "1.33", not {text}') from None
    if not 0 <= amount <= MAX_BALANCE:
        raise BadForm("invalid_amount", f"{unit} is from 0.00 to {format_amount(MAX_BALANCE)}, not {text}")
    return text if amount else None


def look(client: Client, row: Row) -> Result:
    """What would become of a row; nothing is changed."""
    if row.error is not None:
        return Result(row, "bad row", row.error)
    try:
        client.balance(row.account_id)
    except AccountNotFound:
        return Result(row, "would open")
    except CreditsError as error:
        return Result(row, "failed", str(error))
    return _compared(client, row)


def do(client: Client, row: Row) -> Result:
    """Open the account of a row, unless it is there."""
    if row.error is not None:
        return Result(row, "bad row", row.error)
    try:
        is_new = client.open_account(row.account_id, row.orders_processor, row.opening).is_new
    except CreditsError as error:
        return Result(row, "failed", str(error))
    return Result(row, "opened") if is_new else _compared(client, row)


def _compared(client: Client, row: Row) -> Result:
    """Whether the account that is there was opened as the row says: its first page is what tells."""
    try:
        first = next(client.journal(row.account_id, at_once=1), None)
    except CreditsError as error:
        return Result(row, "failed", str(error))
    entries = first["entries"] if first else []
    granted = [entry for entry in entries if entry["unit"] is not None]
    opened = {entry["unit"]: entry["posted"] for entry in granted}
    brought_along = all(entry.get("reason") == OPENING_REASON for entry in granted)
    add_on = _opened_with(entries)
    if brought_along and opened == row.opening and add_on == row.orders_processor:
        return Result(row, "there already", "opened with the same balances")
    told = ", ".join(f"{unit} {amount}" for unit, amount in opened.items()) or "nothing"
    return Result(row, "differs", f"it was opened with {told}, orders_processor {add_on}")


def _opened_with(entries: Iterable[Entry]) -> AddOn:
    opening = (entry for entry in entries if entry["kind"] == "opened")
    return next((entry.get("orders_processor", "inactive") for entry in opening), "inactive")
