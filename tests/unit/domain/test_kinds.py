import pytest

from autocredits.domain.kinds import GLOBAL_KINDS, record_from_map
from tests.kit.filled import RECORDS


@pytest.mark.parametrize("kind", RECORDS)
def test_each_kind_of_record_is_read_as_what_it_is(kind: str) -> None:
    """The kind in a record's key says how its stored form is read, in every field."""
    record = record_from_map((kind, "x"), RECORDS[kind].to_map())
    assert type(record) is type(RECORDS[kind])
    assert record == RECORDS[kind]


def test_a_kind_that_is_not_listed_cannot_be_read() -> None:
    """A record of an unknown kind is a defect, found at once."""
    with pytest.raises(KeyError):
        record_from_map(("wallet", "x"), {})


def test_payments_coupons_and_the_walk_belong_to_no_account() -> None:
    """They are the same for every account; all other records are its own."""
    assert set(GLOBAL_KINDS) == {"payment", "coupon", "walk"}
    assert set(GLOBAL_KINDS) < set(RECORDS)
