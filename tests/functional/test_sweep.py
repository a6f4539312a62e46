"""The sweep, every minute: holds expire, lost messages are sent again, and nothing that is broken holds up the rest.

Tests ask for the clock before the account: what was opened later than the clock says is not due for long.
"""

import json
import os
from collections import Counter
from collections.abc import Callable

import boto3
import pytest

from autocredits.adapters.dynamo import DynamoStore
from autocredits.adapters.queue import SqsQueue
from autocredits.bootstrap import ledger
from autocredits.domain.usage import Day
from autocredits.ledger import due
from autocredits.ledger.ports import UnavailableError
from tests.functional.calls import ACME, get, hold, post
from tests.functional.conftest import Clock
from tests.kit.service import Context, Service, handler_of, sourcing, work
from tests.kit.story import recorded

MINUTE_S = 60
TWO_WEEKS_S = 14 * 24 * 3600
NOTHING = {"done": 0, "failed": 0, "left": 0}
Counted = Callable[[], Counter[str]]


@pytest.fixture(autouse=True)
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """One item at a time: moto is used from one thread."""
    monkeypatch.setattr(due, "AT_ONCE", 1)


@pytest.fixture
def counted(capsys: pytest.CaptureFixture[str]) -> Counted:
    """How often each metric was counted since the last call."""

    def read() -> Counter[str]:
        lines = [line for line in capsys.readouterr().out.splitlines() if "CloudWatchMetrics" in line]
        told = [json.loads(line)["_aws"]["CloudWatchMetrics"][0]["Metrics"] for line in lines]
        return Counter(metric["Name"] for metrics in told for metric in metrics)

    return read


@pytest.fixture
def resting(service: Service) -> None:
    """The walk over all accounts has come to its end, and meets none of those to come."""
    service.sweep()


def lose_messages(service: Service) -> None:
    """Empty the orders queue, as if nobody had ever sent anything."""
    service.sqs.purge_queue(QueueUrl=service.queues.orders)


def break_account(service: Service, account: str) -> None:
    """Change the newest page of an account, so that nobody believes it."""
    version = service.pages(account)[-1].version
    boto3.client("dynamodb").update_item(
        TableName=os.environ["TABLE_NAME"],
        Key={"pk": {"S": f"account#{account}"}, "sk": {"S": f"page#{version:012d}"}},
        UpdateExpression="SET #at = :other",
        ExpressionAttributeNames={"#at": "at"},
        ExpressionAttributeValues={":other": {"N": "1"}},
    )


def status_of(service: Service, order_id: str = "A-1") -> str:
    """How an order of acme stands."""
    status: str = get(service, f"/orders/{order_id}").body["status"]
    return status


def test_nothing_is_due_on_an_empty_table(service: Service) -> None:
    """The recorded schedule finds nothing."""
    assert service.sweep() == NOTHING


def test_a_hold_that_nobody_settled_expires(clock: Clock, acme: Service) -> None:
    """At its time, neither before nor twice; its order has failed, says why, and can be sent again."""
    assert acme.process("auto_order.requested", work("A-1", tracking="bce")) == []
    clock.advance(TWO_WEEKS_S - 1)
    assert acme.sweep() == NOTHING
    clock.advance(1)
    assert acme.sweep() == {"done": 1, "failed": 0, "left": 0}
    assert acme.balance() == {"posted": "5.00", "held": "0.00", "available": "5.00"}
    shown = get(acme, "/orders/A-1").body
    assert (shown["status"], shown["status_text"]) == ("failed", "The hold expired before anybody settled it.")
    assert get(acme, "/holds/A-1~1").body["parts"] == {"order": "expired", "tracking": "expired"}
    assert acme.sweep() == NOTHING
    assert post(acme, "/orders/A-1/resend").status == 202
    assert acme.deliver() == []
    assert (status_of(acme), acme.balance()["held"]) == ("processing", "1.33")


def test_sourcing_that_nobody_settled_has_failed(clock: Clock, acme: Service) -> None:
    """Its credits are back."""
    assert acme.process("sourcing.requested", {"product_id": "P-1", "store_id": "shop-1"}) == []
    clock.advance(TWO_WEEKS_S)
    assert acme.sweep()["done"] == 1
    assert get(acme, "/sourcing/P-1").body["status"] == "failed"
    assert acme.balance()["held"] == "0.00"


def test_a_hold_over_http_expires_when_its_caller_said(clock: Clock, acme: Service) -> None:
    """After a minute, say; of an order as of a product."""
    assert hold(acme, {**work("A-1"), "expires_in": 60}, "k1").status == 201
    assert hold(acme, {**sourcing("P-1"), "expires_in": 90}, "k2").status == 201
    clock.advance(60)
    assert acme.sweep()["done"] == 1
    assert acme.balance()["held"] == "1.00"
    clock.advance(30)
    assert acme.sweep()["done"] == 1
    assert acme.balance()["held"] == "0.00"


