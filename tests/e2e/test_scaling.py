"""Workers that share partitions come and go under load: nothing is lost or counted twice, and the partitions change hands soon."""

from __future__ import annotations

import json
import random
import signal
import time
from pathlib import Path

import pytest
from load import Load, command
from proof import check_all
from system import ROLES, SESSION_S, System, until
from torture import TENANTS, pools

pytestmark = pytest.mark.e2e

SHARED = [role for role in ROLES if role != "clock"]
"""The clock's topic has one partition: a second clock only waits for it."""


def owners(system: System, role: str) -> dict[str, int]:
    """Member -> how many partitions it owns."""
    group = system.settings.topic(role)
    with system.admin() as admin:
        members = admin.describe_consumer_groups([group], request_timeout=10)[group].result().members
    return {member.group_instance_id or member.member_id: len(member.assignment.topic_partitions) for member in members}


def until_shared(system: System, roles: list[str], workers: int, seconds: float) -> None:
    """Each of the roles has so many members, and each of them owns something."""

    def shared() -> bool:
        return all(len(found := owners(system, role)) == workers and all(found.values()) for role in roles)

    until(shared, seconds, lambda: f"{workers} owners each: { {role: owners(system, role) for role in roles} }")


@pytest.mark.timeout(400)
def test_workers_are_added_and_removed_under_load(tmp_path: Path) -> None:
    """Two of each role; one more; one asked to stop; one killed for good; in the end one of each does all the work."""
    workers = dict.fromkeys(ROLES, 2)
    with System(tmp_path / "home", workers=workers) as system:
        command(system.settings, *pools())
        until(lambda: system.value("SELECT uniqExact(pool) FROM periods") == len(TENANTS), 120, "periods of all pools")
        until_shared(system, SHARED, 2, 30)
        with Load(system.settings, TENANTS, per_s=150, seed=5) as load:
            added = {role: system.add_worker(role) for role in SHARED}
            until_shared(system, SHARED, 3, 60)
            for role in ROLES:
                system.remove_worker(f"{role}-1")
            # A worker that stops in good order leaves: the others need not wait for its session to end.
            until_shared(system, SHARED, 2, 60)
            for role in ROLES:
                system.remove_worker(f"{role}-2", by=signal.SIGKILL)
            until_shared(system, SHARED, 1, SESSION_S + 60)
            clock = system.add_worker("clock")
            until(lambda: system.workers[clock].state == "running", 60, "a clock")
            moved = load.ledger.usage.copy()
            until(lambda: len(load.ledger.usage) > len(moved) + 300, 30, "load behind the last change")
        system.settle(90)
        check_all(system, load.ledger)
        for role, name in added.items():
            assert (len(owners(system, role)), system.workers[name].state) == (1, "running")


@pytest.mark.timeout(400)
def test_a_worker_that_stops_hands_over_at_once(tmp_path: Path, broker: str) -> None:
    """Long before its session would end, though it stops just when a newcomer makes the group rebalance: eight generations."""
    session_s, rng = 60, random.Random(7)
    only = {**dict.fromkeys(ROLES, 0), "intake": 1}
    with System(
        tmp_path / "home", kafka=broker, clickhouse="http://127.0.0.1:1", workers=only, session_timeout=f"{session_s}s"
    ) as system:
        (oldest,) = system.workers
        for _ in range(8):
            joined = system.tail(oldest, 10**7).count("Joined group")
            newcomer = system.add_worker("intake")
            until(lambda: system.tail(oldest, 10**7).count("Joined group") > joined, 60, "a rebalance", every_s=0.001)  # noqa: B023  at once
            time.sleep(rng.uniform(0, 0.02))  # any moment of the rebalance
            began = time.monotonic()
            system.remove_worker(oldest)
            until_shared(system, ["intake"], 1, session_s - 10)
            assert time.monotonic() - began < session_s - 10
            (owner,) = owners(system, "intake")
            assert owner
            oldest = newcomer


@pytest.mark.timeout(200)
def test_a_worker_waits_for_a_broker_that_is_down(tmp_path: Path) -> None:
    """It neither fails nor is restarted: a supervisor would give it up."""
    with System(tmp_path / "home", workers=dict.fromkeys(ROLES, 0)) as system:
        system.kill("kafka")
        name = system.add_worker("clock")
        until(lambda: "waiting for Kafka" in system.tail(name), 60, "a worker that waits")
        pid = system.workers[name].pid
        system.restart("kafka")
        until(lambda: system.workers[name].state == "running", 60, "a clock")
        assert (system.workers[name].pid, system.workers[name].restarts) == (pid, 0)
        assert json.loads((system.settings.run_dir / f"{name}.ready").read_text()) == pid
