"""Holds over HTTP: set aside, captured, released, read."""

import json
from typing import Any

import pytest

from tests.functional.calls import ACME, debit, get, hold, post, told
from tests.functional.conftest import Clock
from tests.kit.builders import opened
from tests.kit.handlers import handlers_on
from tests.kit.memory import MemoryQueue
from tests.kit.service import Answer, Context, Service, handler_of, http_event, sourcing, work


def test_a_hold_is_split_in_parts(acme: Service, clock: Clock) -> None:
    """A hold sets the parts aside and lasts 14 days unless told otherwise."""
    clock.advance(1)
    answer = hold(acme, work("A-1", "fba", "qtrack", cost="23.50"))
    body = answer.body
    balances = body.pop("balances")
    assert answer.status == 201
    assert body == {
        "hold_id": "A-1~1",
        "status": "open",
        "credits": "2.50",
        "parts": {"order": "1.00", "tracking": "1.50"},
        "managed": "23.50",
        "rate_card": "2024-01",
        "expires_at": get(acme, "/holds/A-1~1").body["expires_at"],
    }
    assert balances["auto_order"] == {"posted": "5.00", "held": "2.50", "available": "2.50"}
    assert balances["managed"] == {"posted": "50.00", "held": "23.50", "available": "26.50"}
    assert get(acme, "/orders/A-1").body["status"] == "processing"


def test_a_hold_lasts_as_long_as_asked(service: Service, clock: Clock) -> None:
    """`expires_in` counts in seconds from the hold's own time."""
    service.open()
    clock.advance(1)
    assert hold(service, work("A-1"), "1").body["expires_at"] == "2026-12-08T12:00:01.000Z"
    assert hold(service, {**work("A-2"), "expires_in": 60}, "2").body["expires_at"] == "2026-11-24T12:01:01.000Z"
    assert hold(service, {**sourcing(), "expires_in": 2_592_000}, "3").status == 201


@pytest.mark.parametrize("expires_in", [59, 2_592_001, 0, -60, "60", 60.0, 60.5, True, None])
def test_a_hold_lasts_a_minute_to_30_days(acme: Service, expires_in: Any) -> None:
    """`expires_in` is a whole number of seconds within its bounds."""
    assert told(hold(acme, {**work("A-1"), "expires_in": expires_in})) == (422, "invalid_field")


def test_a_capture_takes_what_was_held(acme: Service) -> None:
    """A capture takes all open parts by default; again it is the same answer."""
    hold(acme, work("A-1", "fba", "qtrack", cost="23.50"))
    answer = post(acme, "/holds/A-1~1/capture", {})
    assert (answer.status, answer.body["status"]) == (200, "captured")
    assert answer.body["parts"] == {"order": "captured", "tracking": "captured"}
    assert answer.body["balances"]["auto_order"] == {"posted": "2.50", "held": "0.00", "available": "2.50"}
    assert answer.body["balances"]["managed"] == {"posted": "26.50", "held": "0.00", "available": "26.50"}
    assert post(acme, "/holds/A-1~1/capture", {}).text == answer.text
    assert get(acme, "/holds/A-1~1").text == answer.text
    assert get(acme, "/orders/A-1").body["status"] == "shipped"


@pytest.mark.parametrize(("call", "body"), [("capture", {}), ("release", {"reason": "not needed"})])
def test_a_call_again_takes_no_later_conversion(acme: Service, call: str, body: dict[str, str]) -> None:
    """Without `parts` it means what the first hold set aside: 200, and the conversion stays open until it is named."""
    hold(acme, work("A-1", "manual", "bce"))
    assert post(acme, f"/holds/A-1~1/{call}", body).status == 200
    hold(acme, work("A-1", "manual", "qtrack"), "later")
    before = acme.balance()
    again = post(acme, f"/holds/A-1~1/{call}", body)
    assert (again.status, again.body["parts"], acme.balance()) == (200, {"tracking": "open"}, before)
    named = post(acme, "/holds/A-1~1/capture", {"parts": ["tracking"]})
    assert (named.status, named.body["parts"]) == (200, {"tracking": "captured"})


def test_an_order_is_held_and_released_until_it_has_changed_too_often() -> None:
    """At 900 changes 409 `too_many_attempts` for anything new; what is open then still ends. On the store in memory."""
    account, manual = opened(), work("A-1", "manual", "bce")

    def call(path: str, body: Any, key: str = "unused") -> Answer:
        headers = {"content-type": "application/json", "idempotency-key": key}
        claims = {"sub": "me", "account_id": "acme"}
        event = http_event("POST", ACME + path, claims=claims, headers=headers, body=json.dumps(body))
        answer = handler_of(event)(event, Context())
        return Answer(answer["statusCode"], answer["headers"], answer["body"])

    with handlers_on(account.ledger, MemoryQueue, lambda: None):
        for number in range(1000):
            held = call("/holds", manual, f"hold-{number}")
            if held.status != 201:
                break
            if number == 449:  # one change more, so that this hold is the 900th and its release comes after
                account.age(900, "A-1")
            assert call("/holds/A-1~1/release", {"parts": ["tracking"], "reason": "x"}).status == 200
        assert (number, told(held)) == (450, (409, "too_many_attempts"))
        assert told(call("/debits", work("A-1", "manual", "qtrack"), "debit")) == (409, "too_many_attempts")
    assert (account.work("A-1").rev, account.balance()) == (901, (500, 0))


