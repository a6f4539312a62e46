"""`make smoke`: it passes where the stack works, and says what does not where it does not."""

import os
import subprocess
from decimal import Decimal
from typing import Any

import pytest

from tests.kit.smoke import Client, Story, fresh_account, tell
from tests.kit.stack import ALL_SCOPES, PLATFORM, ROOT, Stack


def smoke(stack: Stack, token: str) -> subprocess.CompletedProcess[str]:
    """What the command prints for this stack."""
    shell = os.environ | {"URL": f"{stack.info['api_url']}/v1/", "TOKEN": token}
    command = ["make", "-s", "smoke"]
    return subprocess.run(command, cwd=ROOT, env=shell, capture_output=True, text=True, check=False)  # noqa: S603 - our own


def test_a_stack_that_works_is_told_so(stack: Stack) -> None:
    """Every chapter is ok, and the account is closed at the end."""
    ran = smoke(stack, stack.token(PLATFORM, ALL_SCOPES, ""))
    lines = ran.stdout.splitlines()
    assert (ran.returncode, lines[-1]) == (0, "the stack works"), ran.stdout + ran.stderr
    assert [line[:8] for line in lines[:-1]] == ["ok      "] * 12


def test_a_token_that_is_not_the_platforms_is_told(stack: Stack) -> None:
    """It fails with a line that says why, after what needs no token."""
    ran = smoke(stack, stack.token("merchant", ALL_SCOPES, ""))
    assert ran.returncode != 0
    assert "FAILED  " in ran.stdout
    assert ran.stdout.splitlines()[-1] == "FAILED after 2 steps; the first FAILED line says why"


class Wrong(Client):
    """A client of a stack that shows a credit more than there is."""

    def balance(self, account_id: str, at: str | None = None) -> Any:
        """The balance, and a credit."""
        told = super().balance(account_id, at)
        amounts = told["balances"]["auto_order"]
        amounts["available"] = f"{Decimal(amounts['available']) + 1:.2f}"
        return told


def test_a_stack_that_reckons_wrongly_is_found(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    """The chapter that saw it fails, no later one is begun, and the account is closed all the same."""
    account_id = fresh_account()
    with Wrong(stack.info["api_url"], stack.token(PLATFORM, ALL_SCOPES, "")) as client:
        assert tell(Story(client, stack.info["api_url"], account_id)) == (False, 2)
    told = capsys.readouterr().out
    assert "FAILED  6.00 credits are available, it should be 5.00" in told
    closed = stack.call("GET", f"/v1/accounts/{account_id}/balance").json()["status"]
    assert closed == "closed"
