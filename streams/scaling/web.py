"""The autoscaler's HTTP: `/scale`, `/scale/{pool}`, `/metrics` for Prometheus, `/healthz`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from processors.sharing.state import DIMENSIONS
from schemas.outputs import Scale
from streams.scaling.scales import Scales
from streams.scaling.telling import shown, utilisation


def scaling_app(scales: Scales) -> Starlette:
    """The ASGI application over what is followed elsewhere."""
    registry = CollectorRegistry()
    registry.register(_Gauges(scales))

    def told(scale: Scale) -> dict[str, Any]:
        return {**shown(scale), "age_s": round(scales.age_s(scale.pool), 3)}

    async def everything(_request: Request) -> Response:
        return JSONResponse({scale.pool: told(scale) for scale in scales})

    async def one(request: Request) -> Response:
        pool = request.path_params["pool"]
        scale = scales.get(pool)
        if scale is not None:
            return JSONResponse(told(scale))
        if not scales.ready:
            return JSONResponse({"error": "the topic has not been read yet"}, 503)
        return JSONResponse({"error": f"pool: {pool!r} is not scaled"}, 404)

    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    async def health(_request: Request) -> Response:
        return JSONResponse({"status": "ok" if scales.ready else "reading"}, 200 if scales.ready else 503)

    return Starlette(
        routes=[
            Route("/scale", everything),
            Route("/scale/{pool:path}", one),  # a pool's id may hold a slash
            Route("/metrics", metrics),
            Route("/healthz", health),
        ]
    )


class _Gauges(Collector):
    """Each pool as it is when Prometheus asks: a pool that is scaled no more is told no more."""

    def __init__(self, scales: Scales) -> None:
        self._scales = scales

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """What there may be; asked for when it is registered."""
        return self._families()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """All gauges."""
        return self._families()

    def _families(self) -> Iterator[GaugeMetricFamily]:
        for name, field, told in (
            ("wanted_replicas", "wanted", "replicas that are asked for"),
            ("provisioned_replicas", "replicas", "replicas that there are, as reported"),
            ("promised_replicas", "promised_replicas", "replicas that what is promised needs"),
        ):
            yield self._of_pools(name, field, told)
        yield self._of_moments("changed", "when the decision last changed, since 1970", lambda scale: scale.at / 1000)
        heard = "when the engine was last heard of the pool, since 1970; it tells at every tick"
        yield self._of_moments("heard", heard, lambda scale: self._scales.heard(scale.pool))
        for name, told in (
            ("needed_replicas", "replicas that are needed of each dimension"),
            ("utilisation_ratio", "use of each dimension, of what there is"),
        ):
            yield self._of_dimensions(name, told)

    def _of_pools(self, name: str, field: str, told: str) -> GaugeMetricFamily:
        family = GaugeMetricFamily(f"bourse_scale_{name}", told, labels=["pool"])
        for scale in self._scales:
            family.add_metric([scale.pool], getattr(scale, field))
        return family

    def _of_moments(self, name: str, told: str, moment: Callable[[Scale], float]) -> GaugeMetricFamily:
        family = GaugeMetricFamily(f"bourse_scale_{name}_timestamp_seconds", told, labels=["pool"])
        for scale in self._scales:
            family.add_metric([scale.pool], moment(scale))
        return family

    def _of_dimensions(self, name: str, told: str) -> GaugeMetricFamily:
        family = GaugeMetricFamily(f"bourse_scale_{name}", told, labels=["pool", "dimension"])
        for scale in self._scales:
            for dimension, value in _values(scale, name).items():
                if value is not None:
                    family.add_metric([scale.pool, dimension], value)
        return family


def _values(scale: Scale, name: str) -> dict[str, float | None]:
    return utilisation(scale) if name == "utilisation_ratio" else {each: getattr(scale, f"needed_{each}") for each in DIMENSIONS}
