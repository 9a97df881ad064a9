"""What operators do to a market: they book deposits, register keys and call auctions. All of it holds at once."""

from collections.abc import Iterator

from processors.accounts import BANK, tenant_account
from processors.ledger import INT64_MAX, PostingRow, Status, judge
from processors.market.instruments import phase_facts
from processors.market.outcome import posting_facts
from processors.market.state import deposit_post
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
    pool = state.pools.get(command.pool)
    if command_key(command.pool, command.id) in state.commands or (pool is not None and _is_booked(pool, command)):
        return
    if pool is None:
        yield _refusal(stamp, command, Reason.UNKNOWN_POOL, f"pool: {command.pool!r} is not defined")
        return
    refused = _refused(pool, command)
    if refused is not None:
        yield _refusal(stamp, command, *refused)
        return
    match command:
        case DepositCommand():
            yield from _deposit(pool, command, stamp)
        case KeyCommand():
            yield _key(command, stamp)
        case CallCommand():
            yield from _call(state, pool, command, stamp)


def _is_booked(pool: PoolState, command: OperatorCommand) -> bool:
    """Whether it is a deposit that was made: the ledger remembers deposits for longer than commands are remembered."""
    return isinstance(command, DepositCommand) and pool.market.ledger.posted(deposit_post(command.id))


def _refused(pool: PoolState, command: OperatorCommand) -> _Refused | None:
    match command:
        case DepositCommand():
            return _refuse_tenant(pool, command.tenant) or _refuse_deposit(pool, command)
        case KeyCommand():
            return _refuse_tenant(pool, command.tenant) or _refuse_key(pool, command)
        case CallCommand():
            return _refuse_call(pool, command)


def _refuse_tenant(pool: PoolState, tenant: str) -> _Refused | None:
    slot = pool.tenants.slots.get(tenant)
    if slot is None or not pool.tenants["declared_version"][slot]:
        return Reason.UNKNOWN_TENANT, f"tenant: {tenant!r} has no profile in {pool.name!r}"
    return None


def _refuse_deposit(pool: PoolState, command: DepositCommand) -> _Refused | None:
    if not command.amount:
        return Reason.INVALID_AMOUNT, "amount: 0"
    ledger = pool.market.ledger
    # All the money that is in the market fits one account, so that no payment, whoever is paid, ever leaves int64.
    held = -ledger.balance(MONEY, BANK)
    if held + command.amount > INT64_MAX:
        return Reason.EXCEEDS_MONEY, f"amount: {command.amount}, and {held} deposited before, exceed {INT64_MAX}"
    if judge(ledger, [_deposit_row(command)]) is Status.INSUFFICIENT_FUNDS:
        available = ledger.available(MONEY, tenant_account(command.tenant))
        return Reason.INSUFFICIENT_MONEY, f"amount: {command.amount}, but {available} nanocredits are available"
    return None


def _deposit_row(command: DepositCommand) -> PostingRow:
    wallet, once = tenant_account(command.tenant), deposit_post(command.id)
    if command.amount > 0:
        return PostingRow(Entry.POST, Code.DEPOSIT, MONEY, once, BANK, wallet, command.amount)
    return PostingRow(Entry.POST, Code.WITHDRAWAL, MONEY, once, wallet, BANK, -command.amount)


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
    yield from posting_facts(stamp, pool.name, pool.present, [_deposit_row(command)])


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
    yield from outcome.facts(stamp, pool.name, pool.present, state.now_ms)
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
