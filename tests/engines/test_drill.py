"""The runbook: its drill is run as it is written, and every alarm has its paragraph."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest

from autocredits.adapters.dynamo import DynamoStore
from dev.stack.places import ROOT
from dev.stack.transform import read_template
from tests.engines.restored import Items, Place, Table
from tests.kit.builders import adjust, debit, order
from tests.kit.engines import Endpoint, client_of, make_table

RUNBOOK = (ROOT / "docs" / "runbook.md").read_text("utf-8")

AWS = f"""#!{sys.executable}
import re, sys
import boto3

service, operation, *rest = sys.argv[1:]
waits = operation == "wait"
operation = rest.pop(0) if waits else operation
named = {{name: value for name, value in zip(rest[::2], rest[1::2], strict=True)}}
arguments = {{"".join(map(str.capitalize, name[2:].split("-"))): value for name, value in named.items()}}
client = boto3.client(service)
name = operation.replace("-", "_")
client.get_waiter(name).wait(**arguments) if waits else getattr(client, name)(**arguments)
"""
"""What `aws` does with the commands of the drill, for machines without it."""


def commands(heading: str) -> list[str]:
    """The commands under a bold heading of the drill, without those that only set what the reader has to know."""
    block = RUNBOOK.split(f"**{heading}")[1].split("```sh\n")[1].split("```")[0]
    return [line for line in block.splitlines() if not line.startswith("export ")]


@pytest.fixture
def shell(endpoint: Endpoint, tmp_path: Path) -> Mapping[str, str]:
    """The environment of somebody who goes through the drill, on an emulator of AWS."""
    (tmp_path / "aws").write_text(AWS)
    (tmp_path / "aws").chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "STRIPE_"))}
    return {
        **kept,
        "PATH": f"{tmp_path}:{kept['PATH']}",
        "AWS_ENDPOINT_URL_DYNAMODB": endpoint("ministack"),
        "AWS_ENDPOINT_URL_LAMBDA": endpoint("ministack"),
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "POINT": "2026-11-26T09:00:00Z",
        "REPORT": str(tmp_path / "report.jsonl"),
    }


def run(command: str, shell: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command of the drill as it is written."""
    words = ["bash", "-c", command]
    return subprocess.run(words, cwd=ROOT, env=shell, capture_output=True, text=True, check=False)  # noqa: S603 - ours


def happened(client: Any) -> tuple[Table, Items]:
    """A table in which something happened, and what it was before the last two requests."""
    table = Table(DynamoStore(client, make_table(client)))
    table.begin()
    before = table.items()
    table.do(debit(order(tracking="bce")))
    table.do(adjust("finder", 700))
    return table, before


def tear(restored: Table, before: Items) -> None:
    """Lose the newest page, and the record of an older one."""
    new: set[Place] = restored.items().keys() - before.keys()
    page = max(place for place in new if place[1].startswith("page#"))
    work = next(place for place in new if place[1] == "work")
    restored.delete(page, work)


def test_the_drill_goes_as_it_is_written(endpoint: Endpoint, shell: dict[str, str]) -> None:
    """Restored, torn by hand, checked, repaired, and checked again: the last run finds nothing."""
    client = client_of(endpoint("ministack"))
    table, before = happened(client)
    shell |= {"SERVING": table.store.table_name, "RESTORED": f"{table.store.table_name}-restored"}
    for command in commands("2. Restore**"):
        done = run(command, shell)
        assert done.returncode == 0, done.stderr
    restored = Table(DynamoStore(client, shell["RESTORED"]), table.clock)
    assert restored.items() == table.items()
    tear(restored, before)
    torn = restored.items()

    first, repair, last = commands("3. Check it.**")
    found = run(first, shell)
    assert found.returncode != 0
    assert "2 findings, 0 mended, 2 left" in found.stdout
    assert restored.items() == torn
    mended = run(repair, shell)
    assert (mended.returncode, "2 findings, 2 mended, 0 left" in mended.stdout) == (0, True), mended.stderr
    report = [json.loads(line) for line in Path(shell["REPORT"]).read_text().splitlines()]
    assert {(line["what"], line["did"]) for line in report} == {
        ("work.missing", "added"),
        ("key.page_lost", "removed"),
    }
    assert [line["before"] is None for line in report] == [line["after"] is not None for line in report]
    clean = run(last, shell)
    assert (clean.returncode, "0 findings, 0 mended, 0 left" in clean.stdout) == (0, True), clean.stdout
    assert table.do(debit(order(tracking="bce"))) == "already_charged"


@pytest.mark.parametrize("why", ["function", "stream", "unknown"])
def test_a_serving_table_is_refused(why: str, endpoint: Endpoint, shell: dict[str, str]) -> None:
    """A function names it, its stream is on, or Lambda cannot be asked: nothing is written."""
    client = client_of(endpoint("ministack"))
    table, before = happened(client)
    name = table.store.table_name
    tear(table, before)
    torn = table.items()
    functions = boto3.client("lambda", endpoint_url=endpoint("ministack"), **keys(shell))
    made = f"f-{name[-12:]}"
    if why == "function":
        make_function(functions, made, name)
    if why == "stream":
        stream = {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
        client.update_table(TableName=name, StreamSpecification=stream)
    if why == "unknown":
        shell["AWS_ENDPOINT_URL_LAMBDA"] = "http://127.0.0.1:9"
    done = run(f"make restore-check TABLE={name} REPAIR=1", shell)
    if why == "function":
        functions.delete_function(FunctionName=made)
    assert done.returncode != 0
    assert "may be serving, so it is not repaired" in done.stderr
    assert table.items() == torn


def keys(shell: Mapping[str, str]) -> dict[str, Any]:
    """Region and credentials for a client."""
    return {
        "region_name": shell["AWS_DEFAULT_REGION"],
        "aws_access_key_id": "test",
        "aws_secret_access_key": "test",
    }


def make_function(functions: Any, name: str, table_name: str) -> None:
    """A function that names the table."""
    functions.create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role="arn:aws:iam::000000000000:role/r",
        Handler="app.handler",
        Code={"ZipFile": b"PK\x05\x06" + bytes(18)},
        Environment={"Variables": {"TABLE_NAME": table_name}},
    )


def test_every_alarm_has_its_paragraph() -> None:
    """Whoever is woken by one finds its name in the runbook."""
    resources = read_template()["Resources"]
    alarms = {name for name, made in resources.items() if made.get("Type") == "AWS::CloudWatch::Alarm"}
    each = {name for name in alarms if name.endswith("Errors")}  # one for every function
    assert len(each) >= 10
    assert alarms - each == set(re.findall(r"^### (\w+)$", RUNBOOK, flags=re.MULTILINE))
