"""`python -m streams.gateway.publishing DIRECTORY SOURCE`: what a gateway wrote down becomes events, in a process of its own.

A thread of the gateway would take the interpreter from requests while it makes events: this costs them nothing. The process follows
the gateway's files (streams/gateway/following.py), with settings from its environment:

1. read what ended behind the position that is told, a batch at a time;
2. publish the usage and the latency of each, under the request's id, and wait until Kafka has acknowledged them all; what it did
   not acknowledge is published again, for as long as it takes;
3. write down the new position.

A crash anywhere, of this process or of the gateway, repeats at most a batch under the same ids, which counts once. Its standard
input is a pipe that only the gateway holds: it ends when the gateway has gone, however it went, and the next one's goes on here.
A batch takes some 80 µs of processor a request (its two events validated, encoded, sent by threads of Kafka's client and
acknowledged) and a round trip; while Kafka is away, files grow.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from datetime import timedelta
from pathlib import Path

from streams.client import LatencyPublisher, UsagePublisher
from streams.errors import Unavailable
from streams.gateway.following import Following
from streams.gateway.write_ahead import Ended, Position, WriteAheadError
from streams.settings import Settings

log = logging.getLogger(__name__)

BATCH = 5_000
IDLE_S = 0.1
"""How long it waits for more; a request is published within two tenths of a second. It waits after each batch that was not full:
each flush wakes all of the producer's threads, and batches of a few requests would cost more than what they publish."""
DELIVERY = timedelta(seconds=30)
LINGER = timedelta(seconds=1)
"""Longer than a batch takes to be handed over: its flush sends it, at once. Sent every 5 ms meanwhile, a few events to each
partition, it took two and a half times the processor."""
AGAIN_S = 1.0
"""After which what Kafka did not take is tried again."""
LAST_S = 1.0
"""How long acknowledgements are waited for at the end."""


class Publishing:
    """Events of one gateway's files.

    Args:
        settings: how to reach Kafka.
        source: the gateway's name; with a request's id it identifies its events for ever.
        following: its files.
    """

    def __init__(self, settings: Settings, source: str, following: Following) -> None:
        self._following = following
        self._usage = UsagePublisher(settings, source=source, delivery_timeout=DELIVERY, linger=LINGER)
        self._latency = LatencyPublisher(settings, source=source, delivery_timeout=DELIVERY, linger=LINGER)
        self._closing = threading.Event()

    def end(self) -> None:
        """It stops soon; from any thread."""
        self._closing.set()

    def run(self) -> None:
        """Until it shall end."""
        while not self._closing.is_set():
            try:
                batch, through = self._following.read(BATCH)
                self._tell(batch, through)
            except (OSError, WriteAheadError) as broken:
                log.error("usage waits in the gateway's files, which can't be used now: %s", broken)  # noqa: TRY400  no mistake of ours
                self._closing.wait(AGAIN_S)
                continue
            if len(batch) < BATCH:
                self._closing.wait(IDLE_S)
        for publisher in (self._usage, self._latency):
            try:
                publisher.close(timedelta(seconds=LAST_S))
            except Unavailable as lost:
                log.warning("%s; the files keep it for the next start", lost)

    def _tell(self, batch: list[Ended], through: Position) -> None:
        """Until Kafka has all of it, or the process ends before."""
        left = batch
        while left and not self._closing.is_set():
            left = self._try(left)
            if left:
                self._closing.wait(AGAIN_S)
        if not left and through != self._following.told_through:
            self._following.told(through)

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
                    continue  # a flush that waits as long as deliveries are tried would hold up the end
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


def main() -> None:
    """Follows until the gateway has gone."""
    for other in (signal.SIGINT, signal.SIGTERM):  # they reach whole groups; the gateway ends by them, and needs this until it has
        signal.signal(other, signal.SIG_IGN)
    directory, source = sys.argv[1:]
    settings = Settings.load()
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    following = Following(Path(directory))
    publishing = Publishing(settings, source, following)
    threading.Thread(target=_end_with_the_gateway, args=(publishing,), daemon=True).start()
    publishing.run()
    following.close()


def _end_with_the_gateway(publishing: Publishing) -> None:
    while os.read(sys.stdin.fileno(), 1):
        continue
    publishing.end()


if __name__ == "__main__":
    main()
