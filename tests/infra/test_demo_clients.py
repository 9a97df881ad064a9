"""The demo's clients in front of a real gateway: what they ask, and how they count what they are answered."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from gateway_world import World, limits, world

from infra.backend.requests import ChatRequest, read
from infra.demo.clients import Clients, body_of, error_of
from infra.workloads import Request
from schemas.published import Tier
from streams.gateway.asked import Kind
from streams.gateway.asked import read as read_by_gateway
from streams.gateway.counting import estimated


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("gateway")) as running:
        yield running


def ended(clients: Clients) -> None:
    clients._thread.join(60)
    assert not clients.running
    clients.finish()


def test_requests_are_asked_in_time_and_counted_as_they_were_answered(gateway: World) -> None:
    gateway.limit({"ann": limits(), "ben": limits(Tier.SPOT, blocks=8)})
    gateway.upstream.asked.clear()
    gateway.desk.take_tallies()
    asked = [
        Request(0, "ann", 20, 0, 10),
        Request(5, "ben", 20, 0, 10),
        Request(10, "ben", 200, 0, 10),
        Request(200, "ann", 9, 0, 3),
    ]
    clients = Clients(gateway.url, {name: gateway.key(name).secret for name in ("ann", "ben", "cid")}, lambda: asked, whole=["ben"])
    clients.start()
    ended(clients)
    assert clients.at_ms == 200
    assert clients.in_flight == 0
    assert (clients.answered["ann"].served, clients.answered["ann"].asked) == (2, 2)
    assert (clients.answered["ben"].served, clients.answered["ben"].refused) == (1, Counter(own_kv=1))
    assert clients.answered["cid"].asked == 0
    sent = [json.loads(body) for body in gateway.upstream.asked]
    assert [(each["stream"], each["max_tokens"]) for each in sent] == [(True, 64), (False, 64), (True, 64)]
    tallies = gateway.desk.take_tallies()
    assert (tallies["ben"].admitted, dict(tallies["ben"].refused)) == (1, {"refused_own_kv": 1}), "the gateway counted the same"


def test_a_wrong_key_and_no_gateway_are_failures(gateway: World) -> None:
    asked = [Request(0, "ann", 20, 0, 10)]
    for url, code in ((gateway.url, "invalid_api_key"), ("http://127.0.0.1:9", "ClientConnectorError")):
        clients = Clients(url, {"ann": "bk-none"}, lambda: asked)
        clients.start()
        ended(clients)
        assert clients.answered["ann"].failed == Counter({code: 1})


def test_who_stops_early_waits_for_nobody(gateway: World) -> None:
    gateway.limit({"ann": limits()})
    clients = Clients(
        gateway.url, {"ann": gateway.key().secret}, lambda: [Request(at * 50, "ann", 20, 0, 10) for at in range(2_000)]
    )
    clients.start()
    gateway.until(lambda: clients.answered["ann"].served > 2, "some are served")
    clients.finish()
    assert not clients.running
    assert clients.answered["ann"].asked < 1_000
    gateway.settled()


@pytest.mark.parametrize("tokens", [5, 8, 100, 1_500])
def test_gateway_and_backend_count_the_input_that_was_meant(tokens: int) -> None:
    body = body_of(Request(0, "ann", tokens, 0, 70), streams=True)
    asked = read(ChatRequest, body)
    assert [one.tokens for one in asked.prompts()] == [tokens]
    assert (asked.most, asked.simulate.output_tokens) == (("max_tokens", 128), 70)
    assert read_by_gateway(Kind.CHAT, body, count=estimated, default_output=1).input_tokens == tokens + 1, "and the role's name"


PREEMPTED = b'{"error":{"message":"stopped after 3 pieces","type":"server_error","param":null,"code":"preempted"}}'


@pytest.mark.parametrize(
    ("status", "end", "code"),
    [
        (200, b'{"choices": []}', None),
        (200, b'data: {"choices": []}\n\ndata: [DONE]\n\n', None),
        (200, b"data: {}\n\nevent: error\ndata: " + PREEMPTED + b"\n\ndata: [DONE]\n\n", "preempted"),
        (503, PREEMPTED, "preempted"),
        (429, b'{"error": {"code": "rate_limit_exceeded", "whose": "own", "dimension": "kv"}}', "rate_limit_exceeded"),
        (502, b"<html>", "status_502"),
        (500, b'{"error": "no"}', "status_500"),
    ],
)
def test_errors_are_read_wherever_they_stand(status: int, end: bytes, code: Any) -> None:
    found = error_of(status, end)
    assert (None if found is None else found["code"]) == code
