"""The SLA loop: whose base rises because its latency keeps exceeding its SLA, who pays for it, and when it is given back.

At each period's end, for each tenant that has an SLA, in this order:

1. Measure. The period's quantile is above the SLA, or clearly below it (by `margin`), or in between, which counts as neither. With
   fewer than `min_requests` it is not judged: a tenant that used up its tokens may be shut out, any other has no trouble.
2. Raise. A tenant above its SLA, now and in n of the last m periods, gets a step of its base, at most `bound` of it in all, out of
   the bases of tenants of lower priority (processors/lending.py) and never out of what was contracted. The count of periods begins
   anew, so that the next step waits until this one could show what it does.
3. Judge the step. It helped if the mean quantile since then is lower, by `gain`, than the mean before it. Where the tenant uses its
   tokens up and latency still grows, its queue grows: more tokens may help yet, and the step with which it stops growing has helped
   as well: a queue that is long needs many periods to become short. Else the step was in vain. So is a breach by a
   tenant without a boost that leaves its tokens unused. After `patience` vain trials its latency is not bound by tokens: what was
   given in vain is returned at once, and no step follows for `rest` periods, then for twice as many each time.
4. Release. After `hold` calm periods without a breach a part of the boost is returned, and further parts after as many periods as
   `hold` is set to. If a step has to undo that, the tenant's own `hold` doubles.

Why it comes to rest. Between raising and releasing lies the margin; a raise takes n new breaches, a release `hold` calm periods
without one. Under constant load a tenant either stays, or moves up and down over the level that it needs; then each cycle doubles
`hold`, so that in T periods there are O(log T) of them, until one in `longest` periods is left, which is how a fall in need is
found. A tenant that nothing helps gets at most `patience` steps and returns them, at times that double likewise. Both memories
halve again in long peace. And nobody pays for a step in the period in which it gets one.

State is SlaState, 13 columns: 10 MB for 100,000 tenants, of which a period takes 120 ms and, for a moment, 25 MB
(30,000 moves among tenants that all differ in priority).
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from processors.allocation.exact import MILLION, Flags, Ints
from processors.latencies import Quantiles
from processors.lending import Moves, give_back, in_turn, lend, matched, share_of
from schemas.loops import BaseReason, SlaLoop

NO_SLA = -1
MAX_WINDOW = 62
"""Most periods that one int64 remembers, a bit each; a sum of as many latencies fits it as well."""

_UNKNOWN = -1


REASONS: tuple[BaseReason, ...] = tuple(BaseReason)
"""A reason's code in columns is its place here."""


_STATED = SlaLoop()


class SlaSettings(NamedTuple):
    """How the loop reacts; shares in millionths, times in periods.

    Attributes:
        quantile: of latency that is held against the SLA.
        window: m, the periods looked back at, up to MAX_WINDOW.
        breaches: n, how many of them must exceed the SLA.
        min_requests: fewer in a period say nothing.
        margin: how far below the SLA latency must be to count as calm.
        gain: by how much latency must change to count as changed: of what it was, or of the time since if that is less, as a queue
            of an hour grows and shrinks by minutes.
        busy: a tenant that wanted at least this share of its tokens may lack them.
        step: share of the base that a boost rises by, at least one token.
        bound: share of the base that boosts never exceed.
        decay: share of the boost that is released at a time, at least half a step.
        patience: vain trials before the loop gives up.
        hold: calm periods before a release, at first.
        rest: periods without a step after giving up.
        longest: neither of the two grows beyond this.
    """

    quantile: int = _STATED.quantile
    window: int = _STATED.window
    breaches: int = _STATED.breaches
    min_requests: int = _STATED.min_requests
    margin: int = _STATED.margin
    gain: int = _STATED.gain
    busy: int = _STATED.busy
    step: int = _STATED.step
    bound: int = _STATED.bound
    decay: int = _STATED.decay
    patience: int = _STATED.patience
    hold: int = _STATED.hold
    rest: int = _STATED.rest
    longest: int = _STATED.longest


