from hypothesis import given
from hypothesis import strategies as st

from autocredits.domain.records import KeyRecord, key_from_map, rev_of
from tests.kit.filled import RECORDS

IDS = st.from_regex(r"[A-Za-z0-9_.:-]{1,12}", fullmatch=True)


@given(
    IDS,
    IDS,
    st.integers(1, 10**9),
    st.none() | IDS,
    st.integers(0, 48),
    st.integers(0, 49),
    st.none() | st.sampled_from(["queued", "failed"]),
)
def test_a_key_survives_being_stored(
    key: str, fingerprint: str, version: int, page_hash: str | None, first: int, count: int, status: str | None
) -> None:
    """It is read back as it was."""
    record = KeyRecord(
        key=key,
        fingerprint=fingerprint,
        version=version,
        hash=page_hash,
        first=first,
        count=count,
        status=status,
        attempt=1 if status else None,
    )
    assert key_from_map(record.to_map()) == record


def test_a_key_of_an_earlier_release_names_no_page_hash() -> None:
    """It is answered by the page's number alone."""
    assert key_from_map({"key": "k", "fingerprint": "f", "version": 3, "count": 1}).hash is None


def test_a_key_names_the_page_that_answers_it() -> None:
    """No account has an answer from a page that it does not have yet."""
    assert KeyRecord(key="k", fingerprint="f", version=3).newest_version() == 3


def test_a_key_is_written_once() -> None:
    """It has no rev: its only write is on condition that there is no such key."""
    assert rev_of(RECORDS["key"]) is None
    assert rev_of(None) is None
    assert rev_of(RECORDS["order"]) == 10


def test_a_key_stands_in_no_list() -> None:
    """Keys are only ever found by themselves."""
    assert RECORDS["key"].listings() == ()
