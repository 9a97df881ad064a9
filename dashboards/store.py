"""The dashboard's only way to data: named SQL files, run with server-side parameters."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from urllib3.exceptions import HTTPError

from streams.clickhouse import connect
from streams.settings import Settings

log = logging.getLogger(__name__)

SQL = Path(__file__).parent / "sql"

Row = dict[str, Any]
T = TypeVar("T")


class StoreAway(Exception):  # noqa: N818  a state that the page shows, not a failure of the page
    """ClickHouse does not answer, or refuses a query; the message is for people."""


@cache
def statement(name: str) -> str:
    """The text of `sql/<name>.sql`."""
    return (SQL / f"{name}.sql").read_text(encoding="utf-8")


class Store:
    """Runs the dashboard's queries. Thread-safe: connections are pooled, and queries without a session may run side by side."""

    def __init__(self, settings: Settings) -> None:
        self.url = settings.shown("clickhouse") or settings.clickhouse_url
        self._settings = settings
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._failure: str | None = None

    def query(self, name: str, **parameters: object) -> list[Row]:
        """Rows of `sql/<name>.sql`, each a dict of its columns.

        Raises:
            StoreAway: no answer, or a refusal.
        """
        return self.ask(lambda client: list(client.query(statement(name), parameters=parameters).named_results()))

    def ask(self, question: Callable[[Client], T]) -> T:
        """What a question to ClickHouse gives.

        Raises:
            StoreAway: no answer, or a refusal.
        """
        try:
            answer = question(self._connected())
        except (ClickHouseError, HTTPError) as error:
            raise StoreAway(self._note(_told(self.url, error))) from error
        self._note(None)
        return answer

    def _note(self, failure: str | None) -> str:
        """Logs the beginning and the end of an outage, and connects anew after it."""
        with self._lock:
            if failure is not None:
                self._client = None
            if (failure is None) != (self._failure is None):
                log.warning("%s", failure or f"ClickHouse at {self.url} answers again")
            self._failure = failure
        return failure or ""

    def _connected(self) -> Client:
        with self._lock:
            if self._client is None:
                client = connect(self._settings)
                client.database = self._settings.clickhouse_database
                self._client = client
            return self._client


def _told(url: str, error: BaseException) -> str:
    """What is wrong, without the names of the classes that noticed it."""
    links = [error]
    while (cause := links[-1].__cause__ or links[-1].__context__) is not None:
        links.append(cause)
    silent = next((link for link in links if isinstance(link, HTTPError | OSError)), None)
    if silent is not None:
        system = next((link.strerror for link in reversed(links) if isinstance(link, OSError) and link.strerror), None)
        return f"ClickHouse at {url} does not answer" + (f" ({system})" if system else "")
    return f"ClickHouse at {url} refuses a query: {(str(error) or type(error).__name__).splitlines()[0][:300]}"
