"""`bourse up`: start what is not running, wait until it is ready, say where it is."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from infra import jars, processes
from infra.parts import parts_of
from infra.run_state import ALONE, PARTS, ROLES, Desired, Seen, choose_ports, one_command_at_a_time, supervisor, supervisor_file
from infra.supervised import State
from streams.errors import BadInput, UserError
from streams.settings import Settings

LOOK_EVERY_S = 0.05


def up(
    ports: Annotated[str | None, typer.Option(help="default, or auto: free ones, kept for the next start.")] = None,
    only: Annotated[str | None, typer.Option(help=f"Parts to start, separated by commas: {', '.join(PARTS)}.")] = None,
    workers: Annotated[str | None, typer.Option(help="Processes per role, such as meter=2,engine=3.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Start what is not running: broker, ClickHouse, processors, dashboard. They go on when the terminal closes."""
    settings = Settings.load(ports=ports)
    console = Console(stderr=True)
    with one_command_at_a_time(settings):
        already = supervisor(settings) is not None and not _is_stopping(settings)
        desired = _desired(settings, only, workers, already=already)
        if already:
            _add(settings, desired)
        else:
            _start(settings, desired, console)
        _wait(settings, desired, console, already=already)
    _tell(settings, already=already, as_json=as_json)


def counts(text: str | None) -> dict[str, int]:
    """`meter=2,engine=3` as numbers.

    Raises:
        BadInput: no such role, or no such number.
    """
    found: dict[str, int] = {}
    for item in (text or "").replace(" ", ",").split(","):
        role, _, number = item.partition("=")
        if not item:
            continue
        if role not in ROLES or not number.isdigit():
            raise BadInput(f"workers {item!r}: role=number is expected, a role being one of {', '.join(ROLES)}")
        found[role] = int(number)
    return found


def _desired(settings: Settings, only: str | None, workers: str | None, *, already: bool) -> Desired:
    named = tuple(part.strip() for part in only.split(",")) if only else PARTS
    for part in named:
        if part not in PARTS:
            raise BadInput(f"part {part!r}: one of {', '.join(PARTS)} is expected")
    before = Desired.read(settings) if already else None
    from_settings = {role: getattr(settings, f"{role}_workers") for role in ROLES if role not in ALONE}
    kept: Mapping[str, int] = before.workers if before else from_settings
    parts = tuple(part for part in PARTS if part in named or (before and part in before.parts))
    beside = before.beside if before else {}
    return Desired(parts, {**kept, **counts(workers)}, before.asked + 1 if before else 1, beside)


def _is_stopping(settings: Settings) -> bool:
    """True if there is a supervisor on its way down; waits until it has gone."""
    seen = Seen.read(settings)
    running = supervisor(settings)
    if seen is None or not seen.stopping or running is None:
        return False
    deadline = time.monotonic() + 2 * settings.stop_grace.total_seconds() + 5
    while supervisor(settings) is not None and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY_S)
    return True


def _start(settings: Settings, desired: Desired, console: Console) -> None:
    # What a killed supervisor left would hold the ports.
    processes.stop(processes.of_home(settings.home), grace_s=settings.stop_grace.total_seconds())
    choose_ports(settings, desired.names())
    if "kafka" in desired.parts and settings.kafka is None:
        directory = settings.jars or jars.default_directory()
        if lacking := jars.missing(directory):
            console.print(f"fetching Apache Kafka {jars.KAFKA_VERSION}, once: {len(lacking)} files, 45 MB at most", markup=False)
        jars.class_path(directory)
    desired.write(settings)
    Seen([], {}).write(settings)
    started = processes.start(
        [sys.executable, "-m", "infra.supervisor"],
        log=settings.log_dir / "supervisor.log",
        environment={**settings.as_environment(), processes.PART_MARK: "supervisor"},
        dies_with_parent=False,
        own_session=True,
    )
    # Known from its first moment: importing takes a second, in which `down` may come.
    if identity := processes.Identity.of(started.pid):
        identity.write(supervisor_file(settings))


def _add(settings: Settings, desired: Desired) -> None:
    before = Desired.read(settings)
    there = before.names() if before else []
    choose_ports(settings, [name for name in desired.names() if name not in there])
    desired.write(settings)


def _wait(settings: Settings, desired: Desired, console: Console, *, already: bool) -> None:
    """Until everything is ready, telling what is.

    Raises:
        UserError: something was given up, the supervisor ended, or it takes too long.
    """
    expected = {part.name for part in parts_of(settings, desired)}
    began = time.monotonic()
    told: set[str] = set()
    with console.status("starting") as spinner:
        while True:
            seen = Seen.read(settings) or Seen([], {})
            states: dict[str, dict[str, Any]] = {each["name"]: each for each in seen.processes if each["name"] in expected}
            ready = {name for name, each in states.items() if each["state"] == State.RUNNING}
            for name in sorted(ready - told):
                if not already:
                    console.print(f"{name} ready after {time.monotonic() - began:.1f} s", markup=False, highlight=False)
            told |= ready
            if ready == expected:
                return
            spinner.update(f"waiting for {', '.join(sorted(expected - ready))}")
            failed = {name: each["reason"] for name, each in states.items() if each["state"] == State.FAILED}
            _raise_if_in_vain(settings, failed, expected - ready, seen, time.monotonic() - began)
            time.sleep(LOOK_EVERY_S)


def _raise_if_in_vain(settings: Settings, failed: Mapping[str, str], lacking: set[str], seen: Seen, waited_s: float) -> None:
    logs = f"logs are in {settings.log_dir}"
    if failed:
        raise UserError("; ".join(f"{name}: {reason}" for name, reason in failed.items()) + f"; {logs}")
    if supervisor(settings) is None:
        raise UserError(f"the supervisor ended; {logs}")
    if waited_s > settings.ready_timeout.total_seconds():
        setup = "".join(f"; {step}: {reason}" for step, reason in seen.setup.items())
        raise UserError(f"not ready after {waited_s:.0f} s: {', '.join(sorted(lacking))}{setup}; {logs}")


def _tell(settings: Settings, *, already: bool, as_json: bool) -> None:
    where = {
        "kafka": settings.kafka_bootstrap,
        "clickhouse": settings.shown("clickhouse") or settings.clickhouse_url,
        "dashboard": settings.dashboard_url,
        "engine": settings.engine_web_url(),
        "home": str(settings.home),
    }
    if as_json:
        typer.echo(json.dumps({**where, "already_running": already}))
        return
    table = Table(show_header=False, title="already running" if already else "running", title_justify="left")
    for part, address in where.items():
        table.add_row(part, address)
    Console().print(table)
