"""Amounts: decimal strings outside, integer hundredths inside (docs/contract.md, section 2)."""

import re

from .errors import Problem

MAX_BALANCE = 100_000_000_000
"""No balance may pass 1,000,000,000.00 (docs/contract.md, section 6, `balance_limit`). Hundredths."""

_AMOUNT = re.compile(r"(-?)(0|[1-9][0-9]{0,9})\.([0-9]{2})")


def parse_amount(text: object) -> int:
    """Hundredths of a decimal string with exactly two decimals, such as "1.33" or "-0.33".

    Raises Problem `invalid_amount` for everything else: numbers, exponents, signs `+`, spaces, leading zeros,
    digits outside ASCII, more than ten digits before the point, a negative zero.
    """
    match = _AMOUNT.fullmatch(text) if isinstance(text, str) else None
    if match is None or text == "-0.00":
        raise Problem("invalid_amount", 'An amount is a string with exactly two decimals, such as "1.33".')
    sign, whole, cents = match.groups()
    hundredths = int(whole) * 100 + int(cents)
    return -hundredths if sign else hundredths


def format_amount(hundredths: int) -> str:
    """The decimal string of `hundredths`: 133 → "1.33", -33 → "-0.33"."""
    sign = "-" if hundredths < 0 else ""
    whole, cents = divmod(abs(hundredths), 100)
    return f"{sign}{whole}.{cents:02d}"


def divide_half_up(numerator: int, denominator: int) -> int:
    """`numerator / denominator` rounded half up to a whole number; both at least 0 and `denominator` above 0."""
    return (2 * numerator + denominator) // (2 * denominator)
