"""Facts of one pool as the lines that an auditor reads, from what facts say alone: no state of the engine is looked at."""

from processors.audit_lines import Checkpoint, OfferLine, OrderLine, PostingLine
from schemas.facts import PeriodClosed, PeriodOpened, PoolSet, Postings
from schemas.ledgering import MONEY
from schemas.market_facts import BookPhase, OrderEvents, TransferEvents


def account(tenant):
    return f"tenant/{tenant}" if tenant else "operator"


class Reader:
    """Facts one by one. The fee that an order may pay is that of the pool's version in force when its instrument began."""

    def __init__(self):
        self.declared_bp = self.in_force_bp = 0
        self.fee_bp = {}

    def lines(self, fact):
        places = ((fact.journal_offset, fact.fact_index, row) for row in range(2**31))
        match fact:
            case Postings():
                columns = (fact.entry, fact.code, fact.asset, fact.hold, fact.debit_account, fact.credit_account, fact.amount)
                return list(map(PostingLine, *columns, places))
            case OrderEvents():
                return list(self._orders(fact, places))
            case TransferEvents():
                return list(_offers(fact, places))
            case PeriodClosed():
                return [Checkpoint(fact.period, at=next(places))]
        self._terms(fact)
        return []

    def _terms(self, fact):
        match fact:
            case PoolSet():
                self.declared_bp = max(fact.maker_fee_bp, fact.taker_fee_bp)
            case PeriodOpened():
                self.in_force_bp = self.declared_bp
            case BookPhase(phase=BookPhase.CLOSED):
                self.fee_bp.pop(fact.period, None)
            case BookPhase():
                self.fee_bp.setdefault(fact.period, self.in_force_bp)

    def _orders(self, fact, places):
        columns = (fact.event, fact.order_id, fact.tenant, fact.side, fact.order_type, fact.price, fact.qty, fact.open)
        for event, order_id, tenant, side, order_type, price, qty, left, at in zip(*columns, places, strict=False):
            limit = 0 if order_type == "market" else price
            hold, fee_bp = f"{fact.period}\n{tenant}\n{order_id}", self.fee_bp.get(fact.period, 0)
            yield OrderLine(event, hold, account(tenant), fact.period, side, limit, qty, left, fee_bp, at)


def _offers(fact, places):
    columns = (fact.event, fact.transfer_id, fact.tenant, fact.tokens, fact.money)
    for event, transfer_id, tenant, tokens, money, at in zip(*columns, places, strict=False):
        asset, amount = (fact.period, tokens) if tokens else (MONEY, money)
        if event in {"offered", "accepted", "cancelled"}:
            left = amount if event == "offered" else 0
            yield OfferLine(f"\n\n{tenant}\n{transfer_id}", account(tenant), asset, left, at)
