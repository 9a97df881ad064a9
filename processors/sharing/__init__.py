"""Token pools: who may use what of a pool's replicas, from entitlement, allocation, debt and demand, once a tick."""
