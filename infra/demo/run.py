"""The demo from start to stop."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

from infra.demo import market_view, pool_view, view
from infra.demo.engine import Engine
from infra.demo.feed import Feed
from infra.demo.plan import Plan, free_name, plan
from infra.demo.play import Play
from infra.demo.serving import keep_api_keys
from infra.demo.shared_pool import TENANTS
from infra.demo.store import DemoStore, Period
from infra.demo.traders import Trader, admitted, keep_keys, set_bots
from infra.demo.trading import NO_TRADES, Volume, met_without
from infra.run_state import supervisor
from infra.workloads import Workload
from schemas.published import Policy
from streams.client import CommandPublisher
from streams.errors import BadInput, Unavailable, UserError
from streams.settings import Settings

EXAMPLE_QUERY = "SELECT tenant, sum(used), sum(charge) / 1e9 AS credits FROM allocations GROUP BY tenant"
FRAMES_PER_S = 2
KEYS = "keys"
"""Folder of the home in which each run leaves the private keys of its traders."""
BOTS_READY_S = 60.0
"""How long the bots' settings may take until they have landed in ClickHouse."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What a user may choose; see `bourse demo --help`."""

    workload: Workload
    seed: int
    seconds: float
    period_s: int
    policy: Policy
    keep: bool


def run(choices: Choices, console: Console) -> int:
    """Runs the demo; returns its exit code: 1 if something was lost or doubled or a replay differs.

    Raises:
        UserError: a part does not start or does not answer.
    """
    settings, fresh = _settings(choices)
    console.print(f"[bold]{choices.workload.title}[/], {choices.seconds:g} s", highlight=False)
    for note in choices.workload.notes:
        console.print(f"  {note}", style="dim", markup=False, highlight=False)
    console.print(f"everything runs and keeps its data in {settings.home}", style="dim", markup=False, highlight=False)
    with _running(settings, fresh=fresh, keep=choices.keep, console=console):
        settings = Settings.load(home=settings.home, ports=settings.ports)  # the ports are known now
        return _demonstrate(settings, choices, console)


def _settings(choices: Choices) -> tuple[Settings, bool]:
    """Of a home of the demo's own, on free ports, unless the user names a home; and whether to begin with an empty one."""
    settings = Settings.load()
    own = settings.source_of("home") == "default"
    if own:
        settings = Settings.load(home=settings.home / "demo")
    running = supervisor(settings) is not None
    if not running and settings.source_of("ports") == "default":
        settings = Settings.load(home=settings.home, ports="auto")
    if choices.period_s * 1000 % settings.tick_ms:
        raise BadInput(f"--period {choices.period_s}: not a whole number of ticks of {settings.tick_ms} ms")
    return settings, own and not running


