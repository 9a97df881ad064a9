"""Speed and memory of the ledger and of its auditor.

Run alone: `python tests/benchmarks/bench_ledger.py`. Times are processor seconds of one thread, the best of a few runs. The
baseline of judging and recording adds the same rows up in a dict and asks nothing.
"""

import gc
import json
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from processors.audit_lines import Checkpoint, OrderLine, PostingLine
from processors.auditor import Auditor
from processors.ledger import Ledger, PostingRow, judge, record
from schemas.ledgering import MONEY, Code, Entry

PERIOD = 7
BATCHES = 5_000


def run(tenants: int = 100_000, events: int = 1_000_000, repeats: int = 5) -> list[dict[str, object]]:
    """Rows of {name, value, unit, baseline, baseline_value, ratio, goal, met}. `events`: resting orders."""
    return [*_order_rows(repeats), *_memory_rows(tenants, events), *_audit_rows(tenants)]


def tenant(number: int) -> str:
    """An account's owner, as facts that were read name it: a string of its own each time."""
    return f"tenant/acme-{number:07}"


def deposit(number: int) -> PostingRow:
    return PostingRow(Entry.POST, Code.DEPOSIT, MONEY, "", "bank", tenant(number), 10**12)


def hold(number: int, owner: int) -> PostingRow:
    return PostingRow(Entry.HOLD, Code.ORDER, MONEY, f"{PERIOD}\nacme-{owner:07}\no{number}", tenant(owner), "", 10**5)


def order(buyer: str, seller: str) -> list[PostingRow]:
    """A buy that takes from a resting sell: hold, trade, fee, delivery, the seller's next grant, the rest of the hold."""
    return [
        PostingRow(Entry.HOLD, Code.ORDER, MONEY, "buy", buyer, "", 5_000),
        PostingRow(Entry.CAPTURE, Code.TRADE, MONEY, "buy", buyer, seller, 4_000),
        PostingRow(Entry.CAPTURE, Code.FEE, MONEY, "buy", buyer, "operator", 10),
        PostingRow(Entry.CAPTURE, Code.TRADE, PERIOD, "sell", seller, buyer, 10),
        PostingRow(Entry.POST, Code.GRANT, PERIOD, "", "pool", seller, 10),
        PostingRow(Entry.VOID, Code.ORDER, MONEY, "buy", buyer, "", 990),
    ]


def _order_rows(repeats: int) -> Iterator[dict[str, object]]:
    ledger = Ledger()
    record(ledger, [deposit(number) for number in range(1_000)])
    seller = tenant(1)
    record(ledger, [PostingRow(Entry.POST, Code.GRANT, PERIOD, "", "pool", seller, 10**9)])
    record(ledger, [PostingRow(Entry.HOLD, Code.ORDER, PERIOD, "sell", seller, "", 10**9)])
    rows = order(tenant(2), seller)
    sums: dict[tuple[int, str], int] = {}
    plain = _best_us(lambda: _add_up(sums, rows), repeats)
    yield _row("judge an order's six linked rows", _best_us(lambda: judge(ledger, rows), repeats), "µs", ("adding them up", plain))
    yield _row("record them", _best_us(lambda: record(ledger, rows), repeats), "µs", ("adding them up", plain))


def _add_up(sums: dict[tuple[int, str], int], rows: list[PostingRow]) -> None:
    for _, _, asset, _, debit, credit, amount in rows:
        sums[asset, debit] = sums.get((asset, debit), 0) - amount
        sums[asset, credit] = sums.get((asset, credit), 0) + amount


def _best_us(work: Callable[[], object], repeats: int) -> float:
    best = float("inf")
    for _ in range(repeats):
        began = time.process_time()
        for _ in range(BATCHES):
            work()
        best = min(best, time.process_time() - began)
    return best / BATCHES * 1e6


def _memory_rows(tenants: int, orders: int) -> Iterator[dict[str, object]]:
    tracemalloc.start()
    try:
        ledger, sums = Ledger(), dict[tuple[int, str], int]()
        plain = _bytes_of(lambda number: sums.update({(MONEY, tenant(number)): number << 40}), tenants)
        account = _bytes_of(lambda number: record(ledger, [deposit(number)]), tenants)
        yield _row(f"an account, of {tenants:,}", account, "bytes", ("a dict of integers", plain))
        ids: dict[str, int] = {}
        plain = _bytes_of(lambda number: ids.update({hold(number, number % tenants).hold: number << 40}), orders)
        held = _bytes_of(lambda number: record(ledger, [hold(number, number % tenants)]), orders)
        yield _row(f"a hold with its id, of {orders:,}", held, "bytes", ("a dict of integers", plain))
    finally:
        tracemalloc.stop()


def _bytes_of(make: Callable[[int], object], many: int) -> float:
    """Memory that each of many keeps."""
    gc.collect()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(many):
        make(number)
    gc.collect()
    return (tracemalloc.get_traced_memory()[0] - before) / many


def lines(tenants: int) -> Iterator[PostingLine | OrderLine]:
    """Everybody pays in and has one resting order."""
    for number in range(tenants):
        key = hold(number, number)
        yield PostingLine(*deposit(number), (2 * number, 0, 0))
        yield OrderLine("accepted", key.hold, key.debit, PERIOD, "buy", 1_000, 100, 100, 0, (2 * number + 1, 0, 0))
        yield PostingLine(*key, (2 * number + 1, 1, 0))


def _audit_rows(tenants: int) -> Iterator[dict[str, object]]:
    everything = list(lines(tenants))
    postings = [PostingRow(*line[:7]) for line in everything if isinstance(line, PostingLine)]
    ledger, auditor = Ledger(), Auditor()
    recording = _seconds(lambda posting: record(ledger, [posting]), postings) / len(postings) * 1e6
    auditing = _seconds(auditor.take, everything) / len(everything) * 1e6
    auditor.take(Checkpoint(PERIOD - 1))
    if not auditor.report.clean:
        raise RuntimeError(f"the auditor found: {auditor.report.findings[0]}")
    yield _row("a line audited", auditing, "µs", ("recording a posting alone", recording))
    del everything, postings, ledger, auditor
    told = lines(tenants)
    tracemalloc.start()
    try:
        ledger, auditor = Ledger(), Auditor()
        kept = _bytes_of(lambda number: record(ledger, [deposit(number), hold(number, number)]), tenants)
        read = _bytes_of(lambda _: [auditor.take(next(told)) for _ in range(3)], tenants)
    finally:
        tracemalloc.stop()
    yield _row("an account with an open order, audited", read, "bytes", ("account and hold in the ledger", kept))


def _seconds(work: Callable[[Any], object], items: Sequence[object]) -> float:
    began = time.process_time()
    for item in items:
        work(item)
    return time.process_time() - began


def _row(name: str, value: float, unit: str, baseline: tuple[str, float]) -> dict[str, object]:
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "baseline": baseline[0],
        "baseline_value": baseline[1],
        "ratio": baseline[1] / max(value, 1e-9),
        "goal": None,
        "met": None,
    }


if __name__ == "__main__":
    for figure in run():
        print(json.dumps(figure))
