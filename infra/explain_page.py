"""What `bourse explain` prints: one page that tells a tenant's way through a period, step by step."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from processors.allocation.exact import INT64_MAX
from processors.explain import Explanation, FairShare, SealedBid, Turn

RULES = {
    "seed": "the highest bids first, the rest by elasticity",
    "uniform_price": "sealed bids, one clearing price for all",
    "max_min": "weighted max-min fairness",
}


@dataclass(frozen=True, slots=True)
class Cap:
    """A tenant's budget cap: nanocredits in each window of so many seconds."""

    amount: int
    window_s: int


def page(told: Explanation, cap: Cap | None) -> RenderableType:
    """The whole page."""
    title = Text(f"{told.tenant} in period {told.period} of {told.pool}", style="bold")
    heading = Text(f"policy {told.policy.value}: {RULES[told.policy.value]}", style="dim")
    steps = [_asked(told, cap), _guaranteed(told), *_ruled(told), _paid(told)]
    body = [part for number, step in enumerate(steps, 1) for part in (_heading(number, step[0]), *step[1:])]
    return Group(title, heading, *body, Text(), _proof(told))


Step = tuple[str, *tuple[RenderableType, ...]]


def _heading(number: int, text: str) -> RenderableType:
    return Text(f"\n{number}. {text}", style="bold cyan")


def _asked(told: Explanation, cap: Cap | None) -> Step:
    if not told.took_part:
        return ("What it asked", _line("It had no profile in force, so it had no base and no bid: it took no part in the auction."))
    facts = [
        ("base", f"{told.declared_base:,} tokens", "guaranteed in each period"),
        ("demand", f"{told.demand:,} tokens", "predicted for this period"),
        ("elasticity", _decimal(told.elasticity), "willingness to pay for more"),
    ]
    if isinstance(told.rule, FairShare):
        facts.append(("weight", _decimal(told.weight), "its share where not all needs can be met"))
    if told.budget_left is None:
        facts.append(("budget", "no cap", ""))
    else:
        facts.append(("budget left", credits_text(told.budget_left), _window(told.budget_left, cap)))
    return ("What it asked", _table(facts))


def _window(left: int, cap: Cap | None) -> str:
    if cap is None:
        return ""
    before = f"{credits_text(cap.amount - left)} charged before" if 0 < left <= cap.amount else "all of it charged before"
    return f"of {credits_text(cap.amount)} in each window of {cap.window_s:,} s, {before}"


def _guaranteed(told: Explanation) -> Step:
    facts = [
        ("capacity", f"{told.capacity:,} tokens", ""),
        ("bases of all", f"{told.promised:,} tokens", "what is guaranteed together"),
        ("surplus", f"{told.supply:,} tokens", "what the policy divides"),
        ("its base", f"{told.base:,} tokens", ""),
    ]
    lines = [_table(facts)]
    if told.shortfall:
        cut = "all bases were cut in proportion"
        if told.tier is not None:
            cut = f"bases of dedicated tenants came first, then of guaranteed ones, then of all others, and it is {told.tier.value}"
        lines.append(
            _line(
                f"There was less capacity than guaranteed: {cut}, and {told.shortfall:,} of its "
                f"{told.declared_base:,} tokens are owed to it.",
                style="yellow",
            )
        )
    return ("What was guaranteed", *lines)


def _ruled(told: Explanation) -> list[Step]:
    match told.rule:
        case Turn() as turn:
            return [_turn(turn), _rest(turn, told)]
        case SealedBid() as bid:
            return [_sealed_bid(bid, told)]
        case FairShare() as share:
            return [_fair_share(share, told)]
        case None:
            return []


def _turn(turn: Turn) -> Step:
    lines: list[RenderableType] = [
        _line(f"Its bid, elasticity x demand, was {turn.bid:,} tokens: rank {turn.rank:,} of {turn.bidders:,}."),
    ]
    if turn.before:
        table = Table("rank", "right before it", "bid", "took", box=box.SIMPLE_HEAD, header_style="dim")
        for column in (0, 2, 3):
            table.columns[column].justify = "right"
        for bidder in turn.before:
            table.add_row(f"{bidder.rank:,}", Text(bidder.tenant), f"{bidder.bid:,}", f"{bidder.taken:,}")
        lines.append(table)
        lines.append(
            _line(f"The {turn.rank - 1:,} before it took {turn.taken_before:,} tokens; {turn.left:,} were left at its turn.")
        )
    else:
        lines.append(_line(f"Nobody came before it; all {turn.left:,} tokens were left."))
    limit = {
        "bid": "all that it bid for",
        "budget": f"all that its budget still bought after its base ({_tokens(turn.room)})",
        "supply": "all that was left",
    }[turn.limited_by]
    lines.append(_line(f"It took {turn.taken:,} tokens: {limit}." if turn.bid else "It bid for nothing.", style="bold"))
    return ("Its turn in the auction", *lines)


def _rest(turn: Turn, told: Explanation) -> Step:
    if not turn.rest:
        return ("The rest", _line("Nothing was left when all had had their turn."))
    lines = [_line(f"{turn.rest:,} tokens were left when all had had their turn.")]
    if turn.room is not None and turn.room == turn.taken:
        lines.append(_line("Its budget bought nothing more, so it had no share of them."))
        return ("The rest", *lines)
    lines.append(
        _line(
            f"They were shared by elasticity among the {turn.sharers:,} whose budget bought more: {_decimal(told.elasticity)} of "
            f"{_decimal(turn.sharers_elasticity)}."
        )
    )
    filled = " That is all that its budget still bought; what it could not buy was shared among the others." if turn.filled else ""
    lines.append(_line(f"Its share: {turn.share:,} tokens.{filled}", style="bold"))
    return ("The rest", *lines)


