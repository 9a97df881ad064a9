"""Trading bots, evaluated in the log at each tick (ATP-8c). `ticking.py` lets them act, `setting.py` takes their settings."""
