"""What DynamoDB and the network raise, by the names of the port. Nothing here leaves the process."""

import base64
import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from boto3.dynamodb.types import TypeSerializer
from botocore.awsrequest import AWSResponse
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
    SSLError,
)

from autocredits.adapters.dynamo import DynamoStore, Place, page_key, place_of, record_key
from autocredits.domain.decide import RecordWrite
from autocredits.domain.errors import BrokenInvariantError
from autocredits.domain.journal import Entry, next_page
from autocredits.domain.kinds import GLOBAL_KINDS, KINDS
from autocredits.domain.purchases.record import DUE_PURCHASES
from autocredits.domain.records import NO_ACCOUNT, KeyRecord
from autocredits.domain.work.record import DUE_ORDERS, ORDERS, Work
from autocredits.ledger.ports import ConflictError, Listed, UnavailableError, list_position
from tests.kit import wire
from tests.kit.wire import client_of, error, response

NOW_MS = 1_764_000_000_000
PAGE = next_page("acme", None, NOW_MS, [Entry(kind="opened", actor="a")])
KEY = RecordWrite(("key", "k1"), KeyRecord(key="k1", fingerprint="f", version=1, count=1), None)
WORK = RecordWrite(
    ("order", "o1"),
    Work(
        kind="order",
        work_id="o1",
        store_id="s1",
        status="processing",
        created_at=NOW_MS,
        updated_at=NOW_MS,
        status_at=NOW_MS,
        rev=3,
    ),
    2,
)
LISTED = Listed(list_position(NOW_MS, "acme#o1"), "acme", "o1")

CALLS: dict[str, Callable[[DynamoStore], object]] = {
    "head": lambda store: store.head("acme"),
    "page": lambda store: store.page("acme", 1),
    "pages_before": lambda store: store.pages_before("acme", 9, 5),
    "read": lambda store: store.read("acme", [("key", "k1")]),
    "snapshot": lambda store: store.snapshot("acme", 1, [("key", "k1")]),
    "list": lambda store: store.list(ORDERS, "acme", newest_first=True, limit=5),
    "list of all accounts": lambda store: store.list(DUE_PURCHASES, NO_ACCOUNT, limit=5, shard=0),
    "put_off": lambda store: store.put_off(DUE_ORDERS, LISTED, ("order", "o1"), lambda times: NOW_MS + times),
    "commit": lambda store: store.commit("acme", PAGE, [KEY, WORK]),
}


def answering(status: int, body: object) -> DynamoStore:
    """A store whose every request is answered so, without being sent."""
    return DynamoStore(wire.answering("dynamodb", status, body), "credits")


def raising(error: Exception) -> DynamoStore:
    """A store whose every request ends so, without being sent."""
    return DynamoStore(wire.raising("dynamodb", error), "credits")


def recording(sent: list[dict[str, Any]], body: object) -> DynamoStore:
    """A store whose requests are noted, and answered so."""

    def send(request: Any, **_: object) -> AWSResponse:
        sent.append(json.loads(request.body))
        return response(200, body)

    return DynamoStore(client_of("dynamodb", send), "credits")


def canceled(*codes: str) -> dict[str, Any]:
    """A cancelled transaction with one reason per action."""
    reasons = [{"Code": code, "Message": "why"} if code != "None" else {"Code": "None"} for code in codes]
    return error("TransactionCanceledException", CancellationReasons=reasons)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "ProvisionedThroughputExceededException"),
        (400, "ThrottlingException"),
        (400, "RequestLimitExceeded"),
        (400, "TransactionInProgressException"),
        (500, "InternalServerError"),
        (503, "ServiceUnavailable"),
        (500, "SomethingNobodyHasHeardOf"),
    ],
)
def test_a_throttled_or_failing_table_is_unavailable(call: str, status: int, code: str) -> None:
    """What was asked may or may not have happened, whichever call it was."""
    with pytest.raises(UnavailableError):
        CALLS[call](answering(status, error(code)))


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("body", [b"", b"<html>Bad gateway</html>", b'{"Items": ['])
@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_broken_answer_of_a_failing_server_is_unavailable(call: str, status: int, body: bytes) -> None:
    """Whatever stands in a 5xx."""
    with pytest.raises(UnavailableError):
        CALLS[call](answering(status, body))


