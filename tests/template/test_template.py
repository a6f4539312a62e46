"""The template says what the contract promises: who may call what, and what each function may touch."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from autocredits.ledger.auditing import RESERVE_S
from tests.kit.template import ROOT, Template, scopes_of
from tests.kit.template import template as read_template

READ, CONSUME, ADMIN = "credits:read", "credits:consume", "credits:admin"
PURCHASE = "credits:purchase"
ACCOUNT = "/v1/accounts/{account_id}"

# Every route, its function and the scope that a caller needs.
ROUTES = {
    ("PUT", ACCOUNT): ("Account", ADMIN),
    ("PATCH", ACCOUNT): ("Account", ADMIN),
    ("POST", f"{ACCOUNT}/adjustments"): ("Account", ADMIN),
    ("PUT", f"{ACCOUNT}/settings"): ("Account", ADMIN),
    ("GET", f"{ACCOUNT}/settings"): ("Account", READ),
    ("GET", f"{ACCOUNT}/balance"): ("Balance", READ),
    ("GET", f"{ACCOUNT}/entries"): ("Balance", READ),
    ("GET", f"{ACCOUNT}/usage"): ("Balance", READ),
    ("GET", f"{ACCOUNT}/journal"): ("Balance", READ),
    ("GET", "/v1/rates"): ("Consume", READ),
    ("POST", f"{ACCOUNT}/quotes"): ("Consume", READ),
    ("POST", f"{ACCOUNT}/debits"): ("Consume", CONSUME),
    ("POST", f"{ACCOUNT}/holds"): ("Consume", CONSUME),
    ("GET", f"{ACCOUNT}/holds/{{hold_id}}"): ("Consume", READ),
    ("POST", f"{ACCOUNT}/holds/{{hold_id}}/capture"): ("Consume", CONSUME),
    ("POST", f"{ACCOUNT}/holds/{{hold_id}}/release"): ("Consume", CONSUME),
    ("POST", f"{ACCOUNT}/orders"): ("Consume", CONSUME),
    ("GET", f"{ACCOUNT}/orders"): ("Consume", READ),
    ("POST", f"{ACCOUNT}/orders/resend"): ("Consume", CONSUME),
    ("POST", f"{ACCOUNT}/orders/{{order_id}}/resend"): ("Consume", CONSUME),
    ("GET", f"{ACCOUNT}/orders/{{order_id}}"): ("Consume", READ),
    ("GET", f"{ACCOUNT}/sourcing/{{product_id}}"): ("Consume", READ),
    ("GET", "/v1/packages"): ("Purchase", READ),
    ("POST", "/v1/coupons"): ("Purchase", ADMIN),
    ("GET", "/v1/coupons/{code}"): ("Purchase", ADMIN),
    ("DELETE", "/v1/coupons/{code}"): ("Purchase", ADMIN),
    ("POST", f"{ACCOUNT}/coupons/check"): ("Purchase", READ),
    ("POST", f"{ACCOUNT}/purchases"): ("Purchase", PURCHASE),
    ("GET", f"{ACCOUNT}/purchases"): ("Purchase", READ),
    ("GET", f"{ACCOUNT}/purchases/{{purchase_id}}"): ("Purchase", READ),
    ("POST", f"{ACCOUNT}/purchases/{{purchase_id}}/checkout"): ("Purchase", PURCHASE),
    ("POST", f"{ACCOUNT}/purchases/{{purchase_id}}/cancel"): ("Purchase", PURCHASE),
    ("POST", f"{ACCOUNT}/purchases/{{purchase_id}}/review"): ("Purchase", ADMIN),
}

LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}
READS = {"dynamodb:Query", "dynamodb:GetItem"}
COMMITS = READS | {"dynamodb:PutItem"}
WORKS = COMMITS | {"dynamodb:BatchGetItem"}
TAKES = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ChangeMessageVisibility"}

# The secrets of the providers, by the condition that there is one; just these three functions may read them.
SECRET_ARN = "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:${%s}-??????"
PROVIDERS = {f"Takes{name}": f"{name}SecretName" for name in ("Stripe", "PayPal", "Payoneer", "Sandbox")}
SECRET_ARNS = {condition: SECRET_ARN % parameter for condition, parameter in PROVIDERS.items()}
SECRETS = {arn: {"secretsmanager:GetSecretValue"} for arn in SECRET_ARNS.values()}
SECRETS_POLICY = {"Fn::If": ["TakesPayments", [{"Ref": "PaymentSecrets"}], {"Ref": "AWS::NoValue"}]}

# What each function may do, by the resource it may do it to.
GRANTS = {
    "Account": {"AccountLogs": LOGS, "CreditsTable": COMMITS},
    "Balance": {"BalanceLogs": LOGS, "CreditsTable": READS | {"dynamodb:BatchGetItem"}},
    "Consume": {
        "ConsumeLogs": LOGS,
        "CreditsTable": WORKS,
        "CreditsTable/index/by_creation": {"dynamodb:Query"},
        "CreditsTable/index/by_status": {"dynamodb:Query"},
        "OrdersQueue": {"sqs:SendMessage"},
    },
    "ConsumeWorker": {
        "ConsumeWorkerLogs": LOGS,
        "CreditsTable": WORKS,
        "OrdersQueue": TAKES,
        "DeadLetterQueue": {"sqs:SendMessage"},
    },
    "Purchase": {
        "PurchaseLogs": LOGS,
        "CreditsTable": WORKS | {"dynamodb:ConditionCheckItem"},
        "CreditsTable/index/by_creation": {"dynamodb:Query"},
    }
    | SECRETS,
    "PurchaseWebhooks": {"PurchaseWebhooksLogs": LOGS, "CreditsTable": WORKS} | SECRETS,
    "PurchasePoll": {
        "PurchasePollLogs": LOGS,
        "CreditsTable": WORKS,
        "CreditsTable/index/by_due": {"dynamodb:Query"},
    }
    | SECRETS,
    "Publish": {
        "PublishLogs": LOGS,
        "CreditsTable.StreamArn": {"dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"},
        "*": {"dynamodb:ListStreams"},
        "CreditsBus": {"events:PutEvents"},
        "RepublishQueue": {"sqs:SendMessage"},
        "LostBatchesQueue": {"sqs:SendMessage"},
    },
    "Republish": {
        "RepublishLogs": LOGS,
        "CreditsTable": {"dynamodb:GetItem"},
        "CreditsBus": {"events:PutEvents"},
        "RepublishQueue": TAKES,
        "RepublishDeadLetterQueue": {"sqs:SendMessage"},
    },
    "Audit": {
        "AuditLogs": LOGS,
        "CreditsTable.StreamArn": {"dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"},
        "*": {"dynamodb:ListStreams"},
        "CreditsTable": WORKS | {"dynamodb:ConditionCheckItem"},
        "LostBatchesQueue": {"sqs:SendMessage"},
    },
    "Sweep": {
        "SweepLogs": LOGS,
        "CreditsTable": WORKS | {"dynamodb:UpdateItem", "dynamodb:Scan"},
        "CreditsTable/index/by_due": {"dynamodb:Query"},
        "OrdersQueue": {"sqs:SendMessage"},
    },
}


@pytest.fixture(scope="module")
def template() -> Template:
    """The template, its loops written out."""
    return read_template()


def properties(template: Template, logical_id: str) -> dict[str, Any]:
    """The properties of one resource."""
    found: dict[str, Any] = template["Resources"][logical_id]["Properties"]
    return found


def functions(template: Template) -> dict[str, dict[str, Any]]:
    """The functions' properties, by their name without `Function`."""
    return {
        logical_id.removesuffix("Function"): resource["Properties"]
        for logical_id, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    }


