"""What must hold of a market that has settled, whatever happened to it: by what was published, journal, facts and rows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from attacks import Attacks
from proof import differences
from slow_book import SlowBook
from system import System, until
from trading import POOL, TENANTS

from schemas.canonical import digest
from schemas.fact import Fact
from schemas.market import CancelCommand, OrderCommand, ReduceCommand, ReplaceCommand, TenantCommand
from schemas.market_facts import BookPhase, CommandTaken, OrderEventKind, OrderEvents, Trades, TransferEvents
from schemas.model import Event
from schemas.trading import OrderType, TimeInForce
from streams.codecs import decode
from streams.partitioning import home_partition

BOOKS_OWN = frozenset(
    {
        "duplicate_id",
        "invalid_qty",
        "invalid_price",
        "invalid_tif",
        "already_expired",
        "post_only_would_cross",
        "fok_not_fillable",
        "unknown_order",
        "not_owner",
        "not_in_auction",
        "closed",
    }
)
"""Reasons for which a book refuses. For any other the order never reached it."""

Change = CancelCommand | ReduceCommand | ReplaceCommand
Tell = Callable[[str], None]


class Trade(NamedTuple):
    """One trade."""

    journal_offset: int
    number: int
    period: int
    buyer: str
    seller: str
    buy_order: str
    sell_order: str
    price: int
    qty: int
    buyer_fee: int
    seller_fee: int


@dataclass
class Decided:
    """The market's journal partition, and its facts, each once, by journal offset.

    Attributes:
        elsewhere: facts of other partitions: of pools that do not exist.
        repeated: facts that stood more than once.
    """

    partition: int
    journal: dict[int, Event]
    facts: dict[int, list[Fact]]
    elsewhere: list[Fact]
    repeated: int

    def of(self, kind: Any) -> Iterator[Any]:
        """All facts of a kind in order."""
        return (fact for offset in sorted(self.facts) for fact in self.facts[offset] if isinstance(fact, kind))


def check_market(system: System, published: Sequence[TenantCommand], attacks: Attacks, tell: Tell) -> None:
    """Everything below; raises AssertionError."""
    decided = read(system)
    tell(f"{len(decided.journal)} journal records, {decided.repeated} facts published again after a crash, byte for byte the same")
    tell(f"each command has one outcome: {dict(check_outcomes(decided, published))}")
    check_attacks(decided, attacks)
    trades = trades_of(decided)
    until_landed(system, decided.partition, max(decided.journal))
    tell(f"attacks are refused; {len(trades)} trades")
    assert len(trades) > len(published) / 10
    check_rows(system, decided, trades)
    tell("ClickHouse has each trade and each order event once")
    check_oracle(decided)
    tell("the slow book trades the same")
    check_balances(system, decided)
    tell("ClickHouse's balances are the engine's")
    tell(f"audit: {audit(system)}")


def read(system: System) -> Decided:
    """The partition of the market, as Kafka has it. A fact that stands twice is the same both times."""
    partition = home_partition(POOL.encode(), system.settings.partitions)
    journal = {record.offset(): decode(record.value()) for record in system.read("journal") if record.partition() == partition}
    known: dict[tuple[int, int], bytes] = {}
    facts: dict[int, list[Fact]] = defaultdict(list)
    elsewhere: list[Fact] = []
    repeated = 0
    for record in system.read("facts"):
        fact = decode(record.value())
        assert isinstance(fact, Fact)
        if record.partition() != partition:
            elsewhere.append(fact)
            continue
        place = fact.journal_offset, fact.fact_index
        if place in known:
            assert known[place] == record.value(), f"fact {place} was decided in two ways"
            repeated += 1
            continue
        known[place] = record.value()
        facts[fact.journal_offset].append(fact)
    # The system goes on meanwhile: both end with the last record of which all has been read.
    upto = min(max(journal), max(facts) - 1)
    return Decided(
        partition,
        {offset: record for offset, record in journal.items() if offset <= upto},
        {offset: decided for offset, decided in facts.items() if offset <= upto},
        elsewhere,
        repeated,
    )


# Every command has one outcome


def check_outcomes(decided: Decided, published: Iterable[TenantCommand]) -> Counter[str]:
    """Each command was taken once, and then accepted, done or rejected once. How often each outcome was."""
    taken = Counter(fact.digest for fact in decided.of(CommandTaken))
    offset_of = {fact.digest: fact.journal_offset for fact in decided.of(CommandTaken)}
    outcomes: Counter[str] = Counter()
    for command in published:
        mark = digest(command)
        assert taken[mark] == 1, f"taken {taken[mark]} times: {command}"
        found = list(_outcomes(decided.facts[offset_of[mark]], command))
        assert len(found) == 1, f"{found}: {command}"
        outcomes[f"{command.KIND} {found[0]}"] += 1
    return outcomes


def _outcomes(facts: Iterable[Fact], command: TenantCommand) -> Iterator[str]:
    """Of the order that it is, or changes: what came first of it."""
    order = command.id if isinstance(command, OrderCommand) else command.order  # type: ignore[attr-defined]  # all others change one
    final = {OrderEventKind.REJECTED}
    final |= {OrderEventKind.ACCEPTED} if isinstance(command, OrderCommand) else _CHANGED
    rows = [row for fact in facts if isinstance(fact, OrderEvents) for row in _rows(fact)]
    own = [row for row in rows if (row["tenant"], row["order_id"]) == (command.tenant, order) and row["event"] in final]
    # A replacement that meets its tenant's own order is replaced, and what is left of it cancelled.
    for row in own[:1] if isinstance(command, ReplaceCommand) else own:
        yield f"rejected: {row['reason']}" if row["event"] == OrderEventKind.REJECTED else str(row["event"])


_CHANGED = {OrderEventKind.CANCELLED, OrderEventKind.REDUCED, OrderEventKind.REPLACED}


def _rows(fact: Any) -> list[dict[str, Any]]:
    columns = {name: values for name, values in fact.__dict__.items() if isinstance(values, list)}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def check_attacks(decided: Decided, attacks: Attacks) -> None:
    """Each attack is refused once, with its reason; what was good is accepted once. What was sent to other pools, too."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    accepted: Counter[str] = Counter()
    elsewhere = {(fact.journal_offset, fact.fact_index): fact for fact in decided.elsewhere}
    for fact in (*decided.of(OrderEvents | TransferEvents), *elsewhere.values()):
        if not isinstance(fact, OrderEvents | TransferEvents):
            continue
        for row in _rows(fact):
            known = row["tenant"], row.get("order_id") or row.get("transfer_id")
            if row["event"] == "rejected":
                found[known].append(str(row["reason"]))
            elif row["event"] == OrderEventKind.ACCEPTED and known[1] in attacks.good:
                accepted[known[1]] += 1
    expected: dict[tuple[str, str], list[str]] = defaultdict(list)
    for attack in attacks.table:
        if attack.reason:
            expected[attack.tenant, attack.id].append(attack.reason)
    told = {known: reasons for known, reasons in found.items() if known in expected}
    assert not (wrong := differences(dict(expected), told)), wrong
    assert accepted == Counter(attacks.good), accepted
    silent = {attack.id for attack in attacks.table if not attack.reason}
    assert silent == set(attacks.good)


