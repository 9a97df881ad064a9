"""The page as plain sections, for whoever draws it: one period of one tenant, step by step, in words and numbers."""

from processors.explain.circumstances import Circumstances
from processors.explain.counterfactuals import WhatIf
from processors.explain.parts import Facts, Grid, Line, Part, Section, credits_text, decimal, price_text, tokens
from processors.explain.rule import Explanation
from processors.explain.steps import FairShare, SealedBid, ServedShare, Turn
from processors.explain.surroundings import beside, expected
from processors.explain.what_if_section import changes

RULES = {
    "seed": "the highest bids first, the rest by elasticity",
    "uniform_price": "sealed bids, one clearing price for all",
    "max_min": "weighted max-min fairness",
    "proportional": "proportional fairness of served demand",
}


def title(told: Explanation) -> str:
    """Of whom the page is."""
    return f"{told.tenant} in period {told.period} of {told.pool}"


def subtitle(told: Explanation, around: Circumstances) -> str:
    """By which rule its period went."""
    rule = RULES.get(told.policy.value)
    return f"policy {told.policy.value}{f': {rule}' if rule else ''} · pool version {around.pool_version}"


def sections(told: Explanation, around: Circumstances, what_if: WhatIf | None) -> list[Section]:
    """All steps, in their order."""
    steps = [_asked(told, around), _guaranteed(told), *_ruled(told), _paid(told), *beside(told, around)]
    return [*steps, changes(told, what_if)] if what_if else steps


def proof(told: Explanation) -> list[Part]:
    """Whether the recorded row is what the rule gives."""
    if told.proved:
        others = f"; {told.other_rows_differing:,} other rows of the period are not" if told.other_rows_differing else ""
        line = f"The recorded row is what the rule gives when it is run again on the recorded inputs{others}."
        return [Line(line, "warning" if told.other_rows_differing else "")]
    rows = tuple((name, _value(recorded), _value(recomputed)) for name, recorded, recomputed in told.differences)
    return [
        Line("The recorded row is not what the rule gives:", "warning"),
        Grid(("column", "recorded", "by the rule"), rows, numbers=(1, 2)),
    ]


def _asked(told: Explanation, around: Circumstances) -> Section:
    if not told.took_part:
        return Section(
            "What it asked", (Line("It had no profile in force, so it had no base and no bid: it took no part in the auction."),)
        )
    profile = around.profile
    version = "" if profile is None else f"; profile version {profile.version}, from period {profile.from_period} on"
    held = "guaranteed in each period" if around.bases is None else "guaranteed in this period"
    facts = [
        ("base", tokens(told.declared_base), f"{held}{version}"),
        ("demand", tokens(told.demand), "predicted for this period, which the bid is made from"),
        ("elasticity", decimal(told.elasticity), "willingness to pay for more"),
    ]
    if isinstance(told.rule, FairShare):
        facts.append(("weight", decimal(told.weight), "its share where not all needs can be met"))
    if told.budget_left is None:
        facts.append(("budget", "no cap", ""))
    else:
        facts.append(("budget left", credits_text(told.budget_left), _window(told.budget_left, around)))
    return Section("What it asked", (Facts(tuple(facts)), *expected(around)))


def _window(left: int, around: Circumstances) -> str:
    profile = around.profile
    if profile is None or profile.budget_amount is None:
        return ""
    amount = profile.budget_amount
    before = f"{credits_text(amount - left)} charged before" if 0 < left <= amount else "all of it charged before"
    return f"of {credits_text(amount)} in each window of {profile.budget_window_s:,} s, {before}"


def _guaranteed(told: Explanation) -> Section:
    facts = (
        ("capacity", tokens(told.capacity), ""),
        ("bases of all", tokens(told.promised), "what is guaranteed together"),
        ("surplus", tokens(told.supply), "what the policy divides"),
        ("its base", tokens(told.base), ""),
    )
    parts: list[Part] = [Facts(facts)]
    if told.shortfall:
        cut = "all bases were cut in proportion"
        if told.tier is not None:
            cut = f"bases of dedicated tenants came first, then of guaranteed ones, then of all others, and it is {told.tier.value}"
        owed = f"{told.shortfall:,} of its {told.declared_base:,} tokens are owed to it"
        parts.append(Line(f"There was less capacity than guaranteed: {cut}, and {owed}.", "warning"))
    return Section("What was guaranteed", tuple(parts))


