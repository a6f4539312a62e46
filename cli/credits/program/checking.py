"""`credits price` and `verify`."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from autocredits.domain.catalog import BadCatalogError, RateCard, load_rate_card
from autocredits.domain.money import format_amount
from credits.answers import Entry
from credits.pricing import Compared, charges_of, compare
from credits.verifying import WITHOUT_ANCHOR, Verdict, read_items
from credits.verifying import verify as verify_items

from . import exits
from .output import Column, Output
from .stack import Stack, connected, json_option
from .times import TIME

PRICED = (
    Column[Compared]("store", lambda row: row.store_id),
    Column[Compared]("action", lambda row: row.action),
    Column[Compared]("count", lambda row: row.count, is_amount=True),
    Column[Compared]("credits", lambda row: format_amount(row.credits), is_amount=True),
    Column[Compared]("by this card", lambda row: format_amount(row.by_card), is_amount=True),
    Column[Compared]("difference", lambda row: format_amount(row.by_card - row.credits), is_amount=True),
)

SHOWN = 50
"""How many findings are shown."""

_ANCHOR = re.compile(r"([0-9]{1,12}):([0-9a-f]{64})")


@click.command()
@connected
@click.argument("account")
@click.option("--card", "card_file", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True)
@click.option("--from", "from_", type=TIME, required=True, help="From this time on, or the beginning of this UTC day.")
@click.option("--to", type=TIME, help="To before this time, or this UTC day.")
@click.option("--store", "store_id", metavar="STORE", help="The work of this store alone.")
def price(stack: Stack, *, account: str, card_file: Path, from_: str, to: str | None, store_id: str | None) -> None:
    """What past work of ACCOUNT would have cost by another rate card, by store and action."""
    card = _card(card_file)
    in_force = load_rate_card(stack.client.rates())
    entries = stack.client.entries(account, unit="auto_order", store_id=store_id, from_=from_, to=to)

    def entries_of(order_id: str) -> Iterable[Entry]:
        return stack.client.entries(account, order_id=order_id)

    with stack.out.progress("entries") as advance:
        rows = compare(_watched(charges_of(entries, in_force, entries_of), advance), card)
    total = _total(rows)
    if stack.out.as_json:
        items = [_priced(row) for row in rows]
        stack.out.json({"rate_card": card.name, "from": from_, "to": to, "items": items, "total": _priced(total)})
        return
    stack.out.rows([*rows, total], PRICED)


def _watched(items: Iterable[Any], advance: Any) -> Iterable[Any]:
    for item in items:
        advance()
        yield item


def _total(rows: Iterable[Compared]) -> Compared:
    total = Compared("", "all", 0, 0, 0)
    for row in rows:
        count, credits_, by_card = total.count + row.count, total.credits + row.credits, total.by_card + row.by_card
        total = Compared("", "all", count, credits_, by_card)
    return total


def _priced(row: Compared) -> dict[str, Any]:
    return {
        "store": row.store_id,
        "action": row.action,
        "count": row.count,
        "credits": format_amount(row.credits),
        "by_card": format_amount(row.by_card),
        "difference": format_amount(row.by_card - row.credits),
    }


def _card(file: Path) -> RateCard:
    try:
        return load_rate_card(json.loads(file.read_text("utf-8")))
    except (ValueError, TypeError, BadCatalogError) as error:
        raise click.UsageError(f"{file} is no rate card: {error}") from None


class Anchor(click.ParamType[tuple[int, str]]):
    """A version and the hash of its page."""

    name = "version:hash"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, str]:
        """The two apart."""
        match = _ANCHOR.fullmatch(str(value))
        if match is None:
            self.fail(f"{value!r} is no anchor, such as `credits balance` prints it: VERSION:HASH", param, ctx)
        return int(match[1]), match[2]


@click.command()
@click.argument("file", type=click.File("r", encoding="utf-8", errors="surrogateescape"))
@click.option("--anchor", "anchors", type=Anchor(), multiple=True, help="A hash that was kept; may be given often.")
@click.option("--account", help="Whose journal it must be; by default its first page tells.")
@json_option
def verify(file: Iterable[str], anchors: tuple[tuple[int, str], ...], account: str | None, *, as_json: bool) -> None:
    """Check the journal in FILE (`-` is stdin), offline: every hash, every link and every running balance.

    FILE is what `credits journal` writes, or answers of GET …/journal.
    """
    kept = dict(anchors)
    if any(kept[version] != digest for version, digest in anchors):
        raise click.UsageError("two anchors name the same version with other hashes")
    out = Output(as_json=as_json)
    with out.progress("pages") as advance:
        verdict = verify_items(_watched(read_items(file), advance), account, kept)
    if as_json:
        out.json(_told(verdict))
    else:
        _show(out, verdict)
    if not verdict.is_good():
        raise SystemExit(exits.NO)


def _told(verdict: Verdict) -> dict[str, Any]:
    findings = [
        {"version": finding.version, "kind": finding.kind, "detail": finding.detail} for finding in verdict.findings
    ]
    return {
        "account_id": verdict.account_id,
        "pages": verdict.pages,
        "entries": verdict.entries,
        "version": verdict.reached.version,
        "hash": verdict.reached.hash,
        "anchors": verdict.anchors,
        "is_good": verdict.is_good(),
        "findings": findings,
    }


def _show(out: Output, verdict: Verdict) -> None:
    for finding in verdict.findings[:SHOWN]:
        out.say(f"page {finding.version}: {finding.kind}: {finding.detail}")
    if len(verdict.findings) > SHOWN:
        out.say(f"and {len(verdict.findings) - SHOWN} more")
    pages = f"{verdict.pages} pages with {verdict.entries} entries of account {verdict.account_id}"
    if not verdict.is_good():
        findings = "1 finding" if len(verdict.findings) == 1 else f"{len(verdict.findings)} findings"
        out.say(f"WRONG: {pages}, {findings}")
        return
    out.say(f"{pages}, up to {verdict.reached.version}:{verdict.reached.hash}")
    anchors = "1 anchor" if verdict.anchors == 1 else f"{verdict.anchors} anchors"
    out.say(f"consistent, and as {anchors} say" if verdict.anchors else WITHOUT_ANCHOR)
