"""Golden journals: a small scenario for each policy, with every fact that must follow, as JSON lines for people to read.

    {"offset": 4, "profile": {…}}       a journal record, written by hand below
      {"profile_set": {…}}              a fact that followed from it
    {"encoded": "…"}                    SHA-256 of all facts as they are published

`python tests/processors/golden.py` writes the files anew. Look at what `git diff` says before you commit it: facts that were
published once must follow from their journal for ever (BEY-1).
"""

import hashlib
import json
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]

from journal_world import World, mark, pool, profile, tick, usage

from processors.engine import fold
from processors.state import PartitionState
from schemas.catalogue import EVENTS
from streams.codecs import encode

FOLDER = Path(__file__).parent / "golden"
POLICIES = ("seed", "uniform_price", "max_min", "proportional")


def scenario(policy):
    """Five periods of 3 ticks: guarantees, bids, a budget, a lost replica, a late meter, repetitions, refusals, a clock gap."""
    terms = {"period_s": 3, "policy": policy, "base_price": 2, "reserve_price": 5, "cached_weight": "0.5"}
    # As of journals that were written before there were loops and the mixture: what was decided then must be decided for ever.
    terms |= {"forecaster": "last_value", "sla": {"enabled": False}, "rebalance": {"enabled": False}}
    yield pool("pool-1", capacity=1000, **terms)
    yield tick(300)
    yield profile("steady-1", "steady", base=200, elasticity=1)
    yield profile("bursty-1", "bursty", base=100, elasticity="2.5", weight=3)
    yield profile("capped-1", "capped", base=50, elasticity=3, budget=(1500, 6))
    yield profile("greedy-1", "greedy", base=700)
    yield profile("stray-1", "steady", base=1, pool="nowhere")
    for number in range(301, 304):
        yield usage(number, {"bursty": (120, 31, 60, 4), "capped": 90, "steady": (50, 0, 10, 2)})
        yield usage(number, {"steady": 7}, pool="nowhere")
        yield from (tick(number), mark(number, "latency"), mark(number))
    for number in range(304, 307):
        yield usage(number, {"bursty": 400, "capped": 200, "stranger": 11})
        yield from (tick(number), mark(number, "latency"), mark(number))
    yield usage(306, {"bursty": 400, "capped": 200, "stranger": 11})
    yield pool("pool-2", capacity=280, **terms)
    yield profile("bursty-1", "bursty", base=0)
    for number in range(307, 310):
        yield usage(number, {"bursty": 100, "steady": 150})
        yield from (tick(number), mark(number, "latency"))
        yield from () if number == 309 else (mark(number),)
    yield from (tick(310), tick(311), tick(312), mark(309), mark(312, "latency"), mark(312))
    yield pool("pool-3", capacity=1200, **{**terms, "forecaster": "exponential"})
    yield usage(313, {"bursty": 300})
    yield tick(400)
    yield from (mark(400, "latency"), mark(400))
    yield tick(402)
    yield from (mark(402, "latency"), mark(402))


def text(journal):
    """The file of a journal, a list of (offset, record)."""
    state, digest, lines = PartitionState(), hashlib.sha256(), []
    for offset, record in journal:
        lines.append(_line({"offset": offset, record.KIND: record.model_dump(mode="json")}))
        for fact in fold(state, record, offset):
            lines.append("  " + _line({fact.KIND: fact.model_dump(mode="json")}))
            digest.update(encode(fact))
    lines.append(_line({"encoded": digest.hexdigest()}))
    return "".join(f"{line}\n" for line in lines)


def journal_of(written):
    """The records of a file, read from its text."""
    for line in written.splitlines():
        said = json.loads(line)
        if "offset" in said:
            offset = said.pop("offset")
            ((kind, fields),) = said.items()
            yield offset, EVENTS[kind].model_validate(fields)


def _line(value):
    return json.dumps(value, ensure_ascii=False)


def main():
    FOLDER.mkdir(exist_ok=True)
    for policy in POLICIES:
        world = World()
        world.take(*scenario(policy))
        (FOLDER / f"{policy}.jsonl").write_text(text(world.journal), encoding="utf-8")


if __name__ == "__main__":
    main()
