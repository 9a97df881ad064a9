"""The dashboard's only way to data: named SQL files, run with server-side parameters."""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from streams.settings import Settings

SQL = Path(__file__).parent / "sql"
CONNECT_S, ANSWER_S = 2, 20
"""A page that refreshes every two seconds says soon that ClickHouse is away, but lets a large query finish."""

Row = dict[str, Any]


class StoreAway(Exception):  # noqa: N818  a state that the page shows, not a failure of the page
    """ClickHouse does not answer, or refuses a query; the message is for people."""


@cache
def statement(name: str) -> str:
    """The text of `sql/<name>.sql`."""
    return (SQL / f"{name}.sql").read_text(encoding="utf-8")


class Store:
    """Runs the dashboard's queries. Thread-safe: connections are pooled, no query shares a session with another."""

    def __init__(self, settings: Settings) -> None:
        self.url = settings.shown("clickhouse") or settings.clickhouse_url
        self._settings = settings
        self._lock = threading.Lock()
        self._client: Client | None = None

    def query(self, name: str, **parameters: object) -> list[Row]:
        """Rows of `sql/<name>.sql`, each a dict of its columns.

        Raises:
            StoreAway: no answer, or a refusal.
        """
        try:
            return list(self._connected().query(statement(name), parameters=parameters).named_results())
        except ClickHouseError as error:
            with self._lock:
                self._client = None
            raise StoreAway(f"ClickHouse at {self.url}: {_first_line(error)}") from error

    def _connected(self) -> Client:
        with self._lock:
            if self._client is None:
                settings = self._settings
                self._client = clickhouse_connect.get_client(
                    dsn=settings.clickhouse_url,
                    username=settings.clickhouse_user,
                    password=settings.clickhouse_password.get_secret_value(),
                    database=settings.clickhouse_database,
                    connect_timeout=CONNECT_S,
                    send_receive_timeout=ANSWER_S,
                    query_retries=0,
                    autogenerate_session_id=False,
                )
            return self._client


def _first_line(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return text.splitlines()[0][:300]
