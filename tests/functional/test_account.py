"""Opening, standing, adjustments and settings over HTTP."""

from typing import Any

import pytest

from tests.functional.calls import ACME, told
from tests.functional.conftest import Clock
from tests.kit.service import Answer, Service, work

ZERO = {"posted": "0.00", "held": "0.00", "available": "0.00"}


def adjust(service: Service, amount: Any = "1.00", *, key: str = "k", **fields: Any) -> Answer:
    """Adjust `auto_order`, unless `fields` say otherwise."""
    body = {"unit": "auto_order", "amount": amount, "reason": "test", **fields}
    return service.call("POST", f"{ACME}/adjustments", body, key=key)


# ---------------------------------------------------------------- opening


def test_an_account_opens_with_free_credits(service: Service) -> None:
    """A new account has 5.00 `auto_order` credits, nothing else, and no add-on unless asked for."""
    answer = service.call("PUT", ACME, {})
    assert answer.status == 201
    body = answer.body
    assert body["balances"] == {
        "auto_order": {"posted": "5.00", "held": "0.00", "available": "5.00"},
        "ai_rewrite": ZERO,
        "finder": ZERO,
        "managed": ZERO,
    }
    assert (body["account_id"], body["status"], body["orders_processor"]) == ("acme", "active", "inactive")
    assert body["version"] == 1
    assert set(body) == {"account_id", "status", "orders_processor", "balances", "version", "hash", "as_of"}


def test_an_account_opens_once(service: Service) -> None:
    """Opening again is 200 with the account as it is, and changes nothing, not even the add-on."""
    service.call("PUT", ACME, {"orders_processor": "active"})
    again = service.call("PUT", ACME, {"orders_processor": "inactive"})
    assert again.status == 200
    assert (again.body["orders_processor"], again.body["version"]) == ("active", 1)
    assert service.balance()["posted"] == "5.00"


def test_opening_without_a_body_is_the_default(service: Service) -> None:
    """No body at all opens the account without the add-on."""
    answer = service.call("PUT", ACME)
    assert (answer.status, answer.body["orders_processor"]) == (201, "inactive")


@pytest.mark.parametrize("value", ["on", "", None, True, "Active", "active "])
def test_the_add_on_is_active_or_inactive(service: Service, value: Any) -> None:
    """Any other value of `orders_processor` is refused, and nothing is opened."""
    assert told(service.call("PUT", ACME, {"orders_processor": value})) == (422, "invalid_field")
    assert told(service.call("GET", f"{ACME}/balance")) == (404, "account_not_found")


MOVED_IN = {"auto_order": "120.00", "ai_rewrite": "0.00", "managed": "0.01"}


def test_an_account_moves_in_with_its_balances(service: Service) -> None:
    """With `opening` it has just those balances, each a `granted` entry that says so, and no free credits."""
    answer = service.call("PUT", ACME, {"orders_processor": "active", "opening": MOVED_IN})
    assert (answer.status, answer.body["version"], answer.body["orders_processor"]) == (201, 1, "active")
    posted = {unit: balance["posted"] for unit, balance in answer.body["balances"].items()}
    assert posted == {"auto_order": "120.00", "ai_rewrite": "0.00", "finder": "0.00", "managed": "0.01"}
    entries = service.call("GET", f"{ACME}/entries", query={"kind": "granted"}).body["items"]
    assert {(one["unit"], one["posted"], one["reason"], one["actor"]) for one in entries} == {
        ("auto_order", "120.00", "opening balance", "test"),
        ("managed", "0.01", "opening balance", "test"),
    }


def test_an_account_may_move_in_with_nothing(service: Service) -> None:
    """An empty `opening` is no balance at all, and no free credits."""
    assert service.call("PUT", ACME, {"opening": {}}).status == 201
    assert [service.balance(unit=unit) for unit in ("auto_order", "ai_rewrite", "finder", "managed")] == [ZERO] * 4
    kinds = [entry["kind"] for entry in service.call("GET", f"{ACME}/entries").body["items"]]
    assert kinds == ["opened"]


@pytest.mark.parametrize("first", [{}, {"opening": MOVED_IN}])
def test_an_account_moves_in_once(service: Service, first: dict[str, Any]) -> None:
    """Opened already, with balances or without, a repeat is 200 and brings nothing."""
    opened = service.call("PUT", ACME, first)
    repeats: list[dict[str, Any]] = [{"opening": MOVED_IN}, {"opening": {"finder": "7.00"}}, {"opening": {}}, {}]
    for repeat in repeats:
        again = service.call("PUT", ACME, repeat)
        assert (again.status, again.text) == (200, opened.text)


def test_an_opening_balance_has_a_limit(service: Service) -> None:
    """A balance may reach 1,000,000,000.00 and not pass it; then nothing is opened."""
    for amount in ("1000000000.01", "9999999999.99"):
        answer = service.call("PUT", ACME, {"opening": {"managed": "1.00", "finder": amount}})
        assert told(answer) == (409, "balance_limit")
    assert told(service.call("GET", f"{ACME}/balance")) == (404, "account_not_found")
    assert service.call("PUT", ACME, {"opening": {"finder": "1000000000.00"}}).status == 201


