"""`credits packages` and `top-up`."""

import time
from typing import get_args

import click

from credits.answers import Package, PaymentMethod, Purchase
from credits.problems import CreditsError
from credits.transport import new_key

from . import exits
from .output import Column, clean
from .stack import Stack, connected

PACKAGES = (
    Column[Package]("package", lambda package: package["package"]),
    Column[Package]("credits", lambda package: package["credits"], is_amount=True),
    Column[Package]("price", lambda package: f"${package['price']}", is_amount=True),
    Column[Package]("per credit", lambda package: f"${package['price_per_credit']}", is_amount=True),
)

UNDECIDED = ("pending", "declined")
"""The buyer may still pay, after a decline in another way."""

FIRST_LOOK_S = 2.0
MOST_S = 15.0


@click.command()
@connected
def packages(stack: Stack) -> None:
    """What can be bought."""
    stack.out.rows(stack.client.packages()["items"], PACKAGES)


@click.command("top-up")
@connected
@click.argument("account")
@click.argument("package", required=False)
@click.option("--amount", help="Managed balance in US dollars instead of a package.")
@click.option("--method", type=click.Choice(get_args(PaymentMethod)), default="card", show_default=True)
@click.option("--coupon", metavar="CODE")
@click.option("--return-url", metavar="URL", help="Where the buyer goes after paying.")
@click.option("--key", help="The key of a top-up that was begun before, to go on with it; nothing is bought twice.")
@click.option("--wait", type=click.IntRange(min=0), default=900, show_default=True, help="For so many seconds.")
def top_up(
    stack: Stack,
    *,
    account: str,
    package: str | None,
    amount: str | None,
    method: PaymentMethod,
    coupon: str | None,
    return_url: str | None,
    key: str | None,
    wait: int,
) -> None:
    """Buy PACKAGE for ACCOUNT: print where it is paid, and wait for the outcome."""
    if (package is None) == (amount is None):
        raise click.UsageError("name a package (see `credits packages`), or an --amount of managed balance")
    key = key or new_key()
    client, what = stack.client, package or amount or ""
    start = client.buy if package else client.load
    try:
        bought = start(account, what, method, coupon=coupon, return_url=return_url, key=key)
        _tell_where(stack, bought)
        bought = _outcome(stack, account, bought, wait)
    except CreditsError as error:
        if exits.code_of(error) == exits.TRY_AGAIN:
            stack.out.note(f"To go on with this top-up, run the same command with --key {key}")
        raise
    except KeyboardInterrupt:
        stack.out.note(f"\nTo go on with this top-up, run the same command with --key {key}")
        raise
    _tell(stack, bought, key)


def _tell_where(stack: Stack, bought: Purchase) -> None:
    """Where the buyer pays; with --json on stderr, since the answer is the outcome."""
    payment = bought["payment"]
    if payment and "redirect_url" in payment and bought["status"] in UNDECIDED:
        price = f"Pay ${bought['price']} for {bought['credits']} {bought['unit']}"
        click.echo(f"{clean(price)} at\n{clean(payment['redirect_url'])}", err=stack.out.as_json)


def _outcome(stack: Stack, account: str, bought: Purchase, wait: int) -> Purchase:
    """The purchase once it is decided, or as it stands when patience ends; each change is told."""
    end_s = time.monotonic() + wait
    pause_s, status = FIRST_LOOK_S, bought["status"]
    with stack.out.progress("waiting for the payment"):
        while bought["status"] in UNDECIDED and time.monotonic() + pause_s <= end_s:
            time.sleep(pause_s)
            pause_s = min(MOST_S, pause_s * 1.2)
            bought = stack.client.purchase(account, bought["purchase_id"])
            if bought["status"] == "declined" and status != "declined":
                stack.out.note("The payment was declined: please try another card, or another payment method.")
            status = bought["status"]
    return bought


def _tell(stack: Stack, bought: Purchase, key: str) -> None:
    if stack.out.as_json:
        stack.out.json({**bought, "key": key})
    elif bought["status"] == "credited":
        stack.out.say(f"{bought['credits']} {bought['unit']} were added (purchase {bought['purchase_id']})")
    else:
        stack.out.say(f"Not credited: purchase {bought['purchase_id']} is {bought['status']}")
        if bought["status"] in UNDECIDED:
            stack.out.note(f"To go on waiting, run the same command with --key {key}")
    if bought["status"] != "credited":
        raise SystemExit(exits.NO)
