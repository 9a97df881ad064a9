"""The forecaster's settings. All were chosen on the first half of one production trace (spec/forecast.md), never on its second.

Neighbouring values give nearly the same error: halving or doubling any one of them changes it by less than 5 %.
"""

from typing import Final, NamedTuple

AVERAGES: Final = (0.7, 0.5, 0.3, 0.15, 0.05, 0.01)
"""Rates of the exponential averages: of the last value's share."""

TRENDS: Final = ((0.9, 0.3, 0.9), (0.5, 0.1, 0.9))
"""Damped trends (Holt 1957, Gardner and McKenzie 1985): the level's rate, the slope's rate, the slope's damping a period."""

SLOW_AVERAGE: Final = 4
"""Which of the averages says what a tenant usually uses."""

MIDDLE_STEP: Final = 0.1
"""The running median moves by this share of its mean error, towards each new value."""

SLOW: Final = 0.02
"""Rate at which scales of errors that only normalise are averaged."""

PEAK_LOSS: Final = 0.02
"""Share that the decaying maximum loses a day. A tenant that fades to nothing is not forecast at its former height for ever."""

JUMP: Final = 2.0
"""Seasonal experts are capped by the decaying maximum, or so many times the last value: a young tenant has no maximum yet."""

DAY_SHARE: Final = 0.5
"""Share of the newest day in the profile of a day; of the newest week in that of a week."""

DAY_BUCKETS: Final = 144
"""Buckets of a day's profile: ten minutes each. Hourly ones lose half of what the profile gains: jobs start by the clock. At
100,000 tenants finer ones would take 576 MB at one minute; ten minutes take 58 MB, and shorter periods share a bucket."""

HOURS: Final = 24
"""Buckets of each day of a week's profile. A week of ten-minute buckets would be 403 MB at 100,000 tenants, this is 67 MB; what a
week adds to a day, the difference between its days, is in the hour already."""

RATE: Final = 0.3
"""Learning rate of the weights: how much of its weight an expert loses at most in a period."""

SHARE: Final = 0.0005
"""Forgetting: this share of all weight returns to the first weights every period, so that an expert can come back."""

TRUST: Final = 0.4
"""First weight of the last value; the others share the rest. A tenant of which little is known is forecast by it, nearly."""

NEAR: Final = 2.0
"""An error below this many times the experts' disagreement counts in proportion: a near miss says little about who was right."""

LEVELS: Final = (0.5, 0.9, 0.99)
"""The quantiles."""

AIMS: Final = (0.5, 0.92, 0.99)
"""Share of the periods that each quantile is steered to cover. Of 0.9 more than that, as demand is what has to be covered: who is
above a quantile is there with more than usual. It covers 2 % more of the demand at a pinball loss that is 0.5 % higher."""

FIRST_MULTIPLES: Final = (0.0, 1.5, 5.0)
"""Of the error scale, above the mean, where each quantile begins."""


class Part(NamedTuple):
    """An average of errors: its rate, and its part in the scale of errors."""

    rate: float
    part: float


EXCESS: Final = Part(0.2, 0.4)
"""Of errors upwards."""

ERROR: Final = Part(0.5, 0.3)
"""Of all."""

SPREAD_PART: Final = 1.0
"""Of the experts' disagreement in the scale of errors."""

MEAN_PART: Final = 0.03
"""Of the mean in the scale of errors."""

STEPS: Final = (0.01, 0.03, 0.08)
"""By how many error scales a quantile's multiple moves when it was wrong, times how surprising that was."""

FLOORS: Final = (-1.0, 0.0, 0.0)
"""Least multiples: whoever is off for a thousand periods must not need a hundred to be believed again."""

IDLE: Final = 0.1
"""A tenant whose last value is at most this share of its slow average is idle, else busy: who is off and who is on needs other
experts and other quantiles, so that both are learned apart. Switches are 3 % of the periods and 30 % of the error."""

SYSTEM: Final = 3
"""So many tenants that were busy don't all stop in one period: when none has demand then, the telemetry was away."""

GAP_S: Final = 86_400
"""After so long without any demand it is no gap: there is none."""

BLOCK: Final = 2_048
"""Tenants computed at once: their working arrays (18 experts x 2,048 x 8 bytes = 295 kB) stay in a processor's cache."""

TINY: Final = 1e-9
"""Tokens. Scales are at least this, so that nothing is divided by zero."""

UNKNOWN: Final = -1.0
"""In profiles: never seen."""
