import csv
import io
import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autocredits.domain.errors import Problem
from autocredits.domain.journal import NO_PAGE_HASH, Entry, Page, next_page
from autocredits.domain.state import UNITS
from autocredits.domain.times import format_time, parse_time
from autocredits.edge import statement as edge
from autocredits.edge.http import text_answer
from autocredits.edge.statement import AMOUNTS, COLUMNS, MAX_BYTES, statement
from autocredits.ledger.history import Filters, Line
from autocredits.ledger.statement import Range, lines_of, range_of
from tests.kit.builders import Account, adjust, capture, debit, hold, opened, order, product, release, requested
from tests.kit.journals import wander

Rows = list[dict[str, str]]
LAMBDA_BYTES = 6 * 1024 * 1024
"""How much a function may answer at once."""


def told(account: Account, filters: Filters | None = None, now_ms: int | None = None) -> str:
    """The account's statement."""
    filters = filters or Filters()
    pages = range_of(account.store, account.page(), filters)
    lines = lines_of(account.store, account.account_id, pages, filters)
    return statement(lines, pages, filters, account.clock.at_ms if now_ms is None else now_ms)


def rows(text: str) -> Rows:
    """A statement as the standard parser reads it."""
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def hundredths(amount: str) -> int:
    """An amount with two decimals."""
    return int(amount.replace(".", ""))


def used() -> Account:
    """An account with all sorts of entries."""
    account = opened(10_000, 50_000)
    account.clock.at_ms += 1000
    account.do(debit(order("o1", "auto", "bce")))
    account.do(hold(order("o2", "fba", "qtrack", store_id="s2")))
    account.clock.at_ms += 1000
    account.do(capture("o2", parts=["order"]))
    account.do(release("o2"))
    account.do(debit(product("p1")))
    account.set_standing(low_balance=200)
    return account


# ---------------------------------------------------------------- form


def test_the_columns_are_those_of_the_contract() -> None:
    """In their order, also where there is nothing to tell."""
    first = told(used()).split("\r\n")[0]
    assert first == (
        "entry_id,at,kind,unit,posted,held,balance_posted,balance_held,balance_available,store_id,order_id,product_id,"
        "part,order_type,tracking,rate_card,hold_id,purchase_id,actor,key,reason"
    )
    assert told(used(), Filters(kind="loaded")) == f"{first}\r\n"


def test_lines_end_as_the_rfc_says() -> None:
    """With CR and LF, the last one too; a field with a comma, a quote or a line break is quoted."""
    account = opened(1000)
    account.do(replace(adjust("finder", 1), reason='a,b "c"\r\nd'))
    text = told(account, Filters(unit="finder", kind="adjusted"))
    assert text.endswith(',"a,b ""c""\r\nd"\r\n')
    assert text.count("\r\n") == 3
    assert "\n" not in text.replace("\r\n", "")
    assert rows(text)[0]["reason"] == 'a,b "c"\r\nd'


def test_a_row_tells_what_the_entry_is() -> None:
    """A held part with its work, hold, rate card, actor and key; what it does not have is empty."""
    account = used()
    [row] = [row for row in rows(told(account)) if row["kind"] == "held" and row["part"] == "tracking"]
    [key] = {entry.key for entry in account.pages()[4].entries}
    assert row == {
        "entry_id": "5.2",
        "at": format_time(account.pages()[4].at),
        "kind": "held",
        "unit": "auto_order",
        "posted": "0.00",
        "held": "1.50",
        "balance_posted": "98.67",
        "balance_held": "2.50",
        "balance_available": "96.17",
        "store_id": "s2",
        "order_id": "o2",
        "product_id": "",
        "part": "tracking",
        "order_type": "fba",
        "tracking": "qtrack",
        "rate_card": "2024-01",
        "hold_id": "o2~1",
        "purchase_id": "",
        "actor": "platform",
        "key": key,
        "reason": "",
    }


def test_entries_without_a_unit_move_nothing() -> None:
    """Their amounts are empty."""
    [row] = [row for row in rows(told(used())) if row["kind"] == "standing"]
    assert {row[name] for name in AMOUNTS} == {""}


# ---------------------------------------------------------------- opening and closing


