"""Levels of prices, best first on each side: a skip list through their rows, and the orders of each in a chain.

A skip list (W. Pugh, 1990) is O(log levels) whatever the prices are and wherever they come, and its best level is one step away.
Heights come from the book's own random numbers: the same operations give the same arrays.
"""

from processors.orderbook.compiled.jit import inlined, jit
from processors.orderbook.compiled.layout import (
    AHEAD,
    BEHIND,
    DICE,
    FREE_LEVEL,
    HEAD,
    HEIGHT,
    KEY,
    LEVEL,
    LEVEL_COLUMNS,
    NEXT,
    NONE,
    PATH,
    PRICE,
    SIDE,
    TAIL,
    TALLEST,
    USED_LEVELS,
)
from processors.orderbook.compiled.memory import Book


@inlined
def key_of(side: int, price: int) -> int:
    """Ascends from the best price of a side to the worst: a price or its complement, which any int64 has. Its own inverse."""
    return price ^ (side - 1)


@inlined
def best(book: Book, side: int) -> int:
    """The first level of a side, or NONE."""
    return book.levels[side * LEVEL_COLUMNS + NEXT]


@inlined
def crosses(book: Book, side: int, reach: int) -> bool:
    """Whether this side has a level up to this key."""
    level = best(book, side)
    return level != NONE and book.levels[level + KEY] <= reach


@jit
def join(book: Book, slot: int) -> None:
    """An order takes its place behind the others of its price."""
    orders, levels = book.orders, book.levels
    level = _level(book, orders[slot + SIDE], orders[slot + PRICE])
    last = levels[level + TAIL]
    orders[slot + LEVEL] = level
    orders[slot + AHEAD] = last
    orders[slot + BEHIND] = NONE
    if last == NONE:
        levels[level + HEAD] = slot
    else:
        orders[last + BEHIND] = slot
    levels[level + TAIL] = slot


@jit
def leave(book: Book, slot: int) -> None:
    """An order leaves its level, wherever it stands; the level its side, if it was the last."""
    orders, levels = book.orders, book.levels
    level, ahead, behind = orders[slot + LEVEL], orders[slot + AHEAD], orders[slot + BEHIND]
    orders[slot + LEVEL] = NONE
    if ahead == NONE:
        levels[level + HEAD] = behind
    else:
        orders[ahead + BEHIND] = behind
    if behind == NONE:
        levels[level + TAIL] = ahead
    else:
        orders[behind + AHEAD] = ahead
    if levels[level + HEAD] == NONE:
        _remove(book, orders[slot + SIDE], level)


@jit
def _level(book: Book, side: int, price: int) -> int:
    key = key_of(side, price)
    found = _find(book, side, key)
    if found != NONE and book.levels[found + KEY] == key:
        return found
    return _insert(book, key)


@jit
def _find(book: Book, side: int, key: int) -> int:
    """The first level with this key or a greater one. PATH is left with the last one before it of each height."""
    levels, numbers = book.levels, book.numbers
    node, after = side * LEVEL_COLUMNS, NONE
    for height in range(NEXT + TALLEST - 1, NEXT - 1, -1):
        after = levels[node + height]
        while after != NONE and levels[after + KEY] < key:
            node = after
            after = levels[node + height]
        numbers[PATH + height - NEXT] = node
    return after


@jit
def _insert(book: Book, key: int) -> int:
    """A level behind those that the search came by."""
    levels, numbers = book.levels, book.numbers
    level = _free_row(book)
    levels[level + KEY] = key
    levels[level + HEAD] = NONE
    levels[level + TAIL] = NONE
    height = _height(book)
    levels[level + HEIGHT] = height
    for up in range(height):
        before = numbers[PATH + up]
        levels[level + NEXT + up] = levels[before + NEXT + up]
        levels[before + NEXT + up] = level
    return level


@jit
def _remove(book: Book, side: int, level: int) -> None:
    levels, numbers = book.levels, book.numbers
    _find(book, side, levels[level + KEY])
    for up in range(levels[level + HEIGHT]):
        levels[numbers[PATH + up] + NEXT + up] = levels[level + NEXT + up]
    levels[level + HEAD] = numbers[FREE_LEVEL]
    numbers[FREE_LEVEL] = level


@jit
def _free_row(book: Book) -> int:
    numbers = book.numbers
    level = numbers[FREE_LEVEL]
    if level != NONE:
        numbers[FREE_LEVEL] = book.levels[level + HEAD]
        return level
    level = numbers[USED_LEVELS]
    numbers[USED_LEVELS] = level + LEVEL_COLUMNS
    return level


@jit
def _height(book: Book) -> int:
    """1, and one more with probability 1/4 as often as it comes. Random numbers: xorshift64 (G. Marsaglia, 2003)."""
    dice = book.numbers[DICE]
    dice ^= dice << 13
    dice ^= (dice >> 7) & 0x01FFFFFFFFFFFFFF  # a shift that brings in zeros, of a signed number
    dice ^= dice << 17
    book.numbers[DICE] = dice
    height, bits = 1, (dice >> 8) & 0xFFFFFFFFFF
    while height < TALLEST and bits & 3 == 0:
        height += 1
        bits >>= 2
    return height
