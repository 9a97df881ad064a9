"""Sections on what surrounds the auction: forecast, debt, trades, limits."""

from collections.abc import Sequence

from processors.explain.circumstances import Bases, Circumstances, Debt, Forecast, Limit, Trade, Transfer
from processors.explain.parts import Line, Part, Section, credits_text, decimal, tokens
from processors.explain.rule import Explanation
from schemas.published import BidOn, Forecaster

NAMED_EXPERTS = 4
"""How many of the experts that carried a forecast are named."""

NAMED_TRADES = 3
NAMED_MOVES = 3

KEPT = {"throughput": "tokens per second", "kv": "KV-cache blocks", "concurrency": "requests in flight"}


def expected(around: Circumstances) -> list[Part]:
    """How the demand was forecast."""
    forecast = around.forecast
    if forecast is None:
        return []
    quantiles = (("half of the time at most", forecast.p50), ("90 %", forecast.p90), ("99 %", forecast.p99))
    known = ", ".join(f"{name} {value:,}" for name, value in quantiles if value is not None)
    said = f"Forecast by {forecast.forecaster.value}: {tokens(forecast.mean)}{f' ({known})' if known else ''}."
    profile = around.profile
    quantile = known and profile is not None and profile.bid_on != BidOn.MEAN
    bid_on = f" It bids on {profile.bid_on.value}, as its profile says." if quantile and profile else ""
    return [Line(f"{said}{bid_on}{_experts(forecast)}")]


def _experts(forecast: Forecast) -> str:
    if forecast.forecaster != Forecaster.MIXTURE:
        return ""
    if forecast.experts is None:
        return " Which experts carried it, the journal tells (bourse explain)."
    if not forecast.experts:
        return " Nothing had been learned of it yet: that is what the pool's mean tenant uses."
    first, rest = forecast.experts[:NAMED_EXPERTS], forecast.experts[NAMED_EXPERTS:]
    named = ", ".join(f"{each.name} {each.weight:.0%} ({each.tokens:,.0f})" for each in first)
    others = f" and {len(rest)} others {sum(each.weight for each in rest):.0%}" if rest else ""
    return f" It was carried by {named}{others}."


def beside(told: Explanation, around: Circumstances) -> list[Section]:
    """What else happened to the tenant in the period; no section where nothing did."""
    parts = [
        *_bases(around.bases),
        *_debt(around.debt),
        *_trades(around.trades),
        *_transfers(around.transfers),
        *(_limit(limit, told) for limit in around.limits),
    ]
    return [Section("Beside the auction", tuple(parts))] if parts else []


def _bases(bases: Bases | None) -> list[Part]:
    if bases is None:
        return []
    boost = f" + {bases.boost:,} boost" if bases.boost else ""
    lent = f" - {bases.lent:,} lent" if bases.lent else ""
    whole = tokens(bases.declared + bases.boost - bases.lent)
    lines: list[Part] = [Line(f"Base: {bases.declared:,} declared{boost}{lent} = {whole}.")]
    for move in bases.moves[:NAMED_MOVES]:
        other = f" ({move.other})" if move.other else ""
        change = f"{move.after - move.before:+,} tokens{other}" if move.after != move.before else "nothing changed"
        lines.append(Line(f"Since the period before, {move.kind.value}: {change}, {move.reason.value}."))
    if len(bases.moves) > NAMED_MOVES:
        lines.append(Line(f"And {_times(len(bases.moves) - NAMED_MOVES, 'more move')} of its base."))
    return lines


def _debt(debt: Debt | None) -> list[Part]:
    if debt is None:
        return []
    whole = debt.debt / 1000
    owed = "Nothing was owed when the period opened" if not debt.debt else f"It was owed {whole:,.1f} tokens of earlier periods"
    if debt.debt < 0:
        owed = f"It owed {-whole:,.1f} tokens of earlier periods"
    weights = f"{decimal(debt.declared_weight)} to {decimal(debt.weight)}"
    effect = f": its weight went from {weights}" if debt.weight != debt.declared_weight else "; its weight stayed as declared"
    return [Line(f"Debt: {owed}{effect}.")]


def _trades(trades: Sequence[Trade]) -> list[Part]:
    if not trades:
        return []
    sums = []
    for side, verb in (("buy", "bought"), ("sell", "sold")):
        mine = [each for each in trades if each.side == side]
        if mine:
            together = sum(each.tokens for each in mine)
            average = sum(each.tokens * each.price for each in mine) / max(together, 1)
            ahead = sum(each.tokens for each in mine if each.forward)
            forward = f", {ahead:,} of them before the period opened" if ahead else ""
            sums.append(f"{verb} {together:,} tokens in {_times(len(mine), 'trade')} at {average:,.1f} on average{forward}")
    largest = sorted(trades, key=lambda each: -each.tokens)[:NAMED_TRADES]
    named = ", ".join(f"{each.side} {each.tokens:,} at {each.price:,} ({each.other or 'the operator'})" for each in largest)
    fees = sum(each.fee for each in trades)
    return [Line(f"Trades: {'; '.join(sums)}; fees {credits_text(fees)}. The largest: {named}.")]


def _transfers(transfers: Sequence[Transfer]) -> list[Part]:
    if not transfers:
        return []
    got, gave = sum(each.got_tokens for each in transfers), sum(each.gave_tokens for each in transfers)
    earned, paid = sum(each.got_money for each in transfers), sum(each.gave_money for each in transfers)
    money = f"; got {credits_text(earned)}, gave {credits_text(paid)}" if earned or paid else ""
    others = ", ".join(sorted({each.other for each in transfers})[:NAMED_TRADES])
    return [Line(f"Transfers: {_times(len(transfers), 'transfer')} with {others}: got {got:,} tokens, gave {gave:,}{money}.")]


def _limit(limit: Limit, told: Explanation) -> Line:
    what = f"kept for it, {KEPT[limit.name]}" if limit.name in KEPT else f"tokens of the period {told.period}"
    if not limit.changes:
        return Line(f"Limit told to gateways ({what}): {limit.opened:,} throughout.")
    span = f"from {limit.lowest:,} to {limit.highest:,}, at the end {limit.last:,}"
    return Line(f"Limit told to gateways ({what}): {limit.opened:,} at first, then {_times(limit.changes, 'change')}: {span}.")


def _times(many: int, what: str) -> str:
    return f"{many:,} {what}{'' if many == 1 else 's'}"
