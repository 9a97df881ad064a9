"""What the demo shows of its token pool: who is admitted and how long it takes, while it runs; at the end what tiers came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from infra.demo.accounts import Account
from infra.demo.clients import Answered
from infra.demo.pool_store import Entitlement, Standing
from infra.demo.shared_pool import TENANTS, Entitled
from infra.demo.view import NARROW, mark
from schemas.published import Tier

HELD = 1.3
"""The experiment's goal: a P99 of at most so many times what it was before."""
NOTHING = Standing()
THROTTLED = (Tier.SPOT, Tier.PREEMPTIBLE)
PROMISED = (Tier.DEDICATED, Tier.GUARANTEED)


def line(answered: Mapping[str, Answered], in_flight: int, act: str) -> str:
    """The token pool now, as its clients see it."""
    admitted = sum(each.admitted for each in answered.values())
    refused = sum(each.refused.total() for each in answered.values())
    stopped = sum(each.stopped for each in answered.values())
    told = f"token pool: {admitted:,} served, {refused:,} refused, {stopped:,} stopped, {in_flight:,} running"
    return f"{told}; {act}" if act else told


def live(now: Mapping[str, Standing], calm: Mapping[str, Standing], told: str) -> RenderableType:
    """A line for each tenant: what the gateway did with it in the act that is on, and how long its requests took, seconds.

    Beside P99 and the P99 to the first token stand those of the act before the burst.

    Args:
        now: of the act that is on.
        calm: of the act before the burst.
        told: the pool's line.
    """
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", **{**NARROW, "padding": 0})
    table.add_column("tenant", no_wrap=True)
    table.add_column("tier", no_wrap=True, style="dim")
    for name in ("admitted", "own", "tokens", "blocks", "slots", "stopped", "P50 s", "P99 s", "calm", "SLA", "first", "calm"):
        table.add_column(name, justify="right", no_wrap=True)
    for tenant in TENANTS:
        standing, before = now.get(tenant.name, NOTHING), calm.get(tenant.name, NOTHING)
        table.add_row(
            Text(tenant.name),
            tenant.tier,
            *(_count(n) for n in (standing.admitted, standing.own, *standing.pool, standing.stopped)),
            _s(standing.p50),
            _held(standing.p99, tenant.sla_ms),
            *(_s(found) for found in (before.p99, tenant.sla_ms, standing.first_p99, before.first_p99)),
        )
    return Group(Text(told), table)


def burst(calm: Mapping[str, Standing], loud: Mapping[str, Standing]) -> Group:
    """What the burst did to everybody.

    Args:
        calm: by tenant, before it.
        loud: by tenant, in it.
    """
    table = Table(box=box.SIMPLE_HEAD, **NARROW)
    table.add_column("tenant")
    table.add_column("tier", style="dim")
    for name in ("refused", "P50 before", "in it", "P99 before", "in it", "", "first P99", "in it"):
        table.add_column(name, justify="right")
    for tenant in TENANTS:
        before, within = calm.get(tenant.name, NOTHING), loud.get(tenant.name, NOTHING)
        table.add_row(
            Text(tenant.name),
            tenant.tier,
            "" if within.refused_share is None else f"{within.refused_share:.0%}",
            *(_ms(found) for found in (before.p50, within.p50, before.p99, within.p99)),
            _times(before.p99, within.p99),
            *(_ms(found) for found in (before.first_p99, within.first_p99)),
        )
    return Group(
        Text("What the burst changed: the second act beside the first", style="italic"),
        Text(
            "Milliseconds to the last token, and of streams to the first, as the gateway measured them. Tenants of\n"
            "the first three tiers asked the very same requests in both acts.",
            style="dim",
        ),
        table,
        *(Text(told) for told in told_of_burst(calm, loud)),
        Text(),
    )


def told_of_burst(calm: Mapping[str, Standing], loud: Mapping[str, Standing]) -> list[str]:
    """A line for each tenant that is promised something, and one for those that are not."""
    lines = []
    for tenant in _of(PROMISED):
        before, within = calm.get(tenant.name, NOTHING), loud.get(tenant.name, NOTHING)
        if before.p99 and within.p99:
            lines.append(
                f"{tenant.name} ({tenant.tier}): P99 {within.p99:,} ms in the burst, {before.p99:,} ms before: "
                f"{within.p99 / before.p99:.2f}×; {_share(within.refused_share)} of its requests refused"
            )
    for tenant in _of(THROTTLED):
        within = loud.get(tenant.name, NOTHING)
        if within.refused_share is not None:
            stopped = f", {within.stopped:,} stopped" if within.stopped else ""
            lines.append(f"{tenant.name} ({tenant.tier}): {_share(within.refused_share)} of its requests refused{stopped}")
    return lines


