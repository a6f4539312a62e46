"""The test vectors of docs/journal-format.md, read out of the page."""

import json
import re
from pathlib import Path

from autocredits.ledger.ports import StoredPage

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "journal-format.md"


def vectors() -> list[tuple[str, str]]:
    """Text and hash of each, in their order."""
    found = re.findall(r"```json\n(.+)\n```\n\nSHA-256: `([0-9a-f]{64})`", DOCUMENT.read_text("utf-8"))
    return [(text, told) for text, told in found]


def stored_vectors() -> list[StoredPage]:
    """The vectors as pages that lie in the table."""
    pages = []
    for text, told in vectors():
        stored = json.loads(text)
        pages.append(StoredPage(stored.pop("account_id"), stored["version"], stored, told))
    return pages