@pytest.mark.parametrize(
    ("opening", "code"),
    [
        ([], "invalid_field"),
        ("120.00", "invalid_field"),
        ({"dollars": "1.00"}, "invalid_field"),
        ({"auto_order": "-1.00"}, "invalid_amount"),
        ({"auto_order": 1}, "invalid_amount"),
        ({"auto_order": "1"}, "invalid_amount"),
        ({"auto_order": None}, "invalid_amount"),
        ({"auto_order": {"posted": "1.00"}}, "invalid_amount"),
    ],
)
def test_an_opening_has_a_form(service: Service, opening: Any, code: str) -> None:
    """Whatever is no map of units to amounts from 0.00 on is refused, and nothing is opened."""
    assert told(service.call("PUT", ACME, {"opening": opening})) == (422, code)
    assert told(service.call("GET", f"{ACME}/balance")) == (404, "account_not_found")


def test_settings_are_the_merchant_s(service: Service) -> None:
    """A merchant sets its own threshold, and the entry names who did."""
    service.open()
    assert service.call("PUT", f"{ACME}/settings", {"low_balance": "1.00"}, account="acme").status == 200


# ---------------------------------------------------------------- standing


@pytest.mark.usefixtures("clock")
def test_standing_changes_are_entries(service: Service) -> None:
    """Each real change of status or add-on is an entry of its own, with the reason; a repeat is none."""
    service.open()
    body = {"status": "paused", "orders_processor": "inactive", "reason": "unpaid"}
    answer = service.call("PATCH", ACME, body)
    assert (answer.status, answer.body["status"], answer.body["orders_processor"]) == (200, "paused", "inactive")
    assert service.call("PATCH", ACME, body).body["version"] == 2
    entries = service.call("GET", f"{ACME}/entries", query={"kind": "standing"}).body["items"]
    assert [(entry["version"], entry["reason"]) for entry in entries] == [(2, "unpaid"), (2, "unpaid")]
    assert all(entry[name] is None for entry in entries for name in ("unit", "posted", "held", "balance"))


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"reason": "no change"},
        {"status": "gone"},
        {"status": None},
        {"status": "active", "reason": ""},
        {"status": "active", "reason": "x" * 201},
        {"status": "active", "reason": 1},
        {"orders_processor": "maybe"},
    ],
)
def test_a_change_of_standing_has_a_form(service: Service, body: dict[str, Any]) -> None:
    """An empty change, an unknown value and a reason out of bounds are refused."""
    service.open()
    assert told(service.call("PATCH", ACME, body)) == (422, "invalid_field")


@pytest.mark.parametrize("status", ["paused", "suspended", "closed"])
def test_an_inactive_account_starts_no_work(service: Service, status: str) -> None:
    """Paused, suspended and closed accounts are told so, and may settle what is held."""
    service.open()
    service.call("POST", f"{ACME}/holds", work("A-1"), key="A-1")
    service.call("PATCH", ACME, {"status": status})
    answer = service.call("POST", f"{ACME}/debits", work("A-2"), key="A-2")
    assert told(answer) == (403, "account_inactive")
    assert answer.body["account_status"] == status
    assert service.call("POST", f"{ACME}/holds/A-1~1/capture", {}).status == 200
    assert service.call("PATCH", ACME, {"status": "active"}).status == 200
    assert service.call("POST", f"{ACME}/debits", work("A-2"), key="A-2").status == 201


def test_without_the_add_on_no_credits_are_used(service: Service) -> None:
    """An account without the add-on starts no work."""
    service.call("PUT", ACME, {})
    assert told(service.call("POST", f"{ACME}/debits", work(), key="k")) == (403, "orders_processor_inactive")


# ---------------------------------------------------------------- adjustments


def test_an_adjustment_is_an_entry(service: Service, clock: Clock) -> None:
    """An adjustment answers with its entry, which says who made it and why."""
    service.open()
    clock.advance(1)
    answer = adjust(service, "20.00", reference="ticket-7")
    assert answer.status == 201
    assert answer.body == {
        "entry_id": "2.0",
        "version": 2,
        "at": "2026-11-24T12:00:01.000Z",
        "kind": "adjusted",
        "unit": "auto_order",
        "posted": "20.00",
        "held": "0.00",
        "balance": {"posted": "25.00", "held": "0.00", "available": "25.00"},
        "actor": "test",
        "reason": "test",
        "reference": "ticket-7",
        "key": "k",
    }


def test_an_adjustment_takes_what_is_available(service: Service) -> None:
    """A negative adjustment takes at most what is available, which is less than what is posted."""
    service.open()
    service.call("POST", f"{ACME}/holds", work(), key="hold")
    answer = adjust(service, "-4.01")
    assert told(answer) == (402, "insufficient_credits")
    assert {name: answer.body[name] for name in ("required", "available", "shortfall", "unit")} == {
        "required": "4.01",
        "available": "4.00",
        "shortfall": "0.01",
        "unit": "auto_order",
    }
    assert adjust(service, "-4.00").body["balance"] == {"posted": "1.00", "held": "1.00", "available": "0.00"}