class SlaState(NamedTuple):
    """What the loop remembers of each tenant; int64 columns.

    Attributes:
        boost: tokens that it has beyond its base.
        paid: tokens of its base that others have. The sums of both are the same.
        useful: the boost that has shown to help; giving up returns what exceeds it.
        breached: the last m judged periods, a bit each, the newest lowest: 1 where the SLA was exceeded.
        total: sum of the quantiles measured in the present trial, milliseconds.
        measured: how many those are.
        reference: mean quantile before the step that is on trial; −1: none is.
        vain: vain trials in a row.
        calm: calm periods since the last breach or release.
        hold: calm periods that the first release after a step takes now.
        resting: periods for which no step is taken.
        rest: how many those will be next time.
        marks: 1 · released since the last step; 2 · told that nothing more can be given; 4 · latency grew in the last trial.
    """

    boost: Ints
    paid: Ints
    useful: Ints
    breached: Ints
    total: Ints
    measured: Ints
    reference: Ints
    vain: Ints
    calm: Ints
    hold: Ints
    resting: Ints
    rest: Ints
    marks: Ints


RELEASED, TOLD, GREW = 1, 2, 4


class Promises(NamedTuple):
    """What each tenant was promised; the effective base is base + boost − paid.

    Attributes:
        base: tokens per period, without boosts. The sum of all fits int64.
        floor: what no boost of another takes: contracted, sold forward, or of a tier that never lends.
        sla_ms: the largest acceptable latency; NO_SLA: none.
        priority: as processors/lending.py numbers it.
    """

    base: Ints
    floor: Ints
    sla_ms: Ints
    priority: Ints


class Observed(NamedTuple):
    """What a period brought.

    Attributes:
        latency: quantiles of the tenants' latencies.
        wanted: tokens that each used, or asked for where that is known.
        allocated: tokens that it could use.
        period_ms: how long it was.
    """

    latency: Quantiles
    wanted: Ints
    allocated: Ints
    period_ms: int


class Verdicts(NamedTuple):
    """Tenants of which the loop has something to say: rows, and codes of REASONS."""

    tenant: Ints
    reason: Ints


class Decision(NamedTuple):
    """What a period's end changes.

    Attributes:
        state: from now on.
        released: tokens that went back, from the boosted to those who had paid.
        released_because: a code of REASONS for each of these moves.
        raised: tokens that went from payers to tenants whose SLA is exceeded (EXCEEDED).
        verdicts: NOT_TOKEN_BOUND, OUT_OF_REACH and NO_PAYER, where that is news.
    """

    state: SlaState
    released: Moves
    released_because: Ints
    raised: Moves
    verdicts: Verdicts


def check(settings: SlaSettings) -> Iterator[tuple[str, str]]:
    """(field, why) of each setting that is out of its range."""
    for name in ("margin", "gain", "step", "bound", "decay", "busy", "quantile"):
        if not 0 <= getattr(settings, name) <= MILLION:
            yield name, f"{getattr(settings, name)} is not a share in millionths"
    for name in ("window", "breaches", "min_requests", "patience", "hold", "rest"):
        if getattr(settings, name) < 1:
            yield name, f"{getattr(settings, name)} is less than 1"
    if not settings.breaches <= settings.window <= MAX_WINDOW:
        yield "window", f"{settings.window} is not between breaches, {settings.breaches}, and {MAX_WINDOW}"
    if settings.bound < settings.patience * settings.step:
        yield "bound", f"{settings.bound} is less than {settings.patience} steps of {settings.step}: they could not all be tried"
    if settings.longest < max(settings.hold, settings.rest):
        yield "longest", f"{settings.longest} is less than hold or rest"


def beginning(tenants: int, settings: SlaSettings) -> SlaState:
    """The state of tenants of which nothing is known."""
    first = dict.fromkeys(SlaState._fields, 0) | {"reference": _UNKNOWN, "hold": settings.hold, "rest": settings.rest}
    return SlaState(**{name: np.full(tenants, value, np.int64) for name, value in first.items()})


