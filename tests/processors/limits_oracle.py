"""Limits and debts once more, slowly: fractions and loops over one tenant after the other, as the rules are told in words."""

from fractions import Fraction

from allocation_oracle import hamilton, share_until_limits

MILLION = 10**6


def rounded_up(demand):
    """To five binary digits."""
    step = 1
    while demand > 31 * step:
        step *= 2
    return -(-demand // step) * step


def kept(capacity, tenants):
    """`tenants`: (tier, nominal, borrowing or None, lending or None, weight, demand) -> [(nominal, shortfall, kept)]."""
    nominal = [each[1] for each in tenants]
    left = capacity
    for tier in ("dedicated", "guaranteed"):
        rows = [at for at, each in enumerate(tenants) if each[0] == tier]
        if sum(nominal[at] for at in rows) > left:
            for at, share in zip(rows, hamilton(left, [nominal[at] for at in rows]), strict=True):
                nominal[at] = share
        left -= sum(nominal[at] for at in rows)
    held = [0] * len(tenants)
    for at, (tier, _, _, lending, _, demand) in enumerate(tenants):
        if tier == "dedicated":
            held[at] = nominal[at]
        if tier == "guaranteed":
            unlent = 0 if lending is None else nominal[at] - lending
            held[at] = max(unlent, min(nominal[at], rounded_up(demand)))
    left = capacity - sum(held)
    for tier in ("elastic", "spot", "preemptible"):
        rows = [at for at, each in enumerate(tenants) if each[0] == tier]
        needs = []
        for at in rows:
            _, right, borrowing, _, _, demand = tenants[at]
            needs.append(rounded_up(demand) if borrowing is None else min(rounded_up(demand), right + borrowing))
        for at, share in zip(rows, share_until_limits(left, [tenants[at][4] for at in rows], needs), strict=True):
            held[at] = share
        left -= sum(held[at] for at in rows)
    return [(nominal[at], tenants[at][1] - nominal[at], held[at]) for at in range(len(tenants))]


def due(tenants, elapsed_ms):
    """`tenants`: (tier, nominal, borrowing or None, weight, wanted, served), wanted at least served -> [due tokens]."""
    owed, left = [], sum(each[5] for each in tenants)
    for tier, nominal, _, _, wanted, served in tenants:
        promised = min(wanted, nominal * elapsed_ms // 1000)
        reserved = tier in ("dedicated", "guaranteed")
        owed.append(promised if reserved else served)
        left -= max(promised, served) if reserved else 0
    rows = [at for at, each in enumerate(tenants) if each[0] == "elastic"]
    needs = []
    for at in rows:
        _, nominal, borrowing, _, wanted, served = tenants[at]
        most = wanted if borrowing is None else (nominal + borrowing) * elapsed_ms // 1000
        needs.append(min(wanted, max(most, served)))
    for at, share in zip(rows, share_until_limits(max(left, 0), [tenants[at][3] for at in rows], needs), strict=True):
        owed[at] = share
    return owed


def stepped(debt, due_tokens, served, *, rate, owing, settings, elapsed_ms):
    """One debt after a tick, in thousandths as a fraction: not rounded, nothing forgotten. λ as a float."""
    most = Fraction(rate * settings.bound_s * 1000)
    least = -most / (1 + Fraction(settings.gain, MILLION)) if owing else Fraction(0)
    fade = Fraction(2 ** (-elapsed_ms / (settings.half_life_s * 1000)))
    return min(max(fade * min(max(debt, least), most) + 1000 * (due_tokens - served), least), most)
