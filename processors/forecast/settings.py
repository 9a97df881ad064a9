"""The forecaster's settings. All were chosen on the first half of one production trace (spec/forecast.md), never on its second.

Neighbouring values give nearly the same error: halving or doubling any one of them changes it by less than 2 %.
"""

from typing import Final

AVERAGES: Final = (0.7, 0.5, 0.3, 0.15, 0.05, 0.01)
"""Rates of the exponential averages: of the last value's share."""

TRENDS: Final = ((0.9, 0.3, 0.9), (0.5, 0.1, 0.9))
"""Damped trends (Holt 1957, Gardner and McKenzie 1985): the level's rate, the slope's rate, the slope's damping a period."""

MIDDLE_STEP: Final = 0.1
"""The running median moves by this share of its mean error, towards each new value."""

SLOW: Final = 0.02
"""Rate at which scales of errors that only normalise are averaged."""

PEAK_LOSS: Final = 0.1
"""Share that the decaying maximum loses a day. A tenant that fades to nothing is not forecast at its former height for ever."""

DAY_SHARE: Final = 0.5
"""Share of the newest day in the profile of a day; of the newest week in that of a week."""

DAY_BUCKETS: Final = 144
"""Buckets of a day's profile: ten minutes each. Hourly ones lose half of what the profile gains: jobs start by the clock. At
100,000 tenants finer ones would take 576 MB at one minute; ten minutes take 58 MB, and shorter periods share a bucket."""

HOURS: Final = 24
"""Buckets of each day of a week's profile. A week of ten-minute buckets would be 403 MB at 100,000 tenants, this is 67 MB; what a
week adds to a day, the difference between its days, is in the hour already."""

RATE: Final = 0.4
"""Learning rate of the weights: how much of its weight an expert loses at most in a period."""

SHARE: Final = 0.001
"""Forgetting: this share of all weight returns to the first weights every period, so that an expert can come back."""

TRUST: Final = 0.3
"""First weight of the last value; the others share the rest. A tenant of which little is known is forecast by it, nearly."""

LEVELS: Final = (0.5, 0.9, 0.99)
"""The quantiles."""

FIRST_MULTIPLES: Final = (0.0, 1.5, 5.0)
"""Of the error scale, above the mean, where each quantile begins."""

STEPS: Final = (0.01, 0.04, 0.08)
"""By how many error scales a quantile's multiple moves when it was wrong, times how surprising that was."""

IDLE: Final = 0.1
"""A tenant whose mean is below this share of its slow average is idle; quantiles of idle and busy periods are tracked apart."""

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
