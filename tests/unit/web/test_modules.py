"""The page's own reckoning: amounts, days, what was used, and statements. The product says what is right."""

import json
import subprocess
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest

from autocredits.domain.money import format_amount
from autocredits.edge.statement import statement
from autocredits.ledger.history import Filters
from autocredits.ledger.statement import lines_of, range_of
from dev.engines import node
from dev.engines.dynamodb import CACHE
from tests.kit.builders import ACCOUNT_ID, Account
from tests.kit.journals import Item, items_of, stored_of, wander
from tests.kit.page import WEB

RUNNER = Path(__file__).with_name("modules.mjs")
Call = tuple[str, str, list[Any]]


def run(*calls: Call) -> list[dict[str, Any]]:
    """What each call gives, or the name of the error that it throws."""
    command = [node.fetch(CACHE), str(RUNNER), str(WEB)]
    done = subprocess.run(  # noqa: S603 - our own modules
        command, input=json.dumps(calls), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    told: list[dict[str, Any]] = json.loads(done.stdout)
    return told


def values(*calls: Call) -> list[Any]:
    """What each call gives."""
    return [told["value"] for told in run(*calls)]


# ---------------------------------------------------------------- amounts


def test_amounts_survive_being_read_and_written() -> None:
    """Up to the greatest balance, as whole hundredths."""
    amounts = [
        0,
        1,
        -1,
        9,
        10,
        99,
        100,
        -12345,
        10**11,
        -(10**11),
        *(Random(1).randint(-(10**11), 10**11) for _ in range(50)),
    ]
    texts = [format_amount(amount) for amount in amounts]
    assert values(*[("money.js", "hundredths", [text]) for text in texts]) == amounts
    assert values(*[("money.js", "amount", [amount]) for amount in amounts]) == texts


@pytest.mark.parametrize("text", ["", "1", "1.5", "1.234", "1e2", "0x1.00", " 1.00", "1.00\n", "NaN", "--1.00"])
def test_what_is_no_amount_is_none(text: str) -> None:
    """It throws, rather than being taken for something near it."""
    assert run(("money.js", "hundredths", [text])) == [{"error": "RangeError"}]


@pytest.mark.parametrize(
    ("typed", "amount"),
    [
        *(("2", "2.00"), ("2.5", "2.50"), ("2,50", "2.50"), (" 007.1 ", "7.10"), ("0", "0.00")),
        *((text, None) for text in ("", "two", "-1", "1.234", "1.", "1e3", "1 000", "12345678901")),
    ],
)
def test_what_people_type_is_understood_or_refused(typed: str, amount: str | None) -> None:
    """With a point or a comma; never guessed."""
    assert values(("money.js", "typed", [typed])) == [amount]


@pytest.mark.parametrize(
    ("function", "text", "shown"),
    [
        ("shown", "1234567.89", "1,234,567.89"),
        ("shown", "-1234.50", "\u22121,234.50"),
        ("shown", "999.00", "999.00"),
        ("signed", "1.00", "+1.00"),
        ("signed", "-1.00", "\u22121.00"),
        ("signed", "0.00", "0.00"),
        ("dollars", "1234.50", "$1,234.50"),
        ("dollars", "-0.33", "\u2212$0.33"),
    ],
)
def test_amounts_are_shown_as_people_write_them(function: str, text: str, shown: str) -> None:
    """With thousands apart, and a real minus."""
    assert values(("money.js", function, [text])) == [shown]


def test_days_are_utc_days() -> None:
    """The day after, over months and leap days; and the last ones up to now."""
    assert values(
        ("times.js", "dayAfter", ["2026-12-31"]),
        ("times.js", "dayAfter", ["2028-02-28"]),
        ("times.js", "midnight", ["2026-11-27"]),
        ("times.js", "lastDays", [3, 1_772_409_599_999]),
    ) == ["2027-01-01", "2028-02-29", "2026-11-27T00:00:00.000Z", ["2026-02-27", "2026-02-28", "2026-03-01"]]


# ---------------------------------------------------------------- usage

USED = [
    {
        "day": "2026-11-01",
        "credits": "4.00",
        "actions": [{"action": f"a{n}", "credits": f"0.{n}0"} for n in range(1, 9)],
    },
    {"day": "2026-11-02", "credits": "9.00", "actions": [{"action": "a1", "credits": "9.00"}]},
]


def test_the_most_used_actions_have_colours_of_their_own() -> None:
    """What is beyond the sixth is summed up, and nothing is lost by it."""
    (ranked,) = values(("usage.js", "ranked", [USED]))
    assert ranked == ["a1", "a8", "a7", "a6", "a5", None]
    (stacked,) = values(("usage.js", "stacked", [USED[0], ranked]))
    assert stacked == [10, 80, 70, 60, 50, 40 + 30 + 20]
    assert values(("usage.js", "stacked", [None, ranked])) == [[0] * 6]


@pytest.mark.parametrize(
    ("left", "said"), [(None, ""), (1, "about 1 day."), (0, "about 0 days."), (12, "about 12 days.")]
)
def test_how_long_the_credits_last_is_said_in_whole_days(left: int | None, said: str) -> None:
    """Where nothing was used, nothing is said."""
    (text,) = values(("usage.js", "summary", [{"total": "3.00", "days_left": left}]))
    assert text.endswith(said)
    assert ("At this rate" in text) == (left is not None)


# ---------------------------------------------------------------- statements


def told(account: Account, filters: Filters) -> str:
    """The account's statement."""
    pages = range_of(account.store, account.page(), filters)
    lines = lines_of(account.store, account.account_id, pages, filters)
    return statement(lines, pages, filters, account.clock.at_ms)


def journal(account: Account) -> list[Item]:
    """The account's pages as the API shows them."""
    return items_of(stored_of(account.pages()))


def verdicts(*checks: tuple[list[Item], str]) -> list[dict[str, Any]]:
    """What the page says of each statement, beside that journal."""
    return values(*[("statement.js", "check", [items, ACCOUNT_ID, text]) for items, text in checks])


def test_every_true_statement_is_found_right() -> None:
    """Of wandering accounts, whole and from and to any moment: all entries, and the pages between its ends."""
    checks, expected = [], []
    for seed in range(8):
        account = wander(seed)
        times = sorted(page.at for page in account.pages())
        for from_ms, to_ms in [
            (None, None),
            (times[9], None),
            (None, times[-9]),
            (times[5], times[-5]),
            (times[-1] + 1, None),
        ]:
            filters = Filters(from_ms=from_ms, to_ms=to_ms)
            pages = range_of(account.store, account.page(), filters)
            first = pages.opening.version if pages.opening else 0
            last = pages.closing.version if pages.closing else 0
            checks.append((journal(account), told(account, filters)))
            expected.append(last - first)
    found = verdicts(*checks)
    assert [verdict["findings"] for verdict in found] == [[]] * len(checks)
    assert [verdict["pages"] for verdict in found] == expected


def without_a_row(text: str) -> str:
    """One entry is left out."""
    lines = text.split("\r\n")
    return "\r\n".join(lines[:8] + lines[9:])


def with_a_row_twice(text: str) -> str:
    """One entry stands there twice."""
    lines = text.split("\r\n")
    return "\r\n".join(lines[:9] + lines[8:])


def with_rows_exchanged(text: str) -> str:
    """Two entries stand in the other order."""
    lines = text.split("\r\n")
    return "\r\n".join([*lines[:8], lines[9], lines[8], *lines[10:]])


def with_more_from_the_start(text: str) -> str:
    """A credit more from the opening to the closing row: the sums agree, the journal does not."""
    lines = [line.split(",") for line in text.split("\r\n")]
    for cells in lines[1:-1]:
        if cells[3] == "auto_order":
            columns = (4, 6, 8) if cells[2] == "opening" else (6, 8)
            for column in columns:
                cells[column] = f"{Decimal(cells[column]) + 1:.2f}"
    return "\r\n".join(",".join(cells) for cells in lines)


@pytest.mark.parametrize("change", [without_a_row, with_a_row_twice, with_rows_exchanged, with_more_from_the_start])
def test_a_changed_statement_is_found_wrong(change: Callable[[str], str]) -> None:
    """Rows that are missing, doubled, exchanged, or shifted as a whole; also in one that begins in the middle."""
    account = wander(3)
    middle = sorted(page.at for page in account.pages())[4]
    for filters in (Filters(), Filters(from_ms=middle)):
        text = told(account, filters)
        (verdict,) = verdicts((journal(account), change(text)))
        assert verdict["findings"]


def test_no_changed_cell_gets_through() -> None:
    """Each column of an entry's row is compared, but for the hold's id, which the others make up."""
    account = wander(5)
    text = told(account, Filters())
    lines = text.split("\r\n")
    checks = []
    for column, name in enumerate(lines[0].split(",")):
        row = next(
            (n for n, line in enumerate(lines[6:-6], 6) if line.count(",") == 20 and line.split(",")[column]), None
        )
        if row is None or name == "hold_id" or '"' in lines[row]:
            continue
        cells = lines[row].split(",")
        cells[column] = (
            f"{Decimal(cells[column]) + 1:.2f}"
            if cells[column].endswith(".00") and "_" in name
            else cells[column][:-1] + "~"
        )
        checks.append((journal(account), "\r\n".join([*lines[:row], ",".join(cells), *lines[row + 1 :]])))
    told_wrong = run(*[("statement.js", "check", [items, ACCOUNT_ID, changed]) for items, changed in checks])
    assert len(checks) >= 15
    assert all("error" in one or one["value"]["findings"] for one in told_wrong)


def test_a_changed_journal_is_found_wrong() -> None:
    """A page that is not what its hash says, and one that is missing."""
    account = wander(4)
    text, items = told(account, Filters()), journal(account)
    changed = [*items[:3], {**items[3], "page": items[3]["page"].replace('"actor"', '"Actor"', 1)}, *items[4:]]
    for wrong in (changed, items[:3] + items[4:], items[:-1]):
        (verdict,) = verdicts((wrong, text))
        assert verdict["findings"]


def test_a_statement_without_its_ends_is_none() -> None:
    """Such as one of a single store: it cannot be checked, and is not called right."""
    account = wander(2)
    text = told(account, Filters(store_id="s1"))
    assert run(("statement.js", "check", [journal(account), ACCOUNT_ID, text])) == [{"error": "RangeError"}]


def test_rows_are_read_as_they_were_written() -> None:
    """Quotes, commas and line ends inside a cell (RFC 4180)."""
    text = 'a,b,c\r\n1,"two, ""three""\r\nfour",\r\n,,5\r\n'
    assert values(("statement.js", "rowsOf", [text])) == [
        [{"a": "1", "b": 'two, "three"\r\nfour', "c": ""}, {"a": "", "b": "", "c": "5"}]
    ]
