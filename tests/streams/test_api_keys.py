"""API keys on a real broker: issued, shown, revoked while a gateway follows."""

from __future__ import annotations

import asyncio
import time
import uuid

import pytest

from infra.cli import main
from schemas.access import ApiKey
from streams.api_keys import ApiKeys, KeyRefused, issue, new_key, read_keys, revoke
from streams.errors import BadInput
from streams.settings import Settings
from streams.topics import ensure_topics

pytestmark = pytest.mark.kafka

ENOUGH_S = 60


@pytest.fixture(scope="module")
def settings(bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    made = Settings(home=tmp_path_factory.mktemp("keys"), kafka=bootstrap, topic_prefix=f"k{uuid.uuid4().hex[:8]}.", partitions=1)
    ensure_topics(made)
    return made


async def _until(keys: ApiKeys, shown: str, wanted: object) -> None:
    deadline = time.monotonic() + ENOUGH_S
    while keys.find(shown) != wanted:
        assert time.monotonic() < deadline, f"{keys.find(shown)} and not {wanted}"
        await asyncio.sleep(0.01)


def test_a_gateway_learns_of_keys_that_are_issued_and_revoked_while_it_runs(settings: Settings) -> None:
    async def play() -> None:
        before = await issue(settings, "ann", ["llama"], "laptop")
        gateway = ApiKeys(settings)
        await gateway.start()
        assert gateway.find(before.secret) == before.key, "it stood in the topic"
        assert gateway.find(before.secret, "llama") == before.key
        assert gateway.find(before.secret, "other") is KeyRefused.OTHER_POOL
        later = await issue(settings, "ben")
        await _until(gateway, later.secret, later.key)
        assert gateway.find(later.secret, "anything") == later.key
        assert (await revoke(settings, before.key.id)).revoked_at is not None
        await _until(gateway, before.secret, KeyRefused.REVOKED)
        assert gateway.find(later.secret) == later.key
        await gateway.close()

    asyncio.run(play())


def test_revoking_again_changes_nothing_and_what_is_unknown_is_named(settings: Settings) -> None:
    async def play() -> None:
        issued = await issue(settings, "cid")
        first = await revoke(settings, issued.secret)
        assert await revoke(settings, f"bk-{issued.key.id}") == first
        assert (await read_keys(settings))[issued.key.id] == first
        with pytest.raises(BadInput, match="'nothing'"):
            await revoke(settings, "nothing")

    asyncio.run(play())


def test_a_new_key_never_takes_the_id_of_one_that_is_there(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its record would replace the other tenant's."""

    async def play() -> None:
        before = await issue(settings, "eve")
        names = iter([before.key.id, before.key.id, "0abcdef0"])
        monkeypatch.setattr("streams.api_keys.secrets.token_hex", lambda _bytes: next(names))
        assert (await issue(settings, "fay")).key.id == "0abcdef0"
        assert (await read_keys(settings))[before.key.id] == before.key

    asyncio.run(play())


def _changed(secret: str, place: int) -> str:
    return secret[:place] + ("a" if secret[place] != "a" else "b") + secret[place + 1 :]


def test_what_is_shown_is_told_apart(settings: Settings) -> None:
    async def find(*shown: str | None) -> list[ApiKey | KeyRefused]:
        keys = ApiKeys(settings)
        keys.known |= {key.id: key for key in (issued.key, of_one_pool.key, gone)}
        found = [keys.find(each) for each in shown]
        assert keys.find(of_one_pool.secret, "llama") == of_one_pool.key
        assert keys.find(of_one_pool.secret, "lla") is KeyRefused.OTHER_POOL
        assert keys.find(revoked.secret, "other") is KeyRefused.REVOKED
        assert [keys.revoked(each) for each in (issued.key.id, gone.id, "00000000")] == [False, True, True]
        await keys.close()
        return found

    issued, of_one_pool, revoked = new_key("ann"), new_key("ann", ["llama"]), new_key("ann", ["llama"])
    gone = revoked.key.model_copy(update={"revoked_at": revoked.key.issued_at})
    right = issued.secret
    table = {
        None: KeyRefused.ABSENT,
        "": KeyRefused.ABSENT,
        "sk-123": KeyRefused.MALFORMED,
        right + "\n": KeyRefused.MALFORMED,
        right[:-1]: KeyRefused.MALFORMED,
        "ｂk" + right[2:]: KeyRefused.MALFORMED,
        _changed(right, len(right) - 1): KeyRefused.UNKNOWN,
        _changed(right, 3): KeyRefused.UNKNOWN,
        new_key("ann").secret: KeyRefused.UNKNOWN,
        revoked.secret: KeyRefused.REVOKED,
        _changed(revoked.secret, len(right) - 1): KeyRefused.UNKNOWN,
        of_one_pool.secret: of_one_pool.key,
        right: issued.key,
    }
    assert asyncio.run(find(*table)) == list(table.values())
    assert right not in issued.key.model_dump_json(), "the key itself is kept nowhere"


def test_the_command_shows_the_key_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def bourse(*arguments: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["keys", "api", *arguments])
        assert ended.value.code in (0, None)
        return capsys.readouterr().out.strip()

    for name, value in settings.as_environment().items():
        monkeypatch.setenv(name, value)
    secret = bourse("issue", "dee", "--pool", "llama", "--label", "ci")
    listed = bourse("list", "--json")
    assert secret.split("-")[1] in listed
    assert secret not in listed
    assert "revoked" in bourse("revoke", secret)