@pytest.fixture(scope="module", params=[b"", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", b"HTTP/1.1 2"])
def rude_store(request: pytest.FixtureRequest) -> Iterator[DynamoStore]:
    """A store on a server that reads a request, says so much, and hangs up."""

    class Rude(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            self.request.sendall(request.param)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Rude) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        endpoint_url = f"http://127.0.0.1:{server.server_address[1]}"
        yield DynamoStore(client_of("dynamodb", endpoint_url=endpoint_url), "credits")
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("call", CALLS)
def test_half_an_answer_is_unavailable(rude_store: DynamoStore, call: str) -> None:
    """A connection that ends before the answer does tells nothing of what happened."""
    with pytest.raises(UnavailableError):
        CALLS[call](rude_store)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "network",
    [
        ConnectTimeoutError(endpoint_url="x"),
        ReadTimeoutError(endpoint_url="x"),
        EndpointConnectionError(endpoint_url="x"),
        ConnectionClosedError(endpoint_url="x"),
        SSLError(endpoint_url="x", error=OSError("handshake")),
    ],
    ids=lambda network: type(network).__name__,
)
def test_a_broken_network_is_unavailable(call: str, network: BotoCoreError) -> None:
    """Time-outs, refused and dropped connections."""
    with pytest.raises(UnavailableError):
        CALLS[call](raising(network))


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "code",
    ["AccessDeniedException", "ResourceNotFoundException", "ValidationException", "UnrecognizedClientException", "ItemCollectionSizeLimitExceededException"],
)  # fmt: skip
def test_a_defect_of_ours_goes_through(call: str, code: str) -> None:
    """What time cannot mend is neither a conflict nor unavailability: it is told as it is."""
    with pytest.raises(ClientError, match=code):
        CALLS[call](answering(400, error(code)))


@pytest.mark.parametrize("call", CALLS)
def test_missing_credentials_go_through(call: str) -> None:
    """They are a defect of ours."""
    with pytest.raises(NoCredentialsError):
        CALLS[call](raising(NoCredentialsError()))


@pytest.mark.parametrize(
    "codes",
    [
        ("ConditionalCheckFailed", "None", "None"),
        ("None", "ConditionalCheckFailed", "ConditionalCheckFailed"),
        ("TransactionConflict", "None", "None"),
        ("None", "TransactionConflict", "None"),
        ("TransactionConflict", "ConditionalCheckFailed", "None"),
        ("ThrottlingError", "ConditionalCheckFailed", "None"),
        ("ProvisionedThroughputExceeded", "None", "TransactionConflict"),
    ],
)
def test_a_commit_that_met_a_rival_is_a_conflict(codes: tuple[str, ...]) -> None:
    """A failed condition, or a write under way; either counts before a throttle."""
    with pytest.raises(ConflictError):
        CALLS["commit"](answering(400, canceled(*codes)))


@pytest.mark.parametrize(
    "codes", [("ThrottlingError", "None", "None"), ("None", "ProvisionedThroughputExceeded", "ThrottlingError")]
)
@pytest.mark.parametrize("call", ["commit", "snapshot"])
def test_a_transaction_that_was_throttled_is_unavailable(call: str, codes: tuple[str, ...]) -> None:
    """Without a failed condition among its reasons."""
    with pytest.raises(UnavailableError):
        CALLS[call](answering(400, canceled(*codes)))


@pytest.mark.parametrize("body", [canceled("None", "TransactionConflict"), error("TransactionConflictException")])
def test_a_snapshot_in_the_midst_of_a_write_is_a_conflict(body: dict[str, Any]) -> None:
    """Cancelled by a write under way: decide again."""
    with pytest.raises(ConflictError) as conflict:
        CALLS["snapshot"](answering(400, body))
    assert conflict.value.records == {}


@pytest.mark.parametrize(
    "codes", [("ValidationError", "None", "None"), ("None", "ItemCollectionSizeLimitExceeded", "None")]
)
def test_a_transaction_that_can_never_be_written_goes_through(codes: tuple[str, ...]) -> None:
    """It is a defect of ours."""
    with pytest.raises(ClientError, match="TransactionCanceled"):
        CALLS["commit"](answering(400, canceled(*codes)))


def test_a_conflict_brings_the_records_that_failed_their_conditions() -> None:
    """Only those, each under its own key; the page, and records that were just locked, bring nothing."""
    work = {
        "pk": {"S": "x"},
        "sk": {"S": "work"},
        "kind": {"S": "order"},
        "work_id": {"S": "o1"},
        "store_id": {"S": "s1"},
    }
    work |= {"status": {"S": "ordered"}, "rev": {"N": "9"}}
    work |= {name: {"N": str(NOW_MS)} for name in ("created_at", "updated_at", "status_at")}
    body = canceled("ConditionalCheckFailed", "TransactionConflict", "ConditionalCheckFailed")
    body["CancellationReasons"][0]["Item"] = {"pk": {"S": "account#acme"}, "sk": {"S": "page#000000000001"}}
    body["CancellationReasons"][2]["Item"] = work
    with pytest.raises(ConflictError) as conflict:
        CALLS["commit"](answering(400, body))
    (key,) = conflict.value.records
    record = conflict.value.records[key]
    assert key == ("order", "o1")
    assert isinstance(record, Work)
    assert (record.status, record.rev) == ("ordered", 9)


