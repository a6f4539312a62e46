"""The program `credits`, command by command, on a stack in memory that answers over HTTP."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from autocredits import __version__
from credits import Client
from credits.program.main import cli
from credits.work import order
from tests.kit.served import Served, serving

Run = Callable[..., Result]


@pytest.fixture
def run(served: Served, acme: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:  # noqa: ARG001
    """Run a command in a folder of its own, as the platform unless `token` says otherwise; account `acme` is open."""
    monkeypatch.chdir(tmp_path)
    with serving(served) as address:

        def run_one(*arguments: str, token: str = "platform", **options: Any) -> Result:
            environment = {"CREDITS_API": address, "CREDITS_TOKEN": token, "COLUMNS": "160"}
            return CliRunner(env=environment).invoke(cli, arguments, **options)

        yield run_one


def test_a_balance_shows_every_unit_and_an_anchor(run: Run) -> None:
    """What is posted, held and available, and the version and hash to keep."""
    result = run("balance", "acme")
    assert result.exit_code == 0, result.output
    assert "20.00" in result.output
    assert "100.00" in result.output
    told = json.loads(run("balance", "acme", "--json").output)
    assert f"{told['version']}:{told['hash']}" in result.output.replace("\n", "")


def test_history_tells_what_moved_every_credit(run: Run, acme: Client) -> None:
    """In JSON a line each, newest first."""
    acme.debit("acme", order("o1", "north"))
    lines = [json.loads(line) for line in run("history", "acme", "--json").output.splitlines()]
    assert [(line["kind"], line["unit"]) for line in lines[:2]] == [("debited", "auto_order"), ("granted", "managed")]


def test_a_statement_is_read_by_a_csv_parser(run: Run) -> None:
    """From its opening rows to its closing ones."""
    rows = list(csv.DictReader(io.StringIO(run("statement", "acme").output)))
    assert (rows[0]["kind"], rows[-1]["kind"]) == ("opening", "closing")


def test_usage_of_a_store_and_a_day_names_its_orders(run: Run, acme: Client) -> None:
    """And no other store's."""
    acme.debit("acme", order("o1", "north"))
    acme.debit("acme", order("o2", "south"))
    today = acme.balance("acme")["as_of"][:10]
    output = run("usage", "acme", "--store", "north", "--day", today).output
    assert "o1" in output
    assert "o2" not in output


def test_orders_are_listed_by_status(run: Run, acme: Client) -> None:
    """A list filtered by status; resending what has not failed is refused with its own exit code."""
    acme.queue_order("acme", order("o1", "north"))
    assert "o1" in run("orders", "acme", "--status", "queued").output
    assert "o1" not in run("orders", "acme", "--status", "failed").output
    assert run("resend", "acme", "o1").exit_code == 3


def test_a_quote_moves_nothing(run: Run, acme: Client) -> None:
    """It says what the work would cost."""
    before = acme.balance("acme")["version"]
    result = run("quote", "acme", "--order", "o1", "--store", "north", "--type", "auto", "--tracking", "bce")
    assert "1.33" in result.output, result.output
    assert acme.balance("acme")["version"] == before


def test_a_journal_that_the_program_wrote_is_verified_by_it(run: Run, tmp_path: Path) -> None:
    """With the anchor that the balance prints."""
    file = tmp_path / "journal.jsonl"
    file.write_text(run("journal", "acme").output)
    told = json.loads(run("balance", "acme", "--json").output)
    result = run("verify", str(file), "--anchor", f"{told['version']}:{told['hash']}")
    assert result.exit_code == 0, result.output
    assert run("verify", str(file), "--anchor", f"{told['version']}:{'0' * 64}").exit_code == 1


def test_an_import_is_a_dry_run_unless_told_otherwise(run: Run, platform: Client, tmp_path: Path) -> None:
    """Then it opens each account once, however often it is run; a row that differs is told and changes nothing."""
    file = tmp_path / "accounts.csv"
    file.write_text("account_id,orders_processor,auto_order\nm1,active,7.25\nm2,inactive,\nacme,active,1.00\n")
    assert "would open" in run("import", str(file)).output
    with pytest.raises(Exception, match="account_not_found"):
        platform.balance("m1")
    for outcome in ("opened", "there already"):
        result = run("import", str(file), "--apply", "--json")
        outcomes = {
            row["account_id"]: row["outcome"]
            for row in map(json.loads, result.output.splitlines())
            if "account_id" in row
        }
        assert outcomes == {"m1": outcome, "m2": outcome, "acme": "differs"}, result.output
        assert result.exit_code == 1
    assert platform.balance("m1")["balances"]["auto_order"]["posted"] == "7.25"


def test_past_work_is_priced_by_another_card(run: Run, acme: Client, tmp_path: Path) -> None:
    """By store and action, with the difference."""
    acme.debit("acme", order("o1", "north", tracking="bce"))
    card = json.loads(json.dumps(acme.rates()))
    for rate in card["rates"]:
        rate["credits"] = "2.00" if (rate["order_type"], rate["tracking"]) == ("auto", "bce") else rate["credits"]
    file = tmp_path / "new.json"
    file.write_text(json.dumps(card | {"rate_card": "new"}))
    since = acme.balance("acme")["as_of"][:10]
    result = run("price", "acme", "--card", str(file), "--from", since, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["total"]["difference"] == "0.67"


@pytest.mark.parametrize(
    ("arguments", "token", "code"),
    [
        (("balance", "nobody"), "platform", 3),
        (("balance", "acme"), "expired", 4),
        (("balance",), "platform", 2),
        (("verify", "missing.jsonl"), "platform", 2),
    ],
)
def test_exit_codes_tell_what_went_wrong(run: Run, arguments: tuple[str, ...], token: str, code: int) -> None:
    """Wrong use, a refusal, a token that is none."""
    assert run(*arguments, token=token).exit_code == code


def test_the_version_is_the_services(run: Run) -> None:
    """They are one release."""
    assert __version__ in run("--version").output
