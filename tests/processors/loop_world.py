"""A pool whose SLA loop has moved bases."""

from journal_world import World, latency, pool, profile, usage


def boosted(name="llm", periods=4):
    """Periods of two ticks: `vip` broke its SLA three times, so the fourth closed period gave it 40 tokens of `low`'s base."""
    world = World()
    world.tick(8)
    world.take(
        pool(pool=name, sla=None, rebalance=None),
        profile("vip", "vip", pool=name, base=400, tier="guaranteed", sla_ms=100),
        profile("mid", "mid", pool=name, base=300, tier="elastic"),
        profile("low", "low", pool=name, base=200, tier="spot"),
    )
    world.run(9, 10)
    for _ in range(periods):
        end = (world.pool(name).open.period + 1) * 2
        world.take(usage(end, {"vip": 400}, pool=name), latency(end, {"vip": {200: 50}}, pool=name))
        world.run(end - 1, end)
    return world
