"""The orders queue: each message becomes an outcome, a retry, or a dead letter."""

from typing import Any

from autocredits.bootstrap import ledger, queue
from autocredits.edge import batches


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Process a batch; what is to be retried is named in the answer."""
    return batches.process(event, context, ledger(), queue())
