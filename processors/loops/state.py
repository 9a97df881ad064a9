"""State of a pool's loops: how they react, this period's latencies, and what they remember of each tenant.

Pools whose operator has never said anything of the loops, which only journals of older releases hold, have none of it. 16 columns
more, 128 bytes a tenant, 13 MB at 100,000; latencies: processors/latencies.py.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from processors.latencies import Collected
from processors.rebalance import UNKNOWN, RebalanceSettings
from processors.sla import SlaSettings, SlaState
from processors.tenants import Tenants

Slots = npt.NDArray[np.intp]

NOT_CONTRACTED = -1
"""In the column of base floors: the operator said none."""

REMEMBERED: tuple[str, ...] = tuple(f"sla_{name}" for name in SlaState._fields)
"""Columns of what the SLA loop remembers; a `hold` or `rest` below what the pool sets stands for that."""

LOOP_COLUMNS: dict[str, int] = {
    # What of the base was contracted, as said; and the whole base as the operator declared it, before rebalancing.
    "base_floor": NOT_CONTRACTED,
    "contracted_base": 0,
    # Needs of the proposal that is coming in, chunk by chunk.
    "need": UNKNOWN,
    **dict.fromkeys(REMEMBERED, 0),
    "sla_reference": -1,
}


class Gathering(NamedTuple):
    """A proposal of needs that is coming in.

    Attributes:
        as_of: end of its look-back, ms since 1970.
        chunks: how many there are.
        came: how many have come.
    """

    as_of: int
    chunks: int
    came: int

    def following(self, as_of: int, chunks: int) -> int:
        """The chunk of a proposal that has to come next."""
        return self.came if (self.as_of, self.chunks) == (as_of, chunks) else 0


@dataclass(slots=True)
class Loops:
    """What a pool's loops have besides its tenants' columns.

    Attributes:
        sla: None: off.
        rebalance: None: off.
        latencies: of the open period, by slot; only tenants that have an SLA.
        ahead: likewise, already of the period after it.
        rebalanced_in: the period in which bases were rebalanced last; -1: none.
        rebalanced_as_of: end of the look-back that they were rebalanced by.
        gathering: of a proposal whose last chunk has not come yet.
    """

    sla: SlaSettings | None = None
    rebalance: RebalanceSettings | None = None
    latencies: Collected = field(default_factory=Collected)
    ahead: Collected = field(default_factory=Collected)
    rebalanced_in: int = -1
    rebalanced_as_of: int = -1
    gathering: Gathering | None = None


def remembered(tenants: Tenants, slots: Slots, settings: SlaSettings) -> SlaState:
    """What the SLA loop remembers of some tenants."""
    state = SlaState(*(tenants[column][slots] for column in REMEMBERED))
    return state._replace(hold=np.maximum(state.hold, settings.hold), rest=np.maximum(state.rest, settings.rest))
