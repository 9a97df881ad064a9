"""What a running system keeps in `BOURSE_HOME/run`: ports, what shall run, how it is. Written whole or not at all."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from infra import processes
from streams.errors import UserError
from streams.settings import Settings

PARTS = ("kafka", "clickhouse", "clock", "meter", "intake", "engine", "sink", "planner", "dashboard")
ROLES = ("clock", "meter", "intake", "engine", "sink", "planner")
ALONE = ("clock", "planner")
"""Of which one works, whoever owns the one partition of `clock`: further ones only stand by."""


@dataclass(frozen=True)
class Beside:
    """A command of `bourse` that runs beside the parts, supervised as they are.

    Attributes:
        arguments: of `bourse`.
        ready: address that answers 200 when it works.
    """

    arguments: tuple[str, ...]
    ready: str


@dataclass(frozen=True)
class Desired:
    """What shall run.

    Attributes:
        parts: of `PARTS`.
        workers: role -> how many processes.
        asked: grows with each `up`: parts that were given up are tried again.
        beside: name -> what runs besides, until `down`.
    """

    parts: tuple[str, ...] = PARTS
    workers: Mapping[str, int] = field(default_factory=dict)
    asked: int = 0
    beside: Mapping[str, Beside] = field(default_factory=dict)

    @classmethod
    def read(cls, settings: Settings) -> Desired | None:
        """What was last asked for; None if nothing was."""
        kept = _read(settings.run_dir / "desired.json")
        if kept is None:
            return None
        beside = {name: Beside(tuple(each["arguments"]), each["ready"]) for name, each in kept.get("beside", {}).items()}
        return cls(tuple(kept["parts"]), kept["workers"], kept["asked"], beside)

    def write(self, settings: Settings) -> None:
        """Ask for it: the supervisor looks several times a second."""
        _write(settings.run_dir / "desired.json", asdict(self))

    def names(self) -> list[str]:
        """Of all processes, in the order in which they are shown: a worker is its role and a number."""
        parts = [
            name
            for part in PARTS
            if part in self.parts
            for name in ([f"{part}-{n + 1}" for n in range(self.workers.get(part, 1))] if part in ROLES else [part])
        ]
        return [*parts, *self.beside]


@dataclass(frozen=True)
class Seen:
    """How the supervisor last saw the system.

    Attributes:
        processes: each with `name`, `pid`, `state`, `restarts`, `reason`.
        setup: step (`topics`, `tables`) -> why it is not done yet; absent when done.
        stopping: it is on its way down.
    """

    processes: list[dict[str, Any]]
    setup: dict[str, str]
    stopping: bool = False

    @classmethod
    def read(cls, settings: Settings) -> Seen | None:
        """None if no supervisor ever ran here."""
        kept = _read(settings.run_dir / "status.json")
        return cls(**kept) if kept else None

    def write(self, settings: Settings) -> None:
        """For `status` and `up`."""
        _write(settings.run_dir / "status.json", asdict(self))


def supervisor_file(settings: Settings) -> Path:
    """Where the supervisor says which process it is."""
    return settings.run_dir / "supervisor.pid"


def supervisor(settings: Settings) -> processes.Identity | None:
    """The running supervisor of this home; None if there is none."""
    identity = processes.Identity.read(supervisor_file(settings))
    return identity if identity and identity.process else None


def run_beside(settings: Settings, beside: Mapping[str, Beside]) -> None:
    """Ask for these commands, besides what runs; the supervisor starts them within a second.

    Raises:
        UserError: nothing runs here.
    """
    with one_command_at_a_time(settings):
        before = Desired.read(settings)
        if supervisor(settings) is None or before is None:
            raise UserError("nothing runs: bourse up")
        replace(before, beside={**before.beside, **beside}).write(settings)


@contextmanager
def one_command_at_a_time(settings: Settings) -> Iterator[None]:
    """`up`, `down` and `scale` of one home wait for each other."""
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    with (settings.run_dir / "command.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def choose_ports(settings: Settings, names: list[str]) -> dict[str, int]:
    """Ports for these processes, kept in `state.json` so that clients survive a restart.

    Raises:
        UserError: a port that was asked for is taken; names it, who has it, and how to choose others.
    """
    state = _read(settings.run_dir / "state.json") or {}
    kept: dict[str, int] = state.get("ports", {}) if state.get("mode") == settings.ports else {}
    chosen: dict[str, int] = {}
    for name in names:
        if name == "kafka":
            chosen["kafka-controller"] = _free(kept.get("kafka-controller"), settings.host, chosen)
        asked = _asked(settings, name)
        if asked is None:
            continue
        chosen[name] = asked if settings.ports == "default" else _free(kept.get(name), settings.host, chosen)
        if settings.ports == "default":
            _check(settings, name, asked)
    _write(settings.run_dir / "state.json", {"mode": settings.ports, "ports": {**kept, **chosen}})
    return chosen


def _asked(settings: Settings, name: str) -> int | None:
    if name.startswith("engine-"):
        return settings.engine_web_port + int(name.rpartition("-")[2]) - 1
    return {
        "kafka": None if settings.kafka else settings.kafka_port,
        "clickhouse": None if settings.clickhouse else settings.clickhouse_port,
        "dashboard": settings.dashboard_port,
    }.get(name)


def _free(kept: int | None, host: str, chosen: Mapping[str, int]) -> int:
    if kept is not None and kept not in chosen.values() and processes.port_is_free(kept, host):
        return kept
    port = processes.free_port(host)
    while port in chosen.values():
        port = processes.free_port(host)
    return port


def _check(settings: Settings, name: str, port: int) -> None:
    if processes.port_is_free(port, settings.host):
        return
    setting = "engine_web_port" if name.startswith("engine") else f"{name}_port"
    holder = processes.listener(port)
    by = f" by {holder}" if holder else ""
    raise UserError(
        f"port {port}, which {name} needs, is taken{by}. Choose another with BOURSE_{setting.upper()}=…, "
        "or let free ones be chosen: bourse up --ports auto"
    )


def _read(path: Path) -> dict[str, Any] | None:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return kept if isinstance(kept, dict) else None


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    arriving = path.with_suffix(".arriving")
    arriving.write_text(json.dumps(content, indent=1), encoding="utf-8")
    arriving.replace(path)
