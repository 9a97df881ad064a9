"""Admission: which request of a pool may run. The rule itself is in `rule`."""

from processors.admission.allowance import NOTHING, Allowance
from processors.admission.rule import Admission
from processors.admission.scaling import KNOTS, Knots
from processors.admission.values import Admitted, Counts, Mistake, Refused, Rejected, Settled, Used, Whose

__all__ = [
    "KNOTS",
    "NOTHING",
    "Admission",
    "Admitted",
    "Allowance",
    "Counts",
    "Knots",
    "Mistake",
    "Refused",
    "Rejected",
    "Settled",
    "Used",
    "Whose",
]
