"""Pools to divide, as the allocation door takes them: written by hand, and random ones."""

import json

from processors.allocation.door import answer_line
from processors.allocation.exact import INT64_MAX


def tenant(name, base=0, elasticity=0.0, demand=0, budget=None, *, weight=1):
    return {
        "id": name,
        "base": base,
        "elasticity": round(elasticity * 1_000_000),
        "demand": demand,
        "budget_left": budget,
        "weight": weight,
    }


def pool(policy, capacity, *tenants, base_price=1, reserve_price=1):
    return {
        "policy": policy,
        "capacity": capacity,
        "base_price": base_price,
        "reserve_price": reserve_price,
        "tenants": list(tenants),
    }


def through_the_door(case):
    return json.loads(answer_line(json.dumps(case).encode()))


SCALES = (0, 1, 2, 5, 30, 1_000, 10**6, 10**9, 2**40, 2**53, 2**60, INT64_MAX)


def random_pool(rnd, policy):
    """Half of the pools are small, so that ties, exact fits and leftover units abound; the others mix every order of magnitude."""
    size = rnd.choice((0, 1, 2, 3, 5, 8, 13, 40))
    if rnd.random() < 0.5:
        tokens, money, price, weight = rnd.choice((3, 10, 100)), rnd.choice((10, 100, 1_000)), rnd.choice((0, 1, 3, 10)), 3
        elasticity = rnd.choice((1, 3, 10)) * 1_000_000
    else:
        tokens, money, price, weight, elasticity = (rnd.choice(SCALES) for _ in range(5))
    whole_elasticity = rnd.random() < 0.4
    uncapped = rnd.choice((0.0, 0.3, 1.0))
    tenants = [
        {
            "id": rnd.choice("abZé€😀") + str(row),
            "base": number(rnd, tokens),
            "elasticity": rnd.randint(0, 3) * 1_000_000 if whole_elasticity else number(rnd, elasticity),
            "demand": number(rnd, rnd.choice((tokens, tokens, rnd.choice(SCALES)))),
            "budget_left": None if rnd.random() < uncapped else number(rnd, money) * rnd.choice((1, 1, 1, -1)),
            "weight": number(rnd, weight),
        }
        for row in range(size)
    ]
    promised = sum(row["base"] for row in tenants)
    capacity = rnd.choice(
        (promised, promised + number(rnd, tokens), promised + number(rnd, tokens) * size // 2, number(rnd, promised))
    )
    prices = {"base_price": number(rnd, rnd.choice((price, 1, 3))), "reserve_price": number(rnd, price)}
    return {"policy": policy, "capacity": min(capacity, INT64_MAX), **prices, "tenants": tenants}


def number(rnd, scale):
    return rnd.choice((rnd.randint(0, scale), rnd.randint(0, scale), scale, 0))
