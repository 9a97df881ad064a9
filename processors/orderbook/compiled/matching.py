"""What an operation does to a book: judged and recorded at once, event by event as ../matching.py gives them."""

from processors.orderbook.compiled.checks import refused_change, refused_new, refused_reduce, refused_replace, rests
from processors.orderbook.compiled.expiry import placed_again
from processors.orderbook.compiled.jit import inlined, jit
from processors.orderbook.compiled.layout import (
    ACCEPTED,
    ACCT,
    AUCTION,
    BEHIND,
    BY_SELF_TRADE,
    BY_UNFILLED,
    BY_USER,
    BY_WITHDRAWAL,
    CANCEL_BOTH,
    CANCEL_MAKER,
    CANCEL_TAKER,
    CANCELLED,
    CONTINUOUS,
    DECREMENT,
    FILLED,
    FILLED_EVENT,
    FINE,
    FOK,
    GTC,
    HEAD,
    ID,
    INT64_MAX,
    KEPT,
    KEY,
    LOST,
    MARKET,
    NEXT,
    NONE,
    NOTHING,
    ONLY_POST,
    OP_ACCT,
    OP_ID,
    OP_PRICE,
    OP_QTY,
    OP_STP,
    OP_STYLE,
    OPEN,
    PHASE,
    PLACE,
    POST_ONLY,
    PRICE,
    REDUCED,
    REFUSED_CROSSES,
    REFUSED_FOK,
    REJECTED,
    REPLACED,
    SELLS,
    SEQUENCE,
    SIDE,
    STP,
    STP_NONE,
    TIF,
)
from processors.orderbook.compiled.levels import best, crosses, key_of, leave
from processors.orderbook.compiled.memory import Book
from processors.orderbook.compiled.orders import admit, cancel, end, rest, shrink, tell


@inlined
def new(book: Book, at: int) -> None:
    """An order."""
    ops = book.ops
    refused = refused_new(book, at)
    if refused == FINE and book.numbers[PHASE] == CONTINUOUS:
        refused = _refused_for_what_it_meets(book, at)
    if refused != FINE:
        tell(book, REJECTED, ops[at + OP_ID], refused, NOTHING, NOTHING)
        return
    tell(book, ACCEPTED, ops[at + OP_ID], NOTHING, NOTHING, NOTHING)
    slot = admit(book, at)
    if book.numbers[PHASE] == AUCTION:
        rest(book, slot)
        return
    _sweep(book, slot, reach_of(book, at))
    _settle(book, slot, ops[at + OP_STYLE])


@inlined
def cancel_by_user(book: Book, at: int) -> None:
    """The owner takes an order back."""
    refused = refused_change(book, at)
    if refused != FINE:
        tell(book, REJECTED, book.ops[at + OP_ID], refused, NOTHING, NOTHING)
        return
    slot = book.slots[book.ops[at + OP_ID]]
    cancel(book, slot, book.orders[slot + OPEN], BY_USER)


@jit
def reduce(book: Book, at: int) -> None:
    """The owner lowers the open part."""
    refused = refused_reduce(book, at)
    if refused != FINE:
        tell(book, REJECTED, book.ops[at + OP_ID], refused, NOTHING, NOTHING)
        return
    slot, by = book.slots[book.ops[at + OP_ID]], book.ops[at + OP_QTY]
    if by >= book.orders[slot + OPEN]:
        cancel(book, slot, book.orders[slot + OPEN], BY_USER)
        return
    tell(book, REDUCED, book.orders[slot + ID], NOTHING, NOTHING, by)
    shrink(book, slot, by)


@jit
def replace(book: Book, at: int) -> None:
    """The owner names another price and total."""
    orders, ops = book.orders, book.ops
    refused = refused_replace(book, at)
    if refused != FINE:
        tell(book, REJECTED, ops[at + OP_ID], refused, NOTHING, NOTHING)
        return
    slot, price, qty = book.slots[ops[at + OP_ID]], ops[at + OP_PRICE], ops[at + OP_QTY]
    less = orders[slot + FILLED] + orders[slot + OPEN] - qty
    if qty <= orders[slot + FILLED]:
        cancel(book, slot, orders[slot + OPEN], BY_USER)
    elif price == orders[slot + PRICE] and less >= 0:
        tell(book, REPLACED, orders[slot + ID], KEPT, price, qty)
        shrink(book, slot, less)
    else:
        _move(book, slot, price, qty)


@jit
def withdraw(book: Book, at: int) -> bool:
    """The engine takes open quantity off an order. False, and nothing is done, if it does not have that."""
    slot, qty = book.slots[book.ops[at + OP_ID]], book.ops[at + OP_QTY]
    if slot < 0 or qty <= 0 or qty > book.orders[slot + OPEN]:
        return False
    cancel(book, slot, qty, BY_WITHDRAWAL)
    return True


@inlined
def reach_of(book: Book, at: int) -> int:
    """The last key on the other side that a new order trades with."""
    style = book.ops[at + OP_STYLE]
    return INT64_MAX if style & MARKET else key_of(other_side(style), book.ops[at + OP_PRICE])