def http_events(template: Template) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each event of the API with the function that answers it."""
    for name, function in functions(template).items():
        for event in function["Events"].values():
            if event["Type"] == "HttpApi":
                yield name, event["Properties"]


def test_every_route_has_its_function_and_its_scope(template: Template) -> None:
    """The routes of the contract, no more and no fewer, each with exactly one scope."""
    found = {
        (event["Method"], event["Path"]): (name, *scopes_of(event))
        for name, event in http_events(template)
        if scopes_of(event)
    }
    assert found == ROUTES


def test_only_health_is_open(template: Template) -> None:
    """Nothing but the health check and the providers' webhooks, which are signed, does without a token."""
    found = [event["Path"] for _, event in http_events(template) if event.get("Auth", {}).get("Authorizer") == "NONE"]
    assert found == ["/v1/health", "/v1/payments/{provider}/webhook"]


def test_every_other_path_needs_a_token(template: Template) -> None:
    """The `$default` route is there once, and takes the default authorizer as it is."""
    found = [(name, event) for name, event in http_events(template) if "Path" not in event]
    assert found == [("Balance", {"ApiId": {"Ref": "CreditsApi"}})]


def test_tokens_are_checked_against_the_parameters(template: Template) -> None:
    """The default authorizer believes the issuer and the audiences that the stack was given."""
    auth = properties(template, "CreditsApi")["Auth"]
    assert auth["Authorizers"][auth["DefaultAuthorizer"]] == {
        "IdentitySource": "$request.header.Authorization",
        "JwtConfiguration": {"issuer": {"Ref": "JwtIssuer"}, "audience": {"Ref": "JwtAudience"}},
    }
    assert template["Parameters"]["JwtAudience"]["Type"] == "CommaDelimitedList"


