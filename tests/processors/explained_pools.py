"""Pools for what explains them: periods that were decided, and random ones, recorded as the plain oracle says.

The oracle shares nothing with what is judged.
"""

from allocation_oracle import MILLION, solve
from hypothesis import strategies as st
from journal_world import World, pool, profile, usage

from processors.explain import PeriodInputs
from schemas.published import Policy

POLICIES = tuple(Policy)

_tokens = st.one_of(st.integers(0, 12), st.integers(0, 3_000))
_shares = st.one_of(st.integers(0, 4).map(lambda whole: whole * MILLION), st.integers(0, 5 * MILLION))


@st.composite
def cases(draw, policies=POLICIES):
    """What the oracle solves; at least one tenant, each with a weight."""
    rows = draw(
        st.lists(st.tuples(_tokens, _shares, _tokens, st.none() | st.integers(-5, 20_000), _shares), min_size=1, max_size=6)
    )
    names = ("base", "elasticity", "demand", "budget_left", "weight")
    tenants = [{"id": f"t{at}", **dict(zip(names, row, strict=True))} for at, row in enumerate(rows)]
    return {
        "policy": draw(st.sampled_from(policies)),
        "capacity": draw(_tokens) + draw(_tokens),
        "base_price": draw(st.integers(0, 3)),
        "reserve_price": draw(st.integers(0, 9)),
        "tenants": tenants,
    }


def recorded(case):
    """The period as the engine would have recorded it, by the oracle."""
    answer, tenants = solve(case), case["tenants"]
    seed = case["policy"] == "seed"
    bids = [each["elasticity"] * each["demand"] // MILLION if seed else max(0, each["demand"] - each["base"]) for each in tenants]
    order = sorted(range(len(bids)), key=lambda at: (-bids[at], at))
    given = [answer["allocations"][each["id"]] for each in tenants]
    return PeriodInputs(
        pool="llm",
        period=7,
        policy=Policy(case["policy"]),
        **{name: case[name] for name in ("capacity", "base_price", "reserve_price")},
        price=answer["price"],
        unallocated=answer["unallocated"],
        rows={
            "tenant": [each["id"] for each in tenants],
            **{name: [each[name] for each in tenants] for name in ("elasticity", "weight", "demand", "budget_left")},
            **{name: [each[name] for each in given] for name in ("base", "surplus", "charge")},
            "allocated": [each["base"] + each["surplus"] for each in given],
            "shortfall": [answer["shortfall"].get(each["id"], 0) for each in tenants],
            "bid": bids,
            "rank": [order.index(at) + 1 if seed else None for at in range(len(bids))],
            **dict.fromkeys(("used", "bought", "sold"), [0] * len(tenants)),
        },
        bidders=frozenset(each["id"] for each in tenants),
    )


def outcome(case, tenant):
    """(tokens, charge) by the oracle."""
    got = solve(case)["allocations"][tenant]
    return got["base"] + got["surplus"], got["charge"]


def by_policy(policies, calm="calm"):
    """Periods 5 to 8 of pools that are called as their policies; the last one of `seed` is short of capacity.

    Tenant `poor` has a budget, `guest` no profile; `calm` is the name of a third one.
    """
    world = World()
    world.tick(8)
    for policy in policies:
        world.take(
            pool(pool=policy, policy=policy, capacity=1000, base_price=2, reserve_price=5),
            profile("1", "big", pool=policy, base=200, elasticity=3),
            profile("2", "poor", pool=policy, base=100, elasticity=2, budget=(1500, 100)),
            profile("3", calm, pool=policy, base=50, elasticity=1, weight=2),
        )
    for number in range(9, 17):
        for policy in policies:
            world.take(usage(number, {"big": 300, "poor": 250, calm: 200, "guest": 1}, pool=policy))
        world.run(number, number)
    world.take(pool("p2", pool="seed", policy="seed", capacity=280, base_price=2, reserve_price=5))
    world.run(17, 20)
    return world


def changed(case, name, of, value):
    """The case with one other input; `of` is the tenant whose it is, None: the pool's."""
    if of is None:
        return case | {name: value}
    return case | {"tenants": [each | ({name: value} if each["id"] == of else {}) for each in case["tenants"]]}
