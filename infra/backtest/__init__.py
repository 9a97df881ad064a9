"""What another policy, or other settings of a pool, would have made of the recorded journal (`bourse backtest`)."""
