"""Every event type there is, by its KIND. A new type is added to the tuple of the module that defines it."""

from schemas.access import ACCESS
from schemas.backtests import BACKTESTS
from schemas.dead_letters import DeadLetter
from schemas.facts import FACTS
from schemas.journal import JOURNALLED
from schemas.model import Event
from schemas.outputs import OUTPUTS
from schemas.published import PUBLISHED


def _by_kind(models: tuple[type[Event], ...]) -> dict[str, type[Event]]:
    found: dict[str, type[Event]] = {}
    for model in models:
        if found.setdefault(model.KIND, model) is not model:
            raise TypeError(f"{model.__name__} and {found[model.KIND].__name__} are both called {model.KIND!r}")
    return found


EVENTS: dict[str, type[Event]] = _by_kind((*PUBLISHED, *JOURNALLED, *FACTS, *OUTPUTS, *ACCESS, *BACKTESTS, DeadLetter))
