"""A work record made out of its entries."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autocredits.domain.decide import Command, NotYet
from autocredits.domain.errors import BrokenInvariantError, Problem
from autocredits.domain.journal import Entered, Entry
from autocredits.domain.work.calls import ResendOrder
from autocredits.domain.work.rebuild import disagreements, rebuilt, work_of_entries
from autocredits.domain.work.record import Work
from tests.kit.builders import (
    PLATFORM,
    Account,
    accepted,
    capture,
    completed,
    conversion,
    conversion_failed,
    debit,
    failed,
    fresh,
    hold,
    opened,
    order,
    placed,
    product,
    queue_order,
    rejected,
    release,
    requested,
    sourcing,
)

TRACKING = ["none", "bce", "qtrack"]

WITHOUT_ENTRY = ("seen", "rev", "resent_by", "created_at", "updated_at", "status_at", "asked", "latest", "unknown")
"""What of a record its entries cannot tell, or only in part."""


def entered(account: Account, kind: str, work_id: str) -> list[Entered]:
    """All entries of an order or product."""
    return [
        Entered(page.version, index, page.at, entry)
        for page in account.pages()
        for index, entry in enumerate(page.entries)
        if (entry.order_id if kind == "order" else entry.product_id) == work_id
    ]


def folded(account: Account, work_id: str = "o1", kind: str = "order") -> Work | None:
    """The record that the entries give."""
    return work_of_entries(entered(account, kind, work_id))


def plain(work: Work | None) -> Work | None:
    """The record without what entries do not tell."""
    return None if work is None else replace(work, seen=(), rev=0, resent_by=None, created_at=0, updated_at=0, asked=())


def wild_commands() -> st.SearchStrategy[Command]:
    """Any command on order o1 or product p1."""
    tracking, kinds = st.sampled_from(TRACKING), st.sampled_from(["auto", "fba"])
    parts = st.sampled_from([None, ["order"], ["tracking"], ["sourcing"]])
    number = st.integers(1, 3)
    return st.one_of(
        st.builds(lambda t, k: debit(order(tracking=t, order_type=k)), tracking, kinds),
        st.builds(lambda t, k: hold(order(tracking=t, order_type=k)), tracking, kinds),
        st.builds(lambda t, k: queue_order(order(tracking=t, order_type=k)), tracking, kinds),
        st.builds(lambda t, k: requested(tracking=t, order_type=k), tracking, kinds),
        st.builds(lambda t, a: requested(tracking=t, attempt=a), tracking, number),
        st.builds(lambda p, a, m: capture(attempt=a, parts=p, managed=m), parts, number, st.sampled_from([None, 2000])),
        st.builds(lambda p, a: release(attempt=a, parts=p), parts, number),
        st.builds(lambda t: conversion(tracking=t), st.sampled_from(TRACKING[1:])),
        st.builds(lambda t: conversion(tracking=t, order_type="manual"), st.sampled_from(TRACKING[1:])),
        st.builds(lambda t: completed(**({"tracking": t} if t else {})), st.sampled_from([None, *TRACKING[1:]])),
        st.builds(conversion_failed),
        st.builds(placed),
        st.builds(failed),
        st.builds(lambda: ResendOrder(PLATFORM, "o1", fresh("request"))),
        st.builds(lambda: debit(product())),
        st.builds(sourcing),
        st.builds(accepted),
        st.builds(rejected),
    )


def run(account: Account, batches: Sequence[Sequence[Command]]) -> None:
    """Run the commands, each batch in as few pages as it needs; refusals are no matter."""
    for batch in batches:
        account.clock.at_ms += 1000
        for answer in account.ledger().execute_all(account.account_id, batch):
            assert not isinstance(answer, Problem) or answer.code != "try_again"


@settings(max_examples=300)
@given(st.lists(st.lists(wild_commands(), min_size=1, max_size=4), max_size=8), st.sampled_from([500, 100_000]))
def test_whatever_happens_the_entries_give_the_record(batches: list[list[Command]], credits_: int) -> None:
    """A record that is as old as its journal disagrees with it in nothing, and is rebuilt as it is if it is lost."""
    account = opened(credits_, managed=100_000)
    run(account, batches)
    for work in account.works():
        made = folded(account, work.work_id, work.kind)
        assert disagreements(work, made) == []
        assert work.versions == (made.versions if made else ())
        if made is None or work.status == "queued" or work.progress().completed:
            continue
        told = replace(rebuilt(work, made) or work, rev=work.rev)
        assert told == replace(work, updated_at=told.updated_at)
        assert plain(rebuilt(None, made)) == plain(replace(work, status_at=made.status_at))


STORIES: list[Any] = [
    [hold(order(order_type="fba")), capture(managed=2000)],
    [hold(order(tracking="bce")), capture(), debit(order(tracking="qtrack"))],
    [hold(order(tracking="bce")), capture(), conversion(), completed()],
    [hold(order(tracking="bce")), release(parts=["tracking"]), conversion(tracking="bce"), placed(), completed()],
    [conversion(order_type="manual"), completed(), conversion(tracking="bce", tracking_number="TBA2")],
    [sourcing(), rejected(), sourcing(), accepted()],
    [debit(product())],
]


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("credits_", [150, 500])
def test_these_stories_give_their_record(story: list[Command], credits_: int) -> None:
    """Some that chance seldom tells: with 1.50 credits most of them end in a refusal."""
    account = opened(credits_, managed=100_000)
    run(account, [[command] for command in story])
    (work,) = account.works()
    made = folded(account, work.work_id, work.kind)
    assert disagreements(work, made) == []
    assert plain(rebuilt(work, made)) == plain(work)


def test_a_refused_conversion_leaves_no_number() -> None:
    """The order stays as it was, but that it was asked for."""
    account = opened(100)
    run(account, [[hold(order())], [conversion()]])
    made = folded(account)
    assert made is not None
    assert (made.tracking, made.tracking_number, made.asked) == ("none", None, ("none", "qtrack"))
    assert plain(made) == plain(account.work())


EXPIRED: list[Any] = [
    ("order", {}, "failed"),
    ("tracking", {}, "processing"),
]


@pytest.mark.parametrize(("part", "values", "status"), EXPIRED)
def test_an_expired_part_ends_as_expired(part: str, values: dict[str, Any], status: str) -> None:
    """An order whose part `order` has expired has failed."""
    account = opened()
    account.do(hold(order(tracking="bce")))
    found = entered(account, "order", "o1")
    held = next(one.entry for one in found if one.entry.part == part)
    expired = replace(held, kind="expired", held=-held.held, expires_at=None, reason="expired", key=None, **values)
    work = work_of_entries([*found, Entered(9, 0, 9, expired)])
    assert work is not None
    assert (work.parts[part].status, work.status, work.versions) == ("expired", status, (2, 9))


def test_an_expired_sourcing_request_has_failed() -> None:
    """It was not rejected."""
    account = opened()
    account.do(sourcing())
    found = entered(account, "product", "p1")
    expired = replace(found[0].entry, kind="expired", held=-100, reason="expired")
    work = work_of_entries([*found, Entered(9, 0, 9, expired)])
    assert work is not None
    assert (work.status, work.reason) == ("failed", "expired")


@pytest.mark.parametrize("kind", ["captured", "released", "expired"])
def test_entries_that_end_what_never_began_give_no_record(kind: str) -> None:
    """They are no record's story."""
    entry = Entry(kind=kind, actor="a", unit="auto_order", held=-1, order_id="o1", store_id="s1", part="order")
    with pytest.raises(BrokenInvariantError):
        work_of_entries([Entered(2, 0, 1, entry)])


