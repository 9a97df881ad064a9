"""Settings of bots: what is refused, with which field; what holds; and what a bot that is set anew does first."""

import pytest
from bot_world import BotWorld, actions
from journal_world import of_kind, refold, state_bytes
from market_world import KEY
from pydantic import ValidationError

from processors.bots.setting import MAX_BOTS
from processors.bots.settings import FORMS, MAX_PERIODS, fault
from schemas.bot_facts import BotActed, BotSet
from schemas.bots import MAX_CONDITIONS, Comparison, Condition, Strategy, Subject
from schemas.market import BotCommand

GOOD = {
    "sell_idle": {"min_price": 3},
    "buy_ahead": {"max_price": 3},
    "market_maker": {"reference": "last", "spread_ticks": 2, "qty": 10, "min_position": -10, "max_position": 10},
    "schedule": {"side": "buy", "qty": 5, "max_price": 3, "at": ["08:30"]},
}


def command(kind, **settings):
    """A good command of the kind of bot, with these settings changed."""
    return BotCommand(**{"id": "1", "pool": "llm", "tenant": "a", "name": "x", "strategy": kind, **GOOD[kind], **settings})


def on(subject, op, value, upper=None):
    return {"on": subject, "op": op, "value": value, "upper": upper}


FAULTS = [
    ("sell_idle", {"min_price": None}, "min_price"),
    ("sell_idle", {"min_price": 0}, "min_price"),
    ("sell_idle", {"min_price": -5}, "min_price"),
    ("sell_idle", {"max_price": 5}, "max_price"),
    ("sell_idle", {"budget": 5}, "budget"),
    ("sell_idle", {"spread_ticks": 5}, "spread_ticks"),
    ("sell_idle", {"at": ["00:00"]}, "at"),
    ("sell_idle", {"keep": -1}, "keep"),
    ("sell_idle", {"min_qty": 0}, "min_qty"),
    ("sell_idle", {"tif": "FOK"}, "tif"),
    ("sell_idle", {"tif": "GTD"}, "tif"),
    ("sell_idle", {"first_ahead": 2, "last_ahead": 1}, "last_ahead"),
    ("sell_idle", {"last_ahead": MAX_PERIODS}, "last_ahead"),
    ("buy_ahead", {"max_price": None}, "max_price"),
    ("buy_ahead", {"min_price": 1}, "min_price"),
    ("buy_ahead", {"budget_window_s": 60}, "budget_window_s"),
    ("buy_ahead", {"side": "buy"}, "side"),
    ("buy_ahead", {"qty": 5}, "qty"),
    ("market_maker", {"reference": None}, "reference"),
    ("market_maker", {"spread_ticks": None}, "spread_ticks"),
    ("market_maker", {"spread_ticks": 0}, "spread_ticks"),
    ("market_maker", {"tolerance_ticks": 2}, "tolerance_ticks"),
    ("market_maker", {"qty": None}, "qty"),
    ("market_maker", {"qty": 0}, "qty"),
    ("market_maker", {"min_position": None}, "min_position"),
    ("market_maker", {"max_position": None}, "max_position"),
    ("market_maker", {"min_position": 11}, "min_position"),
    ("market_maker", {"reference": "given"}, "reference_price"),
    ("market_maker", {"reference_price": 0}, "reference_price"),
    ("market_maker", {"margin": "0.1"}, "margin"),
    ("market_maker", {"tif": "IOC"}, "tif"),
    ("schedule", {"side": None}, "side"),
    ("schedule", {"qty": None}, "qty"),
    ("schedule", {"max_price": None}, "max_price"),
    ("schedule", {"side": "sell"}, "min_price"),
    ("schedule", {"side": "sell", "min_price": 3}, "max_price"),
    ("schedule", {"min_position": 3}, "min_position"),
    ("schedule", {"at": []}, "at"),
    ("schedule", {"every_periods": 2}, "at"),
    ("schedule", {"wait_s": 5}, "wait_s"),
    *(("sell_idle", {"conditions": [condition]}, "conditions") for condition in [
        on("price", "between", 1),
        on("price", "above", 1, 2),
        on("price", "between", 5, 4),
        on("time_of_day", "above", -1),
        on("time_of_day", "between", 5, 86_400),
    ]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("strategy", "settings", "field"), FAULTS, ids=[f"{case[0]}-{case[2]}-{n}" for n, case in enumerate(FAULTS)]
)
def test_settings_that_are_refused_name_the_field(strategy, settings, field):
    found = fault(command(strategy, **settings))
    assert found is not None
    assert found.field == field
    assert found.detail


@pytest.mark.parametrize("strategy", GOOD)
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"first_ahead": 3, "last_ahead": 2 + MAX_PERIODS},
        {"enabled": False},
        {"min_qty": 7},
        {"conditions": [on("time_of_day", "between", "22:00", "06:00"), on("position", "below", -5)]},
    ],
)
def test_good_settings_have_no_fault(strategy, settings):
    assert fault(command(strategy, **settings)) is None


