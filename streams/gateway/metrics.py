"""What a gateway tells Prometheus of itself, by pool; at a port of its own, as it is not for tenants.

What each tenant did is in ClickHouse: a hundred thousand tenants are no labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, start_http_server

from streams.errors import UserError
from streams.gateway.answers import Code
from streams.gateway.desk import Desk
from streams.gateway.write_ahead import Ended

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class _Told(NamedTuple):
    """Where requests of one pool and status are counted."""

    ended: Counter
    given: Counter
    made: Counter
    latency: Histogram
    first: Histogram


class Metrics:
    """Counters, gauges and histograms in a registry of their own; some 3 µs a request."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._ended = self._counter("requests", "requests that were admitted and have ended", "pool", "status")
        self._failed = self._counter("failures", "requests that were answered with an error, by its code", "pool", "code")
        self._tokens = self._counter("tokens", "tokens that were settled", "pool", "kind")
        self._latency = self._histogram("latency_seconds", "from a request's arrival to the end of its answer")
        self._first = self._histogram("time_to_first_token_seconds", "from a request's arrival to its first output")
        self._in_flight = self._gauge("in_flight", "requests that run")
        self._waiting = self._gauge("waiting", "requests that wait for their tenant's own limit")
        self._ready = self._gauge("ready", "1 if there are limits to decide by")
        self._told = cache(self._of)  # looking up labels takes longer than counting; pools and statuses are few

    def watch(self, desks: Mapping[str, Desk]) -> None:
        """Tells of these desks as they are whenever it is asked."""
        for pool, desk in desks.items():
            self._in_flight.labels(pool).set_function(partial(getattr, desk, "in_flight"))
            self._waiting.labels(pool).set_function(partial(getattr, desk, "waiting"))
            self._ready.labels(pool).set_function(partial(getattr, desk, "ready"))

    def serve(self, host: str, port: int) -> tuple[int, Callable[[], None]]:
        """Answers Prometheus, in a thread of its own so that a slow scraper holds up nobody; (port, what ends it).

        Raises:
            UserError: nobody can listen there.
        """
        try:
            server, _ = start_http_server(port, host, self._registry)
        except OSError as error:
            raise UserError(f"can't listen at {host}:{port}: {error.strerror or error}") from error

        def end() -> None:
            server.shutdown()
            server.server_close()

        return server.server_port, end

    def ended(self, ended: Ended) -> None:
        """A request was settled."""
        told = self._told(ended.pool, ended.status)
        told.ended.inc()
        told.given.inc(ended.input_tokens)
        told.made.inc(ended.output_tokens)
        if ended.latency_ms is not None and ended.status == "ok":
            told.latency.observe(ended.latency_ms / 1000)
        if ended.ttft_ms is not None:
            told.first.observe(ended.ttft_ms / 1000)

    def _of(self, pool: str, status: str) -> _Told:
        return _Told(
            self._ended.labels(pool, status),
            self._tokens.labels(pool, "input"),
            self._tokens.labels(pool, "output"),
            self._latency.labels(pool),
            self._first.labels(pool),
        )

    def failed(self, pool: str, code: Code) -> None:
        """A request was answered with an error; of no pool, where that was not known yet."""
        self._failed.labels(pool, code).inc()

    def page(self) -> bytes:
        """As Prometheus reads it."""
        return generate_latest(self._registry)

    def _counter(self, name: str, told: str, *labels: str) -> Counter:
        return Counter(f"bourse_gateway_{name}", told, labels, registry=self._registry)

    def _gauge(self, name: str, told: str) -> Gauge:
        return Gauge(f"bourse_gateway_{name}", told, ("pool",), registry=self._registry)

    def _histogram(self, name: str, told: str) -> Histogram:
        return Histogram(f"bourse_gateway_{name}", told, ("pool",), registry=self._registry, buckets=_SECONDS)
