"""The demo's traders are ready to sign, and what allocations met is counted period by period."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from infra.demo import market_view
from infra.demo.plan import plan
from infra.demo.traders import MOST_TRADERS, admitted, keep_keys
from infra.demo.trading import Met, Traded, Volume
from infra.workloads import synthetic
from processors.bots.settings import fault
from schemas.market import DepositCommand, KeyCommand
from schemas.published import Policy
from streams.signatures import public_key, read_private_key, verify

PLAN = plan(synthetic(1, 20, 10, 50), pool="demo", run="r", period_s=5, policy=Policy.SEED)


def test_every_trader_has_a_key_money_and_bots_that_an_engine_takes(tmp_path: Path) -> None:
    commands = admitted(PLAN.traders, pool="demo", run="r")
    keys = {each.tenant: each.key for each in commands if isinstance(each, KeyCommand)}
    money = {each.tenant: each.amount for each in commands if isinstance(each, DepositCommand)}
    keep_keys(PLAN.traders, tmp_path)
    for trader in PLAN.traders:
        signed = [trader.signed(bot) for bot in trader.bots]
        assert [each.seq for each in signed] == list(range(1, len(signed) + 1))
        assert all(verify(each) and each.key == keys[trader.tenant] and fault(each) is None for each in signed)
        assert money[trader.tenant] > 0
        assert public_key(read_private_key(tmp_path / f"{trader.tenant}.pem")) == keys[trader.tenant]
    assert {bot.strategy for trader in PLAN.traders for bot in trader.bots} == {"sell_idle", "buy_ahead"}
    assert not PLAN.pool.allow_unsigned


def test_of_many_tenants_some_trade() -> None:
    many = plan(synthetic(1, 2, 300, 300), pool="demo", run="r", period_s=5, policy=Policy.SEED)
    assert len(many.traders) == MOST_TRADERS


@pytest.mark.parametrize(
    ("rows", "within", "beyond", "idle"),
    [
        ([], 0, {}, 0),
        ([("a", 10, 4)], 4, {"a": 0}, 6),
        ([("a", 10, 14)], 10, {"a": 4}, 0),
        # What one period has too much does not help in another, nor another tenant.
        ([("a", 10, 14), ("a", 10, 6), ("b", 20, 0)], 16, {"a": 4, "b": 0}, 24),
        ([("a", 0, 3), ("b", 0, 0)], 0, {"a": 3, "b": 0}, 0),
    ],
)
def test_what_allocations_met(rows: list[tuple[str, int, int]], within: int, beyond: dict[str, int], idle: int) -> None:
    met = Met()
    met.count(rows)
    assert (met.within, met.beyond, met.idle) == (within, beyond, idle)


def test_the_summary_fits_a_hundred_columns() -> None:
    console = Console(width=100, file=StringIO(), record=True)
    rows = [Traded(trader.tenant, 9_142_663, 3_750_939, 14_894_000_000, 8_730_300_000) for trader in PLAN.traders]
    met = Met(27_300_000, 13_274_273, 14_025_727, {row.tenant: 1_305_499 for row in rows})
    console.print(market_view.traded(Volume(130, 10_263_953, 21_852_600_000, 1_200, 2_500, 1_400), rows, PLAN.traders, (met, met)))
    console.print(market_view.changed(range(359_065_873, 359_065_886), met, met))
    text = console.export_text()
    assert "…" not in text
    for trader in PLAN.traders:  # whole in one line
        assert sum(trader.tenant in line and "9,142,663" in line and "1,305,499" in line for line in text.splitlines()) == 1
    assert "130 trades, 10,263,953 tokens, 21.8526 credits; nanocredits a token: 1,200 to 2,500, mean 2,129" in text
