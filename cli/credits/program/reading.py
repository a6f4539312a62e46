"""`credits balance`, `history`, `statement`, `usage` and `journal`."""

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, get_args

import click

from autocredits.domain.journal import KINDS
from autocredits.domain.money import format_amount, parse_amount
from autocredits.domain.usage import CONSUMING
from credits.answers import Entry, Unit, UsageBy, Used

from .output import Column, amount_of
from .stack import Stack, connected
from .times import DAY, TIME, day_after, days_ago, start_of

Command = Callable[..., Any]


def purpose_of(entry: Entry) -> str:
    """What an entry was for, in a few words."""
    work = entry.get("order_id") or entry.get("product_id") or entry.get("purchase_id")
    action = action_of(entry) if work and "purchase_id" not in entry else None
    changes = [f"{name} {entry.get(name)}" for name in ("status", "orders_processor", "low_balance") if name in entry]
    told = [work, action, entry.get("part"), *changes, entry.get("reason")]
    return " · ".join(word for word in told if word)


def action_of(entry: Entry) -> str:
    """The action that an entry paid for, as usage calls it."""
    action = entry.get("action")
    return f"{action['order_type']}/{action['tracking']}" if action else "sourcing"


def taken_by(entry: Entry) -> str:
    """The credits that an entry took."""
    return format_amount(-parse_amount(entry["posted"]))


HISTORY = (
    Column[Entry]("at", lambda entry: entry["at"].replace("T", " ").partition(".")[0]),
    Column[Entry]("kind", lambda entry: entry["kind"]),
    Column[Entry]("unit", lambda entry: entry["unit"]),
    Column[Entry]("posted", lambda entry: entry["posted"], is_amount=True),
    Column[Entry]("held", lambda entry: entry["held"], is_amount=True),
    Column[Entry]("available", lambda entry: entry["balance"] and entry["balance"]["available"], is_amount=True),
    Column[Entry]("store", lambda entry: entry.get("store_id")),
    Column[Entry]("for", purpose_of),
)

USES = (
    Column[Entry]("at", lambda entry: entry["at"].replace("T", " ").partition(".")[0]),
    Column[Entry]("credits", taken_by, is_amount=True),
    Column[Entry]("action", action_of),
    Column[Entry]("part", lambda entry: entry.get("part")),
    Column[Entry]("order or product", lambda entry: entry.get("order_id") or entry.get("product_id")),
    Column[Entry]("entry", lambda entry: entry["entry_id"]),
)


@click.command()
@connected
@click.argument("account")
@click.option("--at", type=TIME, help="As it was up to and including this time.")
def balance(stack: Stack, account: str, at: str | None) -> None:
    """What ACCOUNT has, of every unit, and the anchor that pins its journal up to now."""
    found = stack.client.balance(account, at)
    if stack.out.as_json:
        stack.out.json(found)
        return
    stack.out.fields(
        {
            "account": found["account_id"],
            "status": found["status"],
            "orders processor": found["orders_processor"],
            "as of": found["as_of"],
            "anchor": f"{found['version']}:{found['hash']}",
        }
    )
    rows = [{"unit": unit, **amounts} for unit, amounts in found["balances"].items()]
    amounts = [Column(name, amount_of(name), is_amount=True) for name in ("posted", "held", "available")]
    stack.out.rows(rows, [Column("unit", amount_of("unit")), *amounts])


