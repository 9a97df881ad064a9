"""`bourse status`: what runs, how far behind it is, which periods were closed last, which forecasts were bad yesterday."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from confluent_kafka import KafkaException
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from infra.broker import broker_answers
from infra.clickhouse_rows import rows
from infra.embedded import clickhouse_answers, get
from infra.lag import lags
from infra.run_state import Desired, Seen, supervisor
from infra.supervised import State
from infra.worse_forecasts import worse_forecasts
from streams.asking import patiently
from streams.planner_note import PlannerNote
from streams.settings import Settings

ANSWER_S = 3.0


def status(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Show processes, lag per topic and the last closed period of each pool. Exit code 1 if something is down."""
    settings = Settings.load()
    seen = look(settings)
    if as_json:
        typer.echo(json.dumps(seen, indent=2))
    else:
        _show(seen, Console())
    raise typer.Exit(1 if seen["down"] else 0)


def look(settings: Settings) -> dict[str, Any]:
    """The system as one object: the interface's keys, and `down`: what is not as it should be."""
    running, note = supervisor(settings), PlannerNote.read(settings)
    listed = _processes(settings, supervised=running is not None)
    kafka_answers = broker_answers(settings.kafka_client_config(), timeout_s=ANSWER_S)
    store_answers = clickhouse_answers(settings.clickhouse_url, timeout_s=ANSWER_S)
    down = [each["name"] for each in listed if each["state"] != State.RUNNING]
    down += [] if kafka_answers or "kafka" in down else ["kafka"]
    down += [] if store_answers or "clickhouse" in down else ["clickhouse"]
    down += [] if running is not None else ["supervisor"]
    return {
        "kafka": settings.kafka_bootstrap,
        "clickhouse": settings.shown("clickhouse") or settings.clickhouse_url,
        "dashboard": settings.dashboard_url,
        "home": str(settings.home),
        "supervisor": running.pid if running else None,
        "processes": listed,
        "topics": {name: {"lag": lag} for name, lag in _lags(settings).items()} if kafka_answers else {},
        "pools": _pools(settings, listed, store_answers=store_answers),
        "planner": None if note is None else asdict(note),
        "worse_forecasts": worse_forecasts(settings, timeout_s=ANSWER_S) if store_answers else [],
        "down": down,
    }


def _processes(settings: Settings, *, supervised: bool) -> list[dict[str, Any]]:
    seen, desired = Seen.read(settings), Desired.read(settings)
    if supervised and seen is not None:
        return seen.processes
    names = desired.names() if desired else []
    if settings.kafka:
        names = [name for name in names if name != "kafka"]
    if settings.clickhouse:
        names = [name for name in names if name != "clickhouse"]
    return [{"name": name, "pid": None, "state": str(State.STOPPED), "restarts": 0, "reason": ""} for name in names]


def _lags(settings: Settings) -> dict[str, int]:
    try:
        return patiently(lambda: lags(settings))
    except KafkaException:  # it went between two questions; that it is down is told elsewhere
        return {}


def _pools(settings: Settings, listed: list[dict[str, Any]], *, store_answers: bool) -> dict[str, Any]:
    """From the engines, which know best; what they don't know (they are down, or run elsewhere) from ClickHouse."""
    pools = _pools_in_clickhouse(settings) if store_answers else {}
    engines = [each["name"] for each in listed if each["name"].startswith("engine-") and each["state"] == State.RUNNING]
    for name in engines:
        answer = get(f"{settings.engine_web_url(int(name.rpartition('-')[2]))}/pools", timeout_s=ANSWER_S)
        if answer is not None and answer.is_success:  # else it is starting, or busy
            pools |= answer.json()
    return pools


def _pools_in_clickhouse(settings: Settings) -> dict[str, Any]:
    sql = (
        "SELECT pool, max(p.period) AS period, toUnixTimestamp64Milli(argMax(p.period_start, p.period)) AS period_start, "
        "argMax(p.closed_tick, p.period) * {tick_ms:Int64} AS closed_at FROM periods AS p GROUP BY pool"
    )
    found = rows(settings, sql, timeout_s=ANSWER_S, tick_ms=str(settings.tick_ms)) or []
    return {row.pop("pool"): row for row in found}


def _show(seen: Mapping[str, Any], console: Console) -> None:
    table = Table("process", "pid", "state", "restarts", "", header_style="bold")
    for each in seen["processes"]:
        style = {State.RUNNING: None, State.FAILED: "red"}.get(each["state"], "yellow")
        table.add_row(each["name"], str(each["pid"] or ""), each["state"], str(each["restarts"]), each["reason"], style=style)
    console.print(table)
    if seen["topics"]:
        table = Table("topic", "lag", header_style="bold")
        for name, topic in seen["topics"].items():
            table.add_row(name, f"{topic['lag']:,}")
        console.print(table)
    if seen["pools"]:
        table = Table("pool", "last closed period", "began", "closed", header_style="bold")
        for name, pool in sorted(seen["pools"].items()):
            period = pool.get("period")
            table.add_row(
                name, "–" if period is None else str(period), _time(pool.get("period_start")), _time(pool.get("closed_at"))
            )
        console.print(table)
    if seen["planner"]:
        console.print(_planner(PlannerNote(**seen["planner"])), markup=False, highlight=False)
    if seen["worse_forecasts"]:
        console.print(_worse_forecasts(seen["worse_forecasts"]))
    for part in ("kafka", "clickhouse", "dashboard"):
        console.print(f"{part}: {seen[part]}", markup=False, highlight=False)
    if seen["down"]:
        console.print(f"down: {', '.join(seen['down'])}", style="red", markup=False)


def _planner(note: PlannerNote) -> str:
    if note.waiting_since is not None:
        return f"planner: waits for ClickHouse since {_time(note.waiting_since)}"
    if not note.planned:
        return "planner: no hour has closed yet"
    ends = sorted(note.planned.values())
    first, last = _time(ends[0]), _time(ends[-1])
    history = first if first == last else f"{first} … {last}"
    pools = "1 pool" if len(ends) == 1 else f"{len(ends)} pools"
    return f"planner: planned {pools} at {_time(note.noted_at)}, from history up to {history}"


def _worse_forecasts(found: Sequence[Mapping[str, Any]]) -> Table:
    title = f"forecasts that were worse than the last value on {found[0]['day']}"
    table = Table("pool", "tenant", "forecaster", "error", "the last value's", title=title, header_style="bold")
    for row in found:
        errors = ("–" if row[name] is None else f"{row[name]:.1%}" for name in ("wape", "last_value_wape"))
        table.add_row(escape(row["pool"]), escape(row["tenant"] or "all of them"), row["forecaster"], *errors, style="yellow")
    return table


def _time(epoch_ms: int | None) -> str:
    return "–" if epoch_ms is None else datetime.fromtimestamp(epoch_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
