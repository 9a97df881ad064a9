"""Which fee an order may pay at most: that of the pool's version in force when its instrument began."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping

from infra.audit.store import AuditStore, Scope


def fees(store: AuditStore, scope: Scope) -> Mapping[int, int]:
    """Delivery period -> the higher of its maker's and taker's fee, basis points."""
    where = "WHERE pool = {pool:String} AND partition = {partition:Int32}"
    versions = store.rows(
        f"SELECT journal_offset, from_period, greatest(maker_fee_bp, taker_fee_bp) FROM pools {where} ORDER BY version",  # noqa: S608  ours
        **scope.parameters,
    )
    closings = store.rows(f"SELECT journal_offset, period FROM periods {where} ORDER BY journal_offset", **scope.parameters)  # noqa: S608  ours
    began = store.rows(
        f"SELECT period, min(journal_offset) FROM instruments {where} GROUP BY period",  # noqa: S608  ours
        **scope.parameters,
    )
    ((newest,),) = store.rows(f"SELECT max(period) FROM ledger {where}", **scope.parameters)  # noqa: S608  ours
    offsets = [offset for offset, _ in closings]

    def in_force(offset: int) -> int:
        # The period that was open is the one that closed next, or the newest in which anything was posted.
        at = bisect_left(offsets, offset)
        present = closings[at][1] if at < len(closings) else newest
        held = [fee for declared, from_period, fee in versions if declared < offset and from_period <= present]
        return held[-1] if held else 0

    if len({fee for _, _, fee in versions}) == 1:
        return dict.fromkeys((period for period, _ in began), versions[0][2])
    return {period: in_force(offset) for period, offset in began}