def filtered(command: Command) -> Command:
    """The options by which entries are chosen."""
    options = (
        click.option("--unit", type=click.Choice(get_args(Unit))),
        click.option("--kind", type=click.Choice(KINDS)),
        click.option("--store", "store_id", metavar="STORE"),
        click.option("--order", "order_id", metavar="ORDER"),
        click.option("--from", "from_", type=TIME, help="From this time on, or the beginning of this UTC day."),
        click.option("--to", type=TIME, help="To before this time, or this UTC day."),
        click.option("--day", type=DAY, help="This UTC day alone."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def range_of(filters: dict[str, Any]) -> dict[str, Any]:
    """The filters with a day as the range that it is."""
    day = filters.pop("day")
    if day is None:
        return filters
    if filters["from_"] or filters["to"]:
        raise click.UsageError("--day is a range of its own: leave out --from and --to")
    return {**filters, "from_": start_of(day), "to": start_of(day_after(day))}


@click.command()
@connected
@click.argument("account")
@filtered
@click.option("--limit", type=click.IntRange(min=1), help="Show the newest so many, and stop.")
def history(stack: Stack, account: str, limit: int | None, **filters: Any) -> None:
    """The entries of ACCOUNT, newest first: what moved every hundredth, and what for."""
    entries = stack.client.entries(account, **range_of(filters))
    if not stack.out.rows(islice(entries, limit), HISTORY):
        stack.out.note("no entries")


@click.command()
@connected
@click.argument("account")
@filtered
@click.option("-o", "--output", type=click.Path(dir_okay=False, writable=True), help="A file instead of stdout.")
def statement(stack: Stack, account: str, output: str | None, **filters: Any) -> None:
    """A statement of ACCOUNT as CSV, oldest first: from its opening to its closing rows it adds up."""
    rows = stack.client.statement(account, **range_of(filters))
    if stack.out.as_json:
        stack.out.rows(rows, ())
        return
    with click.open_file(output or "-", "w", encoding="utf-8") as file, stack.out.progress("rows") as advance:
        writer = None
        for row in rows:
            if writer is None:
                writer = csv.DictWriter(file, row.keys(), lineterminator="\r\n")
                writer.writeheader()
            writer.writerow(row)
            advance()


@click.command()
@connected
@click.argument("account")
@click.option("--by", type=click.Choice(("store", "action", "day")), default="store", show_default=True)
@click.option("--from", "from_", type=DAY, help="The first UTC day; by default 30 days ago.")
@click.option("--to", type=DAY, help="The UTC day after the last.")
@click.option("--day", type=DAY, help="This UTC day alone.")
@click.option("--store", "store_id", metavar="STORE", help="This store alone, with every order that it paid for.")
def usage(stack: Stack, account: str, by: UsageBy, store_id: str | None, **days: Any) -> None:
    """Where the credits of ACCOUNT went."""
    days = range_of(days)
    if days["from_"] and "T" in days["from_"]:
        days = {name: day.partition("T")[0] for name, day in days.items()}
    if store_id is not None:
        _usage_of_store(stack, account, store_id, days)
        return
    found = stack.client.usage(account, by=by, **days)
    if stack.out.as_json:
        stack.out.json(found)
        return
    _show_used(stack, by, found["items"], found["total"])
    left = found["days_left"]
    stack.out.say(f"{'No use' if left is None else f'Credits for {left} more days'}, at the rate of the last 30 days.")


def _usage_of_store(stack: Stack, account: str, store_id: str, days: dict[str, Any]) -> None:
    """The same sums of one store, made from its entries, and these."""
    from_, to = start_of(days["from_"] or days_ago(29)), start_of(days["to"])
    found = stack.client.entries(account, unit="auto_order", store_id=store_id, from_=from_, to=to)
    entries = [entry for entry in found if entry["kind"] in CONSUMING][::-1]
    items, total = used_by_action(entries)
    if stack.out.as_json:
        sums = {"store": store_id, "from": from_, "to": to, "by": "action", "items": items, "total": total}
        stack.out.json({**sums, "entries": entries})
        return
    _show_used(stack, "action", items, total)
    stack.out.rows(entries, USES)


def used_by_action(entries: Iterable[Entry]) -> tuple[list[Used], str]:
    """What entries took, by action, and in all."""
    credits_, counts = Counter[str](), Counter[str]()
    for entry in entries:
        credits_[action_of(entry)] += parse_amount(taken_by(entry))
        counts[action_of(entry)] += 1
    items: list[Used] = [
        {"action": action, "credits": format_amount(credits_[action]), "count": counts[action]}
        for action in sorted(counts)
    ]
    return items, format_amount(credits_.total())


def _show_used(stack: Stack, by: str, items: Iterable[Used], total: str) -> None:
    columns = (
        Column[Any](by, amount_of(by)),
        Column[Any]("credits", amount_of("credits"), is_amount=True),
        Column[Any]("count", amount_of("count"), is_amount=True),
    )
    stack.out.rows([*items, {by: "all", "credits": total, "count": sum(item["count"] for item in items)}], columns)


@click.command()
@connected
@click.argument("account")
@click.option("--after", type=click.IntRange(min=0), default=0, help="Only the pages that follow this one.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, writable=True), help="A file instead of stdout.")
def journal(stack: Stack, account: str, after: int, output: str | None) -> None:
    """The pages of ACCOUNT's journal, oldest first, one a line, as `credits verify` takes them."""
    with click.open_file(output or "-", "w", encoding="utf-8") as file, stack.out.progress("pages") as advance:
        for item in stack.client.journal(account, after):
            file.write(json.dumps(item, separators=(",", ":")) + "\n")
            advance()
