"""`make run` as a developer meets it: it starts, keeps its data, says what is wrong, and leaves nothing behind."""

import re
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.merchant import Merchant, opened, work
from tests.kit.stack import ROOT, Places, environment_of, new_places, run_stack

REFUSED_SECONDS = 60


@dataclass(frozen=True)
class Stopped:
    """What a stack was asked before Ctrl-C, and what was seen of it."""

    places: Places
    account_id: str
    order: dict[str, Any]
    answer: str
    entries: list[dict[str, Any]]
    token: str
    ran: list[int]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Stopped:
    """A stack that ran, charged an order under the key `key-1`, and was stopped."""
    places = new_places(tmp_path_factory.mktemp("lifecycle"))
    with run_stack(places, by_make=True) as stack:
        merchant, order = opened(stack), work(tracking="bce")
        answer = merchant.debit(order, "key-1").text
        token = stack.token("*", "credits:read", "")
        ran = processes_of(places)
        entries = merchant.entries()
    return Stopped(places, merchant.account_id, order, answer, entries, token, ran)


def test_a_stopped_stack_leaves_no_process(stopped: Stopped) -> None:
    """Nothing of it runs any more, its ports are free and its description is gone."""
    assert stopped.ran
    assert not processes_of(stopped.places)
    assert not stopped.places.info.exists()
    places = stopped.places
    for port in (places.port, places.issuer_port, places.sandbox_port, places.page_port):
        with socket.socket() as free:
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            free.bind(("127.0.0.1", port))


def test_a_second_start_finds_the_data(stopped: Stopped) -> None:
    """Balances, entries, keys and the signing key are there; a start beside it is refused with one line."""
    with run_stack(stopped.places, by_make=True) as stack:
        merchant = Merchant(stack, stopped.account_id)
        assert merchant.balance() == ("3.67", "0.00", "3.67")
        assert merchant.entries() == stopped.entries
        again = merchant.debit(stopped.order, "key-1")
        assert (again.text, again.headers["Idempotent-Replayed"]) == (stopped.answer, "true")
        headers = {"Authorization": f"Bearer {stopped.token}"}
        assert stack.call_as_is("GET", "/v1/rates", headers=headers).status_code == 200
        beside = refused(stopped.places)
        assert re.fullmatch(r"error: .*\n", beside), beside
        assert merchant.balance() == ("3.67", "0.00", "3.67")


def test_a_busy_port_gives_one_clear_line(tmp_path: Path) -> None:
    """It names the port, and nothing was started."""
    places = new_places(tmp_path)
    for port in (places.port, places.issuer_port):
        with socket.socket() as busy:
            busy.bind(("127.0.0.1", port))
            busy.listen()
            output = refused(places)
        assert re.fullmatch(rf"error: .*\b{port}\b.*\n", output), output
        assert not processes_of(places)
        assert not places.info.exists()


def refused(places: Places) -> str:
    """What a `make run` that cannot start prints, without make's own remark that it failed."""
    result = subprocess.run(
        ["make", "-s", "run"],  # noqa: S607
        cwd=ROOT,
        env=environment_of(places),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=REFUSED_SECONDS,
        check=False,
    )
    assert result.returncode != 0
    return re.sub(r"^make.*\n", "", result.stdout, flags=re.MULTILINE)


def processes_of(places: Places) -> list[int]:
    """The processes that work in the stack's folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            variables = (process / "environ").read_bytes().split(b"\0")
        except OSError:  # it has just ended
            continue
        if f"STACK_HOME={places.home}".encode() in variables:
            found.append(int(process.name))
    return found
