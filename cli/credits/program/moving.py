"""`credits import`."""

import csv
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import click

from credits.importing import BadFile, Result, Row, do, look, read_rows

from . import exits
from .output import Column
from .stack import Stack, connected

REPORT = ("line", "account_id", "outcome", "detail")

RESULTS = (
    Column[Result]("line", lambda result: result.row.line, is_amount=True),
    Column[Result]("account", lambda result: result.row.account_id),
    Column[Result]("outcome", lambda result: result.outcome),
    Column[Result]("detail", lambda result: result.detail),
)


@click.command("import")
@connected
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--apply", "is_real", is_flag=True, help="Open the accounts. Without it this is a dry run.")
@click.option(
    "--report", type=click.Path(dir_okay=False, writable=True), help="A CSV file for what became of each row."
)
@click.option("--workers", type=click.IntRange(1, 32), default=8, show_default=True, help="How many calls at a time.")
def import_(stack: Stack, *, file: Path, is_real: bool, report: str | None, workers: int) -> None:
    """Open the accounts of FILE, a CSV file, with their balances of another system.

    A run that was stopped is run again: what is there already is compared with its row, and left alone.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            rows = list(read_rows(lines))
    except (BadFile, UnicodeDecodeError) as error:
        raise click.UsageError(f"{file}: {error}") from None
    bad = [row for row in rows if row.error is not None]
    if is_real and bad:
        for row in bad:
            click.echo(f"line {row.line}: {row.error}", err=True)
        raise click.UsageError(f"{file}: {len(bad)} bad rows; nothing was imported")
    work = partial(do if is_real else look, stack.client)
    counts = _run(stack, rows, work, report, workers)
    _sum_up(stack, counts, is_real=is_real)
    if any(counts[outcome] for outcome in ("differs", "failed", "bad row")) or not rows:
        raise SystemExit(exits.NO)


def _run(
    stack: Stack, rows: list[Row], work: Callable[[Row], Result], report: str | None, workers: int
) -> Counter[str]:
    """Do each row, several at a time, and report them in the file's order."""
    counts = Counter[str]()
    with ExitStack() as opened:
        advance = opened.enter_context(stack.out.progress("accounts", len(rows)))
        writer = None
        if report is not None:
            writer = csv.writer(opened.enter_context(Path(report).open("w", encoding="utf-8", newline="")))
            writer.writerow(REPORT)

        # Closed whatever ends it: after a Ctrl-C while a row is printed, the rest would be done all the same.
        results = opened.enter_context(closing(_in_order(rows, work, workers)))

        def told() -> Iterator[Result]:
            for result in results:
                counts[result.outcome] += 1
                if writer:
                    writer.writerow([result.row.line, result.row.account_id, result.outcome, result.detail])
                advance()
                yield result

        _show(stack, told(), is_reported=report is not None)
    return counts


def _in_order(rows: list[Row], work: Callable[[Row], Result], workers: int) -> Generator[Result, None, None]:
    """The results in the order of the rows; whoever stops listening stops the rows that were not begun."""
    pool = ThreadPoolExecutor(workers)
    try:
        yield from pool.map(work, rows)
    finally:
        pool.shutdown(cancel_futures=True)


def _show(stack: Stack, results: Iterator[Result], *, is_reported: bool) -> None:
    """Every row; with a report only those that somebody has to look at."""
    if stack.out.as_json:
        for result in results:
            row: dict[str, Any] = {"line": result.row.line, "account_id": result.row.account_id}
            stack.out.line({**row, "outcome": result.outcome, "detail": result.detail})
        return
    stack.out.rows((result for result in results if not is_reported or not result.is_good()), RESULTS)


def _sum_up(stack: Stack, counts: Counter[str], *, is_real: bool) -> None:
    told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())) or "no rows"
    stack.out.say(told if is_real else f"Dry run: {told}. Nothing was changed; --apply opens the accounts.")