def test_records_that_were_left_out_are_asked_for_again() -> None:
    """A batch may come in pieces; what is left is read with the next call."""
    asked: list[list[str]] = []

    def send(request: Any, **_: object) -> AWSResponse:
        keys = json.loads(request.body)["RequestItems"]["credits"]["Keys"]
        asked.append([key["pk"]["S"] for key in keys])
        name = keys[0]["pk"]["S"].rpartition("#")[2]
        item = {**keys[0], "key": {"S": name}, "fingerprint": {"S": "f"}, "version": {"N": "1"}, "count": {"N": "1"}}
        left = {"credits": {"Keys": keys[1:], "ConsistentRead": True}} if keys[1:] else {}
        body = {"Responses": {"credits": [item]}, "UnprocessedKeys": left}
        return response(200, body)

    found = DynamoStore(client_of("dynamodb", send), "credits").read(
        "acme", [("key", f"k{number}") for number in range(3)]
    )
    assert set(found) == {("key", "k0"), ("key", "k1"), ("key", "k2")}
    assert [len(names) for names in asked] == [3, 2, 1]


def test_a_table_that_reads_nothing_is_unavailable() -> None:
    """Never a loop without end."""
    keys = [{"pk": {"S": "account#acme#key#k1"}, "sk": {"S": "key"}}]
    body = {"Responses": {"credits": []}, "UnprocessedKeys": {"credits": {"Keys": keys}}}
    with pytest.raises(UnavailableError):
        CALLS["read"](answering(200, body))


def test_every_read_is_strongly_consistent() -> None:
    """Reads of pages and records ask for it; lists are hints and cannot."""
    sent: list[dict[str, Any]] = []
    store = recording(sent, {"Items": [], "Responses": {}, "UnprocessedKeys": {}})
    for call in ("head", "page", "pages_before", "read"):
        CALLS[call](store)
    asked = [request.get("RequestItems", {}).get("credits", request) for request in sent]
    assert [request["ConsistentRead"] for request in asked] == [True] * 4


def test_a_page_that_must_be_vacant_is_only_checked() -> None:
    """Records alone are written, on condition that there is no such page."""
    sent: list[dict[str, Any]] = []
    recording(sent, {}).commit("acme", None, [KEY], vacant=7)
    check, put = sent[0]["TransactItems"]
    assert check["ConditionCheck"]["Key"] == {"pk": {"S": "account#acme"}, "sk": {"S": "page#000000000007"}}
    assert check["ConditionCheck"]["ConditionExpression"] == "attribute_not_exists(pk)"
    assert put["Put"]["Item"]["pk"] == {"S": "account#acme#key#k1"}


@pytest.mark.parametrize("missing", ["hash", "prev"])
def test_a_page_without_its_hashes_is_broken(missing: str) -> None:
    """It cannot be checked, so it is not believed."""
    item = {"sk": {"S": "page#000000000001"}, "version": {"N": "1"}, "prev": {"B": "AA=="}, "hash": {"B": "AA=="}}
    del item[missing]
    with pytest.raises(BrokenInvariantError, match="without its hashes"):
        CALLS["page"](answering(200, {"Item": item}))


# ---------------------------------------------------------------- putting off


def putting_off(item: dict[str, Any], body: object, status: int = 200) -> tuple[DynamoStore, list[dict[str, Any]]]:
    """A store that reads this item, and whose update is answered so; and the updates that it was asked for."""
    updates: list[dict[str, Any]] = []

    def send(request: Any, **_: object) -> AWSResponse:
        asked = json.loads(request.body)
        if "UpdateExpression" not in asked:
            assert asked["ConsistentRead"] is True
            return response(200, {"Item": item} if item else {})
        updates.append(asked)
        return response(status, body)

    return DynamoStore(client_of("dynamodb", send), "credits"), updates


@pytest.mark.parametrize(("stored", "times"), [({}, 1), ({"put_off": {"N": "4"}}, 5)])
def test_what_is_put_off_is_moved_in_its_list_alone(stored: dict[str, Any], times: int) -> None:
    """Place and number are set, on condition that the list shows it where it was seen; the record is not touched."""
    store, updates = putting_off({"by_due_sk": {"S": LISTED.position}, **stored}, {})
    assert CALLS["put_off"](store) == times
    assert updates == [
        {
            "TableName": "credits",
            "Key": {"pk": {"S": "account#acme#order#o1"}, "sk": {"S": "work"}},
            "UpdateExpression": "SET by_due_sk = :later, put_off = :times",
            "ConditionExpression": "by_due_sk = :listed",
            "ExpressionAttributeValues": {
                ":later": {"S": f"{NOW_MS + times:014d}#acme#o1"},
                ":times": {"N": str(times)},
                ":listed": {"S": LISTED.position},
            },
        }
    ]


