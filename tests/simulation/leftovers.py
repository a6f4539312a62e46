"""What a call leaves in the globals of Powertools and of the functions, or lays there while it runs."""

import sys
from collections import deque
from collections.abc import Iterator
from typing import Any

PACKAGES = ("aws_lambda_powertools", "functions", "autocredits")

Place = tuple[int, str]
"""An owner by its identity, and the attribute, key or index at which it holds something."""


def globals_now() -> dict[Place, tuple[str, Any]]:
    """All that can be reached from the packages' modules through classes, their own objects and containers."""
    found: dict[Place, tuple[str, Any]] = {}
    modules = [(name, module) for name, module in sys.modules.items() if name.split(".")[0] in PACKAGES]
    seen, waiting = set[int](), deque[tuple[str, Any]](modules)
    while waiting:
        name, owner = waiting.popleft()
        if id(owner) in seen:
            continue
        seen.add(id(owner))
        found[id(owner), ""] = (name, owner)
        for at, value in _held(owner):
            found[id(owner), at] = (f"{name}.{at}", value)
            if isinstance(value, dict | list | set | tuple) or _is_theirs(value):
                waiting.append((f"{name}.{at}", value))
    return found


def changed_since(before: dict[Place, tuple[str, Any]]) -> dict[Place, str]:
    """The places, with their names, whose content is not what it was, in owners that were there before."""
    nothing = ("", object())
    return {
        place: name
        for place, (name, value) in globals_now().items()
        if (place[0], "") in before and not _is_same(before.get(place, nothing)[1], value)
    }


def _is_theirs(value: Any) -> bool:
    """A class of the packages, or an object of one."""
    kind = value if isinstance(value, type) else type(value)
    return str(getattr(kind, "__module__", "")).split(".")[0] in PACKAGES


def _is_same(one: Any, other: Any) -> bool:
    """The same object, or an equal one of those that cannot change inside."""
    return one is other or (type(one) is type(other) and isinstance(one, str | int | float | tuple) and one == other)


def _held(owner: Any) -> Iterator[tuple[str, Any]]:
    """What an owner holds, and where."""
    if isinstance(owner, dict):
        yield from ((repr(key), value) for key, value in list(owner.items()))
    elif isinstance(owner, list | tuple | set | frozenset):
        yield from ((f"{index}", value) for index, value in enumerate(list(owner)))
    else:
        yield from list(getattr(owner, "__dict__", {}).items())
        for kind in type(owner).__mro__:
            slots = vars(kind).get("__slots__", ())
            names = (slots,) if isinstance(slots, str) else slots
            yield from ((name, getattr(owner, name)) for name in names if hasattr(owner, name))