@contextmanager
def _running(settings: Settings, *, fresh: bool, keep: bool, console: Console) -> Iterator[None]:
    """The system up; stopped at the end, whatever happened."""
    if fresh and settings.home.exists():
        _bourse(settings, "down", "--purge", quiet=True)
        shutil.rmtree(settings.home / KEYS, ignore_errors=True)  # they signed for a pool that is gone
    try:
        if _bourse(settings, "up"):
            raise UserError("the system did not start")
        yield
    finally:
        if keep:
            console.print(
                f"left running; stop it with: {_environment(settings)} {_command()} down",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
        else:
            _bourse(settings, "down")


def _demonstrate(settings: Settings, choices: Choices, console: Console) -> int:
    run_id = f"demo-{time.time_ns() // 1_000_000:x}"
    engine = Engine(settings)
    pool = free_name(engine.pools())
    wanted = plan(choices.workload, pool=pool, run=run_id, period_s=choices.period_s, policy=choices.policy)
    play = Play(settings, pool=f"{pool}-gpu", run=run_id, period_s=choices.period_s, seed=choices.seed, seconds=choices.seconds)
    shared, entitled = play.commands()
    with CommandPublisher(settings) as operator:
        operator.publish(wanted.pool)
        operator.publish(shared)
        for command in (*wanted.profiles, *entitled, *admitted(wanted.traders, pool=pool, run=run_id)):
            operator.publish(command)
    with console.status(f"pools {pool} and {play.pool} hold from the next period on"):
        engine.wait_for(pool, wanted.profiles)
        engine.wait_for(play.pool, entitled)
    store = DemoStore(settings, run_id, pool)
    keys = settings.home / KEYS / run_id
    play.serving.start()
    _begin_trading(settings, store, wanted.traders, keys, console)
    with console.status("backend and gateway start"):
        keep_api_keys(play.open(), keys)
    console.print(f"gateway: {play.serving.url}/v1, in front of `bourse backend`: {play.serving.backend_url}/v1", markup=False)
    console.print(f"dashboard: {settings.dashboard_url}", markup=False)
    feed = Feed(settings, choices.workload, pool, run_id)
    try:
        feed.start()
        play.start()
        _watch(_Watched(engine, feed, store, wanted, play), console)
    finally:
        play.finish()
        usage, latency = feed.finish()
    set_bots(settings, wanted.traders, enabled=False)
    published = {"usage": usage.acknowledged, "latency": latency.acknowledged}
    counted = _count(store, published, dict(feed.tokens), play, console)
    _sum_up_trading(settings, store, wanted, console)
    if (boosts := store.boosts()).tenants:
        console.print(view.sla(boosts), markup=False, highlight=False, soft_wrap=True)
    agreed = _sum_up_token_pool(play, console)
    proved = _prove(settings, (pool, play.pool), console)
    _tell_more(settings, store, wanted.traders, keys, play, keep=choices.keep, console=console)
    return 0 if counted and agreed and proved else 1


def _begin_trading(settings: Settings, store: DemoStore, traders: tuple[Trader, ...], keys: Path, console: Console) -> None:
    """The traders' bots are set; returns when that has landed.

    Raises:
        UserError: one was refused, or it takes too long.
    """
    keep_keys(traders, keys)
    expected = set_bots(settings, traders, enabled=True)
    deadline = time.monotonic() + BOTS_READY_S
    with console.status("tenants set their bots"):
        while store.bots_set() < expected:
            if time.monotonic() > deadline:
                raise Unavailable(f"{expected} bots were set, but not all have landed in ClickHouse after {BOTS_READY_S:.0f} s")
            time.sleep(1 / FRAMES_PER_S)
    console.print(f"{len(traders)} tenants trade, by {expected} bots; what they want they have signed", highlight=False)


@dataclass(slots=True)
class _Watched:
    """What is looked at while events flow."""

    engine: Engine
    feed: Feed
    store: DemoStore
    wanted: Plan
    play: Play
    landed: int = 0
    volume: Volume = NO_TRADES

    @property
    def running(self) -> bool:
        """Whether more events come."""
        return self.feed.running or self.play.clients.running

    def new_periods(self, known: list[Period]) -> list[Period]:
        """Periods that closed and landed since."""
        return self.store.periods(known[-1].period if known else -1)

    def look(self) -> dict[str, Any] | None:
        """The pool as it is now; by what it allocates the backend serves who has an SLA."""
        pool = self.engine.pool(self.wanted.pool.pool)
        if pool is not None:
            backlog = self.feed.backlog
            for row in pool["tenants"]:
                if row["tenant"] in backlog.tenants:
                    backlog.serve(row["tenant"], row["allocated"] / pool["period_s"])
        return pool

    def told(self) -> str:
        """How far everything is."""
        return (
            f"{self.feed.requests:,} requests published as {2 * self.feed.requests:,} events, "
            f"{self.feed.acknowledged():,} acknowledged, {self.landed:,} landed in ClickHouse"
        )


def _watch(watched: _Watched, console: Console) -> None:
    """Shows the system while events flow: a live table on a terminal, else a line for each closed period."""
    periods: list[Period] = []
    with Live(console=console, auto_refresh=False, transient=False) as screen:
        goes_on = True
        while goes_on:
            goes_on = watched.running  # asked before the look: the last one sees the end
            new = watched.new_periods(periods)
            periods += new
            pool = watched.look()
            if console.is_terminal:
                watched.landed = watched.store.landed()
                watched.volume = watched.store.volume()
                how_far = (market_view.line(watched.volume), watched.told())
                token_pool = pool_view.live(*watched.play.standings(), watched.play.line())
                screen.update(
                    view.live(pool, watched.wanted.tempers, periods, how_far, beside=token_pool, height=console.height),
                    refresh=True,
                )
            else:
                for told in (*watched.play.lines(), *(view.line(period) for period in new)):
                    console.print(told, markup=False, highlight=False, soft_wrap=True)
            time.sleep(1 / FRAMES_PER_S)


def _count(store: DemoStore, events: dict[str, int], tokens: dict[str, int], play: Play, console: Console) -> bool:
    """Whether every event arrived once and every token was counted once: what the feed published, and the gateway.

    Args:
        store: of the feed's pool.
        events: of the feed that were acknowledged, by kind.
        tokens: of the feed, by tenant.
        play: the gateway's pool.
        console: where it is told.
    """
    with console.status("waiting until the last period is closed") as spinner:
        store.wait_until_landed(events, tokens, spinner.update)
        of_gateway = play.store.wait_until_settled(play.answered, spinner.update)
        arrivals, sums, accounts = [*store.arrivals(events), *of_gateway], store.sums(tokens), play.settled()
    console.print()
    console.print(view.arrivals(arrivals))
    console.print(view.sums(sums))
    console.print(pool_view.accounts(accounts))
    exact = all([row.exact for row in arrivals] + [row.exact for row in sums] + [row.exact for row in accounts])
    if not exact:
        console.print("Counts differ: something was lost or doubled.", style="bold red")
    return exact


def _sum_up_token_pool(play: Play, console: Console) -> bool:
    """Whether what landed of admission is what clients were answered."""
    rows, answered = play.store.entitlements(), play.answered
    console.print(pool_view.burst(*play.burst()))
    console.print(pool_view.entitlements(rows, answered))
    return pool_view.agrees(rows, answered)


def _sum_up_trading(settings: Settings, store: DemoStore, wanted: Plan, console: Console) -> None:
    """What was traded, and what that changed."""
    periods = store.busy_periods()
    with console.status("folding the journal again without the market"):
        without = met_without(settings, store.pool, store.partition(), periods)
    actual = store.met(periods)
    console.print(market_view.traded(store.volume(), store.traded(), wanted.traders, (without, actual)))
    console.print(market_view.changed(periods, without, actual))


def _prove(settings: Settings, pools: Iterable[str], console: Console) -> bool:
    """Whether the journal gives the published facts, and the books are right."""
    console.print("Proof by replay: the journal, folded again, compared with every published fact", style="bold")
    replayed = _bourse(settings, "replay", "--verify")
    console.print("\nAudit of the books: every posting, hold, order and trade, added up again by other code", style="bold")
    audited = [_bourse(settings, "audit", "--pool", pool) for pool in pools]
    return replayed == 0 and not any(audited)


def _tell_more(
    settings: Settings, store: DemoStore, traders: tuple[Trader, ...], keys: Path, play: Play, *, keep: bool, console: Console
) -> None:
    bourse = _command()
    again = f"the dashboard is at {settings.dashboard_url}" if keep else "starts it again and prints the dashboard's address"
    lines = [f"export {_environment(settings)}", f"{bourse} up     # {again}", f'{bourse} sql "{EXAMPLE_QUERY}"']
    if example := store.example():
        lines.append(f"{bourse} explain {store.pool} {example[0]} {example[1]}     # why it got what it got")
    lines.append(
        f"{bourse} backtest --pool {store.pool} --policy max_min --record     # another policy; the page /policies shows it"
    )
    if traders:
        tenant = traders[0].tenant
        order = f"{bourse} order sell {store.pool} +5 1000 --price 1500 --tenant {tenant} --key {_shown(keys / tenant)}.pem"
        lines.append(f"{order}     # trade as it")
    if keep:
        body = '{"model": "simulated", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 40, "stream": true}'
        key = f"$(cat {_shown(keys / TENANTS[0].name)}.key)"
        lines.append(f"curl -N {play.serving.url}/v1/chat/completions -H \"authorization: Bearer {key}\" -d '{body}'")
    console.print("\nWhere to look next (the data stay):", style="bold")
    for text in lines:
        console.print(f"  {text}", markup=False, highlight=False, soft_wrap=True)


def _environment(settings: Settings) -> str:
    """What makes a shell's `bourse` mean this home."""
    return f"BOURSE_HOME={_shown(settings.home)}" + (" BOURSE_PORTS=auto" if settings.ports == "auto" else "")


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _command() -> str:
    """This command as the user's shell finds it."""
    command = Path(sys.argv[0])
    return "bourse" if command.name != "bourse" or _on_path(command) else str(command)


def _on_path(command: Path) -> bool:
    return str(command.parent.absolute()) in os.environ.get("PATH", "").split(os.pathsep)


def _bourse(settings: Settings, *arguments: str, quiet: bool = False) -> int:
    """Another command of `bourse` on the same settings, as the user would type it."""
    return subprocess.run(  # noqa: S603  our own command
        [sys.executable, "-m", "infra.cli", *arguments],
        env={**os.environ, **settings.as_environment()},
        stdout=subprocess.DEVNULL if quiet else None,
        check=False,
    ).returncode