@pytest.mark.parametrize(
    ("from_s", "to_s"), [(None, None), (1, None), (None, 2), (1, 2), (0, 1), (5, 9), (None, 0), (2, 1), (2, 2)]
)
@pytest.mark.parametrize("unit", [None, *UNITS])
def test_the_rows_of_a_unit_add_up(from_s: int | None, to_s: int | None, unit: str | None) -> None:
    """From its opening row, which brings in what was there, to its closing one, of any range."""
    account = used()
    start_ms = account.pages()[0].at
    from_ms, to_ms = (None if seconds is None else start_ms + 1000 * seconds for seconds in (from_s, to_s))
    found = rows(told(account, Filters(unit=unit, from_ms=from_ms, to_ms=to_ms)))
    for one in UNITS if unit is None else (unit,):
        of_unit = [row for row in found if row["unit"] == one]
        assert (of_unit[0]["kind"], of_unit[-1]["kind"]) == ("opening", "closing")
        assert (
            [row["kind"] for row in of_unit].count("opening") == [row["kind"] for row in of_unit].count("closing") == 1
        )
        for name in ("posted", "held"):
            assert sum(hundredths(row[name]) for row in of_unit) == hundredths(of_unit[-1][f"balance_{name}"])
    wanted = UNITS if unit is None else (unit,)
    assert tuple(row["unit"] for row in found if row["kind"] == "closing") == wanted
    count = len(wanted)
    assert [row["kind"] for row in found[:count]] == ["opening"] * count
    assert [row["kind"] for row in found[-count:]] == ["closing"] * count


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.integers(0, 100), st.integers(0, 100))
def test_the_rows_of_any_journal_add_up(seed: int, first: int, second: int) -> None:
    """Running balances included: each row's is the one before it plus what the row moves."""
    shop = wander(seed, 30)
    pages = shop.pages()
    from_ms, to_ms = sorted(pages[number % len(pages)].at for number in (first, second))
    for filters in (Filters(), Filters(from_ms=from_ms, to_ms=to_ms)):
        balances = {unit: {"posted": 0, "held": 0} for unit in UNITS}
        for row in rows(told(shop, filters)):
            if row["unit"]:
                for name in ("posted", "held"):
                    balances[row["unit"]][name] += hundredths(row[name])
                    assert hundredths(row[f"balance_{name}"]) == balances[row["unit"]][name]


def test_the_edges_name_the_pages_they_stand_for() -> None:
    """By version and hash, so that a statement can be checked against the journal."""
    account = used()
    pages = account.pages()
    later_ms = account.clock.at_ms + 5000
    found = rows(told(account, Filters(from_ms=pages[3].at, to_ms=pages[-1].at), later_ms))
    before = [page for page in pages if page.at < pages[3].at][-1]
    last = [page for page in pages if page.at < pages[-1].at][-1]
    assert {row["reason"] for row in found if row["kind"] == "opening"} == {
        f"version {before.version}, hash {before.hash}"
    }
    assert {row["reason"] for row in found if row["kind"] == "closing"} == {f"version {last.version}, hash {last.hash}"}
    assert {row["at"] for row in found if row["kind"] == "opening"} == {format_time(pages[3].at)}
    assert {row["at"] for row in found if row["kind"] == "closing"} == {format_time(pages[-1].at)}


def test_a_statement_of_all_opens_with_nothing() -> None:
    """Version 0, and the hash of no page; it closes now."""
    account = used()
    found = rows(told(account, now_ms=account.clock.at_ms + 5000))
    assert {(row["reason"], row["balance_posted"]) for row in found if row["kind"] == "opening"} == {
        (f"version 0, hash {NO_PAGE_HASH}", "0.00")
    }
    assert found[-1]["at"] == format_time(account.clock.at_ms + 5000)
    assert found[-1]["reason"] == f"version {account.page().version}, hash {account.page().hash}"


@pytest.mark.parametrize(
    "filters",
    [
        Filters(kind="debited"),
        Filters(store_id="s1"),
        Filters(order_id="o1"),
        Filters(visible_store_id="s1"),
        Filters(unit="auto_order", kind="debited"),
    ],
)
def test_what_leaves_out_entries_of_a_unit_has_no_edges(filters: Filters) -> None:
    """Its rows could not add up."""
    found = rows(told(used(), filters))
    assert found
    assert not {"opening", "closing"} & {row["kind"] for row in found}


def test_a_token_of_a_store_reads_its_own_alone() -> None:
    """Nothing of another store, nor of the account."""
    assert {row["store_id"] for row in rows(told(used(), Filters(visible_store_id="s2")))} == {"s2"}


# ---------------------------------------------------------------- formulas


HOSTILE = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"]


def entry_with(text: str) -> Entry:
    """An entry all of whose texts are this one."""
    return Entry(
        kind="granted",
        actor=text,
        unit="auto_order",
        posted=5,
        reason=text,
        order_id=text,
        product_id=text,
        store_id=text,
        part=text,
        order_type=text,
        tracking=text,
        rate_card=text,
        attempt=1,
        purchase_id=text,
        key=text,
    )


def lines(entries: Sequence[Entry]) -> tuple[list[Line], Range]:
    """The lines of a first page of these entries."""
    page = next_page("acme", None, 1000, entries)
    found = [Line(page, index, entry, balance) for index, (entry, balance) in enumerate(page.balances_after())]
    return found, Range(None, page)


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_starts_a_formula(text: str) -> None:
    """Whatever column it stands in: a quote stands before it."""
    found, pages = lines([entry_with(text)])
    [row] = rows(statement(found, pages, Filters(kind="granted"), 2000))
    texts = set(COLUMNS) - AMOUNTS - {"entry_id", "at", "kind", "unit", "hold_id"}
    assert {name: row[name] for name in texts} == dict.fromkeys(texts, f"'{text}")


