"""What one of several gateways may use of a pool: its lease, and the reports for which it gets one.

    tail, reporter = LeaseTail(settings, POOL, NAME, LIFE), LeaseReporter(settings, POOL, NAME, LIFE)

A report goes out each second, or sooner (SOON_MS), from the start: without one there is no lease. Each new lease is in force at
once (`Admission` with `leased=True`; what was in force before must not be gone back to), and the next report names its number.
While `left_ms` of the newest lease is above 0 the gateway may admit by it; after that its share may be another's.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import NamedTuple

from processors.admission import Knots
from processors.entitlement import Capacity, Quota, TenantLimits
from schemas.gateways import LEASE_MS, MOST_REPORTED, USE_COLUMNS, GatewayReport
from schemas.model import Event
from schemas.outputs import Lease, LeasePart, lease_key
from schemas.published import Tier
from streams.building import validated
from streams.codecs import decode, encode
from streams.limits import knots_of
from streams.outbox import Letter, Outbox, UndeliveredError
from streams.settings import Settings
from streams.tailing import Tail

REPORT_MS = 1_000
"""A gateway reports this often."""

SOON_MS = 500
"""And so soon after a report if it goes by a lease which that did not name yet, or if requests wait. A part of a limit moves at the
tick after its gateway has named the smaller lease: one that comes just after a report would be named behind that tick. Half a
second is enough for a tick to become a lease, and for a report to stand in the journal before the next one; shorter intervals would
take the noise of a few requests for a rate."""

KEPT_REPORTS = 256
"""Newest reports of which it is known when they were sent: SOON_MS apart, the longest lease (120 s) is over by then."""


@dataclass(frozen=True, slots=True)
class PoolLeases:
    """What a gateway may use of a pool.

    Attributes:
        number: grows from lease to lease; the next report names it as applied.
        valid_ms: how long it holds after the report that it answers was sent.
        answers: sequence of that report.
        capacity: the gateway's part of the pool's.
        kv_block_tokens: tokens of a block.
        knots: how borrowing limits fall as this part of the pool fills.
        tenants: the gateway's parts of everybody's limits.
    """

    number: int
    valid_ms: int
    answers: int
    capacity: Capacity
    kv_block_tokens: int
    knots: Knots
    tenants: Mapping[str, TenantLimits]


class TenantUse(NamedTuple):
    """What a tenant wanted and used since the last report.

    Attributes:
        tokens: wanted: of requests that were admitted, and of those that were refused.
        kv_blocks_peak: wanted: the most in use at once, and what refused requests would have held besides.
        concurrency_peak: likewise.
        kv_blocks_held: in use now.
        concurrency_held: likewise.
        refused: requests.
    """

    tokens: int
    kv_blocks_peak: int
    concurrency_peak: int
    kv_blocks_held: int
    concurrency_held: int
    refused: int = 0


@dataclass(frozen=True, slots=True)
class _NoLease:
    """The gateway has none any more."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a lease, read."""

    part: int
    number: int
    tenants: Mapping[str, TenantLimits]


Read = Lease | Part | _NoLease


class Assembly:
    """A gateway's lease, put together from its parts: all of them, or none.

    What is older than what is known counts for nothing, as after a crash an engine may tell it again. Nor does what an earlier life
    of the gateway was told.
    """

    def __init__(self, pool: str, gateway: str, incarnation: str) -> None:
        self._whole, self._parts_prefix = lease_key(pool, gateway), lease_key(pool, gateway) + b"/"
        self._incarnation = incarnation
        self._newest: tuple[int, int] = (0, 0)
        self._lease: Lease | None = None
        self._parts: dict[int, Part] = {}
        self._now: PoolLeases | None = None

    def read(self, key: bytes | None, value: bytes | None) -> Iterable[Read]:
        """What a record says of this gateway's lease; may be called in another thread than `take`."""
        if key is None or not (key == self._whole or key.startswith(self._parts_prefix)):
            return ()
        if value is None:
            return (_NoLease(),) if key == self._whole else ()
        told: Event = decode(value)
        if isinstance(told, LeasePart):
            return (Part(told.part, told.number, _tenants(told)),)
        return (told,) if isinstance(told, Lease) else ()

    def take(self, item: Read) -> None:
        """The next that was read, in the order of the topic."""
        if isinstance(item, _NoLease):
            self._lease = self._now = None
        elif isinstance(item, Part):
            known = self._parts.get(item.part)
            if known is None or item.number > known.number:
                self._parts[item.part] = item
        elif item.incarnation == self._incarnation and (item.number, item.answers) > self._newest:
            self._newest, self._lease = (item.number, item.answers), item
        self._assemble()

    def now(self) -> PoolLeases | None:
        """The newest lease that is whole; None: there is none."""
        return self._now

    def _assemble(self) -> None:
        lease, now = self._lease, self._now
        if lease is None or (now is not None and (now.number, now.answers) == self._newest):
            return
        if now is not None and now.number == lease.number:
            self._now = replace(
                now,
                answers=lease.answers,
                valid_ms=lease.valid_ms,
                kv_block_tokens=lease.kv_block_tokens,
                knots=knots_of(lease),
            )
        elif all(not number or self._is_there(part, number) for part, number in enumerate(lease.parts)):
            tenants: dict[str, TenantLimits] = {}
            for part, number in enumerate(lease.parts):
                tenants |= self._parts[part].tenants if number else {}
            self._now = PoolLeases(
                lease.number,
                lease.valid_ms,
                lease.answers,
                Capacity(lease.throughput, lease.kv, lease.concurrency),
                lease.kv_block_tokens,
                knots_of(lease),
                tenants,
            )

    def _is_there(self, part: int, number: int) -> bool:
        return part in self._parts and self._parts[part].number == number


