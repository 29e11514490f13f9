"""A run that outlives its connection: its journal, and the commands that start and follow it."""
