"""The base of all facts."""

from typing import Annotated

from schemas.model import Event, Landing, Table
from schemas.units import Number, Offset, Store, Unit

CHUNK_ROWS = 2_000
"""Most rows of one fact. A row of about 20 columns of varints and a name is some 150 bytes: a chunk stays near 300 KB, far
below the broker's limit, and 100,000 tenants are 50 records instead of 100,000.
"""


class Fact(Event):
    """One decision. `pool` is empty where a fact concerns the whole journal partition.

    Known by (journal partition, journal_offset, fact_index): publishing it again changes nothing.
    """

    pool: Annotated[str, Unit("id of the pool; empty for the whole partition"), Store("LowCardinality(String)")]
    journal_offset: Offset
    fact_index: Number


def fact_table(name: str, comment: str, *order_by: str) -> Table:
    """The table of a fact that is about one row, or (columns PerRow) about many."""
    return Table(name=name, comment=comment, order_by=order_by, landing=Landing.FACT)
