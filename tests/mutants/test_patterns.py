"""The patterns of ids, amounts and times: no piece of one can change unnoticed."""

import re
import types
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from autocredits.domain import ids, money, times
from autocredits.domain.errors import Problem

N64, N65 = "n" * 64, "n" * 65

# What each reader makes of a text; None: it refuses it.
ACCOUNT_IDS = {"A": True, "Z": True, "a": True, "z": True, "0": True, "9": True, "_": True, "-": True, N64: True}
ACCOUNT_IDS |= {"": False, N65: False, ".": False, ":": False, "a b": False, "é": False, "\u0663": False, "a\n": False}
CALLER_IDS = ACCOUNT_IDS | {".": True, ":": True, "~": False, "#": False}
COUPON_CODES = {"A": True, "Z": True, "0": True, "9": True, "_": True, "-": True, "N" * 32: True, "": False}
COUPON_CODES |= {
    "N" * 33: False,
    "a": False,
    "z": False,
    ".": False,
    ":": False,
    "A B": False,
    "\u0663": False,
    "A\n": False,
}
HOLDS: dict[str, Any] = {
    **{f"{text}~1": ("order", text, 1) for text, good in CALLER_IDS.items() if good},
    **{f"{text}~1": None for text, good in CALLER_IDS.items() if not good and text != "~"},
    "o~s1": ("product", "o", 1),
    "o~9": ("order", "o", 9),
    "o~10": ("order", "o", 10),
    "o~90": ("order", "o", 90),
    "o~123456789": ("order", "o", 123456789),
    "o~1234567890": None,
    "o~0": None,
    "o~01": None,
    "o~": None,
    "o1": None,
    "o~ss1": None,
    "o~S1": None,
    "o-1": None,
    "o~1x": None,
    "o~-1": None,
    "o~1~1": None,
    "o~\u0663": None,
    "o~1\u0663": None,
}
AMOUNTS: dict[str, Any] = {
    "0.00": 0,
    "0.09": 9,
    "1.90": 190,
    "9.00": 900,
    "10.00": 1000,
    "-0.33": -33,
    "-90.00": -9000,
    "19.99": 1999,
    "9999999999.99": 999_999_999_999,
    "19999999999.99": None,
    "00.00": None,
    "01.00": None,
    "-0.00": None,
    "1": None,
    "1.0": None,
    "1.000": None,
    "1,00": None,
    "1x00": None,
    "100": None,
    ".50": None,
    "+1.00": None,
    "--1.00": None,
    "1.a0": None,
    "a.00": None,
    "1\u0663.00": None,
    "1.0\u0663": None,
    "\u0663.00": None,
    "": None,
    "-": None,
    "1.00\n": None,
}
GOOD = "2026-11-24T15:59:09"
TIMES: dict[str, Any] = {
    "1970-01-01T00:00:00Z": 0,
    "1970-01-01T00:00:00.001Z": 1,
    "1970-01-01T00:00:00.0019Z": 1,
    "1970-01-02T00:00:00.1Z": 86_400_100,
    "1970-01-01T00:00:00.999999999Z": 999,
    "1999-09-09T19:09:59Z": 936_904_199_000,
    "2000-10-10T09:39:49Z": 971_170_789_000,
    **{
        f"{GOOD}{end}": None
        for end in ("", ".Z", ".1234567890Z", "z", "+00:00", "x1Z", ".xZ", ",1Z", "Z\n", ".\u0663Z")
    },
    **{f"{GOOD[:place]}{GOOD[place + 1 :]}Z": None for place in range(len(GOOD))},
    **{f"{GOOD[:place]}0{GOOD[place:]}Z": None for place in (0, 5, 8, 11, 14, 17)},
    "2026-\u06601-24T15:59:09Z": None,
    "2026-1\u0660-24T15:59:09Z": None,
    **{f"{GOOD[:place]}x{GOOD[place + 1 :]}Z": None for place in range(len(GOOD))},
    **{f"{GOOD[:place]}\u0663{GOOD[place + 1 :]}Z": None for place in (0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18)},
}


