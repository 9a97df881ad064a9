"""How functions of this package are compiled."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numba

_P = ParamSpec("_P")
_R = TypeVar("_R")

# Nothing is divided by 0 here: steps are 1 at least. And nothing is allocated, so that no references are counted: the caller holds
# the arrays all the while.
_HOW = {"error_model": "numpy", "_nrt": False}
_njit = cast("Callable[..., Any]", numba.njit)  # its stub does not know all options


def jit(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """A function that compiled ones call, and Python does not: it becomes part of theirs, and needs no door of its own."""
    compiled: Callable[_P, _R] = _njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **_HOW)(function)
    return compiled


def inlined(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Like `jit`, but put into each function that calls it: for steps of nearly every operation. Faster, and longer to compile."""
    compiled: Callable[_P, _R] = _njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, forceinline=True, **_HOW)(function)
    return compiled


def entry(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """A function that Python calls. Its machine code is kept beside the source, or where numba keeps such things for the user."""
    compiled: Callable[_P, _R] = _njit(cache=True, **_HOW)(function)
    return compiled
