"""`bourse up`, `status`, `scale`, `down` as a user types them, on real Kafka and ClickHouse."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from infra import processes

pytestmark = pytest.mark.kafka

BOURSE = [sys.executable, "-m", "infra.cli"]


class Home:
    """A home of its own, and the commands typed there."""

    def __init__(self, directory: Path, **settings: str) -> None:
        self.directory = directory
        clean = {name: value for name, value in os.environ.items() if not name.startswith("BOURSE_")}
        self.environment = {**clean, "BOURSE_HOME": str(directory), "BOURSE_PORTS": "auto", **settings}

    def run(self, *arguments: str, code: int | None = 0, **more: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*BOURSE, *arguments], env={**self.environment, **more}, capture_output=True, text=True, timeout=240, check=False
        )
        assert "Traceback" not in done.stderr
        assert code is None or done.returncode == code, (
            f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}\n{self.logs()}"
        )
        return done

    def json(self, *arguments: str, code: int | None = 0) -> Any:
        return json.loads(self.run(*arguments, "--json", code=code).stdout)

    def process(self, name: str) -> dict[str, Any]:
        return next(each for each in self.json("status", code=None)["processes"] if each["name"] == name)

    def logs(self) -> str:
        return "\n".join(
            f"== {path.name}\n{path.read_text(errors='replace')[-1500:]}" for path in self.directory.glob("logs/*.log")
        )


@pytest.fixture
def new_home(tmp_path: Path) -> Iterator[Callable[..., Home]]:
    made: list[Home] = []

    def make(name: str = "home", **settings: str) -> Home:
        made.append(Home(tmp_path / name, **settings))
        return made[-1]

    yield make
    for home in made:
        if processes.of_home(home.directory):
            home.run("down", code=None)
        left = processes.of_home(home.directory)
        processes.stop(left, grace_s=1)
        assert not left, f"`down` left {left}"


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_stores_up_status_crash_down(new_home: Callable[..., Home]) -> None:
    home = new_home()
    assert home.run("down").stdout == "nothing runs\n"
    first = home.json("up", "--only", "kafka,clickhouse")
    assert not first["already_running"]
    status = home.json("status")
    assert {"kafka", "clickhouse", "dashboard", "processes", "topics", "pools"} <= status.keys()
    assert status["kafka"] == first["kafka"]
    assert [(each["name"], each["state"], each["restarts"]) for each in status["processes"]] == [
        ("kafka", "running", 0),
        ("clickhouse", "running", 0),
    ]
    assert status["topics"]["bourse.usage"] == {"lag": 0}, "topics were made"
    assert home.json("sql", "SELECT count() > 5 AS made FROM system.tables WHERE database = 'bourse'") == [{"made": 1}]

    # Idempotent, and additive.
    assert home.json("up", "--only", "clickhouse") == {**first, "already_running": True}

    # kill -9 of a part: started again, same address.
    victim = home.process("clickhouse")["pid"]
    os.kill(victim, signal.SIGKILL)
    until(lambda: home.process("clickhouse") | {"state": "running", "restarts": 1} == home.process("clickhouse"))
    assert home.run("sql", "SELECT 41 + 1", "--format", "TSV").stdout == "42\n"

    # kill -9 of the supervisor: nothing of the old is left beside the new, addresses stay.
    os.kill(home.json("status")["supervisor"], signal.SIGKILL)
    assert "supervisor" in home.json("status", code=1)["down"]
    again = home.json("up", "--only", "kafka,clickhouse")
    assert {**again, "already_running": False} == first
    assert len(processes.of_home(home.directory)) == 3, "the supervisor and two stores"

    # Side by side with another home.
    other = new_home("other")
    elsewhere = other.json("up", "--only", "clickhouse")
    assert elsewhere["clickhouse"] != first["clickhouse"]
    assert other.run("down").stdout == "stopped\n"
    assert home.run("sql", "SELECT 1", "-f", "TSV").stdout == "1\n"

    running = processes.of_home(home.directory)
    assert home.run("down").stdout == "stopped\n"
    assert not any(each.is_running() for each in running)
    assert home.run("down").stdout == "nothing runs\n"
    home.run("status", code=1)
    assert home.run("sql", "SELECT 1", code=1).stderr.startswith("bourse: ClickHouse at ")
    home.run("down", "--purge")
    assert not home.directory.exists()


def test_a_taken_port_is_told_with_its_holder_and_a_way_out(new_home: Callable[..., Home]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        home = new_home(BOURSE_PORTS="default", BOURSE_CLICKHOUSE_PORT=str(port))
        told = home.run("up", "--only", "clickhouse", code=1).stderr
    for part in (str(port), "clickhouse", "BOURSE_CLICKHOUSE_PORT", "--ports auto"):
        assert part in told
    if sys.platform == "linux":
        assert str(os.getpid()) in told


def test_an_altered_jar_stops_up_by_name(new_home: Callable[..., Home], tmp_path: Path) -> None:
    from infra import jars

    jars.class_path(jars.default_directory())
    copy = tmp_path / "jars"
    copy.mkdir()
    for jar in jars.locked_jars():
        os.link(jars.default_directory() / jar.name, copy / jar.name)
    (copy / "jose4j-0.9.6.jar").unlink()
    (copy / "jose4j-0.9.6.jar").write_bytes(b"not it")
    told = new_home(BOURSE_JARS=str(copy)).run("up", "--only", "kafka", code=1)
    assert "jose4j-0.9.6.jar" in told.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("up", "--only", "kafka,zookeeper"), "part 'zookeeper'"),
        (("up", "--workers", "meter=x"), "workers 'meter=x'"),
        (("up", "--ports", "any"), "setting ports = 'any'"),
        (("scale", "nobody=2"), "workers 'nobody=2'"),
        (("worker", "nobody"), "role 'nobody'"),
        (("sql", " "), "the query is empty"),
    ],
)
def test_bad_usage_is_one_line_and_code_2(new_home: Callable[..., Home], arguments: tuple[str, ...], expected: str) -> None:
    told = new_home().run(*arguments, code=2).stderr
    assert told.startswith("bourse: ")
    assert expected in told


@pytest.mark.e2e
def test_everything_up_scaled_and_down(new_home: Callable[..., Home]) -> None:
    home = new_home(BOURSE_TICK_MS="200")
    where = home.json("up")
    states = {each["name"]: each["state"] for each in home.json("status")["processes"]}
    names = ["kafka", "clickhouse", "clock-1", "meter-1", "intake-1", "engine-1", "sink-1", "planner-1", "dashboard"]
    assert states == dict.fromkeys(names, "running")
    assert where["dashboard"].startswith("http://")

    home.run("scale", "meter=2", "engine=2")
    assert {each["name"] for each in home.json("status")["processes"]} == {*names, "meter-2", "engine-2"}
    leaving = psutil.Process(home.process("meter-2")["pid"])
    home.run("scale", "meter=1")
    assert not leaving.is_running()

    until(lambda: home.json("sql", "SELECT count() > 20 AS ticks FROM journal") == [{"ticks": 1}])
    victim = home.process("engine-1")["pid"]
    os.kill(victim, signal.SIGKILL)
    until(lambda: home.process("engine-1")["restarts"] == 1 and home.process("engine-1")["state"] == "running")
    home.run("down")
