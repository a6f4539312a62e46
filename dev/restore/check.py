"""`make restore-check TABLE=…`: lists what a point-in-time restore has torn; with REPAIR=1 mends what can be mended.

A table of the running local stack, or one on AWS, by the credentials and region of the environment; an AWS endpoint
that the environment names comes before both. Payment providers are asked where their secrets can be read: on AWS with
STRIPE_SECRET_NAME=… . Each finding is a line, and one in the file REPORT=… (JSON lines, with what was there and what
is there now; by default under `.local/restore`). It fails if anything is left to be done.

Repairing refuses a table that may be serving, and nothing overrides that. It can be run again at any time: what is
mended is found no more.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from autocredits.adapters.dynamo import DynamoStore
from autocredits.domain.purchases.record import Purchase
from autocredits.domain.records import Record
from autocredits.ledger.ports import UnavailableError
from dev.restore.journals import Journals
from dev.restore.judge import Finding
from dev.restore.providers import Open, Providers
from dev.restore.repair import apply
from dev.restore.serving import reason_it_is_young, reasons_it_may_serve
from dev.restore.walk import Screening, screen
from dev.stack import deploy, signing
from dev.stack.places import ROOT, from_environment
from functions.purchase.payments import registry

REPORTS = ROOT / ".local" / "restore"
REPORTED_ONLY = ("item.unknown", "payment.unknown", "purchase.due", "purchase.not_asked")
"""What is told and needs nothing to be done to the table."""

DONE = ("added", "set back", "removed")


class ServingError(Exception):
    """The table may be serving, so it is not repaired. Its text says why."""


@dataclass(frozen=True, slots=True)
class Line:
    """A finding, and what was done about it: `reported`, or what `apply` says.

    Where the record was changed, or would be, `before` and `after` are its stored forms; None: there is none.
    """

    account_id: str
    about: str
    what: str
    detail: str
    did: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None

    def text(self) -> str:
        """The line that is printed, its fields parted by tabs."""
        return "\t".join((self.did, self.what, self.account_id or "-", self.about, self.detail))

    def is_open(self) -> bool:
        """Whether somebody still has to do something about it."""
        return self.did not in DONE and self.what not in REPORTED_ONLY


@dataclass(frozen=True, slots=True)
class Table:
    """A table to be checked: its providers by their names, the time, and why it may be serving."""

    store: DynamoStore
    providers: Open
    now_ms: Callable[[], int]
    may_serve: Callable[[], Iterable[str]]


def main() -> None:
    """Check or repair, as the environment says."""
    name = os.environ.get("TABLE", "")
    if not name:
        raise SystemExit("error: which table? make restore-check TABLE=…")
    dynamodb, functions = open_clients()
    table = Table(
        DynamoStore(dynamodb, name),
        registry.provider,
        lambda: time.time_ns() // 1_000_000,
        lambda: reasons_it_may_serve(dynamodb, functions, name),
    )
    try:
        with open_report(name) as report:
            lines = [tell(line, report) for line in check(table, repair=os.environ.get("REPAIR") == "1")]
    except ServingError as error:
        raise SystemExit(f"error: {name} may be serving, so it is not repaired: {error}") from None
    except (ClientError, BotoCoreError, UnavailableError) as error:
        raise SystemExit(f"error: the table cannot be read or written: {error}") from None
    left = sum(line.is_open() for line in lines)
    mended = sum(line.did in DONE for line in lines)
    print(f"{len(lines)} findings, {mended} mended, {left} left; see {report.name}")
    if left:
        raise SystemExit(1)


def check(table: Table, *, repair: bool) -> Iterator[Line]:
    """Every finding in the table; with `repair`, what can be mended is mended as it is found.

    Raises ServingError before the first change where anything speaks for a table that is serving.
    """
    if repair:
        refuse_serving(table.may_serve())
    found = screen(table.store)
    if repair:
        young = reason_it_is_young(found.latest_ms, table.now_ms())
        refuse_serving([young] if young else table.may_serve())  # again: the walk may have taken hours
    for finding in findings_of(table, found):
        change, did = finding.change, "reported"
        if repair and change is not None:
            did = apply(table.store, finding.account_id, change)
        before, after = (stored(change.before), stored(change.after)) if change else (None, None)
        yield Line(finding.account_id, finding.about, finding.what, finding.detail, did, before, after)


def findings_of(table: Table, found: Screening) -> Iterator[Finding]:
    """What the journals say of the suspects, then the rest. What is set back is judged by nobody else."""
    journals, judged = Journals(table.store), set()
    for account_id in sorted(found.suspects):
        for finding in journals.judge(account_id, found.suspects[account_id], table.now_ms()):
            judged.add((account_id, finding.about))
            if finding.change is not None and finding.change.after is None:
                forget_use(found, account_id, finding.change.before)
            yield finding
    yield from found.findings
    yield from found.counts.judge()
    for finding in Providers(table.store, table.providers, table.now_ms).judge(found):
        if (finding.account_id, finding.about) not in judged:
            yield finding


def forget_use(found: Screening, account_id: str, removed: Record | None) -> None:
    """A purchase that is removed uses no coupon."""
    if isinstance(removed, Purchase) and removed.coupon and removed.coupon_counted:
        found.counts.purchases[account_id, removed.coupon] -= 1


def stored(record: Record | None) -> dict[str, Any] | None:
    """A record's stored form."""
    return None if record is None else record.to_map()


def refuse_serving(reasons: Iterable[str]) -> None:
    """Raise ServingError if there is any reason."""
    if told := "; ".join(reasons):
        raise ServingError(told)


def tell(line: Line, report: TextIO) -> Line:
    """Print the line and write it to the report."""
    print(line.text())
    report.write(json.dumps(asdict(line), default=str) + "\n")
    report.flush()
    return line


def open_report(table_name: str) -> TextIO:
    """The report's file, new and empty."""
    name = f"{table_name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.jsonl"
    path = Path(os.environ.get("REPORT") or REPORTS / name)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("w", encoding="utf-8")


def open_clients() -> tuple[Any, Any]:
    """Clients of DynamoDB and Lambda: of an endpoint that is named, else of the local stack if it runs, else of AWS."""
    places = from_environment()
    named = any(name.startswith("AWS_ENDPOINT_URL") for name in os.environ)
    if places.info.exists() and not named:
        print(f"on the local stack at {places.endpoint_url}", file=sys.stderr)
        local = {"AWS_ENDPOINT_URL": places.endpoint_url, "AWS_DEFAULT_REGION": deploy.REGION}
        local |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        local |= {"SANDBOX_PAGE_URL": places.sandbox, "PAYPAL_ENVIRONMENT": "sandbox"}
        local |= {"PAYONEER_ENVIRONMENT": "sandbox", "PAYONEER_COUNTRY": "US"}
        known = signing.known(deploy.client("secretsmanager", places))
        named_secrets = {f"{provider.upper()}_SECRET_NAME": signing.name_of(provider) for provider in deploy.SECRETS}
        os.environ.update(local | {variable: name for variable, name in named_secrets.items() if name in known})
        return deploy.client("dynamodb", places), deploy.client("lambda", places)
    patient, brief = (Config(retries={"mode": "standard", "total_max_attempts": most}) for most in (10, 4))
    return boto3.client("dynamodb", config=patient), boto3.client("lambda", config=brief)


if __name__ == "__main__":
    main()