@inlined
def other_side(style: int) -> int:
    """Where what a new order trades with rests."""
    return 1 - (style & SELLS) // SELLS


@jit
def met(book: Book, side: int, reach: int, acct: int, stp: int, qty: int) -> tuple[int, int]:  # noqa: PLR0917  no order yet
    """What a taker would trade, and how many orders it would meet for that. Walks them; changes nothing."""
    orders, levels = book.orders, book.levels
    traded, count, left = 0, 0, qty
    level = best(book, side)
    while left > 0 and level != NONE and levels[level + KEY] <= reach:
        maker = levels[level + HEAD]
        while left > 0 and maker != NONE:
            both = min(left, orders[maker + OPEN])
            if stp == STP_NONE or orders[maker + ACCT] != acct:
                traded += both
                left -= both
            else:
                left -= _off_taker(stp, both, left)
            count += 1
            maker = orders[maker + BEHIND]
        level = levels[level + NEXT]
    return traded, count


@inlined
def _refused_for_what_it_meets(book: Book, at: int) -> int:
    ops = book.ops
    style = ops[at + OP_STYLE]
    side, reach = other_side(style), reach_of(book, at)
    if style & ONLY_POST and crosses(book, side, reach):
        return REFUSED_CROSSES
    if style & TIF == FOK:
        traded, _ = met(book, side, reach, ops[at + OP_ACCT], ops[at + OP_STP], ops[at + OP_QTY])
        if traded < ops[at + OP_QTY]:
            return REFUSED_FOK
    return FINE


@jit
def _move(book: Book, slot: int, price: int, qty: int) -> None:
    """The order loses its priority, and acts as a new one at its price."""
    orders, numbers = book.orders, book.numbers
    reach = key_of(1 - orders[slot + SIDE], price)
    if numbers[PHASE] == CONTINUOUS and orders[slot + POST_ONLY] and crosses(book, 1 - orders[slot + SIDE], reach):
        tell(book, REJECTED, orders[slot + ID], REFUSED_CROSSES, NOTHING, NOTHING)
        return
    tell(book, REPLACED, orders[slot + ID], LOST, price, qty)
    leave(book, slot)
    numbers[SEQUENCE] += 1
    orders[slot + PLACE] = numbers[SEQUENCE]
    orders[slot + PRICE] = price
    orders[slot + OPEN] = qty - orders[slot + FILLED]
    placed_again(book, slot)
    if numbers[PHASE] == CONTINUOUS:
        _sweep(book, slot, reach)
    _settle(book, slot, GTC)


@jit
def _sweep(book: Book, taker: int, reach: int) -> None:
    """The taker meets what rests on the other side, until it has nothing open. Its row stays: `_settle` says what becomes of it."""
    orders, levels = book.orders, book.levels
    side, acct, stp = 1 - orders[taker + SIDE], orders[taker + ACCT], orders[taker + STP]
    while orders[taker + OPEN] > 0 and crosses(book, side, reach):
        maker = levels[best(book, side) + HEAD]
        if stp == STP_NONE or orders[maker + ACCT] != acct:
            _trade(book, maker, taker)
        else:
            _prevent(book, maker, taker, stp)


@inlined
def _trade(book: Book, maker: int, taker: int) -> None:
    orders = book.orders
    both = min(orders[taker + OPEN], orders[maker + OPEN])
    tell(book, FILLED_EVENT, orders[maker + ID], orders[taker + ID], orders[maker + PRICE], both)
    orders[taker + OPEN] -= both
    orders[taker + FILLED] += both
    orders[maker + FILLED] += both
    shrink(book, maker, both)


@jit
def _prevent(book: Book, maker: int, taker: int, stp: int) -> None:
    """Maker and taker are of one account: the taker's mode says what is cancelled of them, the maker's first."""
    orders = book.orders
    both = min(orders[taker + OPEN], orders[maker + OPEN])
    off_taker = _off_taker(stp, both, orders[taker + OPEN])
    if stp == DECREMENT:
        cancel(book, maker, both, BY_SELF_TRADE)
    elif stp in (CANCEL_MAKER, CANCEL_BOTH):
        cancel(book, maker, orders[maker + OPEN], BY_SELF_TRADE)
    if off_taker > 0:
        tell(book, CANCELLED, orders[taker + ID], BY_SELF_TRADE, NOTHING, off_taker)
        orders[taker + OPEN] -= off_taker


@jit
def _off_taker(stp: int, both: int, left: int) -> int:
    """What is cancelled of a taker that meets an order of its own account."""
    if stp == DECREMENT:
        return both
    return left if stp in (CANCEL_TAKER, CANCEL_BOTH) else 0


@jit
def _settle(book: Book, slot: int, style: int) -> None:
    """What a taker has open rests or is cancelled."""
    qty = book.orders[slot + OPEN]
    if qty == 0:
        end(book, slot)
    elif rests(style):
        rest(book, slot)
    else:
        cancel(book, slot, qty, BY_UNFILLED)
