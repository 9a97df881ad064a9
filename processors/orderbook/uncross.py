"""The call auction's one price, and who trades at it (spec/orderbook.md, "Call auction")."""

from collections.abc import Iterator
from typing import NamedTuple

from processors.orderbook.book import Book
from processors.orderbook.events import Crossed


class _Band(NamedTuple):
    """Prices on the grid, from `low` to `high`, at which the same orders would trade."""

    low: int
    high: int
    demand: int
    supply: int

    @property
    def volume(self) -> int:
        return min(self.demand, self.supply)

    @property
    def surplus(self) -> int:
        return self.demand - self.supply


def clearing_price(book: Book) -> int | None:
    """The price of the uncross; None if nothing crosses.

    Most volume; then least surplus; then, all tied prices under buy pressure, the highest, under sell pressure the lowest; else
    the reference price clamped into the tied range, with no reference its midpoint, floored to the tick. Every price on the grid
    counts, also where no order stands. Tied prices are one range without a gap: volume rises and then falls with the price, and
    the surplus only falls.
    """
    lowest, highest = book.best_ask, book.best_bid
    if lowest is None or highest is None or highest < lowest:
        return None
    bands = list(_bands(book, lowest, highest))
    most = max(band.volume for band in bands)
    least = min(abs(band.surplus) for band in bands if band.volume == most)
    tied = [band for band in bands if band.volume == most and abs(band.surplus) == least]
    low, high = tied[0].low, tied[-1].high
    if tied[-1].surplus > 0:
        return high
    if tied[0].surplus < 0:
        return low
    wanted = (low + high) // 2 if book.ref is None else book.ref
    return min(max(wanted - wanted % book.config.tick, low), high)


def trades_at(book: Book, price: int) -> Iterator[Crossed]:
    """Trades at the clearing price: on each side the best price first, then the oldest order, until one side has no more."""
    buys, sells = book.bids.orders(price), book.asks.orders(price)
    buy, sell = next(buys, None), next(sells, None)
    buy_left, sell_left = buy.open if buy else 0, sell.open if sell else 0
    while buy and sell:
        qty = min(buy_left, sell_left)
        yield Crossed(buy.id, sell.id, price, qty)
        buy_left -= qty
        sell_left -= qty
        if not buy_left:
            buy = next(buys, None)
            buy_left = buy.open if buy else 0
        if not sell_left:
            sell = next(sells, None)
            sell_left = sell.open if sell else 0


def _bands(book: Book, lowest: int, highest: int) -> Iterator[_Band]:
    """Bands from the lowest to the highest price at which anything trades, ascending.

    Going up, an ask's supply joins at its price, and a bid's demand is gone one tick above its own.
    """
    tick = book.config.tick
    starts = {level.price for level in book.asks.levels(highest)}
    starts.update(level.price + tick for level in book.bids.levels(lowest) if level.price < highest)
    ascending = sorted(starts)
    demand, supply = sum(level.open for level in book.bids.levels(lowest)), 0
    for low, above in zip(ascending, [*ascending[1:], highest + tick], strict=True):
        supply += book.asks.open_at(low)
        if low != lowest:
            demand -= book.bids.open_at(low - tick)
        yield _Band(low, above - tick, demand, supply)
