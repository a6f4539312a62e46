"""The table's stream: what each new page tells goes on the bus."""

from typing import Any

from autocredits.adapters.stream import pages_in
from autocredits.bootstrap import bus, republish_queue
from autocredits.edge import publishing


def handler(event: dict[str, Any], context: Any) -> None:
    """Publish a batch; raises only where what failed cannot be put on the republish queue either."""
    publishing.publish(pages_in(event), context, bus(), republish_queue())
