"""An auditor of the engine: reads a journal and its facts, and says what is wrong. Plain dictionaries and Python integers, no
state, no code of the engine's; allocations are judged by the plain oracle.

What the market decided is not judged here (market_checks.py, processors/auditor.py), only what came of it: that it leaves the
rules of periods as they are, and that allocations tell what was delivered.
"""

from collections import defaultdict

from audited_periods import Periods, Pool, following, require, table
from forecast_oracle import Oracle
from priors_auditor import audit_priors

MILLION = 1_000_000
MARKET = {"deposit", "key", "call", "order", "cancel", "reduce", "replace", "transfer", "accept", "bot", "turned_away"}
"""Records of the market."""
PERIODS = {
    "ticked",
    "meter_marked",
    "command_refused",
    "pool_set",
    "profile_set",
    "usage_counted",
    "usage_unrouted",
    "forecasts",
    "priors_set",
    "profiles_primed",
    "period_opened",
    "allocations_opened",
    "allocations_closed",
    "period_closed",
}
"""Facts that are not the market's; and postings of allocations."""


def audit(journal, facts):
    """Raises AuditError at the first thing that is wrong; else returns the closed (pool, period)s in their order."""
    auditor = _Auditor()
    by_offset = defaultdict(list)
    for fact in facts:
        by_offset[fact.journal_offset].append(fact)
    require(len(facts) == sum(map(len, by_offset.values())), "facts")
    ids = [(fact.journal_offset, fact.fact_index) for fact in facts]
    require(ids == sorted(set(ids)), "ids of facts do not ascend")
    for offset, record in journal:
        auditor.take(record, by_offset.pop(offset, []))
    require(not by_offset, f"facts of records that are not there: {list(by_offset)}")
    for pool in auditor.pools.values():
        pool.counts_each_token_once()
    return auditor.closed