def decide(state: SlaState, promises: Promises, observed: Observed, settings: SlaSettings) -> Decision:
    """One period's end. Nothing is changed in place."""
    seen = _see(promises, observed, settings)
    state, trial = _judge(_measure(state, seen, settings), promises, seen, settings)
    # 1. What goes back, with what payers must have back at once; from the lowest priority where no release covers that.
    room = np.maximum(promises.base - promises.floor, 0)
    due = np.maximum(state.paid - room, 0)
    missing = int(due.sum()) - int(trial.release.sum())
    forced = in_turn(max(missing, 0), state.boost - trial.release, promises.priority)
    back = due + give_back(max(-missing, 0), state.paid - due, promises.priority)
    returned = trial.release + forced
    released = matched(returned, back, promises.priority, -promises.priority)
    boost, paid = state.boost - returned, state.paid - back
    # 2. What is given, out of the room that is left.
    granted, lent = lend(np.where(forced > 0, 0, trial.asked), np.maximum(room - paid, 0), promises.priority)
    raised = matched(lent, granted, promises.priority, -promises.priority)
    state, verdicts = _close(state._replace(boost=boost, paid=paid), trial, granted, settings)
    state = state._replace(boost=boost + granted, paid=paid + lent, useful=np.minimum(state.useful, boost))
    return Decision(state, released, trial.because[released.giver], raised, verdicts)


class _Seen(NamedTuple):
    sla_ms: Ints
    latency: Ints
    judged: Flags
    above: Flags
    quiet: Flags
    busy: Flags
    period_ms: int


def _see(promises: Promises, observed: Observed, settings: SlaSettings) -> _Seen:
    """The period in flags. Where a bucket's bounds leave a doubt, the tenant neither exceeds its SLA nor is calm."""
    latency, sla = observed.latency, promises.sla_ms
    judged = (sla >= 0) & (latency.requests >= settings.min_requests)
    busy = observed.wanted >= share_of(observed.allocated, settings.busy)
    quiet = np.where(judged, latency.upper <= sla - share_of(sla, settings.margin), (sla >= 0) & ~busy)
    return _Seen(sla, latency.lower, judged, judged & (latency.lower > sla), quiet, busy, observed.period_ms)


def _measure(state: SlaState, seen: _Seen, settings: SlaSettings) -> SlaState:
    """What the period adds to memory. A period that says nothing leaves it as it is; one without trouble counts as held."""
    known = seen.judged | seen.quiet
    window = (1 << settings.window) - 1
    breached = np.where(known, ((state.breached << 1) | seen.above) & window, np.where(seen.sla_ms >= 0, state.breached, 0))
    on_trial = breached > 0
    counted = seen.judged & (state.measured < MAX_WINDOW)
    return state._replace(
        breached=breached,
        total=np.where(on_trial, state.total + np.where(counted, seen.latency, 0), 0),
        measured=np.where(on_trial, state.measured + counted, 0),
        calm=np.where(seen.above, 0, state.calm + seen.quiet),
        resting=np.maximum(state.resting - 1, 0),
    )


def _held(state: SlaState, settings: SlaSettings) -> Flags:
    """Who has been calm for long enough: at the beginning, and when nothing is left to release, as long as was learned."""
    following = (state.marks & RELEASED > 0) & (state.boost > 0)
    held: Flags = state.calm >= np.where(following, settings.hold, state.hold)
    return held


class _Trial(NamedTuple):
    """What follows from a period: who is where in its trial, and tokens asked for and released with the reason's code."""

    ended: Flags
    idle: Flags
    stopped: Flags
    held: Flags
    asked: Ints
    release: Ints
    because: Ints