class LeaseTail:
    """Follows one gateway's lease.

    The topic is read from its beginning; it keeps little more than the newest value of each key. Other gateways' records are passed
    over by their keys. 10,000 tenants are five parts, decoded in 0.3 s, and hold some 8 MB.
    """

    def __init__(self, settings: Settings, pool: str, gateway: str, incarnation: str) -> None:
        self._assembly = Assembly(pool, gateway, incarnation)
        self._tail: Tail[Read] = Tail(
            settings, settings.topic("leases"), pool, lambda _offset, key, value: self._assembly.read(key, value)
        )

    async def start(self) -> None:
        """Begins to read.

        Raises:
            Unavailable: no broker answers, or none has the topic.
        """
        await self._tail.start(0)

    async def leases(self) -> AsyncIterator[PoolLeases | None]:
        """The lease as it is each time it changes or is renewed. None: there is none any more.

        Raises:
            Unavailable: Kafka denies access.
        """
        told: PoolLeases | None = None
        async for items in self._tail.lists():
            for item in items:
                if isinstance(item, Lease | Part | _NoLease):
                    self._assembly.take(item)
            now = self._assembly.now()
            if now is not told:
                told = now
                yield now

    async def close(self) -> None:
        """Stops reading; safe to call twice."""
        await self._tail.close()


class LeaseReporter:
    """Reports what a gateway uses, for which it gets leases, and tells how long they hold. One thread.

    Args:
        settings: how to reach Kafka and the topics' prefix.
        pool: that it serves.
        gateway: its name, of which no other gateway of the pool may be.
        incarnation: new in each life of its process.
        lease_ms: for how long leases shall hold. Long ones outlast longer absences of Kafka and engine; but for so long the share
            of a gateway that died is nobody's.
        now_ms: a clock that never runs backwards.
    """

    def __init__(
        self,
        settings: Settings,
        pool: str,
        gateway: str,
        incarnation: str,
        *,
        lease_ms: int = LEASE_MS,
        now_ms: Callable[[], int] = lambda: time.monotonic_ns() // 1_000_000,
    ) -> None:
        self._topic = settings.topic("gateways")
        self._identity = {"pool": pool, "gateway": gateway, "incarnation": incarnation, "lease_ms": lease_ms}
        self._key = pool.encode()
        self._clock = now_ms
        self._sent: dict[int, int] = {}
        self._sequence = 0
        self._reported_ms = now_ms() - REPORT_MS
        # A report that was under way for as long as a lease is worth nothing: the newest ones count.
        self._outbox: Outbox[GatewayReport] = Outbox(
            settings,
            max_pending=4 * KEPT_REPORTS,
            max_wait=timedelta(0),
            delivery_timeout=timedelta(milliseconds=lease_ms),
        )

    def report(self, applied: int, use: Mapping[str, TenantUse], *, leaving: bool = False) -> int:
        """Hands a report to the producer and returns its sequence; chunks of MOST_REPORTED tenants.

        Args:
            applied: number of the lease that is in force; 0: none.
            use: of tenants that used or wanted something.
            leaving: nothing runs, nothing more will be admitted, and this is the last report: the share is free at once.

        Raises:
            InvalidEvent: a name or number that no door would take; nothing was sent.
            PublishTimeout: Kafka is away, and as many reports wait as may.
            PublishFailed: the producer can't go on.
        """
        now = self._clock()
        self._outbox.take_undelivered()  # what was lost, newer reports make good
        reports = self._reports(now, applied, use, leaving=leaving)
        self._sequence += 1
        self._sent[self._sequence] = now
        self._sent.pop(self._sequence - KEPT_REPORTS, None)
        self._reported_ms = now
        for report in reports:
            self._outbox.put(Letter(self._topic, self._key, encode(report)), report)
        return self._sequence

    def left_ms(self, leases: PoolLeases) -> int:
        """How long a lease still holds; 0: it is over."""
        sent = self._sent.get(leases.answers)
        return 0 if sent is None else max(0, sent + leases.valid_ms - self._clock())

    def close(self) -> None:
        """Waits for what is under way, and stops; what was not acknowledged is worth nothing any more. Safe to call twice."""
        with suppress(UndeliveredError):
            self._outbox.close(timedelta(seconds=1))

    def _reports(self, now: int, applied: int, use: Mapping[str, TenantUse], *, leaving: bool) -> list[GatewayReport]:
        names = sorted(use)
        chunks = max(-(-len(names) // MOST_REPORTED), 1)
        parts = [names[chunk * MOST_REPORTED : (chunk + 1) * MOST_REPORTED] for chunk in range(chunks)]
        return [
            validated(
                GatewayReport,
                {
                    **self._identity,
                    "id": str(uuid.uuid4()),
                    "time": time.time_ns() // 1_000_000,
                    "sequence": self._sequence + 1,
                    "chunk": chunk,
                    "chunks": chunks,
                    "applied": applied,
                    "interval_ms": max(now - self._reported_ms, 1),
                    "leaving": leaving,
                    "tenant": part,
                    **{column: [use[name][place] for name in part] for place, column in enumerate(USE_COLUMNS)},
                },
            )
            for chunk, part in enumerate(parts)
        ]


def _tenants(part: LeasePart) -> Mapping[str, TenantLimits]:
    names = ("throughput", "kv", "concurrency")
    columns = ([getattr(part, f"{name}_{field}") for field in Quota._fields] for name in names)
    quotas = zip(*(map(Quota, *each) for each in columns), strict=True)
    return {tenant: TenantLimits(Tier(tier), each) for tenant, tier, each in zip(part.tenant, part.tier, quotas, strict=True)}
