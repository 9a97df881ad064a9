"""Landing: what stands in a topic comes into ClickHouse, every row once.

The offset lives with the data. For each topic a `Lander`:
1. On assignment, read `landed` (partition → through) from ClickHouse, and what each table holds beyond it; start at through + 1.
   What the group has committed in Kafka decides nothing. Guarantees that nothing is skipped, and that what was inserted before a
   crash is known.
2. Collect a batch, of all partitions of the topic, by rows, bytes or time. Guarantees a bound on memory and on delay.
3. For each table, drop the records whose rows are there already (streams/landing.py), and insert the others as one block of one
   table partition. ClickHouse writes a block whole or not at all. Guarantees that after a crash each record of the batch
   stands in the table with all of its rows or with none, which step 1 tells apart.
4. Insert `landed`. Guarantees that the batch is never looked at again; it is the last, so `through` never runs ahead of a table.
5. Declare the offsets safe in Kafka: only for the lag to be seen.
A crash anywhere repeats steps that change nothing. So does an insert of which no answer came: step 1 is done again before step 3.

Two sinks of one partition for a moment: a rebalance waits for the insert in flight, so where it is orderly there are none. A sink
that was frozen past its session may still finish the insert that it was at, after its successor has read what is there. Its
rows are then there twice, and the views show them once (schemas/clickhouse.py). It can do no other harm: of `landed` the
highest counts, and the group has forgotten it.

ClickHouse away: the batch in hand is tried until it lands, a second one is collected, and then nothing more is read. Nothing else
waits for the sink. If ClickHouse comes back without what it had, the sink stops, and starts again from what ClickHouse has.

Memory: two batches, and two fetches of each partition. A collected usage event is 0.4 KB in Python, so a batch of 50,000 rows is
20 MB, and in flight it has its columns besides, 20 MB. Whatever the rows, a batch ends at MAX_BATCH_BYTES of records: at worst,
dead letters of the largest size, it is 64 MB, and in flight three times as much.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress

from streams.clickhouse import ClickHouse
from streams.landables import Reader
from streams.landing import Collected, Standing, after, plan
from streams.standing import LandingTables
from streams.transport import Batch

MAX_BATCH_BYTES = 64 << 20
"""Of records in one batch: a dozen dead letters of the largest size, or several times a usual batch of usage events."""

IDLE_LANDED_S = 2.0
"""How often `landed` is written while only such records come as become no rows (ticks): each is an insert."""


class ForgottenRowsError(Exception):
    """ClickHouse has less than it had: it lost data, or another one answers. The sink starts again from what it has."""


class Lander:
    """Lands one topic, for the length of one assignment.

    Args:
        tables: of the topic.
        read: its reader.
        store: ClickHouse.
        batch_rows: after which a batch is landed.
        batch_s: after which a smaller batch is landed, s.
        landed: told (partition, next offset) when everything below has landed.
    """

    def __init__(
        self,
        tables: LandingTables,
        read: Reader,
        store: ClickHouse,
        *,
        batch_rows: int,
        batch_s: float,
        landed: Callable[[int, int], None],
    ) -> None:
        self._tables = tables
        self._read = read
        self._store = store
        self._batch_rows = batch_rows
        self._batch_s = batch_s
        self._tell_landed = landed
        self._standings: dict[int, Standing] = {}
        self._noted: dict[int, int] = {}  # partition → `through` as ClickHouse has it
        self._noted_at = 0.0
        self._collected = Collected()
        self._collecting_since = 0.0
        self._changed = asyncio.Condition()
        self._stopped = False

    async def start(self, partitions: Iterable[int]) -> Mapping[int, int]:
        """Step 1.

        Returns:
            Partition → offset at which to start.
        """
        wanted = list(partitions)

        async def attempt(_number: int) -> dict[int, Standing]:
            return await self._store.call(lambda client: self._tables.read(client, wanted))

        self._standings = await self._store.until_done(attempt)
        self._noted = {partition: standing.through for partition, standing in self._standings.items()}
        return {partition: standing.through + 1 for partition, standing in self._standings.items()}

    async def stop(self) -> None:
        """Take nothing more. What has not landed is read again by the next owner."""
        async with self._changed:
            self._stopped = True
            self._changed.notify_all()

    async def take(self, batch: Batch) -> None:
        """Step 2: collect the records of a batch; wait as long as the batch collected so far is full."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._stopped or not self._is_full())
            if self._stopped:
                return
            if not self._collected.through:
                self._collecting_since = time.monotonic()
            self._read(self._collected, batch.partition, batch.records)
            self._collected.size += sum(len(record.value or b"") for record in batch.records)
            self._collected.reach(batch.partition, batch.last)
            self._changed.notify_all()

    def _is_full(self) -> bool:
        return self._collected.rows >= self._batch_rows or self._collected.size >= MAX_BATCH_BYTES

    async def land(self) -> None:
        """Land batch after batch; ends only by failing or by being cancelled."""
        while True:
            collected = await self._next()
            await self._store.until_done(self._attempts(collected))
            for partition, through in collected.through.items():
                self._tell_landed(partition, through + 1)  # step 5

    async def _next(self) -> Collected:
        """The next batch, once it is full or old enough. While it lands, the one after it is collected."""
        async with self._changed:
            await self._changed.wait_for(lambda: bool(self._collected.through))
            age = time.monotonic() - self._collecting_since
            with suppress(TimeoutError):  # then it is old enough
                async with asyncio.timeout(max(0.0, self._batch_s - age)):
                    await self._changed.wait_for(self._is_full)
            collected, self._collected = self._collected, Collected()
            self._changed.notify_all()
        return collected

    def _attempts(self, collected: Collected) -> Callable[[int], Awaitable[None]]:
        async def attempt(number: int) -> None:
            if number > 1:
                await self._look_again(collected)
            # One moment for all rows of an insert, so that they fall into one table partition; it never falls. Each attempt has its
            # own: what landed after an outage of hours bears a time at which it became visible (schemas/clickhouse_rollups.py).
            earlier = max(self._standings[partition].landed_at for partition in collected.through)
            await self._land(collected, max(int(time.time() * 1000), earlier))

        return attempt

    async def _look_again(self, collected: Collected) -> None:
        """Step 1 again: nobody knows which inserts of the last attempt were done.

        Raises:
            ForgottenRowsError: ClickHouse has less than before.
        """
        found = await self._store.call(lambda client: self._tables.restore(client, collected.through))
        for partition, standing in found.items():
            if standing.through < self._noted[partition]:
                raise ForgottenRowsError(
                    f"{self._tables.topic}/{partition}: landed through {standing.through}, it was {self._noted[partition]} before"
                )
        self._standings |= found

    async def _land(self, collected: Collected, landed_at: int) -> None:
        for table, items in collected.tables.items():  # step 3
            fresh = plan(items, table, self._tables.landing(table), self._standings)
            if fresh:
                await self._store.call(self._tables.inserting(table, fresh, landed_at))
        standings = after(collected, landed_at, self._standings)
        if collected.rows or time.monotonic() >= self._noted_at + IDLE_LANDED_S:
            await self._store.call(lambda client: self._tables.insert_landed(client, standings))  # step 4
            self._noted |= {partition: standing.through for partition, standing in standings.items()}
            self._noted_at = time.monotonic()
        self._standings |= standings
