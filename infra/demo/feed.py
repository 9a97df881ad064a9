"""The demo's backend: publishes each request's usage and latency when its time has come, and counts what it published."""

from __future__ import annotations

import threading
import time
from collections import Counter

from infra.demo.backlog import Backlog
from infra.workloads import TPOT_MS, Request, Workload
from schemas.published import LatencyEvent, UsageEvent
from streams.client import Delivered, LatencyPublisher, UsagePublisher
from streams.settings import Settings


class Feed:
    """Publishes in a thread of its own.

    Attributes:
        source: names this run in every event.
        tokens: published so far, by tenant.
        requests: published so far.
        backlog: what requests of tenants that have an SLA wait for.
    """

    def __init__(self, settings: Settings, workload: Workload, pool: str, source: str) -> None:
        self.source = source
        self.tokens: Counter[str] = Counter()
        self.requests = 0
        self.backlog = Backlog(tenant for tenant, temper in workload.tempers.items() if temper.sla_ms is not None)
        self._workload = workload
        self._pool = pool
        self._usage = UsagePublisher(settings)
        self._latency = LatencyPublisher(settings)
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def start(self) -> None:
        """Begins; the workload's time 0 is now."""
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether there is more to publish."""
        return self._thread.is_alive()

    def acknowledged(self) -> int:
        """Events that the broker has acknowledged so far."""
        return self._usage.delivered().acknowledged + self._latency.delivered().acknowledged

    def finish(self) -> tuple[Delivered, Delivered]:
        """Stops and waits for every acknowledgement: (usage, latency).

        Raises:
            UndeliveredError: something was not acknowledged.
            PublishTimeout: Kafka was away for too long.
        """
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._usage.close()
        self._latency.close()
        if self._failure is not None:
            raise self._failure
        return self._usage.delivered(), self._latency.delivered()

    def _run(self) -> None:
        began, began_ms = time.monotonic(), time.time_ns() // 1_000_000
        try:
            for request in self._workload.walk():
                if self._stop.wait(max(0.0, began + request.at_ms / 1000 - time.monotonic())):
                    return
                self._publish(request, began_ms + request.at_ms)
        except Exception as failure:  # noqa: BLE001  raised again by finish(), in the thread that can tell of it
            self._failure = failure

    def _publish(self, request: Request, time_ms: int) -> None:
        event_id = f"{self.source}-{self.requests}"
        waits_ms = self.backlog.wait_ms(request)
        self._usage.publish(
            UsageEvent(
                time=time_ms,
                source=self.source,
                id=event_id,
                tenant=request.tenant,
                pool=self._pool,
                input_tokens=request.input_tokens,
                cached_input_tokens=request.cached_input_tokens,
                output_tokens=request.output_tokens,
            )
        )
        self._latency.publish(
            LatencyEvent(
                time=time_ms,
                source=self.source,
                id=event_id,
                tenant=request.tenant,
                pool=self._pool,
                latency_ms=waits_ms + request.latency_ms,
                ttft_ms=waits_ms + request.ttft_ms,
                tpot_ms=TPOT_MS,
                request_id=event_id,
                status="ok",
            )
        )
        self.requests += 1
        self.tokens[request.tenant] += request.tokens
