"""Trading, refusals, cancel, reduce and replace: each corner of spec/orderbook.md as a case with its answer, by hand.

What each case says: `book_notation`. Where the spec is silent the title says what was decided.
"""

import pytest
from book_notation import answer, operations
from book_world import through_the_door

TRADING = [
    (
        "a better price first, then the older order; each trade at the resting price",
        "sell s1 102 2; sell s2 101 2; sell s3 101 2; buy b 102 5",
        "s2>b 101x2; s3>b 101x2; s1>b 102x1; ask s1 102x1",
    ),
    ("a market order ignores its price, on no grid and below zero", "sell s 100 3; market m buy 3 price=-7", "s>m 100x3"),
    ("a market order needs no price", "buy b 100 3; market m sell 2", "b>m 100x2; bid b 100x1"),
    ("a market order on an empty book is accepted and cancelled", "market m buy 3", "-m 3 unfilled"),
    ("its id is taken all the same", "market m buy 3; buy m 1 1", "-m 3 unfilled; !m duplicate_id"),
    (
        "a market order sweeps every level and never rests",
        "sell s1 1 1; sell s2 1000000000 1; market m buy 3",
        "s1>m 1x1; s2>m 1000000000x1; -m 1 unfilled",
    ),
    ("a market FOK that the book cannot fill is rejected", "sell s 5 2; market m buy 3 tif=FOK", "!m fok_not_fillable; ask s 5x2"),
    ("IOC that meets nothing", "sell s 101 1; buy b 100 1 tif=IOC", "-b 1 unfilled; ask s 101x1"),
    ("FOK over two levels", "sell s1 100 1; sell s2 101 1; buy b 101 2 tif=FOK", "s1>b 100x1; s2>b 101x1"),
    (
        "FOK counts nothing beyond its limit",
        "sell s1 100 1; sell s2 102 9; buy b 101 2 tif=FOK",
        "!b fok_not_fillable; ask s1 100x1; ask s2 102x9",
    ),
    (
        "FOK counts what is open, not what was",
        "sell s 100 5; buy b1 100 3; reduce s 1 @S; buy b2 100 2 tif=FOK",
        "s>b1 100x3; !b2 fok_not_fillable; ask s 100x1",
    ),
    (
        "FOK does not count what has expired",
        "sell s 100 5 tif=GTD expire=3; clock 3; buy b 100 5 tif=FOK",
        "-s 5 expired; !b fok_not_fillable",
    ),
    ("the id of a rejected FOK is free", "buy b 100 2 tif=FOK; buy b 100 2", "!b fok_not_fillable; bid b 100x2"),
    ("post-only that does not cross rests", "sell s 101 1; buy b 100 1 post_only=true", "bid b 100x1; ask s 101x1"),
    (
        "post-only against one's own order would cross, whatever the self-trade mode",
        "sell s 100 1 @A; buy b 100 1 @A post_only=true stp=cancel_maker",
        "!b post_only_would_cross; ask s 100x1",
    ),
    (
        "a post-only order may be GTD, and is hit like any other",
        "buy b 100 2 post_only=true tif=GTD expire=9; sell s 100 1",
        "b>s 100x1; bid b 100x1",
    ),
]

REFUSALS = [
    ("zero", "buy b 100 0", "!b invalid_qty"),
    ("below zero", "buy b 100 -1", "!b invalid_qty"),
    ("a fraction of a token", "buy b 100 1.5", "!b invalid_qty"),
    ("a float is no quantity, not even a whole one", "buy b 100 2.0", "!b invalid_qty"),
    ("true is no quantity", "buy b 100 true", "!b invalid_qty"),
    ("beyond 64 bits", "buy b 100 9223372036854775808", "!b invalid_qty"),
    ("a market order's quantity is judged alike", "market b buy 0", "!b invalid_qty"),
    ("price zero", "buy b 0 1", "!b invalid_price"),
    ("price below zero", "buy b -1 1", "!b invalid_price"),
    ("a fraction of a nanocredit", "buy b 100.5 1", "!b invalid_price"),
    ("true is no price", "buy b true 1", "!b invalid_price"),
    ("a price beyond 64 bits", "buy b 9223372036854775808 1", "!b invalid_price"),
    ("a limit order without a price", "buy b null 1", "!b invalid_price"),
    ("market GTC", "market b buy 1 tif=GTC", "!b invalid_tif"),
    ("market GTD", "market b buy 1 tif=GTD expire=9", "!b invalid_tif"),
    ("post-only IOC", "buy b 100 1 post_only=true tif=IOC", "!b invalid_tif"),
    ("post-only FOK", "buy b 100 1 post_only=true tif=FOK", "!b invalid_tif"),
    ("post-only market", "market b buy 1 post_only=true", "!b invalid_tif"),
    ("GTD without an expiry", "buy b 100 1 tif=GTD", "!b invalid_tif"),
    ("a time in force that does not exist", "buy b 100 1 tif=DAY", "!b invalid_tif"),
    ("expired at this very time", "clock 5; buy b 100 1 tif=GTD expire=5", "!b already_expired"),
    ("expired before", "clock 5; buy b 100 1 tif=GTD expire=4", "!b already_expired"),
    ("a clock that went back does not make it valid", "clock 5; clock 3; buy b 100 1 tif=GTD expire=4", "!b already_expired"),
    ("quantity before price", "buy b 0 0", "!b invalid_qty"),
    ("price before time in force", "buy b 0 1 tif=GTD", "!b invalid_price"),
    (
        "time in force before expiry",
        "clock 5; buy b 1 1 tif=GTD expire=1 post_only=true; market b buy 1 tif=GTC",
        "!b already_expired; !b invalid_tif",
    ),
    ("a cancel of what never was", "cancel b @B", "!b unknown_order"),
    ("a reduce of what never was", "reduce b 0 @B", "!b unknown_order"),
    ("a replace of what never was", "replace b 0 0 @B", "!b unknown_order"),
]