@pytest.mark.parametrize("text", ["-o1", "=o1", "+o1"])
def test_a_holds_id_starts_no_formula(text: str) -> None:
    """It begins as its order's id does."""
    held = replace(entry_with(text), kind="held", posted=0, held=1, product_id=None)
    found, pages = lines([Entry(kind="granted", actor="a", unit="auto_order", posted=5), held])
    [row] = rows(statement(found, pages, Filters(kind="held"), 2000)[:])[1:]
    assert row["hold_id"] == f"'{text}~1"


def test_amounts_are_never_guarded() -> None:
    """A sheet can add up what was taken."""
    account = used()
    found = rows(told(account))
    assert any(row["posted"].startswith("-") for row in found)
    for row in found:
        assert all(row[name] == "" or hundredths(row[name]) is not None for name in AMOUNTS)


@pytest.mark.parametrize("text", ["a=b", "'=1", " =1", "1-1", "\u2212 1", "\u00e4"])
def test_other_texts_stay_as_they_are(text: str) -> None:
    """Only what a sheet would take for a formula is changed."""
    found, pages = lines([replace(entry_with("x"), reason=text)])
    [row] = rows(statement(found, pages, Filters(kind="granted"), 2000))
    assert row["reason"] == text


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30))
def test_a_parser_reads_back_every_reason(text: str) -> None:
    """To the last character, but for the guard."""
    found, pages = lines([replace(entry_with("x"), reason=text)])
    [row] = rows(statement(found, pages, Filters(kind="granted"), 2000))
    assert row["reason"] in (text, f"'{text}")


# ---------------------------------------------------------------- size


def returned(text: str) -> int:
    """How long what the function returns is, with a character outside ASCII as six."""
    answer = text_answer(200, "text/csv; charset=utf-8", text)
    told_back = {"statusCode": 200, "headers": {"Content-Type": answer.content_type}, "body": answer.body}
    return len(json.dumps({**told_back, "isBase64Encoded": False}))


@pytest.mark.parametrize("letter", ["a", "\u00e4", "\u20ac", "\U0001f600", '"', "\\", "\n"])
def test_a_statement_is_never_longer_than_a_function_may_answer(letter: str) -> None:
    """As the function returns it, whatever its texts are made of; a shorter range is told, and fits."""
    account = opened(1_000_000)
    head = account.page()
    reason = letter * 200
    pages: list[Page] = []
    for number in range(500):
        entries = [Entry(kind="adjusted", actor="a", unit="finder", posted=1, reason=reason) for _ in range(40)]
        size = len(json.dumps([entry.to_map() for entry in entries], ensure_ascii=False).encode())
        entries = entries[: max(1, int(len(entries) * min(1, 15_000 / size)))]
        head = next_page("acme", head, head.at + 1000 + number, entries)
        pages.append(head)
        account.store.commit("acme", head, [])
    from_ms: int | None = None
    parts: list[str] = []
    while True:
        to_ms: int | None = None
        for _ in range(2):
            try:
                text = told(account, Filters(from_ms=from_ms, to_ms=to_ms))
                break
            except Problem as problem:
                to_ms = parse_time(problem.extra["split_at"])
        parts.append(text)
        assert returned(text) < MAX_BYTES + 10_000 < LAMBDA_BYTES
        if to_ms is None:
            break
        from_ms = to_ms
    ids = [row["entry_id"] for part in parts for row in rows(part) if row["entry_id"]]
    assert ids == [page.entry_id(index) for page in account.pages() for index in range(len(page.entries))]
    assert len(parts) > 1


def test_a_statement_is_as_long_as_it_may_be() -> None:
    """It is not refused before it has 5 MB."""
    found, pages = lines([replace(entry_with("x"), reason="\u20ac" * 100)])
    row = len(json.dumps(statement(found, pages, Filters(kind="granted"), 2000).split("\r\n")[1])) + 4
    fits = MAX_BYTES // row
    assert statement(found * fits, pages, Filters(kind="granted"), 2000)
    with pytest.raises(Problem, match="range_too_large"):
        statement(found * (fits + 2), pages, Filters(kind="granted"), 2000)
    assert edge.MAX_BYTES == 5_000_000


def test_refused_requests_are_told_too() -> None:
    """Why work was not done stands in its row."""
    account = opened(50)
    account.do(requested("o1"))
    [row] = [row for row in rows(told(account)) if row["kind"] == "refused"]
    assert (row["order_id"], row["posted"]) == ("o1", "0.00")
    assert row["reason"].startswith("Insufficient Auto-orders credits")
