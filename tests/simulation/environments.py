"""Execution environments as Lambda has them: each with globals of its own that live on from call to call."""

from collections.abc import Iterator, Sequence
from contextvars import Context
from typing import Any

from aws_lambda_powertools.event_handler.api_gateway import BaseRouter
from aws_lambda_powertools.metrics.provider import cold_start

from functions.account import app as account_app
from functions.balance import app as balance_app
from functions.consume import app as consume_app
from functions.purchase import app as purchase_app

RESOLVERS = tuple(module.app.resolver for module in (account_app, balance_app, consume_app, purchase_app))

CELLS: Sequence[tuple[Any, str]] = (
    (BaseRouter, "current_event"),
    (BaseRouter, "lambda_context"),
    (cold_start, "is_cold_start"),
    *((resolver, name) for resolver in RESOLVERS for name in ("context", "processed_stack_frames")),
)
"""Where Powertools keeps what belongs to one call or one environment: owner and attribute."""

NOTHING = object()


class Environment:
    """The globals of one environment, put in their places while its handler runs."""

    def __init__(self) -> None:
        self.values: list[Any] = [value.copy() if isinstance(value, dict | list) else value for value in FRESH]
        self.context = Context()

    def enter(self) -> None:
        """Put this environment's globals in their places."""
        for (owner, name), value in zip(CELLS, self.values, strict=True):
            if value is not NOTHING:
                setattr(owner, name, value)
            elif name in vars(owner):
                delattr(owner, name)

    def leave(self) -> None:
        """Take them out again, as the handler left them."""
        self.values = list(_read())


def _read() -> Iterator[Any]:
    for owner, name in CELLS:
        yield vars(owner).get(name, NOTHING)


FRESH = tuple(_read())
"""What an environment begins with: the globals as they are once the modules are imported."""
