import re
from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from autocredits.domain.errors import Problem
from autocredits.domain.money import MAX_BALANCE, divide_half_up, format_amount, parse_amount

LIMIT = 10**12 - 1  # ten digits before the point


@pytest.mark.parametrize(
    ("text", "hundredths"),
    [
        ("0.00", 0),
        ("0.01", 1),
        ("1.33", 133),
        ("-0.33", -33),
        ("9.90", 990),
        ("23.50", 2350),
        ("9999999999.99", LIMIT),
        ("-9999999999.99", -LIMIT),
    ],
)
def test_an_amount_is_read_and_written_as_the_contract_says(text: str, hundredths: int) -> None:
    """Decimal strings with two decimals outside are hundredths inside."""
    assert parse_amount(text) == hundredths
    assert format_amount(hundredths) == text


@given(st.integers(-LIMIT, LIMIT))
def test_every_amount_survives_being_written_and_read(hundredths: int) -> None:
    """Formatting an amount and parsing the text gives the same hundredths."""
    assert parse_amount(format_amount(hundredths)) == hundredths


@given(st.integers(-LIMIT, LIMIT))
def test_an_amount_is_written_as_exact_decimal_arithmetic_would(hundredths: int) -> None:
    """The text is the exact hundredth part, no float involved."""
    assert format_amount(hundredths) == f"{Decimal(hundredths).scaleb(-2):.2f}"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(value, id=repr(value))
        for value in (
            "", "1", "1.", ".33", "1.3", "1.333", "+1.33", " 1.33", "1.33 ", "1.33\n", "\n1.33", "1_000.00", "1,33",
            "1,000.00", "01.33", "00.33", "-01.00", "--1.00", "-", "-.50", "- 1.00", "1e2", "1.00e2", "1E0", "NaN",
            "Infinity", "-0.00", "0x1.00", "10000000000.00", "-10000000000.00", "1.33\x00",
            "\u0661.\u0663\u0663",  # Arabic-Indic digits
            "\uff11.\uff13\uff13",  # full-width digits
            "1.3\u00b3",  # superscript three
            "\u22121.33",  # the minus sign of typography
            None, True, 1, 1.33, Decimal("1.33"), b"1.33", ["1.33"], {"amount": "1.33"},
        )
    ],
)  # fmt: skip
def test_everything_else_is_no_amount(text: object) -> None:
    """Numbers, other decimals, exponents, signs, spaces, leading zeros, foreign digits are `invalid_amount`."""
    with pytest.raises(Problem) as refused:
        parse_amount(text)
    assert (refused.value.code, refused.value.status) == ("invalid_amount", 422)


@given(st.text(alphabet="0123456789.-+eE_ ,\n\u0661\uff11", max_size=16) | st.text(max_size=8))
@example("1.33\n")
@example("-0.00")
def test_what_is_read_is_just_what_would_be_written(text: str) -> None:
    """Each amount has one spelling; every other text is refused."""
    try:
        hundredths = parse_amount(text)
    except Problem:
        assert not re.fullmatch(r"-?(0|[1-9][0-9]{0,9})\.[0-9]{2}", text, re.ASCII) or text == "-0.00"
    else:
        assert format_amount(hundredths) == text


def test_one_minus_three_times_a_third_is_one_hundredth() -> None:
    """1 - 3 x 0.33 is exactly 0.01: there is no float anywhere."""
    assert format_amount(parse_amount("1.00") - 3 * parse_amount("0.33")) == "0.01"


def test_floats_would_have_shown_another_price() -> None:
    """9.90 / 20 is 0.495: floats round it to 0.49, the page shows 0.50 (docs/domain.md, "Packages")."""
    assert round(9.90 / 20, 2) == 0.49
    assert divide_half_up(990 * 100, 2000) == 50


@given(st.integers(0, 10**12), st.integers(1, 10**9))
def test_division_rounds_half_up(numerator: int, denominator: int) -> None:
    """A half goes up, as decimal arithmetic says."""
    exact = (Decimal(numerator) / Decimal(denominator)).quantize(Decimal(1), ROUND_HALF_UP)
    assert divide_half_up(numerator, denominator) == int(exact)


def test_the_limit_of_a_balance() -> None:
    """No balance may pass 1,000,000,000.00 (docs/contract.md, section 6)."""
    assert format_amount(MAX_BALANCE) == "1000000000.00"
