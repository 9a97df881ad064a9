"""The loops that move bases: at a period's end by SLA (processors/sla.py), at times by long-term use (processors/rebalance.py)."""
