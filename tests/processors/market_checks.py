"""What must hold of a pool's market after every journal record, added up again from the state."""

from collections import Counter

from market_world import MarketWorld

from processors.accounts import may_be_overdrawn
from schemas.ledgering import MONEY
from schemas.trading import Side


class CheckedWorld(MarketWorld):
    """A world that is checked after every record."""

    def take(self, *records):
        came = []
        for record in records:
            came += super().take(record)
            if "llm" in self.state.pools:
                check(self.pool())
        return came


def check(pool):
    """Everything below; raises AssertionError."""
    ledger_adds_up(pool.market.ledger)
    assert pool.market.ledger.holds == {key: ((asset, owner), amount) for key, (asset, owner, amount) in bound(pool).items()}
    nothing_is_left_of_past_periods(pool)
    trades_cancel_out(pool)
    offers_are_covered(pool)
    capacity_suffices(pool)


def ledger_adds_up(ledger):
    totals, held = Counter(), Counter()
    for account, amount in ledger.holds.values():
        assert amount > 0
        held[account] += amount
    for account, standing in ledger.standings.items():
        totals[account[0]] += standing.balance
        assert standing.held == held.pop(account, 0), account
        assert may_be_overdrawn(account[1]) or standing.balance >= standing.held, account
        assert standing.balance or standing.held, "an empty account is forgotten"
    assert not held, f"holds of no account: {held}"
    assert not any(totals.values()), totals


def account(tenant):
    return f"tenant/{tenant}" if tenant else "operator"


def bound(pool):
    """Hold -> (asset, owner, amount) that open orders and offers bind."""
    found = {}
    for period, instrument in pool.market.instruments.items():
        fee_bp = max(instrument.terms.maker_fee_bp, instrument.terms.taker_fee_bp)
        for name, order in instrument.book.orders.items():
            notional = order.price * order.open
            worth = (MONEY, order.acct, notional + notional * fee_bp // 10_000)
            found[f"{period}\n{name}"] = worth if order.side == Side.BUY else (period, order.acct, order.open)
    for tenant, offers in pool.market.offers.items():
        assert offers, "nobody without offers is kept"
        for name, offer in offers.items():
            asset, amount = (offer.period, offer.tokens) if offer.tokens else (MONEY, offer.money)
            found[f"\n\n{tenant}\n{name}"] = (asset, account(tenant), amount)
    return found


def nothing_is_left_of_past_periods(pool):
    present = -1 if pool.open is None else pool.open.period
    market = pool.market
    periods = {asset for asset, _ in market.ledger.standings if asset != MONEY}
    periods |= {offer.period for offers in market.offers.values() for offer in offers.values()} | set(market.instruments)
    assert all(period >= present for period in periods), f"{periods} in {present}"
    assert not present >= 0 or periods <= set(market.instruments), "tokens and offers of instruments that never began"


def trades_cancel_out(pool):
    ledger, tenants = pool.market.ledger, pool.tenants
    escrows = {owner: standing.balance for (_, owner), standing in ledger.standings.items() if owner.startswith("escrow/")}
    for period, instrument in pool.market.instruments.items():
        positions = instrument.positions.values()
        assert sum(each.net for each in positions) == 0
        paid, earned = sum(each.paid for each in positions), sum(each.earned for each in positions)
        assert paid == earned == escrows.pop(f"escrow/{period}", 0)
        assert pool.open is None or period != pool.open.period or not instrument.positions, "positions are over with delivery"
    assert not escrows
    by_operator = sum(tenants["bought"].tolist()) - sum(tenants["sold"].tolist())
    assert pool.open is None or 0 <= by_operator <= pool.open.unallocated


def rows(pool):
    """(tenant, allocated, used) of the open period."""
    columns = (pool.tenants[name].tolist() for name in ("base_given", "surplus", "bought", "sold", "used"))
    for tenant, base, surplus, bought, sold, used in zip(pool.tenants.names, *columns, strict=True):
        yield tenant, base + surplus + bought - sold, used


def offers_are_covered(pool):
    """Nobody offers what it has not; of the open period, nobody stands on the ledger with more than it has."""
    if pool.open is None:
        return
    ledger, present = pool.market.ledger, pool.open.period
    for tenant, allocated, used in rows(pool):
        assert allocated >= 0, tenant
        assert ledger.held(present, account(tenant)) <= max(allocated - used, 0), tenant
        assert ledger.balance(present, account(tenant)) <= allocated, tenant
    base = dict(zip(pool.tenants.names, pool.tenants["declared_base"].tolist(), strict=True))
    for period, instrument in pool.market.instruments.items():
        if period > present:
            for tenant, own in base.items():
                position = instrument.positions.get(tenant)
                net = 0 if position is None else position.net
                assert ledger.held(period, account(tenant)) <= own + net, (tenant, period)


def capacity_suffices(pool):
    if pool.open is not None:
        assert sum(allocated for _, allocated, _ in rows(pool)) <= pool.open.terms.capacity


def holds_of_facts(fact):
    """What a fact about allocations must say by itself."""
    columns = zip(fact.base, fact.surplus, fact.bought, fact.sold, fact.allocated, strict=True)
    for base, surplus, bought, sold, allocated in columns:
        assert allocated == base + surplus + bought - sold >= 0
        assert bought >= 0 <= sold
