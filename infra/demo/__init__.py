"""`bourse demo`: a workload through the whole system, watched live, counted afterwards and proved by replay."""
