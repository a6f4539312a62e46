"""Pages on their way to the bus: from the table's stream, and once more from the journal where that failed.

A page that the bus does not take never stands before the next one: after three tries it goes to the republish queue,
whose worker makes its events again out of the journal, with growing delays.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from autocredits.domain.errors import BrokenInvariantError, Problem
from autocredits.domain.ids import is_account_id
from autocredits.domain.journal import Page
from autocredits.ledger.commit import Ledger
from autocredits.ledger.ports import Bus, BusEvent, Queue, UnavailableError, WrittenPage
from autocredits.ledger.time_limit import has_time, limit_of

from .events import bus_events
from .json_body import parse_json
from .problems import as_problem
from .retries import DEAD_LETTER, OUT_OF_TIME_DELAY_S, Fate, age_s, retry, settle
from .telemetry import count, logger

TRIES = 3

RESERVE_S = 5
"""What is kept for sending to the republish queue what could not be published."""


@dataclass(frozen=True, slots=True)
class Unpublished:
    """A page whose events are still to be made, and why they are not on the bus."""

    account_id: str
    version: int
    reason: str

    def message(self) -> str:
        """Its message on the republish queue."""
        return json.dumps({"account_id": self.account_id, "version": self.version, "reason": self.reason})


def publish(pages: Iterable[WrittenPage], context: Any, bus: Bus, queue: Queue) -> None:
    """Put on the bus what new pages tell. What cannot be published goes to the republish queue.

    Raises UnavailableError only where that cannot be reached either: then the stream shows the pages again.
    """
    unpublished: list[Unpublished] = []
    published = 0
    with limit_of(context):
        with limit_of(context, RESERVE_S):
            for written in pages:
                reason = _publish_written(bus, written)
                if reason is None:
                    published += 1
                else:
                    unpublished.append(Unpublished(written.account_id, written.version, reason))
        count("PagesWritten", published + len(unpublished))  # the audit must have checked as many
        logger.info("pages", extra={"published": published, "unpublished": [one.message() for one in unpublished]})
        if unpublished:
            count("PageNotPublished", len(unpublished))
            queue.send_all([(one.account_id, one.message()) for one in unpublished])


def _publish_written(bus: Bus, written: WrittenPage) -> str | None:
    """Put a new page's events on the bus; the reason why some are not there, None if all are."""
    try:
        page = written.read()
    except Exception as error:  # noqa: BLE001 - whatever is wrong with a page, it must not stop those behind it
        return _not_read(written.account_id, error)
    return publish_page(bus, page)


def _not_read(account_id: str, error: Exception) -> str:
    if isinstance(error, BrokenInvariantError):
        count("BrokenInvariant")
    logger.error("page cannot be read", extra={"account_id": account_id, "error": f"{type(error).__name__}: {error}"})
    return "unreadable_page" if isinstance(error, BrokenInvariantError) else type(error).__name__


def publish_page(bus: Bus, page: Page) -> str | None:
    """Put a page's events on the bus, in three tries; why some are not there, None if all are."""
    reason = "out_of_time"
    told = {"account_id": page.account_id, "version": page.version}
    try:
        left: Sequence[BusEvent] = bus_events(page)
    except Exception:  # noqa: BLE001 - a page that nobody understands must not stop those behind it
        logger.exception("events could not be made", extra=told)
        return "events_not_made"
    for _ in range(TRIES):
        if not has_time():
            return reason
        try:
            left = bus.put(left)
            reason = "events_refused"
        except UnavailableError:
            reason = "bus_unavailable"
        except Exception:  # noqa: BLE001 - a page that nobody takes must not stop those behind it
            logger.exception("events could not be put", extra=told)
            reason = "bus_error"
        else:
            if not left:
                return None
    return reason


def republish(event: dict[str, Any], context: Any, ledger: Ledger, bus: Bus, queue: Queue) -> dict[str, Any]:
    """Make the events of a batch of messages of the republish queue out of the journal; name those to be shown again.

    Each message is `{"account_id", "version", "reason"}`.
    """
    with limit_of(context):
        with limit_of(context, RESERVE_S):
            messages = [SQSRecord(record) for record in event["Records"]]
            fates = {message.message_id: _republish(message, ledger, bus) for message in messages}
        return settle(event, context, queue, fates)


def _republish(message: SQSRecord, ledger: Ledger, bus: Bus) -> Fate:
    aged_s = age_s(message, ledger.clock.now_ms())
    try:
        account_id, version = _parse(message.body)
    except Problem as problem:
        return Fate(DEAD_LETTER, problem.code)
    if not has_time():
        return retry("out_of_time", aged_s, first_s=OUT_OF_TIME_DELAY_S)
    try:
        page = ledger.store.page(account_id, version)
    except BrokenInvariantError as error:
        return Fate(DEAD_LETTER, _not_read(account_id, error))
    except Exception as error:  # noqa: BLE001 - whatever is wrong with one message, it must not bring back the others
        return retry(as_problem(error).code, aged_s)
    if page is None:
        count("BrokenInvariant")
        return Fate(DEAD_LETTER, "page_missing")
    reason = publish_page(bus, page)
    return Fate("published") if reason is None else retry(reason, aged_s)


def _parse(body: str) -> tuple[str, int]:
    """Account and version that a message names. Raises Problem `invalid_json`, `invalid_field`."""
    told = parse_json(body)
    account_id, version = (
        (told.get(name) for name in ("account_id", "version")) if isinstance(told, dict) else (None, None)
    )
    if not isinstance(account_id, str) or not is_account_id(account_id):
        raise Problem("invalid_field", "account_id names no account.")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise Problem("invalid_field", "version is the number of a page.")
    return account_id, version
