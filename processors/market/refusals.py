"""Refusals as facts: a tenant hears of every command that it submitted."""

from processors.market.keys import Refusal
from processors.market.outcome import OrderRow
from processors.stamping import Stamp
from schemas.fact import Fact
from schemas.market import AcceptCommand, TenantCommand, TransferCommand
from schemas.market_facts import OrderEvents, TransferEventKind, TransferEvents


def order_refused(stamp: Stamp, pool: str, period: int, row: OrderRow, refusal: Refusal) -> Fact:
    """An order, or a change of one, was refused: it is as it was."""
    told = row._replace(reason=refusal.reason, field=refusal.field, detail=refusal.detail)
    return stamp.fact(OrderEvents, pool, period=period, **{name: [value] for name, value in told._asdict().items()})


def transfer_refused(stamp: Stamp, command: TransferCommand | AcceptCommand, refusal: Refusal) -> Fact:
    """A transfer, or the acceptance of one, was refused."""
    gift = command if isinstance(command, TransferCommand) else None
    return stamp.fact(
        TransferEvents,
        command.pool,
        period=command.period,
        tenant=[command.tenant],
        to=[gift.to if gift else command_partner(command)],
        transfer_id=[command.id],
        event=[TransferEventKind.REJECTED],
        tokens=[gift.tokens if gift else 0],
        money=[gift.money if gift else 0],
        for_tokens=[gift.for_tokens if gift else 0],
        for_money=[gift.for_money if gift else 0],
        reason=[refusal.reason],
        field=[refusal.field],
        detail=[refusal.detail],
    )


def command_partner(command: TenantCommand) -> str:
    """Whom a command concerns besides its own tenant; empty: nobody."""
    match command:
        case TransferCommand():
            return command.to
        case AcceptCommand():
            return command.offered_by
        case _:
            return ""
