import pytest

from autocredits.domain.walk import AGAIN_MS, TRIES, Walk, walk_from_map
from tests.kit.filled import UNKNOWN

NOW_MS = 1_764_000_000_000


def test_a_walk_goes_on_to_its_end() -> None:
    """Each step is a rev; the last one notes the time."""
    begun = Walk().after("here", NOW_MS, failed=False)
    assert begun == Walk(position="here", rev=1)
    assert begun.after("", NOW_MS, failed=False) == Walk(ended_at=NOW_MS, rev=2)


def test_a_walk_rests_for_thirty_days() -> None:
    """To the millisecond; one that goes on does not rest."""
    ended = Walk(ended_at=NOW_MS)
    assert AGAIN_MS == 30 * 24 * 3600 * 1000
    assert ended.rests(NOW_MS)
    assert ended.rests(NOW_MS + AGAIN_MS - 1)
    assert not ended.rests(NOW_MS + AGAIN_MS)
    assert not Walk().rests(NOW_MS)


def test_the_next_walk_has_not_ended() -> None:
    """Also where its first step fails."""
    ended = Walk(ended_at=NOW_MS, rev=7)
    later_ms = NOW_MS + AGAIN_MS
    assert ended.after("here", later_ms, failed=False) == Walk(position="here", rev=8)
    assert ended.after("here", later_ms, failed=True) == Walk(tries=1, rev=8)


@pytest.mark.parametrize("position", ["", "there"])
def test_a_step_is_tried_five_times(position: str) -> None:
    """Then the walk goes on, and tries the next step as often."""
    walk = Walk(position="here")
    for tries in range(1, TRIES):
        walk = walk.after(position, NOW_MS, failed=True)
        assert walk == Walk(position="here", tries=tries, rev=tries)
    ended_at = None if position else NOW_MS
    assert walk.after(position, NOW_MS, failed=True) == Walk(position=position, ended_at=ended_at, rev=TRIES)
    assert TRIES == 5


def test_a_walk_is_stored_without_what_it_lacks() -> None:
    """And with what a newer release wrote."""
    assert Walk(rev=1).to_map() == {"rev": 1}
    walk = Walk(position="here", tries=2, ended_at=3, rev=4, unknown=UNKNOWN)
    assert walk.to_map() == {"position": "here", "tries": 2, "ended_at": 3, "rev": 4, **UNKNOWN}
    assert walk_from_map(walk.to_map()) == walk
    assert (walk.newest_version(), walk.listings()) == (0, ())
