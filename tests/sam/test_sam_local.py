"""The built template in `sam local`: every recorded event by `invoke`, and an account's first steps by `start-api`.

Needs Docker, so it is apart from `make test`; `make test-sam` builds and runs it.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from tests.kit.stack import (
    ALL_SCOPES,
    PLATFORM,
    STOP_SECONDS,
    SamLocal,
    Stack,
    free_ports,
    new_places,
    run_stack,
    sam_local,
)
from tests.kit.story import STORY, Step, check, recorded, signed

API_SECONDS = 60
CALL_SECONDS = 60  # a function's first call waits for its container


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A local stack of its own, which the functions in containers work on. PORT chooses its port."""
    with run_stack(new_places(tmp_path_factory.mktemp("stack"), int(os.environ.get("PORT") or 0))) as stack:
        yield stack


@pytest.fixture(scope="session")
def sam(stack: Stack) -> Iterator[SamLocal]:
    """`sam local` on that stack, with queues that nobody reads: the stack's own worker would be faster."""
    sqs = stack.client("sqs")
    queues = {name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("OrdersQueue", "DeadLetterQueue")}
    with sam_local(stack.places, **queues) as sam:
        yield sam


@pytest.mark.parametrize("step", STORY, ids=lambda step: step.name)
def test_a_recorded_event_is_answered(sam: SamLocal, stack: Stack, tmp_path: Path, step: Step) -> None:
    """Each recorded event, one after the other, gets the answer in a container that it gets in moto."""
    path = tmp_path / f"{step.name}.json"
    path.write_text(json.dumps(signed(recorded(step.name), stack.info["webhook_secrets"]["sandbox"])))
    check(step, sam.invoke(path))


@pytest.fixture
def api(sam: SamLocal, tmp_path: Path) -> Iterator[str]:
    """The address of `sam local start-api`, once it answers."""
    port = free_ports()
    url = f"http://127.0.0.1:{port}"
    log = tmp_path / "sam.log"
    with log.open("wb") as file:
        process = sam.start_api(port, file)
        try:
            wait_for_api(url, process, log)
            yield url
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(STOP_SECONDS)


def wait_for_api(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the API answers at all."""
    deadline = time.monotonic() + API_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(requests.ConnectionError):
            requests.get(f"{url}/v1/health", timeout=CALL_SECONDS)
            return
        time.sleep(0.1)
    pytest.fail(f"sam local start-api did not start:\n{log.read_text()}", pytrace=False)


def test_an_account_takes_its_first_steps(api: str, stack: Stack) -> None:
    """Over `start-api` an account opens, is debited and reads its balance, all in the stack's table."""
    headers = {"Authorization": f"Bearer {stack.token(PLATFORM, ALL_SCOPES, '')}"}
    account = "/v1/accounts/first-steps"
    opened = requests.put(api + account, json={"orders_processor": "active"}, headers=headers, timeout=CALL_SECONDS)
    assert (opened.status_code, opened.json()["balances"]["auto_order"]["available"]) == (201, "5.00")

    work = {"order_id": "A-1", "store_id": "shop-1", "order_type": "auto", "tracking": "bce"}
    keyed = {**headers, "Idempotency-Key": "debit-A-1"}
    debited = requests.post(f"{api}{account}/debits", json=work, headers=keyed, timeout=CALL_SECONDS)
    assert (debited.status_code, debited.json()["credits"]) == (201, "1.33")

    balances = [
        requests.get(f"{base}{account}/balance", headers=headers, timeout=CALL_SECONDS).json()["balances"]
        for base in (api, stack.info["api_url"])
    ]
    assert balances[0]["auto_order"] == {"posted": "3.67", "held": "0.00", "available": "3.67"}
    assert balances[1] == balances[0]
