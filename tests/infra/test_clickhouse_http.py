"""The embedded ClickHouse over plain HTTP, as curl or any client sees it."""

from __future__ import annotations

import gzip
import json
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import lz4.frame
import psutil
import pytest
import zstandard

from infra.embedded import EmbeddedClickHouse


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedClickHouse]:
    with EmbeddedClickHouse(tmp_path_factory.mktemp("clickhouse-http")) as running:
        yield running


@pytest.fixture
def ask(server: EmbeddedClickHouse) -> Iterator[Callable[..., httpx.Response]]:
    with httpx.Client(base_url=server.url, timeout=60) as client:

        def post(sql: str | bytes, headers: dict[str, str] | None = None, **parameters: str) -> httpx.Response:
            return client.post("/", params=parameters, content=sql, headers=headers)

        yield post


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_ping_and_unknown_paths(server: EmbeddedClickHouse) -> None:
    assert httpx.get(f"{server.url}/ping").text == "Ok.\n"
    assert httpx.get(f"{server.url}/replicas_status").text == "Ok.\n"
    assert httpx.get(server.url).text == "Ok.\n"
    assert httpx.get(f"{server.url}/nowhere").status_code == 404


@pytest.mark.parametrize(
    ("output", "expected", "content_type"),
    [
        ("TabSeparated", "1\tx\n2\tx\n", "text/tab-separated-values; charset=UTF-8"),
        ("CSVWithNames", '"n","s"\n1,"x"\n2,"x"\n', "text/csv; charset=UTF-8"),
        ("JSONEachRow", '{"n":1,"s":"x"}\n{"n":2,"s":"x"}\n', "application/x-ndjson; charset=UTF-8"),
        ("JSONCompactEachRowWithNames", '["n", "s"]\n[1, "x"]\n[2, "x"]\n', "application/x-ndjson; charset=UTF-8"),
    ],
)
def test_formats(ask: Callable[..., httpx.Response], output: str, expected: str, content_type: str) -> None:
    sql = "SELECT number + 1 AS n, 'x' AS s FROM numbers(2)"
    answer = ask(sql, default_format=output)
    assert (
        json.loads("[" + answer.text.replace("\n", ",").strip(",") + "]") if output.startswith("JSONC") else answer.text == expected
    )
    assert answer.headers["x-clickhouse-format"] == output
    assert answer.headers["content-type"] == content_type
    assert ask(f"{sql} FORMAT {output}").text == answer.text
    assert ask(sql, headers={"X-ClickHouse-Format": output}).text == answer.text


def test_headers_of_an_answer(ask: Callable[..., httpx.Response]) -> None:
    answer = ask("SELECT number FROM numbers(10)", query_id="mine")
    assert answer.headers["x-clickhouse-query-id"] == "mine"
    assert answer.headers["x-clickhouse-timezone"]
    assert answer.headers["x-clickhouse-server-display-name"] == "tokenbourse"
    summary = json.loads(answer.headers["x-clickhouse-summary"])
    assert summary["read_rows"] == "10"
    assert summary["result_rows"] == "10"


def test_the_query_may_come_in_url_body_or_both(server: EmbeddedClickHouse, ask: Callable[..., httpx.Response]) -> None:
    assert httpx.get(server.url, params={"query": "SELECT 1"}).text == "1\n"
    assert ask("+ 1", query="SELECT 1").text == "2\n"
    assert ask("SELECT 3").text == "3\n"


@pytest.mark.parametrize(
    ("sql", "status", "code"),
    [
        ("SELEC 1", 400, 62),
        ("SELECT nope", 404, 47),
        ("SELECT * FROM nope", 404, 60),
        ("USE nope", 404, 81),
        ("SELECT throwIf(1)", 500, 395),
        (
            "SELECT count() FROM numbers(1000000000000) WHERE NOT ignore(sipHash64(number)) SETTINGS max_execution_time = 0.3",
            408,
            159,
        ),
    ],
)
def test_errors_have_the_server_s_status_and_code(ask: Callable[..., httpx.Response], sql: str, status: int, code: int) -> None:
    answer = ask(sql)
    assert answer.status_code == status
    assert answer.headers["x-clickhouse-exception-code"] == str(code)
    assert answer.text.startswith(f"Code: {code}. DB::Exception: ")


def test_unknown_setting(ask: Callable[..., httpx.Response]) -> None:
    answer = ask("SELECT 1", no_such_setting="1")
    assert (answer.status_code, answer.headers["x-clickhouse-exception-code"]) == (404, "115")


def test_get_changes_nothing(server: EmbeddedClickHouse) -> None:
    answer = httpx.get(server.url, params={"query": "CREATE TABLE not_by_get (a Int8) ENGINE = Memory"})
    assert answer.headers["x-clickhouse-exception-code"] == "164"