def _ruled(told: Explanation) -> list[Section]:
    match told.rule:
        case Turn() as turn:
            return [_turn(turn), _rest(turn, told)]
        case SealedBid() as bid:
            return [_sealed_bid(bid, told)]
        case FairShare() as share:
            return [_fair_share(share, told)]
        case ServedShare() as served:
            return [_served_share(served, told)]
        case None:
            return []


def _turn(turn: Turn) -> Section:
    parts: list[Part] = [
        Line(f"Its bid, elasticity x demand, was {turn.bid:,} tokens: rank {turn.rank:,} of {turn.bidders:,}."),
    ]
    if turn.before:
        rows = tuple((f"{each.rank:,}", each.tenant, f"{each.bid:,}", f"{each.taken:,}") for each in turn.before)
        parts.append(Grid(("rank", "right before it", "bid", "took"), rows, numbers=(0, 2, 3)))
        parts.append(
            Line(f"The {turn.rank - 1:,} before it took {turn.taken_before:,} tokens; {turn.left:,} were left at its turn.")
        )
    else:
        parts.append(Line(f"Nobody came before it; all {turn.left:,} tokens were left."))
    limit = {
        "bid": "all that it bid for",
        "budget": f"all that its budget still bought after its base ({tokens(turn.room)})",
        "supply": "all that was left",
    }[turn.limited_by]
    parts.append(Line(f"It took {turn.taken:,} tokens: {limit}." if turn.bid else "It bid for nothing.", "strong"))
    if turn.last is not None and turn.last.rank != turn.rank:
        last = turn.last
        parts.append(Line(f"The supply ended with {last.tenant}, rank {last.rank:,}: {last.taken:,} of {last.bid:,} tokens."))
    return Section("Its turn in the auction", tuple(parts))


def _rest(turn: Turn, told: Explanation) -> Section:
    price = Line(f"All surplus is paid at the pool's reserve price, {price_text(told.price)}.")
    if not turn.rest:
        return Section("The rest", (Line("Nothing was left when all had had their turn."), price))
    parts: list[Part] = [Line(f"{turn.rest:,} tokens were left when all had had their turn.")]
    if turn.room is not None and turn.room == turn.taken:
        return Section("The rest", (*parts, Line("Its budget bought nothing more, so it had no share of them."), price))
    by = f"{decimal(told.elasticity)} of {decimal(turn.sharers_elasticity)}"
    parts.append(Line(f"They were shared by elasticity among the {turn.sharers:,} whose budget bought more: {by}."))
    filled = " That is all that its budget still bought; what it could not buy was shared among the others." if turn.filled else ""
    return Section("The rest", (*parts, Line(f"Its share: {turn.share:,} tokens.{filled}", "strong"), price))


def _sealed_bid(bid: SealedBid, told: Explanation) -> Section:
    parts: list[Part] = [
        Line(f"It bid for {bid.quantity:,} tokens, its demand above its base."),
        Line(f"It would pay up to {price_text(bid.limit)}: elasticity x reserve price."),
        Line(f"The clearing price was {price_text(bid.price)}: {_why_that_price(bid, told)}."),
    ]
    if bid.set_by:
        parts.append(Line(f"It was set by {_setters(bid)}."))
    above = f"Those with a higher limit ({bid.buyers_above:,}) bought {bid.bought_above:,} tokens"
    match bid.standing:
        case "above":
            parts.append(Line(f"Its limit is above that. {_bought(bid, told)}", "strong"))
        case "at":
            parts.append(Line(f"{above}; {bid.left_at:,} were left for the {bid.buyers_at:,} whose limit is that price."))
            shared = (
                "enough for all of them"
                if bid.wanted_at <= bid.left_at
                else f"shared in proportion to the {bid.wanted_at:,} wanted"
            )
            parts.append(Line(f"Its limit is that price: {shared}. It got {told.surplus:,} tokens.", "strong"))
        case _:
            first = bid.buyers_above + bid.buyers_at
            parts.append(Line(f"The {first:,} who would pay that or more came first."))
            parts.append(Line("Its limit is below that: it bought nothing.", "strong"))
    return Section("The auction", tuple(parts))


