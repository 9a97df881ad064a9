"""Cases in, answers out, as named numpy arrays: for a million tenants at once (spec: allocation, "The door", `--npz`)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processors.allocation import AuctionInput, InputError, Outcome, allocate
from processors.allocation.exact import INT64_MAX, Ints

Arrays = Mapping[str, NDArray[Any]]

NO_CAP = -1  # where null cannot be written

_REQUIRED = ("policy", "capacity", "base_price", "reserve_price", "base", "elasticity", "demand")


def answer_arrays(arrays: Arrays) -> dict[str, NDArray[Any]]:
    """The allocation of one pool given as arrays; the order of rows is the order of ids.

    Args:
        arrays: `policy` (a string), `capacity`, `base_price`, `reserve_price` (one integer each); `base`, `elasticity`, `demand`
            and, optionally, `budget_left` (-1 = no cap; missing: no caps) and `weight` (missing: 1 each), one integer per tenant.

    Returns:
        `price` and `unallocated` (one int64 each); `base`, `surplus`, `charge`, `shortfall`, one int64 per tenant.

    Raises:
        InputError: names the array that is missing or wrong.
        ChargeOverflowError: a charge leaves int64.
    """
    for name in _REQUIRED:
        if name not in arrays:
            raise InputError(name, "is missing")
    base = _int64_column("base", arrays["base"])
    size = base.size
    budget_left = _int64_column("budget_left", arrays.get("budget_left", np.full(size, NO_CAP)))
    if budget_left.min(initial=NO_CAP) < NO_CAP:
        row = int((budget_left < NO_CAP).argmax())
        raise InputError("budget_left", f"must be at least -1 (no cap; write 0 for overspent), got {budget_left[row]}", row)
    outcome = allocate(
        _text("policy", arrays["policy"]),
        AuctionInput(
            capacity=_int_scalar("capacity", arrays["capacity"]),
            base_price=_int_scalar("base_price", arrays["base_price"]),
            reserve_price=_int_scalar("reserve_price", arrays["reserve_price"]),
            base=base,
            elasticity=_int64_column("elasticity", arrays["elasticity"]),
            demand=_int64_column("demand", arrays["demand"]),
            budget_left=budget_left,
            capped=budget_left != NO_CAP,
            weight=_int64_column("weight", arrays.get("weight", np.ones(size, np.int64))),
        ),
    )
    return _named_arrays(outcome)


def _named_arrays(outcome: Outcome) -> dict[str, NDArray[Any]]:
    charge = outcome.charge
    if outcome.price > INT64_MAX:
        raise InputError("price", f"the clearing price {outcome.price} does not fit 2^63-1")
    return {
        "price": np.array(outcome.price, np.int64),
        "base": outcome.base,
        "surplus": outcome.surplus,
        "charge": charge,
        "shortfall": outcome.shortfall,
        "unallocated": np.array(outcome.unallocated, np.int64),
    }


def _int64_column(name: str, array: NDArray[Any]) -> Ints:
    if array.ndim != 1:
        raise InputError(name, f"must have one dimension, got shape {array.shape}")
    return _as_int64(name, array)


def _int_scalar(name: str, array: NDArray[Any]) -> int:
    if array.size != 1:
        raise InputError(name, f"must be one number, got shape {array.shape}")
    return int(_as_int64(name, array).reshape(-1)[0])


def _as_int64(name: str, array: NDArray[Any]) -> Ints:
    if array.dtype.kind not in "iu":
        raise InputError(name, f"must be integers, got {array.dtype}")
    if array.dtype.kind == "u" and array.max(initial=0) > INT64_MAX:
        raise InputError(name, f"must be at most {INT64_MAX}, got {array.max()}")
    return array.astype(np.int64, copy=False)


def _text(name: str, array: NDArray[Any]) -> str:
    if array.size != 1 or array.dtype.kind not in "US":
        raise InputError(name, f"must be one string, got {array.dtype} of shape {array.shape}")
    value = array.reshape(-1)[0]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
