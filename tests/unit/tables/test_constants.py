"""Every constant and every default of the core, written down a second time: none can change unnoticed."""

import ast
import importlib
import re
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from dev.proof.mutants import PARTS
from tests.unit.tables.changes import changes_of

DAY = 86_400_000

CONSTANTS: dict[str, Any] = {
    "access.PLATFORM": "*",
    "accounts.FREE_CREDITS": 500,
    "accounts.INSUFFICIENT_CREDITS": "Insufficient Auto-orders credits, please purchase more credits and resend the order.",
    "accounts.PACKAGES_URL": "/v1/packages",
    "catalog.ORDER_TYPES": ("fba", "auto", "manual"),
    "catalog.TRACKINGS": ("none", "bce", "qtrack", "tracking_generator"),
    "catalog.PRICED": (
        ("fba", "none"),
        ("fba", "bce"),
        ("fba", "qtrack"),
        ("fba", "tracking_generator"),
        ("auto", "none"),
        ("auto", "bce"),
        ("auto", "qtrack"),
        ("auto", "tracking_generator"),
        ("manual", "bce"),
        ("manual", "qtrack"),
        ("manual", "tracking_generator"),
    ),
    "charges.HOLD_MS": 14 * DAY,
    "charges.FAILED": ("failed", "rejected"),
    "coupons.HUNDRED_PERCENT": 10_000,
    "errors.STATUS_BY_CODE": {
        code: status
        for status, codes in {
            400: "invalid_json invalid_encoding idempotency_key_required idempotency_key_invalid invalid_cursor",
            401: "bad_signature",
            402: "insufficient_credits insufficient_managed_balance",
            403: "store_forbidden orders_processor_inactive account_inactive balance_frozen",
            404: "account_not_found order_not_found product_not_found hold_not_found purchase_not_found"
            " coupon_not_found not_found",
            409: "already_charged order_conflict invalid_transition coupon_exists balance_limit too_many_messages",
            413: "body_too_large",
            415: "unsupported_media_type",
            422: "invalid_field unknown_field invalid_amount invalid_id invalid_limit unknown_rate unknown_package"
            " coupon_invalid capture_exceeds_hold idempotency_key_reused",
            500: "internal_error",
            503: "try_again",
        }.items()
        for code in codes.split()
    },
    "errors.DETAIL_BY_CODE": {
        "account_not_found": "There is no such account.",
        "order_not_found": "There is no such order.",
        "product_not_found": "There is no such product.",
        "hold_not_found": "There is no such hold.",
        "purchase_not_found": "There is no such purchase.",
        "coupon_not_found": "There is no such coupon.",
        "coupon_exists": "There is a coupon with this code already.",
        "bad_signature": "The signature does not fit the body, or is too old.",
        "not_found": "There is nothing here.",
        "store_forbidden": "This token is bound to a store and may not do this.",
        "account_inactive": "The account is not active: no new work is accepted.",
        "orders_processor_inactive": "The Orders Processor add-on must be active before credits can be used.",
        "invalid_transition": "This has ended otherwise, or there is nothing left to end.",
        "too_many_messages": "The work has met as many messages as it can remember.",
        "internal_error": "Something went wrong on our side. Nothing internal is told here; quote the request_id.",
        "try_again": "The outcome may be unknown. Send the same request again, with the same key if it has one.",
    },
    "journal.MAX_ENTRIES": 49,
    "journal.NO_PAGE_HASH": "0000000000000000000000000000000000000000000000000000000000000000",
    "journal.WITHOUT_UNIT": ("opened", "standing"),
    "journal._PAGE_FIELDS": frozenset({"version", "at", "entries", "state", "prev"}),
    "journal.KINDS": (
        *("opened", "standing", "granted", "purchased", "loaded", "held", "captured", "released", "expired"),
        *("debited", "adjusted", "clawed_back", "refused", "declined"),
    ),
    "money.MAX_BALANCE": 100_000_000_000,
    "payments._MINUTE_MS": 60_000,
    "payments._HOUR_MS": 3_600_000,
    "payments._DAY_MS": DAY,
    "payments.LOOKS_MS": (
        *(120_000, 600_000, 1_800_000),
        *(3_600_000 * hour for hour in range(1, 25)),
        *(DAY * day for day in range(2, 31)),
    ),
    "payments.PAYABLE": ("pending", "declined", "canceled", "expired"),
    "payments.CREDITED": ("credited", "disputed", "refunded", "charged_back"),
    "queueing.SOURCE": "autocredits",
    "records.GLOBAL_KINDS": ("payment", "coupon"),
    "state.UNITS": ("auto_order", "ai_rewrite", "finder", "managed"),
    "state.ACCOUNT_STATUSES": ("active", "paused", "suspended", "closed"),
    "state.ADD_ON_STATUSES": ("active", "inactive"),
    "times.DAY_MS": DAY,
    "work.MAX_MESSAGES_SEEN": 200,
    "ledger.BUDGET_S": 8.0,
    "ledger.BACKOFF_BASE_S": 0.02,
    "ledger.BACKOFF_CAP_S": 0.25,
    "ledger.DUE_SHARDS": 8,
    "ledger.LISTED_STATUSES": ("queued", "failed"),
}

