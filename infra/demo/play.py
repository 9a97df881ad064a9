"""The demo's second pool: a token pool, a gateway that serves it, and acts in which its replicas change."""

from __future__ import annotations

from functools import partial

from infra.demo.gateway import Gateway
from infra.demo.shared_pool import ACTS, act_at, pool_command, profile_commands, requests
from infra.demo.store import DemoStore
from schemas.published import PoolCommand, ProfileCommand
from streams.client import CommandPublisher
from streams.settings import Settings


class Play:
    """One performance.

    Attributes:
        pool: its name.
        gateway: serves it.
        store: what landed of it.
        act: its title; empty before the first one.
    """

    def __init__(self, settings: Settings, *, pool: str, run: str, period_s: int, seed: int, seconds: float) -> None:
        self.pool = pool
        self.gateway = Gateway(settings, pool, f"{run}-gateway", partial(requests, seed, seconds))
        self.store = DemoStore(settings, self.gateway.source, pool)
        self.act = ""
        self._settings = settings
        self._run = run
        self._period_s = period_s
        self._seconds = seconds
        self._acts = 0

    def commands(self) -> tuple[PoolCommand, tuple[ProfileCommand, ...]]:
        """What an operator publishes beforehand."""
        return pool_command(self.pool, self._run, self._period_s), profile_commands(self.pool, self._run, self._period_s)

    def turn(self) -> bool:
        """Whether an act has begun; its replicas are an operator's command."""
        number = act_at(self.gateway.at_ms, self._seconds)
        if number < self._acts or not self.gateway.running:
            return False
        before = ACTS[self._acts - 1].replicas if self._acts else ACTS[0].replicas
        self._acts, act = number + 1, ACTS[number]
        self.act = act.title
        if act.replicas != before:
            with CommandPublisher(self._settings) as operator:
                operator.publish(pool_command(self.pool, self._run, self._period_s, replicas=act.replicas, version=self._acts))
        return True

    def counted(self) -> dict[str, tuple[int, int, int]]:
        """By the gateway: tenant -> requests admitted, refused, stopped."""
        gateway = self.gateway
        tenants = sorted(gateway.admitted.keys() | gateway.refused.keys())
        return {name: (gateway.admitted[name], gateway.refused[name], gateway.stopped[name]) for name in tenants}
