"""Retries over a wire that loses and delays: whatever happens on the way, a call is done at most once."""

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, get_args

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from credits import Client, CreditsError, Retries, Unreachable, order
from credits import problems as names
from credits.transport import Transport, retry_after_s
from tests.kit.served import API, Fault, Served, Wire, client_of

FAULTS = st.lists(st.sampled_from(get_args(Fault)), max_size=12)


def stack() -> Served:
    """A stack with account `acme` and 20.00 credits."""
    served = Served()
    client_of(served).open_account("acme", "active", {"auto_order": "20.00", "managed": "100.00"})
    return served


def on_the_way(*faults: Fault | None) -> Iterator[Fault | None]:
    """What happens to one call after the other."""
    return iter(faults)


def taken(served: Served) -> str:
    """What is left of the credits."""
    return client_of(served, "acme").balance("acme")["balances"]["auto_order"]["posted"]


def once(calls: Callable[[Client], Any], served: Served, faults: list[Fault]) -> Any:
    """Make a call over a wire with these faults; where patience ends, the error."""
    try:
        return calls(client_of(served, "platform", iter(faults)))
    except CreditsError as error:
        return error


@given(FAULTS)
def test_a_debit_is_charged_at_most_once(faults: list[Fault]) -> None:
    """And exactly once where it is answered; the key of what was given up finds out what became of it."""
    served = stack()
    told = once(lambda client: client.debit("acme", order("o1", "s1")), served, faults)
    if isinstance(told, CreditsError):
        assert taken(served) in {"20.00", "19.00"}
        assert told.key is not None
        client_of(served, "acme").debit("acme", order("o1", "s1"), key=told.key)
    assert taken(served) == "19.00"


@given(FAULTS)
def test_an_adjustment_is_made_at_most_once(faults: list[Fault]) -> None:
    """Nothing but its key protects it: the same gift twice would be two gifts."""
    served = stack()
    told = once(lambda client: client.adjust("acme", "auto_order", "5.00", "a gift"), served, faults)
    if isinstance(told, CreditsError):
        assert taken(served) in {"20.00", "25.00"}
        client_of(served).adjust("acme", "auto_order", "5.00", "a gift", key=told.key)
    assert taken(served) == "25.00"


@given(FAULTS)
def test_a_purchase_is_started_at_most_once(faults: list[Fault]) -> None:
    """A retry finds the first."""
    served = stack()
    once(lambda client: client.buy("acme", "auto_order-20", "card"), served, faults)
    assert len(list(client_of(served, "acme").purchases("acme"))) <= 1


@given(FAULTS, st.sampled_from(["capture", "release"]))
def test_a_hold_ends_once(faults: list[Fault], how: str) -> None:
    """Capture and release need no key: again they are the same."""
    served = stack()
    hold_id = client_of(served, "acme").hold("acme", order("o1", "s1"))["hold_id"]

    def end(client: Client) -> Any:
        return client.capture("acme", hold_id) if how == "capture" else client.release("acme", hold_id, "not needed")

    told = once(end, served, faults)
    if isinstance(told, CreditsError):
        assert isinstance(told, Unreachable | names.GatewayFault | names.TryAgain | names.TooManyRequests)
        end(client_of(served, "acme"))
    assert taken(served) == ("19.00" if how == "capture" else "20.00")


@given(FAULTS)
def test_an_order_is_sent_again_once(faults: list[Fault]) -> None:
    """A retry after a lost answer finds it queued already, which is no refusal."""
    served = stack()
    acme = client_of(served, "acme")
    acme.release("acme", acme.hold("acme", order("o1", "s1"))["hold_id"], "out of stock")
    told = once(lambda client: client.resend("acme", "o1"), served, faults)
    now = acme.order("acme", "o1")
    assert (now["status"], now["attempt"]) in {("failed", 1), ("queued", 2)}
    if not isinstance(told, CreditsError):
        assert told == {"order_id": "o1", "status": "queued", "attempt": 2}
    assert not isinstance(told, names.InvalidTransition)


def test_what_was_sent_again_before_is_refused(served: Served) -> None:
    """Without a fault on the way, 409 is a refusal."""
    served = stack()
    acme = client_of(served, "acme")
    acme.queue_order("acme", order("o1", "s1"))
    with pytest.raises(names.InvalidTransition):
        acme.resend("acme", "o1")


@given(FAULTS)
def test_a_coupon_is_made_once(faults: list[Fault]) -> None:
    """A retry after a lost answer finds the same coupon, which is no refusal."""
    served = stack()
    told = once(
        lambda client: client.make_coupon("TEN", {"percent_off": "10.00", "ends_at": "2030-01-01T00:00:00Z"}),
        served,
        faults,
    )
    assert not isinstance(told, names.CouponExists)


