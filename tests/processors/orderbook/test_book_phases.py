"""Clock, expiry, close and the call auction: each corner of spec/orderbook.md as a case with its answer, by hand.

What each case says: `book_notation`. Where the spec is silent the title says what was decided.
"""

import pytest
from book_notation import answer, operations
from book_world import through_the_door

TIMES = [
    ("at t = expire", "buy b 100 5 tif=GTD expire=7; clock 7", "-b 5 expired"),
    ("not before", "buy b 100 5 tif=GTD expire=7; clock 6", "bid b 100x5"),
    ("only the open part", "buy b 100 5 tif=GTD expire=7; sell s 100 2; clock 8", "b>s 100x2; -b 3 expired"),
    ("before the first clock no expiry has passed", "buy b 100 5 tif=GTD expire=-7", "bid b 100x5"),
    ("the first clock may stand anywhere", "buy b 100 5 tif=GTD expire=-7; clock -8; clock -7", "-b 5 expired"),
    ("a clock that goes back is passed over", "clock 9; clock 3; buy b 100 5 tif=GTD expire=10; clock 8; clock 9", "bid b 100x5"),
    ("expire is not looked at without GTD", "clock 9; buy b 100 5 expire=3; clock 11", "bid b 100x5"),
    (
        "by expiry, then by the time of the place, across sides and prices",
        (
            "sell s1 110 1 tif=GTD expire=5; buy b1 90 1 tif=GTD expire=5; buy b2 95 1 tif=GTD expire=5; "
            "buy b3 80 1 tif=GTD expire=4; clock 6"
        ),
        "-b3 1 expired; -s1 1 expired; -b1 1 expired; -b2 1 expired",
    ),
    (
        "a lost priority counts, a kept one does not",
        (
            "buy b1 90 5 tif=GTD expire=5; buy b2 90 5 tif=GTD expire=5; "
            "buy b3 90 5 tif=GTD expire=5; replace b1 90 6 @B; replace b2 90 4 @B; clock 5"
        ),
        "-b2 4 expired; -b3 5 expired; -b1 6 expired",
    ),
    ("in an auction too", "to_auction; buy b 100 5 tif=GTD expire=7; sell s 90 5; clock 7; uncross", "-b 5 expired; ask s 90x5"),
    ("an IOC or FOK order may name an expiry that passed", "clock 5; buy b 100 5 tif=IOC expire=1", "-b 5 unfilled"),
]

CLOSING = [
    (
        "in the order of arrival, also of an order that lost its priority",
        "buy b1 90 5; sell s 99 5; buy b2 95 5; replace b1 91 7 @B; close",
        "-b1 7 period_closed; -s 5 period_closed; -b2 5 period_closed",
    ),
    (
        "closed refuses, before anything else is judged",
        "buy b 90 5; close; buy b 0 0; cancel x @B; reduce b 0 @X; replace b 90 1 @B",
        "-b 5 period_closed; !b closed; !x closed; !b closed; !b closed",
    ),
    ("a second close, a clock, an auction: nothing", "close; close; clock 3; to_auction; uncross", ""),
    (
        "closed in an auction: nothing trades",
        "to_auction; buy b 100 5; sell s 90 5; close; uncross",
        "-b 5 period_closed; -s 5 period_closed",
    ),
]

