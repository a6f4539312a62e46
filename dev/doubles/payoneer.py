"""A double of Payoneer Checkout on 127.0.0.1, which keeps state: lists, charges, payouts, and what buyers do.

It speaks the protocol of Payoneer's public documents and plugins as far as this service uses it: lists are made, shown
and deleted; a list may see several charges, each with its own long id; payouts give money of a charge back. A
notification goes to the address that came with the list. Amounts are numbers: 39.9 is 39.90.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from .serving import Asked, Object, RefusedError, Sent, Serving, Told

MERCHANT = "MERCHANT_OF_THE_DOUBLE"
TOKEN = "canary-payoneer-token"  # noqa: S105 - of the double
NOTIFICATIONS = "canary-payoneer-notifications"
PAYER_NAME = "Canary Cardholder"
PAYER_EMAIL = "canary.buyer@payoneer.example"
LAST_FOUR = "41 11 11 canary 1111"
CANARIES = (TOKEN, NOTIFICATIONS, PAYER_NAME, PAYER_EMAIL, LAST_FOUR)

MEDIA_TYPE = "application/vnd.optile.payment.enterprise-v1-extensible+json"
NEEDED = ("transactionId", "country", "customer", "payment", "callback", "integration", "preselection")
ACCOUNT = {"maskedAccount": {"holderName": PAYER_NAME, "number": LAST_FOUR}, "email": PAYER_EMAIL}


@dataclass(slots=True)
class PayoneerDouble:
    """The double's state. Fields that begin with `_` are never shown."""

    serving: Serving = field(default_factory=Serving)
    tokens: tuple[str, ...] = (TOKEN,)
    lists: dict[str, Object] = field(default_factory=dict)
    charges: dict[str, Object] = field(default_factory=dict)
    payouts: dict[str, Object] = field(default_factory=dict)

    def settings(self) -> Object:
        """What a provider's secret on a local stack says of this double."""
        return {"api_base": self.serving.base_url}

    # ------------------------------------------------------------------ what the service asks

    def answer(self, asked: Asked) -> Told:
        """Answer one request. Raises RefusedError."""
        allowed = {base64.b64encode(f"{MERCHANT}:{token}".encode()).decode() for token in self.tokens}
        if asked.headers.get("authorization", "").removeprefix("Basic ") not in allowed:
            raise _refused(401, "UNAUTHORIZED")
        if asked.headers.get("accept") != MEDIA_TYPE:
            raise _refused(406, "NOT_ACCEPTABLE")
        match asked.parts():
            case ["POST", "api", "lists"]:
                return Told(200, self._list(asked))
            case ["GET", "api", "lists", long_id]:
                return Told(200, _shown(_find(self.lists, long_id)))
            case ["DELETE", "api", "lists", long_id]:
                return Told(200, self._delete(long_id))
            case ["GET", "api", "charges", long_id]:
                return Told(200, _shown(_find(self.charges, long_id)))
            case ["GET", "api", "payouts", long_id]:
                return Told(200, _shown(_find(self.payouts, long_id)))
        raise _refused(404, "NOT_FOUND")

    def _list(self, asked: Asked) -> Object:
        wanted = asked.json()
        missing = [name for name in NEEDED if name not in wanted]
        if asked.headers.get("content-type") != MEDIA_TYPE or missing:
            raise _refused(400, "INVALID_REQUEST")
        if wanted["integration"] != "HOSTED" or wanted["preselection"]["deferral"] != "NON_DEFERRED":
            raise _refused(400, "INVALID_CONFIGURATION")
        if wanted["customer"].get("email") == "no@address":
            raise _refused(400, "INVALID_REQUEST")
        long_id = f"5f1e{len(self.lists) + 1:020d}"
        made: Object = {
            "identification": {"longId": long_id, "shortId": "0-1", "transactionId": wanted["transactionId"]},
            "status": {"code": "listed", "reason": "listed"},
            "payment": wanted["payment"],
            "customer": wanted["customer"],
            "links": {"self": f"{self.serving.base_url}/api/lists/{long_id}"},
            "redirect": {
                "url": f"{self.serving.base_url}/paymentpage",
                "method": "GET",
                "parameters": [{"name": "longId", "value": long_id}],
            },
            "_callback": wanted["callback"],
        }
        self.lists[long_id] = made
        return _shown(made)

    def _delete(self, long_id: str) -> Object:
        found = _find(self.lists, long_id)
        if found["status"]["code"] != "listed":
            raise _refused(409, "CONFLICT")
        del self.lists[long_id]
        return {"resultInfo": "deleted"}

    # ------------------------------------------------------------------ what buyers, banks and the platform do

    def pay(self, reference: str) -> None:
        """The buyer pays."""
        self.charge(reference, "charged", "debited")

    def decline(self, reference: str) -> None:
        """The buyer's card is declined; the list stays open for another one."""
        self.charge(reference, "declined", "debit_declined")

    def hold(self, reference: str) -> None:
        """The buyer pays by something that takes days."""
        self.charge(reference, "pending", "debit_requested")

    def settle(self, reference: str) -> None:
        """The money that took days has come."""
        self.lists[reference]["status"] = {"code": "charged", "reason": "debited"}
        self.change(reference, "charged", "debited")

    def charge(self, reference: str, code: str, reason: str) -> str:
        """A charge of the list ends in this status; its long id."""
        made = self.lists[reference]
        long_id = f"c4a7{len(self.charges) + 1:020d}"
        base = self.serving.base_url
        self.charges[long_id] = {
            "identification": {"longId": long_id, "transactionId": made["identification"]["transactionId"]},
            "status": {"code": code, "reason": reason},
            "payment": dict(made["payment"]),
            "customer": made["customer"],
            "account": ACCOUNT,
            "links": {"self": f"{base}/api/charges/{long_id}"},
            "_list": reference,
            "_callback": made["_callback"],
        }
        made["links"][f"charge{len(made['links'])}"] = f"{base}/api/charges/{long_id}"
        if code in ("charged", "pending", "preauthorized"):
            made["status"] = {"code": code, "reason": reason}
        self._notify(self.charges[long_id])
        return long_id

    def change(self, reference: str, code: str, reason: str) -> None:
        """The newest charge of a list gets another status."""
        charge = self._charge_of(reference)
        charge["status"] = {"code": code, "reason": reason}
        self._notify(charge)

    def expire(self, reference: str) -> None:
        """Nobody paid the list in time."""
        self.lists[reference]["status"] = {"code": "expired", "reason": "list_expired"}

    def revive(self, reference: str) -> None:
        """The money comes after all."""
        self.pay(reference)

    def refund(self, reference: str, cents: int, code: str = "paid_out", reason: str = "refund_credited") -> str:
        """So many cents go back to the buyer; the payout's long id."""
        charge, base = self._charge_of(reference), self.serving.base_url
        long_id = f"90a1{len(self.payouts) + 1:020d}"
        self.payouts[long_id] = {
            "identification": {**charge["identification"], "longId": long_id},
            "status": {"code": code, "reason": reason},
            "payment": {"amount": cents / 100, "currency": charge["payment"]["currency"]},
            "links": {"self": f"{base}/api/payouts/{long_id}", "charge": charge["links"]["self"]},
            "_callback": charge["_callback"],
            "_charge": charge["identification"]["longId"],
        }
        charge["links"][f"payout{len(charge['links'])}"] = f"{base}/api/payouts/{long_id}"
        if code == "paid_out":
            back = sum(
                round(one["payment"]["amount"] * 100)
                for one in self.payouts.values()
                if one["_charge"] == charge["identification"]["longId"] and one["status"]["code"] == "paid_out"
            )
            whole = back >= round(charge["payment"]["amount"] * 100)
            charge["status"] = {"code": "paid_out" if whole else "paid_out_partial", "reason": "refund_credited"}
        self._notify(self.payouts[long_id])
        return long_id

    def dispute(self, reference: str) -> str:
        """The buyer's bank asks for the money back; the dispute is called as the charge."""
        self.change(reference, "charged_back", "chargeback_received")
        return str(self._charge_of(reference)["identification"]["longId"])

    def win(self, reference: str) -> None:
        """The bank gives the money back."""
        self.change(reference, "charged", "chargeback_reversed")

    def lose(self, reference: str) -> None:
        """The bank keeps the money."""
        self.change(reference, "charged_back", "charged_back")

    def lie(self, reference: str, **values: object) -> None:
        """The list turns out to be for something else: another `payment`, another `identification`."""
        self.lists[reference] |= values

    def taken(self, reference: str) -> int:
        """The cents that were taken from the buyer through a list, whatever went back."""
        paid = ("charged", "paid_out", "paid_out_partial", "charged_back")
        mine = [one for one in self.charges.values() if one["_list"] == reference and one["status"]["code"] in paid]
        return sum(round(one["payment"]["amount"] * 100) for one in mine)

    def _charge_of(self, reference: str) -> Object:
        return [charge for charge in self.charges.values() if charge["_list"] == reference][-1]

    def _notify(self, about: Object, entity: str = "payment") -> None:
        """What Payoneer would send to the address that came with the list."""
        said = {
            "entity": entity,
            "longId": about["identification"]["longId"],
            "transactionId": about["identification"]["transactionId"],
            "statusCode": about["status"]["code"],
            "reasonCode": about["status"]["reason"],
            "amount": str(about["payment"]["amount"]),
            "currency": about["payment"]["currency"],
            "customerEmail": PAYER_EMAIL,
        }
        query = dict(parse_qsl(urlsplit(about["_callback"]["notificationUrl"]).query))
        self.serving.outbox.append(Sent(json.dumps(said).encode(), {"content-type": "application/json"}, query))

    # ------------------------------------------------------------------ the buyer's page

    def page(self, asked: Asked) -> Told | None:
        """The page where a person pays, and what its buttons do."""
        match asked.parts():
            case ["GET", "paymentpage"]:
                return Told(200, _page(self.lists.get(asked.query.get("longId", ""))))
            case ["POST", "paymentpage", long_id, what] if long_id in self.lists:
                with self.serving.lock:
                    if what in ("pay", "decline") and self.lists[long_id]["status"]["code"] == "listed":
                        getattr(self, what)(long_id)
                return Told(303, headers={"Location": self.lists[long_id]["_callback"]["returnUrl"]})
        return None


def _page(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "<!doctype html><title>Payoneer (double)</title><p>There is no such payment."
    long_id = found["identification"]["longId"]
    buttons = "".join(
        f'<form method="post" action="/paymentpage/{long_id}/{what}"><button>{label}</button></form>'
        for what, label in (("pay", "Pay"), ("decline", "Decline"), ("back", "Go back"))
    )
    told = escape(f"{found['payment']['reference']}: {found['payment']['amount']:.2f} {found['payment']['currency']}")
    return f'<!doctype html><html lang="en"><title>Payoneer (double)</title><h1>Payoneer</h1><p>{told}{buttons}'


def _refused(status: int, code: str) -> RefusedError:
    return RefusedError(status, {"resultInfo": "refused", "returnCode": {"name": code}, "resultCode": f"00000.{code}"})


def _find(objects: Mapping[str, Object], name: str) -> Object:
    if name not in objects:
        raise _refused(404, "NOT_FOUND")
    return objects[name]


def _shown(kept: Mapping[str, Any]) -> Object:
    return {name: value for name, value in kept.items() if not name.startswith("_")}
