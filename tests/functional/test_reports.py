"""Usage, statements and the journal over HTTP, and lists of entries that grow while they are read."""

import csv
import hashlib
import io
from typing import Any

import pytest

from tests.functional.calls import ACME, debit, hold, post, told
from tests.functional.conftest import Clock
from tests.kit.service import Answer, Service, work

DAY_S = 24 * 60 * 60
CSV = {"accept": "text/csv"}


def report(service: Service, path: str, *, store: str | None = None, **query: str) -> Answer:
    """A report for acme's own token, perhaps bound to a store; `from_` stands for `from`."""
    asked = {name.rstrip("_"): value for name, value in query.items()}
    return service.call("GET", ACME + path, account="acme", store=store, query=asked)


def statement(service: Service, *, store: str | None = None, **query: str) -> Answer:
    """A statement for acme's own token, likewise."""
    asked = {name.rstrip("_"): value for name, value in query.items()}
    return service.call("GET", f"{ACME}/entries", account="acme", store=store, query=asked, headers=CSV)


@pytest.fixture
def busy(service: Service, clock: Clock) -> Service:
    """Acme with uses on three days: the 22nd, the 23rd and the 24th, the last of them not audited."""
    clock.advance(-2 * DAY_S)
    service.open(extra="95.00")
    assert debit(service, work("A-1", "auto", "bce"), "a1").status == 201
    assert debit(service, work("B-1", store_id="shop-2"), "b1").status == 201
    clock.advance(1)
    assert hold(service, work("A-2", "auto", "bce"), "a2").status == 201
    clock.advance(DAY_S)
    assert post(service, "/holds/A-2~1/capture", {"parts": ["order"]}).status == 200
    service.audit(service.pages())
    clock.advance(DAY_S)
    assert post(service, "/holds/A-2~1/capture", {"parts": ["tracking"]}).status == 200
    assert debit(service, work("B-2", store_id="shop-2"), "b2").status == 201
    return service


# ---------------------------------------------------------------- usage


def test_usage_says_where_the_credits_went(busy: Service) -> None:
    """By store, unless told, of the last 30 days; the audited days and the pages after them."""
    answer = report(busy, "/usage")
    assert (answer.status, answer.body) == (
        200,
        {
            "by": "store",
            "items": [
                {"store": "shop-1", "credits": "2.66", "count": 3},
                {"store": "shop-2", "credits": "2.00", "count": 2},
            ],
            "total": "4.66",
            "days_left": 613,  # 95.34 are left, at 4.66 in 30 days
        },
    )


def test_usage_by_day_counts_a_hold_when_it_is_captured(busy: Service) -> None:
    """Part by part; days are UTC, and `to` is not among them."""
    answer = report(busy, "/usage", by="day", from_="2026-11-22", to="2026-11-25")
    assert [(item["day"], item["credits"], item["count"]) for item in answer.body["items"]] == [
        ("2026-11-22", "2.33", 2),
        ("2026-11-23", "1.00", 1),
        ("2026-11-24", "1.33", 2),
    ]
    before = report(busy, "/usage", by="day", from_="2026-11-22", to="2026-11-24").body
    assert ([item["day"] for item in before["items"]], before["total"]) == (["2026-11-22", "2026-11-23"], "3.33")


def test_sums_agree_whatever_usage_is_by(busy: Service) -> None:
    """And whatever the audit has reached."""
    for _ in range(2):
        answers = [report(busy, "/usage", by=by).body for by in ("store", "action", "day")]
        assert {(body["total"], body["days_left"]) for body in answers} == {("4.66", 613)}
        assert {sum(item["count"] for item in body["items"]) for body in answers} == {5}
        busy.audit(busy.pages())


def test_the_days_left_do_not_depend_on_what_is_shown(busy: Service) -> None:
    """They are of the last 30 days, also where a shorter time is asked for, or another one."""
    assert report(busy, "/usage", from_="2026-11-24").body["days_left"] == 613
    early = report(busy, "/usage", from_="2026-01-01", to="2026-02-01").body
    assert (early["items"], early["total"], early["days_left"]) == ([], "0.00", 613)


