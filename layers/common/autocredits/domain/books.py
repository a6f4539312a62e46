"""Whether the records that a page names agree with it: the work and the purchases that its entries speak of."""

from collections.abc import Mapping
from types import MappingProxyType

from .audit import Finding
from .journal import Entry, Page
from .records import Record, RecordKey
from .work.record import Work

PART_STATUS: Mapping[str, str] = MappingProxyType(
    {"held": "open", "captured": "captured", "released": "released", "expired": "expired"}
)
"""What an entry of a part leaves it as."""


def records_named(page: Page) -> tuple[RecordKey, ...]:
    """The work and the purchases that a page's entries name."""
    return tuple(dict.fromkeys(key for entry in page.entries if (key := _named(entry)) is not None))


def _named(entry: Entry) -> RecordKey | None:
    for kind, name in (("order", entry.order_id), ("product", entry.product_id), ("purchase", entry.purchase_id)):
        if name is not None:
            return kind, name
    return None


def check_record(page: Page, key: RecordKey, record: Record | None) -> Finding | None:
    """What is wrong with a record that a page names: it is gone, or knows less than the page.

    One that has moved on since is right.
    """
    if record is None:
        return Finding(page.version, "lost_record", f"there is no {key[0]} {key[1]}")
    newest = record.newest_version()
    if newest < page.version:
        return Finding(page.version, "wrong_record", f"{key[0]} {key[1]} has only come to page {newest}")
    if isinstance(record, Work) and newest == page.version:
        return _check_parts(page, key, record)
    return None


def _check_parts(page: Page, key: RecordKey, work: Work) -> Finding | None:
    last = {
        entry.part: PART_STATUS[entry.kind]
        for entry in page.entries
        if _named(entry) == key and entry.kind in PART_STATUS and entry.part and entry.attempt == work.attempt
    }
    shown = {name: part.status for name, part in work.parts.items()}
    for name, status in last.items():
        if shown.get(name) != status:
            detail = f"part {name} of {key[0]} {key[1]} is {shown.get(name, 'missing')}, and not {status}"
            return Finding(page.version, "wrong_record", detail)
    return None
