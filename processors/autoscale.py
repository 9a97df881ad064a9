"""How many replicas a token pool needs, and when another number is asked for (TP-3).

Of each dimension (tokens per second, KV-cache blocks, requests in flight) a pool needs what is promised, which are the nominal
quotas of dedicated and guaranteed tenants, and what others are expected to want, with headroom:

    promised   ceil(promised / what a replica has), the largest of the three
    needed     ceil((promised + expected x (1 + headroom)) / what a replica has), the largest of the three

What is asked for follows the need between two bounds:

    1. It is never less than what is promised needs, nor than `min_replicas`; never more than `max_replicas` (a promise that needs
       more is refused before; if replicas have shrunk since, the promise counts). This holds at once, whatever follows.
    2. More is asked for at once, at most `max_step` at a time, and again when the cool-down after the last such change is over.
    3. Fewer are asked for when fewer have sufficed for `down_after_s`: as many as were needed at most in that time. Then the time
       begins anew, so that a need which falls steadily is followed within twice the time.

Kubernetes' HorizontalPodAutoscaler goes down as slowly: to the most that was asked for within its stabilisation window (300 s by
default). But what counts here is counted, not measured by use: a promise has its replicas also while it is not used, and no need is
left unmet within a tolerance (a tenth by default there). All numbers are exact integers.
"""

from typing import NamedTuple

from processors.entitlement import Capacity
from schemas.scaling import ScalingReason

MILLION = 1_000_000

NEVER = -1
"""In place of a moment."""


class ScalingSettings(NamedTuple):
    """As of schemas/scaling.py; `headroom` in millionths."""

    min_replicas: int
    max_replicas: int
    quantile: str
    headroom: int
    max_step: int
    down_after_s: int
    cooldown_s: int


class Need(NamedTuple):
    """Replicas.

    Attributes:
        promised: for what is promised alone.
        needed: of each dimension, for what is promised and expected.
    """

    promised: int
    needed: Capacity

    @property
    def most(self) -> int:
        """For everything."""
        return max(self.needed)


class Memory(NamedTuple):
    """What the rule goes on from. Moments in milliseconds since 1970, or NEVER.

    Attributes:
        wanted: replicas that are asked for.
        changed_ms: when demand last changed that.
        low_since_ms: since when fewer would have sufficed; NEVER: they would not.
        low_most: the most that was needed since.
    """

    wanted: int
    changed_ms: int = NEVER
    low_since_ms: int = NEVER
    low_most: int = 0


def need_of(replica: Capacity, promised: Capacity, expected: Capacity) -> Need:
    """Replicas that are needed.

    Args:
        replica: what one has of each dimension, at least 1.
        promised: nominal quotas, summed.
        expected: what else will be wanted, headroom included (`with_headroom`).
    """
    alone = (-(-amount // has) for amount, has in zip(promised, replica, strict=True))
    both = (-(-(amount + more) // has) for amount, more, has in zip(promised, expected, replica, strict=True))
    return Need(max(alone), Capacity(*both))


def with_headroom(expected: Capacity, headroom: int) -> Capacity:
    """Demand and a share of it, in millionths, rounded up."""
    return Capacity(*(-(-amount * (MILLION + headroom) // MILLION) for amount in expected))


def decide(now_ms: int, need: Need, memory: Memory, settings: ScalingSettings) -> tuple[Memory, ScalingReason]:
    """What is asked for now, and why."""
    least = max(settings.min_replicas, need.promised)
    most = max(settings.max_replicas, need.promised)
    held = memory._replace(wanted=min(max(memory.wanted, least), most))
    target = min(max(need.most, least), most)
    if target < held.wanted:
        return _lower(now_ms, target, held, settings)
    held = held._replace(low_since_ms=NEVER, low_most=0)
    if target == held.wanted:
        return held, _why(need, target)
    if _cools_down(now_ms, held, settings):
        return held, ScalingReason.COOLDOWN
    wanted = min(target, held.wanted + settings.max_step)
    reason = _why(need, target) if wanted == target else ScalingReason.STEP
    return held._replace(wanted=wanted, changed_ms=now_ms), reason


def _lower(now_ms: int, target: int, held: Memory, settings: ScalingSettings) -> tuple[Memory, ScalingReason]:
    if held.low_since_ms == NEVER:
        held = held._replace(low_since_ms=now_ms, low_most=target)
    # A bound may have come down below what was needed.
    held = held._replace(low_most=min(max(held.low_most, target), held.wanted))
    if now_ms - held.low_since_ms < settings.down_after_s * 1000:
        return held, ScalingReason.LATELY_NEEDED
    if _cools_down(now_ms, held, settings):
        return held, ScalingReason.COOLDOWN
    wanted = max(held.low_most, held.wanted - settings.max_step)
    changed = held._replace(wanted=wanted, changed_ms=now_ms)
    if wanted > held.low_most:
        return changed, ScalingReason.STEP
    if target == wanted:
        return changed._replace(low_since_ms=NEVER, low_most=0), ScalingReason.IDLE
    return changed._replace(low_since_ms=now_ms, low_most=target), ScalingReason.IDLE


def _cools_down(now_ms: int, memory: Memory, settings: ScalingSettings) -> bool:
    return memory.changed_ms != NEVER and now_ms - memory.changed_ms < settings.cooldown_s * 1000


def _why(need: Need, target: int) -> ScalingReason:
    """Why exactly this many are needed."""
    if target == need.promised:
        return ScalingReason.PROMISED
    return ScalingReason.DEMAND if target == need.most else ScalingReason.BOUNDS
