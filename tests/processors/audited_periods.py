"""How periods must open and close, by what an auditor (auditor.py) has taken down; allocations are judged by the plain oracle."""

from collections import defaultdict

from allocation_oracle import solve

LARGEST_TOKENS = 2**53
FORECASTS = ("mean", "p50", "p90", "p99")
TOPICS = ("latency", "usage")


class AuditError(AssertionError):
    """A fact that does not follow, or a rule that was broken."""


def require(holds, what):
    if not holds:
        raise AuditError(what)


def following(facts):
    require(facts, "a fact is missing")
    return facts.pop(0)


class Pool:
    """What was taken down of a pool."""

    def __init__(self, period_s):
        self.period_s = period_s
        self.terms = []  # PoolSet, newest last
        self.profiles = {}  # tenant -> [ProfileSet], newest last
        self.open = None  # PeriodOpened
        self.in_force = None  # PoolSet of the open period
        self.allocation = {}  # tenant -> row of the open period
        self.closed = -1
        self.reports = []  # (period of the report's tick, tenant, used, requests), not yet in a closed period
        self.counted = {}  # tenant -> [used, requests] of the open period's future row
        self.metered = defaultdict(int)  # (tenant, period of tick) -> used, of all accepted reports
        self.paid_out = defaultdict(int)  # tenant -> used in closed periods
        self.last = defaultdict(int)  # tenant -> used in the last closed period
        self.average = defaultdict(int)
        self.mixture = None  # the plain oracle of the mixture, while terms name it
        self.spent = {}  # tenant -> (window_s, number, amount)

    def counts_each_token_once(self):
        """Closed periods, the open one and what waits for one to come, against all accepted reports."""
        found = defaultdict(int, self.paid_out)
        for tenant, (used, _) in self.counted.items() if self.open else ():
            found[tenant] += used
        for _, tenant, used, _ in self.reports:
            found[tenant] += used
        metered = defaultdict(int)
        for (tenant, _), used in self.metered.items():
            metered[tenant] += used
        require({k: v for k, v in found.items() if v} == {k: v for k, v in metered.items() if v}, "tokens lost or doubled")


