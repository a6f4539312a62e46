"""Balances and entries over HTTP."""

from typing import Any

import pytest

from tests.functional.calls import ACME, told
from tests.functional.conftest import Clock
from tests.kit.service import Answer, Service, sourcing, work

NOON = "2026-11-24T12:00:00.000Z"
UNITS = ("auto_order", "ai_rewrite", "finder", "managed")


def balance(service: Service, at: str | None = None) -> Answer:
    """The account now, or at a time."""
    return service.call("GET", f"{ACME}/balance", query={"at": at} if at is not None else None)


def entries(service: Service, **query: str) -> Answer:
    """A page of the list of entries; `from_` stands for `from`."""
    return service.call("GET", f"{ACME}/entries", query={name.rstrip("_"): value for name, value in query.items()})


def ids(answer: Answer) -> list[str]:
    """The ids of the entries in an answer."""
    return [entry["entry_id"] for entry in answer.body["items"]]


@pytest.fixture
def history(service: Service, clock: Clock) -> Service:
    """Acme with seven pages, one a second from noon on.

    1.0 opened, 1.1 granted, 2.0 adjusted, 3.0 debited, 4.0 and 4.1 held, 5.0 captured, 6.0 released, 7.0 standing.
    """
    service.open()
    steps: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("POST", "/adjustments", {"unit": "managed", "amount": "30.00", "reason": "test"}),
        ("POST", "/debits", sourcing("P-1", store_id="shop-2")),
        ("POST", "/holds", work("A-1", "auto", "qtrack")),
        ("POST", "/holds/A-1~1/capture", {"parts": ["order"]}),
        ("POST", "/holds/A-1~1/release", {"reason": "test"}),
        ("PUT", "/settings", {"low_balance": "1.00"}),
    )
    for number, (method, path, body) in enumerate(steps):
        clock.advance(1)
        assert service.call(method, ACME + path, body, key=f"step-{number}").status in (200, 201)
    return service


# ---------------------------------------------------------------- balance


def test_a_balance_names_every_unit(history: Service) -> None:
    """The balance has all units with posted, held and available, and the newest page's version and hash."""
    body = balance(history).body
    assert tuple(body["balances"]) == UNITS
    assert body["balances"]["auto_order"] == {"posted": "3.00", "held": "0.00", "available": "3.00"}
    assert body["balances"]["managed"]["posted"] == "30.00"
    assert (body["version"], len(body["hash"])) == (7, 64)


def test_a_past_balance_includes_its_time(history: Service) -> None:
    """`at` means up to and including, to the millisecond."""
    versions = {
        NOON: 1,
        "2026-11-24T12:00:00Z": 1,
        "2026-11-24T12:00:00.999Z": 1,
        "2026-11-24T12:00:01.000Z": 2,
        "2026-11-24T12:00:03.5Z": 4,
        "2026-11-24T12:00:06.000Z": 7,
        "2026-11-24T12:01:06.000Z": 7,
    }
    assert {at: balance(history, at).body["version"] for at in versions} == versions


def test_a_past_balance_is_what_it_was(history: Service) -> None:
    """While the hold was open, its credits were held."""
    body = balance(history, "2026-11-24T12:00:03Z").body
    assert body["balances"]["auto_order"] == {"posted": "4.00", "held": "2.50", "available": "1.50"}


def test_before_the_first_page_there_is_nothing(history: Service) -> None:
    """`at` before the account opened: zeros in every unit, version 0."""
    answer = balance(history, "2026-11-24T11:59:59.999Z")
    assert answer.status == 200
    assert (answer.body["version"], answer.body["hash"]) == (0, "0" * 64)
    assert {amounts["posted"] for amounts in answer.body["balances"].values()} == {"0.00"}


def test_a_balance_of_the_future_is_not_known(history: Service) -> None:
    """`at` may be a minute ahead of the service's clock, and no more: 422, before it is asked whose account it is."""
    assert told(balance(history, "2026-11-24T12:01:06.001Z")) == (422, "invalid_field")
    assert told(history.call("GET", "/v1/accounts/nobody/balance", query={"at": "2026-11-24T12:01:06.001Z"})) == (
        422,
        "invalid_field",
    )
    assert told(history.call("GET", "/v1/accounts/nobody/balance", query={"at": "2026-11-24T12:01:06.000Z"})) == (
        404,
        "account_not_found",
    )


