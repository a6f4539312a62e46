"""The page on the program: each command prints what the page shows. `KEEP_PAGE=1` writes what they print into it."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from credits import Client
from credits.program.main import cli
from credits.work import order
from tests.kit import builders
from tests.kit.served import Served, serving
from tests.kit.template import ROOT

PAGE = ROOT / "docs" / "cli.md"
ADDRESS = "http://127.0.0.1:5000"
EXAMPLE = re.compile(r"```console\n\$ credits ([^\n]*)\n(.*?)```", re.DOTALL)


@pytest.fixture
def address(served: Served, acme: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A stack with the page's account and files."""
    monkeypatch.chdir(tmp_path)
    acme.debit("acme", order("1001", "north", tracking="bce"), key="k1")
    acme.debit("acme", order("1002", "north"), key="k2")
    acme.debit("acme", order("2001", "south", tracking="qtrack"), key="k3")
    for command in (builders.requested(), builders.failed()):
        served.ledger().execute("acme", command)
    Path("accounts.csv").write_text("account_id,orders_processor,auto_order\nanna,active,7.25\nbo,inactive,\n")
    card = json.loads(json.dumps(acme.rates()))
    for rate in card["rates"]:
        rate["credits"] = "2.00" if rate["tracking"] == "bce" else rate["credits"]
    Path("new.json").write_text(json.dumps({**card, "rate_card": "new"}))
    pages = "".join(json.dumps(page) + "\n" for page in acme.journal("acme"))
    Path("tampered.jsonl").write_text(pages.replace(r"\"posted\":-133", r"\"posted\":-333"))
    with serving(served) as address:
        yield address


def test_the_page_shows_what_the_commands_print(address: str) -> None:
    """All of them, in the page's order."""
    environment = {"CREDITS_API": address, "CREDITS_TOKEN": "platform", "COLUMNS": "118"}
    runner = CliRunner(env=environment)

    def printed(example: re.Match[str]) -> str:
        result = runner.invoke(cli, example[1].split())
        assert result.exit_code in {0, 1}, (example[1], result.output, result.exception)
        told = "\n".join(line.rstrip() for line in result.output.replace(address, ADDRESS).splitlines())
        told = f"{told.strip(chr(10))}\n" if told.strip() else ""
        return f"```console\n$ credits {example[1]}\n{told}```"

    before = PAGE.read_text("utf-8")
    after = EXAMPLE.sub(printed, before)
    if os.environ.get("KEEP_PAGE"):
        PAGE.write_text(after, "utf-8")
    assert before == after


def test_every_command_is_on_the_page() -> None:
    """With an example."""
    assert {example[1].split()[0] for example in EXAMPLE.finditer(PAGE.read_text("utf-8"))} == set(cli.commands)
