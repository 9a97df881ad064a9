"""What the journal alone tells of one tenant's period: the journal is folded up to the period's close, and what happens is noted.

Folding takes as long as deciding took, and the memory of one state; of what is noted, only rows of the newest period are many:
25 columns of Python integers, 140 MB for a moment at 100,000 tenants.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from processors.engine import facts_of
from processors.entitlement import TIERS
from processors.explain.circumstances import BaseMove, Bases, Circumstances, Debt, Expert, Forecast, Limit, Profile, Trade, Transfer
from processors.explain.inputs import COLUMNS, PeriodInputs
from processors.forecast import opinions
from processors.market.data import limit, limits_touched
from processors.sharing.data import is_shared
from processors.state import PartitionState, PoolState
from schemas.fact import Fact
from schemas.facts import (
    AllocationsClosed,
    AllocationsOpened,
    Forecasts,
    PeriodClosed,
    PeriodOpened,
    PoolSet,
    Postings,
    ProfileSet,
)
from schemas.loop_facts import BaseChanges
from schemas.loops import BaseChange, BaseReason
from schemas.market_facts import Trades, TransferEventKind, TransferEvents
from schemas.model import Event
from schemas.published import BidOn, Forecaster, Tier
from schemas.sharing_facts import Limits

SHARES = ("throughput", "kv", "concurrency")
_GIVEN = {TransferEventKind.DONE, TransferEventKind.ACCEPTED}


class NotToldError(LookupError):
    """The journal holds no such closed period; the message is for people."""


@dataclass(frozen=True, slots=True)
class PeriodRecord:
    """A closed period as one tenant's explanation needs it."""

    inputs: PeriodInputs
    around: Circumstances


def journal_record(records: Iterable[tuple[int, Event]], pool: str, period: int | None, tenant: str) -> PeriodRecord:
    """Fold a journal partition up to the close of a period, and tell what it says of a tenant in it.

    Args:
        records: of the pool's partition from its beginning: journal offsets, ascending, and records. No more are taken than needed.
        pool: the pool's id.
        period: its number; None: the last that closed.
        tenant: the tenant's id; whether it has a row in the period is for `explain` to say.

    Raises:
        NotToldError: the pool is not defined, or the period is open, did not open, or has not come.
        BrokenJournalError: as of `decide`.
    """
    witness = _Witness(pool, period, tenant)
    state = PartitionState()
    for offset, record in records:
        for fact in facts_of(state, record, offset):
            if fact.pool == pool:
                witness.take(state.pools.get(pool), fact)
        if witness.done:  # after the record's last fact, or the state would be left half way
            break
    return witness.told(state)


@dataclass(slots=True)
class _Opened:
    """The period that is open: what it began with, and what has happened in it."""

    fact: PeriodOpened
    version: int
    profile: Profile | None
    forecast: Forecast | None
    shared: bool
    """Whether it is one of a token pool."""
    limits: dict[str, Limit] = field(default_factory=dict)
    debt: Debt | None = None
    bases: Bases | None = None
    closed: list[AllocationsClosed] = field(default_factory=list)


