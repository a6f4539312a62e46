"""The built template in `sam local`: every recorded event by `invoke`, and an account's first steps by `start-api`.

Needs Docker, so it is apart from `make test`; `make test-sam` builds and runs it.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from dev.stack import deploy, issuer
from dev.stack.places import ROOT, Places, StackInfo, running_stack
from dev.stack.sam_local import SamLocal, sam_local
from tests.e2e.conftest import STOP_SECONDS, free_ports, wait_for
from tests.kit.story import STORY, Step, check, recorded, signed

API_SECONDS = 60
CALL_SECONDS = 60  # a function's first call waits for its container


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    """A local stack of its own, which the functions in containers work on. PORT chooses its port."""
    here = Places(tmp_path_factory.mktemp("stack"), int(os.environ.get("PORT") or free_ports()))
    output = here.home / "output.txt"
    environment = os.environ | {"STACK_HOME": str(here.home), "PORT": str(here.port), "DEMO": "0"}
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "dev.stack.run"], cwd=ROOT, env=environment, stdout=file, stderr=file
        )
        try:
            wait_for(here, process, output)
            yield here
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(STOP_SECONDS)


@pytest.fixture(scope="session")
def info(places: Places) -> StackInfo:
    """The stack's description."""
    return running_stack(places)


@pytest.fixture(scope="session")
def sam(places: Places) -> Iterator[SamLocal]:
    """`sam local` on that stack, with queues that nobody reads: the stack's own worker would be faster."""
    sqs = deploy.client("sqs", places)
    queues = {name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("OrdersQueue", "DeadLetterQueue")}
    with sam_local(places, **queues) as sam:
        yield sam


@pytest.mark.parametrize("step", STORY, ids=lambda step: step.name)
def test_a_recorded_event_is_answered(sam: SamLocal, info: StackInfo, tmp_path: Path, step: Step) -> None:
    """Each recorded event, one after the other, gets the answer in a container that it gets in moto."""
    path = tmp_path / f"{step.name}.json"
    path.write_text(json.dumps(signed(recorded(step.name), info["webhook_secrets"]["sandbox"])))
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


def test_an_account_takes_its_first_steps(api: str, places: Places, info: StackInfo) -> None:
    """Over `start-api` an account opens, is debited and reads its balance, all in the stack's table."""
    headers = {"Authorization": f"Bearer {issuer.mint(places.key, info['issuer'], account_id='first-steps')}"}
    account = "/v1/accounts/first-steps"
    opened = requests.put(api + account, json={"orders_processor": "active"}, headers=headers, timeout=CALL_SECONDS)
    assert (opened.status_code, opened.json()["balances"]["auto_order"]["available"]) == (201, "5.00")

    work = {"order_id": "A-1", "store_id": "shop-1", "order_type": "auto", "tracking": "bce"}
    keyed = {**headers, "Idempotency-Key": "debit-A-1"}
    debited = requests.post(f"{api}{account}/debits", json=work, headers=keyed, timeout=CALL_SECONDS)
    assert (debited.status_code, debited.json()["credits"]) == (201, "1.33")

    balances = [
        requests.get(f"{base}{account}/balance", headers=headers, timeout=CALL_SECONDS).json()["balances"]
        for base in (api, info["api_url"])
    ]
    assert balances[0]["auto_order"] == {"posted": "3.67", "held": "0.00", "available": "3.67"}
    assert balances[1] == balances[0]
