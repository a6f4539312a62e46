"""The republish queue: pages whose events did not get on the bus are read from the journal and published."""

from typing import Any

from autocredits.bootstrap import bus, ledger, republish_queue
from autocredits.edge import publishing


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Publish a batch; what is to be retried is named in the answer."""
    return publishing.republish(event, context, ledger(), bus(), republish_queue())
