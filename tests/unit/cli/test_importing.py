"""Moving accounts in: every row exactly once, however often the program is stopped."""

import csv
import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from credits import Client
from credits.importing import BadFile, Result, do, look, read_rows
from credits.program import moving
from tests.kit.served import Fault, Served, client_of, serving
from tests.kit.template import ROOT

ROWS = 60


def rows_of(text: str) -> list[Any]:
    """The rows of a file."""
    return list(read_rows(text.splitlines(keepends=True)))


def test_a_row_is_an_account_with_its_balances() -> None:
    """Columns in any order; empty amounts and zeros are none."""
    (row,) = rows_of("managed,account_id,auto_order,finder\n0.00,anna,7.25,\n")
    assert (row.line, row.account_id, row.orders_processor, row.opening) == (
        2,
        "anna",
        "inactive",
        {"auto_order": "7.25"},
    )
    assert row.error is None


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("a b,active,1.00", "An account id"),
        (",active,1.00", "An account id"),
        ("anna,on,1.00", "active or inactive"),
        ("anna,active,1", "two decimals"),
        ("anna,active,1.333", "two decimals"),
        ("anna,active,1e2", "two decimals"),
        ("anna,active,-1.00", "from 0.00"),
        ("anna,active,1000000000.01", "from 0.00"),
        ("anna,active", "fields"),
        ("anna,active,1.00,x", "fields"),
        ("bo,active,1.00", "bo stands in line 2 already"),
    ],
)
def test_a_bad_row_says_what_is_wrong(line: str, told: str) -> None:
    """And is still counted as a row."""
    good, bad = rows_of(f"account_id,orders_processor,auto_order\nbo,active,1.00\n{line}\n")
    assert good.error is None
    assert bad.line == 3
    assert told in (bad.error or "")


@pytest.mark.parametrize(
    "text", ["", "id,auto_order\n", "account_id,gold\n", "account_id,finder,finder\n", 'account_id,finder\na,"b\n']
)
def test_other_columns_are_refused(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(BadFile):
        rows_of(text)


def test_what_is_there_is_compared_with_its_row(served: Served, platform: Client) -> None:
    """Its first page tells: what was spent or changed since makes no difference, other balances do."""
    (row,) = rows_of("account_id,orders_processor,auto_order\nanna,active,7.25\n")
    assert [look(platform, row).outcome, do(platform, row).outcome] == ["would open", "opened"]
    platform.adjust("anna", "auto_order", "-1.00", "spent")
    platform.change_standing("anna", orders_processor="inactive")
    assert [look(platform, row).outcome, do(platform, row).outcome] == ["there already"] * 2
    for other in ("anna,active,7.26", "anna,inactive,7.25", "anna,active,"):
        (row,) = rows_of(f"account_id,orders_processor,auto_order\n{other}\n")
        assert look(platform, row).outcome == do(platform, row).outcome == "differs"
    assert platform.balance("anna")["balances"]["auto_order"]["posted"] == "6.25"
    assert client_of(served, "anna").balance("anna")["version"] == 3


def test_an_account_that_was_opened_new_is_not_one_that_moved_in(platform: Client) -> None:
    """5.00 free credits are no opening balance of 5.00."""
    platform.open_account("anna", "active")
    (row,) = rows_of("account_id,orders_processor,auto_order\nanna,active,5.00\n")
    assert do(platform, row).outcome == "differs"


def test_an_answer_that_was_lost_is_found_again(served: Served) -> None:
    """The retry says that the account is open already; its first page says that it is as the row wants it."""
    (row,) = rows_of("account_id,auto_order\nanna,7.25\n")
    lost: Iterator[Fault | None] = iter(["lost answer"])
    assert do(client_of(served, "platform", lost), row).outcome == "there already"


class Killer:
    """Kills the program when so many accounts are being opened."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None
        self.left = 0
        self.lock = threading.Lock()

    def watch(self, route: str) -> None:
        """Count openings."""
        with self.lock:
            self.left -= route.startswith("PUT ")
            if self.left == 0 and self.process is not None:
                self.process.send_signal(signal.SIGKILL)


def test_a_run_that_is_killed_twice_opens_every_account_once(served: Served, tmp_path: Path) -> None:
    """The third run ends, and reports every row in the file's order."""
    accounts = {f"account-{number}": f"{number}.25" for number in range(ROWS)}
    file, report, killer = tmp_path / "accounts.csv", tmp_path / "report.csv", Killer()
    file.write_text("account_id,auto_order\n" + "".join(f"{one},{amount}\n" for one, amount in accounts.items()))
    ended = []
    with serving(served, killer.watch) as address:
        for stop_after in (20, 15, 0):
            killer.left = stop_after
            killer.process = start("import", str(file), "--apply", "--report", str(report), address=address)
            told = killer.process.communicate(timeout=60)
            ended.append(killer.process.returncode)
    assert ended == [-signal.SIGKILL, -signal.SIGKILL, 0], told
    rows = list(csv.DictReader(io.StringIO(report.read_text())))
    assert [row["account_id"] for row in rows] == list(accounts)
    outcomes = [row["outcome"] for row in rows]
    assert set(outcomes) == {"opened", "there already"}
    assert 20 <= outcomes.count("there already") < ROWS
    platform = client_of(served)
    assert {one: platform.balance(one)["balances"]["auto_order"]["posted"] for one in accounts} == accounts
    assert all(platform.balance(one)["version"] == 1 for one in accounts)


class Interrupted:
    """A screen on which Ctrl-C comes while the first row is printed."""

    as_json = False

    @contextmanager
    def progress(self, *_: Any) -> Iterator[Callable[[], None]]:
        """Show none."""
        yield lambda: None

    def rows(self, results: Iterator[Any], _: Any) -> None:
        """Print a row, and be interrupted."""
        next(results)
        raise KeyboardInterrupt


def test_an_interrupt_while_a_row_is_printed_ends_the_run() -> None:
    """Nobody works on when it has ended: what was not begun is never begun."""
    rows = rows_of("account_id\n" + "".join(f"a{number}\n" for number in range(500)))
    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt) as raised:  # which holds on to all that was running, as at a program's end
        vars(moving)["_run"](SimpleNamespace(out=Interrupted()), rows, lambda row: Result(row, "opened"), None, 2)
    assert (raised.type, set(threading.enumerate())) == (KeyboardInterrupt, before)


def start(*arguments: str, address: str) -> subprocess.Popen[str]:
    """The program as a process of its own."""
    shell = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT / "cli"), str(ROOT / "layers" / "common")]),
        "CREDITS_API": address,
        "CREDITS_TOKEN": "platform",
    }
    command = [sys.executable, "-m", "credits", *arguments]
    return subprocess.Popen(command, env=shell, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # noqa: S603 - our own
