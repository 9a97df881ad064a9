"""Measured once: what each request used and how long it took, as events, also after the gateway was killed.

The gateway writes into its write-ahead files (streams/gateway/write_ahead.py); a thread reads them behind it and publishes:

1. read what ended behind the position that is told, a batch at a time;
2. publish the usage and the latency of each, under the request's id, and wait until Kafka has acknowledged them all; what it did
   not acknowledge is published again, for as long as it takes;
3. tell the files the new position. A crash anywhere repeats events under the same ids, which count once.

So a request's end costs the gateway one write(). A batch takes 60 µs an event and a round trip; while Kafka is away, files grow.
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import timedelta
from pathlib import Path

from streams.client import LatencyPublisher, UsagePublisher
from streams.errors import Unavailable
from streams.gateway.write_ahead import Begun, Ended, WriteAhead, WriteAheadError
from streams.settings import Settings

log = logging.getLogger(__name__)

BATCH = 5_000
IDLE_S = 0.1
"""How long the thread waits for more; a request is published within two tenths of a second. It waits after each batch that was not
full: each flush wakes all of the producer's threads, and batches of a few requests would cost more than what they publish."""
AGAIN_S = 1.0
"""After which what Kafka did not take is tried again."""


class Metered:
    """What requests used, on its way to Kafka.

    Args:
        settings: how to reach Kafka.
        source: the gateway's name; with a request's id it identifies its events for ever.
        directory: of the write-ahead files.

    Raises:
        WriteAheadError: the files are another gateway's, or damaged.
        OSError: the directory can't be written.
    """

    def __init__(self, settings: Settings, source: str, directory: Path) -> None:
        self._files = WriteAhead(directory, time.time_ns() // 1_000_000)
        if self._files.lost:
            log.warning(
                "%d requests were running when this gateway died: they are settled at what they had reserved", self._files.lost
            )
        self._usage = UsagePublisher(settings, source=source, delivery_timeout=timedelta(seconds=30))
        self._latency = LatencyPublisher(settings, source=source, delivery_timeout=timedelta(seconds=30))
        self._closing = threading.Event()
        self._published = 0
        self._thread = threading.Thread(target=self._run, name="metered", daemon=True)
        self._thread.start()

    @property
    def running(self) -> int:
        """Requests that began and have not ended."""
        return self._files.running

    @property
    def published(self) -> int:
        """Requests whose events Kafka has, since this object was made."""
        return self._published

    @property
    def lost(self) -> int:
        """Requests of which an earlier process knew only the beginning."""
        return self._files.lost

    @property
    def told_all(self) -> bool:
        """Whether everything that ended is known to Kafka."""
        return self._files.told_through == self._files.ends

    def begin(self, begun: Begun) -> None:
        """A request will be passed on.

        Raises:
            OSError: it can't be written down: do not pass it on.
        """
        self._files.begin(begun)

    def end(self, ended: Ended) -> None:
        """A request has ended.

        Raises:
            OSError: it can't be written down now; it is owed (`write_owed`).
        """
        self._files.end(ended)

    def write_owed(self) -> None:
        """Tries again to write down what could not be; by the thread of `begin` and `end`, now and then.

        Raises:
            OSError: it still can't be.
        """
        self._files.write_owed()

    def close(self, patience_s: float = 10.0) -> bool:
        """Waits until all that runs has ended and is told, and stops. False: not in time; the files keep it for the next start."""
        deadline = time.monotonic() + patience_s
        while (self.running or not self.told_all) and time.monotonic() < deadline:
            time.sleep(IDLE_S)
        done = self.told_all and not self.running
        self._closing.set()
        self._thread.join()
        for publisher in (self._usage, self._latency):
            try:
                publisher.close(timedelta(seconds=1))
            except Unavailable as lost:
                log.warning("%s; the files keep it for the next start", lost)
        self._files.close()
        return done

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                found = self._tell()
            except (OSError, WriteAheadError) as broken:
                log.error("usage waits in the gateway's files, which can't be used now: %s", broken)  # noqa: TRY400  no mistake of ours
                self._closing.wait(AGAIN_S)
                continue
            if found < BATCH:
                self._closing.wait(IDLE_S)

    def _tell(self) -> int:
        """The next batch; how many."""
        batch, through = self._files.read(self._files.told_through, BATCH)
        if through != self._files.told_through and self._publish(batch):
            self._published += len(batch)
            self._files.told(through)
        return len(batch)

    def _publish(self, batch: list[Ended]) -> bool:
        """Until Kafka has all of it; False: the gateway closes before."""
        left: list[Ended] | None = batch
        while left and not self._closing.is_set():
            left = self._try(left)
            if left:
                self._closing.wait(AGAIN_S)
        return not left

    def _try(self, batch: list[Ended]) -> list[Ended]:
        """What of it Kafka did not take."""
        try:
            for ended in batch:
                of_request = {"id": ended.request, "time": ended.ended_ms, "tenant": ended.tenant, "pool": ended.pool}
                self._usage.publish({**of_request, "request_id": ended.request}, **_usage_of(ended))
                if ended.latency_ms is not None:
                    self._latency.publish({**of_request, "request_id": ended.request}, **_latency_of(ended))
            for publisher in (self._usage, self._latency):
                while publisher.flush(timedelta(seconds=AGAIN_S)).in_flight and not self._closing.is_set():
                    continue  # a flush that waits as long as deliveries are tried would hold up `close`
        except Unavailable as away:
            log.warning("usage is kept in files and will be told later: %s", away)
            return batch
        if self._closing.is_set() and any(publisher.delivered().in_flight for publisher in (self._usage, self._latency)):
            return batch
        missing = {lost.event.id for publisher in (self._usage, self._latency) for lost in publisher.take_undelivered()}
        return [ended for ended in batch if ended.request in missing]


def _usage_of(ended: Ended) -> dict[str, int | str]:
    return {
        "input_tokens": ended.input_tokens,
        "output_tokens": ended.output_tokens,
        "cached_input_tokens": ended.cached_input_tokens,
        "model": ended.model,
        "basis": ended.basis,
    }


def _latency_of(ended: Ended) -> dict[str, int | str | None]:
    return {
        "latency_ms": ended.latency_ms,
        "ttft_ms": ended.ttft_ms,
        "tpot_ms": ended.tpot_ms,
        "status": ended.status,
    }
