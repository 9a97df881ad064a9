"""A pool's facts as the lines that an auditor reads, in the order in which they were decided, some at a time.

ClickHouse sorts and sends one window of the journal after the other: so neither it nor we hold more than a window, whatever the
size of the ledger. Memory: 0.5 KB a line, 50 MB a window; a single journal record is never cut, and closing a period of 100,000
tenants is one with as many postings. ClickHouse reads (see schemas/clickhouse_views.py): of the ledger only the window, which is
sorted so; of orders and transfers those parts of each instrument's range that the skipping index does not rule out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import NamedTuple

from infra.audit.store import AuditStore, Scope
from processors.audit_lines import Checkpoint, Line, OfferLine, OrderLine, PostingLine
from schemas.ledgering import MONEY

WINDOW_ROWS = 100_000
BUCKET = 256
"""Journal records that are counted together: of 100 million records 400,000 counts."""

_WHERE = (
    "WHERE pool = {pool:String} AND partition = {partition:Int32} "
    "AND journal_offset > {after:Int64} AND journal_offset <= {through:Int64}"
)
_AT = "journal_offset, fact_index, record_row"


class Window(NamedTuple):
    """Journal offsets in (after, through], and how many rows that are audited they gave."""

    after: int
    through: int
    rows: int


def windows(store: AuditStore, scope: Scope) -> list[Window]:
    """The scope in stretches of WINDOW_ROWS rows, one at least."""
    counted = " UNION ALL ".join(
        f"SELECT intDiv(journal_offset, {BUCKET}) AS bucket FROM {table} {_WHERE}"  # noqa: S608  names of ours
        for table in ("ledger", "orders", "transfers")
    )
    buckets = store.rows(f"SELECT bucket, count() FROM ({counted}) GROUP BY bucket ORDER BY bucket", **scope.parameters)  # noqa: S608  ours
    found: list[Window] = []
    after, held = scope.after, 0
    for bucket, rows in buckets:
        if held and held + rows > WINDOW_ROWS:
            found.append(Window(after, bucket * BUCKET - 1, held))
            after, held = bucket * BUCKET - 1, 0
        held += rows
    return [*found, Window(after, scope.through, held)]


def lines(store: AuditStore, scope: Scope, window: Window, fees: Mapping[int, int]) -> list[Line]:
    """The window's lines, with a checkpoint where a period closed.

    Args:
        store: to read from.
        scope: whose window it is.
        window: of it.
        fees: delivery period -> the highest fee on its orders, basis points.
    """
    bounds = {**scope.parameters, "after": window.after, "through": window.through}
    found: list[Line] = [
        *_postings(store, bounds),
        *_orders(store, bounds, fees),
        *_offers(store, bounds),
        *_checkpoints(store, bounds),
    ]
    found.sort(key=attrgetter("at"))  # four runs that are sorted already
    return found


def _postings(store: AuditStore, bounds: Mapping[str, object]) -> Iterator[PostingLine]:
    columns = store.columns(
        "SELECT toString(entry), toString(code), asset, hold, debit_account, credit_account, amount, "  # noqa: S608  names of ours
        f"{_AT} FROM ledger {_WHERE} ORDER BY {_AT}",
        **bounds,
    )
    return map(PostingLine, *columns[:7], zip(*columns[7:], strict=True)) if columns else iter(())


def _orders(store: AuditStore, bounds: Mapping[str, object], fees: Mapping[int, int]) -> Iterator[OrderLine]:
    # A rejection is a fact of its own, and says what was asked for, which binds nothing.
    columns = store.columns(
        "SELECT toString(event), tenant, order_id, period, toString(side), if(order_type = 'market', 0, price), qty, open, "  # noqa: S608  ours
        f"{_AT} FROM orders {_WHERE} AND event != 'rejected' ORDER BY {_AT}",
        **bounds,
    )
    for event, tenant, order_id, period, side, price, qty, left, *at in zip(*columns, strict=True):
        offset, index, row = at
        hold = f"{period}\n{tenant}\n{order_id}"
        owner = owner_of(tenant)
        yield OrderLine(event, hold, owner, period, side, price, qty, left, fees.get(period, 0), (offset, index, row))


def _offers(store: AuditStore, bounds: Mapping[str, object]) -> Iterator[OfferLine]:
    # A transfer that is done at once, or refused, is a fact of its own and binds nothing.
    rows = store.rows(
        f"SELECT toString(event), tenant, transfer_id, period, tokens, money, {_AT} FROM transfers {_WHERE} "  # noqa: S608  names of ours
        f"AND event IN ('offered', 'accepted', 'cancelled') ORDER BY {_AT}",
        **bounds,
    )
    for event, tenant, transfer_id, period, tokens, money, offset, index, row in rows:
        asset, amount = (period, tokens) if tokens else (MONEY, money)
        left = amount if event == "offered" else 0
        yield OfferLine(offer_hold(tenant, transfer_id), owner_of(tenant), asset, left, (offset, index, row))


def _checkpoints(store: AuditStore, bounds: Mapping[str, object]) -> Iterator[Checkpoint]:
    rows = store.rows(f"SELECT period, journal_offset, fact_index FROM periods {_WHERE} ORDER BY ALL", **bounds)  # noqa: S608  ours
    for period, offset, index in rows:
        yield Checkpoint(closed=period, at=(offset, index, 0))


def owner_of(tenant: str) -> str:
    """The account on which a tenant's orders are settled; said here again, as an auditor shares nothing with the market."""
    return f"tenant/{tenant}" if tenant else "operator"


def offer_hold(tenant: str, transfer_id: str) -> str:
    """The id of the hold of an offered exchange."""
    return f"\n\n{tenant}\n{transfer_id}"
