"""Columns of records about many tenants: a list with a value for each row of the ClickHouse table."""

from typing import Annotated

from schemas.published import TierName
from schemas.units import Millionths, Money, Number, PerRow, TenantId, TokenSum, Unit

PerTenant = Annotated[list[TenantId], PerRow()]
TokenColumn = Annotated[list[TokenSum], PerRow()]
NumberColumn = Annotated[list[Number], PerRow()]
NumberOrNoneColumn = Annotated[list[Number | None], PerRow()]
MoneyColumn = Annotated[list[Money], PerRow()]
MoneyOrNoneColumn = Annotated[list[Money | None], PerRow()]
MillionthsColumn = Annotated[list[Millionths], PerRow()]
TierColumn = Annotated[list[TierName], PerRow()]

Rate = Annotated[Number, Unit("tokens per second")]
Blocks = Annotated[Number, Unit("KV-cache blocks")]
Requests = Annotated[Number, Unit("requests in flight")]
RateColumn = Annotated[list[Rate], PerRow()]
RateOrNoneColumn = Annotated[list[Rate | None], PerRow()]
BlocksColumn = Annotated[list[Blocks], PerRow()]
BlocksOrNoneColumn = Annotated[list[Blocks | None], PerRow()]
RequestsColumn = Annotated[list[Requests], PerRow()]
RequestsOrNoneColumn = Annotated[list[Requests | None], PerRow()]
