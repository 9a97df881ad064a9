"""Who may ask: an API key as gateways know it."""

from typing import Annotated, ClassVar

from pydantic import Field

from schemas.model import Event
from schemas.units import Label, PoolId, TenantId, Time, Unit

KeyId = Annotated[str, Field(pattern=r"^[0-9a-f]{8}$"), Unit("names a key; no secret")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$"), Unit("SHA-256 of the whole key, hex")]


class ApiKey(Event):
    """What is known of an API key: whose it is and what it opens, never the key itself. Key of the record: `id`.

    The key has 256 random bits, so a plain SHA-256 keeps it secret: nobody can try them all, as they could with passwords.
    """

    KIND: ClassVar[str] = "api_key"

    id: KeyId
    digest: Digest
    tenant: TenantId
    pools: list[PoolId] = Field(default_factory=list)
    """Pools that it opens; empty: every pool."""
    label: Label = ""
    """For people: where it is used."""
    issued_at: Time
    revoked_at: Time | None = None
    """It opens nothing any more; null: it does."""

    def opens(self, pool: str) -> bool:
        """Whether requests to a pool may be made with it."""
        return not self.pools or pool in self.pools


ACCESS: tuple[type[Event], ...] = (ApiKey,)
"""What an operator writes straight to a topic that gateways follow: nothing of it can change a decision of the engine."""
