"""Settings: what an operator may choose, from flags, `BOURSE_…`, `bourse.toml` or defaults, in this order of precedence.

Every field says what it is and in which unit. `Settings.load` is what commands call: it names the field, the value and
where it came from when something is wrong. `Settings(...)` is what tests call. Both read the environment.
"""

from __future__ import annotations

import json
import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from schemas.upkeep import Upkeep
from streams.errors import BadInput
from streams.settings_file import DEFAULT_HOME, PREFIX, explain, read_config, variable

Source = Literal["flag", "env", "toml", "default"]

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)?\s*\Z")


def _duration(value: object) -> object:
    """`90`, `"90"` (seconds), `"500ms"`, `"30s"`, `"5m"`, `"1h"`, `"30d"`, `"2w"` -> timedelta."""
    if not isinstance(value, str):
        return value
    found = _DURATION.match(value)
    if found is None:
        message = "a duration is a number of seconds or a number with ms, s, m, h, d or w, such as 1h"
        raise ValueError(message)
    return timedelta(seconds=float(found[1]) * _UNITS[found[2] or "s"])


Duration = Annotated[timedelta, BeforeValidator(_duration)]
Retention = Annotated[Duration, Field(ge=timedelta(days=1))] | None
Port = Annotated[int, Field(ge=1, le=65535)]
Count = Annotated[int, Field(ge=1)]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]


