"""A handler test of one's own, as docs/local-testing.md quotes it."""

from tests.kit.service import Service, work


def test_the_same_key_charges_once(service: Service) -> None:
    """Of 5.00 free credits, one order with BlueCare tracking leaves 3.67, however often it is sent."""
    service.open("acme")
    for _ in range(2):
        order = work("A-1", "auto", "bce")
        answer = service.call("POST", "/v1/accounts/acme/debits", order, account="acme", key="debit-A-1")
        assert answer.status == 201
    assert service.balance("acme") == {"posted": "3.67", "held": "0.00", "available": "3.67"}
