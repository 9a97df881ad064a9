"""State of the engine: what folding the facts of one journal partition gives. Only processors/recording.py changes it."""

from collections import OrderedDict
from dataclasses import dataclass, field
from hashlib import blake2b

from processors.forecast.state import State as Mixture
from processors.leases.state import Leases
from processors.loops.state import Loops
from processors.market.state import Market
from processors.scaling.state import Scaling
from processors.sharing.state import SHARING_COLUMNS, Sharing
from processors.tenants import Tenants
from processors.terms import Terms

Meter = tuple[str, int]
"""(topic, partition) that a meter counts."""

Report = tuple[str, int, int, str, int]
"""(meter topic, meter partition, tick, pool, chunk): what identifies a meter's sums."""

SEEN_COMMANDS = 200_000
"""How many of the newest command ids are remembered, of operators and of tenants each: twice a profile for each of 100,000 tenants;
minutes of orders, which is longer than intake, whatever happens to it, takes to append a record again (a command that was sent
again later is refused by its key's sequence). 16 bytes each in a snapshot (6.4 MB), some 120 bytes each in memory (48 MB).
"""


@dataclass(frozen=True, slots=True)
class OpenPeriod:
    """The period that is running: the terms in force and the allocation as a whole."""

    period: int
    terms: Terms
    price: int
    allocated: int
    unallocated: int


@dataclass(slots=True)
class PoolState:
    """One pool. `open` is None until its first period begins; `closed_period` is -1 until its first period ends.

    Attributes:
        tick_ms: length of a tick; 0 while it is not known (no tick came yet), or is none that the period is whole ticks of:
            then the pool waits and opens no period.
        ahead: the latest period that usage was counted for before it opened; no earlier period opens from then on, or tokens
            would count before they were used. -1: none.
        promised: the sum of all declared bases. At most 2^53: a base grows only where the sum fits a capacity.
        sharing: of a token pool; None in others, which then have none of its columns either.
        loops: None, likewise, where nothing was ever said of loops or contracted bases.
        leases: None, likewise, while no gateway reports what it uses.
        scaling: None, likewise, where nobody ever said that it shall be scaled.
        mixture: what the forecaster of that name has learned of each tenant, by slot; None where no terms name it.
        outlooks: what was forecast since something last changed (processors/demand.py, `bid_of`): period -> slot -> tokens. It is
            no state, and not in snapshots.
    """

    name: str
    period_s: int
    tick_ms: int
    declared: Terms
    open: OpenPeriod | None = None
    closed_period: int = -1
    closed_tick: int = -1
    ahead: int = -1
    promised: int = 0
    tenants: Tenants = field(default_factory=Tenants)
    market: Market = field(default_factory=Market)
    sharing: Sharing | None = None
    loops: Loops | None = None
    leases: Leases | None = None
    scaling: Scaling | None = None
    mixture: Mixture | None = None
    outlooks: dict[int, dict[int, int]] = field(default_factory=dict, compare=False)

    def begin_sharing(self) -> Sharing:
        """The state of a token pool, made if there is none."""
        if self.sharing is None:
            self.tenants.add_columns(SHARING_COLUMNS)
            self.sharing = Sharing()
        return self.sharing

    @property
    def terms(self) -> Terms:
        """The terms in force: those of the open period, or the newest while none is open."""
        return self.declared if self.open is None else self.open.terms

    @property
    def present(self) -> int:
        """The open period; while none is, the last that was open, or 0."""
        return max(self.closed_period, 0) if self.open is None else self.open.period

    @property
    def ticks_per_period(self) -> int:
        """k: a period is this many ticks."""
        return self.period_s * 1000 // self.tick_ms

    def last_tick(self, period: int) -> int:
        """The tick that ends `period`: tick n reports what came between tick n - 1 and tick n."""
        return (period + 1) * self.ticks_per_period

    def period_of_report(self, tick: int) -> int:
        """The period that a meter's sums of `tick` belong to."""
        return (tick - 1) // self.ticks_per_period

    def start_ms(self, period: int) -> int:
        """When `period` begins, in milliseconds since 1970."""
        return period * self.period_s * 1000


@dataclass(slots=True)
class PartitionState:
    """One journal partition: its clock, what its meters have reported, the commands seen, and its pools."""

    tick: int = -1
    tick_ms: int = 0
    meter_partitions: int = 0
    grace_ticks: int = 0
    marks: dict[Meter, int] = field(default_factory=dict)
    reported: set[Report] = field(default_factory=set)
    """Sums counted since their meter's last mark: a meter that crashed before its mark reports them again."""
    commands: OrderedDict[bytes, None] = field(default_factory=OrderedDict)
    """Operators' commands, by `command_key`, the oldest first."""
    taken: OrderedDict[bytes, None] = field(default_factory=OrderedDict)
    """Tenants' commands, by their digest. Apart from the operators', whose deposits must not be forgotten for a flood of orders."""
    pools: dict[str, PoolState] = field(default_factory=dict)

    @property
    def now_ms(self) -> int:
        """When the last tick began, milliseconds since 1970: what time it is, for every decision."""
        return max(self.tick, 0) * self.tick_ms

    def period_now(self, ticks_per_period: int) -> int:
        """The period that the journal's clock stands in."""
        return max(self.tick, 0) // ticks_per_period


def command_key(pool: str, command_id: str) -> bytes:
    """What a seen command is remembered by; ids are unique in their pool."""
    return blake2b(f"{pool}\n{command_id}".encode(), digest_size=16).digest()
