"""What the journal alone tells of a tenant's period, against the facts that were decided of it."""

from itertools import pairwise

import pool_world
import pytest
from busy_market import TENANTS, busy
from hypothesis import given, settings
from hypothesis import strategies as st
from journal_world import World, of_kind, pool, profile, usage
from loop_simulation import LoopSimulation
from loop_world import boosted
from market_world import MarketWorld
from pool_world import PERIOD, PoolWorld

from processors.explain import BaseMove, Bases, NotToldError, Trade, UnknownTenantError, explained, journal_record
from schemas.facts import AllocationsClosed, AllocationsOpened, Forecasts, PeriodClosed, PeriodOpened, ProfileSet
from schemas.loops import BaseChange, BaseReason
from schemas.market_facts import Trades
from schemas.published import BidOn
from schemas.sharing_facts import Debts, Limits


def told(world, period, tenant, pool="llm", **given):
    return explained(journal_record(world.journal, pool, period, tenant), tenant, **{"searching": False, **given})


def row(facts, kind, period, tenant, column):
    """A tenant's value in the chunk of a fact that has it; None: it has no row."""
    found = [
        getattr(fact, column)[fact.tenant.index(tenant)]
        for fact in of_kind(facts, kind)
        if tenant in fact.tenant and fact.period == period
    ]
    return found[0] if found else None