def test_parameters_and_settings_do_not_leak(ask: Callable[..., httpx.Response]) -> None:
    told = ask("SELECT {a:Array(UInt8)} AS a, {b:String} AS b FORMAT JSONEachRow", param_a="[1,2]", param_b="it's \\t")
    assert json.loads(told.text) == {"a": [1, 2], "b": "it's \t"}
    assert ask("SELECT getSetting('max_threads')", max_threads="3").text == "3\n"
    assert ask("SELECT getSetting('max_threads')").text != "3\n"
    assert ask("SELECT {a:Array(UInt8)}").status_code != 200


def test_sessions_keep_what_they_set(ask: Callable[..., httpx.Response]) -> None:
    ask("CREATE TEMPORARY TABLE mine (a UInt8)", session_id="s").raise_for_status()
    ask("SET max_threads = 1", session_id="s").raise_for_status()
    ask("INSERT INTO mine VALUES (7)", session_id="s").raise_for_status()
    assert ask("SELECT a, getSetting('max_threads') FROM mine", session_id="s").text == "7\t1\n"
    assert ask("SELECT getSetting('max_threads')", session_id="s", max_threads="2").text == "2\n"
    assert ask("SELECT getSetting('max_threads')", session_id="s").text == "1\n"
    assert ask("SELECT * FROM mine").status_code == 404
    assert ask("SELECT 1", session_id="other", session_check="1").headers["x-clickhouse-exception-code"] == "372"


def test_inserts(ask: Callable[..., httpx.Response]) -> None:
    ask("CREATE TABLE i (a UInt64, b String) ENGINE = MergeTree ORDER BY a").raise_for_status()
    written = ask('INSERT INTO i FORMAT JSONEachRow\n{"a":1,"b":"x"}\n')
    assert json.loads(written.headers["x-clickhouse-summary"])["written_rows"] == "1"
    ask("INSERT INTO i VALUES (2, 'y'), (3, 'z')").raise_for_status()
    ask("4\tw\n", query="INSERT INTO i FORMAT TSV").raise_for_status()
    ask("INSERT INTO i SELECT 5, 'v'").raise_for_status()
    assert ask("SELECT a, b FROM i ORDER BY a").text == "1\tx\n2\ty\n3\tz\n4\tw\n5\tv\n"
    bad = ask("INSERT INTO i FORMAT TSV\n7\tx\nseven\tx\n")
    assert bad.status_code == 400
    assert ask("SELECT count() FROM i").text == "5\n", "a block is inserted whole or not at all"


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "lz4": lz4.frame.compress,
}


@pytest.mark.parametrize("encoding", COMPRESS)
def test_compression_both_ways(server: EmbeddedClickHouse, ask: Callable[..., httpx.Response], encoding: str) -> None:
    compress = COMPRESS[encoding]
    ask(f"CREATE OR REPLACE TABLE c_{encoding} (a UInt64) ENGINE = MergeTree ORDER BY a").raise_for_status()
    # Two frames, as a client sends that compresses block by block.
    body = compress(f"INSERT INTO c_{encoding} FORMAT TSV\n1\n".encode()) + compress(b"2\n")
    ask(body, headers={"Content-Encoding": encoding}).raise_for_status()
    with httpx.stream(
        "POST",
        server.url,
        params={"enable_http_compression": "1"},
        content=f"SELECT a FROM c_{encoding} ORDER BY a",
        headers={"Accept-Encoding": encoding},
    ) as answer:
        raw = b"".join(answer.iter_raw())
        assert answer.headers["content-encoding"] == encoding
    decompress: dict[str, Callable[[bytes], bytes]] = {
        "gzip": gzip.decompress,
        "deflate": zlib.decompress,
        "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
        "lz4": lz4.frame.decompress,
    }
    assert decompress[encoding](raw) == b"1\n2\n"


def test_no_compression_unless_asked_for(ask: Callable[..., httpx.Response]) -> None:
    assert "content-encoding" not in ask("SELECT 1", headers={"Accept-Encoding": "gzip"}).headers


def test_what_is_not_compressed_as_it_says(ask: Callable[..., httpx.Response]) -> None:
    answer = ask(b"SELECT 1", headers={"Content-Encoding": "zstd"})
    assert answer.headers["x-clickhouse-exception-code"] == "271"


