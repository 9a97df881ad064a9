"""Random pools for what explains them: their recorded rows are the plain oracle's, which shares nothing with what is judged."""

from allocation_oracle import MILLION, solve
from hypothesis import strategies as st

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


def changed(case, name, of, value):
    """The case with one other input; `of` is the tenant whose it is, None: the pool's."""
    if of is None:
        return case | {name: value}
    return case | {"tenants": [each | ({name: value} if each["id"] == of else {}) for each in case["tenants"]]}
