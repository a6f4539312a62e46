import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocredits.domain.errors import Problem
from autocredits.domain.ids import (
    check_account_id,
    check_caller_id,
    entry_id,
    hold_id,
    is_account_id,
    is_caller_id,
    is_coupon_code,
    parse_hold_id,
)

CALLER_IDS = st.from_regex(r"[A-Za-z0-9_.:-]{1,64}", fullmatch=True)
BAD = [
    "",
    "a" * 65,
    "a b",
    "a\n",
    "\na",
    "a#b",
    "a~1",
    "a/b",
    "a%2Fb",
    "\u00e4",
    "\u0661",
    "a\x00",
    None,
    7,
    True,
    ["a"],
]


@pytest.mark.parametrize("text", ["a", "A-Z_0", "a" * 64, "-", "_"])
def test_an_account_is_named_by_letters_digits_dash_and_underscore(text: str) -> None:
    """`[A-Za-z0-9_-]{1,64}` names an account."""
    assert check_account_id(text) == text


@pytest.mark.parametrize("text", [*BAD, "a.b", "a:b", "*"], ids=repr)
def test_nothing_else_names_an_account(text: object) -> None:
    """The whole text must match, else 422 `invalid_id`; the platform's `*` is no account."""
    assert not is_account_id(text)
    with pytest.raises(Problem) as refused:
        check_account_id(text)
    assert (refused.value.code, refused.value.status) == ("invalid_id", 422)


@given(CALLER_IDS)
def test_a_caller_may_choose_ids_with_dots_and_colons(text: str) -> None:
    """`[A-Za-z0-9_.:-]{1,64}` names an order, a store, a product, a key."""
    assert is_caller_id(text)
    assert check_caller_id(text, "order_id") == text


@pytest.mark.parametrize("text", BAD, ids=repr)
def test_nothing_else_is_an_id(text: object) -> None:
    """The whole text must match, else 422 `invalid_id`, which names the field."""
    assert not is_caller_id(text)
    with pytest.raises(Problem, match="order_id") as refused:
        check_caller_id(text, "order_id")
    assert refused.value.code == "invalid_id"


@pytest.mark.parametrize("text", ["A", "SPRING-10", "0_9", "Z" * 32])
def test_a_coupon_code_is_spelled_in_capitals(text: str) -> None:
    """`[A-Z0-9_-]{1,32}` names a coupon."""
    assert is_coupon_code(text)


@pytest.mark.parametrize("text", [*BAD, "Z" * 33, "spring", "A.B", "A:B"], ids=repr)
def test_nothing_else_is_a_coupon_code(text: object) -> None:
    """Small letters, dots and colons are not allowed, nor are more than 32 characters."""
    assert not is_coupon_code(text)


@given(st.sampled_from(["order", "product"]), CALLER_IDS, st.integers(1, 999_999_999))
def test_a_hold_id_names_work_and_attempt(kind: str, work_id: str, attempt: int) -> None:
    """A hold's id gives back the work and attempt that it was made from."""
    assert parse_hold_id(hold_id(kind, work_id, attempt)) == (kind, work_id, attempt)


def test_the_forms_of_hold_ids() -> None:
    """`<order_id>~<attempt>` and `<product_id>~s<attempt>`."""
    assert hold_id("order", "o1", 2) == "o1~2"
    assert hold_id("product", "p1", 1) == "p1~s1"


@pytest.mark.parametrize(
    "text", ["", "o1", "o1~", "~1", "o1~0", "o1~01", "o1~-1", "o1~1~2", "o1~t1", "o1~1\n", "o1~\u0661", "o1~1000000000"]
)
def test_what_is_no_hold_id_is_a_hold_that_does_not_exist(text: str) -> None:
    """404 `hold_not_found`, as for any hold that does not exist."""
    with pytest.raises(Problem) as refused:
        parse_hold_id(text)
    assert (refused.value.code, refused.value.status) == ("hold_not_found", 404)


def test_an_entry_is_named_by_version_and_index() -> None:
    """`<version>.<index>`, the index from 0."""
    assert entry_id(12, 0) == "12.0"
