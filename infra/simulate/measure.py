"""Figures of a run: latencies, shares, what was used. Milliseconds and tokens per second."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from infra.simulate.workloads import Floats
from infra.simulate.world import TICK_US, End, Run


def latencies_ms(run: Run, tenant: int, *, to_first_token: bool = False, arrived: tuple[float, float] | None = None) -> Floats:
    """From the first try to the last token (or the first), of requests served; `arrived`: first tries in these seconds."""
    begin, end = (0, np.inf) if arrived is None else (arrived[0] * 1e6, arrived[1] * 1e6)
    found = []
    for outcome in run.outcomes:
        request = outcome.request
        if request.tenant == tenant and outcome.end is End.SERVED and begin <= request.at_us < end:
            until = outcome.first_token_us if to_first_token else outcome.ended_us
            found.append(((until or 0) - request.at_us) / 1000)
    return np.array(found, np.float64)


def unfinished(run: Run, tenant: int, arrived: tuple[float, float]) -> int:
    """Requests, first tried in these seconds, that waited or ran when the run ended."""
    begin, end = arrived[0] * 1e6, arrived[1] * 1e6
    return sum(
        outcome.end is End.UNFINISHED and outcome.request.tenant == tenant and begin <= outcome.request.at_us < end
        for outcome in run.outcomes
    )


def percentile_ms(latencies: Floats, percent: float) -> float | None:
    """A percentile, to a tenth of a millisecond; None: nobody was served."""
    return round(float(np.percentile(latencies, percent)), 1) if latencies.size else None


def counted(run: Run, tenant: int) -> dict[str, int]:
    """How many of a tenant's requests ended how, and how often it tried."""
    mine = [outcome for outcome in run.outcomes if outcome.request.tenant == tenant]
    ends = {str(end): sum(outcome.end is end for outcome in mine) for end in End}
    return {**ends, "tries": sum(outcome.tries for outcome in mine), "stopped": sum(outcome.stopped for outcome in mine)}


def throughput(run: Run, begin_s: int = 0, end_s: int | None = None) -> float:
    """Tokens per second of all tenants, input and output, computed once; what was computed for nothing does not count."""
    first, last = run.moments[begin_s], run.moments[-1 if end_s is None else end_s]
    return round((sum(last.tokens) - sum(first.tokens)) / (last.at_s - first.at_s), 1)


def utilisation(run: Run, begin_s: int = 0) -> float:
    """Share of what the replicas can hold at once (sequences or KV blocks, whichever is fuller) that ran, over time."""
    first, last = run.moments[begin_s], run.moments[-1]
    filled = (last.filled_us - first.filled_us) / (len(last.filled_of) * (last.at_s - first.at_s) * TICK_US)
    return round(filled, 4)


def utilisation_of(run: Run, replica: int) -> float:
    """The same of one replica."""
    return round(run.moments[-1].filled_of[replica] / (run.moments[-1].at_s * TICK_US), 4)


def jain(values: Iterable[float]) -> float:
    """Jain's index (Jain, Chiu and Hawe 1984): (Σx)² / (n·Σx²); 1: all equal, 1/n: one has all."""
    every = np.array(list(values), np.float64)
    squares = float((every * every).sum()) * every.size
    return round(float(every.sum()) ** 2 / squares, 5) if squares else 1.0


def by_second(run: Run, tenant: int) -> Floats:
    """Tokens of a tenant in each second."""
    return np.diff(np.array([moment.tokens[tenant] for moment in run.moments], np.float64))


def smoothed(values: Floats, seconds: int) -> Floats:
    """Means of so many neighbours, fewer at both ends."""
    if values.size == 0:
        return values
    window = np.ones(min(seconds, values.size))
    return np.asarray(np.convolve(values, window, "same") / np.convolve(np.ones_like(values), window, "same"))
