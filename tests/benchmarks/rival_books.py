"""Runs a stream of operations through another order book of PyPI, with the interpreter and in the environment that has it.

    python rival_books.py BOOK STREAM TRADES PASSES

STREAM and TRADES are int64 of the machine's own order. An operation is (0 order or 1 cancel, id, side: 0 buys, price, quantity,
account), a trade (resting id, arriving id, price, quantity). Printed: processor seconds of the best pass.

Each book is given what it takes ready made, op by op, as Python has to give it; reading the stream and telling its trades in our
ids is not timed. Ids in the stream are 0, 1, 2, ... in the order of arrival.
"""

import gc
import logging
import sys
import time
from array import array
from pathlib import Path

Rows = list  # of lists of six numbers: this file imports nothing that an environment may not have


def bourse(rows):
    """Its ids are 0, 1, 2, ... too. At one time it keeps one order of a price only: every order has a time of its own."""
    from bourse.core import OrderBook

    book = OrderBook(0, 1, True)  # noqa: FBT003  the book's own interface
    set_time, place_order, cancel_order = book.set_time, book.place_order, book.cancel_order
    gc.freeze()
    start = time.process_time()
    for kind, name, side, price, qty, acct in rows:
        if kind:
            cancel_order(name)
        else:
            set_time(name)
            place_order(not side, qty, acct, price=price)
    trades = book.get_trades()
    seconds = time.process_time() - start
    return seconds, [(resting, arriving, price, qty) for _, _, price, qty, arriving, resting in trades]


def pyorderbook(rows):
    """It gives ids of its own, and no accounts."""
    from pyorderbook.book import Book
    from pyorderbook.order import Order, Side

    logging.disable(logging.CRITICAL)  # it writes a line for each cancel of an order that has been filled
    orders = {row[1]: Order(Side.ASK if row[2] else Side.BID, "", row[3], row[4]) for row in rows if not row[0]}
    asked = [(row[0], orders[row[1]]) for row in rows]
    book, found = Book(), []
    gc.freeze()
    start = time.process_time()
    for is_cancel, order in asked:
        if is_cancel:
            try:
                book.cancel(order)
            except KeyError:
                continue  # it has been filled
        else:
            found += book.match(order).trades
    seconds = time.process_time() - start
    names = {order.id: name for name, order in orders.items()}
    return seconds, [
        (names[trade.standing_order_id], names[trade.incoming_order_id], int(trade.fill_price), trade.fill_quantity)
        for trade in found
    ]


def matching_engine(rows):
    """It has accounts, and is asked to let them trade with themselves, as our stream is."""
    from matching_engine import CancelOrder, NewOrder, SelfTradePrevention, SequencedCommand, Side
    from matching_engine.engine import MatchingEngine
    from matching_engine.events import Trade

    sides, free = (Side.BUY, Side.SELL), SelfTradePrevention.NONE
    asked = []
    for kind, name, side, price, qty, acct in rows:
        command = CancelOrder(name, acct) if kind else NewOrder(name, acct, sides[side], price, qty, stp=free)
        asked.append(SequencedCommand(len(asked) + 1, 0, command))
    engine, found = MatchingEngine(), []
    gc.freeze()
    start = time.process_time()
    for command in asked:
        found += engine.process(command)
    seconds = time.process_time() - start
    trades = (event for event in found if type(event) is Trade)
    return seconds, [(trade.maker_order_id, trade.taker_order_id, trade.price, trade.qty) for trade in trades]


BOOKS = {"bourse": bourse, "pyorderbook": pyorderbook, "matching-engine": matching_engine}


def read(path, columns):
    """Rows of numbers."""
    numbers = array("q", Path(path).read_bytes())
    return [numbers[row : row + columns].tolist() for row in range(0, len(numbers), columns)]


def write(path, rows):
    """Rows of numbers."""
    Path(path).write_bytes(array("q", (number for row in rows for number in row)).tobytes())


def main(name, stream, trades, passes):
    """As the module says."""
    rows = read(stream, 6)
    best, found = float("inf"), []
    for _ in range(int(passes)):
        seconds, found = BOOKS[name](rows)
        best = min(best, seconds)
    write(trades, found)
    print(best)


if __name__ == "__main__":
    main(*sys.argv[1:])
