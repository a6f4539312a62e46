"""What a check of a run says when a promise is broken."""

from typing import Any


class Violation(AssertionError):  # noqa: N818 - it is what was looked for
    """The promise is broken; `kind` names the check that saw it."""

    def __init__(self, kind: str, detail: Any) -> None:
        self.kind = kind
        super().__init__(f"{kind}: {detail}")


def expect(kind: str, holds: object, detail: Any = "") -> None:
    """Raise Violation unless it holds."""
    if not holds:
        raise Violation(kind, detail)


def cents(amount: str) -> int:
    """Hundredths of an amount."""
    return int(amount.replace(".", ""))
