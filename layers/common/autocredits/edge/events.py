"""Events as the bus takes them (docs/contract.md, section 8): a page's events, each with its detail. Pure."""

import json

from autocredits.domain.events import Event, events_of
from autocredits.domain.journal import Page
from autocredits.ledger.ports import BusEvent

from .views import View, entries_view, hold_id_of, set_aside_view


def bus_events(page: Page) -> list[BusEvent]:
    """All that the page tells, in its sequence."""
    shown = entries_view(page)
    return [
        BusEvent(event.type, page.at, json.dumps(_detail(page, event, shown[event.index]), ensure_ascii=False))
        for event in events_of(page)
    ]


def _detail(page: Page, event: Event, shown: View) -> View:
    """The entry with its id and account, and for work its hold and what was asked for."""
    entry = page.entries[event.index]
    asked = {"order_type": entry.order_type, "tracking": entry.tracking, "hold_id": hold_id_of(entry)}
    return {
        "id": f"{page.account_id}/{page.entry_id(event.index)}",
        "account_id": page.account_id,
        **shown,
        **{name: value for name, value in asked.items() if value is not None},
        **({"sourcing": True} if entry.product_id else {}),
        **(set_aside_view(event.hold) if event.hold else {}),
    }
