"""KEDA's external scaler: `externalscaler.proto`, and what `make render` generates of it (never edited)."""