def test_a_capture_may_cost_less(acme: Service) -> None:
    """A lower `managed` frees the rest, a higher one exceeds the hold, and 0.00 frees all of it."""
    hold(acme, work("A-1", "fba", "none", cost="23.50"))
    path = "/holds/A-1~1/capture"
    assert told(post(acme, path, {"managed": "23.51"})) == (422, "capture_exceeds_hold")
    assert acme.balance(unit="managed")["held"] == "23.50"
    assert post(acme, path, {"managed": "21.10"}).body["managed"] == "21.10"
    assert acme.balance(unit="managed") == {"posted": "28.90", "held": "0.00", "available": "28.90"}


def test_a_release_gives_back(acme: Service) -> None:
    """A release gives the open parts back, again and again the same, and the order has failed with its reason."""
    hold(acme, work("A-1", "auto", "qtrack"))
    answer = post(acme, "/holds/A-1~1/release", {"reason": "out of stock"})
    assert (answer.status, answer.body["status"]) == (200, "released")
    assert acme.balance() == {"posted": "5.00", "held": "0.00", "available": "5.00"}
    assert post(acme, "/holds/A-1~1/release", {"reason": "again"}).text == answer.text
    order = get(acme, "/orders/A-1").body
    assert (order["status"], order["status_text"]) == ("failed", "out of stock")


def test_a_part_ends_once(acme: Service) -> None:
    """A part that ended otherwise cannot be taken or given back; the other one still can."""
    hold(acme, work("A-1", "auto", "qtrack"))
    post(acme, "/holds/A-1~1/capture", {"parts": ["order"]})
    named = {"parts": ["order"], "reason": "test"}
    assert told(post(acme, "/holds/A-1~1/release", named)) == (409, "invalid_transition")
    assert post(acme, "/holds/A-1~1/release", {"reason": "test"}).body["parts"]["tracking"] == "released"
    assert told(post(acme, "/holds/A-1~1/capture", {"parts": ["tracking"]})) == (409, "invalid_transition")
    assert told(post(acme, "/holds/A-1~1/capture", {"parts": ["sourcing"]})) == (409, "invalid_transition")
    assert post(acme, "/holds/A-1~1/capture", {"parts": ["order"]}).status == 200


def test_nothing_open_and_nothing_ended_so(acme: Service) -> None:
    """Without an open part, a capture of a released hold and a release of a captured one are refused."""
    hold(acme, work("A-1"), "1")
    hold(acme, work("A-2"), "2")
    post(acme, "/holds/A-1~1/capture", {})
    post(acme, "/holds/A-2~1/release", {"reason": "test"})
    assert told(post(acme, "/holds/A-1~1/release", {"reason": "test"})) == (409, "invalid_transition")
    assert told(post(acme, "/holds/A-2~1/capture", {})) == (409, "invalid_transition")


@pytest.mark.parametrize(
    ("action", "body", "code"),
    [
        ("capture", {"parts": []}, "invalid_field"),
        ("capture", {"parts": "order"}, "invalid_field"),
        ("capture", {"parts": ["money"]}, "invalid_field"),
        ("capture", {"managed": 1}, "invalid_amount"),
        ("capture", {"managed": "-0.01"}, "invalid_amount"),
        ("capture", {"reason": "test"}, "unknown_field"),
        ("release", {}, "invalid_field"),
        ("release", {"reason": ""}, "invalid_field"),
        ("release", {"reason": "x" * 201}, "invalid_field"),
        ("release", {"reason": "test", "managed": "1.00"}, "unknown_field"),
    ],
)
def test_settling_has_a_form(acme: Service, action: str, body: dict[str, Any], code: str) -> None:
    """Parts are named ones, `managed` is an amount, and a release has a reason."""
    hold(acme, work("A-1"))
    assert told(post(acme, f"/holds/A-1~1/{action}", body)) == (422, code)


def test_a_missing_hold_is_not_found(acme: Service) -> None:
    """An attempt that there was not, an unknown order, one without a hold, and what is no hold id are 404."""
    hold(acme, work("A-1"), "1")
    debit(acme, work("A-2"), "2")
    for hold_id in ("A-1~2", "A-9~1", "A-1", "A-1~0", "A-1~s1", "A-1~01", "A-1~~1", "~1", "A-2~1"):
        read = get(acme, f"/holds/{hold_id}")
        captured = post(acme, f"/holds/{hold_id}/capture", {})
        released = post(acme, f"/holds/{hold_id}/release", {"reason": "test"})
        assert (hold_id, told(read), told(captured), told(released)) == (hold_id, *[(404, "hold_not_found")] * 3)


def test_the_hold_of_an_earlier_attempt_is_over(acme: Service) -> None:
    """After a new attempt the old hold is gone to readers, and can never be settled."""
    hold(acme, work("A-1"), "1")
    post(acme, "/holds/A-1~1/release", {"reason": "test"})
    assert hold(acme, work("A-1"), "2").body["hold_id"] == "A-1~2"
    assert told(get(acme, "/holds/A-1~1")) == (404, "hold_not_found")
    assert told(post(acme, "/holds/A-1~1/capture", {})) == (409, "invalid_transition")
    assert told(post(acme, "/holds/A-1~1/release", {"reason": "test"})) == (409, "invalid_transition")
    assert acme.balance()["held"] == "1.00"


def test_a_sourcing_hold_has_its_own_name(acme: Service) -> None:
    """The hold of a product is named `<product_id>~s<attempt>`; captured, the request is accepted."""
    assert hold(acme, sourcing()).body["hold_id"] == "P-1~s1"
    assert get(acme, "/sourcing/P-1").body["status"] == "processing"
    assert post(acme, "/holds/P-1~s1/capture", {}).body["parts"] == {"sourcing": "captured"}
    assert get(acme, "/sourcing/P-1").body["status"] == "accepted"
