"""Why a tenant got what it got in a period (BEY-2), and what would have changed it.

    from processors.explain import explained, journal_record

    record = journal_record(records, "llama-70b", 29_384_011, "acme")   # records: (offset, record) of the pool's journal partition
    told = explained(record, "acme")
    told.auction.charge, told.around.forecast, told.what_if.inputs

`journal_record` folds the journal up to the period's close; nothing but the journal is needed. `explained` runs the period's rule
again, tells the tenant's way through it, holds the result against what was recorded, and searches for the nearest change of each
input that would have changed what the tenant got or paid.
"""

from dataclasses import dataclass

from processors.explain.circumstances import BaseMove, Bases, Circumstances, Debt, Expert, Forecast, Limit, Profile, Trade, Transfer
from processors.explain.counterfactuals import Change, Counterfactual, Direction, Got, Progress, Rival, WhatIf, silent, what_if
from processors.explain.inputs import COLUMNS, COMPARED, TRADED, PeriodInputs, Rerun, UnknownTenantError, run_again
from processors.explain.rule import Explanation, explain, tell
from processors.explain.steps import Bidder, FairShare, PriceSetter, SealedBid, ServedShare, Turn
from processors.explain.witness import NotToldError, PeriodRecord, journal_record

__all__ = [
    "COLUMNS",
    "COMPARED",
    "TRADED",
    "BaseMove",
    "Bases",
    "Bidder",
    "Change",
    "Circumstances",
    "Counterfactual",
    "Debt",
    "Direction",
    "Expert",
    "Explained",
    "Explanation",
    "FairShare",
    "Forecast",
    "Got",
    "Limit",
    "NotToldError",
    "PeriodInputs",
    "PeriodRecord",
    "PriceSetter",
    "Profile",
    "Rerun",
    "Rival",
    "SealedBid",
    "ServedShare",
    "Trade",
    "Transfer",
    "Turn",
    "UnknownTenantError",
    "WhatIf",
    "explain",
    "explained",
    "journal_record",
    "run_again",
    "what_if",
]


@dataclass(frozen=True, slots=True)
class Explained:
    """One period of one tenant.

    Attributes:
        auction: its way through the rule, and whether the recorded row is what the rule gives.
        around: what was declared, forecast, owed, traded and told.
        what_if: the nearest changes that would have changed it; None if it took no part, or nobody asked.
    """

    auction: Explanation
    around: Circumstances
    what_if: WhatIf | None


def explained(record: PeriodRecord, tenant: str, *, searching: bool = True, progress: Progress = silent) -> Explained:
    """Explain one period of one tenant.

    Args:
        record: the period, from `journal_record`.
        tenant: of whom the record was made.
        searching: whether to search for counterfactuals, which takes hundreds of runs of the rule.
        progress: told how many inputs were searched.

    Raises:
        UnknownTenantError: the tenant has no row in the period.
    """
    again = run_again(record.inputs)
    told = tell(again, tenant)
    return Explained(told, record.around, what_if(again, tenant, progress) if searching else None)