@settings(max_examples=5)
@given(st.integers(0, 2**32 - 1))
def test_every_period_is_told_as_it_was_decided_and_is_proved(seed):
    world = World()
    world.take(*LoopSimulation(seed, steps=120).records())
    closed = [(fact.pool, fact.period) for fact in of_kind(world.facts, PeriodClosed)]
    for name, period in closed[:: max(1, len(closed) // 3)]:
        facts = [fact for fact in world.facts if fact.pool == name]
        tenants = [who for fact in of_kind(facts, AllocationsClosed) if fact.period == period for who in fact.tenant]
        for tenant in tenants[:2]:
            said = told(world, period, tenant, pool=name)
            assert said.auction.proved
            assert not said.auction.other_rows_differing
            for column, value in (
                ("allocated", said.auction.allocated),
                ("charge", said.auction.charge),
                ("used", said.auction.used),
            ):
                assert row(facts, AllocationsClosed, period, tenant, column) == value
            declared = [fact for fact in of_kind(facts, ProfileSet) if fact.tenant == tenant and fact.from_period <= period]
            assert (said.around.profile and said.around.profile.version) == (declared[-1].version if declared else None)
            expected = row(facts, Forecasts, period, tenant, "mean")
            assert (said.around.forecast and said.around.forecast.mean) == expected
            assert said.auction.took_part == (expected is not None)
            bases = said.around.bases
            if bases is not None and said.auction.took_part:
                assert bases.declared + bases.boost - bases.lent == said.auction.declared_base


@pytest.fixture(scope="module")
def market():
    return busy(4, periods=4, orders=60)


@pytest.fixture(scope="module")
def stories(market):
    """(period, tenant) -> what is told."""
    periods = [fact.period for fact in of_kind(market.facts, PeriodClosed)]
    return {(period, tenant): told(market, period, tenant) for period in periods for tenant in TENANTS}


def test_trades_and_limits_of_a_market_are_told(market, stories):
    opened = {fact.period: fact for fact in of_kind(market.facts, PeriodOpened)}
    for (period, tenant), said in stories.items():
        assert said.auction.proved, "though the operator sold surplus meanwhile"
        assert said.around.trades == tuple(trades_of(market.facts, period, tenant, opened[period]))
        (tokens,) = said.around.limits
        assert tokens.name == "tokens"
        assert 0 <= tokens.lowest <= min(tokens.opened, tokens.last)
        assert max(tokens.opened, tokens.last) <= tokens.highest
        assert tokens.last == said.auction.allocated, "all offers have ended with the period"
        present = [each for each in said.around.trades if not each.forward]
        given = [each for each in said.around.transfers if not each.forward]
        for side, column, moved in (("buy", "bought", "got_tokens"), ("sell", "sold", "gave_tokens")):
            before = row(market.facts, AllocationsOpened, period, tenant, column) or 0
            now = sum(each.tokens for each in present if each.side == side) + sum(getattr(each, moved) for each in given)
            assert getattr(said.auction, column) == before + now


def trades_of(facts, period, tenant, opened):
    for fact in of_kind(facts, Trades):
        if fact.period == period:
            forward = (fact.journal_offset, fact.fact_index) < (opened.journal_offset, opened.fact_index)
            rows = zip(fact.buyer, fact.seller, fact.price, fact.qty, fact.buyer_fee, fact.seller_fee, strict=True)
            for buyer, seller, price, qty, buyer_fee, seller_fee in rows:
                if buyer == tenant:
                    yield Trade(fact.time, "buy", seller, price, qty, buyer_fee, forward)
                if seller == tenant:
                    yield Trade(fact.time, "sell", buyer, price, qty, seller_fee, forward)


def test_what_the_operator_sold_meanwhile_was_left_when_the_rule_was_run():
    world = MarketWorld(policy="max_min", reserve_price=10, offer_unsold=True)
    world.buy("a", 50, 20)
    world.period(world.present)
    closed = of_kind(world.facts, PeriodClosed)[-1]
    said = told(world, closed.period, "a")
    assert said.auction.proved
    assert said.auction.bought == 50
    assert [(each.side, each.other, each.tokens) for each in said.around.trades] == [("buy", "", 50)]
    opened = [fact for fact in of_kind(world.facts, PeriodOpened) if fact.period == closed.period]
    assert closed.unallocated == opened[0].unallocated - 50


def test_a_market_has_forward_and_present_trades(stories):
    trades = [each for said in stories.values() for each in said.around.trades]
    assert {(each.forward, each.side) for each in trades} == {(True, "buy"), (True, "sell"), (False, "buy"), (False, "sell")}
    assert {each.forward for said in stories.values() for each in said.around.transfers} == {True, False}


def test_debt_and_limits_of_a_token_pool_are_told():
    here = PoolWorld(
        pool_world.tenant("g", "g", tier="guaranteed", base=9000),
        pool_world.tenant("e", "e", base=500),
        pool_world.tenant("f", "f", base=500),
        policy="max_min",
        debt_weights=True,
    )
    here.seconds(PERIOD, {"g": 900, "e": 600}, {"f": (1, 400, 0, 0, 0)})
    here.seconds(2 * PERIOD, {"g": 900})
    period = of_kind(here.facts, PeriodClosed)[-1].period
    opened = next(fact for fact in of_kind(here.facts, PeriodOpened) if fact.period == period)
    before = [fact for fact in here.facts if (fact.journal_offset, fact.fact_index) < (opened.journal_offset, opened.fact_index)]
    for tenant in ("e", "f", "g"):
        said = told(here, period, tenant)
        assert said.auction.proved
        assert (
            said.around.debt.debt
            == ([0] + [of(fact, tenant, "debt") for fact in of_kind(before, Debts) if tenant in fact.tenant])[-1]
        )
        assert said.around.debt.declared_weight == 1_000_000
        assert said.around.debt.weight == said.auction.weight
        standing = [of(fact, tenant, "throughput_kept") for fact in of_kind(before, Limits) if tenant in fact.tenant][-1]
        later = [
            of(fact, tenant, "throughput_kept")
            for fact in of_kind(here.facts, Limits)
            if tenant in fact.tenant and fact.period == period
        ]
        limits = {each.name: each for each in said.around.limits}
        assert set(limits) == {"tokens", "throughput", "kv", "concurrency"}
        kept = limits["throughput"]
        assert (kept.opened, kept.lowest, kept.highest) == (standing, min([standing, *later]), max([standing, *later]))
        told_in_turn = [standing, *later]
        assert kept.changes == sum(one != other for one, other in pairwise(told_in_turn))
        assert kept.last == told_in_turn[-1]
    assert told(here, period, "f").around.debt.debt > 0
    assert told(here, period, "f").auction.weight > 1_000_000


def of(fact, tenant, column):
    return getattr(fact, column)[fact.tenant.index(tenant)]


def test_moved_bases_are_told_with_what_moved_them():
    loop = boosted()
    period = of_kind(loop.facts, PeriodClosed)[-1].period
    vip, mid, low = (told(loop, period, name) for name in ("vip", "mid", "low"))
    assert vip.around.bases == Bases(400, 40, 0, (BaseMove(BaseChange.BOOST, BaseReason.EXCEEDED, 400, 440, "low"),))
    assert low.around.bases == Bases(200, 0, 40, (BaseMove(BaseChange.LOAN, BaseReason.EXCEEDED, 200, 160, "vip"),))
    assert mid.around.bases is None
    assert [each.auction.declared_base for each in (vip, mid, low)] == [440, 300, 160]
    assert all(each.auction.proved for each in (vip, mid, low))
    assert told(loop, period - 1, "vip").around.bases is None
    assert told(boosted(periods=5), period + 1, "vip").around.bases == Bases(400, 40, 0, ()), "as it was the period before"


def test_who_carried_a_forecast_is_told():
    world = World()
    world.tick(8)
    world.take(pool(forecaster="mixture"), profile("1", "a", base=10, bid_on="p90"), profile("2", "new"))
    for number in range(9, 31):
        world.take(usage(number, {"a": 40 + number % 3}))
        world.run(number, number)
    first, last = (told(world, period, "a") for period in (5, None))
    assert (first.around.forecast.observed, first.around.forecast.experts) == (0, ())
    forecast = last.around.forecast
    assert forecast.observed == last.auction.period - 5
    assert sum(each.weight for each in forecast.experts) == pytest.approx(1)
    assert sum(each.weight * each.tokens for each in forecast.experts) == pytest.approx(forecast.mean, abs=0.5)
    assert [each.weight for each in forecast.experts] == sorted((each.weight for each in forecast.experts), reverse=True)
    assert last.auction.demand == forecast.p90 >= forecast.mean
    assert last.around.profile.bid_on == BidOn.P90
    assert last.auction.proved


@pytest.fixture(scope="module")
def world():
    world = World()
    world.tick(8)
    world.take(pool(capacity=100, base_price=1, reserve_price=2), profile("1", "a", base=10, budget=(400, 60), sla_ms=250))
    for number in range(9, 17):
        world.take(usage(number, {"a": 60, "guest": 3}))
        world.run(number, number)
        if number == 11:
            world.take(profile("2", "a", base=20), pool("p2", capacity=120))
    world.take(pool("new", pool="new"))
    return world


def test_what_was_declared_holds_from_the_next_period_on(world):
    first, second = (told(world, period, "a").around for period in (5, 6))
    assert (first.pool_version, first.profile.version, first.profile.base, first.profile.budget_amount) == (1, 1, 10, 400)
    assert (second.pool_version, second.profile.version, second.profile.base, second.profile.budget_amount) == (2, 2, 20, None)
    assert first.profile.sla_ms == 250
    assert told(world, 5, "guest").around.profile is None
    assert told(world, 5, "guest").what_if is None


def test_the_last_period_is_the_newest_that_closed(world):
    newest = of_kind(world.facts, PeriodClosed)[-1].period
    assert told(world, None, "a") == told(world, newest, "a")
    assert told(world, newest, "a", searching=True).what_if.runs > 50


def test_no_more_of_the_journal_is_read_than_needed(world):
    closed = next(fact for fact in of_kind(world.facts, PeriodClosed) if fact.period == 5)
    read = []
    records = (read.append(offset) or (offset, record) for offset, record in world.journal)
    journal_record(records, "llm", 5, "a")
    assert read[-1] == closed.journal_offset


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (("ghost", 5), "the journal has no pool 'ghost'"),
        (("new", 5), "pool 'new' has no closed period yet"),
        (("new", None), "pool 'new' has no closed period yet"),
        (("llm", 4), "period 4 of pool 'llm': in it no period of the pool opened; closed are 1 from 5 to 5"),
        (("llm", 8), "period 8 of pool 'llm' is still open; closed are 3 from 5 to 7"),
        (("llm", 99), "period 99 of pool 'llm' has not come yet; closed are 3 from 5 to 7"),
    ],
)
def test_what_is_not_there_is_told(world, given, says):
    with pytest.raises(NotToldError) as told:
        journal_record(world.journal, *given, "a")
    assert str(told.value) == says


def test_a_tenant_without_a_row_is_unknown(world):
    with pytest.raises(UnknownTenantError):
        told(world, 5, "nobody")