# Shown by test_transitions.py, test_fields.py and test_patterns.py, cell by cell.
ELSEWHERE = {
    *("journal._SIGNS", "purchases._HANDLERS", "records._FROM_MAP"),
    *("coupons._COUPON_FIELDS", "journal._ENTRY_FIELDS", "payments._PURCHASE_FIELDS", "records._KEY_FIELDS"),
    *("work._FIELDS", "work._PART_FIELDS"),
    *("ids._ACCOUNT_ID", "ids._CALLER_ID", "ids._HOLD_ID", "money._AMOUNT", "times._TIME", "times._EPOCH"),
}

TYPES = {
    *("access.Verdict", "catalog.OrderType", "catalog.Tracking", "decide.AnyRecord", "decide.Outcome"),
    *("purchases.What", "records.RecordKey", "records.Record", "records.Records", "work.Kind", "ledger.Answer"),
}

# Defaults other than None.
DEFAULTS: dict[str, Any] = {
    "coupons.Coupon": {"closed": False, "uses": 0, "rev": 0},
    "coupons.CouponUse": {"uses": 0, "rev": 0},
    "coupons.Terms": {"discount": 0, "bonus_credits": 0},
    "charges.Hold": {"lasts_ms": 14 * DAY},
    "decide.Done": {"first": 0, "count": 0},
    "decide.Draft": {"entries": (), "changed": {}, "decisive": False},
    "journal.Entry": {"posted": 0, "held": 0},
    "payments.Purchase": {
        "bonus_credits": 0,
        "discount": 0,
        "refunded": 0,
        "lost": 0,
        "clawed_back": 0,
        "frozen": 0,
        "rev": 0,
        "coupon_counted": False,
        "checkout": False,
        "refused": False,
        "versions": (),
    },
    "purchases.PaymentNews": {"amount": 0, "currency": "USD"},
    "records.KeyRecord": {"first": 0, "count": 0},
    "state.Balance": {"posted": 0, "held": 0},
    "state.State": {"status": "active", "orders_processor": "inactive", "balances": {}},
    "work.Part": {"managed": 0},
    "work.Work": {
        "attempt": 1,
        "parts": {},
        "charged": {},
        "known_parts": (),
        "converted": False,
        "credits": 0,
        "seen": (),
        "versions": (),
        "rev": 0,
    },
}

MODULES = {
    name.rpartition("/")[2]: importlib.import_module(f"autocredits.{name.replace('/', '.')}")
    for part in PARTS.values()
    for name in part
}


def found(name: str) -> Any:
    """The product's own value."""
    module, _, constant = name.partition(".")
    value = vars(MODULES[module])[constant]
    return dict(value) if isinstance(value, Mapping) else value


def defaults_of(owner: type) -> dict[str, Any]:
    """The defaults of a dataclass's own fields, but for None."""
    told: dict[str, Any] = {}
    for field in fields(owner):
        if field.name in owner.__annotations__:
            made = field.default if field.default_factory is MISSING else field.default_factory()
            told |= {} if made in (None, MISSING) else {field.name: made}
    return told


def all_defaults() -> dict[str, Any]:
    """Those of every dataclass of the core."""
    owners = {
        f"{name}.{value.__name__}": value
        for name, module in MODULES.items()
        for value in vars(module).values()
        if isinstance(value, type) and is_dataclass(value) and value.__module__ == module.__name__
    }
    return {name: told for name, owner in owners.items() if (told := defaults_of(owner))}


def names_at_the_top() -> set[str]:
    """Every name that a module of the core gives to a value."""
    names = set()
    for name, module in MODULES.items():
        for node in ast.parse(Path(str(module.__file__)).read_text("utf-8")).body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            names |= {f"{name}.{target.id}" for target in targets if isinstance(target, ast.Name)}
    return {name for name in names if not re.search(r"\._mutmut|\.mutants_|\.x_", name)}


def test_every_constant_is_written_down_here() -> None:
    """A constant that is added to the core is added here, or shown cell by cell elsewhere."""
    assert names_at_the_top() == CONSTANTS.keys() | ELSEWHERE | TYPES


@pytest.mark.parametrize("name", CONSTANTS)
def test_a_constant_is_what_it_should_be(name: str) -> None:
    """Each value is the contract's or the design's."""
    assert found(name) == CONSTANTS[name]


@pytest.mark.parametrize("name", CONSTANTS)
def test_a_changed_constant_is_noticed(name: str) -> None:
    """Nothing of it can be another, be missing, or stand there once more."""
    mutants = list(changes_of(found(name)))
    assert mutants
    assert all(mutant != CONSTANTS[name] for mutant in mutants)


def test_the_defaults_are_what_they_should_be() -> None:
    """No dataclass of the core has another default than these."""
    assert all_defaults() == DEFAULTS


def test_a_changed_default_is_noticed() -> None:
    """No default can be another, or be missing."""
    assert all(mutant != DEFAULTS for mutant in changes_of(all_defaults()))
