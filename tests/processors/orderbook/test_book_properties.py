"""The order book against a slow and obvious one, and what holds of any book, under operations at random."""

import os
import random

import pytest
from book_world import BOOKS, CLOSE, OPS, PLAIN_NEWS, Crowd, Tally, book_of, check, do, operation, picture, through_the_door
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from slow_book import SlowBook

from processors.orderbook import Accepted, Cancelled, Filled, Rejected, apply, decide, dump, load, quote

LONG_RUN = int(os.environ.get("BOURSE_BOOK_OPS", "60000"))
"""Operations of the long run: a million is the issue's figure, and takes a minute."""


def slow_answer(ops, config):
    slow = SlowBook(**config)
    for op in ops:
        slow.do(op)
    return slow.answer()


@settings(max_examples=400)
@given(
    config=BOOKS,
    ops=OPS,
    end=st.sampled_from([[], [], [], [{"op": "uncross"}], [{"op": "close"}]]),
    more=OPS.map(lambda ops: ops[:3]),
)
def test_it_answers_like_the_slow_book(config, ops, end, more):
    everything = [*ops, *end, *more]
    assert through_the_door(everything, config) == slow_answer(everything, config)


@pytest.mark.parametrize("seed", range(6))
def test_it_answers_like_the_slow_book_operation_by_operation_in_a_crowd(seed):
    """What hypothesis rarely reaches: a book with dozens of orders at each of a few prices, all features at once."""
    rng = random.Random(seed)
    config = {"ref": 100} if seed % 2 else {}
    book, slow, crowd = book_of(config), SlowBook(**config), Crowd(rng, spread=2 + seed)
    for _ in range(400):
        op = crowd.next(book)
        before = len(slow.trades), len(slow.rejects), len(slow.cancels)
        events = do(book, operation(op))
        slow.do(op)
        trades = [event._asdict() for event in events if hasattr(event, "maker") or hasattr(event, "buy")]
        assert trades == slow.trades[before[0] :], op
        assert [[event.id, event.reason] for event in events if isinstance(event, Rejected)] == slow.rejects[before[1] :], op
        assert [list(event) for event in events if isinstance(event, Cancelled)] == slow.cancels[before[2] :], op
        for side, queue in ((book.bids, slow.queue("buy")), (book.asks, slow.queue("sell"))):
            assert [(order.id, order.price, order.open) for order in side.orders()] == [
                (order.id, order.price, order.open) for order in queue
            ], op


@given(config=BOOKS, ops=OPS, end=st.sampled_from([[], [{"op": "close"}]]))
def test_to_decide_changes_nothing_and_events_carry_everything(config, ops, end):
    book, folded = book_of(config), book_of(config)
    for op in [*ops, *end]:
        before = picture(book)
        events = decide(book, operation(op))
        assert picture(book) == before
        assert decide(book, operation(op)) == events
        for event in events:
            apply(book, event)
            apply(folded, event)
        check(book)
    assert picture(folded) == picture(book)


@given(config=BOOKS, ops=OPS)
def test_a_dumped_book_goes_on_where_it_was(config, ops):
    book = book_of(config)
    middle = len(ops) // 2
    for op in ops[:middle]:
        do(book, operation(op))
    loaded = load(book.config, dump(book))
    assert picture(loaded) == picture(book)
    assert [do(loaded, operation(op)) for op in ops[middle:]] == [do(book, operation(op)) for op in ops[middle:]]
    assert picture(loaded) == picture(book)


@given(ops=OPS, order=PLAIN_NEWS)
def test_a_quote_is_what_then_trades(ops, order):
    book = book_of({})
    for op in ops:
        do(book, operation(op))
    quoted = quote(book, operation(order))
    assert [event for event in do(book, operation(order)) if isinstance(event, Filled)] == quoted


@given(ops=OPS, where=st.integers(0, 40), order=PLAIN_NEWS)
def test_an_order_cancelled_at_once_leaves_no_trace(ops, where, order):
    """Of what it did before the cancel nothing is left either if it met nothing, as a passive order does."""
    book = book_of({})
    for op in ops[:where]:
        do(book, operation(op))
    assume(not any(isinstance(event, Filled | Cancelled) for event in decide(book, operation(order))))
    passing = [order, {"op": "cancel", "id": order["id"], "acct": order["acct"]}]
    with_it = through_the_door([*ops[:where], *passing, *ops[where:]])
    without = through_the_door(ops)
    own = {order["id"]}
    assert with_it["trades"] == without["trades"]
    assert with_it["book"] == without["book"]
    assert [row for row in with_it["rejects"] if row[0] not in own] == without["rejects"]
    assert [row for row in with_it["cancels"] if row[0] not in own] == without["cancels"]


