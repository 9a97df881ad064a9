"""`bourse publish` on a real broker: every line is acknowledged, refused with its number, or failed loudly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from offsets import end_of

from infra.cli import main
from streams.outbox import MAX_MESSAGE_BYTES
from streams.settings import Settings
from streams.topics import ensure_topics

pytestmark = pytest.mark.kafka


@dataclass
class Said:
    code: int
    out: str
    err: str

    @property
    def counts(self) -> dict[str, Any]:
        return dict(json.loads(self.out))


@pytest.fixture
def topics(broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """All topics, with a prefix of this test's own."""
    monkeypatch.setenv("BOURSE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BOURSE_KAFKA", broker)
    monkeypatch.setenv("BOURSE_TOPIC_PREFIX", f"publish-{time.monotonic_ns()}.")
    monkeypatch.setenv("BOURSE_PARTITIONS", "2")
    settings = Settings.load()
    ensure_topics(settings)
    return settings


@pytest.fixture
def bourse(capfd: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    def run(*arguments: str) -> Said:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        out, err = capfd.readouterr()
        return Said(int(ended.value.code or 0), out, err)

    return run


def usage(number: int, **fields: Any) -> dict[str, Any]:
    now = time.time_ns() // 1_000_000
    request = {"id": str(number), "source": "s", "time": now, "tenant": "acme", "pool": "p", "input_tokens": 1, "output_tokens": 2}
    return {**request, **fields}


def file_of(tmp_path: Path, *lines: object) -> str:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines))
    return str(path)


def held(settings: Settings, kind: str) -> list[tuple[bytes | None, bytes | None]]:
    """(key, value) of every record of a topic."""
    consumer = Consumer({**settings.kafka_client_config(), "group.id": "reader", "enable.auto.commit": False})
    try:
        topic = settings.topic(kind)
        partitions = [TopicPartition(topic, number, 0) for number in range(settings.partitions)]
        total = sum(end_of(consumer, topic, number) for number in range(settings.partitions))
        consumer.assign(partitions)
        found: list[tuple[bytes | None, bytes | None]] = []
        deadline = time.monotonic() + 60
        while len(found) < total:
            assert time.monotonic() < deadline
            found += [(message.key(), message.value()) for message in consumer.consume(1000, timeout=1) if not message.error()]
        return found
    finally:
        consumer.close()


def test_every_line_is_acknowledged_as_it_was_written(topics: Settings, bourse: Callable[..., Said], tmp_path: Path) -> None:
    lines = [
        usage(1, note="more than we read is kept"),
        usage(2, tenant="büro"),
        {
            "specversion": "1.0",
            "id": "3",
            "source": "s",
            "type": "usage",
            "subject": "acme",
            "time": datetime.now(UTC).isoformat(),
            "data": {"pool": "p", "input_tokens": 1, "output_tokens": 1},
        },
    ]
    said = bourse("publish", "usage", file_of(tmp_path, *lines), "--json")
    assert said.code == 0, said.err
    assert said.counts == {
        "topic": topics.topic("usage"),
        "published": 3,
        "acknowledged": 3,
        "failed": 0,
        "refused": 0,
        "complete": True,
    }
    found = held(topics, "usage")
    assert sorted(json.loads(value or b"")["id"] for _, value in found) == ["1", "2", "3"]
    assert {key for key, _ in found} == {b"acme", "büro".encode()}
    assert json.dumps(lines[0]).encode() in [value for _, value in found], "byte for byte"


def test_bad_lines_are_told_by_number_and_the_others_are_sent(
    topics: Settings, bourse: Callable[..., Said], tmp_path: Path
) -> None:
    name = file_of(tmp_path, usage(1), b"not json", b"", usage(2, input_tokens=-5), usage(3, tenant=""), b"\xff\xfe", usage(4))
    said = bourse("publish", topics.topic("usage"), name)
    assert said.code == 2
    assert "published 2, acknowledged 2, failed 0, refused 4" in said.out
    for expected in ("line 2: malformed", "line 4: invalid: input_tokens: -5", "line 5: invalid: tenant", "line 6: malformed"):
        assert expected in said.err
    assert sorted(json.loads(value or b"")["id"] for _, value in held(topics, "usage")) == ["1", "4"]


