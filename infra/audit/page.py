"""An audit's verdicts for a person, and for a program."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from infra.audit.checks import CHECKS
from infra.audit.verdict import Verdict
from processors.audit_lines import KEPT_FINDINGS
from schemas.ledgering import MONEY

SHOWN = 40
"""Most findings that the terminal lists."""


class Row(NamedTuple):
    """One finding: `where` in the journal, and the two numbers that should be one, nanocredits or tokens."""

    fault: str
    subject: str
    where: str
    asset: int | None
    expected: int | None
    found: int | None


def rows(verdict: Verdict) -> Iterator[Row]:
    """All findings of a pool that are listed."""
    for finding in verdict.report.findings:
        where = "" if finding.at is None else "offset {}, fact {}, row {}".format(*finding.at)
        yield Row(str(finding.fault), _plain(finding.subject), where, finding.asset, finding.expected, finding.found)
    for outcome in verdict.checks:
        for failing in outcome.listed:
            where = "" if failing.period is None else f"period {failing.period}"
            yield Row(failing.check, failing.subject, where, None, failing.expected, failing.found)
    if verdict.engine is not None:
        for each in verdict.engine.listed:
            where = f"up to offset {verdict.engine.through}"
            for what, landed, engine in zip(("balance", "held"), each.landed, each.engine, strict=True):
                if landed != engine:
                    yield Row("engine_differs", f"{each.account}, {what}", where, each.asset, landed, engine)


def show(console: Console, verdicts: list[Verdict]) -> None:
    """Prints a line for each pool, what does not hold, and what is proved."""
    table = Table(header_style="bold")
    table.add_column("pool", overflow="fold")
    for heading in ("periods to", "postings", "events", "accounts", "findings"):
        table.add_column(heading, justify="right")
    table.add_column("verdict")
    for verdict in verdicts:
        report, engine = verdict.report, verdict.engine
        compared = "–" if engine is None else f"{engine.accounts:,}"
        end = "–" if verdict.scope.last is None else str(verdict.scope.last)
        counts = (f"{report.postings:,}", f"{report.order_events:,}", compared, f"{verdict.found:,}")
        told = "[green]holds" if verdict.clean else "[bold red]does not hold"
        table.add_row(escape(verdict.scope.pool), end, *counts, told)
    console.print(table)
    for verdict in verdicts:
        if not verdict.clean:
            _show_findings(console, verdict)
    if all(verdict.clean for verdict in verdicts):
        console.print(proof(verdicts), style="bold green", markup=False, highlight=False, soft_wrap=True)


def proof(verdicts: list[Verdict]) -> str:
    """What is proved, in one line."""
    postings, events, closings = (
        sum(count)
        for count in zip(
            *((each.report.postings, each.report.order_events, each.report.checkpoints - 1) for each in verdicts), strict=True
        )
    )
    compared = [each.engine.accounts for each in verdicts if each.engine is not None]
    engine = f"; the engine's {sum(compared):,} accounts say the same" if compared else "; the engine was not asked"
    return (
        f"{postings:,} postings and {events:,} order events hold: debits equal credits, no account was overdrawn, holds equal "
        f"open orders and tokens are conserved, at every record and {closings:,} closings; trades, deliveries and allocations fit"
        f"{engine}"
    )


def _show_findings(console: Console, verdict: Verdict) -> None:
    table = Table(title=escape(f"pool {verdict.scope.pool}"), header_style="bold", title_justify="left")
    for heading in ("what", "of", "where", "asset"):
        table.add_column(heading, overflow="fold")
    for heading in ("expected", "found"):
        table.add_column(heading, justify="right")
    listed = list(rows(verdict))
    for row in listed[:SHOWN]:
        asset = "" if row.asset is None else "money" if row.asset == MONEY else f"tokens of {row.asset}"
        table.add_row(row.fault, escape(row.subject), row.where, asset, _number(row.expected), _number(row.found))
    console.print(table)
    if verdict.found > SHOWN:
        console.print(
            f"the first {min(SHOWN, len(listed)):,} of {verdict.found:,} findings; --json lists up to {KEPT_FINDINGS:,}",
            style="dim",
        )
    engine = verdict.engine
    if engine is not None and engine.differing and engine.landed_before <= engine.through:
        console.print(
            f"the engine has decided up to journal offset {engine.through}, facts below {engine.landed_before} had landed: "
            "if it is busy, what lies between may explain the difference",
            style="yellow",
        )


def as_json(verdicts: list[Verdict]) -> dict[str, Any]:
    """The verdicts as one object."""
    return {"clean": all(each.clean for each in verdicts), "pools": [_pool(each) for each in verdicts]}


def _pool(verdict: Verdict) -> dict[str, Any]:
    scope, report, engine = verdict.scope, verdict.report, verdict.engine
    return {
        "pool": scope.pool,
        "partition": scope.partition,
        "clean": verdict.clean,
        "from_period": scope.first,
        "to_period": scope.last,
        "after_offset": scope.after,
        "through_offset": scope.through,
        "postings": report.postings,
        "order_events": report.order_events,
        "closings": report.checkpoints - 1,
        "counts": {str(fault): count for fault, count in sorted(report.counts.items())}
        | {outcome.check: outcome.failing for outcome in verdict.checks if outcome.failing},
        "checks": list(CHECKS),
        "engine": None
        if engine is None
        else {
            "accounts": engine.accounts,
            "through_offset": engine.through,
            "differing": engine.differing,
            "landed_before": engine.landed_before,
        },
        "findings": [row._asdict() for row in rows(verdict)],
    }


def _plain(subject: str) -> str:
    return subject.strip("\n").replace("\n", "/")


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