def _sealed_bid(bid: SealedBid, told: Explanation) -> Step:
    lines = [
        _line(f"It bid for {bid.quantity:,} tokens, its demand above its base."),
        _line(f"It would pay up to {_price(bid.limit)}: elasticity x reserve price."),
        _line(f"The clearing price was {_price(bid.price)}: {_why_that_price(bid, told)}."),
    ]
    above = f"Those with a higher limit ({bid.buyers_above:,}) bought {bid.bought_above:,} tokens"
    match bid.standing:
        case "above":
            lines.append(_line(f"Its limit is above that. {_bought(bid, told)}", style="bold"))
        case "at":
            lines.append(_line(f"{above}; {bid.left_at:,} were left for the {bid.buyers_at:,} whose limit is that price."))
            shared = (
                "enough for all of them"
                if bid.wanted_at <= bid.left_at
                else f"shared in proportion to the {bid.wanted_at:,} wanted"
            )
            lines.append(_line(f"Its limit is that price: {shared}. It got {told.surplus:,} tokens.", style="bold"))
        case _:
            first = bid.buyers_above + bid.buyers_at
            lines.append(_line(f"The {first:,} who would pay that or more came first."))
            lines.append(_line("Its limit is below that: it bought nothing.", style="bold"))
    return ("The auction", *lines)


def _why_that_price(bid: SealedBid, told: Explanation) -> str:
    if bid.cheaper is None:
        return "the reserve price, as all who would pay more are served at it"
    return f"at one nanocredit less {bid.cheaper:,} tokens would be bought, more than the {told.supply:,} there are"


def _bought(bid: SealedBid, told: Explanation) -> str:
    if bid.affordable is not None and bid.affordable < bid.quantity:
        return f"It got {told.surplus:,} tokens: all that its budget bought at that price after its base."
    return f"It got all {told.surplus:,} tokens that it bid for."


def _fair_share(share: FairShare, told: Explanation) -> Step:
    lines = [_line(f"Its need was {share.need:,} tokens: its demand above its base.")]
    if share.room is not None and share.room < share.need:
        lines.append(_line(f"Its budget bought {share.room:,} of them after its base, which is what counts as its need."))
    if share.satisfied:
        lines.append(_line(f"It got {told.surplus:,} tokens: all of it.", style="bold"))
        return ("The fair share", *lines)
    unmet = share.needing - share.satisfied_in_all
    of_all = f"by weight: {_decimal(told.weight)} of {_decimal(share.weight_of_unmet)}"
    weights = of_all if share.weight_of_unmet else "in equal parts, as none of them has weight"
    lines.append(_line(f"{share.satisfied_in_all:,} of {share.needing:,} needs could be met."))
    lines.append(_line(f"The other {unmet:,} shared {share.shared:,} tokens {weights}."))
    lines.append(_line(f"It got {told.surplus:,} tokens.", style="bold"))
    return ("The fair share", *lines)


def _paid(told: Explanation) -> Step:
    facts = [
        ("base", f"{told.base:,} tokens", f"x {_price(told.base_price)} = {credits_text(told.charge_for_base)}"),
        ("surplus", f"{told.surplus:,} tokens", f"x {_price(told.price)} = {credits_text(told.charge_for_surplus)}"),
        *([("bought in the market", f"{told.bought:,} tokens", "")] if told.bought else []),
        *([("sold in the market", f"{told.sold:,} tokens", "")] if told.sold else []),
        ("allocated", f"{told.allocated:,} tokens", credits_text(told.charge)),
        ("used", f"{told.used:,} tokens", _utilised(told)),
    ]
    return ("What it got and paid", _table(facts))


def _utilised(told: Explanation) -> str:
    if not told.allocated:
        return "" if not told.used else "without an allocation"
    return f"{100 * told.used / told.allocated:.0f} % of what it was allocated"


def _proof(told: Explanation) -> RenderableType:
    if told.proved:
        others = f"; {told.other_rows_differing:,} other rows of the period are not" if told.other_rows_differing else ""
        return Panel.fit(
            _line(f"The recorded row is what the rule gives when it is run again on the recorded inputs{others}."),
            border_style="yellow" if told.other_rows_differing else "green",
        )
    table = Table("column", "recorded", "by the rule", box=box.SIMPLE_HEAD)
    for name, recorded, recomputed in told.differences:
        table.add_row(name, _value(recorded), _value(recomputed), style="red")
    return Panel.fit(Group(_line("The recorded row is not what the rule gives:", style="bold red"), table), border_style="red")


def _table(facts: list[tuple[str, str, str]]) -> RenderableType:
    table = Table(box=None, show_header=False, padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(justify="right")
    table.add_column()
    for fact in facts:
        table.add_row(*map(Text, fact))
    return table


def _line(text: str, style: str = "") -> RenderableType:
    return Padding(Text(text, style=style), (0, 0, 0, 2))


def _tokens(value: int | None) -> str:
    return "without limit" if value is None else f"{value:,} tokens"


def _value(value: object) -> str:
    return "–" if value is None else f"{value:,}"


def _price(nanocredits: int) -> str:
    more = "more than " if nanocredits == INT64_MAX else ""
    return f"{more}{nanocredits:,} nanocredits a token"


def _decimal(millionths: int) -> str:
    return f"{Decimal(millionths).scaleb(-6).normalize():f}"


def credits_text(nanocredits: int) -> str:
    """Exact: 1500 -> `0.0000015 credits`."""
    return f"{Decimal(nanocredits).scaleb(-9).normalize():,f} credits"
