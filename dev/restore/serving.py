"""Whether a table is certain not to be serving. Only then may it be repaired; nothing overrides that.

Every doubt counts as serving: a right that is lacking, a stream that is on, a page that is young.
"""

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from autocredits.domain.times import MINUTE_MS

QUIET_MS = 15 * MINUTE_MS
"""How old the newest page or record must be."""


def reasons_it_may_serve(dynamodb: Any, functions: Any, table_name: str) -> Iterator[str]:
    """Why the table may be serving, one sentence each; none if it certainly is not.

    A function may name it in any of its versions, since an alias may lead to each.
    """
    try:
        table = dynamodb.describe_table(TableName=table_name)["Table"]
        if table.get("StreamSpecification", {}).get("StreamEnabled"):
            yield "its stream is on, as a serving table's is; a restored table has none"
        for page in functions.get_paginator("list_functions").paginate(FunctionVersion="ALL"):
            for function in page["Functions"]:
                values = function.get("Environment", {}).get("Variables", {}).values()
                if any(table_name in (value, value.rpartition("/")[2]) for value in values):
                    yield f"the function {function['FunctionName']} ({function.get('Version', '$LATEST')}) names it"
    except (ClientError, BotoCoreError) as error:
        yield f"whether a function names it cannot be looked up: {error}"


def reason_it_is_young(latest_ms: int, now_ms: int) -> str | None:
    """Why the times in the table do not show that nobody writes to it; None if they do."""
    if now_ms - latest_ms >= QUIET_MS:
        return None
    return f"its newest page or record is younger than {QUIET_MS // MINUTE_MS} minutes"