def test_an_expiry_is_told(clock: Clock, acme: Service) -> None:
    """Its page is as any other: the sweep is named, and why."""
    hold(acme, {**work("A-1"), "expires_in": 60})
    clock.advance(60)
    acme.sweep()
    acme.publish(acme.pages()[-1:])
    [event] = acme.heard()
    assert event["detail-type"] == "credits.expired"
    assert event["detail"].items() >= {"hold_id": "A-1~1", "attempt": 1, "actor": "system:sweep"}.items()


def test_an_order_whose_message_was_lost_is_sent_again(clock: Clock, acme: Service) -> None:
    """Two minutes after it was queued, in its account's group; the worker then does what it would have done."""
    assert post(acme, "/orders", work("A-1"), "k").status == 202
    lose_messages(acme)
    clock.advance(119)
    assert acme.sweep() == NOTHING
    clock.advance(1)
    assert acme.sweep()["done"] == 1
    assert acme.deliver() == []
    assert (status_of(acme), acme.balance()["held"]) == ("processing", "1.00")
    clock.advance(3600)
    assert acme.sweep() == NOTHING


def test_a_message_that_was_only_late_changes_nothing_twice(clock: Clock, acme: Service) -> None:
    """Both are worked on, and one hold is there."""
    assert post(acme, "/orders", work("A-1"), "k").status == 202
    clock.advance(120)
    assert acme.sweep()["done"] == 1
    assert acme.deliver() == []
    assert acme.deliver() == []
    assert acme.balance()["held"] == "1.00"
    assert acme.dead_letters() == []


def test_a_message_is_not_sent_every_minute(clock: Clock, acme: Service) -> None:
    """After two minutes, then after two more, four, eight: while the queue only stands still, it fills slowly."""
    assert post(acme, "/orders", work("A-1"), "k").status == 202
    sent = []
    for minute in range(1, 31):
        clock.advance(MINUTE_S)
        if acme.sweep()["done"]:
            sent.append(minute)
    assert sent == [2, 4, 8, 16]


@pytest.mark.usefixtures("resting")
def test_a_broken_item_holds_up_nobody(clock: Clock, acme: Service, counted: Counted) -> None:
    """It is counted and put off, a minute first, then doubling; after five times somebody has to look."""
    acme.open("umbrella")
    assert acme.call("POST", "/v1/accounts/umbrella/holds", {**work("U-1"), "expires_in": 60}, key="k").status == 201
    break_account(acme, "umbrella")
    assert hold(acme, {**work("A-1"), "expires_in": 61}).status == 201
    clock.advance(61)
    counted()
    assert acme.sweep() == {"done": 1, "failed": 1, "left": 0}
    assert acme.balance()["held"] == "0.00"
    assert counted() == {"SweepFailed": 1, "BrokenInvariant": 1}
    waits, stuck = [], []
    for _ in range(6):
        minutes = 0
        counts = NOTHING
        while counts == NOTHING:
            clock.advance(MINUTE_S)
            minutes += 1
            counts = acme.sweep()
        assert counts == {"done": 0, "failed": 1, "left": 0}
        waits.append(minutes)
        stuck.append(counted()["SweepStuck"])
    assert waits == [1, 2, 4, 8, 16, 32]
    assert stuck == [0, 0, 0, 1, 1, 1]


@pytest.mark.usefixtures("resting")
def test_many_broken_items_at_the_head_hold_up_nobody(clock: Clock, acme: Service, counted: Counted) -> None:
    """Thirty holds of an account that cannot be read, overdue for longer than a healthy hold and a lost message."""
    acme.open("umbrella", extra="100.00")
    for number in range(30):
        path, body = "/v1/accounts/umbrella/holds", {**work(f"U-{number}"), "expires_in": 60}
        assert acme.call("POST", path, body, key=f"k{number}").status == 201
    break_account(acme, "umbrella")
    clock.advance(60)
    assert hold(acme, {**work("A-1"), "expires_in": 60}).status == 201
    assert post(acme, "/orders", work("A-2"), "k").status == 202
    lose_messages(acme)
    clock.advance(120)
    counted()
    assert acme.sweep() == {"done": 2, "failed": 30, "left": 0}
    assert counted() == {"SweepFailed": 30, "BrokenInvariant": 30}
    assert acme.balance()["held"] == "0.00"
    assert acme.deliver() == []
    assert status_of(acme, "A-2") == "processing"
    assert acme.sweep() == NOTHING


def test_without_time_everything_is_left(clock: Clock, acme: Service) -> None:
    """For the next run."""
    hold(acme, {**work("A-1"), "expires_in": 60})
    clock.advance(60)
    event = recorded("sweep")
    assert handler_of(event)(event, Context(19_999)) == NOTHING
    assert acme.balance()["held"] == "1.00"
    assert handler_of(event)(event, Context(20_000)) == {"done": 1, "failed": 0, "left": 0}


