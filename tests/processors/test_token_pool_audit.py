"""Random token pools, audited: limits, debts and alarms are computed anew from the other facts, and held against those told."""

import random

import limits_oracle
import pytest
from journal_world import refold, state_bytes
from pool_world import PERIOD, PoolWorld, of_kind, tenant, token_pool

from processors.allocation import POLICIES
from schemas.facts import PeriodClosed
from schemas.sharing_facts import Debts, Limits, Shortfalls

M = 10**6
DIMENSIONS = ("throughput", "kv", "concurrency")
PARTS = ("nominal", "borrowing", "kept")
NAMES = ("a", "b", "c", "Z", "é", "\U00010000", "t/1")
TIERS = ("dedicated", "guaranteed", "elastic", "elastic", "elastic", "spot", "preemptible")


class Row:
    """One tenant."""

    def __init__(self):
        self.declared, self.quotas = None, None
        self.profile, self.entitlement = None, None
        self.allocated = self.owed = self.debt = 0
        self.recent = dict.fromkeys(DIMENSIONS, 0)
        self.told = None
        self.alarms = dict.fromkeys(DIMENSIONS, 0)
        self.forget()

    def forget(self):
        self.served = self.refused = self.kv = self.concurrency = 0

    def quota(self, name, default=None):
        value = None if self.entitlement is None else getattr(self.entitlement, name)
        return default if value is None else value


