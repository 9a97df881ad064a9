"""How much memory the bodies of requests may take that a gateway holds at once: all of them, and each tenant's.

A body is held from its first bytes to the end of its request, also while that waits: whoever has a key could fill the machine with
slow requests of 16 MiB before any limit is asked. Bodies up to SMALL_BYTES are not counted: they take no more than a connection
does, and are nearly all there are.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from streams.gateway.answers import Code, Failure
from streams.gateway.arriving import Refuse

SMALL_BYTES = 64 << 10
MOST_BYTES = 1 << 30
MOST_OF_TENANT = MOST_BYTES // 4
"""So that it takes more than three tenants to fill it."""


class Bodies:
    """Bytes of bodies in a gateway, by tenant.

    Args:
        most: of all of them.
        most_of_tenant: of each.
    """

    def __init__(self, most: int = MOST_BYTES, most_of_tenant: int = MOST_OF_TENANT) -> None:
        self.held = 0
        self._of: dict[str, int] = {}
        self._most, self._most_of_tenant = most, most_of_tenant

    def take(self, tenant: str, size: int) -> None:
        """Room for so many bytes more.

        Raises:
            Refuse: there is none.
        """
        own = self._of.get(tenant, 0)
        if own + size > self._most_of_tenant:
            told = f"bodies of {tenant}'s requests take {own} bytes of the gateway's memory, at most {self._most_of_tenant}"
            raise Refuse(Failure(429, Code.BODIES, told, retry_after_ms=1000))
        if self.held + size > self._most:
            told = f"bodies of requests take {self.held} bytes of the gateway's memory, at most {self._most}"
            raise Refuse(Failure(503, Code.BODIES, told, retry_after_ms=1000))
        self.held += size
        self._of[tenant] = own + size

    def free(self, tenant: str, size: int) -> None:
        """As many bytes are held no more."""
        self.held -= size
        self._of[tenant] -= size
        if not self._of[tenant]:
            del self._of[tenant]


class Held:
    """What one request holds; freed at the end of its context."""

    __slots__ = ("_bodies", "_size", "_tenant")

    def __init__(self, bodies: Bodies) -> None:
        self._bodies, self._tenant, self._size = bodies, "", 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._size:
            self._bodies.free(self._tenant, self._size)

    def grown_to(self, tenant: str, size: int) -> None:
        """A tenant's body has so many bytes now.

        Raises:
            Refuse: there is no room for it.
        """
        if size > SMALL_BYTES:
            self._bodies.take(tenant, size - self._size)
            self._tenant, self._size = tenant, size