# What a parameter takes and what it refuses. A list's pattern is asked about each member, without the blanks around it.
TAKEN = [
    ("JwtIssuer", "https://id.example.com"),
    ("JwtIssuer", "https://tenant.eu.auth0.com/"),
    ("JwtIssuer", "https://id.example.com:8443/realms/shop"),
    ("JwtIssuer", "http://127.0.0.1:4567"),
    ("JwtIssuer", "http://localhost:8080/realms/shop"),
    ("JwtAudience", "autocredits"),
    ("JwtAudience", "https://credits.example.com/"),
    ("ScopePrefix", ""),
    ("ScopePrefix", "autocredits/"),
    ("ScopePrefix", "https://credits.example.com/"),
    ("ScopePrefix", "shop."),
    ("ReturnOrigins", ""),
    ("ReturnOrigins", "https://shop.example.com"),
    ("ReturnOrigins", " https://shop.example.com/ , https://shop.example.com:8443,"),
    ("StripeSecretName", ""),
    ("StripeSecretName", "autocredits/stripe"),
    ("PayPalSecretName", "autocredits/paypal"),
    ("PayoneerSecretName", "autocredits/payoneer"),
    ("PayoneerCountry", "DE"),
    ("WebhooksUrl", ""),
    ("WebhooksUrl", "https://api.example.com"),
    ("WebhooksUrl", "http://127.0.0.1:4566/_aws/execute-api/autocredits"),
    ("QueueSenders", ""),
    ("QueueSenders", "123456789012"),
    ("QueueSenders", "arn:aws:iam::123456789012:root"),
    ("QueueSenders", "arn:aws-us-gov:iam::123456789012:role/engines/Placing_1@shop"),
    ("QueueSenders", "arn:aws:iam::123456789012:user/engine"),
]
REFUSED = [
    ("QueueSenders", "*"),
    ("QueueSenders", "12345678901"),
    ("QueueSenders", "engine"),
    ("QueueSenders", "arn:aws:iam::123456789012:role/*"),
    ("QueueSenders", "arn:aws:iam::*:root"),
    ("QueueSenders", "arn:aws:sqs:us-east-1:123456789012:orders"),
    ("QueueSenders", "sqs.amazonaws.com"),
    ("JwtIssuer", ""),
    ("JwtIssuer", "id.example.com"),
    ("JwtIssuer", "http://id.example.com"),
    ("JwtIssuer", "http://127.0.0.1.example.com"),
    ("JwtIssuer", "https://login.example.com/v2.0?appid=1"),
    ("JwtIssuer", "https://id.example.com https://id.example.org"),
    ("JwtAudience", ""),
    ("JwtAudience", "two audiences"),
    ("ScopePrefix", "autocredits"),
    ("ScopePrefix", "auto credits/"),
    ("ReturnOrigins", "shop.example.com"),
    ("ReturnOrigins", "http://shop.example.com"),
    ("ReturnOrigins", "https://shop.example.com/thanks"),
    ("ReturnOrigins", "https://Shop.example.com"),
    ("ReturnOrigins", "https://shop.example.com https://shop.example.org"),
    ("ReturnOrigins", "*"),
    ("StripeSecretName", "arn:aws:secretsmanager:us-east-1:123456789012:secret:autocredits/stripe-AbCdEf"),
    ("PayPalSecretName", "arn:aws:secretsmanager:us-east-1:123456789012:secret:autocredits/paypal-AbCdEf"),
    ("PayoneerSecretName", "arn:aws:secretsmanager:us-east-1:123456789012:secret:autocredits/payoneer-AbCdEf"),
    ("PayoneerCountry", "de"),
    ("PayoneerCountry", "DEU"),
    ("WebhooksUrl", "api.example.com"),
    ("WebhooksUrl", "https://api.example.com/?a=b"),
]


def matches(parameter: dict[str, Any], value: str) -> bool:
    """Whether a value, or a member of a list, has the form that a parameter demands: all of it, as AWS asks."""
    return re.fullmatch(parameter["AllowedPattern"], value) is not None


@pytest.mark.parametrize(("name", "value"), TAKEN)
def test_a_good_parameter_is_taken(template: Template, name: str, value: str) -> None:
    """A pattern lets everything through that the service and its gateway can use."""
    assert matches(template["Parameters"][name], value)


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_a_wrong_parameter_is_refused_before_anything_is_deployed(template: Template, name: str, value: str) -> None:
    """CloudFormation says in words what is wrong with it."""
    parameter = template["Parameters"][name]
    assert not matches(parameter, value)
    assert parameter["ConstraintDescription"].startswith("must ")


