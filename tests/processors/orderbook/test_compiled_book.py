"""The compiled book against the readable one: the same operations give the same events in the same order, in any batches."""

import random

import numpy as np
import pytest
from book_world import BOOKS, OPS, Crowd, book_of, do, operation
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.orderbook import BrokenBookError, Cancel, Clock, Close, Config, New, Reduce, Replace, ToAuction, Uncross, Withdraw
from schemas.trading import Phase, Side

pytest.importorskip("numba", reason="the compiled book needs numba: extra `fast`")

from processors.orderbook.compiled import CompiledBook, NamedBook

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1


def compiled_of(config):
    book = book_of(config)
    return NamedBook(book.config, book.phase, book.ref)


def resting(book):
    return {side: [(order.id, order.price, order.open) for order in book.side(side).orders()] for side in Side}


def compiled_resting(book):
    return {side: book.resting(side) for side in Side}


def compare(config, ops, batches):
    """Both engines, the compiled one in batches of these sizes, over and over."""
    readable, compiled = book_of(config), compiled_of(config)
    first, number = 0, 0
    while first < len(ops):
        batch = ops[first : first + batches[number % len(batches)]]
        expected = [event for op in batch for event in do(readable, op)]
        assert compiled.run(batch) == expected
        assert compiled_resting(compiled) == resting(readable)
        first, number = first + len(batch), number + 1
    return readable


# Differences


@settings(max_examples=400)
@given(
    config=BOOKS,
    ops=OPS,
    end=st.sampled_from([[], [], [{"op": "uncross"}], [{"op": "close"}]]),
    more=OPS.map(lambda ops: ops[:3]),
    batches=st.lists(st.integers(1, 20), min_size=1, max_size=3),
)
def test_it_tells_what_the_readable_book_tells(config, ops, end, more, batches):
    compare(config, [operation(op) for op in [*ops, *end, *more]], batches)


@pytest.mark.parametrize("seed", range(8))
def test_it_tells_what_the_readable_book_tells_in_a_crowd(seed):
    """Thousands of operations, dozens of orders at a price, all features at once, and at last the close."""
    rng = random.Random(seed)
    config = {"ref": 100} if seed % 2 else {}
    book, crowd = book_of(config), Crowd(rng, spread=2 + 5 * seed, closes=seed == 7)
    ops = []
    for _ in range(6000):
        ops.append(operation(crowd.next(book)))
        do(book, ops[-1])
    kinds = {type(op) for op in ops}
    assert kinds >= {New, Cancel, Reduce, Replace, Clock, ToAuction, Uncross, Withdraw}
    compare(config, [*ops, Close(), ops[0]], [rng.randint(1, 2000), 1, 7])


@pytest.mark.parametrize("sizes", [(1, 2, 3, 4), (2**62 - 1, 2**62, 2**62 + 1, INT64_MAX, 1)], ids=["small", "beyond int64 in sum"])
def test_it_finds_the_same_price_in_auctions(sizes):
    """What decides is rare in a book at random: many small books, on few prices."""
    rng = random.Random(20_261_122)
    for _ in range(1500):
        tick = rng.choice((1, 1, 2))
        orders = [
            New(f"o{n}", "A", rng.choice(list(Side)), tick * rng.randint(1, 6), rng.choice(sizes)) for n in range(rng.randint(2, 9))
        ]
        compare({"phase": "auction", "tick": tick, "ref": rng.choice((None, 2, 5))}, [*orders, Uncross()], [10])


# At the ends of int64

ENDS = st.one_of(
    st.sampled_from([INT64_MIN, INT64_MIN + 1, -1, 0, 1, 2**62, INT64_MAX - 1, INT64_MAX]), st.integers(INT64_MIN, INT64_MAX)
)
BEYOND = st.one_of(ENDS, st.sampled_from([INT64_MIN - 1, INT64_MAX + 1, 2**70, -(2**70)]))
AMOUNTS = st.one_of(st.sampled_from([1, 2, 2**62, INT64_MAX - 1, INT64_MAX, 2**63, 2**64]), st.integers(1, INT64_MAX))
END_NEWS = st.builds(
    New,
    st.uuids(version=4).map(str),
    st.sampled_from(["A", "B"]),
    st.sampled_from(Side),
    BEYOND,
    AMOUNTS,
    stp=st.sampled_from(["none", "decrement", "cancel_maker"]),
    tif=st.sampled_from(["GTC", "GTC", "FOK", "GTD"]),
    expire=ENDS,
)
END_OPS = st.one_of(
    END_NEWS,
    END_NEWS,
    END_NEWS.map(lambda op: op._replace(id="0")),
    st.builds(Reduce, st.just("0"), st.sampled_from(["A", "B"]), AMOUNTS),
    st.builds(Replace, st.just("0"), st.sampled_from(["A", "B"]), BEYOND, AMOUNTS),
    st.builds(Clock, ENDS),
    st.sampled_from([ToAuction(), Uncross(), Uncross()]),
)
END_BOOKS = st.fixed_dictionaries(
    {
        "pmin": st.just(INT64_MIN),
        "tick": st.sampled_from([1, 1, 3, 2**62, INT64_MAX]),
        "lot": st.sampled_from([1, 1, 2, 3]),
        "phase": st.sampled_from(Phase),
        "ref": st.one_of(st.none(), ENDS),
    }
)