@dataclass(slots=True)
class _Witness:
    """Notes of one tenant, from the facts of its pool as they are recorded."""

    pool: str
    wanted: int | None
    tenant: str
    _version: int = 0
    _profile: Profile | None = None
    _forecast: Forecast | None = None
    _moves: list[BaseMove] = field(default_factory=list)
    _trades: dict[int, list[Trade]] = field(default_factory=dict)
    _transfers: dict[int, list[Transfer]] = field(default_factory=dict)
    _opened: _Opened | None = None
    _record: PeriodRecord | None = None
    _closed: int = 0
    _first: int = -1
    _last: int = -1

    @property
    def done(self) -> bool:
        """Whether the wanted period has closed, or can't come any more."""
        return self.wanted is not None and self._last >= self.wanted

    def take(self, pool: PoolState | None, fact: Fact) -> None:
        """A fact of the pool, with the state that it left."""
        if pool is None:
            return
        match fact:
            case PoolSet():
                self._version = fact.version
            case ProfileSet() if fact.tenant == self.tenant:
                self._profile = _profile(fact)
            case Forecasts() if self.tenant in fact.tenant:
                self._forecast = _forecast(pool, fact, fact.tenant.index(self.tenant))
            case PeriodOpened():
                self._open(pool, fact)
            case AllocationsOpened() if self.tenant in fact.tenant:
                self._allocated(pool, fact)
            case BaseChanges():
                self._moves += _moves(fact, self.tenant)
            case Trades():
                self._traded(fact)
            case TransferEvents():
                self._transferred(fact)
            case _:
                self._in_period(pool, fact)

    def told(self, state: PartitionState) -> PeriodRecord:
        """What was noted of the wanted period.

        Raises:
            NotToldError: see `journal_record`.
        """
        if self._record is None:
            raise NotToldError(self._missing(state))
        return self._record

    def _open(self, pool: PoolState, fact: PeriodOpened) -> None:
        self._opened = _Opened(fact, self._version, self._profile, self._forecast, is_shared(pool))
        slot = pool.tenants.slots.get(self.tenant)
        if pool.loops is not None and slot is not None and self._profile is not None:
            declared, boost, lent = (int(pool.tenants[name][slot]) for name in ("declared_base", "sla_boost", "sla_paid"))
            self._opened.bases = moved(Bases(declared, boost, lent, tuple(self._moves)), self._profile)
        self._moves.clear()
        if pool.sharing is not None and slot is not None and int(pool.tenants["told_tier"][slot]) >= 0:
            for name in SHARES:
                noted(self._opened.limits, name, int(pool.tenants[f"told_{name}_kept"][slot]))
        self._forecast = None
        for kept in (self._trades, self._transfers):
            for period in [each for each in kept if each < fact.period]:
                del kept[period]

    def _allocated(self, pool: PoolState, fact: AllocationsOpened) -> None:
        opened = self._open_period(fact)
        at, slot = fact.tenant.index(self.tenant), pool.tenants.slots[self.tenant]
        if opened.shared:
            declared = int(pool.tenants["profile_weight"][slot])
            opened.debt = Debt(int(pool.tenants["debt"][slot]), declared, fact.weight[at])
        self._limited(pool)

    def _in_period(self, pool: PoolState, fact: Fact) -> None:
        """What only matters while a period is open."""
        if self._opened is None:
            return
        match fact:
            case Postings() if self.tenant in limits_touched(fact, self._opened.fact.period):
                self._limited(pool)
            case Limits() if self.tenant in fact.tenant:
                self._shared(fact, fact.tenant.index(self.tenant))
            case AllocationsClosed():
                if self.wanted in (None, fact.period):
                    self._opened.closed.append(fact)
            case PeriodClosed():
                self._close(pool, fact)

    def _limited(self, pool: PoolState) -> None:
        """Tokens of the period that the tenant may use, as they are now."""
        slot = pool.tenants.slots.get(self.tenant)
        if slot is not None and self._opened is not None:
            noted(self._opened.limits, "tokens", limit(pool, slot))

    def _shared(self, fact: Limits, at: int) -> None:
        if self._opened is not None:
            for name in SHARES:
                noted(self._opened.limits, name, getattr(fact, f"{name}_kept")[at])

    def _traded(self, fact: Trades) -> None:
        forward = self._is_forward(fact)
        columns = (fact.buyer, fact.seller, fact.price, fact.qty, fact.buyer_fee, fact.seller_fee)
        for buyer, seller, price, tokens, buyer_fee, seller_fee in zip(*columns, strict=True):
            for side, one, other, fee in (("buy", buyer, seller, buyer_fee), ("sell", seller, buyer, seller_fee)):
                if one == self.tenant:
                    trade = Trade(fact.time, side, other, price, tokens, fee, forward)
                    self._trades.setdefault(fact.period, []).append(trade)

    def _transferred(self, fact: TransferEvents) -> None:
        forward = self._is_forward(fact)
        columns = (fact.tenant, fact.to, fact.event, fact.tokens, fact.money, fact.for_tokens, fact.for_money)
        for giver, taker, event, *amounts in zip(*columns, strict=True):
            if event in _GIVEN and self.tenant in (giver, taker):
                gave, got = (amounts[:2], amounts[2:]) if giver == self.tenant else (amounts[2:], amounts[:2])
                other = taker if giver == self.tenant else giver
                self._transfers.setdefault(fact.period, []).append(Transfer(other, got[0], gave[0], got[1], gave[1], forward))

    def _is_forward(self, fact: Trades | TransferEvents) -> bool:
        return self._opened is None or fact.period != self._opened.fact.period

    def _close(self, pool: PoolState, fact: PeriodClosed) -> None:
        opened = self._open_period(fact)
        self._first = fact.period if self._first < 0 else self._first
        self._last, self._closed, self._opened = fact.period, self._closed + 1, None
        if self.wanted in (None, fact.period):
            around = Circumstances(
                pool_version=opened.version,
                profile=opened.profile,
                forecast=opened.forecast,
                debt=opened.debt,
                bases=opened.bases,
                trades=tuple(self._trades.get(fact.period, ())),
                transfers=tuple(self._transfers.get(fact.period, ())),
                limits=tuple(opened.limits.values()),
            )
            self._record = PeriodRecord(_inputs(pool, opened, fact), around)

    def _open_period(self, fact: AllocationsOpened | PeriodClosed) -> _Opened:
        if self._opened is None or self._opened.fact.period != fact.period:
            raise AssertionError(f"period {fact.period} of pool {self.pool!r} was never opened")
        return self._opened

    def _missing(self, state: PartitionState) -> str:
        if self.pool not in state.pools:
            return f"the journal has no pool {self.pool!r}"
        if self.wanted is None or not self._closed:
            return f"pool {self.pool!r} has no closed period yet"
        closed = f"closed are {self._closed:,} from {self._first} to {self._last}"
        if self._opened is not None and self._opened.fact.period == self.wanted:
            return f"period {self.wanted} of pool {self.pool!r} is still open; {closed}"
        if self.wanted > self._last:
            return f"period {self.wanted} of pool {self.pool!r} has not come yet; {closed}"
        return f"period {self.wanted} of pool {self.pool!r}: in it no period of the pool opened; {closed}"


