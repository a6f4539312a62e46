"""The queue of orders: each message is an outcome, a retry, or a dead letter."""

from typing import Any

from autocredits.adapters.production import open_ledger, open_queue
from autocredits.edge import batches, settings
from autocredits.edge.sending import Queue
from autocredits.ledger import Ledger


def ledger() -> Ledger:
    """The ledger of this function."""
    return open_ledger(settings.table_name())


def queue() -> Queue:
    """The queue that this function reads, and where it buries dead letters."""
    return open_queue(settings.orders_queue_url(), settings.dead_letter_queue_url())


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Process a batch; what is to be retried is named in the answer."""
    return batches.process(event, context, ledger(), queue())
