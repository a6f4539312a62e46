import pytest

from autocredits.domain.errors import DETAIL_BY_CODE, STATUS_BY_CODE, BrokenInvariantError, Problem, require

# docs/contract.md, section 6. `too_many_messages` is only ever the reason of a dead letter.
CODES = {
    400: "invalid_json invalid_encoding idempotency_key_required idempotency_key_invalid invalid_cursor",
    401: "bad_signature",
    402: "insufficient_credits insufficient_managed_balance",
    403: "store_forbidden orders_processor_inactive account_inactive balance_frozen",
    404: "account_not_found order_not_found product_not_found hold_not_found purchase_not_found coupon_not_found"
    " not_found",
    409: "already_charged order_conflict too_many_attempts invalid_transition coupon_exists balance_limit"
    " too_many_messages",
    413: "body_too_large",
    415: "unsupported_media_type",
    422: "invalid_field unknown_field invalid_amount invalid_id invalid_limit unknown_rate unknown_package"
    " coupon_invalid payment_refused capture_exceeds_hold range_too_large idempotency_key_reused",
    500: "internal_error",
    503: "try_again",
}
CASES = [(code, status) for status, codes in CODES.items() for code in codes.split()]


def test_there_are_just_the_codes_of_the_contract() -> None:
    """A code that is added or taken away is a change of the contract."""
    assert sorted(STATUS_BY_CODE) == sorted(code for code, _ in CASES)


@pytest.mark.parametrize(("code", "status"), CASES)
def test_each_code_has_the_status_of_the_contract(code: str, status: int) -> None:
    """A code always comes with the same status."""
    assert Problem(code, "why").status == status


@pytest.mark.parametrize("code", DETAIL_BY_CODE)
def test_a_code_that_needs_no_detail_has_one_of_its_own(code: str) -> None:
    """It is a sentence for people, and is used wherever no other is given."""
    detail = Problem(code).detail
    assert detail == DETAIL_BY_CODE[code]
    assert detail[0].isupper()
    assert detail.endswith(".")


def test_a_code_that_is_not_listed_cannot_be_used() -> None:
    """An unknown code is a defect, found at once."""
    with pytest.raises(KeyError):
        Problem("no_such_code", "why")


def test_a_problem_keeps_its_detail_and_further_members() -> None:
    """They are handed on as they are."""
    problem = Problem("already_charged", "Twice.", entry_id="3.0")
    assert (problem.detail, problem.extra) == ("Twice.", {"entry_id": "3.0"})
    assert str(problem) == "already_charged: Twice."


def test_require_names_what_is_broken() -> None:
    """A broken invariant raises with its name, and one that holds does nothing."""
    require(True, "the sky is up")  # noqa: FBT003 - as the product calls it
    with pytest.raises(BrokenInvariantError, match="held would be -1"):
        require(False, "held would be -1")  # noqa: FBT003 - as the product calls it
