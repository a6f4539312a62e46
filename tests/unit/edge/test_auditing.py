import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import pytest

from autocredits.domain.audit import Finding
from autocredits.domain.errors import Problem
from autocredits.domain.journal import Page
from autocredits.domain.records import NO_ACCOUNT
from autocredits.domain.usage import DUE_AUDITS
from autocredits.edge import auditing as edge
from autocredits.edge.auditing import audit_alone, go_on_auditing
from autocredits.ledger import auditing, due
from autocredits.ledger.auditing import Audited
from autocredits.ledger.ports import UnavailableError
from autocredits.ledger.walking import walk_on
from tests.kit.builders import Account, debit, opened, order
from tests.kit.handlers import handlers_on
from tests.kit.memory import MemoryQueue, MemoryStore
from tests.kit.service import Context
from tests.kit.spied import Spied
from tests.kit.streams import page_record

COUNTS = ("PagesChecked", "AuditFinding", "AuditFailed")


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """What was counted."""
    counted: dict[str, int] = {}

    def count(name: str, number: int = 1) -> None:
        counted[name] = counted.get(name, 0) + number

    monkeypatch.setattr(edge, "count", count)
    return counted


def tampered(account_id: str = "acme", store: MemoryStore | None = None) -> Account:
    """An account of four pages, the third of which was changed."""
    account = opened(1000, account=Account(store or MemoryStore(), account_id=account_id))
    for number in range(2):
        account.do(debit(order(f"o{number}")))
    text, digest = account.store.pages[account_id][3]
    account.store.pages[account_id][3] = (text.replace("-100", "-1"), digest)
    return account


def reached(store: MemoryStore, account_id: str) -> int:
    """How far the audit has come."""
    day = store.newest_day(account_id)
    return day.reached.version if day else 0


def test_what_was_checked_and_found_is_counted(counts: dict[str, int]) -> None:
    """Pages each, with the one that suspends the account; findings when they are found for the first time."""
    account = tampered()
    assert audit_alone(account.ledger(), "acme").pages == 5
    assert counts == {"PagesChecked": 5, "AuditFinding": 1}
    audit_alone(account.ledger(), "acme", [Finding(2, "removed_page", "x")])
    assert counts == {"PagesChecked": 5, "AuditFinding": 2}
    audit_alone(account.ledger(), "acme")
    assert counts == {"PagesChecked": 5, "AuditFinding": 2}


@pytest.mark.usefixtures("counts")
def test_a_finding_is_logged_with_its_place(caplog: pytest.LogCaptureFixture) -> None:
    """Whose page, which, what kind, and what it is."""
    audit_alone(tampered().ledger(), "acme")
    [record] = [record for record in caplog.records if record.message == "audit finding"]
    told = {name: getattr(record, name) for name in ("account_id", "version", "kind", "detail")}
    assert told == {
        "account_id": "acme",
        "version": 3,
        "kind": "wrong_hash",
        "detail": "its hash does not cover what is stored",
    }


@pytest.mark.parametrize("error", [UnavailableError("throttled"), Problem("try_again")])
def test_a_table_that_cannot_be_asked_is_no_defect(
    monkeypatch: pytest.MonkeyPatch, counts: dict[str, int], error: Exception
) -> None:
    """It is told, so that the pages are shown again."""

    def fail(*_: Any) -> Audited:
        raise error

    monkeypatch.setattr(edge, "audit", fail)
    with pytest.raises(UnavailableError):
        audit_alone(opened().ledger(), "acme")
    assert counts == {}


def test_a_defect_is_counted_and_stops_nobody(monkeypatch: pytest.MonkeyPatch, counts: dict[str, int]) -> None:
    """Whatever it is: somebody has to come, and the accounts behind it are audited."""

    def fail(*_: Any) -> Audited:
        raise ZeroDivisionError

    monkeypatch.setattr(edge, "audit", fail)
    assert audit_alone(opened().ledger(), "acme") == Audited()
    assert counts == {"AuditFailed": 1}


@pytest.mark.usefixtures("counts")
def test_the_sweep_is_told_what_was_done() -> None:
    """How many pages, or nothing."""
    account = opened(1000)

    class Due:
        """What stands in the list."""

        account_id = "acme"

    assert go_on_auditing(account.ledger(), Due()) == "audited 2 pages"  # type: ignore[arg-type] # no more is asked
    assert go_on_auditing(account.ledger(), Due()) == "nothing"  # type: ignore[arg-type]


# ---------------------------------------------------------------- the functions


@dataclass
class Functions:
    """The audit's and the sweep's handlers on one store in memory, with what they print."""

    store: Any
    account: Account
    capsys: pytest.CaptureFixture[str]

    def shown(self, *records: dict[str, Any]) -> None:
        """Show the audit a batch of the stream."""
        import_module("functions.audit.app").handler({"Records": list(records)}, Context(60_000))

    def sweep(self) -> dict[str, int]:
        """Run the sweep once."""
        counts: dict[str, int] = import_module("functions.sweep.app").handler({}, Context(60_000))
        return counts

    def counted(self) -> dict[str, float]:
        """What was counted since the last call."""
        lines = [json.loads(line) for line in self.capsys.readouterr().out.splitlines() if "CloudWatchMetrics" in line]
        return {name: sum(line[name][0] for line in lines if name in line) for name in COUNTS}