AUCTION = {"phase": "auction"}
AUCTIONS = [
    ("orders rest without matching", "buy b 105 5; sell s 100 5", AUCTION, "bid b 105x5; ask s 100x5"),
    (
        "what would not rest is refused",
        "buy a 100 1 tif=IOC; buy b 100 1 tif=FOK; market c buy 1; buy d 100 1 post_only=true; buy e 100 1 tif=GTD expire=9",
        AUCTION,
        "!a not_in_auction; !b not_in_auction; !c not_in_auction; !d not_in_auction; bid e 100x1",
    ),
    (
        "a contradiction is invalid_tif before that",
        "buy a 100 1 tif=IOC post_only=true; market b buy 1 tif=GTC",
        AUCTION,
        "!a invalid_tif; !b invalid_tif",
    ),
    (
        "an order that came in continuous trading takes part where it stands",
        "buy b1 100 2; to_auction; buy b2 100 2; sell s 90 3; uncross",
        {},
        "b1+s 100x2; b2+s 100x1; bid b2 100x1",
    ),
    (
        "a post-only order from before takes part too, and may be replaced into the cross",
        "buy b 100 2 post_only=true; to_auction; sell s 101 2; replace b 101 2 @B; uncross",
        {},
        "b+s 101x2",
    ),
    (
        "a replace in an auction rests, whatever it crosses",
        "buy b 90 2; sell s 100 2; replace b 105 2 @B",
        AUCTION,
        "bid b 105x2; ask s 100x2",
    ),
    (
        "self-trade prevention does not act in an uncross: nobody is the taker",
        "buy b 100 2 @A stp=cancel_both; sell s 100 2 @A stp=cancel_both; uncross",
        AUCTION,
        "b+s 100x2",
    ),
    (
        "nothing crosses: no trade, the reference stays, trading goes on",
        "buy b 90 2; sell s 100 2; uncross; buy c 100 1",
        {**AUCTION, "ref": 7},
        "s>c 100x1; bid b 90x2; ask s 100x1",
    ),
    ("an empty book uncrosses", "uncross; buy b 90 2", AUCTION, "bid b 90x2"),
    ("an uncross in continuous trading: nothing", "buy b 90 2; uncross; market m sell 1", {}, "b>m 90x1; bid b 90x1"),
    ("to_auction twice is once", "to_auction; to_auction; buy b 100 1; sell s 100 1; uncross", {}, "b+s 100x1"),
    (
        "most volume",
        "buy b1 105 5; buy b2 101 10; sell s1 100 12; sell s2 104 1; uncross",
        AUCTION,
        "b1+s1 101x5; b2+s1 101x7; bid b2 101x3; ask s2 104x1",
    ),
    (
        "then least surplus",
        "buy b1 110 10; buy b2 100 7; sell s 100 10; uncross",
        {**AUCTION, "ref": 100},
        "b1+s 101x10; bid b2 100x7",
    ),
    (
        "buy pressure at all tied prices: the highest, between orders too",
        "buy b 110 9; sell s1 100 5; sell s2 111 1; uncross",
        {**AUCTION, "ref": 101},
        "b+s1 110x5; bid b 110x4; ask s2 111x1",
    ),
    (
        "sell pressure at all tied prices: the lowest",
        "buy b 110 5; sell s 100 9; uncross",
        {**AUCTION, "ref": 109},
        "b+s 100x5; ask s 100x4",
    ),
    (
        "no pressure: the reference, on the grid between the orders",
        "buy b 110 5; sell s 100 5; uncross",
        {**AUCTION, "ref": 107},
        "b+s 107x5",
    ),
    ("the reference clamped from above", "buy b 110 5; sell s 100 5; uncross", {**AUCTION, "ref": 500}, "b+s 110x5"),
    ("the reference clamped from below", "buy b 110 5; sell s 100 5; uncross", {**AUCTION, "ref": 5}, "b+s 100x5"),
    (
        "a reference off the grid is floored to the tick",
        "buy b 110 5; sell s 100 5; uncross",
        {**AUCTION, "ref": 109, "tick": 5},
        "b+s 105x5",
    ),
    ("no reference: the midpoint", "buy b 110 5; sell s 100 5; uncross", AUCTION, "b+s 105x5"),
    ("the midpoint floored to the tick", "buy b 110 5; sell s 95 5; uncross", {**AUCTION, "tick": 5}, "b+s 100x5"),
    ("a midpoint below zero is floored, not cut", "buy b -1 5; sell s -4 5; uncross", {**AUCTION, "pmin": -9}, "b+s -3x5"),
    (
        "as much pressure to buy as to sell at tied prices: the reference",
        "buy b1 103 5; buy b2 102 5; sell s1 100 5; sell s2 103 5; uncross",
        {**AUCTION, "ref": 103},
        "b1+s1 103x5; bid b2 102x5; ask s2 103x5",
    ),
    (
        "as much pressure to buy as to sell at tied prices: the reference, lower too",
        "buy b1 103 5; buy b2 102 5; sell s1 100 5; sell s2 103 5; uncross",
        {**AUCTION, "ref": 101},
        "b1+s1 101x5; bid b2 102x5; ask s2 103x5",
    ),
    (
        "the price becomes the next reference",
        "buy b1 110 5; sell s1 106 5; uncross; to_auction; buy b2 120 5; sell s2 100 5; uncross",
        {**AUCTION, "ref": 1},
        "b1+s1 106x5; b2+s2 106x5",
    ),
    (
        "a continuous trade does not move the reference",
        "buy b1 110 5; sell s1 110 5; to_auction; buy b2 120 5; sell s2 100 5; uncross",
        {"ref": 105},
        "b1>s1 110x5; b2+s2 105x5",
    ),
    (
        "the price is the same for all, price and then time decide who fills, and leftovers keep their place",
        "sell s1 100 3; sell s2 99 3; sell s3 100 3; buy b1 100 2; buy b2 101 5; uncross; market m buy 3",
        AUCTION,
        "b2+s2 100x3; b2+s1 100x2; b1+s1 100x1; b1+s3 100x1; s3>m 100x2; -m 1 unfilled",
    ),
]


def table(rows):
    return {"argvalues": [row[1:] for row in rows], "ids": [row[0] for row in rows]}


@pytest.mark.parametrize(("ops", "expected"), **table(TIMES))
def test_clock_and_expiry(ops, expected):
    assert through_the_door(operations(ops)) == answer(expected)


@pytest.mark.parametrize(("ops", "expected"), **table(CLOSING))
def test_close(ops, expected):
    assert through_the_door(operations(ops)) == answer(expected)


@pytest.mark.parametrize(("ops", "config", "expected"), **table(AUCTIONS))
def test_call_auction(ops, config, expected):
    assert through_the_door(operations(ops), config) == answer(expected)
