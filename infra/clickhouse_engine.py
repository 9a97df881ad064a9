"""The engine of the embedded ClickHouse: chDB handles, one for each request, so that nothing leaks between clients.

A handle costs 0.2 ms. All handles of a process share one engine on one directory. Sessions that change what later
statements see (SET, USE, temporary tables) keep a handle of their own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chdb.state.sqlitelike import Connection, StreamingInserter

from infra.clickhouse_errors import ClickHouseError
from infra.clickhouse_sql import quoted

SESSION_NOT_FOUND = 372

_REFUSED = (RuntimeError, UnicodeEncodeError)
"""What chDB raises at a statement that the engine refuses, and at one whose text is not UTF-8."""


@dataclass(frozen=True)
class Context:
    """What surrounds a statement: `database` (None: default), engine `settings`, query `parameters`, `query_id`, `session`."""

    database: str | None
    settings: Mapping[str, str]
    parameters: Mapping[str, str]
    query_id: str
    session: str | None = None
    session_timeout_s: float = 60.0
    session_must_exist: bool = False


@dataclass(frozen=True)
class Counts:
    """What a statement read and wrote; `elapsed_ns` in nanoseconds."""

    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    result_rows: int = 0
    result_bytes: int = 0
    elapsed_ns: int = 0


@dataclass
class _Session:
    handle: Connection
    expires: float
    busy: threading.Lock = field(default_factory=threading.Lock)


class Engine:
    """One chDB engine on a directory.

    Args:
        directory: of the data; made if missing. Only one process may have it open.

    Raises:
        ClickHouseError: from every method that runs a statement.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._path = str(directory.resolve())
        self._connecting = threading.Lock()
        self._keeper = Connection(self._path)  # while one handle is open the engine stays
        self._sessions: dict[str, _Session] = {}
        self._sessions_lock = threading.Lock()
        version, timezone = self._keeper.query("SELECT version(), serverTimezone()", "TSV").bytes().decode().split()
        self.version: str = version
        self.timezone: str = timezone

    def close(self) -> None:
        """Close all handles; the engine stops with the last."""
        with self._sessions_lock:
            for session in self._sessions.values():
                session.handle.close()
            self._sessions.clear()
        self._keeper.close()

    @contextmanager
    def handle(self, context: Context, *, stateful: bool) -> Iterator[Connection]:
        """A handle that has the context's database, settings and parameters.

        Args:
            context: of the request.
            stateful: the statement changes its session, which therefore needs a handle that stays.
        """
        session = self._session(context, stateful=stateful)
        if session is None:
            with self._connecting:
                fresh = Connection(self._path)
            try:
                _apply(fresh, context)
                yield fresh
            finally:
                fresh.close()
            return
        with session.busy:
            before = _snapshot(session.handle, context.settings)
            try:
                _apply(session.handle, context)
                yield session.handle
            finally:
                _restore(session.handle, before)
                session.expires = time.monotonic() + context.session_timeout_s

    def run(self, handle: Connection, sql: str, output_format: str) -> tuple[bytes, Counts]:
        """Run a statement whose result is small."""
        statement: Any = sql.encode("utf-8", "surrogateescape")  # bytes: what follows an INSERT need not be UTF-8
        try:
            result = handle.query(statement, output_format)
        except _REFUSED as error:
            raise ClickHouseError.of(error) from error
        body = bytes(result.bytes() or b"")
        return body, Counts(
            read_rows=result.storage_rows_read(),
            read_bytes=result.storage_bytes_read(),
            written_rows=result.rows_written(),
            written_bytes=result.bytes_written(),
            result_rows=result.rows_read(),
            result_bytes=len(body),
            elapsed_ns=int(result.elapsed() * 1e9),
        )

    def begin_insert(self, handle: Connection, sql: str, input_format: str) -> StreamingInserter:
        """Begin an INSERT whose data are then appended in parts."""
        try:
            return handle.send_insert(sql, input_format)
        except _REFUSED as error:
            raise ClickHouseError.of(error) from error

    def kill(self, query_id: str) -> None:
        """Stop a query whose client has gone."""
        with self._connecting:
            handle = Connection(self._path)
        try:
            handle.query(f"KILL QUERY WHERE Settings['log_comment'] = {quoted(query_id)} ASYNC", "Null")
        finally:
            handle.close()

    def _session(self, context: Context, *, stateful: bool) -> _Session | None:
        if context.session is None:
            return None
        with self._sessions_lock:
            now = time.monotonic()
            for name in [name for name, each in self._sessions.items() if each.expires < now and not each.busy.locked()]:
                self._sessions.pop(name).handle.close()
            session = self._sessions.get(context.session)
            if session is None and context.session_must_exist:
                raise ClickHouseError(SESSION_NOT_FOUND, "SESSION_NOT_FOUND", f"Session {context.session} not found or expired")
            if session is None and stateful:
                with self._connecting:
                    session = _Session(Connection(self._path), now + context.session_timeout_s)
                self._sessions[context.session] = session
            return session


def _apply(handle: Connection, context: Context) -> None:
    # The engine gives every query an id of its own; ours travels as its log comment, where KILL QUERY finds it.
    assignments = {"log_comment": context.query_id, **context.settings}
    assignments |= {f"param_{name}": value for name, value in context.parameters.items()}
    readonly = assignments.pop("readonly", None)  # last: it forbids what comes after it
    if strange := [name for name in assignments if not name.isidentifier()]:
        raise ClickHouseError(115, "UNKNOWN_SETTING", f"Unknown setting '{strange[0]}'")
    try:
        if context.database:
            handle.query("USE " + "`" + context.database.replace("\\", "\\\\").replace("`", "\\`") + "`", "Null")
        handle.query("SET " + ", ".join(f"{name} = {quoted(value)}" for name, value in assignments.items()), "Null")
        if readonly is not None:
            handle.query(f"SET readonly = {quoted(readonly)}", "Null")
    except _REFUSED as error:
        raise ClickHouseError.of(error) from error


def _snapshot(handle: Connection, settings: Mapping[str, str]) -> dict[str, str | None]:
    """The session's own values of the settings that a request is about to override; None: its default."""
    if not settings:
        return {}
    names = ", ".join(quoted(name) for name in settings)
    sql = f"SELECT name, value FROM system.settings WHERE changed AND name IN ({names})"  # noqa: S608  names are quoted literals
    rows = handle.query(sql, "TSVRaw").bytes()
    changed = dict(line.split("\t", 1) for line in rows.decode().splitlines())
    return {name: changed.get(name) for name in settings}


def _restore(handle: Connection, before: Mapping[str, str | None]) -> None:
    for name, value in before.items():
        handle.query(f"SET {name} = {'DEFAULT' if value is None else quoted(value)}", "Null")