@pytest.mark.parametrize("code", ["ConditionalCheckFailedException", "TransactionConflictException"])
def test_what_has_changed_meanwhile_is_not_put_off(code: str) -> None:
    """Somebody wrote the record, or is writing it: its new place counts."""
    store, updates = putting_off({}, error(code), 400)
    assert CALLS["put_off"](store) == 0
    assert len(updates) == 1


def test_how_often_a_record_was_put_off_is_no_part_of_it() -> None:
    """It is not read with the record, so that the next write forgets it."""
    item = {"pk": {"S": "account#acme#key#k1"}, "sk": {"S": "key"}, "put_off": {"N": "3"}}
    item |= {"key": {"S": "k1"}, "fingerprint": {"S": "f"}, "version": {"N": "1"}, "count": {"N": "1"}}
    body = {"Responses": {"credits": [item]}, "UnprocessedKeys": {}}
    assert CALLS["read"](answering(200, body)) == {KEY.key: KEY.record}


# ---------------------------------------------------------------- what an item is


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_of_record_is_known_by_its_key(kind: str) -> None:
    """Whose it is, and which; also where its id is made of two."""
    owner = NO_ACCOUNT if kind in GLOBAL_KINDS else "acme"
    for name in ("x", "stripe#pi_1"):
        assert place_of(record_key("acme", (kind, name))) == Place(owner, key=(kind, name))


def test_a_page_is_known_by_its_key() -> None:
    """Its account and number."""
    assert place_of(page_key("acme", 12)) == Place("acme", version=12)


@pytest.mark.parametrize(
    ("pk", "sk"),
    [
        ("account#acme", "note"),
        ("account#acme#usage", "day"),
        ("account#acme#usage#more", "day#2026-11-24"),
        ("account#acme#order#o1", "order"),
        ("account#acme#coupon#C", "coupon"),
        ("order#o1", "work"),
        ("account", "page#000000000001"),
    ],
)
def test_an_item_of_no_known_kind_is_nothing(pk: str, sk: str) -> None:
    """What another release may write, or nobody does."""
    assert place_of({"pk": {"S": pk}, "sk": {"S": sk}}) is None


PLAIN_VALUES = {
    "version": 7,
    "B": "a name that is also a type",
    "S": {"S": "likewise", "B": b"\x00\xff"},
    "entries": [{"kind": "granted", "posted": -5}, None, True, [b"ab"]],
    "prev": b"\x01" * 32,
}


def as_json(value: object) -> object:
    """A value in DynamoDB's form, with bytes as they go over the wire."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {name: as_json(one) for name, one in value.items()}
    return [as_json(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("parsed_by", ["us", "the SDK"])
def test_a_query_is_read_alike_whoever_parses_it(parsed_by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that are also types, and bytes at any depth, mislead neither."""
    item = {name: TypeSerializer().serialize(value) for name, value in PLAIN_VALUES.items()}
    item |= {name: {"S": text} for name, text in {"pk": "account#acme", "sk": "page#000000000007"}.items()}
    item["hash"] = {"B": b"\x02" * 32}
    if parsed_by == "the SDK":
        monkeypatch.setattr(wire, "parsing_queries", lambda client: client)
    [found] = answering(200, {"Items": [as_json(item)], "Count": 1, "ScannedCount": 1}).pages_after("acme", 6, 1)
    assert found.stored == {**PLAIN_VALUES, "prev": "01" * 32}
    assert (found.version, found.hash) == (7, "02" * 32)


def test_a_query_has_what_else_the_answer_says() -> None:
    """Its count, its cursor, and what the SDK says of the call."""
    body = {"Items": [], "Count": 0, "ScannedCount": 9, "LastEvaluatedKey": {"pk": {"S": "a"}}}
    told = wire.answering("dynamodb", 200, body).query(TableName="credits")
    assert told.pop("ResponseMetadata")["HTTPStatusCode"] == 200
    assert told == body


@pytest.mark.parametrize("body", [b"{", b"{}", b'{"Items": ['])
def test_an_answer_without_items_is_left_to_the_sdk(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """It makes of it what it always does."""
    ours = wire.answering("dynamodb", 200, body).query(TableName="credits")
    monkeypatch.setattr(wire, "parsing_queries", lambda client: client)
    assert ours == wire.answering("dynamodb", 200, body).query(TableName="credits")
