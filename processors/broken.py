"""What no correct writer leaves behind stops the engine loudly: going on would decide from a fault."""


class BrokenJournalError(Exception):
    """The journal holds what no correct writer appends."""
