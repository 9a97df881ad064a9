"""The order book of one instrument (spec/orderbook.md): price-time priority, continuous trading and call auctions.

`decide` judges an operation and changes nothing; `apply` records its events, so that a book is the fold of its events.
A figure for both together, on one core: tests/benchmarks/bench_orderbook.py.
"""

from processors.orderbook.book import Book, BrokenBookError, Config
from processors.orderbook.dumping import BookDump, OrderRow, dump, dump_orders, load
from processors.orderbook.events import (
    Accepted,
    BookEvent,
    Cancelled,
    ClockSet,
    Closed,
    Crossed,
    Filled,
    PhaseSet,
    Reduced,
    Rejected,
    Replaced,
    Rested,
)
from processors.orderbook.levels import Order
from processors.orderbook.matching import decide, quote
from processors.orderbook.operations import Cancel, Clock, Close, New, Op, Reduce, Replace, ToAuction, Uncross, Withdraw
from processors.orderbook.recording import apply

__all__ = [
    "Accepted",
    "Book",
    "BookDump",
    "BookEvent",
    "BrokenBookError",
    "Cancel",
    "Cancelled",
    "Clock",
    "ClockSet",
    "Close",
    "Closed",
    "Config",
    "Crossed",
    "Filled",
    "New",
    "Op",
    "Order",
    "OrderRow",
    "PhaseSet",
    "Reduce",
    "Reduced",
    "Rejected",
    "Replace",
    "Replaced",
    "Rested",
    "ToAuction",
    "Uncross",
    "Withdraw",
    "apply",
    "decide",
    "dump",
    "dump_orders",
    "load",
    "quote",
]