def test_a_large_result_streams_in_bounded_memory(server: EmbeddedClickHouse) -> None:
    process = psutil.Process(server.pid)
    before = largest = process.memory_info().rss
    size = 0
    sql = "SELECT number, toString(number) AS s FROM numbers(12000000) FORMAT JSON"
    with httpx.stream("POST", server.url, content=sql, timeout=120) as answer:
        for part in answer.iter_raw():
            size += len(part)
            largest = max(largest, process.memory_info().rss)
    assert size > 500_000_000
    assert largest - before < 200 << 20


def test_an_error_after_the_first_part_can_t_be_taken_for_a_result(server: EmbeddedClickHouse) -> None:
    sql = "SELECT throwIf(number = 20000000) FROM numbers(30000000)"
    received = b""
    with httpx.stream("POST", server.url, content=sql, timeout=60) as answer:
        tag = answer.headers["x-clickhouse-exception-tag"]
        parts = answer.iter_raw()
        cut = False
        while not cut:
            try:
                received = (received + next(parts))[-4096:]
            except httpx.RemoteProtocolError:  # not StopIteration: that would be a whole answer
                cut = True
    assert f"__exception__\r\n{tag}\r\nCode: 395".encode() in received


def test_a_query_whose_client_went_is_stopped(server: EmbeddedClickHouse, ask: Callable[..., httpx.Response]) -> None:
    with httpx.stream("POST", server.url, content="SELECT number FROM numbers(1000000000000)", timeout=60) as answer:
        next(answer.iter_raw())
    until(
        lambda: (
            ask("SELECT count() FROM system.processes WHERE query LIKE '%1000000000000%' AND query NOT LIKE '%processes%'").text
            == "0\n"
        )
    )


def test_kill_query(ask: Callable[..., httpx.Response]) -> None:
    answers: list[httpx.Response] = []
    sql = "SELECT count() FROM numbers(1000000000000) WHERE NOT ignore(sipHash64(number))"
    victim = threading.Thread(target=lambda: answers.append(ask(sql, query_id="victim")))
    victim.start()
    until(lambda: "finished" in ask("KILL QUERY WHERE query_id = 'victim' SYNC").text or not victim.is_alive())
    victim.join(20)
    assert answers[0].headers["x-clickhouse-exception-code"] == "394"


def test_queries_at_the_same_time(server: EmbeddedClickHouse, ask: Callable[..., httpx.Response]) -> None:
    ask("CREATE TABLE p (a UInt64) ENGINE = MergeTree ORDER BY a").raise_for_status()

    def one(n: int) -> str:
        client.post("/", content=f"INSERT INTO p VALUES ({n})").raise_for_status()
        return client.post("/", content=f"SELECT {n}").text

    with httpx.Client(base_url=server.url, timeout=60) as client, ThreadPoolExecutor(16) as pool:
        assert list(pool.map(one, range(100))) == [f"{n}\n" for n in range(100)]
    assert ask("SELECT count(), sum(a) FROM p").text == "100\t4950\n"


def test_an_unusual_address_is_refused_by_name(ask: Callable[..., httpx.Response]) -> None:
    assert "Content-Encoding" in ask("SELECT 1", compress="1").text


def test_user_password_and_kill_9(tmp_path: Path) -> None:
    part = EmbeddedClickHouse(tmp_path, environment={"BOURSE_CLICKHOUSE_USER": "me", "BOURSE_CLICKHOUSE_PASSWORD": "geheim"})
    with part:
        right = {"X-ClickHouse-User": "me", "X-ClickHouse-Key": "geheim"}
        refused = httpx.post(part.url, content="SELECT 1", headers={**right, "X-ClickHouse-Key": "x"})
        assert (refused.status_code, refused.headers["x-clickhouse-exception-code"]) == (403, "516")
        assert httpx.post(part.url, content="SELECT 1", auth=("me", "geheim")).text == "1\n"
        assert httpx.post(part.url, content="SELECT 1", params={"user": "me", "password": "geheim"}).text == "1\n"
        httpx.post(part.url, content="CREATE TABLE k (a UInt64) ENGINE = MergeTree ORDER BY a", headers=right).raise_for_status()

        acknowledged = 0
        for round_ in range(2):
            stop = threading.Timer(0.5, part.kill)
            stop.start()
            try:
                while True:
                    body = "INSERT INTO k FORMAT TSV\n" + "\n".join(
                        map(str, range(acknowledged * 1000, acknowledged * 1000 + 1000))
                    )
                    httpx.post(part.url, content=body, headers=right).raise_for_status()
                    acknowledged += 1
            except httpx.HTTPError:
                stop.join()
            part.start()
            count = int(httpx.post(part.url, content="SELECT count() FROM k", headers=right).text)
            assert count - acknowledged * 1000 in {0, 1000}, f"round {round_}: an insert is there whole, or was not acknowledged"
            acknowledged = count // 1000
        assert acknowledged > 0
