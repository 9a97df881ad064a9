"""The demo's second pool: a token pool, what serves it, its tenants' clients, and acts in which its replicas change."""

from __future__ import annotations

from functools import partial

from infra.demo import pool_view
from infra.demo.accounts import Account, accounts
from infra.demo.clients import Answered, Clients
from infra.demo.pool_store import PoolStore, Standing
from infra.demo.serving import Serving
from infra.demo.shared_pool import ACTS, BURST, CALM, TENANTS, Act, pool_command, profile_commands, requests, span_ms
from infra.demo.stage import Stage
from schemas.published import PoolCommand, ProfileCommand
from streams.client import CommandPublisher
from streams.errors import UserError
from streams.settings import Settings


class Play:
    """One performance.

    Attributes:
        pool: its name.
        serving: the gateway, and the backend behind it.
        clients: who asks.
        store: what landed of it.
        stage: when its acts begin.
    """

    clients: Clients

    def __init__(self, settings: Settings, *, pool: str, run: str, period_s: int, seed: int, seconds: float) -> None:
        self.pool = pool
        self.serving = Serving(settings, pool, f"{run}-gateway")
        self.store = PoolStore(settings, self.serving.source, pool)
        self.stage = Stage(lambda: (self.clients.at_ms, self.clients.running), self._change, seconds)
        self._settings = settings
        self._run = run
        self._period_s = period_s
        self._seed = seed
        self._seconds = seconds

    def commands(self) -> tuple[PoolCommand, tuple[ProfileCommand, ...]]:
        """What an operator publishes beforehand."""
        return pool_command(self.pool, self._run, self._period_s), profile_commands(self.pool, self._run, self._period_s)

    def open(self) -> dict[str, str]:
        """The doors: when backend and gateway are ready everybody gets a key (tenant -> key), and may begin.

        Raises:
            Unavailable: it takes too long.
        """
        self.serving.wait()
        keys = self.serving.keys(tenant.name for tenant in TENANTS)
        asked = partial(requests, self._seed, self._seconds)
        self.clients = Clients(self.serving.url, keys, asked, whole=(tenant.name for tenant in TENANTS if not tenant.streams))
        return keys

    def start(self) -> None:
        """Clients ask, and acts begin when their time comes; the play's time 0 is now."""
        self.clients.start()
        self.stage.start()

    def finish(self) -> None:
        """Everybody goes.

        Raises:
            Exception: what ended clients or acts early, if anything did.
        """
        try:
            self.clients.finish()
        finally:
            self.stage.finish()

    def lines(self) -> tuple[str, ...]:
        """The pool's line for each act that has begun since this was asked last."""
        return tuple(self._line(act.title) for act in self.stage.news())

    def line(self) -> str:
        """How far it is."""
        return self._line(ACTS[self.stage.begun - 1].title if self.stage.begun else "")

    def standings(self) -> tuple[dict[str, Standing], dict[str, Standing]]:
        """By tenant: of the act that is on, and of the one before the burst."""
        calm = self._standing(CALM)
        begun = self.stage.begun
        return (self._standing(begun - 1) if begun > CALM + 1 else calm), calm

    def burst(self) -> tuple[dict[str, Standing], dict[str, Standing]]:
        """By tenant: before the burst, and in it."""
        return self._standing(CALM), self._standing(BURST)

    def settled(self) -> list[Account]:
        """What the backend counted of each tenant, beside what landed.

        Raises:
            UserError: the backend does not answer.
        """
        return accounts(self.store.landed_requests(), self.serving.made(), self.clients.stopped, self.store.in_periods())

    @property
    def answered(self) -> dict[str, Answered]:
        """By tenant: how its clients were answered, of those that asked."""
        return {tenant: told for tenant, told in self.clients.answered.items() if told.asked}

    def _line(self, title: str) -> str:
        return pool_view.line(self.answered, self.clients.in_flight, title)

    def _change(self, number: int, act: Act) -> None:
        """Its replicas are an operator's command, and the backend's."""
        before = ACTS[max(0, number - 1)].replicas
        if act.replicas != before:
            with CommandPublisher(self._settings) as operator:
                operator.publish(pool_command(self.pool, self._run, self._period_s, replicas=act.replicas, version=number))
            self.serving.scale(act.replicas)

    def _standing(self, act: int) -> dict[str, Standing]:
        if self.clients.began_ms is None:
            raise UserError("the clients have not begun")
        first, behind = (self.clients.began_ms + edge for edge in span_ms(act, self._seconds))
        return self.store.standing(first, behind)
