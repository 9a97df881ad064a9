"""The order book compiled (numba, extra `fast`): the rules of ../matching.py on arrays, for whoever has many operations at once.

The readable engine is its oracle: the same operations give the same events in the same order, and tests hold both to that. Where
one operation at a time is judged, with money and tokens to be held in between (processors/market), the readable engine is used.
"""

from processors.orderbook.compiled.book import CompiledBook
from processors.orderbook.compiled.named import OUTCOMES, NamedBook

__all__ = ["OUTCOMES", "CompiledBook", "NamedBook"]