def test_refusals_are_told_only_so_often(topics: Settings, bourse: Callable[..., Said], tmp_path: Path) -> None:
    said = bourse("publish", "usage", file_of(tmp_path, *[b"{"] * 50))
    assert said.code == 2
    assert said.err.count("malformed") == 20
    assert "only counted" in said.err
    assert "refused 50" in said.out


def test_raw_sends_anything_as_it_is(topics: Settings, bourse: Callable[..., Said], tmp_path: Path) -> None:
    large = b'{"tenant": "acme", "x": "' + b"x" * 5_000_000 + b'"}'
    name = file_of(tmp_path, b"not json", b"\xff\x00\xfe", usage(1, input_tokens=-1), large)
    said = bourse("publish", "usage", name, "--raw")
    assert said.code == 0, said.err
    found = held(topics, "usage")
    assert max(len(value or b"") for _, value in found) == len(large)
    assert sorted(key or b"" for key, _ in found) == [b"", b"", b"acme", b"acme"]


def test_a_line_longer_than_any_message_is_refused_in_constant_memory(
    topics: Settings, bourse: Callable[..., Said], tmp_path: Path
) -> None:
    name = file_of(tmp_path, usage(1), b"x" * (3 * MAX_MESSAGE_BYTES + 17), usage(2))
    said = bourse("publish", "usage", name, "--raw", "--json")
    assert said.code == 2
    assert (said.counts["acknowledged"], said.counts["refused"]) == (2, 1)
    assert "line 2: too_large" in said.err


def test_key_source_and_limit(topics: Settings, bourse: Callable[..., Said], tmp_path: Path) -> None:
    nameless = {name: value for name, value in usage(1).items() if name != "source"}
    name = file_of(tmp_path, nameless, usage(2, source="own"), usage(3), usage(4))
    said = bourse("publish", "usage", name, "--source", "cli", "--limit", "3", "--json")
    assert said.counts["acknowledged"] == 3
    assert sorted(json.loads(value or b"")["source"] for _, value in held(topics, "usage")) == ["cli", "own", "s"]
    said = bourse("publish", "usage", name, "--key", "another")
    assert said.code == 2
    assert "'another' differs from" in said.err


def test_commands_are_keyed_by_pool(topics: Settings, bourse: Callable[..., Said], tmp_path: Path) -> None:
    pool = {"type": "pool", "id": "c1", "pool": "p1", "capacity": 10}
    profile = {"type": "profile", "id": "c2", "pool": "p2", "tenant": "acme", "base": 1, "elasticity": "2.5"}
    assert bourse("publish", "profiles", file_of(tmp_path, pool, profile)).code == 0
    assert sorted(key or b"" for key, _ in held(topics, "profiles")) == [b"p1", b"p2"]


def test_lines_come_from_standard_input_too(topics: Settings) -> None:
    lines = b"".join(json.dumps(usage(n)).encode() + b"\n" for n in range(2_500)).rstrip(b"\n")
    done = subprocess.run(
        [sys.executable, "-m", "infra.cli", "publish", "usage", "--json"],
        input=lines,
        capture_output=True,
        check=False,
        env=os.environ,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["acknowledged"] == 2_500
    assert done.stderr == b"", "no progress bar without a terminal"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["publish", "facts"], "one of usage, latency, admissions, orders, profiles, gateways is expected"),
        (["publish", "usage", "/no/such/file"], "/no/such/file: No such file"),
        (["publish", "usage", "."], "Is a directory"),
    ],
)
def test_bad_usage(topics: Settings, bourse: Callable[..., Said], arguments: list[str], message: str) -> None:
    said = bourse(*arguments)
    assert said.code == 2
    assert message in said.err
    assert "Traceback" not in said.err


def test_a_topic_that_is_missing_and_a_broker_that_is_down(
    topics: Settings, bourse: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = file_of(tmp_path, usage(1))
    monkeypatch.setenv("BOURSE_TOPIC_PREFIX", "nowhere.")
    said = bourse("publish", "usage", name)
    assert said.code == 1
    assert "topic nowhere.usage" in said.err
    monkeypatch.setenv("BOURSE_KAFKA", "127.0.0.1:9")
    said = bourse("publish", "usage", name, "--timeout", "2")
    assert said.code == 1
    assert "Kafka does not answer" in said.err
    assert "127.0.0.1:9" in said.err
    assert "Traceback" not in said.err
