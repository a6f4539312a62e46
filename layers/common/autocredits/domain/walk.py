"""How far the walk over all accounts has come. One record for the whole table, written by the sweep."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from .forms import field_names, from_map, to_map
from .records import Listing
from .times import DAY_MS

AGAIN_MS = 30 * DAY_MS
"""How long after its end the next walk begins: by then, what the stream has lost of a quiet account is found."""

TRIES = 5
"""How often a part of the table is tried. Then the walk goes on without those accounts that still fail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """A walk that goes on at `position`, as the store names it; empty: at the beginning.

    `tries` is how often it failed there; `ended_at` is set from its end to the next beginning (milliseconds).
    """

    position: str = ""
    tries: int = 0
    ended_at: int | None = None
    rev: int = 0
    unknown: Mapping[str, Any] = field(default_factory=dict)
    FORM: ClassVar[int] = 1

    def newest_version(self) -> int:
        """It belongs to no account."""
        return 0

    def listings(self) -> tuple[Listing, ...]:
        """It is found by its key."""
        return ()

    def to_map(self) -> dict[str, Any]:
        """The stored form."""
        return to_map(self, _WALK_FIELDS)

    def rests(self, now_ms: int) -> bool:
        """Whether it has ended, and the next one is not to begin yet."""
        return self.ended_at is not None and now_ms < self.ended_at + AGAIN_MS

    def after(self, position: str, now_ms: int, *, failed: bool) -> "Walk":
        """The walk once it has looked at what comes before `position` (empty: at the rest of the table)."""
        if failed and self.tries + 1 < TRIES:
            return replace(self, tries=self.tries + 1, ended_at=None, rev=self.rev + 1)
        ended_at = None if position else now_ms
        return replace(self, position=position, tries=0, ended_at=ended_at, rev=self.rev + 1)


_WALK_FIELDS = field_names(Walk)


def walk_from_map(stored: Mapping[str, Any]) -> Walk:
    """The walk of a stored form."""
    return Walk(**from_map(_WALK_FIELDS, stored))
