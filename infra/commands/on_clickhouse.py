"""A client of ClickHouse for a command: an outage is one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from urllib3.exceptions import HTTPError

from streams.clickhouse import ANSWER_S, connect
from streams.errors import Unavailable
from streams.settings import Settings


@contextmanager
def client_of(settings: Settings, answer_s: float = ANSWER_S) -> Iterator[Client]:
    """A client in use for some statements.

    Raises:
        Unavailable: it does not answer, or fails.
    """
    try:
        client = connect(settings, answer_s)
        try:
            yield client
        finally:
            client.close()
    except (ClickHouseError, HTTPError, OSError) as error:
        first_line = next(iter(str(error).splitlines()), type(error).__name__)
        raise Unavailable(f"ClickHouse at {settings.shown('clickhouse') or settings.clickhouse_url}: {first_line}") from error
