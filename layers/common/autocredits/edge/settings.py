"""What the environment of a function says. Read when first asked for, never at import."""

import os


def table_name() -> str:
    """The table of journals and records."""
    return os.environ["TABLE_NAME"]


def orders_queue_url() -> str:
    """The queue that the worker reads."""
    return os.environ["ORDERS_QUEUE_URL"]


def dead_letter_queue_url() -> str:
    """Where messages go that can never be processed."""
    return os.environ["DEAD_LETTER_QUEUE_URL"]


def stripe_secret_name() -> str:
    """The secret with Stripe's keys; empty if Stripe is not used."""
    return os.environ.get("STRIPE_SECRET_NAME", "")


def sandbox_secret_name() -> str:
    """The secret with the sandbox's signing secrets; empty where there is no sandbox."""
    return os.environ.get("SANDBOX_SECRET_NAME", "")


def sandbox_page_url() -> str:
    """Where the sandbox's page is."""
    return os.environ["SANDBOX_PAGE_URL"]


def return_origins() -> tuple[str, ...]:
    """The origins that a buyer may be sent back to."""
    return tuple(origin for origin in os.environ.get("RETURN_ORIGINS", "").split(",") if origin)


def aws_endpoint_url() -> str:
    """Where AWS is; empty for AWS itself, set on a local stack by the emulator."""
    return os.environ.get("AWS_ENDPOINT_URL", "")


def runs_in_sam_local() -> bool:
    """Whether this is a container of `sam local`, which checks no token. Nothing else sets this variable."""
    return os.environ.get("AWS_SAM_LOCAL") == "true"