@pytest.mark.usefixtures("resting")
def test_a_queue_that_is_down_is_waited_for(
    clock: Clock, acme: Service, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order stays queued and is tried again after a minute; holds expire meanwhile."""
    assert post(acme, "/orders", work("A-1"), "k").status == 202
    assert hold(acme, {**work("A-2"), "expires_in": 60}).status == 201
    lose_messages(acme)
    clock.advance(120)
    counted()

    def fail(_: SqsQueue, account_id: str, body: str) -> None:
        raise UnavailableError(account_id + body)

    with monkeypatch.context() as patch:
        patch.setattr(SqsQueue, "send", fail)
        assert acme.sweep() == {"done": 1, "failed": 1, "left": 0}
    assert counted() == {"SweepFailed": 1}
    assert status_of(acme) == "queued"
    clock.advance(MINUTE_S)
    assert acme.sweep()["done"] == 1
    assert acme.deliver() == []
    assert status_of(acme) == "processing"


def test_the_sweep_needs_no_standing(clock: Clock, acme: Service) -> None:
    """A suspended account's holds expire as well."""
    hold(acme, {**work("A-1"), "expires_in": 60})
    assert acme.call("PATCH", ACME, {"status": "suspended"}).status == 200
    clock.advance(60)
    assert acme.sweep()["done"] == 1
    assert acme.balance()["held"] == "0.00"


# ---------------------------------------------------------------- the walk over all accounts


def forget_audit(account: str) -> None:
    """Leave an account as one that is older than the audit."""
    client, key = boto3.client("dynamodb"), {"pk": {"S": f"account#{account}#usage"}}
    for day in client.scan(TableName=os.environ["TABLE_NAME"])["Items"]:
        if day["pk"] == key["pk"]:
            client.delete_item(TableName=os.environ["TABLE_NAME"], Key={**key, "sk": day["sk"]})
    assert reached(account) == 0


def reached(account: str) -> int:
    """How far an account's audit has come."""
    day = ledger().store.newest_day(account)
    return day.reached.version if day else 0


def test_an_account_that_no_stream_has_shown_is_audited(acme: Service) -> None:
    """The sweep's walk comes to it, and to it once."""
    forget_audit("acme")
    assert acme.sweep() == NOTHING
    assert reached("acme") == acme.pages()[-1].version
    forget_audit("acme")
    assert acme.sweep() == NOTHING
    assert reached("acme") == 0


def test_a_month_later_it_comes_again(clock: Clock, acme: Service) -> None:
    """Then it finds what the stream has lost since."""
    acme.sweep()
    forget_audit("acme")
    clock.advance(30 * 24 * 3600)
    acme.sweep()
    assert reached("acme") == acme.pages()[-1].version


def test_an_account_that_cannot_be_read_does_not_end_the_walk(acme: Service, counted: Counted) -> None:
    """What is wrong with it is found and counted; the others are audited, and the walk ends."""
    for account in ("one", "two", "three"):
        acme.open(account)
        forget_audit(account)
    break_account(acme, "two")
    counted()
    assert acme.sweep() == NOTHING
    assert counted()["AuditFinding"] >= 1
    assert [reached(account) for account in ("one", "three")] == [1, 1]
    assert acme.sweep() == NOTHING
    assert counted()["AuditFinding"] == 0


def test_a_walk_that_fails_leaves_the_rest_of_the_sweep_alone(
    clock: Clock, acme: Service, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the right to scan is lacking: it is counted, and tried again in the next minute."""
    hold(acme, {**work("A-1"), "expires_in": 60}, "k1")
    clock.advance(60)

    def fails(*_: object) -> None:
        raise UnavailableError("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(DynamoStore, "find_accounts", fails)
        counted()
        assert acme.sweep() == {"done": 1, "failed": 0, "left": 0}
        assert counted()["SweepFailed"] == 1
    forget_audit("acme")
    acme.sweep()
    assert reached("acme") > 0


def test_an_account_that_cannot_be_audited_now_is_audited_later(
    acme: Service, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table did not answer: the others are audited, the failure is counted, and the walk waits."""
    for account in ("one", "two"):
        acme.open(account)
        forget_audit(account)
    forget_audit("acme")
    newest_day = DynamoStore.newest_day

    def fails(store: DynamoStore, account_id: str) -> Day | None:
        if account_id == "acme":
            raise UnavailableError("throttled")
        return newest_day(store, account_id)

    with monkeypatch.context() as patch:
        patch.setattr(DynamoStore, "newest_day", fails)
        counted()
        assert acme.sweep() == NOTHING
        assert counted()["SweepFailed"] == 1
    assert [reached(account) for account in ("one", "two", "acme")] == [1, 1, 0]
    acme.sweep()
    assert reached("acme") == acme.pages()[-1].version