class _Auditor(Periods):
    def take(self, record, facts):
        kind = record.KIND
        self.delivered = {
            (fact.pool, fact.period, tenant): (received, given)
            for fact in facts
            if fact.KIND == "deliveries"
            for tenant, received, given in zip(fact.tenant, fact.received, fact.given, strict=True)
        }
        self.sla = [fact for fact in facts if fact.KIND == "base_changes"]
        facts = [fact for fact in facts if fact.KIND in PERIODS or (fact.KIND == "postings" and fact.code[0] == "allocation")]
        if kind in MARKET:
            require(all(fact.KIND == "command_refused" for fact in facts), f"{kind} touches periods: {facts[:1]}")
            return
        {
            "tick": self.on_tick,
            "meter_mark": self.on_mark,
            "usage_sums": self.on_usage,
            "pool": self.on_pool,
            "profile": self.on_profile,
            "priors": self.on_priors,
            "latency_sums": lambda _record, _facts: None,
            "rebalance": self.on_rebalance,
        }[kind](record, facts)
        require(not facts, f"facts that nobody expects: {facts[:1]}")

    # Time

    def on_tick(self, record, facts):
        if self.tick is not None and record.tick <= self.tick:
            return
        first = self.tick is None
        self.tick, self.tick_ms, self.meters, self.grace = (
            record.tick,
            record.tick_ms,
            record.meter_partitions,
            record.grace_ticks,
        )
        require(following(facts).KIND == "ticked", "ticked")
        if first:
            for name, pool in sorted(self.pools.items()):
                if not self.fits(pool):
                    refused = following(facts)
                    require((refused.reason, refused.pool) == ("period_not_whole_ticks", name), "misfit")
        self.periods(facts)

    def on_mark(self, record, facts):
        meter = (record.meter_topic, record.meter_partition)
        if record.tick <= self.marks.get(meter, -1):
            return
        self.marks[meter] = record.tick
        require(following(facts).KIND == "meter_marked", "meter_marked")
        self.periods(facts)

    # Commands

    def on_pool(self, record, facts):
        if (record.pool, record.id) in self.commands:
            return
        self.commands.add((record.pool, record.id))
        pool = self.pools.get(record.pool)
        fact = following(facts)
        reason = self.why_not_pool(record, pool)
        if reason:
            require((fact.KIND, fact.KIND == "command_refused" and fact.reason) == ("command_refused", reason), f"{reason}: {fact}")
            return
        require(fact.KIND == "pool_set", f"pool_set: {fact}")
        require(fact.version == (len(pool.terms) if pool else 0) + 1, "version of a pool")
        if pool is None:
            pool = self.pools[record.pool] = Pool(record.period_s)
        pool.period_s = record.period_s
        pool.terms.append(fact)
        if fact.forecaster == "mixture" and (pool.mixture is None or pool.mixture.period_s != pool.period_s):
            pool.mixture = Oracle(pool.period_s)
        for name in ("capacity", "policy", "base_price", "reserve_price", "cached_weight", "forecaster"):
            require(getattr(fact, name) == getattr(record, name), name)
        require(fact.from_period > (pool.open.period if pool.open else -1), "a pool's version must hold from a period to come")

    def on_priors(self, record, facts):
        if (record.pool, record.id) not in self.commands:
            self.commands.add((record.pool, record.id))
            audit_priors(record, self.pools.get(record.pool), facts, require)

    def why_not_pool(self, record, pool):
        if self.tick_ms and record.period_s * 1000 % self.tick_ms:
            return "period_not_whole_ticks"
        if pool and self.fits(pool) and pool.period_s != record.period_s:
            return "period_fixed"
        elasticity = max((versions[-1].elasticity for versions in pool.profiles.values()), default=0) if pool else 0
        return self.too_dear(record, elasticity)

    @staticmethod
    def too_dear(terms, elasticity):
        dearest = max(terms.base_price, terms.reserve_price, 1, elasticity * terms.reserve_price // MILLION)
        return "exceeds_money" if max(terms.capacity, 1) * dearest >= 2**63 else None

    def on_profile(self, record, facts):
        if (record.pool, record.id) in self.commands:
            return
        self.commands.add((record.pool, record.id))
        pool = self.pools.get(record.pool)
        fact = following(facts)
        reason = "unknown_pool" if pool is None else self.why_not_profile(record, pool)
        if pool is not None and not reason and fact.KIND == "command_refused" and fact.reason == "sold_forward":
            require(record.base < pool.profiles[record.tenant][-1].base, "only who lowers its base has sold too much of it")
            return
        if reason:
            require((fact.KIND, fact.KIND == "command_refused" and fact.reason) == ("command_refused", reason), f"{reason}: {fact}")
            return
        require(fact.KIND == "profile_set", f"profile_set: {fact}")
        versions = pool.profiles.setdefault(record.tenant, [])
        require(fact.version == len(versions) + 1, "version of a profile")
        require(fact.from_period > (pool.open.period if pool.open else -1), "a profile must hold from a period to come")
        versions.append(fact)
        self.rebalanced[record.pool, record.tenant] = 0
        for name in ("base", "elasticity", "weight", "sla_ms", "tier", "bid_on"):
            require(getattr(fact, name) == getattr(record, name), name)

    def why_not_profile(self, record, pool):
        bases = {tenant: self.declared(record.pool, tenant) for tenant in pool.profiles}
        before = bases.get(record.tenant, 0)
        bases[record.tenant] = record.base
        if record.base > before and sum(bases.values()) > pool.terms[-1].capacity:
            return "oversubscribed"
        return self.too_dear(pool.terms[-1], record.elasticity)

    def on_rebalance(self, record, facts):
        """Bases go towards their needs, and no further; what is given is taken."""
        self.commands.add((record.pool, record.id))
        if facts and facts[0].KIND == "command_refused":
            following(facts)
        total = 0
        for row in (row for fact in self.sla for row in table(fact)):
            tenant, by = row["tenant"], row["after"] - row["before"]
            require(row["kind"] == "rebalance" and by, f"of another kind: {row}")
            require(row["before"] == self.declared(record.pool, tenant) + self.moved[record.pool, tenant], f"base: {row}")
            self.rebalanced[record.pool, tenant] += by
            total += by
            need, now = dict(zip(record.tenant, record.need, strict=True)).get(tenant), self.declared(record.pool, tenant)
            require(
                record.chunks > 1 or (now - by < now <= need if by > 0 else now - by > now >= need), f"not towards {need}: {row}"
            )
        require(total == 0, "the sum of bases")

    # Usage

    def on_usage(self, record, facts):
        meter = (record.meter_topic, record.meter_partition)
        identity = (*meter, record.tick, record.pool, record.chunk)
        if record.tick <= self.marks.get(meter, -1) or identity in self.reports:
            return
        self.reports.add(identity)
        fact = following(facts)
        pool = self.pools.get(record.pool)
        if pool is None:
            require(fact.KIND == "usage_unrouted", "usage_unrouted")
            for column in ("tenant", "requests", "input_tokens", "cached_input_tokens", "output_tokens"):
                require(getattr(fact, column) == getattr(record, column), column)
            return
        require(fact.KIND == "usage_counted", f"usage_counted: {fact}")
        weight = (pool.in_force or pool.terms[-1]).cached_weight
        period = (record.tick - 1) // self.ticks(pool) if self.fits(pool) else 0
        for at, tenant in enumerate(record.tenant):
            fresh = record.input_tokens[at] - record.cached_input_tokens[at]
            used = fresh + record.cached_input_tokens[at] * weight // MILLION + record.output_tokens[at]
            require((fact.tenant[at], fact.used[at], fact.requests[at]) == (tenant, used, record.requests[at]), "counted otherwise")
            pool.metered[tenant, period] += used
            row = (period, tenant, used, record.requests[at])
            # It counts in the open period if it was used in it or before, else in one to come.
            if pool.open and period <= pool.open.period:
                counted = pool.counted.setdefault(tenant, [0, 0])
                counted[0] += used
                counted[1] += record.requests[at]
            else:
                pool.reports.append(row)