GRID = {"tick": 5, "lot": 2, "max_qty": 20, "pmin": 50, "pmax": 150}
GRIDS = [
    ("buy b 101 2", "invalid_price"),
    ("buy b 45 2", "invalid_price"),
    ("buy b 155 2", "invalid_price"),
    ("buy b 50 3", "invalid_qty"),
    ("buy b 50 22", "invalid_qty"),
    ("buy b 50 20", None),
    ("buy b 150 2", None),
    ("market b buy 2 price=7", None),
    ("market b buy 22", "invalid_qty"),
]

CHANGES = [
    ("a cancel by the owner", "buy b 100 5; cancel b @B", "-b 5 user"),
    ("cancelled twice", "buy b 100 5; cancel b @B; cancel b @B", "-b 5 user; !b unknown_order"),
    ("cancelled after it was filled", "buy b 100 5; sell s 100 5; cancel b @B", "b>s 100x5; !b unknown_order"),
    ("cancelled in part filled: what is open", "buy b 100 5; sell s 100 2; cancel b @B", "b>s 100x2; -b 3 user"),
    (
        "only the owner reduces and replaces",
        "buy b 100 5; reduce b 1 @X; replace b 100 1 @X",
        "!b not_owner; !b not_owner; bid b 100x5",
    ),
    (
        "the owner is judged before the quantity",
        "buy b 100 5; reduce b 0 @X; replace b 0 0 @X",
        "!b not_owner; !b not_owner; bid b 100x5",
    ),
    ("reduce keeps priority and cancels nothing", "buy b1 100 5; buy b2 100 5; reduce b1 3 @B", "bid b1 100x2; bid b2 100x5"),
    ("reduce by all that is open cancels", "buy b 100 5; sell s 100 2; reduce b 3 @B", "b>s 100x2; -b 3 user"),
    ("reduce by more than is open cancels", "buy b 100 5; reduce b 1000000000000000000000000000000 @B", "-b 5 user"),
    (
        "reduce by no quantity",
        "buy b 100 5; reduce b 0 @B; reduce b -1 @B; reduce b 1.0 @B; reduce b true @B",
        "!b invalid_qty; !b invalid_qty; !b invalid_qty; !b invalid_qty; bid b 100x5",
    ),
    ("replace by the same keeps priority", "buy b1 100 5; buy b2 100 5; replace b1 100 5 @B", "bid b1 100x5; bid b2 100x5"),
    ("replace by more goes to the back", "buy b1 100 5; buy b2 100 5; replace b1 100 6 @B", "bid b2 100x5; bid b1 100x6"),
    (
        "replace by another price goes to the back, with less too",
        "buy b1 100 5; buy b2 101 5; replace b1 101 1 @B",
        "bid b2 101x5; bid b1 101x1",
    ),
    (
        "and back again it is behind",
        "buy b1 100 5; buy b2 100 5; replace b1 101 5 @B; replace b1 100 5 @B",
        "bid b2 100x5; bid b1 100x5",
    ),
    (
        "a total with the filled part that stays: nothing changes",
        "buy b1 100 5; sell s 100 2; buy b2 100 5; replace b1 100 5 @B",
        "b1>s 100x2; bid b1 100x3; bid b2 100x5",
    ),
    ("a lower total leaves what is not filled yet", "buy b1 100 5; sell s 100 2; replace b1 100 3 @B", "b1>s 100x2; bid b1 100x1"),
    ("a total that is filled cancels the rest", "buy b 100 5; sell s 100 2; replace b 100 2 @B", "b>s 100x2; -b 3 user"),
    (
        "a total below what is filled cancels the rest, at another price too",
        "buy b 100 5; sell s 100 2; replace b 104 1 @B",
        "b>s 100x2; -b 3 user",
    ),
    (
        "a total of zero is no quantity: refused, nothing is cancelled",
        "buy b 100 5; replace b 100 0 @B",
        "!b invalid_qty; bid b 100x5",
    ),
    (
        "a bad price is refused even where the total would cancel",
        "buy b 100 5; sell s 100 2; replace b 0 1 @B",
        "b>s 100x2; !b invalid_price; bid b 100x3",
    ),
    (
        "a refused replace leaves the original where it was",
        "buy b1 100 5; buy b2 100 5; replace b1 -3 9 @B; replace b1 100 9223372036854775808 @B",
        "!b1 invalid_price; !b1 invalid_qty; bid b1 100x5; bid b2 100x5",
    ),
    (
        "a replace into a cross trades at once, at the resting prices, and rests with what is left",
        "sell s 102 2; buy b 100 5; replace b 103 5 @B",
        "s>b 102x2; bid b 103x3",
    ),
    (
        "a partly filled order repriced into a cross takes only what it has open",
        "sell s 102 9; buy b 100 5; sell t 100 2; replace b 102 5 @B",
        "b>t 100x2; s>b 102x3; ask s 102x6",
    ),
    (
        "a replaced order uses its own self-trade mode",
        "sell s 102 2 @A; buy b 100 5 @A stp=cancel_maker; replace b 102 5 @A",
        "-s 2 self_trade; bid b 102x5",
    ),
    (
        "a replaced order that is cancelled by it",
        "sell s 102 2 @A; buy b 100 5 @A stp=cancel_taker; replace b 102 6 @A",
        "-b 6 self_trade; ask s 102x2",
    ),
    (
        "a post-only order is not replaced into a cross",
        "sell s 102 2; buy b1 100 5 post_only=true; buy b2 100 1; replace b1 102 5 @B",
        "!b1 post_only_would_cross; bid b1 100x5; bid b2 100x1; ask s 102x2",
    ),
    (
        "a GTD order keeps its expiry when it is replaced",
        "buy b 100 5 tif=GTD expire=7; replace b 101 9 @B; clock 7",
        "-b 9 expired",
    ),
    (
        "a larger total after a decrement: what was decremented counts no more",
        "buy b1 100 5 @A; sell s 100 2 @A stp=decrement; buy b2 100 1; replace b1 100 4 @A",
        "-b1 2 self_trade; -s 2 self_trade; bid b2 100x1; bid b1 100x4",
    ),
]


