"""The statements that make an analyst, read by ClickHouse's own parser; and what a store without users answers."""

from __future__ import annotations

import hashlib
import re

import pytest

from streams.analysts import create_analyst, drop_analyst, new_password, user_statements
from streams.clickhouse import connect
from streams.errors import BadInput, UserError
from streams.settings import Settings


@pytest.fixture
def client(clickhouse, tmp_path):
    client = connect(Settings(home=tmp_path, clickhouse=clickhouse))
    yield client
    client.close()


@pytest.mark.parametrize("replace", [False, True])
def test_clickhouse_understands_them_and_the_password_is_in_none(client, replace):
    made, granted = user_statements("bourse", "grace-2", "it's a secret", salt="ab12", replace=replace)
    assert client.command(f"EXPLAIN AST {made}").startswith("CreateUserQuery")
    assert client.command(f"EXPLAIN AST {granted}").startswith("GrantQuery")
    assert "secret" not in made + granted
    digest = hashlib.sha256(b"it's a secretab12").hexdigest()
    assert f"BY '{digest}' SALT 'ab12'" in made
    assert made.startswith("CREATE USER OR REPLACE" if replace else "CREATE USER `")
    assert re.findall(r"(\w+) = (\d+)", made)[0] == ("readonly", "2")
    assert granted == "GRANT SELECT ON `bourse`.* TO `grace-2`"


def test_limits_cannot_be_set_to_none(client):
    made, _ = user_statements("bourse", "grace", new_password(), salt="ab")
    for limit in ("max_execution_time", "max_memory_usage"):
        assert re.search(rf"{limit} = (\d+) MIN 1 MAX \1\b", made)


@pytest.mark.parametrize("name", ["", "a b", "1a", "a`; DROP DATABASE bourse; --", "a" * 64, "ü"])
def test_a_name_that_would_need_quoting_is_refused(client, name):
    with pytest.raises(BadInput, match="no name"):
        create_analyst(client, "bourse", name, "x")
    with pytest.raises(BadInput, match="no name"):
        drop_analyst(client, name)


def test_a_store_that_lets_us_make_no_users_is_told_in_one_line(client):
    for act in (lambda: create_analyst(client, "bourse", "grace", "x"), lambda: drop_analyst(client, "grace")):
        with pytest.raises(UserError, match="lets us make no users") as told:
            act()
        assert "\n" not in str(told.value)


def test_passwords_are_long_and_differ():
    assert len({new_password() for _ in range(100)}) == 100
    assert len(new_password()) >= 32