@settings(max_examples=300)
@given(config=END_BOOKS, ops=st.lists(END_OPS, min_size=5, max_size=40))
def test_no_price_quantity_or_sum_of_them_wraps_around(config, ops):
    compare(config, ops, [40])


def test_what_leaves_int64_in_sum_decides_an_auction():
    """Demand of 2^65 less 4 against a supply that is one token short of it, one more than it, or the same."""
    for supply, price in ((2**65 - 5, 100), (2**65 - 3, 90), (2**65 - 4, 95)):
        ops = [New(f"b{n}", "B", Side.BUY, 100, INT64_MAX) for n in range(4)]
        rest = supply - 4 * INT64_MAX
        sizes = [INT64_MAX] * (4 if rest >= 0 else 3) + ([rest] if rest > 0 else [INT64_MAX + rest] if rest < 0 else [])
        ops += [New(f"s{n}", "S", Side.SELL, 90, size) for n, size in enumerate(sizes)]
        assert compare({"phase": "auction"}, [*ops, Uncross()], [100]).ref == price


# Room


def test_rows_for_orders_levels_and_ids_become_more_within_a_batch():
    ops = [New(f"o{n}", "A", Side.BUY, 1 + n * 7919 % 5003, 1) for n in range(5000)]
    ops += [Cancel(f"o{n}", "A") for n in range(0, 5000, 3)]
    ops += [New(f"p{n}", "A", Side.SELL, 10_000 + n * 31 % 97, 1, tif="GTD", expire=n * 17 % 1000) for n in range(5000)]
    compare({}, [*ops, Clock(500)], [20_000])


@pytest.mark.parametrize(
    "last",
    [
        New("t", "T", Side.BUY, 100, 9999),
        New("t", "S", Side.BUY, 100, 9999, stp="cancel_maker"),
        New("t", "S", Side.BUY, 100, 9999, stp="decrement"),
        New("t", "T", Side.BUY, None, 9999, type="market"),
        Replace("b", "T", 100, 9999),
        Clock(7),
        Close(),
    ],
)
def test_one_operation_may_have_any_number_of_events(last):
    """More than there are rows for: they become more, and what was done is not done again."""
    makers = [New(f"s{n}", "S", Side.SELL, 90 + n % 10, 1, tif="GTD", expire=5) for n in range(3000)]
    compare({}, [*makers, New("b", "T", Side.BUY, 1, 1), last, Cancel("t", "T")], [3001, 1])


def test_an_uncross_may_have_any_number_of_events():
    orders = [New(f"{side}{n}", side, side, 100, 1 + n % 3) for side in Side for n in range(2000)]
    compare({"phase": "auction"}, [*orders, Uncross()], [4000, 1])


def test_events_tell_of_which_operation_they_are():
    """Across the parts that a large batch is carried out in, too."""
    book = CompiledBook()
    ops = np.zeros((2**20 + 5, 8), np.int64)
    ops[:, 0] = 1  # cancels of an order that is unknown
    events = book.run(ops)
    assert events[:, 0].tolist() == list(range(len(ops)))


# What is refused at the door


def test_times_beyond_int64_are_told_before_anything_is_done():
    book = NamedBook()
    with pytest.raises(OverflowError, match="time 9223372036854775808"):
        book.run([New("a", "A", Side.BUY, 1, 1), Clock(2**63)])
    assert book.resting(Side.BUY) == []
    with pytest.raises(OverflowError, match="time"):
        book.run([New("a", "A", Side.BUY, 1, 1, tif="GTD", expire=-(2**63) - 1)])


@pytest.mark.parametrize(("config", "ref"), [(Config(pmax=2**63), None), (Config(), -(2**63) - 1)])
def test_a_book_beyond_int64_is_told(config, ref):
    with pytest.raises(OverflowError):
        NamedBook(config, ref=ref)


@pytest.mark.parametrize(
    "withdrawn", [Withdraw("a", 6, "x"), Withdraw("a", 0, "x"), Withdraw("b", 1, "x"), Withdraw("a", 2**64, "x")]
)
def test_a_withdrawal_of_what_is_not_open_is_a_fault(withdrawn):
    book = NamedBook()
    with pytest.raises(BrokenBookError, match="operation 1:"):
        book.run([New("a", "A", Side.BUY, 1, 5), withdrawn])
    assert book.resting(Side.BUY) == [("a", 1, 5)]


@pytest.mark.parametrize(
    "ops",
    [
        np.zeros((1, 7), np.int64),
        np.zeros(8, np.int64),
        np.zeros((1, 8), np.int32),
        np.full((1, 8), -1),
        np.full((1, 8), 9),
        np.array([[0, -1, 0, 0, 0, 0, 0, 0]]),
    ],
)
def test_what_is_no_operation_never_reaches_compiled_code(ops):
    with pytest.raises(ValueError, match="operation"):
        CompiledBook().run(ops)


def test_operations_may_be_a_view_and_read_only():
    ops = np.zeros((4, 16), np.int64)[::2, ::2]
    ops[:, 1] = [0, 1]
    ops.flags.writeable = False
    assert CompiledBook().run(ops)[:, 1].tolist() == [1, 1]
    assert CompiledBook().run(np.zeros((0, 8), np.int64)).shape == (0, 6)