TIMES = [
    *("", "now", "2026-11-24", "2026-11-24T12:00:00", "2026-11-24T12:00:00+00:00", "2026-11-24 12:00:00Z"),
    *("2026-02-30T00:00:00Z", "2026-11-24T24:00:00Z", "2026-11-24T12:00:60Z", "2026-11-24t12:00:00z"),
    *("2026-11-24T12:00:00.Z", "2026-11-24T12:00:00.1234567890Z", "1795521600", "0000-01-01T00:00:00Z"),
    *("\u0662026-11-24T12:00:00Z", "2026-11-24T12:00:00Z\n", "2026-11-24T12:00:00Z "),
]


def test_a_time_has_one_form(service: Service) -> None:
    """Whatever is not RFC 3339 in UTC with `Z` is no time, for the balance and for the entries."""
    service.open()
    for time in TIMES:
        answers = balance(service, time), entries(service, from_=time), entries(service, to=time)
        assert (time, {told(answer) for answer in answers}) == (time, {(422, "invalid_field")})


# ---------------------------------------------------------------- entries


NEWEST_FIRST = ["7.0", "6.0", "5.0", "4.1", "4.0", "3.0", "2.0", "1.1", "1.0"]


def test_entries_come_newest_first(history: Service) -> None:
    """The list begins with the newest entry, also inside a page, and ends with the opening."""
    answer = entries(history)
    assert ids(answer) == NEWEST_FIRST
    assert answer.body["next_cursor"] is None


def test_an_entry_says_what_happened(history: Service) -> None:
    """A held entry has its part, work, hold, rate card, actor and key, and the balance after it."""
    entry = entries(history, kind="held").body["items"][0]
    assert entry == {
        "entry_id": "4.1",
        "version": 4,
        "at": "2026-11-24T12:00:03.000Z",
        "kind": "held",
        "unit": "auto_order",
        "posted": "0.00",
        "held": "1.50",
        "balance": {"posted": "4.00", "held": "2.50", "available": "1.50"},
        "order_id": "A-1",
        "store_id": "shop-1",
        "part": "tracking",
        "action": {"order_type": "auto", "tracking": "qtrack"},
        "rate_card": "2024-01",
        "hold_id": "A-1~1",
        "actor": "test",
        "key": "step-2",
        "attempt": 1,
    }


def test_entries_without_a_unit_have_nulls(history: Service) -> None:
    """`opened` and `standing` have no unit and move nothing."""
    items = [entry for entry in entries(history).body["items"] if entry["kind"] in ("opened", "standing")]
    assert len(items) == 2
    assert all(entry[name] is None for entry in items for name in ("unit", "posted", "held", "balance"))


def test_entries_add_up(history: Service) -> None:
    """The changes of a unit add up to its balance."""
    hundredths = {"posted": 0, "held": 0}
    for entry in entries(history, unit="auto_order").body["items"]:
        for name in hundredths:
            hundredths[name] += int(entry[name].replace(".", ""))
    assert hundredths == {"posted": 300, "held": 0}


FILTERED: list[tuple[dict[str, str], list[str]]] = [
    ({"unit": "managed"}, ["2.0"]),
    ({"unit": "finder"}, []),
    ({"kind": "held"}, ["4.1", "4.0"]),
    ({"kind": "expired"}, []),
    ({"store_id": "shop-2"}, ["3.0"]),
    ({"order_id": "A-1"}, ["6.0", "5.0", "4.1", "4.0"]),
    ({"order_id": "A-1", "kind": "captured"}, ["5.0"]),
    ({"order_id": "A-1", "store_id": "shop-2"}, []),
    ({"from_": "2026-11-24T12:00:05Z"}, ["7.0", "6.0"]),
    ({"to": "2026-11-24T12:00:01Z"}, ["1.1", "1.0"]),
    ({"to": "2026-11-24T12:00:01.0001Z"}, ["2.0", "1.1", "1.0"]),
    ({"from_": "2026-11-24T12:00:00.0001Z", "to": "2026-11-24T12:00:03Z"}, ["3.0", "2.0"]),
    ({"from_": "2026-11-24T12:00:03Z", "to": "2026-11-24T12:00:03Z"}, []),
    ({"from_": "2026-11-24T12:00:05Z", "to": "2026-11-24T12:00:01Z"}, []),
    ({"from_": "2027-01-01T00:00:00Z"}, []),
    ({"to": "2020-01-01T00:00:00Z"}, []),
]


