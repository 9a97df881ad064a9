"""Commands and reports before the door: which it takes, and which it refuses with which words."""

import json
from typing import Any

import pytest
from door_cases import ADMISSION, INVALID, LATENCY, LATENCY_EVENT, POOL, PROFILE, UNKNOWN_SCHEMA, read

from schemas.dead_letters import Problem
from schemas.published import AdmissionEvent, Budget, Policy, PoolCommand, ProfileCommand, Tier
from streams.codecs import encode
from streams.complaints import Refusal
from streams.door import TopicKind

BAD_COMMANDS: list[tuple[str, TopicKind, Any, bytes | None, Problem, str]] = [
    ("no type", "profiles", {"id": "x"}, None, INVALID, "type: missing"),
    (
        "unknown type",
        "profiles",
        {"type": "poool"},
        None,
        INVALID,
        "type: 'poool' is none that profiles holds (pool, profile, replicas, deposit, key, call, priors, rebalance)",
    ),
    ("type is no text", "profiles", {"type": ["pool"]}, None, INVALID, "type: a list is none that profiles holds"),
    ("a pool set by a tenant", "orders", POOL, None, INVALID, "type: 'pool' is none that orders holds (order, cancel, "),
    ("a pool in Avro by a tenant", "orders", encode(PoolCommand(**POOL)), None, UNKNOWN_SCHEMA, "which orders does not hold"),
    (
        "unknown policy",
        "profiles",
        POOL | {"policy": "luck"},
        None,
        INVALID,
        "policy: 'luck' is not 'seed', 'uniform_price', 'max_min' or 'proportional'",
    ),
    ("seven places", "profiles", PROFILE | {"elasticity": "0.0000001"}, None, INVALID, "elasticity: '0.0000001' has more than six"),
    (
        "a huge decimal",
        "profiles",
        PROFILE | {"elasticity": "1e999999999"},
        None,
        INVALID,
        "elasticity: '1e999999999' is more than",
    ),
    ("NaN elasticity", "profiles", PROFILE | {"elasticity": float("nan")}, None, INVALID, "elasticity: nan is not a finite number"),
    ("weight above one", "profiles", POOL | {"cached_weight": 1.1}, None, INVALID, "cached_weight: 1.1 is more than 1"),
    ("a budget of text", "profiles", PROFILE | {"budget": "5"}, None, INVALID, "budget: '5' is not an object"),
    ("a budget without window", "profiles", PROFILE | {"budget": {"amount": 5}}, None, INVALID, "budget.window_s: missing"),
    ("a key of another pool", "profiles", POOL, b"acme", INVALID, "key: 'acme' differs from pool 'llama'"),
    ("a type like a name of Python", "profiles", {"type": "__class__"}, None, INVALID, "type: '__class__' is none that"),
]


@pytest.mark.parametrize(
    ("kind", "value", "key", "problem", "said"), [c[1:] for c in BAD_COMMANDS], ids=[c[0] for c in BAD_COMMANDS]
)
def test_bad_commands(kind: TopicKind, value: Any, key: bytes | None, problem: Problem, said: str) -> None:
    found = read(value, kind, key=key)
    assert isinstance(found, Refusal), found
    assert (found.problem, said in found.detail) == (problem, True), found


def test_commands() -> None:
    pool = PoolCommand(id="c1", pool="llama", capacity=1000, policy=Policy.MAX_MIN, cached_weight=250_000 / 1_000_000)  # type: ignore[arg-type]  # a published decimal
    assert pool.cached_weight == 250_000
    for value in (json.dumps(POOL).encode(), encode(pool)):
        assert read(value, "profiles", key=b"llama") == pool
    profile = read(PROFILE, "profiles", key=b"llama")
    assert isinstance(profile, ProfileCommand)
    assert (profile.elasticity, profile.weight, profile.tier) == (2_500_000, 1_500_000, Tier.SPOT)
    assert profile.budget == Budget(amount=5, window_s=60)
    assert read(encode(profile), "profiles") == profile
    assert read(LATENCY, "latency") == read(encode(LATENCY_EVENT), "latency") == LATENCY_EVENT


def test_reports_of_admission_are_read() -> None:
    event = AdmissionEvent(**ADMISSION, refused_own_kv=1, refused_pool_concurrency=2)  # type: ignore[arg-type]  # a table of JSON
    said = ADMISSION | {"refused_own_kv": 1, "refused_pool_concurrency": 2}
    assert read(said, "admissions") == read(encode(event), "admissions") == event
    assert isinstance(event, AdmissionEvent)
    assert event.refused == 3