# No trade is lost or doubled


def until_landed(system: System, partition: int, offset: int) -> None:
    """All facts of the partition's journal records up to this one are in ClickHouse."""
    query = f"SELECT journal_offset FROM landed WHERE topic = '{system.settings.topic('facts')}' AND partition = {partition}"
    until(lambda: system.value(query) > offset, 30, "all facts have landed")


def trades_of(decided: Decided) -> list[Trade]:
    """The trades on `facts`."""
    columns = Trade._fields[3:]
    return [
        Trade(fact.journal_offset, row["number"], fact.period, *(row[name] for name in columns))
        for fact in decided.of(Trades)
        for row in _rows(fact)
    ]


def check_rows(system: System, decided: Decided, trades: Sequence[Trade]) -> None:
    """ClickHouse has the same trades, settlements and order events, each once."""
    where = f"WHERE pool = '{POOL}' AND journal_offset <= {max(decided.journal)}"
    landed = [Trade(*row) for row in system.rows(f"SELECT {', '.join(Trade._fields)} FROM trades {where}")]
    assert Counter(landed) == Counter(trades)
    settled = system.rows(f"SELECT journal_offset, number, tokens, paid, earned FROM settlements {where}")
    paid = {(each.journal_offset, each.number, each.qty, *_money(each)) for each in trades}
    assert len(settled) == len(trades)
    assert set(settled) == paid
    events = Counter(
        (fact.journal_offset, row["tenant"], row["order_id"], str(row["event"]), row["qty"], row["open"], str(row["reason"]))
        for fact in decided.of(OrderEvents)
        if fact.pool == POOL
        for row in _rows(fact)
    )
    rows = system.rows(f"SELECT journal_offset, tenant, order_id, event, qty, open, reason FROM orders {where}")
    assert Counter(rows) == events


def _money(trade: Trade) -> tuple[int, int]:
    notional = trade.price * trade.qty
    return notional + trade.buyer_fee, notional - trade.seller_fee


# The same by an oracle