def test_a_stack_without_a_prefix_asks_for_plain_scopes(template: Template) -> None:
    """Only providers that put something before every scope need the parameter."""
    assert template["Parameters"]["ScopePrefix"]["Default"] == ""


def of_type(template: Template, kind: str) -> dict[str, dict[str, Any]]:
    """The resources of one type, by their logical ids."""
    return {logical_id: one for logical_id, one in template["Resources"].items() if one["Type"] == kind}


def always(resource: dict[str, Any]) -> dict[str, Any]:
    """A resource that may depend on a condition, as it is when the condition holds; else there is none."""
    if "Fn::If" not in resource:
        return resource
    _, then, otherwise = resource["Fn::If"]
    assert otherwise == {"Ref": "AWS::NoValue"}
    granted: dict[str, Any] = then
    return granted


def as_list(resource: Any) -> list[Any]:
    """The resources of a statement."""
    return resource if isinstance(resource, list) else [resource]


def documents(template: Template, role: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The policies of a role: its own, and the one that it may share."""
    for policy in role["Policies"]:
        yield policy["PolicyDocument"]
    if "ManagedPolicyArns" in role:
        assert role["ManagedPolicyArns"] == SECRETS_POLICY
        yield properties(template, "PaymentSecrets")["PolicyDocument"]


def resource_name(resource: Any) -> str:
    """The logical id that a resource's ARN names, with the path below it: nothing else may stand there.

    Streams can be listed of all tables alone, so that is the one action which names no resource.
    """
    if resource == "*":
        return "*"
    if str(resource.get("Fn::Sub", "")).startswith("arn:"):
        return str(resource["Fn::Sub"])
    if "Fn::Sub" in resource:
        logical_id, _, path = str(resource["Fn::Sub"]).removeprefix("${").partition(".Arn}")
        return logical_id + path
    logical_id, attribute = resource["Fn::GetAtt"]
    assert attribute in ("Arn", "StreamArn")
    return str(logical_id) if attribute == "Arn" else f"{logical_id}.{attribute}"


@pytest.mark.parametrize("name", GRANTS)
def test_a_function_may_do_just_what_it_does(template: Template, name: str) -> None:
    """Each role allows its actions on its resources, named one by one."""
    role = properties(template, f"{name}Role")
    statements = [statement for document in documents(template, role) for statement in document["Statement"]]
    assert all(statement["Effect"] == "Allow" for statement in statements)
    assert all(set(statement) == {"Effect", "Action", "Resource"} for statement in statements)
    grants = {
        resource_name(always(resource)): set(statement["Action"])
        for statement in statements
        for resource in as_list(statement["Resource"])
    }
    assert grants == GRANTS[name]
    assert not any("*" in action for actions in grants.values() for action in actions)


def test_only_purchases_may_read_the_secrets(template: Template) -> None:
    """One policy for all providers' secrets, each by its own condition, and three roles that carry it if there is any."""
    carriers = {
        name for name, role in of_type(template, "AWS::IAM::Role").items() if "ManagedPolicyArns" in role["Properties"]
    }
    assert carriers == {"PurchaseRole", "PurchaseWebhooksRole", "PurchasePollRole"}
    [(name, policy)] = of_type(template, "AWS::IAM::ManagedPolicy").items()
    assert (name, policy["Condition"], set(policy["Properties"])) == (
        "PaymentSecrets",
        "TakesPayments",
        {"PolicyDocument"},
    )
    [statement] = policy["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Resource"] == [
        {"Fn::If": [condition, {"Fn::Sub": arn}, {"Ref": "AWS::NoValue"}]} for condition, arn in SECRET_ARNS.items()
    ]
    conditions = template["Conditions"]
    assert conditions["TakesPayments"] == {"Fn::Or": [{"Condition": condition} for condition in PROVIDERS]}
    for condition, parameter in PROVIDERS.items():
        assert conditions[condition] == {"Fn::Not": [{"Fn::Equals": [{"Ref": parameter}, ""]}]}


def test_every_function_has_a_role_and_a_log_of_its_own(template: Template) -> None:
    """No function borrows another's rights, gets ready-made ones, or logs without end."""
    assert set(functions(template)) == set(GRANTS)
    for name, function in functions(template).items():
        assert "Policies" not in function
        assert function["Role"] == {"Fn::GetAtt": [f"{name}Role", "Arn"]}
        assert function["LoggingConfig"] == {"LogGroup": {"Ref": f"{name}Logs"}}
        logs = template["Resources"][f"{name}Logs"]
        assert logs["Type"] == "AWS::Logs::LogGroup"
        assert logs["DeletionPolicy"] == logs["UpdateReplacePolicy"] == "Delete"
        assert logs["Properties"]["RetentionInDays"] > 0
    assert len(of_type(template, "AWS::IAM::Role")) == len(of_type(template, "AWS::Logs::LogGroup")) == len(GRANTS)


@pytest.mark.parametrize("name", GRANTS)
def test_every_function_has_an_alarm_for_its_errors(template: Template, name: str) -> None:
    """One error within a minute is enough, for a function turns what it expects into an answer."""
    alarm = template["Resources"][f"{name}Errors"]
    assert alarm["Type"] == "AWS::CloudWatch::Alarm"
    assert alarm["Properties"] == {
        "AlarmDescription": f"{name}Function raised an error that it should have turned into an answer",
        "Namespace": "AWS/Lambda",
        "MetricName": "Errors",
        "Dimensions": [{"Name": "FunctionName", "Value": {"Ref": f"{name}Function"}}],
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 0,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
    }


# The metrics of the service that ring, and above which count in which time.
RINGS = {
    "BrokenInvariant": (0, 60),
    "PaymentPutAside": (0, 60),
    "UnusableSecret": (0, 60),
    "PollFailed": (2, 3600),
    "SweepStuck": (0, 60),
    "AuditFinding": (0, 60),
    "AuditFailed": (0, 60),
}
# These are counted to be looked at: a payment that is not ours, a coupon used beyond its limit, and what is tried again
# by itself: a page on its way to the republish queue, an item that the sweep has put off.
QUIET = {"ForeignPayment", "CouponUsedAfterAll", "PageNotPublished", "SweepFailed"}

# These two ring together: pages were written, and none was checked.
COMPARED = {"PagesWritten", "PagesChecked"}


def test_every_metric_rings_or_is_known_not_to(template: Template) -> None:
    """What the code counts has an alarm of its own, unless nobody has to come for it."""
    files = [path for folder in ("layers", "functions") for path in (ROOT / folder).rglob("*.py")]
    counted = {name for path in files for name in re.findall(r'\bcount\("(\w+)"', path.read_text("utf-8"))}
    assert counted == RINGS.keys() | QUIET | COMPARED
    alarms = [one["Properties"] for one in of_type(template, "AWS::CloudWatch::Alarm").values()]
    ours = [alarm for alarm in alarms if alarm.get("Namespace") == "autocredits"]
    assert {alarm["MetricName"]: (alarm["Threshold"], alarm["Period"]) for alarm in ours} == RINGS
    for alarm in ours:
        assert alarm["Dimensions"] == [{"Name": "service", "Value": "autocredits"}]
        assert (alarm["Statistic"], alarm["ComparisonOperator"]) == ("Sum", "GreaterThanThreshold")
        assert (alarm["EvaluationPeriods"], alarm["TreatMissingData"]) == (1, "notBreaching")


def test_functions_run_as_deployed(template: Template) -> None:
    """HTTP functions have nearly as long as API Gateway waits; SAM's own default is 3 seconds."""
    common = template["Globals"]["Function"]
    assert common["Runtime"] == "python3.13"
    assert common["Timeout"] == 29
    assert {name for name, function in functions(template).items() if "Timeout" in function} == {
        "ConsumeWorker",
        "PurchasePoll",
        "Publish",
        "Republish",
        "Audit",
        "Sweep",
    }


def test_lists_have_sparse_indexes_of_keys_alone(template: Template) -> None:
    """An index is a hint: it holds nothing but keys, so that what is shown comes from the records."""
    indexes = properties(template, "CreditsTable")["GlobalSecondaryIndexes"]
    assert [index["IndexName"] for index in indexes] == ["by_creation", "by_status", "by_due"]
    assert all(index["Projection"] == {"ProjectionType": "KEYS_ONLY"} for index in indexes)


def test_the_table_keeps_what_it_holds(template: Template) -> None:
    """On demand, restorable to any moment, and neither deleted nor dropped with its stack."""
    resource = template["Resources"]["CreditsTable"]
    table = resource["Properties"]
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert [(key["AttributeName"], key["KeyType"]) for key in table["KeySchema"]] == [("pk", "HASH"), ("sk", "RANGE")]
    assert {key["AttributeType"] for key in table["AttributeDefinitions"]} == {"S"}
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["DeletionProtectionEnabled"] == {"Fn::If": ["Protected", True, False]}
    assert resource["DeletionPolicy"] == {"Fn::If": ["Protected", "Retain", "Delete"]}
    assert resource["UpdateReplacePolicy"] == resource["DeletionPolicy"]
    assert "LocalSecondaryIndexes" not in table
    assert template["Conditions"]["Protected"] == {"Fn::Equals": [{"Ref": "Protection"}, "on"]}
    assert template["Parameters"]["Protection"]["Default"] == "on"


def test_a_message_is_lost_nowhere(template: Template) -> None:
    """The queue outwaits its worker and keeps what it cannot deliver; the worker judges long before the queue does."""
    queue = properties(template, "OrdersQueue")
    worker = functions(template)["ConsumeWorker"]
    assert queue["VisibilityTimeout"] >= 6 * worker["Timeout"]
    assert queue["RedrivePolicy"] == {
        "deadLetterTargetArn": {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]},
        "maxReceiveCount": 1000,
    }
    assert queue["MessageRetentionPeriod"] == 14 * 24 * 60 * 60
    assert properties(template, "DeadLetterQueue")["MessageRetentionPeriod"] == 14 * 24 * 60 * 60
    assert queue["SqsManagedSseEnabled"] is properties(template, "DeadLetterQueue")["SqsManagedSseEnabled"] is True


