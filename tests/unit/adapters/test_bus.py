import json
from itertools import pairwise
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError, ReadTimeoutError
from hypothesis import given
from hypothesis import strategies as st

from autocredits.adapters.bus import BATCH, BATCH_BYTES, EventBus, batches, event_bytes
from autocredits.ledger.ports import BusEvent, UnavailableError
from tests.kit.wire import answering, client_of, error, raising, response

AT_MS = 1_764_000_000_123
EVENT = BusEvent("credits.held", AT_MS, '{"id": "acme/3.0"}')


def numbered(count: int) -> list[BusEvent]:
    """So many events, each with its own number for a detail."""
    return [BusEvent("credits.held", AT_MS, json.dumps({"n": number})) for number in range(count)]


def bus_on(client: Any) -> EventBus:
    """The bus on this client."""
    return EventBus(client, "credits")


def recording(sent: list[list[dict[str, Any]]], refused: frozenset[str] = frozenset()) -> EventBus:
    """A bus whose calls are noted, and which does not take events of these details."""

    def send(request: Any, **_: object) -> AWSResponse:
        entries = json.loads(request.body)["Entries"]
        sent.append(entries)
        bad = [entry["Detail"] in refused for entry in entries]
        results = [{"ErrorCode": "ThrottlingException"} if one else {"EventId": "e"} for one in bad]
        return response(200, {"FailedEntryCount": sum(bad), "Entries": results})

    return bus_on(client_of("events", send))


def test_what_eventbridge_is_asked() -> None:
    """Each event goes on the named bus, from us, under its type, with the time of its page."""
    sent: list[list[dict[str, Any]]] = []
    assert recording(sent).put([EVENT]) == []
    assert sent == [
        [
            {
                "EventBusName": "credits",
                "Source": "autocredits",
                "DetailType": "credits.held",
                "Time": 1764000000.123,
                "Detail": '{"id": "acme/3.0"}',
            }
        ]
    ]


def test_ten_events_go_in_one_call() -> None:
    """In their sequence; without any, nothing is asked."""
    sent: list[list[dict[str, Any]]] = []
    events = numbered(25)
    assert recording(sent).put(events) == []
    assert recording(sent).put([]) == []
    assert [len(call) for call in sent] == [10, 10, 5]
    assert [entry["Detail"] for call in sent for entry in call] == [event.detail for event in events]


def test_only_what_did_not_get_there_is_given_back() -> None:
    """An answer of 200 can carry failures, in any of the calls."""
    events = numbered(25)
    bad = [events[3], events[10], events[24]]
    sent: list[list[dict[str, Any]]] = []
    assert recording(sent, frozenset(event.detail for event in bad)).put(events) == bad
    assert len(sent) == 3


def test_nothing_is_given_back_of_a_call_without_failures() -> None:
    """Its count says so, and the entries are not looked at."""
    assert bus_on(answering("events", 200, {"FailedEntryCount": 0, "Entries": []})).put(numbered(2)) == []


def test_an_answer_that_does_not_fit_its_call_is_not_believed() -> None:
    """Failures without an entry for each event cannot be told apart."""
    broken = {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure"}]}
    with pytest.raises(ValueError, match="zip"):
        bus_on(answering("events", 200, broken)).put(numbered(2))


@pytest.mark.parametrize(("letter", "letters_bytes"), [("x", 1), ("\u00e9", 2), ("\u4e0d", 3), ("\U0001f600", 4)])
def test_sizes_are_counted_in_utf_8(letter: str, letters_bytes: int) -> None:
    """Of type, source and detail, and 14 bytes for the time."""
    event = BusEvent("credits.held", AT_MS, letter * 100)
    assert event_bytes(event) == 14 + len("autocredits") + len("credits.held") + 100 * letters_bytes


def test_a_call_takes_200_kb() -> None:
    """Two events of exactly half go in one call; of one byte more, each goes alone."""
    rest = event_bytes(BusEvent("t", AT_MS, ""))
    half = BusEvent("t", AT_MS, "\u00e9" * ((BATCH_BYTES // 2 - rest) // 2) + "x" * (rest % 2))
    assert BATCH_BYTES == 200 * 1024
    assert event_bytes(half) * 2 == BATCH_BYTES
    assert list(batches([half, half])) == [[half, half]]
    more = BusEvent("t", AT_MS, half.detail + "x")
    assert list(batches([half, more])) == [[half], [more]]


def test_an_event_beyond_all_measure_goes_alone() -> None:
    """EventBridge says no to it, and to none of its neighbours."""
    small, huge = EVENT, BusEvent("t", AT_MS, "x" * BATCH_BYTES)
    assert list(batches([small, huge, small])) == [[small], [huge], [small]]
    assert list(batches([huge, huge])) == [[huge], [huge]]


@given(st.lists(st.integers(0, 90_000), max_size=40))
def test_calls_are_full_and_leave_nothing_out(sizes: list[int]) -> None:
    """At most ten events and 200 KB, in their sequence, and the next event would not have fitted in."""
    events = [BusEvent("t", number, "x" * size) for number, size in enumerate(sizes)]
    calls = list(batches(events))
    assert [event for call in calls for event in call] == events
    for call in calls:
        assert 0 < len(call) <= BATCH == 10
        assert sum(map(event_bytes, call)) <= BATCH_BYTES
    for call, following in pairwise(calls):
        assert len(call) == BATCH or sum(map(event_bytes, call)) + event_bytes(following[0]) > BATCH_BYTES


@pytest.mark.parametrize(
    "client",
    [
        answering("events", 503, error("ServiceUnavailable")),
        answering("events", 400, error("ThrottlingException")),
        raising("events", ReadTimeoutError(endpoint_url="x")),
    ],
    ids=["failing", "throttled", "silent"],
)
def test_a_bus_that_does_not_answer_is_unavailable(client: Any) -> None:
    """Whatever of the call happened."""
    with pytest.raises(UnavailableError):
        bus_on(client).put([EVENT])


def test_a_defect_of_ours_goes_through() -> None:
    """A bus that we may not use is no outage."""
    with pytest.raises(ClientError, match="AccessDenied"):
        bus_on(answering("events", 403, error("AccessDenied"))).put([EVENT])
