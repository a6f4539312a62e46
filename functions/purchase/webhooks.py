"""What payment providers send. Raw bytes; the signature first, everything else after."""

import base64
from typing import Any

from autocredits.bootstrap import ledger
from autocredits.domain.errors import Problem
from autocredits.edge.http import ANSWERING_S
from autocredits.edge.problems import as_problem
from autocredits.edge.telemetry import count, logger
from autocredits.ledger.time_limit import limit_of
from functions.purchase.checkout import handle_webhook
from functions.purchase.payments import registry
from functions.purchase.payments.port import Notice, Provider

MAX_BODY_BYTES = 256 * 1024


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer one webhook in time: a status and no body."""
    name = (event.get("pathParameters") or {}).get("provider", "")
    try:
        with limit_of(context, ANSWERING_S):
            status = answer(registry.provider(name), event)
    except Exception as error:  # noqa: BLE001 - whatever it is, the provider has to be told to send again
        status = as_problem(error).status
    logger.info("webhook", extra={"provider": name if name in registry.NAMES else "unknown", "status": status})
    return {"statusCode": status, "headers": {"Retry-After": "5"} if status == 503 else {}, "body": ""}  # noqa: PLR2004


def answer(provider: Provider | None, event: dict[str, Any]) -> int:
    """The status for one webhook. Raises what could not be done now."""
    if provider is None:
        return 404
    body = event.get("body") or ""
    raw = base64.b64decode(body) if event.get("isBase64Encoded") else body.encode()
    if len(raw) > MAX_BODY_BYTES:
        return 413
    headers = {header.lower(): value for header, value in (event.get("headers") or {}).items()}
    try:
        webhook = provider.read_webhook(Notice(raw, headers, event.get("queryStringParameters") or {}))
    except Problem as problem:
        if problem.status >= 500:  # noqa: PLR2004
            raise
        if problem.code == "bad_signature":
            return 401
        # Signed, but in an unknown form: sending it again will not help. A person has to look.
        count("PaymentPutAside")
        logger.warning("webhook put aside", extra={"provider": provider.name, "detail": problem.detail})
        return 202
    return 200 if webhook is None else handle_webhook(ledger(), provider, webhook)
