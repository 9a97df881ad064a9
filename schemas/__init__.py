"""What may be said: event models, units, rendered Avro and tables, upcasting."""
