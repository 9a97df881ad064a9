"""The system that all tests of this folder share, and the `bourse` command on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from system import System, until

from infra.cli import main
from schemas.market import DepositCommand, KeyCommand
from schemas.published import Policy, PoolCommand, ProfileCommand
from streams.client import CommandPublisher
from streams.signatures import generate, write_private_key
from tenants.market import BASE, MONEY, POOL, SOON_S, TENANTS, Market, Said


@pytest.fixture(scope="package")
def market(broker: str, clickhouse: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    home = tmp_path_factory.mktemp("market")
    with System(home / "system", kafka=broker, clickhouse=clickhouse) as system:
        with CommandPublisher(system.settings) as operator:
            # Nobody bids for surplus in this policy: everybody has its base and what it trades.
            operator.publish(PoolCommand(id="pool", pool=POOL, capacity=10_000, period_s=4, policy=Policy.UNIFORM_PRICE))
            for tenant in TENANTS:
                key, public = generate()
                write_private_key(home / f"{tenant}.key", key)
                operator.publish(ProfileCommand(id=f"profile-{tenant}", pool=POOL, tenant=tenant, base=BASE, elasticity=1))
                operator.publish(KeyCommand(id=f"key-{tenant}", pool=POOL, tenant=tenant, key=public))
                operator.publish(DepositCommand(id=f"deposit-{tenant}", pool=POOL, tenant=tenant, amount=MONEY))
        running = Market(system, home)
        until(running.present, SOON_S, "the pool's first period is open")
        yield running


@pytest.fixture
def bourse(market: Market, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """The command in this process; `BOURSE_…` by name."""
    for name, value in market.system.settings.as_environment().items():
        monkeypatch.setenv(name, value)

    def run(*arguments: object, **variables: object) -> Said:
        with monkeypatch.context() as environment:
            for name, value in variables.items():
                environment.setenv(f"BOURSE_{name.upper()}", str(value))
            with pytest.raises(SystemExit) as ended:
                main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Said(int(ended.value.code or 0), out, err)

    return run
