"""Gateways on a real system: OpenAI's client for JavaScript, a limit that two share, kills, ends, and what stands in the end.

One system, and tests that go on from each other: the last two look at everything that those before them left.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import grpc
import httpx
import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition
from envoy.service.auth.v3.external_auth_pb2_grpc import AuthorizationStub
from envoy_asks import USAGE, checked, told
from gateway_processes import MODEL, Answered, Backend, ExtAuthz, Gateway, Load, Process, PromiseLoad, ask
from system import System, until

from schemas.entitlements import ConcurrencyQuota, KvQuota
from schemas.published import PoolCommand, ProfileCommand, Tier
from streams.api_keys import issue
from streams.client import CommandPublisher
from streams.codecs import decode

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(280)]

POOL, BESIDE, PROMISED = "llm", "beside", "promised"
LIMIT = 20
SLOTS = {("ann", POOL): LIMIT, ("dan", POOL): LIMIT, ("node", POOL): 1, ("eve", BESIDE): 2}
PROMPT = "vermilion quokka 4711"
"""Of every request: it may stand in no topic and in no log."""
SEED = 7
CLIENT = Path(__file__).parent / "openai_client"


@dataclass
class World:
    """The system and its processes besides.

    Attributes:
        keys: tenant -> its secret.
        killed: how often each process was.
        owed: request -> output tokens, and whose word that is: what must stand in ClickHouse in the end.
    """

    system: System
    keys: dict[str, str]
    killed: Counter[str] = field(default_factory=Counter)
    owed: dict[str, tuple[int, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.backend = Backend(self.system)
        self.left = Gateway(self.system, self.backend, "left", POOL, drain_s=30)
        self.beside = ExtAuthz(self.system, BESIDE, BESIDE)
        self.besides: list[Process] = []

    @cached_property
    def right(self) -> Gateway:
        """From when it is first asked for: before that, left has all of every limit."""
        return Gateway(self.system, self.backend, "right", POOL, drain_s=1)

    @property
    def processes(self) -> list[Process]:
        return [self.backend, self.left, self.beside, *self.besides, *([self.right] if "right" in vars(self) else [])]

    def kill(self, victim: str, away_s: float) -> None:
        """Kill -9, and its return; an engine is brought back by its supervisor, a gateway's publisher by the gateway."""
        self.killed[victim] += 1
        if victim == "engine":
            self.system.kill("engine-1")
            return
        if victim == "publisher":
            self.left.publisher.kill()
            return
        process: Process = getattr(self, victim)
        process.kill()
        time.sleep(away_s)
        process.restart()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Waits for OpenAI's client for JavaScript, which is installed while the system starts."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are not installed: the npm package openai is not tried")
    directory = tmp_path_factory.mktemp("node")
    for file in CLIENT.iterdir():
        shutil.copy(file, directory)
    command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline"]
    running = subprocess.Popen(command, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def wait() -> Path:
        _, said = running.communicate(timeout=180)
        if running.returncode:
            pytest.skip(f"npm can't install openai here: {said.strip()[-300:]}")
        return directory

    return wait


@pytest.fixture(scope="module")
def world(broker: str, clickhouse: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with System(tmp_path_factory.mktemp("home"), kafka=broker, clickhouse=clickhouse, partitions=2) as system:
        with CommandPublisher(system.settings) as operator:
            for pool in (POOL, BESIDE, PROMISED):
                machine = {"replica_tokens_per_s": 1_000_000, "replica_kv_blocks": 100_000, "replica_concurrency": 1_000}
                operator.publish(PoolCommand(id=pool, pool=pool, capacity=2_000_000, period_s=2, replicas=1, **machine))
            for (tenant, pool), most in SLOTS.items():
                slots = ConcurrencyQuota(borrowing_limit=most)
                entitled = {"base": 0, "elasticity": "1", "tier": Tier.ELASTIC, "concurrency": slots}
                operator.publish(ProfileCommand(id=tenant, pool=pool, tenant=tenant, **entitled))
            promise = {"kv": KvQuota(nominal_quota=20_000), "concurrency": ConcurrencyQuota(nominal_quota=6)}
            guaranteed = {"base": 400_000, "elasticity": "1", "tier": Tier.GUARANTEED, **promise}
            operator.publish(ProfileCommand(id="gus", pool=PROMISED, tenant="gus", **guaranteed))
            operator.publish(ProfileCommand(id="sam", pool=PROMISED, tenant="sam", base=0, elasticity="1", tier=Tier.SPOT))
        tenants = [*SLOTS, ("gus", PROMISED), ("sam", PROMISED)]
        keys = {tenant: asyncio.run(issue(system.settings, tenant, [pool])).secret for tenant, pool in tenants}
        made = World(system, keys)
        try:
            yield made
        finally:
            for process in made.processes:
                process.process.kill()
                process.process.wait()


def test_openais_client_for_javascript(installed: Callable[[], Path], world: World) -> None:
    world.backend.until_ready()
    world.left.until_ready()
    command = ["node", "ask.mjs", f"{world.left.url}/v1", world.keys["node"], PROMPT]
    done = subprocess.run(command, cwd=installed(), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    out = json.loads(done.stdout)
    world.right  # noqa: B018  starts while the next test runs
    assert out["plain"]["usage"]["completion_tokens"] == 8
    assert out["plain"]["said"].startswith("This answer is simulated")
    assert out["plain"]["limit"] == "1"
    assert (out["stream"]["pieces"], out["stream"]["usage"]["completion_tokens"]) == (5, 5)
    refused = out["refused"]
    assert (refused["limited"], refused["status"], refused["code"]) == (True, 429, "rate_limit_exceeded")
    assert int(refused["again"]) >= 1
    error = {name: refused["error"][name] for name in ("dimension", "limit", "used", "need")}
    assert error == {"dimension": "concurrency", "limit": 1, "used": 1, "need": 1}
    assert out["embeddings"]["vectors"] == [4, 4]
    assert (out["responses"]["status"], out["responses"]["usage"]["output_tokens"]) == ("incomplete", 6)
    assert (out["events"][0], out["events"][-1]) == ("response.created", "response.incomplete")
    assert out["stranger"] == {"status": 401, "code": "invalid_api_key", "known": True}
    assert out["models"] == ["simulated"]


def test_ext_authz_as_envoy_asks_it(world: World) -> None:
    """Until it refuses; settled; killed with two open; asked to end with one open."""
    beside = world.beside
    beside.until_ready()
    body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": PROMPT}], "max_tokens": 50}).encode()
    question = checked({"authorization": f"Bearer {world.keys['eve']}"}, body)

    def settled(answer: Any) -> int:
        named = {"x-bourse-request-id": told(answer.ok_response.headers)["x-bourse-request-id"]}
        return httpx.post(f"{beside.url}/settle", content=USAGE, headers=named).status_code

    with grpc.insecure_channel(f"127.0.0.1:{beside.grpc}") as channel:
        check = partial(AuthorizationStub(channel).Check, wait_for_ready=True, timeout=30)

        def answered(code: grpc.StatusCode) -> Any:
            """On a machine that is too busy a lease may be over for a moment."""
            return until(lambda: (now := check(question)).status.code == code.value[0] and now, 20, code.name)

        passed = [answered(grpc.StatusCode.OK), answered(grpc.StatusCode.OK)]
        assert [told(each.ok_response.response_headers_to_add)["x-ratelimit-remaining-requests"] for each in passed] == ["1", "0"]
        assert "authorization" in passed[0].ok_response.headers_to_remove
        denied = answered(grpc.StatusCode.RESOURCE_EXHAUSTED).denied_response
        assert (denied.status.code, told(denied.headers)["retry-after"]) == (429, "1")
        assert json.loads(denied.body)["error"]["dimension"] == "concurrency"
        assert [settled(passed[0]), settled(passed[0])] == [200, 404]
        passed.append(answered(grpc.StatusCode.OK))
        world.kill("beside", 0)
        assert settled(passed[1]) == 404, "it is settled at its reservation"
        passed.append(answered(grpc.StatusCode.OK))
        beside.process.terminate()
        beside.until_ending()
        refused = check(question)
        assert (refused.status.code, refused.denied_response.status.code) == (grpc.StatusCode.UNAVAILABLE.value[0], 503)
        assert json.loads(refused.denied_response.body)["error"]["code"] == "gateway_closing"
        assert settled(passed[3]) == 200, "what is open may be told still"
        assert beside.process.wait(20) == 0, beside.log.read_text()[-3000:]
    for answer, cost in zip(passed, [(4, "reported"), (50, "reserved"), (50, "reserved"), (4, "reported")], strict=True):
        world.owed[told(answer.ok_response.headers)["x-bourse-request-id"]] = cost


def test_two_gateways_share_a_limit_while_they_engine_and_backend_are_killed(world: World) -> None:
    gateways = (world.left, world.right)
    for gateway in gateways:
        gateway.until_ready()
    rng = random.Random(SEED)
    victims = ["left", "right", "engine", "engine", "backend", "backend", "publisher"]
    rng.shuffle(victims)
    load = Load(gateways, world.keys["ann"], PROMPT)
    try:
        load.until_more("the start")
        for victim in victims:
            time.sleep(rng.uniform(0, 0.3))
            world.kill(victim, rng.uniform(0.2, 0.9))
            load.until_more(f"{victim} was killed")
        load.end()
    finally:
        load.ended.set()
    world.backend.look()
    assert world.backend.most <= LIMIT, "both together"
    assert world.backend.most > LIMIT // 2, "and what one of them leaves the other may use"
    broken = [each for each in load.answers if "upstream_broke_off" in each.events]
    assert broken, "streams ran when the backend was killed"
    assert all(each.events == ["upstream_broke_off", "done"] for each in broken)
    world.owed |= {each.request: (each.pieces, "counted") for each in broken}


def test_a_guaranteed_tenant_is_never_refused_at_either_gateway_while_spot_is(world: World) -> None:
    """It has four requests at a time of the six that it is promised, now at one gateway, now at the other.

    What it lacks where it comes is on its way, and its requests wait for that; without a queue some are refused. Leases are
    long, as none may lapse on a machine on which the engine has to wait for its turn.
    """
    gateways = [
        Gateway(world.system, world.backend, name, PROMISED, drain_s=1, queue=8, lease_ms=60_000) for name in ("east", "west")
    ]
    world.besides += gateways
    for gateway in gateways:
        gateway.until_ready()
    load = PromiseLoad(gateways, world.keys, PROMPT)
    load.until_served()
    answers = load.run()
    print(answers)
    assert answers["gus"].keys() == {(200, "")}, answers
    assert answers["sam"][200, ""] > 0
    assert [gateway.stop() for gateway in gateways] == [0, 0]


def test_a_gateway_that_is_asked_to_end_lets_what_runs_end(world: World) -> None:
    left, right = world.left, world.right
    with httpx.Client(timeout=30, verify=False) as client, ThreadPoolExecutor(8) as pool:
        asked: Callable[..., Answered] = partial(ask, client, key=world.keys["dan"], prompt=PROMPT)

        def started(gateway: Gateway, output: int) -> Any:
            """A stream that runs; its tenant's share of the limit may be on its way still."""
            began: SimpleQueue[int] = SimpleQueue()

            def admitted() -> Any:
                running = pool.submit(asked, gateway.url, output=output, most=output, stream=True, began=began.put)
                return began.get(timeout=30) == 200 and running

            return until(admitted, 30, lambda: gateway.log.read_text()[-1500:])

        runs = [started(left, 200) for _ in range(3)]
        left.process.terminate()

        def refused() -> Any:
            answer = asked(left.url, output=1, most=1)
            return answer.headers.get("connection") == "close" and answer

        answer = until(refused, 10, "it says that it ends", every_s=0.02)
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert httpx.get(f"{left.url}/healthz").status_code == 503
        assert [(run.result().pieces, run.result().events) for run in runs] == [(200, ["done"])] * 3
        assert left.process.wait(20) == 0, left.log.read_text()[-3000:]
        ended = time.monotonic()

        def all_is_rights() -> bool:
            return asked(right.url, output=1, most=1).headers.get("x-ratelimit-limit-requests") == str(LIMIT)

        until(all_is_rights, 20, "its share is free")
        print(f"right has all {time.monotonic() - ended:.2f} s after left ended")
        cut = started(right, 3_000)
        right.process.terminate()
        assert cut.result().events == ["gateway_closing", "done"]
        assert 0 < cut.result().pieces < 3_000
        assert right.process.wait(20) == 0, right.log.read_text()[-3000:]
    last = {report.gateway: report for report in map(decode, values(world.system, "gateways")) if report.pool == POOL}
    assert {name: report.leaving for name, report in last.items()} == {"left": True, "right": True}
    world.owed[cut.result().request] = (cut.result().pieces, "counted")


def values(system: System, topic: str) -> Iterator[bytes]:
    return (record.value() for record in system.read(topic) if record.value() is not None)


def everything(system: System) -> Iterator[tuple[str, bytes]]:
    """(topic without prefix, key, value and headers) of every record there is."""
    prefix = system.settings.topic_prefix
    settings = {**system.settings.kafka_client_config(), "group.id": "reads-all", "enable.auto.commit": False}
    consumer = Consumer({**settings, "enable.partition.eof": True})
    known = consumer.list_topics(timeout=10).topics
    left = {(topic, number) for topic in known if topic.startswith(prefix) for number in known[topic].partitions}
    consumer.assign([TopicPartition(topic, number, 0) for topic, number in left])
    while left:
        for record in consumer.consume(5_000, timeout=0.2):
            if record.error() is None:
                raw = (record.key() or b"", record.value() or b"", repr(record.headers()).encode())
                yield record.topic().removeprefix(prefix), b"".join(raw)
            else:
                assert record.error().code() == KafkaError._PARTITION_EOF, record.error()
                left.discard((record.topic(), record.partition()))
    consumer.close()


def test_what_landed_is_what_the_backend_counted(world: World) -> None:
    """Equal token for token, but for what nobody can know.

    1. Whatever the backend counted stands in ClickHouse, once: it counts a request before it tells anybody of its end.
    2. What is settled as reported is what it counted: it was answered, and the gateway heard it.
    3. The rest, each with its reason: `reserved`, as a gateway was killed; `counted`, as the backend was, or had ended (what came
       through is paid), or the client went, or the gateway ended. Those are no more than could run at each kill.
    4. What clients know that they got they pay.
    """
    world.system.settle()
    rows = world.system.rows("SELECT request_id, output_tokens, basis FROM usage_events")
    assert {name: (output, basis) for name, output, basis in rows if name in world.owed} == world.owed
    admitted = world.system.value("SELECT sum(admitted) FROM admission_events WHERE tenant = 'dan'")
    assert admitted == world.system.value("SELECT count() FROM usage_events WHERE tenant = 'dan'"), "told to the last"
    counted = world.backend.counted()
    landed = world.system.dicts("SELECT request_id, input_tokens, output_tokens, basis FROM usage_events WHERE pool != 'beside'")
    statuses = dict(world.system.rows("SELECT request_id, status FROM latency_events WHERE pool != 'beside'"))
    by_id = {row["request_id"]: row for row in landed}
    assert len(by_id) == len(landed), "each once"
    assert counted.keys() <= by_id.keys(), "whatever the backend counted"
    heard = {name: row for name, row in by_id.items() if row["basis"] == "reported"}
    assert {name: (row["input_tokens"], row["output_tokens"]) for name, row in heard.items()} == {
        name: (counted[name]["input"], counted[name]["output"]) for name in heard
    }
    assert {counted[name]["outcome"] for name in heard} == {"answered"}
    lost = {name for name, row in by_id.items() if row["basis"] == "reserved"}
    assert all(by_id[name]["output_tokens"] == Load.MOST and name not in statuses for name in lost)
    assert 0 < len(lost) <= LIMIT * (world.killed["left"] + world.killed["right"])
    broken = {name: statuses[name] for name in by_id.keys() - heard.keys() - lost}
    assert set(broken.values()) <= {"upstream_broke_off", "upstream_unavailable", "cancelled", "closing"}
    unheard = counted.keys() & broken.keys()
    whole = {name for name in unheard if counted[name]["outcome"] == "answered"}
    assert all(by_id[name]["output_tokens"] <= counted[name]["output"] for name in whole), "it was killed with these on its lips"
    assert len(whole) <= LIMIT * world.killed["backend"]
    costly = {name for name in broken if by_id[name]["output_tokens"] and statuses[name] == "upstream_broke_off"}
    assert len(costly) <= LIMIT * world.killed["backend"]
    print(f"{len(heard)} heard, {len(lost)} lost, {Counter(broken.values())}, {len(unheard)} of them counted")


def test_no_key_and_no_prompt_is_published_or_logged(world: World) -> None:
    """Raw bytes of every record of every topic, every log, and the write-ahead files."""
    system = world.system
    needles = [PROMPT.encode(), *(key.removeprefix("bk-")[9:].encode() for key in world.keys.values())]
    found, tenants, size = set(), set(), 0
    for topic, raw in everything(system):
        found |= {(topic, needle) for needle in needles if needle in raw}
        tenants |= {topic for tenant in (b"ann", b"dan") if tenant in raw}
        size += len(raw)
    assert not found
    assert {"usage", "latency", "admissions", "gateways", "leases", "journal", "facts", "api-keys"} <= tenants, "read, and legible"
    files = [*system.home.rglob("*.log"), *(system.home / "gateways").rglob("*")]
    text = {path: path.read_bytes() for path in files if path.is_file()}
    assert {*(process.log for process in world.processes), system.settings.log_dir / "engine-1.log"} <= text.keys()
    assert not [(path, needle) for path, held in text.items() for needle in needles if needle in held]
    assert not [path for path in text if re.search(rb"Traceback|bk-[0-9a-f]{8}-", text[path])]
    print(f"{size:,} bytes of topics, {sum(map(len, text.values())):,} of {len(text)} files")
