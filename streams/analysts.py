"""A user of a ClickHouse server who may read our database and nothing else, for at most so long and so much at once."""

from __future__ import annotations

import hashlib
import re
import secrets

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from schemas.clickhouse_views import quoted
from streams.errors import BadInput, UserError

NAME = re.compile(r"\A[A-Za-z_][A-Za-z0-9_-]{0,62}\Z")

LONGEST_S = 300
MOST_MEMORY = 8 << 30
QUERIES = 16
"""At the same time, of one analyst: more wait for nothing, they are refused."""

NOT_ALLOWED = 497
EXISTS = 493


def new_password() -> str:
    """192 bits that no one guesses."""
    return secrets.token_urlsafe(24)


def user_statements(database: str, name: str, password: str, *, salt: str, replace: bool = False) -> list[str]:
    """What makes the user, in order.

    The password itself is in none of them, so that it is in no log of the server.
    """
    # How ClickHouse checks it: the hash of the password followed by the salt.
    digest = hashlib.sha256((password + salt).encode()).hexdigest()
    settings = (
        # 2 and not 1: clients set formats and time limits of their own; data and `readonly` can't be changed in either.
        "readonly = 2",
        # A limit of 0 would be none.
        f"max_execution_time = {LONGEST_S} MIN 1 MAX {LONGEST_S}",
        f"max_memory_usage = {MOST_MEMORY} MIN 1 MAX {MOST_MEMORY}",
        f"max_concurrent_queries_for_user = {QUERIES} CONST",
    )
    made = "CREATE USER OR REPLACE" if replace else "CREATE USER"
    return [
        f"{made} `{name}` IDENTIFIED WITH sha256_hash BY {quoted(digest)} SALT {quoted(salt)} SETTINGS {', '.join(settings)}",
        f"GRANT SELECT ON `{database}`.* TO `{name}`",
    ]


def create_analyst(client: Client, database: str, name: str, password: str, *, replace: bool = False) -> None:
    """Make the user. A crash between the two statements leaves one who may read nothing; `replace` begins again.

    Raises:
        BadInput: a name that would have to be quoted; or there is such a user.
        UserError: we may not make users there.
        ClickHouseError: no answer.
    """
    if not NAME.match(name):
        raise BadInput(f"{name!r} is no name for an analyst: up to 63 letters, digits, _ and -, a letter or _ first")
    try:
        for statement in user_statements(database, name, password, salt=secrets.token_hex(16), replace=replace):
            client.command(statement)
    except ClickHouseError as error:
        raise _explained(error, name) from error


def drop_analyst(client: Client, name: str) -> None:
    """Remove the user; changes nothing if there is none.

    Raises:
        BadInput: no name of an analyst.
        UserError: we may not remove users there.
        ClickHouseError: no answer.
    """
    if not NAME.match(name):
        raise BadInput(f"{name!r} is no name of an analyst")
    try:
        client.command(f"DROP USER IF EXISTS `{name}`")
    except ClickHouseError as error:
        raise _explained(error, name) from error


def _explained(error: ClickHouseError, name: str) -> Exception:
    code = getattr(error, "code", None)
    if code == EXISTS:
        return BadInput(f"there is a user {name} already; --replace makes it anew, with another password")
    if code == NOT_ALLOWED:
        return UserError(
            "this ClickHouse lets us make no users: give BOURSE_CLICKHOUSE_USER access_management, or the right CREATE USER and "
            "SELECT WITH GRANT OPTION; the embedded one has no users, only who can reach its address reads it"
        )
    return error