@pytest.mark.parametrize("unit", ["auto_order", "ai_rewrite", "finder", "managed"])
def test_every_unit_can_be_adjusted(service: Service, unit: str) -> None:
    """Each unit has a balance of its own."""
    service.open()
    assert adjust(service, "0.01", unit=unit).status == 201
    assert service.balance(unit=unit)["posted"] == ("5.01" if unit == "auto_order" else "0.01")


AMOUNTS: list[Any] = [
    *("0.00", "-0.00", "1", "1.0", "1.000", "1.", ".50", "01.00", "+1.00", " 1.00", "1.00 ", "1.00\n", "1_0.00"),
    *("1e2", "1,00", "--1.00", "NaN", "Infinity", "", "\u0661.\u0660\u0660", "\uff11.00", "12345678901.00", "1.-1"),
    *(1, 1.5, 0, True, None, [], {}),
]


def test_an_amount_has_one_spelling(service: Service) -> None:
    """Whatever is not a decimal string with two decimals is no amount, and zero is no adjustment."""
    service.open()
    for amount in AMOUNTS:
        assert (amount, *told(adjust(service, amount))) == (amount, 422, "invalid_amount")


@pytest.mark.parametrize("number", ["1e9999999999999999999", "1.5e-9999999999999999999"])
def test_a_number_beyond_measure_is_no_amount(service: Service, number: str) -> None:
    """A JSON number with an exponent of any size is refused as any other number."""
    service.open()
    raw = f'{{"unit": "auto_order", "amount": {number}, "reason": "test"}}'
    assert told(service.call("POST", f"{ACME}/adjustments", raw=raw, key="k")) == (422, "invalid_amount")


@pytest.mark.parametrize(
    "fields",
    [
        {"unit": "dollars"},
        {"unit": None},
        {"reason": ""},
        {"reason": "x" * 201},
        {"reason": None},
        {"reference": 7},
    ],
)
def test_an_adjustment_has_a_form(service: Service, fields: dict[str, Any]) -> None:
    """An unknown unit and a reason out of bounds are refused."""
    service.open()
    assert told(adjust(service, **fields)) == (422, "invalid_field")


@pytest.mark.parametrize("missing", ["unit", "amount", "reason"])
def test_an_adjustment_needs_its_fields(service: Service, missing: str) -> None:
    """Unit, amount and reason are all needed."""
    service.open()
    body = {"unit": "auto_order", "amount": "1.00", "reason": "test"}
    del body[missing]
    assert told(service.call("POST", f"{ACME}/adjustments", body, key="k")) == (422, "invalid_field")


def test_a_reason_is_counted_in_characters(service: Service) -> None:
    """A reason has up to 200 characters, whatever their bytes."""
    service.open()
    assert adjust(service, reason="é" * 200).body["reason"] == "é" * 200


def test_no_balance_passes_its_limit(service: Service) -> None:
    """A balance can reach 1,000,000,000.00, and not pass it."""
    service.open()
    assert told(adjust(service, "999999995.01")) == (409, "balance_limit")
    assert adjust(service, "999999995.00").body["balance"]["posted"] == "1000000000.00"
    assert told(adjust(service, "0.01", key="k2")) == (409, "balance_limit")
    assert adjust(service, "1000000000.00", key="k3", unit="managed").status == 201


# ---------------------------------------------------------------- settings


def test_the_threshold_is_kept(service: Service) -> None:
    """The threshold for `balance.low` is null at first, is set, and can be taken back."""
    service.open()
    for value in ("2.00", "0.00", None):
        answer = service.call("PUT", f"{ACME}/settings", {"low_balance": value})
        assert (answer.status, answer.body) == (200, {"low_balance": value})
        assert service.call("GET", f"{ACME}/settings").body == {"low_balance": value}


def test_the_threshold_is_null_at_first(service: Service) -> None:
    """Nobody is told of a low balance unless a threshold was set."""
    service.open()
    answer = service.call("GET", f"{ACME}/settings")
    assert (answer.status, answer.body) == (200, {"low_balance": None})


@pytest.mark.usefixtures("clock")
def test_a_changed_threshold_is_an_entry(service: Service) -> None:
    """A real change of the threshold is a `standing` entry; the same value again is none."""
    service.open()
    for _ in range(2):
        service.call("PUT", f"{ACME}/settings", {"low_balance": "2.00"})
    entries = service.call("GET", f"{ACME}/entries", query={"kind": "standing"}).body["items"]
    assert [entry["version"] for entry in entries] == [2]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid_field"),
        ({"low_balance": 2}, "invalid_amount"),
        ({"low_balance": "2"}, "invalid_amount"),
        ({"low_balance": "-1.00"}, "invalid_amount"),
        ({"low_balance": ""}, "invalid_amount"),
    ],
)
def test_settings_have_a_form(service: Service, body: dict[str, Any], code: str) -> None:
    """The threshold is an amount from 0.00 on, or null, and has to be sent."""
    service.open()
    assert told(service.call("PUT", f"{ACME}/settings", body)) == (422, code)