def test_usage_that_is_still_being_counted_is_asked_for_again(busy: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the audit is too far behind: 503 `try_again`, until it has caught up."""
    monkeypatch.setattr("autocredits.ledger.usage.MAX_PAGES_SINCE", 1)
    answer = report(busy, "/usage")
    assert (*told(answer), answer.headers["Retry-After"]) == (503, "try_again", "1")
    busy.audit(busy.pages())
    assert report(busy, "/usage").body["total"] == "4.66"


def test_a_token_of_a_store_sees_its_own_use(busy: Service) -> None:
    """In every sum, and the rate that its days left are reckoned by."""
    body = report(busy, "/usage", store="shop-2").body
    assert (body["items"], body["total"]) == ([{"store": "shop-2", "credits": "2.00", "count": 2}], "2.00")
    by_day = report(busy, "/usage", store="shop-2", by="day").body
    assert [item["day"] for item in by_day["items"]] == ["2026-11-22", "2026-11-24"]
    assert report(busy, "/usage", store="shop-9").body["items"] == []


@pytest.mark.parametrize(
    "query",
    [
        {"by": "month"},
        {"from_": "2026-11-25"},
        {"from_": "2025-11-23", "to": "2026-11-25"},
        {"from_": "2026-11-24", "to": "2026-11-24"},
        {"from_": "2026-11-24T00:00:00Z"},
    ],
)
def test_a_query_that_usage_does_not_know_is_refused(service: Service, clock: Clock, query: dict[str, str]) -> None:
    """422 `invalid_field`, before it is asked whose account it is."""
    assert clock.now_ms
    assert told(report(service, "/usage", **query)) == (422, "invalid_field")


# ---------------------------------------------------------------- statements


def rows(answer: Answer) -> list[dict[str, str]]:
    """A statement as the standard parser reads it."""
    assert answer.status == 200
    return list(csv.DictReader(io.StringIO(answer.text, newline=""), strict=True))


def test_a_statement_is_a_table(busy: Service) -> None:
    """CSV in UTF-8, oldest first, whose rows add up for each unit."""
    answer = statement(busy)
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    found = rows(answer)
    listed = report(busy, "/entries", limit="100").body["items"]
    assert [row["entry_id"] for row in found if row["entry_id"]] == [entry["entry_id"] for entry in reversed(listed)]
    total = sum(int(row["posted"].replace(".", "")) for row in found if row["unit"] == "auto_order" and row["posted"])
    assert total == int(found[-4]["balance_posted"].replace(".", "")) == 9534
    assert busy.balance()["posted"] == "95.34"


def test_a_statement_of_a_range_has_what_was_in_it(busy: Service) -> None:
    """`from ≤ t < to`, of one unit where that is asked for."""
    found = rows(statement(busy, unit="auto_order", from_="2026-11-23T00:00:00Z", to="2026-11-24T00:00:00Z"))
    assert [(row["kind"], row["posted"], row["balance_posted"]) for row in found] == [
        ("opening", "97.67", "97.67"),
        ("captured", "-1.00", "96.67"),
        ("closing", "0.00", "96.67"),
    ]


def test_a_token_of_a_store_gets_a_statement_of_its_own(busy: Service) -> None:
    """Without the account's balances at its ends."""
    found = rows(statement(busy, store="shop-2"))
    assert [(row["kind"], row["order_id"]) for row in found] == [("debited", "B-1"), ("debited", "B-2")]


@pytest.mark.parametrize("name", ["limit", "cursor"])
def test_a_statement_takes_no_limit_and_no_cursor(busy: Service, name: str) -> None:
    """422 `invalid_field`."""
    assert told(statement(busy, **{name: "5"})) == (422, "invalid_field")


def test_ids_that_look_like_formulas_are_guarded(service: Service) -> None:
    """Order ids and keys can begin with a dash."""
    service.open()
    assert hold(service, work("-A", store_id="-shop"), "-key").status == 201
    [row] = [row for row in rows(statement(service)) if row["kind"] == "held"]
    texts = {name: row[name] for name in ("order_id", "store_id", "key", "hold_id", "held", "posted")}
    assert texts == {
        "order_id": "'-A",
        "store_id": "'-shop",
        "key": "'-key",
        "hold_id": "'-A~1",
        "held": "1.00",
        "posted": "0.00",
    }


def test_a_range_that_is_too_large_is_told_where_to_split(busy: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """422 `range_too_large`; up to that time it fits."""
    monkeypatch.setattr("autocredits.ledger.statement.MAX_ENTRIES_READ", 6)
    refused = statement(busy)
    assert told(refused) == (422, "range_too_large")
    assert refused.headers["Content-Type"] == "application/problem+json"
    split_at = refused.body["split_at"]
    parts = [rows(statement(busy, **query)) for query in ({"to": split_at}, {"from_": split_at})]
    ids = [row["entry_id"] for part in parts for row in part if row["entry_id"]]
    listed = [entry["entry_id"] for entry in report(busy, "/entries", limit="100").body["items"]]
    assert ids == listed[::-1]


# ---------------------------------------------------------------- the journal


def pages(service: Service, limit: int, **query: str) -> list[dict[str, Any]]:
    """All pages of acme's journal, asked for so many at a time."""
    found: list[dict[str, Any]] = []
    answer = report(service, "/journal", limit=str(limit), **query)
    while True:
        assert len(answer.body["items"]) <= limit
        found += answer.body["items"]
        if (cursor := answer.body["next_cursor"]) is None:
            return found
        answer = report(service, "/journal", limit=str(limit), cursor=cursor, **query)


@pytest.mark.parametrize("limit", [1, 3, 7, 8, 100])
def test_the_journal_is_read_page_by_page(busy: Service, limit: int) -> None:
    """Oldest first, each once, from any page on."""
    assert [page["version"] for page in pages(busy, limit)] == list(range(1, 9))
    assert [page["version"] for page in pages(busy, limit, after="5")] == [6, 7, 8]
    assert pages(busy, limit, after="8") == pages(busy, limit, after="99") == []


def test_the_journal_can_be_checked_by_anybody(busy: Service) -> None:
    """Each text hashes to its page's hash, each page names the one before it, and the balance names the last one."""
    found = pages(busy, 3)
    assert [hashlib.sha256(page["page"].encode()).hexdigest() for page in found] == [page["hash"] for page in found]
    assert [page["prev"] for page in found] == ["0" * 64, *(page["hash"] for page in found[:-1])]
    assert report(busy, "/balance").body["hash"] == found[-1]["hash"]


def test_a_journal_goes_on_with_pages_that_are_written_meanwhile(busy: Service) -> None:
    """Its cursor leads to them too."""
    answer = report(busy, "/journal", limit="5")
    assert debit(busy, work("A-9"), "a9").status == 201
    rest = report(busy, "/journal", cursor=answer.body["next_cursor"]).body
    assert ([page["version"] for page in rest["items"]], rest["next_cursor"]) == ([6, 7, 8, 9], None)


def test_a_token_of_a_store_may_not_read_the_journal(busy: Service) -> None:
    """It holds every store's work: 403 `store_forbidden`."""
    assert told(report(busy, "/journal", store="shop-1")) == (403, "store_forbidden")


@pytest.mark.parametrize("after", ["-1", "x", "01", ""])
def test_a_journal_begins_after_a_number(busy: Service, after: str) -> None:
    """422 `invalid_field`."""
    assert told(report(busy, "/journal", after=after)) == (422, "invalid_field")


# ---------------------------------------------------------------- entries that grow


@pytest.mark.parametrize("limit", [1, 7, 100])
@pytest.mark.parametrize(
    "query", [{}, {"store_id": "shop-1"}, {"order_id": "A-1"}, {"unit": "auto_order", "kind": "debited"}]
)
def test_a_list_stays_right_while_entries_arrive(busy: Service, limit: int, query: dict[str, str]) -> None:
    """What there was when it began is read once, in its order, and nothing that came since."""
    whole = [entry["entry_id"] for entry in report(busy, "/entries", limit="100", **query).body["items"]]
    assert whole
    found: list[str] = []
    cursor: dict[str, str] = {}
    number = 0
    while True:
        answer = report(busy, "/entries", limit=str(limit), **query, **cursor).body
        found += [entry["entry_id"] for entry in answer["items"]]
        if answer["next_cursor"] is None:
            break
        cursor = {"cursor": answer["next_cursor"]}
        number += 1
        assert debit(busy, work(f"N-{number}"), f"n{number}").status == 201
        assert debit(busy, work("A-1", "auto", "qtrack" if number == 1 else "none"), f"c{number}").status in (201, 409)
    assert found == whole
    assert limit > 1 or number >= len(whole) - 1