def test_every_strategy_has_its_form_and_every_field_its_place():
    assert set(FORMS) == set(Strategy) == set(GOOD)
    known = {name for form in FORMS.values() for part in form for name in part}
    rest = {"name", "enabled", "strategy", "first_ahead", "last_ahead", "min_qty", "conditions"}
    signed = {"id", "pool", "tenant", "key", "seq", "signature", "type"}
    assert known | rest == set(BotCommand.model_fields) - signed


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "a/b"),
        ("name", "x" * 65),
        ("name", ""),
        ("strategy", "luck"),
        ("first_ahead", -1),
        ("budget", -1),
        ("margin", "-0.1"),
        ("margin", "0.0000001"),
        ("at", ["24:00"]),
        ("at", ["8:30"]),
        ("at", [86_400]),
        ("at", [0] * 49),
        ("conditions", [on("weather", "above", 1)]),
        ("conditions", [on("price", "near", 1)]),
        ("conditions", [on("price", "above", 1.5)]),
        ("conditions", [on("price", "above", 1)] * (MAX_CONDITIONS + 1)),
        ("conditions", [on("price", "above", 1) | {"unit": "x"}]),
        ("qty", 1.5),
        ("min_price", 2**63),
    ],
)
def test_what_is_no_setting_at_all_the_door_refuses(field, value):
    with pytest.raises(ValidationError) as refused:
        command("sell_idle", **{field: value})
    assert refused.value.errors()[0]["loc"][0] == field


def test_a_time_of_day_is_text_or_seconds():
    said = command("schedule", at=["08:30", 5, "00:00:07"], conditions=[on("time_of_day", "between", "08:00", "17:59:59")])
    assert said.at == [30_600, 5, 7]
    assert said.conditions == [Condition(on=Subject.TIME_OF_DAY, op=Comparison.BETWEEN, value=28_800, upper=64_799)]


def test_a_refusal_is_a_fact_with_reason_and_field_and_leaves_the_bot_as_it_was():
    world = BotWorld(used={"a": 60})
    world.bot("a", "x", "sell_idle", min_price=3)
    world.step()
    stands = world.all_orders("a", "x")
    assert stands
    before = state_bytes(world.state)[2]
    came = world.bot("a", "x", "sell_idle", min_price=0)
    assert actions(came, "tenant", "bot", "action", "period", "reason", "field") == [
        ("a", "x", "rejected", None, "invalid_settings", "min_price")
    ]
    assert "0 is less than 1" in actions(came, "detail")[0][0]
    assert not of_kind(came, BotSet)
    assert state_bytes(world.state)[2] == before


@pytest.mark.parametrize(
    ("fields", "terms", "reason", "field"),
    [
        ({"pool": "ghost"}, {}, "unknown_pool", "pool"),
        ({"tenant": "ghost"}, {}, "unknown_tenant", "tenant"),
        ({}, {"allow_unsigned": False}, "signature_missing", "signature"),
        ({"key": KEY, "seq": 1, "signature": "Q" * 86 + "=="}, {}, "key_unknown", "key"),
    ],
)
def test_who_may_not_command_is_refused(fields, terms, reason, field):
    world = BotWorld(**terms)
    came = world.take(BotCommand(**{"id": "1", "pool": "llm", "tenant": "a", "name": "x", "strategy": "sell_idle", **fields}))
    assert actions(came, "action", "reason", "field") == [("rejected", reason, field)]
    assert not world.market.bots.held
    assert state_bytes(refold(world.facts)) == state_bytes(world.state)


def test_the_same_command_again_changes_nothing():
    world = BotWorld()
    said = BotCommand(id="1", pool="llm", tenant="a", name="x", strategy="sell_idle", min_price=3)
    assert of_kind(world.take(said), BotSet)
    assert world.take(said) == []


def test_a_tenant_has_so_many_names_and_no_more():
    world = BotWorld()
    for number in range(MAX_BOTS):
        assert of_kind(world.bot("a", f"x{number}", "sell_idle", min_price=3), BotSet)
    assert actions(world.bot("a", "more", "sell_idle", min_price=3), "action", "field") == [("rejected", "name")]
    assert of_kind(world.bot("a", "x7", "sell_idle", min_price=4), BotSet)
    assert of_kind(world.bot("b", "more", "sell_idle", min_price=3), BotSet)


def test_a_bot_that_is_set_anew_takes_its_orders_back_and_acts_under_the_new_settings():
    world = BotWorld(used={"a": 60}, forward_periods=3)
    world.bot("a", "x", "sell_idle", min_price=3, last_ahead=2)
    world.bot("a", "y", "sell_idle", min_price=9, last_ahead=2, margin="0.5")
    world.step()
    assert world.all_orders("a", "x") == {ahead: [("sell", 3, 40)] for ahead in range(3)}
    world.bot("a", "x", "sell_idle", min_price=5, last_ahead=1)
    assert world.all_orders("a", "x") == {}
    world.step(1)
    assert {order for orders in world.all_orders("a", "x").values() for order in orders} == {("sell", 5, 40)}


def test_a_disabled_bot_takes_its_orders_back_and_does_nothing_till_it_is_enabled():
    world = BotWorld(used={"a": 60}, period_s=2)
    world.bot("a", "x", "sell_idle", min_price=3)
    world.step()
    assert world.orders("a", "x")
    world.bot("a", "x", "sell_idle", min_price=3, enabled=False)
    assert world.orders("a", "x") == []
    assert actions(world.step(5)) == []
    world.bot("a", "x", "sell_idle", min_price=3)
    world.step()
    assert world.orders("a", "x") == [("sell", 3, 100)]  # nothing was used of the periods since


def test_settings_hold_from_the_next_tick_on():
    world = BotWorld(used={"a": 60})
    came = world.bot("a", "x", "sell_idle", min_price=3)
    assert not of_kind(came, BotActed)
    assert world.orders("a", "x") == []
    world.step()
    assert world.orders("a", "x")
