"""The workload of the GitHub benchmark flash1-dev/matching-engine-benchmark (MIT), and its canonical report stream.

Written anew after its docs/METHODOLOGY.md; the order in which random numbers are drawn, which the description leaves open, is that
of its generator. Mersenne Twister words become 53-bit uniforms, which is what numpy's `RandomState.random_sample` does too.

A million new orders are priced around a mid that diffuses by the scenario's swing, buys along the first half of its path and sells
along the second, and then shuffled. 15 % are IOC. Of the others 20 % are modified (one more of quantity, for 80 % of them one tick
nearer), 95 % cancelled; 2 % of cancels, and of modifies of cancelled orders, come twice. An order's life is over before the next
begins: lifetimes are drawn, but the wire order does not depend on them.
"""

import hashlib
import math
from collections.abc import Iterator
from itertools import chain, islice

import numpy as np

from processors.orderbook import Book, Cancel, Cancelled, Config, Filled, New, Rejected, Replace, apply, decide
from schemas.trading import Side, TimeInForce

SCENARIOS = {  # annualised volatility, swing of the mid over the run
    "static": (0.0, 0.0),
    "normal": (0.15, 0.02),
    "swing-25": (0.5, 0.25),
    "swing-40": (0.5, 0.4),
    "flash-crash": (0.5, 0.6),
}
PUBLISHED = {  # its reference/correctness_hash.txt: seed 23, a million new orders
    "static": "9803843ee404fc29c9a0aa5614f8f0d5a58b5c44fcac9ef89067886fcaaa30d1",
    "normal": "e9b2e3926854410b01a035aeb25dd05f1e597c233be8263de9eb49b6713d367e",
    "swing-25": "61a84be9469661bd039e00dbc9a7c011e70b6ace37aadfe60045ea083b05f4df",
    "swing-40": "3cb0175e7982ff09ea220d1feaee3844cf9116a5ce455757879dea1d880b9b9f",
    "flash-crash": "cff8d3f94b709fc64a8b2058a6ca4fb6920364904796e46906895e362d2bb16b",
}
ORDERS, SEED = 1_000_000, 23

TICK, START = 0.005, 167.52  # dollars
DEEPEST, ALPHA, HUMP, HUMP_AT = 799, 2.23, 5.0, 8
IOC, MODIFIED, REPRICED, CANCELLED, TWICE = 0.15, 0.20, 0.80, 0.95, 0.02
NEW, CANCEL, MODIFY = range(3)
ACK, TRADE, CANCEL_ACK, MODIFY_ACK, CANCEL_REJECT, MODIFY_REJECT = range(6)

Message = tuple[int, int, bool, int, int, int]
"""Kind, side (0 buys, 1 sells), whether IOC, id, price in ticks, quantity."""


def messages(scenario: str, orders: int = ORDERS, seed: int = SEED) -> Iterator[Message]:
    """The workload in wire order. A message's place in it is its sequence number."""
    random = np.random.RandomState(seed)
    sides, prices, quantities = _placed(scenario, orders, random)
    arrivals = _shuffled(orders, random)
    draws = chain.from_iterable(random.random_sample(65_536).tolist() for _ in iter(int, 1))
    for row in arrivals:
        yield from _life(sides[row], row + 1, prices[row], quantities[row], draws)


