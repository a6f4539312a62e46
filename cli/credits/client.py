"""The client: every route of a stack."""

from types import TracebackType
from typing import Self

from requests.adapters import BaseAdapter

from .calls.accounts import Accounts
from .calls.balances import Balances
from .calls.buying import Buying
from .calls.consuming import Consuming
from .transport import Retries, Transport


class Client(Accounts, Balances, Consuming, Buying):
    """A caller of one stack with one token. Lists are iterators that ask for the next page when it is wanted.

    Every call that needs a key gets one, and keeps it through its retries; give `key` yourself to make the same call
    again later, from another process. Raises the exception of a refusal's code, such as InsufficientCredits.
    """

    def __init__(
        self, api_url: str, token: str, *, retries: Retries | None = None, adapter: BaseAdapter | None = None
    ) -> None:
        super().__init__(Transport(api_url, token, retries, adapter=adapter))

    @classmethod
    def over(cls, transport: Transport) -> Self:
        """A client over a transport of your own."""
        client = cls.__new__(cls)
        Accounts.__init__(client, transport)
        return client

    def close(self) -> None:
        """Close its connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
