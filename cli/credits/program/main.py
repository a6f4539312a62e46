"""The program `credits`: its commands, and how it ends."""

import os
import sys
from typing import Any

import click

from autocredits import __version__

from . import exits
from .buying import packages, top_up
from .checking import price, verify
from .moving import import_
from .ordering import orders, quote, resend
from .reading import balance, history, journal, statement, usage


class Program(click.Group):
    """A group of commands that ends as a closed pipe ends a program: quietly."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command. Of itself, click would make an exit code of 1 of it, which says something else here."""
        try:
            done = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing is left to be flushed into it
            raise SystemExit(exits.PIPE_CLOSED) from None
        return done


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="credits")
def cli() -> None:
    """Prepaid credits: balances that explain every hundredth.

    The token comes from CREDITS_TOKEN, CREDITS_TOKEN_FILE or --token-file, the API's address from CREDITS_API, --api,
    or the local stack that runs in this folder.

    Exit codes: 0 done; 1 the answer is no; 2 wrong use; 3 refused by the service; 4 no token, or not allowed; 5 no
    answer, try again; 130 interrupted; 141 the reader of a pipe has gone.
    """


for command in (
    *(balance, history, statement, usage, orders, resend, quote, packages, top_up),
    *(import_, price, journal, verify),
):
    cli.add_command(command)


def main() -> None:
    """Run the program."""
    try:
        cli(standalone_mode=False)
    except click.exceptions.Exit as done:
        raise SystemExit(done.exit_code) from None
    except click.ClickException as error:
        error.show()
        raise SystemExit(error.exit_code) from None
    except (click.Abort, KeyboardInterrupt):
        raise SystemExit(exits.INTERRUPTED) from None
