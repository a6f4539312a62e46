"""What the program shows: tables for people, JSON for programs, progress on stderr."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, NoReturn, TypeVar

import click
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

T = TypeVar("T")

ROWS = 100
"""How many rows of a long table are shown at once, so that the first ones need not wait for the last."""

UNBOUNDED = 10_000
"""How wide a line may be that no person sees: nothing is cut."""


@dataclass(frozen=True)  # with slots Python 3.11 cannot make a `Column[Row](…)`
class Column(Generic[T]):
    """A column of a table: its name and what it shows of an item. Amounts stand at its right."""

    name: str
    of: Callable[[T], object]
    is_amount: bool = False


class Screen(Console):
    """A console that leaves a closed pipe to the program."""

    def on_broken_pipe(self) -> NoReturn:
        """Say that nobody reads on."""
        raise BrokenPipeError


def clean(value: object) -> str:
    """A text that can do nothing to a terminal; nothing for None."""
    text = "" if value is None else str(value)
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


class Output:
    """Where a command's answer goes."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        is_seen = sys.stdout.isatty()
        self.screen = Screen(file=sys.stdout, highlight=False, width=None if is_seen else UNBOUNDED)

    def json(self, value: object) -> None:
        """One JSON text."""
        click.echo(json.dumps(value, indent=2))

    def line(self, value: object) -> None:
        """One JSON text in one line."""
        click.echo(json.dumps(value, separators=(",", ":")))

    def say(self, text: str) -> None:
        """A line for people; with --json nothing."""
        if not self.as_json:
            click.echo(clean(text))

    def note(self, text: str) -> None:
        """A line beside the answer, on stderr; with --json nothing."""
        if not self.as_json:
            click.echo(clean(text), err=True)

    def rows(self, items: Iterable[T], columns: Sequence[Column[T]]) -> int:
        """The items as a table, or with --json one a line as they are; how many there were."""
        shown = 0
        left = iter(items)
        while chunk := list(islice(left, 1 if self.as_json else ROWS)):
            if self.as_json:
                self.line(chunk[0])
            else:
                self._table(chunk, columns, with_names=shown == 0)
            shown += len(chunk)
        return shown

    def fields(self, values: Mapping[str, object]) -> None:
        """Names and values, one a line."""
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(style="dim")
        table.add_column(overflow="fold")
        for name, value in values.items():
            table.add_row(Text(name), Text(clean(value)))
        self.screen.print(table)

    def _table(self, items: Iterable[T], columns: Sequence[Column[T]], *, with_names: bool) -> None:
        table = Table(box=box.SIMPLE_HEAD if with_names else None, show_header=with_names, pad_edge=False)
        for column in columns:
            table.add_column(column.name, justify="right" if column.is_amount else "left", overflow="fold")
        for item in items:
            table.add_row(*(Text(clean(column.of(item))) for column in columns))
        self.screen.print(table)

    @contextmanager
    def progress(self, what: str, total: int | None = None) -> Iterator[Callable[[], None]]:
        """Show on stderr how far a long work is, to a person who watches; call what is given for each step."""
        stderr = Console(stderr=True)
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        hidden = self.as_json or not sys.stderr.isatty()
        with Progress(*columns, TimeElapsedColumn(), console=stderr, transient=True, disable=hidden) as shown:
            task = shown.add_task(what, total=total)
            yield lambda: shown.advance(task)


def amount_of(name: str) -> Callable[[Mapping[str, Any]], object]:
    """What an item has under a name; nothing if it has none."""
    return lambda item: item.get(name)
