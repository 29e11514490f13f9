"""The lock of a run: emitted at its end, or installed."""
