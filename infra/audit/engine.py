"""The engine's own balances against those of the landed ledger.

The engine tells its accounts page by page, each with the journal offset up to which it has decided; what was landed up to that
offset must give the same accounts, and nothing behind it counts. So the comparison is exact while the market goes on, and pages
need not be of one moment. What the engine decided a moment ago may not have landed yet: a page that differs is compared again
until it agrees, or until PATIENCE_S have passed without more landing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx

from infra.audit.standing import FIRST, Key, accounts
from infra.audit.store import AuditStore, Scope
from streams.errors import Unavailable
from streams.settings import Settings

PATIENCE_S = 15.0
"""The sink lands a batch every second or so."""
AWAY_S = 30.0
"""How long an engine may be away: one that was killed starts again and folds what its snapshot lacks."""
AGAIN_S = 0.3
ANSWER_S = 30.0
PAGE = 10_000
LISTED = 1_000
"""Most differences that are listed; all are counted."""


class Difference(NamedTuple):
    """An account of which the engine says something else than the landed postings: nanocredits or tokens."""

    asset: int
    account: str
    engine: tuple[int, int]
    """(balance, held)."""
    landed: tuple[int, int]


@dataclass(slots=True)
class Comparison:
    """What comparing a pool's accounts came to.

    Attributes:
        accounts: that were compared.
        through: the last journal offset up to which they were.
        landed_before: if something differs, the journal offset below which all facts had landed; where that is not behind
            `through`, facts that are yet to land may explain it, if the engine decided anything in between.
    """

    accounts: int = 0
    through: int = -1
    landed_before: int = 0
    differing: int = 0
    listed: list[Difference] = field(default_factory=list)


class _Page(NamedTuple):
    through: int
    after: Key
    last: Key | None
    """None: it is the last page."""
    accounts: dict[Key, tuple[int, int]]


def compare(store: AuditStore, scope: Scope, settings: Settings) -> Comparison:
    """All accounts of a pool, as they are now.

    Raises:
        Unavailable: the engine does not answer.
    """
    found = Comparison()
    patience = _Patience()
    for page in _pages(settings, scope.pool):
        differences, found.landed_before = _settled(store, scope, page, patience)
        found.accounts += len(page.accounts)
        found.through = page.through
        found.differing += len(differences)
        found.listed += differences[: LISTED - len(found.listed)]
    return found


@dataclass(slots=True)
class _Patience:
    """Ends when nothing has landed for PATIENCE_S, for all pages together."""

    reached: int = -1
    deadline: float = 0.0

    def is_over(self, landed_before: int) -> bool:
        """Told how far landing has come."""
        if landed_before > self.reached:
            self.reached, self.deadline = landed_before, time.monotonic() + PATIENCE_S
        return time.monotonic() >= self.deadline


def _settled(store: AuditStore, scope: Scope, page: _Page, patience: _Patience) -> tuple[list[Difference], int]:
    """What differs when landing has caught up, or goes on no more; and how far it had come."""
    while True:
        landed_before = store.landed_before(scope.partition)
        differences = _differences(page, accounts(store, scope, page.through, page.after, page.last))
        if not differences or landed_before > page.through or patience.is_over(landed_before):
            return differences, landed_before
        time.sleep(AGAIN_S)


def _differences(page: _Page, landed: dict[Key, tuple[int, int]]) -> list[Difference]:
    keys = sorted(page.accounts.keys() | landed.keys()) if page.accounts != landed else []
    nothing = (0, 0)
    told = (Difference(*key, page.accounts.get(key, nothing), landed.get(key, nothing)) for key in keys)
    return [each for each in told if each.engine != each.landed]


def _pages(settings: Settings, pool: str) -> Iterator[_Page]:
    after, more = FIRST, True
    with httpx.Client(timeout=ANSWER_S, follow_redirects=True) as client:
        while more:
            told = _asked(client, settings, pool, after)
            rows = {(asset, account): (balance, held) for asset, account, balance, held in told["accounts"]}
            more = told["more"]
            last = next(reversed(rows)) if more else None
            yield _Page(told["journal_offset"], after, last, rows)
            after = last or after


def _asked(client: httpx.Client, settings: Settings, pool: str, after: Key) -> dict[str, Any]:
    url = f"{settings.engine_web_url()}/pools/{quote(pool, safe='')}/accounts"
    deadline = time.monotonic() + AWAY_S
    while True:
        try:
            answer = client.get(url, params={"asset": after[0], "account": after[1], "limit": PAGE})
            failure = "" if answer.is_success else " ".join(answer.text.split())[:200]
        except httpx.HTTPError as error:
            failure = str(error)
        if not failure:
            told: dict[str, Any] = answer.json()
            return told
        if time.monotonic() >= deadline:
            raise Unavailable(
                f"the engine's web view at {url} does not tell its accounts ({failure}); --no-engine audits without it"
            )
        time.sleep(AGAIN_S)
