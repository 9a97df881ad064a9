"""The engine's role: journal records in, facts out, snapshots aside. What is decided is processors/engine.py's.

For each journal partition, in this order:
    1. records are folded one after the other; those below the state's next offset are known and skipped
    2. the facts go to the same partition of `facts`, in order (the producer is idempotent and ordered)
    3. now and then: all facts sent so far are acknowledged, then a snapshot is written and acknowledged
    4. only then the journal below the snapshot is declared safe
After a crash between any two steps the next owner loads the last snapshot and folds the rest again, to the same facts with
the same ids; readers drop those that they have seen.

Beside these steps, what the facts did to limits and books is told on `limits` and `market` (streams/outputs.py): after the facts,
at most ROUNDS_PER_S times a second, and never while facts wait. It is no step of anything: the state alone says what to tell.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import faust
from faust.types import TP

from processors.engine import facts_of
from processors.state import PartitionState
from streams.codecs import decode, encode
from streams.collector import spare_present_objects
from streams.outputs import Outputs
from streams.snapshots import SnapshotStore, Table
from streams.transport import Batch, Committed, Outgoing, attach, consumer_of, flushed, send_all

PORTION_BYTES = 4 << 20
"""Encoded facts that are collected before they are sent: bounds memory. The facts of one record stay together: 25 MB, and 0.5 s,
for a period of 100,000 tenants.
"""

PORTION_S = 0.02
"""Facts are sent after this, s: an order waits no longer for those decided behind it, and the event loop for its turn. A batch of a
journal that was behind holds thousands.
"""

SEND_S = 0.0005
"""For so long the event loop has its turn between two portions: it takes it a few rounds to put the last one on its way."""

ROUNDS_PER_S = 50
"""Of telling what changed: a busy market costs at most so many depths a second for each instrument: for ten 3 % of a core."""


@dataclass(slots=True)
class Owned:
    """A journal partition that this engine owns.

    Attributes:
        deciding: held while the state is ahead of the facts that were sent.
    """

    state: PartitionState
    next_offset: int
    store: SnapshotStore
    outputs: Outputs
    snapshot_tick: int = field(default=-1)
    deciding: asyncio.Lock = field(default_factory=asyncio.Lock)


class Engine:
    """Decides for the journal partitions that it owns."""

    def __init__(
        self,
        app: faust.App,
        table: Table,
        *,
        journal: str,
        facts: str,
        limits: str,
        market: str,
        leases: str,
        scaling: str,
        snapshot_every_ms: int,
    ) -> None:
        self._app = app
        self._table = table
        self._journal = journal
        self._facts = facts
        self._limits = limits
        self._market = market
        self._leases = leases
        self._scaling = scaling
        self._telling: asyncio.Future[None] | None = None
        self._snapshot_every_ms = snapshot_every_ms
        self._owned: dict[int, Owned] = {}
        attach(app, self, [journal])

    async def assigned(self, committed: Mapping[TP, Committed]) -> Mapping[TP, int]:
        """Go on from the snapshots, whatever was committed: a snapshot may be newer than the commit that follows it."""
        self._owned = {tp.partition: self._restore(tp.partition) for tp in committed}
        spare_present_objects()
        return {TP(self._journal, partition): owned.next_offset for partition, owned in self._owned.items()}

    async def revoked(self, tps: set[TP]) -> None:
        """Forget what is no longer ours; its next owner has the snapshot."""
        for tp in tps:
            self._owned.pop(tp.partition, None)

    async def take(self, batch: Batch) -> None:
        """Decide on one batch and publish the facts."""
        owned = self._owned.get(batch.partition)
        if owned is None:
            return
        async with owned.deciding:
            if not await self._decide(owned, batch):
                return  # revoked meanwhile: its next owner decides the rest
        if owned.outputs.pending and (self._telling is None or self._telling.done()):
            self._telling = self._app.add_future(self._tell())
        if self._snapshot_is_due(owned):
            await self._snapshot(owned, batch)

    async def _decide(self, owned: Owned, batch: Batch) -> bool:
        """Facts of all records, in portions; False if the partition was lost before the end."""
        portion: list[Outgoing] = []
        held = 0
        clock = asyncio.get_running_loop().time
        due = clock() + PORTION_S
        for record in batch.records:
            if record.offset < owned.next_offset:
                continue
            for fact in facts_of(owned.state, decode(record.value), record.offset):
                data = encode(fact)
                portion.append(Outgoing(self._facts, batch.partition, fact.pool.encode(), data))
                held += len(data)
                owned.outputs.note(fact)
            owned.next_offset = record.offset + 1
            if held >= PORTION_BYTES or clock() >= due:
                await send_all(self._app, portion)
                portion, held = [], 0
                await asyncio.sleep(SEND_S)
                due = clock() + PORTION_S
                if self._owned.get(batch.partition) is not owned:
                    return False
        await send_all(self._app, portion)
        return True

    async def _tell(self) -> None:
        """Round after round of what changed, until nothing does."""
        while any(owned.outputs.pending for owned in self._owned.values()):
            for partition, owned in list(self._owned.items()):
                if not owned.outputs.pending:
                    continue
                async with owned.deciding:
                    told = owned.outputs.round(owned.next_offset - 1)
                for records in told:
                    if self._owned.get(partition) is not owned:
                        break
                    await send_all(self._app, records)
                    await asyncio.sleep(0)  # facts first
            await asyncio.sleep(1 / ROUNDS_PER_S)

    def states(self) -> Mapping[int, PartitionState]:
        """The state of each owned partition, to be read only."""
        return {partition: owned.state for partition, owned in self._owned.items()}

    def folded(self) -> Mapping[int, int]:
        """Of each owned partition, the journal offset up to which its state is folded, itself included."""
        return {partition: owned.next_offset - 1 for partition, owned in self._owned.items()}

    def _restore(self, partition: int) -> Owned:
        store = SnapshotStore(partition, self._table)
        state, next_offset = store.load()
        outputs = Outputs(state, partition, limits=self._limits, market=self._market, leases=self._leases, scaling=self._scaling)
        return Owned(state, next_offset, store, outputs, state.tick)

    def _snapshot_is_due(self, owned: Owned) -> bool:
        """By the journal's clock, so that a replay of a long journal at full speed writes snapshots on its way, too."""
        state = owned.state
        return state.tick_ms > 0 and (state.tick - owned.snapshot_tick) * state.tick_ms >= self._snapshot_every_ms

    async def _snapshot(self, owned: Owned, batch: Batch) -> None:
        next_offset = owned.next_offset
        await flushed(self._app)  # step 3: facts before the snapshot that makes their journal records safe
        counts = await owned.store.write(
            owned.state, next_offset, lambda: flushed(self._app), lambda: self._owned.get(batch.partition) is owned
        )
        if counts:
            owned.snapshot_tick = owned.state.tick
            consumer_of(self._app).declare_safe(batch.tp, next_offset, generation=batch.generation)
