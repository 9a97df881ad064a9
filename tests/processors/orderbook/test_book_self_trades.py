"""Self-trade prevention: each mode, and with fill-or-kill; by hand.

What each case says: `book_notation`. Where the spec is silent the title says what was decided.
"""

import pytest
from book_notation import answer, operations
from book_world import MODES, through_the_door

SELF_TRADES = [
    # An own order of 2 rests before 4 of another; a buy order of so many comes.
    ("none: one trades with oneself", "none", 5, "o>b 100x2; x>b 100x3; ask x 100x1"),
    ("cancel_taker", "cancel_taker", 5, "-b 5 self_trade; ask o 100x2; ask x 100x4"),
    ("cancel_maker", "cancel_maker", 5, "x>b 100x4; -o 2 self_trade; bid b 100x1"),
    ("cancel_both: the maker is named first", "cancel_both", 5, "-o 2 self_trade; -b 5 self_trade; ask x 100x4"),
    (
        "decrement takes the smaller off both, the maker is named first, and goes on",
        "decrement",
        5,
        "x>b 100x3; -o 2 self_trade; -b 2 self_trade; ask x 100x1",
    ),
    (
        "decrement of the maker in part: it keeps its place",
        "decrement",
        1,
        "-o 1 self_trade; -b 1 self_trade; ask o 100x1; ask x 100x4",
    ),
    ("decrement of equals ends both", "decrement", 2, "-o 2 self_trade; -b 2 self_trade; ask x 100x4"),
]

FOK_SELF_TRADES = [
    # Own order of 2 before 4 of others. What FOK counts is what would trade.
    ("none", 6, True),
    ("cancel_taker", 4, False),
    ("cancel_maker", 4, True),
    ("cancel_maker", 5, False),
    ("cancel_both", 4, False),
    ("decrement", 4, False),
    ("decrement", 6, False),
]


def table(rows):
    return {"argvalues": [row[1:] for row in rows], "ids": [row[0] for row in rows]}


@pytest.mark.parametrize(("mode", "qty", "expected"), **table(SELF_TRADES))
def test_what_each_mode_does(mode, qty, expected):
    ops = f"sell o 100 2 @A; sell x 100 4 @X; buy b 100 {qty} @A stp={mode}"
    assert through_the_door(operations(ops)) == answer(expected)


@pytest.mark.parametrize("mode", MODES)
def test_it_acts_only_when_the_sweep_gets_there(mode):
    ops = f"sell x 100 4 @X; sell o 100 2 @A; buy b 100 4 @A stp={mode}"
    assert through_the_door(operations(ops)) == answer("x>b 100x4; ask o 100x2")


@pytest.mark.parametrize("mode", MODES)
def test_the_taker_s_mode_rules_not_the_maker_s(mode):
    assert through_the_door(operations(f"sell o 100 2 @A stp={mode}; buy b 100 2 @A")) == answer("o>b 100x2")


def test_an_ioc_that_it_ends_leaves_nothing_unfilled():
    ops = "sell x 99 1 @X; sell o 100 2 @A; buy b 100 5 @A stp=cancel_taker tif=IOC"
    assert through_the_door(operations(ops)) == answer("x>b 99x1; -b 4 self_trade; ask o 100x2")


def test_an_ioc_that_is_decremented_and_unfilled_is_cancelled_in_two_parts():
    ops = "sell o 100 2 @A; buy b 100 5 @A stp=decrement tif=IOC"
    assert through_the_door(operations(ops)) == answer("-o 2 self_trade; -b 2 self_trade; -b 3 unfilled")


@pytest.mark.parametrize(("mode", "qty", "fills"), FOK_SELF_TRADES)
def test_fill_or_kill_with_own_orders_in_the_way(mode, qty, fills):
    answered = through_the_door(operations(f"sell o 100 2 @A; sell x 100 4 @X; buy b 100 {qty} @A stp={mode} tif=FOK"))
    assert answered["rejects"] == ([] if fills else [["b", "fok_not_fillable"]])
    assert sum(trade["qty"] for trade in answered["trades"]) == (qty if fills else 0)
    assert answered["cancels"] == ([["o", 2, "self_trade"]] if fills and mode == "cancel_maker" else [])


@pytest.mark.parametrize("mode", MODES)
def test_fill_or_kill_that_is_full_before_the_own_order_fills(mode):
    ops = f"sell x 100 4 @X; sell o 100 2 @A; buy b 100 4 @A stp={mode} tif=FOK"
    assert through_the_door(operations(ops)) == answer("x>b 100x4; ask o 100x2")
