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


def runs_in_sam_local() -> bool:
    """Whether this is a container of `sam local`, which checks no token. Nothing else sets this variable."""
    return os.environ.get("AWS_SAM_LOCAL") == "true"
