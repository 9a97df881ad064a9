"""The topics: which there are, how they are kept, and that they are as the processors need them.

Created by `bourse up` and `bourse topics`, never by a client's typo. Partition counts are checked, not changed: adding
partitions would send a tenant's or a pool's later events to another partition than its earlier ones.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public names, which its stubs don't re-export
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from streams.errors import Unavailable, UserError
from streams.settings import Settings

ANSWER_S = 30.0
LOOK_EVERY_S = 0.05
DAY_MS = 86_400_000

# Inputs take what the producer sends at most; what is written about an input (dead letter, journal, fact, snapshot) adds to it.
INPUT_BYTES = 8 << 20
INTERNAL_BYTES = 12 << 20


@dataclass(frozen=True)
class TopicSpec:
    """A topic as it shall be.

    Attributes:
        name: without the prefix.
        partitions: how many; the same for all but the clock, as one worker reads partition n of several topics.
        config: Kafka's settings of the topic.
    """

    name: str
    partitions: int
    config: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TopicState:
    """A topic as it is.

    Attributes:
        spec: as it shall be.
        full_name: with the prefix.
        partitions: how many it has; 0: it does not exist.
        created: it was made just now.
        differences: what is not as it shall be, for people.
    """

    spec: TopicSpec
    full_name: str
    partitions: int
    created: bool
    differences: tuple[str, ...]


def topic_specs(settings: Settings) -> tuple[TopicSpec, ...]:
    """All topics. A table's changelog is one of them: Faust must not create it with defaults."""
    inputs = {"retention.ms": str(7 * DAY_MS), "max.message.bytes": str(INPUT_BYTES)}
    kept = {"retention.ms": "-1", "max.message.bytes": str(INTERNAL_BYTES)}
    # The latest value of each key is what counts, and it may be old. Small segments, since only closed ones are compacted.
    latest = {"cleanup.policy": "compact", "segment.bytes": str(64 << 20), "max.message.bytes": str(INTERNAL_BYTES)}
    count = settings.partitions
    return (
        TopicSpec("usage", count, inputs),
        TopicSpec("latency", count, inputs),
        TopicSpec("admissions", count, inputs),
        TopicSpec("orders", count, inputs),
        TopicSpec("profiles", count, inputs),
        # Reports are worth something for as long as a lease; a day tells people what gateways did.
        TopicSpec("gateways", count, {**inputs, "retention.ms": str(DAY_MS)}),
        TopicSpec("journal", count, kept),
        TopicSpec("facts", count, kept),
        TopicSpec("limits", count, latest),
        # Written once a second for each gateway; otherwise as the next.
        TopicSpec("leases", count, {**latest, "segment.bytes": str(4 << 20), "min.cleanable.dirty.ratio": "0.1"}),
        # Who begins to follow it reads it whole, so that it is kept small: a busy book is written many times a second.
        TopicSpec("market", count, {**latest, "segment.bytes": str(4 << 20), "min.cleanable.dirty.ratio": "0.1"}),
        # Every gateway reads all of it, and operators write it: there is nothing to divide.
        TopicSpec("api-keys", 1, latest),
        # Likewise, the engines: a record for each scaled pool and tick.
        TopicSpec("scaling", 1, {**latest, "segment.bytes": str(4 << 20), "min.cleanable.dirty.ratio": "0.1"}),
        TopicSpec("engine-state-changelog", count, latest),
        TopicSpec("dead-letters", count, {**kept, "retention.ms": str(30 * DAY_MS)}),
        # Whoever owns its one partition is the clock; it holds nothing that has to last.
        TopicSpec("clock", 1, {"retention.ms": str(DAY_MS)}),
    )


