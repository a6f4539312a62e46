"""Which stack a command talks to, and as whom: options, environment, or the local stack's file.

A token is never an argument: whoever lists the processes of a machine would see it.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import update_wrapper
from pathlib import Path
from typing import Any

import click

from credits.client import Client
from credits.problems import CreditsError

from .exits import NoAccess, code_of, tell
from .output import Output

LOCAL_STACK = Path(".local") / "stack.json"

NO_ACCESS_HINT = (
    "there is no token: set CREDITS_TOKEN, or name a file with --token-file or CREDITS_TOKEN_FILE.\n"
    'For a local stack: export CREDITS_TOKEN="$(make -s token ACCOUNT=…)"'
)
NO_API = "no API is named: use --api or CREDITS_API, or start a local stack with `make run`"


@dataclass(frozen=True, slots=True)
class Stack:
    """What a command works with."""

    client: Client
    out: Output


def connected(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command a Stack as its first argument, and the options that choose it."""

    def run(api: str | None, token_file: Path | None, as_json: bool, **values: Any) -> None:  # noqa: FBT001 - by name
        with open_client(api, token_file) as client:
            reporting(as_json, lambda: command(Stack(client, Output(as_json=as_json)), **values))

    options = (
        click.option("--api", metavar="URL", envvar="CREDITS_API", help="The API's address [env: CREDITS_API]."),
        click.option(
            "--token-file",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="A file that holds the token [env: CREDITS_TOKEN_FILE; the token itself: CREDITS_TOKEN].",
        ),
        json_option,
    )
    wrapped: Callable[..., Any] = update_wrapper(run, command)
    for option in options:
        wrapped = option(wrapped)
    return wrapped


json_option = click.option("--json", "as_json", is_flag=True, help="Answer in JSON; lists with an item a line.")


def reporting(as_json: bool, work: Callable[[], None]) -> None:  # noqa: FBT001 - there is no other flag
    """Do the work; a call that failed is told on stderr and becomes the exit code."""
    try:
        work()
    except CreditsError as error:
        tell(error, as_json=as_json)
        raise SystemExit(code_of(error)) from None


def open_client(api: str | None, token_file: Path | None) -> Client:
    """The client that the options, the environment or the local stack's file describe."""
    address = api or local_api()
    if address is None:
        raise click.UsageError(NO_API)
    try:
        return Client(address, token_of(token_file))
    except ValueError as error:
        raise NoAccess(str(error)) from None


def token_of(token_file: Path | None) -> str:
    """The token: of the file that is named, of the environment, of the file that the environment names."""
    if token_file is None:
        token = os.environ.get("CREDITS_TOKEN")
        if token:
            return token
        named = os.environ.get("CREDITS_TOKEN_FILE")
        if not named:
            raise NoAccess(NO_ACCESS_HINT)
        token_file = Path(named)
    try:
        return token_file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NoAccess(f"{token_file} cannot be read: {type(error).__name__}") from None


def local_api() -> str | None:
    """The API of the local stack that runs here, or in a folder above; None where there is none."""
    home = os.environ.get("STACK_HOME")
    here = Path.cwd()
    places = [Path(home) / "stack.json"] if home else [folder / LOCAL_STACK for folder in (here, *here.parents)]
    for place in places:
        try:
            return str(json.loads(place.read_text("utf-8"))["api_url"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None
