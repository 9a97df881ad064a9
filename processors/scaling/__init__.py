"""Scaling of token pools: what their promises and their demand need of replicas, once a tick (processors/autoscale.py)."""
