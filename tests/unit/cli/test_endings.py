"""How the program ends: exit codes, errors in JSON, a reader that goes away, tokens, and payments."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from credits import Client, order
from credits.program.main import cli
from credits.program.output import clean
from dev.stack.sandbox import sign
from tests.kit.handlers import SECRET
from tests.kit.served import Served, serving
from tests.kit.template import ROOT

KEY = "top-up-1"


@pytest.fixture
def address(served: Served, acme: Client) -> Iterator[str]:  # noqa: ARG001 - account `acme` is open
    """Where the stack answers."""
    with serving(served) as address:
        yield address


def run(address: str, *arguments: str, **environment: str | None) -> Result:
    """Run a command as the platform, unless the environment says otherwise."""
    env = {"CREDITS_API": address, "CREDITS_TOKEN": "platform", "CREDITS_TOKEN_FILE": None, "COLUMNS": "160"}
    return CliRunner(env=env | environment).invoke(cli, arguments)


def test_a_reader_that_goes_away_is_no_error(address: str, acme: Client) -> None:
    """As with `| head`: nothing on stderr, and 141, as of a program that the closed pipe ends."""
    for number in range(15):
        acme.debit("acme", order(f"o{number}", "s1"))
    shell = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT / "cli"), str(ROOT / "layers" / "common")]),
        "CREDITS_API": address,
        "CREDITS_TOKEN": "acme",
    }
    for arguments in (["history", "acme"], ["history", "acme", "--json"], ["journal", "acme"], ["statement", "acme"]):
        read_end, write_end = os.pipe()
        os.close(read_end)
        command = [sys.executable, "-m", "credits", *arguments]
        ran = subprocess.run(command, env=shell, stdout=write_end, stderr=subprocess.PIPE, check=False)  # noqa: S603 - our own
        os.close(write_end)
        assert (ran.returncode, ran.stderr) == (141, b""), arguments


def test_an_error_is_json_where_json_is_wanted(address: str) -> None:
    """With the problem's members, on stderr; else it is one line."""
    told = run(address, "balance", "nobody", "--json")
    assert (told.stdout, json.loads(told.stderr)["error"]["code"]) == ("", "account_not_found")
    assert run(address, "balance", "nobody").stderr.startswith("error: No such account. (404 account_not_found)")


def test_a_token_is_read_from_a_file(address: str, tmp_path: Path) -> None:
    """The option's file goes before the environment's token, and that before the environment's file."""
    file, other = tmp_path / "token", tmp_path / "other"
    file.write_text("acme\n")
    other.write_text("expired\n")
    assert run(address, "balance", "acme", "--token-file", str(file), CREDITS_TOKEN="expired").exit_code == 0
    assert run(address, "balance", "acme", CREDITS_TOKEN=None, CREDITS_TOKEN_FILE=str(file)).exit_code == 0
    assert run(address, "balance", "acme", CREDITS_TOKEN="acme", CREDITS_TOKEN_FILE=str(other)).exit_code == 0


def test_without_a_token_it_says_where_one_comes_from(address: str, tmp_path: Path) -> None:
    """With the exit code of no access; a token that cannot be one is not repeated."""
    nothing = run(address, "balance", "acme", CREDITS_TOKEN=None)
    assert (nothing.exit_code, "make -s token" in nothing.stderr) == (4, True)
    odd = run(address, "balance", "acme", CREDITS_TOKEN="my secret")
    assert (odd.exit_code, "secret" in odd.output) == (4, False)
    assert run(address, "balance", "acme", CREDITS_TOKEN=None, CREDITS_TOKEN_FILE=str(tmp_path)).exit_code == 4


def test_no_option_takes_a_token() -> None:
    """Whoever lists a machine's processes would see it."""
    options = {option for command in cli.commands.values() for one in command.params for option in one.opts}
    assert "--token-file" in options
    assert "--token" not in options


def test_the_local_stack_is_found_in_a_folder_above(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the file that it writes; without one, and without an address, the program says what to do."""
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert run(address, "balance", "acme", CREDITS_API=None, STACK_HOME=None).exit_code == 2
    (tmp_path / ".local").mkdir()
    (tmp_path / ".local" / "stack.json").write_text(json.dumps({"api_url": address}))
    assert run(address, "balance", "acme", CREDITS_API=None, STACK_HOME=None).exit_code == 0


def test_a_stack_that_does_not_answer_is_to_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 5, after the client's own tries."""
    monkeypatch.setattr("credits.transport.Retries.wait_s", lambda *_: 0.0)
    told = run("http://127.0.0.1:9", "balance", "acme")
    assert (told.exit_code, "safe to try again" in told.stderr) == (5, True)


def pay(served: Served, acme: Client, what: str) -> None:
    """Let the sandbox say something of the one purchase that waits."""
    (bought,) = [one for one in acme.purchases("acme") if one["status"] in {"pending", "declined"}]
    event: dict[str, Any] = {
        "id": f"evt_{what}",
        "type": what,
        "account_id": "acme",
        "purchase_id": bought["purchase_id"],
        "payment_id": f"pay_{what}",
        "amount": bought["price"],
        "currency": "USD",
    }
    body = json.dumps(event).encode()
    now = str(int(time.time()))
    signature = {"Sandbox-Signature": f"t={now},v1={sign(SECRET, now, body)}"}
    reply = served.answer("POST", "/v1/payments/sandbox/webhook", signature, body)
    assert reply.status == 200, reply.text


def test_a_top_up_waits_for_its_payment(
    address: str, served: Served, acme: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A decline is told, and the buyer may still pay; then the credits are there."""
    news = iter(["payment.declined", None, "payment.succeeded"])

    def sleep(_: float) -> None:
        if what := next(news):
            pay(served, acme, what)

    monkeypatch.setattr("credits.program.buying.time.sleep", sleep)
    told = run(address, "top-up", "acme", "auto_order-20", "--key", KEY)
    assert told.exit_code == 0, told.output
    assert "/pay/acme/" in told.stdout
    assert told.stderr.count("declined") == 1
    assert acme.balance("acme")["balances"]["auto_order"]["posted"] == "40.00"


def test_a_top_up_is_gone_on_with_by_its_key(address: str, served: Served, acme: Client) -> None:
    """The same key is the same purchase: one that ended unpaid, and was paid meanwhile, is bought once."""
    first = run(address, "top-up", "acme", "auto_order-20", "--key", KEY, "--wait", "0")
    assert (first.exit_code, f"--key {KEY}" in first.stderr) == (1, True)
    pay(served, acme, "payment.succeeded")
    again = run(address, "top-up", "acme", "auto_order-20", "--key", KEY, "--json")
    assert (again.exit_code, json.loads(again.stdout)["status"]) == (0, "credited")
    assert len(list(acme.purchases("acme"))) == 1


@pytest.mark.parametrize("arguments", [[], ["auto_order-20", "--amount", "50.00"]])
def test_a_top_up_is_of_one_thing(address: str, arguments: list[str]) -> None:
    """A package or an amount."""
    assert run(address, "top-up", "acme", *arguments).exit_code == 2


def test_what_a_merchant_wrote_does_nothing_to_a_terminal() -> None:
    """Control characters, and those that turn a line around, are shown as unknown ones."""
    assert clean("a\x1b[2Jb\r\u202ec\n") == "a\ufffd[2Jb\ufffd\ufffdc\ufffd"
