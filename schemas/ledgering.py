"""The words of the ledger's postings (processors/ledger.py judges and records them)."""

from enum import StrEnum
from typing import Annotated

from schemas.units import Store, Unit

MONEY = -1
"""The asset of money, in nanocredits. Any other asset is a delivery period: its tokens."""


class Entry(StrEnum):
    """What a posting does."""

    POST = "post"
    """The amount goes from debit to credit at once."""
    HOLD = "hold"
    """The amount is set aside on the debit account."""
    CAPTURE = "capture"
    """Part of a hold goes from debit to credit."""
    VOID = "void"
    """Part of a hold is free again."""


class Code(StrEnum):
    """What a posting is for."""

    ALLOCATION = "allocation"
    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    ORDER = "order"
    TRADE = "trade"
    FEE = "fee"
    TRANSFER = "transfer"
    GRANT = "grant"
    DELIVERY = "delivery"
    REFUND = "refund"
    RETURN = "return"
    """Tokens of a period back to their issuer: used, or their period is over."""


Asset = Annotated[
    int, Unit("-1: nanocredits; else the delivery period whose tokens these are"), Store("Int64", "DoubleDelta, ZSTD(1)")
]
EntryName = Annotated[Entry, Unit("what the posting does"), Store("LowCardinality(String)")]
CodeName = Annotated[Code, Unit("what the posting is for"), Store("LowCardinality(String)")]