def _setters(bid: SealedBid) -> str:
    why = {"limit": "pays no more", "budget": "has a budget that buys fewer tokens at it"}
    named = [f"{each.tenant}, who {why[each.by]} ({tokens(each.dropped)})" for each in bid.set_by]
    others = bid.setters - len(named)
    return "; ".join(named) + (f"; and {others:,} others" if others else "")


def _why_that_price(bid: SealedBid, told: Explanation) -> str:
    if bid.cheaper is None:
        return "the reserve price, as all who would pay more are served at it"
    return f"at one nanocredit less {bid.cheaper:,} tokens would be bought, more than the {told.supply:,} there are"


def _bought(bid: SealedBid, told: Explanation) -> str:
    if bid.affordable is not None and bid.affordable < bid.quantity:
        return f"It got {told.surplus:,} tokens: all that its budget bought at that price after its base."
    return f"It got all {told.surplus:,} tokens that it bid for."


def _fair_share(share: FairShare, told: Explanation) -> Section:
    parts = [Line(f"Its need was {share.need:,} tokens: its demand above its base.")]
    if share.room is not None and share.room < share.need:
        parts.append(Line(f"Its budget bought {share.room:,} of them after its base, which is what counts as its need."))
    price = Line(f"All surplus is paid at the pool's reserve price, {price_text(told.price)}.")
    if share.satisfied:
        return Section("The fair share", (*parts, Line(f"It got {told.surplus:,} tokens: all of it.", "strong"), price))
    unmet = share.needing - share.satisfied_in_all
    of_all = f"by weight: {decimal(told.weight)} of {decimal(share.weight_of_unmet)}"
    weights = of_all if share.weight_of_unmet else "in equal parts, as none of them has weight"
    parts.append(Line(f"{share.satisfied_in_all:,} of {share.needing:,} needs could be met."))
    parts.append(Line(f"The other {unmet:,} shared {share.shared:,} tokens {weights}."))
    return Section("The fair share", (*parts, Line(f"It got {told.surplus:,} tokens.", "strong"), price))


def _served_share(served: ServedShare, told: Explanation) -> Section:
    got = f"It got {told.surplus:,} tokens of surplus"
    if served.level:
        parts = [
            Line(f"Not all demands fit: each is served the share e / (e + {decimal(served.level)}) of its own, e its elasticity."),
            Line(f"Its share was {served.share / 10_000:.4g} % of {tokens(told.demand)}, base included."),
        ]
    else:
        parts = [Line("All demands fit; what was left was shared by demand, up to a quarter of it for each.")]
    why = {
        "base": ": its base covers that",
        "budget": ": all that its budget still bought after its base",
        "share": "",
        "headroom": f", of which {max(0, told.surplus - served.need):,} are beyond its demand",
    }
    price = Line(f"All surplus is paid at the pool's reserve price, {price_text(told.price)}.")
    return Section("The served share", (*parts, Line(f"{got}{why[served.limited_by]}.", "strong"), price))


def _paid(told: Explanation) -> Section:
    facts = (
        ("base", tokens(told.base), f"x {price_text(told.base_price)} = {credits_text(told.charge_for_base)}"),
        ("surplus", tokens(told.surplus), f"x {price_text(told.price)} = {credits_text(told.charge_for_surplus)}"),
        *([("bought in the market", tokens(told.bought), "")] if told.bought else []),
        *([("sold in the market", tokens(told.sold), "")] if told.sold else []),
        ("allocated", tokens(told.allocated), credits_text(told.charge)),
        ("used", tokens(told.used), _utilised(told)),
    )
    return Section("What it got and paid", (Facts(facts),))


def _utilised(told: Explanation) -> str:
    if not told.allocated:
        return "" if not told.used else "without an allocation"
    return f"{100 * told.used / told.allocated:.0f} % of what it was allocated"


def _value(value: object) -> str:
    return "–" if value is None else f"{value:,}"