TOKEN_POOL = {"replicas": 2, "replica_tokens_per_s": 1000, "replica_kv_blocks": 500, "replica_concurrency": 8}
ENTITLEMENTS: list[tuple[dict[str, Any], str]] = [
    (POOL | {"replicas": 2}, "replica_tokens_per_s: missing, but replicas is 2"),
    (POOL | {"replica_kv_blocks": 2}, "replicas: missing, but replica_kv_blocks is 2"),
    (POOL | TOKEN_POOL | {"replicas": -1}, "replicas: -1 is less than 0"),
    (POOL | TOKEN_POOL | {"replica_kv_blocks": 0}, "replica_kv_blocks: 0 is less than 1"),
    (POOL | TOKEN_POOL | {"replica_kv_blocks": 1.5}, "replica_kv_blocks: 1.5 is not an integer"),
    (POOL | TOKEN_POOL | {"replicas": 10**9}, "replicas: 1000000000 is more than 100000"),
    (POOL | TOKEN_POOL | {"debt_gain": 11}, "debt_gain: 11 is more than 10"),
    (PROFILE | {"tier": "gold"}, "tier: 'gold' is not 'dedicated', 'guaranteed', 'elastic', 'spot' or 'preemptible'"),
    (PROFILE | {"kv": {"nominal_quota": 0}}, "kv.nominal_quota: 0 is less than 1"),
    (PROFILE | {"kv": {"nominalQuota": -5}}, "kv.nominalQuota: -5 is less than 1"),
    (PROFILE | {"kv": {"nominal_quota": 1.5}}, "kv.nominal_quota: 1.5 is not an integer"),
    (
        PROFILE | {"concurrency": {"nominal_quota": 10**15}},
        "concurrency.nominal_quota: 1000000000000000 is more than 100000000000000",
    ),
    (PROFILE | {"kv": {"nominal_quota": 5, "borrowing_limit": -1}}, "kv.borrowing_limit: -1 is less than 0"),
    (PROFILE | {"kv": {"nominal_quota": 5, "lending_limit": 6}}, "kv.lending_limit: 6 is more than nominal_quota 5"),
    (PROFILE | {"kv": {"lending_limit": 6}}, "kv.lending_limit: 6, but no nominal_quota is given to lend of"),
    (
        PROFILE | {"throughput": {"nominalQuota": 6}},
        "throughput.nominalQuota: 6, but throughput is what the period allocates: set the profile's base",
    ),
    (
        PROFILE | {"tier": "dedicated", "throughput": {"lendingLimit": 6}},
        "throughput.lending_limit: 6, but what is dedicated is never lent",
    ),
    (PROFILE | {"kv": 5}, "kv: 5 is not an object"),
]


@pytest.mark.parametrize(("said", "detail"), ENTITLEMENTS, ids=[detail for _, detail in ENTITLEMENTS])
def test_entitlements_that_nobody_can_have_are_refused_by_field_and_value(said: dict[str, Any], detail: str) -> None:
    refusal = read(said, "profiles")
    assert isinstance(refusal, Refusal)
    assert (refusal.problem, refusal.detail) == (Problem.INVALID, detail)


def test_entitlements_are_read_by_our_names_and_by_kueues() -> None:
    ours = {"kv": {"nominal_quota": 5, "borrowing_limit": 3, "lending_limit": 2}, "throughput": {"borrowing_limit": 7}}
    kueues = {"kv": {"nominalQuota": 5, "borrowingLimit": 3, "lendingLimit": 2}, "throughput": {"borrowingLimit": 7}}
    assert read(PROFILE | ours, "profiles") == read(PROFILE | kueues, "profiles")
    assert isinstance(read(POOL | TOKEN_POOL | {"burst": [{"fill": 0.5, "scale": 1}]}, "profiles"), PoolCommand)


@pytest.mark.parametrize("kind", ["profile", "io.bourse.profile"])
def test_a_command_names_its_type_in_the_envelope_or_the_data(kind: str) -> None:
    data = {name: value for name, value in PROFILE.items() if name not in {"type", "id", "tenant"}}
    cloud = {"specversion": "1.0", "type": kind, "id": "c2", "source": "ops", "subject": "acme", "data": data}
    assert read(cloud, "profiles") == read(PROFILE, "profiles")
    assert read(cloud | {"type": "com.example.set", "data": data | {"type": "profile"}}, "profiles") == read(PROFILE, "profiles")
