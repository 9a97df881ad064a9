"""The forecaster once more: one tenant at a time, plain Python, sharing nothing with processors/forecast.

Its numbers are its own: whoever changes a setting has to say so twice.
"""

import struct
from fractions import Fraction

RATES = [0.7, 0.5, 0.3, 0.15, 0.05, 0.01]
HOLT = [(0.9, 0.3, 0.9), (0.5, 0.1, 0.9)]
EXPERTS = 18
FIRST = [0.4] + [(1 - 0.4) / 17] * 17
AIMS = [0.5, 0.92, 0.99]
MOVES = [0.01, 0.03, 0.08]
LEAST = [-1.0, 0.0, 0.0]
DAY = 86_400


def single(value):
    """A float as 32 bits keep it."""
    return struct.unpack("f", struct.pack("f", value))[0]


class Profile:
    """Buckets of a cycle, each an average over cycles; None where nothing is known."""

    def __init__(self, cycle_s, buckets):
        self.cycle_s, self.buckets = cycle_s, buckets
        self.known = {}
        self.open = []
        self.closed = self.before = None

    def ordinal(self, second):
        return second * self.buckets // self.cycle_s

    def at(self, second):
        return self.known.get(self.ordinal(second) % self.buckets)

    def close(self, ordinal):
        if self.open:
            total = 0.0
            for value in self.open:
                total += value
            mean, bucket = total / len(self.open), ordinal % self.buckets
            self.closed, self.before = mean, self.known.get(bucket)
            self.known[bucket] = single(mean if self.before is None else self.before + 0.5 * (mean - self.before))
            self.open = []


class Tenant:
    def __init__(self, day_buckets, hours):
        self.seen, self.last, self.peak = 0, 0.0, 0.0
        self.averages = [0.0] * 6
        self.level, self.slope = [0.0, 0.0], [0.0, 0.0]
        self.middle = self.middle_error = 0.0
        self.day, self.week = Profile(DAY, day_buckets), Profile(7 * DAY, 7 * hours)
        self.day_then = self.pool_then = None
        self.weights = {True: list(FIRST), False: list(FIRST)}
        self.multiples = {True: [0.0, 1.5, 5.0], False: [0.0, 1.5, 5.0]}
        self.spread = self.error = self.excess = 0.0

    def experts(self, second, pool_now):
        last = self.last
        plain = [last, *self.averages]
        plain += [
            max(level + damping * slope, 0.0) for level, slope, (_, _, damping) in zip(self.level, self.slope, HOLT, strict=True)
        ]
        plain += [0.0, last * 0.5, self.middle]
        now, then = self.day.at(second), self.day_then
        if now is None or then is None:
            then = last
            now = last * (pool_now / self.pool_then) if pool_now is not None and self.pool_then else last
        seasonal = [now, last * (now / then) if then > 0 else now, last + (now - then), last + 0.5 * (now - then)]
        week = self.week.at(second)
        if week is None:
            seasonal += [last, last]
        else:
            before = self.week.before
            seasonal += [week, week * (self.week.closed / before) if before else week]
        return plain + [min(max(value, 0.0), max(self.peak, 2.0 * last)) for value in seasonal]

    def outlook(self, second, pool_now, newcomer):
        experts = self.experts(second, pool_now)
        idle = self.last <= 0.1 * self.averages[4]
        weights = self.weights[idle]
        mixed = weighted(weights, experts)
        spread = weighted(weights, [abs(value - mixed) for value in experts])
        known = (profile.at(second) for profile in (self.week, self.day))
        mean = mixed if self.seen else next((tokens for tokens in known if tokens is not None), newcomer)
        scale = 0.4 * self.excess + 0.3 * self.error + 1.0 * spread + 0.03 * mean if self.seen else mean
        quantiles = []
        for multiple in self.multiples[idle]:
            quantiles.append(max([mean + multiple * scale, 0.0, *quantiles[-1:]]))
        return experts, idle, mixed, spread, mean, quantiles

    def learn(self, second, tokens, pool_now, outlook, period_s):
        experts, idle, mixed, spread, mean, quantiles = outlook
        warm = 1.0 / (self.seen + 1.0)
        self.spread += max(0.02, warm) * (spread - self.spread)
        side = min(max((mixed - tokens) / max(2.0 * spread, 1e-9), -1.0), 1.0)
        losses = [min(max(side * (value - mixed) / max(self.spread, 1e-9), -1.0), 1.0) for value in experts]
        moved = [weight * (1.0 - 0.3 * loss) for weight, loss in zip(self.weights[idle], losses, strict=True)]
        total = moved[0]
        for weight in moved[1:]:
            total += weight
        self.weights[idle] = [
            (1.0 - 0.0005) * (weight / total) + 0.0005 * first for weight, first in zip(moved, FIRST, strict=True)
        ]
        for number, (aim, move, least) in enumerate(zip(AIMS, MOVES, LEAST, strict=True)):
            by = aim if tokens > quantiles[number] else aim - 1.0
            self.multiples[idle][number] = max(self.multiples[idle][number] + move * by, least)
        self.excess += max(0.2, warm) * (max(tokens - mean, 0.0) - self.excess)
        self.error += max(0.5, warm) * (abs(tokens - mean) - self.error)
        self.averages = [average + max(rate, warm) * (tokens - average) for average, rate in zip(self.averages, RATES, strict=True)]
        for number, (rate, slope_rate, damping) in enumerate(HOLT):
            before, damped = self.level[number], damping * self.slope[number]
            expected = max(before + damped, 0.0)
            risen = expected + rate * (tokens - expected) if self.seen else tokens
            self.slope[number] = damped + slope_rate * (risen - before - damped) if self.seen else 0.0
            self.level[number] = risen
        self.middle_error += max(0.02, warm) * (abs(tokens - self.middle) - self.middle_error)
        self.middle = max(self.middle + 0.1 * self.middle_error * (-0.5 if tokens < self.middle else 0.5), 0.0)
        self.peak = max(self.peak * (1.0 - min(0.5, 0.02 * period_s / DAY)), tokens)
        self.last, self.day_then, self.pool_then = tokens, self.day.at(second), pool_now
        self.day.open.append(tokens)
        self.week.open.append(tokens)
        self.seen += 1


