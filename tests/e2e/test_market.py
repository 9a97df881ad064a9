"""The marketplace on real Kafka and ClickHouse: ten signed tenants trade while engine and intake are killed, and somebody attacks.

Afterwards every command has one outcome, no trade is lost or doubled, an oracle that shares no code with the book gives the same
trades, and the auditor finds ClickHouse, postings and the engine's own balances in agreement.
"""

from __future__ import annotations

import os
import random
import secrets
import time
from pathlib import Path

import pytest
from attacks import ROGUE, attacks, registered
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from market_proof import check_market
from proof import check_replay
from system import System, until
from trading import BASE, MONEY, POOL, TENANTS, Flow, market, private_key
from trading_load import Desk

from schemas.published import PoolCommand
from streams.client import CommandPublisher

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(280)]

PERIOD_S = 4
FORWARD = 20
"""Periods ahead that are traded: behind a kill the first of them have closed when their orders are decided."""
SECONDS = 10
PER_S = 1_000
ENGINE_KILLS = 2


def seed() -> int:
    """Of this run; `BOURSE_TEST_SEED` repeats its choices."""
    return int(os.environ.get("BOURSE_TEST_SEED") or secrets.randbelow(2**32))


def test_trading_survives_kills_and_attacks(tmp_path: Path) -> None:
    chosen = seed()
    began = time.monotonic()

    def tell(text: str) -> None:
        print(f"[{time.monotonic() - began:5.1f}] {text}", flush=True)

    print(f"\nBOURSE_TEST_SEED={chosen}", flush=True)
    rng = random.Random(chosen)
    keys = {tenant: private_key(chosen, tenant) for tenant in TENANTS}
    # Periods of 4 s and snapshots every 2 s: the engine dies before, between and after them.
    with System(tmp_path / "home", partitions=2) as system:
        tell("ready")
        present = begin(system, chosen, keys)
        tell("trading begins")
        flow = Flow(chosen, keys)
        staged = attacks(system.settings, chosen, present)
        victims = ["engine-1"] * ENGINE_KILLS + ["intake-1"]
        kills = sorted((rng.uniform(1, SECONDS), victim) for victim in victims)
        with Desk(system.settings, flow, per_s=PER_S, seconds=SECONDS, period_s=PERIOD_S, forward=FORWARD) as desk:
            for at, victim in kills:
                staged.publish(len(staged.table) // 4)
                until(lambda at=at: desk.elapsed >= at, SECONDS + 60, "its moment", every_s=0.01)
                system.kill(victim)
                tell(f"kill -9 {victim}, {desk.elapsed:.1f} s into the trading")
            staged.publish()
        tell(f"{len(desk.published)} commands at {desk.rate:.0f}/s, {desk.repeated} of them twice; {len(staged.table)} attacks")
        system.until_ready()
        system.settle(120)
        tell("settled")
        check_replay(system)
        tell("a replay gives the same facts")
        check_market(system, desk.published, staged, tell)


def begin(system: System, chosen: int, keys: dict[str, Ed25519PrivateKey]) -> int:
    """The market, once everybody has tokens and money in it; the open period."""
    terms = PoolCommand(
        id="terms",
        pool=POOL,
        capacity=(len(TENANTS) + 2) * BASE,
        period_s=PERIOD_S,
        maker_fee_bp=3,
        taker_fee_bp=7,
    )
    with CommandPublisher(system.settings) as publisher:
        for command in (*market(terms, keys), *registered(chosen)):
            publisher.publish(command)

    def all_have() -> bool:
        tenants = system.web(f"/pools/{POOL}")["tenants"]
        money = system.web(f"/pools/{POOL}/tenants/{ROGUE}")["money"]["available"] if tenants else 0
        return len(tenants) == len(TENANTS) + 2 and all(tenant["base"] == BASE for tenant in tenants) and money == MONEY

    until(all_have, 60, "a period in which all have tokens and money")
    return int(system.web(f"/pools/{POOL}")["open_period"])
