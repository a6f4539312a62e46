"""How the program ends: its exit codes, and what it says on stderr (docs/cli.md, "Exit codes")."""

import json
from typing import Any

import click

from credits.problems import (
    CreditsError,
    Forbidden,
    GatewayFault,
    Problem,
    TooManyRequests,
    TryAgain,
    Unauthorized,
    Unreachable,
)

NO = 1
"""It was done, and the answer is no: a journal is wrong, a payment was not made, a row was not imported."""

USAGE = 2
REFUSED = 3
NO_ACCESS = 4
TRY_AGAIN = 5
INTERRUPTED = 130
PIPE_CLOSED = 141


class NoAccess(click.ClickException):
    """There is no token, or none that can be used."""

    exit_code = NO_ACCESS


def code_of(error: CreditsError) -> int:
    """The exit code of a call that failed."""
    if isinstance(error, Unauthorized | Forbidden):
        return NO_ACCESS
    if isinstance(error, Unreachable | TryAgain | TooManyRequests | GatewayFault):
        return TRY_AGAIN
    return REFUSED


def tell(error: CreditsError, *, as_json: bool) -> None:
    """Say on stderr what went wrong, in one line."""
    if as_json:
        click.echo(json.dumps({"error": _members(error)}), err=True)
        return
    hint = {NO_ACCESS: "; is the token too old, or without this scope?", TRY_AGAIN: "; it is safe to try again"}
    request_id = f" [request {error.request_id}]" if isinstance(error, Problem) and error.request_id else ""
    click.echo(f"error: {error}{hint.get(code_of(error), '')}{request_id}", err=True)


def _members(error: CreditsError) -> dict[str, Any]:
    if isinstance(error, Problem):
        return {"status": error.status, "code": error.code, "detail": error.detail, **error.members}
    return {"code": "unreachable" if isinstance(error, Unreachable) else "unexpected_answer", "detail": str(error)}