class Settings(BaseSettings):
    """Everything that may be chosen. Immutable; a part gets the whole and takes what it needs.

    Raises:
        pydantic.ValidationError: from the constructor; `load` turns it into `BadInput`.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True)

    home: Path = Field(DEFAULT_HOME, description="directory of data, logs and state; one running system for each")

    kafka: str | None = Field(None, description="bootstrap servers (host:port,…) of an existing Kafka; none: embedded")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="security protocol of the existing Kafka"
    )
    kafka_sasl_mechanism: str | None = Field(None, description="SASL mechanism: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, …")
    kafka_sasl_username: str | None = Field(None, description="SASL user name")
    kafka_sasl_password: SecretStr | None = Field(None, description="SASL password")
    kafka_ssl_ca_location: Path | None = Field(None, description="file of the certificate authority (PEM)")
    kafka_ssl_certificate_location: Path | None = Field(None, description="file of the client's certificate (PEM)")
    kafka_ssl_key_location: Path | None = Field(None, description="file of the client's private key (PEM)")
    kafka_ssl_key_password: SecretStr | None = Field(None, description="password of the client's private key")
    kafka_heap_mb: Annotated[int, Field(ge=128)] = Field(512, description="heap of the embedded Kafka, MiB")
    jars: Path | None = Field(None, description="directory of Kafka's jars; none: the user's cache directory")

    clickhouse: str | None = Field(None, description="URL of an existing ClickHouse (HTTP); none: embedded")
    clickhouse_user: str = Field("default", description="ClickHouse user name")
    clickhouse_password: SecretStr = Field(SecretStr(""), description="ClickHouse password; empty: embedded asks for none")
    clickhouse_database: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] = Field(
        "bourse", description="ClickHouse database of our tables"
    )

    ports: Literal["default", "auto"] = Field(
        "default", description="default: the ports below; auto: free ones, kept for the next start of this home"
    )
    host: str = Field("127.0.0.1", description="address on which embedded parts and the dashboard listen")
    kafka_port: Port = Field(9092, description="port of the embedded Kafka")
    clickhouse_port: Port = Field(8123, description="port of the embedded ClickHouse (HTTP)")
    dashboard_port: Port = Field(8050, description="port of the dashboard (HTTP)")
    engine_web_port: Port = Field(6066, description="port of the first engine's web view; engine n takes this + n - 1")

    topic_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]*$", max_length=100)] = Field(
        "bourse.", description="what every topic's name starts with"
    )
    partitions: Annotated[int, Field(ge=1, le=1024)] = Field(4, description="partitions of every topic that we create (clock: 1)")
    replication: Count = Field(1, description="replicas of every topic that we create (embedded Kafka: 1)")
    tenant: str | None = Field(None, description="for whom clients and commands trade (orders, transfers, positions, …)")
    key: Path | None = Field(None, description="file of the private key with which a tenant's commands are signed (PEM)")

    schema_registry: str | None = Field(None, description="URL of a Confluent schema registry; none: Avro without one")

    tick_ms: Annotated[int, Field(ge=50, le=60_000)] = Field(1000, description="length of a clock tick, milliseconds")
    grace_ticks: Annotated[int, Field(ge=1)] = Field(
        5, description="ticks after a period's end for which the engine waits for a silent meter"
    )
    dedupe_window_ticks: Annotated[int, Field(ge=1)] = Field(
        120, description="ticks for which the meter remembers (source, id) of an event"
    )
    max_ahead: Duration = Field(
        timedelta(hours=1), description="how far an event's time may be ahead of its append time (1h, 90s, …)"
    )
    max_age: Duration = Field(timedelta(days=30), description="how far an event's time may be behind its append time (30d, 12h, …)")
    max_event_bytes: Annotated[int, Field(ge=1024, le=8 << 20)] = Field(
        1 << 20, description="largest event that is decoded, bytes; a larger one is a dead letter"
    )

    meter_workers: Count = Field(1, description="processes that meter")
    intake_workers: Count = Field(1, description="processes that take commands in")
    engine_workers: Count = Field(1, description="processes that decide")
    sink_workers: Count = Field(1, description="processes that land rows in ClickHouse")
    snapshot_every: Duration = Field(timedelta(seconds=30), description="between two snapshots of an engine's state")
    sink_batch_rows: Count = Field(50_000, description="rows after which the sink inserts a batch")
    sink_batch: Duration = Field(timedelta(seconds=1), description="after which the sink inserts a smaller batch")
    plan_every: Annotated[Duration, Field(ge=timedelta(seconds=1))] = Field(
        timedelta(hours=1), description="between two plans: priors of new tenants, rebalance proposals"
    )
    plan_look_back: Annotated[Duration, Field(ge=timedelta(days=1), le=timedelta(weeks=8))] = Field(
        timedelta(weeks=1), description="history from which is planned; 134 MB for each week of 100,000 tenants"
    )
    rollup_every: Annotated[Duration, Field(ge=timedelta(seconds=1))] = Field(
        timedelta(minutes=1), description="how often ClickHouse brings rollups (usage_by_minute, …) up to date; whole seconds"
    )
    retention_events: Retention = Field(
        None, description="how long ClickHouse keeps usage, latency and admission events at least (90d); none: for ever"
    )
    retention_dead_letters: Retention = Field(None, description="the same of dead letters")
    retention_minutes: Retention = Field(None, description="the same of the rollup per minute")
    retention_hours: Retention = Field(None, description="the same of the rollup per hour; that per day is kept for ever")
    session_timeout: Duration = Field(
        timedelta(seconds=10), description="after which a dead worker's partitions move to another one"
    )

    restart_limit: Count = Field(10, description="restarts of a process within restart_window before it is given up")
    restart_window: Duration = Field(timedelta(minutes=5), description="window in which restarts are counted")
    restart_backoff: Duration = Field(
        timedelta(milliseconds=500), description="before the first restart; doubles up to 30 s, resets when stable"
    )
    ready_timeout: Duration = Field(timedelta(seconds=90), description="`bourse up` waits so long for all to be ready")
    stop_grace: Duration = Field(timedelta(seconds=15), description="after which a process that was asked to stop is killed")
    log_level: LogLevel = Field("INFO", description="least severe message that processes log")

    _sources: dict[str, Source] = PrivateAttr(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  the library's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  the library's signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, then the environment, then `bourse.toml`."""
        flags = init_settings.init_kwargs if isinstance(init_settings, InitSettingsSource) else {}
        config = read_config(flags.get("home"), cls.model_fields)
        return init_settings, env_settings, InitSettingsSource(settings_cls, init_kwargs=config)

    @field_validator("home", "jars", "key", "kafka_ssl_ca_location", "kafka_ssl_certificate_location", "kafka_ssl_key_location")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        # The supervisor leaves the directory in which `up` was typed; a relative path would then mean another place.
        return None if path is None else path.expanduser().absolute()

    @field_validator("clickhouse", "schema_registry")
    @classmethod
    def _http_url(cls, url: str | None) -> str | None:
        if url is not None and not re.match(r"https?://[^/\s]+", url):
            message = "an address such as http://host:8123 is expected"
            raise ValueError(message)
        return url.rstrip("/") if url else url

    @field_validator("kafka")
    @classmethod
    def _bootstrap(cls, servers: str | None) -> str | None:
        if servers is not None and not all(re.match(r"\A\S+:\d{1,5}\Z", part.strip()) for part in servers.split(",")):
            message = "host:port, or several separated by commas, is expected"
            raise ValueError(message)
        return servers

    @field_validator("retention_events")
    @classmethod
    def _remembers_events(cls, kept: timedelta | None, info: ValidationInfo) -> timedelta | None:
        # An event may come again as long as its time is in range; without its first copy it would count anew.
        in_range = info.data.get("max_age", timedelta()) + info.data.get("max_ahead", timedelta())
        if kept is not None and kept <= in_range:
            message = f"more than max_age + max_ahead ({in_range.total_seconds() / 86400:.15g} days) is expected"
            raise ValueError(message)
        return kept

    @model_validator(mode="after")
    def _remember_sources(self) -> Self:
        config = read_config(self.home, type(self).model_fields)
        environment = {name.upper() for name, value in os.environ.items() if value}
        for name in type(self).model_fields:
            in_environment = variable(name) in environment
            given = name in self.model_fields_set
            self._sources[name] = "default" if not given else "env" if in_environment else "toml" if name in config else "flag"
        return self

    @classmethod
    def load(cls, **flags: object) -> Settings:
        """The settings of a command; a flag that is None was not given.

        Raises:
            BadInput: names the field, its value and where it came from; or an unknown key of `bourse.toml`.
        """
        given = {name: value for name, value in flags.items() if value is not None}
        try:
            settings = cls.model_validate(given)
        except ValidationError as invalid:
            raise BadInput(explain(invalid, given)) from invalid
        for name in given:
            settings._sources[name] = "flag"  # noqa: SLF001  its own class
        return settings

    def source_of(self, name: str) -> Source:
        """Where the value of a field came from."""
        return self._sources[name]

    def as_environment(self) -> dict[str, str]:
        """`BOURSE_…` for a child process, so that it sees exactly these settings wherever it starts."""
        chosen = {name for name in type(self).model_fields if self._sources[name] != "default"} | {"home"}
        return {variable(name): text for name in sorted(chosen) if (text := self._text(name)) is not None}

    def shown(self, name: str) -> str | None:
        """A field's value for people: secrets and passwords inside URLs are masked."""
        value = getattr(self, name)
        if isinstance(value, SecretStr):
            return "********" if value.get_secret_value() else ""
        text = self._text(name)
        return text if text is None else re.sub(r"(://[^:/@\s]+:)[^@/\s]+@", r"\1********@", text)

    def _text(self, name: str) -> str | None:
        value = getattr(self, name)
        if isinstance(value, SecretStr):
            return value.get_secret_value()
        if isinstance(value, timedelta):
            return f"{value.total_seconds():.15g}s"
        return None if value is None else str(value)

    @property
    def max_ahead_ms(self) -> int:
        """`max_ahead` in milliseconds."""
        return self.max_ahead // timedelta(milliseconds=1)

    @property
    def max_age_ms(self) -> int:
        """`max_age` in milliseconds."""
        return self.max_age // timedelta(milliseconds=1)

    @property
    def snapshot_every_s(self) -> float:
        """`snapshot_every` in seconds."""
        return self.snapshot_every.total_seconds()

    @property
    def plan_every_s(self) -> int:
        """`plan_every` in whole seconds."""
        return self.plan_every // timedelta(seconds=1)

    @property
    def plan_look_back_s(self) -> int:
        """`plan_look_back` in whole seconds."""
        return self.plan_look_back // timedelta(seconds=1)

    @property
    def sink_batch_s(self) -> float:
        """`sink_batch` in seconds."""
        return self.sink_batch.total_seconds()

    @property
    def upkeep(self) -> Upkeep:
        """What ClickHouse does by itself with our tables."""

        def seconds(age: timedelta | None) -> int | None:
            return None if age is None else int(age.total_seconds())

        return Upkeep(
            rollup_every_s=int(self.rollup_every.total_seconds()),
            ahead_s=int(self.max_ahead.total_seconds()) + 1,
            events_s=seconds(self.retention_events),
            dead_letters_s=seconds(self.retention_dead_letters),
            minutes_s=seconds(self.retention_minutes),
            hours_s=seconds(self.retention_hours),
        )

    @property
    def run_dir(self) -> Path:
        """Where pid files, ready files and `state.json` are."""
        return self.home / "run"

    @property
    def log_dir(self) -> Path:
        """Where the logs of all processes are."""
        return self.home / "logs"

    def port_of(self, part: str, default: int) -> int:
        """The port on which a part of this home listens: what `up` chose, else the default."""
        try:
            chosen = json.loads((self.run_dir / "state.json").read_text())["ports"]
        except (OSError, ValueError, KeyError):
            return default
        return int(chosen.get(part, default))

    @property
    def kafka_bootstrap(self) -> str:
        """`host:port,…` of the Kafka in use, embedded or not."""
        return self.kafka or f"{self.host}:{self.port_of('kafka', self.kafka_port)}"

    @property
    def clickhouse_url(self) -> str:
        """URL of the ClickHouse in use, embedded or not."""
        return self.clickhouse or f"http://{self.host}:{self.port_of('clickhouse', self.clickhouse_port)}"

    @property
    def dashboard_url(self) -> str:
        """URL of the dashboard."""
        return f"http://{self.host}:{self.port_of('dashboard', self.dashboard_port)}"

    def engine_web_url(self, number: int = 1) -> str:
        """URL of the web view of engine `number` (from 1)."""
        return f"http://{self.host}:{self.port_of(f'engine-{number}', self.engine_web_port + number - 1)}"

    def kafka_client_config(self) -> dict[str, str]:
        """What every confluent-kafka client needs to connect: address, TLS, SASL."""
        options: dict[str, object | None] = {
            "bootstrap.servers": self.kafka_bootstrap,
            "security.protocol": self.kafka_security_protocol,
            "sasl.mechanism": self.kafka_sasl_mechanism,
            "sasl.username": self.kafka_sasl_username,
            "sasl.password": self.kafka_sasl_password,
            "ssl.ca.location": self.kafka_ssl_ca_location,
            "ssl.certificate.location": self.kafka_ssl_certificate_location,
            "ssl.key.location": self.kafka_ssl_key_location,
            "ssl.key.password": self.kafka_ssl_key_password,
        }
        return {
            key: value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            for key, value in options.items()
            if value is not None
        }

    def topic(self, name: str) -> str:
        """The full name of a topic of the interface: `topic("usage")` is `bourse.usage` by default."""
        return self.topic_prefix + name
