"""The market as the engine's web view shows it: what one tenant has, holds and offers; keys and values as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from processors.market.data import limit
from processors.market.outcome import account_of
from processors.market.state import Offer, Position, parted
from processors.market.tokens import base_ahead, owned
from processors.orderbook import Order
from processors.state import PoolState
from schemas.ledgering import MONEY


def tenant_market(pool: PoolState, slot: int) -> dict[str, Any]:
    """What one tenant may use, and its money (nanocredits), positions (tokens), open orders and exchanges.

    A hundred instruments and a thousand open orders: 2 ms.
    """
    tenant = pool.tenants.names[slot]
    ledger, account = pool.market.ledger, account_of(tenant)
    return {
        "limit": limit(pool, slot),
        "base_ahead": base_ahead(pool, slot),
        "money": {
            "available": ledger.available(MONEY, account),
            "held": ledger.held(MONEY, account),
            "balance": ledger.balance(MONEY, account),
        },
        "positions": list(_positions(pool, tenant, slot)),
        "orders": [
            _order(period, order)
            for period, instrument in sorted(pool.market.instruments.items())
            for order in instrument.book.open_orders(account)
        ],
        "offers": [
            _offer(offer)
            for of_tenant in pool.market.offers.values()
            for offer in of_tenant.values()
            if tenant in {offer.tenant, offer.to}
        ],
    }


def _positions(pool: PoolState, tenant: str, slot: int) -> Iterator[dict[str, int]]:
    """Of the open period always, of a forward one where the tenant has traded or offers something."""
    present = None if pool.open is None else pool.open.period
    traded = {period: instrument.positions.get(tenant, Position()) for period, instrument in pool.market.instruments.items()}
    if present is not None:  # what its row says of the open period counts what was delivered, too
        traded[present] = Position(int(pool.tenants["bought"][slot]), int(pool.tenants["sold"][slot]))
    for period in sorted(traded):
        position = traded[period]
        held = pool.market.ledger.held(period, account_of(tenant))
        if period == present or held or position.bought or position.sold:
            has = owned(pool, tenant, period)
            yield {
                "period": period,
                "bought": position.bought,
                "sold": position.sold,
                "owned": has,
                "held": held,
                "free": max(has - held, 0),
            }


def _order(period: int, order: Order) -> dict[str, Any]:
    return {
        "order": parted(order.id)[1],
        "period": period,
        "side": str(order.side),
        "price": order.price,
        "open": order.open,
        "filled": order.filled,
        "post_only": order.post_only,
        "expire": order.expire,
    }


def _offer(offer: Offer) -> dict[str, Any]:
    return {
        "transfer": offer.id,
        "period": offer.period,
        "tenant": offer.tenant,
        "to": offer.to,
        "tokens": offer.tokens,
        "money": offer.money,
        "for_tokens": offer.for_tokens,
        "for_money": offer.for_money,
    }
