"""`credits orders`, `resend` and `quote`."""

from typing import Any, get_args

import click

from autocredits.domain.catalog import ORDER_TYPES, TRACKINGS
from credits.answers import OrderStatus, WorkStatus
from credits.transport import new_key
from credits.work import Work, order, product

from . import exits
from .output import Column
from .stack import Stack, connected

ORDERS = (
    Column[WorkStatus]("order", lambda work: work.get("order_id")),
    Column[WorkStatus]("store", lambda work: work["store_id"]),
    Column[WorkStatus]("action", lambda work: f"{work['order_type']}/{work['tracking']}"),
    Column[WorkStatus]("status", lambda work: work["status"]),
    Column[WorkStatus]("attempt", lambda work: work["attempt"], is_amount=True),
    Column[WorkStatus]("credits", lambda work: work["credits"], is_amount=True),
    Column[WorkStatus]("updated", lambda work: work["updated_at"].replace("T", " ").partition(".")[0]),
    Column[WorkStatus]("why", lambda work: work["status_text"]),
)


@click.command()
@connected
@click.argument("account")
@click.option("--status", type=click.Choice(get_args(OrderStatus)))
def orders(stack: Stack, account: str, status: OrderStatus | None) -> None:
    """The orders of ACCOUNT, newest first."""
    if not stack.out.rows(stack.client.orders(account, status), ORDERS):
        stack.out.note("no orders")


@click.command()
@connected
@click.argument("account")
@click.argument("order_ids", metavar="[ORDER]...", nargs=-1)
@click.option("--failed", "all_failed", is_flag=True, help="All that have failed by now, oldest first.")
def resend(stack: Stack, account: str, order_ids: tuple[str, ...], *, all_failed: bool) -> None:
    """Send failed orders of ACCOUNT again."""
    if all_failed == bool(order_ids):
        raise click.UsageError("name the orders, or say --failed")
    if all_failed:
        count = _resend_failed(stack, account)
        if stack.out.as_json:
            stack.out.json({"resent": count})
        stack.out.say("1 order was sent again" if count == 1 else f"{count} orders were sent again")
        return
    for order_id in order_ids:
        sent = stack.client.resend(account, order_id)
        if stack.out.as_json:
            stack.out.line(sent)
        stack.out.say(f"{order_id}: {sent['status']}, attempt {sent['attempt']}")


def _resend_failed(stack: Stack, account: str) -> int:
    """Send as many orders again as have failed by now: what fails again at once is not sent twice."""
    failed = sum(1 for _ in stack.client.orders(account, "failed"))
    count, more = 0, failed > 0
    with stack.out.progress("orders", failed) as advance:
        while more and count < failed:
            resent = stack.client.resend_failed(account)
            for _ in range(resent["resent"]):
                advance()
            count += resent["resent"]
            more = resent["more"] and resent["resent"] > 0
    return count


@click.command()
@connected
@click.argument("account")
@click.option("--store", "store_id", metavar="STORE", required=True)
@click.option("--type", "order_type", type=click.Choice(ORDER_TYPES), default="auto", show_default=True)
@click.option("--tracking", type=click.Choice(TRACKINGS), default="none", show_default=True)
@click.option("--cost", metavar="AMOUNT", help="Product and shipping in US dollars, of fba orders.")
@click.option("--order", "order_id", metavar="ORDER", help="A known order: what is charged already costs nothing.")
@click.option("--product", "product_id", metavar="PRODUCT", help="A sourcing request instead of an order.")
def quote(stack: Stack, account: str, store_id: str, order_id: str | None, product_id: str | None, **work: Any) -> None:
    """What work of ACCOUNT would cost now; nothing moves. The exit code is 1 if the balances do not suffice."""
    wanted: Work = product(product_id, store_id) if product_id else order(order_id or new_key(), store_id, **work)
    found = stack.client.quote(account, wanted)
    if stack.out.as_json:
        stack.out.json(found)
    else:
        lacking = ", ".join(f"{amount} {unit}" for unit, amount in found["shortfall"].items() if amount != "0.00")
        available = ", ".join(f"{amount} {unit}" for unit, amount in found["available"].items())
        stack.out.fields(
            {
                "credits": found["credits"],
                "managed": found["managed"],
                "rate card": found["rate_card"],
                "available": available,
                "lacking": lacking or "nothing",
            }
        )
    if not found["sufficient"]:
        raise SystemExit(exits.NO)
