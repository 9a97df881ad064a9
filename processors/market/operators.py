"""What operators do to a market: they book deposits, register keys and call auctions. All of it holds at once."""

from collections.abc import Iterator

from processors.accounts import BANK, tenant_account
from processors.ledger import PostingRow, Status, judge
from processors.market.instruments import phase_facts
from processors.market.outcome import posting_facts
from processors.market.tokens import outcome_of
from processors.orderbook import ToAuction, Uncross, decide
from processors.stamping import Stamp
from processors.state import PartitionState, PoolState, command_key
from schemas.fact import Fact
from schemas.facts import CommandRefused, Reason
from schemas.ledgering import MONEY, Code, Entry
from schemas.market import CallCommand, DepositCommand, KeyCommand
from schemas.market_facts import CommandTaken, KeySet
from schemas.trading import Phase

OperatorCommand = DepositCommand | KeyCommand | CallCommand

_Refused = tuple[Reason, str]


def decide_operator(state: PartitionState, command: OperatorCommand, stamp: Stamp) -> Iterator[Fact]:
    """One operator's command, or its refusal. A command id that was seen before changes nothing."""
    if command_key(command.pool, command.id) in state.commands:
        return
    pool = state.pools.get(command.pool)
    refused: _Refused | None
    if pool is None:
        refused = Reason.UNKNOWN_POOL, f"pool: {command.pool!r} is not defined"
    else:
        match command:
            case DepositCommand():
                refused = _refuse_deposit(pool, command)
            case KeyCommand():
                refused = _refuse_tenant(pool, command.tenant) or _refuse_key(pool, command)
            case CallCommand():
                refused = _refuse_call(pool, command)
    if refused is not None or pool is None:
        yield _refusal(stamp, command, *(refused or (Reason.UNKNOWN_POOL, "")))
        return
    match command:
        case DepositCommand():
            yield from _deposit(pool, command, stamp)
        case KeyCommand():
            yield _key(command, stamp)
        case CallCommand():
            yield from _call(state, pool, command, stamp)


def _refuse_tenant(pool: PoolState, tenant: str) -> _Refused | None:
    slot = pool.tenants.slots.get(tenant)
    if slot is None or not pool.tenants["declared_version"][slot]:
        return Reason.UNKNOWN_TENANT, f"tenant: {tenant!r} has no profile in {pool.name!r}"
    return None


def _refuse_deposit(pool: PoolState, command: DepositCommand) -> _Refused | None:
    if not command.amount:
        return Reason.INVALID_AMOUNT, "amount: 0"
    refused = _refuse_tenant(pool, command.tenant)
    if refused is not None:
        return refused
    match judge(pool.market.ledger, [_deposit_row(command)]):
        case Status.OK:
            return None
        case Status.INSUFFICIENT_FUNDS:
            available = pool.market.ledger.available(MONEY, tenant_account(command.tenant))
            return Reason.INSUFFICIENT_MONEY, f"amount: {command.amount}, but {available} nanocredits are available"
        case status:
            return Reason.INVALID_AMOUNT, f"amount: {command.amount}: {status}"


def _deposit_row(command: DepositCommand) -> PostingRow:
    wallet = tenant_account(command.tenant)
    if command.amount > 0:
        return PostingRow(Entry.POST, Code.DEPOSIT, MONEY, "", BANK, wallet, command.amount)
    return PostingRow(Entry.POST, Code.WITHDRAWAL, MONEY, "", wallet, BANK, -command.amount)


def _deposit(pool: PoolState, command: DepositCommand, stamp: Stamp) -> Iterator[Fact]:
    yield stamp.fact(
        CommandTaken,
        command.pool,
        tenant=command.tenant,
        command=command.KIND,
        command_id=command.id,
        digest=command_key(command.pool, command.id).hex(),
        key=None,
        seq=None,
    )
    open_period = max(pool.closed_period, 0) if pool.open is None else pool.open.period
    yield from posting_facts(stamp, pool.name, open_period, [_deposit_row(command)])


def _refuse_key(pool: PoolState, command: KeyCommand) -> _Refused | None:
    owner = pool.market.key_owners.get(command.key)
    if owner not in {None, command.tenant}:
        return Reason.KEY_OF_ANOTHER, f"key: {command.key} is registered to another tenant"
    return None


def _key(command: KeyCommand, stamp: Stamp) -> Fact:
    return stamp.fact(
        KeySet,
        command.pool,
        id=command.id,
        tenant=command.tenant,
        key=command.key,
        valid_from=command.valid_from,
        valid_until=command.valid_until,
        revoked=command.revoked,
    )


def _refuse_call(pool: PoolState, command: CallCommand) -> _Refused | None:
    instrument = pool.market.instruments.get(command.period)
    if instrument is None:
        return Reason.UNKNOWN_INSTRUMENT, f"period: nobody trades period {command.period}"
    wanted = Phase.CONTINUOUS if command.action == "to_auction" else Phase.AUCTION
    if instrument.book.phase is not wanted:
        return Reason.WRONG_PHASE, f"action: {command.action}, but the book is in {instrument.book.phase}"
    return None


def _call(state: PartitionState, pool: PoolState, command: CallCommand, stamp: Stamp) -> Iterator[Fact]:
    instrument = pool.market.instruments[command.period]
    events = decide(instrument.book, ToAuction() if command.action == "to_auction" else Uncross())
    outcome = outcome_of(pool, instrument)
    outcome.take(events)
    open_period = command.period if pool.open is None else pool.open.period
    yield from outcome.facts(stamp, pool.name, open_period, state.now_ms)
    yield from phase_facts(stamp, pool.name, command.period, events, command.id)


def _refusal(stamp: Stamp, command: OperatorCommand, reason: Reason, detail: str) -> Fact:
    return stamp.fact(
        CommandRefused,
        command.pool,
        command=command.KIND,
        command_id=command.id,
        tenant=getattr(command, "tenant", ""),
        reason=reason,
        detail=detail,
    )
