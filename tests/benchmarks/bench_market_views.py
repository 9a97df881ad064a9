"""What queries of the market's tables and views read, and how fast, of a market with `rows` order events, trades and postings.

Run alone: `python tests/benchmarks/bench_market_views.py URL`. A pool of 1,000 tenants trades 200 periods; the rows land in ten
parts of which every tenth row came twice. Rows read are ClickHouse's own count. Of what is asked of one instrument they must not
grow with the table: so of 100 million rows it reads what it reads here, times the rows of one instrument.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import uuid
from pathlib import Path

from clickhouse_connect.driver.client import Client

from streams.clickhouse import connect
from streams.settings import Settings
from streams.tables import create_tables

ROWS = 2_000_000
REPEATS = 3
TENANTS = 1_000
PERIODS = 200
PARTS = 10
INSTRUMENT = "pool = 'p' AND period = 137"
STRETCH = (
    "WHERE pool = 'p' AND journal_offset > {rows} / 2 AND journal_offset <= {rows} * 0.51 SETTINGS use_skip_indexes_if_final = 1"
)

Row = dict[str, object]

# Row n of 0, 1, 2, … of the whole market, `at` its journal offset; instruments are traded for twenty periods before they close.
_COMMON = "'p' AS pool, n AS journal_offset, 0 AS fact_index, 'f' AS topic, 0 AS partition, 0 AS record_row, {offset} AS offset"
_PERIOD = "toInt64(intDiv(n * {periods}, {rows}) + cityHash64(n) % 20)"
FILLED = {
    "orders": f"""{_COMMON}, {_PERIOD} AS period, concat('t', toString(cityHash64(intDiv(n, 3), 1) % {{tenants}})) AS tenant,
        toString(intDiv(n, 3)) AS order_id, if(n % 3 = 0, 'accepted', if(n % 3 = 1, 'rested', 'filled')) AS event,
        if(cityHash64(n, 2) % 2 = 0, 'buy', 'sell') AS side, 'limit' AS order_type, 'GTC' AS tif,
        toInt64(1000 + cityHash64(n, 3) % 100) AS price, 30 AS qty, if(n % 3 = 2, 10 * (n % 2), 30) AS open""",
    "trades": f"""{_COMMON}, {_PERIOD} AS period, fromUnixTimestamp64Milli(toInt64(n) * 20) AS time, 0 AS number,
        concat('t', toString(cityHash64(n, 4) % {{tenants}})) AS buyer,
        concat('t', toString(cityHash64(n, 5) % {{tenants}})) AS seller,
        'buy' AS taker, toInt64(1000 + cityHash64(n, 3) % 100) AS price, 20 AS qty""",
    "settlements": f"""{_COMMON}, {_PERIOD} AS period, fromUnixTimestamp64Milli(toInt64(n) * 20) AS time, 0 AS number,
        'secured' AS kind, concat('t', toString(cityHash64(n, 4) % {{tenants}})) AS buyer,
        concat('t', toString(cityHash64(n, 5) % {{tenants}})) AS seller, 20 AS tokens, 20000 AS paid, 20000 AS earned, 0 AS fees""",
    "ledger": f"""{_COMMON}, toInt64(intDiv(n * {{periods}}, {{rows}})) AS period, 'post' AS entry, 'trade' AS code, -1 AS asset,
        concat('tenant/t', toString(cityHash64(n, 4) % {{tenants}})) AS debit_account,
        concat('tenant/t', toString(cityHash64(n, 5) % {{tenants}})) AS credit_account, 20000 AS amount""",
}

ASKED = {
    "open orders of an instrument": ("orders", f"SELECT count(), sum(open) FROM open_orders WHERE {INSTRUMENT}"),
    "candles of an instrument": ("trades", f"SELECT count(), sum(volume) FROM candles WHERE {INSTRUMENT}"),
    "positions of an instrument": ("settlements", f"SELECT count(), sum(net) FROM positions WHERE {INSTRUMENT}"),
    "1 % of the journal's postings, as the audit reads them": (
        "ledger",
        f"SELECT count(), sum(amount) FROM ledger {STRETCH}",
    ),
    "1 % of the journal's order events": (
        "orders",
        f"SELECT count(), sum(open) FROM orders {STRETCH}",
    ),
    "balances of all accounts": ("ledger", "SELECT count(), sum(debits) FROM balances WHERE pool = 'p'"),
}


def run(clickhouse_url: str, rows: int = ROWS, repeats: int = REPEATS) -> list[Row]:
    """Rows of {name, value, unit, baseline, baseline_value, ratio, goal, met}."""
    database = f"bench_{uuid.uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home), clickhouse=clickhouse_url, clickhouse_database=database)
        client = connect(settings)
        try:
            create_tables(client, database)
            client.database = database
            _fill(client, rows)
            return [
                _asked(client, name, table, query.replace("{rows}", str(rows)), repeats) for name, (table, query) in ASKED.items()
            ]
        finally:
            client.command(f"DROP DATABASE IF EXISTS {database}")
            client.close()


def _fill(client: Client, rows: int) -> None:
    for name, selected in FILLED.items():
        for part in range(PARTS):
            for offset, share in (("n", ""), (f"n + {rows}", "WHERE n % 10 = 0")):  # the second copy of every tenth
                text = selected.format(rows=rows, periods=PERIODS, tenants=TENANTS, offset=offset)
                numbers = f"SELECT toInt64(number) AS n FROM numbers({part * rows // PARTS}, {rows // PARTS})"
                columns = ", ".join(each.rpartition(" AS ")[2] for each in text.replace("\n", " ").split(", ") if " AS " in each)
                client.command(
                    f"INSERT INTO {name}_landed ({columns}, landed_at) SELECT {text}, now64(3) FROM ({numbers}) {share}",
                    settings={"insert_deduplicate": 0},
                )


def _asked(client: Client, name: str, table: str, query: str, repeats: int) -> Row:
    taken, read = [], 0
    for _ in range(repeats):
        start = time.perf_counter()
        answer = client.query(query)
        taken.append(time.perf_counter() - start)
        read = int(answer.summary.get("read_rows", 0))
    whole = int(str(client.command(f"SELECT count() FROM {table}_landed")))
    return {
        "name": f"{name}: rows read",
        "value": read,
        "unit": "rows",
        "baseline": f"copies in {table}",
        "baseline_value": whole,
        "ratio": round(read / whole, 4),
        "goal": None,
        "met": None,
        "seconds": round(min(taken), 3),
    }


if __name__ == "__main__":
    json.dump(run(sys.argv[1]), sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")
