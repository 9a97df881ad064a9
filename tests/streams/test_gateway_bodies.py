"""Memory that bodies of requests take: bounded for all and for each tenant, and free again whatever becomes of a request."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from gateway_world import World, limits, world

from streams.gateway.arriving import Refuse
from streams.gateway.bodies import SMALL_BYTES, Bodies, Held

CHAT = "/v1/chat/completions"
LONG = 400_000


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("bodies")) as made:
        made.gate.bodies = Bodies(1_000_000, 500_000)
        made.limit({name: limits() for name in ("ann", "bob", "eve")})
        yield made


def body(size: int, metadata: dict[str, object]) -> bytes:
    said = {"model": "llama", "max_tokens": 9, "messages": [{"role": "user", "content": "x" * size}], "metadata": metadata}
    return json.dumps(said).encode()


def test_long_bodies_are_refused_where_there_is_no_room_and_taken_when_there_is(gateway: World) -> None:
    def ask(tenant: str, size: int, **metadata: object) -> httpx.Response:
        with gateway.client(tenant) as client:
            return client.post(CHAT, content=body(size, metadata))

    gateway.upstream.released.clear()
    with ThreadPoolExecutor(2) as pool:
        try:
            running = [pool.submit(ask, tenant, LONG, held=True) for tenant in ("ann", "bob")]
            gateway.until(lambda: gateway.upstream.running == 2, "two long ones run")
            assert 2 * LONG < gateway.gate.bodies.held < 2 * LONG + 1_000
            own, of_all = ask("ann", LONG), ask("eve", LONG)
            assert (own.status_code, own.json()["error"]["code"]) == (429, "too_many_bodies")
            assert (of_all.status_code, of_all.json()["error"]["code"]) == (503, "too_many_bodies")
            assert "at most 500000" in own.json()["error"]["message"]
            assert own.headers["retry-after"] == of_all.headers["retry-after"] == "1"
            assert ask("ann", 100).status_code == 200, "a short one is no matter"
        finally:
            gateway.upstream.released.set()
        assert [each.result().status_code for each in running] == [200, 200]
    gateway.settled()
    assert ask("ann", LONG).status_code == 200
    gateway.settled()


def test_half_a_body_is_held_while_it_comes_and_free_when_its_client_goes(gateway: World) -> None:
    secret = gateway.key("ann").secret
    head = f"POST {CHAT} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {secret}\r\ncontent-length: {LONG}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", int(gateway.url.rsplit(":", 1)[1]))) as raw:
        raw.sendall(head.encode() + b"x" * (LONG // 2))
        gateway.until(lambda: gateway.gate.bodies.held >= LONG // 2, "half of it is held")
    gateway.settled()


@pytest.mark.parametrize(("first", "second", "status"), [(0, 500_001, 429), (500_000, 1, 429), (499_999, 1, None)])
def test_the_bounds_are_exact_and_nothing_is_taken_where_it_is_refused(first: int, second: int, status: int | None) -> None:
    bodies = Bodies(1_000_000, 500_000)
    bodies.take("ann", first)
    if status is None:
        bodies.take("ann", second)
        bodies.free("ann", second)
    else:
        with pytest.raises(Refuse) as refused:
            bodies.take("ann", second)
        assert refused.value.failure.status == status
    assert bodies.held == first
    bodies.take("bob", 500_000)
    with Held(bodies) as held:
        held.grown_to("bob", SMALL_BYTES)
        with pytest.raises(Refuse):
            held.grown_to("bob", SMALL_BYTES + 1)
    assert bodies.held == first + 500_000
