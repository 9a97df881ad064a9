"""A test's world where commands and pages look for it: its facts in a real ClickHouse, its journal on a real Kafka."""

from types import SimpleNamespace

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from schemas.clickhouse import tables
from schemas.facts import FACTS
from streams.clickhouse import connect
from streams.codecs import encode
from streams.landables import read_facts
from streams.landing import Collected, after
from streams.standing import LandingTables
from streams.tables import create_tables

LANDED_AT = 1_700_000_000_000


def make_journal(settings):
    """The topic, of one partition."""
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap})  # its answers come only while it lives
    for made in admin.create_topics([NewTopic(settings.topic("journal"), 1, 1)]).values():
        made.result(30)


def append(settings, records):
    """To the journal, acknowledged."""
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap, "enable.idempotence": True})
    for record in records:
        producer.produce(settings.topic("journal"), encode(record), partition=0)
    assert producer.flush(30) == 0


def publish(settings, world):
    """The world's journal, and its facts."""
    make_journal(settings)
    append(settings, [record for _, record in world.journal])
    return land(settings, [world])


def land(settings, worlds, *, copies=1, upto=None):
    """Every fact of each world (one partition a world), and how far that is. With `copies`, as if a sink had been frozen so often.

    `upto`: so many facts of each.
    """
    client = connect(settings)
    create_tables(client, settings.clickhouse_database)
    topic = settings.topic("facts")
    names = [model.TABLE.name for model in FACTS if model.TABLE is not None]
    landing = LandingTables(settings.clickhouse_database, topic, names)
    for copy in range(copies):
        collected = Collected()
        for partition, world in enumerate(worlds):
            facts = world.facts[:upto]
            records = [
                SimpleNamespace(offset=copy * len(facts) + offset, value=encode(fact), key=None, headers=(), timestamp=0)
                for offset, fact in enumerate(facts)
            ]
            read_facts(topic)(collected, partition, records)
            if records:
                collected.reach(partition, records[-1].offset)
        standings = landing.read(client, collected.through)
        for ddl in tables(settings.clickhouse_database):
            if items := collected.tables.get(ddl.name):
                landing.inserting(ddl.name, items, LANDED_AT)(client)  # without looking at what is there already
        landing.insert_landed(client, after(collected, LANDED_AT, standings))
    return client