def table(rows):
    return {"argvalues": [row[1:] for row in rows], "ids": [row[0] for row in rows]}


@pytest.mark.parametrize(("ops", "expected"), **table(TRADING))
def test_trading(ops, expected):
    assert through_the_door(operations(ops)) == answer(expected)


@pytest.mark.parametrize(("ops", "expected"), **table(REFUSALS))
def test_refused_with_this_reason_and_nothing_changes(ops, expected):
    assert through_the_door(operations(ops)) == answer(expected)


@pytest.mark.parametrize(("ops", "reason"), GRIDS)
def test_grids_bands_and_caps(ops, reason):
    assert through_the_door(operations(ops), GRID)["rejects"] == ([["b", reason]] if reason else [])


def test_prices_at_zero_and_below_where_the_band_lets_them_in():
    ops = "buy b1 0 1; buy b2 -10 1; buy b3 -11 1; sell s -10 3"
    expected = "b1>s 0x1; b2>s -10x1; !b3 invalid_price; ask s -10x1"
    assert through_the_door(operations(ops), {"pmin": -10}) == answer(expected)


@pytest.mark.parametrize(("ops", "expected"), **table(CHANGES))
def test_cancel_reduce_replace(ops, expected):
    assert through_the_door(operations(ops)) == answer(expected)


def test_replace_and_reduce_keep_to_grids_and_caps():
    ops = "buy b 100 10; replace b 101 10 @B; replace b 155 10 @B; replace b 100 9 @B; replace b 100 22 @B; reduce b 3 @B"
    expected = "!b invalid_price; !b invalid_price; !b invalid_qty; !b invalid_qty; !b invalid_qty; bid b 100x10"
    assert through_the_door(operations(ops), GRID) == answer(expected)
