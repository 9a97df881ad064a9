"""`bourse sql "…"`: a query to ClickHouse, its result on the terminal, or in any of ClickHouse's formats."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console

from infra import sql_page
from streams.errors import BadInput, Unavailable, UserError
from streams.settings import Settings

CONNECT_S = 5.0
SHOWN_ROWS = 1000
"""Of a table on a terminal, which is laid out as a whole; formats stream without a limit."""


def sql(
    query: Annotated[str, typer.Argument(help="The query; - reads it from standard input.")],
    output: Annotated[str | None, typer.Option("--format", "-f", help="A format of ClickHouse: CSV, TSV, Parquet, …")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the rows as one JSON array of objects.")] = False,
) -> None:
    """Query ClickHouse in our database. Exit code 1 if it is down or the query fails in it, 2 if the query is wrong."""
    settings = Settings.load()
    text = sys.stdin.read() if query == "-" else query
    if not text.strip():
        raise BadInput("the query is empty")
    if output or as_json:
        _stream(settings, text, output or "JSONEachRow", as_json=as_json)
    else:
        _table(settings, text)


def _ask(settings: Settings, **parameters: str) -> dict[str, Any]:
    return {
        "method": "POST",
        "url": settings.clickhouse_url,
        "params": {"database": settings.clickhouse_database, **parameters},
        "headers": {
            "X-ClickHouse-User": settings.clickhouse_user,
            "X-ClickHouse-Key": settings.clickhouse_password.get_secret_value(),
        },
        "timeout": httpx.Timeout(None, connect=CONNECT_S),
    }


def _stream(settings: Settings, text: str, output: str, *, as_json: bool) -> None:
    array = {"output_format_json_array_of_rows": "1"} if as_json else {}
    try:
        with httpx.stream(**_ask(settings, default_format=output, **array), content=text) as answer:
            if answer.is_error:
                answer.read()
                raise _refused(answer)
            for part in answer.iter_bytes():
                sys.stdout.buffer.write(part)
            sys.stdout.buffer.flush()
    except httpx.HTTPError as silent:
        raise _silent(settings, silent) from silent


def _table(settings: Settings, text: str) -> None:
    try:
        answer = httpx.request(**_ask(settings, default_format="JSONCompactEachRowWithNamesAndTypes"), content=text)
    except httpx.HTTPError as silent:
        raise _silent(settings, silent) from silent
    if answer.is_error:
        raise _refused(answer)
    if answer.headers.get("x-clickhouse-format") != "JSONCompactEachRowWithNamesAndTypes":
        sys.stdout.buffer.write(answer.content)  # the query names a format of its own, or has no result
        return
    lines = answer.text.splitlines()
    names, types, rows = json.loads(lines[0]), json.loads(lines[1]), lines[2:]
    console = Console()
    sql_page.show(console, names, types, [json.loads(row) for row in rows[:SHOWN_ROWS]])
    if len(rows) > SHOWN_ROWS:
        console.print(f"the first {SHOWN_ROWS:,} of {len(rows):,} rows; --format CSV prints all", style="dim")


def _refused(answer: httpx.Response) -> UserError:
    text = answer.text.strip()
    return BadInput(text) if answer.is_client_error else UserError(text)


def _silent(settings: Settings, error: httpx.HTTPError) -> Unavailable:
    where = settings.shown("clickhouse") or settings.clickhouse_url
    return Unavailable(f"ClickHouse at {where} does not answer ({error}); bourse up starts it, bourse status tells more")
