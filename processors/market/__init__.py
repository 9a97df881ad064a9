"""The market: what tenants' orders and transfers do to a pool. The book matches, the ledger pays; here both are held together."""
