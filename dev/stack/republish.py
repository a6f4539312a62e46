"""`make republish SINCE=TIME`: has the events of every page since then made again out of the journal.

For an outage that was longer than the 24 hours that the table's stream keeps, for batches that Lambda gave up on, and
for a table that was restored. Pages of ACCOUNT=… alone, or of all accounts; of the running local stack, or with
STACK=name of a stack on AWS, by the credentials and region of the environment.

It sends one message for each page to the stack's republish queue, whose worker reads the page and puts its events on
the bus. Events come at least once, so it can be run again at any time.
"""

import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from autocredits.adapters.dynamo import DynamoStore, place_of
from autocredits.adapters.queue import BATCH, SqsQueue
from autocredits.domain.errors import BrokenInvariantError, Problem
from autocredits.domain.ids import is_account_id
from autocredits.domain.times import format_time, parse_time
from autocredits.edge.publishing import Unpublished
from autocredits.ledger.history import page_at
from autocredits.ledger.ports import UnavailableError
from dev.stack import deploy
from dev.stack.places import from_environment, running_stack

REASON = "republish"

UNITS_PER_S = 500.0
"""How many read units of the table a scan takes in a second, so that its callers do not wait for it."""

PROGRESS_EVERY = 10_000
"""After how many pages, sent or passed over, a line says how far it is."""

Named = tuple[str, int]
"""A page: whose it is, and its number."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where pages are looked for, and the queue of those whose events are to be made again."""

    store: DynamoStore
    queue: SqsQueue


def main() -> None:
    """Send what the environment asks for, and say how much that was."""
    since_ms, account_id = read_since(), read_account()
    target = find_target()
    try:
        found = pages_of(target.store, account_id, since_ms) if account_id else scan(target.store, since_ms)
        pages, accounts = send(target.queue, found)
    except BrokenInvariantError as error:
        raise SystemExit(f"error: the journal cannot be read: {error}; see `make restore-check`") from None
    except (UnavailableError, ClientError, BotoCoreError) as error:
        raise SystemExit(f"error: not all pages were sent: {error}; run it again") from None
    print(f"{pages} pages of {accounts} accounts since {format_time(since_ms)}: their events are made again")


def read_since() -> int:
    """SINCE in milliseconds. Exits with what to do if it is no time."""
    since = os.environ.get("SINCE", "")
    if not since:
        raise SystemExit("error: since when? make republish SINCE=2026-11-26T09:00:00Z")
    try:
        return parse_time(since, round_up=True)
    except Problem as problem:
        raise SystemExit(f"error: SINCE={since}: {problem.detail}") from None


def read_account() -> str:
    """ACCOUNT; empty for all of them. Exits if it can name none."""
    account_id = os.environ.get("ACCOUNT", "")
    if account_id and not is_account_id(account_id):
        raise SystemExit(f"error: ACCOUNT={account_id} can name no account: 1 to 64 of A-Z a-z 0-9 _ -")
    return account_id


def find_target() -> Target:
    """The table and the queue of the stack that the environment names. Exits with what to do if there is none."""
    outputs: Mapping[str, str]
    client: Any
    stack = os.environ.get("STACK", "")
    try:
        if stack:
            outputs, client = deploy.outputs_on_aws(stack), boto3.client
        else:
            places = from_environment()
            running_stack(places)
            outputs, client = deploy.outputs(places), partial(deploy.client, places=places)
    except (ClientError, BotoCoreError) as error:
        raise SystemExit(f"error: the stack {stack or deploy.STACK} cannot be looked up: {error}") from None
    if not {"TableName", "RepublishQueueUrl"} <= outputs.keys():
        raise SystemExit(f"error: the stack {stack or deploy.STACK} has no output RepublishQueueUrl: deploy it anew")
    queue = SqsQueue(client("sqs"), outputs["RepublishQueueUrl"], "")
    return Target(DynamoStore(client("dynamodb"), outputs["TableName"]), queue)


def pages_of(store: DynamoStore, account_id: str, since_ms: int) -> Iterator[Named]:
    """An account's pages since a time, oldest first: times never run backwards, so the first is found by halving.

    Exits if there is no such account. Raises BrokenInvariantError, UnavailableError.
    """
    newest = store.head(account_id)
    if newest is None:
        raise SystemExit(f"error: there is no account {account_id} in the table {store.table_name}")
    before = page_at(store, account_id, since_ms - 1)
    for version in range(before.version + 1 if before else 1, newest.version + 1):
        yield account_id, version


def scan(store: DynamoStore, since_ms: int) -> Iterator[Named]:
    """The pages of all accounts since a time, by their keys and times alone, no faster than `UNITS_PER_S`."""
    answers = store.client.get_paginator("scan").paginate(
        TableName=store.table_name,
        ProjectionExpression="pk, sk, #at",
        FilterExpression="begins_with(sk, :page) AND #at >= :since",
        ExpressionAttributeNames={"#at": "at"},
        ExpressionAttributeValues={":page": {"S": "page#"}, ":since": {"N": str(since_ms)}},
        ConsistentRead=True,
        ReturnConsumedCapacity="TOTAL",
    )
    looked_at = 0
    for answer in answers:
        for item in answer["Items"]:
            place = place_of(item)
            if place is not None and place.version is not None:
                yield place.account_id, place.version
        before, looked_at = looked_at, looked_at + answer["ScannedCount"]
        if before // PROGRESS_EVERY != looked_at // PROGRESS_EVERY:
            print(f"{looked_at} items looked at", file=sys.stderr)
        time.sleep(answer.get("ConsumedCapacity", {}).get("CapacityUnits", 0) / UNITS_PER_S)


def send(queue: SqsQueue, found: Iterable[Named]) -> tuple[int, int]:
    """Send each page's message; how many pages and accounts that were. Raises UnavailableError."""
    accounts: set[str] = set()
    sent = 0
    left = iter(found)
    while pages := list(islice(left, BATCH)):
        messages = [(account_id, Unpublished(account_id, version, REASON).message()) for account_id, version in pages]
        queue.send_all(messages)
        accounts.update(account_id for account_id, _ in messages)
        before, sent = sent, sent + len(messages)
        if before // PROGRESS_EVERY != sent // PROGRESS_EVERY:
            print(f"{sent} pages sent", file=sys.stderr)
    return sent, len(accounts)


if __name__ == "__main__":
    main()
