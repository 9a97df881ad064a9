"""What the landed facts say stood at an offset of the journal: of accounts, and as the opening of an audit that begins there."""

from __future__ import annotations

from infra.audit.lines import offer_hold, owner_of
from infra.audit.store import AuditStore, Scope
from processors.audit_lines import OfferLine, Opening, OrderLine
from schemas.ledgering import MONEY

Key = tuple[int, str]
"""(asset, account), which is how accounts are sorted."""

FIRST: Key = (-2, "")
"""Before all accounts."""

_UPTO = "WHERE pool = {pool:String} AND partition = {partition:Int32} AND journal_offset <= {through:Int64}"


def accounts(
    store: AuditStore, scope: Scope, through: int, after: Key = FIRST, last: Key | None = None
) -> dict[Key, tuple[int, int]]:
    """(balance, held) of the accounts in (after, last] that are not at zero. Reads all of the pool's postings."""
    upper = "AND (asset, part.1) <= ({last_asset:Int64}, {last:String})" if last is not None else ""
    rows = store.rows(
        f"""SELECT asset, part.1, sum(part.2), sum(part.3)
        FROM
        (
            SELECT
                asset, toInt128(amount) AS much,
                arrayJoin([
                    (debit_account, if(entry IN ('post', 'capture'), -much, 0),
                        multiIf(entry = 'hold', much, entry = 'post', 0, -much)),
                    (credit_account, much, toInt128(0))
                ]) AS part
            FROM ledger {_UPTO}
        )
        WHERE part.1 != '' AND (asset, part.1) > ({{after_asset:Int64}}, {{after:String}}) {upper}
        GROUP BY asset, part.1
        HAVING sum(part.2) != 0 OR sum(part.3) != 0""",  # noqa: S608  clauses of ours
        pool=scope.pool,
        partition=scope.partition,
        through=through,
        after_asset=after[0],
        after=after[1],
        **({} if last is None else {"last_asset": last[0], "last": last[1]}),
    )
    return {(asset, account): (balance, held) for asset, account, balance, held in rows}


def opening(store: AuditStore, scope: Scope, fees: dict[int, int]) -> Opening:
    """What stood when the scope began; of a scope from the beginning, nothing."""
    bounds = {"pool": scope.pool, "partition": scope.partition, "through": scope.after}
    return Opening(
        balances=[(*key, balance) for key, (balance, _) in accounts(store, scope, scope.after).items() if balance],
        issued=store.rows(
            f"SELECT asset, sum(if(code = 'grant', toInt128(amount), -amount)) AS left FROM ledger {_UPTO} "  # noqa: S608  clauses of ours
            "AND entry = 'post' AND asset >= 0 AND code IN ('grant', 'return') GROUP BY asset HAVING left != 0",
            **bounds,
        ),
        holds=store.rows(
            "SELECT hold, any(asset), any(debit_account), sum(if(entry = 'hold', toInt128(amount), -amount)) AS left "  # noqa: S608  ours
            f"FROM ledger {_UPTO} AND entry != 'post' GROUP BY hold HAVING left != 0",
            **bounds,
        ),
        orders=_orders(store, bounds, fees),
        offers=_offers(store, bounds),
    )


def _orders(store: AuditStore, bounds: dict[str, object], fees: dict[int, int]) -> list[OrderLine]:
    at = "(journal_offset, fact_index, record_row)"
    rows = store.rows(
        f"""SELECT
            o.tenant, o.order_id, o.period, toString(any(o.side)),
            argMaxIf(o.price, {at}, o.event IN ('accepted', 'replaced')), argMax(o.open, {at})
        FROM orders AS o {_UPTO} AND o.event != 'rejected'
        GROUP BY o.tenant, o.order_id, o.period
        HAVING argMax(o.open, {at}) > 0""",  # noqa: S608  clauses of ours
        **bounds,
    )
    return [
        OrderLine(
            "accepted", f"{period}\n{tenant}\n{order_id}", owner_of(tenant), period, side, price, left, left, fees.get(period, 0)
        )
        for tenant, order_id, period, side, price, left in rows
    ]


def _offers(store: AuditStore, bounds: dict[str, object]) -> list[OfferLine]:
    at = "(journal_offset, fact_index, record_row)"
    rows = store.rows(
        f"""SELECT t.tenant, t.transfer_id, t.period, argMax(t.tokens, {at}), argMax(t.money, {at})
        FROM transfers AS t {_UPTO} AND t.event IN ('offered', 'accepted', 'cancelled')
        GROUP BY t.tenant, t.transfer_id, t.period
        HAVING argMax(t.event, {at}) = 'offered'""",  # noqa: S608  clauses of ours
        **bounds,
    )
    return [
        OfferLine(offer_hold(tenant, transfer_id), owner_of(tenant), *((period, tokens) if tokens else (MONEY, money)))
        for tenant, transfer_id, period, tokens, money in rows
    ]