def check_oracle(decided: Decided) -> None:
    """The small, slow book of the tests, given the commands that reached a book in the order of the journal, trades the same."""
    books: dict[int, SlowBook] = defaultdict(SlowBook)
    refused = {
        fact.journal_offset: row["reason"]
        for fact in decided.of(OrderEvents)
        for row in _rows(fact)
        if row["event"] == OrderEventKind.REJECTED
    }
    taken = {fact.journal_offset for fact in decided.of(CommandTaken)}
    closes: dict[int, list[int]] = defaultdict(list)
    for fact in decided.of(BookPhase):
        if fact.phase == BookPhase.CLOSED:
            closes[fact.journal_offset].append(fact.period)
    rejects: list[tuple[str, str]] = []
    for offset, record in sorted(decided.journal.items()):
        for period in closes.get(offset, ()):
            books[period].do_close()
        reached = offset not in refused or refused[offset] in BOOKS_OWN
        if offset in taken and isinstance(record, OrderCommand | Change) and reached:
            book = books[record.period]
            before = len(book.rejects)
            book.do(_operation(record))
            rejects += [(name, reason) for name, reason in book.rejects[before:]]
    by_book = {period: [_oracles(trade) for trade in book.trades] for period, book in books.items() if book.trades}
    found: dict[int, list[tuple[str, str, int, int]]] = defaultdict(list)
    for trade in trades_of(decided):
        pair = sorted((_in_book(trade.buyer, trade.buy_order), _in_book(trade.seller, trade.sell_order)))
        found[trade.period].append((*pair, trade.price, trade.qty))
    assert not (wrong := differences(by_book, dict(found))), wrong
    assert Counter(reason for _, reason in rejects) == Counter(reason for reason in refused.values() if reason in BOOKS_OWN)


def _in_book(tenant: str, order: str) -> str:
    return f"{tenant} {order}"


def _oracles(trade: Mapping[str, Any]) -> tuple[str, str, int, int]:
    return (*sorted((trade["maker"], trade["taker"])), trade["price"], trade["qty"])


def _operation(command: OrderCommand | Change) -> dict[str, Any]:
    match command:
        case OrderCommand():
            tif = command.tif or (TimeInForce.GTC if command.order_type is OrderType.LIMIT else TimeInForce.IOC)
            return {
                "op": "new",
                "id": _in_book(command.tenant, command.id),
                "acct": command.tenant,
                "side": str(command.side),
                "qty": command.qty,
                "price": command.price,
                "type": str(command.order_type),
                "tif": str(tif),
                "post_only": command.post_only,
                "stp": str(command.stp),
                "expire": command.expire,
            }
        case CancelCommand() | ReduceCommand() | ReplaceCommand():
            named = {"op": command.KIND, "id": _in_book(command.tenant, command.order), "acct": command.tenant}
            asked = {name: getattr(command, name) for name in ("by", "price", "qty") if name in type(command).model_fields}
            return named | asked


# Money and tokens


def check_balances(system: System, decided: Decided) -> None:
    """The engine's accounts, and the rows of `ledger` up to the same journal record added up, are the same."""
    told = system.web(f"/pools/{POOL}/accounts")
    assert not told["more"]
    engines = {(asset, owner): (balance, held) for asset, owner, balance, held in told["accounts"]}
    until_landed(system, decided.partition, told["journal_offset"])
    sums: dict[tuple[int, str], list[int]] = defaultdict(lambda: [0, 0])
    rows = system.rows(
        "SELECT asset, debit_account, credit_account, entry, sum(toInt128(amount)) FROM ledger "
        f"WHERE pool = '{POOL}' AND journal_offset <= {told['journal_offset']} GROUP BY 1, 2, 3, 4"
    )
    for asset, debit, credit, entry, amount in rows:
        if entry in {"post", "capture"}:
            sums[asset, debit][0] -= amount
            sums[asset, credit][0] += amount
        sums[asset, debit][1] += {"hold": amount, "capture": -amount, "void": -amount}.get(entry, 0)
    landed = {key: (balance, held) for key, (balance, held) in sums.items() if balance or held}
    assert len(landed) > len(TENANTS)  # all have money; tokens of periods that are over are nobody's any more
    assert not (wrong := differences(engines, landed)), wrong


def audit(system: System) -> str:
    """`bourse audit` finds nothing, and compares with the engine's own accounts; what it looked at."""
    command = [sys.executable, "-c", "from infra.cli import main; main()", "audit", "--pool", POOL, "--json"]
    environment = {**os.environ, **system.settings.as_environment()}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (told,) = json.loads(done.stdout)["pools"]
    assert told["engine"]["accounts"] > 10
    assert told["findings"] == []
    assert told["postings"] > 1_000
    looked_at = {name: told[name] for name in ("postings", "order_events", "closings")}
    return f"{looked_at}, and {told['engine']['accounts']} accounts of the engine"