def test_a_part_that_is_ended_twice_gives_no_record() -> None:
    """The second end has nothing to end."""
    account = opened()
    account.do(hold(order()))
    account.do(capture())
    found = entered(account, "order", "o1")
    with pytest.raises(BrokenInvariantError):
        work_of_entries([*found, found[-1]])


def test_an_entry_of_an_earlier_attempt_gives_no_record() -> None:
    """An attempt that is over is over."""
    account = opened()
    run(account, [[hold(order())], [release()], [hold(order())]])
    found = entered(account, "order", "o1")
    with pytest.raises(BrokenInvariantError):
        work_of_entries([*found, found[1]])


# ---------------------------------------------------------------- what a torn table left


def test_a_page_that_is_lost_takes_the_newest_message_with_it() -> None:
    """The messages before it stay known; the record goes on from its own rev."""
    account = opened()
    run(account, [[requested(tracking="bce", message_id="m1")], [placed()]])
    newer, before = account.work(), work_of_entries(entered(account, "order", "o1")[:2])
    told = rebuilt(newer, before)
    assert told is not None
    assert (told.status, told.versions, told.charged, told.credits) == ("processing", (2,), {}, 0)
    assert (told.seen, told.rev) == (newer.seen[:1], newer.rev + 1)


def test_an_order_whose_only_page_is_lost_is_queued_again_if_it_was() -> None:
    """It keeps its work and its attempt, and forgets all that the page brought."""
    account = opened()
    run(account, [[queue_order(order(tracking="bce"))]])
    queued = account.work()
    run(account, [[requested(tracking="bce", attempt=1)]])
    told = rebuilt(account.work(), None)
    assert told == replace(queued, rev=3, updated_at=told.updated_at if told else 0)


