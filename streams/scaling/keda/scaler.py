"""KEDA's external scaler: the metric `bourse-replicas` is the number of replicas asked for, its target 1.

A HorizontalPodAutoscaler asks for ceil(metric / target) replicas, so for exactly as many. It ignores a difference within its
tolerance (a tenth, unless `behavior.scaleUp.tolerance` and `behavior.scaleDown.tolerance` say otherwise).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, NoReturn

import grpc

from schemas.outputs import Scale
from streams.scaling.keda import externalscaler_pb2 as messages
from streams.scaling.keda.externalscaler_pb2_grpc import ExternalScalerServicer, add_ExternalScalerServicer_to_server
from streams.scaling.scales import Scales

METRIC = "bourse-replicas"

Context = Any
"""grpc.aio's ServicerContext; grpcio ships no type information. Likewise its messages."""


class KedaScaler(ExternalScalerServicer):  # type: ignore[misc]  # generated without types
    """Answers KEDA of the pool that a trigger's metadata name as `pool`."""

    def __init__(self, scales: Scales) -> None:
        self._scales = scales

    async def IsActive(self, request: Any, context: Context) -> Any:  # noqa: N802  KEDA's name; likewise below
        """Whether any replica is asked for."""
        return messages.IsActiveResponse(result=(await self._scale(request, context)).wanted > 0)

    async def StreamIsActive(self, request: Any, context: Context) -> AsyncIterator[Any]:  # noqa: N802  the protocol's name
        """The same, then whenever it changes. A pool that is scaled no more ends it: `false` would let KEDA take every replica."""
        told = None
        async for _ in self._scales.words():
            active = (await self._scale(request, context)).wanted > 0
            if active is not told:
                told = active
                yield messages.IsActiveResponse(result=active)

    async def GetMetricSpec(self, request: Any, context: Context) -> Any:  # noqa: N802  the protocol's name
        """One metric, of which each replica is worth one."""
        await self._pool(request, context)
        return messages.GetMetricSpecResponse(
            metricSpecs=[messages.MetricSpec(metricName=METRIC, targetSize=1, targetSizeFloat=1.0)]
        )

    async def GetMetrics(self, request: Any, context: Context) -> Any:  # noqa: N802  the protocol's name
        """As many as are asked for."""
        if request.metricName not in {"", METRIC}:
            await _abort(context, grpc.StatusCode.NOT_FOUND, f"metricName: {request.metricName!r}, but the metric is {METRIC!r}")
        wanted = (await self._scale(request.scaledObjectRef, context)).wanted
        return messages.GetMetricsResponse(
            metricValues=[messages.MetricValue(metricName=METRIC, metricValue=wanted, metricValueFloat=float(wanted))]
        )

    async def _pool(self, request: Any, context: Context) -> str:
        pool: str = request.scalerMetadata.get("pool", "")
        if not pool:
            await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, "scalerMetadata.pool: missing; which pool is it?")
        return pool

    async def _scale(self, request: Any, context: Context) -> Scale:
        """KEDA keeps what it knows where it gets an error: that is better than any number made up."""
        pool = await self._pool(request, context)
        scale = self._scales.get(pool)
        if scale is None and not self._scales.ready:
            await _abort(context, grpc.StatusCode.UNAVAILABLE, "the topic has not been read yet")
        if scale is None:
            await _abort(context, grpc.StatusCode.NOT_FOUND, f"scalerMetadata.pool: {pool!r} is not scaled")
        return scale


async def _abort(context: Context, code: Any, told: str) -> NoReturn:
    await context.abort(code, told)
    raise AssertionError("abort raises")


def keda_server(scales: Scales, address: str) -> tuple[Any, int]:
    """A gRPC server that is not started yet, and the port it has.

    Args:
        scales: what it tells.
        address: host:port; port 0: a free one.

    Raises:
        RuntimeError: nobody can listen there.
    """
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    add_ExternalScalerServicer_to_server(KedaScaler(scales), server)
    return server, server.add_insecure_port(address)
