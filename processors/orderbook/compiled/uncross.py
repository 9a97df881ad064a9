"""The call auction's one price and its trades; the rules: ../uncross.py."""

from processors.orderbook.compiled.jit import jit
from processors.orderbook.compiled.layout import (
    BEHIND,
    BETTER,
    BUY,
    CROSSED,
    FILLED,
    HAS_REF,
    HEAD,
    ID,
    KEY,
    NEXT,
    NONE,
    OPEN,
    REF,
    SELL,
    TICK,
)
from processors.orderbook.compiled.levels import best, crosses, key_of
from processors.orderbook.compiled.memory import Book
from processors.orderbook.compiled.orders import shrink, tell
from processors.orderbook.compiled.wide import Wide, minus, plus, wide


@jit
def anything_crosses(book: Book) -> bool:
    """Whether a bid pays what an ask takes."""
    bid = best(book, BUY)
    return bid != NONE and crosses(book, SELL, key_of(BUY, book.levels[bid + KEY]))


@jit
def clearing_price(book: Book) -> int:
    """The price of the uncross of a book in which something crosses."""
    low, high, pressure = _tied(book)
    if pressure > 0:
        return high
    if pressure < 0:
        return low
    numbers = book.numbers
    # Halves first: the sum, as the difference, of two int64 may be none. To clamp before flooring comes to the same, and cannot
    # leave int64 either: low and high are on the grid.
    middle = (low >> 1) + (high >> 1) + (low & high & 1)
    wanted = min(max(numbers[REF] if numbers[HAS_REF] else middle, low), high)
    return wanted - wanted % numbers[TICK]


@jit
def trade_at(book: Book, price: int) -> None:
    """On each side the best price first, then the oldest order, until one side has no more at this price."""
    orders, levels = book.orders, book.levels
    while crosses(book, BUY, key_of(BUY, price)) and crosses(book, SELL, price):
        buy, sell = levels[best(book, BUY) + HEAD], levels[best(book, SELL) + HEAD]
        both = min(orders[buy + OPEN], orders[sell + OPEN])
        tell(book, CROSSED, orders[buy + ID], orders[sell + ID], price, both)
        orders[buy + FILLED] += both
        orders[sell + FILLED] += both
        shrink(book, buy, both)
        shrink(book, sell, both)


@jit
def _tied(book: Book) -> tuple[int, int, int]:
    """The lowest and the highest price of the most volume and then the least surplus, and the pressure that all of them are under.

    Going up from the lowest ask, in steps between which nothing changes: an ask's supply joins at its price, and a bid's demand is
    gone one tick above its own. The pressure is 1 if there is a surplus of demand at the highest tied price, which then is one at
    all of them, -1 if there is one of supply at the lowest, else 0.
    """
    tick = book.numbers[TICK]
    highest = key_of(BUY, book.levels[best(book, BUY) + KEY])
    ask = best(book, SELL)
    bid, demand = _bids_from_below(book)
    supply = wide(0)
    start = book.levels[ask + KEY]
    low, high, first, last = start, start, 0, 0
    most, least = wide(0), wide(0)
    while True:
        if ask != NONE and book.levels[ask + KEY] == start:
            supply = plus(supply, _open(book, ask))
            ask = book.levels[ask + NEXT]
        if bid != NONE and key_of(BUY, book.levels[bid + KEY]) < start:
            demand = minus(demand, _open(book, bid))
            bid = book.levels[bid + BETTER]
        end = _end(book, ask, bid, highest)
        volume, surplus, sign = _offset(demand, supply)
        if volume > most or (volume == most and surplus < least):
            low, first, most, least = start, sign, volume, surplus
        if volume == most and surplus == least:
            high, last = end, sign
        if end == highest:
            break
        start = end + tick
    return low, high, 1 if last > 0 else min(first, 0)


@jit
def _end(book: Book, ask: int, bid: int, highest: int) -> int:
    """The last price before demand or supply changes."""
    end = highest
    if bid != NONE:
        end = min(end, key_of(BUY, book.levels[bid + KEY]))
    if ask != NONE and book.levels[ask + KEY] <= end:
        end = book.levels[ask + KEY] - book.numbers[TICK]
    return end


@jit
def _offset(demand: Wide, supply: Wide) -> tuple[Wide, Wide, int]:
    """What trades, what is left over, and whether that is demand (1), supply (-1) or nothing (0)."""
    if demand == supply:
        return demand, minus(demand, supply), 0
    if demand > supply:
        return supply, minus(demand, supply), 1
    return demand, minus(supply, demand), -1


@jit
def _bids_from_below(book: Book) -> tuple[int, Wide]:
    """The lowest bid that pays what the best ask takes, each level's BETTER set from there up, and what all of them have open."""
    lowest = key_of(BUY, book.levels[best(book, SELL) + KEY])
    better, level, total = NONE, best(book, BUY), wide(0)
    while level != NONE and book.levels[level + KEY] <= lowest:
        total = plus(total, _open(book, level))
        book.levels[level + BETTER] = better
        better, level = level, book.levels[level + NEXT]
    return better, total


@jit
def _open(book: Book, level: int) -> Wide:
    """What all orders of a level have open."""
    total, order = wide(0), book.levels[level + HEAD]
    while order != NONE:
        total = plus(total, wide(book.orders[order + OPEN]))
        order = book.orders[order + BEHIND]
    return total