def ensure_topics(settings: Settings, admin: AdminClient | None = None) -> list[TopicState]:
    """Make what is missing and tell how everything is. Changes nothing when run again; several may run it at once.

    Args:
        settings: prefix, partitions, replication, and how to reach Kafka.
        admin: a client to use instead of a new one.

    Raises:
        Unavailable: Kafka does not answer.
        UserError: Kafka refuses to create a topic.
    """
    admin = admin or AdminClient({**settings.kafka_client_config(), "log_level": 0})
    specs = topic_specs(settings)
    before = _partition_counts(admin)
    missing = [spec for spec in specs if settings.topic(spec.name) not in before]
    _create(admin, settings, missing)
    now = _wait_for(admin, {settings.topic(spec.name) for spec in specs}) if missing else before
    configs = _configs(admin, [settings.topic(spec.name) for spec in specs])
    made = {spec.name for spec in missing}
    return [_state(spec, settings, now, configs.get(settings.topic(spec.name), {}), created=spec.name in made) for spec in specs]


def check_partitions(states: Iterable[TopicState]) -> None:
    """Refuse to run on topics whose partitions are not what the settings say: tables and clock ticks rely on it.

    Raises:
        UserError: names the topics and what to do.
    """
    wrong = [state for state in states if state.partitions != state.spec.partitions]
    if wrong:
        told = ", ".join(
            f"{state.full_name} has {state.partitions} partitions instead of {state.spec.partitions}" for state in wrong
        )
        raise UserError(f"{told}. Set BOURSE_PARTITIONS to what is there, or choose another BOURSE_TOPIC_PREFIX")


def _create(admin: AdminClient, settings: Settings, specs: list[TopicSpec]) -> None:
    if not specs:
        return
    futures: dict[str, Future[None]] = admin.create_topics(
        [
            NewTopic(
                settings.topic(spec.name),
                num_partitions=spec.partitions,
                replication_factor=settings.replication,
                config={"message.timestamp.type": "LogAppendTime", **spec.config},
            )
            for spec in specs
        ],
        operation_timeout=ANSWER_S,
        request_timeout=ANSWER_S,
    )
    for name, future in futures.items():
        try:
            future.result()
        except KafkaException as refused:
            error: KafkaError = refused.args[0]
            if error.code() != KafkaError.TOPIC_ALREADY_EXISTS:  # another process was faster
                raise UserError(f"Kafka does not create the topic {name}: {error.str()}") from refused


def _partition_counts(admin: AdminClient) -> dict[str, int]:
    try:
        topics = admin.list_topics(timeout=ANSWER_S).topics
    except KafkaException as silent:
        raise Unavailable(f"Kafka does not answer: {silent.args[0].str()}") from silent
    return {name: len(topic.partitions) for name, topic in topics.items() if topic.error is None}


def _wait_for(admin: AdminClient, names: set[str]) -> dict[str, int]:
    """Counts once all topics are in the cluster's metadata: creation is acknowledged a moment before every broker knows."""
    deadline = time.monotonic() + ANSWER_S
    while True:
        counts = _partition_counts(admin)
        if names <= counts.keys():
            return counts
        if time.monotonic() > deadline:
            raise Unavailable(f"Kafka accepted but does not show the topics {', '.join(sorted(names - counts.keys()))}")
        time.sleep(LOOK_EVERY_S)


def _configs(admin: AdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    futures = admin.describe_configs([ConfigResource(ResourceType.TOPIC, name) for name in names], request_timeout=ANSWER_S)
    found: dict[str, dict[str, str]] = {}
    for resource, future in futures.items():
        try:
            found[resource.name] = {name: entry.value for name, entry in future.result().items() if entry.value is not None}
        except KafkaException:  # a cluster may not let us read them; then they are not compared
            found[resource.name] = {}
    return found


def _state(spec: TopicSpec, settings: Settings, counts: dict[str, int], config: dict[str, str], *, created: bool) -> TopicState:
    name = settings.topic(spec.name)
    partitions = counts.get(name, 0)
    differences = []
    if partitions != spec.partitions:
        differences.append(f"{partitions} partitions instead of {spec.partitions}")
    wanted = {"message.timestamp.type": "LogAppendTime", **spec.config}
    differences += [
        f"{key} is {config[key]} instead of {value}" for key, value in wanted.items() if key in config and config[key] != value
    ]
    return TopicState(spec, name, partitions, created, tuple(differences))