def entitlements(rows: Sequence[Entitlement], answered: Mapping[str, Answered]) -> Group:
    """A line for each tenant.

    Args:
        rows: from ClickHouse.
        answered: by tenant, as its clients counted.
    """
    table = Table(box=box.SIMPLE_HEAD, **{**NARROW, "padding": 0})
    table.add_column("tenant")
    table.add_column("tier", style="dim")
    for name in ("admitted", "stopped", "own", "tokens", "blocks", "slots", "debt", "now"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            Text(row.tenant),
            row.tier,
            *(_count(n) for n in (row.admitted, row.stopped, row.own, *row.pool)),
            *(f"{n:+,}" if n else "" for n in (max(row.most_owed, row.most_owing, key=abs), row.owed)),
        )
    return Group(
        Text("The token pool of this run, from ClickHouse", style="italic"),
        Text(
            "Requests that were admitted, stopped for others, and refused: by the tenant's\n"
            "own limit, or as the pool had no tokens, KV-cache blocks or slots for its tier.\n"
            "Debt, at its most and now: tokens that it is owed; below 0, that it owes.",
            style="dim",
        ),
        table,
        Text("  Clients were answered the same: ", style="dim").append_text(mark(agrees(rows, answered))),
        *(Text(f"  {tenant}: {count:,} requests failed: {code}", style="bold red") for tenant, code, count in _failed(answered)),
        Text(),
    )


def agrees(rows: Sequence[Entitlement], answered: Mapping[str, Answered]) -> bool:
    """Whether what landed is what clients were answered, and nothing failed."""
    reported = {row.tenant: (row.admitted, row.refused, row.stopped) for row in rows}
    told = {tenant: (each.admitted, each.refused.total(), each.stopped) for tenant, each in answered.items()}
    return reported == told and not _failed(answered)


def accounts(rows: Sequence[Account]) -> Group:
    """Tokens of each tenant, as the backend counted them and as they landed."""
    table = Table(box=box.SIMPLE_HEAD, **NARROW)
    table.add_column("tenant")
    for name in ("requests", "backend", "landed", "stopped", "made", "paid", "in periods", ""):
        table.add_column(name, justify="right")
    for row in rows:
        stopped = (row.stopped, row.stopped_made, row.stopped_paid) if row.stopped else (0, 0, 0)
        table.add_row(
            Text(row.tenant or "nobody's"),
            *(f"{n:,}" for n in (row.requests, row.made, row.landed)),
            *(_count(n) for n in stopped),
            f"{row.counted:,}",
            mark(row.exact),
        )
    return Group(
        Text("Tokens of the token pool, as the backend counted them itself and as they landed", style="italic"),
        Text(
            "Compared request by request. Of those that were stopped their output: who is stopped pays for what came\n"
            "through, and the backend makes a few tokens more until it hears of it (at most what was reserved).",
            style="dim",
        ),
        table,
    )


def _of(tiers: Sequence[Tier]) -> list[Entitled]:
    return [tenant for tenant in TENANTS if tenant.tier in tiers]


def _failed(answered: Mapping[str, Answered]) -> list[tuple[str, str, int]]:
    return [(tenant, code, count) for tenant, each in answered.items() for code, count in each.failed.items()]


def _held(p99: int | None, sla_ms: int | None) -> Text:
    return Text(_s(p99), style="" if p99 is None or sla_ms is None else "green" if p99 <= sla_ms else "bold red")


def _times(before: int | None, within: int | None) -> Text:
    if not before or within is None:
        return Text("")
    return Text(f"{within / before:.2f}×", style="green" if within <= HELD * before else "yellow")


def _share(part: float | None) -> str:
    return "none" if not part else f"{part:.0%}"


def _s(ms: int | None) -> str:
    return "" if ms is None else f"{ms / 1000:.2f}"


def _ms(found: int | None) -> str:
    return "" if found is None else f"{found:,}"


def _count(requests: int) -> str:
    return f"{requests:,}" if requests else ""
