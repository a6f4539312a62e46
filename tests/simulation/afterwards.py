"""What becomes, once all goes well again, of what a run has left: overdue holds, and queued orders without a message."""

from typing import Any

from autocredits.domain.times import HOUR_MS
from autocredits.domain.work.record import Work
from functions.consume import app as consume_app
from functions.consume import worker as consume_worker
from functions.sweep import app as sweep_app
from tests.kit.deliveries import http, path_of
from tests.kit.service import Context
from tests.simulation.books import Books
from tests.simulation.sweeps import LONG_AGO_MS, left_of
from tests.simulation.violations import expect
from tests.simulation.world import World, within

LATER_MS = 2 * HOUR_MS
"""By then whatever was put off is due again."""


class Afterwards:
    """A copy of a run's world, in which the sweep and the queue's worker go on without a fault. Its queue is empty."""

    def __init__(self, world: World) -> None:
        self.world = World(None, world.store.copy())
        self.world.at_ms = world.at_ms

    def check(self) -> None:
        """Overdue holds expire, what is queued is sent again and worked, and what has failed by it can be resent."""
        with within(self.world):
            self._sweep(LATER_MS)
            self._check_queued()
            self._sweep(LONG_AGO_MS)
            for account_id in self.world.store.pages:
                books = Books(self.world, account_id, [])
                books.check_pages()
                books.check_held()
                books.check_ended()
                books.check_failed()
            self._check_resent()
        expect("alarm", not self.world.alarms, self.world.alarms)

    def _works(self) -> list[tuple[str, Work]]:
        keys = [place for place in self.world.store.records if place[1][0] in ("order", "product")]
        read = [(account_id, self.world.store.read(account_id, [key])[key]) for account_id, key in keys]
        return [(account_id, work) for account_id, work in read if isinstance(work, Work)]

    def _sweep(self, passing_ms: int) -> None:
        """The next sweep leaves nothing open whose time is over when it begins."""
        self.world.at_ms += passing_ms
        began_ms = self.world.at_ms
        done = sweep_app.handler({}, Context())
        expect("overdue", not done["failed"] and not done["left"], done)
        for _, work in self._works():
            expect("overdue", not work.overdue_parts(began_ms), work)

    def _check_queued(self) -> None:
        """Every queued order has been sent, once, and its message is all that it waits for."""
        queued = [(account_id, work.work_id) for account_id, work in self._works() if work.status == "queued"]
        expect("queued", len(self.world.sent) == len(queued), (self.world.sent, queued))
        left = left_of(self.world.sent, consume_worker.handler, Context())
        still = [work for _, work in self._works() if work.status == "queued"]
        expect("queued", not left and not still, (left, still))

    def _check_resent(self) -> None:
        """An order whose part `order` has expired can be resent."""
        for account_id, work in self._works():
            if work.kind == "order" and "order" in work.parts and work.parts["order"].status == "expired":
                answer = _resend(account_id, work.work_id)
                expect("resent", answer["statusCode"] == 202, answer)
                again = self.world.store.read(account_id, [work.key()])[work.key()]
                expect("resent", isinstance(again, Work) and again.attempt == work.attempt + 1, again)
                return


def _resend(account_id: str, order_id: str) -> dict[str, Any]:
    request = http(consume_app.handler, "POST", f"{path_of(account_id)}/orders/{order_id}/resend")
    return request.handler(request.event(99), Context())
