"""A pool with tenants that trade, in the hands of a test."""

from itertools import count

from journal_world import World, pool, profile

from processors.accounts import tenant_account
from schemas.market import (
    AcceptCommand,
    CancelCommand,
    DepositCommand,
    KeyCommand,
    OrderCommand,
    ReduceCommand,
    ReplaceCommand,
    TransferCommand,
)

KEY = "A" * 43 + "="
OTHER_KEY = "E" * 43 + "="
SIGNATURE = "Q" * 86 + "=="

_ids = count()


def fresh(prefix="c"):
    return f"{prefix}{next(_ids)}"


class MarketWorld(World):
    """Pool `llm`, periods of two ticks of a second; present period 5, unless said otherwise. Everybody has 100 base, money 1e6."""

    def __init__(self, tenants=("a", "b", "c"), *, base=100, money=1_000_000, capacity=1000, meters=1, **terms):
        super().__init__(meters=meters)
        self.tick(8)
        self.take(pool(capacity=capacity, **{"allow_unsigned": True, "reserve_price": 0, **terms}))
        self.take(*(profile(f"profile-{name}", name, base=base) for name in tenants))
        if money:
            self.take(*(DepositCommand(id=f"deposit-{name}", pool="llm", tenant=name, amount=money) for name in tenants))
        self.run(9, 10)

    @property
    def market(self):
        return self.pool().market

    @property
    def present(self):
        return self.pool().open.period

    def order(self, tenant, side, qty, price=None, *, period=None, id=None, **rest):  # noqa: A002  the field's name
        if price is None:
            rest.setdefault("order_type", "market")
        return self.take(
            OrderCommand(
                id=id or fresh("o"),
                pool="llm",
                tenant=tenant,
                period=self.present if period is None else period,
                side=side,
                qty=qty,
                price=price,
                **rest,
            )
        )

    def buy(self, tenant, qty, price=None, **rest):
        return self.order(tenant, "buy", qty, price, **rest)

    def sell(self, tenant, qty, price=None, **rest):
        return self.order(tenant, "sell", qty, price, **rest)

    def cancel(self, tenant, order, *, period=None, **rest):
        return self._change(CancelCommand, tenant, order, period, **rest)

    def reduce(self, tenant, order, by, *, period=None, **rest):
        return self._change(ReduceCommand, tenant, order, period, by=by, **rest)

    def replace(self, tenant, order, price, qty, *, period=None, **rest):
        return self._change(ReplaceCommand, tenant, order, period, price=price, qty=qty, **rest)

    def _change(self, kind, tenant, order, period, **fields):
        period = self.present if period is None else period
        return self.take(kind(id=fresh("x"), pool="llm", tenant=tenant, period=period, order=order, **fields))

    def transfer(self, tenant, to, *, period=None, id=None, **fields):  # noqa: A002  the field's name
        period = self.present if period is None else period
        return self.take(TransferCommand(id=id or fresh("t"), pool="llm", tenant=tenant, to=to, period=period, **fields))

    def accept(self, tenant, offered_by, offer, *, period=None):
        period = self.present if period is None else period
        return self.take(AcceptCommand(id=fresh("y"), pool="llm", tenant=tenant, period=period, offered_by=offered_by, offer=offer))

    def register(self, tenant, key=KEY, **fields):
        return self.take(KeyCommand(id=fresh("k"), pool="llm", tenant=tenant, key=key, **fields))

    def money(self, tenant):
        return self.market.ledger.available(-1, tenant_account(tenant))

    def held(self, tenant, asset=-1):
        return self.market.ledger.held(asset, tenant_account(tenant))

    def period(self, number):
        """Ticks that end the open period `number` and open the next."""
        return self.run(2 * number + 1, 2 * number + 2)
