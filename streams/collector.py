"""Python's cycle collector, as processes need it that make many objects and hardly any cycles."""

import gc

YOUNG_OBJECTS = 50_000
"""Python's collector looks for cycles after 700 new objects by default. Roles make objects without cycles, several for each record,
and the sink keeps many until their batch has landed: looking that often cost it a sixth of its time."""


def relax_collector() -> None:
    """What a role or a gateway does at its start."""
    gc.set_threshold(YOUNG_OBJECTS)


def spare_present_objects() -> None:
    """From now on the collector looks only at what is made later.

    A look at everything stops a process for 0.1 s with its modules alone, for 0.5 s with a book of a million orders; all that
    time orders wait. To be called when a state was restored: what is cyclic garbage now is collected, what an earlier call had
    spared is looked at once more, so that nothing is spared for ever.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
