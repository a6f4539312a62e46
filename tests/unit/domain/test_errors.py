import pytest

from autocredits.domain.errors import STATUS_BY_CODE, BrokenInvariantError, Problem, require

# Contract, section 6: every code of what is built so far, by status.
CODES = {
    400: "invalid_json invalid_encoding idempotency_key_required idempotency_key_invalid invalid_cursor",
    402: "insufficient_credits insufficient_managed_balance",
    403: "store_forbidden orders_processor_inactive account_inactive balance_frozen",
    404: "account_not_found order_not_found product_not_found hold_not_found not_found",
    413: "body_too_large",
    415: "unsupported_media_type",
    409: "already_charged order_conflict invalid_transition balance_limit",
    422: "invalid_field unknown_field invalid_amount invalid_id invalid_limit unknown_rate capture_exceeds_hold"
    " idempotency_key_reused",
    503: "try_again",
    500: "internal_error",
}


@pytest.mark.parametrize(("code", "status"), [(code, status) for status in CODES for code in CODES[status].split()])
def test_each_code_has_the_status_of_the_contract(code: str, status: int) -> None:
    """A code stands under its status (contract, section 6)."""
    assert STATUS_BY_CODE[code] == status
    assert Problem(code, "why").status == status


def test_a_code_that_is_not_listed_cannot_be_told() -> None:
    """An unknown code is a defect, found at once."""
    with pytest.raises(KeyError):
        Problem("no_such_code", "why")


def test_a_problem_keeps_what_it_is_told() -> None:
    """Detail and further members are given on as they are."""
    problem = Problem("already_charged", "Twice.", entry_id="3.0")
    assert (problem.detail, problem.extra) == ("Twice.", {"entry_id": "3.0"})
    assert str(problem) == "already_charged: Twice."


def test_require_names_what_is_broken() -> None:
    """A broken invariant is told by name, and a whole one not at all."""
    require(True, "the sky is up")  # noqa: FBT003 - as the product calls it
    with pytest.raises(BrokenInvariantError, match="held would be -1"):
        require(False, "held would be -1")  # noqa: FBT003 - as the product calls it