class Periods:
    """What an auditor knows, and what follows from it for the facts of periods."""

    def __init__(self):
        self.tick, self.tick_ms, self.meters, self.grace = None, None, 0, 0
        self.marks, self.reports, self.commands, self.pools, self.closed = {}, set(), set(), {}, []
        self.moved = defaultdict(int)  # (pool, tenant) -> tokens of boosts less loans
        self.rebalanced = defaultdict(int)  # (pool, tenant) -> tokens that rebalancing moved since the newest profile
        self.delivered = {}  # (pool, period, tenant) -> (received, given), of the record that is read

    def fits(self, pool):
        return self.tick_ms is not None and pool.period_s * 1000 % self.tick_ms == 0

    def ticks(self, pool):
        return pool.period_s * 1000 // self.tick_ms

    def declared(self, pool, tenant):
        return self.pools[pool].profiles[tenant][-1].base + self.rebalanced[pool, tenant]

    def periods(self, facts):
        for name, pool in sorted(self.pools.items()):
            if not self.fits(pool):
                continue
            if pool.open is None:
                if self.tick is not None and self.tick >= pool.terms[-1].from_period * self.ticks(pool):
                    self.opens(name, pool, facts)
            elif self.is_due(pool):
                self.closes(name, pool, facts)
                self.opens(name, pool, facts)

    def late(self, pool):
        end = (pool.open.period + 1) * self.ticks(pool)
        meters = [(topic, partition) for topic in TOPICS for partition in range(self.meters)]
        return [f"{topic}/{partition}" for topic, partition in meters if self.marks.get((topic, partition), -1) < end]

    def is_due(self, pool):
        end = (pool.open.period + 1) * self.ticks(pool)
        return (self.meters > 0 and not self.late(pool)) or (self.tick is not None and self.tick >= end + self.grace)

    def closes(self, name, pool, facts):
        shown = {}
        while facts and facts[0].KIND == "allocations_closed":
            fact = following(facts)
            require((fact.pool, fact.period, fact.price) == (name, pool.open.period, pool.open.price), "of another period")
            require(0 < len(fact.tenant) <= 2000, "size of a chunk")
            for row in table(fact):
                require(row["tenant"] not in shown, "a tenant twice in a period")
                shown[row["tenant"]] = row
        require(list(shown) == sorted(shown, key=str.encode), "order of tenants")
        users = {tenant for tenant, counted in pool.counted.items() if any(counted)}
        traders = {tenant for tenant, row in shown.items() if row["bought"] or row["sold"]}
        require(set(shown) == set(pool.allocation) | users | traders, "who takes part")
        for tenant, row in shown.items():
            require([row.pop("used"), row.pop("requests")] == pool.counted.get(tenant, [0, 0]), f"used by {tenant}: {row}")
            nothing = dict.fromkeys(row, 0) | {"tenant": tenant, "budget_left": None, "rank": None}
            require(row["allocated"] == row["base"] + row["surplus"] + row["bought"] - row["sold"] >= 0, f"allocated: {row}")
            traded = {name: row[name] for name in ("bought", "sold", "allocated")}
            require(row == pool.allocation.get(tenant, nothing) | traded, f"{tenant} was allocated otherwise: {row}")
        self.closes_as_a_whole(pool, following(facts), shown.values())
        self.closed.append((name, pool.open.period))
        self.moves(name, pool)
        self.learn(pool)
        pool.closed, pool.open = pool.open.period, None

    def moves(self, name, pool):
        """Boosts and loans of a period's end: every token that one gets is another's, and each row goes on from the last."""
        bases = {tenant: self.declared(name, tenant) + self.moved[name, tenant] for tenant in pool.profiles}
        before = sum(bases.values())
        rows = [row for fact in self.sla if (fact.pool, fact.period) == (name, pool.open.period) for row in table(fact)]
        for row in rows:
            require(row["kind"] in {"boost", "loan", "verdict"}, f"kind: {row}")
            require(row["before"] == bases[row["tenant"]] and row["after"] >= 0, f"{row}, but the base is {bases[row['tenant']]}")
            require((row["kind"] == "verdict") == (row["after"] == row["before"]), f"moved: {row}")
            bases[row["tenant"]] = row["after"]
            self.moved[name, row["tenant"]] += row["after"] - row["before"]
        require(sum(bases.values()) == before, "the sum of bases")

    def closes_as_a_whole(self, pool, fact, rows):
        require(fact.KIND == "period_closed", f"period_closed: {fact}")
        for column in ("pool", "period", "period_start", "period_s", "policy", "capacity", "price"):
            require(getattr(fact, column) == getattr(pool.open, column), column)
        require(fact.allocated == sum(row["allocated"] for row in rows), "Σ allocated")
        require(fact.capacity == fact.allocated + fact.unallocated >= fact.allocated >= pool.open.allocated, "capacity")
        require(fact.used == min(sum(used for used, _ in pool.counted.values()), 2**63 - 1), "used")
        require((fact.tenants, fact.closed_tick) == (len(rows), -1 if self.tick is None else self.tick), "tenants, closed_tick")
        require(fact.late_meters == self.late(pool), "late meters")

    def learn(self, pool):
        for tenant, (used, _) in pool.counted.items():
            pool.paid_out[tenant] += used
        for tenant in {*pool.counted, *pool.average, *pool.last}:
            used = min(pool.counted.get(tenant, [0])[0], LARGEST_TOKENS)
            pool.last[tenant] = used
            pool.average[tenant] += (used * 1000 - pool.average[tenant]) // 4
        if pool.mixture is not None:
            self.learn_mixture(pool)
        # Never before it was used: up to this period, no tenant's periods hold more than was metered up to it.
        for tenant, sum_of_periods in pool.paid_out.items():
            metered = sum(used for (who, period), used in pool.metered.items() if who == tenant and period <= pool.open.period)
            require(
                sum_of_periods == metered, f"{tenant} used {metered} up to period {pool.open.period}, but {sum_of_periods} count"
            )

    def learn_mixture(self, pool):
        """Of whoever has a profile in force or ever used anything. Who used nothing while a meter was late was not observed."""
        late = any(meter.startswith("usage/") for meter in self.late(pool))
        seen = {tenant for tenant, known in pool.mixture.tenants.items() if known.seen}
        users = {tenant for tenant, (used, _) in pool.counted.items() if used}
        used = {tenant: min(pool.counted.get(tenant, [0])[0], LARGEST_TOKENS) for tenant in seen | users | set(pool.allocation)}
        pool.mixture.learn(
            pool.open.period, {tenant: None if late and not tokens else float(tokens) for tenant, tokens in used.items()}
        )

    def expected(self, pool, forecaster, period, bidders):
        """tenant -> (mean, p50, p90, p99)."""
        match forecaster:
            case "last_value":
                return {tenant: (pool.last[tenant], None, None, None) for tenant in bidders}
            case "exponential":
                return {tenant: ((pool.average[tenant] + 500) // 1000, None, None, None) for tenant in bidders}
        told = pool.mixture.forecast(period, bidders)
        return {tenant: tuple(min(round(tokens), LARGEST_TOKENS) for tokens in told[tenant]) for tenant in bidders}

    def opens(self, name, pool, facts):
        bidders = sorted(pool.profiles, key=str.encode)
        terms = pool.terms[-1]
        forecast, period = {}, None
        while facts and facts[0].KIND == "forecasts":
            fact = following(facts)
            period = fact.period
            require(fact.forecaster == terms.forecaster, "forecaster")
            forecast |= {row["tenant"]: tuple(row[name] for name in FORECASTS) for row in table(fact)}
        expected = self.expected(pool, terms.forecaster, period, bidders)
        require(list(forecast) == bidders, "whose demand is forecast")
        require(same_forecasts(forecast, expected), f"forecasts {forecast}, expected {expected}")
        chosen = {tenant: FORECASTS.index(pool.profiles[tenant][-1].bid_on) for tenant in bidders}
        demand = {tenant: row[0] if row[chosen[tenant]] is None else row[chosen[tenant]] for tenant, row in forecast.items()}
        opened = following(facts)
        require(period in (None, opened.period), "forecasts are of another period")
        if terms.forecaster != "mixture":
            pool.mixture = None
        require(opened.KIND == "period_opened" and opened.pool == name, f"period_opened: {opened}")
        require(opened.period > pool.closed, "periods ascend")
        now = (0 if self.tick is None else max(self.tick, 0)) // self.ticks(pool)
        require(opened.period >= max(now, terms.from_period if pool.closed < 0 else 0), "a period that is over opens")
        start = opened.period * pool.period_s * 1000
        require((opened.period_start, opened.period_s) == (start, pool.period_s), "start of a period")
        for column in ("policy", "capacity", "base_price", "reserve_price"):
            require(getattr(opened, column) == getattr(terms, column), column)
        pool.open, pool.in_force, pool.allocation = opened, terms, self.allocation(pool, opened, bidders, demand, facts)
        pool.counted = {}
        for period, tenant, used, requests in pool.reports:
            require(period <= opened.period, f"usage of period {period} would count in {opened.period}")
            counted = pool.counted.setdefault(tenant, [0, 0])
            counted[0] += used
            counted[1] += requests
        pool.reports = []

    def allocation(self, pool, opened, bidders, demand, facts):
        """The rows of the period that opens, each judged by the oracle and by the invariants."""
        given, posted = {}, {}
        while facts and facts[0].KIND in {"allocations_opened", "postings"} and facts[0].pool == opened.pool:
            fact = following(facts)
            if fact.KIND == "postings":
                same = {"credit_account": "operator", "entry": "post", "code": "allocation", "asset": -1, "hold": ""}
                for column, value in same.items():
                    require(set(getattr(fact, column)) == {value}, column)
                for account, amount in zip(fact.debit_account, fact.amount, strict=True):
                    require(account not in posted and amount > 0, "posted twice, or nothing")
                    posted[account] = amount
            else:
                given |= {row["tenant"]: row for row in table(fact)}
        require(list(given) == bidders, "who is allocated")
        require(opened.tenants == len(bidders), "tenants")
        profiles = {tenant: pool.profiles[tenant][-1] for tenant in bidders}
        bases = {tenant: self.declared(opened.pool, tenant) + self.moved[opened.pool, tenant] for tenant in bidders}
        start_s = opened.period_start // 1000
        left = {tenant: self.budget_left(pool, profiles[tenant], start_s) for tenant in bidders}
        answer = solve(
            {
                "policy": opened.policy,
                "capacity": opened.capacity,
                "base_price": opened.base_price,
                "reserve_price": opened.reserve_price,
                "tenants": [
                    {
                        "id": tenant,
                        "base": bases[tenant],
                        "elasticity": profiles[tenant].elasticity,
                        "demand": demand[tenant],
                        "budget_left": left[tenant],
                        "weight": profiles[tenant].weight,
                    }
                    for tenant in bidders
                ],
            }
        )
        require((opened.price, opened.unallocated) == (answer["price"], answer["unallocated"]), "price, unallocated")
        require(opened.allocated == opened.capacity - opened.unallocated, "allocated")
        require(sum(row["allocated"] for row in given.values()) == opened.allocated, "Σ allocated + unallocated = capacity")
        enough = sum(bases.values()) <= opened.capacity
        for tenant, row in given.items():
            profile, fair = profiles[tenant], answer["allocations"][tenant]
            require(all(row[name] == fair[name] for name in ("base", "surplus", "charge")), f"{row} should be {fair}")
            require(row["base"] + row["shortfall"] == bases[tenant], "base + shortfall")
            require(not enough or row["shortfall"] == 0, "the guarantee")
            require(row["allocated"] == row["base"] + row["surplus"] + row["bought"] - row["sold"] >= 0, "allocated")
            received, gave = self.delivered.get((opened.pool, opened.period, tenant), (0, 0))
            require((row["bought"], row["sold"]) == (received, gave), f"{tenant} was delivered otherwise")
            require(row["charge"] == row["base"] * opened.base_price + row["surplus"] * opened.price, "charge")
            expected = (profile.elasticity, profile.weight, demand[tenant], left[tenant])
            require((row["elasticity"], row["weight"], row["demand"], row["budget_left"]) == expected, f"{row}: inputs")
            if left[tenant] is not None:
                base_cost = bases[tenant] * opened.base_price
                require(row["surplus"] * opened.price <= max(0, left[tenant] - base_cost), "surplus beyond the budget")
            require(posted.pop(f"billed/{tenant}", 0) == row["charge"], "posting")
            self.spend(pool, profile, start_s, row["charge"])
        require(not posted, f"postings of nobody: {posted}")
        return given

    def budget_left(self, pool, profile, start_s):
        if profile.budget_amount is None:
            return None
        window_s = profile.budget_window_s
        spent = pool.spent.get(profile.tenant, (None, None, 0))
        return max(0, profile.budget_amount - (spent[2] if spent[:2] == (window_s, start_s // window_s) else 0))

    def spend(self, pool, profile, start_s, amount):
        window_s = profile.budget_window_s
        window = (window_s, start_s // window_s if window_s else 0)
        spent = pool.spent.get(profile.tenant, (None, None, 0))
        pool.spent[profile.tenant] = (*window, (spent[2] if spent[:2] == window else 0) + amount)


def same_forecasts(told, expected):
    """Whole tokens. The oracle adds in another order: a sum near a half may be rounded otherwise, and so may its last places."""
    return all(
        (said is None) == (right is None) and (said == right or abs(said - right) <= max(1, right / 10**9))
        for tenant, row in told.items()
        for said, right in zip(row, expected[tenant], strict=True)
    )


def table(fact):
    """The rows of a fact of columns, as dictionaries."""
    columns = [name for name, value in fact.__dict__.items() if isinstance(value, list)]
    return [dict(zip(columns, values, strict=True)) for values in zip(*(fact.__dict__[name] for name in columns), strict=True)]
