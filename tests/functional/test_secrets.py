"""What lies in Secrets Manager in a form that is no secret: nothing signs, an alarm rings, and the log is silent."""

import json
from uuid import uuid4

import boto3
import pytest

from tests.functional.calls import post
from tests.kit.service import Service, http_event
from tests.kit.stack import sign

WORD = "whsec_that_nobody_may_read"


@pytest.mark.parametrize(
    "secret",
    [WORD, json.dumps(WORD), json.dumps([WORD]), json.dumps({"signing": WORD}), json.dumps({"signing": []}), "{}", "7"],
)
def test_an_unusable_secret(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], secret: str
) -> None:
    """A webhook is to come again, whoever signed it, a purchase is to be tried again, and both are counted."""
    service.open()
    name = uuid4().hex
    boto3.client("secretsmanager").create_secret(Name=name, SecretString=secret)
    monkeypatch.setenv("SANDBOX_SECRET_NAME", name)
    capsys.readouterr()
    for key in (WORD, WORD[0], ""):
        signature = f"t=1800000000,v1={sign(key, '1800000000', b'{}')}"
        event = http_event("POST", "/v1/payments/sandbox/webhook", headers={"sandbox-signature": signature}, body="{}")
        assert service.answer(event).status == 503
    answer = post(service, "/purchases", {"package": "auto_order-100", "payment_method": "card"}, "k1")
    assert (answer.status, answer.code) == (503, "try_again")
    out = capsys.readouterr().out
    assert (out.count('"UnusableSecret":[1.0]'), WORD in out) == (4, False)
