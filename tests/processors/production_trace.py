"""A production trace of two weeks, which is not part of the project: tests that need it skip where it is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

TRACE = Path(__file__).parents[2].parent / "shared" / "data" / "servegen-m-small.parquet"


def tokens_of_the_trace() -> np.ndarray:
    """Tokens of each window of ten minutes and client; NaN where nothing was recorded."""
    if not TRACE.exists():
        pytest.skip(f"needs {TRACE.name} in ../shared/data, which is not part of the project")
    table = parquet.read_table(TRACE, columns=["client", "w", "tokens"])
    client, window = (np.asarray(table.column(name)) for name in ("client", "w"))
    tokens = np.full((window.max() + 1, client.max() + 1), np.nan)
    tokens[window, client] = np.asarray(table.column("tokens"))
    tokens = tokens[:, ~np.isnan(tokens).all(axis=0)]
    tokens[np.nansum(tokens, axis=1) == 0] = np.nan  # the telemetry was away
    return tokens