def _placed(scenario: str, orders: int, random: np.random.RandomState) -> tuple[list[int], list[int], list[int]]:
    """Sides, prices and quantities of the new orders before they are shuffled. Draws of each: two for the mid, level, quantity."""
    draws = random.random_sample((orders, 4))
    sides = (np.arange(orders) >= orders // 2).astype(int)
    away = np.minimum(np.searchsorted(_depth(), draws[:, 2] * _depth()[-1]), DEEPEST) + 1
    prices = np.maximum(_mids(scenario, draws[:, 0].tolist(), draws[:, 1].tolist()) + np.where(sides == 0, -away, away), 1)
    return sides.tolist(), prices.tolist(), (1 + (draws[:, 3] * 100).astype(int)).tolist()


def _mids(scenario: str, first: list[float], second: list[float]) -> np.ndarray:
    """The mid in ticks as each order is placed: a geometric Brownian motion, its normals by Box and Muller.

    The C library's functions, not numpy's: those differ in the last bit from one processor to another.
    """
    volatility, swing = SCENARIOS[scenario]
    step = volatility * math.sqrt((swing / volatility) ** 2 / len(first)) if volatility else 0.0
    drift, mid, path = -0.5 * step * step, START, []
    for one, two in zip(first, second, strict=True):
        normal = math.sqrt(-2.0 * math.log(max(one, 1e-300))) * math.cos(2.0 * math.pi * two)
        mid *= math.exp(drift + step * normal)
        path.append(mid)
    return np.floor(np.array(path) / TICK + 0.5).astype(int)


def _depth() -> np.ndarray:
    """Cumulative weights of the levels: a power law with a hump some ticks out."""
    weights = [1.0 / math.pow(k + 1.0, ALPHA) + HUMP * math.exp(-0.5 * float(k - HUMP_AT) ** 2) for k in range(DEEPEST + 1)]
    return np.cumsum(weights)


def _shuffled(orders: int, random: np.random.RandomState) -> list[int]:
    rows = list(range(orders))
    for last, draw in zip(range(orders - 1, 0, -1), random.random_sample(orders - 1).tolist(), strict=True):
        other = int(draw * (last + 1))
        rows[last], rows[other] = rows[other], rows[last]
    return rows


def _life(side: int, name: int, price: int, qty: int, draws: Iterator[float]) -> Iterator[Message]:
    """One order's messages. Of every event a draw decides whether it happens, and one more, unused, when."""
    ioc = next(draws) < IOC
    yield NEW, side, ioc, name, price, qty
    if ioc:
        return
    modify: Message | None = None
    if next(draws) < MODIFIED:
        next(draws)
        nearer = next(draws) < REPRICED
        modify = MODIFY, side, False, name, price + nearer * (1 if side == 0 else -1), qty + 1
        yield modify
    if next(draws) >= CANCELLED:
        return
    next(draws)
    yield CANCEL, side, False, name, price, qty
    if next(draws) < TWICE:
        next(draws)
        yield CANCEL, side, False, name, price, qty
    if modify and next(draws) < TWICE:
        next(draws)
        yield modify


class Reporter:
    """Our book, asked with the benchmark's messages, answering with its reports: one line each, in the canonical order."""

    def __init__(self) -> None:
        self.book = Book(Config(pmin=-(2**62)))
        self._ask = (self._new, self._cancel, self._modify)

    def lines(self, flow: Iterator[Message]) -> Iterator[str]:
        """Reports by sequence number, and within one by type: trades stand before a modify's acknowledgement."""
        for sequence, message in enumerate(flow):
            yield from self._ask[message[0]](sequence, message)

    def _new(self, sequence: int, message: Message) -> Iterator[str]:
        _, side, ioc, name, price, qty = message
        yield f"{ACK},{sequence},{side},{name},{price},{qty}"
        tif = TimeInForce.IOC if ioc else TimeInForce.GTC
        for event in self._do(New(str(name), "", Side.SELL if side else Side.BUY, price, qty, tif=tif)):
            if isinstance(event, Filled):
                yield _trade(sequence, event)
            elif isinstance(event, Cancelled):
                yield f"{CANCEL_ACK},{sequence},{side},{name},{price}"

    def _cancel(self, sequence: int, message: Message) -> Iterator[str]:
        _, side, _, name, _, _ = message
        resting = self.book.orders.get(str(name))
        [event] = self._do(Cancel(str(name), ""))
        if resting is None or isinstance(event, Rejected):
            yield f"{CANCEL_REJECT},{sequence},{name}"
        else:
            yield f"{CANCEL_ACK},{sequence},{side},{name},{resting.price}"

    def _modify(self, sequence: int, message: Message) -> Iterator[str]:
        """Its quantity is what is to be open, ours is the total."""
        _, side, _, name, price, qty = message
        resting = self.book.orders.get(str(name))
        events = self._do(Replace(str(name), "", price, qty + (resting.filled if resting else 0)))
        if isinstance(events[0], Rejected):
            yield f"{MODIFY_REJECT},{sequence},{name}"
            return
        yield from (_trade(sequence, event) for event in events if isinstance(event, Filled))
        yield f"{MODIFY_ACK},{sequence},{side},{name},{price},{qty}"

    def _do(self, op):
        events = decide(self.book, op)
        for event in events:
            apply(self.book, event)
        return events


def _trade(sequence: int, fill: Filled) -> str:
    return f"{TRADE},{sequence},{fill.price},{fill.qty},{fill.maker},{fill.taker}"


def digest(lines: Iterator[str]) -> tuple[str, int]:
    """SHA-256 of the lines, joined by newlines without one at the end, and their number."""
    found, count, between = hashlib.sha256(), 0, ""
    while block := list(islice(lines, 10_000)):
        found.update((between + "\n".join(block)).encode())
        count, between = count + len(block), "\n"
    return found.hexdigest(), count