def or_none(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """What it reads; None where it refuses."""

    def reads(text: str) -> Any:
        try:
            return read(text)
        except Problem:
            return None

    return reads


PATTERNS: list[tuple[types.ModuleType, str, Callable[[str], Any], dict[str, Any]]] = [
    (ids, "_ACCOUNT_ID", ids.is_account_id, ACCOUNT_IDS),
    (ids, "_CALLER_ID", ids.is_caller_id, CALLER_IDS),
    (ids, "_COUPON_CODE", ids.is_coupon_code, COUPON_CODES),
    (ids, "_HOLD_ID", or_none(ids.parse_hold_id), HOLDS),
    (money, "_AMOUNT", or_none(money.parse_amount), AMOUNTS),
    (times, "_TIME", or_none(times.parse_time), TIMES),
]

# A piece of a pattern, and what may wrongly stand there.
WRONG = {
    "A-Z": ["", "A-Y", "B-Z"],
    "a-z": ["", "a-y", "b-z"],
    "[0-9]": [r"\d", ".", "[0-8]", "[1-9]"],
    "[1-9]": ["[0-9]", "[1-8]", "[2-9]", r"\d"],
    "0-9_": ["0-8_", "1-9_", "0-9"],
    ".:-]": [":-]", ".-]", ".:]", ".:~-]", ".:#-]", ".: -]"],
    "_-]": ["_]", "_.-]", "_ -]"],
    "{1,32}": ["{0,32}", "{1,31}", "{1,33}", "+"],
    "{1,64}": ["{0,64}", "{1,63}", "{1,65}", "+"],
    "{0,8}": ["{0,7}", "{0,9}", "{1,8}", "*"],
    "{0,9}": ["{0,8}", "{0,10}", "{1,9}", "*"],
    "{1,9}": ["{0,9}", "{1,8}", "{1,10}", "{2,9}"],
    "{2}": ["{1}", "{3}", "{1,2}", "{2,3}", "*"],
    "{4}": ["{3}", "{5}", "{3,4}", "{4,5}"],
    "~": ["-", "~?"],
    "(s?)": ["()", "(s)", "(s*)", "([sS]?)"],
    "(-?)": ["()", "(-)", "(-*)", "([+-]?)"],
    "(0|": ["(", "(00|", "(0+|"],
    r"\.": [".", "", r"\.?", "[.,]"],
    "T": ["", "T?", "."],
    "-(": ["(", ".("],
    ":(": ["(", ".("],
    ")?Z": [")Z", ")?", ")?Z?", ")?[zZ]", ")?."],
}


def mutants() -> list[Any]:
    """Each pattern with one piece changed, at each place where the piece stands."""
    return [
        pytest.param(
            module, name, read, texts, pattern[: at.start()] + wrong + pattern[at.end() :], id=f"{name}-{where}-{wrong}"
        )
        for module, name, read, texts in PATTERNS
        for pattern in [vars(module)[name].pattern]
        for piece, wrongs in WRONG.items()
        for where, at in enumerate(re.finditer(re.escape(piece), pattern))
        for wrong in wrongs
    ]


@pytest.mark.parametrize(("name", "read", "texts"), [row[1:] for row in PATTERNS], ids=[row[1] for row in PATTERNS])
def test_a_text_is_read_as_it_should_be(name: str, read: Callable[[str], Any], texts: dict[str, Any]) -> None:
    """What fits is read, and all else is refused."""
    assert name
    assert {text: read(text) for text in texts} == texts


@pytest.mark.parametrize(("module", "name", "read", "texts", "wrong"), mutants())
def test_a_changed_pattern_is_noticed(
    module: types.ModuleType,
    name: str,
    read: Callable[[str], Any],
    texts: dict[str, Any],
    wrong: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No piece of a pattern can be another without a text that is read otherwise."""
    monkeypatch.setattr(module, name, re.compile(wrong))
    assert any(_reads(read, text) != told for text, told in texts.items())


def _reads(read: Callable[[str], Any], text: str) -> Any:
    try:
        return read(text)
    except (ValueError, TypeError, IndexError) as error:
        return error


def test_times_count_from_1970() -> None:
    """The beginning of time is 1970 in UTC."""
    assert vars(times)["_EPOCH"] == datetime(1970, 1, 1, tzinfo=UTC)