@pytest.fixture
def functions(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Functions]:
    """On an account of four pages, over which the walk has just been: what is audited here, something else found."""
    account = opened(1000)
    for number in range(2):
        account.do(debit(order(f"o{number}")))
    walk_on(account.ledger(), lambda _: True, 0)
    found = Functions(account.store, account, capsys)
    monkeypatch.setattr(due, "AT_ONCE", 1)
    with handlers_on(lambda: account.ledger(found.store), MemoryQueue, lambda: None):
        yield found


def record_of(page: Page, change: str = "INSERT") -> dict[str, Any]:
    """What the stream shows of a page; one that was removed is not shown itself."""
    record = page_record(page, change)
    if change == "REMOVE":
        del record["dynamodb"]["NewImage"]
    return record


def test_a_page_that_the_stream_shows_is_audited_with_all_before_it(functions: Functions) -> None:
    """What the stream lost is made up from the journal; what it repeats is checked once."""
    newest = record_of(functions.account.page())
    for _ in range(3):
        functions.shown(newest, newest)
    assert reached(functions.store, "acme") == 4
    assert functions.counted() == {"PagesChecked": 4, "AuditFinding": 0, "AuditFailed": 0}


@pytest.mark.parametrize(("change", "kind"), [("MODIFY", "modified_page"), ("REMOVE", "removed_page")])
def test_a_page_that_is_changed_suspends_its_account(functions: Functions, change: str, kind: str) -> None:
    """Its page and what happened stand in the entry."""
    functions.shown(record_of(functions.account.pages()[1], change))
    [entry] = functions.account.page().entries
    assert (entry.actor, entry.changes) == ("system:audit", {"status": "suspended"})
    assert (entry.reason or "").startswith(f"The audit found page 2: {kind} ")
    assert functions.counted()["AuditFinding"] == 1


def test_each_account_of_a_batch_is_audited(functions: Functions) -> None:
    """Also behind one whose audit fails, in whatever way."""
    other = opened(1000, account=Account(functions.store, account_id="umbrella"))
    day = {"version": "a text", "at": 1, "rev": 1, "used": []}
    functions.store.records["acme", ("day", "2026-01-01")] = json.dumps(day)
    functions.shown(record_of(functions.account.page()), record_of(other.page()))
    assert reached(functions.store, "umbrella") == 2
    assert functions.counted() == {"PagesChecked": 2, "AuditFinding": 0, "AuditFailed": 1}


def test_a_table_that_cannot_be_asked_brings_the_batch_back(functions: Functions) -> None:
    """After the accounts behind it were audited; the next time all of it is."""
    other = opened(1000, account=Account(functions.store, account_id="umbrella"))
    inner = functions.store
    functions.store = Spied(inner, {"newest_day": [UnavailableError("throttled")]})
    batch = record_of(functions.account.page()), record_of(other.page())
    with pytest.raises(UnavailableError):
        functions.shown(*batch)
    assert (reached(inner, "acme"), reached(inner, "umbrella")) == (0, 2)
    functions.shown(*batch)
    assert (reached(inner, "acme"), reached(inner, "umbrella")) == (4, 2)


def test_a_newest_page_that_cannot_be_read_is_counted(functions: Functions) -> None:
    """Nobody can write after it; the accounts beside it are audited."""
    other = opened(1000, account=Account(functions.store, account_id="umbrella"))
    newest = functions.account.page()
    pages = functions.store.pages["acme"]
    pages[4] = (pages[4][0].replace("-100", "-1"), pages[4][1])
    functions.shown(record_of(newest), record_of(other.page()))
    assert functions.counted() == {"PagesChecked": 6, "AuditFinding": 1, "AuditFailed": 0}


def test_the_sweep_goes_on_with_what_is_behind(functions: Functions, monkeypatch: pytest.MonkeyPatch) -> None:
    """Minute after minute, until all pages are checked; then there is nothing to do."""
    monkeypatch.setattr(auditing, "MAX_PAGES", 2)
    monkeypatch.setattr(auditing, "PAGES_PER_READ", 1)
    for number in range(3):
        functions.account.do(debit(order(f"late{number}")))
    functions.shown(record_of(functions.account.page()))
    seen = [reached(functions.store, "acme")]
    for _ in range(4):
        functions.account.clock.at_ms += 60_000
        functions.sweep()
        seen.append(reached(functions.store, "acme"))
    assert seen == [2, 4, 6, 7, 7]
    assert functions.sweep() == {"done": 0, "failed": 0, "left": 0}


def test_an_audit_that_fails_is_put_off(functions: Functions, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried again later, and stands before no other item."""
    monkeypatch.setattr(auditing, "MAX_PAGES", 2)
    monkeypatch.setattr(auditing, "PAGES_PER_READ", 1)
    functions.shown(record_of(functions.account.page()))
    inner = functions.store
    functions.store = Spied(inner, {"newest_day": [UnavailableError("throttled")]})
    assert functions.sweep() == {"done": 0, "failed": 1, "left": 0}
    [later] = inner.list(DUE_AUDITS, NO_ACCOUNT, limit=9)
    assert later.at_ms() == functions.account.clock.at_ms + 60_000
    assert functions.sweep() == {"done": 0, "failed": 0, "left": 0}
    functions.account.clock.at_ms += 60_000
    assert functions.sweep() == {"done": 1, "failed": 0, "left": 0}
    assert reached(inner, "acme") == 4