def test_the_queues_take_messages_over_tls_alone(template: Template) -> None:
    """Both; and from nobody else's account but those that the parameter names, to the orders queue alone."""
    policy = properties(template, "OrdersQueuePolicy")
    assert policy["Queues"] == [{"Ref": "OrdersQueue"}, {"Ref": "DeadLetterQueue"}]
    tls, senders = policy["PolicyDocument"]["Statement"]
    assert (tls["Effect"], tls["Principal"], tls["Action"]) == ("Deny", "*", "sqs:*")
    assert tls["Resource"] == [{"Fn::GetAtt": ["OrdersQueue", "Arn"]}, {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}]
    assert tls["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    condition, allowed, nobody = senders["Fn::If"]
    assert (condition, nobody) == ("TakesSenders", {"Ref": "AWS::NoValue"})
    assert allowed["Principal"] == {"AWS": {"Ref": "QueueSenders"}}
    assert (allowed["Effect"], allowed["Action"]) == ("Allow", "sqs:SendMessage")
    assert allowed["Resource"] == {"Fn::GetAtt": ["OrdersQueue", "Arn"]}
    named = {"Fn::Not": [{"Fn::Equals": [{"Fn::Join": ["", {"Ref": "QueueSenders"}]}, ""]}]}
    assert template["Conditions"]["TakesSenders"] == named
    senders = template["Parameters"]["QueueSenders"]
    assert (senders["Type"], senders["Default"]) == ("CommaDelimitedList", "")


def queue_alarm(queue: str) -> dict[str, Any]:
    """What an alarm listens to that rings as soon as there is a message on a queue."""
    return {
        "Namespace": "AWS/SQS",
        "MetricName": "ApproximateNumberOfMessagesVisible",
        "Dimensions": [{"Name": "QueueName", "Value": {"Fn::GetAtt": [queue, "QueueName"]}}],
        "Statistic": "Maximum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 0,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
    }


def test_every_new_page_is_streamed_to_the_publisher(template: Template) -> None:
    """Pages alone, whole, from the first one on, and at most ten at a time: a full one can be ten calls of the bus."""
    assert properties(template, "CreditsTable")["StreamSpecification"] == {"StreamViewType": "NEW_IMAGE"}
    [source] = functions(template)["Publish"]["Events"].values()
    assert (source["Type"], source["Properties"]["Stream"]) == (
        "DynamoDB",
        {"Fn::GetAtt": ["CreditsTable", "StreamArn"]},
    )
    assert source["Properties"]["StartingPosition"] == "TRIM_HORIZON"
    assert source["Properties"]["BatchSize"] == 10
    assert "MaximumBatchingWindowInSeconds" not in source["Properties"]
    [pattern] = source["Properties"]["FilterCriteria"]["Filters"]
    assert json.loads(pattern["Pattern"]) == {
        "eventName": ["INSERT"],
        "dynamodb": {"Keys": {"sk": {"S": [{"prefix": "page#"}]}}},
    }


def test_a_batch_that_breaks_the_publisher_blocks_no_shard(template: Template) -> None:
    """It is halved and tried ten times; then Lambda says which records it gave up, and an alarm rings."""
    [source] = functions(template)["Publish"]["Events"].values()
    assert source["Properties"]["BisectBatchOnFunctionError"] is True
    assert source["Properties"]["MaximumRetryAttempts"] == 10
    assert source["Properties"]["DestinationConfig"] == {
        "OnFailure": {"Type": "SQS", "Destination": {"Fn::GetAtt": ["LostBatchesQueue", "Arn"]}}
    }
    assert properties(template, "LostBatchesQueue")["MessageRetentionPeriod"] == 14 * 24 * 60 * 60
    alarm = dict(properties(template, "LostBatches"))
    assert alarm.pop("AlarmDescription")
    assert alarm == queue_alarm("LostBatchesQueue")


def test_every_change_of_a_page_is_streamed_to_the_audit(template: Template) -> None:
    """New pages from the first one on, and also those that are changed or removed; nothing but pages."""
    [source] = functions(template)["Audit"]["Events"].values()
    assert (source["Type"], source["Properties"]["Stream"]) == (
        "DynamoDB",
        {"Fn::GetAtt": ["CreditsTable", "StreamArn"]},
    )
    assert source["Properties"]["StartingPosition"] == "TRIM_HORIZON"
    [pattern] = source["Properties"]["FilterCriteria"]["Filters"]
    assert json.loads(pattern["Pattern"]) == {"dynamodb": {"Keys": {"sk": {"S": [{"prefix": "page#"}]}}}}


def test_a_batch_that_breaks_the_audit_blocks_no_shard(template: Template) -> None:
    """It is halved and tried ten times; then Lambda says which records it gave up."""
    [source] = functions(template)["Audit"]["Events"].values()
    assert source["Properties"]["BisectBatchOnFunctionError"] is True
    assert source["Properties"]["MaximumRetryAttempts"] == 10
    assert source["Properties"]["DestinationConfig"] == {
        "OnFailure": {"Type": "SQS", "Destination": {"Fn::GetAtt": ["LostBatchesQueue", "Arn"]}}
    }


def test_the_audit_has_time_for_a_run(template: Template) -> None:
    """A batch of 100 accounts; what it does not reach, it says itself before it is stopped."""
    audit = functions(template)["Audit"]
    [source] = audit["Events"].values()
    assert (audit["Timeout"], source["Properties"]["BatchSize"]) == (60, 100)
    assert audit["Timeout"] > 2 * RESERVE_S


def test_no_stream_has_more_than_two_readers(template: Template) -> None:
    """A stream of DynamoDB bears no third one: it takes the bus."""
    readers = [
        name
        for name, function in functions(template).items()
        for source in function["Events"].values()
        if source["Type"] == "DynamoDB"
    ]
    assert readers == ["Publish", "Audit"]


def test_pages_that_nobody_checks_ring(template: Template) -> None:
    """When pages were written for an hour and none was checked; a quiet hour rings nothing."""
    alarm = properties(template, "NothingAudited")
    compared, *metrics = alarm["Metrics"]
    assert compared == {
        "Id": "unchecked",
        "Expression": "IF(FILL(written, 0) > 0 AND FILL(checked, 0) == 0, 1, 0)",
    }
    found = {
        one["Id"]: (one["ReturnData"], one["MetricStat"]["Metric"]["MetricName"], one["MetricStat"]["Period"])
        for one in metrics
    }
    assert found == {"written": (False, "PagesWritten", 1800), "checked": (False, "PagesChecked", 1800)}
    for one in metrics:
        assert one["MetricStat"]["Stat"] == "Sum"
        assert one["MetricStat"]["Metric"]["Namespace"] == "autocredits"
        assert one["MetricStat"]["Metric"]["Dimensions"] == [{"Name": "service", "Value": "autocredits"}]
    assert {one["MetricStat"]["Metric"]["MetricName"] for one in metrics} == COMPARED
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("GreaterThanThreshold", 0)
    assert (alarm["EvaluationPeriods"], alarm["TreatMissingData"]) == (2, "notBreaching")


def test_events_that_come_late_ring(template: Template) -> None:
    """Once the stream is read more than five minutes late."""
    alarm = properties(template, "LateEvents")
    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/Lambda", "IteratorAge")
    assert alarm["Dimensions"] == [{"Name": "FunctionName", "Value": {"Ref": "PublishFunction"}}]
    assert (alarm["Statistic"], alarm["Threshold"], alarm["Period"]) == ("Maximum", 5 * 60 * 1000, 60)
    assert (alarm["ComparisonOperator"], alarm["EvaluationPeriods"]) == ("GreaterThanThreshold", 1)


def test_a_page_that_was_not_published_is_lost_nowhere(template: Template) -> None:
    """Its queue outwaits its function, which answers page by page and judges long before the queue does."""
    queue = properties(template, "RepublishQueue")
    function = functions(template)["Republish"]
    [source] = function["Events"].values()
    assert (source["Type"], source["Properties"]["Queue"]) == ("SQS", {"Fn::GetAtt": ["RepublishQueue", "Arn"]})
    assert source["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert queue["VisibilityTimeout"] >= 6 * function["Timeout"]
    assert queue["RedrivePolicy"] == {
        "deadLetterTargetArn": {"Fn::GetAtt": ["RepublishDeadLetterQueue", "Arn"]},
        "maxReceiveCount": 1000,
    }
    alarm = dict(properties(template, "UnpublishedPages"))
    assert alarm.pop("AlarmDescription")
    assert alarm == queue_alarm("RepublishDeadLetterQueue")


def test_the_publishers_queues_are_closed_and_kept(template: Template) -> None:
    """All three keep what they hold for 14 days, encrypted, and speak TLS alone; nobody outside may send."""
    queues = ["RepublishQueue", "RepublishDeadLetterQueue", "LostBatchesQueue"]
    for name in queues:
        queue = properties(template, name)
        assert (queue["MessageRetentionPeriod"], queue["SqsManagedSseEnabled"]) == (14 * 24 * 60 * 60, True)
    policy = properties(template, "PublishingQueuesPolicy")
    assert policy["Queues"] == [{"Ref": name} for name in queues]
    [tls] = policy["PolicyDocument"]["Statement"]
    assert (tls["Effect"], tls["Principal"], tls["Action"]) == ("Deny", "*", "sqs:*")
    assert tls["Resource"] == [{"Fn::GetAtt": [name, "Arn"]} for name in queues]
    assert tls["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


@pytest.mark.parametrize("name", ["Publish", "Republish"])
def test_who_publishes_knows_bus_and_queues(template: Template, name: str) -> None:
    """And each of them by the variable that the code reads."""
    assert (
        functions(template)[name]["Environment"]["Variables"].items()
        >= {
            "BUS_NAME": {"Ref": "CreditsBus"},
            "REPUBLISH_QUEUE_URL": {"Ref": "RepublishQueue"},
            "REPUBLISH_DEAD_LETTER_QUEUE_URL": {"Ref": "RepublishDeadLetterQueue"},
        }.items()
    )


def test_the_sweep_comes_every_minute(template: Template) -> None:
    """It sends to the orders queue what was lost."""
    sweep = functions(template)["Sweep"]
    [source] = sweep["Events"].values()
    assert (source["Type"], source["Properties"]["Schedule"]) == ("Schedule", "rate(1 minute)")
    assert sweep["Timeout"] <= 60
    assert sweep["Environment"]["Variables"]["ORDERS_QUEUE_URL"] == {"Ref": "OrdersQueue"}


def test_the_size_of_a_batch_is_a_parameter(template: Template) -> None:
    """10 to 1,000 messages; SQS wants a window for more than 10."""
    [source] = functions(template)["ConsumeWorker"]["Events"].values()
    assert source["Properties"]["BatchSize"] == {"Ref": "WorkerBatchSize"}
    assert source["Properties"]["MaximumBatchingWindowInSeconds"] == {"Ref": "WorkerBatchWindow"}
    size, window = (template["Parameters"][name] for name in ("WorkerBatchSize", "WorkerBatchWindow"))
    assert (size["MinValue"], size["MaxValue"], size["Default"]) == (10, 1000, 100)
    assert (window["MinValue"], window["MaxValue"], window["Default"]) == (0, 300, 1)
    rule = template["Rules"]["LargeBatchesAreWaitedFor"]
    assert rule["RuleCondition"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "WorkerBatchSize"}, "10"]}]}
    (assertion,) = rule["Assertions"]
    assert assertion["Assert"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "WorkerBatchWindow"}, "0"]}]}
    assert assertion["AssertDescription"].startswith("WorkerBatchWindow must be 1 at least")


def test_the_worker_answers_message_by_message(template: Template) -> None:
    """One bad message must not bring back the nine that came with it."""
    [event] = functions(template)["ConsumeWorker"]["Events"].values()
    assert event["Properties"]["Queue"] == {"Fn::GetAtt": ["OrdersQueue", "Arn"]}
    assert event["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_the_stack_tells_where_things_are(template: Template) -> None:
    """Callers, senders and tools find the stack by its outputs."""
    always_there = {name for name, output in template["Outputs"].items() if "Condition" not in output}
    assert always_there == {
        "ApiUrl",
        "TableName",
        "OrdersQueueUrl",
        "DeadLetterQueueUrl",
        "BusName",
        "RepublishQueueUrl",
    }