def weighted(weights, values):
    total = weights[0] * values[0]
    for weight, value in zip(weights[1:], values[1:], strict=True):
        total += weight * value
    return total


def mean_of(values):
    """Of those that are known; None if none is."""
    known = [value for value in values if value is not None]
    total = 0.0
    for value in known:
        total += value
    return total / len(known) if known else None


class Oracle:
    """Feed `period` with {tenant: tokens or None}, ascending; it answers {tenant: (mean, p50, p90, p99)} for that period.

    Or in two steps: `forecast` of some tenants, then `learn`.
    """

    def __init__(self, period_s):
        self.period_s = period_s
        self.buckets, self.hours = max(1, min(144, DAY // period_s)), max(1, min(24, DAY // period_s))
        self.tenants = {}
        self.pool = Profile(DAY, self.buckets)
        self.learned, self.busy = None, 0

    def period(self, number, rows):
        told = self.forecast(number, {*rows, *self.tenants})
        self.learn(number, rows)
        return told

    def forecast(self, number, names):
        return {name: (outlook[4], *outlook[5]) for name in names for outlook in [self._outlook(self._tenant(name), number)]}

    def learn(self, number, rows):
        for name in rows:
            self._tenant(name)
        self._learn(number, {name: tokens for name, tokens in rows.items() if tokens is not None})

    def unknown_hours(self, name):
        """The hours of the week of which a tenant's profile says nothing."""
        week = self._tenant(name).week
        return [hour for hour in range(168) if hour * week.buckets // 168 not in week.known]

    def prime(self, rows):
        """`rows`: tenant -> tokens or None of each hour of the week."""
        for name, hours in rows.items():
            tenant = self._tenant(name)
            a_day = [mean_of(hours[hour::24]) for hour in range(24)]
            for profile, told in ((tenant.week, hours), (tenant.day, a_day)):
                count = len(told)
                for bucket in range(profile.buckets):
                    within = [told[hour] for hour in range(count) if hour * profile.buckets // count == bucket]
                    tokens = mean_of(within or [told[bucket * count // profile.buckets]])
                    if tokens is not None:
                        profile.known.setdefault(bucket, single(tokens))

    def _tenant(self, name):
        return self.tenants.setdefault(name, Tenant(self.buckets, self.hours))

    def _outlook(self, tenant, number):
        second = number * self.period_s
        now = self.pool.at(second)
        newcomer = now
        if newcomer is None:
            total = 0.0
            for value in self.pool.open:
                total += value
            newcomer = total / len(self.pool.open) if self.pool.open else self.pool.closed or 0.0
        return tenant.outlook(second, now, newcomer)

    def _learn(self, number, seen):
        if not seen:
            return
        quiet = not any(seen.values())
        if quiet and self.learned is not None and self.busy >= 3 and (number - self.learned) * self.period_s <= DAY:
            return
        if self.learned is not None:
            self._close(self.learned, number)
        second = number * self.period_s
        now = self.pool.at(second)
        for name, tokens in seen.items():
            tenant = self.tenants[name]
            tenant.learn(second, tokens, now, self._outlook(tenant, number), self.period_s)
        self.pool.open.append(float(Fraction(sum(int(tokens) for tokens in seen.values()), len(seen))))
        self.learned, self.busy = number, sum(tokens > 0 for tokens in seen.values())
        self._close(number, number + 1)

    def _close(self, learned, following):
        profiles = [profile for tenant in self.tenants.values() for profile in (tenant.day, tenant.week)]
        for profile in [*profiles, self.pool]:
            ordinal = profile.ordinal(learned * self.period_s)
            if ordinal != profile.ordinal(following * self.period_s):
                profile.close(ordinal)