@pytest.mark.parametrize("command", [requested, lambda: debit(order()), lambda: hold(order())])
def test_an_order_whose_only_page_is_lost_is_none_if_it_was_never_queued(command: Any) -> None:
    """Nothing tells that it ever was, so that its request is like new."""
    account = opened()
    run(account, [[command()], [requested(message_id="m2")]])
    assert rebuilt(account.work(), None) is None


def test_a_conversion_that_was_completed_without_an_entry_stays_completed() -> None:
    """It was charged by a debit, and its number came afterwards."""
    account = opened()
    run(account, [[debit(order(tracking="bce"))], [completed()]])
    work = account.work()
    assert work.status == "shipped"
    told = rebuilt(work, folded(account))
    assert told is not None
    assert (told.status, told.tracking_number, told.progress().completed) == ("shipped", "BCE1", ("tracking:bce",))


def test_what_a_newer_release_has_noted_stays() -> None:
    """In the record, and in the parts and the progress that are still the same."""
    account = opened()
    run(account, [[hold(order(tracking="bce"))], [capture(parts=["tracking"])]])
    work, note = account.work(), {"newer": "note"}
    parts = {name: replace(part, unknown=note) for name, part in work.parts.items()}
    noted = replace(work, unknown=note, parts=parts, latest=replace(work.progress(), unknown=note))
    told = rebuilt(noted, work_of_entries(entered(account, "order", "o1")[:2]))
    assert told is not None
    assert (told.unknown, told.progress().unknown) == (note, note)
    assert {name: (part.status, part.unknown) for name, part in told.parts.items()} == {
        "order": ("open", note),
        "tracking": ("open", note),
    }


def test_an_entry_of_an_unknown_kind_gives_no_record() -> None:
    """A newer release wrote it, and nothing here knows what it did."""
    account = opened()
    account.do(hold(order()))
    found = entered(account, "order", "o1")
    newer = replace(found[0].entry, kind="moved")
    with pytest.raises(BrokenInvariantError):
        work_of_entries([*found, Entered(9, 0, 9, newer)])


def test_what_a_record_knows_otherwise_is_named() -> None:
    """Charges, sums, parts, status, attempt and store."""
    account = opened()
    run(account, [[hold(order(tracking="bce"))], [capture(parts=["order"])]])
    work, made = account.work(), folded(account)
    assert disagreements(work, made) == []
    assert disagreements(replace(work, credits=1), made) == ["credits"]
    assert disagreements(replace(work, charged={}), made) == ["charged"]
    assert disagreements(replace(work, status="shipped"), made) == ["status"]
    assert disagreements(replace(work, attempt=2), made) == ["attempt"]
    assert disagreements(replace(work, parts={}), made) == ["parts"]
    assert disagreements(replace(work, store_id="s2"), made) == ["store_id"]
    assert disagreements(work, None) == ["parts", "charged", "credits"]


def test_an_entry_without_a_change_is_no_step() -> None:
    """NotYet is raised by results that come too early, and leaves no entry."""
    account = opened()
    with pytest.raises(NotYet):
        account.do(placed())
    assert folded(account) is None
