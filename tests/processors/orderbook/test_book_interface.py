"""What the door does not show of the order book: fields of rejects, withdrawals, market data, quotes."""

import pytest
from book_notation import operations
from book_world import book_of, do, operation

from processors.orderbook import (
    BrokenBookError,
    Cancelled,
    Clock,
    ClockSet,
    Config,
    Filled,
    New,
    Replace,
    Withdraw,
    apply,
    decide,
    dump,
    load,
    quote,
)
from schemas.trading import Side

FIELDS = [
    ("buy s 100 2", "id"),
    ("buy b 100 1", "qty"),
    ("buy b 101 2", "price"),
    ("market b buy 2 tif=GTC", "tif"),
    ("buy b 100 2 tif=GTD", "expire"),
    ("buy b 100 2 tif=IOC post_only=true", "post_only"),
    ("buy b 100 2 post_only=true", "price"),
    ("buy b 100 4 tif=FOK", "qty"),
    ("cancel b @B", "id"),
    ("cancel s @B", "acct"),
    ("reduce s 1 @S", "by"),
    ("replace s 101 2 @S", "price"),
]


def book_after(ops, config=()):
    book = book_of(config)
    for op in operations(ops):
        do(book, operation(op))
    return book


@pytest.mark.parametrize(("op", "field"), FIELDS)
def test_a_reject_names_the_field(op, field):
    book = book_after("sell s 100 2", {"tick": 5, "lot": 2, "max_qty": 20})
    [asked] = operations(op)
    assert [event.field for event in decide(book, operation(asked))] == [field]


def test_withdraw_takes_a_part_and_keeps_the_place_or_takes_all():
    book = book_after("buy b1 100 5; buy b2 100 5")
    do(book, Withdraw("b1", 2, "tokens_used"))
    assert [(order.id, order.open) for order in book.bids.orders()] == [("b1", 3), ("b2", 5)]
    do(book, Replace("b1", "B", 100, 3))  # no more than its total now: it keeps its place
    assert do(book, Withdraw("b1", 3, "tokens_used")) == [Cancelled("b1", 3, "tokens_used")]
    assert [order.id for order in book.bids.orders()] == ["b2"]
    assert "b1" in book.ended


@pytest.mark.parametrize(("order", "qty"), [("b", 6), ("b", 0), ("b", -1), ("x", 1)])
def test_to_withdraw_what_is_not_open_is_a_fault_of_the_engine(order, qty):
    with pytest.raises(BrokenBookError):
        decide(book_after("buy b 100 5"), Withdraw(order, qty, "tokens_used"))


def test_an_event_that_takes_more_than_is_open_is_loud():
    with pytest.raises(BrokenBookError, match="'b' has 5 open"):
        apply(book_after("buy b 100 5"), Cancelled("b", 6, "user"))


def test_market_data_and_the_orders_of_an_account():
    book = book_after("buy b1 100 5; buy b2 99 1; buy b3 100 2 @X; sell s1 103 4; replace b1 98 5 @B; buy b4 99 7")
    assert (book.best_bid, book.best_ask) == (100, 103)
    assert book.depth(Side.BUY, 2) == [(100, 2), (99, 8)]
    assert book.depth(Side.SELL, 5) == [(103, 4)]
    assert [order.id for order in book.open_orders("B")] == ["b1", "b2", "b4"]
    assert book.open_orders("nobody") == []


def test_a_quote_of_a_replacement_and_of_what_would_be_refused():
    book = book_after("sell s 102 2; buy b 100 5")
    assert quote(book, Replace("b", "B", 102, 5)) == [Filled("s", "b", 102, 2)]
    assert quote(book, New("f", "B", Side.BUY, 102, 3, tif="FOK")) == []
    assert [order.id for order in book.bids.orders()] == ["b"]


def test_a_closed_book_needs_no_ids_to_refuse_them():
    book = book_after("buy b 100 5; market m sell 1; close")
    assert (len(book.orders), len(book.ended), book.closed) == (0, 0, True)


def test_the_default_config_takes_any_positive_int64():
    assert book_of({}).config == Config(1, 1, 2**63 - 1, 1, 2**63 - 1)
    book = book_after(f"buy b {2**63 - 1} {2**63 - 1}")
    assert book.depth(Side.BUY, 1) == [(2**63 - 1, 2**63 - 1)]


def test_the_same_time_again_is_nothing_to_record():
    book = book_after("clock 5")
    assert (decide(book, Clock(5)), decide(book, Clock(4)), decide(book, Clock(6))) == ([], [], [ClockSet(6)])


def test_a_loaded_book_knows_who_lost_priority_and_who_came_first():
    book = book_after("buy b1 100 5; buy b2 100 5; replace b1 100 6 @B")
    loaded = load(book.config, dump(book))
    assert [order.id for order in loaded.bids.orders()] == ["b2", "b1"]
    assert list(loaded.orders) == ["b1", "b2"]
