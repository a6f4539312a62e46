"""`make restore-check TABLE=…`: lists what a point-in-time restore has torn; with REPAIR=1 mends what can be mended.

A table of the running local stack, or else one on AWS, by the credentials and region of the environment. Payment
providers are asked where their secrets can be read: on AWS with STRIPE_SECRET_NAME=… . Each finding is a line, and one
in the file REPORT=… (JSON lines; by default under `.local/restore`). It fails if anything is left to be done.

Repairing refuses a table that may be serving, and nothing overrides that. It can be run again at any time: what is
mended is found no more.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from autocredits.adapters.dynamo import DynamoStore
from autocredits.ledger.ports import UnavailableError
from dev.restore.judge import Finding
from dev.restore.repair import apply
from dev.restore.serving import reason_it_is_young, reasons_it_may_serve
from dev.restore.walk import Screening, Walk
from dev.stack import deploy, signing
from dev.stack.places import ROOT, from_environment
from functions.purchase.payments import registry

REPORTS = ROOT / ".local" / "restore"
REPORTED_ONLY = (
    *("coupon.count", "coupon.uses", "key.forgotten", "payment.unknown"),
    *("purchase.due", "purchase.not_asked"),
)
"""What is told and needs nothing to be done to the table."""

DONE = ("added", "set back", "removed")


class ServingError(Exception):
    """The table may be serving, so it is not repaired. Its text says why."""


@dataclass(frozen=True, slots=True)
class Line:
    """A finding, and what was done about it: `reported`, or what `apply` says."""

    account_id: str
    about: str
    what: str
    detail: str
    did: str

    def text(self) -> str:
        """The line that is printed, its fields parted by tabs."""
        return "\t".join((self.did, self.what, self.account_id or "-", self.about, self.detail))

    def is_open(self) -> bool:
        """Whether somebody still has to do something about it."""
        return self.did not in DONE and self.what not in REPORTED_ONLY


def main() -> None:
    """Check or repair, as the environment says."""
    table_name = os.environ.get("TABLE", "")
    if not table_name:
        raise SystemExit("error: which table? make restore-check TABLE=…")
    dynamodb, functions = open_clients()
    repair = os.environ.get("REPAIR") == "1"
    walk = Walk(DynamoStore(dynamodb, table_name), registry.provider, lambda: time.time_ns() // 1_000_000)
    try:
        if repair:
            refuse_serving(list(reasons_it_may_serve(dynamodb, functions, table_name)))
        with open_report(table_name) as report:
            lines = [tell(line, report) for line in check(walk, repair=repair)]
    except ServingError as error:
        raise SystemExit(f"error: {table_name} may be serving, so it is not repaired: {error}") from None
    except (ClientError, BotoCoreError, UnavailableError) as error:
        raise SystemExit(f"error: the table cannot be read or written: {error}") from None
    left = sum(line.is_open() for line in lines)
    mended = sum(line.did in DONE for line in lines)
    print(f"{len(lines)} findings, {mended} mended, {left} left; see {report.name}")
    if left:
        raise SystemExit(1)


def check(walk: Walk, *, repair: bool) -> Iterator[Line]:
    """Every finding in the table; with `repair`, what can be mended is mended as it is found.

    Raises ServingError before the first change where the table's own times do not show that it is at rest.
    """
    found = walk.screen()
    if repair:
        young = reason_it_is_young(found.latest_ms, walk.now_ms())
        refuse_serving([young] if young else [])
    for finding in findings_of(walk, found):
        did = "reported"
        if repair and finding.change is not None:
            did = apply(walk.store, finding.account_id, finding.change)
        yield Line(finding.account_id, finding.about, finding.what, finding.detail, did)


def findings_of(walk: Walk, found: Screening) -> Iterator[Finding]:
    """What the screening has found, and then what each suspect account's journal says of its records."""
    for account_id in sorted(found.suspects):
        yield from walk.judge(account_id, found.suspects[account_id])
    judged = {account_id: {f"{kind} {name}" for kind, name in keys} for account_id, keys in found.suspects.items()}
    for finding in found.findings:
        if finding.change is not None and finding.about in judged.get(finding.account_id, set()):
            yield Finding(finding.account_id, finding.about, finding.what, finding.detail)
        else:
            yield finding


def refuse_serving(reasons: list[str]) -> None:
    """Raise ServingError if there is any reason."""
    if reasons:
        raise ServingError("; ".join(reasons))


def tell(line: Line, report: TextIO) -> Line:
    """Print the line and write it to the report."""
    print(line.text())
    report.write(json.dumps(asdict(line)) + "\n")
    report.flush()
    return line


def open_report(table_name: str) -> TextIO:
    """The report's file, new and empty."""
    name = f"{table_name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.jsonl"
    path = Path(os.environ.get("REPORT") or REPORTS / name)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("w", encoding="utf-8")


def open_clients() -> tuple[Any, Any]:
    """Clients of DynamoDB and Lambda: of the local stack if it runs, else of AWS."""
    places = from_environment()
    if places.info.exists():
        print(f"on the local stack at {places.endpoint_url}", file=sys.stderr)
        local = {"AWS_ENDPOINT_URL": places.endpoint_url, "AWS_DEFAULT_REGION": deploy.REGION}
        local |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        local |= {"SANDBOX_SECRET_NAME": signing.NAMES["sandbox"], "SANDBOX_PAGE_URL": places.sandbox}
        os.environ.update(local | {"STRIPE_SECRET_NAME": signing.NAMES["stripe"]})  # what the providers are opened by
        return deploy.client("dynamodb", places), deploy.client("lambda", places)
    config = Config(retries={"mode": "standard", "total_max_attempts": 10})
    return boto3.client("dynamodb", config=config), boto3.client("lambda", config=config)


if __name__ == "__main__":
    main()
