"""Requests that wait at a gateway for their tenant's limit: in which order, for how long, and who does not."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from gateway_world import CHAT, ask, limits, world

from processors.entitlement import Quota, TenantLimits
from processors.waiting import Rules as WaitingRules
from schemas.published import Tier


def test_requests_wait_for_their_tenants_limit_the_costlier_first(tmp_path: Path) -> None:
    with world(tmp_path, waiting=WaitingRules(length=3, longest_ms=60_000, head_start_ms=3_000, heaviest=2_000)) as made:
        made.limit({"ann": limits(slots=1)})
        order: list[str] = []

        def run(name: str, most: int, priority: str = "normal") -> int:
            with made.client() as client:
                script = {"seconds": 0.15, "held": True}
                got = client.post(CHAT, json=ask(max_tokens=most, metadata=script), headers={"x-bourse-priority": priority})
            order.append(name)
            return got.status_code

        with ThreadPoolExecutor(5) as pool:
            first = pool.submit(run, "first", 10)
            made.until(lambda: made.desk.in_flight == 1, "one runs")
            waiting = []
            for number, (name, most, priority) in enumerate(
                [("small", 10, "normal"), ("large", 1_900, "normal"), ("low", 1_900, "low")]
            ):
                waiting.append(pool.submit(run, name, most, priority))
                made.until(lambda wanted=number + 1: made.desk.waiting == wanted, f"{name} waits")
            assert run("too many", 10) == 429
            made.upstream.released.set()
            assert [each.result() for each in (first, *waiting)] == [200] * 4
        assert order == ["too many", "first", "large", "small", "low"]
        made.settled()


def test_a_reserved_tenant_waits_for_its_right_where_the_pool_refuses_it(tmp_path: Path) -> None:
    free, others = Quota(0, None, 0), {"ben": limits(Tier.DEDICATED, slots=999), "cem": limits()}
    with world(tmp_path, waiting=WaitingRules(length=8, longest_ms=60_000)) as made:
        made.limit({"ann": TenantLimits(Tier.GUARANTEED, (free, free, Quota(1, None, 1))), **others})
        with made.client() as client, made.client("cem") as stranger, ThreadPoolExecutor(2) as pool:
            running = [pool.submit(client.post, CHAT, json=ask(metadata={"held": True}))]
            made.until(lambda: made.desk.in_flight == 1, "its right runs")
            assert client.post(CHAT, json=ask(service_tier="flex")).status_code == 503, "who claims no right does not wait for it"
            running.append(pool.submit(client.post, CHAT, json=ask(max_tokens=40)))
            made.until(lambda: made.desk.waiting == 1, "one waits")
            (waits,) = made.desk.waits().items()
            assert (waits[0], waits[1].requests) == ("ann", 1)
            assert 40 < waits[1].tokens <= 16 * waits[1].kv_blocks < 100
            assert stranger.post(CHAT, json=ask()).json()["error"]["whose"] == "pool", "nobody else waits for the pool"
            made.upstream.released.set()
            assert [each.result().status_code for each in running] == [200, 200]
        made.settled()


def test_who_waits_in_vain_is_refused_and_who_goes_waits_no_more(tmp_path: Path) -> None:
    with world(tmp_path, waiting=WaitingRules(length=8, longest_ms=200)) as made:
        made.limit({"ann": limits(slots=1)})
        with made.client() as client, ThreadPoolExecutor(1) as pool:
            running = pool.submit(client.post, CHAT, json=ask(metadata={"held": True}))
            made.until(lambda: made.desk.in_flight == 1, "one runs")
            refused = client.post(CHAT, json=ask())
            assert refused.status_code == 429
            assert "waited 200 ms" in refused.json()["error"]["message"]
            with pytest.raises(httpx.ReadTimeout):
                client.post(CHAT, json=ask(), timeout=0.05)
            made.until(lambda: made.desk.waiting == 0, "nobody waits")
            made.upstream.released.set()
            assert running.result().status_code == 200
        made.settled()
