"""Cases in, answers out, as JSON lines (spec: orderbook, "The door").

What a case must be for an answer: JSON, operations and words that exist, every field of its type. A number that is no quantity or
no price (zero, a fraction, true, too large), a limit order without a price and an unknown time in force are answered by the book,
with a reject. `null` is the same as leaving a field out that may be left out.
"""

import json
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from processors.cases import first_fault
from processors.orderbook.book import INT64_MAX, Config
from processors.orderbook.engines import Engine, Opening, carry_out
from processors.orderbook.events import Cancelled, Crossed, Filled, Rejected
from processors.orderbook.operations import Cancel, Clock, Close, New, Op, Reduce, Replace, ToAuction, Uncross
from schemas.trading import OrderType, Phase, SelfTrade, Side, TimeInForce


def _number(value: object) -> object:
    if not isinstance(value, int | float):
        raise PydanticCustomError("not_a_number", "must be an integer")
    return value


_Name = Annotated[str, Field(min_length=1)]
_Number = Annotated[Any, AfterValidator(_number)]
_Step = Annotated[int, Field(ge=1, le=INT64_MAX)]
_Bound = Annotated[int, Field(ge=-INT64_MAX - 1, le=INT64_MAX)]


class _Strict(BaseModel):
    """An unknown field is refused: a misspelt `post_only` would otherwise trade."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class NewCase(_Strict):
    """An order."""

    op: Literal["new"]
    id: _Name
    acct: _Name
    side: Side
    price: _Number | None = None
    qty: _Number
    type: OrderType | None = None
    tif: str | None = None
    post_only: bool | None = None
    stp: SelfTrade | None = None
    expire: int | None = None

    def asked(self) -> Op:
        """As the book is asked."""
        tif = cast("TimeInForce | None", self.tif)
        kind, stp = self.type or OrderType.LIMIT, self.stp or SelfTrade.NONE
        return New(self.id, self.acct, self.side, self.price, self.qty, kind, tif, bool(self.post_only), stp, self.expire)


class CancelCase(_Strict):
    """A cancel."""

    op: Literal["cancel"]
    id: _Name
    acct: _Name

    def asked(self) -> Op:
        """As the book is asked."""
        return Cancel(self.id, self.acct)


class ReduceCase(_Strict):
    """A reduction."""

    op: Literal["reduce"]
    id: _Name
    acct: _Name
    by: _Number

    def asked(self) -> Op:
        """As the book is asked."""
        return Reduce(self.id, self.acct, self.by)


class ReplaceCase(_Strict):
    """A replacement."""

    op: Literal["replace"]
    id: _Name
    acct: _Name
    price: _Number
    qty: _Number

    def asked(self) -> Op:
        """As the book is asked."""
        return Replace(self.id, self.acct, self.price, self.qty)


class ClockCase(_Strict):
    """The time."""

    op: Literal["clock"]
    t: int

    def asked(self) -> Op:
        """As the book is asked."""
        return Clock(self.t)


class PhaseCase(_Strict):
    """What concerns the whole book."""

    op: Literal["to_auction", "uncross", "close"]

    def asked(self) -> Op:
        """As the book is asked."""
        return _PHASE_OPS[self.op]


_PHASE_OPS: dict[str, Op] = {"to_auction": ToAuction(), "uncross": Uncross(), "close": Close()}


class ConfigCase(_Strict):
    """What the book takes, and how it begins."""

    tick: _Step | None = None
    lot: _Step | None = None
    max_qty: _Step | None = None
    pmin: _Bound | None = None
    pmax: _Bound | None = None
    ref: _Bound | None = None
    phase: Phase | None = None

    def opening(self) -> Opening:
        """How the book begins."""
        given = self.model_dump(exclude={"ref", "phase"}, exclude_none=True)
        return Opening(Config(**given), self.phase or Phase.CONTINUOUS, self.ref)


_OpCase = NewCase | CancelCase | ReduceCase | ReplaceCase | ClockCase | PhaseCase
_OPS = ("new", "cancel", "reduce", "replace", "clock", "to_auction", "uncross", "close")


class Case(BaseModel):
    """A book and what it is asked. Fields that are not ours (a case's name, a comment) are passed over."""

    model_config = ConfigDict(strict=True, frozen=True)

    config: ConfigCase | None = None
    ops: list[Annotated[_OpCase, Field(discriminator="op")]]


def answer_line(line: bytes, engine: Engine = Engine.AUTO) -> str:
    """The answer to one JSON line, as one JSON line: what happened and the book, or `{"error": "field: what is wrong"}`."""
    try:
        case = Case.model_validate_json(line)
    except ValidationError as error:
        field, reason = first_fault(error, tags=_OPS)
        return json.dumps({"error": f"{field}: {reason}"})
    return json.dumps(answer(case, engine))


def answer(case: Case, engine: Engine = Engine.AUTO) -> dict[str, Any]:
    """Trades, rejects and cancels in the order in which they happened, and what rests in the end, in priority order."""
    opening = (case.config or ConfigCase()).opening()
    told, bids, asks = carry_out(opening, [op.asked() for op in case.ops], engine)
    return {
        "trades": [event._asdict() for event in told if isinstance(event, Filled | Crossed)],
        "book": {"bids": [list(order) for order in bids], "asks": [list(order) for order in asks]},
        "rejects": [[event.id, event.reason] for event in told if isinstance(event, Rejected)],
        "cancels": [list(event) for event in told if isinstance(event, Cancelled)],
    }