def noted(limits: dict[str, Limit], name: str, value: int) -> None:
    """Another value of a limit, or its first."""
    was = limits.get(name)
    if was is None:
        limits[name] = Limit(name, value, value, value, 0, value)
    elif value != was.last:
        limits[name] = Limit(name, was.opened, min(was.lowest, value), max(was.highest, value), was.changes + 1, value)


def moved(bases: Bases, profile: Profile) -> Bases | None:
    """None if the base is what the profile says, and nothing was decided about it."""
    return bases if bases.moves or (bases.declared, bases.boost, bases.lent) != (profile.base, 0, 0) else None


def _moves(fact: BaseChanges, tenant: str) -> Iterator[BaseMove]:
    columns = (fact.tenant, fact.kind, fact.reason, fact.before, fact.after, fact.counterparty)
    for name, kind, reason, before, after, other in zip(*columns, strict=True):
        if name == tenant:
            yield BaseMove(BaseChange(kind), BaseReason(reason), before, after, other)


def _profile(fact: ProfileSet) -> Profile:
    return Profile(
        fact.version,
        fact.from_period,
        fact.base,
        fact.elasticity,
        fact.weight,
        fact.sla_ms,
        fact.budget_amount,
        fact.budget_window_s,
        Tier(fact.tier),
        BidOn(fact.bid_on),
    )


def _forecast(pool: PoolState, fact: Forecasts, at: int) -> Forecast:
    """As it was told; who carried it is in the state that told it."""
    observed: int | None = None
    experts: tuple[Expert, ...] = ()
    if fact.forecaster == Forecaster.MIXTURE and pool.mixture is not None:
        said = opinions(pool.mixture, fact.period, pool.tenants.slots[fact.tenant[at]])
        observed = said.observed
        if observed:
            weights = sorted(said.weights.items(), key=lambda each: -each[1])
            experts = tuple(Expert(name, said.forecasts[name], weight) for name, weight in weights)
    return Forecast(Forecaster(fact.forecaster), fact.mean[at], fact.p50[at], fact.p90[at], fact.p99[at], observed, experts)


def _inputs(pool: PoolState, opened: _Opened, fact: PeriodClosed) -> PeriodInputs:
    begun, tenants = opened.fact, pool.tenants
    bidders = [slot for slot, version in enumerate(tenants["version"].tolist()) if version > 0]
    tiers = tenants["tier"].tolist()
    return PeriodInputs(
        pool=pool.name,
        period=fact.period,
        policy=begun.policy,
        capacity=begun.capacity,
        base_price=begun.base_price,
        reserve_price=begun.reserve_price,
        price=fact.price,
        unallocated=begun.unallocated,
        rows={name: [value for chunk in opened.closed for value in getattr(chunk, name)] for name in COLUMNS},
        bidders=frozenset(tenants.names[slot] for slot in bidders),
        tiers={tenants.names[slot]: TIERS[tiers[slot]] for slot in bidders} if opened.shared else None,
    )
