"""What must hold of a settled system, whatever has happened to it: each check says what differs."""

from __future__ import annotations

from typing import Any

from load import Ledger
from system import System

TABLES = {
    "usage_events": "tenant, source, id",
    "latency_events": "tenant, source, id",
    "allocations": "pool, period, tenant",
    "periods": "pool, period",
    "forecasts": "pool, period, tenant",
    "dead_letters": "source_topic, source_partition, source_offset",
    "pools": "pool, version",
    "profiles": "pool, tenant, version",
    "ledger": "topic, partition, offset, record_row",
    "journal": "topic, partition, offset",
}
"""Table -> what may stand in it only once."""


def differences(expected: dict[Any, Any], found: dict[Any, Any]) -> list[str]:
    """The first few keys whose values differ."""
    wrong = [key for key in sorted(expected.keys() | found.keys(), key=str) if expected.get(key) != found.get(key)]
    return [f"{key}: expected {expected.get(key)}, found {found.get(key)}" for key in wrong[:5]] + (
        [f"… {len(wrong)} in all"] if len(wrong) > 5 else []
    )


def check_exact(system: System, ledger: Ledger) -> None:
    """Produced = landed, event by event; per tenant sums equal between produced, landed and allocated; nothing stands twice."""
    for table, key in TABLES.items():
        (rows, different) = system.rows(f"SELECT count(), uniqExact({key}) FROM {table}")[0]
        assert rows == different, f"{table}: {rows} rows, {different} different ({key})"
    produced = {key: (event.pool, event.input_tokens, event.output_tokens, event.time) for key, event in ledger.usage.items()}
    landed = {
        tuple(row[:3]): tuple(row[3:])
        for row in system.rows(
            "SELECT tenant, source, id, pool, input_tokens, output_tokens, toUnixTimestamp64Milli(time) FROM usage_events"
        )
    }
    assert not (wrong := differences(produced, landed)), wrong
    latencies = {key: event.latency_ms for key, event in ledger.latency.items()}
    found = {tuple(row[:3]): row[3] for row in system.rows("SELECT tenant, source, id, latency_ms FROM latency_events")}
    assert not (wrong := differences(latencies, found)), wrong
    pools = {row[0] for row in system.rows("SELECT DISTINCT pool FROM pools")}
    sums = {
        (row[0], row[1]): (row[2], row[3])
        for row in system.rows(
            "SELECT pool, tenant, sum(used), sum(requests) FROM allocations GROUP BY 1, 2 HAVING sum(requests) > 0"
        )
    }
    requests = ledger.counts()
    expected = {key: (tokens, requests[key]) for key, tokens in ledger.tokens(pools=pools).items()}
    assert not (wrong := differences(expected, sums)), wrong


def check_periods(system: System) -> None:
    """`periods` says the same as the `allocations` under it. The last ones may be landing just now, one table after the other."""
    through = {row[0]: row[1] - 3 for row in system.rows("SELECT pool, max(period) FROM periods GROUP BY pool")}

    def landed(query: str) -> dict[Any, Any]:
        return {tuple(row[:2]): tuple(row[2:]) for row in system.rows(query) if row[1] <= through[row[0]]}

    of_periods = landed("SELECT pool, period, used, tenants FROM periods WHERE tenants > 0")
    of_rows = landed("SELECT pool, period, sum(used), count() FROM allocations GROUP BY pool, period")
    assert not (wrong := differences(of_periods, of_rows)), wrong


def check_replay(system: System) -> None:
    """The journal, folded again, gives the recorded facts byte for byte."""
    for verdict in system.replay():
        assert verdict.difference is None, verdict
        # The engine is still at work: facts of the last records may be on their way, not those of a whole period.
        assert verdict.unpublished < 200, verdict


def check_all(system: System, ledger: Ledger) -> None:
    """Everything above."""
    check_exact(system, ledger)
    check_periods(system)
    check_replay(system)
