"""Budgets: what each tenant may still spend in its window, in nanocredits.

A window is `window_s` seconds long and starts at a multiple of that since 1970; a charge counts in the window in which its
period starts. Without a budget all time is one window. A change of the window's length begins the count anew.
"""

import numpy as np
import numpy.typing as npt

from processors.tenants import NO_CAP, Column, Tenants, saturating_add


def budget_left(tenants: Tenants, start_ms: int) -> Column:
    """Money left of each tenant's declared cap (by slot) in the window in which a period that starts at `start_ms` lies.

    NO_CAP where there is no cap. The declared budget counts, as it comes into force with the period.
    """
    spent = np.where(_over(tenants, start_ms), 0, tenants["spent"])
    cap = tenants["declared_budget"]
    return np.where(cap == NO_CAP, NO_CAP, np.maximum(cap - spent, 0))


def begin_windows(tenants: Tenants, start_ms: int) -> None:
    """What was spent in a window that is over by `start_ms` is forgotten. Before the declared budgets come into force."""
    tenants["spent"][_over(tenants, start_ms)] = 0
    tenants["window"][:] = _window(tenants, start_ms)


def spend(tenants: Tenants, slots: npt.NDArray[np.intp], amounts: Column) -> None:
    """Post charges to the windows that have begun."""
    saturating_add(tenants["spent"], slots, amounts)


def _over(tenants: Tenants, start_ms: int) -> npt.NDArray[np.bool_]:
    """Whether `start_ms` lies in another window than the one that `spent` counts."""
    same_length = tenants["declared_window_s"] == tenants["window_s"]
    over: npt.NDArray[np.bool_] = ~(same_length & (_window(tenants, start_ms) == tenants["window"]))
    return over


def _window(tenants: Tenants, start_ms: int) -> Column:
    """The number of the window that `start_ms` lies in."""
    length_ms = tenants["declared_window_s"] * 1000
    return np.where(length_ms > 0, start_ms // np.maximum(length_ms, 1), 0)
