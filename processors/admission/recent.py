"""How long requests have run of late, and how many blocks they held: what tells when space will be free."""


class Recent:
    """Means over the requests that ended, a new one with an eighth of the weight, as TCP estimates round trips (RFC 6298).

    Attributes:
        held: eighths of milliseconds; 0: nothing has ended yet.
        blocks: eighths of blocks.
    """

    __slots__ = ("blocks", "held")

    def __init__(self) -> None:
        self.held = self.blocks = 0

    def observe(self, held_ms: int, blocks: int) -> None:
        """A request has ended."""
        if not self.held:
            self.held, self.blocks = 8 * held_ms, 8 * blocks
            return
        self.held += held_ms - self.held // 8
        self.blocks += blocks - self.blocks // 8

    def blocks_of(self, requests: int) -> int:
        """What so many requests hold."""
        return requests * self.blocks // 8

    def until_free(self, missing: int, used: int) -> int | None:
        """Milliseconds until so much more is free: of what is used, used / held is freed per millisecond.

        None: nothing is used, or nothing has ended yet.
        """
        if not used or not self.held:
            return None
        return max(1, -(-missing * self.held // (8 * used)))
