"""Where a statement ends and its data begin: what ClickHouse's own server decides around its parser."""

from __future__ import annotations

import pytest

from infra.clickhouse_errors import ClickHouseError
from infra.clickhouse_sql import Kind, for_our_query_ids, parse


@pytest.mark.parametrize(
    ("sql", "head", "output", "tail"),
    [
        ("SELECT 1", "SELECT 1", None, ""),
        ("select 1 format JSON", "select 1", "JSON", ""),
        ("SELECT 1 FORMAT JSON;", "SELECT 1", "JSON", ""),
        ("SELECT 1 FORMAT CSV SETTINGS max_threads = 1", "SELECT 1", "CSV", "SETTINGS max_threads = 1"),
        ("SELECT 'x FORMAT JSON'", "SELECT 'x FORMAT JSON'", None, ""),
        ("SELECT 1 -- FORMAT JSON", "SELECT 1 -- FORMAT JSON", None, ""),
        ("SELECT format FROM t", "SELECT format FROM t", None, ""),
        ("SELECT (SELECT 1 FORMAT JSON)", "SELECT (SELECT 1 FORMAT JSON)", None, ""),
        ("/* c */ WITH 1 AS a SELECT a FORMAT TSV", "/* c */ WITH 1 AS a SELECT a", "TSV", ""),
        ("SHOW TABLES", "SHOW TABLES", None, ""),
        ("SELECT $a$ ; FORMAT JSON $a$ FORMAT CSV", "SELECT $a$ ; FORMAT JSON $a$", "CSV", ""),
    ],
)
def test_results(sql: str, head: str, output: str | None, tail: str) -> None:
    statement = parse(sql.encode(), complete=True)
    assert statement is not None
    assert (statement.kind, statement.head, statement.format, statement.tail) == (Kind.STREAMED, head, output, tail)


@pytest.mark.parametrize(
    ("sql", "head", "input_format", "data"),
    [
        (b"INSERT INTO t FORMAT Native\n\x01\x02'\x00", "INSERT INTO t", "Native", b"\x01\x02'\x00"),
        (b"INSERT INTO t (a, b) FORMAT CSV 1,2", "INSERT INTO t (a, b)", "CSV", b"1,2"),
        (b"INSERT INTO t FORMAT CSV\r\n1", "INSERT INTO t", "CSV", b"1"),
        (b"INSERT INTO t FORMAT CSV\n\n1", "INSERT INTO t", "CSV", b"\n1"),
        (b"insert into t values (1, 'FORMAT CSV')", "insert into t", "Values", b" (1, 'FORMAT CSV')"),
        (b"INSERT INTO t (`values`, format) VALUES (1,2)", "INSERT INTO t (`values`, format)", "Values", b" (1,2)"),
        (b"INSERT INTO t SETTINGS async_insert=0 FORMAT TSV\n1", "INSERT INTO t SETTINGS async_insert=0", "TSV", b"1"),
        (b"INSERT INTO FUNCTION null('a String') FORMAT CSV\nx", "INSERT INTO FUNCTION null('a String')", "CSV", b"x"),
    ],
)
def test_inserts_whole_and_byte_by_byte(sql: bytes, head: str, input_format: str, data: bytes) -> None:
    whole = parse(sql, complete=True)
    assert whole is not None
    assert (whole.kind, whole.head, whole.format, sql[whole.data_at :]) == (Kind.INSERT, head, input_format, data)
    for size in range(len(sql)):
        partial = parse(sql[:size], complete=False)
        assert partial is None or (partial.head, partial.format, partial.data_at) == (head, input_format, whole.data_at)


@pytest.mark.parametrize(
    "sql", [b"INSERT INTO t SELECT 1", b"CREATE TABLE t (a Int8) ENGINE = Memory", b"SET a = 1", b"DROP TABLE t;"]
)
def test_statements_without_a_result(sql: bytes) -> None:
    statement = parse(sql, complete=True)
    assert statement is not None
    assert statement.kind is Kind.DIRECT
    assert not statement.has_result


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        (b"SELECT 1; SELECT 2", "SYNTAX_ERROR"),
        (b"INSERT INTO t", "SYNTAX_ERROR"),
        (b" -- nothing\n", "SYNTAX_ERROR"),
        (b"SELECT 1 INTO OUTFILE 'x'", "NOT_IMPLEMENTED"),
        (b"INSERT INTO t FROM INFILE 'x' FORMAT CSV", "NOT_IMPLEMENTED"),
        (b"INSERT INTO t SELECT a FROM input('a Int8') FORMAT CSV\n1", "NOT_IMPLEMENTED"),
        (b"SELECT * FROM file('/etc/passwd')", "ACCESS_DENIED"),
        (b"SELECT * FROM '/etc/passwd'", "ACCESS_DENIED"),
        (b"CREATE TABLE t (a String) ENGINE = File(CSV)", "ACCESS_DENIED"),
        (b"INSERT INTO FUNCTION file('x') FORMAT CSV\n1", "ACCESS_DENIED"),
    ],
)
def test_refused(sql: bytes, name: str) -> None:
    with pytest.raises(ClickHouseError) as refused:
        parse(sql, complete=True)
    assert refused.value.name == name


def test_kill_query_means_the_client_s_ids() -> None:
    assert for_our_query_ids("KILL QUERY WHERE query_id = 'query_id' SYNC") == (
        "KILL QUERY WHERE Settings['log_comment'] = 'query_id' SYNC"
    )
