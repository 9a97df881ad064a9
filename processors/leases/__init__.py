"""Several gateways share a pool: each has a part of every limit for a time, a lease, and their sum never exceeds the limit."""
