"""The program `credits` on the deployed stack, started as anybody starts it."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.merchant import Merchant, fresh, opened, work
from tests.kit.stack import ALL_SCOPES, PLATFORM, ROOT, Stack

ACCOUNTS = 1_000
REFUSED = 1
TAMPERED_VERSION = 3


class Program:
    """`credits`, with a token in a file."""

    def __init__(self, stack: Stack, home: Path) -> None:
        self.home, self.stack = home, stack
        (home / "token").write_text(stack.token(PLATFORM, ALL_SCOPES, ""))

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start a command."""
        shell = os.environ | {
            "PYTHONPATH": os.pathsep.join(str(ROOT / folder) for folder in ("cli", "layers/common")),
            "CREDITS_API": self.stack.info["api_url"],
            "CREDITS_TOKEN_FILE": str(self.home / "token"),
        }
        command = [sys.executable, "-m", "credits", *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=self.home, env=shell, stdout=pipe, stderr=pipe, text=True)  # noqa: S603 - our own

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run a command; its exit code and what it prints."""
        process = self.start(*arguments)
        out, error = process.communicate()
        return process.returncode, out or error


@pytest.fixture
def program(stack: Stack, tmp_path: Path) -> Program:
    """The program, in a folder of its own."""
    return Program(stack, tmp_path)


@pytest.fixture
def spender(stack: Stack) -> Merchant:
    """A merchant with work in two stores."""
    merchant = opened(stack, more="20.00")
    for store_id, tracking in (("north", "none"), ("north", "bce"), ("south", "qtrack")):
        assert merchant.debit(work(tracking=tracking, store_id=store_id)).status_code == 201
    return merchant


def test_one_command_tells_where_the_credits_went(program: Program, spender: Merchant) -> None:
    """Of a store on a day, order by order."""
    today = spender.standing()["as_of"][:10]
    code, told = program.run("usage", spender.account_id, "--store", "north", "--day", today)
    assert code == 0
    orders = {entry["order_id"] for entry in spender.entries(store_id="north")}
    assert orders
    assert all(order_id in told for order_id in orders)
    assert "2.33" in told
    assert "2.50" not in told


@pytest.fixture
def journal(program: Program, spender: Merchant) -> Path:
    """The merchant's journal as the program writes it."""
    code, pages = program.run("journal", spender.account_id)
    assert code == 0
    file = program.home / "journal.jsonl"
    file.write_text(pages)
    return file


def test_the_true_journal_is_verified(program: Program, spender: Merchant, journal: Path) -> None:
    """Offline, up to the page that the balance names."""
    standing = spender.standing()
    anchor = f"{standing['version']}:{standing['hash']}"
    code, told = program.run("verify", str(journal), "--anchor", anchor)
    assert code == 0, told


def test_a_cut_tail_is_seen_with_an_anchor(program: Program, spender: Merchant, journal: Path) -> None:
    """Without one nobody can see it, and the program says so."""
    standing = spender.standing()
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:-1]))
    code, told = program.run("verify", str(journal))
    assert code == 0
    assert "missing last pages" in told
    assert program.run("verify", str(journal), "--anchor", f"{standing['version']}:{standing['hash']}")[0] == REFUSED


def flip(text: str) -> str:
    """The journal with a digit of one page changed, in the page's own text."""
    items = [json.loads(line) for line in text.splitlines()]
    items[TAMPERED_VERSION - 1]["page"] = items[TAMPERED_VERSION - 1]["page"].replace('"posted":-', '"posted":-9', 1)
    return "".join(json.dumps(item) + "\n" for item in items)


def test_a_changed_digit_is_named_with_its_place(program: Program, journal: Path) -> None:
    """It is refused, and the page is named."""
    before = journal.read_text()
    journal.write_text(flip(before))
    assert journal.read_text() != before
    code, told = program.run("verify", str(journal))
    assert code == REFUSED
    assert str(TAMPERED_VERSION) in told


@pytest.fixture
def moving_in(program: Program) -> list[dict[str, Any]]:
    """A file of accounts of another system."""
    prefix = fresh("moved")
    rows = [
        {"account_id": f"{prefix}-{number}", "orders_processor": "active", "auto_order": f"{number}.25"}
        for number in range(1, ACCOUNTS + 1)
    ]
    with (program.home / "accounts.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return rows


def test_accounts_that_move_in_are_there_once(stack: Stack, program: Program, moving_in: list[dict[str, Any]]) -> None:
    """A thousand of them, though the program is stopped on its way twice."""

    def there(number: int) -> bool:
        answer = stack.call("GET", f"/v1/accounts/{moving_in[number]['account_id']}/balance")
        return answer.status_code == 200

    for stop_at in (ACCOUNTS // 20, ACCOUNTS // 8):
        process = program.start("import", "accounts.csv", "--apply")
        while not there(stop_at):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        process.communicate()
        assert not there(ACCOUNTS - 1)
    code, told = program.run("import", "accounts.csv", "--apply", "--report", "report.csv")
    assert code == 0, told
    with (program.home / "report.csv").open(newline="") as file:
        outcomes = Counter(row["outcome"] for row in csv.DictReader(file))
    assert sum(outcomes.values()) == ACCOUNTS
    assert set(outcomes) == {"opened", "there already"}
    for row in moving_in[:: ACCOUNTS // 20]:
        merchant = Merchant(stack, row["account_id"])
        assert merchant.balance() == (row["auto_order"], "0.00", row["auto_order"])
        assert merchant.standing()["version"] == 1
