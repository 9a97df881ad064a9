"""What a tenant surely owns, and so may sell: of a forward period its base, of the present one what it has not used.

Of its base what the SLA loop has lent to others is not its own, and what others lent to it neither (processors/loops/bases.py).

Tokens that it bought are its own in both, tokens that it sold are not, and what it offers or sells is held at once, so that it
can't be sold twice. On the ledger an owner is issued only what it gives away (market/outcome.py, `grants`): a hundred thousand
tenants that never trade cost nothing in sixty forward periods.
"""

from collections.abc import Iterable, Iterator

from processors.accounts import tenant_of
from processors.market.outcome import Outcome, account_of
from processors.market.state import OPERATOR_TENANT, Instrument, Offer, Position
from processors.orderbook import Cancelled, Withdraw, decide
from processors.state import PoolState
from schemas.trading import CancelReason, Side

_NOTHING = Position()


def owned(pool: PoolState, tenant: str, period: int) -> int:
    """Tokens of a period that are the tenant's, held or not; below zero if it used more than it had.

    Args:
        pool: the pool.
        tenant: a tenant of the pool, or OPERATOR_TENANT.
        period: the open period or a later one.
    """
    if tenant == OPERATOR_TENANT:
        return pool.market.ledger.balance(period, account_of(tenant))
    slot = pool.tenants.slots[tenant]
    if pool.open is not None and period == pool.open.period:
        return allocated(pool, tenant) - int(pool.tenants["used"][slot])
    instrument = pool.market.instruments.get(period)
    position = _NOTHING if instrument is None else instrument.positions.get(tenant, _NOTHING)
    return base_ahead(pool, slot) + position.net


def base_ahead(pool: PoolState, slot: int) -> int:
    """What of its base a tenant may give away of a forward period: all but what the SLA loop has lent."""
    base = int(pool.tenants["declared_base"][slot])
    return base if pool.loops is None else base - int(pool.tenants["sla_paid"][slot])


def allocated(pool: PoolState, tenant: str) -> int:
    """Tokens of the open period that the tenant may use, or may have used: base + surplus + bought - sold."""
    slot, column = pool.tenants.slots[tenant], pool.tenants
    had = int(column["base_given"][slot]) + int(column["surplus"][slot])
    return had + int(column["bought"][slot]) - int(column["sold"][slot])


def free(pool: PoolState, tenant: str, period: int) -> int:
    """Tokens that the tenant may still sell or give away."""
    return owned(pool, tenant, period) - pool.market.ledger.held(period, account_of(tenant))


def promised_forward(pool: PoolState, tenant: str) -> int:
    """The smallest base with which the tenant can keep what it sold and offers of forward periods."""
    present = -1 if pool.open is None else pool.open.period
    account = account_of(tenant)
    held = pool.market.ledger.held
    return max(
        (
            held(period, account) - instrument.positions.get(tenant, _NOTHING).net
            for period, instrument in pool.market.instruments.items()
            if period > present
        ),
        default=0,
    )


def promising(pool: PoolState) -> set[str]:
    """Tenants that traded or offer tokens of forward periods; of others `promised_forward` is 0."""
    present = -1 if pool.open is None else pool.open.period
    forward = (period for period in pool.market.instruments if period > present)
    found = {tenant for period in forward for tenant in (*pool.market.instruments[period].positions, *offering(pool, period))}
    return found & pool.tenants.slots.keys()


def offering(pool: PoolState, period: int) -> list[str]:
    """Tenants that have orders or offers of a period, in byte order."""
    instrument = pool.market.instruments.get(period)
    accounts = () if instrument is None else instrument.book.accounts
    names = {tenant_of(owner) or "" for owner in accounts}
    return sorted(names | {offer.tenant for offer in pool.market.offers_of(period)})


def uncovered(pool: PoolState, period: int, tenants: Iterable[str]) -> Iterator[tuple[str, int]]:
    """(tenant, tokens) of those that offer more than they have: they used it, or were given less.

    Tenants that offer nothing cost 0.3 µs each: this is asked about everybody who uses tokens, with each report of a meter.
    """
    held = pool.market.ledger.held
    for tenant in tenants:
        if held(period, account_of(tenant)) and tenant != OPERATOR_TENANT:
            missing = -free(pool, tenant, period)
            if missing > 0:
                yield tenant, missing


def withdrawals(instrument: Instrument, tenant: str, missing: int) -> list[Cancelled]:
    """What is taken off a tenant's resting sell orders, the newest first, until `missing` tokens are free (or no order is left)."""
    taken: list[Cancelled] = []
    lot = instrument.terms.lot
    for order in reversed(instrument.book.open_orders(account_of(tenant))):
        if missing <= 0:
            break
        if order.side is Side.SELL:
            qty = min(order.open, -(-missing // lot) * lot)
            missing -= qty
            taken += [
                event
                for event in decide(instrument.book, Withdraw(order.id, qty, CancelReason.TOKENS_USED))
                if isinstance(event, Cancelled)
            ]
    return taken


def offers_to_end(pool: PoolState, tenant: str, period: int, missing: int) -> list[Offer]:
    """The tenant's offered transfers that have to end, the newest first, until `missing` tokens are free."""
    ended: list[Offer] = []
    for offer in reversed(pool.market.offers.get(tenant, {}).values()):
        if missing <= 0:
            break
        if offer.period == period and offer.tokens:
            missing -= offer.tokens
            ended.append(offer)
    return ended


def outcome_of(pool: PoolState, instrument: Instrument) -> Outcome:
    """Begins the outcome of an operation on the instrument's book."""
    present = pool.open is not None and instrument.period == pool.open.period
    return Outcome(instrument, pool.market.ledger, present)