class Auditor:
    """Takes every fact; checks those of token pools."""

    def __init__(self):
        self.rows, self.terms, self.metered, self.tick, self.marks, self.grace = {}, None, -1, 0, {}, 0
        self.expected, self.checked = None, 0

    def row(self, name):
        return self.rows.setdefault(name, Row())

    def take(self, fact):
        getattr(self, f"on_{fact.KIND}", lambda _: None)(fact)

    def on_ticked(self, fact):
        self.settle()
        self.tick, self.grace = fact.tick, fact.grace_ticks

    def on_meter_marked(self, fact):
        self.marks[fact.meter_topic] = fact.tick

    def on_token_pool_set(self, fact):
        self.terms = fact

    def on_profile_set(self, fact):
        self.row(fact.tenant).declared = fact

    def on_entitlement_set(self, fact):
        self.row(fact.tenant).quotas = fact

    def on_period_opened(self, _):
        for row in self.rows.values():
            row.profile, row.entitlement = row.declared, row.quotas

    def on_allocations_opened(self, fact):
        for name, allocated, owed in zip(fact.tenant, fact.allocated, fact.shortfall, strict=True):
            self.row(name).allocated, self.row(name).owed = allocated, owed

    def on_usage_counted(self, fact):
        for name, used in zip(fact.tenant, fact.used, strict=True):
            self.row(name).served += used

    def on_admissions_counted(self, fact):
        for name, tokens, kv, requests in zip(
            fact.tenant, fact.refused_tokens, fact.wanted_kv, fact.wanted_concurrency, strict=True
        ):
            row = self.row(name)
            row.refused += tokens
            row.kv, row.concurrency = max(row.kv, kv), max(row.concurrency, requests)

    def on_debts(self, fact):
        for name, owed in zip(fact.tenant, fact.debt, strict=True):
            assert self.row(name).debt != owed, "only what changed is told"
            self.row(name).debt = owed

    def on_limits(self, fact):
        columns = [getattr(fact, f"{dimension}_{part}") for dimension in DIMENSIONS for part in PARTS]
        for name, *told in zip(fact.tenant, fact.tier, *columns, strict=True):
            assert self.row(name).told != tuple(told), "only what changed is told"
            self.row(name).told = tuple(told)

    def on_shortfalls(self, fact):
        for name, dimension, short in zip(fact.tenant, fact.dimension, fact.shortfall, strict=True):
            assert self.row(name).alarms[dimension] != short, "only what changed is told"
            self.row(name).alarms[dimension] = short

    def settle(self):
        """Everything of the last sharing has been told."""
        if self.expected is not None:
            found = {name: (self.rows[name].debt, self.rows[name].told, self.rows[name].alarms) for name in self.expected}
            assert found == self.expected
            self.checked += 1
        self.expected = None

    def on_capacity_shared(self, fact):
        """What must now be told."""
        rows = {name: row for name, row in sorted(self.rows.items()) if row.profile is not None}
        metered = max(self.marks.get("usage", -1), self.tick - self.grace, 0)
        elapsed = 0 if self.metered < 0 else max(metered - self.metered, 0) * 1000
        assert (fact.metered_tick, fact.elapsed_ms, fact.tick) == (metered, elapsed, self.tick)
        self.metered = max(metered, self.metered)
        rates, debts = self.rates(rows), {name: row.debt for name, row in rows.items()}
        if elapsed:
            debts = self.debts(rows, rates, elapsed)
            for row in self.rows.values():
                self.remember(row, elapsed)
        kept = {name: self.kept(name, rows, rates, debts) for name in DIMENSIONS}
        self.expected = {}
        for at, (name, row) in enumerate(rows.items()):
            told = [row.profile.tier]
            alarms = {}
            for dimension in DIMENSIONS:
                nominal, _, held = kept[dimension][at]
                told += [nominal, row.quota(f"{dimension}_borrowing"), held]
                alarms[dimension] = self.promised(row, dimension) - nominal if self.reserved(row) else 0
            self.expected[name] = (debts[name], tuple(told), alarms)

    @staticmethod
    def reserved(row):
        return row.profile.tier in ("dedicated", "guaranteed")

    def right(self, row, dimension):
        """The nominal quota, as allocated or declared."""
        if dimension == "throughput":
            return row.allocated // PERIOD
        replica = getattr(self.terms, f"replica_{dimension}" + ("_blocks" if dimension == "kv" else ""))
        share = replica * row.profile.base // (self.terms.replica_tokens_per_s * PERIOD) if self.reserved(row) else 0
        return row.quota(f"{dimension}_nominal", share)

    def promised(self, row, dimension):
        """With what the period owes of the base."""
        if dimension == "throughput" and self.reserved(row):
            return (row.allocated + row.owed) // PERIOD
        return self.right(row, dimension)

    def capacity(self, dimension):
        replica = {"throughput": "tokens_per_s", "kv": "kv_blocks", "concurrency": "concurrency"}[dimension]
        return self.terms.replicas * getattr(self.terms, f"replica_{replica}")

    def columns(self, row, dimension, right):
        return row.profile.tier, right, row.quota(f"{dimension}_borrowing"), row.quota(f"{dimension}_lending")

    def rates(self, rows):
        """Elastic: what weights make of all that is ever lent."""
        everything = [(*self.columns(row, "throughput", self.promised(row, "throughput")), 0, 0) for row in rows.values()]
        never_lent = sum(held for _, _, held in limits_oracle.kept(self.capacity("throughput"), everything))
        elastic = {name: row for name, row in rows.items() if row.profile.tier == "elastic"}
        most = [2**63 - 1 if (limit := self.most(row)) is None else limit for row in elastic.values()]
        weights = [row.profile.weight for row in elastic.values()]
        shares = limits_oracle.share_until_limits(self.capacity("throughput") - never_lent, weights, most)
        reserved = {name: self.promised(row, "throughput") for name, row in rows.items() if self.reserved(row)}
        return dict.fromkeys(rows, 0) | reserved | dict(zip(elastic, shares, strict=True))

    def most(self, row):
        borrowing = row.quota("throughput_borrowing")
        return None if borrowing is None else self.right(row, "throughput") + borrowing

    def debts(self, rows, rates, elapsed):
        ticks = [
            (
                row.profile.tier,
                self.promised(row, "throughput"),
                row.quota("throughput_borrowing"),
                row.profile.weight,
                row.served + row.refused,
                row.served,
            )
            for row in rows.values()
        ]
        due = limits_oracle.due(ticks, elapsed)
        fade = round(M * 2 ** (-elapsed / (self.terms.debt_half_life_s * 1000)))
        stepped = {}
        for (name, row), owed in zip(rows.items(), due, strict=True):
            most = rates[name] * self.terms.debt_bound_s * 1000
            least = -(most * (M * M // (M + self.terms.debt_gain)) // M) if row.profile.tier == "elastic" else 0
            before = min(max(row.debt, least), most)
            faded = abs(before) * fade // M * (1 if before > 0 else -1)
            now = min(max(faded + 1000 * (owed - row.served), least), most)
            stepped[name] = 0 if abs(now) <= most // 1000 else now
        return stepped

    def remember(self, row, elapsed):
        seen = {"throughput": -(-(row.served + row.refused) * 1000 // elapsed), "kv": row.kv, "concurrency": row.concurrency}
        for name, now in seen.items():
            row.recent[name] = max(now, row.recent[name] - -(-row.recent[name] // 8))
        row.forget()

    def weight(self, name, row, rates, debts):
        bound = rates[name] * self.terms.debt_bound_s * 1000
        if not bound:
            return row.profile.weight
        gain = self.terms.debt_gain
        factor = max(M + gain * (debts[name] * M // bound) // M, M * M // (M + gain))
        return max(row.profile.weight * factor // M, min(row.profile.weight, 1))

    def kept(self, dimension, rows, rates, debts):
        tenants = [
            (
                *self.columns(row, dimension, self.right(row, dimension)),
                self.weight(name, row, rates, debts),
                row.recent[dimension],
            )
            for name, row in rows.items()
        ]
        return limits_oracle.kept(self.capacity(dimension), tenants)


def quota(chance, most):
    """(nominal, borrowing, lending), some of them not given."""
    nominal = chance.choice([None, chance.randint(1, most)])
    lending = None if nominal is None else chance.choice([None, None, chance.randint(0, nominal)])
    return nominal, chance.choice([None, None, 0, chance.randint(0, most)]), lending


def asked(chance):
    """As `admissions` has it."""
    return chance.randint(0, 9), chance.choice([0, 500, 3000]), *(chance.randint(0, most) for most in (90, 200, 9))


def declared(chance, number):
    tier = chance.choice(TIERS)
    base = chance.choice([0, chance.randint(0, 3000)])
    kv, concurrency = quota(chance, 120), quota(chance, 8)
    if tier == "dedicated":
        kv, concurrency = (*kv[:2], None), (*concurrency[:2], None)
    lending = chance.choice([None, None, 0, base // PERIOD])
    return tenant(
        f"c{number}",
        chance.choice(NAMES),
        tier=tier,
        base=base,
        weight=chance.choice(["0", "0.5", "1", "1", "3"]),
        throughput=chance.choice([None, (chance.choice([None, 0, 150]), None if tier == "dedicated" else lending)]),
        kv=chance.choice([None, kv]),
        concurrency=chance.choice([None, concurrency]),
    )


@pytest.mark.parametrize("seed", range(12))
def test_limits_debts_and_alarms_are_what_the_rules_say(seed):
    chance = random.Random(seed)
    terms = {
        "policy": chance.choice(list(POLICIES)),
        "debt_half_life_s": chance.choice([1, 5, 60]),
        "debt_gain": chance.choice([0, 1, "2.5"]),
        "debt_bound_s": chance.choice([1, 10, 30]),
        "debt_weights": chance.random() < 0.5,
    }
    here = PoolWorld(*(declared(chance, f"begin{number}") for number in range(6)), **terms)
    for number in range(90):
        crowd = chance.sample(NAMES, chance.randint(0, len(NAMES)))
        used = {name: chance.choice([0, 20, 300, 900]) for name in crowd if chance.random() < 0.8}
        refused = {
            name: (
                chance.randint(0, 9),
                chance.choice([0, 500, 3000]),
                chance.randint(0, 90),
                chance.randint(0, 200),
                chance.randint(0, 9),
            )
            for name in crowd
            if chance.random() < 0.5
        }
        here.second(used, refused, marked=chance.random() < 0.85)
        if chance.random() < 0.2:
            here.take(declared(chance, number))
        if chance.random() < 0.06:
            here.take(token_pool(f"p{number}", replicas=chance.choice([0, 3, 7, 10, 10]), **terms))
    auditor = Auditor()
    for fact in here.facts:
        auditor.take(fact)
    auditor.settle()
    assert auditor.checked > 80
    assert {type(fact) for fact in of_kind(here.facts, (Limits, Debts, Shortfalls))} >= {Limits, Debts}
    assert len(of_kind(here.facts, PeriodClosed)) > 5
    assert state_bytes(refold(here.facts)) == state_bytes(here.state)
