"""`make run`: the whole service on this machine, until Ctrl-C."""

import os
import signal
import socket
import time
from contextlib import ExitStack, suppress
from types import FrameType

import requests

from dev.page import library
from dev.page import serving as page
from dev.stack import demo, deploy, issuer, package, providers, sandbox, signing, transform
from dev.stack.demo_engine import ACCOUNT
from dev.stack.emulator import Process, emulator
from dev.stack.places import Places, StackInfo, alone, from_environment, write_info

READY_SECONDS = 60
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> None:
    """Start everything, serve, and stop everything."""
    for number in STOPPING:
        signal.signal(number, _interrupt)
    with suppress(KeyboardInterrupt), ExitStack() as stack:
        serve(from_environment(), stack)


def serve(places: Places, stack: ExitStack) -> None:
    """Bring the stack up, describe it, and wait; `stack` takes everything down again, last thing first."""
    began = time.monotonic()
    stack.enter_context(alone(places))
    places.data.mkdir(exist_ok=True)
    places.info.unlink(missing_ok=True)  # left by a stack that was killed
    doubles = stack.enter_context(providers.doubles(places))
    for port in (places.port, places.issuer_port, places.sandbox_port, places.page_port):
        _require_free(port)

    _say("building the functions and their layer")
    template = transform.read_template()
    packages = package.build_all(template)
    library.fetch_library()

    _say(f"starting the token issuer on {places.issuer} and the emulator on {places.endpoint_url}")
    issuer.make_key(places.key)
    stack.enter_context(issuer.serving(places.key, places.issuer, places.issuer_port, places.page))
    stack.callback(_say, "stopped; the data is kept (`make reset` forgets it)")
    process = stack.enter_context(emulator(places, deploy.REGION))
    stack.callback(_ignore_signals)

    _say("deploying template.yaml")
    signing_secrets = signing.make(places)
    secrets = providers.secrets_of(places, doubles, signing_secrets)
    signing.put(deploy.client("secretsmanager", places), secrets)
    outcome = deploy.deploy(template, packages, places, secrets)
    info = _describe(places, signing_secrets)
    stack.enter_context(sandbox.serving(places, info))
    stack.enter_context(page.serving(template, places.issuer, info["api_url"], places.page_port))
    stack.enter_context(providers.sending(doubles, info))
    _wait_for_api(info)
    _say(f"deployed ({outcome}); running the demo account's first order through the queue")
    engine = demo.engine_of(places, info)
    balance = demo.run_first_order(places, info, engine)

    stack.callback(places.info.unlink, missing_ok=True)
    write_info(places, info)
    _say(f"ready after {time.monotonic() - began:.1f} s\n")
    print(welcome(info, balance["balances"]["auto_order"]), flush=True)
    if os.environ.get("DEMO", "1") != "0":
        stack.enter_context(demo.playing(places, info, engine))
    _wait(process, places)


def welcome(info: StackInfo, credits_left: dict[str, str]) -> str:
    """What a developer can do next, one line to paste for each main route."""
    url = f"{info['api_url']}/v1/accounts/{ACCOUNT}"
    auth = f'-H "Authorization: Bearer $(make -s token ACCOUNT={ACCOUNT})"'
    work = '{"order_id": "ORDER", "store_id": "demo-store", "order_type": "auto", "tracking": "bce"}'
    buy = '{"package": "auto_order-100", "payment_method": "card"}'
    post = f'curl -sS {auth} -H "Content-Type: application/json"'
    lines = [
        f"Page:     {info['page_url']}/ (sign in as {ACCOUNT})",
        f"API:      {info['api_url']}/v1",
        f"AWS:      {info['endpoint_url']} (any credentials; SQS, DynamoDB, EventBridge)",
        f"Balance:  account {ACCOUNT} has {credits_left['available']} auto_order credits after its first order",
        "",
        "Paste one of these into another terminal, in this folder:",
        "",
        f"curl -sS {auth} {url}/balance",
        f"{post} -H 'Idempotency-Key: try-1' -d '{work.replace('ORDER', 'try-1')}' {url}/debits",
        f"{post} -H 'Idempotency-Key: try-2' -d '{work.replace('ORDER', 'try-2')}' {url}/holds",
        f"{post} -d '{{}}' {url}/holds/try-2~1/capture",
        f"curl -sS {auth} {url}/entries",
        f"{post} -H 'Idempotency-Key: try-3' -d '{work.replace('ORDER', 'try-3')}' {url}/orders",
        f"curl -sS {auth} {url}/orders/try-3",
        f"{post} -d '{work.replace('ORDER', 'try-4')}' {url}/quotes",
        f"curl -sS {auth} {info['api_url']}/v1/rates",
        f"{post} -H 'Idempotency-Key: buy-1' -d '{buy}' {url}/purchases",
        "",
        "Ctrl-C stops everything and keeps the data. A demo sends orders of account demo; DEMO=0 leaves it out.",
    ]
    return "\n".join(lines)


def _describe(places: Places, secrets: dict[str, str]) -> StackInfo:
    values = deploy.outputs(places)
    return {
        "api_url": deploy.api_url(places),
        "endpoint_url": places.endpoint_url,
        "region": deploy.REGION,
        "orders_queue_url": values["OrdersQueueUrl"],
        "dead_letter_queue_url": values["DeadLetterQueueUrl"],
        "table_name": values["TableName"],
        "bus_name": values["BusName"],
        "issuer": places.issuer,
        "page_url": places.page,
        "webhook_secrets": secrets,
    }


def _wait_for_api(info: StackInfo) -> None:
    deadline = time.monotonic() + READY_SECONDS
    answer = ""
    while time.monotonic() < deadline:
        try:
            response = requests.get(f"{info['api_url']}/v1/health", timeout=30)
            if response.ok:
                return
            answer = response.text
        except requests.RequestException as error:
            answer = str(error)
        time.sleep(0.2)
    raise SystemExit(f"error: the API does not answer: {answer}")


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise SystemExit(f"error: port {port} is in use; choose another with `make run PORT=…`") from None


def _wait(process: Process, places: Places) -> None:
    process.wait()
    raise SystemExit(f"error: the emulator stopped by itself; see {places.log}")


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _ignore_signals() -> None:
    """While stopping: a second Ctrl-C must not keep the data from being saved. Stopping is bounded in time."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    _say("\nstopping")


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
