"""Every recorded event through its handler, and a recorded event for every way in."""

import base64
import json

import pytest

from autocredits.domain.journal import Entry, next_page
from autocredits.edge.messages import DATA_BY_TYPE
from tests.functional.conftest import SIGNING_SECRET
from tests.kit.service import Context, Service, handler_of, route_keys
from tests.kit.story import EVENTS, STORY, Event, check, recorded, signed
from tests.kit.streams import page_record
from tests.kit.template import event_sources, function_of, template

NAMES = sorted(path.stem for path in EVENTS.glob("*.json"))
BATCH = "worker_batch"
OPEN = ("GET /v1/health", "POST /v1/payments/{provider}/webhook")
PLATFORM_ALONE = (
    "PUT /v1/accounts/{account_id}",
    "PATCH /v1/accounts/{account_id}",
    "POST /v1/accounts/{account_id}/adjustments",
    "POST /v1/coupons",
    "GET /v1/coupons/{code}",
    "DELETE /v1/coupons/{code}",
    "POST /v1/accounts/{account_id}/purchases/{purchase_id}/review",
)


@pytest.mark.usefixtures("service")
def test_the_recorded_events_tell_one_story() -> None:
    """Each recorded event is answered as expected, one after the other on one table."""
    for step in STORY:
        event = signed(recorded(step.name), SIGNING_SECRET)
        check(step, handler_of(event)(event, Context()))


def test_the_batch_leaves_one_dead_letter(service: Service) -> None:
    """Of the recorded batch only the message with a price goes to the dead letters, as it came."""
    service.open()
    event = recorded(BATCH)
    handler_of(event)(event, Context())
    (letter,) = service.dead_letters()
    assert letter.body == event["Records"][2]["body"]
    assert letter.reason == "unknown_field"


def test_every_event_is_played() -> None:
    """The story leaves no recorded event out, and names none that there is not."""
    assert sorted(step.name for step in STORY) == NAMES


def test_every_route_has_one_event() -> None:
    """Each route of the template was recorded once, `$default` included, and no other."""
    recorded_keys = [event["routeKey"] for event in map(recorded, NAMES) if "routeKey" in event]
    assert sorted(recorded_keys) == sorted(route_keys())


def test_every_schedule_has_one_event() -> None:
    """Each schedule of the template was recorded once."""
    schedules = [function for function, _, source in event_sources(template()) if source["Type"] == "Schedule"]
    found = [function_of(template(), event) for event in map(recorded, NAMES) if event.get("source") == "aws.events"]
    assert sorted(found) == sorted(schedules)


def test_every_stream_and_queue_has_its_events() -> None:
    """Each function that is shown records was recorded, and no record is for another."""
    sources = [function for function, _, source in event_sources(template()) if source["Type"] in ("DynamoDB", "SQS")]
    found = {function_of(template(), event) for event in map(recorded, NAMES) if "Records" in event}
    assert sorted(found) == sorted(sources)


def test_every_change_of_a_page_was_recorded() -> None:
    """The publisher was shown new pages alone, the audit also one that was changed and one that was removed."""
    recordings = {name: recorded(name)["Records"] for name in ("publish_pages", "audit_pages")}
    changes = {name: [record["eventName"] for record in records] for name, records in recordings.items()}
    assert changes == {"publish_pages": ["INSERT", "INSERT"], "audit_pages": ["INSERT", "MODIFY", "REMOVE"]}


def test_every_message_type_has_one_event() -> None:
    """Each type of message that the worker takes was recorded alone, under its name."""
    found = {}
    for name in NAMES:
        event = recorded(name)
        if name.startswith("worker_") and name != BATCH:
            (record,) = event["Records"]
            found[name] = json.loads(record["body"])["type"]
    assert sorted(found.values()) == sorted(DATA_BY_TYPE)
    assert all(name == f"worker_{kind.replace('.', '_')}" for name, kind in found.items())


@pytest.mark.parametrize("name", NAMES)
def test_an_event_has_the_whole_form(name: str) -> None:
    """A recorded event has all the members that AWS sends, claims as strings, and no other account than acme."""
    event = recorded(name)
    if "Records" in event and event["Records"][0]["eventSource"] == "aws:dynamodb":
        check_stream_event(event)
    elif "Records" in event:
        check_queue_event(event)
    elif "routeKey" in event:
        check_http_event(event)
    else:
        assert set(event) == {
            "version",
            "id",
            "detail-type",
            "source",
            "account",
            "time",
            "region",
            "resources",
            "detail",
        }


def check_queue_event(event: Event) -> None:
    """Fail unless every record is complete, and about acme."""
    for record in event["Records"]:
        assert set(record) == {
            "messageId",
            "receiptHandle",
            "body",
            "attributes",
            "messageAttributes",
            "md5OfBody",
            "eventSource",
            "eventSourceARN",
            "awsRegion",
        }
        assert record["attributes"]["ApproximateReceiveCount"] == "1"
        body = json.loads(record["body"])
        assert body.get("data", body)["account_id"] == "acme"


def check_stream_event(event: Event) -> None:
    """Fail unless every record is complete, about a page of acme's, and shows it unless the page was removed."""
    for record in event["Records"]:
        assert set(record) == set(page_record(next_page("acme", None, 1, [Entry(kind="opened", actor="a")])))
        change = record["dynamodb"]
        assert change["StreamViewType"] == "NEW_IMAGE"
        assert change["Keys"]["pk"] == {"S": "account#acme"}
        assert change["Keys"]["sk"]["S"].startswith("page#")
        assert ("NewImage" in change) == (record["eventName"] != "REMOVE")
        assert change["Keys"].items() <= change.get("NewImage", change["Keys"]).items()


def check_http_event(event: Event) -> None:
    """Fail unless the request is complete, and about acme."""
    members = {"version", "routeKey", "rawPath", "rawQueryString", "headers", "requestContext", "isBase64Encoded"}
    assert members <= set(event) <= members | {"queryStringParameters", "pathParameters", "body"}
    context = event["requestContext"]
    members = {"accountId", "apiId", "domainName", "domainPrefix", "http", "requestId", "routeKey", "stage", "time"}
    assert set(context) - {"authorizer"} == members | {"timeEpoch"}
    assert set(context["http"]) == {"method", "path", "protocol", "sourceIp", "userAgent"}
    assert context["http"]["path"] == event["rawPath"]
    assert context["routeKey"] == event["routeKey"]
    assert event.get("pathParameters", {}).get("account_id", "acme") == "acme"
    if event["routeKey"] in OPEN:
        assert "authorizer" not in context
        return
    claims = context["authorizer"]["jwt"]["claims"]
    assert claims["account_id"] == ("*" if event["routeKey"] in PLATFORM_ALONE else "acme")
    assert all(isinstance(value, str) for value in claims.values())
    payload = event["headers"]["authorization"].removeprefix("Bearer ").split(".")[1]
    token = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert {name: str(value) for name, value in token.items()} == claims
