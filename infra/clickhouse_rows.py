"""A question to ClickHouse where nothing depends on the answer: one request, no client to set up, None if there is none in time."""

from __future__ import annotations

import json
from typing import Any

import httpx

from streams.settings import Settings


def rows(settings: Settings, sql: str, *, timeout_s: float, **parameters: str) -> list[dict[str, Any]] | None:
    """The rows of a query, values by column.

    Args:
        settings: where ClickHouse is, and as whom to ask.
        sql: `{name:Type}` stands for a parameter.
        timeout_s: for the answer, seconds; ClickHouse gives the query up then, too.
        parameters: by name.

    Returns:
        None: ClickHouse is away, busy, or has no such table.
    """
    credentials = {
        "X-ClickHouse-User": settings.clickhouse_user,
        "X-ClickHouse-Key": settings.clickhouse_password.get_secret_value(),
    }
    where = {
        "database": settings.clickhouse_database,
        "output_format_json_quote_64bit_integers": "0",
        "max_execution_time": str(timeout_s),
        **{f"param_{name}": value for name, value in parameters.items()},
    }
    try:
        answer = httpx.post(
            settings.clickhouse_url, params=where, content=f"{sql} FORMAT JSONEachRow", headers=credentials, timeout=timeout_s
        )
        answer.raise_for_status()
    except httpx.HTTPError:
        return None
    return [json.loads(line) for line in answer.text.splitlines()]