@given(ops=OPS, ticks=st.integers(-40, 1000), auction=st.booleans())
def test_prices_shifted_by_a_constant_shift_trades_by_it(ops, ticks, auction):
    config = {"phase": "auction" if auction else "continuous", "pmin": -100, "ref": 100, "tick": 2}
    by = 2 * ticks

    def shifted(row):
        return {**row, "price": row["price"] + by} if type(row.get("price")) is int else row

    original = through_the_door([*ops, {"op": "uncross"}], config)
    moved = through_the_door([*map(shifted, ops), {"op": "uncross"}], {**config, "pmin": -100 + by, "ref": 100 + by})
    assert moved["trades"] == [shifted(trade) for trade in original["trades"]]
    assert moved["book"] == {
        side: [[name, price + by, qty] for name, price, qty in rows] for side, rows in original["book"].items()
    }
    assert (moved["rejects"], moved["cancels"]) == (original["rejects"], original["cancels"])


@given(ops=OPS, auction=st.booleans(), ref=st.sampled_from([99, 100, 103]))
def test_buy_and_sell_mirrored_mirror_the_result(ops, auction, ref):
    """Prices p become 200 - p. So do the auction's tie-breaks, but for the floor of a midpoint: with a reference there is none."""
    config = {"phase": "auction" if auction else "continuous", "pmin": -1000, "pmax": 1200, "ref": ref}
    names = {"buy": "sell", "sell": "buy"}

    def mirrored(row):
        row = {names.get(name, name): value for name, value in row.items()}
        if type(row.get("price")) is int:
            row["price"] = 200 - row["price"]
        return {**row, "side": names[row["side"]]} if "side" in row else row

    original = through_the_door([*ops, {"op": "uncross"}], config)
    mirror = through_the_door([*map(mirrored, ops), {"op": "uncross"}], {**config, "ref": 200 - ref})
    assert mirror["trades"] == [mirrored(trade) for trade in original["trades"]]
    assert mirror["book"] == {
        "bids": [[name, 200 - price, qty] for name, price, qty in original["book"]["asks"]],
        "asks": [[name, 200 - price, qty] for name, price, qty in original["book"]["bids"]],
    }
    assert (mirror["rejects"], mirror["cancels"]) == (original["rejects"], original["cancels"])


@given(config=BOOKS, ops=OPS, close=CLOSE)
def test_an_accepted_id_is_never_free_again_and_a_rejected_one_stays_free(config, ops, close):
    book = book_of(config)
    accepted = set()
    for op in ops:
        for event in do(book, operation(op)):
            if isinstance(event, Accepted):
                assert event.id not in accepted
                accepted.add(event.id)
        if op["op"] == "new" and op["id"] not in accepted:
            assert op["id"] not in book.orders
            assert op["id"] not in book.ended
    assert book.orders.keys() | book.ended.keys() == accepted
    do(book, operation(close))
    again = {"op": "new", "id": "fresh", "acct": "A", "side": "buy", "price": 100, "qty": 2}
    assert [event.reason for event in do(book, operation(again))] == ["closed"]


def test_no_token_is_lost_or_made_in_a_long_run():
    """After every operation: what was accepted is filled or open, or was cancelled or reduced; bought is sold."""
    rng = random.Random(20_261_122)
    book, crowd, tally = book_of({"ref": 100}), Crowd(rng, spread=15), Tally()
    kinds = set()
    for number in range(LONG_RUN):
        op = crowd.next(book)
        events = do(book, operation(op))
        tally.check(book, tally.count(events))
        kinds.update(getattr(event, "reason", type(event).__name__) for event in events)
        if number % 2000 == 0:
            check(book)
    check(book)
    assert len(tally.total) == len(book.orders) + len(book.ended) > LONG_RUN / 3
    assert len(book.orders) > 100
    assert tally.bought > LONG_RUN / 2
    # The run means something only if everything happened in it.
    assert kinds >= {
        *("Accepted", "Filled", "Crossed", "Rested", "Reduced", "Replaced", "ClockSet", "PhaseSet"),
        *("user", "unfilled", "self_trade", "expired", "tokens_used"),
        *("duplicate_id", "invalid_qty", "not_in_auction", "post_only_would_cross", "fok_not_fillable", "not_owner"),
    }
