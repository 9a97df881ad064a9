"""Settings: precedence, where each value came from, and errors that name field, value and source."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from schemas.upkeep import Upkeep
from streams.errors import BadInput
from streams.settings import Settings
from streams.settings_file import unknown_environment


@pytest.fixture(autouse=True)
def _empty_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("BOURSE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_precedence_is_flag_env_toml_default(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("bourse.toml").write_text('tick_ms = 200\npartitions = 7\ntopic_prefix = "t."\n')
    monkeypatch.setenv("BOURSE_TICK_MS", "300")
    monkeypatch.setenv("BOURSE_PARTITIONS", "8")
    settings = Settings.load(tick_ms=400, grace_ticks=None)
    told = {
        name: (getattr(settings, name), settings.source_of(name))
        for name in ("tick_ms", "partitions", "topic_prefix", "grace_ticks")
    }
    assert told == {
        "tick_ms": (400, "flag"),
        "partitions": (8, "env"),
        "topic_prefix": ("t.", "toml"),
        "grace_ticks": (5, "default"),
    }


def test_bourse_toml_is_also_read_from_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = tmp_path / "elsewhere"
    home.mkdir()
    (home / "bourse.toml").write_text("tick_ms = 250\n")
    monkeypatch.setenv("BOURSE_HOME", str(home))
    assert Settings.load().tick_ms == 250
    Path("bourse.toml").write_text("tick_ms = 260\n")
    assert Settings.load().tick_ms == 260, "the working directory's comes first"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1h", timedelta(hours=1)),
        ("30d", timedelta(days=30)),
        ("500ms", timedelta(milliseconds=500)),
        ("90", timedelta(seconds=90)),
        ("1.5m", timedelta(seconds=90)),
        ("2w", timedelta(weeks=2)),
    ],
)
def test_durations(text: str, expected: timedelta, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOURSE_MAX_AGE", text)
    settings = Settings.load()
    assert settings.max_age == expected
    assert settings.max_age_ms == expected // timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tick_ms", "abc"),
        ("tick_ms", "0"),
        ("max_age", "one day"),
        ("ports", "some"),
        ("kafka", "no-port"),
        ("clickhouse", "localhost"),
        ("clickhouse_database", "a b"),
        ("kafka_port", "70000"),
        ("retention_events", "30d"),
        ("retention_minutes", "5m"),
        ("rollup_every", "10ms"),
    ],
)
def test_a_bad_value_names_field_value_and_source(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOURSE_" + name.upper(), value)
    with pytest.raises(BadInput) as from_environment:
        Settings.load()
    for part in (name, repr(value), "BOURSE_" + name.upper()):
        assert part in str(from_environment.value)
    monkeypatch.delenv("BOURSE_" + name.upper())
    with pytest.raises(BadInput, match=f"setting {name} .*a flag"):
        Settings.load(**{name: value})
    Path("bourse.toml").write_text(f"{name} = {json.dumps(value)}\n")
    with pytest.raises(BadInput, match=rf"setting {name} .*bourse\.toml"):
        Settings.load()


def test_an_unknown_key_of_the_file_is_an_error_with_a_close_match() -> None:
    Path("bourse.toml").write_text("tik_ms = 1\n")
    with pytest.raises(BadInput, match=r"unknown setting 'tik_ms' \(did you mean tick_ms"):
        Settings.load()


def test_a_file_that_is_no_toml_is_an_error() -> None:
    Path("bourse.toml").write_text("tick_ms: 1\n")
    with pytest.raises(BadInput, match=r"bourse\.toml"):
        Settings.load()


def test_an_unknown_variable_is_a_warning_with_a_close_match(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOURSE_TOPIC_PREFX", "x.")
    warnings = unknown_environment(Settings.model_fields)
    assert warnings == ["BOURSE_TOPIC_PREFX is no setting and changes nothing (did you mean BOURSE_TOPIC_PREFIX?)"]


def test_a_child_sees_the_same_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Path("bourse.toml").write_text('topic_prefix = "t."\nmax_age = "21d"\nretention_events = "90d"\n')
    settings = Settings.load(home="here", tick_ms=200, kafka_sasl_password="geheim", kafka_ssl_ca_location="ca.pem")
    monkeypatch.chdir("/")
    for name, value in settings.as_environment().items():
        monkeypatch.setenv(name, value)
    assert Settings.load().model_dump() == settings.model_dump()
    assert settings.home == tmp_path / "here"


def test_what_clickhouse_does_by_itself_is_told_in_seconds() -> None:
    settings = Settings(retention_events=timedelta(days=90), retention_hours=timedelta(days=400), max_ahead=timedelta(hours=2))
    assert settings.upkeep == Upkeep(rollup_every_s=60, ahead_s=7201, events_s=90 * 86_400, hours_s=400 * 86_400)
    assert Settings().upkeep == Upkeep(ahead_s=3601)


def test_secrets_are_masked() -> None:
    settings = Settings.load(kafka_sasl_password="geheim", clickhouse="http://me:geheim@host:8123")
    shown = " ".join(str(settings.shown(name)) for name in Settings.model_fields)
    assert "geheim" not in shown
    assert "geheim" not in repr(settings.kafka_sasl_password)
    assert settings.kafka_client_config()["sasl.password"] == "geheim"


def test_config_prints_every_field_with_its_source() -> None:
    command = [sys.executable, "-m", "infra.cli", "config", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"BOURSE_TICK_MS": "250"})
    shown = json.loads(done.stdout)
    assert shown.keys() == Settings.model_fields.keys()
    assert shown["tick_ms"]["value"] == "250"
    assert shown["tick_ms"]["source"] == "env"
    assert all(field["description"] for field in shown.values())


def test_a_bad_setting_ends_a_command_with_one_line_and_code_2() -> None:
    command = [sys.executable, "-m", "infra.cli", "config"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"BOURSE_TICK_MS": "x"})
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("bourse: setting tick_ms = 'x' (from the environment, BOURSE_TICK_MS)")
