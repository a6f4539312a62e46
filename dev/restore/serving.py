"""Whether a table is certain not to be serving. Only then may it be repaired; nothing overrides that.

Every doubt counts as serving: a right that is lacking, a stream that is on, a page that is young. What writes to a
table without being a function of this account and region shows by its young pages alone.
"""

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from autocredits.domain.times import MINUTE_MS

QUIET_MS = 15 * MINUTE_MS
"""How old the newest page or record must be."""


def reasons_it_may_serve(dynamodb: Any, functions: Any, table_name: str) -> Iterator[str]:
    """Why the table may be serving, one sentence each; none if nothing speaks for it.

    A function may name it in any of its versions, since an alias may lead to each.
    """
    table = dynamodb.describe_table(TableName=table_name)["Table"]
    if table.get("StreamSpecification", {}).get("StreamEnabled"):
        yield "its stream is on, as a serving table's is; a restored table has none"
    try:
        for page in functions.get_paginator("list_functions").paginate(FunctionVersion="ALL"):
            for function in page["Functions"]:
                yield from _named_by(function, table_name)
    except (ClientError, BotoCoreError) as error:
        yield f"whether a function names it cannot be looked up: {error}"


def _named_by(function: dict[str, Any], table_name: str) -> Iterator[str]:
    """Whether a version of a function names the table in its environment, by its name or ARN."""
    which = f"the function {function['FunctionName']} ({function.get('Version', '$LATEST')})"
    environment = function.get("Environment", {})
    if environment.get("Error"):
        yield f"the environment of {which} cannot be read"
    if any(table_name in (value, value.rpartition("/")[2]) for value in environment.get("Variables", {}).values()):
        yield f"{which} names it"


def reason_it_is_young(latest_ms: int, now_ms: int) -> str | None:
    """Why the times in the table do not show that nobody writes to it; None if they do."""
    if now_ms - latest_ms >= QUIET_MS:
        return None
    return f"its newest page or record is younger than {QUIET_MS // MINUTE_MS} minutes"
