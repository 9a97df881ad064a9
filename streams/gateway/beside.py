"""Deciding for gateways of others: they ask before they pass a request on, and tell afterwards what it used.

Such a gateway may forget to tell, or die. So each request that was admitted is open until it is settled, and one that is not
settled within a stated time is settled at what it had reserved, as `lost`: nobody can say what it used, and its tenant was entitled
to no more. The same happens to what was open when this process died (streams/gateway/write_ahead.py).

A preemptible request whose capacity is reclaimed can't be stopped from here: whoever passes it on holds its stream. It gives its
capacity back when it ends.

Memory: some 600 bytes an open request; finding what has expired costs nothing else, as they expire in the order in which they came.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from pydantic_core import from_json

from schemas.access import ApiKey
from streams.api_keys import KeyRefused
from streams.gateway.admitting import Parts, Wanted, need_of, write_down, write_end
from streams.gateway.answers import Code, Failure, Headers, allowance_headers, key_refused
from streams.gateway.arriving import Refuse, asked_of
from streams.gateway.asked import Asked, Kind
from streams.gateway.usage import Events, Measured, Usage, usage_of
from streams.gateway.write_ahead import LOST, Ended

LONGEST_S = 600.0
"""How long an answer may take: two tokens a second for a thousand of them."""


class Beside:
    """Requests that other gateways pass on; in one event loop.

    Args:
        parts: what is decided by.
        longest_s: after which a request that nobody has settled is settled at its reservation.
    """

    def __init__(self, parts: Parts, longest_s: float = LONGEST_S) -> None:
        self.parts = parts
        self._longest_ms = int(longest_s * 1000)
        self._open: dict[str, Wanted] = {}

    @property
    def open(self) -> int:
        """Requests that were admitted and not settled."""
        return len(self._open)

    async def admit(self, key: ApiKey, path: str, body: bytes, priority: bytes | None) -> Wanted:
        """It may go on now, and must be settled; it may have waited for it.

        Args:
            key: whose request it is.
            path: which endpoint it wants; what stands behind `?` is ignored.
            body: whole.
            priority: what its client says of it.

        Raises:
            Refuse: it may not; with what its client shall be told.
        """
        self.parts.take()
        came_ms = self.parts.now_ms()
        try:
            kind = Kind(path.partition("?")[0])
        except ValueError:
            raise Refuse(Failure(404, Code.UNKNOWN_PATH, f"{path.partition('?')[0][:200]} is not served here")) from None
        pool, asked = await asked_of(self.parts.rules, kind, body, self.parts.count)
        if not key.opens(pool):
            raise Refuse(key_refused(KeyRefused.OTHER_POOL))
        wanted = Wanted(name=self.parts.name(), tenant=key.tenant, pool=pool, asked=asked, came_ms=came_ms)
        desk = self.parts.desks[pool]
        failure = await desk.ask(need_of(self.parts, wanted, priority, _goes_on))
        if failure is None:
            failure = write_down(self.parts, wanted)
            if failure is not None:
                desk.settle(wanted.name, 0, 0)
        if failure is not None:
            self.parts.metrics.failed(pool, failure.code)
            raise Refuse(failure)
        self._open[wanted.name] = wanted
        return wanted

    def settle(self, request: str, answer: bytes, status: str) -> Usage | None:
        """It has ended: it pays what its answer says, within what it had reserved.

        Args:
            request: its id.
            answer: upstream's, as JSON or events, whole or its end; nothing: nothing was done for it. What is not whole and tells
                no usage is settled at its reservation.
            status: `ok`, or how it went wrong.

        Returns:
            What it was settled at; None: no such request is open (it never was, or it is settled already).
        """
        wanted = self._open.pop(request, None)
        if wanted is None:
            return None
        usage, basis = self._told(wanted.asked, answer)
        self._end(wanted, usage, basis, status, self.parts.now_ms() - wanted.came_ms)
        return usage

    def expire(self) -> int:
        """Settles what nobody has settled in time, at its reservation; how many those were. To be called now and then."""
        expired = [each.name for each in _while_before(self._open.values(), self.parts.now_ms() - self._longest_ms)]
        return sum(map(self.lose, expired))

    def close(self) -> None:
        """Nobody can settle anything here any more: what is open is settled at its reservation."""
        for request in tuple(self._open):
            self.lose(request)

    def lose(self, request: str) -> bool:
        """It has ended, and nobody tells what it used: it is settled at its reservation. False: it is settled already."""
        wanted = self._open.pop(request, None)
        if wanted is not None:
            self._end(wanted, _reserved(wanted.asked), "reserved", LOST, None)
        return wanted is not None

    def standing(self, tenant: str, pool: str) -> Headers:
        """`x-ratelimit-*`, for its client."""
        return allowance_headers(self.parts.desks[pool].allowance(tenant))

    def _told(self, asked: Asked, answer: bytes) -> tuple[Usage, str]:
        """What an answer says that was used: usage; else its pieces, if it is whole; else nobody knows."""
        if not answer:
            return Usage(0, 0, 0), "counted"
        measured, whole = Measured(), True
        start = answer.lstrip()[:6]
        if start.startswith(b"{"):
            try:
                measured.see_whole(from_json(answer), self.parts.count)
            except ValueError:
                whole = False
        else:
            events = Events(asked, measured)
            events.take(answer)
            events.rest()
            whole = start.startswith((b"data:", b"event:", b"id:", b":"))
        if measured.usage is None and not whole:
            measured.usage = _usage_at_end(answer)
            if measured.usage is None:
                return _reserved(asked), "reserved"
        return measured.settled(asked)

    def _end(self, wanted: Wanted, usage: Usage, basis: str, status: str, latency_ms: int | None) -> None:
        self.parts.desks[wanted.pool].settle(wanted.name, usage.input_tokens, usage.output_tokens)
        write_end(
            self.parts,
            Ended(
                wanted.name,
                wanted.tenant,
                wanted.pool,
                wanted.asked.model,
                ended_ms=self.parts.now_ms(),
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                cached_input_tokens=usage.cached_input_tokens,
                basis=basis,
                latency_ms=latency_ms,
                ttft_ms=None,
                tpot_ms=None,
                status=status,
            ),
        )


def _reserved(asked: Asked) -> Usage:
    return Usage(asked.input_tokens, asked.most_output, 0)


def _usage_at_end(answer: bytes) -> Usage | None:
    """Of a body whose beginning was not sent; None: no usage stands there."""
    text = answer.decode(errors="replace")
    at = text.rfind('"usage"')
    try:
        told, _ = json.JSONDecoder().raw_decode(text[at:].removeprefix('"usage"').lstrip(": \n\t"))
    except ValueError:
        return None
    return usage_of({"usage": told}) if at >= 0 else None


def _goes_on() -> None:
    """Nothing here can stop it."""


def _while_before(opened: Iterable[Wanted], late_ms: int) -> Iterable[Wanted]:
    """Those that came before. They stand about in that order: one that waited stands behind its time, and is reached later."""
    for wanted in opened:
        if wanted.came_ms > late_ms:
            return
        yield wanted
