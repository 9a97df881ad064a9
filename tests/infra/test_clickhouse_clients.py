"""The embedded ClickHouse with two clients that others use: clickhouse-connect and the npm package @clickhouse/client."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError

from infra.embedded import EmbeddedClickHouse


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedClickHouse]:
    with EmbeddedClickHouse(tmp_path_factory.mktemp("clickhouse-clients")) as running:
        yield running


@pytest.fixture(params=[False, "lz4", "zstd", "gzip"], ids=str)
def client(server: EmbeddedClickHouse, request: pytest.FixtureRequest) -> Iterator[Client]:
    """With the session that clickhouse-connect makes unless told otherwise."""
    connected = clickhouse_connect.get_client(host="127.0.0.1", port=server.port, compress=request.param, tz_mode="aware")
    connected.command(
        "CREATE OR REPLACE TABLE t (a UInt64, b String, at DateTime64(3, 'UTC'), n Nullable(Int64)) ENGINE = MergeTree ORDER BY a"
    )
    yield connected
    connected.close()


def test_rows_come_back_as_they_went(client: Client) -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    rows = [(1, "x", at, None), (2**64 - 1, "ü\n'\"\\\0", at, -(2**63))]
    assert client.insert("t", rows, column_names=["a", "b", "at", "n"]).written_rows == 2
    result = client.query("SELECT * FROM t ORDER BY a")
    assert [tuple(row) for row in result.result_rows] == rows
    assert result.column_names == ("a", "b", "at", "n")


def test_a_large_insert_is_one_part(client: Client) -> None:
    count = 200_000
    columns = [range(count), [f"user-{n}" for n in range(count)]]
    client.insert("t", columns, column_names=["a", "b"], column_oriented=True)
    assert client.command("SELECT count() FROM system.parts WHERE table = 't' AND active AND database = 'default'") == 1
    assert client.query("SELECT count(), sum(a) FROM t").first_row == (count, count * (count - 1) // 2)


def test_streams(client: Client) -> None:
    with client.query_row_block_stream("SELECT number FROM numbers(1000000)") as blocks:
        assert sum(len(block) for block in blocks) == 1_000_000


def test_no_rows_still_have_columns(client: Client) -> None:
    result = client.query("SELECT a, b, n FROM t WHERE 0")
    assert result.column_names == ("a", "b", "n")
    assert [column.name for column in result.column_types] == ["UInt64", "String", "Nullable(Int64)"]
    assert client.query("SELECT 1 AS x LIMIT 0").column_names == ("x",)


def test_parameters_settings_frames_and_arrow(client: Client) -> None:
    assert client.query("SELECT {x:UInt32} + 1", parameters={"x": 3}).first_row == (4,)
    assert client.command("SELECT getSetting('max_threads')", settings={"max_threads": 3}) == 3
    assert client.query_df("SELECT 1 AS a, 'x' AS b").to_dict("list") == {"a": [1], "b": ["x"]}
    assert client.query_arrow("SELECT number AS a FROM numbers(2)").to_pydict() == {"a": [0, 1]}
    assert client.raw_query("SELECT 1", fmt="JSONEachRow") == b'{"1":1}\n'
    assert client.ping()


def test_errors(client: Client) -> None:
    with pytest.raises(DatabaseError, match="UNKNOWN_IDENTIFIER") as refused:
        client.query("SELECT nope")
    assert refused.value.code == 47
    with (
        pytest.raises(StreamFailureError, match="FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
        client.query_row_block_stream("SELECT throwIf(number = 5000000) FROM numbers(6000000)") as blocks,
    ):
        for _ in blocks:
            pass
    assert client.command("SELECT 1") == 1, "the connection is usable afterwards"


SCRIPT = """
import { createClient } from '@clickhouse/client'
const on = process.argv[3] === 'on'
const client = createClient({ url: process.argv[2], compression: { request: on, response: on } })
const out = {}
out.ping = (await client.ping()).success
await client.command({ query: 'CREATE OR REPLACE TABLE js (id UInt64, name String) ENGINE = MergeTree ORDER BY id' })
await client.insert({ table: 'js', values: [{ id: 1, name: 'a' }, { id: 2, name: "b'\\n" }], format: 'JSONEachRow' })
const query = 'SELECT * FROM js WHERE id >= {from:UInt64} ORDER BY id'
const rows = await client.query({ query, query_params: { from: 1 }, format: 'JSONEachRow' })
out.rows = await rows.json()
const whole = await client.query({ query: 'SELECT count() AS n FROM js', format: 'JSON' })
out.whole = (await whole.json()).data
let streamed = 0
const stream = await client.query({ query: 'SELECT number FROM numbers(300000)', format: 'JSONEachRow' })
for await (const part of stream.stream()) streamed += part.length
out.streamed = streamed
try { await client.query({ query: 'SELECT nope' }) } catch (error) { out.code = error.code; out.type = error.type }
try {
  const broken = await client.query({ query: 'SELECT throwIf(number = 2000000) FROM numbers(3000000)', format: 'JSONEachRow' })
  for await (const part of broken.stream()) {}
  out.broken = 'taken for whole'
} catch (error) { out.broken = 'error' }
await client.close()
console.log(JSON.stringify(out))
"""


@pytest.fixture(scope="module")
def node_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are not installed: the npm package @clickhouse/client is not tried")
    directory = tmp_path_factory.mktemp("node")
    (directory / "package.json").write_text('{"type": "module", "private": true}')
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "@clickhouse/client@1"]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=180, check=False)
    if done.returncode != 0:
        pytest.skip(f"npm can't install @clickhouse/client here: {done.stderr.strip()[-300:]}")
    (directory / "try.js").write_text(SCRIPT)
    return directory


@pytest.mark.parametrize("compression", ["off", "on"])
def test_the_npm_client(server: EmbeddedClickHouse, node_directory: Path, compression: str) -> None:
    command = ["node", "try.js", server.url, compression]
    done = subprocess.run(command, cwd=node_directory, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "ping": True,
        "rows": [{"id": 1, "name": "a"}, {"id": 2, "name": "b'\n"}],
        "whole": [{"n": 2}],
        "streamed": 300_000,
        "code": "47",
        "type": "UNKNOWN_IDENTIFIER",
        "broken": "error",
    }
