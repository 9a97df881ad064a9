"""Which bucket of the day and of the week a period falls into."""

from dataclasses import dataclass
from functools import cached_property

from processors.forecast.settings import DAY_BUCKETS, HOURS

DAY_S = 86_400
WEEK_DAYS = 7


@dataclass(frozen=True)
class Cycle:
    """A day or a week, cut into equal buckets.

    Attributes:
        seconds: of a whole cycle.
        buckets: in a cycle.
        period_s: seconds of a period.
    """

    seconds: int
    buckets: int
    period_s: int

    def ordinal(self, period: int) -> int:
        """The number of the bucket in which a period begins, from the epoch on."""
        return period * self.period_s * self.buckets // self.seconds

    def bucket(self, period: int) -> int:
        """The bucket in its cycle, 0 to buckets - 1."""
        return self.ordinal(period) % self.buckets


@dataclass(frozen=True)
class Calendar:
    """Days and weeks of periods of `period_s` seconds each; period 0 begins at the epoch."""

    period_s: int

    @cached_property
    def day(self) -> Cycle:
        """No bucket is shorter than a period, unless a period is longer than a day."""
        return Cycle(DAY_S, self._a_day(DAY_BUCKETS), self.period_s)

    @cached_property
    def week(self) -> Cycle:
        """Seven days of hours."""
        return Cycle(WEEK_DAYS * DAY_S, WEEK_DAYS * self._a_day(HOURS), self.period_s)

    def _a_day(self, most: int) -> int:
        return max(1, min(most, DAY_S // self.period_s))
