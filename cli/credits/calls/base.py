"""What the calls of every chapter share: paths, keys, lists, and what a refusal after a fault may mean."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from credits.problems import InvalidId, Problem, UnexpectedAnswer
from credits.transport import Answer, Call, RetriedProblem, Transport, new_key

AT_ONCE = 100
"""How many items of a list are asked for at once."""

Recover = Callable[[Problem], Any]
"""Given a refusal that may be the echo of an earlier try, what that try did; None: it is a refusal."""


class Calls:
    """A caller of one stack."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def _get(self, path: str, query: Mapping[str, str | None] | None = None) -> Any:
        return self._answer(Call("GET", path, query=present(query or {}))).json()

    def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, recover: Recover | None = None
    ) -> Any:
        """A call that is idempotent by itself, or whose `recover` tells an echo from a refusal."""
        try:
            return self._transport.call(Call(method, path, body)).json()
        except RetriedProblem as retried:
            done = recover(retried.problem) if recover else None
            if done is None:
                raise retried.problem from None
            return done

    def _keyed(self, path: str, body: Mapping[str, Any], key: str | None) -> Any:
        """A call that is done once for its key, which is made here unless it is given."""
        return self._answer(Call("POST", path, body, key=key or new_key())).json()

    def _items(self, path: str, query: Mapping[str, str | None] | None = None, at_once: int = AT_ONCE) -> Iterator[Any]:
        """All items of a list, page by page, as they are asked for."""
        asked = {**present(query or {}), "limit": str(at_once)}
        while True:
            page = self._get(path, asked)
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return
            if cursor == asked.get("cursor"):
                raise UnexpectedAnswer(f"the list {path} does not go on")
            asked["cursor"] = cursor

    def _answer(self, call: Call) -> Answer:
        try:
            return self._transport.call(call)
        except RetriedProblem as retried:
            raise retried.problem from None


def path(*segments: str) -> str:
    """A path of these segments. Raises InvalidId for one that would lead to another route."""
    for segment in segments:
        if segment in ("", ".", ".."):
            raise InvalidId(422, "invalid_id", f"{segment!r} cannot be named in an address.", {}, None)
    return "/" + "/".join(quote(segment, safe="~:") for segment in segments)


def present(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that are there."""
    return {name: value for name, value in values.items() if value is not None}