def test_filters_narrow_the_list(history: Service) -> None:
    """Each filter leaves what fits, a range is `from ≤ t < to`, and filters work together."""
    for query, expected in FILTERED:
        assert (query, ids(entries(history, **query))) == (query, expected)


def walk(service: Service, limit: int, query: dict[str, str]) -> list[str]:
    """The ids of all entries, page after page."""
    found: list[str] = []
    answer = entries(service, limit=str(limit), **query)
    while True:
        assert len(ids(answer)) <= limit
        found += ids(answer)
        if (cursor := answer.body["next_cursor"]) is None:
            return found
        answer = entries(service, limit=str(limit), cursor=cursor, **query)


def test_cursors_lead_through_the_whole_list(history: Service) -> None:
    """Page after page the list is the one that a single call gives, whatever the limit and the filters."""
    for query in ({}, {"unit": "auto_order"}, {"order_id": "A-1"}, {"to": "2026-11-24T12:00:05Z"}):
        whole = ids(entries(history, **query))
        for limit in (1, 2, 3, len(NEWEST_FIRST), 100):
            assert (query, limit, walk(history, limit, query)) == (query, limit, whole)


def test_a_list_goes_on_below_new_entries(history: Service) -> None:
    """What is entered between two calls does not shift the list."""
    cursor = entries(history, limit="4").body["next_cursor"]
    history.call("POST", f"{ACME}/debits", work("A-9"), key="later")
    assert ids(entries(history, cursor=cursor)) == NEWEST_FIRST[4:]


def test_a_cursor_is_bound(history: Service) -> None:
    """A cursor works for its account and its filters alone; the limit may change."""
    history.open("umbrella")
    cursor = entries(history, limit="1", unit="auto_order").body["next_cursor"]
    assert entries(history, limit="2", unit="auto_order", cursor=cursor).status == 200
    for query in ({}, {"unit": "managed"}, {"unit": "auto_order", "kind": "held"}):
        assert told(entries(history, cursor=cursor, **query)) == (400, "invalid_cursor")
    elsewhere = history.call("GET", "/v1/accounts/umbrella/entries", query={"unit": "auto_order", "cursor": cursor})
    assert told(elsewhere) == (400, "invalid_cursor")
    stranger = history.call(
        "GET", f"{ACME}/entries", account="acme", store="shop-1", query={"unit": "auto_order", "cursor": cursor}
    )
    assert told(stranger) == (400, "invalid_cursor")


def test_a_cursor_is_not_made_up(history: Service) -> None:
    """What is no cursor of ours is refused."""
    cursor = entries(history, limit="1").body["next_cursor"]
    for text in ("", "x", "====", "ä", " ", cursor + "A", cursor[:-1], cursor + "=", cursor + "\n", "A" * 5000):
        assert (text[:20], *told(entries(history, cursor=text))) == (text[:20], 400, "invalid_cursor")


def test_a_limit_is_a_number_from_1_to_100(service: Service) -> None:
    """Other limits are refused, on every list."""
    service.open()
    for limit in ("", "0", "101", "-1", "+5", "5.0", "05", " 5", "5 ", "1e1", "\u0665", "ten", "1" * 400):
        for path in ("entries", "orders"):
            answer = service.call("GET", f"{ACME}/{path}", query={"limit": limit})
            assert (limit, *told(answer)) == (limit, 422, "invalid_limit")
    for limit in ("1", "100"):
        assert entries(service, limit=limit).status == 200


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"unit": ""}, "invalid_field"),
        ({"unit": "dollars"}, "invalid_field"),
        ({"kind": "spent"}, "invalid_field"),
        ({"kind": "held,captured"}, "invalid_field"),
        ({"store_id": ""}, "invalid_id"),
        ({"store_id": "a b"}, "invalid_id"),
        ({"order_id": "a~b"}, "invalid_id"),
        ({"order_id": "a" * 65}, "invalid_id"),
    ],
)
def test_filters_have_a_form(service: Service, query: dict[str, str], code: str) -> None:
    """Unknown units and kinds, and what is no id, are refused."""
    service.open()
    assert told(entries(service, **query)) == (422, code)


def test_the_default_limit_is_50(service: Service) -> None:
    """A list without a limit has 50 items, and goes on."""
    service.open()
    for number in range(51):
        service.call("PUT", f"{ACME}/settings", {"low_balance": f"{number}.00"})
    answer = entries(service)
    assert len(ids(answer)) == 50
    assert answer.body["next_cursor"]
