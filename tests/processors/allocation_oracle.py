"""The rules of spec/allocation.md as plain loops over Python integers: no numpy, no shortcuts, nothing shared with what it judges.

A case and an answer are what the door reads and prints, as dictionaries.
"""

MILLION = 1_000_000


def hamilton(total, weights):
    whole = sum(weights)
    if whole == 0:
        weights = [1] * len(weights)
        whole = len(weights)
    shares = [total * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(total * weights[i] % whole), i))
    for i in by_remainder[: total - sum(shares)]:
        shares[i] += 1
    return shares


def room(tenant, base_price, reserve):
    """None: unlimited."""
    if tenant["budget_left"] is None or reserve == 0:
        return None
    return max((tenant["budget_left"] - tenant["base"] * base_price) // reserve, 0)


def share_until_limits(rest, weights, limits):
    """Shares of the rest anew, until nobody's share reaches its limit (None: it has none)."""
    got = [0] * len(weights)
    inside = [i for i in range(len(weights)) if limits[i] is None or limits[i] > 0]
    while inside:
        shares = dict(zip(inside, hamilton(rest, [weights[i] for i in inside]), strict=True))
        leaving = [i for i in inside if limits[i] is not None and shares[i] >= limits[i]]
        if not leaving:
            for i in inside:
                got[i] = shares[i]
            break
        for i in leaving:
            got[i] = limits[i]
            rest -= limits[i]
        gone = set(leaving)
        inside = [i for i in inside if i not in gone]
    return got


def seed(case, tenants, supply):
    reserve = case["reserve_price"]
    rooms = [room(t, case["base_price"], reserve) for t in tenants]
    bids = [t["elasticity"] * t["demand"] // MILLION for t in tenants]
    left = supply
    surplus = [0] * len(tenants)
    for i in sorted(range(len(tenants)), key=lambda i: (-bids[i], i)):
        take = min(bids[i], left) if rooms[i] is None else min(bids[i], rooms[i], left)
        surplus[i] = take
        left -= take
    still = [None if r is None else r - s for r, s in zip(rooms, surplus, strict=True)]
    more = share_until_limits(left, [t["elasticity"] for t in tenants], still)
    return reserve, [s + m for s, m in zip(surplus, more, strict=True)]


def uniform_price(case, tenants, supply):
    reserve = case["reserve_price"]
    limits = [t["elasticity"] * reserve // MILLION for t in tenants]

    def buys(tenant, price):
        quantity = max(0, tenant["demand"] - tenant["base"])
        if tenant["budget_left"] is None:
            return quantity
        return min(quantity, max(tenant["budget_left"] - tenant["base"] * case["base_price"], 0) // price)

    def firm(price):
        return sum(buys(t, price) for t, limit in zip(tenants, limits, strict=True) if limit > price)

    price = _smallest_price(firm, supply, max(reserve, 1), max([*limits, reserve, 1]))
    surplus = [buys(t, price) if limit > price else 0 for t, limit in zip(tenants, limits, strict=True)]
    left = supply - sum(surplus)
    marginal = [i for i, limit in enumerate(limits) if limit == price]
    wanted = [buys(tenants[i], price) for i in marginal]
    given = wanted if sum(wanted) <= left else hamilton(left, wanted)
    for i, tokens in zip(marginal, given, strict=True):
        surplus[i] = tokens
    return price, surplus


def _smallest_price(firm, supply, low, high):
    """Tries one price after the other where that is feasible, and halves the interval where it is not."""
    if high - low <= 300:
        return next(price for price in range(low, high + 1) if firm(price) <= supply)
    while low < high:
        middle = (low + high) // 2
        if firm(middle) <= supply:
            high = middle
        else:
            low = middle + 1
    return low


def max_min(case, tenants, supply):
    needs = []
    for tenant in tenants:
        need = max(0, tenant["demand"] - tenant["base"])
        limit = room(tenant, case["base_price"], case["reserve_price"])
        needs.append(need if limit is None else min(need, limit))
    return case["reserve_price"], share_until_limits(supply, [t.get("weight", 1) for t in tenants], needs)


def proportional(case, tenants, supply):
    """Served shares e / (e + level) in millionths of the demand, the smallest level that fits."""
    needs, rooms = [], []
    for tenant in tenants:
        needs.append(tenant["demand"])
        limit = room(tenant, case["base_price"], case["reserve_price"])
        rooms.append(10**30 if limit is None else limit)
    worths = [min(t["elasticity"], 9 * 10**12) for t in tenants]

    def served(level):
        shares = [MILLION if level == 0 else worth * MILLION // (worth + level) for worth in worths]
        wanted = [need * share // MILLION - t["base"] for need, share, t in zip(needs, shares, tenants, strict=True)]
        return [min(max(tokens, 0), limit) for tokens, limit in zip(wanted, rooms, strict=True)]

    def fits(level):
        return sum(served(level)) <= supply

    if fits(0):
        given = served(0)
        most = [max(0, need + need // 4 - t["base"]) for need, t in zip(needs, tenants, strict=True)]
        left = [min(top, limit) - tokens for top, limit, tokens in zip(most, rooms, given, strict=True)]
        more = share_until_limits(supply - sum(given), needs, left)
    else:
        low, high = 0, max(worths) * MILLION + 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if fits(middle) else (middle, high)
        given = served(high)
        gains = [lower - tokens for lower, tokens in zip(served(high - 1), given, strict=True)]
        more = hamilton(supply - sum(given), gains)
    return case["reserve_price"], [tokens + extra for tokens, extra in zip(given, more, strict=True)]


RULES = {"seed": seed, "uniform_price": uniform_price, "max_min": max_min, "proportional": proportional}


def solve(case):
    tenants = sorted(case["tenants"], key=lambda t: t["id"].encode())
    capacity = case["capacity"]
    bases = [t["base"] for t in tenants]
    given = bases if sum(bases) <= capacity else hamilton(capacity, bases)
    supply = capacity - sum(given)
    price, surplus = RULES[case["policy"]](case, tenants, supply)
    return {
        "price": price,
        "allocations": {
            t["id"]: {"base": b, "surplus": s, "charge": b * case["base_price"] + s * price}
            for t, b, s in zip(tenants, given, surplus, strict=True)
        },
        "unallocated": supply - sum(surplus),
        "shortfall": {t["id"]: t["base"] - b for t, b in zip(tenants, given, strict=True) if t["base"] > b},
    }