def test_another_coupon_of_the_same_code_is_refused() -> None:
    """Also after a lost answer: it is not the one that was asked for."""
    served = stack()
    client_of(served).make_coupon("TEN", {"percent_off": "20.00"})
    with pytest.raises(names.CouponExists):
        client_of(served, "platform", on_the_way("lost request")).make_coupon("TEN", {"percent_off": "10.00"})


def test_all_tries_of_a_call_have_one_key() -> None:
    """And every call its own."""
    served = stack()
    wire = Wire(served, on_the_way("lost answer", "throttled", None, "try again", "gateway after"))
    client = Client.over(_transport(served, wire))
    client.debit("acme", order("o1", "s1"))
    client.debit("acme", order("o2", "s1"))
    assert [len(set(wire.keys[:3])), len(set(wire.keys[3:])), len(set(wire.keys))] == [1, 1, 2]
    assert None not in wire.keys


def test_a_refusal_is_never_tried_again() -> None:
    """It would be the same."""
    served = stack()
    served.calls.clear()
    with pytest.raises(names.AccountNotFound):
        client_of(served).balance("nobody")
    assert len(served.calls) == 1


def test_a_defect_of_the_service_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own 500 is an answer."""
    served = stack()
    monkeypatch.setattr("autocredits.domain.catalog.Catalog.card_at", lambda *_: 1 / 0)
    served.calls.clear()
    with pytest.raises(names.InternalError):
        client_of(served).rates()
    assert len(served.calls) == 1


def test_patience_ends_after_so_many_tries() -> None:
    """With the last fault, named."""
    served = stack()
    wire = Wire(served, itertools.repeat("throttled"))
    with pytest.raises(names.TooManyRequests) as caught:
        Client.over(_transport(served, wire, Retries(attempts=3))).debit("acme", order("o1", "s1"), key="k")
    assert (len(wire.keys), caught.value.key) == (3, "k")


def test_patience_ends_after_some_time() -> None:
    """Before a wait that would go beyond it."""
    served = stack()
    began_s = served.clock.monotonic_s()
    wire = Wire(served, itertools.repeat("lost request"))
    with pytest.raises(Unreachable):
        Client.over(_transport(served, wire, Retries(attempts=1000, within_s=20))).balance("acme")
    assert 10 < served.clock.monotonic_s() - began_s <= 20


def test_waits_are_drawn_below_a_bound_that_doubles() -> None:
    """0.2 s at first, 8 s at most."""
    retries = Retries()
    assert [retries.wait_s(tried, 1.0) for tried in (1, 2, 3, 9)] == [0.2, 0.4, 0.8, 8.0]
    assert retries.wait_s(3, 0.0) == 0.0


def test_the_service_is_left_alone_for_as_long_as_it_asks() -> None:
    """`Retry-After` in seconds, and some more by chance."""
    served = stack()
    began_s = served.clock.monotonic_s()
    client_of(served, "platform", on_the_way("try again")).rates()
    assert served.clock.monotonic_s() - began_s == pytest.approx(1.1)


def test_a_time_to_come_back_may_be_a_date() -> None:
    """What cannot be read is none, and a date in the past is now."""
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert 25 < retry_after_s(date) <= 30
    assert [retry_after_s(header) for header in ("Thu, 01 Jan 1970 00:00:00 GMT", "soon", "-5", "\u0665", None)] == [
        0.0
    ] * 5
    assert retry_after_s(" 7 ") == 7.0


@pytest.mark.parametrize(
    ("status", "headers", "text"),
    [(302, {"Location": "https://elsewhere.test"}, ""), (200, {}, "<html>welcome to our hotel"), (204, {}, "")],
)
def test_what_does_not_speak_as_the_service_does_is_said_so(status: int, headers: dict[str, str], text: str) -> None:
    """A redirect is not followed, so that the token goes nowhere else."""

    class Hotel(Wire):
        def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
            self.keys.append(request.url)
            response = requests.Response()
            response.status_code, response.request, response.url = status, request, request.url or ""
            response.headers.update(headers)
            response._content = text.encode()  # noqa: SLF001 - there is no other way to make one
            return response

    served = Served()
    hotel = Hotel(served)
    with pytest.raises(names.UnexpectedAnswer):
        Client.over(_transport(served, hotel)).balance("acme")
    assert len(hotel.keys) == 1


def test_the_error_of_a_broken_way_says_why() -> None:
    """In words, without an address in memory; the call went to a port where nobody listens."""
    retries = Retries(attempts=1)
    with Client("http://127.0.0.1:9", "t", retries=retries) as client, pytest.raises(Unreachable) as caught:
        client.health()
    assert "http://127.0.0.1:9" in str(caught.value)
    assert "refused" in str(caught.value)
    assert "0x" not in str(caught.value)


def _transport(served: Served, wire: Wire, retries: Retries | None = None) -> Transport:
    clock = served.clock
    return Transport(
        API, "platform", retries, adapter=wire, clock=clock.monotonic_s, sleep=clock.sleep_up_to, draw=lambda: 0.5
    )
