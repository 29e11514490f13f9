"""The lock of a run: told at its end, or brought about."""