def _judge(state: SlaState, promises: Promises, seen: _Seen, settings: SlaSettings) -> tuple[SlaState, _Trial]:
    """Trials that end: their step helped or was in vain, and what follows. The next one begins with nothing measured."""
    ended = seen.above & (np.bitwise_count(state.breached) >= settings.breaches) & (state.resting == 0)
    mean = state.total // np.maximum(state.measured, 1)
    tested = ended & (state.reference != _UNKNOWN)
    change = share_of(np.clip(state.reference, 0, state.measured * seen.period_ms), settings.gain)
    growing = tested & seen.busy & (mean >= state.reference + change)
    stopped_growing = seen.busy & (state.marks & GREW > 0) & ~growing
    helped = tested & ((mean <= state.reference - change) | stopped_growing)
    idle = ended & (state.boost == 0) & ~seen.busy
    trials = np.where(idle | (tested & ~helped & ~growing), state.vain + 1, np.where(helped, 0, state.vain))
    settled = state.calm >= settings.breaches
    state = state._replace(
        vain=np.where(settled, 0, trials),
        useful=np.where(helped | settled, state.boost, state.useful),
        reference=np.where(ended, mean, np.where(settled, _UNKNOWN, state.reference)),
        breached=np.where(ended, 0, state.breached),
        total=np.where(ended, 0, state.total),
        measured=np.where(ended, 0, state.measured),
        marks=(state.marks & ~GREW) | np.where(ended, np.where(growing, GREW, 0), np.where(settled, 0, state.marks & GREW)),
    )
    return state, _moves(state, promises, seen, (ended, idle), settings)


def _moves(state: SlaState, promises: Promises, seen: _Seen, trial: tuple[Flags, Flags], settings: SlaSettings) -> _Trial:
    """Tokens to ask for and to release."""
    ended, idle = trial
    stopped = ended & (state.vain >= settings.patience)
    bound = np.where(seen.sla_ms >= 0, share_of(promises.base, settings.bound), 0)
    step = np.maximum(share_of(promises.base, settings.step), 1)
    asked = np.where(ended & ~stopped & ~idle, np.clip(bound - state.boost, 0, step), 0)
    held = _held(state, settings)
    decayed = np.where(held, np.maximum(share_of(state.boost, settings.decay), (step + 1) // 2), 0)
    useless = np.where(stopped, state.boost - state.useful, 0)
    release = np.minimum(np.maximum.reduce([state.boost - bound, decayed, useless]), state.boost)
    because = np.full(ended.size, REASONS.index(BaseReason.FLOOR_RAISED), np.int64)
    because[release > 0] = REASONS.index(BaseReason.WITHDRAWN)
    because[(release > 0) & (decayed > 0)] = REASONS.index(BaseReason.HOLDS)
    because[useless > 0] = REASONS.index(BaseReason.NOT_TOKEN_BOUND)
    return _Trial(ended, idle, stopped, held, asked, np.maximum(release, 0), because)


def _close(state: SlaState, trial: _Trial, granted: Ints, settings: SlaSettings) -> tuple[SlaState, Verdicts]:
    """Memory of what was done, and what is to be said about it."""
    stepped, stopped = granted > 0, trial.stopped
    held = trial.held
    peace = held & (state.boost == 0) & (trial.release == 0)
    marked, told = state.marks & RELEASED > 0, state.marks & TOLD > 0
    stuck = trial.ended & ~trial.idle & ~stopped & ~stepped
    hold = np.where(stepped & marked, np.minimum(2 * state.hold, settings.longest), state.hold)
    rest = np.where(stopped, np.minimum(2 * state.rest, settings.longest), state.rest)
    state = state._replace(
        # A trial without a step has nothing to be judged.
        reference=np.where(trial.ended & ~stepped, _UNKNOWN, state.reference),
        vain=np.where(stopped, 0, state.vain),
        calm=np.where(held, 0, state.calm),
        hold=np.where(peace, np.maximum(hold // 2, settings.hold), hold),
        resting=np.where(stopped, state.rest, state.resting),
        rest=np.where(peace, np.maximum(rest // 2, settings.rest), rest),
        marks=np.where((marked | (held & (trial.release > 0))) & ~stepped & ~peace, RELEASED, 0)
        + np.where((told | stuck) & ~stepped & (state.calm < settings.breaches), TOLD, 0)
        + (state.marks & GREW),
    )
    codes = np.full(stepped.size, _UNKNOWN, np.int64)
    codes[stuck & ~told] = REASONS.index(BaseReason.OUT_OF_REACH)
    codes[stuck & ~told & (trial.asked > 0)] = REASONS.index(BaseReason.NO_PAYER)
    codes[stopped] = REASONS.index(BaseReason.NOT_TOKEN_BOUND)
    speaking = np.flatnonzero(codes != _UNKNOWN)
    return state, Verdicts(speaking, codes[speaking])
