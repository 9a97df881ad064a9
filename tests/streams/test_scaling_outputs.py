"""What is told of scaling beside facts, and by whom: the topic, HTTP, Prometheus, KEDA."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from pool_world import PoolWorld, of_kind, tenant, token_pool
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from processors.scaling.data import scale_of
from schemas.outputs import Scale
from schemas.scaling_facts import ScalingDecided
from streams.codecs import decode, encode
from streams.outputs import Outputs
from streams.scaling.keda import externalscaler_pb2 as messages
from streams.scaling.keda.externalscaler_pb2_grpc import ExternalScalerStub
from streams.scaling.keda.scaler import METRIC, keda_server
from streams.scaling.running import serve
from streams.scaling.scales import Scales
from streams.scaling.web import scaling_app
from streams.settings import Settings

ON = {"enabled": True, "max_replicas": 20, "headroom": 0, "down_after_s": 5, "cooldown_s": 3}
ROOT = Path(__file__).parents[2]


def scaled() -> PoolWorld:
    """10 replicas, 4 promised; half of the throughput is used."""
    world = PoolWorld(tenant("a1", "a", tier="guaranteed", base=4000), tenant("b1", "b"), scaling=ON)
    world.seconds(200, {"a": 400, "b": 100})
    return world


@cache
def known() -> Scale:
    now = scale_of(scaled().pool(), 0)
    assert now is not None
    return now


def scale(pool: str = "llm", wanted: int = 5, offset: int = 7, **fields: Any) -> Scale:
    return known().model_copy(update={"pool": pool, "wanted": wanted, "journal_offset": offset, **fields})


class Topic:
    """`scaling`, compacted."""

    def __init__(self) -> None:
        self.kept: dict[bytes, Scale] = {}

    def take(self, outputs: Outputs) -> int:
        records = [record for slice_ in outputs.round(9) for record in slice_ if record.topic == "scaling"]
        for record in records:
            assert (record.partition, record.key) == (0, b"llm")
            told = None if record.value is None else decode(record.value)
            if isinstance(told, Scale):
                self.kept[b"llm"] = told
            else:
                self.kept.pop(b"llm", None)
        return len(records)


def test_the_topic_has_what_was_decided_and_forgets_a_pool_that_is_scaled_no_more() -> None:
    world, topic = scaled(), Topic()

    def begun() -> Outputs:
        return Outputs(world.state, 3, limits="limits", market="market", leases="leases", scaling="scaling")

    outputs = begun()
    assert topic.take(outputs) == 1, "a new owner tells all there is"
    told, decided = topic.kept[b"llm"], of_kind(world.facts, ScalingDecided)[-1]
    for name in ("replicas", "wanted", "reason", "promised_replicas", "needed_throughput", "needed_kv", "at"):
        assert getattr(told, name) == getattr(decided, name)
    assert (told.wanted, told.promised_replicas, told.capacity_throughput, told.promised_throughput) == (5, 4, 1000, 400)
    assert told.used_throughput == 500
    assert topic.take(outputs) == 0
    for fact in world.second({"a": 400, "b": 90}):
        outputs.note(fact)
    assert topic.take(outputs) == 1
    for fact in world.take(token_pool("off")):
        outputs.note(fact)
    assert topic.take(outputs) == 1
    assert not topic.kept
    assert topic.take(begun()) == 1, "a new owner tells so again"


def test_http_and_metrics() -> None:
    seconds = iter(range(1000, 2000))
    scales = Scales(lambda: float(next(seconds)))
    client = TestClient(scaling_app(scales))
    assert (client.get("/scale/llm").status_code, client.get("/healthz").status_code) == (503, 503)
    scales.take("llm", scale())
    scales.take("a/b", scale("a/b", wanted=0, capacity_kv=0))
    scales.begun()
    said = client.get("/scale/llm").json()
    assert {name: said[name] for name in ("pool", "replicas", "wanted", "reason", "promised")} == {
        "pool": "llm",
        "replicas": 10,
        "wanted": 5,
        "reason": "demand",
        "promised": 4,
    }
    assert said["age_s"] == 2, "when it was heard of, what else was, and now"
    assert said["utilisation"] == {"throughput": 0.5, "kv": 0.0, "concurrency": 0.0}
    assert client.get("/scale/a/b").json()["utilisation"]["kv"] is None
    assert client.get("/scale").json().keys() == {"a/b", "llm"}
    assert client.get("/scale/ghost").status_code == 404
    page = client.get("/metrics").text
    found = {
        (sample.name, *(sample.labels[label] for label in sorted(sample.labels, reverse=True))): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }
    assert found["bourse_scale_wanted_replicas", "llm"] == 5
    assert found["bourse_scale_provisioned_replicas", "llm"] == 10
    assert found["bourse_scale_promised_replicas", "llm"] == 4
    assert found["bourse_scale_needed_replicas", "llm", "kv"] == 4
    assert found["bourse_scale_utilisation_ratio", "llm", "throughput"] == 0.5
    assert ("bourse_scale_utilisation_ratio", "a/b", "kv") not in found
    assert found["bourse_scale_changed_timestamp_seconds", "llm"] == known().at / 1000
    assert found["bourse_scale_heard_timestamp_seconds", "llm"] == 1000
    scales.take("llm", scale())
    assert 'bourse_scale_heard_timestamp_seconds{pool="llm"} 1000' not in client.get("/metrics").text, "the same again is news"
    scales.take("llm", None)
    assert client.get("/scale/llm").status_code == 404
    assert 'pool="llm"' not in client.get("/metrics").text


def test_an_older_word_changes_nothing() -> None:
    scales = Scales()
    for offset, wanted in ((7, 5), (6, 9), (7, 6)):
        scales.take("llm", scale(wanted=wanted, offset=offset))
    assert [each.wanted for each in scales] == [6]


def test_keda_is_told_exactly_what_is_wanted() -> None:
    asyncio.run(_keda())


async def _keda() -> None:
    scales = Scales()
    server, port = keda_server(scales, "127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel, asyncio.timeout(30):
            await _asked(scales, ExternalScalerStub(channel))
    finally:
        await server.stop(None)


async def _asked(scales: Scales, keda: Any) -> None:
    llm = messages.ScaledObjectRef(name="vllm", namespace="default", scalerMetadata={"pool": "llm"})
    assert await _refused(keda.IsActive(llm)) == grpc.StatusCode.UNAVAILABLE
    assert await _refused(anext(aiter(keda.StreamIsActive(llm)))) == grpc.StatusCode.UNAVAILABLE, "`false` would take replicas"
    scales.begun()
    assert await _refused(anext(aiter(keda.StreamIsActive(llm)))) == grpc.StatusCode.NOT_FOUND
    assert await _refused(keda.GetMetrics(messages.GetMetricsRequest(scaledObjectRef=llm))) == grpc.StatusCode.NOT_FOUND
    assert await _refused(keda.GetMetricSpec(messages.ScaledObjectRef())) == grpc.StatusCode.INVALID_ARGUMENT
    scales.take("llm", scale(wanted=17))
    stream: AsyncIterator[Any] = aiter(keda.StreamIsActive(llm))
    assert (await anext(stream)).result is True
    (spec,) = (await keda.GetMetricSpec(llm)).metricSpecs
    assert (spec.metricName, spec.targetSize, spec.targetSizeFloat) == (METRIC, 1, 1.0)
    asked = messages.GetMetricsRequest(scaledObjectRef=llm, metricName=METRIC)
    (value,) = (await keda.GetMetrics(asked)).metricValues
    assert (value.metricName, value.metricValue, value.metricValueFloat) == (METRIC, 17, 17.0)
    asked.metricName = "cpu"
    assert await _refused(keda.GetMetrics(asked)) == grpc.StatusCode.NOT_FOUND
    scales.take("llm", scale(wanted=3))  # still active: nothing to tell
    scales.take("llm", scale(wanted=0))
    assert (await anext(stream)).result is False
    assert (await keda.IsActive(llm)).result is False
    scales.take("llm", scale(wanted=1))
    assert (await anext(stream)).result is True
    scales.take("llm", None)
    assert await _refused(anext(stream)) == grpc.StatusCode.NOT_FOUND, "scaled no more is not scaled to nothing"


async def _refused(call: Any) -> Any:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return refused.value.code()


def test_the_generated_modules_are_those_of_the_protocol(tmp_path: Path) -> None:
    proto = Path("streams/scaling/keda/externalscaler.proto")
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I", ".", f"--python_out={tmp_path}", f"--grpc_python_out={tmp_path}"]
    subprocess.run([*command, str(proto)], cwd=ROOT, check=True)
    for name in ("externalscaler_pb2.py", "externalscaler_pb2_grpc.py"):
        assert (tmp_path / proto.parent / name).read_text() == (ROOT / proto.parent / name).read_text(), "run `make render`"


@pytest.mark.kafka
def test_the_topic_is_followed_from_its_beginning(bootstrap: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, kafka=bootstrap, topic_prefix=f"s{uuid.uuid4().hex[:8]}.")
    topic = settings.topic("scaling")
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(timeout=30)
    producer = Producer({"bootstrap.servers": bootstrap, "log_level": 0})

    def publish(pool: str, told: Scale | None) -> None:
        producer.produce(topic, None if told is None else encode(told), pool)
        assert producer.flush(30) == 0

    publish("llm", scale(wanted=4))
    publish("gone", scale("gone"))
    publish("gone", None)
    asyncio.run(_followed(settings, publish))


async def _followed(settings: Settings, publish: Any) -> None:
    """By the whole process: what the topic holds, then what comes, as HTTP and KEDA have it."""
    listening = socket.create_server(("127.0.0.1", 0))
    keda: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(settings, listening, "127.0.0.1:0", keda.set_result))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    async with asyncio.timeout(60), aiohttp.ClientSession() as session:

        async def asked(path: str) -> Any:
            async with session.get(url + path) as answer:
                return await answer.json()

        async def until(wanted: int) -> None:
            while (await asked("/scale")).get("llm", {}).get("wanted") != wanted:  # noqa: ASYNC110  HTTP tells no events
                await asyncio.sleep(0.05)

        await until(4)
        await asyncio.to_thread(publish, "llm", scale(wanted=8, offset=8))
        await until(8)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{await keda}") as channel:
            llm = messages.ScaledObjectRef(scalerMetadata={"pool": "llm"})
            answer = await ExternalScalerStub(channel).GetMetrics(messages.GetMetricsRequest(scaledObjectRef=llm))
            assert [value.metricValue for value in answer.metricValues] == [8]
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
