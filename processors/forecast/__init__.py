"""Demand forecasts: every period, for every tenant, the tokens that it will demand in the next (spec: forecast).

A mixture of simple experts, weighted per tenant by how they did; one step ahead, online, the same on every machine: numpy's + - x /
and comparisons, element by element in one order.
"""

from processors.forecast.calendar import Calendar
from processors.forecast.rule import Forecast, Opinions, learn, opinions, predict
from processors.forecast.score import Score
from processors.forecast.settings import LEVELS
from processors.forecast.state import EXPERTS, State
from processors.forecast.walk import History, Step, walk

__all__ = [
    "EXPERTS",
    "LEVELS",
    "Calendar",
    "Forecast",
    "History",
    "Opinions",
    "Score",
    "State",
    "Step",
    "learn",
    "opinions",
    "predict",
    "walk",
]
