"""An account's audit as an operator sees it: what was checked, what was found, what failed."""

from collections.abc import Sequence

from autocredits.domain.audit import Finding
from autocredits.domain.errors import Problem
from autocredits.ledger.auditing import Audited, audit
from autocredits.ledger.commit import Ledger
from autocredits.ledger.ports import Listed, UnavailableError

from .telemetry import count, logger


def audit_alone(ledger: Ledger, account_id: str, seen: Sequence[Finding] = ()) -> Audited:
    """Audit an account; a defect stops no other one, and is counted.

    Raises UnavailableError where the table cannot be asked, or the account not suspended now.
    """
    try:
        audited = audit(ledger, account_id, seen)
    except Problem as problem:
        raise UnavailableError(f"{account_id}: {problem.code}") from problem
    except UnavailableError:
        raise
    except Exception:  # noqa: BLE001 - whatever it is, the accounts behind it are audited
        count("AuditFailed")
        logger.exception("audit failed", extra={"account_id": account_id})
        return Audited()
    if audited.pages:
        count("PagesChecked", audited.pages)
    for finding in audited.findings:
        count("AuditFinding")
        told = {"version": finding.version, "kind": finding.kind, "detail": finding.detail}
        logger.error("audit finding", extra={"account_id": account_id, **told})
    return audited


def go_on_auditing(ledger: Ledger, due: Listed) -> str:
    """Go on with an account's audit that is behind; what that did. Raises UnavailableError."""
    audited = audit_alone(ledger, due.account_id)
    return f"audited {audited.pages} pages" if audited.pages else "nothing"
